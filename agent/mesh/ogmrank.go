package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// linkQuality returns the TQ of an OGM after the link by which it came from
// the station whose entry is from. Source: batman-adv bat_iv_ogm.c,
// batadv_iv_ogm_calc_tq.
func (m *Mesh) linkQuality(now mono.Time, r rx, o, from *Originator, tq uint8, via *HardIface) uint8 {
	n := from.way(r.src, r.hi)
	if n == nil {
		if n = m.addWay(now, from, r.src, r.hi); n == nil {
			return 0
		}
	}
	if o == from {
		n.lastSeen = now
	}
	o.lastSeen = now
	ifp := 255 - uint32(r.hi.HopPenalty)
	if via == r.hi && r.hi.Wifi { // the air cannot be heard and used at once
		ifp = ifp * (255 - uint32(m.cfg.HopPenalty)) / 255
	}
	return linkTQ(tq, from.iv.echoOf(r.hi).count(), n.iv.slot(slot(via)).real.count(), ifp)
}

// forgetGap is how many OGMs of an originator have to be of no use until what the
// other ways were worth before counts no more.
const forgetGap = 2 * ringSize

// rank notes the TQ for the sender and chooses it if it is better; if it is
// equal, the first hop decides that hears us better. What is new is a zero for
// all other ways. Other than in the kernel, it is the end of what they were
// worth if nothing was heard for long: relics of a node that was out of reach
// may be a loop, and would live for five OGMs more.
// Source: batman-adv bat_iv_ogm.c, batadv_iv_ogm_orig_update.
func (m *Mesh) rank(now mono.Time, r rx, o *Originator, p batman.OGM, state dupState, s int, out *Out) {
	n := o.way(r.src, r.hi)
	if n == nil {
		if n = m.addWay(now, o, r.src, r.hi); n == nil {
			return
		}
	}
	rt := &o.routes[s]
	if state == newOGM {
		gap := int32(p.Seqno - rt.ranked)
		for _, other := range o.neighbours {
			switch {
			case other == n:
			case gap >= forgetGap && gap < windowSize:
				other.iv.slot(s).ring = tqRing{}
			default:
				other.iv.slot(s).ring.push(0)
			}
		}
		rt.lastTTL, rt.ranked = p.TTL, p.Seqno
	}
	n.lastSeen = now
	n.iv.slot(s).ring.push(p.TQ)
	router := rt.router
	if router == n {
		return
	}
	if router != nil {
		a, b := m.quality(router, s), m.quality(n, s)
		if a > b || a == b && m.echoes(router) >= m.echoes(n) {
			return
		}
	}
	m.setRoute(now, o, s, n, out)
}

// echoes is how well the first hop of a way hears us.
func (m *Mesh) echoes(n *Neighbour) int {
	if o := m.originator(n.MAC); o != nil {
		return o.iv.echoOf(n.hi).count()
	}
	return 0
}
