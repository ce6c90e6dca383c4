package cryptoauth

import (
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/crypto/curve25519"
)

func hex32(t *testing.T, s string) (b [32]byte) {
	t.Helper()
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != 32 {
		t.Fatalf("%q is not 32 bytes in hex", s)
	}
	return [32]byte(raw)
}

// TestX25519Vectors has the vectors of RFC 7748, sections 5.2 and 6.1.
func TestX25519Vectors(t *testing.T) {
	const nine = "0900000000000000000000000000000000000000000000000000000000000000"
	for _, tc := range [][3]string{ // k, u, result
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d", "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493", "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
		{"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", nine, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"},
		{"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
	} {
		k, u := hex32(t, tc[0]), hex32(t, tc[1])
		if got := x25519(&k, &u); got != hex32(t, tc[2]) {
			t.Errorf("X25519(%s, %s) = %x, want %s", tc[0], tc[1], got, tc[2])
		}
	}
}

// TestX25519Iterated is the test of RFC 7748, section 5.2, that makes each
// result the next scalar.
func TestX25519Iterated(t *testing.T) {
	k := [32]byte{9}
	u := k
	for i := range 1000 {
		k, u = x25519(&k, &u), k
		if i == 0 && k != hex32(t, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079") {
			t.Fatalf("after 1 round: %x", k)
		}
	}
	if k != hex32(t, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51") {
		t.Errorf("after 1000 rounds: %x", k)
	}
}

// lowOrder are the coordinates of the points of low order, on the curve and on
// its twist: 0, 1, two of order 8, and p-1.
var lowOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// edges are field elements and scalars at which carries and reductions change,
// in all encodings: small ones, around p, 2p and the tops of limbs.
func edges(t *testing.T) (all [][32]byte) {
	put := func(n *big.Int) {
		if n.Sign() < 0 || n.BitLen() > 256 {
			return
		}
		var b [32]byte
		n.FillBytes(b[:])
		slices.Reverse(b[:])
		all = append(all, b)
	}
	var around []*big.Int
	for _, s := range lowOrder {
		around = append(around, bigOf(hex32(t, s)))
	}
	around = append(around, fieldP(), new(big.Int).Lsh(fieldP(), 1))
	for _, bit := range append([]uint8{1, 32, 64, 254, 255}, limbBit[:]...) {
		around = append(around, new(big.Int).Lsh(big.NewInt(1), uint(bit)))
	}
	for _, n := range around {
		for _, d := range []int64{-20, -19, -18, -2, -1, 0, 1, 2, 18, 19, 20} {
			put(new(big.Int).Add(n, big.NewInt(d)))
		}
		put(new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), 255))) // top bit
	}
	put(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)))
	return all
}

// TestX25519AgainstLibrary compares results and refusals on edges and on random
// input.
func TestX25519AgainstLibrary(t *testing.T) {
	compare := func(k, u *[32]byte) {
		t.Helper()
		want, err := curve25519.X25519(k[:], u[:])
		got, ok := agree(k, u)
		if ok != (err == nil) || ok && got != [32]byte(want) || !ok && got != [32]byte{} {
			t.Fatalf("agree(%x, %x) = %x, %v, want %x, %v", *k, *u, got, ok, want, err)
		}
		var pub [32]byte
		curve25519.ScalarBaseMult(&pub, k)
		if got := publicKey(k); got != pub {
			t.Fatalf("publicKey(%x) = %x, want %x", *k, got, pub)
		}
	}
	r := rand.NewChaCha8([32]byte{25})
	var k, u [32]byte
	for i, e := range edges(t) {
		if testing.Short() && i%16 != 0 {
			continue
		}
		r.Read(k[:])
		r.Read(u[:])
		compare(&k, &e)
		compare(&e, &u)
	}
	for range 100 {
		r.Read(k[:])
		r.Read(u[:])
		compare(&k, &u)
	}
}

// TestX25519LowOrder tries points of low order in every encoding: as they are,
// plus p, and with the top bit set.
func TestX25519LowOrder(t *testing.T) {
	r := rand.NewChaCha8([32]byte{1})
	tried := 0
	for _, s := range lowOrder {
		low := bigOf(hex32(t, s))
		for _, n := range []*big.Int{low, new(big.Int).Add(low, fieldP())} {
			for _, top := range []byte{0, 0x80} {
				if n.BitLen() > 255 {
					continue
				}
				var k, u [32]byte
				n.FillBytes(u[:])
				slices.Reverse(u[:])
				u[31] |= top
				r.Read(k[:])
				if got, ok := agree(&k, &u); ok || got != [32]byte{} {
					t.Errorf("agree with %x = %x, %v", u, got, ok)
				}
				tried++
			}
		}
	}
	if tried != 14 { // 0 and 1 fit below 2^255 with p added
		t.Errorf("%d encodings tried, want 14", tried)
	}
}

func fieldP() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 255)
	return p.Sub(p, big.NewInt(19))
}

// bigOf reads b as little endian.
func bigOf(b [32]byte) *big.Int {
	slices.Reverse(b[:])
	return new(big.Int).SetBytes(b[:])
}

// value is what the limbs of v amount to, not reduced.
func (v *limbs) value() *big.Int {
	sum := new(big.Int)
	for i, limb := range v {
		sum.Add(sum, new(big.Int).Lsh(big.NewInt(int64(limb)), uint(limbBit[i])))
	}
	return sum
}

// TestLimbs compares every method with math/big, with operands as large as the
// bounds allow, and holds the bounds of results.
func TestLimbs(t *testing.T) {
	var basic []limbs // operands of Add and Subtract
	for _, e := range edges(t) {
		var v limbs
		v.SetBytes(e[:])
		want := bigOf(e)
		if want.SetBit(want, 255, 0); v.value().Cmp(want) != 0 {
			t.Fatalf("SetBytes(%x) = %x", e, v.value())
		}
		basic = append(basic, v)
	}
	var most limbs
	for i, width := range limbWidth {
		most[i] = 1<<width + 1<<18 - 1
	}
	basic = append(basic, most)
	r := rand.New(rand.NewPCG(25, 519))
	for range 100 {
		var v limbs
		for i := range v {
			v[i] = r.Uint32N(most[i] + 1)
		}
		basic = append(basic, v)
	}

	p := fieldP()
	check := func(what string, got *limbs, want *big.Int) {
		t.Helper()
		want.Mod(want, p)
		if new(big.Int).Mod(got.value(), p).Cmp(want) != 0 {
			t.Fatalf("%s = %x, want %x", what, got.value(), want)
		}
		if b := [32]byte(got.Bytes()); bigOf(b).Cmp(want) != 0 {
			t.Fatalf("%s as bytes: %x, want %x", what, bigOf(b), want)
		}
	}
	checkSmall := func(what string, got *limbs, want *big.Int) {
		t.Helper()
		check(what, got, want)
		for i := range got {
			if got[i] > most[i] {
				t.Fatalf("%s: limb %d is %#x, above %#x", what, i, got[i], most[i])
			}
		}
	}
	pick := func() *limbs { return &basic[r.IntN(len(basic))] }
	for i := range basic {
		x, y, z := &basic[i], pick(), pick()
		var sum, diff, out limbs
		check("Add", sum.Add(x, y), new(big.Int).Add(x.value(), y.value()))
		check("Subtract", diff.Subtract(x, z), new(big.Int).Sub(x.value(), z.value()))
		if i%2 == 0 { // 0 - most in all limbs is the largest difference there is
			diff.Subtract(&most, &limbs{})
		}
		a, b := sum.value(), diff.value()
		checkSmall("Multiply", out.Multiply(&sum, &diff), new(big.Int).Mul(a, b))
		checkSmall("Multiply", out.Multiply(&diff, &diff), new(big.Int).Mul(b, b))
		checkSmall("Square", out.Square(&sum), new(big.Int).Mul(a, a))
		checkSmall("Square", out.Square(&diff), new(big.Int).Mul(b, b))
		checkSmall("Mult32", out.Mult32(&diff, 121665), new(big.Int).Mul(b, big.NewInt(121665)))
		out = sum
		checkSmall("Multiply in place", out.Multiply(&out, &out), new(big.Int).Mul(a, a))
		inverse := new(big.Int).ModInverse(new(big.Int).Mod(a, p), p)
		if inverse == nil {
			inverse = new(big.Int) // of 0
		}
		checkSmall("Invert", out.Invert(&sum), inverse)
		out, other := *x, *y
		if out.Swap(&other, 0); out != *x || other != *y {
			t.Fatal("Swap with 0 swaps")
		}
		if out.Swap(&other, 1); out != *y || other != *x {
			t.Fatal("Swap with 1 does not swap")
		}
	}
	var one limbs
	check("One", one.One(), big.NewInt(1))
}

func BenchmarkX25519(b *testing.B) {
	k, u := [32]byte{1, 2, 3}, [32]byte{9}
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			u = x25519(&k, &u)
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := curve25519.X25519(k[:], u[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
