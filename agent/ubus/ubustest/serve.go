package ubustest

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// Daemon is a Bus on a unix socket.
type Daemon struct {
	User string // whom clients are taken for; root if empty

	mu    sync.Mutex
	bus   Bus
	l     *net.UnixListener
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// Start serves path until the test ends or Stop is called.
func Start(t testing.TB, path string, rules ...Rule) *Daemon {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{l: l, conns: map[net.Conn]bool{}, bus: Bus{Rules: rules}}
	d.wg.Add(1)
	go func() {
		defer d.wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns[c] = true
			user := d.User
			d.wg.Add(1)
			d.mu.Unlock()
			if user == "" {
				user = "root"
			}
			go d.serve(c, user)
		}
	}()
	t.Cleanup(d.Stop)
	return d
}

// As makes clients from now on come as user.
func (d *Daemon) As(user string) {
	d.mu.Lock()
	d.User = user
	d.mu.Unlock()
}

// Drop closes all connections, and the socket stays.
func (d *Daemon) Drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		c.Close()
	}
}

// Stop ends it; the socket file goes.
func (d *Daemon) Stop() {
	d.l.Close()
	d.Drop()
	d.wg.Wait()
}

// Path is where it listens.
func (d *Daemon) Path() string { return d.l.Addr().String() }

// Paths returns the paths of all objects, sorted.
func (d *Daemon) Paths() (paths []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.bus.sorted() {
		paths = append(paths, o.path)
	}
	return paths
}

// queue is what waits for a client to read.
type queue struct {
	mu     sync.Mutex
	some   *sync.Cond
	frames [][]byte
	size   int
	closed bool
}

// maxQueue is where ubusd begins to drop messages to a client.
const maxQueue = 1 << 20

func (q *queue) add(frame []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size+len(frame) > maxQueue+wire.MaxBlob {
		return
	}
	q.frames, q.size = append(q.frames, frame), q.size+len(frame)
	q.some.Signal()
}

func (q *queue) write(c net.Conn) {
	for {
		q.mu.Lock()
		for len(q.frames) == 0 && !q.closed {
			q.some.Wait()
		}
		if q.closed {
			q.mu.Unlock()
			return
		}
		frame := q.frames[0]
		q.frames, q.size = q.frames[1:], q.size-len(frame)
		q.mu.Unlock()
		if _, err := c.Write(frame); err != nil {
			return
		}
	}
}

func (d *Daemon) serve(c net.Conn, user string) {
	defer d.wg.Done()
	q := &queue{}
	q.some = sync.NewCond(&q.mu)
	d.mu.Lock()
	p := d.bus.Connect(user, user, q.add)
	d.mu.Unlock()
	d.wg.Add(1)
	go func() { defer d.wg.Done(); q.write(c) }()
	for {
		h, body, err := ReadFrame(c)
		if err != nil {
			break
		}
		d.mu.Lock()
		p.Receive(h, body)
		d.mu.Unlock()
	}
	d.mu.Lock()
	p.Close()
	delete(d.conns, c)
	d.mu.Unlock()
	c.Close()
	q.mu.Lock()
	q.closed = true
	q.some.Signal()
	q.mu.Unlock()
}

// ReadFrame reads one frame. io.EOF says that there was none.
func ReadFrame(r io.Reader) (h wire.Header, body []byte, err error) {
	var head [wire.HeaderLen]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return h, nil, err
	}
	if h, err = wire.ParseHeader(head[:]); err != nil {
		return h, nil, err
	}
	body = make([]byte, h.Len)
	if _, err = io.ReadFull(r, body); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return h, body, err
}
