package ubustest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// forward makes the body of a call as the owner of the object gets it.
func (p *Peer) forward(b wire.Body, o *object, method string, a wire.Attrs) wire.Body {
	b = b.U32(wire.AttrObjID, o.id).String(wire.AttrMethod, method).String(wire.AttrUser, p.user).String(wire.AttrGroup, p.group)
	if a.Has(wire.AttrData) {
		b = b.Nested(wire.AttrData, a.Data)
	}
	return b
}

func (p *Peer) invoke(h wire.Header, a wire.Attrs) wire.Status {
	if !a.Has(wire.AttrMethod) || !a.Has(wire.AttrObjID) {
		return wire.InvalidArgument
	}
	switch a.ObjID {
	case wire.EventObject:
		return p.eventCall(a)
	case wire.ACLObject:
		return p.aclCall(h, a)
	case wire.MonitorObject:
		return p.monitorCall(a)
	}
	o := p.bus.find(a.ObjID)
	if o == nil {
		return wire.NotFound
	}
	if o.named && !p.allowed(o.path, a.Method, access) {
		return wire.PermissionDenied
	}
	o.owner.post(wire.Header{Type: wire.Invoke, Seq: h.Seq, Peer: p.ID}, p.forward(nil, o, a.Method, a))
	return noAnswer
}

// respond passes an answer of the owner of an object on to the caller.
func (p *Peer) respond(h wire.Header, a wire.Attrs, body []byte) {
	o := p.bus.find(a.ObjID)
	if !a.Has(wire.AttrObjID) || h.Type == wire.StatusMsg && !a.Has(wire.AttrStatus) || h.Type == wire.Data && !a.Has(wire.AttrData) || o == nil || o.owner != p {
		return
	}
	for _, caller := range p.bus.peers {
		if caller.ID == h.Peer {
			h.Peer = o.id
			caller.post(h, body)
			return
		}
	}
}

func (p *Peer) notify(h wire.Header, a wire.Attrs) wire.Status {
	o := p.bus.find(a.ObjID)
	switch {
	case !a.Has(wire.AttrMethod) || !a.Has(wire.AttrObjID):
		return wire.InvalidArgument
	case o == nil:
		return wire.NotFound
	case o.owner != p:
		return wire.PermissionDenied
	}
	var head wire.Body
	if a.NoReply {
		head = head.U8(wire.AttrNoReply, true)
	} else {
		var ids wire.Body
		for _, s := range o.subscribers {
			ids = ids.U32(0, s.id)
		}
		p.post(wire.Header{Type: wire.StatusMsg, Seq: h.Seq, Peer: h.Peer},
			wire.Body(nil).U32(wire.AttrObjID, o.id).Nested(wire.AttrSubscribers, ids).U32(wire.AttrStatus, 0))
	}
	for _, s := range o.subscribers {
		s.owner.post(wire.Header{Type: wire.Invoke, Seq: h.Seq, Peer: p.ID}, p.forward(head, s, a.Method, a))
	}
	return noAnswer
}

func (p *Peer) subscribe(a wire.Attrs) wire.Status {
	o, target := p.bus.find(a.ObjID), p.bus.find(a.Target)
	switch {
	case !a.Has(wire.AttrObjID) || !a.Has(wire.AttrTarget):
		return wire.InvalidArgument
	case o == nil:
		return wire.NotFound
	case o.owner != p:
		return wire.InvalidArgument
	case target == nil:
		return wire.NotFound
	case target.owner == p:
		return wire.InvalidArgument
	case target.named && !p.allowed(target.path, "", subscribe):
		return wire.NotFound
	}
	target.subscribers = slices.Insert(target.subscribers, 0, o)
	if len(target.subscribers) == 1 {
		target.tellActive()
	}
	return wire.OK
}

func (p *Peer) unsubscribe(a wire.Attrs) wire.Status {
	o := p.bus.find(a.ObjID)
	switch {
	case !a.Has(wire.AttrObjID) || !a.Has(wire.AttrTarget):
		return wire.InvalidArgument
	case o == nil:
		return wire.NotFound
	case o.owner != p:
		return wire.InvalidArgument
	}
	if target := p.bus.find(a.Target); target != nil && target.drop(o) {
		return wire.OK
	}
	return wire.NotFound
}

// drop ends one subscription of s to o.
func (o *object) drop(s *object) bool {
	i := slices.Index(o.subscribers, s)
	if i < 0 {
		return false
	}
	o.subscribers = slices.Delete(o.subscribers, i, i+1)
	if len(o.subscribers) == 0 {
		o.tellActive()
	}
	return true
}

// tellActive tells the owner whether anybody listens.
func (o *object) tellActive() {
	o.seq++
	o.owner.post(wire.Header{Type: wire.Notify, Seq: o.seq}, wire.Body(nil).U32(wire.AttrObjID, o.id).U8(wire.AttrActive, len(o.subscribers) > 0))
}

func (p *Peer) eventCall(a wire.Attrs) wire.Status {
	t, err := wire.ParseTable(a.Data)
	switch {
	case a.Method != "register" && a.Method != "send":
		return wire.InvalidCommand
	case err != nil || !a.Has(wire.AttrData):
		return wire.InvalidArgument
	case a.Method == "register":
		return p.register(t)
	}
	id, ok := t.Get("id")
	name, isText := id.(string)
	v, ok2 := t.Get("data")
	data, isTable := v.(wire.Table)
	switch {
	case !ok || !ok2 || !isText || !isTable:
		return wire.InvalidArgument
	case strings.HasPrefix(name, "ubus.") || !p.allowed(name, "", send):
		return wire.PermissionDenied
	}
	p.bus.event(p, name, data)
	return wire.OK
}

func (p *Peer) register(t wire.Table) wire.Status {
	v, ok := t.Get("object")
	id, isInt := v.(int32)
	pattern := t.String("pattern")
	o := p.bus.find(uint32(id)) //nolint:gosec // ids are 32 bits, signed or not
	name, partial := strings.CutSuffix(pattern, "*")
	switch {
	case !ok || !isInt:
		return wire.InvalidArgument
	case o == nil:
		return wire.NotFound
	case o.owner != p || pattern == "" || !p.allowed(name, "", listen):
		return wire.PermissionDenied
	}
	p.bus.events = append(p.bus.events, eventSource{name, partial, o})
	slices.SortStableFunc(p.bus.events, func(x, y eventSource) int { return cmp.Compare(x.pattern, y.pattern) })
	return wire.OK
}

func (b *Bus) objectEvent(name string, o *object) {
	b.event(nil, name, wire.Table{{Name: "id", Value: int32(o.id)}, {Name: "path", Value: o.path}}) //nolint:gosec // as ubusd writes it
}

// event gives an event to all that listen, but not to its sender.
func (b *Bus) event(from *Peer, name string, data wire.Table) {
	body, _ := data.Append(nil)
	seen := map[*object]bool{}
	for _, e := range b.events {
		if (name == e.pattern || e.partial && strings.HasPrefix(name, e.pattern)) && e.obj.owner != from && !seen[e.obj] {
			seen[e.obj] = true
			b.eventSeq++
			e.obj.owner.post(wire.Header{Type: wire.Invoke, Seq: b.eventSeq},
				wire.Body(nil).U32(wire.AttrObjID, e.obj.id).String(wire.AttrMethod, name).Nested(wire.AttrData, body))
		}
	}
}

func (p *Peer) aclCall(h wire.Header, a wire.Attrs) wire.Status {
	if a.Method != "query" {
		return wire.InvalidCommand
	}
	body, _ := wire.Table{{Name: "seq", Value: int32(1)}, {Name: "acl", Value: wire.Array{}}}.Append(nil)
	p.post(wire.Header{Type: wire.Data, Seq: h.Seq, Peer: h.Peer}, wire.Body(nil).U32(wire.AttrObjID, wire.ACLObject).Nested(wire.AttrData, body))
	return wire.OK
}

func (p *Peer) monitorCall(a wire.Attrs) wire.Status {
	switch {
	case p.user != "root":
		return wire.PermissionDenied
	case a.Method == "add":
		p.monitor, p.monitorSeq = true, 0
	case a.Method == "remove":
		p.monitor = false
	default:
		return wire.MethodNotFound
	}
	return wire.OK
}

// The kinds of rights.
const (
	access = iota
	publish
	subscribe
	listen
	send
)

// allowed reports whether p has a right.
func (p *Peer) allowed(name, method string, kind int) bool {
	if p.user == "root" {
		return true
	}
	for _, r := range p.bus.Rules {
		if r.User != p.user {
			continue
		}
		if kind == access {
			for pattern, methods := range r.Access {
				if match(pattern, name) && (slices.Contains(methods, method) || slices.Contains(methods, "*")) {
					return true
				}
			}
			continue
		}
		if slices.ContainsFunc([][]string{publish: r.Publish, subscribe: r.Subscribe, listen: r.Listen, send: r.Send}[kind],
			func(pattern string) bool { return match(pattern, name) }) {
			return true
		}
	}
	return false
}

func match(pattern, name string) bool {
	prefix, star := strings.CutSuffix(pattern, "*")
	return name == pattern || star && strings.HasPrefix(name, prefix)
}
