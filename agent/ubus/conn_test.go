package ubus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/ubus/ubustest"
	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// startBus starts a bus and returns its socket: the one for tests, or the real
// ubusd if UBUSD is its path.
func startBus(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ubus") // short: it must fit into an address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	if os.Getenv("UBUSD") == "" {
		ubustest.Start(t, path)
		return path
	}
	cmd := exec.Command(os.Getenv("UBUSD"), "-s", path, "-A", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	waitFor(t, "ubusd", func() bool { c, err := net.Dial("unix", path); return err == nil && c.Close() == nil })
	return path
}

func dial(t *testing.T, path string) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within 20 s", what)
}

func str(name, value string) wire.Table { return wire.Table{{Name: name, Value: value}} }

// provide publishes an object with one method.
func provide(t *testing.T, c *Conn, path, method string, f func(context.Context, *Request) error) *Object {
	t.Helper()
	o := &Object{Path: path, Methods: []Method{{Name: method, Args: []Arg{{"x", wire.TypeString}}, Handle: f}}}
	if err := c.AddObject(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestCalls lets a slow call wait while others are answered, in any order, to
// callers whose requests have the same number.
func TestCalls(t *testing.T) {
	path := startBus(t)
	gate := make(chan bool)
	p := dial(t, path)
	provide(t, p, "obj", "m", func(ctx context.Context, r *Request) error {
		switch r.Args.String("x") {
		case "slow":
			select {
			case <-gate:
			case <-ctx.Done():
				return ctx.Err()
			}
		case "twice":
			if err := r.Reply(str("a", "1")); err != nil {
				return err
			}
		case "status":
			return wire.NotSupported
		case "error":
			return io.ErrUnexpectedEOF
		case "large":
			return r.Reply(str("r", strings.Repeat("x", 128<<10)))
		case "too large":
			return r.Reply(str("r", strings.Repeat("x", 1<<20)))
		}
		if _, ok := r.Args.Get(sessionArg); ok || len(r.Args) != 1 {
			t.Errorf("%v", r.Args)
		}
		return r.Reply(str("r", r.Args.String("x")))
	})
	a, b := dial(t, path), dial(t, path)
	type answer struct {
		t   wire.Table
		err error
	}
	slow := make(chan answer, 2)
	for _, c := range []*Conn{a, b} {
		go func() {
			v, err := c.Call(t.Context(), "obj", "m", str("x", "slow"))
			slow <- answer{v, err}
		}()
	}
	for _, tc := range []struct {
		x      string
		want   wire.Table
		status error
	}{
		{"quick", str("r", "quick"), nil}, {"twice", append(str("a", "1"), str("r", "twice")...), nil},
		{"status", wire.Table{}, wire.NotSupported}, {"error", wire.Table{}, wire.UnknownError},
		{"large", str("r", strings.Repeat("x", 128<<10)), nil}, {"too large", wire.Table{}, wire.NoMemory},
	} {
		for _, c := range []*Conn{a, b} {
			got, err := c.Call(t.Context(), "obj", "m", append(str(sessionArg, "0"), str("x", tc.x)...))
			if !errors.Is(err, tc.status) || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%s: %.80v, %v", tc.x, got, err)
			}
		}
	}
	if n := p.counters.TooLong.Load(); n != 2 {
		t.Errorf("%d too long", n)
	}
	close(gate)
	for range 2 {
		if got := <-slow; got.err != nil || got.t.String("r") != "slow" {
			t.Errorf("%v", got)
		}
	}
	if _, err := a.Call(t.Context(), "obj", "none", nil); !errors.Is(err, wire.MethodNotFound) {
		t.Error(err)
	}
	if _, err := a.Call(t.Context(), "none", "m", nil); !errors.Is(err, wire.NotFound) {
		t.Error(err)
	}
	if err := dial(t, path).AddObject(t.Context(), &Object{Path: "obj"}); !errors.Is(err, wire.InvalidArgument) {
		t.Error(err)
	}
}

func TestLimitOfCalls(t *testing.T) {
	path := startBus(t)
	p, c := dial(t, path), dial(t, path)
	gate := make(chan bool)
	o := provide(t, p, "obj", "m", func(ctx context.Context, _ *Request) error {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		return nil
	})
	results := make(chan error, maxPerCaller+3)
	for range cap(results) {
		go func() { _, err := c.CallID(t.Context(), o.ID(), "m", nil); results <- err }()
	}
	for range 3 {
		if err := <-results; !errors.Is(err, wire.NoMemory) {
			t.Error(err)
		}
	}
	close(gate)
	for range maxPerCaller {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := p.counters.Busy.Load(); n != 3 {
		t.Errorf("%d counted", n)
	}
	waitFor(t, "no call is left", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.running == 0 && len(p.calls) == 0 })
}

// TestMalformedCall sends what is no table.
func TestMalformedCall(t *testing.T) {
	path := startBus(t)
	p := dial(t, path)
	o := provide(t, p, "obj", "m", func(_ context.Context, r *Request) error { return r.Reply(nil) })
	raw, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, _, err := ubustest.ReadFrame(raw); err != nil {
		t.Fatal(err)
	}
	call := wire.Body(nil).U32(wire.AttrObjID, o.ID()).String(wire.AttrMethod, "m")
	for _, tc := range []struct {
		body wire.Body
		want wire.Status
	}{
		{call, wire.OK}, // no arguments at all
		{append(wire.Body{}, call...).Nested(wire.AttrData, []byte{1, 2, 3}), wire.InvalidArgument},
		{append(wire.Body{}, call...).Nested(wire.AttrData, []byte{0x85, 0, 0, 12, 0, 9, 'n', 0, 0, 0, 0, 1}), wire.InvalidArgument}, // name longer than the value
		{append(wire.Body{}, call...).Nested(wire.AttrData, bytes.Repeat([]byte{0x82, 0, 0, 8, 0, 0, 0, 0}, 100)), wire.OK},
		{append(wire.Body{}, call...).Nested(wire.AttrData, make([]byte, 1<<20-200)), wire.InvalidArgument},
	} {
		b, err := wire.AppendMessage(nil, wire.Header{Type: wire.Invoke, Seq: 7, Peer: o.ID()}, tc.body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Write(b); err != nil {
			t.Fatal(err)
		}
		for {
			h, body, err := ubustest.ReadFrame(raw)
			if err != nil {
				t.Fatal(err)
			}
			if h.Type == wire.StatusMsg {
				if a := wire.ParseAttrs(body); a.Status != tc.want {
					t.Errorf("%.60x: %v", tc.body, a.Status)
				}
				break
			}
		}
	}
	if n := p.counters.Malformed.Load(); n != 3 {
		t.Errorf("%d counted", n)
	}
}

func TestEventsAndNotifications(t *testing.T) {
	path := startBus(t)
	a, b := dial(t, path), dial(t, path)
	got := make(chan Event, 2*maxWaiting)
	hear := func(e Event) { got <- e }
	if err := a.Listen(t.Context(), "x.*", hear); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.a", "y", "x.b"} {
		if err := b.SendEvent(t.Context(), name, nil); err != nil {
			t.Error(err)
		}
	}
	if e, f := <-got, <-got; e.Name != "x.a" || f.Name != "x.b" {
		t.Errorf("%v, %v", e, f)
	}
	o := provide(t, b, "obj", "m", nil)
	gone := make(chan bool, 1)
	if err := a.Subscribe(t.Context(), "obj", hear, func() { gone <- true }); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "subscriber", o.Subscribed)
	if err := b.Notify(o, "n1", str("k", "v")); err != nil {
		t.Error(err)
	}
	said, err := b.NotifyWait(t.Context(), o, "n2", nil)
	if err != nil || len(said) != 1 {
		t.Errorf("%v, %v", said, err)
	}
	if e, f := <-got, <-got; e.Name != "n1" || e.Data.String("k") != "v" || f.Name != "n2" {
		t.Errorf("%v, %v", e, f)
	}
	if err := a.Unsubscribe(t.Context(), o.ID()); err != nil {
		t.Error(err)
	}
	waitFor(t, "nobody", func() bool { return !o.Subscribed() })
	if said, err := b.NotifyWait(t.Context(), o, "n3", nil); err != nil || len(said) != 0 {
		t.Errorf("%v, %v", said, err)
	}
	if err := a.Subscribe(t.Context(), "obj", hear, func() { gone <- true }); err != nil {
		t.Fatal(err)
	}
	if err := b.RemoveObject(t.Context(), o); err != nil || o.ID() != 0 {
		t.Error(err)
	}
	<-gone
	waitFor(t, "one listener", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.objects) == 1 })
	if err := a.Subscribe(t.Context(), "obj", hear, nil); !errors.Is(err, wire.NotFound) {
		t.Error(err)
	}
	if err := b.Notify(o, "n", nil); !errors.Is(err, wire.NotFound) {
		t.Error(err)
	}
}

// TestSlowListener drops what a listener cannot take, and answers all the same.
func TestSlowListener(t *testing.T) {
	path := startBus(t)
	a, b := dial(t, path), dial(t, path)
	gate := make(chan bool)
	n := 0
	if err := a.Listen(t.Context(), "e", func(Event) { <-gate; n++ }); err != nil {
		t.Fatal(err)
	}
	for range maxWaiting + 10 {
		if err := b.SendEvent(t.Context(), "e", nil); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "overflow", func() bool { return a.counters.Overflow.Load() >= 9 })
	close(gate)
	if err := a.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMonitor(t *testing.T) {
	path := startBus(t)
	a, b := dial(t, path), dial(t, path)
	got := make(chan wire.MsgType, 64)
	if err := a.Monitor(t.Context(), func(o wire.Observed) {
		if o.Client == b.ID && o.Type == wire.Lookup && !o.Sent {
			got <- o.Type
		}
	}); err != nil {
		t.Fatal(err)
	}
	_, _ = b.Lookup(t.Context(), "x")
	<-got
}

// TestCloseEndsEverything leaves no goroutine behind.
func TestCloseEndsEverything(t *testing.T) {
	path := startBus(t)
	time.Sleep(10 * time.Millisecond)
	before := runtime.NumGoroutine()
	p, err := Dial(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan bool)
	o := provide(t, p, "obj", "m", func(ctx context.Context, _ *Request) error { began <- true; <-ctx.Done(); return ctx.Err() })
	if err := p.Listen(t.Context(), "*", func(Event) {}); err != nil {
		t.Fatal(err)
	}
	end := make(chan error)
	go func() { _, err := c.CallID(t.Context(), o.ID(), "m", nil); end <- err }()
	<-began
	p.Close() // ubusd says nothing of it to the caller
	if o.ID() != 0 || !errors.Is(p.Err(), ErrClosed) {
		t.Errorf("%d, %v", o.ID(), p.Err())
	}
	c.Close()
	if err := <-end; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := c.Lookup(t.Context(), ""); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	waitFor(t, "goroutines", func() bool { return runtime.NumGoroutine() <= before })
}

// silent is a ubusd that greets and then only takes.
func silent(t *testing.T, greeting wire.Header) (path string, conns chan *net.UnixConn) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conns = make(chan *net.UnixConn, 1)
	go func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			b, _ := wire.AppendMessage(nil, greeting, nil)
			_, _ = c.Write(b)
			conns <- c
		}
	}()
	return path, conns
}

func TestUbusdThatIsBroken(t *testing.T) {
	path, _ := silent(t, wire.Header{Type: wire.Ping})
	if _, err := Dial(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), "expected a greeting") {
		t.Error(err)
	}
	path, conns := silent(t, wire.Header{Type: wire.Hello, Peer: 5})
	c := dial(t, path)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	for range maxPending + 1 {
		go func() { _ = c.Ping(t.Context()) }()
	}
	waitFor(t, "many", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.pending) == maxPending })
	if err := c.Ping(ctx); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	// An answer that nobody waits for, then a frame that is none.
	u := <-conns
	b, _ := wire.AppendMessage(nil, wire.Header{Type: wire.StatusMsg, Seq: 9999}, wire.Body(nil).U32(wire.AttrStatus, 0))
	_, _ = u.Write(append(b, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff))
	<-c.Done()
	if err := c.Err(); !errors.Is(err, wire.ErrLength) || c.counters.Unknown.Load() != 1 {
		t.Error(err)
	}
	// Hung up before hello.
	l, err := net.Listen("unix", path+"2")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { u, _ := l.Accept(); u.Close() }()
	if _, err := Dial(t.Context(), path+"2", nil); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	ctx, stop = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err := Dial(ctx, path+"2", nil); err == nil { // never greets
		t.Error("connected")
	}
}

// TestAnswerWithoutEnd bounds what one request may bring.
func TestAnswerWithoutEnd(t *testing.T) {
	path, conns := silent(t, wire.Header{Type: wire.Hello, Peer: 5})
	c := dial(t, path)
	end := make(chan error)
	go func() { _, err := c.Lookup(t.Context(), ""); end <- err }()
	u := <-conns
	b, _ := wire.AppendMessage(nil, wire.Header{Type: wire.Data, Seq: 1}, make(wire.Body, 1<<19))
	go func() {
		for range maxAnswer>>19 + 1 {
			_, _ = u.Write(b)
		}
	}()
	if err := <-end; !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

// TestFileDescriptorIsClosed sends a descriptor with a call, as ubusd passes
// them on: the call goes through, and nothing stays open.
func TestFileDescriptorIsClosed(t *testing.T) {
	path, conns := silent(t, wire.Header{Type: wire.Hello, Peer: 5})
	c := dial(t, path)
	called := make(chan bool, 1)
	o := &Object{Path: "obj", Methods: []Method{{Name: "m", Handle: func(context.Context, *Request) error { called <- true; return nil }}}}
	c.mu.Lock()
	c.objects[2000] = o
	c.mu.Unlock()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, _ := wire.AppendMessage(nil, wire.Header{Type: wire.Invoke, Seq: 1, Peer: 9}, wire.Body(nil).U32(wire.AttrObjID, 2000).String(wire.AttrMethod, "m"))
	u := <-conns
	if _, _, err := u.WriteMsgUnix(b, syscall.UnixRights(int(w.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	<-called
	w.Close()
	_ = r.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) { // the other end has no owner
		t.Errorf("%d, %v", n, err)
	}
}

func FuzzIncoming(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, name := range files {
		var b []byte
		for _, x := range ubustest.Load(f, name) {
			if !x.ToBus && !x.Closed && x.Type != wire.Hello {
				b = append(b, x.Bytes...)
			}
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		go func() {
			hello, _ := wire.AppendMessage(nil, wire.Header{Type: wire.Hello}, nil)
			_, _ = theirs.Write(append(hello, b...))
			theirs.Close()
		}()
		c, err := greet(context.Background(), ours, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		for _, id := range []uint32{0x937b5f13, 0x1b56ab7d, 0x433d2070, 0xd2c48109} { // of the conversations
			c.objects[id] = &Object{Path: "testobj", Methods: []Method{{Name: "hello", Handle: func(_ context.Context, r *Request) error { return r.Reply(r.Args) }}}}
		}
		c.mu.Unlock()
		<-c.Done()
		c.Close()
	})
}
