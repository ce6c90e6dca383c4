package pathfinder

import (
	"bytes"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds of the store.
const (
	MaxNodes   = 256 // nodes beside the direct peers
	maxRoutes  = 4   // labels kept per node
	forgetTime = 5 * time.Minute
)

// Node is a node with one path to it: whom a message came from, or whom to
// send one to.
type Node struct {
	Key     cjdns.Key
	IP      cjdns.IP
	Version uint32
	Label   cjdns.Label
}

// Route is one way to a node, with what is known about it.
type Route struct {
	Label    cjdns.Label
	Heard    mono.Time // last time that somebody named it or traffic came along it
	Verified mono.Time // last authenticated answer along it; -1 never
	BadUntil mono.Time // not to be used before
	Measure
	Source Source
	fails  uint8
	metric uint8 // of a direct peer's link, 255 is perfect
}

type entry struct {
	key     cjdns.Key
	ip      cjdns.IP
	version uint32
	heard   mono.Time
	routes  []Route
	peer    cjdns.Label // one-hop label if it is a direct peer, else 0
	// nextWiden is when other ways may be asked for.
	nextWiden mono.Time
}

// Distance is the XOR of two addresses, their halves swapped: a node's place
// in the key space is its address's low half. Source: cjdns dht/Address.c.
type Distance [16]byte

// DistanceOf returns how far a lies from b.
func DistanceOf(a, b cjdns.IP) (d Distance) {
	for i := range d {
		j := (i + 8) % 16
		d[i] = a[j] ^ b[j]
	}
	return d
}

// Less reports whether d is nearer than e.
func (d Distance) Less(e Distance) bool { return bytes.Compare(d[:], e[:]) < 0 }

// learn stores that ip can be reached by label. It reports whether the route
// is new. Labels that cannot be used are ignored.
func (f *Finder) learn(now mono.Time, n Node) (e *entry, fresh bool) {
	if n.IP == f.selfIP || n.Label <= cjdns.SelfLabel || n.Label == cjdns.LabelInvalid || n.Label.Len() > maxLabelLen {
		return nil, false
	}
	e = f.nodes[n.IP]
	if e == nil {
		if len(f.nodes) >= MaxNodes+len(f.peers) && !f.evict(now, false) {
			return nil, false
		}
		e = &entry{key: n.Key, ip: n.IP}
		f.nodes[n.IP] = e
	}
	e.heard = now
	if n.Version != 0 {
		e.version = n.Version
	}
	for i := range e.routes {
		if e.routes[i].Label == n.Label {
			e.routes[i].Heard = now
			return e, false
		}
	}
	r := Route{Label: n.Label, Heard: now, Verified: -1}
	if len(e.routes) < maxRoutes {
		e.routes = append(e.routes, r)
		return e, true
	}
	worst := 0
	for i := range e.routes {
		if better(now, &e.routes[worst], &e.routes[i]) {
			worst = i
		}
	}
	if better(now, &e.routes[worst], &r) {
		return e, false
	}
	e.routes[worst] = r
	return e, true
}

// maxLabelLen is the longest label that fits the label field of a switch
// header together with what it gathers on its way.
// Source: cjdns switch/LabelSplicer.h.
const maxLabelLen = 59

// better reports whether route a is to be preferred to b: one that works over
// one that failed, one that answered within the last minute over a claim,
// then what was measured, a direct way being worth a fifth more; else a direct
// way, the one over the better link, and at last the shorter label, which is
// fewer hops or lower slots.
func better(now mono.Time, a, b *Route) bool {
	if ab, bb := now < a.BadUntil, now < b.BadUntil; ab != bb {
		return bb
	}
	if av, bv := recent(now, a), recent(now, b); av != bv {
		return av
	}
	ad, bd := a.Label.IsOneHop(), b.Label.IsOneHop()
	if a.measured(now) && b.measured(now) {
		ac, bc := a.cost(), b.cost()
		if !ad {
			ac = ac * 5 / 4
		}
		if !bd {
			bc = bc * 5 / 4
		}
		if ac != bc {
			return ac < bc
		}
	}
	if ad != bd {
		return ad
	}
	if ad && a.metric != b.metric {
		return a.metric > b.metric
	}
	if a.Label.Len() != b.Label.Len() {
		return a.Label.Len() < b.Label.Len()
	}
	return a.Label < b.Label
}

func recent(now mono.Time, r *Route) bool {
	return r.Verified >= 0 && now.Sub(r.Verified) < time.Minute
}

// best returns the route to use now, or nil.
func (e *entry) best(now mono.Time) *Route {
	var b *Route
	for i := range e.routes {
		if r := &e.routes[i]; now >= r.BadUntil && (b == nil || better(now, r, b)) {
			b = r
		}
	}
	return b
}

// evict makes room by forgetting a node that no answer has proven lately, the
// one not heard of for longest. A mere rumour pushes out nothing better than a
// rumour of more than a second ago: a flood of invented nodes must not empty
// the store. With force, for a direct peer, a proven one may go too. Direct
// peers stay.
func (f *Finder) evict(now mono.Time, force bool) bool {
	var old *entry
	for _, e := range f.nodes {
		if e.peer != 0 || !force && (e.proven(now) || now.Sub(e.heard) < time.Second) {
			continue
		}
		if old == nil || e.worseThan(now, old) {
			old = e
		}
	}
	if old == nil {
		return false
	}
	delete(f.nodes, old.ip)
	return true
}

// proven reports whether an answer came along one of its routes lately.
func (e *entry) proven(now mono.Time) bool {
	return slices.ContainsFunc(e.routes, func(r Route) bool { return recent(now, &r) })
}

func (e *entry) worseThan(now mono.Time, o *entry) bool {
	if ep, op := e.proven(now), o.proven(now); ep != op {
		return op
	}
	return e.heard < o.heard || e.heard == o.heard && bytes.Compare(e.ip[:], o.ip[:]) < 0
}

// prune forgets what nobody has named for a while.
func (f *Finder) prune(now mono.Time) {
	for ip, e := range f.nodes {
		if e.peer != 0 {
			continue
		}
		e.routes = slices.DeleteFunc(e.routes, func(r Route) bool { return now.Sub(r.Heard) > forgetTime })
		if len(e.routes) == 0 {
			delete(f.nodes, ip)
		}
	}
}

// nearest returns up to n usable nodes, the nearest to target first, leaving
// out those that skip names.
func (f *Finder) nearest(now mono.Time, target cjdns.IP, n int, skip func(*entry) bool) []*entry {
	var list []*entry
	for _, e := range f.nodes {
		if e.best(now) != nil && e.version != 0 && !skip(e) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *entry) int {
		da, db := DistanceOf(a.ip, target), DistanceOf(b.ip, target)
		return bytes.Compare(da[:], db[:])
	})
	return list[:min(n, len(list))]
}
