package identity

import "testing"

// A chain by hand.
func TestChainByHand(t *testing.T) {
	a, first := testKey(0).Public(), uint32(0xfffffffe)
	c := NewChain(&a, mac1, 77, first, 128, Element{1})
	c.Build(1000)
	l := newLink(&a, mac1, 77)
	x := Element{1}
	for i := 127; i >= 0; i-- {
		x = l.below(first+uint32(i), &x)
		if got, ok := c.At(0xfffffffe + uint32(i)); !ok || got != x {
			t.Fatalf("element %d is %x, want %x", i, got, x)
		}
	}
	if _, ok := c.At(first - 1); ok {
		t.Error("there is an element before the first")
	}
	if _, ok := c.At(first + 129); ok {
		t.Error("there is an element behind the last")
	}
	if c.Left(first) != 129 || c.Left(first+128) != 1 || c.Left(first+129) != 0 {
		t.Error("what is left is miscounted")
	}
}

func TestChainIsBuiltPiecemeal(t *testing.T) {
	a := testKey(0).Public()
	whole := NewChain(&a, mac1, 1, 100, 4096, Element{9})
	whole.Build(1 << 20)
	c := NewChain(&a, mac1, 1, 100, 4096, Element{9})
	steps := 1
	for !c.Build(64) {
		if _, ok := c.At(100); ok {
			t.Fatal("an unfinished chain has elements")
		}
		steps++
	}
	if steps != 64 {
		t.Errorf("%d steps of 64 hashes, want 64", steps)
	}
	for _, n := range []uint32{100, 101, 163, 164, 165, 4000, 4195, 4196} {
		x, ok := whole.At(n)
		y, ok2 := c.At(n)
		if !ok || !ok2 || x != y {
			t.Errorf("element %d differs", n)
		}
	}
}

// A receiver follows a chain over gaps, and believes nothing else.
func TestFollow(t *testing.T) {
	a := testKey(0).Public()
	first := uint32(0xffffff00) // numbers wrap
	c := NewChain(&a, mac1, 1, first, 4096, Element{9})
	c.Build(1 << 20)
	at := func(n int) *Element { e, _ := c.At(first + uint32(n)); return &e }
	p, _ := c.point(first)
	l := newLink(&a, mac1, 1)
	f := newFollow(&p)
	budget := 10000
	for _, s := range []struct {
		n    int
		e    *Element
		want fit
		cost int
	}{
		{0, at(0), fitPast, 0}, // the point itself is known to all
		{-1, at(0), fitPast, 0},
		{1, at(1), fitNew, 0},
		{1, at(1), fitOld, 0},
		{1, at(2), fitNo, 0},
		{2, at(1), fitNo, 0},
		{2, &Element{}, fitNo, 0},
		{5, at(5), fitNew, 0},
		{4, at(4), fitOld, 0},
		{2, at(2), fitOld, 0},
		{1, at(1), fitOld, 0},
		{3, at(4), fitNo, 0},
		{40, at(40), fitNew, 31},
		{33, at(33), fitOld, 0},
		{32, at(32), fitOld, 0}, // one hash
		{10, at(10), fitOld, 19},
		{10, at(11), fitNo, 19},
		{300, at(300), fitNew, 256},
		{236, at(236), fitPast, 0},
		{237, at(237), fitOld, 52},
		{300 + Gap, at(300 + Gap), fitNew, Gap - 4},
		{301 + 2*Gap, at(301 + 2*Gap), fitFar, 0},
		{1 << 30, at(1), fitFar, 0},
		{-1 << 31, at(1), fitPast, 0},
	} {
		before := budget
		if got := f.take(&l, first+uint32(s.n), s.e, &budget); got != s.want || before-budget != s.cost {
			t.Errorf("number %d: %d for %d hashes, want %d for %d", s.n, got, before-budget, s.want, s.cost)
		}
	}
	budget = 3
	if got := f.take(&l, first+uint32(300+Gap+8), at(300+Gap+8), &budget); got != fitUnpaid || budget != 3 {
		t.Errorf("unpaid: %d, %d left", got, budget)
	}
	if got := f.take(&l, first+uint32(300+Gap+7), at(300+Gap+7), &budget); got != fitNew || budget != 0 {
		t.Errorf("paid: %d, %d left", got, budget)
	}
}

// A point that lies in the future does not open what is before it.
func TestFollowFuturePoint(t *testing.T) {
	a := testKey(0).Public()
	c := NewChain(&a, mac1, 1, 500, 640, Element{9})
	c.Build(1 << 20)
	p, _ := c.point(500)
	l := newLink(&a, mac1, 1)
	f := newFollow(&p)
	budget := 1000
	for n := uint32(437); n <= 500; n++ {
		x := p.Element
		for i := uint32(500); i > n; i-- {
			x = l.below(i-1, &x)
		}
		if got := f.take(&l, n, &x, &budget); got != fitPast {
			t.Fatalf("number %d of a chain that begins at 500: %d", n, got)
		}
	}
}
