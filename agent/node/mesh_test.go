package node

import (
	"fmt"
	"testing"
	"time"
)

// onMesh returns the mesh that h is in, 0 if in none.
func (h *host) onMesh() int {
	for _, s := range h.segs {
		if s < 0 {
			return s
		}
	}
	return 0
}

// meshNode is what the mesh tells others about h.
func (h *host) meshNode() MeshNode {
	return MeshNode{
		Key: h.id.Public, IP: h.id.IP, MAC: h.mac.MAC(), Metric: 200,
		Uplink: h.node.HasUplink(), Reachable: true, Boot: h.boots,
	}
}

// told lets to know of m.
func (h *host) told(m MeshNode) {
	h.node.SetMeshNode(h.w.now, m, &h.out)
	h.drain()
}

// introduce lets all nodes of each mesh know each other, as their OGMs do.
func (w *world) introduce() {
	for _, a := range w.hosts {
		for _, b := range w.hosts {
			if a != b && a.onMesh() != 0 && a.onMesh() == b.onMesh() && !a.dead && !b.dead {
				b.told(a.meshNode())
			}
		}
	}
}

// meshPeers counts the peerings of h over the mesh that are up.
func (h *host) meshPeers() (c int) {
	for _, p := range h.node.peers {
		if p.up && h.node.onMesh(p) {
			c++
		}
	}
	return c
}

// islands makes meshes of the given sizes in a row. The last node of each is
// joined by UDP with the first of the next.
func islands(t *testing.T, seed uint64, sizes ...int) *world {
	w := newWorld(t, seed)
	var last *host
	for i, size := range sizes {
		for j := range size {
			segs := []int{-1 - i}
			if j == 0 && i > 0 || j == size-1 && i < len(sizes)-1 {
				segs = []int{0, -1 - i} // a gateway
			}
			h := w.host(fmt.Sprintf("%c%d", 'a'+i, j), segs...)
			if j == 0 && last != nil {
				h.user("p")
				last.dial(h, "p")
			}
			last = h
		}
	}
	w.run(time.Second)
	w.introduce()
	return w
}

// traffic counts what the nodes of a world say to each other.
type traffic struct{ frames, bytes int }

// everyone lets all hosts send to all others at once, every 100 ms, until all
// have arrived, and returns how long that took, and the frames that it cost.
func (w *world) everyone(limit time.Duration) (time.Duration, traffic) {
	w.t.Helper()
	var cost traffic
	w.tap = func(_, _ *host, f []byte) { cost.frames++; cost.bytes += len(f) }
	defer func() { w.tap = nil }()
	type pair struct {
		from, to *host
		text     string
	}
	var missing []pair
	for i, a := range w.hosts {
		for j, b := range w.hosts {
			if a != b {
				missing = append(missing, pair{a, b, fmt.Sprintf("%d to %d at %d", i, j, w.now)})
			}
		}
	}
	begin, next := w.now, w.now
	for len(missing) > 0 {
		if w.now.Sub(begin) > limit {
			w.dump()
			w.t.Fatalf("%d pairs do not reach each other within %v, first %s to %s", len(missing), limit, missing[0].from.name, missing[0].to.name)
		}
		if w.now >= next {
			for _, p := range missing {
				p.from.tell(p.to, p.text)
			}
			next = w.now.Add(100 * time.Millisecond)
		}
		w.run(10 * time.Millisecond)
		left := missing[:0]
		for _, p := range missing {
			if !p.to.heard(p.text) {
				left = append(left, p)
			}
		}
		missing = left
	}
	return w.now.Sub(begin), cost
}

func TestMeshNodesReachEachOther(t *testing.T) {
	w := newWorld(t, 200)
	a, b := w.host("a", -1), w.host("b", -1)
	w.introduce()
	w.run(5 * time.Second)
	if a.meshPeers()+b.meshPeers() != 0 {
		t.Error("a peering that nobody has asked for")
	}
	a.tell(b, "hello")
	took := w.until(time.Second, "the first packet", func() bool { return b.heard("hello") })
	t.Logf("the first packet arrived after %v", took)
	if a.meshPeers() != 1 || b.meshPeers() != 1 {
		t.Errorf("%d and %d peerings", a.meshPeers(), b.meshPeers())
	}
	if p := a.node.peers[0].port; p < firstMeshSlot {
		t.Errorf("a peering over the mesh has slot %d", p)
	}
	w.talk(time.Second)
}

func TestIslandsReachEachOther(t *testing.T) {
	for _, sizes := range [][]int{{8, 5}, {4, 4, 5}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			for seed := uint64(210); seed < 212; seed++ {
				w := islands(t, seed, sizes...)
				took, cost := w.everyone(10 * time.Second)
				queries := uint64(0)
				for _, h := range w.hosts {
					queries += h.node.finder.Asked
				}
				if queries > 1500 || cost.frames > 8000 {
					t.Errorf("a storm: %d frames, %d routing questions", cost.frames, queries)
				}
				t.Logf("156 pairs after %v: %d frames, %d kB, %d routing questions", took, cost.frames, cost.bytes/1000, queries)
			}
		})
	}
}

// Radios lose packets: with every tenth frame lost, all still reach all.
func TestLossyIslands(t *testing.T) {
	for seed := uint64(240); seed < 242; seed++ {
		w := islands(t, seed, 8, 5)
		w.drop = func(_, _ *host, _ []byte) bool { return w.rng.IntN(10) == 0 }
		took, cost := w.everyone(10 * time.Second)
		t.Logf("156 pairs after %v: %d frames", took, cost.frames)
	}
}

// One at a time, into the unknown: the first packet of a program arrives.
func TestFirstPacketArrives(t *testing.T) {
	for _, sizes := range [][]int{{8, 5}, {4, 4, 5}} {
		w := islands(t, 250, sizes...)
		a, z := w.hosts[0], w.hosts[len(w.hosts)-1]
		a.tell(z, "first")
		took := w.until(2*time.Second, "the first packet", func() bool { return z.heard("first") })
		peerings := 0
		for _, h := range w.hosts {
			peerings += h.meshPeers()
		}
		t.Logf("%v: after %v; %d ends of peerings in the meshes", sizes, took, peerings)
		if path, _ := a.node.Path(w.now, z.id.IP); len(Hops(path)) != 2*len(sizes)-1 {
			t.Errorf("%d hops over %d islands", len(Hops(path)), len(sizes))
		}
	}
}
