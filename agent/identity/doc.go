// Package identity is who is who in a mesh: the signed records that bind the
// addresses of hard interfaces to overlay keys, the hash chains that bind
// sequence numbers to records, and the packets that agents send each other.
// docs/protocol/identity.md describes it. It does no I/O, starts no goroutine
// and reads no clock; signatures, which are slow, are jobs for the caller.
package identity
