package cryptoauth

// mul is one instruction on the CPUs that this is for.
func mul(a, b uint32) uint64 { return uint64(a) * uint64(b) }

// Multiply sets v = x * y, and returns v. A product of limbs i and j belongs to
// limb i+j: twice if both are odd, as their places are rounded up; 19 times in
// limb i+j-10 if i+j is 10 or more, as 2^255 is 19 modulo p.
func (v *limbs) Multiply(x, y *limbs) *limbs {
	f0, f1, f2, f3, f4, f5, f6, f7, f8, f9 := x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9]
	g0, g1, g2, g3, g4, g5, g6, g7, g8, g9 := y[0], y[1], y[2], y[3], y[4], y[5], y[6], y[7], y[8], y[9]
	f1x2, f3x2, f5x2, f7x2, f9x2 := 2*f1, 2*f3, 2*f5, 2*f7, 2*f9
	g1x19, g2x19, g3x19, g4x19, g5x19, g6x19, g7x19, g8x19, g9x19 := 19*g1, 19*g2, 19*g3, 19*g4, 19*g5, 19*g6, 19*g7, 19*g8, 19*g9
	h0 := mul(f0, g0) + mul(f1x2, g9x19) + mul(f2, g8x19) + mul(f3x2, g7x19) + mul(f4, g6x19) +
		mul(f5x2, g5x19) + mul(f6, g4x19) + mul(f7x2, g3x19) + mul(f8, g2x19) + mul(f9x2, g1x19)
	h1 := mul(f0, g1) + mul(f1, g0) + mul(f2, g9x19) + mul(f3, g8x19) + mul(f4, g7x19) +
		mul(f5, g6x19) + mul(f6, g5x19) + mul(f7, g4x19) + mul(f8, g3x19) + mul(f9, g2x19)
	h2 := mul(f0, g2) + mul(f1x2, g1) + mul(f2, g0) + mul(f3x2, g9x19) + mul(f4, g8x19) +
		mul(f5x2, g7x19) + mul(f6, g6x19) + mul(f7x2, g5x19) + mul(f8, g4x19) + mul(f9x2, g3x19)
	h3 := mul(f0, g3) + mul(f1, g2) + mul(f2, g1) + mul(f3, g0) + mul(f4, g9x19) +
		mul(f5, g8x19) + mul(f6, g7x19) + mul(f7, g6x19) + mul(f8, g5x19) + mul(f9, g4x19)
	h4 := mul(f0, g4) + mul(f1x2, g3) + mul(f2, g2) + mul(f3x2, g1) + mul(f4, g0) +
		mul(f5x2, g9x19) + mul(f6, g8x19) + mul(f7x2, g7x19) + mul(f8, g6x19) + mul(f9x2, g5x19)
	h5 := mul(f0, g5) + mul(f1, g4) + mul(f2, g3) + mul(f3, g2) + mul(f4, g1) +
		mul(f5, g0) + mul(f6, g9x19) + mul(f7, g8x19) + mul(f8, g7x19) + mul(f9, g6x19)
	h6 := mul(f0, g6) + mul(f1x2, g5) + mul(f2, g4) + mul(f3x2, g3) + mul(f4, g2) +
		mul(f5x2, g1) + mul(f6, g0) + mul(f7x2, g9x19) + mul(f8, g8x19) + mul(f9x2, g7x19)
	h7 := mul(f0, g7) + mul(f1, g6) + mul(f2, g5) + mul(f3, g4) + mul(f4, g3) +
		mul(f5, g2) + mul(f6, g1) + mul(f7, g0) + mul(f8, g9x19) + mul(f9, g8x19)
	h8 := mul(f0, g8) + mul(f1x2, g7) + mul(f2, g6) + mul(f3x2, g5) + mul(f4, g4) +
		mul(f5x2, g3) + mul(f6, g2) + mul(f7x2, g1) + mul(f8, g0) + mul(f9x2, g9x19)
	h9 := mul(f0, g9) + mul(f1, g8) + mul(f2, g7) + mul(f3, g6) + mul(f4, g5) +
		mul(f5, g4) + mul(f6, g3) + mul(f7, g2) + mul(f8, g1) + mul(f9, g0)

	h1 += h0 >> 26
	h0 &= 1<<26 - 1
	h5 += h4 >> 26
	h4 &= 1<<26 - 1
	h2 += h1 >> 25
	h1 &= 1<<25 - 1
	h6 += h5 >> 25
	h5 &= 1<<25 - 1
	h3 += h2 >> 26
	h2 &= 1<<26 - 1
	h7 += h6 >> 26
	h6 &= 1<<26 - 1
	h4 += h3 >> 25
	h3 &= 1<<25 - 1
	h8 += h7 >> 25
	h7 &= 1<<25 - 1
	h5 += h4 >> 26
	h4 &= 1<<26 - 1
	h9 += h8 >> 26
	h8 &= 1<<26 - 1
	h0 += 19 * (h9 >> 25)
	h9 &= 1<<25 - 1
	h1 += h0 >> 26
	h0 &= 1<<26 - 1
	*v = limbs{uint32(h0), uint32(h1), uint32(h2), uint32(h3), uint32(h4), uint32(h5), uint32(h6), uint32(h7), uint32(h8), uint32(h9)}
	return v
}

// Square sets v = x * x, and returns v: Multiply with equal products taken
// together, 55 of them instead of 100.
func (v *limbs) Square(x *limbs) *limbs {
	f0, f1, f2, f3, f4, f5, f6, f7, f8, f9 := x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9]
	f0x2, f1x2, f2x2, f3x2, f4x2, f5x2, f6x2, f7x2, f8x2, f9x2 := 2*f0, 2*f1, 2*f2, 2*f3, 2*f4, 2*f5, 2*f6, 2*f7, 2*f8, 2*f9
	f1x4, f3x4, f5x4, f7x4 := 4*f1, 4*f3, 4*f5, 4*f7
	f5x19, f6x19, f7x19, f8x19, f9x19 := 19*f5, 19*f6, 19*f7, 19*f8, 19*f9
	h0 := mul(f0, f0) + mul(f1x4, f9x19) + mul(f2x2, f8x19) + mul(f3x4, f7x19) + mul(f4x2, f6x19) +
		mul(f5x2, f5x19)
	h1 := mul(f0x2, f1) + mul(f2x2, f9x19) + mul(f3x2, f8x19) + mul(f4x2, f7x19) + mul(f5x2, f6x19)
	h2 := mul(f0x2, f2) + mul(f1x2, f1) + mul(f3x4, f9x19) + mul(f4x2, f8x19) + mul(f5x4, f7x19) +
		mul(f6, f6x19)
	h3 := mul(f0x2, f3) + mul(f1x2, f2) + mul(f4x2, f9x19) + mul(f5x2, f8x19) + mul(f6x2, f7x19)
	h4 := mul(f0x2, f4) + mul(f1x4, f3) + mul(f2, f2) + mul(f5x4, f9x19) + mul(f6x2, f8x19) +
		mul(f7x2, f7x19)
	h5 := mul(f0x2, f5) + mul(f1x2, f4) + mul(f2x2, f3) + mul(f6x2, f9x19) + mul(f7x2, f8x19)
	h6 := mul(f0x2, f6) + mul(f1x4, f5) + mul(f2x2, f4) + mul(f3x2, f3) + mul(f7x4, f9x19) +
		mul(f8, f8x19)
	h7 := mul(f0x2, f7) + mul(f1x2, f6) + mul(f2x2, f5) + mul(f3x2, f4) + mul(f8x2, f9x19)
	h8 := mul(f0x2, f8) + mul(f1x4, f7) + mul(f2x2, f6) + mul(f3x4, f5) + mul(f4, f4) +
		mul(f9x2, f9x19)
	h9 := mul(f0x2, f9) + mul(f1x2, f8) + mul(f2x2, f7) + mul(f3x2, f6) + mul(f4x2, f5)

	h1 += h0 >> 26
	h0 &= 1<<26 - 1
	h5 += h4 >> 26
	h4 &= 1<<26 - 1
	h2 += h1 >> 25
	h1 &= 1<<25 - 1
	h6 += h5 >> 25
	h5 &= 1<<25 - 1
	h3 += h2 >> 26
	h2 &= 1<<26 - 1
	h7 += h6 >> 26
	h6 &= 1<<26 - 1
	h4 += h3 >> 25
	h3 &= 1<<25 - 1
	h8 += h7 >> 25
	h7 &= 1<<25 - 1
	h5 += h4 >> 26
	h4 &= 1<<26 - 1
	h9 += h8 >> 26
	h8 &= 1<<26 - 1
	h0 += 19 * (h9 >> 25)
	h9 &= 1<<25 - 1
	h1 += h0 >> 26
	h0 &= 1<<26 - 1
	*v = limbs{uint32(h0), uint32(h1), uint32(h2), uint32(h3), uint32(h4), uint32(h5), uint32(h6), uint32(h7), uint32(h8), uint32(h9)}
	return v
}

// Mult32 sets v = x * y, and returns v. y is below 2^32/19.
func (v *limbs) Mult32(x *limbs, y uint32) *limbs {
	h0 := mul(x[0], y)
	h1 := mul(x[1], y)
	h2 := mul(x[2], y)
	h3 := mul(x[3], y)
	h4 := mul(x[4], y)
	h5 := mul(x[5], y)
	h6 := mul(x[6], y)
	h7 := mul(x[7], y)
	h8 := mul(x[8], y)
	h9 := mul(x[9], y)

	h1 += h0 >> 26
	h0 &= 1<<26 - 1
	h2 += h1 >> 25
	h1 &= 1<<25 - 1
	h3 += h2 >> 26
	h2 &= 1<<26 - 1
	h4 += h3 >> 25
	h3 &= 1<<25 - 1
	h5 += h4 >> 26
	h4 &= 1<<26 - 1
	h6 += h5 >> 25
	h5 &= 1<<25 - 1
	h7 += h6 >> 26
	h6 &= 1<<26 - 1
	h8 += h7 >> 25
	h7 &= 1<<25 - 1
	h9 += h8 >> 26
	h8 &= 1<<26 - 1
	h0 += 19 * (h9 >> 25)
	h9 &= 1<<25 - 1
	h1 += h0 >> 26
	h0 &= 1<<26 - 1
	*v = limbs{uint32(h0), uint32(h1), uint32(h2), uint32(h3), uint32(h4), uint32(h5), uint32(h6), uint32(h7), uint32(h8), uint32(h9)}
	return v
}
