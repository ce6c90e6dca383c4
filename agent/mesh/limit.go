package mesh

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds of the routing tables beside MaxOriginators. Nothing of B.A.T.M.A.N.
// is authenticated, so all of this can be invented by any station in range; the
// rules are that invented entries cost bounded memory and never displace what
// works.
const (
	maxHardNeigh  = 256 // stations on one interface
	maxNeighbours = 128 // ways to one originator
	// The first freeWays ways of every originator are its own; all others share
	// maxExtraWays, so that no flood of ways leaves an originator without any.
	freeWays     = 4
	maxExtraWays = 16384
	// maxStrangers is how many originators without a route there may be if
	// stations without a route add them. The others keep half of the table.
	maxStrangers = MaxOriginators / 2
	// quiet is how long an entry that is no route was silent at least before it
	// makes room for another.
	quiet = 30 * time.Second
	// quietRoute is the same for an originator that has a route.
	quietRoute = purgeNeighbour / 2
)

// Rates. A station to which there is a route has its own buckets; all others
// share strangerCells cells by the hash of their address.
const (
	newOrigTime  = 50 * time.Millisecond // originators that a station may add: 200 in a row, then 20 a second
	newOrigBurst = 200

	// OGMs of any originator that a station may bring: a table full each
	// second if there is a route to it, else what a few nodes need to be found.
	ogmTime, ogmBurst                 = 200 * time.Microsecond, 5000
	strangerOGMTime, strangerOGMBurst = 2 * time.Millisecond, 1000

	// OGMs of its own that a neighbour may have sent on. The kernel allows
	// intervals down to 40 ms.
	directTime, directBurst = 20 * time.Millisecond, 50

	strangerCells = 64
)

// stationLimits are the buckets of one station, or of a cell of strangers.
type stationLimits struct {
	newcomers mono.Bucket // originators that it adds
	ogms      mono.Bucket // OGMs that it brings
	direct    mono.Bucket // OGMs of its own
	hashes    mono.Bucket // of chains, beyond the free ones of each OGM
}

// cell returns the buckets that a stranger shares. The salt keeps others from
// choosing addresses that hit one cell.
func (r *routing) cell(from batman.MAC) *stationLimits {
	h := r.salt
	for _, b := range from {
		h = (h ^ uint32(b)) * 16777619
		h ^= h >> 15
	}
	return &r.strangers[h%strangerCells]
}

// newcomers returns the bucket of new entries that an unknown station may add.
func (r *routing) newcomers(from batman.MAC) *mono.Bucket { return &r.cell(from).newcomers }

// station returns the buckets of a station, and whether there is a route to
// it: then it is no stranger.
func (m *Mesh) station(from batman.MAC) (l *stationLimits, routed bool) {
	if o := m.origs[from]; o != nil && m.router(o, nil) != nil {
		return &o.limits, true
	}
	return m.routing.cell(from), false
}

// takeOGM reports whether the station may bring one more OGM now.
func (m *Mesh) takeOGM(now mono.Time, from batman.MAC) bool {
	l, routed := m.station(from)
	if routed {
		return l.ogms.Take(now, ogmTime, ogmBurst)
	}
	return l.ogms.Take(now, strangerOGMTime, strangerOGMBurst)
}

// admit reports whether a station may add an originator now, and makes room.
func (m *Mesh) admit(now mono.Time, from batman.MAC, out *Out) bool {
	l, routed := m.station(from)
	if !l.newcomers.Take(now, newOrigTime, newOrigBurst) {
		m.lose(dropRateLimit)
		return false
	}
	full := len(m.origs) >= MaxOriginators
	if !routed {
		full = full || len(m.origs)-m.routing.routed >= maxStrangers
	}
	if full && !m.evict(now, routed, out) {
		m.lose(dropTableFull)
		return false
	}
	return true
}

// evict makes room for an originator: that goes to which there is no route and
// which was silent for the longest time, else one with a route that fell
// silent. Strangers have to wait until it was quiet; a station with a route
// goes before originators that have none.
func (m *Mesh) evict(now mono.Time, routed bool, out *Out) bool {
	again := &m.routing.evictAt[0]
	if routed {
		again = &m.routing.evictAt[1]
	}
	if now < *again {
		return false // looked through in vain a moment ago
	}
	var old, oldRouted *Originator
	for _, o := range m.origList {
		switch {
		case m.router(o, nil) == nil:
			if old == nil || o.lastSeen < old.lastSeen {
				old = o
			}
		case oldRouted == nil || o.lastSeen < oldRouted.lastSeen:
			oldRouted = o
		}
	}
	switch {
	case old != nil && (routed || now.Sub(old.lastSeen) >= quiet):
	case oldRouted != nil && len(m.origs) >= MaxOriginators && now.Sub(oldRouted.lastSeen) >= quietRoute:
		old = oldRouted
	default:
		*again = now.Add(100 * time.Millisecond)
		return false
	}
	m.forget(now, old, out)
	return true
}

// extraWays returns how many of an originator's n ways are not its own.
func extraWays(n int) int { return max(0, n-freeWays) }

// roomForWay reports whether o may get one more way. If it has too many, the
// one that is no route and was quiet for the longest time makes room.
func (m *Mesh) roomForWay(now mono.Time, o *Originator) bool {
	if n := len(o.neighbours); n < maxNeighbours && (n < freeWays || m.routing.extra < maxExtraWays) {
		return true
	}
	old := -1
	for i, n := range o.neighbours {
		if now.Sub(n.lastSeen) >= quiet && !o.routesBy(n) && (old < 0 || n.lastSeen < o.neighbours[old].lastSeen) {
			old = i
		}
	}
	if old < 0 {
		return false
	}
	m.routing.extra += extraWays(len(o.neighbours)-1) - extraWays(len(o.neighbours))
	o.neighbours = slices.Delete(o.neighbours, old, old+1)
	return true
}

// roomForStation reports whether hi may get one more neighbour. If there are
// too many, the one that was quiet for the longest time makes room.
func (m *Mesh) roomForStation(now mono.Time, hi *HardIface) bool {
	if len(hi.neighbours) < maxHardNeigh {
		return true
	}
	old := 0
	for i, n := range hi.neighbours {
		if n.lastSeen < hi.neighbours[old].lastSeen {
			old = i
		}
	}
	if now.Sub(hi.neighbours[old].lastSeen) < quiet {
		return false
	}
	hi.neighbours = slices.Delete(hi.neighbours, old, old+1)
	return true
}
