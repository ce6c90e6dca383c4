package mesh

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// How long a next hop is avoided that takes packets and does not bring them
// on, at first and at most.
const (
	avoidFirst = 5 * time.Second
	avoidMost  = 80 * time.Second
	maxAvoid   = 8 // next hops of one originator
	// avoidFresh is how lately OGMs must have come by another way.
	avoidFresh = 10 * time.Second
)

// avoidMark is a next hop towards an originator that is not used for packets
// of this node.
type avoidMark struct {
	mac   batman.MAC
	hi    *HardIface
	until mono.Time
	time  time.Duration // how long it was avoided the last time
}

// Avoid tells that packets to an originator get lost on the present way though
// its OGMs arrive: another next hop is taken for those of this node, if there
// is one. The one left is tried again after 5 s, and after twice as long each
// time, up to 80 s. It reports whether there was another.
func (m *Mesh) Avoid(now mono.Time, mac batman.MAC, out *Out) bool {
	o := m.originator(mac)
	if o == nil {
		return false
	}
	n := m.localHop(now, o)
	if n == nil || m.detour(now, o, n) == nil {
		return false
	}
	k := -1
	for i := range o.id.avoid {
		if a := &o.id.avoid[i]; a.mac == n.MAC && a.hi == n.hi {
			k = i
		}
	}
	if k < 0 {
		if len(o.id.avoid) >= maxAvoid {
			copy(o.id.avoid, o.id.avoid[1:])
			o.id.avoid = o.id.avoid[:maxAvoid-1]
		}
		o.id.avoid = append(o.id.avoid, avoidMark{mac: n.MAC, hi: n.hi})
		k = len(o.id.avoid) - 1
	}
	a := &o.id.avoid[k]
	if a.time = min(2*a.time, avoidMost); a.time == 0 || now.Sub(a.until) > 2*avoidMost {
		a.time = avoidFirst
	}
	a.until = now.Add(a.time)
	m.stats.avoided++
	out.Events = append(out.Events, Event{Kind: EventRoute, Orig: mac, Next: m.detour(now, o, nil).MAC, Text: "instead of " + n.MAC.String() + ", which loses packets"})
	return true
}

// localHop is the next hop of packets of this node towards o.
func (m *Mesh) localHop(now mono.Time, o *Originator) *Neighbour {
	n := m.nextHop(o, nil)
	if len(o.id.avoid) > 0 && n != nil && o.avoided(now, n) {
		if d := m.detour(now, o, nil); d != nil {
			return d
		}
	}
	return m.stay(now, o, n)
}

// stayTime is how long packets of this node keep a next hop that is nearly as
// good as the best one: at least stayShare quarters of it. The one they left
// they do not go back to in that time, however good it is, unless OGMs stopped
// coming by the new one. Two ways whose quality goes up and down would else
// take turns.
const (
	stayTime  = 10 * time.Second
	stayShare = 3
	// No OGM for so many intervals and no shorter is silence. On a bad way some
	// are lost one after the other, and going back may wait longer than staying.
	silentStay, silentBack = 5, 8
	silentBackTime         = 4 * time.Second
)

// hop is the next hop that packets of this node take.
type hop struct {
	n, left *Neighbour // left: the one before
	since   mono.Time
}

// stay returns the next hop in use if there is no good reason to leave it for
// best.
func (m *Mesh) stay(now mono.Time, o *Originator, best *Neighbour) *Neighbour {
	h := &o.id.hop
	if m.id.self == nil || m.cfg.Bonding || best == nil || best == h.n {
		h.n = best
		return best
	}
	// A route that is gone must not be kept alive by this.
	if h.n != nil && now.Sub(h.since) < stayTime && slices.Contains(o.neighbours, h.n) && !o.avoided(now, h.n) {
		silent := now.Sub(h.n.lastSeen)
		if best == h.left && silent < max(silentBack*m.cfg.OrigInterval, silentBackTime) ||
			silent < silentStay*m.cfg.OrigInterval && 4*uint64(m.quality(h.n, 0)) >= stayShare*uint64(m.quality(best, 0)) {
			return h.n
		}
	}
	h.n, h.left, h.since = best, h.n, now
	return best
}

// avoided reports whether n is not to be used now.
func (o *Originator) avoided(now mono.Time, n *Neighbour) bool {
	for i := range o.id.avoid {
		if a := &o.id.avoid[i]; a.mac == n.MAC && a.hi == n.hi && now < a.until {
			return true
		}
	}
	return false
}

// detour returns the best way to o that is neither avoided nor not; nil if
// there is none by which OGMs came lately.
func (m *Mesh) detour(now mono.Time, o *Originator, not *Neighbour) (best *Neighbour) {
	for _, n := range o.neighbours {
		if n == not || o.avoided(now, n) || now.Sub(n.lastSeen) >= max(avoidFresh, staleIntervals*m.cfg.OrigInterval) || m.quality(n, 0) == 0 {
			continue
		}
		if best == nil || m.quality(n, 0) > m.quality(best, 0) {
			best = n
		}
	}
	return best
}
