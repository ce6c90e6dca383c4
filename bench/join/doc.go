// Command join measures the signed identities and the overlay over the mesh:
// what they cost on the air, how soon a new node is reached, how long a stream
// is broken when a link on its way ends, and the throughput across relays that
// know nothing of them. See the README beside it.
package main
