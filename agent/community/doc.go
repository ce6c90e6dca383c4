// Package community is trust without copying passwords: who belongs to a
// community, who may say so, and how a newcomer gets in with one line of text.
//
// A root key, kept on paper, signs the certificates of admins; admins sign
// memberships, invites, and lists of what is revoked. A node proves its
// membership by its own certificate and that of the admin who signed it, so
// anybody who knows the root's public key can check it, without asking.
// docs/protocol/community.md has the formats, the rules and their limits.
//
// Like every core the package does no I/O, starts no goroutine and reads no
// clock. Signatures are slow work: they leave as a Job, one at a time.
//
// Words:
//
//	root        an Ed25519 key; its secret is never on a router
//	admin       a node that the root has certified
//	member      a node that an admin has certified; every admin is one too
//	invite      an admin's promise to certify who knows its secret
//	token       an invite as text, for the newcomer
//	page        a numbered part of an admin's list of revocations
//	number      counts everything that one signer has signed
//	standing    what a node is to us: member, expired, revoked ...
package community
