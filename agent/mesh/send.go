package mesh

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// transmit sends the packet b on hi to the station dst: puts the Ethernet
// header in front and counts. It takes b.
func (m *Mesh) transmit(hi *HardIface, dst batman.MAC, b *pkt.Buf, out *Out) {
	batman.Eth{Dst: dst, Src: hi.MAC, Type: batman.EtherType}.Put(b.Push(batman.EthLen))
	b.Port = hi.index
	hi.txFrames++
	hi.txBytes += uint64(b.Len())
	out.Frames.Add(b)
}

// sendTo sends the unicast-class packet b to o by the route for packets that
// came in on via (nil: local traffic), in fragments if it is too long for the
// link. It takes b. Source: batman-adv send.c, batadv_send_skb_to_orig.
func (m *Mesh) sendTo(now mono.Time, o *Originator, via *HardIface, b *pkt.Buf, out *Out) {
	if via == nil {
		m.sendOn(o, m.localHop(now, o), b, out)
		return
	}
	m.sendOn(o, m.nextHop(o, via), b, out)
}

// sendOn sends b to o by next hop n and reports whether it went. It takes b.
func (m *Mesh) sendOn(o *Originator, n *Neighbour, b *pkt.Buf, out *Out) bool {
	if n == nil {
		m.drop(b, dropNoRoute, out)
		return false
	}
	n.v.used()
	n.large = n.large || b.Len() > linkLeast
	switch {
	case b.Len() <= n.mtu():
		m.transmit(n.hi, n.MAC, b, out)
		return true
	case !m.cfg.Fragmentation:
		m.dropOn(n.hi, b, dropTooBig, out)
		return false
	}
	p := b.Bytes()
	s, ok := m.fragStart(o, n, p)
	if !ok {
		out.Pool.Put(b)
		return false
	}
	for len(p) > s.size {
		p = m.fragTail(&s, n, p, out)
	}
	b.Truncate(len(p)) // what is left is the head and stays where it is
	m.fragSend(&s, n, b, out)
	return true
}

// sendBig is sendTo for a packet of this node that is longer than a buffer; p
// is not kept.
func (m *Mesh) sendBig(now mono.Time, o *Originator, p []byte, out *Out) {
	n := m.localHop(now, o)
	switch {
	case n == nil:
		m.lose(dropNoRoute)
		return
	case !m.cfg.Fragmentation:
		m.lose(dropTooBig)
		return
	}
	s, ok := m.fragStart(o, n, p)
	for ok && len(p) > 0 {
		p = m.fragTail(&s, n, p, out)
	}
}

// forwardUnicast routes a unicast-class packet in transit by its destination:
// TTL, route. It takes b. Source: batman-adv routing.c,
// batadv_route_unicast_packet.
func (m *Mesh) forwardUnicast(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	p := b.Bytes()
	dest, ok := batman.Dest(p)
	if !ok {
		m.dropOn(r.hi, b, dropRunt, out)
		return
	}
	if p[2] < 2 {
		m.dropOn(r.hi, b, dropTTL, out)
		return
	}
	o := m.originator(dest)
	if o == nil {
		m.dropOn(r.hi, b, dropUnknownOrig, out)
		return
	}
	p[2] = min(p[2]-1, m.hopsTo(now, o))
	n := len(p) + batman.EthLen
	if m.sendOn(o, m.transitHop(o, r), b, out) {
		m.stats.forwarded++
		m.stats.forwardedBytes += uint64(n)
	}
}

// sendUnicast sends the client frame b to o with a UNICAST header. It takes b.
func (m *Mesh) sendUnicast(now mono.Time, o *Originator, b *pkt.Buf, out *Out) {
	m.sendUnicastAs(now, o, m.ttvnTo(o, b.Bytes()), b, out)
}

func (m *Mesh) sendUnicastAs(now mono.Time, o *Originator, ttvn uint8, b *pkt.Buf, out *Out) {
	batman.Unicast{TTL: batman.TTL, TTVN: ttvn, Dest: o.MAC}.Put(b.Push(batman.UnicastLen))
	m.sendTo(now, o, nil, b, out)
}

// sendUnicast4 sends the client frame b to o with a 4ADDR header of that
// subtype. It takes b.
func (m *Mesh) sendUnicast4(now mono.Time, o *Originator, subtype uint8, b *pkt.Buf, out *Out) {
	if m.primary == nil {
		m.drop(b, dropNoPrimary, out)
		return
	}
	u := batman.Unicast{TTL: batman.TTL, TTVN: m.ttvnTo(o, b.Bytes()), Dest: o.MAC}
	batman.Unicast4{Unicast: u, Src: m.self(), Subtype: subtype}.Put(b.Push(batman.Unicast4Len))
	m.sendTo(now, o, nil, b, out)
}

// ttvnTo is the TTVN to write into a header for a client's frame to o. It is
// one less than it should be if it is known that the client left o: then o, or
// whoever knows better, looks the client up again. Source: batman-adv send.c,
// batadv_send_skb_unicast.
func (m *Mesh) ttvnTo(o *Originator, frame []byte) uint8 {
	v := m.ttVersion(o)
	if f, ok := parseInner(frame); ok && !f.eth.Dst.IsMulticast() {
		if e := m.tt.global[ttKey{f.eth.Dst, f.vid}]; e != nil && e.roaming() {
			v--
		}
	}
	return v
}

// priority returns the 802.1p class of a packet that carries a client's frame,
// 0 for others. Source: batman-adv main.c, batadv_skb_set_priority.
func priority(p []byte) uint8 {
	hdr := 0
	switch batman.PacketType(p[0]) {
	case batman.TypeUnicast:
		hdr = batman.UnicastLen
	case batman.TypeUnicast4:
		hdr = batman.Unicast4Len
	}
	if hdr == 0 || len(p) < hdr+batman.EthLen+2 {
		return 0
	}
	p = p[hdr+batman.EthLen-2:]
	switch binary.BigEndian.Uint16(p) {
	case batman.EthVLAN:
		return p[2] >> 5
	case batman.EthIPv4:
		return p[3] >> 5
	case batman.EthIPv6:
		return p[2] >> 1 & 7
	}
	return 0
}
