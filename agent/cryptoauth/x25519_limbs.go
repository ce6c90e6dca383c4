package cryptoauth

import "encoding/binary"

// limbs is an element of the field of integers modulo p = 2^255 - 19, for CPUs
// that multiply 32 bits by 32. It has those methods of field.Element of
// filippo.io/edwards25519 that x25519 calls, with the same meaning.
//
// Limb i counts units of 2^ceil(25.5*i), so that limbs have 26 and 25 bits in
// turn. They are unsigned: two uint32 multiplied as uint64 are one instruction
// of a 32-bit CPU, signed ones are several.
//
// Bounds: SetBytes, Multiply, Square and Mult32 give limbs below 2^26 + 2^18
// (even ones) and 2^25 + 2^18 (odd ones). Only such may be added or subtracted,
// which gives limbs below 2^27.6 and 2^26.6. Those may be multiplied: 19 times a
// limb is below 2^32, and a sum of ten products below 2^63.
type limbs [10]uint32

// limbBit is the place of each limb's lowest bit, limbWidth its number of bits.
var (
	limbBit   = [10]uint8{0, 26, 51, 77, 102, 128, 153, 179, 204, 230}
	limbWidth = [10]uint8{26, 25, 26, 25, 26, 25, 26, 25, 26, 25}
)

// twoP is 2p in limbs so large that Subtract never falls below zero.
var twoP = limbs{1<<27 - 38, 1<<26 - 2, 1<<27 - 2, 1<<26 - 2, 1<<27 - 2, 1<<26 - 2, 1<<27 - 2, 1<<26 - 2, 1<<27 - 2, 1<<26 - 2}

// One sets v = 1, and returns v.
func (v *limbs) One() *limbs {
	*v = limbs{1}
	return v
}

// Set sets v = x, and returns v.
func (v *limbs) Set(x *limbs) *limbs {
	*v = *x
	return v
}

// SetBytes sets v to the 32 bytes x, little endian, modulo p; the top bit is
// ignored. The error is always nil.
func (v *limbs) SetBytes(x []byte) (*limbs, error) {
	_ = x[31]
	for i, bit := range limbBit {
		v[i] = binary.LittleEndian.Uint32(x[bit/8:]) >> (bit % 8) & (1<<limbWidth[i] - 1)
	}
	return v, nil
}

// Bytes returns v as 32 bytes, little endian, below p.
func (v *limbs) Bytes() []byte {
	t := *v
	t[0] += 19 * t.carry()
	t[0] += 19 * t.carry() // now below 2^255
	u := t
	u[0] += 19
	t[0] += 19 * u.carry() // subtracts p if t is p or more
	t.carry()

	out := make([]byte, 0, 32)
	var bits uint64
	n := uint8(0)
	for i, limb := range t {
		bits |= uint64(limb) << n
		for n += limbWidth[i]; n >= 8; n -= 8 {
			out = append(out, byte(bits))
			bits >>= 8
		}
	}
	return append(out, byte(bits))
}

// carry brings every limb into its width. It returns what was in bits from 255
// on, which v loses.
func (v *limbs) carry() (top uint32) {
	for i, width := range limbWidth {
		sum := v[i] + top
		v[i], top = sum&(1<<width-1), sum>>width
	}
	return top
}

// Swap swaps v and x if cond is 1, and leaves them as they are if it is 0.
func (v *limbs) Swap(x *limbs, cond int) {
	mask := -uint32(cond)
	for i := range v {
		t := mask & (v[i] ^ x[i])
		v[i] ^= t
		x[i] ^= t
	}
}

// Add sets v = x + y, and returns v.
func (v *limbs) Add(x, y *limbs) *limbs {
	for i := range v {
		v[i] = x[i] + y[i]
	}
	return v
}

// Subtract sets v = x - y, and returns v.
func (v *limbs) Subtract(x, y *limbs) *limbs {
	for i := range v {
		v[i] = x[i] + twoP[i] - y[i]
	}
	return v
}

// Invert sets v = 1/x, or 0 if x is 0, and returns v: x^(p-2).
func (v *limbs) Invert(x *limbs) *limbs {
	// eN is x^(2^N - 1).
	var x2, x9, x11, e5, e10, e50, t limbs
	x2.Square(x)
	x9.raise(&x2, 2, x)
	x11.Multiply(&x9, &x2)
	e5.raise(&x11, 1, &x9)
	e10.raise(&e5, 5, &e5)
	t.raise(&e10, 10, &e10)     // e20
	t.raise(&t, 20, &t)         // e40
	e50.raise(&t, 10, &e10)     //
	t.raise(&e50, 50, &e50)     // e100
	t.raise(&t, 100, &t)        // e200
	t.raise(&t, 50, &e50)       // e250
	return v.raise(&t, 5, &x11) // 2^255 - 2^5 + 11 is p - 2
}

// raise sets v = x^(2^n) * y, and returns v.
func (v *limbs) raise(x *limbs, n int, y *limbs) *limbs {
	t := *x
	for range n {
		t.Square(&t)
	}
	return v.Multiply(&t, y)
}
