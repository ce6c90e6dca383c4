package cjdns

import (
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Errors of keys and addresses.
var (
	// ErrKeyText reports text that is not 52 base32 digits and ".k".
	ErrKeyText = errors.New("not a public key: want 52 base32 characters and .k")
	// ErrNotFC reports a key whose address does not begin with fc; such a
	// key cannot take part in the network.
	ErrNotFC = errors.New("the key does not hash to an address in fc00::/8")
	// ErrPrivateKeyText reports text that is not 64 hexadecimal digits.
	ErrPrivateKeyText = errors.New("not a private key: want 64 hexadecimal digits")
)

// Key is a node's permanent public key, X25519. The zero value is no key.
type Key [32]byte

// PrivateKey is the secret half, as drawn, not clamped. It has no String
// method that would show it; fmt prints a placeholder.
type PrivateKey [32]byte

// IP is an overlay address: the first 16 bytes of SHA-512(SHA-512(key)).
// It is valid if it begins with fc. Source: cjdns crypto/AddressCalc.
type IP [16]byte

// IP returns the address that k hashes to. Check IP.Valid before use: only
// one key in 256 hashes into fc00::/8. It costs two SHA-512 blocks.
func (k Key) IP() (ip IP) {
	inner := sha512.Sum512(k[:])
	outer := sha512.Sum512(inner[:])
	copy(ip[:], outer[:16])
	return ip
}

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k == Key{} }

// String returns the 54-character text form, for example
// "p1k4y0…kx0.k".
func (k Key) String() string { return EncodeBase32(k[:]) + ".k" }

// ParseKey reads the text form. Upper case is accepted. Errors: ErrKeyText,
// ErrNotFC.
func ParseKey(s string) (k Key, err error) {
	digits, ok := strings.CutSuffix(s, ".k")
	if !ok || len(digits) != 52 {
		return k, ErrKeyText
	}
	raw, err := DecodeBase32(digits)
	if err != nil || len(raw) != 32 {
		return k, ErrKeyText
	}
	copy(k[:], raw)
	if !k.IP().Valid() {
		return Key{}, ErrNotFC
	}
	return k, nil
}

// Hex returns the 64 lower-case digits in which private keys are stored.
func (p PrivateKey) Hex() string { return hex.EncodeToString(p[:]) }

// String keeps secrets out of logs.
func (p PrivateKey) String() string { return "(private key)" }

// GoString keeps secrets out of %#v.
func (p PrivateKey) GoString() string { return "(private key)" }

// ParsePrivateKey reads 64 hexadecimal digits. It cannot know whether the key
// hashes to fc00::/8: deriving the public key is the business of cryptoauth.
func ParsePrivateKey(s string) (p PrivateKey, err error) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != 32 {
		return p, ErrPrivateKeyText
	}
	copy(p[:], raw)
	return p, nil
}

// Valid reports whether ip lies in fc00::/8.
func (ip IP) Valid() bool { return ip[0] == 0xfc }

// Addr returns ip as a netip.Addr.
func (ip IP) Addr() netip.Addr { return netip.AddrFrom16(ip) }

// String prints all 39 characters, leading zeros included, as cjdns does.
func (ip IP) String() string { return ip.Addr().StringExpanded() }

// ParseIP reads an IPv6 address in any form; it must lie in fc00::/8.
func ParseIP(s string) (ip IP, err error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return ip, fmt.Errorf("%q is not an IPv6 address", s)
	}
	ip = a.As16()
	if !ip.Valid() {
		return IP{}, fmt.Errorf("%s is not in fc00::/8", s)
	}
	return ip, nil
}
