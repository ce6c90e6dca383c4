//go:build netns

package ring

import (
	"context"
	"crypto/sha256"
	gonet "net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

func parseMAC(s string) (mac [6]byte, err error) {
	hw, err := gonet.ParseMAC(s)
	copy(mac[:], hw)
	return mac, err
}

// loginLookup returns bytes 1 to 7 of an auth challenge of type 2.
func loginLookup(login string) []byte {
	h := sha256.Sum256([]byte(login))
	return h[1:8]
}

// fetch reads a line from port 7777 of addr.
func fetch(from *rig.Node, addr string) error {
	return from.Do(func() error {
		c, err := gonet.DialTimeout("tcp6", "["+addr+"]:7777", 1500*time.Millisecond)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		_, err = c.Read(make([]byte, 5))
		return err
	})
}

// problem waits until the agent names a problem that contains each of the
// words, in its status or its log.
func problem(t *testing.T, h *rig.Host, words ...string) {
	t.Helper()
	var said []string
	if rig.Until(5*time.Second, 100*time.Millisecond, func() bool {
		s, _ := h.Status()
		said = append(s.Problems, strings.Split(h.Proc.Output(), "\n")...)
		return slices.ContainsFunc(said, func(line string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
		})
	}) {
		return
	}
	t.Errorf("%s names no problem with the words %q:\n%s", h.Node.Name, words, strings.Join(said, "\n"))
}

// TestTwoAgentsWithOneKey:   a ── b ── c   and a twin of a at b as well.
func TestTwoAgentsWithOneKey(t *testing.T) {
	n := newNet(t)
	a, b, c, twin := n.agent("a"), n.agent("b"), n.agent("c"), n.agent("twin")
	twin.ID = a.ID
	lan := n.Segment("lan")
	for i, h := range []*rig.Host{a, b, c, twin} {
		lan.Join(rig.End{Node: h.Node, Dev: "eth0", Addr: []string{"10.9.0.1/24", "10.9.0.2/24", "10.9.0.3/24", "10.9.0.4/24"}[i]})
		udpSpec(h, "0.0.0.0:20002")
		if h != b {
			dials(h, b, portB)
		}
	}
	startAll(a, b, c)
	reach(t, a, b, 5*time.Second)
	reach(t, c, b, 5*time.Second)
	g := c.Node.PingWhile(b.IP(), 200, 20*time.Millisecond)
	twin.Start()
	if res, err := g.Result(); err != nil || res.Received != res.Sent {
		t.Errorf("%d of %d pings between the others came back, %v", res.Received, res.Sent, err)
	}
	problem(t, b, "same key")
}

// TestMeetsItsOwnKey: two clones on one segment see each other's beacons.
func TestMeetsItsOwnKey(t *testing.T) {
	n := newNet(t)
	a, b := n.ethPair()
	b.ID = a.ID
	startAll(a, b)
	problem(t, a, "key")
	if peers, err := a.Peers(); err != nil || len(peers) != 0 {
		t.Errorf("a peers with its clone: %+v, %v", peers, err)
	}
}

// TestPortInUse: the other link works, and the port is taken when it is free.
func TestPortInUse(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	var squatter gonet.PacketConn
	if err := b.Node.Do(func() (err error) {
		squatter, err = gonet.ListenPacket("udp4", "0.0.0.0:20002")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	b.Spec.UDP = append(b.Spec.UDP, rig.UDPSpec{Bind: "0.0.0.0:20003"})
	startAll(a, b)
	problem(t, b, "20002", "in use")
	a.Spec.Peers[0].Address = "10.9.0.2:20003"
	a.Restart()
	a.WaitUp(5 * time.Second)
	reach(t, a, b, 5*time.Second)

	squatter.Close()
	a.Spec.Peers[0].Address = portB
	a.Restart()
	a.WaitUp(5 * time.Second)
	t.Logf("reached %v after the port was free", reach(t, a, b, 70*time.Second))
}

// relaysWithout starts   a ── m ── c   with m in a wrapper that takes something
// away, and checks that m says so and goes on forwarding.
func relaysWithout(t *testing.T, wrapper string, words ...string) {
	t.Helper()
	n := newNet(t)
	a, m, c := n.agent("a"), n.agent("m"), n.agent("c")
	n.chain(a, m, c)
	m.Bin = wrap(t, n, m.Bin, wrapper)
	startAll(a, m, c)
	problem(t, m, words...)
	reach(t, a, c, 15*time.Second)
	mustPing(t, c, a, rig.PingOpts{})
}

// wrap writes a script that runs a program inside a command line.
func wrap(t *testing.T, n *net, bin, wrapper string) string {
	t.Helper()
	file := n.Dir + "/wrapped"
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+strings.ReplaceAll(wrapper, "PROGRAM", bin)+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMissingTUN(t *testing.T) {
	// ip netns exec gives each program mounts of its own
	relaysWithout(t, `mount -t tmpfs none /dev/net && exec PROGRAM "$@"`, "/dev/net/tun")
}

func TestMissingPrivilege(t *testing.T) {
	relaysWithout(t, `exec setpriv --inh-caps=-all --bounding-set=-all PROGRAM "$@"`, "CAP_NET_ADMIN")
}

// TestStopLeavesNothing: no rule or socket, and no device and route either
// unless they are to stay for the next run, which takes them away if it has no
// use for them.
func TestStopLeavesNothing(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	a.Spec.TUN = []string{"persist", "0"}
	startAll(a, b)
	reach(t, a, b, 5*time.Second)
	if err := b.Proc.Stop(); err != nil {
		t.Errorf("the agent ends with %v", err)
	}
	if _, err := b.Node.Counters("mesh0"); err != nil {
		t.Error("the TUN device has not stayed")
	}
	b.Spec.NoTUN = true
	b.Start()
	b.WaitUp(5 * time.Second)
	if !rig.Until(3*time.Second, 50*time.Millisecond, func() bool { _, err := b.Node.Counters("mesh0"); return err != nil }) {
		t.Error("the TUN device of the last run is left")
	}
	if err := a.Proc.Stop(); err != nil {
		t.Errorf("the agent ends with %v", err)
	}
	if _, err := os.Stat(a.Socket); err == nil {
		t.Error("the socket is left")
	}
	if _, err := a.Node.Counters("mesh0"); err == nil {
		t.Error("the TUN device is left")
	}
	if out, _ := a.Node.Run(context.Background(), "nft", "list", "ruleset"); out != "" {
		t.Errorf("rules are left:\n%s", out)
	}
}

// TestOnlyFC00IsRouted: the agent takes fc00::/8 and nothing else.
func TestOnlyFC00IsRouted(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	startAll(a, b)
	reach(t, a, b, 5*time.Second)
	out, err := a.Node.Run(context.Background(), "ip", "-6", "route", "show", "dev", "mesh0")
	if err != nil || !strings.Contains(out, "fc00::/8") {
		t.Fatalf("routes: %v\n%s", err, out)
	}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "fc") && !strings.HasPrefix(line, "fe80::/64") {
			t.Errorf("a route beside fc00::/8: %s", line)
		}
	}
}
