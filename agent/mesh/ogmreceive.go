package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// rxOGM takes a frame of OGMs. The type byte tells padding from another OGM.
// Source: batman-adv bat_iv_ogm.c, batadv_iv_ogm_receive and _process.
func (m *Mesh) rxOGM(now mono.Time, r rx, p []byte, out *Out) {
	m.stats.mgmtRx++
	m.stats.mgmtRxBytes += uint64(len(p))
	if len(p) < batman.OGMLen {
		m.countOn(r.hi, dropRunt)
		return
	}
	for len(p) >= batman.OGMLen && p[0] == byte(batman.TypeIVOGM) {
		o, _, size, err := batman.ParseOGM(p)
		if err != nil {
			m.countOn(r.hi, dropMalformed)
			return
		}
		if !m.takeOGM(now, r.src) {
			m.countOn(r.hi, dropRateLimit)
			return
		}
		m.processOGM(now, r, ogmIn{o, p[:size:size]}, out)
		p = p[size:]
	}
}

// ogmIn is an OGM on its way through the node: its fields, whose TQ changes on
// the way, and the bytes as they came.
type ogmIn struct {
	batman.OGM
	raw []byte
}

func (p *ogmIn) tvlvs() []byte { return p.raw[batman.OGMLen:] }

// processOGM takes one OGM. One that is forwarded only for the sake of the
// originator's echo count, and one that comes back to us, mean nothing else.
func (m *Mesh) processOGM(now mono.Time, r rx, p ogmIn, out *Out) {
	switch {
	case !p.Orig.IsStation():
		m.countOn(r.hi, dropMalformed)
		return
	case m.isMine(p.Orig):
		m.echo(r, p.OGM)
		return
	case m.isMine(p.Prev):
		m.countOn(r.hi, dropEcho)
		return
	case p.Flags&batman.NotBestNextHop != 0:
		m.countOn(r.hi, dropNotBest)
		return
	}
	id, ok := m.idOGM(now, r, p.Orig, p.Seqno, p.raw, p.tvlvs(), out)
	if !ok {
		return
	}
	o := m.obtain(now, p.Orig, r.src, out)
	if o == nil {
		return
	}
	m.idTaken(now, r, o, p.Seqno, id, out)
	if r.src == p.Orig && !o.limits.direct.Take(now, directTime, directBurst) {
		m.countOn(r.hi, dropRateLimit)
		return
	}
	m.ogmFor(now, r, o, p, nil, out)
	for _, hi := range m.ifaces {
		if hi != nil && hi.active {
			m.ogmFor(now, r, o, p, hi, out)
		}
	}
}

// echo counts a neighbour's rebroadcast of our own OGM, if it heard it
// directly and we hear it where we sent it. A neighbour of which no own OGM
// came yet does not count. Source: batman-adv bat_iv_ogm.c,
// batadv_iv_ogm_process_reply.
func (m *Mesh) echo(r rx, p batman.OGM) {
	if p.Flags&batman.DirectLink == 0 || p.Orig != r.hi.MAC {
		return
	}
	n := m.originator(r.src)
	if n == nil || len(n.routes) <= slot(r.hi) {
		return
	}
	if diff := int32(r.hi.iv.seqno - 1 - p.Seqno); diff >= 0 && diff < windowSize {
		*n.iv.echoOf(r.hi) |= 1 << uint(diff)
	}
}

// dupState tells what the windows know of an OGM.
type dupState uint8

const (
	newOGM   dupState = iota
	origDup           // it came by another neighbour
	neighDup          // it came by this one
	tooFar            // protected against jumps
)

// updateWindows notes the OGM for one slot. A jump of the sequence number is
// taken for a restart, but only once in 30 s. Other than in the kernel, the
// first number of an originator is no jump: so a node that restarts soon after
// it was found is not refused. Source: batman-adv bat_iv_ogm.c,
// batadv_iv_ogm_update_seqnos.
func (m *Mesh) updateWindows(now mono.Time, r rx, o *Originator, seqno uint32, s int) dupState {
	rt := o.routeOf(now, s)
	if len(o.neighbours) == 0 {
		return newOGM
	}
	diff := int32(seqno - rt.lastSeqno)
	if !rt.known {
		rt.known, diff = true, seqnoRange
	} else if diff <= -windowSize || diff >= seqnoRange {
		if now.Sub(rt.resetAt) < resetProtection {
			return tooFar
		}
		rt.resetAt = now
	}
	state, moved := newOGM, false
	for _, n := range o.neighbours {
		w := &n.iv.slot(s).real
		mine := n.MAC == r.src && n.hi == r.hi
		if w.has(-diff) {
			if mine {
				state = neighDup
			} else if state == newOGM {
				state = origDup
			}
		}
		moved = w.mark(diff, mine) || moved
	}
	if moved {
		rt.lastSeqno = seqno
	}
	return state
}

// ogmFor processes an OGM for one outgoing interface; nil is the default, in
// which nothing is forwarded. Source: batman-adv bat_iv_ogm.c,
// batadv_iv_ogm_process_per_outif.
func (m *Mesh) ogmFor(now mono.Time, r rx, o *Originator, p ogmIn, via *HardIface, out *Out) {
	s, single := slot(via), r.src == p.Orig
	state := m.updateWindows(now, r, o, p.Seqno, s)
	switch {
	case state == tooFar:
		m.countFor(r.hi, via, dropProtected)
		return
	case p.TQ == 0:
		m.countFor(r.hi, via, dropOGM)
		return
	}
	if single && via == nil {
		m.hardNeigh(now, r.hi, r.src)
	}
	router := m.router(o, via)
	best := router != nil && m.quality(router, s) != 0 && router.MAC == r.src
	if router != nil && router.MAC == p.Prev && p.Orig != p.Prev && m.pointsBack(router, via) {
		m.countFor(r.hi, via, dropLoop) // the sender has it from our own next hop
		return
	}
	if via == nil {
		m.ogmTVLVs(now, o, p.tvlvs(), out) // also over links that are of no use
	}
	from := o
	if !single {
		if from = m.obtain(now, r.src, r.src, out); from == nil {
			return
		}
		if m.router(from, via) == nil {
			m.countFor(r.hi, via, dropNoRoute)
			return
		}
	}
	p.TQ = m.linkQuality(now, r, o, from, p.TQ, via)
	bidirectional := p.TQ >= 1
	if rt := &o.routes[s]; bidirectional && (state == newOGM || p.Seqno == rt.lastSeqno && int(p.TTL) >= int(rt.lastTTL)-3) {
		m.rank(now, r, o, p.OGM, state, s, out)
	}
	switch {
	case via == nil:
	case single && p.TTL <= 2 && r.hi != via: // of a secondary interface
	case single || bidirectional && state != neighDup:
		m.forwardOGM(now, r, p, via, single, best, out)
	}
}

// countFor counts an OGM that ends in the default slot; those of the other
// slots are the same OGM.
func (m *Mesh) countFor(in, via *HardIface, why dropReason) {
	if via == nil {
		m.countOn(in, why)
	}
}

// pointsBack reports whether the way to the router's own originator leads to
// the router itself: then it is a neighbour in use, and no relic.
func (m *Mesh) pointsBack(router *Neighbour, via *HardIface) bool {
	n := m.originator(router.MAC)
	if n == nil {
		return false
	}
	r := m.router(n, via)
	return r != nil && r.MAC == router.MAC
}

// forwardOGM rebroadcasts on one interface. Only the TTL, two flags, the
// previous sender and the TQ change; TVLVs go on untouched. What did not come
// by the best next hop goes on only if the originator itself sent it, and says
// so: it is for the originator's echo count. DIRECTLINK is for the interface
// by which it came. Source: batman-adv bat_iv_ogm.c, batadv_iv_ogm_forward.
func (m *Mesh) forwardOGM(now mono.Time, r rx, p ogmIn, via *HardIface, single, best bool, out *Out) {
	if p.TTL <= 1 {
		m.countOn(r.hi, dropTTL)
		return
	}
	p.Flags &^= batman.DirectLink
	if !best {
		if !single {
			return
		}
		p.Flags |= batman.NotBestNextHop
	}
	if single && via == r.hi {
		p.Flags |= batman.DirectLink
	}
	p.TTL--
	p.Prev, p.TQ = r.src, afterHop(p.TQ, m.cfg.HopPenalty)
	m.routing.queue.forward(m, now, via, p, single, out)
}
