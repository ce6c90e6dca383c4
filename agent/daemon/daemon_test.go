package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/node"
)

// agent is a daemon under test, without TUN, on a loopback port.
type agent struct {
	*Daemon
	id   *cryptoauth.Identity
	port string
	file string
	stop func() error
}

// freePort finds a UDP port that nobody uses now.
func freePort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return fmt.Sprint(c.LocalAddr().(*net.UDPAddr).Port)
}

// start runs an agent whose configuration has the further sections in more,
// and options of the first section.
func start(t *testing.T, more string, main ...string) *agent {
	t.Helper()
	dir := t.TempDir()
	a := &agent{id: cryptoauth.GenerateIdentity(random), port: freePort(t), file: filepath.Join(dir, "conf")}
	a.write(t, more, main...)
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(a.id.Private.Hex()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.run(t)
	return a
}

// run runs the agent with the files that there are; also a second time.
func (a *agent) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	up, done := make(chan *Daemon), make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{
			ConfigPath: a.file, Version: "test", Log: slog.New(slog.DiscardHandler),
			Serve: func(ctx context.Context, _ string, d *Daemon) error {
				up <- d
				<-ctx.Done()
				return nil
			},
		})
	}()
	select {
	case a.Daemon = <-up:
	case err := <-done:
		cancel()
		t.Fatalf("the agent ended: %v", err)
	}
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	a.stop = stop
	t.Cleanup(func() { _ = stop() }) // before its folder is removed
}

func (a *agent) write(t *testing.T, more string, main ...string) {
	t.Helper()
	dir := filepath.Dir(a.file)
	text := fmt.Sprintf(`config meshagent 'main'
	option key_file '%s/key'
	option state_dir '%s'
	option socket '%s/socket'
%sconfig tun 'tun'
	option enabled '0'
config udp 'udp'
	option bind '127.0.0.1:%s'
%s`, dir, dir, dir, strings.Join(main, ""), a.port, more)
	if err := os.WriteFile(a.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wait looks at the status until ok is satisfied.
func (a *agent) wait(t *testing.T, what string, ok func(s node.Status) bool) node.Status {
	t.Helper()
	var s node.Status
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var err error
		if s, err = a.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ok(s) {
			return s
		}
	}
	t.Fatalf("%s: not within 20 s: %+v", what, s)
	return s
}

func established(s node.Status) bool {
	return len(s.Peers) == 1 && s.Peers[0].State == "ESTABLISHED"
}

const guest = "config password\n\toption name 'guest'\n\toption password 'let me in'\n"

func TestTwoAgents(t *testing.T) {
	before := runtime.NumGoroutine()
	b := start(t, guest)
	a := start(t, "")
	b.wait(t, "link", func(s node.Status) bool { return len(s.Links) == 1 && s.Links[0].State == "up" })
	change, err := a.PeerAdd(t.Context(), config.Peer{
		Enabled: true, Address: "127.0.0.1:" + b.port, PublicKey: b.id.Public, Password: "let me in", Login: "guest",
	})
	if err != nil || change.Action != "added" {
		t.Fatalf("peer add: %+v, %v", change, err)
	}
	a.wait(t, "a", established)
	b.wait(t, "b", established)

	res, err := a.Ping(t.Context(), b.id.IP.String(), admin.PingOptions{Count: 3, Interval: time.Millisecond, Timeout: 5 * time.Second})
	if err != nil || len(res.Replies) != 3 {
		t.Fatalf("ping: %+v, %v", res, err)
	}
	for _, r := range res.Replies {
		if r.Error != "" || r.RTTMicros == 0 || r.Version != node.Protocol {
			t.Errorf("reply %+v", r)
		}
	}
	for _, to := range []string{b.id.Public.String(), "0000.0000.0000.0013", "v22.0000.0000.0000.0013." + b.id.Public.String()} {
		res, err := a.Ping(t.Context(), to, admin.PingOptions{Count: 1, Timeout: 5 * time.Second})
		if err != nil || res.Replies[0].Error != "" {
			t.Errorf("ping %s: %+v, %v", to, res, err)
		}
	}
	wrong := "v22.0000.0000.0000.0013." + a.id.Public.String()
	if res, _ := a.Ping(t.Context(), wrong, admin.PingOptions{Count: 1, Timeout: 5 * time.Second}); !strings.Contains(res.Replies[0].Error, "another node") {
		t.Errorf("the wrong node answered unnoticed: %+v", res)
	}
	tr, err := a.Trace(t.Context(), b.id.IP.String())
	if err != nil || len(tr.Hops) != 1 || tr.Hops[0].IP != b.id.IP.String() {
		t.Errorf("trace: %+v, %v", tr, err)
	}

	// A reload that changes nothing disturbs nothing; one with an error
	// changes nothing.
	shakes := a.wait(t, "a", established).Peers[0].Handshakes
	if r, err := a.Reload(t.Context()); err != nil || len(r.Changes) != 0 {
		t.Errorf("reload: %+v, %v", r, err)
	}
	text, _ := os.ReadFile(a.file)
	if err := os.WriteFile(a.file, append(text, "config peer\n\toption public_key 'nonsense'\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Reload(t.Context()); err == nil {
		t.Error("a configuration with an error was taken")
	}
	if err := os.WriteFile(a.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := a.wait(t, "a", established).Peers[0].Handshakes; n != shakes {
		t.Errorf("%d handshakes after the reloads, %d before", n, shakes)
	}

	// The password is taken away: the peer is disconnected.
	b.write(t, "")
	if _, err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wait(t, "disconnected", func(s node.Status) bool { return len(s.Peers) == 0 })
	if _, err := a.PeerDel(t.Context(), b.id.Public.String()); err != nil {
		t.Errorf("peer del: %v", err)
	}
	a.wait(t, "no peer", func(s node.Status) bool { return len(s.Peers) == 0 })

	for _, x := range []*agent{a, b} {
		if err := x.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// The listener restarts and calls the peer that had called it, which it
// remembers from its state folder.
func TestMemorySurvives(t *testing.T) {
	b := start(t, guest)
	a := start(t, fmt.Sprintf("config peer 'b'\n\toption address '127.0.0.1:%s'\n\toption public_key '%s'\n\toption password 'let me in'\n\toption login 'guest'\n", b.port, b.id.Public))
	b.wait(t, "up", established)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(b.file), "peers"))
	if err != nil || !strings.Contains(string(raw), a.id.Public.String()) || !strings.Contains(string(raw), "127.0.0.1:"+a.port) {
		t.Errorf("the state file says %q, %v", raw, err)
	}
}

// A port that is in use: the rest goes on, status says why, and the link
// comes when the port is free.
func TestPortInUse(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, fmt.Sprintf("config udp 'second'\n\toption bind '%s'\n", c.LocalAddr()))
	s := a.wait(t, "the other link", func(s node.Status) bool {
		return len(s.Links) == 2 && s.Links[0].State == "up" && s.Links[1].Error != ""
	})
	if !strings.Contains(s.Links[1].Error, "in use") {
		t.Errorf("the reason given: %q", s.Links[1].Error)
	}
	c.Close()
	a.wait(t, "the link", func(s node.Status) bool { return s.Links[1].State == "up" })
}

func TestParseTarget(t *testing.T) {
	id := cryptoauth.GenerateIdentity(random)
	for _, s := range []string{id.IP.String(), id.IP.Addr().String(), id.Public.String()} {
		if got, ok, err := parseTarget(s); err != nil || !ok || got.ip != id.IP || got.label != 0 {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	got, ok, err := parseTarget("0000.0000.0000.0013")
	if err != nil || !ok || got.label != 0x13 {
		t.Errorf("path: %+v, %v", got, err)
	}
	for _, s := range []string{"10.0.0.1", "2001:db8::1", "::1", "fc00::1%eth0", "::ffff:10.0.0.1"} {
		if _, _, err := parseTarget(s); err == nil || !strings.Contains(err.Error(), "fc00::/8") {
			t.Errorf("%s was taken: %v", s, err)
		}
	}
	for _, s := range []string{"", "n5", "0000.0000.0000", id.Public.String() + "x"} {
		if got, ok, err := parseTarget(s); ok || err != nil {
			t.Errorf("%q is no name: %+v, %v", s, got, err)
		}
	}
}

func FuzzParseMemory(f *testing.F) {
	id := cryptoauth.GenerateIdentity(random)
	f.Add([]byte("udp 10.0.0.1:5 " + id.Public.String() + " 4\n"))
	f.Add([]byte("eth - " + id.Public.String() + " 0\n"))
	f.Add([]byte("udp [::1]:5 x\n\n a b c d\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list := parseMemory(raw)
		if len(list) > maxRemembered {
			t.Errorf("%d entries", len(list))
		}
		for _, r := range list {
			if r.link == "" || r.key == (cjdns.Key{}) {
				t.Errorf("entry %+v", r)
			}
		}
	})
}
