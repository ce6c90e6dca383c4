package cjdns

import "encoding/binary"

// CryptoHeaderLen is the length of the header of a handshake packet, in
// bytes. Shorter handshake packets are runts.
const CryptoHeaderLen = 120

// First words of a CryptoAuth packet. Words from StateTraffic on are not a
// state but the nonce of a traffic packet.
// Source: cjdns crypto/CryptoAuth.c.
const (
	StateHello       uint32 = 0
	StateRepeatHello uint32 = 1
	StateKey         uint32 = 2
	StateRepeatKey   uint32 = 3
	StateTraffic     uint32 = 4 // the smallest nonce
)

// AuthType says how the sender of a handshake packet proves that it may
// connect. Values other than these must be refused: v22 does not check them.
type AuthType uint8

// Kinds of authentication.
const (
	AuthNone     AuthType = 0 // no password; the lookup is random
	AuthPassword AuthType = 1 // Lookup is of the hash of the password's hash
	AuthLogin    AuthType = 2 // Lookup is of the hash of the login
)

// CryptoHeader is the header of a handshake packet. Everything from Tag on is
// covered by the tag; TempKey is still encrypted.
//
//	0    4 bytes   state word, big endian: 0 hello .. 3 repeat key
//	4    1 byte    kind of authentication
//	5    7 bytes   lookup
//	12   2 bytes   derivations, 0 if there is authentication, else random
//	14   2 bytes   additional, 0
//	16   24 bytes  nonce
//	40   32 bytes  permanent public key of the sender
//	72   16 bytes  tag
//	88   32 bytes  temporary public key of the sender, encrypted
//	120            payload, encrypted
//
// Source: cjdns wire/CryptoHeader.h.
type CryptoHeader struct {
	State  uint32
	Auth   AuthType
	Lookup [7]byte
	Nonce  [24]byte
	Key    Key
	// Sealed is the rest of the packet: tag, temporary key, payload, at
	// least 48 bytes. It aliases the input.
	Sealed []byte
}

// ParseCryptoHeader reads the handshake packet b. The only error is ErrShort.
// Derivations and additional are ignored. The caller checks State and Auth.
func ParseCryptoHeader(b []byte) (h CryptoHeader, err error) {
	if len(b) < CryptoHeaderLen {
		return h, ErrShort
	}
	h.State = binary.BigEndian.Uint32(b)
	h.Auth = AuthType(b[4])
	h.Lookup = [7]byte(b[5:12])
	h.Nonce = [24]byte(b[16:40])
	h.Key = Key(b[40:72])
	h.Sealed = b[72:]
	return h, nil
}

// Append writes h, Sealed included, behind b and returns the longer slice.
// Derivations and additional are written as 0, which all versions accept.
func (h CryptoHeader) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, h.State)
	b = append(b, byte(h.Auth))
	b = append(b, h.Lookup[:]...)
	b = append(b, 0, 0, 0, 0)
	b = append(b, h.Nonce[:]...)
	b = append(b, h.Key[:]...)
	return append(b, h.Sealed...)
}
