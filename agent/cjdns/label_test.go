package cjdns

import (
	"errors"
	"math/rand/v2"
	"testing"
)

func TestSpliceLikeCjdns(t *testing.T) {
	for _, v := range vectors(t, "splice.txt") {
		goTo, via, want := hexLabel(t, v[0]), hexLabel(t, v[1]), hexLabel(t, v[2])
		if got := Splice(goTo, via); got != want {
			t.Errorf("Splice(%v, %v) = %v, want %v", goTo, via, got, want)
		}
	}
}

// The route and its hops are an example of the npm package cjdnsencode: six
// hops, the fifth widened because frames arrive there on a wide slot.
func TestSpliceManyHops(t *testing.T) {
	hops := []Label{0x15, 0x8e, 0xa2, 0x1d, LabelFor(0x1b, 0xee), 0x1b}
	path := SelfLabel
	for i := len(hops) - 1; i >= 0; i-- {
		path = Splice(path, hops[i])
	}
	if want := Label(0x000364b510e5); path != want {
		t.Fatalf("path is %v, want %v", path, want)
	}
	through := SelfLabel
	for _, h := range hops {
		if !RoutesThrough(path, through) {
			t.Errorf("%v does not pass %v", path, through)
		}
		rest := Unsplice(path, through)
		if Splice(rest, through) != path {
			t.Errorf("Splice(Unsplice(%v, %v)) = %v", path, through, Splice(rest, through))
		}
		through = Splice(h, through)
	}
	if through != path || !RoutesThrough(path, path) {
		t.Errorf("hops lead to %v, want %v", through, path)
	}
}

func TestLabelAlgebra(t *testing.T) {
	if got := Unsplice(0x1b053510e5, 0x15); got != 0x1b053510e {
		t.Errorf("Unsplice = %v", got)
	}
	for _, c := range []struct {
		dest, mid Label
		want      bool
	}{
		{0x1b053510e5, 0x15, true},
		{0x1b053510e5, 0x13, false},
		{0x13, 0x153, false},
		{0x13, 0x113, false},
		{0x13, 1, true},
		{1, 0x13, false},
	} {
		if got := RoutesThrough(c.dest, c.mid); got != c.want {
			t.Errorf("RoutesThrough(%v, %v) = %v", c.dest, c.mid, got)
		}
	}
	for l, want := range map[Label]bool{
		0x13: true, 0x15: true, 0x86: true, 0x404: true, 0x7fc: true,
		0: false, 1: false, 2: false, 0x153: false, 0x2a2: false, LabelInvalid: false,
	} {
		if got := l.IsOneHop(); got != want {
			t.Errorf("%v.IsOneHop() = %v", l, got)
		}
	}
	for l, want := range map[Label]int{0: 0, 1: 0, 0x13: 4, 1 << 59: 59, LabelInvalid: 63} {
		if got := l.Len(); got != want {
			t.Errorf("%v.Len() = %d, want %d", l, got, want)
		}
	}
	if got := Label(0xc800000000000000).Reverse(); got != 0x13 {
		t.Errorf("Reverse = %v", got)
	}
}

func TestSpliceOfWhatIsNoPath(t *testing.T) {
	for _, c := range [][2]Label{{0, 0x13}, {0x13, 0}, {LabelInvalid, 0x13}, {0x13, LabelInvalid}, {1 << 59, 0x13}, {0x13, 1 << 56}} {
		if got := Splice(c[0], c[1]); got != LabelInvalid {
			t.Errorf("Splice(%v, %v) = %v, want invalid", c[0], c[1], got)
		}
	}
	if got := Splice(1<<55, 0x13); got.Len() != MaxLabelLen {
		t.Errorf("Splice up to the limit gives %v", got)
	}
}

func TestParseLabel(t *testing.T) {
	for _, c := range []struct {
		text string
		want Label
	}{
		{"0000.0000.0000.0013", 0x13},
		{"0123.4567.89ab.cdef", 0x0123456789abcdef},
		{"FFFF.FFFF.FFFF.FFFF", LabelInvalid},
	} {
		if got, err := ParseLabel(c.text); err != nil || got != c.want {
			t.Errorf("ParseLabel(%q) = %v, %v", c.text, got, err)
		}
	}
	for _, s := range []string{"", "13", "0000.0000.0000.013", "0000.0000.0000.00013", "0000.0000.0000.001g", "0000.0000.00000.013", "0000.0000.0000.0013 "} {
		if got, err := ParseLabel(s); !errors.Is(err, ErrLabelText) {
			t.Errorf("ParseLabel(%q) = %v, %v, want ErrLabelText", s, got, err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		l := Label(r.Uint64())
		if got, err := ParseLabel(l.String()); err != nil || got != l {
			t.Fatalf("ParseLabel(%q) = %v, %v", l.String(), got, err)
		}
	}
}

func FuzzLabelAlgebra(f *testing.F) {
	f.Add(uint64(0x153), uint64(0x13))
	f.Add(uint64(0x404), uint64(0x86))
	f.Add(^uint64(0), uint64(1))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		x, y := Label(a), Label(b)
		if x.Reverse().Reverse() != x {
			t.Fatalf("%v reversed twice is %v", x, x.Reverse().Reverse())
		}
		if s := Splice(x, y); s != LabelInvalid {
			if s.Len() != x.Len()+y.Len() || Unsplice(s, y) != x || !RoutesThrough(s, y) {
				t.Fatalf("Splice(%v, %v) = %v", x, y, s)
			}
		}
		if l := LabelFor(x, y); l != LabelInvalid && l != x {
			p, w := PortOf(l)
			q, v := PortOf(x)
			if p != q || w != DirectorBits(y) || l>>w != x>>v {
				t.Fatalf("LabelFor(%v, %v) = %v", x, y, l)
			}
		}
		for _, form := range []int{FormCanonical, 0, 1, 2, 3} {
			l := ConvertLabel(V358, x, form)
			if l == LabelInvalid {
				continue
			}
			if back := ConvertLabel(V358, l, FormOf(x)); back != x && x.Len() <= MaxLabelLen {
				t.Fatalf("ConvertLabel(%v, %d) = %v, and back %v", x, form, l, back)
			}
		}
	})
}
