// Package batman holds the words and bytes of B.A.T.M.A.N. advanced,
// compatibility version 15: packet headers, TVLV containers and addresses. It
// remembers nothing and decides nothing.
//
// Every header has a constant for its length, a Parse function that checks
// the length and returns a struct by value, and a Put method that writes the
// struct into the first bytes of a slice, which must be long enough. All
// integers are big-endian on the wire. Parse never checks type and version:
// the receiver does it once per frame (Peek).
//
// Words, and the C names that they stand for:
//
//	originator      a node, known by the MAC of its primary hard interface
//	hard interface  an interface that the mesh runs on (hardif)
//	mesh interface  where clients enter and leave, bat0 (meshif, softif)
//	OGM             originator message, the beacon that makes routes
//	TVLV            type, version, length, value: an attachment of an OGM
//	TT              translation table: which client is behind whom
//	TTVN            version number of a node's translation table, one byte
//	DAT             distributed ARP table
//	BLA             bridge loop avoidance
package batman
