package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Aggregation of OGMs. Source: batman-adv main.h, bat_iv_ogm.c.
const (
	aggregateTime = 100 * time.Millisecond
	maxAggregate  = 32  // OGMs in one frame
	maxOGMQueue   = 256 // forwarded OGM frames that wait
	forwardJitter = 10 * time.Millisecond
)

// ogmQueue holds the OGM frames that wait to be sent.
type ogmQueue struct {
	list []ogmFrame
	next mono.Time // when the first of them goes
}

// ogmFrame is one of them: OGMs one behind the other for one interface.
type ogmFrame struct {
	at  mono.Time
	to  *HardIface
	buf *pkt.Buf
	n   int
	// direct: of a neighbour's secondary interface or of our own: OGMs that go
	// no further than that link. They are not mixed with those that do.
	direct bool
}

// own sends an own OGM on to, together with what waits there and is of its
// kind. The kernel appends only what is due within 100 ms after the own OGM was
// queued; everything here is.
func (q *ogmQueue) own(m *Mesh, now mono.Time, to, from *HardIface, ogm []byte, out *Out) {
	b := out.Pool.Get()
	b.Set(ogm)
	f := ogmFrame{at: now, to: to, buf: b, n: 1, direct: from != m.primary}
	if m.cfg.Aggregation && len(q.list) > 0 {
		kept := q.list[:0]
		for _, g := range q.list {
			if g.to != to || g.direct != f.direct || f.n+g.n > maxAggregate || f.buf.Len()+g.buf.Len() > min(batman.MaxOGM, to.MTU) {
				kept = append(kept, g)
				continue
			}
			copy(f.buf.Extend(g.buf.Len()), g.buf.Bytes())
			f.n += g.n
			out.Pool.Put(g.buf)
		}
		q.keep(kept)
	}
	m.sendOGMs(f, out)
}

// forward queues a rebroadcast of p: with others that wait already, all of
// which leave within 110 ms, or alone and, so that others may join it, 100 ms
// later. Frames here fill better than the kernel's, which does not let an OGM
// join a frame that leaves a few ms too late by its own jitter, and lets the
// rebroadcast of a neighbour's own OGM travel alone: DIRECTLINK is a flag of
// each OGM in a frame, so that nobody minds.
// Source: batman-adv bat_iv_ogm.c, batadv_iv_ogm_can_aggregate.
func (q *ogmQueue) forward(m *Mesh, now mono.Time, to *HardIface, p ogmIn, single bool, out *Out) {
	size := len(p.raw)
	if size > to.MTU || size > pkt.MaxMTU {
		m.countOn(to, dropTooBig)
		return
	}
	at := now.Add(m.jitter(forwardJitter))
	direct := single && p.TTL == 1
	if m.cfg.Aggregation {
		at = at.Add(aggregateTime)
		for i := range q.list {
			f := &q.list[i]
			if f.to == to && f.direct == direct && f.n < maxAggregate && f.buf.Len()+size <= min(batman.MaxOGM, to.MTU) {
				p.put(f.buf.Extend(size))
				f.n++
				return
			}
		}
	}
	if len(q.list) >= maxOGMQueue {
		m.countOn(to, dropQueueFull)
		return
	}
	b := out.Pool.Get()
	b.Reset()
	p.put(b.Extend(size))
	if len(q.list) == 0 || at < q.next {
		q.next = at
	}
	q.list = append(q.list, ogmFrame{at: at, to: to, buf: b, n: 1, direct: direct})
}

// put writes the OGM as it is now.
func (p *ogmIn) put(b []byte) {
	copy(b, p.raw)
	p.OGM.Put(b)
	b[20] = p.raw[20] // reserved; relays leave it alone
}

func (q *ogmQueue) deadline() mono.Time {
	if len(q.list) == 0 {
		return mono.Never
	}
	return q.next
}

// flush sends what is due.
func (q *ogmQueue) flush(m *Mesh, now mono.Time, out *Out) {
	kept := q.list[:0]
	for _, f := range q.list {
		if f.at <= now {
			m.sendOGMs(f, out)
		} else {
			kept = append(kept, f)
		}
	}
	q.keep(kept)
}

// keep makes kept, which lies at the front of the list, the list.
func (q *ogmQueue) keep(kept []ogmFrame) {
	clear(q.list[len(kept):])
	q.list, q.next = kept, mono.Never
	for i := range kept {
		q.next = mono.Min(q.next, kept[i].at)
	}
}

// dropIface forgets what waits for hi.
func (q *ogmQueue) dropIface(hi *HardIface, out *Out) {
	kept := q.list[:0]
	for _, f := range q.list {
		if f.to == hi {
			out.Pool.Put(f.buf)
		} else {
			kept = append(kept, f)
		}
	}
	q.keep(kept)
}

// sendOGMs sends a frame, unless the MTU became too small for it.
func (m *Mesh) sendOGMs(f ogmFrame, out *Out) {
	if f.buf.Len() > f.to.MTU {
		m.dropOn(f.to, f.buf, dropTooBig, out)
		return
	}
	m.stats.mgmtTx++
	m.stats.mgmtTxBytes += uint64(f.buf.Len())
	m.transmit(f.to, batman.Broadcast, f.buf, out)
}
