package ubus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/ubus/ubustest"
	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// script plays ubusd's part of one connection of a recorded conversation: what
// the Conn sends must be what the stock library had sent, byte for byte.
type script struct {
	t      *testing.T
	path   string
	frames []ubustest.Frame
	passed []chan struct{} // one per frame
	end    chan struct{}
}

func newScript(t *testing.T, name, conn string) *script {
	t.Helper()
	files, err := filepath.Glob("testdata/" + name + "-*.txt")
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %v, %v", name, files, err)
	}
	s := &script{t: t, path: filepath.Join(t.TempDir(), "s"), end: make(chan struct{})}
	for _, f := range ubustest.Load(t, files[0]) {
		if f.Conn == conn && !f.Closed {
			s.frames = append(s.frames, f)
			s.passed = append(s.passed, make(chan struct{}))
		}
	}
	return s
}

func (s *script) play(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	for i, f := range s.frames {
		if f.ToBus {
			got := make([]byte, len(f.Bytes))
			if _, err := io.ReadFull(c, got); err != nil {
				s.t.Errorf("line %d: %v", f.Line, err)
				return
			}
			if !bytes.Equal(got, f.Bytes) {
				s.t.Errorf("line %d:\n said %x\n want %x", f.Line, got, f.Bytes)
				return
			}
		} else if _, err := c.Write(f.Bytes); err != nil {
			s.t.Errorf("line %d: %v", f.Line, err)
			return
		}
		close(s.passed[i])
	}
}

// dial connects to the script; at the end of the test the script must be at
// its end.
func (s *script) dial() *Conn {
	t := s.t
	t.Helper()
	l, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		l.Close()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		s.play(c)
		close(s.end)
		_, _ = io.Copy(io.Discard, c) // until the Conn leaves
	}()
	c, err := Dial(context.Background(), s.path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		select {
		case <-s.end:
		case <-time.After(20 * time.Second):
			s.t.Error("the script did not end")
		}
		c.Close()
	})
	if c.ID != s.frames[0].Peer {
		s.t.Errorf("id %x", c.ID)
	}
	return c
}

// wait waits until frame i has passed.
func (s *script) wait(i int) {
	s.t.Helper()
	select {
	case <-s.passed[i]:
	case <-time.After(20 * time.Second):
		s.t.Errorf("line %d was not reached", s.frames[i].Line)
	}
}

// find returns the n-th frame of a type, in one direction.
func (s *script) find(toBus bool, typ wire.MsgType, n int) (i int, f ubustest.Frame) {
	s.t.Helper()
	for i, f := range s.frames {
		if f.ToBus == toBus && f.Type == typ {
			if n--; n < 0 {
				return i, f
			}
		}
	}
	s.t.Fatalf("no %v", typ)
	return
}

func (s *script) table(b []byte) wire.Table {
	t, err := wire.ParseTable(b)
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

// signature is that of testobj, as methods.
func (s *script) methods(b []byte, handle map[string]func(context.Context, *Request) error) (ms []Method) {
	for _, f := range s.table(b) {
		m := Method{Name: f.Name, Handle: handle[f.Name]}
		for _, a := range f.Value.(wire.Table) {
			m.Args = append(m.Args, Arg{a.Name, wire.Type(a.Value.(int32))})
		}
		ms = append(ms, m)
	}
	return ms
}

var bg = context.Background()

func TestReplayHello(t *testing.T) { newScript(t, "01", "c1").dial() }

func TestReplayLookup(t *testing.T) {
	for _, tc := range []struct {
		name, conn, path string
		objects          int
		err              error
	}{
		{"02", "c1", "", 0, nil}, {"05", "c1", "testobj", 1, nil}, {"06", "c1", "test*", 1, nil}, {"06", "c2", "*", 1, nil}, {"20", "c1", "", 1, nil},
		{"03", "c1", "nosuchobj", 0, wire.NotFound},
	} {
		s := newScript(t, tc.name, tc.conn)
		if tc.err != nil {
			_, f := s.find(true, wire.Lookup, 0)
			tc.path = f.Attrs.Path
		}
		found, err := s.dial().Lookup(bg, tc.path)
		if !errors.Is(err, tc.err) || len(found) != tc.objects {
			t.Errorf("%s: %v, %v", tc.name, found, err)
		}
		if tc.objects == 1 && (found[0].Path != "testobj" || found[0].ID == 0 || found[0].Signature[0].Name != "hello") {
			t.Errorf("%s: %+v", tc.name, found[0])
		}
	}
}

// TestReplayCalls makes every recorded call of an object, as the stock command
// does: look up, invoke.
func TestReplayCalls(t *testing.T) {
	for _, tc := range []struct {
		name, conn string
		err        error
	}{
		{"07", "c1", nil}, {"08", "c1", nil}, {"09", "c1", wire.MethodNotFound}, {"10", "c1", wire.UnknownError}, {"10", "c2", wire.PermissionDenied},
		{"10", "c3", nil}, {"11", "c1", nil}, {"13", "c2", nil}, {"13", "c3", nil}, {"20", "c2", nil},
		{"12", "c1", context.DeadlineExceeded}, {"24", "c1", context.DeadlineExceeded}, {"25", "c1", context.DeadlineExceeded},
	} {
		s := newScript(t, tc.name, tc.conn)
		_, call := s.find(true, wire.Invoke, 0)
		c := s.dial()
		ctx, stop := context.WithCancel(bg)
		if errors.Is(tc.err, context.DeadlineExceeded) {
			ctx, stop = context.WithTimeout(bg, 50*time.Millisecond)
		}
		got, err := c.Call(ctx, "testobj", call.Attrs.Method, s.table(call.Attrs.Data))
		stop()
		if !errors.Is(err, tc.err) {
			t.Errorf("%s %s: %v", tc.name, tc.conn, err)
		}
		for _, f := range s.frames {
			if !f.ToBus && f.Type == wire.Data && f.Seq == call.Seq {
				if want := s.table(f.Attrs.Data); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %v, want %v", tc.name, got, want)
				}
			}
		}
	}
}

func TestReplayDenied(t *testing.T) {
	s := newScript(t, "21", "c1")
	if _, err := s.dial().Call(bg, "testobj", "types", nil); !errors.Is(err, wire.PermissionDenied) {
		t.Error(err)
	}
	s = newScript(t, "22", "c1")
	_, add := s.find(true, wire.AddObject, 0)
	o := &Object{Path: "testobj", Methods: s.methods(add.Attrs.Signature, nil)}
	if err := s.dial().AddObject(bg, o); !errors.Is(err, wire.InvalidArgument) || o.ID() != 0 {
		t.Error(err)
	}
}

func TestReplaySendEvent(t *testing.T) {
	for _, tc := range []struct {
		name, conn string
		err        error
	}{{"14", "c2", nil}, {"16", "c1", wire.PermissionDenied}, {"21", "c2", nil}, {"21", "c3", wire.PermissionDenied}} {
		s := newScript(t, tc.name, tc.conn)
		_, f := s.find(true, wire.Invoke, 0)
		args := s.table(f.Attrs.Data)
		data, _ := args.Get("data")
		if err := s.dial().SendEvent(bg, args.String("id"), data.(wire.Table)); !errors.Is(err, tc.err) {
			t.Errorf("%s %s: %v", tc.name, tc.conn, err)
		}
	}
}

func TestReplayListen(t *testing.T) {
	for _, tc := range []struct{ name, pattern, events string }{
		{"14", "mesh.*", "mesh.peer"}, {"15", "ubus.object.*", "ubus.object.remove ubus.object.add"}, {"26", "ubus.object.add", ""},
	} {
		s := newScript(t, tc.name, "c1")
		c := s.dial()
		got := make(chan Event, 8)
		if err := c.Listen(bg, tc.pattern, func(e Event) { got <- e }); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		for i, name := range strings.Fields(tc.events) {
			_, f := s.find(false, wire.Invoke, i)
			if e := <-got; e.Name != name || !reflect.DeepEqual(e.Data, s.table(f.Attrs.Data)) {
				t.Errorf("%s: %v", tc.name, e)
			}
		}
		if tc.name == "26" {
			if _, err := c.Lookup(bg, ""); err != nil {
				t.Error(err)
			}
		}
	}
	s := newScript(t, "21", "c4")
	s.frames = append(s.frames, takeBack(s)...)
	s.passed = append(s.passed, make(chan struct{}), make(chan struct{}))
	if err := s.dial().Listen(bg, "x.*", nil); !errors.Is(err, wire.PermissionDenied) {
		t.Error(err)
	}
}

// takeBack is how a Conn removes the object that it could not listen with;
// the stock command just ends.
func takeBack(s *script) []ubustest.Frame {
	_, data := s.find(false, wire.Data, 0)
	var out []ubustest.Frame
	for _, m := range []struct {
		toBus bool
		typ   wire.MsgType
		body  wire.Body
	}{{true, wire.RemoveObject, wire.Body(nil).U32(wire.AttrObjID, data.Attrs.ObjID)}, {false, wire.StatusMsg, wire.Body(nil).U32(wire.AttrStatus, 0)}} {
		h := wire.Header{Type: m.typ, Seq: 3}
		b, err := wire.AppendMessage(nil, h, m.body)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, ubustest.Frame{ToBus: m.toBus, Bytes: b, Header: h})
	}
	return out
}

func TestReplaySubscribe(t *testing.T) {
	for _, tc := range []struct{ name, conn string }{{"17", "c1"}, {"18", "c2"}} {
		s := newScript(t, tc.name, tc.conn)
		c := s.dial()
		got, gone := make(chan Event, 1), make(chan bool, 1)
		if err := c.Subscribe(bg, "testobj", func(e Event) { got <- e }, func() { gone <- true }); err != nil {
			t.Fatal(err)
		}
		if e := <-got; e.Name != "tick" || !reflect.DeepEqual(e.Data, wire.Table{{Name: "count", Value: int32(7)}}) {
			t.Errorf("%v", e)
		}
		if tc.name == "18" {
			<-gone
		}
	}
}

// TestReplayProvider publishes testobj and answers the recorded calls as the
// recorded provider did.
func TestReplayProvider(t *testing.T) {
	s := newScript(t, "04", "c1")
	_, add := s.find(true, wire.AddObject, 0)
	if err := s.dial().AddObject(bg, &Object{Path: "testobj", Methods: s.methods(add.Attrs.Signature, nil)}); err != nil {
		t.Error(err)
	}

	s = newScript(t, "13", "c1")
	_, add = s.find(true, wire.AddObject, 0)
	var asked []*Request
	reply := func(n int) func(context.Context, *Request) error {
		return func(_ context.Context, r *Request) error {
			asked = append(asked, r)
			_, f := s.find(true, wire.Data, n)
			return r.Reply(s.table(f.Attrs.Data))
		}
	}
	o := &Object{Path: "testobj", Methods: s.methods(add.Attrs.Signature, map[string]func(context.Context, *Request) error{"hello": reply(0), "quit": reply(1)})}
	if err := s.dial().AddObject(bg, o); err != nil {
		t.Error(err)
	}
	<-s.end
	_, call := s.find(false, wire.Invoke, 0)
	if r := asked[0]; len(asked) != 2 || r.User != "root" || r.Group != "root" || r.Caller != call.Peer || r.Object != "testobj" ||
		!reflect.DeepEqual(r.Args, s.table(call.Attrs.Data)) {
		t.Errorf("%d calls, %+v", len(asked), r)
	}
}

func TestReplayNotify(t *testing.T) {
	s := newScript(t, "18", "c1")
	_, add := s.find(true, wire.AddObject, 0)
	notified, _ := s.find(true, wire.Notify, 0)
	c := s.dial()
	var o *Object
	done := make(chan map[uint32]wire.Status, 1)
	o = &Object{Path: "testobj", Methods: s.methods(add.Attrs.Signature, map[string]func(context.Context, *Request) error{
		"donotify": func(context.Context, *Request) error {
			if !o.Subscribed() {
				t.Error("nobody has subscribed")
			}
			go func() {
				got, err := c.NotifyWait(bg, o, "tick", wire.Table{{Name: "count", Value: int32(7)}})
				if err != nil {
					t.Error(err)
				}
				done <- got
			}()
			s.wait(notified)
			return nil
		}})}
	if err := c.AddObject(bg, o); err != nil {
		t.Fatal(err)
	}
	if got := <-done; !reflect.DeepEqual(got, map[uint32]wire.Status{0x0a70e6e7: wire.OK}) {
		t.Errorf("%v", got)
	}
}

func TestReplayPing(t *testing.T) {
	s := newScript(t, "30", "c1")
	s.frames = s.frames[:4] // the other ping has a made-up number
	if err := s.dial().Ping(bg); err != nil {
		t.Error(err)
	}
}

// TestReplayNotifyWithoutReply takes the part of the owner in 38 that ordinary
// use of a Conn can say.
func TestReplayNotifyWithoutReply(t *testing.T) {
	s := newScript(t, "38", "c2")
	i, refused := s.find(true, wire.Subscribe, 0)
	s.frames = append(s.frames[:i:i], s.frames[i+2:]...) // without a request that is refused
	shift := uint16(1)                                   // and so without its number
	for i := range s.frames {
		if f := &s.frames[i]; f.Seq > refused.Seq && (f.ToBus || f.Type == wire.StatusMsg) {
			f.Bytes = bytes.Clone(f.Bytes)
			f.Bytes[3] -= byte(shift)
		}
	}
	_, two := s.find(true, wire.Notify, 1)
	one, _ := s.find(true, wire.Notify, 0)
	copy(s.frames[one].Bytes[4:], two.Bytes[4:8]) // no peer there, the object here; ubusd does not look
	c := s.dial()
	o := &Object{Path: "mine"}
	if err := c.AddObject(bg, o); err != nil {
		t.Fatal(err)
	}
	first, _ := s.find(false, wire.Notify, 1)
	s.wait(first)
	if err := c.Notify(o, "x", nil); err != nil {
		t.Error(err)
	}
	second, _ := s.find(false, wire.Notify, 2)
	s.wait(second)
	ctx, stop := context.WithTimeout(bg, 100*time.Millisecond)
	defer stop()
	got, err := c.NotifyWait(ctx, o, "ev", s.table(two.Attrs.Data))
	if !errors.Is(err, context.DeadlineExceeded) || len(got) != 0 { // the subscriber never answers
		t.Errorf("%v, %v", got, err)
	}
}
