package mesh

import (
	"cmp"
	"container/heap"
	"math/bits"
	"slices"
	"sort"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
)

// Costs of links, and of paths over the links that others tell of in their
// records. See docs/protocol/identity.md, link costs.
const (
	costEvery = 10 * time.Second // between looks
	costFresh = 10 * time.Second // a neighbour was heard in that time
	costMost  = 1<<16 - 1
	// costUnit divided by the throughput in units of 100 kbit/s is the time that
	// 1250 bytes take, in microseconds.
	costUnit = 100_000
	// What a link carries of which nobody knows anything: a cheap switch and a
	// poor radio, in units of 100 kbit/s.
	costWire, costAir = 1000, 60
	costBusy          = 90 // percent; more is counted as that
)

// linkCost is what it costs to send to h, in microseconds for 1250 bytes, 1 to
// 65535: the time that they take, longer by the share of the air that others
// use. What others say counts in steps of an eighth, so that it does not change
// with every frame.
func (m *Mesh) linkCost(h *HardNeigh) uint16 {
	hi := h.hi
	rate, guess := hi.Speed, false
	switch {
	case hi.ThroughputOverride != 0:
		rate = hi.ThroughputOverride
	case h.v.told:
		rate = h.v.rate
		if rate == 0 {
			return costMost // gone for the driver, or next to that
		}
	case rate == 0:
		rate, guess = costWire, true
		if hi.Wifi {
			rate = costAir
		}
	}
	c := uint64(costUnit) / uint64(rate)
	if r := h.radio; r != nil && r.Busy > r.Own { // what we send ourselves would chase us away
		c = c * 100 / uint64(100-min(r.Busy-r.Own, costBusy))
	}
	if o := m.originator(h.MAC); guess && o != nil && m.cfg.Algo == BatmanIV {
		if w := o.way(h.MAC, hi); w != nil {
			c = c * 255 / uint64(max(m.quality(w, 0), 1))
		}
	}
	return costStep(min(max(c, 1), costMost))
}

// costStep leaves the first three bits behind the highest one.
func costStep(c uint64) uint16 {
	if n := bits.Len64(c); n > 4 {
		c = c >> (n - 4) << (n - 4)
	}
	return uint16(c) //nolint:gosec // not above the argument, which fits
}

// ownLinks are the costs of all links of this node that work, the cheapest
// first, each neighbour once.
func (m *Mesh) ownLinks(now mono.Time) (list []identity.LinkCost) {
	for _, hi := range m.ifaces {
		if hi == nil || !hi.active {
			continue
		}
		for _, h := range hi.neighbours {
			if now.Sub(h.lastSeen) >= costFresh {
				continue
			}
			c := identity.LinkCost{MAC: h.Orig, Cost: m.linkCost(h)}
			if i := slices.IndexFunc(list, func(o identity.LinkCost) bool { return o.MAC == c.MAC }); i < 0 {
				list = append(list, c)
			} else {
				list[i].Cost = min(list[i].Cost, c.Cost)
			}
		}
	}
	sort.Slice(list, func(i, j int) bool {
		return cmp.Or(cmp.Compare(list[i].Cost, list[j].Cost), list[i].MAC.Compare(list[j].MAC)) < 0
	})
	return list
}

// tellCosts chooses what this node tells of its links: those that it told
// before, as long as they are nearly as good as others and cost about what they
// did.
func tellCosts(old identity.Costs, links []identity.LinkCost) (c identity.Costs) {
	told := func(l identity.LinkCost) (was uint16) {
		for _, o := range old.List[:old.K] {
			if o.MAC == l.MAC {
				was = o.Cost
			}
		}
		return was
	}
	links = slices.Clone(links)
	for i, l := range links {
		if was := told(l); was != 0 && nearCost(uint32(was), uint32(l.Cost)) {
			links[i].Cost = was
		}
	}
	weight := func(l identity.LinkCost) uint32 {
		if told(l) != 0 {
			return uint32(l.Cost) * 3
		}
		return uint32(l.Cost) * 4
	}
	sort.SliceStable(links, func(i, j int) bool { return weight(links[i]) < weight(links[j]) })
	c.K = copy(c.List[:], links)
	sort.Slice(c.List[:c.K], func(i, j int) bool { return c.List[i].MAC.Compare(c.List[j].MAC) < 0 })
	return c
}

// nearCost reports whether two costs are so close that nobody need be told.
func nearCost(a, b uint32) bool { return 4*uint64(max(a, b)) <= 5*uint64(min(a, b)) }

// costTick looks at links and paths again.
func (m *Mesh) costTick(now mono.Time) {
	if now < m.id.costAt {
		return
	}
	m.id.costAt = now.Add(costEvery)
	links := m.ownLinks(now)
	m.id.costs = tellCosts(m.id.costs, links)
	m.pathCosts(links)
}

// pathCosts finds the cheapest path to each verified node over the links that
// the nodes tell of (Dijkstra's algorithm). Where stock nodes are between, or
// nodes that do not tell, the cost is guessed from the metric: see guessCost.
// Its work is bounded by the number of originators and the links in a record.
func (m *Mesh) pathCosts(own []identity.LinkCost) {
	names := m.costNames()
	cost := make(map[*identity.Node]uint32)
	var q costQueue
	reach := func(c identity.LinkCost, so uint32) {
		n := names[c.MAC]
		if n == nil || c.Cost == 0 {
			return
		}
		if to := so + uint32(c.Cost); cost[n] == 0 || to < cost[n] {
			cost[n] = to
			heap.Push(&q, costEntry{to, n})
		}
	}
	for _, c := range own {
		reach(c, 0)
	}
	for len(q) > 0 {
		e := heap.Pop(&q).(costEntry)
		if e.cost > cost[e.node] {
			continue
		}
		for _, c := range e.node.List[:e.node.K] {
			reach(c, e.cost)
		}
	}
	for _, o := range m.origList {
		was, guessed := o.id.cost, o.id.guessed
		o.id.cost, o.id.guessed = 0, false
		if o.id.node == nil {
			continue
		}
		if o.id.cost = cost[o.id.node]; o.id.cost != 0 {
			continue
		}
		o.id.cost, o.id.guessed = m.guessCost(o), true
		// A guess by half is as good: next hops of one TQ take turns.
		if c := o.id.cost; guessed && 2*uint64(min(was, c)) >= uint64(max(was, c)) {
			o.id.cost = was
		}
	}
}

// costNames are the verified nodes by all addresses that they sign for. The
// primary address of one goes before another one's claim of it.
func (m *Mesh) costNames() map[batman.MAC]*identity.Node {
	names := make(map[batman.MAC]*identity.Node)
	for _, o := range m.origList {
		if o.id.node != nil {
			names[o.MAC] = o.id.node
		}
	}
	for _, o := range m.origList {
		if n := o.id.node; n != nil {
			for _, p := range n.Points[1:n.N] {
				if names[p.MAC] == nil {
					names[p.MAC] = n
				}
			}
		}
	}
	return names
}

// guessCost is the cost of the way to o by its metric: in B.A.T.M.A.N. V that
// of its throughput; in IV that of the first link, more often the lower the TQ
// is, twice over, because frames of clients cross each link more than once
// where OGMs get lost. 0: there is no way.
func (m *Mesh) guessCost(o *Originator) uint32 {
	n, q := m.router(o, nil), uint64(m.metric(o))
	switch {
	case n == nil || q == 0:
		return 0
	case m.cfg.Algo == BatmanV:
		return uint32(max(costUnit/q, 1)) //nolint:gosec // at most costUnit
	}
	first := uint64(costMost)
	if h := n.hi.neighbour(n.MAC); h != nil {
		first = uint64(m.linkCost(h))
	}
	return uint32(first * 255 * 255 / (q * q)) //nolint:gosec // below 2^32: first has 16 bits, the rest too
}

type costEntry struct {
	cost uint32
	node *identity.Node
}

// costQueue is a heap of the nodes that were reached, the cheapest on top.
type costQueue []costEntry

func (q costQueue) Len() int           { return len(q) }
func (q costQueue) Less(i, j int) bool { return q[i].cost < q[j].cost }
func (q costQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *costQueue) Push(x any)        { *q = append(*q, x.(costEntry)) }
func (q *costQueue) Pop() any {
	x := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return x
}
