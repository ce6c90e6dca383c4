package netio

import (
	"bytes"
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/pkt"
)

// maxOpen is the number of flows that are merged side by side. A batch rarely
// holds more, and the search is linear.
const maxOpen = 8

// maxMerge is the largest number of packets in one super-packet.
const maxMerge = 128

// group is a run of packets of one flow that can go to the kernel as one
// super-packet, or one packet that cannot.
type group struct {
	first, last int // indices in the batch; between them the chain merger.next
	count       int
	bytes       int    // headers and all payload
	seg         int    // payload bytes of the first packet
	hdr         int    // bytes of headers
	seq         uint32 // TCP: sequence number that must come next
	psh         bool   // TCP: the last packet has PSH
	proto       byte   // 0 if it cannot grow
	checked     bool   // the first packet's checksum was found right
}

// merger sorts a batch into groups. What it merges, and when it stops, is
// what the kernel's GRO does (Source: net/ipv4/tcp_offload.c,
// tcp_gro_receive; net/ipv4/udp_offload.c): same addresses, ports, traffic
// class, flow label, hop limit, acknowledgement, window and options,
// consecutive bytes, equal sizes but for the last packet, flags ACK or ACK and
// PSH. A checksum is verified before it is given up, so a damaged packet still
// reaches the kernel as a damaged packet.
type merger struct {
	groups []group
	next   []int // chain of packets, by index in the batch; -1 ends it
	open   []int // groups that may grow, oldest first
	tcp    bool  // merge TCP
	udp    bool  // merge UDP (needs Linux 6.2)
}

func newMerger(batch int, tcp, udp bool) *merger {
	return &merger{
		groups: make([]group, 0, batch), next: make([]int, batch), open: make([]int, 0, maxOpen),
		tcp: tcp, udp: udp,
	}
}

// sort fills m.groups from bufs, of which there must not be more than the
// batch of newMerger. Groups stand in the order of their first packets, so
// the packets of one flow keep their order.
func (m *merger) sort(bufs []*pkt.Buf) {
	m.groups, m.open = m.groups[:0], m.open[:0]
	for i, b := range bufs {
		m.next[i] = -1
		p := b.Bytes()
		g, flow := m.classify(p)
		g.first, g.last = i, i
		if (g.proto != 0 || flow) && m.join(bufs, g, i, p) {
			continue
		}
		m.groups = append(m.groups, g)
		if g.proto != 0 {
			if len(m.open) == maxOpen {
				m.open = m.open[:copy(m.open, m.open[1:])]
			}
			m.open = append(m.open, len(m.groups)-1)
		}
	}
}

// classify makes a group of the packet p alone. The group can grow if its
// proto is set; flow tells that p belongs to a flow whose group must end here,
// if only because p is damaged: a flow keeps its order whatever is in it.
func (m *merger) classify(p []byte) (g group, flow bool) {
	g = group{count: 1, bytes: len(p)}
	if len(p) < ip6Len+udpLen || p[0]>>4 != ip6Version {
		return g, false
	}
	t := p[ip6Len:]
	whole := int(binary.BigEndian.Uint16(p[4:])) == len(t)
	switch {
	case p[6] == protoTCP && m.tcp:
		if !whole || len(t) < tcpMinLen {
			return g, true
		}
		n := int(t[tcpOff]>>4) * 4
		if n < tcpMinLen || n >= len(t) || t[tcpFlags]&^tcpPSH != tcpACK {
			return g, true
		}
		g.hdr, g.seg = ip6Len+n, len(t)-n
		g.seq = binary.BigEndian.Uint32(t[tcpSeq:]) + uint32(g.seg)
		if g.psh = t[tcpFlags]&tcpPSH != 0; g.psh {
			return g, true
		}
	case p[6] == protoUDP && m.udp:
		if !whole || int(binary.BigEndian.Uint16(t[4:])) != len(t) || t[udpCsum]|t[udpCsum+1] == 0 || len(t) == udpLen {
			return g, true
		}
		g.hdr, g.seg = ip6Len+udpLen, len(t)-udpLen
	default:
		return g, false
	}
	g.proto = p[6]
	return g, false
}

// join adds packet i, whose own group is g, to the open group of its flow. If
// there is one but p does not fit, that group is closed.
func (m *merger) join(bufs []*pkt.Buf, g group, i int, p []byte) bool {
	for k, o := range m.open {
		h := &m.groups[o]
		q := bufs[h.first].Bytes()
		if h.proto != p[6] || !sameFlow(p, q) {
			continue
		}
		ok := g.hdr != 0 && h.fits(g, p, q) && h.count < maxMerge && h.bytes+g.seg <= maxIP6 &&
			(h.checked || csumRight(q)) && csumRight(p)
		if ok {
			m.next[h.last], h.last = i, i
			h.count++
			h.bytes += g.seg
			h.seq, h.psh, h.checked = g.seq, g.psh, true
		}
		if !ok || g.psh || g.seg < h.seg {
			m.open = append(m.open[:k], m.open[k+1:]...)
		}
		return ok
	}
	return false
}

// fits compares the packet p, alone in group g, with q, the first of h.
func (h *group) fits(g group, p, q []byte) bool {
	if g.hdr != h.hdr || g.seg > h.seg || p[7] != q[7] ||
		binary.NativeEndian.Uint32(p) != binary.NativeEndian.Uint32(q) {
		return false
	}
	if h.proto == protoUDP {
		return true
	}
	t, u := p[ip6Len:g.hdr], q[ip6Len:g.hdr]
	return binary.BigEndian.Uint32(t[tcpSeq:]) == h.seq &&
		bytes.Equal(t[8:tcpFlags], u[8:tcpFlags]) &&
		bytes.Equal(t[14:16], u[14:16]) && bytes.Equal(t[18:], u[18:])
}

// sameFlow compares addresses and ports.
func sameFlow(p, q []byte) bool { return string(p[8:44]) == string(q[8:44]) }

// csumRight verifies the TCP or UDP checksum of a whole packet without
// extension headers.
func csumRight(p []byte) bool {
	return sum16(p[ip6Len:], pseudoSum(p, p[6], len(p)-ip6Len)) == 0xffff
}

// head writes the vnet header and the headers of the super-packet of a group
// of several packets to b and returns their length; q is the group's first
// packet. b needs vnetHdrLen + group.hdr bytes.
func (h *group) head(b, q []byte) int {
	v := vnetHdr{
		flags: vnetNeedsCsum, gsoType: gsoTCP6, hdrLen: uint16(h.hdr), gsoSize: uint16(h.seg),
		csumStart: ip6Len, csumOff: tcpCsum,
	}
	if h.proto == protoUDP {
		v.gsoType, v.csumOff = gsoUDPL4, udpCsum
	}
	v.put(b)
	p := b[vnetHdrLen : vnetHdrLen+h.hdr]
	copy(p, q)
	n := h.bytes - ip6Len
	binary.BigEndian.PutUint16(p[4:], uint16(n))
	t := p[ip6Len:]
	if h.proto == protoUDP {
		binary.BigEndian.PutUint16(t[4:], uint16(n))
	} else if h.psh {
		t[tcpFlags] |= tcpPSH
	}
	binary.NativeEndian.PutUint16(t[v.csumOff:], uint16(pseudoSum(p, h.proto, n)))
	return vnetHdrLen + h.hdr
}

// maxHead is the most that head writes: TCP headers have at most 60 bytes.
const maxHead = vnetHdrLen + ip6Len + 60
