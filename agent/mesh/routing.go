package mesh

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// routing is the state that both algorithms share, and the queue of OGMs.
type routing struct {
	seqnos    Seqnos // where interfaces that come up continue
	strangers [strangerCells]stationLimits
	salt      uint32
	routed    int          // originators with a default route
	extra     int          // ways beyond those that each originator has of its own
	evictAt   [2]mono.Time // before, no originator can be forgotten for strangers, and for others
	queue     ogmQueue
	tvlvs     []byte // scratch
	v         vRouting
}

// route is the chosen way to an originator for one outgoing interface, or for
// local traffic, with what decides about the next OGM.
type route struct {
	router    *Neighbour
	lastSeqno uint32
	ranked    uint32 // B.A.T.M.A.N. IV: the newest that a usable way brought
	lastTTL   uint8
	known     bool      // B.A.T.M.A.N. IV: lastSeqno means something
	resetAt   mono.Time // last accepted jump of the sequence number
	lastLocal int       // bonding: index of the neighbour used last
}

// Sequence protection. Source: batman-adv main.h.
const (
	seqnoRange      = 65536
	resetProtection = 30 * time.Second
)

// slot returns where o keeps its route for packets that came in on via; 0 is
// the default.
func slot(via *HardIface) int {
	if via == nil {
		return 0
	}
	return int(via.index) + 1
}

// routeOf returns o's entry for a slot and makes room for it.
func (o *Originator) routeOf(now mono.Time, s int) *route {
	for len(o.routes) <= s {
		o.routes = append(o.routes, route{resetAt: now.Add(-resetProtection - time.Second)})
	}
	return &o.routes[s]
}

// router returns the next hop towards o: for a packet that came in on via, or
// for local traffic if via is nil. nil: no route.
func (m *Mesh) router(o *Originator, via *HardIface) *Neighbour {
	if s := slot(via); s < len(o.routes) {
		return o.routes[s].router
	}
	return nil
}

// routesBy reports whether n is the route for any slot.
func (o *Originator) routesBy(n *Neighbour) bool {
	for s := range o.routes {
		if o.routes[s].router == n {
			return true
		}
	}
	return false
}

// setRoute changes a route and tells about changes of the default one.
func (m *Mesh) setRoute(now mono.Time, o *Originator, s int, n *Neighbour, out *Out) {
	r := o.routeOf(now, s)
	old := r.router
	if old == n {
		return
	}
	r.router = n
	if s != 0 {
		return
	}
	if old == nil {
		m.routing.routed++
	} else if n == nil {
		m.routing.routed--
	}
	m.routeChanged(now, o, old, n, out)
}

// quality is the metric of a way for a slot.
func (m *Mesh) quality(n *Neighbour, s int) uint32 {
	if m.cfg.Algo == BatmanV {
		return n.v.throughput(s)
	}
	if s < len(n.iv.slots) {
		return uint32(n.iv.slots[s].ring.avg)
	}
	return 0
}

// metric is how good the way to o is for local traffic: TQ or, in
// B.A.T.M.A.N. V, throughput in units of 100 kbit/s; 0 none.
func (m *Mesh) metric(o *Originator) uint32 {
	n := m.router(o, nil)
	if n == nil {
		return 0
	}
	return m.quality(n, 0)
}

// nextHop is router, but alternates between ways of similar quality if
// bonding is on, for local traffic only.
// Source: batman-adv routing.c, batadv_find_router.
func (m *Mesh) nextHop(o *Originator, via *HardIface) *Neighbour {
	best := m.router(o, via)
	if best == nil || via != nil || !m.cfg.Bonding {
		return best
	}
	list := [MaxIfaces + 1]*Neighbour{best}
	n := 1
	for _, hi := range m.ifaces {
		if hi == nil || !hi.active {
			continue
		}
		if c := m.router(o, hi); c != nil && !slices.Contains(list[:n], c) && m.similar(c, slot(hi), best) {
			list[n] = c
			n++
		}
	}
	r := &o.routes[0]
	r.lastLocal = (r.lastLocal + 1) % n
	return list[r.lastLocal]
}

// transitHop is where a packet in transit to o goes that came from r: not back
// to the station that sent it if there is another way that OGMs came by lately.
// While routes change, two nodes can take each other for the next hop until the
// next OGMs arrive, which on bad links takes its time. The kernel sends it back.
// So does this node in B.A.T.M.A.N. V, where the way back can be right: the
// sender may route differently what comes in here, and its OGMs do not tell
// whether it has them from us, as those of B.A.T.M.A.N. IV do.
func (m *Mesh) transitHop(o *Originator, r rx) *Neighbour {
	n := m.router(o, r.hi)
	if n == nil || n.MAC != r.src || n.hi != r.hi || m.cfg.Algo == BatmanV {
		return n
	}
	s, back := slot(r.hi), n
	var other *Neighbour
	for _, n := range o.neighbours {
		q := m.quality(n, s)
		if n != back && q > 0 && (other == nil || q > m.quality(other, s)) {
			other = n
		}
	}
	if other == nil {
		return back
	}
	return other
}

// similar reports whether c, for slot s, is nearly as good as the default
// router. The kernel's B.A.T.M.A.N. V compares the other way round and so takes
// ways that are far worse; this one takes those of three quarters and more.
func (m *Mesh) similar(c *Neighbour, s int, best *Neighbour) bool {
	if m.cfg.Algo == BatmanV {
		return 4*uint64(m.quality(c, s)) > 3*uint64(m.quality(best, 0))
	}
	return int(m.quality(c, s))-int(m.quality(best, 0)) > -50
}

// Hops of a packet to an originator of which nothing was heard lately.
const (
	staleIntervals = 10 // OGM intervals of this node without an OGM of it
	staleTime      = 10 * time.Second
	staleHops      = 8 // beyond those that its last OGM took
)

// hopsTo is how many hops a packet in transit to o may still take. Routes to a
// node that is out of reach stay as they are until they are purged, 200 s
// later, and may be a loop: then packets shall not run round until their TTL
// ends, each 50 times.
func (m *Mesh) hopsTo(now mono.Time, o *Originator) uint8 {
	if now.Sub(o.lastSeen) < max(staleTime, staleIntervals*m.cfg.OrigInterval) || len(o.routes) == 0 {
		return batman.TTL
	}
	return min(batman.TTL, batman.TTL-min(batman.TTL, o.routes[0].lastTTL)+staleHops)
}

// best returns the way with the highest metric for a slot; nil if none is
// usable.
func (m *Mesh) best(o *Originator, s int) (best *Neighbour) {
	for _, n := range o.neighbours {
		if q := m.quality(n, s); q > 0 && (best == nil || q > m.quality(best, s)) {
			best = n
		}
	}
	return best
}
