// Package cryptoauth is one end of an encrypted session of cjdns: between
// neighbours (outer) and between the ends of a path (inner). It speaks
// CryptoAuth, which all versions know, and the Noise variant of v22. It keeps
// no timer and opens no socket: every call says what time it is, and packets
// come and go as buffers, which it changes in place.
//
//	hello         first packet of the initiator
//	key           the responder's answer
//	traffic       everything after
//	permanent key the node's identity, in clear in every handshake packet
//	temporary key of one handshake; traffic keys come from two of these
//	transport     traffic keys, our packet number, the window of the peer's
//	candidate     the handshake that may make the next transport
//
// A handshake:
//
//	initiator                           responder
//	   | hello (temporary key, payload) --> | candidate
//	   | <-- key (temporary key, payload)   |
//	current, unconfirmed                    |
//	   | traffic -------------------------> | current, confirmed
//	   | <------------------------- traffic |
//	confirmed
//
// What differs from cjdns, and cannot be seen from outside: a hello never
// disturbs an established session, since it may be a replay; the replay
// window is wider; a peer that stays with the older of two transports is
// followed.
//
// Sources: cjdns crypto/CryptoAuth.c, wire/CryptoHeader.h (v20.7); recordings
// of v20.7 and v22.3 in testdata; the WireGuard paper for Noise.
package cryptoauth
