package mesh

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Originator is a node of the mesh, or another hard interface of one.
type Originator struct {
	MAC        batman.MAC
	lastSeen   mono.Time
	neighbours []*Neighbour // ways to it: who sent its OGMs, by which interface
	routes     []route      // best of them: [0] for local traffic, then by outgoing interface
	limits     stationLimits

	iv    ivOrig    // ogm.go
	v     vOrig     // ogm2.go
	bcast bcastOrig // broadcast.go
	frag  fragOrig  // fragmentation.go
	tt    ttOrig    // translationtable.go
	gw    batman.Gateway
	dat   datOrig
	mcast mcastOrig
	id    idOrig // identity.go
}

// Neighbour is one way to an originator: through the station MAC, heard on hi.
type Neighbour struct {
	MAC      batman.MAC
	limit    uint16 // what the link to MAC carries, if that is less than the interface's MTU; else 0
	large    bool   // a packet that a short link would not carry went there; linkprobe.go
	hi       *HardIface
	orig     *Originator // whose entry this is
	lastSeen mono.Time
	iv       ivNeigh
	v        vNeigh
}

// HardNeigh is a station heard directly on a hard interface.
type HardNeigh struct {
	MAC      batman.MAC
	Orig     batman.MAC // its node's name, as far as known; else MAC
	hi       *HardIface
	lastSeen mono.Time
	v        vHardNeigh // elp.go
	radio    *Radio     // nil if no driver tells
	mtu      linkMTU    // linkprobe.go
	limit    int        // of mtu, that the ways by this station know
	told     int        // of mtu, that is in the log
}

// Life of routing entries. Source: batman-adv main.h.
const (
	purgeNeighbour  = 200 * time.Second
	purgeOriginator = 400 * time.Second
)

// originator returns the entry of mac; nil if there is none.
func (m *Mesh) originator(mac batman.MAC) *Originator { return m.origs[mac] }

// obtain returns the entry of mac and makes one if need be; nil if the table
// is full or from may not add more now.
func (m *Mesh) obtain(now mono.Time, mac, from batman.MAC, out *Out) *Originator {
	if o := m.origs[mac]; o != nil {
		return o
	}
	if !m.admit(now, from, out) {
		return nil
	}
	o := &Originator{MAC: mac, lastSeen: now}
	m.origs[mac] = o
	m.origList = append(m.origList, o)
	return o
}

// forget takes o out of the tables.
func (m *Mesh) forget(now mono.Time, o *Originator, out *Out) {
	m.abandon(now, o, out)
	if i := slices.Index(m.origList, o); i >= 0 {
		m.origList = slices.Delete(m.origList, i, i+1)
	}
}

// abandon takes o out of all tables but origList.
func (m *Mesh) abandon(now mono.Time, o *Originator, out *Out) {
	for s := range o.routes {
		m.setRoute(now, o, s, nil, out)
	}
	m.originatorGone(now, o, out)
	m.routing.extra -= extraWays(len(o.neighbours))
	o.neighbours = nil
	delete(m.origs, o.MAC)
}

// purge forgets what was silent for too long.
// Source: batman-adv originator.c, batadv_purge_orig_ref.
func (m *Mesh) purge(now mono.Time, out *Out) {
	m.origList = slices.DeleteFunc(m.origList, func(o *Originator) bool {
		if now.Sub(o.lastSeen) > purgeOriginator {
			m.abandon(now, o, out)
			return true
		}
		m.dropNeighbours(now, o, func(n *Neighbour) bool { return now.Sub(n.lastSeen) > purgeNeighbour }, out)
		return false
	})
	for _, hi := range m.ifaces {
		if hi != nil {
			hi.neighbours = slices.DeleteFunc(hi.neighbours, func(n *HardNeigh) bool { return now.Sub(n.lastSeen) > purgeNeighbour })
		}
	}
}

// dropNeighbours takes the ways that gone names away from o and chooses the
// best of the others.
func (m *Mesh) dropNeighbours(now mono.Time, o *Originator, gone func(*Neighbour) bool, out *Out) {
	before := len(o.neighbours)
	o.neighbours = slices.DeleteFunc(o.neighbours, gone)
	if len(o.neighbours) == before {
		return
	}
	m.routing.extra += extraWays(len(o.neighbours)) - extraWays(before)
	for s := range o.routes {
		if r := o.routes[s].router; r != nil && !slices.Contains(o.neighbours, r) {
			m.setRoute(now, o, s, m.best(o, s), out)
		}
	}
}

// way returns the entry of the way through station mac on hi.
func (o *Originator) way(mac batman.MAC, hi *HardIface) *Neighbour {
	for _, n := range o.neighbours {
		if n.MAC == mac && n.hi == hi {
			return n
		}
	}
	return nil
}

// addWay makes the entry of a way that o has not; nil if there is no room.
func (m *Mesh) addWay(now mono.Time, o *Originator, mac batman.MAC, hi *HardIface) *Neighbour {
	if !m.roomForWay(now, o) {
		m.countOn(hi, dropTableFull)
		return nil
	}
	n := &Neighbour{MAC: mac, hi: hi, orig: o, lastSeen: now}
	if h := hi.neighbour(mac); h != nil {
		n.limit = uint16(h.mtu.limit) //nolint:gosec // an MTU
	}
	m.routing.extra += extraWays(len(o.neighbours)+1) - extraWays(len(o.neighbours))
	o.neighbours = append(o.neighbours, n)
	return n
}

// hardNeigh returns the entry of a station heard directly on hi, and makes it;
// nil if there is no room.
func (m *Mesh) hardNeigh(now mono.Time, hi *HardIface, mac batman.MAC) *HardNeigh {
	if n := hi.neighbour(mac); n != nil {
		n.lastSeen = now
		return n
	}
	if !m.roomForStation(now, hi) {
		m.countOn(hi, dropTableFull)
		return nil
	}
	n := &HardNeigh{MAC: mac, Orig: mac, hi: hi, lastSeen: now}
	m.linkBegin(now.Add(linkFirst), n)
	hi.neighbours = append(hi.neighbours, n)
	return n
}
