package mesh

import (
	"maps"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// ogmJitter is how far the interval of own OGMs varies to both sides.
const ogmJitter = 20 * time.Millisecond

// ivIface is a hard interface's part in B.A.T.M.A.N. IV.
type ivIface struct {
	begun  bool   // seqno means something
	seqno  uint32 // of the next OGM
	sendAt mono.Time
}

// ivOrig: the echo windows, by hard interface, in the entry of a neighbour.
type ivOrig struct{ echo []window }

// ivNeigh is what is known of one way, by outgoing slot.
type ivNeigh struct{ slots []ivSlot }

type ivSlot struct {
	ring tqRing
	real window
}

func (n *ivNeigh) slot(s int) *ivSlot {
	for len(n.slots) <= s {
		n.slots = append(n.slots, ivSlot{})
	}
	return &n.slots[s]
}

func (o *ivOrig) echoOf(hi *HardIface) *window {
	for len(o.echo) <= int(hi.index) {
		o.echo = append(o.echo, 0)
	}
	return &o.echo[hi.index]
}

// sendOwn sends the OGM that is due on hi: that of the primary interface on
// every interface and with TVLVs; that of another only there, and its TTL ends
// at the neighbours of the neighbours. The translation table commits now; the
// kernel does so one interval earlier and announces the client that much
// later. Source: batman-adv bat_iv_ogm.c, batadv_iv_ogm_schedule_buff.
func (m *Mesh) sendOwn(now mono.Time, hi *HardIface, out *Out) {
	if m.idHold(now, hi) {
		hi.iv.sendAt = mono.Min(hi.idHold, now.Add(holdStep))
		m.idSignRecord(now, out)
		return
	}
	o := batman.OGM{TTL: 2, Seqno: hi.iv.seqno, Orig: hi.MAC, Prev: hi.MAC, TQ: batman.MaxTQ}
	p := append(m.routing.tvlvs[:0], make([]byte, batman.OGMLen)...)
	if hi == m.primary {
		o.TTL = batman.TTL
		p = m.appendTVLVs(now, p, batman.OGMLen, out)
	} else {
		p = m.idAppendSecond(p, hi)
	}
	m.routing.tvlvs = p
	o.TVLVLen = uint16(len(p) - batman.OGMLen)
	o.Put(p)
	for _, to := range m.ifaces {
		if to != nil && to.active && (hi == m.primary || to == hi) {
			m.routing.queue.own(m, now, to, hi, p, out)
		}
	}
	hi.iv.seqno++
	hi.iv.sendAt = now.Add(m.cfg.OrigInterval - ogmJitter + m.jitter(2*ogmJitter))
	// bit 0 of the echo windows is for the OGM that just left
	for _, n := range m.origList {
		if int(hi.index) < len(n.iv.echo) {
			n.iv.echo[hi.index] <<= 1
		}
	}
	m.idSignRecord(now, out)
}

func (m *Mesh) routingInit(now mono.Time, s Seqnos) {
	m.routing.seqnos = Seqnos{OGM: map[batman.MAC]uint32{}, ELP: map[batman.MAC]uint32{}, OGM2: s.OGM2, First: s.First}
	maps.Copy(m.routing.seqnos.OGM, s.OGM)
	maps.Copy(m.routing.seqnos.ELP, s.ELP)
	m.routing.salt = m.rng.Uint32()
}

// firstSeqno is where the OGMs of an interface begin that never sent any.
func (m *Mesh) firstSeqno() uint32 {
	if m.routing.seqnos.First != 0 {
		return m.routing.seqnos.First
	}
	return m.rng.Uint32()
}

// maxSeqnos is how many interfaces' sequence numbers are kept, those that are
// gone included.
const maxSeqnos = 4 * MaxIfaces

// remember keeps the sequence number of an interface that may come back: if it
// began anew, others would take it for a jump and refuse it for 30 s.
func remember(list map[batman.MAC]uint32, mac batman.MAC, seqno uint32) {
	if _, ok := list[mac]; !ok && len(list) >= maxSeqnos {
		delete(list, slices.MinFunc(slices.Collect(maps.Keys(list)), batman.MAC.Compare))
	}
	list[mac] = seqno
}

func (m *Mesh) routingSeqnos(s *Seqnos) {
	maps.Copy(s.OGM, m.routing.seqnos.OGM)
	for _, hi := range m.ifaces {
		if hi != nil && hi.iv.begun {
			s.OGM[hi.MAC] = hi.iv.seqno
		}
	}
	if m.cfg.Algo == BatmanV {
		m.vSeqnos(s)
	}
}

func (m *Mesh) ifaceUp(now mono.Time, hi *HardIface, out *Out) {
	if m.cfg.Algo == BatmanV {
		m.vIfaceUp(now, hi)
		return
	}
	seqno, ok := m.routing.seqnos.OGM[hi.MAC]
	if !ok {
		seqno = m.firstSeqno()
	}
	hi.iv = ivIface{begun: true, seqno: seqno, sendAt: now.Add(m.jitter(ogmJitter))} // nobody has heard of us yet
}

func (m *Mesh) ifaceGone(now mono.Time, hi *HardIface, out *Out) {
	if hi.iv.begun {
		remember(m.routing.seqnos.OGM, hi.MAC, hi.iv.seqno)
	}
	m.routing.queue.dropIface(hi, out)
	s := slot(hi)
	for _, o := range m.origList {
		m.dropNeighbours(now, o, func(n *Neighbour) bool { return n.hi == hi }, out)
		if s < len(o.routes) {
			o.routes[s] = route{resetAt: now.Add(-resetProtection - time.Second)}
		}
		if int(hi.index) < len(o.iv.echo) {
			o.iv.echo[hi.index] = 0
		}
		for _, n := range o.neighbours {
			if s < len(n.iv.slots) {
				n.iv.slots[s] = ivSlot{}
			}
		}
	}
	hi.neighbours = nil
	m.vIfaceGone(hi, out)
}

// primaryChanged lets the node's new name be heard soon.
func (m *Mesh) primaryChanged(now mono.Time, old *HardIface, out *Out) {
	if m.cfg.Algo == BatmanV {
		m.vAnnounce(now)
		return
	}
	if m.primary != nil {
		m.primary.iv.sendAt = mono.Min(m.primary.iv.sendAt, now.Add(m.jitter(2*ogmJitter)))
	}
}

func (m *Mesh) configChanged(now mono.Time, old Config, out *Out) {
	if old.OrigInterval == m.cfg.OrigInterval {
		return
	}
	m.routing.v.sendAt = mono.Min(m.routing.v.sendAt, now.Add(m.cfg.OrigInterval))
	for _, hi := range m.ifaces {
		if hi != nil && hi.active {
			hi.iv.sendAt = mono.Min(hi.iv.sendAt, now.Add(m.cfg.OrigInterval))
		}
	}
}

func (m *Mesh) routingDeadline() mono.Time {
	if m.cfg.Algo == BatmanV {
		return m.vDeadline()
	}
	t := m.routing.queue.deadline()
	for _, hi := range m.ifaces {
		if hi != nil && hi.active {
			t = mono.Min(t, hi.iv.sendAt)
		}
	}
	return t
}

func (m *Mesh) routingExpire(now mono.Time, out *Out) {
	if m.cfg.Algo == BatmanV {
		m.vExpire(now, out)
		return
	}
	for _, hi := range m.ifaces {
		if hi != nil && hi.active && now >= hi.iv.sendAt {
			m.sendOwn(now, hi, out)
		}
	}
	if now >= m.routing.queue.deadline() {
		m.routing.queue.flush(m, now, out)
	}
}
