package pathfinder

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds of the store.
const (
	MaxNodes   = 256 // nodes beside the direct peers
	maxRoutes  = 4   // labels kept per node
	maxSilent  = 2   // questions without an answer, after which a way rests
	makeRoom   = 8   // nodes that a full store forgets at once
	forgetTime = 5 * time.Minute
	// keepTime is forgetTime for ways that have answered: a table that is at
	// rest asks each node once in a long while.
	keepTime = 4 * time.Hour
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
	Verified mono.Time // last authenticated answer along it; -1 never, or it has failed since
	Last     mono.Time // the same, whether it has failed since or not
	BadUntil mono.Time // not to be used before
	Measure
	Source Source
	fails  uint8
	silent uint8 // questions in a row without an answer
	metric uint8 // of a direct peer's link, 255 is perfect
}

type entry struct {
	key     cjdns.Key
	ip      cjdns.IP
	version uint32
	heard   mono.Time
	routes  []Route
	peer    cjdns.Label // one-hop label if it is a direct peer, else 0
	placed  bool        // it had a place in its bucket when that was looked at last
	asked   mono.Time   // when maintenance asked it last; 0 never
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
		// Whom a search looks for is worth more than what was only named.
		if f.full() && !f.evict(now, f.searches[n.IP] != nil) {
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
	r := Route{Label: n.Label, Heard: now, Verified: -1, Last: -1}
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

// full reports whether there is no room for another node.
func (f *Finder) full() bool { return len(f.nodes) >= MaxNodes+len(f.peers) }

// evict makes room by forgetting some nodes: of those without a place in their
// bucket first those that were only named, the ones not heard of for longest.
// A mere rumour pushes out nothing better than a rumour of more than a second
// ago: a flood of invented nodes must not empty the store. For a node that has
// spoken itself, proven, one that has answered but has no place may go too, and
// a rumour that has one. Direct peers stay.
func (f *Finder) evict(now mono.Time, proven bool) bool {
	f.place(now)
	var list []*entry
	for _, e := range f.nodes {
		if e.peer == 0 && (proven || !e.answered() && now.Sub(e.heard) >= time.Second) && !(e.placed && e.answered()) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *entry) int {
		if av, bv := a.answered(), b.answered(); av != bv {
			return -order(av)
		}
		if a.placed != b.placed {
			return -order(a.placed)
		}
		if a.heard != b.heard {
			return order(a.heard < b.heard)
		}
		return bytes.Compare(a.ip[:], b.ip[:])
	})
	for i, e := range list[:min(makeRoom, len(list))] {
		if i > 0 && e.answered() {
			break // one is enough
		}
		delete(f.nodes, e.ip)
	}
	return len(list) > 0
}

// evictAny forgets the node not heard of for longest that is no direct peer,
// for one that is.
func (f *Finder) evictAny() {
	var old *entry
	for _, e := range f.nodes {
		if e.peer == 0 && (old == nil || e.heard < old.heard || e.heard == old.heard && bytes.Compare(e.ip[:], old.ip[:]) < 0) {
			old = e
		}
	}
	if old != nil {
		delete(f.nodes, old.ip)
	}
}

// prune forgets what nobody has named, and what has not answered, for a while.
func (f *Finder) prune(now mono.Time) {
	for ip, e := range f.nodes {
		if e.peer != 0 {
			continue
		}
		e.routes = slices.DeleteFunc(e.routes, func(r Route) bool {
			return now.Sub(r.Heard) > forgetTime && (r.Verified < 0 || now.Sub(r.Verified) > keepTime)
		})
		if len(e.routes) == 0 {
			delete(f.nodes, ip)
		}
	}
}

// nearest returns up to n usable nodes, those that have answered first, and of
// these the nearest to target, leaving out those that skip names. The target
// itself comes first in any case.
func (f *Finder) nearest(now mono.Time, target cjdns.IP, n int, skip func(*entry) bool) []*entry {
	var list []*entry
	for _, e := range f.nodes {
		if e.best(now) != nil && e.version != 0 && !skip(e) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *entry) int {
		if av, bv := a.answered() || a.ip == target, b.answered() || b.ip == target; av != bv {
			return order(av)
		}
		return compareDistance(a.ip, b.ip, target)
	})
	return list[:min(n, len(list))]
}

// sortNearest sorts list, the nearest to target first.
func sortNearest(list []*entry, target cjdns.IP) {
	slices.SortFunc(list, func(a, b *entry) int { return compareDistance(a.ip, b.ip, target) })
}

// compareDistance orders a and b by their distance from target.
func compareDistance(a, b, target cjdns.IP) int {
	t := binary.BigEndian.Uint64(target[8:])
	if c := cmp.Compare(binary.BigEndian.Uint64(a[8:])^t, binary.BigEndian.Uint64(b[8:])^t); c != 0 {
		return c
	}
	t = binary.BigEndian.Uint64(target[:])
	return cmp.Compare(binary.BigEndian.Uint64(a[:])^t, binary.BigEndian.Uint64(b[:])^t)
}
