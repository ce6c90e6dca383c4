package ubus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// Back-off of a Client: the first wait after a connection is lost, and the
// longest. It doubles in between.
const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 15 * time.Second
)

// maxEvents is how many events of ours may wait for ubusd.
const maxEvents = 64

// ErrAbsent says that there is no socket of ubusd.
var ErrAbsent = errors.New("ubusd is not there")

// Listener is what a Client listens to.
type Listener struct {
	Pattern string // a name, or its beginning and a star
	Handle  func(Event)
}

// Subscription is an object whose notifications a Client wants. It is
// subscribed to whenever it is there.
type Subscription struct {
	Path   string
	Handle func(Event)
}

// Client keeps a connection to ubusd. Its fields are set before Run.
type Client struct {
	Path          string // of the socket; DefaultPath if empty
	Objects       []*Object
	Listeners     []Listener
	Subscriptions []Subscription
	// Changed, if set, is told of every change of the state. It may not wait.
	Changed func(State)
	// MinBackoff and MaxBackoff replace the defaults; for tests.
	MinBackoff, MaxBackoff time.Duration

	Counters Counters

	once   sync.Once
	events chan sending
	mu     sync.Mutex
	state  State
	conn   *Conn
}

// State says how a Client is doing.
type State struct {
	Connected bool
	Err       error // why not; of a connection, what does not work on it
}

// sending is an event on its way to ubusd.
type sending struct {
	name string
	data wire.Table
	o    *Object // whose subscribers are told as well; may be nil
	kind string
}

// Run keeps a connection until ctx ends.
func (c *Client) Run(ctx context.Context) {
	c.init()
	wait := c.MinBackoff
	for ctx.Err() == nil {
		began := time.Now()
		err := c.session(ctx)
		if time.Since(began) > c.MaxBackoff {
			wait = c.MinBackoff
		}
		if ctx.Err() != nil {
			break
		}
		c.set(nil, State{Err: err})
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, c.MaxBackoff)
	}
	c.set(nil, State{Err: ErrClosed})
}

func (c *Client) init() {
	c.once.Do(func() {
		c.events = make(chan sending, maxEvents)
		if c.Path == "" {
			c.Path = DefaultPath
		}
		if c.MinBackoff == 0 {
			c.MinBackoff = minBackoff
		}
		if c.MaxBackoff == 0 {
			c.MaxBackoff = maxBackoff
		}
	})
}

// State returns how the Client is doing.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Conn returns the connection, for calls; nil if there is none.
func (c *Client) Conn() *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

func (c *Client) set(conn *Conn, s State) {
	c.mu.Lock()
	same := c.state.Connected == s.Connected && text(c.state.Err) == text(s.Err)
	c.conn, c.state = conn, s
	c.mu.Unlock()
	if !same && c.Changed != nil {
		c.Changed(s)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// session is one connection, from its beginning to its end.
func (c *Client) session(ctx context.Context) error {
	if _, err := os.Stat(c.Path); errors.Is(err, fs.ErrNotExist) {
		return ErrAbsent
	}
	conn, err := Dial(ctx, c.Path, &c.Counters)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.fail(ErrClosed) })
	defer stop()
	if err := c.register(ctx, conn); err != nil {
		return err
	}
	c.set(conn, State{Connected: true})
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, s := range c.Subscriptions {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c.subscribe(ctx, conn, s)
		}()
	}
	for {
		select {
		case e := <-c.events:
			if err := c.emit(ctx, conn, e); err != nil {
				c.set(conn, State{Connected: true, Err: err})
			}
		case <-conn.Done():
			return conn.Err()
		}
	}
}

// register publishes the objects and listens.
func (c *Client) register(ctx context.Context, conn *Conn) error {
	for _, o := range c.Objects {
		if err := conn.AddObject(ctx, o); errors.Is(err, wire.InvalidArgument) {
			return fmt.Errorf("ubusd refuses the object %s: another program has it, or the user of this process may not publish it", o.Path)
		} else if err != nil {
			return fmt.Errorf("object %s: %w", o.Path, err)
		}
	}
	for _, l := range c.Listeners {
		if err := conn.Listen(ctx, l.Pattern, l.Handle); err != nil {
			return fmt.Errorf("listen to %s: %w", l.Pattern, err)
		}
	}
	return nil
}

// subscribe keeps one subscription as long as the connection lasts.
func (c *Client) subscribe(ctx context.Context, conn *Conn, s Subscription) {
	gone := make(chan struct{}, 1)
	for wait := c.MinBackoff; ; wait = min(2*wait, c.MaxBackoff) {
		_, err := conn.Lookup(ctx, s.Path)
		if err == nil {
			err = conn.Subscribe(ctx, s.Path, s.Handle, func() { gone <- struct{}{} })
		}
		if err == nil {
			select {
			case <-gone:
				wait = c.MinBackoff
			case <-conn.Done():
				return
			}
		}
		select {
		case <-time.After(wait):
		case <-conn.Done():
			return
		}
	}
}

// Emit sends an event, and tells the subscribers of o (which may be nil) under
// the name kind. It does not wait: without ubusd, or when too many wait
// already, the event is dropped, and it reports false.
func (c *Client) Emit(name string, data wire.Table, o *Object, kind string) bool {
	c.init()
	if c.Conn() != nil {
		select {
		case c.events <- sending{name, data, o, kind}:
			return true
		default:
		}
	}
	c.Counters.Unsent.Add(1)
	return false
}

func (c *Client) emit(ctx context.Context, conn *Conn, e sending) error {
	if e.o != nil && e.o.Subscribed() {
		if err := conn.Notify(e.o, e.kind, e.data); err != nil {
			c.Counters.Unsent.Add(1)
		}
	}
	err := conn.SendEvent(ctx, e.name, e.data)
	if err != nil {
		c.Counters.Unsent.Add(1)
	}
	if errors.Is(err, wire.PermissionDenied) {
		return fmt.Errorf("the user of this process may not send the event %s", e.name)
	}
	return nil
}
