package ubus

import (
	"context"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// ObjectInfo is what ubusd tells of an object.
type ObjectInfo struct {
	Path      string
	ID        uint32
	Signature wire.Table // method -> Table: argument -> int32 type; only what we may call
}

// Lookup returns the objects of a path. A path that ends with a star means
// all that begin so, an empty one means all. None is wire.NotFound.
func (c *Conn) Lookup(ctx context.Context, path string) ([]ObjectInfo, error) {
	var body wire.Body
	if path != "" {
		body = body.String(wire.AttrObjPath, path)
	}
	p := &pending{}
	if _, err := c.request(ctx, wire.Lookup, body, p); err != nil {
		return nil, err
	}
	out := make([]ObjectInfo, 0, len(p.data))
	for _, a := range p.data {
		sig, err := wire.ParseTable(a.Signature)
		if err != nil || !a.Has(wire.AttrObjID) {
			c.counters.Malformed.Add(1)
			continue
		}
		out = append(out, ObjectInfo{a.Path, a.ObjID, sig})
	}
	return out, nil
}

// Call looks an object up by its exact path and calls a method of it.
func (c *Conn) Call(ctx context.Context, path, method string, args wire.Table) (wire.Table, error) {
	found, err := c.Lookup(ctx, path)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 { // ubusd hides objects that we may not call
		return nil, wire.NotFound
	}
	return c.CallID(ctx, found[0].ID, method, args)
}

// CallID calls a method of an object. Of several answers the values come one
// after the other. An answer that came before a failure is returned with it.
func (c *Conn) CallID(ctx context.Context, id uint32, method string, args wire.Table) (wire.Table, error) {
	data, err := args.Append(nil)
	if err != nil {
		return nil, err
	}
	p := &pending{peer: id}
	_, err = c.request(ctx, wire.Invoke, wire.Body(nil).U32(wire.AttrObjID, id).String(wire.AttrMethod, method).Nested(wire.AttrData, data), p)
	out := wire.Table{}
	for _, a := range p.answers(c) {
		t, perr := wire.ParseTable(a.Data)
		if perr != nil {
			c.counters.Malformed.Add(1)
			if err == nil {
				err = perr
			}
			continue
		}
		out = append(out, t...)
	}
	return out, err
}

// answers returns what has come; the request may have been given up.
func (p *pending) answers(c *Conn) []wire.Attrs {
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.data
}

// Ping asks ubusd whether it is there.
func (c *Conn) Ping(ctx context.Context) error {
	_, err := c.request(ctx, wire.Ping, nil, &pending{})
	return err
}

// SendEvent tells everybody who listens. Names that begin with "ubus." are
// refused, as is what the rights of this process's user do not cover.
func (c *Conn) SendEvent(ctx context.Context, name string, data wire.Table) error {
	if data == nil {
		data = wire.Table{}
	}
	_, err := c.CallID(ctx, wire.EventObject, "send", wire.Table{{Name: "id", Value: name}, {Name: "data", Value: data}})
	return err
}

// Notify tells the subscribers of o and does not wait for them.
func (c *Conn) Notify(o *Object, kind string, data wire.Table) error {
	b, err := data.Append(nil)
	if err != nil {
		return err
	}
	id := o.id.Load()
	if id == 0 {
		return wire.NotFound
	}
	c.mu.Lock()
	c.seq++ // nothing will come back under it
	for c.pending[c.seq] != nil {
		c.seq++
	}
	seq := c.seq
	c.mu.Unlock()
	return c.send(wire.Header{Type: wire.Notify, Seq: seq, Peer: id},
		wire.Body(nil).U32(wire.AttrObjID, id).String(wire.AttrMethod, kind).Nested(wire.AttrData, b).U8(wire.AttrNoReply, true))
}

// NotifyWait tells the subscribers of o and waits until all have said what
// they think of it, by the id of their object. Those that have not when ctx
// ends are missing, and the error is that of ctx.
func (c *Conn) NotifyWait(ctx context.Context, o *Object, kind string, data wire.Table) (map[uint32]wire.Status, error) {
	b, err := data.Append(nil)
	if err != nil {
		return nil, err
	}
	id := o.id.Load()
	if id == 0 {
		return nil, wire.NotFound
	}
	got := make(map[uint32]wire.Status)
	more := make(chan struct{}, 1)
	p := &pending{peer: id, rest: func(peer uint32, s wire.Status) {
		if len(got) < maxPending {
			got[peer] = s
		}
		select {
		case more <- struct{}{}:
		default:
		}
	}}
	seq, err := c.start(wire.Notify, wire.Body(nil).U32(wire.AttrObjID, id).String(wire.AttrMethod, kind).Nested(wire.AttrData, b), p)
	if err != nil {
		return nil, err
	}
	defer c.forget(seq)
	want := -1
	for {
		c.mu.Lock()
		n := len(got)
		c.mu.Unlock()
		if want >= 0 && n >= min(want, maxPending) {
			return got, nil
		}
		select {
		case first := <-p.end:
			if first.err != nil {
				return got, first.err
			}
			want = 0
			for rest := first.attrs.Subscribers; ; want++ {
				var ok bool
				if _, rest, ok = wire.NextAttr(rest); !ok {
					break
				}
			}
		case <-more:
		case <-c.done:
			return nil, c.Err()
		case <-ctx.Done():
			c.forget(seq)
			return got, ctx.Err()
		}
	}
}
