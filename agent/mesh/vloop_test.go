package mesh

import (
	"testing"
	"time"
)

// loops returns how many pairs of nodes have a way that comes back to itself:
// the first hop by the table for local traffic, the others by that of the
// interface.
func (w *world) loops() (n int) {
	byMAC := map[[6]byte]*wnode{}
	for _, k := range w.nodes {
		byMAC[hardMAC(k.id, 0)] = k
	}
	for _, from := range w.nodes {
		for _, to := range w.nodes {
			at, hops := from, 0
			var via *HardIface
			for at != nil && at != to && !at.off && hops <= len(w.nodes) {
				o := at.m.originator(hardMAC(to.id, 0))
				if o == nil {
					break
				}
				r := at.m.router(o, via)
				if r == nil {
					break
				}
				at, via = byMAC[r.MAC], byMAC[r.MAC].m.ifaces[0]
				hops++
			}
			if hops > len(w.nodes) {
				n++
			}
		}
	}
	return n
}

// Ten nodes in a changing, lossy net: no loop lives longer than six intervals,
// and in the end everybody reaches everybody.
func TestNoLoopsV(t *testing.T) {
	const interval = 200 * time.Millisecond
	worst := time.Duration(0)
	for seed := range uint64(6) {
		w := newWorld(t, 100+seed)
		for i := range 10 {
			k := w.node(string(rune('a'+i)), fastV)
			k.iface(0, func(f *IfaceConfig) { f.FullDuplex = seed%2 == 0; f.Speed = uint32(100 << w.rng.IntN(7)) })
		}
		join := func(i, j int) { w.link(w.nodes[i], 0, w.nodes[j], 0, 50*w.rng.IntN(7)) }
		for i := range 10 {
			join(i, (i+1)%10) // a ring holds them together
		}
		var since time.Duration // how long there are loops
		for step := range 1500 {
			if step%50 == 0 && step < 1200 {
				i, j := w.rng.IntN(10), w.rng.IntN(10)
				switch k := w.rng.IntN(4); {
				case i == j:
				case k == 0:
					join(i, j)
				case k == 1 && (i+1)%10 != j && (j+1)%10 != i:
					w.cut(w.nodes[i], 0, w.nodes[j], 0)
				case k == 2:
					w.nodes[i].iface(0, func(f *IfaceConfig) { f.Speed = uint32(100 << w.rng.IntN(7)) })
				case k == 3:
					w.nodes[i].boot(w.nodes[i].m.Seqnos())
				}
			}
			w.run(40 * time.Millisecond)
			if w.loops() == 0 {
				since = 0
				continue
			}
			since += 40 * time.Millisecond
			worst = max(worst, since)
		}
		for _, a := range w.nodes {
			for _, b := range w.nodes {
				if a != b && a.next(b) == "" {
					t.Errorf("seed %d: %s does not reach %s", seed, a.name, b.name)
				}
			}
		}
	}
	t.Logf("the longest time with a loop: %v", worst)
	if worst > 6*interval {
		t.Errorf("a loop lived %v, more than six intervals", worst)
	}
}
