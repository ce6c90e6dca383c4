package cjdns

import "errors"

// ErrBase32 reports a character outside the alphabet or bits left over.
var ErrBase32 = errors.New("cjdns: malformed base32")

// The vowels a, e, i and o are absent. Source: cjdns encoding/Base32.
const base32Alphabet = "0123456789bcdfghjklmnpqrstuvwxyz"

var base32Value = func() (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	for i := range len(base32Alphabet) {
		c := base32Alphabet[i]
		v[c] = int8(i)
		if c >= 'a' {
			v[c-'a'+'A'] = int8(i)
		}
	}
	return v
}()

// EncodeBase32 returns b in cjdns's base32: five bits a character, least
// significant bit first, no padding.
func EncodeBase32(b []byte) string {
	out := make([]byte, 0, (len(b)*8+4)/5)
	var acc, bits uint
	for _, c := range b {
		acc |= uint(c) << bits
		for bits += 8; bits >= 5; bits -= 5 {
			out = append(out, base32Alphabet[acc&31])
			acc >>= 5
		}
	}
	if bits > 0 {
		out = append(out, base32Alphabet[acc&31])
	}
	return string(out)
}

// DecodeBase32 is the inverse of EncodeBase32. Upper case is accepted. The
// only error is ErrBase32.
func DecodeBase32(s string) ([]byte, error) {
	out := make([]byte, 0, len(s)*5/8)
	var acc, bits uint
	for i := range len(s) {
		v := base32Value[s[i]]
		if v < 0 {
			return nil, ErrBase32
		}
		acc |= uint(v) << bits
		if bits += 5; bits >= 8 {
			out = append(out, byte(acc))
			acc >>= 8
			bits -= 8
		}
	}
	if bits >= 5 || acc != 0 {
		return nil, ErrBase32
	}
	return out, nil
}
