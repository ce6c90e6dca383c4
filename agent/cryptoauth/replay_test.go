package cryptoauth

import (
	"math/rand/v2"
	"testing"
)

func TestWindow(t *testing.T) {
	type step struct {
		n   uint64
		err DecryptErr
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  Stats
	}{
		{"in order", []step{{4, 0}, {5, 0}, {6, 0}}, Stats{}},
		{"duplicate", []step{{4, 0}, {4, ErrReplay}, {5, 0}, {4, ErrReplay}}, Stats{Duplicates: 2}},
		{"a gap is lost", []step{{4, 0}, {7, 0}}, Stats{Lost: 2}},
		{"a late packet was not lost", []step{{4, 0}, {7, 0}, {5, 0}, {6, 0}}, Stats{}},
		{"late and twice", []step{{4, 0}, {7, 0}, {5, 0}, {5, ErrReplay}}, Stats{Lost: 1, Duplicates: 1}},
		{"the jump of stock nodes is forgiven once", []step{{4, 0}, {8, 0}, {12, 0}}, Stats{Lost: 3}},
		{"late packets inside the jump", []step{{4, 0}, {8, 0}, {11, 0}, {5, 0}, {9, 0}}, Stats{Lost: 1}},
		{"overtaken from the start", []step{{6, 0}, {4, 0}, {5, 0}, {4, ErrReplay}}, Stats{Duplicates: 1}},
		{"before the start takes back nothing", []step{{6, 0}, {9, 0}, {4, 0}}, Stats{Lost: 2}},
		{"oldest that is certain", []step{{1000, 0}, {1000 + windowBits - 65, 0}, {1001, 0}, {1000, ErrReplay}},
			Stats{Lost: windowBits - 67, Duplicates: 1}},
		{"too old", []step{{1000, 0}, {1001 + windowBits - 65, 0}, {1000, ErrReplay}},
			Stats{Lost: windowBits - 65, OutOfRange: 1}},
		{"far jump", []step{{4, 0}, {1 << 31, 0}, {1<<31 - 1, 0}, {4, ErrReplay}},
			Stats{Lost: 1<<31 - 6, OutOfRange: 1}},
		{"end of the numbers", []step{{0xfffffffe, 0}, {0xffffffff, 0}, {0xffffffff, ErrReplay}}, Stats{Duplicates: 1}},
	} {
		var w window
		var got Stats
		for i, s := range c.steps {
			if err := w.accept(s.n, &got); err != s.err {
				t.Errorf("%s, step %d: accept(%d) = %v, want %v", c.name, i, s.n, err, s.err)
			}
		}
		if got != c.want {
			t.Errorf("%s: stats %+v, want %+v", c.name, got, c.want)
		}
	}
}

// The ring must agree with a set that remembers everything.
func TestWindowIsASet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var w window
		var st Stats
		seen := map[uint64]bool{}
		base, accepted := uint64(4), 0
		for range 20000 {
			if r.IntN(400) == 0 {
				base += uint64(r.IntN(5000))
			}
			base += uint64(r.IntN(3))
			back := uint64(r.IntN(2 * windowBits))
			if r.IntN(2) == 0 {
				back = uint64(r.IntN(8))
			}
			if back > base-4 {
				continue
			}
			n := base - back
			old := w.begun && n <= w.max && w.max-n >= windowBits-64
			err := w.accept(n, &st)
			if want := old || seen[n]; (err != 0) != want {
				t.Fatalf("accept(%d) with max %d = %v, seen %v, old %v", n, w.max, err, seen[n], old)
			}
			if err == 0 {
				seen[n] = true
				accepted++
			}
		}
		// Every number above the first was accepted, lost or forgiven.
		above := 0
		for n := range seen {
			if n >= w.first {
				above++
			}
		}
		if got := st.Lost + uint64(above); got > w.max-w.first+1 || got+stockJump < w.max-w.first+1 {
			t.Errorf("lost %d + accepted %d does not make %d", st.Lost, above, w.max-w.first+1)
		}
	}
}

func BenchmarkWindow(b *testing.B) {
	var w window
	var st Stats
	n := uint64(4)
	b.ReportAllocs()
	for b.Loop() {
		w.accept(n, &st)
		n++
	}
}
