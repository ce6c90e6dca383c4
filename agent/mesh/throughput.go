package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// The throughput meter fills the way to another node with data and counts
// what arrives. It needs no program on either side and measures only the
// mesh.
//
// Source: batman-adv tp_meter.c.

// Limits of the throughput meter.
const (
	maxMeters      = 5 // tests at once, of either direction. Source: BATADV_TP_MAX_NUM
	maxMetersIn    = 4 // of which others may ask: one is always free for us
	maxMetersPeer  = 2 // of which one node may: one that runs, or has just ended, and a new one
	meterTime      = 10 * time.Second
	maxMeterTime   = time.Hour
	meterSilence   = time.Second            // a receiver that hears nothing forgets
	meterTakeover  = 100 * time.Millisecond // or this, if the same node begins a third test
	meterBurst     = 32                     // segments at once
	meterPause     = 100 * time.Microsecond // and then
	meterStampUnit = time.Microsecond
	meterLongest   = time.Minute // round trip that a stamp can tell
)

// meter is the throughput meter of a node.
type meter struct {
	out    []*meterOut
	in     []*meterIn
	filler []byte // of a segment: nothing that a link could compress
}

// meterOut is a test of ours.
type meterOut struct {
	tpSender
	id         uint64
	peer       batman.MAC
	session    uint16
	uid        uint8
	start, end mono.Time
	more       mono.Time // when to go on after a burst
}

// meterIn is a test of another node.
type meterIn struct {
	tpReceiver
	peer    batman.MAC
	session uint16
	seen    mono.Time
}

func (m *Mesh) meterInit(mono.Time) {}

// MeterStart begins a throughput test to dst, an originator or a client of
// one, for the time d; 0 means 10 s. The result comes as one Reply with that
// id: bytes that dst has acknowledged, and the time. If the test cannot begin
// the Reply has an Err and comes at once.
func (m *Mesh) MeterStart(now mono.Time, id uint64, dst batman.MAC, d time.Duration, out *Out) {
	o, why := m.target(dst)
	if o != nil {
		why = m.meterBusy(o.MAC)
	}
	if why != "" {
		out.Replies = append(out.Replies, Reply{Kind: ReplyMeter, ID: id, Err: why, From: dst})
		return
	}
	if d <= 0 {
		d = meterTime
	}
	if m.meter.filler == nil {
		m.meter.filler = make([]byte, batman.TPSegment-batman.TPLen)
		for i := range m.meter.filler {
			m.meter.filler[i] = byte(m.rng.Uint32())
		}
	}
	t := &meterOut{
		tpSender: newTPSender(now), id: id, peer: o.MAC, session: uint16(m.rng.Uint32()), uid: uint8(m.rng.Uint32()),
		start: now, end: now.Add(min(d, maxMeterTime)), more: mono.Never,
	}
	m.meter.out = append(m.meter.out, t)
	m.meterSend(now, t, out)
}

// meterBusy says why no test to peer can begin; "" if one can.
func (m *Mesh) meterBusy(peer batman.MAC) string {
	for _, t := range m.meter.out {
		if t.peer == peer {
			return "a test with that node is running"
		}
	}
	for _, t := range m.meter.in {
		if t.peer == peer {
			return "that node is running a test with us"
		}
	}
	if len(m.meter.out)+len(m.meter.in) >= maxMeters {
		return "too many tests are running"
	}
	return ""
}

// MeterStop ends test id before its time. Its Reply follows at once, with what
// was measured so far.
func (m *Mesh) MeterStop(now mono.Time, id uint64, out *Out) {
	for i, t := range m.meter.out {
		if t.id == id {
			m.meterEnd(now, i, "cancelled", out)
			return
		}
	}
}

// meterEnd ends test i of ours.
func (m *Mesh) meterEnd(now mono.Time, i int, why string, out *Out) {
	t := m.meter.out[i]
	if why == "" && t.total == 0 {
		why = "no answer"
	}
	out.Replies = append(out.Replies, Reply{
		Kind: ReplyMeter, ID: t.id, Err: why, From: t.peer, Bytes: t.total, DurationMS: uint64(now.Sub(t.start) / time.Millisecond),
	})
	m.meter.out = append(m.meter.out[:i], m.meter.out[i+1:]...)
}

// meterSend sends what the window allows, a burst at most.
func (m *Mesh) meterSend(now mono.Time, t *meterOut, out *Out) {
	t.more = mono.Never
	o := m.originator(t.peer)
	if o == nil || m.primary == nil || m.router(o, nil) == nil {
		return // the timer tries again
	}
	h := batman.Throughput{
		TTL: batman.TTL, Dst: t.peer, Orig: m.self(), UID: t.uid, Subtype: batman.TPMessage, Session: t.session,
		Stamp: uint32(now / mono.Time(meterStampUnit)),
	}
	for n := 0; ; n++ {
		if n == meterBurst {
			if t.ready() {
				t.more = now.Add(meterPause)
			}
			return
		}
		var ok bool
		if h.Seqno, ok = t.next(now); !ok {
			return
		}
		b := out.Pool.Get()
		p := b.Extend(batman.TPSegment)
		copy(p[batman.TPLen:], m.meter.filler)
		h.Put(p)
		m.sendTo(now, o, nil, b, out)
	}
}

// rxMeter takes a packet of the throughput meter for this node. It takes b.
func (m *Mesh) rxMeter(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	t, payload, err := batman.ParseThroughput(b.Bytes())
	switch {
	case err != nil:
		m.dropOn(r.hi, b, dropRunt, out)
	case t.Subtype == batman.TPMessage:
		m.rxSegment(now, r, t, payload, b, out)
	case t.Subtype == batman.TPAck && m.rxAck(now, t, out):
		out.Pool.Put(b)
	default:
		m.dropOn(r.hi, b, dropICMP, out)
	}
}

// rxAck takes an acknowledgement; false if it belongs to no test of ours. The
// peer answers in the name of its primary interface, whichever was asked.
func (m *Mesh) rxAck(now mono.Time, h batman.Throughput, out *Out) bool {
	for _, t := range m.meter.out {
		if t.session != h.Session || t.uid != h.UID {
			continue
		}
		rtt := time.Duration(uint32(now/mono.Time(meterStampUnit))-h.Stamp) * meterStampUnit
		if rtt > meterLongest {
			rtt = 0
		}
		if !t.ack(now, h.Seqno, rtt) {
			return false
		}
		m.meterSend(now, t, out)
		return true
	}
	return false
}

// rxSegment takes a segment and turns it into its acknowledgement. It takes b.
func (m *Mesh) rxSegment(now mono.Time, r rx, h batman.Throughput, payload uint32, b *pkt.Buf, out *Out) {
	o := m.originator(h.Orig)
	if o == nil {
		m.dropOn(r.hi, b, dropUnknownOrig, out)
		return
	}
	t := m.meterIn(now, h)
	if t == nil || !t.take(h.Seqno, payload) {
		m.dropOn(r.hi, b, dropICMP, out)
		return
	}
	t.seen = now
	h.TTL, h.Dst, h.Orig, h.Subtype, h.Seqno = batman.TTL, h.Orig, m.self(), batman.TPAck, t.next
	b.Truncate(batman.TPLen)
	h.Put(b.Bytes())
	m.sendTo(now, o, nil, b, out)
}

// meterIn returns the test that a segment belongs to. The first segment makes
// one. A node may begin a test at once after another, which is forgotten a
// second later; what comes late of that one does not disturb the new one.
func (m *Mesh) meterIn(now mono.Time, h batman.Throughput) *meterIn {
	var old *meterIn // of the same node, silent for longest
	n := 0
	for _, t := range m.meter.in {
		switch {
		case t.peer != h.Orig:
			continue
		case t.session == h.Session:
			return t
		case old == nil || t.seen < old.seen:
			old = t
		}
		n++
	}
	switch {
	case h.Seqno != batman.TPFirstSeqno:
		return nil
	case n >= maxMetersPeer:
		if now.Sub(old.seen) < meterTakeover {
			return nil
		}
		old.session = h.Session
		old.reset()
		return old
	case len(m.meter.in) >= maxMetersIn || len(m.meter.in)+len(m.meter.out) >= maxMeters:
		return nil
	}
	t := &meterIn{peer: h.Orig, session: h.Session, seen: now}
	t.reset()
	m.meter.in = append(m.meter.in, t)
	return t
}

func (m *Mesh) meterDeadline() mono.Time {
	d := mono.Never
	for _, t := range m.meter.out {
		d = mono.Min(d, mono.Min(t.end, mono.Min(t.more, t.rtoAt)))
	}
	for _, t := range m.meter.in {
		d = mono.Min(d, t.seen.Add(meterSilence))
	}
	return d
}

func (m *Mesh) meterExpire(now mono.Time, out *Out) {
	for i := len(m.meter.out) - 1; i >= 0; i-- {
		t := m.meter.out[i]
		late := now >= t.rtoAt
		switch {
		case now >= t.end:
			m.meterEnd(now, i, "", out)
		case late && !t.timeout(now):
			m.meterEnd(now, i, "no answer any more", out)
		case late || now >= t.more:
			m.meterSend(now, t, out)
		}
	}
	keep := m.meter.in[:0]
	for _, t := range m.meter.in {
		if now.Sub(t.seen) < meterSilence {
			keep = append(keep, t)
		}
	}
	clear(m.meter.in[len(keep):])
	m.meter.in = keep
}
