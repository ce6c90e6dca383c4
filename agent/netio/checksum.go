package netio

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The Internet checksum (RFC 1071) does not depend on byte order if sums are
// loaded and stored in the same order, so everything here works in the order
// of the machine. A sum is a plain ones' complement sum, not complemented.

// is64 tells how wide the loads are. On 32-bit boards 64-bit additions with
// carry are emulated and cost more than they save.
const is64 = ^uint(0)>>63 == 1

// sum16 adds the bytes of b, taken as 16-bit words, to the sum acc and folds
// it to 16 bits. An odd last byte counts as a word with a zero behind it, so
// only the last part of a sum may have an odd length.
func sum16(b []byte, acc uint32) uint32 {
	if is64 {
		return fold64(sumWide(b, uint64(acc)))
	}
	return fold64(sumNarrow(b, uint64(acc)))
}

// sumWide adds eight bytes per step.
func sumWide(b []byte, acc uint64) uint64 {
	var c uint64
	for len(b) >= 64 {
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(b[0:8]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(b[8:16]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(b[16:24]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(b[24:32]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(b[32:40]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(b[40:48]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(b[48:56]), c)
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(b[56:64]), c)
		b = b[64:]
	}
	for len(b) >= 8 {
		acc, c = bits.Add64(acc, binary.NativeEndian.Uint64(b), c)
		b = b[8:]
	}
	acc, c = bits.Add64(acc, sumTail(b), c)
	return acc + c
}

// sumNarrow adds four bytes per step into 64 bits, which cannot overflow. MIPS
// has no unaligned loads, but packets start at a multiple of 8 and headers are
// multiples of 4, so the aligned loop is the one that runs.
func sumNarrow(b []byte, acc uint64) uint64 {
	if n := len(b) / 4; n > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%4 == 0 {
		w := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), n)
		b = b[n*4:]
		for len(w) >= 4 {
			acc += uint64(w[0])
			acc += uint64(w[1])
			acc += uint64(w[2])
			acc += uint64(w[3])
			w = w[4:]
		}
		for _, v := range w {
			acc += uint64(v)
		}
	}
	for len(b) >= 4 {
		acc += uint64(binary.NativeEndian.Uint32(b))
		b = b[4:]
	}
	return acc + sumTail(b)
}

// sumTail adds the last 0 to 7 bytes.
func sumTail(b []byte) (acc uint64) {
	for len(b) >= 2 {
		acc += uint64(binary.NativeEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		acc += uint64(binary.NativeEndian.Uint16([]byte{b[0], 0}))
	}
	return acc
}

func fold64(a uint64) uint32 {
	a = a>>32 + a&0xffffffff
	a = a>>32 + a&0xffffffff
	a = a>>16 + a&0xffff
	a = a>>16 + a&0xffff
	return uint32(a>>16 + a&0xffff)
}

// pseudoSum is the sum of the IPv6 pseudo header (RFC 8200, 8.1) of the packet
// ip for a transport part of n bytes of protocol proto.
func pseudoSum(ip []byte, proto byte, n int) uint32 {
	var t [8]byte
	binary.BigEndian.PutUint32(t[:4], uint32(n))
	t[7] = proto
	return sum16(ip[8:40], sum16(t[:], 0))
}

// putSum stores the complement of sum as the checksum in b[:2].
func putSum(b []byte, sum uint32) { binary.NativeEndian.PutUint16(b, ^uint16(sum)) }
