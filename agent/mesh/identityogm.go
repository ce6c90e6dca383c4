package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
)

// ownSeqno is the number of the next OGM of hi; in B.A.T.M.A.N. V there is one
// for all.
func (m *Mesh) ownSeqno(hi *HardIface) uint32 {
	if m.cfg.Algo == BatmanV {
		return m.routing.v.seqno
	}
	return hi.iv.seqno
}

// idHold reports whether an OGM of hi has to wait: the first ones of a run
// bring the record along, else those who know the node would refuse them.
func (m *Mesh) idHold(now mono.Time, hi *HardIface) bool {
	return m.id.self != nil && now < hi.idHold && !m.id.self.Ready(hi.MAC)
}

// idReady lets OGMs go that waited for the record.
func (m *Mesh) idReady(now mono.Time) {
	for _, hi := range m.ifaces {
		if hi == nil || !hi.active || now >= hi.idHold || !m.id.self.Ready(hi.MAC) {
			continue
		}
		hi.idHold = 0
		if m.cfg.Algo == BatmanIV {
			hi.iv.sendAt = mono.Min(hi.iv.sendAt, now.Add(m.jitter(ogmJitter)))
		} else if len(hi.neighbours) > 0 {
			m.vAnnounce(now)
		}
	}
}

// idAppend appends our container for the next OGM of the primary interface.
// room is what there is for it and the translation table. The record is put
// off for a few OGMs if else changes of the table would have to be left out,
// which all others would ask for.
func (m *Mesh) idAppend(now mono.Time, dst []byte, room int, out *Out) []byte {
	s := m.id.self
	if s == nil || m.primary == nil {
		return dst
	}
	e, ok := s.Element(m.self(), m.ownSeqno(m.primary))
	if !ok {
		m.idUnsigned(out)
		return dst
	}
	due, putOff := s.RecordDue()
	with := due && identity.ContainerSize+len(s.Record()) <= room && m.fitsLinks(batman.MaxOGM-room+identity.ContainerSize+len(s.Record()))
	if with && putOff {
		with = identity.ContainerSize+len(s.Record())+m.ttNeeds() <= room
	}
	return s.Append(dst, m.cfg.containerType(), e, due, with)
}

// fitsLinks reports whether a flooded packet of that size goes over all links.
func (m *Mesh) fitsLinks(size int) bool {
	for _, hi := range m.ifaces {
		if hi != nil && hi.active && hi.MTU < size {
			return false
		}
	}
	return true
}

// ttNeeds is how many bytes the translation table would like to have in the
// next OGM.
func (m *Mesh) ttNeeds() int {
	t := &m.tt
	n := batman.TVLVLen + batman.TTLen + len(t.vlans)*batman.TTVLANLen
	switch {
	case len(t.dirty) > 0:
		if d := len(t.dirty) * batman.TTEntryLen; n+d <= batman.MaxOGM-batman.OGMLen-2*identity.ContainerSize {
			n += d
		} // else they do not fit anyway
	case t.rides > 0:
		n += len(t.diff)
	}
	return n
}

// idAppendSecond appends the containers for an OGM of another interface than
// the primary one: ours, and that the interface wants no multicast, which a
// node that sends containers has to say.
func (m *Mesh) idAppendSecond(dst []byte, hi *HardIface) []byte {
	s := m.id.self
	if s == nil {
		return dst
	}
	e, ok := s.Element(hi.MAC, hi.iv.seqno)
	if !ok {
		return dst
	}
	dst = batman.AppendMulticastFlags(dst, mcastNothing)
	return s.AppendOther(dst, m.cfg.containerType(), e)
}

// idUnsigned tells once that OGMs go unsigned.
func (m *Mesh) idUnsigned(out *Out) {
	if !m.id.unsigned {
		m.id.unsigned = true
		out.Events = append(out.Events, Event{Kind: EventIdentity, Orig: m.self(), Text: notCapable})
	}
}

// ogmID is what identities have to do with an OGM that is taken.
type ogmID struct {
	begin, ask, has bool
	elem            identity.Element
}

// idOGM looks at an OGM before anything else is done with it: if it reports
// false, the OGM is refused or has to wait. raw is all of it.
func (m *Mesh) idOGM(now mono.Time, r rx, mac batman.MAC, seqno uint32, raw, tvlvs []byte, out *Out) (id ogmID, ok bool) {
	if m.id.self == nil {
		return id, true
	}
	l, routed := m.station(r.src)
	o := identity.OGM{MAC: mac, Seqno: seqno, Routed: routed, Held: identity.Held{Raw: raw, Port: r.hi.index, Src: r.src, Dst: r.dst}}
	o.Container, o.Has = identity.FindContainer(tvlvs, m.cfg.containerType())
	budget := min(l.hashes.Left(now, hashTime, hashBurst), m.id.hashes.Left(now, hashAllTime, hashAllBurst))
	spent := budget
	v := m.id.known.Check(now, &o, &budget)
	if spent -= budget; spent > 0 {
		m.stats.idHashes += uint64(spent)
		l.hashes.TakeN(now, spent, hashTime, hashBurst)
		m.id.hashes.TakeN(now, spent, hashAllTime, hashAllBurst)
	}
	m.idNext(now, out)
	if m.cfg.RequireSigned != SignOff {
		if v.Heard != nil {
			m.idChallenge(now, mac, v.Heard, &r, routed, out)
		}
		if v.Rival != nil {
			m.idChallenge(now, mac, v.Rival, nil, routed, out)
		}
	}
	if v.Bad {
		m.countOn(r.hi, dropBadRecord)
		m.idReport(now, mac, dropBadRecord, out)
	}
	if why, refused := m.refusal(v.Result); refused {
		m.countOn(r.hi, why)
		m.idReport(now, mac, why, out)
		if m.cfg.RequireSigned != SignOff {
			if v.Ask {
				m.idAsk(now, mac, &r, routed, out)
			}
			return id, false
		}
	}
	if v.Result == identity.Wait && m.cfg.RequireSigned != SignOff {
		return id, false
	}
	return ogmID{v.Begin, v.Ask, o.Has, o.Element}, true
}

// attacks says what a refusal is evidence of.
var attacks = map[dropReason]string{
	dropForged:    "somebody sends OGMs in its name that are not its own (forged)",
	dropStripped:  "somebody sends OGMs in its name without its identity (stripped)",
	dropBadRecord: "somebody sends OGMs in its name with a record that is none, or another's (bad-record)",
}

// idReport tells of an attack: of the same one once a minute, and of all
// together once in reportTime.
func (m *Mesh) idReport(now mono.Time, mac batman.MAC, why dropReason, out *Out) {
	text := attacks[why]
	r := &m.id.reported
	if text == "" || r.at != 0 && (now.Sub(r.at) < reportTime || r.mac == mac && r.why == why && now.Sub(r.at) < reportAgain) {
		return
	}
	r.mac, r.why, r.at = mac, why, now
	out.Events = append(out.Events, Event{Kind: EventIdentity, Orig: mac, Text: text})
}

// refusal translates a result.
func (m *Mesh) refusal(r identity.Result) (why dropReason, refused bool) {
	switch r {
	case identity.Forged:
		return dropForged, true
	case identity.Stripped:
		return dropStripped, true
	case identity.Unchecked:
		return dropUnchecked, true
	case identity.Past:
		return dropDuplicate, true
	case identity.Conflict:
		return dropConflict, true
	case identity.BadRecord:
		return dropBadRecord, true
	}
	return 0, false
}

// idTaken is called with an OGM of o that was not refused, before anything is
// done with it.
func (m *Mesh) idTaken(now mono.Time, r rx, o *Originator, seqno uint32, id ogmID, out *Out) {
	if id.has {
		o.id.at, o.id.seen = now, true
		o.id.seqno, o.id.elem = seqno, id.elem
	}
	if m.id.self == nil {
		return
	}
	m.idRefresh(now, o)
	if id.begin && m.cfg.RequireSigned != SignOff {
		m.idBegin(now, o, seqno, out)
	}
	if id.ask {
		_, routed := m.station(r.src)
		m.idAsk(now, o.MAC, &r, routed, out)
	}
}

// idAgain takes an OGM that had to wait.
func (m *Mesh) idAgain(now mono.Time, h identity.Held, out *Out) {
	hi := m.iface(h.Port)
	if hi == nil || !hi.active {
		m.lose(dropIfaceDown)
		return
	}
	m.rxOn = hi
	defer func() { m.rxOn = nil }()
	r := rx{hi, h.Src, h.Dst}
	if m.cfg.Algo == BatmanIV {
		if o, _, size, err := batman.ParseOGM(h.Raw); err == nil {
			m.processOGM(now, r, ogmIn{o, h.Raw[:size]}, out)
		}
		return
	}
	hn := hi.neighbour(h.Src)
	if o, tvlvs, _, err := batman.ParseOGM2(h.Raw); err == nil && hn != nil {
		m.processOGM2(now, r, hn, o, h.Raw, tvlvs, out)
	}
}

// closeBy is how far the number of the first OGM that fits may be ahead of the
// last one that was taken, so that nothing speaks for an impostor before.
const closeBy = windowSize

// idBegin lets the windows of o, its protection against jumps, and its clients
// begin anew: an impostor may have been there, or it is another run. If the
// numbers go on, the windows stay: they took no harm.
func (m *Mesh) idBegin(now mono.Time, o *Originator, seqno uint32, out *Out) {
	goesOn := true
	for s := range o.routes {
		rt := &o.routes[s]
		rt.resetAt = now.Add(-resetProtection - 1)
		if d := int32(seqno - rt.lastSeqno); d > -4 && d <= closeBy {
			continue
		}
		goesOn = goesOn && s != 0
		rt.known = false
		if s < len(o.v.slots) {
			o.v.slots[s].known, o.v.slots[s].sent = false, false
		}
		for _, n := range o.neighbours {
			if s < len(n.iv.slots) {
				n.iv.slots[s] = ivSlot{}
			}
			if s < len(n.v.slots) {
				n.v.slots[s].seqno = seqno - 1
			}
		}
	}
	if !goesOn {
		m.ttWipe(o)
		o.tt.known, o.tt.asked, o.tt.diff, o.tt.short = false, false, nil, false
	}
	o.id.confirmed = false
	m.idRefresh(now, o)
	m.idDigest(o)
	m.idTell(now, o, false, out)
}
