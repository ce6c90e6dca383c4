package node

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
	"github.com/meshagent/meshagent/agent/session"
)

const (
	ip6HeaderLen = 40
	// hopLimit is what the receiver writes into the header it rebuilds.
	// Source: cjdns net/UpperDistributor.c, measured.
	hopLimit = 42
	// overhead is what a data packet gains on its way to the wire, without
	// the IPv6 header that it loses: outer CryptoAuth, switch header,
	// handle, inner CryptoAuth, data header.
	overhead = 20 + cjdns.SwitchHeaderLen + handleLen + 20 + cjdns.DataHeaderLen
	minMTU   = 1280
)

// handleTUN takes an IPv6 packet of a local program. It takes b.
func (n *Node) handleTUN(now mono.Time, b *pkt.Buf, out *Out) {
	p := b.Bytes()
	if len(p) < ip6HeaderLen || p[0]>>4 != 6 ||
		int(binary.BigEndian.Uint16(p[4:])) != len(p)-ip6HeaderLen ||
		cjdns.IP(p[8:24]) != n.self.IP || p[24] != 0xfc {
		n.drop(b, dropTUN, out)
		return
	}
	if len(p) > n.cfg.MTU {
		n.tooBig(now, b, n.cfg.MTU, out)
		return
	}
	dst := cjdns.IP(p[24:40])
	if dst == n.self.IP {
		out.TUN.Add(b)
		return
	}
	s := n.sessions.ByIP(dst)
	if s != nil && s.Path != 0 && s.Send != 0 && s.CA.CanSend() {
		n.toSession(now, s, b, out)
		return
	}
	n.park(now, dst, s, b, out)
}

// toSession sends an IPv6 packet to its destination. It takes b.
func (n *Node) toSession(now mono.Time, s *session.Session, b *pkt.Buf, out *Out) {
	if mtu := n.pathMTU(s.Path); b.Len() > mtu {
		n.tooBig(now, b, mtu, out)
		return
	}
	h, _ := b.Pull(ip6HeaderLen)
	next := h[6]
	cjdns.PutDataHeader(b.Push(cjdns.DataHeaderLen), uint16(next))
	s.LastData = now
	patient(now, s)
	n.usePath(now, s.Path)
	if !n.sendSession(now, s, s.Path, b, out) && now >= s.NextError {
		// The first hop is gone.
		s.NextError = now.Add(errorPause)
		n.reroute(now, s, session.PeerLost, out)
	}
}

// usePath notes that the peer where path begins carries something.
func (n *Node) usePath(now mono.Time, path cjdns.Label) {
	if p := n.firstHop(path); p != nil {
		p.used = now
	}
}

// firstHop returns the peer where path begins, or nil.
func (n *Node) firstHop(path cjdns.Label) *Peer {
	port, _ := cjdns.PortOf(path)
	return n.byPort[port]
}

// pathMTU returns the largest IPv6 packet that fits the first link of a path.
func (n *Node) pathMTU(path cjdns.Label) int {
	p := n.firstHop(path)
	if p == nil {
		return n.cfg.MTU
	}
	l := n.link(p.link)
	if l == nil || l.MTU == 0 {
		return n.cfg.MTU
	}
	return max(minMTU, min(n.cfg.MTU, l.MTU-overhead+ip6HeaderLen))
}

// park keeps a packet until there is a session, and sees to it that there
// will be one. It takes b.
func (n *Node) park(now mono.Time, dst cjdns.IP, s *session.Session, b *pkt.Buf, out *Out) {
	first := !n.waiting.Has(dst)
	if !n.waiting.Add(now, dst, b) {
		n.drop(b, dropWaiting, out)
		return
	}
	if s != nil {
		s.LastData = now
	}
	if !first {
		return
	}
	n.reach(now, dst, out)
}

// reach makes a session with dst if a path is known, else begins a search.
func (n *Node) reach(now mono.Time, dst cjdns.IP, out *Out) {
	if _, ok := n.finder.Path(now, dst); ok {
		n.callMesh(now, dst, out)
		n.pathFound(now, dst, out)
		return
	}
	n.search(now, dst, out)
	n.flush(now, out)
}

// search looks for a way to dst. If dst is in the mesh it is called there, and
// others are asked only if it does not answer. If it is not, the mesh's
// uplinks may know more.
func (n *Node) search(now mono.Time, dst cjdns.IP, out *Out) {
	ask := n.callMesh(now, dst, out)
	hold := ask
	if ask == 0 {
		hold = n.callUplinks(now, out)
	}
	if !n.finder.Search(now, dst, ask, hold, &n.found) {
		n.drops[dropNoRoute]++
	}
}

// toTUN rebuilds the IPv6 header of a packet that came in session s and hands
// it to local programs. It takes b.
func (n *Node) toTUN(now mono.Time, s *session.Session, next uint8, b *pkt.Buf, out *Out) {
	size := b.Len()
	if size > 0xffff || !b.CanPush(ip6HeaderLen) {
		n.drop(b, dropTooBig, out)
		return
	}
	h := b.Push(ip6HeaderLen)
	h[0], h[1], h[2], h[3] = 0x60, 0, 0, 0
	binary.BigEndian.PutUint16(h[4:], uint16(size))
	h[6], h[7] = next, hopLimit
	copy(h[8:24], s.IP[:])
	copy(h[24:40], n.self.IP[:])
	s.LastData = now
	out.TUN.Add(b)
}

// routerIP is the source of errors that we tell local programs: an address of
// the network that nobody can have, as its key is unknown.
var routerIP = cjdns.IP{0: 0xfc, 15: 1}

const (
	icmpUnreachable = 1
	icmpTooBig      = 2
	icmpNoRoute     = 0 // code of icmpUnreachable
)

// tooBig tells the sender of b that mtu is the most. It takes b.
func (n *Node) tooBig(now mono.Time, b *pkt.Buf, mtu int, out *Out) {
	n.drops[dropTooBig]++
	n.icmp(now, b, icmpTooBig, 0, uint32(mtu), out)
}

// unreachable tells the sender of b that there is no way. It takes b.
func (n *Node) unreachable(now mono.Time, b *pkt.Buf, out *Out) {
	n.drops[dropNoRoute]++
	n.icmp(now, b, icmpUnreachable, icmpNoRoute, 0, out)
}

// icmp turns b into an ICMPv6 error about itself, for the local program that
// sent it: as much of it as fits 1280 bytes. Errors are never answered with
// errors. Source: RFC 4443, sections 2.4, 3.1 and 3.2.
func (n *Node) icmp(now mono.Time, b *pkt.Buf, typ, code uint8, param uint32, out *Out) {
	p := b.Bytes()
	const icmpHeaderLen = 8
	isError := p[6] == pkt.ProtoICMP6 && len(p) > ip6HeaderLen && p[ip6HeaderLen] < 128
	if isError || !n.icmps.take(now) {
		out.Pool.Put(b)
		return
	}
	b.Truncate(minMTU - ip6HeaderLen - icmpHeaderLen)
	dst := cjdns.IP(b.Bytes()[8:24])
	h := b.Push(icmpHeaderLen)
	h[0], h[1], h[2], h[3] = typ, code, 0, 0
	binary.BigEndian.PutUint32(h[4:], param)
	sum := pkt.PseudoSum(routerIP, dst, pkt.ProtoICMP6, b.Len())
	sum = pkt.Sum(sum, b.Bytes())
	binary.BigEndian.PutUint16(h[2:], ^pkt.Fold(sum))
	size := b.Len()
	h = b.Push(ip6HeaderLen)
	h[0], h[1], h[2], h[3] = 0x60, 0, 0, 0
	binary.BigEndian.PutUint16(h[4:], uint16(size))
	h[6], h[7] = pkt.ProtoICMP6, 64
	copy(h[8:24], routerIP[:])
	copy(h[24:40], dst[:])
	out.TUN.Add(b)
}
