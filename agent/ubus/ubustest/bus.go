// Package ubustest is a ubusd for tests: the same answers, byte for byte, and
// nothing of its own but that ids and rights can be chosen. It also reads
// recorded conversations.
package ubustest

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// Rule is what one user may do, in the words of a file in
// /usr/share/acl.d. Names may end with a star.
type Rule struct {
	User      string   `json:"user"`
	Access    Access   `json:"access"`
	Publish   []string `json:"publish"`
	Subscribe []string `json:"subscribe"`
	Listen    []string `json:"listen"`
	Send      []string `json:"send"`
}

// Access is what a rule allows to call: object, or its beginning and a star,
// and its methods, or a star.
type Access map[string][]string

// UnmarshalJSON reads {"object": {"methods": ["method"]}}.
func (a *Access) UnmarshalJSON(b []byte) error {
	var m map[string]struct{ Methods []string }
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*a = Access{}
	for object, x := range m {
		(*a)[object] = x.Methods
	}
	return nil
}

// Bus is ubusd without its socket. One goroutine at a time.
type Bus struct {
	NewID func() uint32 // of clients, types and objects; nil: random
	Rules []Rule        // root needs none

	peers    []*Peer
	objects  []*object
	events   []eventSource // sorted by pattern
	eventSeq uint16
}

// Peer is one client.
type Peer struct {
	ID          uint32
	bus         *Bus
	user, group string
	send        func(frame []byte)
	monitor     bool
	monitorSeq  uint16
}

type object struct {
	id, typeID  uint32
	named       bool
	path        string
	hasType     bool
	signature   []byte
	owner       *Peer
	seq         uint16
	subscribers []*object // the latest first
}

type eventSource struct {
	pattern string
	partial bool
	obj     *object
}

// Connect adds a client and greets it. send gets one frame at a time, and may
// keep it.
func (b *Bus) Connect(user, group string, send func(frame []byte)) *Peer {
	p := &Peer{ID: b.newID(), bus: b, user: user, group: group, send: send}
	b.peers = append(b.peers, p)
	p.post(wire.Header{Type: wire.Hello, Peer: p.ID}, nil)
	return p
}

func (b *Bus) newID() uint32 {
	if b.NewID != nil {
		return b.NewID()
	}
	return wire.MaxSystem + rand.Uint32N(1<<32-1-wire.MaxSystem)
}

// post sends a message to p, and to those who monitor.
func (p *Peer) post(h wire.Header, body wire.Body) {
	if h.Type != wire.Monitor {
		p.bus.watch(p, h, body, true)
	}
	if frame, err := wire.AppendMessage(nil, h, body); err == nil {
		p.send(frame)
	}
}

func (b *Bus) watch(p *Peer, h wire.Header, body []byte, sent bool) {
	for _, m := range b.peers {
		if m.monitor {
			m.monitorSeq++
			m.post(wire.Header{Type: wire.Monitor, Seq: m.monitorSeq}, wire.Body(nil).U32(wire.MonitorClient, p.ID).U32(wire.MonitorPeer, h.Peer).
				U32(wire.MonitorSeq, uint32(h.Seq)).U32(wire.MonitorType, uint32(h.Type)).U8(wire.MonitorSend, sent).Nested(wire.MonitorData, body))
		}
	}
}

// noAnswer says that a request has no outcome of ubusd's own.
const noAnswer = wire.Status(1 << 31)

// Receive takes one message of the client.
func (p *Peer) Receive(h wire.Header, body []byte) {
	p.bus.watch(p, h, body, false)
	status := p.handle(h, wire.ParseAttrs(body), body)
	if status != noAnswer {
		p.post(wire.Header{Type: wire.StatusMsg, Seq: h.Seq, Peer: h.Peer}, wire.Body(nil).U32(wire.AttrStatus, uint32(status)))
	}
}

func (p *Peer) handle(h wire.Header, a wire.Attrs, body []byte) wire.Status {
	switch h.Type {
	case wire.Ping:
		h.Type = wire.Data
		p.post(h, body)
		return wire.OK
	case wire.Lookup:
		return p.lookup(h, a)
	case wire.AddObject:
		return p.addObject(h, a)
	case wire.RemoveObject:
		return p.removeObject(h, a)
	case wire.Invoke:
		return p.invoke(h, a)
	case wire.Notify:
		return p.notify(h, a)
	case wire.Subscribe:
		return p.subscribe(a)
	case wire.Unsubscribe:
		return p.unsubscribe(a)
	case wire.StatusMsg, wire.Data:
		p.respond(h, a, body)
		return noAnswer
	}
	return wire.InvalidCommand
}

func (b *Bus) find(id uint32) *object {
	for _, o := range b.objects {
		if o.id == id {
			return o
		}
	}
	return nil
}

// sorted returns the named objects by path.
func (b *Bus) sorted() []*object {
	out := slices.DeleteFunc(slices.Clone(b.objects), func(o *object) bool { return !o.named })
	slices.SortFunc(out, func(x, y *object) int { return cmp.Compare(x.path, y.path) })
	return out
}

func (p *Peer) lookup(h wire.Header, a wire.Attrs) wire.Status {
	prefix, star := strings.CutSuffix(a.Path, "*")
	found := false
	switch {
	case !a.Has(wire.AttrObjPath):
		found, star, prefix = true, true, ""
	case a.Path == "":
		return wire.InvalidArgument
	}
	for _, o := range p.bus.sorted() {
		if o.path == a.Path || star && strings.HasPrefix(o.path, prefix) {
			found = true
			p.describe(h, o)
		}
	}
	if !found {
		return wire.NotFound
	}
	return wire.OK
}

// describe tells p of o and of those methods that it may call.
func (p *Peer) describe(h wire.Header, o *object) {
	if !o.hasType {
		return
	}
	all, may := 0, wire.Body(nil)
	t, _ := wire.ParseTable(o.signature)
	for _, m := range t {
		all++
		if p.allowed(o.path, m.Name, access) {
			may, _ = wire.Table{m}.Append(may)
		}
	}
	if all == 0 || len(may) > 0 {
		p.post(wire.Header{Type: wire.Data, Seq: h.Seq, Peer: h.Peer}, wire.Body(nil).String(wire.AttrObjPath, o.path).U32(wire.AttrObjID, o.id).
			U32(wire.AttrObjType, o.typeID).Nested(wire.AttrSignature, may))
	}
}

func (p *Peer) addObject(h wire.Header, a wire.Attrs) wire.Status {
	b := p.bus
	o := &object{owner: p, named: a.Has(wire.AttrObjPath), path: a.Path}
	switch {
	case a.Has(wire.AttrObjType):
		for _, x := range b.objects {
			if x.hasType && x.typeID == a.ObjType {
				o.hasType, o.typeID, o.signature = true, x.typeID, x.signature
			}
		}
	case a.Has(wire.AttrSignature):
		if _, err := wire.ParseTable(a.Signature); err == nil {
			o.hasType, o.typeID, o.signature = true, b.newID(), slices.Clone(a.Signature)
		}
	}
	o.id = b.newID()
	if o.named {
		taken := slices.ContainsFunc(b.objects, func(x *object) bool { return x.named && x.path == o.path })
		if taken || !p.allowed(o.path, "", publish) {
			return wire.InvalidArgument
		}
		b.objectEvent("ubus.object.add", o)
	}
	b.objects = append(b.objects, o)
	body := wire.Body(nil).U32(wire.AttrObjID, o.id)
	if a.Has(wire.AttrSignature) && o.hasType {
		body = body.U32(wire.AttrObjType, o.typeID)
	}
	p.post(wire.Header{Type: wire.Data, Seq: h.Seq, Peer: h.Peer}, body)
	return wire.OK
}

func (p *Peer) removeObject(h wire.Header, a wire.Attrs) wire.Status {
	o := p.bus.find(a.ObjID)
	switch {
	case !a.Has(wire.AttrObjID):
		return wire.InvalidArgument
	case o == nil:
		return wire.NotFound
	case o.owner != p:
		return wire.PermissionDenied
	}
	body := wire.Body(nil).U32(wire.AttrObjID, o.id)
	shared := slices.ContainsFunc(p.bus.objects, func(x *object) bool { return x != o && x.hasType && x.typeID == o.typeID })
	if o.hasType && !shared {
		body = body.U32(wire.AttrObjType, o.typeID)
	}
	p.post(wire.Header{Type: wire.Data, Seq: h.Seq, Peer: h.Peer}, body)
	p.bus.free(o)
	return wire.OK
}

// free takes an object away and tells whom it concerns.
func (b *Bus) free(o *object) {
	for _, target := range slices.Clone(b.objects) {
		target.drop(o)
	}
	for _, s := range slices.Clone(o.subscribers) {
		s.seq++
		s.owner.post(wire.Header{Type: wire.Unsubscribe, Seq: s.seq}, wire.Body(nil).U32(wire.AttrObjID, s.id).U32(wire.AttrTarget, o.id))
		o.drop(s)
	}
	b.events = slices.DeleteFunc(b.events, func(e eventSource) bool { return e.obj == o })
	if o.named {
		b.objectEvent("ubus.object.remove", o)
	}
	b.objects = slices.DeleteFunc(b.objects, func(x *object) bool { return x == o })
}

// Close takes the client and its objects away.
func (p *Peer) Close() {
	p.send = func([]byte) {}
	for i := len(p.bus.objects) - 1; i >= 0; i-- {
		if i < len(p.bus.objects) && p.bus.objects[i].owner == p {
			p.bus.free(p.bus.objects[i])
		}
	}
	p.bus.peers = slices.DeleteFunc(p.bus.peers, func(x *Peer) bool { return x == p })
}
