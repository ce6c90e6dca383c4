package cjdns

import (
	"encoding/binary"
	"math"
)

// varint reads a number of variable length at the front of b: one byte below
// fd, or fd and 2, fe and 4, ff and 8 bytes, big endian. It reports false if
// b ends too soon or the number does not fit in 32 bits. Longer encodings
// than necessary are accepted. Source: cjdns util/VarInt.h.
func varint(b []byte) (v uint32, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	switch c := b[0]; {
	case c < 0xfd:
		return uint32(c), b[1:], true
	case c == 0xfd && len(b) >= 3:
		return uint32(binary.BigEndian.Uint16(b[1:])), b[3:], true
	case c == 0xfe && len(b) >= 5:
		return binary.BigEndian.Uint32(b[1:]), b[5:], true
	case c == 0xff && len(b) >= 9:
		n := binary.BigEndian.Uint64(b[1:])
		return uint32(n), b[9:], n <= math.MaxUint32
	}
	return 0, nil, false
}

// appendVarint writes v behind b in the shortest form.
func appendVarint(b []byte, v uint32) []byte {
	switch {
	case v < 0xfd:
		return append(b, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xfd), uint16(v))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xfe), v)
}
