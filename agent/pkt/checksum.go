package pkt

import "encoding/binary"

// ProtoICMP6 is ICMPv6's number among IPv6 next headers.
const ProtoICMP6 = 58

// Sum adds b to a running one's-complement sum, as 16-bit big-endian words;
// an odd last byte is the high byte of its word. Only the last part of a sum
// may be odd. Source: RFC 1071.
func Sum(sum uint64, b []byte) uint64 {
	for len(b) >= 4 {
		sum += uint64(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		sum += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

// Fold brings a running sum down to 16 bits. The checksum to write into a
// header is its complement.
func Fold(sum uint64) uint16 {
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// PseudoSum returns the sum of an IPv6 pseudo-header for an upper-layer
// packet of length bytes. Source: RFC 8200, section 8.1.
func PseudoSum(src, dst [16]byte, proto uint8, length int) uint64 {
	sum := Sum(0, src[:])
	sum = Sum(sum, dst[:])
	return sum + uint64(length) + uint64(proto)
}
