package ubus

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// Object is something to call. It is described once and then published; the
// same Object can be published on a later Conn, but not on two at a time.
type Object struct {
	Path    string // empty: nobody can look it up
	Methods []Method

	id     atomic.Uint32
	active atomic.Bool
	// other takes what is no method: events and notifications.
	other chan *Request
	stop  chan struct{} // closed when nobody is behind other any more
}

// Method is a method of an Object.
type Method struct {
	Name string
	Args []Arg
	// Handle answers one call, on a goroutine of its own: it may take its
	// time, and others are answered meanwhile. A wire.Status as error is what
	// the caller gets, any other becomes wire.UnknownError. ctx ends with the
	// connection.
	Handle func(ctx context.Context, r *Request) error
}

// Arg is an argument as others see it. What comes is not checked against it.
type Arg struct {
	Name string
	Type wire.Type
}

// Request is one call of a method.
type Request struct {
	Object string
	Method string
	User   string // whose process calls, as ubusd says
	Group  string
	Caller uint32     // its id
	Args   wire.Table // without ubus_rpc_session
	// NoReply says that nobody wants an answer.
	NoReply bool

	c   *Conn
	seq uint16
	id  uint32
}

// Reply sends an answer. A method may send several; callers of the stock tools
// expect one. One that is too long is not sent: wire.NoMemory.
func (r *Request) Reply(t wire.Table) error {
	if r.NoReply {
		return nil
	}
	data, err := t.Append(nil)
	if err == nil {
		err = r.c.send(wire.Header{Type: wire.Data, Seq: r.seq, Peer: r.Caller}, wire.Body(nil).U32(wire.AttrObjID, r.id).Nested(wire.AttrData, data))
	}
	if errors.Is(err, wire.ErrLength) {
		r.c.counters.TooLong.Add(1)
		return wire.NoMemory
	}
	return err
}

// end tells the caller the outcome.
func (r *Request) end(err error) {
	if r.NoReply {
		return
	}
	s := wire.OK
	if err != nil && !errors.As(err, &s) {
		s = wire.UnknownError
	}
	_ = r.c.send(wire.Header{Type: wire.StatusMsg, Seq: r.seq, Peer: r.Caller}, wire.Body(nil).U32(wire.AttrStatus, uint32(s)).U32(wire.AttrObjID, r.id))
}

// ID returns the number that ubusd has given the object; 0 while it is not
// published.
func (o *Object) ID() uint32 { return o.id.Load() }

// Subscribed reports whether anybody wants the notifications of o.
func (o *Object) Subscribed() bool { return o.active.Load() }

// signature is what others see of the methods.
func (o *Object) signature() (wire.Table, bool) {
	t := wire.Table{}
	for _, m := range o.Methods {
		args := wire.Table{}
		for _, a := range m.Args {
			args = append(args, wire.Field{Name: a.Name, Value: int32(a.Type)})
		}
		t = append(t, wire.Field{Name: m.Name, Value: args})
	}
	return t, o.Path != ""
}

// AddObject publishes o. wire.InvalidArgument says that the path is taken, or
// that the user of this process may not publish it.
func (c *Conn) AddObject(ctx context.Context, o *Object) error {
	var body wire.Body
	if sig, named := o.signature(); named {
		b, err := sig.Append(nil)
		if err != nil {
			return err
		}
		body = body.String(wire.AttrObjPath, o.Path).Nested(wire.AttrSignature, b)
	}
	p := &pending{took: func(a wire.Attrs) { // calls may follow at once
		if a.Has(wire.AttrObjID) {
			o.active.Store(false)
			o.id.Store(a.ObjID)
			c.objects[a.ObjID] = o
		}
	}}
	if _, err := c.request(ctx, wire.AddObject, body, p); err != nil {
		return err
	}
	if o.id.Load() == 0 {
		if err := c.Err(); err != nil { // which has taken the number away
			return err
		}
		return wire.NoData
	}
	return nil
}

// RemoveObject takes o back. Calls under way go on and are answered in vain.
func (c *Conn) RemoveObject(ctx context.Context, o *Object) error {
	id := o.id.Load()
	if _, err := c.request(ctx, wire.RemoveObject, wire.Body(nil).U32(wire.AttrObjID, id), &pending{}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, id)
	o.id.Store(0)
	return nil
}

// sessionArg is what uhttpd adds to every call.
const sessionArg = "ubus_rpc_session"

// invoked takes a call. It runs on the reader's goroutine and does not wait.
func (c *Conn) invoked(h wire.Header, a wire.Attrs) {
	c.mu.Lock()
	o := c.objects[a.ObjID]
	c.mu.Unlock()
	if o == nil || !a.Has(wire.AttrObjID) || !a.Has(wire.AttrMethod) {
		c.counters.Unknown.Add(1)
		return
	}
	r := &Request{Object: o.Path, Method: a.Method, User: a.User, Group: a.Group, Caller: h.Peer, NoReply: a.NoReply, c: c, seq: h.Seq, id: a.ObjID}
	args, err := wire.ParseTable(a.Data)
	if err != nil {
		c.counters.Malformed.Add(1)
		r.end(wire.InvalidArgument)
		return
	}
	for _, f := range args {
		if f.Name != sessionArg {
			r.Args = append(r.Args, f)
		}
	}
	if o.other != nil {
		c.enqueue(o, r)
		return
	}
	for i := range o.Methods {
		if m := &o.Methods[i]; m.Name == a.Method {
			if !c.begin(r.Caller) {
				c.counters.Busy.Add(1)
				r.end(wire.NoMemory)
				return
			}
			go func() {
				defer c.finished(r.Caller)
				r.end(m.Handle(c.ctx, r))
			}()
			return
		}
	}
	r.end(wire.MethodNotFound)
}

// enqueue gives an event to its listener, if that can keep up.
func (c *Conn) enqueue(o *Object, r *Request) {
	select {
	case o.other <- r:
		r.end(nil)
	default:
		c.counters.Overflow.Add(1)
		r.end(wire.NoMemory)
	}
}

// begin takes a place for a running method.
func (c *Conn) begin(caller uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.running >= maxCalls || c.calls[caller] >= maxPerCaller {
		return false
	}
	c.running++
	c.calls[caller]++
	c.wg.Add(1)
	return true
}

func (c *Conn) finished(caller uint32) {
	c.mu.Lock()
	c.running--
	if c.calls[caller]--; c.calls[caller] == 0 {
		delete(c.calls, caller)
	}
	c.mu.Unlock()
	c.wg.Done()
}

// watched notes whether an object has subscribers.
func (c *Conn) watched(a wire.Attrs) {
	c.mu.Lock()
	o := c.objects[a.ObjID]
	c.mu.Unlock()
	if o == nil || !a.Has(wire.AttrObjID) || !a.Has(wire.AttrActive) {
		c.counters.Unknown.Add(1)
		return
	}
	o.active.Store(a.Active)
}
