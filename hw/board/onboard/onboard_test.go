//go:build board

package onboard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/ubus"
	"github.com/meshagent/meshagent/agent/ubus/ubustest"
)

// Where things lie on the board.
const (
	program = "/bin/meshagent"
	keyFile = "/etc/key"      // hexadecimal, put there by the host
	other   = "/etc/other-ip" // overlay address of the other board
	socket  = "/run/meshagent.sock"
	logFile = "/run/log"
	busPath = "/var/run/ubus/ubus.sock"
)

// conf is a configuration; more are further sections.
func conf(ubus, inbound, more string) string {
	return fmt.Sprintf(`config meshagent 'main'
	option enabled '1'
	option key_file '%s'
	option socket '%s'
	option state_dir '/run/state'
	option ubus '%s'
	option inbound '%s'
config tun 'tun'
	option name 'mesh0'
config mesh 'bat0'
	option bridge_loop_avoidance '0'
%s`, keyFile, socket, ubus, inbound, more)
}

// agent starts the agent with a configuration.
func agent(t *testing.T, text string) *exec.Cmd {
	t.Helper()
	if err := os.WriteFile("/run/conf", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "run", "-c", "/run/conf")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(logFile)
			t.Logf("%s", b)
		}
	})
	return cmd
}

// ask asks the agent.
func ask(method string, args map[string]any, out any) error {
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	return admin.Call(ctx, socket, method, args, out)
}

// until waits for ok.
func until(t *testing.T, d time.Duration, what string, ok func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(d); ; time.Sleep(50 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// hard waits until all of these are hard interfaces that work.
func hard(t *testing.T, want ...string) {
	t.Helper()
	until(t, 60*time.Second, "hard interfaces", func() error {
		var list struct {
			Rows []struct {
				Name    string `json:"hard_ifname"`
				Active  bool   `json:"active"`
				Problem string `json:"problem"`
			} `json:"rows"`
		}
		if err := ask("mesh.interfaces", nil, &list); err != nil {
			return err
		}
		found := 0
		for _, r := range list.Rows {
			for _, w := range want {
				if r.Name == w && r.Active && r.Problem == "" {
					found++
				}
			}
		}
		if found != len(want) {
			return fmt.Errorf("%+v, want %v", list.Rows, want)
		}
		return nil
	})
}

// rss is the resident memory of a process in KiB.
func rss(t *testing.T, pid int) (kb int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(b), "VmRSS:")
	_, _ = fmt.Sscan(line, &kb)
	return kb
}

// TestDoors: whatever the agent wants of a kernel, on a big-endian one: a TUN
// with its address and route, a closed firewall, a mesh on Ethernet, and a
// radio that it joins by itself.
func TestDoors(t *testing.T) {
	a := agent(t, conf("off", "closed", `config hardif 'eth'
	option device 'eth0'
	option mesh 'bat0'
config wifi 'air'
	option mesh_id 'our-street'
`))
	hard(t, "eth0", "wmesh0")
	var st struct {
		IP       string   `json:"ip"`
		Problems []string `json:"problems"`
	}
	if err := ask("status", nil, &st); err != nil || len(st.Problems) != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	dev, err := net.InterfaceByName("mesh0")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := dev.Addrs()
	if own := net.ParseIP(st.IP); err != nil || len(addrs) == 0 || !strings.HasPrefix(addrs[0].String(), own.String()+"/") {
		t.Errorf("mesh0 has %v, %v, want %v", addrs, err, own)
	}
	var w admin.WifiStatus
	if err := ask("wifi", nil, &w); err != nil || len(w.Links) != 1 || w.Links[0].Problem != "" || !strings.Contains(w.Links[0].How, "mesh point") {
		t.Errorf("%+v, %v", w, err)
	}
	for _, args := range [][]string{{"status"}, {"bat", "if"}, {"wifi"}, {"doctor"}} {
		out, err := exec.Command(program, append(args, "--socket", socket)...).CombinedOutput()
		t.Logf("meshagent %s: %v\n%s", strings.Join(args, " "), err, out)
		if err != nil && args[0] != "doctor" { // there is no peer, which it reports
			t.Error("failed")
		}
	}
	t.Logf("RSS %d KiB, with overlay, firewall, Ethernet and a radio, emulated", rss(t, a.Process.Pid))
}

// TestUbus: how long it takes from the start of the agent to the first answer
// on ubus, and how large it is.
func TestUbus(t *testing.T) {
	ubustest.Start(t, busPath)
	begin := time.Now()
	a := agent(t, conf(busPath, "closed", `config hardif 'eth'
	option device 'eth0'
	option mesh 'bat0'
`))
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	var bus *ubus.Conn
	until(t, 30*time.Second, "ubus", func() (err error) {
		bus, err = ubus.Dial(ctx, busPath, new(ubus.Counters))
		return err
	})
	defer bus.Close()
	for {
		if _, err := bus.Call(ctx, "meshagent", "status", nil); err == nil {
			break
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("from the start to the first answer on ubus: %v, emulated", time.Since(begin).Round(time.Millisecond))
	time.Sleep(5 * time.Second)
	t.Logf("RSS %d KiB after five seconds, emulated", rss(t, a.Process.Pid))
}

// TestPair: the other board is found in the mesh, and programs on both talk by
// overlay address.
func TestPair(t *testing.T) {
	ip, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	agent(t, conf("off", "open", `config hardif 'eth'
	option device 'eth0'
	option mesh 'bat0'
`))
	hard(t, "eth0")
	echo, err := net.ListenUDP("udp6", &net.UDPAddr{Port: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	done := make(chan struct{}) // the other board needs no echo any more
	go func() {
		b := make([]byte, 1500)
		var once sync.Once
		for {
			n, from, err := echo.ReadFromUDP(b)
			if err != nil {
				return
			}
			if string(b[:n]) == "done" {
				once.Do(func() { close(done) })
			}
			_, _ = echo.WriteToUDP(b[:n], from)
		}
	}()
	var reply struct {
		Replies []struct{ Error string }
	}
	until(t, 60*time.Second, "ping", func() error {
		reply.Replies = nil
		if err := ask("ping", map[string]any{"target": string(ip), "timeout_ms": 1000}, &reply); err != nil {
			return err
		}
		if len(reply.Replies) != 1 || reply.Replies[0].Error != "" {
			return fmt.Errorf("%+v", reply)
		}
		return nil
	})
	c, err := net.DialUDP("udp6", nil, &net.UDPAddr{IP: net.ParseIP(string(ip)), Port: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := bytes.Repeat([]byte("across the cable "), 60)
	until(t, 60*time.Second, "echo of 1020 bytes", func() error {
		b := make([]byte, 1500)
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.Write(text); err != nil {
			return err
		}
		n, err := c.Read(b)
		if err == nil && !bytes.Equal(b[:n], text) {
			err = fmt.Errorf("%d other bytes", n)
		}
		return err
	})
	var list json.RawMessage
	if err := ask("mesh.originators", nil, &list); err != nil || !bytes.Contains(list, ip) {
		t.Errorf("the other board is not verified: %s, %v", list, err)
	}
	// Both stay until each knows that the other one is done.
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		_, _ = c.Write([]byte("done"))
		select {
		case <-done:
			for range 10 {
				_, _ = c.Write([]byte("done"))
				time.Sleep(200 * time.Millisecond)
			}
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("the other board is not done")
		}
	}
}

// TestUnits runs the tests of the packages that open the doors to the kernel.
// Those that skip something would do so unnoticed: all but comparisons with
// what a little-endian machine recorded count as failed.
func TestUnits(t *testing.T) {
	for _, pkg := range []string{"netio", "kernel"} {
		cmd := exec.Command("./test", "-test.v", "-test.short", "-test.timeout=4m")
		cmd.Dir = "/units/" + pkg
		out, err := cmd.CombinedOutput()
		text := string(out)
		passed, skips, before := 0, 0, ""
		for line := range strings.Lines(text) {
			name, skipped := strings.CutPrefix(strings.TrimSpace(line), "--- SKIP: ")
			switch {
			case strings.HasPrefix(line, "--- PASS"):
				passed++
			case skipped && strings.Contains(before, "little-endian"):
				skips++
			case skipped:
				t.Errorf("%s is skipped: %s", name, before)
			}
			before = line
		}
		if err != nil || passed == 0 || !strings.HasSuffix(strings.TrimSpace(text), "PASS") {
			t.Errorf("%s: %v\n%s", pkg, err, text)
		}
		t.Logf("%s: %d tests passed, %d skipped that need a little-endian machine", pkg, passed, skips)
	}
}
