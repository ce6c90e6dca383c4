package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Sending of flooded frames. Source: batman-adv main.h and hard-interface.c.
const (
	bcastWired  = 1                    // transmissions on a wire
	bcastWifi   = 3                    // on Wi-Fi, which does not repeat broadcasts itself
	bcastRepeat = 5 * time.Millisecond // between them
	// maxBcastQueue is how many flooded frames may wait for a transmission.
	maxBcastQueue = 256
)

// bcast is the flood as this node takes part in it.
type bcast struct {
	seqno uint32 // of the last frame of our own
	// Frames that are to be sent again, and ARP requests that wait for an
	// answer of the distributed table. Each waits as long as the others in its
	// queue, so both are in order of time.
	repeats, delayed bcastQueue
}

// bcastOrig remembers which flooded frames of an originator came.
type bcastOrig struct {
	window  window
	last    uint32 // newest sequence number
	jumped  bool   // there was a jump of the sequence number
	resetAt mono.Time
}

// bcastJob is a flooded frame that is to be sent so many times on each
// interface.
type bcastJob struct {
	at   mono.Time
	b    *pkt.Buf
	left [MaxIfaces]uint8
}

// bcastQueue is a ring of jobs.
type bcastQueue struct {
	jobs []bcastJob
	head int
	n    int
}

func (q *bcastQueue) deadline() mono.Time {
	if q.n == 0 {
		return mono.Never
	}
	return q.jobs[q.head].at
}

func (q *bcastQueue) push(j bcastJob) {
	if q.n == len(q.jobs) {
		jobs := make([]bcastJob, max(8, 2*q.n)) // until it is as long as it needs to be
		for i := range q.n {
			jobs[i] = q.jobs[(q.head+i)%q.n]
		}
		q.jobs, q.head = jobs, 0
	}
	q.jobs[(q.head+q.n)%len(q.jobs)] = j
	q.n++
}

func (q *bcastQueue) pop() bcastJob {
	j := q.jobs[q.head]
	q.jobs[q.head].b = nil
	q.head = (q.head + 1) % len(q.jobs)
	q.n--
	return j
}

// bcastInit continues with the number that s gives. Without one it begins
// somewhere in the first 65535 numbers: others, who begin with 0, do not see
// that as a jump and keep the one jump in 30 s that they allow for when this
// node loses its counter.
func (m *Mesh) bcastInit(_ mono.Time, s Seqnos) {
	m.bcast.seqno = s.Broadcast
	if m.bcast.seqno == 0 {
		m.bcast.seqno = 1 + m.rng.Uint32N(seqnoRange-windowSize)
	}
}

func (m *Mesh) bcastSeqnos(s *Seqnos) { s.Broadcast = m.bcast.seqno }

func (m *Mesh) bcastDeadline() mono.Time {
	return mono.Min(m.bcast.repeats.deadline(), m.bcast.delayed.deadline())
}

// bcastExpire sends what waited long enough.
func (m *Mesh) bcastExpire(now mono.Time, out *Out) {
	q := &m.bcast.repeats
	for q.n > 0 && q.jobs[q.head].at <= now {
		m.bcastAgain(now, q.pop(), out)
	}
	q = &m.bcast.delayed
	for q.n > 0 && q.jobs[q.head].at <= now {
		j := q.pop()
		if f, ok := parseInner(j.b.Bytes()[batman.BroadcastLen:]); ok && m.datAnswered(now, f) {
			m.drop(j.b, dropDAT, out)
			continue
		}
		m.bcastAgain(now, j, out)
	}
}

// bcastAgain sends a frame once on each interface that wants it, and queues it
// if it is to be sent more often.
func (m *Mesh) bcastAgain(now mono.Time, j bcastJob, out *Out) {
	again := false
	for i := range j.left {
		if j.left[i] == 0 {
			continue
		}
		j.left[i]--
		if hi := m.iface(uint16(i)); hi != nil && hi.active {
			again = again || j.left[i] > 0
			m.bcastOn(hi, j.b, out)
		}
	}
	if !again {
		out.Pool.Put(j.b)
		return
	}
	j.at = now.Add(bcastRepeat)
	m.bcast.repeats.push(j) // it was counted when it came
}

// bcastOwn floods the client frame b, after a while if an ARP request may be
// answered before. It takes b.
func (m *Mesh) bcastOwn(now mono.Time, b *pkt.Buf, delay bool, out *Out) {
	if m.primary == nil {
		m.drop(b, dropNoPrimary, out)
		return
	}
	m.bcast.seqno++
	h := batman.BroadcastHeader{TTL: batman.TTL - 1, Seqno: m.bcast.seqno, Orig: m.self()}
	h.Put(b.Push(batman.BroadcastLen))
	m.flood(now, batman.MAC{}, h.Orig, b, delay, out)
	out.Pool.Put(b)
}

// rxBroadcast takes a flooded frame: it is sent on and delivered once. It
// takes b. Source: batman-adv routing.c, batadv_recv_bcast_packet.
func (m *Mesh) rxBroadcast(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	p := b.Bytes()
	h, err := batman.ParseBroadcast(p)
	if err != nil {
		m.dropOn(r.hi, b, dropRunt, out)
		return
	}
	if m.isMine(h.Orig) {
		m.dropOn(r.hi, b, dropEcho, out)
		return
	}
	if h.TTL < 2 {
		m.dropOn(r.hi, b, dropTTL, out)
		return
	}
	o := m.originator(h.Orig)
	if o == nil {
		m.dropOn(r.hi, b, dropUnknownOrig, out)
		return
	}
	f, ok := parseInner(p[batman.BroadcastLen:])
	if !ok {
		m.dropOn(r.hi, b, dropInner, out)
		return
	}
	if why, ok := o.bcast.take(now, h.Seqno); !ok {
		m.dropOn(r.hi, b, why, out)
		return
	}
	if m.cfg.BLA && m.blaDuplicate(now, f.b, h.Orig) {
		m.dropOn(r.hi, b, dropBLA, out)
		return
	}
	p[2]--
	m.flood(now, r.src, h.Orig, b, false, out)
	if m.blaBackbone(h.Orig, f.vid) {
		m.dropOn(r.hi, b, dropBLA, out) // our LAN has it already
		return
	}
	b.Pull(batman.BroadcastLen)
	m.snoopAndReceive(now, r, f, batman.TypeBroadcast, o, b, out)
}

// take reports whether the frame with that sequence number is new, and
// remembers it; if it is not, why.
func (o *bcastOrig) take(now mono.Time, seqno uint32) (why dropReason, ok bool) {
	diff := int32(seqno - o.last)
	if o.window.has(-diff) {
		return dropDuplicate, false
	}
	if diff <= -windowSize || diff >= seqnoRange {
		if o.jumped && now.Sub(o.resetAt) < resetProtection {
			return dropProtected, false
		}
		o.jumped, o.resetAt = true, now
	}
	if o.window.mark(diff, true) {
		o.last = seqno
	}
	return 0, true
}

// flood sends b on every interface where somebody may need it. src is the
// station that it came from, zero if from a client of ours; orig the node that
// began the flood. b stays the caller's.
// Source: batman-adv send.c, batadv_forw_bcast_packet.
func (m *Mesh) flood(now mono.Time, src, orig batman.MAC, b *pkt.Buf, delay bool, out *Out) {
	var left [MaxIfaces]uint8
	again := false
	for i, hi := range m.ifaces {
		if hi == nil || !hi.active || !hi.needsBroadcast(src, orig) {
			continue
		}
		n := uint8(bcastWired)
		if hi.Wifi {
			n = bcastWifi
		}
		if !delay {
			m.bcastOn(hi, b, out)
			n--
		}
		left[i] = n
		again = again || n > 0
	}
	if !again {
		return
	}
	if m.bcast.repeats.n+m.bcast.delayed.n >= maxBcastQueue {
		m.lose(dropQueueFull)
		return
	}
	c := out.Pool.Get()
	c.CopyFrom(b)
	if delay {
		m.bcast.delayed.push(bcastJob{now.Add(datDelay), c, left})
		return
	}
	m.bcast.repeats.push(bcastJob{now.Add(bcastRepeat), c, left})
}

// bcastOn sends a copy of b on hi. Flooded frames are never cut into
// fragments.
func (m *Mesh) bcastOn(hi *HardIface, b *pkt.Buf, out *Out) {
	if b.Len() > hi.MTU {
		m.countOn(hi, dropTooBig)
		return
	}
	c := out.Pool.Get()
	c.CopyFrom(b)
	m.transmit(hi, batman.Broadcast, c, out)
}

// needsBroadcast reports whether a flooded frame should be sent on hi: not if
// nobody is there, nor if the only one there is the node that began the flood
// or the one from which we have the frame. Source: batman-adv
// hard-interface.c, batadv_hardif_no_broadcast.
func (hi *HardIface) needsBroadcast(src, orig batman.MAC) bool {
	switch len(hi.neighbours) {
	case 0:
		return false
	case 1:
		n := hi.neighbours[0]
		return n.Orig != orig && (src.IsZero() || n.MAC != src)
	}
	return true
}
