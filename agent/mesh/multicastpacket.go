package mesh

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// A multicast packet carries one frame for the originators that its TRACKER
// container lists. Each node sends one copy to each next hop, with the
// originators behind that one. Source: batman-adv multicast_forw.c.

// Sizes of multicast packets. They are never cut into fragments, so every link
// must carry as much as IPv6 needs.
const (
	mcastMTU   = 1280
	trackerLen = batman.MulticastLen + batman.TVLVLen + 2 // without originators
	// maxTracker is the number of originators in the longest packet that a
	// link may bring.
	maxTracker = (pkt.MaxMTU + pkt.Tailroom) / 6
)

// trackerRoom is how many originators fit beside a frame of n bytes.
func trackerRoom(n int) int { return max(0, (mcastMTU-trackerLen-2-n)/6) }

// trackerPad is the padding behind n originators: it keeps the frame's
// payload aligned.
func trackerPad(n int) int { return 2 * (1 - n%2) }

// mcastCapable reports whether all links are long enough. Source: batman-adv
// multicast.c, batadv_mcast_mla_forw_flags_get.
func (m *Mesh) mcastCapable() bool {
	for _, hi := range m.ifaces {
		if hi != nil && hi.active && hi.MTU < mcastMTU {
			return false
		}
	}
	return true
}

// trackerDest is an originator that a packet still has to reach, and the next
// hop to it; nil if it is done.
type trackerDest struct {
	orig batman.MAC
	hop  *Neighbour
}

// tracked is a multicast packet in parts, to be put together for each next
// hop.
type tracked struct {
	ttl           uint8
	before, after []byte // containers around the tracker
	frame         []byte
}

// size is the length of a packet for n originators.
func (t *tracked) size(n int) int {
	return trackerLen + len(t.before) + 6*n + trackerPad(n) + len(t.after) + len(t.frame)
}

// mcastOwn sends the client frame b to dests, which must fit. It takes b.
func (m *Mesh) mcastOwn(dests []*Originator, b *pkt.Buf, out *Out) {
	list := m.mcast.trackerScratch[:0]
	for _, o := range dests {
		if hop := m.router(o, nil); hop != nil {
			list = append(list, trackerDest{o.MAC, hop})
		}
	}
	m.mcast.trackerScratch = list
	if len(list) == 0 {
		m.drop(b, dropNoRoute, out)
		return
	}
	t := tracked{ttl: batman.TTL, frame: b.Bytes()}
	m.mcastSplit(&t, list, out)
	m.stats.mcastTxLocal++
	m.stats.mcastTxLocalBytes += uint64(b.Len())
	out.Pool.Put(b)
}

// rxMulticast takes a frame for several originators: it is sent on to those
// behind other nodes, and delivered if this node is among them. It takes b.
// Source: batman-adv routing.c, batadv_recv_mcast_packet.
func (m *Mesh) rxMulticast(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	h, tvlvs, frame, err := batman.ParseMulticast(b.Bytes())
	if err != nil {
		m.dropOn(r.hi, b, dropMalformed, out)
		return
	}
	if h.TTL < 2 {
		m.dropOn(r.hi, b, dropTTL, out)
		return
	}
	t := tracked{ttl: h.TTL - 1, frame: frame}
	dests, ok := t.find(tvlvs)
	if !ok {
		m.dropOn(r.hi, b, dropTVLV, out)
		return
	}
	f, ok := parseInner(frame)
	if !ok {
		m.dropOn(r.hi, b, dropInner, out)
		return
	}
	m.stats.mcastRx++
	m.stats.mcastRxBytes += uint64(b.Len() + batman.EthLen)
	list, mine := m.trackerDests(dests)
	if len(list) > 0 {
		m.mcastSplit(&t, list, out)
		m.stats.mcastFwd++
		m.stats.mcastFwdBytes += uint64(b.Len() + batman.EthLen)
	}
	if !mine {
		if len(list) == 0 {
			m.dropOn(r.hi, b, dropNoRoute, out)
			return
		}
		out.Pool.Put(b)
		return
	}
	m.stats.mcastRxLocal++
	m.stats.mcastRxLocalBytes += uint64(len(frame))
	b.Pull(b.Len() - len(frame))
	if !m.idFrame(f, nil) {
		m.dropOn(r.hi, b, dropUnsigned, out)
		return
	}
	m.receive(now, r, f, batman.TypeMulticast, nil, b, out)
}

// find finds the tracker among the containers, and keeps the others as they
// are. The list of originators aliases tvlvs.
func (t *tracked) find(tvlvs []byte) (dests []byte, ok bool) {
	for b := tvlvs; len(b) > 0; {
		c, rest, err := batman.NextTVLV(b)
		if err != nil {
			return nil, false
		}
		if c.Type == batman.TVLVTracker && c.Version == batman.VersionTracker && !ok {
			if dests, _, err = batman.ParseTracker(c.Value); err != nil {
				return nil, false
			}
			t.before, t.after, ok = tvlvs[:len(tvlvs)-len(b)], rest, true
		}
		b = rest
	}
	return dests, ok
}

// trackerDests reads a list of originators: those to which there is a way, and
// whether this node is one of them. Those that cannot be reached are left out.
// The list is good until the next call.
func (m *Mesh) trackerDests(dests []byte) (list []trackerDest, mine bool) {
	list = m.mcast.trackerScratch[:0]
	for ; len(dests) >= 6 && len(list) < maxTracker; dests = dests[6:] {
		mac := batman.MAC(dests[:6])
		switch {
		case !mac.IsStation():
		case m.isMine(mac):
			mine = true
		default:
			if o := m.originator(mac); o != nil {
				if hop := m.router(o, nil); hop != nil {
					list = append(list, trackerDest{mac, hop})
				}
			}
		}
	}
	m.mcast.trackerScratch = list
	return list, mine
}

// mcastSplit sends one copy of t to each next hop of list.
func (m *Mesh) mcastSplit(t *tracked, list []trackerDest, out *Out) {
	for i := range list {
		hop := list[i].hop
		if hop == nil {
			continue
		}
		n := 0
		for j := i; j < len(list); j++ {
			if d := &list[j]; d.hop != nil && d.hop.MAC == hop.MAC && d.hop.hi == hop.hi {
				list[n+i], list[j] = list[j], list[n+i]
				n++
			}
		}
		m.mcastCopy(t, hop, list[i:i+n], out)
		for j := range n {
			list[i+j].hop = nil
		}
	}
}

// mcastCopy sends t to hop, for list.
func (m *Mesh) mcastCopy(t *tracked, hop *Neighbour, list []trackerDest, out *Out) {
	hop.v.used()
	c := out.Pool.Get()
	p := c.Extend(t.size(len(list)))
	if p == nil || len(p) > hop.hi.MTU {
		m.dropOn(hop.hi, c, dropTooBig, out)
		return
	}
	n := len(list)
	value := 2 + 6*n + trackerPad(n)
	batman.Multicast{TTL: t.ttl, TVLVLen: uint16(len(t.before) + batman.TVLVLen + value + len(t.after))}.Put(p)
	q := append(p[:batman.MulticastLen], t.before...)
	q = batman.AppendTVLV(q, batman.TVLVTracker, batman.VersionTracker, value)
	q = binary.BigEndian.AppendUint16(q, uint16(n))
	for i := range list {
		q = append(q, list[i].orig[:]...)
	}
	if n%2 == 0 {
		q = append(q, 0, 0)
	}
	q = append(q, t.after...)
	copy(p[len(q):], t.frame)
	m.stats.mcastTx++
	m.stats.mcastTxBytes += uint64(c.Len() + batman.EthLen)
	m.transmit(hop.hi, hop.MAC, c, out)
}
