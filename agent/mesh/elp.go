package mesh

import (
	"cmp"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Neighbour discovery of B.A.T.M.A.N. V. Source: batman-adv main.h.
const (
	elpInterval  = 500 * time.Millisecond
	elpMaxAge    = 64  // older numbers than that are a restart
	elpProbeSize = 200 // of an ELP packet to one Wi-Fi station
	elpProbes    = 2   // for each station in each interval
	// maxProbed is how many stations are probed in one interval, so that
	// invented stations cannot make us fill the air; the others are next.
	maxProbed = 32
	// elpSilent intervals without ELP: not probed any more, and may make room
	// for others in a full table.
	elpSilent = 10
)

// vIface is a hard interface's part in B.A.T.M.A.N. V.
type vIface struct {
	seqno   uint32    // of the next ELP packet
	elpLast mono.Time // when the last one went
	jitter  time.Duration
	probe   int      // where the next round of probes begins
	queue   ogmBatch // ogm2queue.go
}

// vHardNeigh is what ELP tells of a station.
type vHardNeigh struct {
	heard      bool   // ELP came: only then its OGMs count
	seqno      uint32 // of the newest ELP packet
	interval   uint32 // in milliseconds, as the station says
	throughput ewma
	told       bool // the driver told rate
	rate       uint32
	used       bool // unicast went there since the last round of probes
}

// elpEvery is the interval of ELP packets.
func (hi *HardIface) elpEvery() time.Duration {
	if hi.ELPInterval > 0 {
		return hi.ELPInterval
	}
	return elpInterval
}

// elpDue is when the next one is to go; a changed interval counts at once.
func (hi *HardIface) elpDue() mono.Time { return hi.v.elpLast.Add(hi.elpEvery() + hi.v.jitter) }

// neighbour returns the entry of a station on hi; nil if there is none.
func (hi *HardIface) neighbour(mac batman.MAC) *HardNeigh {
	for _, n := range hi.neighbours {
		if n.MAC == mac {
			return n
		}
	}
	return nil
}

// rxELP takes an ELP packet. Unlike the kernel's, it makes no originator: the
// OGM does. Source: batman-adv bat_v_elp.c, batadv_v_elp_packet_recv.
func (m *Mesh) rxELP(now mono.Time, r rx, p []byte, out *Out) {
	e, err := batman.ParseELP(p)
	if err != nil || !e.Orig.IsStation() || m.isMine(e.Orig) {
		m.countOn(r.hi, dropMalformed)
		return
	}
	n := r.hi.neighbour(r.src)
	if n == nil {
		if n = m.elpNewcomer(now, r); n == nil {
			return
		}
	}
	if diff := int32(e.Seqno - n.v.seqno); n.v.heard && diff < 1 && diff > -elpMaxAge {
		m.countOn(r.hi, dropDuplicate)
		return
	}
	if !n.v.heard {
		n.v.heard = true
		// The kernel knows nothing of the link until its own next ELP packet
		// and forwards zeros for so long.
		n.v.throughput.add(r.hi.linkThroughput(n))
	}
	n.v.seqno, n.v.interval = e.Seqno, e.IntervalMS
	n.Orig, n.lastSeen = e.Orig, now
	if o := m.originator(e.Orig); o != nil {
		if w := o.way(r.src, r.hi); w != nil {
			w.lastSeen = now
		}
	}
}

// elpNewcomer makes the entry of a station that was not heard before.
func (m *Mesh) elpNewcomer(now mono.Time, r rx) *HardNeigh {
	if !m.routing.newcomers(r.src).Take(now, newOrigTime, newOrigBurst) {
		m.countOn(r.hi, dropRateLimit)
		return nil
	}
	if len(r.hi.neighbours) >= maxHardNeigh {
		m.elpEvict(now, r.hi)
	}
	first := len(r.hi.neighbours) == 0
	n := m.hardNeigh(now, r.hi, r.src)
	if first && n != nil {
		m.vAnnounce(now) // nobody could hear our OGMs here before
	}
	return n
}

// elpEvict forgets the station that was silent for the longest time if that
// was long. Live ones never make room.
func (m *Mesh) elpEvict(now mono.Time, hi *HardIface) {
	old := slices.MinFunc(hi.neighbours, func(a, b *HardNeigh) int { return cmp.Compare(a.lastSeen, b.lastSeen) })
	if now.Sub(old.lastSeen) > elpSilent*hi.elpEvery() {
		hi.neighbours = slices.DeleteFunc(hi.neighbours, func(n *HardNeigh) bool { return n == old })
	}
}

// sendELP sends the ELP packet that is due on hi, probes Wi-Fi stations and
// looks at every link. Source: batman-adv bat_v_elp.c,
// batadv_v_elp_periodic_work.
func (m *Mesh) sendELP(now mono.Time, hi *HardIface, out *Out) {
	hi.v.elpLast, hi.v.jitter = now, m.jitter(2*ogmJitter)-ogmJitter
	e := batman.ELP{Orig: m.self(), Seqno: hi.v.seqno, IntervalMS: uint32(hi.elpEvery() / time.Millisecond)}
	hi.v.seqno++
	m.putELP(hi, batman.Broadcast, e, batman.ELPSent, out)
	if hi.Wifi {
		m.probe(now, hi, e, out)
	}
	for _, n := range hi.neighbours {
		n.v.throughput.add(hi.linkThroughput(n))
	}
}

// putELP sends e, padded with zeros to size.
func (m *Mesh) putELP(hi *HardIface, dst batman.MAC, e batman.ELP, size int, out *Out) {
	b := out.Pool.Get()
	b.Reset()
	p := b.Extend(size)
	clear(p)
	e.Put(p)
	m.transmit(hi, dst, b, out)
}

// probe sends packets of some size to the Wi-Fi stations that got nothing else
// of late, so that the driver's rate control has something to measure. The
// receivers ignore them. Source: batman-adv bat_v_elp.c,
// batadv_v_elp_wifi_neigh_probe.
func (m *Mesh) probe(now mono.Time, hi *HardIface, e batman.ELP, out *Out) {
	count := len(hi.neighbours)
	for i, done := 0, 0; i < count && done < maxProbed; i++ {
		n := hi.neighbours[hi.v.probe%count]
		hi.v.probe = (hi.v.probe + 1) % count
		if used := n.v.used; used || now.Sub(n.lastSeen) > elpSilent*hi.elpEvery() {
			n.v.used = false
			continue
		}
		for range elpProbes {
			m.putELP(hi, n.MAC, e, elpProbeSize, out)
		}
		done++
	}
}
