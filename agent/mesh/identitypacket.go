package mesh

import (
	"slices"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// overlayIsMine reports whether a packet between agents ends here.
func (m *Mesh) overlayIsMine(p []byte) bool {
	dest, ok := batman.Dest(p)
	return ok && m.isMine(dest)
}

// rxOverlay takes a packet between agents that is for this node. It takes b.
func (m *Mesh) rxOverlay(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	h, content, err := identity.ParseHeader(b.Bytes())
	switch {
	case err != nil, m.isMine(h.Src):
		m.dropOn(r.hi, b, dropMalformed, out)
		return
	case h.Kind == identity.KindFrame:
		b.Pull(identity.HeaderLen)
		b.Port, b.Addr = 0, pkt.MACAddr(h.Src)
		m.stats.overlayRx++
		m.stats.overlayRxBytes += uint64(b.Len())
		out.Overlay.Add(b)
		return
	}
	if why, ok := m.rxAgent(now, r, h, content, out); !ok {
		m.countOn(r.hi, why)
	}
	out.Pool.Put(b)
	m.idNext(now, out)
}

// rxAgent takes a packet that is about identities.
func (m *Mesh) rxAgent(now mono.Time, r rx, h identity.Header, content []byte, out *Out) (why dropReason, ok bool) {
	_, routed := m.station(r.src)
	o := m.originator(h.Src)
	if o == nil {
		return dropUnknownOrig, false
	}
	switch h.Kind {
	case identity.KindRequest:
		known, err := identity.ParseRequest(content)
		rec := m.id.self.Record()
		switch {
		case err != nil:
			return dropMalformed, false
		case rec == nil, !o.id.answers.Take(now, answerOne, answerOneMax), !m.id.answers.Take(now, answerTime, answerBurst):
			return dropRateLimit, false
		}
		if known == identity.RecordID(rec) && len(m.id.say.Certs) == 0 {
			return 0, true
		}
		m.sendAgent(now, o, &r, identity.KindRecord, identity.AppendRecord(nil, rec, m.id.say.Certs), out)
		return 0, true
	case identity.KindRecord:
		if at, ok := m.id.asked[h.Src]; !ok || now.Sub(at) >= askLife {
			return dropUnasked, false
		}
		rec, certs, err := identity.ParseRecordPacket(content)
		if err != nil {
			return dropMalformed, false
		}
		last := identity.OGM{MAC: h.Src, Seqno: o.id.seqno, Has: o.id.seen, Container: identity.Container{Element: o.id.elem}, Routed: routed, Held: identity.Held{Src: r.src}}
		n, ok := m.id.known.Record(now, &last, rec, certs)
		if !ok {
			return dropBadRecord, false
		}
		delete(m.id.asked, h.Src)
		if n != nil && o.id.told.Reachable && o.id.told.Key == n.Key {
			c := o.id.told
			c.Certs = certs
			out.Nodes = append(out.Nodes, c)
		}
		return 0, true
	case identity.KindChallenge:
		n, err := identity.ParseChallenge(content)
		switch {
		case err != nil:
			return dropMalformed, false
		case len(m.id.signs) >= maxSigns || !m.id.alive.Take(now, aliveTime, aliveBurst):
			return dropRateLimit, false
		}
		m.id.signs = append(m.id.signs, &idSign{kind: identity.KindAnswer, dst: h.Src, nonce: n, by: r})
		return 0, true
	case identity.KindAnswer:
		if !m.id.known.Answer(now, h.Src, m.self(), r.src, routed, content) {
			return dropUnasked, false
		}
		return 0, true
	case identity.KindRoam:
		if !m.id.known.Roaming(now, h.Src, m.self(), r.src, routed, content) {
			return dropForgedRoam, false
		}
		return 0, true
	}
	return dropType, false
}

// sendAgent sends a packet about identities to o by the way to it, or, as there
// may be none yet, to the station by, from which something of it came.
func (m *Mesh) sendAgent(now mono.Time, o *Originator, by *rx, kind uint8, content []byte, out *Out) {
	if by != nil && m.router(o, nil) == nil {
		m.sendBack(now, o, by, kind, content, out)
		return
	}
	if b := m.agentPacket(o.MAC, kind, content, out); b != nil {
		m.sendTo(now, o, nil, b, out)
	}
}

// sendBack sends a packet about identities to o by the station from which an
// OGM of it came: the way to it may be another one's work, or dead.
func (m *Mesh) sendBack(now mono.Time, o *Originator, by *rx, kind uint8, content []byte, out *Out) {
	b := m.agentPacket(o.MAC, kind, content, out)
	switch {
	case b == nil:
	case b.Len() <= by.hi.mtuTo(by.src):
		m.transmit(by.hi, by.src, b, out)
	default:
		m.sendTo(now, o, nil, b, out)
	}
}

// agentPacket makes the packet; nil if there is no interface.
func (m *Mesh) agentPacket(dst batman.MAC, kind uint8, content []byte, out *Out) *pkt.Buf {
	if m.primary == nil {
		m.drops[dropNoPrimary]++
		return nil
	}
	b := out.Pool.Get()
	b.Set(content)
	m.putAgent(b, dst, kind)
	return b
}

func (m *Mesh) putAgent(b *pkt.Buf, dst batman.MAC, kind uint8) {
	identity.Header{Type: m.cfg.packetType(), TTL: batman.TTL, Dst: dst, Src: m.self(), Kind: kind}.Put(b.Push(identity.HeaderLen))
}

// SendOverlay sends a CryptoAuth frame of the node to the originator b.Addr.
// It takes b.
func (m *Mesh) SendOverlay(now mono.Time, b *pkt.Buf, out *Out) {
	dst := batman.MAC(b.Addr.MAC())
	o := m.originator(dst)
	switch {
	case m.primary == nil:
		m.drop(b, dropNoPrimary, out)
	case o == nil:
		m.drop(b, dropUnknownOrig, out)
	case !b.CanPush(identity.HeaderLen + batman.FragmentLen + batman.EthLen):
		m.drop(b, dropTooBig, out)
	default:
		m.stats.overlayTx++
		m.stats.overlayTxBytes += uint64(b.Len())
		m.putAgent(b, dst, identity.KindFrame)
		m.sendTo(now, o, nil, b, out)
	}
}

// AskRecord asks an originator for its record and certificates, at most once a
// second.
func (m *Mesh) AskRecord(now mono.Time, mac batman.MAC, out *Out) {
	if at, ok := m.id.asked[mac]; m.id.self == nil || ok && now.Sub(at) < askWanted {
		return
	}
	delete(m.id.asked, mac)
	m.idAsk(now, mac, nil, true, out)
}

// idAsk asks for the record of mac: by the station by, if that brought an OGM
// of it, else by the way to it. routed says whether the reason came from a station with a route.
func (m *Mesh) idAsk(now mono.Time, mac batman.MAC, by *rx, routed bool, out *Out) {
	asks := &m.id.asks[0]
	if !routed {
		asks = &m.id.asks[1]
	}
	o := m.originator(mac)
	if o == nil && by == nil {
		return
	}
	if o == nil {
		o = &Originator{MAC: mac} // only a name
	}
	if at, ok := m.id.asked[mac]; ok && now.Sub(at) < askAgain || len(m.id.asked) >= maxAsked || !asks.Take(now, askTime, askBurst) {
		return
	}
	m.id.asked[mac] = now
	var known identity.ID
	if n := m.id.known.Node(now, mac); n != nil {
		known = n.ID
	}
	if content := identity.AppendRequest(nil, known); by != nil {
		m.sendBack(now, o, by, identity.KindRequest, content, out)
	} else {
		m.sendAgent(now, o, nil, identity.KindRequest, content, out)
	}
}

// idChallenge asks a node whether it is alive: by the station by, if that just
// brought an OGM of it, else by the way to it.
func (m *Mesh) idChallenge(now mono.Time, mac batman.MAC, n *identity.Node, by *rx, routed bool, out *Out) {
	o := m.originator(mac)
	if o == nil {
		return
	}
	asks := &m.id.asks[0]
	if !routed {
		asks = &m.id.asks[1]
	}
	nonce, ok := identity.Nonce{}, false
	if asks.Left(now, askTime, askBurst) > 0 {
		if nonce, ok = m.id.known.Challenge(now, n, m.random); ok {
			asks.Take(now, askTime, askBurst)
		}
	}
	switch content := identity.AppendChallenge(nil, nonce); {
	case !ok:
	case by != nil:
		m.sendBack(now, o, by, identity.KindChallenge, content, out)
	default:
		m.sendAgent(now, o, nil, identity.KindChallenge, content, out)
	}
}

// idNextSign lets the next packet be signed.
func (m *Mesh) idNextSign(now mono.Time, out *Out) {
	d := &m.id
	if d.signing && now.Sub(d.signBegun) >= signLife { // the job was lost
		d.signing = false
		d.signs = slices.Delete(d.signs, 0, 1)
	}
	if d.signing || len(d.signs) == 0 || m.primary == nil {
		return
	}
	s := d.signs[0]
	if s.kind == identity.KindRoam {
		s.job = d.self.RoamJob(m.self(), s.dst, s.moved)
	} else {
		s.job = d.self.AnswerJob(m.self(), s.dst, s.nonce)
	}
	d.signing, d.signBegun = true, now
	m.stats.idSigned++
	out.Jobs = append(out.Jobs, s.job)
}

// idSend sends the packet whose signature is there.
func (m *Mesh) idSend(now mono.Time, j *identity.Job, out *Out) {
	d := &m.id
	s := d.signs[0]
	d.signing = false
	d.signs = slices.Delete(d.signs, 0, 1)
	content, ok := j.Content()
	o := m.originator(s.dst)
	switch {
	case !ok || o == nil:
	case s.by.hi != nil && s.by.hi.active:
		m.sendAgent(now, o, &s.by, s.kind, content, out)
	default:
		m.sendAgent(now, o, nil, s.kind, content, out)
	}
}

// idRoam tells o, which is verified, that a client of its is here now. If too
// many wait to be told something, it has to learn it from the next OGM.
func (m *Mesh) idRoam(now mono.Time, o *Originator, k ttKey, out *Out) {
	d := &m.id
	c := identity.Moved{MAC: k.mac, VID: k.vid}
	for i, s := range d.signs {
		if s.kind == identity.KindRoam && s.dst == o.MAC && len(s.moved) < identity.MaxRoam && (i > 0 || !d.signing) {
			s.moved = append(s.moved, c)
			return
		}
	}
	if len(d.signs) >= maxSigns {
		m.lose(dropQueueFull)
		return
	}
	d.signs = append(d.signs, &idSign{kind: identity.KindRoam, dst: o.MAC, moved: []identity.Moved{c}})
	m.idNextSign(now, out)
}

// idRoamed takes a roaming packet that was verified.
func (m *Mesh) idRoamed(now mono.Time, v identity.Outcome, out *Out) {
	for _, c := range v.Roam.Clients {
		m.ttRoam(now, v.MAC, batman.Roam{Client: c.MAC, VID: c.VID}, out)
	}
}
