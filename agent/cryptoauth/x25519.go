package cryptoauth

// x25519 returns X25519(k, u): the scalar k, clamped, times the point with the
// coordinate u, both little endian. It takes the same time for all k and u. The
// result is zero exactly if u is of low order. Source: RFC 7748, section 5,
// whose names the variables have.
//
// crypto/ecdh has it too, and cannot be had without the NIST curves: 111 kB of
// the compressed program for MIPS (ADR 025).
func x25519(k, u *[32]byte) [32]byte {
	s := *k
	s[0] &= 248
	s[31] = s[31]&127 | 64

	var x1, x2, z2, x3, z3, a, b, c, d, e element
	x1.SetBytes(u[:])
	x2.One()
	x3.Set(&x1)
	z3.One()
	swap := 0
	for pos := 254; pos >= 0; pos-- {
		bit := int(s[pos/8] >> (pos % 8) & 1)
		x2.Swap(&x3, swap^bit)
		z2.Swap(&z3, swap^bit)
		swap = bit

		a.Add(&x2, &z2)
		b.Subtract(&x2, &z2)
		c.Add(&x3, &z3)
		d.Subtract(&x3, &z3)
		d.Multiply(&d, &a)
		c.Multiply(&c, &b)
		x3.Add(&d, &c)
		x3.Square(&x3)
		z3.Subtract(&d, &c)
		z3.Square(&z3)
		z3.Multiply(&z3, &x1)
		a.Square(&a)
		b.Square(&b)
		x2.Multiply(&a, &b)
		e.Subtract(&a, &b)
		z2.Mult32(&e, 121665)
		z2.Add(&z2, &a)
		z2.Multiply(&z2, &e)
	}
	x2.Swap(&x3, swap)
	z2.Swap(&z3, swap)

	z2.Invert(&z2)
	return [32]byte(x2.Multiply(&x2, &z2).Bytes())
}
