package node

import (
	"slices"
	"testing"
	"time"
)

// All four sources name a way to one node: it is a direct peer, in the mesh,
// a supernode knows a way, and another node does. They are taken away one by
// one, always the one in use: the session goes on by the next.
//
//	  ┌── r1 ── q1 ──┐
//	a ┼ UDP ─────────┼ z      s, a supernode, is a peer of r1 and r2
//	  ├ mesh ────────┤
//	  └── r2 ── q2 ──┘
func TestWhyWithAllSources(t *testing.T) {
	for seed := uint64(710); seed < 714; seed++ {
		w := newWorld(t, seed)
		a, z, r1, r2, s := w.host("a", 0, -1), w.host("z", 0, -1), w.host("r1", 0), w.host("r2", 0), w.host("s", 0)
		for i, r := range []*host{r1, r2} {
			q := w.host([]string{"q1", "q2"}[i], 0)
			r.user("p")
			q.user("p")
			a.dial(r, "p")
			s.dial(r, "p")
			r.dial(q, "p")
			z.dial(q, "p")
		}
		w.calm() // so that nobody but a supernode and a peer of a peer knows a node three hops away
		s.super(true)
		w.complete(s, 7, 16)
		w.hear(a, z, 2*time.Second)
		sources := func() (list []string) {
			for _, o := range a.node.Why(w.now, z.id.IP).Ways {
				if o.State != "down" {
					list = append(list, o.Source)
				}
			}
			slices.Sort(list)
			return list
		}
		// Only a sends, or the other end's packets would name the second way.
		for begin := w.now; w.now.Sub(begin) < 40*time.Second && len(sources()) < 2; w.run(100 * time.Millisecond) {
			a.tell(z, "chat")
		}
		w.introduce()
		w.chat(a, z, 5*time.Second, 100*time.Millisecond, nil)
		z.user("p")
		a.dial(z, "p")
		w.chat(a, z, 15*time.Second, 100*time.Millisecond, nil)
		if got := sources(); !slices.Equal(got, []string{"dht", "mesh", "peer", "supernode"}) {
			t.Errorf("seed %d: ways from %v: %+v", seed, got, a.node.Why(w.now, z.id.IP).Ways)
			continue
		}
		ca := a.session(z).CA
		dead := map[string]bool{}
		w.dropOn = func(from, to *host, link uint16) bool {
			direct := touches(a, from, to) && touches(z, from, to)
			return direct && dead[[]string{"peer", "mesh"}[link]] ||
				touches(r1, from, to) && dead["r1"] || touches(r2, from, to) && dead["r2"]
		}
		var order []string
		for range 3 {
			y := a.node.Why(w.now, z.id.IP)
			order = append(order, y.Ways[0].Source)
			switch {
			case y.Ways[0].State != "used":
				t.Fatalf("seed %d: %+v", seed, y)
			case y.Ways[0].Hops == 1:
				dead[y.Ways[0].Source] = true
			case via(a, z, r1):
				dead["r1"] = true
			default:
				dead["r2"] = true
			}
			if gap := w.chat(a, z, 12*time.Second, 100*time.Millisecond, nil); gap > 2*time.Second {
				t.Errorf("seed %d: %v without a packet when %v ended", seed, gap, order)
			}
		}
		y := a.node.Why(w.now, z.id.IP)
		if order = append(order, y.Ways[0].Source); y.Ways[0].State != "used" || y.Ways[0].Hops != 3 || order[0] != "peer" && order[0] != "mesh" {
			t.Errorf("seed %d: in the end %+v", seed, y)
		}
		if a.session(z).CA != ca || !ca.Established() || a.session(z).Changes == 0 {
			t.Errorf("seed %d: the session was dropped", seed)
		}
		t.Logf("seed %d: %v; %s", seed, order, y.Cause)
	}
}
