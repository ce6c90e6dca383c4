package netio

import (
	"sync"

	"github.com/meshagent/meshagent/agent/pkt"
)

// Mem is one end of a link in memory, for tests.
type Mem struct {
	counters
	addr pkt.Addr
	rx   *memQueue
	tx   *memQueue
	loss func(frame []byte) bool
}

// memQueue is a bounded queue with any number of writers and readers. Its
// packets live in slots that are allocated once.
type memQueue struct {
	mu     sync.Mutex
	ready  sync.Cond
	slots  []pkt.Buf
	head   int // next to read
	n      int
	closed bool
}

// Pipe returns the two ends of a link in memory. Each direction holds up to
// capacity packets; what is written to a full link is dropped and counted as
// TxBusy, as on a real one. A packet arrives with the Addr of the end that
// sent it, whatever its destination was: ends are 192.0.2.1:1 and
// 192.0.2.2:2.
func Pipe(capacity int) (*Mem, *Mem) {
	capacity = max(capacity, 1)
	p, q := newMemQueue(capacity), newMemQueue(capacity)
	addr := func(n byte) pkt.Addr {
		return pkt.Addr{Kind: pkt.AddrUDP4, IP: [16]byte{192, 0, 2, n}, Port: uint16(n)}
	}
	return &Mem{addr: addr(1), rx: p, tx: q}, &Mem{addr: addr(2), rx: q, tx: p}
}

func newMemQueue(capacity int) *memQueue {
	q := &memQueue{slots: make([]pkt.Buf, capacity)}
	q.ready.L = &q.mu
	return q
}

// Addr returns the address under which this end's packets arrive at the other.
func (m *Mem) Addr() pkt.Addr { return m.addr }

// SetAddr changes what Addr returns. Call it before the end is used.
func (m *Mem) SetAddr(a pkt.Addr) { m.addr = a }

// SetLoss makes this end lose every packet it sends for which f returns true.
// Call it before the end is used; f is called by the writer.
func (m *Mem) SetLoss(f func(frame []byte) bool) { m.loss = f }

// Stats may be called at any time.
func (m *Mem) Stats() Stats { return m.stats() }

// Caps implements Conn.
func (m *Mem) Caps() Caps { return Caps{Batch: len(m.rx.slots), Text: "memory"} }

// ReadBatch implements Conn.
func (m *Mem) ReadBatch(bufs []*pkt.Buf) (int, error) {
	q := m.rx
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n == 0 && !q.closed && len(bufs) > 0 {
		q.ready.Wait()
	}
	if q.closed {
		return 0, errClosed
	}
	n := min(q.n, len(bufs))
	for _, b := range bufs[:n] {
		s := &q.slots[q.head]
		q.head = (q.head + 1) % len(q.slots)
		q.n--
		b.Set(s.Bytes())
		b.Addr = s.Addr
	}
	return n, nil
}

// WriteBatch implements Conn.
func (m *Mem) WriteBatch(bufs []*pkt.Buf) (int, error) {
	q := m.tx
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, b := range bufs {
		if q.closed {
			return n, errClosed
		}
		if m.loss != nil && m.loss(b.Bytes()) {
			n++ // the air lost it, not the sender
			continue
		}
		if q.n == len(q.slots) {
			m.txBusy.Add(1)
			continue
		}
		s := &q.slots[(q.head+q.n)%len(q.slots)]
		if !s.Set(b.Bytes()) {
			m.txRefused.Add(1)
			continue
		}
		s.Addr = m.addr
		q.n++
		n++
	}
	q.ready.Broadcast()
	return n, nil
}

// Close implements Conn. It ends both directions, and so the other end too.
func (m *Mem) Close() error {
	var err error
	for _, q := range [...]*memQueue{m.rx, m.tx} {
		q.mu.Lock()
		if q.closed {
			err = errClosed
		}
		q.closed = true
		q.ready.Broadcast()
		q.mu.Unlock()
	}
	return err
}
