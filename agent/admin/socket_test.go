package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/node"
)

// sockPath returns a path that is short enough for a socket.
func sockPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ma")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run", "s.sock")
}

// serve runs s until the test ends, or until stop is called.
func serve(t *testing.T, s *Server) (path string, stop func()) {
	t.Helper()
	path = sockPath(t)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return path, stop
}

func dial(t *testing.T, path string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

func say(t *testing.T, c net.Conn, r *bufio.Reader, line string) string {
	t.Helper()
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	answer, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%v after %q", err, answer)
	}
	return strings.TrimSuffix(answer, "\n")
}

func TestSocketSpeaksJSONLines(t *testing.T) {
	path, _ := serve(t, &Server{Registry: NewMethods(&fakeBackend{status: node.Status{Version: "1.0.0", Protocol: 20}})})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	c, r := dial(t, path)
	for _, tc := range []struct{ in, want string }{
		{`{"id":7,"method":"version"}`, `{"id":7,"result":{"version":"1.0.0","protocol":20}}`},
		{`{"method":"version","id":{"a":[1]},"args":{}}` + "\r", `{"id":{"a":[1]},"result":{"version":"1.0.0","protocol":20}}`},
		{`{"method":"version","args":null}`, `{"id":null,"result":{"version":"1.0.0","protocol":20}}`},
		{"\n" + `{"id":"x","method":"nope"}`, `{"id":"x","error":{"code":"unknown_method","text":"no method 'nope'; expected one of: community, community.apply, community.draft, community.found, community.leave, community.revoke, config.apply, config.confirm, config.diff, config.revert, config.store, doctor, events, invite, invite.list, join, join.progress, mesh.backbones, mesh.claims, mesh.dat_cache, mesh.gateways, mesh.info, mesh.interfaces, mesh.log, mesh.mcast_flags, mesh.neighbors, mesh.originators, mesh.ping, mesh.statistics, mesh.throughput, mesh.transglobal, mesh.translate, mesh.translocal, methods, peer.add, peer.del, peers, ping, reload, sessions, status, trace, version, why, wifi"}}`},
		{`{"id":1,"method":"ping","args":{"target":"x","count":0}}`, `{"id":1,"error":{"code":"bad_argument","text":"ping: argument 'count': expected a number from 1 to 100, found 0"}}`},
		{`{"id":1,"method":"version"`, `{"id":null,"error":{"code":"bad_request","text":"expected one JSON object on a line: {\"id\", \"method\", \"args\"}"}}`},
		{`{"id":1,"method":"version"} {}`, `{"id":1,"error":{"code":"bad_request","text":"expected one JSON object on a line, found more behind it"}}`},
		{`[]`, `{"id":null,"error":{"code":"bad_request","text":"expected one JSON object on a line: {\"id\", \"method\", \"args\"}"}}`},
		{`null`, `{"id":null,"error":{"code":"bad_request","text":"expected one JSON object on a line: {\"id\", \"method\", \"args\"}"}}`},
		{`{"id":1}`, `{"id":1,"error":{"code":"bad_request","text":"method: missing"}}`},
		{`{"id":1,"method":3}`, `{"id":1,"error":{"code":"bad_request","text":"method: expected a string"}}`},
		{`{"id":1,"method":"x","args":[]}`, `{"id":1,"error":{"code":"bad_request","text":"args: expected an object {…}"}}`},
		{`{"id":1,"method":"x","arg":1}`, `{"id":1,"error":{"code":"bad_request","text":"'arg': expected id, method and args only"}}`},
		{`{"id":"` + strings.Repeat("x", 300) + `","method":"x"}`, `{"id":null,"error":{"code":"bad_request","text":"expected an id of at most 256 bytes"}}`},
	} {
		if got := say(t, c, r, tc.in+"\n"); got != tc.want {
			t.Errorf("%s\ngives %s\nwant  %s", tc.in, got, tc.want)
		}
	}
}

func TestLinesAreBounded(t *testing.T) {
	b := &fakeBackend{}
	path, _ := serve(t, &Server{Registry: NewMethods(b)})
	c, r := dial(t, path)
	long := fmt.Sprintf(`{"id":1,"method":"version","args":{%s}}`, strings.Repeat(" ", MaxLine-42))
	if len(long) >= MaxLine {
		t.Fatal("the longest line is too long")
	}
	if got := say(t, c, r, long+"\n"); !strings.Contains(got, `"result"`) {
		t.Errorf("%d bytes give %s", len(long), got)
	}
	go func() { _, _ = io.WriteString(c, strings.Repeat("x", MaxLine+8192)) }()
	want := `{"id":null,"error":{"code":"too_large","text":"expected a request of at most 1048576 bytes"}}` + "\n"
	if got, err := r.ReadString('\n'); err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection stays open")
	}

	b.status.Peers = make([]node.PeerStatus, 4000)
	var e *Error
	if err := Call(t.Context(), path, "peers", nil, nil); !errors.As(err, &e) || e.Code != CodeTooLarge || !strings.HasSuffix(e.Text, "ask for parts with limit and offset") {
		t.Errorf("a long answer: %v", err)
	}
	var l PeerList
	if err := Call(t.Context(), path, "peers", map[string]any{"limit": 10}, &l); err != nil || len(l.Peers) != 10 || l.Total != 4000 {
		t.Errorf("a part: %d of %d, %v", len(l.Peers), l.Total, err)
	}
}

func TestLastLineWithoutLineEnd(t *testing.T) {
	path, _ := serve(t, &Server{Registry: NewMethods(&fakeBackend{})})
	c, r := dial(t, path)
	if _, err := io.WriteString(c, `{"id":1,"method":"version"}`); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != `{"id":1,"result":{"version":"","protocol":0}}`+"\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTooManyConnections(t *testing.T) {
	path, _ := serve(t, &Server{Registry: NewMethods(&fakeBackend{}), MaxConns: 2})
	for range 2 {
		c, r := dial(t, path)
		say(t, c, r, `{"method":"version"}`+"\n") // it is being served
	}
	var e *Error
	if err := Call(t.Context(), path, "version", nil, nil); !errors.As(err, &e) || e.Code != CodeBusy || e.Text != "2 connections are open already" {
		t.Errorf("error %v", err)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	path, _ := serve(t, &Server{Registry: NewMethods(&fakeBackend{}), IdleTimeout: 20 * time.Millisecond})
	c, r := dial(t, path)
	if _, err := io.WriteString(c, `{"id":1,`); err != nil { // half a line, and silence
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestClientThatDoesNotReadIsDropped(t *testing.T) {
	b := &fakeBackend{}
	b.status.Peers = make([]node.PeerStatus, 1500) // each answer some 800 kB
	path, stop := serve(t, &Server{Registry: NewMethods(b), WriteTimeout: 20 * time.Millisecond, MaxConns: 1})
	c, _ := dial(t, path)
	_, _ = io.WriteString(c, strings.Repeat(`{"method":"peers"}`+"\n", 50)) // and never read
	// Its place is free again in a while; Serve ends even if it is not.
	for {
		var e *Error
		err := Call(t.Context(), path, "version", nil, nil)
		if err == nil {
			break
		}
		if !errors.As(err, &e) || e.Code != CodeBusy {
			t.Fatal(err)
		}
	}
	stop()
}

func TestMethodsEndWithTheServer(t *testing.T) {
	b := &fakeBackend{block: make(chan struct{})}
	path, stop := serve(t, &Server{Registry: NewMethods(b)})
	c, r := dial(t, path)
	if _, err := io.WriteString(c, `{"id":1,"method":"ping","args":{"target":"x"}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	// Another connection is answered meanwhile.
	if err := Call(t.Context(), path, "version", nil, nil); err != nil {
		t.Fatal(err)
	}
	stop() // returns although ping waits for ever
	_, _ = io.ReadAll(r)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket file is left: %v", err)
	}
	var none *NoAgentError
	err := Call(t.Context(), path, "version", nil, nil)
	if want := "no agent answers on " + path + ": start it with: meshagent run -c FILE"; !errors.As(err, &none) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestCallTimeout(t *testing.T) {
	b := &fakeBackend{block: make(chan struct{})}
	path, _ := serve(t, &Server{Registry: NewMethods(b), CallTimeout: time.Millisecond})
	var e *Error
	if err := Call(t.Context(), path, "ping", map[string]any{"target": "x"}, nil); !errors.As(err, &e) || e.Code != CodeTimeout {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Call(ctx, path, "version", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestListen(t *testing.T) {
	path := sockPath(t)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	var live *LiveSocketError
	if _, err := Listen(path); !errors.As(err, &live) || err.Error() != "another agent is running on "+path+"; give each its own option 'socket'" {
		t.Errorf("a second one: %v", err)
	}
	l.SetUnlinkOnClose(false) // as after a crash
	l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	if err := Call(t.Context(), path, "version", nil, nil); err == nil || !strings.HasPrefix(err.Error(), "no agent answers on ") {
		t.Errorf("a call to a stale socket: %v", err)
	}
	if l, err = Listen(path); err != nil {
		t.Fatalf("a stale file: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || err.Error() != path+" is there and is no socket; expected a path for option 'socket'" {
		t.Errorf("a plain file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Error("the file is gone")
	}
}

func TestTruncatedRequests(t *testing.T) {
	full := `{"id":1,"method":"ping","args":{"target":"x"}}`
	if _, err := parseRequest([]byte(full)); err != nil {
		t.Fatal(err)
	}
	for n := range full {
		if _, err := parseRequest([]byte(full[:n])); err == nil || err.Code != CodeBadRequest {
			t.Errorf("%q: %v", full[:n], err)
		}
	}
}

// FuzzRequest checks that every line is answered by one line that is JSON and
// carries the id of the request.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{`{"id":1,"method":"ping","args":{"target":"x","count":3}}`, `{"id":{"a":1.5e3},"method":"peers","args":{"limit":1}}`,
		`{"method":"peer.add","args":{"address":"a:1","public_key":"` + keyA + `"}}`, `{"id":"\u0000","method":""}`, `[]`, ``} {
		f.Add([]byte(s))
	}
	r := NewMethods(&fakeBackend{})
	f.Fuzz(func(t *testing.T, line []byte) {
		out := r.answer(line, func(q request) (any, error) { return r.Call(context.Background(), q.Method, q.Args) })
		if n := strings.Count(string(out), "\n"); n != 1 || out[len(out)-1] != '\n' {
			t.Fatalf("%q gives %q", line, out)
		}
		var p struct {
			ID, Result json.RawMessage
			Error      *Error
		}
		if err := json.Unmarshal(out, &p); err != nil || (p.Error == nil) == (p.Result == nil) {
			t.Fatalf("%q gives %q: %v", line, out, err)
		}
		if p.Error != nil && (p.Error.Text == "" || p.Error.Code == "") {
			t.Fatalf("%q gives %q", line, out)
		}
	})
}
