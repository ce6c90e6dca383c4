package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Fragments. Source: batman-adv main.h and packet.h.
const (
	fragParts = 16 // of one packet at most
	// fragLink is the longest fragment with its header, whatever the link can
	// do: so the next links need not cut it again.
	fragLink = 1280
)

func (m *Mesh) fragInit(_ mono.Time, s Seqnos) {
	m.frag.seqno = s.Fragment
	if s.Fragment == 0 {
		m.frag.seqno = uint16(m.rng.Uint32())
	}
}

func (m *Mesh) fragSeqnos(s *Seqnos) { s.Fragment = m.frag.seqno }

// fragSplit is a packet that is being cut.
type fragSplit struct {
	h    batman.Fragment // of the next fragment
	size int             // of a fragment without its header
}

// fragStart prepares to cut the packet p, which goes to o by n. It reports
// false, and counts, if p cannot be cut.
// Source: batman-adv fragmentation.c, batadv_frag_send_packet.
func (m *Mesh) fragStart(o *Originator, n *Neighbour, p []byte) (s fragSplit, ok bool) {
	size := min(n.mtu(), fragLink) - batman.FragmentLen
	count := (len(p) + size - 1) / size
	switch {
	case m.primary == nil:
		m.lose(dropNoPrimary)
		return s, false
	case count < 1 || count > fragParts:
		m.countOn(n.hi, dropTooBig)
		return s, false
	}
	m.frag.seqno++
	s.size = (len(p) + count - 1) / count
	s.h = batman.Fragment{
		TTL: batman.TTL, Priority: priority(p), Dest: o.MAC, Orig: m.self(), Seqno: m.frag.seqno, Total: uint16(len(p)),
	}
	return s, true
}

// fragTail sends the end of p as a fragment and returns the rest. The tail
// goes first: it is number 0.
func (m *Mesh) fragTail(s *fragSplit, n *Neighbour, p []byte, out *Out) []byte {
	cut := max(0, len(p)-s.size)
	b := out.Pool.Get()
	b.Set(p[cut:])
	m.fragSend(s, n, b, out)
	return p[:cut]
}

// fragSend sends b as the next fragment. It takes b.
func (m *Mesh) fragSend(s *fragSplit, n *Neighbour, b *pkt.Buf, out *Out) {
	s.h.Put(b.Push(batman.FragmentLen))
	s.h.No++
	m.transmit(n.hi, n.MAC, b, out)
	m.stats.fragTx++
	m.stats.fragTxBytes += uint64(b.Len())
}

// rxFragment takes a part of a packet: to carry it on, or to put the packet
// together. Packets in transit are put together here if the next link takes
// them whole. It takes b. Source: batman-adv routing.c,
// batadv_recv_frag_packet, and fragmentation.c, batadv_frag_skb_fwd.
func (m *Mesh) rxFragment(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	h, err := batman.ParseFragment(b.Bytes())
	if err != nil || b.Len() == batman.FragmentLen {
		m.dropOn(r.hi, b, dropRunt, out)
		return
	}
	o := m.originator(h.Orig)
	if o == nil {
		m.dropOn(r.hi, b, dropUnknownOrig, out)
		return
	}
	most := MaxPacket
	if !m.isMine(h.Dest) {
		most = fragWhole
		if dest := m.originator(h.Dest); dest != nil {
			if n := m.nextHop(dest, r.hi); n != nil && int(h.Total) > min(n.mtu(), fragWhole) {
				m.forwardFragment(r, n, b, out)
				return
			}
		}
	}
	if int(h.Total) > most {
		m.dropOn(r.hi, b, dropTooBig, out)
		return
	}
	m.stats.fragRx++
	m.stats.fragRxBytes += uint64(b.Len())
	b.Pull(batman.FragmentLen)
	c := m.fragKeep(now, r, o, h, b, out)
	if c == nil {
		return
	}
	if int(h.Total) > fragWhole {
		m.fragBig(now, r, c, out)
		return
	}
	b = c.merge(out.Pool)
	m.fragFree(c, out.Pool)
	switch t, version, _, ok := batman.Peek(b.Bytes()); {
	case !ok:
		m.dropOn(r.hi, b, dropRunt, out)
	case version != batman.Version:
		m.dropOn(r.hi, b, dropVersion, out)
	case t == batman.TypeFragment:
		m.dropOn(r.hi, b, dropNested, out)
	default:
		m.dispatch(now, r, t, b, out)
	}
}

// forwardFragment carries a fragment on to n. It takes b.
func (m *Mesh) forwardFragment(r rx, n *Neighbour, b *pkt.Buf, out *Out) {
	p := b.Bytes()
	switch {
	case p[2] < 2:
		m.dropOn(r.hi, b, dropTTL, out)
		return
	case len(p) > n.hi.MTU: // somebody cut it for a longer link; it is not cut again
		m.dropOn(n.hi, b, dropTooBig, out)
		return
	}
	p[2]--
	m.stats.fragFwd++
	m.stats.fragFwdBytes += uint64(len(p) + batman.EthLen)
	m.transmit(n.hi, n.MAC, b, out)
}

// fragBig takes a complete packet for this node that is longer than a buffer.
// Only tables are.
func (m *Mesh) fragBig(now mono.Time, r rx, c *fragChain, out *Out) {
	m.frag.big = c.append(m.frag.big[:0])
	m.fragFree(c, out.Pool)
	switch t, version, _, _ := batman.Peek(m.frag.big); {
	case version != batman.Version:
		m.countOn(r.hi, dropVersion)
	case t == batman.TypeFragment:
		m.countOn(r.hi, dropNested)
	case t != batman.TypeUnicastTVLV:
		m.countOn(r.hi, dropTooBig)
	default:
		m.rxBigTVLV(now, m.frag.big, out)
	}
}
