package mesh

import "testing"

func TestWindowMark(t *testing.T) {
	const top = window(1) << 63
	for _, c := range []struct {
		name  string
		w     window
		diff  int32
		set   bool
		want  window
		moved bool
	}{
		{"next", 1, 1, true, 3, true},
		{"next, by another", 1, 1, false, 2, true},
		{"again", 1, 0, true, 1, false},
		{"late", 1, -3, true, 9, false},
		{"late, by another", 1, -3, false, 1, false},
		{"oldest that counts", 1, -63, true, 1 | top, false},
		{"too old is a restart", 7, -64, true, 1, true},
		{"much too old, by another", 7, -1 << 31, false, 0, true},
		{"gap", 3, 5, true, 3<<5 | 1, true},
		{"largest shift", 3, 63, true, top | 1, true},
		{"gap that empties", ^window(0), 64, true, 1, true},
		{"gap that empties, by another", ^window(0), 64, false, 0, true},
		{"largest gap", 7, seqnoRange - 1, true, 1, true},
		{"restart", 7, seqnoRange, true, 1, true},
		{"bits leave at the top", top | 1, 1, true, 3, true},
	} {
		w := c.w
		if moved := w.mark(c.diff, c.set); w != c.want || moved != c.moved {
			t.Errorf("%s: %b, moved %v; want %b, %v", c.name, w, moved, c.want, c.moved)
		}
	}
}

func TestWindowHas(t *testing.T) {
	w := window(1<<63 | 1<<3)
	for _, c := range []struct {
		ago  int32
		want bool
	}{{3, true}, {63, true}, {0, false}, {2, false}, {64, false}, {-1, false}, {-1 << 31, false}, {1<<31 - 1, false}} {
		if w.has(c.ago) != c.want {
			t.Errorf("has(%d) = %v, want %v", c.ago, !c.want, c.want)
		}
	}
	if w.count() != 2 {
		t.Errorf("count %d, want 2", w.count())
	}
}
