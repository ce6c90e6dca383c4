package mesh

import (
	"maps"

	"github.com/meshagent/meshagent/agent/mono"
)

// What the rest of the routing calls in B.A.T.M.A.N. V.

// vIfaceUp begins to speak on hi.
func (m *Mesh) vIfaceUp(now mono.Time, hi *HardIface) {
	v := &m.routing.v
	if !v.begun {
		v.begun = true
		if v.seqno = m.routing.seqnos.OGM2; v.seqno == 0 {
			v.seqno = m.firstSeqno()
		}
		v.sendAt = now.Add(m.cfg.OrigInterval)
	}
	if seqno, ok := m.routing.seqnos.ELP[hi.MAC]; hi.v.seqno == 0 && ok {
		hi.v.seqno = seqno
	} else if hi.v.seqno == 0 {
		hi.v.seqno = m.rng.Uint32()
	}
	hi.v.elpLast, hi.v.jitter = now.Add(-hi.elpEvery()), m.jitter(ogmJitter) // nobody has heard of us yet
}

// vIfaceGone forgets what belongs to hi; its ways are gone already.
func (m *Mesh) vIfaceGone(hi *HardIface, out *Out) {
	if b := hi.v.queue.buf; b != nil {
		hi.v.queue.buf = nil
		out.Pool.Put(b)
	}
	if hi.v.seqno != 0 {
		remember(m.routing.seqnos.ELP, hi.MAC, hi.v.seqno)
	}
	s := slot(hi)
	for _, o := range m.origList {
		if s < len(o.v.slots) {
			o.v.slots[s] = vOrigSlot{}
		}
		for _, n := range o.neighbours {
			if s < len(n.v.slots) {
				n.v.slots[s] = vSlot{}
			}
		}
	}
}

// vAnnounce lets the next own OGM leave soon.
func (m *Mesh) vAnnounce(now mono.Time) {
	m.routing.v.sendAt = mono.Min(m.routing.v.sendAt, now.Add(m.jitter(2*ogmJitter)))
}

func (m *Mesh) vSeqnos(s *Seqnos) {
	s.OGM2 = m.routing.v.seqno
	s.ELP = maps.Clone(m.routing.seqnos.ELP)
	for _, hi := range m.ifaces {
		if hi != nil {
			s.ELP[hi.MAC] = hi.v.seqno
		}
	}
}

func (m *Mesh) vDeadline() mono.Time {
	t := mono.Never
	for _, hi := range m.ifaces {
		if hi != nil && hi.active {
			t = mono.Min(t, mono.Min(hi.elpDue(), hi.v.queue.deadline()))
			t = mono.Min(t, m.routing.v.sendAt)
		}
	}
	return t
}

func (m *Mesh) vExpire(now mono.Time, out *Out) {
	if m.routing.v.begun && now >= m.routing.v.sendAt {
		m.sendOGM2(now, out)
	}
	for _, hi := range m.ifaces {
		if hi == nil || !hi.active {
			continue
		}
		if now >= hi.elpDue() {
			m.sendELP(now, hi, out)
		}
		if now >= hi.v.queue.deadline() {
			m.flushOGM2(hi, out)
		}
	}
}
