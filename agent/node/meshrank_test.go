package node

import (
	"strings"
	"testing"
	"time"
)

// A cheaper way has a higher rank, over all costs, and costs and metrics share
// one scale.
func TestMeshRank(t *testing.T) {
	last := uint8(255)
	for c := uint32(1); c < 1<<31; c += 1 + c/50 {
		m := MeshNode{Metric: 3, Cost: c}
		r := m.rank()
		if r > last || r == 0 {
			t.Fatalf("cost %d has rank %d, a cheaper one %d", c, r, last)
		}
		last = r
	}
	for _, c := range []struct {
		cost uint32
		rank uint8
	}{{1, 254}, {10, 254}, {20, 238}, {40, 222}, {100, 202}, {1000, 149}, {100_000, 43}} {
		if got := (&MeshNode{Cost: c.cost}).rank(); got != c.rank {
			t.Errorf("cost %d has rank %d, want %d", c.cost, got, c.rank)
		}
	}
	if got := (&MeshNode{Metric: 77}).rank(); got != 77 {
		t.Errorf("without a cost the rank is %d, want the metric, 77", got)
	}
}

// What links cost goes before the metric where nothing was measured: for the
// order of nodes, and for the way to a peer. why shows it.
func TestMeshCostGoesBeforeMetric(t *testing.T) {
	slow := &meshNode{macs: []MeshNode{{Metric: 250, Cost: 5000}}}
	quick := &meshNode{macs: []MeshNode{{Metric: 180, Cost: 200}}}
	if !quick.less(slow) || slow.less(quick) {
		t.Error("the node with the higher metric goes before the one with cheaper links")
	}
	w, a, b := meshPair(t, 704)
	m := *a.node.mesh.nodes[b.id.IP].now()
	m.Cost, m.Guessed = 1440, true
	a.told(m)
	y := a.node.Why(w.now, b.id.IP)
	if says := strings.Join(y.Tried, " "); !strings.Contains(says, "metric 200, links cost 1440 µs") {
		t.Errorf("before: %q", says)
	}
	w.chat(a, b, 2*time.Second, 100*time.Millisecond, nil)
	if y = a.node.Why(w.now, b.id.IP); len(y.Ways) != 1 || y.Ways[0].AirMicros != 1440 || !y.Ways[0].AirGuessed || y.Ways[0].Metric != 200 {
		t.Errorf("a peering: %+v", y.Ways)
	}
}
