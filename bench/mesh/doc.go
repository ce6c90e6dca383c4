// Command mesh measures routing daemons beside each other on the same air: how
// long a 3x3 grid needs until every node reaches every other, how long it
// needs to find another way when a link on the way is cut, what is lost until
// then, and what the routing costs in bytes on the air.
//
// See README.md.
package main
