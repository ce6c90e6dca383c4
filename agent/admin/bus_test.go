package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/ubus"
	"github.com/meshagent/meshagent/agent/ubus/ubustest"
	"github.com/meshagent/meshagent/agent/ubus/wire"
)

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// busAt runs a Bus that is ready, and returns a caller beside it.
func busAt(t *testing.T, f *fakeBackend, rules ...ubustest.Rule) (*Bus, *ubus.Conn, *ubustest.Daemon) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ubus.sock")
	d := ubustest.Start(t, path, rules...)
	b := NewBus(NewMethods(f), path, false, slog.New(slog.DiscardHandler))
	runBus(t, b)
	waitFor(t, "connection", func() bool { return b.Status().State == "connected" })
	c, err := ubus.Dial(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return b, c, d
}

func runBus(t *testing.T, b *Bus) {
	b.client.MinBackoff, b.client.MaxBackoff = time.Millisecond, 10*time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() { b.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
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

// TestBusHasEveryMethod holds ubus and socket together: a method that is on
// one is on the other.
func TestBusHasEveryMethod(t *testing.T) {
	_, c, _ := busAt(t, &fakeBackend{})
	found, err := c.Lookup(t.Context(), "meshagent*")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range found {
		for _, m := range o.Signature {
			got = append(got, o.Path+" "+m.Name)
		}
	}
	slices.Sort(got)
	var want []string
	for _, m := range NewMethods(&fakeBackend{}).Methods() {
		if m.Local {
			continue
		}
		object, method := busPath(m.Name)
		want = append(want, object+" "+method)
	}
	want = append(want, "meshagent.peer list", "meshagent.gw list")
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("ubus has\n%v\nthe registry\n%v", got, want)
	}
	for _, name := range []string{"meshagent status", "meshagent sessions", "meshagent.peer list", "meshagent.peer add", "meshagent.peer del",
		"meshagent.bat originators", "meshagent.bat neighbors", "meshagent.bat interfaces", "meshagent.bat gateways", "meshagent.bat transglobal",
		"meshagent.bat translocal", "meshagent.gw list", "meshagent.config diff", "meshagent.config apply", "meshagent.config confirm", "meshagent.config revert", "meshagent events", "meshagent doctor"} {
		if !slices.Contains(got, name) {
			t.Errorf("no %s", name)
		}
	}
}

func TestBusSignatures(t *testing.T) {
	_, c, _ := busAt(t, &fakeBackend{})
	found, err := c.Lookup(t.Context(), "meshagent.bat")
	if err != nil {
		t.Fatal(err)
	}
	ping, _ := found[0].Signature.Get("ping")
	want := wire.Table{{Name: "target", Value: int32(3)}, {Name: "translate", Value: int32(7)}, {Name: "ttl", Value: int32(5)},
		{Name: "record_route", Value: int32(7)}, {Name: "timeout_ms", Value: int32(5)}}
	if !reflect.DeepEqual(ping, want) {
		t.Errorf("%v", ping)
	}
	log, _ := found[0].Signature.Get("log")
	if !reflect.DeepEqual(log, wire.Table{{Name: "after", Value: int32(4)}}) { // more than 32 bits
		t.Errorf("%v", log)
	}
}

func TestBusCalls(t *testing.T) {
	f := &fakeBackend{status: node.Status{Version: "1.2.3", Peers: []node.PeerStatus{{Name: "a"}, {Name: "b"}, {Name: "c"}}}}
	_, c, _ := busAt(t, f)
	got, err := c.Call(t.Context(), "meshagent", "version", wire.Table{{Name: "ubus_rpc_session", Value: "00000000000000000000000000000000"}})
	if err != nil || got.String("version") != "1.2.3" {
		t.Errorf("%v, %v", got, err)
	}
	got, err = c.Call(t.Context(), "meshagent.peer", "list", wire.Table{{Name: "offset", Value: int32(1)}, {Name: "limit", Value: int32(1)}})
	peers, _ := got.Get("peers")
	total, _ := got.Get("total")
	if a, _ := peers.(wire.Array); err != nil || len(a) != 1 || a[0].(wire.Table).String("name") != "b" || total != int32(3) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err = c.Call(t.Context(), "meshagent.peer", "add", wire.Table{{Name: "address", Value: "192.0.2.1:5"}, {Name: "public_key", Value: keyA},
		{Name: "version", Value: int32(20)}}); err != nil || f.peer.Address != "192.0.2.1:5" || f.peer.Version != 20 {
		t.Errorf("%+v, %v", f.peer, err)
	}
	// A list as result has a name of its own.
	got, err = c.Call(t.Context(), "meshagent", "methods", nil)
	result, _ := got.Get("result")
	if a, _ := result.(wire.Array); err != nil || len(a) < 20 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestBusErrors(t *testing.T) {
	f := &fakeBackend{}
	b, c, _ := busAt(t, f)
	for _, tc := range []struct {
		object, method string
		args           wire.Table
		err            error
		backend        error
		status         wire.Status
		text           string
	}{
		{object: "meshagent", method: "nope", status: wire.MethodNotFound},
		{object: "meshagent", method: "ping", status: wire.InvalidArgument, text: "ping: argument 'target' is missing"},
		{object: "meshagent", method: "ping", args: wire.Table{{Name: "target", Value: int32(1)}}, status: wire.InvalidArgument, text: "expected a string, found a number"},
		{object: "meshagent", method: "status", args: wire.Table{{Name: "x", Value: nil}}, status: wire.InvalidArgument, text: "argument 'x' is not known"},
		{object: "meshagent.peer", method: "list", args: wire.Table{{Name: "limit", Value: "many"}}, status: wire.InvalidArgument, text: "expected a whole number"},
		{object: "meshagent.peer", method: "del", args: wire.Table{{Name: "peer", Value: "x"}}, backend: Errorf(CodeNotFound, "gone"), status: wire.NotFound, text: "gone"},
		{object: "meshagent.config", method: "apply", backend: Errorf(CodeBadConfig, "line 3"), status: wire.ParseError, text: "line 3"},
		{object: "meshagent", method: "status", backend: errors.New("broken"), status: wire.SystemError, text: "broken"},
		{object: "meshagent", method: "status", backend: context.DeadlineExceeded, status: wire.Timeout, text: "did not finish"},
	} {
		f.err = tc.backend
		got, err := c.Call(t.Context(), tc.object, tc.method, tc.args)
		e, _ := got.Get("error")
		te, _ := e.(wire.Table)
		if !errors.Is(err, tc.status) || !strings.Contains(te.String("text"), tc.text) || tc.text != "" && te.String("code") == "" {
			t.Errorf("%s %s: %v, %v", tc.object, tc.method, got, err)
		}
	}
	if s := b.Status(); s.State != "connected" {
		t.Errorf("%+v", s)
	}
	for _, code := range Codes {
		if busStatus(code) == wire.OK || busStatus(code) == wire.UnknownError {
			t.Errorf("%s becomes %v", code, busStatus(code))
		}
	}
}

// TestBusPages asks for a table that is larger than an answer may be.
func TestBusPages(t *testing.T) {
	f := &fakeBackend{}
	const rows = 1000
	for i := range rows {
		f.status.Sessions = append(f.status.Sessions, node.SessionStatus{IP: fmt.Sprintf("fc%062d", i), PublicKey: strings.Repeat("k", 54), State: "ESTABLISHED"})
	}
	_, c, _ := busAt(t, f)
	seen, calls := 0, 0
	for seen < rows {
		calls++
		got, err := c.Call(t.Context(), "meshagent", "sessions", wire.Table{{Name: "offset", Value: int32(seen)}})
		v, _ := got.Get("sessions")
		a, _ := v.(wire.Array)
		total, _ := got.Get("total")
		if err != nil || len(a) == 0 || total != int32(rows) {
			t.Fatalf("%d rows, total %v, %v", len(a), total, err)
		}
		if b, err := got.Append(nil); err != nil || len(b) > maxReply {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		for _, e := range a {
			if ip := e.(wire.Table).String("ip"); ip != f.status.Sessions[seen].IP {
				t.Fatalf("row %d is %s", seen, ip)
			}
			seen++
		}
	}
	if calls < rows/busPage || calls > 20 {
		t.Errorf("%d calls", calls)
	}
	// What has no offset is cut, and says so.
	f.status.Peers = []node.PeerStatus{{Name: "a"}}
	got, err := c.Call(t.Context(), "meshagent", "status", nil)
	cut, _ := got.Get("truncated")
	peers, _ := got.Get("peers")
	sessions, _ := got.Get("sessions")
	if err != nil || !reflect.DeepEqual(cut, wire.Array{"sessions"}) || len(peers.(wire.Array)) != 1 || len(sessions.(wire.Array)) < 100 {
		t.Errorf("cut %v, %v", cut, err)
	}
	if b, err := got.Append(nil); err != nil || len(b) > maxReply {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	// What cannot be cut is refused.
	f.status = node.Status{Drops: map[string]int64{strings.Repeat("x", maxReply): 1}}
	if got, err = c.Call(t.Context(), "meshagent", "status", nil); !errors.Is(err, wire.NoMemory) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestBusEvents(t *testing.T) {
	b, c, _ := busAt(t, &fakeBackend{})
	events, told := make(chan ubus.Event, 100), make(chan ubus.Event, 100)
	if err := c.Listen(t.Context(), "meshagent.*", func(e ubus.Event) { events <- e }); err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe(t.Context(), "meshagent.peer", func(e ubus.Event) { told <- e }, nil); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "subscriber", func() bool { return b.byPath["meshagent.peer"].Subscribed() })
	b.Emit("peer.up", map[string]any{"name": "nyc"})
	want := wire.Table{{Name: "name", Value: "nyc"}}
	if e := <-events; e.Name != "meshagent.peer.up" || !reflect.DeepEqual(e.Data, want) {
		t.Errorf("%v", e)
	}
	if e := <-told; e.Name != "up" || !reflect.DeepEqual(e.Data, want) {
		t.Errorf("%v", e)
	}
	// A flood is cut to what is bearable.
	for range 500 {
		b.Emit("peer.down", map[string]any{})
	}
	if d := b.Status().Drops["event-rate"]; d < 400 {
		t.Errorf("%d dropped", d)
	}
	(*Bus)(nil).Emit("peer.up", nil)
}

func TestBusEventRate(t *testing.T) {
	b := NewBus(NewRegistry(), "", true, nil)
	now := time.Now()
	count := func(after time.Duration) (n int) {
		now = now.Add(after)
		for range 1000 {
			if b.allow(now) {
				n++
			}
		}
		return n
	}
	for _, x := range []struct {
		after time.Duration
		want  int
	}{{0, busEventBurst}, {time.Second, busEventRate}, {50 * time.Millisecond, 0}, {50 * time.Millisecond, 1}, {1000 * time.Hour, busEventBurst}} {
		if got := count(x.after); got != x.want {
			t.Errorf("after %v: %d, want %d", x.after, got, x.want)
		}
	}
}

func TestStatusShowsUbus(t *testing.T) {
	for _, x := range []struct {
		bus  node.BusStatus
		want string
	}{
		{node.BusStatus{State: "connected"}, "ubus     connected\n"},
		{node.BusStatus{State: "connected", Error: "no\x1bright"}, "ubus     connected: no"},
		{node.BusStatus{State: "waiting", Error: "why"}, "ubus     waiting: why\n"},
		{node.BusStatus{State: "waiting"}, ""},
		{node.BusStatus{State: "off"}, ""},
	} {
		var b strings.Builder
		if err := WriteStatus(&b, node.Status{Bus: x.bus}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), x.want) || x.want == "" && strings.Contains(b.String(), "ubus") || strings.Contains(b.String(), "\x1b") {
			t.Errorf("%+v:\n%s", x.bus, b.String())
		}
	}
}

func TestStatusShowsSupernodes(t *testing.T) {
	k := node.KnownSupernode{IP: "fc00::1", State: "active", RTTMicros: 12_300}
	for _, x := range []struct {
		s    node.SupernodeStatus
		want string
	}{
		{node.SupernodeStatus{}, ""},
		{node.SupernodeStatus{Known: []node.KnownSupernode{{State: "silent"}}}, "supernode  none answers, 0 links announced\n"},
		{node.SupernodeStatus{Known: []node.KnownSupernode{k, {State: "ready"}}, Announced: 1}, "supernode  fc00::1, 12.30 ms, 1 more, 1 link announced\n"},
		{
			node.SupernodeStatus{Role: true, Known: []node.KnownSupernode{k}, Nodes: 2, Links: 1, Taken: 3, Routes: 4, NoRoute: 5},
			"supernode  this node, 0 links announced\nserving    2 nodes, 1 link, 3 announcements taken, 4 paths told, 5 not known\n",
		},
	} {
		var b strings.Builder
		if err := WriteStatus(&b, node.Status{Supernode: x.s}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), x.want) || x.want == "" && strings.Contains(b.String(), "supernode") {
			t.Errorf("%+v:\n%s", x.s, b.String())
		}
	}
}

// TestBusAbsentAndRefused goes through what ubusd can do to us.
func TestBusAbsentAndRefused(t *testing.T) {
	for _, auto := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "ubus.sock")
		log := &lockedBuffer{}
		b := NewBus(NewMethods(&fakeBackend{}), path, auto, slog.New(slog.NewTextHandler(log, nil)))
		b.Emit("peer.up", nil) // into nothing
		runBus(t, b)
		waitFor(t, "waiting", func() bool { return b.client.State().Err != nil })
		s := b.Status()
		if s.State != "waiting" || (s.Error == "") != auto || (log.String() == "") != auto {
			t.Errorf("auto %v: %+v, log %q", auto, s, log.String())
		}
		if auto {
			continue
		}
		d := ubustest.Start(t, path, ubustest.Rule{User: "meshagent", Publish: []string{"meshagent", "meshagent.*"}, Send: []string{"meshagent.*"}})
		d.As("nobody")
		d.Drop()
		waitFor(t, "refusal", func() bool { return strings.Contains(b.Status().Error, "may not publish it") })
		d.As("meshagent")
		waitFor(t, "connection", func() bool { return b.Status().State == "connected" })
		paths := d.Paths()
		d.Stop()
		waitFor(t, "loss", func() bool { return b.Status().State == "waiting" })
		d = ubustest.Start(t, path)
		waitFor(t, "objects again", func() bool { return len(d.Paths()) == 8 && slices.Equal(d.Paths(), paths) })
		if n := strings.Count(log.String(), "\n"); n > 12 {
			t.Errorf("%d lines of log:\n%s", n, log.String())
		}
	}
}

func TestBusCallerWithoutRights(t *testing.T) {
	_, _, d := busAt(t, &fakeBackend{}, ubustest.Rule{User: "guest", Access: map[string][]string{"meshagent": {"status"}}})
	d.As("guest")
	c, err := ubus.Dial(t.Context(), d.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Call(t.Context(), "meshagent", "status", nil); err != nil {
		t.Error(err)
	}
	if _, err := c.Call(t.Context(), "meshagent", "reload", nil); !errors.Is(err, wire.PermissionDenied) {
		t.Error(err)
	}
	if _, err := c.Call(t.Context(), "meshagent.peer", "del", nil); !errors.Is(err, wire.NotFound) { // it does not even see it
		t.Error(err)
	}
}

func TestBusRows(t *testing.T) {
	f := &fakeBackend{}
	f.mesh = mesh.Status{Algo: "BATMAN_IV", Gateways: []mesh.GatewayStatus{{Best: true}}}
	_, c, _ := busAt(t, f)
	a, err := c.Call(t.Context(), "meshagent.gw", "list", nil)
	b, err2 := c.Call(t.Context(), "meshagent.bat", "gateways", nil)
	if err != nil || err2 != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("%v, %v", err, err2)
	}
	if rows, _ := a.Get("rows"); len(rows.(wire.Array)) != 1 {
		t.Errorf("%v", a)
	}
}

const feed = "../../openwrt-feed/meshagent/files/usr/share/"

// rpcdACL is a file of rpcd: who is logged in and has read or write may call
// these methods.
type rpcdACL struct {
	Meshagent struct {
		Description string `json:"description"`
		Read        struct {
			Ubus map[string][]string `json:"ubus"`
		} `json:"read"`
		Write struct {
			Ubus map[string][]string `json:"ubus"`
		} `json:"write"`
	} `json:"meshagent"`
}

// TestRpcdACL holds the shipped file to the registry: what changes nothing is
// for readers, everything else for writers. UPDATE_ACL=1 writes it anew.
func TestRpcdACL(t *testing.T) {
	var want rpcdACL
	want.Meshagent.Description = "meshagent: look at the node, its peers and its mesh; change peers and configuration"
	want.Meshagent.Read.Ubus, want.Meshagent.Write.Ubus = map[string][]string{}, map[string][]string{}
	for _, x := range busMethods(NewMethods(&fakeBackend{})) {
		m := want.Meshagent.Write.Ubus
		if x.m.ReadOnly {
			m = want.Meshagent.Read.Ubus
		}
		m[x.object] = append(m[x.object], x.name)
	}
	const file = feed + "rpcd/acl.d/meshagent.json"
	if os.Getenv("UPDATE_ACL") != "" {
		b, err := json.MarshalIndent(want, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got rpcdACL
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is not what the registry has; write it anew with: UPDATE_ACL=1 go test ./agent/admin -run RpcdACL\n got %v\nwant %v", file, got, want)
	}
}

// TestUbusdACL lets a bus with the shipped file publish everything as the
// user of the package.
func TestUbusdACL(t *testing.T) {
	b, err := os.ReadFile(feed + "acl.d/meshagent.json")
	if err != nil {
		t.Fatal(err)
	}
	var rule ubustest.Rule
	if err := json.Unmarshal(b, &rule); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ubus.sock")
	d := ubustest.Start(t, path, rule)
	d.As("meshagent")
	bus := NewBus(NewMethods(&fakeBackend{}), path, false, slog.New(slog.DiscardHandler))
	runBus(t, bus)
	waitFor(t, "connection", func() bool { return bus.Status().State == "connected" })
	bus.Emit("peer.up", map[string]any{})
	d.As("root")
	c, err := ubus.Dial(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make(chan ubus.Event, 1)
	if err := c.Listen(t.Context(), "meshagent.*", func(e ubus.Event) { got <- e }); err != nil {
		t.Fatal(err)
	}
	bus.Emit("gw.changed", map[string]any{})
	if e := <-got; e.Name != "meshagent.gw.changed" {
		t.Errorf("%v", e)
	}
	if s := bus.Status(); s.Error != "" {
		t.Error(s.Error)
	}

	// It may tell procd of an event, and nothing else.
	if err := bus.ServiceEvent(t.Context(), "meshagent.store"); !errors.Is(err, wire.NotFound) {
		t.Errorf("without procd: %v", err)
	}
	args := []ubus.Arg{{Name: "type", Type: wire.TypeString}, {Name: "data", Type: wire.TypeTable}}
	told := make(chan string, 1)
	procd := &ubus.Client{Path: path, Objects: []*ubus.Object{{Path: "service", Methods: []ubus.Method{
		{Name: "event", Args: args, Handle: func(_ context.Context, r *ubus.Request) error {
			told <- r.Args.String("type")
			return r.Reply(nil)
		}},
		{Name: "delete", Handle: func(_ context.Context, r *ubus.Request) error { return r.Reply(nil) }},
	}}}}
	go procd.Run(t.Context())
	waitFor(t, "procd", func() bool { return procd.State().Connected })
	waitFor(t, "object", func() bool { return bus.ServiceEvent(t.Context(), "meshagent.store") == nil })
	if e := <-told; e != "meshagent.store" {
		t.Error(e)
	}
	if _, err := bus.client.Conn().Call(t.Context(), "service", "delete", nil); !errors.Is(err, wire.PermissionDenied) {
		t.Errorf("it may delete services: %v", err)
	}
}
