package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// maxOrigDiff is how many OGMs a way must be ahead to become the route though
// its throughput is no better. Source: batman-adv main.h, OGM_MAX_ORIGDIFF.
const maxOrigDiff = 5

// vRouting is the node's own OGM2: there is one for all interfaces.
type vRouting struct {
	seqno  uint32 // of the next one
	sendAt mono.Time
	begun  bool
}

// vOrig is what decides about OGMs of an originator, by outgoing slot.
type vOrig struct{ slots []vOrigSlot }

type vOrigSlot struct {
	known     bool // the route's lastSeqno means something
	sent      bool // an OGM was forwarded
	forwarded uint32
}

func (o *vOrig) slot(s int) *vOrigSlot {
	for len(o.slots) <= s {
		o.slots = append(o.slots, vOrigSlot{})
	}
	return &o.slots[s]
}

// vNeigh is what is known of one way, by outgoing slot.
type vNeigh struct {
	slots []vSlot
	hard  *HardNeigh
}

// vSlot is the last OGM that came by this way.
type vSlot struct {
	throughput uint32 // after penalties
	seqno      uint32
}

func (n *vNeigh) slot(s int) *vSlot {
	for len(n.slots) <= s {
		n.slots = append(n.slots, vSlot{})
	}
	return &n.slots[s]
}

// throughput is the metric of the way for a slot, in units of 100 kbit/s.
func (n *vNeigh) throughput(s int) uint32 {
	if s < len(n.slots) {
		return n.slots[s].throughput
	}
	return 0
}

// used notes that unicast went this way: its link needs no probe.
func (n *vNeigh) used() {
	if n.hard != nil {
		n.hard.v.used = true
	}
}

// sendOGM2 begins the node's next OGM. The translation table commits now.
// Source: batman-adv bat_v_ogm.c, batadv_v_ogm_send_meshif.
func (m *Mesh) sendOGM2(now mono.Time, out *Out) {
	v := &m.routing.v
	v.sendAt = now.Add(m.cfg.OrigInterval - ogmJitter + m.jitter(2*ogmJitter))
	if m.primary == nil {
		return
	}
	if m.idHold(now, m.primary) {
		v.sendAt = mono.Min(m.primary.idHold, now.Add(holdStep))
		m.idSignRecord(now, out)
		return
	}
	tvlvs := m.appendTVLVs(now, m.routing.tvlvs[:0], batman.OGM2Len, out)
	m.routing.tvlvs = tvlvs
	o := batman.OGM2{TTL: batman.TTL, Seqno: v.seqno, Orig: m.self(), Throughput: throughputMax}
	v.seqno++
	for _, hi := range m.ifaces {
		if hi != nil && hi.active && len(hi.neighbours) > 0 {
			m.queueOGM2(now, hi, o, tvlvs, out)
		}
	}
	m.idSignRecord(now, out)
}

// rxOGM2 takes a frame of OGMs. The type byte tells padding from another OGM.
// Source: batman-adv bat_v_ogm.c, batadv_v_ogm_packet_recv.
func (m *Mesh) rxOGM2(now mono.Time, r rx, p []byte, out *Out) {
	m.stats.mgmtRx++
	m.stats.mgmtRxBytes += uint64(len(p))
	hn := r.hi.neighbour(r.src)
	if hn == nil || !hn.v.heard { // no ELP came yet
		m.countOn(r.hi, dropNeighbour)
		return
	}
	if len(p) < batman.OGM2Len {
		m.countOn(r.hi, dropRunt)
	}
	for len(p) >= batman.OGM2Len && p[0] == byte(batman.TypeOGM2) {
		o, tvlvs, size, err := batman.ParseOGM2(p)
		if err != nil {
			m.countOn(r.hi, dropMalformed)
			return
		}
		m.processOGM2(now, r, hn, o, p[:size], tvlvs, out)
		p = p[size:]
	}
}

// processOGM2 takes one OGM. Its throughput becomes that of the path: the
// least of what it says and of the link that it came by.
func (m *Mesh) processOGM2(now mono.Time, r rx, hn *HardNeigh, p batman.OGM2, raw, tvlvs []byte, out *Out) {
	switch {
	case !p.Orig.IsStation():
		m.countOn(r.hi, dropMalformed)
		return
	case m.isMine(p.Orig):
		return // our own comes back
	case p.Throughput == 0:
		m.countOn(r.hi, dropOGM)
		return
	}
	id, ok := m.idOGM(now, r, p.Orig, p.Seqno, raw, tvlvs, out)
	if !ok {
		return
	}
	o := m.obtain(now, p.Orig, r.src, out)
	if o == nil {
		return
	}
	m.idTaken(now, r, o, p.Seqno, id, out)
	n := o.way(r.src, r.hi)
	if n == nil {
		if n = m.addWay(now, o, r.src, r.hi); n == nil {
			return
		}
	}
	n.v.hard = hn
	p.Throughput = min(p.Throughput, hn.v.throughput.read())
	m.ogm2For(now, o, n, p, tvlvs, nil, out)
	for _, hi := range m.ifaces {
		if hi != nil && hi.active && hi.wantsOGM2(p.Orig, hn.Orig) {
			m.ogm2For(now, o, n, p, tvlvs, hi, out)
		}
	}
}

// wantsOGM2 reports whether somebody on hi may need an OGM of orig that came
// from a station of the node from. Source: batman-adv hard-interface.c,
// batadv_hardif_no_broadcast.
func (hi *HardIface) wantsOGM2(orig, from batman.MAC) bool {
	switch len(hi.neighbours) {
	case 0:
		return false
	case 1:
		n := hi.neighbours[0]
		return n.Orig != orig && n.Orig != from
	}
	return true
}

// ogm2For processes an OGM that came by n for one outgoing interface; nil is
// the default.
func (m *Mesh) ogm2For(now mono.Time, o *Originator, n *Neighbour, p batman.OGM2, tvlvs []byte, via *HardIface, out *Out) {
	s := slot(via)
	newer, why, ok := m.noteOGM2(now, o, n, p, via)
	if !ok {
		m.countOn(n.hi, why)
		return
	}
	if newer && via == nil {
		m.ogmTVLVs(now, o, tvlvs, out)
	}
	m.chooseOGM2(now, o, n, s, out)
	if via != nil {
		m.forwardOGM2(now, o, n, p, tvlvs, via, out)
	}
}

// noteOGM2 keeps what the OGM says of the way n for one slot. newer: it is no
// second copy. Old ones are refused, and far jumps for 30 s after one.
// Source: batman-adv bat_v_ogm.c, batadv_v_ogm_metric_update.
func (m *Mesh) noteOGM2(now mono.Time, o *Originator, n *Neighbour, p batman.OGM2, via *HardIface) (newer bool, why dropReason, ok bool) {
	s := slot(via)
	rt, known := o.routeOf(now, s), o.v.slot(s)
	diff := int32(p.Seqno - rt.lastSeqno)
	jump := known.known && (diff <= -windowSize || diff >= seqnoRange)
	switch {
	case jump:
		if now.Sub(rt.resetAt) < resetProtection {
			return false, dropProtected, false
		}
		rt.resetAt = now
		// What the other ways said last counts from here, else their old
		// numbers could be ahead for ever.
		for _, other := range o.neighbours {
			other.v.slot(s).seqno = p.Seqno - 1
		}
	case known.known && diff < 0:
		return false, dropDuplicate, false
	}
	newer = jump || !known.known || diff > 0
	known.known = true
	n.lastSeen, o.lastSeen = now, now
	rt.lastSeqno, rt.lastTTL = p.Seqno, p.TTL
	*n.v.slot(s) = vSlot{afterPenalty(p.Throughput, n.hi, via, m.cfg.HopPenalty), p.Seqno}
	return newer, 0, true
}

// chooseOGM2 makes n the route for a slot if its throughput is higher, or if
// the present one fell silent. Source: batman-adv bat_v_ogm.c,
// batadv_v_ogm_route_update.
func (m *Mesh) chooseOGM2(now mono.Time, o *Originator, n *Neighbour, s int, out *Out) {
	router := o.routes[s].router
	if router == n {
		return
	}
	if router != nil {
		old, this := router.v.slot(s), n.v.slot(s)
		if int32(this.seqno-old.seqno) < maxOrigDiff && old.throughput >= this.throughput {
			return
		}
	}
	m.setRoute(now, o, s, n, out)
}

// forwardOGM2 sends an OGM on: only that of the best next hop, and every
// number once on an interface. TVLVs go on untouched. A throughput of zero is
// not worth the air: everybody drops it.
// Source: batman-adv bat_v_ogm.c, batadv_v_ogm_forward.
func (m *Mesh) forwardOGM2(now mono.Time, o *Originator, n *Neighbour, p batman.OGM2, tvlvs []byte, via *HardIface, out *Out) {
	s := slot(via)
	v := o.v.slot(s)
	if o.routes[s].router != n || v.sent && v.forwarded == p.Seqno {
		return
	}
	p.Throughput = n.v.throughput(s)
	if p.Throughput == 0 {
		return
	}
	v.sent, v.forwarded = true, p.Seqno
	if p.TTL <= 1 {
		m.countOn(n.hi, dropTTL)
		return
	}
	p.TTL--
	m.queueOGM2(now, via, p, tvlvs, out)
}
