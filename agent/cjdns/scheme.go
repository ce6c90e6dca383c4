package cjdns

import (
	"errors"
	"slices"
)

// ErrScheme reports a serialised encoding scheme that no sane node has.
var ErrScheme = errors.New("cjdns: malformed encoding scheme")

// EncodingForm is one way to write a slot number in a label: a prefix in the
// lowest bits, by which it is recognised, and above it the number.
type EncodingForm struct {
	BitCount  uint8 // bits of the number, 1..31
	PrefixLen uint8 // bits, 0..31
	Prefix    uint32
}

// Width returns the number of bits of a director in this form.
func (f EncodingForm) Width() int { return int(f.PrefixLen) + int(f.BitCount) }

// EncodingScheme is the list of forms that a switch understands, narrowest
// first. What is called the number of a form is its index here.
// Source: cjdns switch/EncodingScheme.c.
type EncodingScheme []EncodingForm

// V358 is the scheme that all real nodes use, ours too: directors of 4, 7 and
// 10 bits. It must not be changed. Two numbers are special in it: the narrow
// form exchanges 0 and 1, so that 0001 means the own router, and the wide
// forms leave number 1 out.
var V358 = EncodingScheme{{3, 1, 1}, {5, 2, 2}, {8, 2, 0}}

const (
	v358Serialized = "\x61\x14\x45\x81\x00"
	maxForms       = 31
)

func (s EncodingScheme) isV358() bool { return slices.Equal(s, V358) }

// FormOf returns the number of the form in which the first director of l is
// written, -1 if it is none of s.
func (s EncodingScheme) FormOf(l Label) int {
	for i, f := range s {
		if (uint32(l)^f.Prefix)&(1<<f.PrefixLen-1) == 0 {
			return i
		}
	}
	return -1
}

// SerializeScheme writes s as it stands in messages and announcements: a bit
// stream, least significant bit first, of prefix length (5 bits), bit count
// (5 bits) and prefix for each form. V358 is 61 14 45 81 00.
func SerializeScheme(s EncodingScheme) []byte {
	out := make([]byte, 0, 6*len(s))
	var acc uint64
	var n uint
	for _, f := range s {
		acc |= uint64(f.PrefixLen&31) << n
		acc |= uint64(f.BitCount&31) << (n + 5)
		acc |= uint64(f.Prefix) & (1<<f.PrefixLen - 1) << (n + 10)
		for n += 10 + uint(f.PrefixLen); n >= 8; n -= 8 {
			out = append(out, byte(acc))
			acc >>= 8
		}
	}
	if n > 0 {
		out = append(out, byte(acc))
	}
	return out
}

// ParseScheme reads what SerializeScheme writes and checks that the scheme is
// sane: at least one form; a single form has no prefix; several forms have
// prefixes of which none is the beginning of another, ascending bit counts,
// and directors that fit into a label. Bits behind the last form must be
// zero. The only error is ErrScheme. Parsing V358 does not allocate; its
// result must not be changed.
func ParseScheme(b []byte) (EncodingScheme, error) {
	if string(b) == v358Serialized {
		return V358, nil
	}
	var s EncodingScheme
	var acc uint64
	var n uint
	for {
		for n < 56 && len(b) > 0 {
			acc |= uint64(b[0]) << n
			b, n = b[1:], n+8
		}
		f := EncodingForm{PrefixLen: uint8(acc & 31), BitCount: uint8(acc >> 5 & 31)}
		if f.BitCount == 0 {
			if acc != 0 || len(b) > 0 {
				return nil, ErrScheme
			}
			break
		}
		used := 10 + uint(f.PrefixLen)
		if used > n || len(s) == maxForms {
			return nil, ErrScheme
		}
		f.Prefix = uint32(acc >> 10 & (1<<f.PrefixLen - 1))
		acc, n = acc>>used, n-used
		s = append(s, f)
	}
	if !s.sane() {
		return nil, ErrScheme
	}
	return s, nil
}

func (s EncodingScheme) sane() bool {
	if len(s) < 2 {
		return len(s) == 1 && s[0].PrefixLen == 0
	}
	for i, f := range s {
		if f.PrefixLen == 0 || f.Width() > MaxLabelLen || i > 0 && f.BitCount <= s[i-1].BitCount {
			return false
		}
		for j, g := range s {
			if i != j && g.Prefix&(1<<f.PrefixLen-1) == f.Prefix {
				return false
			}
		}
	}
	return true
}
