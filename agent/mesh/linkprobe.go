package mesh

import (
	"fmt"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// links is when the links to all stations have to be looked at, to find out how
// large packets they carry: linkmtu.go.
type links struct {
	next   mono.Time
	bucket mono.Bucket
}

// mtu is the largest packet that goes to n in one piece.
func (n *Neighbour) mtu() int {
	if n.limit != 0 {
		return min(int(n.limit), n.hi.MTU)
	}
	return n.hi.MTU
}

// mtuTo is the same for a station to which there may be no way yet.
func (hi *HardIface) mtuTo(mac batman.MAC) int {
	if h := hi.neighbour(mac); h != nil && h.mtu.limit != 0 {
		return min(h.mtu.limit, hi.MTU)
	}
	return hi.MTU
}

// linkBegin sees to it that the link to h is looked at.
func (m *Mesh) linkBegin(at mono.Time, h *HardNeigh) {
	if m.cfg.ProbeMTU {
		h.mtu.begin(at, h.hi.MTU)
		m.links.next = mono.Min(m.links.next, h.mtu.at)
	}
}

// linksBegin does so for all stations on an interface whose MTU has changed.
func (m *Mesh) linksBegin(now mono.Time, hi *HardIface) {
	for _, h := range hi.neighbours {
		m.linkBegin(now, h)
		m.linkTell(h)
	}
}

// linksExpire asks the stations that are to be asked now.
func (m *Mesh) linksExpire(now mono.Time, out *Out) {
	if now < m.links.next {
		return
	}
	m.links.next = mono.Never
	for _, hi := range m.ifaces {
		if hi == nil || !hi.active {
			continue
		}
		for _, h := range hi.neighbours {
			if h.mtu.at <= now && m.links.bucket.Left(now, linkTryTime, linkTryBurst) > 0 {
				m.linkStep(now, h, out)
			}
			m.links.next = mono.Min(m.links.next, max(h.mtu.at, now.Add(linkTryTime)))
		}
	}
}

// linkStep does what is due for h.
func (m *Mesh) linkStep(now mono.Time, h *HardNeigh, out *Out) {
	if t := h.mtu.expire(now, h.mtu.resting() && m.wentLarge(h)); t.small != 0 {
		m.links.bucket.Take(now, linkTryTime, linkTryBurst)
		var large uint16
		if t.large != 0 {
			large = m.linkSend(h, t.large, out)
		}
		h.mtu.sent(large, m.linkSend(h, t.small, out))
	}
	m.linkNews(h, out)
}

// linkSend sends an echo request of that size to the station h, as every node
// of the mesh answers it. It goes by that link, and the answer comes as long.
// Its sender is the interface, so that the answer is likely to come back by it;
// in B.A.T.M.A.N. V others know only the primary one.
func (m *Mesh) linkSend(h *HardNeigh, size int, out *Out) (seqno uint16) {
	i := batman.ICMP{TTL: batman.TTL, Msg: batman.ICMPEchoRequest, Dst: h.MAC, Orig: h.hi.MAC, UID: m.icmp.uid, Seqno: m.icmp.seqno}
	if m.cfg.Algo == BatmanV {
		i.Orig = m.self()
	}
	m.icmp.seqno++
	b := out.Pool.Get()
	b.Reset()
	p := b.Extend(size)
	clear(p)
	i.Put(p)
	m.transmit(h.hi, h.MAC, b, out)
	return i.Seqno
}

// linkAnswer takes an answer to linkSend, and reports whether it is one.
func (m *Mesh) linkAnswer(now mono.Time, i batman.ICMP, out *Out) bool {
	if i.Msg != batman.ICMPEchoReply || i.UID != m.icmp.uid {
		return false
	}
	for _, hi := range m.ifaces {
		if hi == nil || !hi.active {
			continue
		}
		for _, h := range hi.neighbours {
			if h.mtu.answer(now, i.Seqno) {
				m.linkNews(h, out)
				m.links.next = mono.Min(m.links.next, h.mtu.at)
				return true
			}
		}
	}
	return false
}

// wentLarge reports whether packets that a short link would not carry went to
// the station h since the last call.
func (m *Mesh) wentLarge(h *HardNeigh) (yes bool) {
	for _, o := range m.origList {
		if w := o.way(h.MAC, h.hi); w != nil && w.large {
			yes, w.large = true, false
		}
	}
	return yes
}

// linkNews lets the ways by h know what its link carries, and tells when a
// search has found something else than the one before.
func (m *Mesh) linkNews(h *HardNeigh, out *Out) {
	m.linkTell(h)
	if !h.mtu.resting() || h.mtu.limit == h.told {
		return
	}
	h.told = h.mtu.limit
	out.Events = append(out.Events, Event{
		Kind: EventLinkMTU, Orig: h.MAC, Text: fmt.Sprintf("the link carries packets of %d bytes, mtu %d on %s", h.mtu.current(), h.hi.MTU, h.hi.Name),
	})
}

func (m *Mesh) linkTell(h *HardNeigh) {
	if h.limit == h.mtu.limit {
		return
	}
	h.limit = h.mtu.limit
	for _, o := range m.origList {
		if w := o.way(h.MAC, h.hi); w != nil {
			w.limit = uint16(h.mtu.limit) //nolint:gosec // an MTU
		}
	}
}
