package ubus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// DefaultPath is where ubusd listens.
const DefaultPath = "/var/run/ubus/ubus.sock"

// Limits of a Conn.
const (
	CallTimeout  = 30 * time.Second // of a call whose context has no deadline
	writeTimeout = 10 * time.Second // ubusd has to take a message within this time
	helloTimeout = 5 * time.Second
	maxPending   = 64      // requests under way
	maxAnswer    = 4 << 20 // bytes of all messages that answer one request
	maxCalls     = 32      // methods of ours that run at the same time
	maxPerCaller = 16      // of these, for one caller
	maxWaiting   = 64      // events that wait for one listener
)

// Errors of a Conn, beside wire.Status and those of the system.
var (
	ErrClosed  = errors.New("ubus: the connection is closed")
	ErrBusy    = errors.New("ubus: too many requests are under way")
	ErrTooLong = errors.New("ubus: the answer is too long")
	// ErrRefused says that ubusd hung up before it said hello.
	ErrRefused = errors.New("ubusd refuses this process: its user or group is not in /etc/passwd or /etc/group")
)

// Counters counts what was dropped. Safe for concurrent use.
type Counters struct {
	Unknown   atomic.Uint64 // messages that nobody waits for
	Malformed atomic.Uint64 // calls whose arguments cannot be read
	Busy      atomic.Uint64 // calls beyond the limits
	TooLong   atomic.Uint64 // answers beyond the limits, either way
	Overflow  atomic.Uint64 // events that a listener was too slow for
	Unsent    atomic.Uint64 // events of ours that ubusd was not there for
}

// Conn is a connection to ubusd. All functions may be called from several
// goroutines at once.
type Conn struct {
	ID       uint32 // what ubusd calls us
	counters *Counters

	c      net.Conn
	ctx    context.Context // of the methods; ends with the connection
	cancel context.CancelFunc
	done   chan struct{} // closed when the connection has ended
	wg     sync.WaitGroup

	write sync.Mutex

	mu      sync.Mutex
	err     error // why it ended
	seq     uint16
	pending map[uint16]*pending
	objects map[uint32]*Object
	calls   map[uint32]int // running methods by caller
	running int
	targets map[subscription]subscribed
	monitor func(wire.Observed)
}

// pending is a request that waits for its outcome.
type pending struct {
	peer uint32
	// took, if set, sees every answer on the reader's goroutine, before the
	// next message is read.
	took func(wire.Attrs)
	// rest, if set, gets outcomes of others than peer.
	rest func(peer uint32, s wire.Status)
	data []wire.Attrs
	size int
	end  chan outcome // one place
}

type outcome struct {
	attrs wire.Attrs
	err   error
}

// Dial connects to ubusd. counters may be nil.
func Dial(ctx context.Context, path string, counters *Counters) (*Conn, error) {
	ctx, stop := context.WithTimeout(ctx, helloTimeout)
	defer stop()
	nc, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c, err := greet(ctx, nc, counters)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// greet makes a Conn of nc, on which ubusd speaks first.
func greet(ctx context.Context, nc net.Conn, counters *Counters) (*Conn, error) {
	if counters == nil {
		counters = new(Counters)
	}
	c := &Conn{c: nc, counters: counters, done: make(chan struct{}), pending: map[uint16]*pending{}, objects: map[uint32]*Object{},
		calls: map[uint32]int{}, targets: map[subscription]subscribed{}}
	unhook := context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) })
	h, _, err := c.read()
	if !unhook() && err == nil {
		err = context.Cause(ctx)
	}
	switch {
	case errors.Is(err, io.EOF):
		err = ErrRefused
	case err == nil && h.Type != wire.Hello:
		err = fmt.Errorf("ubus: expected a greeting of ubusd on %s, found %v", nc.RemoteAddr(), h.Type)
	}
	if err != nil {
		return nil, err
	}
	c.ID = h.Peer
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		c.serve()
	}()
	return c, nil
}

// Close ends the connection, and returns when all methods and listeners have.
func (c *Conn) Close() {
	c.fail(ErrClosed)
	c.wg.Wait()
}

// Done is closed when the connection has ended; Err says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended; nil while it has not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the connection once.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	c.cancel()
	c.c.Close()
	for seq, p := range c.pending {
		p.finish(outcome{err: err})
		delete(c.pending, seq)
	}
	for _, o := range c.objects {
		o.id.Store(0)
		o.active.Store(false)
	}
	close(c.done)
}

func (p *pending) finish(o outcome) {
	select {
	case p.end <- o:
	default:
	}
}

// read reads one message; the body belongs to the caller.
func (c *Conn) read() (h wire.Header, body []byte, err error) {
	var head [wire.HeaderLen]byte
	if _, err = io.ReadFull(c.c, head[:]); err != nil {
		return h, nil, err
	}
	if h, err = wire.ParseHeader(head[:]); err != nil {
		return h, nil, err
	}
	if h.Version != 0 {
		return h, nil, fmt.Errorf("ubus: expected version 0 of the protocol, found %d", h.Version)
	}
	body = make([]byte, h.Len)
	_, err = io.ReadFull(c.c, body)
	return h, body, err
}

// send writes one message. An error other than wire.ErrLength ends the
// connection.
func (c *Conn) send(h wire.Header, body wire.Body) error {
	frame, err := wire.AppendMessage(nil, h, body)
	if err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return c.lost(err)
	}
	if _, err := c.c.Write(frame); err != nil {
		return c.lost(err)
	}
	return nil
}

// lost ends the connection and returns why it has.
func (c *Conn) lost(err error) error {
	c.fail(err)
	return c.Err()
}

func (c *Conn) serve() {
	for {
		h, body, err := c.read()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("ubusd has closed the connection")
			}
			c.fail(err)
			return
		}
		a := wire.ParseAttrs(body)
		switch h.Type {
		case wire.Data, wire.StatusMsg:
			c.answer(h, a, len(body))
		case wire.Invoke:
			c.invoked(h, a)
		case wire.Notify:
			c.watched(a)
		case wire.Unsubscribe:
			c.targetGone(a)
		case wire.Monitor:
			c.observed(body)
		default:
			c.counters.Unknown.Add(1)
		}
	}
}

// answer gives an answer or an outcome to the request it belongs to.
func (c *Conn) answer(h wire.Header, a wire.Attrs, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending[h.Seq]
	switch {
	case p == nil || p.peer != h.Peer && p.rest == nil:
		c.counters.Unknown.Add(1)
	case p.peer != h.Peer && h.Type == wire.StatusMsg:
		p.rest(h.Peer, a.Status)
	case p.peer != h.Peer: // data of a subscriber
	case h.Type == wire.StatusMsg:
		o := outcome{attrs: a}
		if !a.Has(wire.AttrStatus) {
			o.err = wire.ParseError
		} else if a.Status != wire.OK {
			o.err = a.Status
		}
		if p.rest == nil || o.err != nil {
			delete(c.pending, h.Seq)
		}
		p.finish(o)
	default:
		if p.size += size; p.size > maxAnswer {
			c.counters.TooLong.Add(1)
			delete(c.pending, h.Seq)
			p.finish(outcome{err: ErrTooLong})
			return
		}
		if p.took != nil {
			p.took(a)
			return
		}
		p.data = append(p.data, a)
	}
}

// start registers a request under a fresh number and sends it.
func (c *Conn) start(t wire.MsgType, body wire.Body, p *pending) (seq uint16, err error) {
	p.end = make(chan outcome, 1)
	c.mu.Lock()
	switch {
	case c.err != nil:
		err = c.err
	case len(c.pending) >= maxPending:
		err = ErrBusy
	default:
		for c.seq++; c.pending[c.seq] != nil; c.seq++ {
		}
		seq = c.seq
		c.pending[seq] = p
	}
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if err = c.send(wire.Header{Type: t, Seq: seq, Peer: p.peer}, body); err != nil {
		c.forget(seq)
	}
	return seq, err
}

func (c *Conn) forget(seq uint16) {
	c.mu.Lock()
	delete(c.pending, seq)
	c.mu.Unlock()
}

// request sends a request and waits for its outcome.
func (c *Conn) request(ctx context.Context, t wire.MsgType, body wire.Body, p *pending) (wire.Attrs, error) {
	if _, ok := ctx.Deadline(); !ok {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, CallTimeout)
		defer stop()
	}
	seq, err := c.start(t, body, p)
	if err != nil {
		return wire.Attrs{}, err
	}
	select {
	case o := <-p.end:
		return o.attrs, o.err
	case <-ctx.Done():
		c.forget(seq)
		return wire.Attrs{}, ctx.Err()
	}
}
