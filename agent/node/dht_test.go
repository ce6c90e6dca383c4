package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// Twenty agents in a random net without a supernode: everybody reaches
// everybody within two seconds, from the start.
func TestDHTAmongAgents(t *testing.T) {
	w := newWorld(t, 960)
	for i := range 20 {
		h := w.host(fmt.Sprintf("n%d", i), 0).user("p")
		if i > 0 {
			h.dial(w.hosts[w.rng.IntN(i)], "p")
		}
		if i > 4 && i%2 == 0 {
			h.dial(w.hosts[w.rng.IntN(i)], "p")
		}
	}
	w.run(3 * time.Second)
	var most time.Duration
	for i, a := range w.hosts {
		for j, b := range w.hosts {
			if i != j && (i*20+j)%3 == 0 {
				most = max(most, w.hear(a, b, 2*time.Second))
			}
		}
	}
	t.Logf("at most %v", most)
}

// The only supernode dies while the network runs: new ways are found within
// two seconds by asking nodes.
func TestSupernodeDiesAndTheTableTakesOver(t *testing.T) {
	w := chain(t, 961, 6)
	w.calm()
	s := w.host("s", 0)
	s.dial(w.hosts[2], "p")
	s.super(true)
	w.complete(s, 7, 12)
	w.run(time.Minute)
	for _, h := range w.hosts {
		if !h.uses(s) {
			t.Errorf("%s does not use it", h.name)
		}
	}
	s.dead = true
	for _, p := range [][2]int{{0, 5}, {5, 1}, {1, 4}, {3, 0}} {
		took := w.hear(w.hosts[p[0]], w.hosts[p[1]], 2*time.Second)
		t.Logf("n%d to n%d after %v", p[0], p[1], took)
	}
}

// Nobody next to a knows a supernode, or says so; those behind them use one. a
// finds it through the table if its owner permits that.
func TestSupernodeThroughTheTable(t *testing.T) {
	for _, permit := range []bool{true, false} {
		w := newWorld(t, 962)
		a, b1, b2 := w.host("a", 0).user("p"), w.host("b1", 0).user("p"), w.host("b2", 0).user("p")
		c1, c2, s := w.host("c1", 0).user("p"), w.host("c2", 0).user("p"), w.host("s", 0).user("p")
		for _, l := range [][2]*host{{b1, a}, {b2, a}, {c1, b1}, {c2, b2}, {s, c1}, {s, c2}} {
			l[0].dial(l[1], "p")
		}
		nobody := []cjdns.Key{key(t, w)}
		for _, b := range []*host{b1, b2} {
			b.node.SetSupernodes(w.now, nobody, false, &b.out)
			b.drain()
		}
		s.super(true)
		a.node.FindSupernodes(w.now, permit)
		if !permit {
			w.run(2 * time.Minute)
			if a.uses(s) {
				t.Error("a supernode is used though that was not permitted")
			}
			continue
		}
		t.Logf("found after %v", w.until(2*time.Minute, "a finds the supernode", func() bool { return a.uses(s) }))
		if b1.uses(s) || b2.uses(s) {
			t.Error("the neighbours use it, too")
		}
	}
}
