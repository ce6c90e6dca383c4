package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// ogmBatch collects the OGMs that leave an interface in one frame.
type ogmBatch struct {
	buf *pkt.Buf // nil: nothing waits
	at  mono.Time
}

// deadline returns when the frame is to go.
func (q *ogmBatch) deadline() mono.Time {
	if q.buf == nil {
		return mono.Never
	}
	return q.at
}

// queueOGM2 sends an OGM on hi soon, with others if aggregation is on. The
// kernel empties its queue every 100 ms; a frame here waits for as long as it
// does there, on the average.
// Source: batman-adv bat_v_ogm.c, batadv_v_ogm_queue_on_if.
func (m *Mesh) queueOGM2(now mono.Time, hi *HardIface, o batman.OGM2, tvlvs []byte, out *Out) {
	q, size := &hi.v.queue, batman.OGM2Len+len(tvlvs)
	if size > hi.MTU || size > pkt.MaxMTU {
		m.countOn(hi, dropTooBig)
		return
	}
	if q.buf != nil && q.buf.Len()+size > min(batman.MaxOGM, hi.MTU) {
		m.flushOGM2(hi, out)
	}
	if q.buf == nil {
		q.buf, q.at = out.Pool.Get(), now.Add(m.jitter(aggregateTime))
		q.buf.Reset()
	}
	o.TVLVLen = uint16(len(tvlvs))
	o.Put(q.buf.Extend(batman.OGM2Len))
	copy(q.buf.Extend(len(tvlvs)), tvlvs)
	if !m.cfg.Aggregation {
		m.flushOGM2(hi, out)
	}
}

// flushOGM2 sends what waits on hi.
func (m *Mesh) flushOGM2(hi *HardIface, out *Out) {
	b := hi.v.queue.buf
	if b == nil {
		return
	}
	hi.v.queue.buf = nil
	m.stats.mgmtTx++
	m.stats.mgmtTxBytes += uint64(b.Len())
	m.transmit(hi, batman.Broadcast, b, out)
}
