package mesh

import (
	"slices"

	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
)

// routingStatus adds the neighbours, and the originators with their ways: the
// best one first. Originators without a route are left out.
func (m *Mesh) routingStatus(now mono.Time, s *Status) {
	for _, hi := range m.ifaces {
		if hi != nil {
			m.neighbourStatus(now, hi, s)
		}
	}
	list := slices.Clone(m.origList)
	slices.SortFunc(list, func(a, b *Originator) int { return a.MAC.Compare(b.MAC) })
	for _, o := range list {
		best := m.router(o, nil)
		if best == nil {
			continue
		}
		s.Originators = append(s.Originators, m.wayStatus(now, best, true))
		for _, n := range o.neighbours {
			if n != best {
				s.Originators = append(s.Originators, m.wayStatus(now, n, false))
			}
		}
	}
}

func (m *Mesh) neighbourStatus(now mono.Time, hi *HardIface, s *Status) {
	for _, n := range hi.neighbours {
		ns := NeighbourStatus{MAC: n.MAC, Iface: hi.Name, LastSeen: now.Sub(n.lastSeen), Throughput: n.v.throughput.read()}
		if n.mtu.known {
			ns.MTU = n.mtu.current()
		}
		if n.radio != nil {
			r := *n.radio
			ns.Radio = &r
		}
		if o := m.originator(n.MAC); o != nil && m.cfg.Algo == BatmanIV {
			if w := o.way(n.MAC, hi); w != nil {
				ns.TQ = uint8(m.quality(w, 0))
			}
		}
		s.Neighbours = append(s.Neighbours, ns)
	}
}

func (m *Mesh) wayStatus(now mono.Time, n *Neighbour, best bool) OriginatorStatus {
	r := OriginatorStatus{MAC: n.orig.MAC, Best: best, LastSeen: now.Sub(n.orig.lastSeen), Next: n.MAC, Iface: n.hi.Name}
	if q := m.quality(n, 0); m.cfg.Algo == BatmanV {
		r.Throughput = q
	} else {
		r.TQ = uint8(q)
	}
	m.idStatus(now, n.orig, &r)
	return r
}

// idStatus adds what is known of the identity of o.
func (m *Mesh) idStatus(now mono.Time, o *Originator, r *OriginatorStatus) {
	if m.id.self == nil {
		return
	}
	r.Identity = "-"
	if o.id.seen && now.Sub(o.id.at) < pendingTime {
		r.Identity = "pending"
	}
	if n := m.id.known.Node(now, o.MAC); n != nil {
		r.Key, r.IP, r.Uplink, r.Alive = n.Key, n.IP, n.Flags&identity.FlagUplink != 0, n.Alive()
		r.Identity = n.IP.String()
	}
	switch m.id.known.State(now, o.MAC) {
	case identity.StateForged:
		r.Identity = "forged"
	case identity.StateStripped:
		r.Identity = "stripped"
	case identity.StateConflict:
		r.Identity = "conflict"
	}
}
