package daemon

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/netio"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/pkt"
)

// engine is the one goroutine that owns the node and the mesh: readers bring
// it batches, everything else brings it functions to run. It also writes, so
// that the packets of a session leave in the order of their nonces.
type engine struct {
	node  *node.Node
	out   node.Out
	mesh  *meshCore // nil while there is none
	pool  pkt.Pool
	start time.Time

	// in carries what the readers have read. Writers: all readers. Reader:
	// the engine. A reader waits when it is full, and the kernel drops.
	in chan inbound
	// calls carries functions that need the cores. Reader: the engine.
	calls chan func(now mono.Time)

	links writer
	tun   netio.Conn
	join  join
	// community is there from the first packet on.
	community *communityCore
	onOut     func(now mono.Time, out *node.Out) // asks, replies, events
}

// source says what a reader reads.
type source uint8

const (
	fromLink source = iota // a link of the overlay
	fromTUN                // local programs
	fromAir                // a hard interface of the mesh
	fromTAP                // clients of the mesh
)

// inbound is one batch on its way to the engine. The engine fills its slots
// with fresh buffers and gives it back through free.
type inbound struct {
	batch *pkt.Batch
	n     int
	from  source
	free  chan *pkt.Batch
}

// batchesPerReader is how many batches a reader has under way: one that it
// fills, one in the queue, one that the engine works on.
const batchesPerReader = 3

// drainBatches is how many waiting batches are taken before the answers are
// written: larger writes under load.
const drainBatches = 3

func newEngine(batch int) *engine {
	e := &engine{
		start: time.Now(),
		in:    make(chan inbound, 8),
		calls: make(chan func(mono.Time), 16),
	}
	e.pool.Keep = 4 * batch
	e.out.Pool = &e.pool
	e.join.slow = make(chan slowJob, slowJobs)
	return e
}

// now returns the instant for the cores.
func (e *engine) now() mono.Time { return mono.Time(time.Since(e.start)) }

// random fills b; the cores' only source of chance.
func random(b []byte) {
	if _, err := rand.Read(b); err != nil {
		panic("no random numbers: " + err.Error()) // since Go 1.24 it never returns one
	}
}

// do runs f on the engine's goroutine and waits for it. It reports false if
// the agent stops first.
func (e *engine) do(ctx context.Context, f func(now mono.Time)) bool {
	done := make(chan struct{})
	select {
	case e.calls <- func(now mono.Time) { f(now); close(done) }:
	case <-ctx.Done():
		return false
	}
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// run works until ctx ends.
func (e *engine) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	set := mono.Time(-1)
	for {
		if d := mono.Min(mono.Min(e.node.Deadline(), e.mesh.deadline()), e.community.deadline()); d != set {
			set = d
			timer.Reset(max(0, d.Sub(e.now())))
		}
		select {
		case <-ctx.Done():
			return
		case in := <-e.in:
			e.take(e.now(), in)
			e.drain(drainBatches)
		case f := <-e.calls:
			f(e.now())
		case <-timer.C:
			set = -1
		}
		now := e.now()
		wall := e.start.Add(time.Duration(now))
		e.node.SetWall(wall.Unix(), uint32(wall.Nanosecond()))
		if now >= e.node.Deadline() {
			e.node.Expire(now, &e.out)
		}
		e.settle(now)
	}
}

// drain takes the batches that are waiting already, at most n.
func (e *engine) drain(n int) {
	for range n {
		select {
		case in := <-e.in:
			e.take(e.now(), in)
		default:
			return
		}
	}
}

func (e *engine) take(now mono.Time, in inbound) {
	full := in.batch.Bufs
	work := pkt.Batch{Bufs: full[:in.n]}
	switch {
	case in.from == fromTUN:
		e.node.FromTUN(now, &work, &e.out)
	case in.from == fromLink:
		e.node.FromLink(now, &work, &e.out)
	case e.mesh != nil:
		e.mesh.take(now, work.Bufs, in.from == fromTAP)
	default: // the mesh has just gone; the buffers stay where they are
		in.free <- in.batch
		return
	}
	// The core has taken the first n buffers.
	for i := range in.n {
		full[i] = e.pool.Get()
	}
	in.free <- in.batch
}

// flush carries out what the node wants.
func (e *engine) flush(now mono.Time) {
	for {
		e.community.step(now, &e.out)
		if len(e.out.Asks)+len(e.out.Replies)+len(e.out.Events) == 0 {
			break
		}
		e.onOut(now, &e.out)
		e.out.Asks, e.out.Replies, e.out.Events = e.out.Asks[:0], e.out.Replies[:0], e.out.Events[:0]
	}
	e.nodeJobs()
	e.toMesh(now)
	e.links.write(&e.out.Frames, &e.pool)
	writeLocal(e.tun, &e.out.TUN, &e.pool)
}

// setConn makes c the Conn of a link; nil for none. Engine goroutine only.
func (e *engine) setConn(link uint16, c netio.Conn) { e.links.set(link, c) }

// writeLocal sends packets to local programs or clients; c is nil if there is
// no device. An error means that the device is gone; its reader tells.
func writeLocal(c netio.Conn, p *pkt.Batch, pool *pkt.Pool) {
	if p.Len() == 0 {
		return
	}
	if c != nil {
		_, _ = c.WriteBatch(p.Bufs)
	}
	p.Recycle(pool)
}

// writer sends batches whose buffers name their link.
type writer struct {
	conns []netio.Conn // by link index; nil: none
	sort  []pkt.Batch  // by link index, scratch
}

// set makes c the Conn of a link; nil for none.
func (w *writer) set(link uint16, c netio.Conn) {
	for int(link) >= len(w.conns) {
		w.conns = append(w.conns, nil)
	}
	w.conns[link] = c
}

// write sends the frames, in order per link, and empties f.
func (w *writer) write(f *pkt.Batch, pool *pkt.Pool) {
	if f.Len() == 0 {
		return
	}
	first := f.Bufs[0].Port
	same := true
	for _, b := range f.Bufs {
		same = same && b.Port == first
	}
	if same {
		w.send(first, f, pool)
		return
	}
	for _, b := range f.Bufs {
		for int(b.Port) >= len(w.sort) {
			w.sort = append(w.sort, pkt.Batch{})
		}
		w.sort[b.Port].Add(b)
	}
	f.Reset()
	for i := range w.sort {
		if w.sort[i].Len() > 0 {
			w.send(uint16(i), &w.sort[i], pool)
		}
	}
}

func (w *writer) send(link uint16, f *pkt.Batch, pool *pkt.Pool) {
	if int(link) < len(w.conns) && w.conns[link] != nil {
		_, _ = w.conns[link].WriteBatch(f.Bufs)
	}
	f.Recycle(pool)
}

// read moves batches from c to the engine until c is closed or fails, and
// returns why. port is put on every buffer; from says what c is.
func (e *engine) read(ctx context.Context, c netio.Conn, port uint16, from source) error {
	size := max(1, c.Caps().Batch)
	free := make(chan *pkt.Batch, batchesPerReader)
	for range batchesPerReader {
		b := &pkt.Batch{Bufs: make([]*pkt.Buf, size)}
		for i := range b.Bufs {
			b.Bufs[i] = new(pkt.Buf)
		}
		free <- b
	}
	for {
		var b *pkt.Batch
		select {
		case b = <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
		n, err := c.ReadBatch(b.Bufs)
		if err != nil {
			return err
		}
		for _, buf := range b.Bufs[:n] {
			buf.Port = port
		}
		select {
		case e.in <- inbound{batch: b, n: n, from: from, free: free}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
