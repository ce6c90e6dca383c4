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

// engine is the one goroutine that owns the node: readers bring it batches,
// everything else brings it functions to run. It also writes, so that the
// packets of a session leave in the order of their nonces.
type engine struct {
	node  *node.Node
	out   node.Out
	pool  pkt.Pool
	start time.Time

	// in carries what the readers have read. Writers: all readers. Reader:
	// the engine. A reader waits when it is full, and the kernel drops.
	in chan inbound
	// calls carries functions that need the node. Reader: the engine.
	calls chan func(now mono.Time)

	conns []netio.Conn // by link index; nil: none
	sort  []pkt.Batch  // by link index, scratch
	tun   netio.Conn
	onOut func(now mono.Time, out *node.Out) // asks, replies, events
}

// inbound is one batch on its way to the engine. The engine fills its slots
// with fresh buffers and gives it back through free.
type inbound struct {
	batch *pkt.Batch
	n     int
	tun   bool
	free  chan *pkt.Batch
}

// batchesPerReader is how many batches a reader has under way: one that it
// fills, one in the queue, one that the engine works on.
const batchesPerReader = 3

func newEngine(batch int) *engine {
	e := &engine{
		start: time.Now(),
		in:    make(chan inbound, 8),
		calls: make(chan func(mono.Time), 16),
	}
	e.pool.Keep = 4 * batch
	e.out.Pool = &e.pool
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
		if d := e.node.Deadline(); d != set {
			set = d
			timer.Reset(max(0, d.Sub(e.now())))
		}
		select {
		case <-ctx.Done():
			return
		case in := <-e.in:
			e.take(e.now(), in)
			e.drain()
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
		e.flush(now)
	}
}

// drain takes the batches that are waiting already, a few at most, so that
// writes become larger under load.
func (e *engine) drain() {
	for range 3 {
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
	if in.tun {
		e.node.FromTUN(now, &work, &e.out)
	} else {
		e.node.FromLink(now, &work, &e.out)
	}
	// The node has taken the first n buffers.
	for i := range in.n {
		full[i] = e.pool.Get()
	}
	in.free <- in.batch
}

// flush carries out what the node wants.
func (e *engine) flush(now mono.Time) {
	for len(e.out.Asks)+len(e.out.Replies)+len(e.out.Events) > 0 {
		e.onOut(now, &e.out)
		e.out.Asks, e.out.Replies, e.out.Events = e.out.Asks[:0], e.out.Replies[:0], e.out.Events[:0]
	}
	if e.out.Frames.Len() > 0 {
		e.writeFrames()
	}
	if e.out.TUN.Len() > 0 {
		if e.tun != nil {
			// An error means that the device is gone; its reader tells.
			_, _ = e.tun.WriteBatch(e.out.TUN.Bufs)
		}
		e.out.TUN.Recycle(&e.pool)
	}
}

// writeFrames sends the frames, in order per link.
func (e *engine) writeFrames() {
	f := &e.out.Frames
	first := f.Bufs[0].Port
	same := true
	for _, b := range f.Bufs {
		same = same && b.Port == first
	}
	if same {
		e.write(first, f)
		return
	}
	for _, b := range f.Bufs {
		for int(b.Port) >= len(e.sort) {
			e.sort = append(e.sort, pkt.Batch{})
		}
		e.sort[b.Port].Add(b)
	}
	f.Reset()
	for i := range e.sort {
		if e.sort[i].Len() > 0 {
			e.write(uint16(i), &e.sort[i])
		}
	}
}

func (e *engine) write(link uint16, f *pkt.Batch) {
	if int(link) < len(e.conns) && e.conns[link] != nil {
		_, _ = e.conns[link].WriteBatch(f.Bufs)
	}
	f.Recycle(&e.pool)
}

// setConn makes c the Conn of a link; nil for none. Engine goroutine only.
func (e *engine) setConn(link uint16, c netio.Conn) {
	for int(link) >= len(e.conns) {
		e.conns = append(e.conns, nil)
	}
	e.conns[link] = c
}

// read moves batches from c to the engine until c is closed or fails, and
// returns why. port is put on every buffer; tun says that these are packets
// of local programs.
func (e *engine) read(ctx context.Context, c netio.Conn, port uint16, tun bool) error {
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
		case e.in <- inbound{batch: b, n: n, tun: tun, free: free}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
