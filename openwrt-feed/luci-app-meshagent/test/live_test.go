package lucihost

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/ubus/ubustest"
)

// agent is a running meshagent on the loopback, without a TUN device.
type agent struct {
	conf, key string // key: the public one
	port      int
}

// startAgent runs the program that MESHAGENT names, with its objects on bus;
// empty: without.
func startAgent(t *testing.T, bus, more string) *agent {
	t.Helper()
	program := os.Getenv("MESHAGENT")
	if program == "" {
		t.Skip("NOT RUN: MESHAGENT does not name the program; make check-luci does")
	}
	dir := t.TempDir()
	a := &agent{port: freePort(t)}
	keys, err := exec.Command(program, "keygen").Output() //nolint:gosec // our own program
	f := strings.Fields(string(keys))
	if err != nil || len(f) < 6 {
		t.Fatalf("keygen: %v: %s", err, keys)
	}
	a.key, a.conf = f[5], filepath.Join(dir, "meshagent")
	if bus == "" {
		bus = "off"
	}
	text := fmt.Sprintf("config meshagent 'main'\n\toption key_file '%[1]s/key'\n\toption state_dir '%[1]s'\n\toption socket '%[1]s/sock'\n\toption inbound 'open'\n\toption ubus '%[4]s'\n\nconfig tun 'tun'\n\toption enabled '0'\n\nconfig udp 'udp4'\n\toption bind '127.0.0.1:%[2]d'\n\n%[3]s", dir, a.port, more, bus)
	for name, content := range map[string]string{dir + "/key": f[2] + "\n", a.conf: text} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "run", "-c", a.conf) //nolint:gosec // our own program
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the agent says:\n%s", log.String())
		}
	})
	for range 100 {
		if _, code := (&Live{bus}).Call("meshagent", "version", nil); code == 0 || bus == "off" {
			return a
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the agent does not come to ubus")
	return nil
}

func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// A page in front of a running agent, over ubus: a peer is added by text, comes up, is
// pinged and deleted; a change of the configuration reaches the agent.
func TestLive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ubus.sock")
	daemon := ubustest.Start(t, path)
	server := startAgent(t, "", "config password 'alice'\n\toption password 'apples'\n")
	a := startAgent(t, path, "")
	h, _ := newHost(t)
	raw, err := os.ReadFile(a.conf)
	if err != nil {
		t.Fatal(err)
	}
	h.UCI, _ = ParseUCI(string(raw))
	bus := &Live{path}
	h.Bus = bus
	h.Applied = func(text string) {
		if err := os.WriteFile(a.conf, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
		if r, code := bus.Call("meshagent.config", "apply", nil); code != 0 {
			t.Errorf("reload: %d %v", code, r)
		}
	}
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-node", a.key)
	p.waitText("#meshagent-originators", "No mesh is configured")
	p.tab("peers")
	p.waitText("#meshagent-peers", "No peers.")
	p.click("#meshagent-add", "Add peers")
	p.fill("#meshagent-peer-text", fmt.Sprintf(`"127.0.0.1:%d": {"login":"alice","password":"apples","publicKey":"%s","peerName":"server"}`, server.port, server.key))
	p.click("#meshagent-peer-add", "Add")
	p.wait("!document.body.classList.contains('modal-overlay-active')")
	p.waitText("#meshagent-peers", "established")
	p.sound()
	p.shoot("live-peers-phone")
	p.click("#meshagent-peers button", "Ping")
	p.waitText("#meshagent-result", "3 sent, 3 answered")
	p.click(".modal button", "Close")
	p.click("#meshagent-peers button", "Delete")
	p.click(".modal button", "Delete")
	p.waitText("#meshagent-peers", "No peers.")
	p.sound()

	p = open(t, h, configPage, phone)
	p.waitText("#meshagent-config", "Log level")
	p.fill(`[data-name="log_level"] select`, "debug")
	p.apply()
	if text, err := os.ReadFile(a.conf); err != nil || !strings.Contains(string(text), "debug") {
		t.Errorf("%v, the file:\n%s", err, text)
	}

	// ubusd goes and comes back: the page says so, and goes on
	daemon.Drop()
	p = open(t, h, statusPage, phone)
	p.waitText("#meshagent-node", a.key)
	daemon.Stop()
	p.waitText("#meshagent-banner", "The agent is not running.")
	ubustest.Start(t, path)
	p.waitText("#meshagent-node", a.key)
	p.sound()
}
