// Command scale starts many agents in namespaces of their own, joined by UDP
// over cables in a chain, a ring or at random, and measures how soon each
// reaches each other, how long their ways are, what they send at rest and how
// soon a cut is healed. See the README beside it.
package main
