package ubustest

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// asNobody are the conversations of a client that is not root.
var asNobody = map[string]bool{"20-acl-nobody-allowed.txt": true, "21-acl-nobody-denied.txt": true, "22-acl-publish-denied.txt": true}

// goesUnheard are those whose client left without waiting for ubusd.
var goesUnheard = map[string]bool{"19-monitor.txt": true}

// TestBusReplaysConversations plays ubusd's part of every recorded
// conversation: given what the clients sent, the Bus must say the same, byte
// for byte. Ids are dealt out as they were then. What programs that were not
// recorded had said is made up from what ubusd passed on of it.
func TestBusReplaysConversations(t *testing.T) {
	files, err := filepath.Glob("../testdata/*.txt")
	if err != nil || len(files) != 34 {
		t.Fatalf("%d conversations, %v", len(files), err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		t.Run(name, func(t *testing.T) {
			p := &player{user: "root", peers: map[string]*Peer{}, said: map[string][][]byte{}, unheard: goesUnheard[name]}
			if asNobody[name] {
				p.user = "nobody"
			}
			p.play(t, Load(t, f))
		})
	}
}

// player has the connections of one conversation.
type player struct {
	bus     Bus
	user    string
	unheard bool
	ids     []uint32 // to deal out next
	peers   map[string]*Peer
	said    map[string][][]byte
	hidden  map[uint32]*Peer // not recorded, by id
	owner   *Peer            // of testobj, if not recorded
}

func (p *player) play(t *testing.T, frames []Frame) {
	p.bus.Rules = []Rule{{User: "nobody", Access: map[string][]string{"testobj": {"hello"}}, Send: []string{"test.allowed"}}}
	p.bus.NewID = func() uint32 {
		if len(p.ids) == 0 {
			t.Fatal("an id too many")
		}
		id := p.ids[0]
		p.ids = p.ids[1:]
		return id
	}
	p.hidden = map[uint32]*Peer{}
	if typ, id, ok := unrecorded(frames); ok {
		p.owner = p.meet(0x2ca1bcae) // the id that 19 shows
		p.publish(t, typ, id)
	}
	for i, f := range frames {
		switch {
		case f.Bad:
			if _, _, err := ReadFrame(bytes.NewReader(f.Bytes)); err == nil {
				t.Errorf("line %d: accepted", f.Line)
			}
		case f.Closed && f.ToBus:
			p.peers[f.Conn].Close()
		case f.Closed:
			if more := p.said[f.Conn]; len(more) > 0 && !p.unheard {
				t.Errorf("line %d: %d frames more: %x", f.Line, len(more), more)
			}
		case f.ToBus:
			p.ids = dealt(frames[i:], f)
			p.peers[f.Conn].Receive(f.Header, f.Bytes[wire.HeaderLen:])
		case f.Type == wire.Hello:
			p.ids = []uint32{f.Peer}
			p.peers[f.Conn] = p.bus.Connect(p.user, p.user, func(b []byte) { p.said[f.Conn] = append(p.said[f.Conn], b) })
			p.expect(t, f)
		default:
			if len(p.said[f.Conn]) == 0 {
				p.prompt(t, f)
			}
			p.expect(t, f)
		}
	}
}

func (p *player) expect(t *testing.T, f Frame) {
	t.Helper()
	said := p.said[f.Conn]
	if len(said) == 0 {
		t.Fatalf("line %d: nothing said, expected %x", f.Line, f.Bytes)
	}
	if !bytes.Equal(said[0], f.Bytes) {
		t.Fatalf("line %d:\n said %x\n want %x", f.Line, said[0], f.Bytes)
	}
	p.said[f.Conn] = said[1:]
}

// dealt finds the ids that the answer to f deals out: the type's before the
// object's.
func dealt(frames []Frame, f Frame) (ids []uint32) {
	for _, r := range frames {
		if f.Type == wire.AddObject && !r.ToBus && r.Conn == f.Conn && r.Type == wire.Data && r.Seq == f.Seq {
			if r.Attrs.Has(wire.AttrObjType) {
				ids = append(ids, r.Attrs.ObjType)
			}
			return append(ids, r.Attrs.ObjID)
		}
	}
	return []uint32{1, 2} // for an object that is refused
}

// unrecorded returns the ids of testobj if nobody publishes it in the
// conversation.
func unrecorded(frames []Frame) (typ, id uint32, ok bool) {
	for _, f := range frames {
		a := f.Attrs
		if f.Type == wire.Monitor && !f.Closed {
			a = wire.ParseAttrs(wire.ParseMonitor(f.Bytes[wire.HeaderLen:]).Body)
		}
		switch {
		case f.Type == wire.AddObject && a.Path != "":
			return 0, 0, false
		case a.Path == "testobj" && a.Has(wire.AttrObjType):
			return a.ObjType, a.ObjID, true
		case a.Method == "ubus.object.remove":
			return 1, eventID(a), true
		}
	}
	return 0, 0, false
}

func eventID(a wire.Attrs) uint32 {
	t, _ := wire.ParseTable(a.Data)
	v, _ := t.Get("id")
	id, _ := v.(int32)
	return uint32(id)
}

// meet adds a client that was not recorded.
func (p *player) meet(id uint32) *Peer {
	p.ids = []uint32{id}
	p.hidden[id] = p.bus.Connect("root", "root", func([]byte) {})
	return p.hidden[id]
}

// publish makes testobj appear.
func (p *player) publish(t *testing.T, typ, id uint32) {
	for _, f := range Load(t, "../testdata/04-add-object.txt") {
		if f.Type == wire.AddObject {
			p.ids = []uint32{typ, id}
			p.owner.Receive(f.Header, f.Bytes[wire.HeaderLen:])
			return
		}
	}
}

// prompt makes those who were not recorded do what led to f.
func (p *player) prompt(t *testing.T, f Frame) {
	body := f.Bytes[wire.HeaderLen:]
	switch {
	case f.Type == wire.Monitor:
		o := wire.ParseMonitor(body)
		if o.Type == wire.Hello {
			p.meet(o.Client)
		} else if !o.Sent {
			p.hidden[o.Client].Receive(wire.Header{Type: o.Type, Seq: o.Seq, Peer: o.Peer}, o.Body)
		}
	case f.Attrs.Method == "ubus.object.remove":
		p.bus.eventSeq = f.Seq - 1
		p.bus.free(p.bus.sorted()[0])
	case f.Attrs.Method == "ubus.object.add":
		p.publish(t, 1, eventID(f.Attrs))
	case f.Type == wire.Invoke && f.Attrs.Method == "tick":
		delete(p.hidden, p.owner.ID)
		p.owner.ID = f.Peer
		p.owner.Receive(wire.Header{Type: wire.Notify, Seq: f.Seq}, wire.Body(nil).U32(wire.AttrObjID, p.bus.sorted()[0].id).
			String(wire.AttrMethod, "tick").Nested(wire.AttrData, f.Attrs.Data))
	case f.Type == wire.Invoke:
		p.meet(f.Peer).Receive(wire.Header{Type: wire.Invoke, Seq: f.Seq, Peer: f.Attrs.ObjID}, body)
	case p.owner != nil && f.Attrs.ObjID == f.Peer:
		h := f.Header
		h.Peer = p.peers[f.Conn].ID
		p.owner.Receive(h, body)
	}
}
