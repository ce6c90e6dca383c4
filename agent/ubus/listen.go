package ubus

import (
	"context"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// Event is an event or a notification.
type Event struct {
	Name string
	Data wire.Table
}

// subscription says which object of ours is subscribed to which of others.
type subscription struct{ own, target uint32 }

type subscribed struct {
	o    *Object
	gone func() // may be nil
}

// Listen calls f for every event whose name matches: the name itself, or one
// that ends with a star. The calls come one after the other; ctx is only for
// the registration. Events of this Conn do not come.
func (c *Conn) Listen(ctx context.Context, pattern string, f func(Event)) error {
	o, err := c.listener(ctx, f)
	if err != nil {
		return err
	}
	_, err = c.CallID(ctx, wire.EventObject, "register", wire.Table{{Name: "object", Value: int32(o.ID())}, {Name: "pattern", Value: pattern}}) //nolint:gosec // ids are 32 bits, signed or not
	if err != nil {
		c.unlisten(ctx, o)
	}
	return err
}

// Subscribe calls f for every notification of the object of this path, one
// after the other, and gone (which may be nil) once when the object is gone.
// Neither may wait for long; gone may not use the Conn.
func (c *Conn) Subscribe(ctx context.Context, path string, f func(Event), gone func()) error {
	o, err := c.listener(ctx, f)
	if err != nil {
		return err
	}
	if err := c.subscribe(ctx, o, path, gone); err != nil {
		c.unlisten(ctx, o)
		return err
	}
	return nil
}

func (c *Conn) subscribe(ctx context.Context, o *Object, path string, gone func()) error {
	found, err := c.Lookup(ctx, path)
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return wire.NotFound
	}
	t := subscription{o.ID(), found[0].ID}
	c.mu.Lock()
	c.targets[t] = subscribed{o, gone}
	c.mu.Unlock()
	_, err = c.request(ctx, wire.Subscribe, wire.Body(nil).U32(wire.AttrObjID, t.own).U32(wire.AttrTarget, t.target), &pending{})
	if err != nil {
		c.mu.Lock()
		delete(c.targets, t)
		c.mu.Unlock()
	}
	return err
}

// Unsubscribe ends all subscriptions to the object of this id.
func (c *Conn) Unsubscribe(ctx context.Context, id uint32) error {
	c.mu.Lock()
	own := map[uint32]*Object{}
	for t, s := range c.targets {
		if t.target == id {
			own[t.own] = s.o
			delete(c.targets, t)
		}
	}
	c.mu.Unlock()
	var first error
	for n, o := range own {
		_, err := c.request(ctx, wire.Unsubscribe, wire.Body(nil).U32(wire.AttrObjID, n).U32(wire.AttrTarget, id), &pending{})
		if err != nil && first == nil {
			first = err
		}
		c.unlisten(ctx, o)
	}
	return first
}

// listener publishes an object without a name whose calls f gets.
func (c *Conn) listener(ctx context.Context, f func(Event)) (*Object, error) {
	o := &Object{other: make(chan *Request, maxWaiting), stop: make(chan struct{})}
	if err := c.AddObject(ctx, o); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		for {
			select {
			case r := <-o.other:
				f(Event{r.Method, r.Args})
			case <-o.stop:
				return
			case <-c.done:
				return
			}
		}
	}()
	return o, nil
}

// unlisten takes back what listener has made.
func (c *Conn) unlisten(ctx context.Context, o *Object) {
	_ = c.RemoveObject(ctx, o)
	close(o.stop)
}

// targetGone tells a subscription that its object is gone. ubusd has ended it.
func (c *Conn) targetGone(a wire.Attrs) {
	t := subscription{a.ObjID, a.Target}
	c.mu.Lock()
	s, ok := c.targets[t]
	delete(c.targets, t)
	c.mu.Unlock()
	if !ok {
		c.counters.Unknown.Add(1)
		return
	}
	if s.gone != nil {
		s.gone()
	}
	c.wg.Add(1)
	go func() { // the reader may not wait for ubusd
		defer c.wg.Done()
		c.unlisten(c.ctx, s.o)
	}()
}

// Monitor calls f for every message between ubusd and the others, on the
// goroutine that reads: f may not wait, and what it gets is valid until it
// returns. ubusd allows it to root only.
func (c *Conn) Monitor(ctx context.Context, f func(wire.Observed)) error {
	c.mu.Lock()
	c.monitor = f
	c.mu.Unlock()
	_, err := c.CallID(ctx, wire.MonitorObject, "add", nil)
	return err
}

func (c *Conn) observed(body []byte) {
	c.mu.Lock()
	f := c.monitor
	c.mu.Unlock()
	if f == nil {
		c.counters.Unknown.Add(1)
		return
	}
	f(wire.ParseMonitor(body))
}
