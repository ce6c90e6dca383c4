package mesh

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Bounds of the fragments that wait for others.
const (
	fragSlots = 8                // packets of one originator under way. Source: BATADV_FRAG_BUFFER_COUNT
	fragTime  = 10 * time.Second // Source: BATADV_FRAG_TIMEOUT
	// maxFragChains and maxFragBufs bound packets and fragments of all
	// originators together: 1.4 MB.
	maxFragChains = 256
	maxFragBufs   = 512
	// fragSpare is headroom that stays free in front of a packet that was put
	// together: for the Ethernet header, or a fragment header and that.
	fragSpare = 64
	// fragWhole is the longest packet that fits into one buffer.
	fragWhole = pkt.Headroom - fragSpare + pkt.MaxMTU + pkt.Tailroom
)

// frag is the state of cutting and putting together.
type frag struct {
	seqno  uint16 // of the last packet that was cut
	chains []*fragChain
	free   []*fragChain
	held   int    // fragments in all chains
	big    []byte // the last long packet
}

// fragOrig are the packets of an originator that are under way.
type fragOrig struct {
	slots [fragSlots]*fragChain
	held  int
}

// fragChain is a packet of which parts are missing.
type fragChain struct {
	orig  *Originator
	at    mono.Time // of the last part
	index int       // in frag.chains
	seqno uint16
	total uint16
	size  int
	n     int
	parts [fragParts]*pkt.Buf // by number; the highest is the first in the packet
}

// fragKeep keeps b, a part of a packet of o without its header, and returns
// the chain if that completes it. The caller has to free it. fragKeep takes b.
// Source: batman-adv fragmentation.c, batadv_frag_insert_packet.
func (m *Mesh) fragKeep(now mono.Time, r rx, o *Originator, h batman.Fragment, b *pkt.Buf, out *Out) *fragChain {
	c := o.frag.slots[h.Seqno%fragSlots]
	if c != nil && c.seqno != h.Seqno {
		m.fragDrop(c, out.Pool)
		c = nil
	}
	if c != nil && (c.total != h.Total || c.size+b.Len() > int(h.Total)) {
		m.fragDrop(c, out.Pool)
		m.dropOn(r.hi, b, dropFragment, out)
		return nil
	}
	if c != nil && c.parts[h.No] != nil {
		m.dropOn(r.hi, b, dropDuplicate, out)
		return nil
	}
	if b.Len() > int(h.Total) || !m.fragRoom(o, c, out.Pool) {
		m.dropOn(r.hi, b, dropFragment, out)
		return nil
	}
	if c == nil {
		c = m.fragNew(o, h)
	}
	c.parts[h.No] = b
	c.at = now
	c.size += b.Len()
	c.n++
	o.frag.held++
	m.frag.held++
	if c.size < int(c.total) {
		return nil
	}
	return c
}

// fragNew begins a chain.
func (m *Mesh) fragNew(o *Originator, h batman.Fragment) *fragChain {
	s := &m.frag
	var c *fragChain
	if n := len(s.free); n > 0 {
		c = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		c = new(fragChain)
	}
	*c = fragChain{orig: o, index: len(s.chains), seqno: h.Seqno, total: h.Total}
	s.chains = append(s.chains, c)
	o.frag.slots[h.Seqno%fragSlots] = c
	return c
}

// fragRoom makes room for one more fragment of o, in chain c or a new one. If
// all is full, the originator that holds the most pays with its oldest packet,
// and that is o unless another holds clearly more. If o has nothing to give,
// the oldest packet of all goes: what is alive is complete within milliseconds.
func (m *Mesh) fragRoom(o *Originator, c *fragChain, pool *pkt.Pool) bool {
	s := &m.frag
	if s.held < maxFragBufs && (c != nil || len(s.chains) < maxFragChains) {
		return true
	}
	most := o
	for _, d := range s.chains {
		if d.orig.frag.held > most.frag.held && d.orig.frag.held > o.frag.held+1 {
			most = d.orig
		}
	}
	old := oldest(most.frag.slots[:], c)
	if old == nil {
		old = oldest(s.chains, c)
	}
	if old == nil {
		return false
	}
	m.fragDrop(old, pool)
	return true
}

// oldest returns the chain in list that waits for the longest time, but not c;
// nil if there is none.
func oldest(list []*fragChain, c *fragChain) (old *fragChain) {
	for _, d := range list {
		if d != nil && d != c && (old == nil || d.at < old.at) {
			old = d
		}
	}
	return old
}

// fragDrop forgets a chain that will not be complete.
func (m *Mesh) fragDrop(c *fragChain, pool *pkt.Pool) {
	m.loseN(dropFragment, uint64(c.n))
	m.fragFree(c, pool)
}

// fragFree takes a chain out of the table and puts its parts back.
func (m *Mesh) fragFree(c *fragChain, pool *pkt.Pool) {
	s := &m.frag
	c.orig.frag.slots[c.seqno%fragSlots] = nil
	c.orig.frag.held -= c.n
	s.held -= c.n
	for i, b := range c.parts {
		pool.Put(b) // or nil
		c.parts[i] = nil
	}
	last := s.chains[len(s.chains)-1]
	s.chains[c.index], last.index = last, c.index
	s.chains[len(s.chains)-1] = nil
	s.chains = s.chains[:len(s.chains)-1]
	c.orig = nil
	s.free = append(s.free, c)
}

// merge returns the packet in one buffer. c keeps what it does not return.
func (c *fragChain) merge(pool *pkt.Pool) *pkt.Buf {
	i := fragParts - 1
	for c.parts[i] == nil {
		i--
	}
	b := c.parts[i]
	p := b.Extend(int(c.total) - b.Len())
	if p != nil {
		c.parts[i] = nil // the first part grows
		i--
	} else {
		b = pool.Get()
		head := min(int(c.total), pkt.Headroom-fragSpare)
		b.Push(head)
		b.Extend(int(c.total) - head)
		p = b.Bytes()
	}
	for ; i >= 0; i-- {
		if d := c.parts[i]; d != nil {
			p = p[copy(p, d.Bytes()):]
		}
	}
	return b
}

// append appends the packet to dst.
func (c *fragChain) append(dst []byte) []byte {
	for _, b := range slices.Backward(c.parts[:]) {
		if b != nil {
			dst = append(dst, b.Bytes()...)
		}
	}
	return dst
}

// fragTick forgets packets that wait for too long.
func (m *Mesh) fragTick(now mono.Time, out *Out) {
	for i := len(m.frag.chains) - 1; i >= 0; i-- {
		if c := m.frag.chains[i]; now.Sub(c.at) >= fragTime {
			m.fragDrop(c, out.Pool)
		}
	}
}

// fragOriginatorGone forgets the packets of o.
func (m *Mesh) fragOriginatorGone(o *Originator, out *Out) {
	for _, c := range o.frag.slots {
		if c != nil {
			m.fragDrop(c, out.Pool)
		}
	}
}
