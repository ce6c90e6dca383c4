package mesh

import (
	"testing"
	"time"
)

func fast(c *Config) { c.OrigInterval = 100 * time.Millisecond }

// A line of four: everybody finds a way to everybody, over the right neighbour.
func TestLine(t *testing.T) {
	w := newWorld(t, 1)
	var n []*wnode
	for _, name := range []string{"a", "b", "c", "d"} {
		n = append(n, w.node(name, fast))
	}
	for i := range 3 {
		w.link(n[i], 0, n[i+1], 0, 0)
	}
	w.until(10*time.Second, "routes", func() bool {
		return n[0].next(n[3]) == "b" && n[3].next(n[0]) == "c" && n[1].next(n[3]) == "c"
	})
	t.Logf("after %v", time.Duration(w.now))
	w.run(15 * time.Second)
	a := n[0].m
	if q := a.metric(a.originator(hardMAC(n[1].id, 0))); q < 247 { // the last echo may be on its way
		t.Errorf("TQ of a perfect link: %d", q)
	}
	// Two hops cost one penalty of 30 each.
	if q := a.metric(a.originator(hardMAC(n[3].id, 0))); q < 190 || q > 200 {
		t.Errorf("TQ over three hops: %d", q)
	}
}

// A diamond with a bad branch: the good one is chosen, and the other after a cut.
func TestDiamond(t *testing.T) {
	w := newWorld(t, 2)
	a, b, c, d := w.node("a", fast), w.node("b", fast), w.node("c", fast), w.node("d", fast)
	w.link(a, 0, b, 0, 0)
	w.link(b, 0, d, 0, 0)
	w.link(a, 0, c, 0, 400)
	w.link(c, 0, d, 0, 400)
	w.run(20 * time.Second)
	if got := a.next(d); got != "b" {
		t.Errorf("a reaches d by %q", got)
	}
	w.cut(b, 0, d, 0)
	took := w.until(20*time.Second, "the other way", func() bool { return a.next(d) == "c" && d.next(a) == "c" })
	t.Logf("rerouted after %v", took)
}
