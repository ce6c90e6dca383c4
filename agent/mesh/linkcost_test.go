package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/identity"
)

func TestLinkCost(t *testing.T) {
	for _, c := range []struct {
		name string
		hi   HardIface
		told bool
		rate uint32
		busy int
		want uint16
	}{
		{"a gigabit", HardIface{IfaceConfig: IfaceConfig{Speed: 10_000}}, false, 0, -1, 10},
		{"100 Mbit/s", HardIface{IfaceConfig: IfaceConfig{Speed: 1000}}, false, 0, -1, 96},
		{"override", HardIface{IfaceConfig: IfaceConfig{Speed: 1000, ThroughputOverride: 10_000}}, false, 0, -1, 10},
		{"a wire that nobody knows", HardIface{}, false, 0, -1, 96},
		{"a radio that nobody knows", HardIface{IfaceConfig: IfaceConfig{Wifi: true}}, false, 0, -1, 1664},
		{"20 Mbit/s expected", HardIface{IfaceConfig: IfaceConfig{Wifi: true}}, true, 200, -1, 480},
		{"the same, air half in use", HardIface{IfaceConfig: IfaceConfig{Wifi: true}}, true, 200, 50, 960},
		{"the same, air full", HardIface{IfaceConfig: IfaceConfig{Wifi: true}}, true, 200, 100, 4608},
		{"gone for the driver", HardIface{IfaceConfig: IfaceConfig{Wifi: true}}, true, 0, -1, 65535},
		{"faster than a microsecond", HardIface{IfaceConfig: IfaceConfig{Speed: 1 << 31}}, false, 0, -1, 1},
	} {
		m := New(Options{Config: Default()}, 0)
		h := &HardNeigh{MAC: hardMAC(2, 0), hi: &c.hi}
		h.v.told, h.v.rate = c.told, c.rate
		if c.told {
			h.radio = &Radio{Busy: c.busy}
		}
		if got := m.linkCost(h); got != c.want {
			t.Errorf("%s: %d µs, want %d", c.name, got, c.want)
		}
		// What we send ourselves is no reason to go elsewhere.
		if c.busy == 50 {
			h.radio.Busy, h.radio.Own = 80, 30
			if got := m.linkCost(h); got != c.want {
				t.Errorf("%s, 30 %% of the time by us: %d µs, want %d", c.name, got, c.want)
			}
		}
	}
}

// What a node tells does not follow every change, and never more than eight.
func TestTellCosts(t *testing.T) {
	var links []identity.LinkCost
	for i := range 12 {
		links = append(links, identity.LinkCost{MAC: hardMAC(i+1, 0), Cost: uint16(100 + 10*i)})
	}
	told := tellCosts(identity.Costs{}, links)
	if told.K != 8 || told.List[0].MAC != hardMAC(1, 0) || told.List[7].MAC != hardMAC(8, 0) {
		t.Fatalf("told %+v", told)
	}
	for i := range links {
		links[i].Cost += links[i].Cost / 5
	}
	links[8].Cost = 165 // better than the last one that is told, a little
	if again := tellCosts(told, links); again != told {
		t.Errorf("told anew: %+v, was %+v", again, told)
	}
	links[8].Cost = 90
	again := tellCosts(told, links)
	if again == told || again.K != 8 {
		t.Errorf("a far better link is not told: %+v", again)
	}
	links[0].Cost = 400
	if again = tellCosts(told, links[:1]); again.K != 1 || again.List[0].Cost != 400 || again.List[1].Cost != 0 {
		t.Errorf("left of them: %+v", again)
	}
}

// costOf is what n knows of the path to to.
func (n *wnode) costOf(to *wnode) (cost uint32, guessed bool) {
	o := n.m.originator(hardMAC(to.id, 0))
	if o == nil {
		return 0, false
	}
	return o.id.cost, o.id.guessed
}

// Two ways, over b and over c: both ends find the cheaper one, whatever
// interfaces it takes, and hear of changes. A stock node is told by the metric.
func TestPathCosts(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		w := newWorld(t, 5)
		set := func(c *Config) { c.Algo = algo }
		a, b, c, d := w.signed("a", set), w.signed("b", set), w.signed("c", set), w.signed("d", set)
		stock := w.node("stock", set)
		e := w.signed("e", set)
		speed := func(n *wnode, i int, s uint32) { n.iface(i, func(c *IfaceConfig) { c.Speed = s }) }
		for _, n := range []*wnode{a, b, c, d} {
			speed(n, 0, 1000) // the ways over c: 96 µs each
			speed(n, 1, 2000) // those over b: 48 µs each
		}
		w.link(a, 0, c, 0, 0)
		w.link(c, 1, d, 0, 0)
		w.link(a, 1, b, 0, 0)
		w.link(b, 1, d, 1, 0)
		w.link(d, 0, stock, 0, 0)
		w.link(stock, 0, e, 0, 0)
		w.run(4 * time.Minute)
		check := func(what string, n, to *wnode, want uint32) {
			t.Helper()
			if got, guessed := n.costOf(to); got != want || guessed {
				t.Errorf("%v: %s: %s to %s costs %d, guessed %v, want %d", algo, what, n.name, to.name, got, guessed, want)
			}
		}
		check("at first", a, b, 48)
		check("at first", a, d, 48+48)
		check("at first", a, c, 96)
		check("at first", d, a, 48+96) // b sends to a by its first interface
		if got, guessed := a.costOf(e); got == 0 || !guessed {
			t.Errorf("%v: behind a stock node: %d, guessed %v", algo, got, guessed)
		}
		records := map[identity.ID]bool{}
		w.tap = func(_ *wnode, _ int, f []byte) {
			for i := range f {
				if i+2 < len(f) && f[i] == 0xa7 && f[i+1] == 0x11 {
					records[identity.ID(f[i+2:i+8])] = true
				}
			}
		}
		speed(b, 1, 100) // from b to d it takes 960 µs now
		w.run(4 * time.Minute)
		check("after a change", a, d, 96+48)
		check("after a change", a, b, 48)
		told := len(a.changes)
		w.run(16 * time.Minute)
		// Five nodes renew theirs every 512 OGMs and when chains change, and b has
		// told of its link; changing costs could make ten of each.
		if len(records) > 5*6 {
			t.Errorf("%v: %d records in 20 minutes at rest", algo, len(records))
		}
		if n := len(a.changes) - told; n > 4 {
			t.Errorf("%v: %d changes of nodes were told at rest", algo, n)
		}
	}
}

// Records with nonsense in them do no harm: names of nobody, of their own
// node, of ours, twice, costs of nothing, circles.
func TestPathCostsOfLiars(t *testing.T) {
	m := New(Options{Config: Default(), Signer: testKey(0).Public()}, 0)
	var nodes []*identity.Node
	for i := range 300 {
		n := &identity.Node{}
		n.N = identity.MaxPoints
		for k := range n.N { // each claims the addresses of others too
			n.Points[k].MAC = hardMAC(1+(i+7*k)%300, 0)
		}
		n.K = identity.MaxCosts
		for k := range n.K {
			n.List[k] = identity.LinkCost{MAC: hardMAC(1+(i*i+k*k)%310, 0), Cost: uint16(k * (i + 9371*k))}
		}
		n.List[0], n.List[1] = identity.LinkCost{MAC: hardMAC(i+1, 0), Cost: 1}, identity.LinkCost{MAC: batman.Broadcast, Cost: 5}
		o := &Originator{MAC: hardMAC(i+1, 0)}
		o.id.node = n
		m.origs[o.MAC], nodes = o, append(nodes, n)
		m.origList = append(m.origList, o)
	}
	names := m.costNames()
	for i, n := range nodes {
		if names[hardMAC(i+1, 0)] != n {
			t.Fatalf("%d is taken by another one's claim", i)
		}
	}
	m.pathCosts([]identity.LinkCost{{MAC: hardMAC(1, 0), Cost: 100}, {MAC: hardMAC(9999, 0), Cost: 1}, {MAC: hardMAC(2, 0), Cost: 65535}})
	reached := 0
	for i, o := range m.origList {
		if o.id.guessed {
			continue
		}
		reached++
		if o.id.cost < 100 {
			t.Errorf("%d costs %d, less than the first link", i, o.id.cost)
		}
		for k, c := range o.id.node.List[:o.id.node.K] { // no edge makes a shorter way
			if to := names[c.MAC]; to != nil && c.Cost != 0 {
				if p := m.origs[to.MAC()]; names[p.MAC] == to && p.id.cost > o.id.cost+uint32(c.Cost) {
					t.Errorf("edge %d of %d is shorter", k, i)
				}
			}
		}
	}
	if reached < 100 {
		t.Errorf("%d reached", reached)
	}
}
