package node

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
	"github.com/meshagent/meshagent/agent/switchcore"
)

// controlWord is the first word of a control frame, where a data frame has
// its handle.
const controlWord = 0xffffffff

// directLabel is the label that a frame from us has when it arrives at the
// router of a direct peer: one four-bit director is used up, and ours, slot 1
// reversed, stands at the top.
const (
	directLabel = cjdns.Label(0x8000000000000001)
	directShift = 4
)

// pingPeer pings p: in its session if there is one, else in a hello.
func (n *Node) pingPeer(now mono.Time, p *Peer, out *Out) {
	n.sendPing(now, p, p.addr, p.ca.HasCandidate(), out)
}

// sendPing sends a switch ping to p's router at addr; with candidate, in the
// handshake that is going on.
func (n *Node) sendPing(now mono.Time, p *Peer, addr pkt.Addr, candidate bool, out *Out) {
	if now.Sub(p.cookieAt) > answerTime || p.cookieAt == 0 {
		// A cookie lives for a while, so that the answer to the first of
		// several repeats counts.
		n.cfg.Rand(p.cookie[:])
		p.cookieAt = now
	}
	p.lastPing = now
	if !candidate && p.ca.CanSend() {
		p.unproven = mono.Min(p.unproven, now)
	}
	if candidate || !p.ca.CanSend() {
		n.introduce(now, p, addr, out)
	}
	n.sendDirect(now, p, addr, cjdns.Control{
		Type: cjdns.CtrlPing, Version: Protocol, Opaque: p.cookie[:],
	}, candidate, out)
}

// sendDirect sends a control frame to the router of a direct peer, which need
// not have a slot yet.
func (n *Node) sendDirect(now mono.Time, p *Peer, addr pkt.Addr, c cjdns.Control, candidate bool, out *Out) {
	l := n.link(p.link)
	if l == nil || !l.up || addr.Kind == pkt.AddrNone {
		return
	}
	b := out.Pool.Get()
	f := cjdns.SwitchHeader{
		Label: directLabel, LabelShift: directShift, Version: 1, TrafficClass: switchTClass,
	}.Append(n.scratch[:0])
	if !b.Set(c.Append(f)) {
		n.drop(b, dropControl, out)
		return
	}
	var err error
	if candidate {
		err = p.ca.SealCandidate(now, b)
	} else {
		err = p.ca.Seal(now, b)
	}
	if err != nil {
		n.drop(b, dropAuth, out)
		return
	}
	n.sendSealed(now, p, l, addr, b, out)
}

// sendSealed sends a packet that is already encrypted for p.
func (n *Node) sendSealed(now mono.Time, p *Peer, l *link, addr pkt.Addr, b *pkt.Buf, out *Out) {
	if p.asking == mono.Never {
		p.asking = now
		n.hurry(now)
	}
	p.bytesOut += uint64(b.Len())
	b.Port, b.Addr = p.link, addr
	n.transmit(l, b, out)
}

// handshakePayload takes what came inside a handshake packet of p: it proves
// nothing, so only pings and their answers for our own router are read.
func (n *Node) handshakePayload(now mono.Time, p *Peer, b *pkt.Buf, out *Out) {
	defer out.Pool.Put(b)
	h, err := cjdns.ParseSwitchHeader(b.Bytes())
	if err != nil || h.Label&0xff != 1 {
		n.drops[dropRunt]++
		return
	}
	c, err := cjdns.ParseControl(b.Bytes()[cjdns.SwitchHeaderLen:])
	if err != nil {
		n.drops[dropControl]++
		return
	}
	switch c.Type {
	case cjdns.CtrlPing:
		n.peerVersion(now, p, c.Version, out)
		n.sendDirect(now, p, b.Addr, cjdns.Control{
			Type: cjdns.CtrlPong, Version: Protocol, Opaque: c.Opaque,
		}, p.ca.HasCandidate(), out)
		n.calledAgain(now, p, out)
	case cjdns.CtrlPong:
		n.peerPong(now, p, &c, out)
	}
}

// peerVersion notes which protocol p speaks.
func (n *Node) peerVersion(now mono.Time, p *Peer, v uint32, out *Out) {
	if v == 0 || p.version == v && p.up {
		return
	}
	p.version = v
	// Only traffic of this instant is a proof: a ping in a hello is none.
	if !p.up && p.lastIn == now && p.ca.Established() {
		n.peerUp(now, p, out)
	}
}

// pinged notes a ping of p. If it pings again so soon, it does not hear us,
// which we would not notice as long as its own packets come: so ask.
func (n *Node) pinged(now mono.Time, p *Peer, out *Out) {
	before := p.herPing
	p.herPing = now
	if before == 0 || now.Sub(before) >= againTime || p.unproven != mono.Never || now.Sub(p.lastPing) < answerTime {
		return
	}
	n.pingPeer(now, p, out)
	p.unproven = before // since then she has not heard us, unless this is answered
	n.hurry(now)
}

// calledAgain notes a hello of p though its session stands: it may have heard
// nothing of us for renewTime, which we would not notice as long as we only
// answer. So ask, and do not wait for long.
func (n *Node) calledAgain(now mono.Time, p *Peer, out *Out) {
	if !p.up || !n.onMesh(p) {
		return
	}
	if p.unproven == mono.Never {
		n.pingPeer(now, p, out)
	}
	p.unproven = mono.Min(p.unproven, now.Add(answerTime/2-greyTime))
	n.hurry(now)
}

// peerPong takes the answer to our ping.
func (n *Node) peerPong(now mono.Time, p *Peer, c *cjdns.Control, out *Out) {
	if string(c.Opaque) != string(p.cookie[:]) || p.cookieAt == 0 {
		return
	}
	p.unproven = mono.Never
	rtt := now.Sub(p.cookieAt)
	if p.rtt == 0 {
		p.rtt = rtt
	} else {
		p.rtt += (rtt - p.rtt) / 8
	}
	p.cookieAt = 0
	n.peerVersion(now, p, c.Version, out)
}

// fromSwitch takes a decrypted frame of peer p, whose switch header leads
// either to our own router or on to another peer.
func (n *Node) fromSwitch(now mono.Time, p *Peer, b *pkt.Buf, out *Out) {
	if !p.hasPort {
		// Not yet up, because its version is unknown: only control frames.
		n.handshakePayload(now, p, b, out)
		return
	}
	var cause [switchcore.CauseHead]byte
	f := b.Bytes()
	copy(cause[:], f)
	to, err := switchcore.Forward(&n.ports, p.port, f)
	if err != nil {
		n.forwardError(now, p, b, &cause, err, out)
		return
	}
	if to == switchcore.Self {
		n.toRouter(now, p, b, out)
		return
	}
	q := n.byPort[to]
	n.carried(now, p, out)
	if q != nil {
		q.used = now
	}
	n.sendTo(now, q, b, out)
}

// sendTo encrypts a frame for the peer q and sends it; it takes b.
func (n *Node) sendTo(now mono.Time, q *Peer, b *pkt.Buf, out *Out) {
	if q == nil || !q.up {
		n.drop(b, dropPortDown, out)
		return
	}
	l := n.link(q.link)
	if l == nil || !l.up {
		n.drop(b, dropPortDown, out)
		return
	}
	if err := q.ca.Seal(now, b); err != nil {
		n.drop(b, dropAuth, out)
		return
	}
	if l.MTU != 0 && b.Len() > l.MTU {
		n.drop(b, dropTooBig, out)
		return
	}
	n.sendSealed(now, q, l, q.addr, b, out)
}

var forwardReasons = map[error]reason{
	switchcore.ErrMalformedAddress:  dropMalformed,
	switchcore.ErrUndeliverable:     dropPortDown,
	switchcore.ErrReturnPathInvalid: dropReturnPath,
	switchcore.ErrLabelShift:        dropLabelSpent,
	switchcore.ErrShort:             dropRunt,
}

// forwardError counts a frame that could not be forwarded and tells its
// sender. The error goes back out of the slot on which the frame came.
func (n *Node) forwardError(now mono.Time, p *Peer, b *pkt.Buf, cause *[switchcore.CauseHead]byte, err error, out *Out) {
	n.drops[forwardReasons[err]]++
	copy(b.Bytes(), cause[:])
	if !switchcore.MayError(b.Bytes()) || switchcore.Code(err) == 0 || !n.errorFrames.take(now) {
		out.Pool.Put(b)
		return
	}
	e := out.Pool.Get()
	e.Set(switchcore.AppendErrorFrame(n.scratch[:0], b.Bytes(), switchcore.Code(err)))
	out.Pool.Put(b)
	n.sendTo(now, p, e, out)
}

// toRouter takes a frame for our own router. Its switch header holds the way
// back.
func (n *Node) toRouter(now mono.Time, p *Peer, b *pkt.Buf, out *Out) {
	if b.Len() < cjdns.SwitchHeaderLen+4 {
		n.drop(b, dropRunt, out)
		return
	}
	f := b.Bytes()
	back := cjdns.Label(binary.BigEndian.Uint64(f)).Reverse()
	word := binary.BigEndian.Uint32(f[cjdns.SwitchHeaderLen:])
	b.Pull(cjdns.SwitchHeaderLen)
	switch {
	case word == controlWord:
		n.handleControl(now, p, back, b, out)
	case word < 4:
		n.innerHandshake(now, p, back, b, out)
	default:
		n.innerTraffic(now, p, back, word, b, out)
	}
}

// sendControl sends a control frame along label, through our own switch.
func (n *Node) sendControl(now mono.Time, label cjdns.Label, c cjdns.Control, out *Out) {
	b := out.Pool.Get()
	if !b.Set(c.Append(n.scratch[:0])) {
		n.drop(b, dropControl, out)
		return
	}
	n.sendAlong(now, label, b, out)
}

// sendAlong puts a switch header in front of b and sends it along label. It
// takes b and reports whether the first hop exists.
func (n *Node) sendAlong(now mono.Time, label cjdns.Label, b *pkt.Buf, out *Out) bool {
	h := cjdns.SwitchHeader{Label: label, Version: 1, TrafficClass: switchTClass}
	h.Put(b.Push(cjdns.SwitchHeaderLen))
	to, err := switchcore.Forward(&n.ports, switchcore.Self, b.Bytes())
	if err != nil {
		n.drop(b, forwardReasons[err], out)
		return false
	}
	if to == switchcore.Self {
		n.drop(b, dropNoPort, out)
		return false
	}
	q := n.byPort[to]
	if q == nil || !q.up {
		n.drop(b, dropPortDown, out)
		return false
	}
	n.sendTo(now, q, b, out)
	return true
}

// handleControl takes a control frame for our router; back leads to its
// sender. It takes b.
func (n *Node) handleControl(now mono.Time, p *Peer, back cjdns.Label, b *pkt.Buf, out *Out) {
	defer out.Pool.Put(b)
	c, err := cjdns.ParseControl(b.Bytes())
	if err != nil {
		n.drops[dropControl]++
		return
	}
	reply := cjdns.Control{Version: Protocol, Opaque: c.Opaque}
	switch c.Type {
	case cjdns.CtrlPing:
		if back == p.label {
			n.peerVersion(now, p, c.Version, out)
			n.pinged(now, p, out)
		}
		reply.Type = cjdns.CtrlPong
	case cjdns.CtrlPong:
		if back == p.label {
			p.unproven = mono.Never
		}
		if back == p.label && string(c.Opaque) == string(p.cookie[:]) {
			n.peerPong(now, p, &c, out)
		} else {
			n.pingAnswered(now, back, &c, out)
		}
		return
	case cjdns.CtrlKeyPing:
		reply.Type, reply.Key = cjdns.CtrlKeyPong, n.self.Public
	case cjdns.CtrlKeyPong:
		n.keyPong(now, p, back, &c, out)
		return
	case cjdns.CtrlGetSnodeQuery:
		n.snodeReply(&reply, back)
		if back == p.label {
			n.super.client.Proposed(now, back, &c, &n.found)
		}
	case cjdns.CtrlGetSnodeReply, cjdns.CtrlRPathReply:
		if back == p.label {
			n.super.client.HandleControl(now, back, &c, &n.found)
		}
		return
	case cjdns.CtrlRPathQuery:
		reply.Type, reply.Path = cjdns.CtrlRPathReply, back
	case cjdns.CtrlLLAddrQuery:
		if !back.IsOneHop() {
			return
		}
		reply.Type, reply.LLAddr = cjdns.CtrlLLAddrReply, cjdns.LLAddrUDP(p.addr.AddrPort())
	case cjdns.CtrlError:
		n.handleError(now, back, &c, out)
		return
	default:
		return // answers to what we never ask
	}
	if !p.replies.take(now) {
		n.drops[dropBusy]++
		return
	}
	if back != p.label {
		n.sendControl(now, back, reply, out)
		return
	}
	// The answer takes the link that the question came by, whoever carries the
	// frames for its slot: the question is about the link. And it asks for none:
	// if it did, two idle nodes would ask each other for ever.
	asking := p.asking
	n.sendDirect(now, p, p.addr, reply, false, out)
	p.asking = asking
}
