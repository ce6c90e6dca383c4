//go:build netns

package ring

import (
	"context"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// maxGap is the promise: pings flow again within it.
const maxGap = 2 * time.Second

const pingStep = 20 * time.Millisecond

// hole pings from one host to another while event happens, and returns the
// longest time without an answer after it began. If event returns a time, the
// hole is counted from there: the instant at which the network was whole again.
// lasts is how long event takes.
func hole(t *testing.T, from, to *rig.Host, lasts time.Duration, event func() (whole time.Time)) time.Duration {
	t.Helper()
	count := int((time.Second + lasts + maxGap + 500*time.Millisecond) / pingStep)
	g := from.Node.PingWhile(to.IP(), count, pingStep)
	time.Sleep(time.Second)
	begin := time.Now()
	whole := event()
	res, err := g.Result()
	if err != nil {
		t.Fatalf("%v\n%s", err, res.Output)
	}
	if _, ok := res.At[res.Sent-5]; !ok {
		if _, ok := res.At[res.Sent-6]; !ok { // one may be lost
			return time.Duration(count) * pingStep // not back at the end
		}
	}
	if whole.IsZero() {
		gap, _ := res.Gap()
		return gap
	}
	first := time.Time{}
	for _, at := range res.At {
		if at.After(whole) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	t.Logf("the network was broken for %v", whole.Sub(begin).Round(time.Millisecond))
	return first.Sub(whole)
}

// recovers measures a hole up to three times, because other programs share the
// machine, and fails if it is never short enough. event must leave the network
// so that it can happen again.
func recovers(t *testing.T, from, to *rig.Host, lasts time.Duration, event func() time.Time) {
	t.Helper()
	for range 3 {
		gap := hole(t, from, to, lasts, event)
		t.Logf("pings flow again after %v", gap.Round(time.Millisecond))
		if gap < maxGap {
			return
		}
		reach(t, from, to, 90*time.Second)
	}
	t.Errorf("the pings never flowed again within %v", maxGap)
}

func TestRecoverRestart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		dialer bool          // who restarts
		kill   bool          // or ends with SIGTERM
		away   time.Duration // between end and start
	}{
		{"dialer killed", true, true, 0},
		{"listener killed", false, true, 0},
		{"dialer ends", true, false, 0},
		{"listener ends", false, false, 0},
		{"dialer away", true, true, 3 * time.Second},
		{"listener away", false, true, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNet(t)
			a, b := n.udpPair(false, false)
			startAll(a, b)
			reach(t, a, b, 5*time.Second)
			from, to := a, b
			if tc.dialer {
				from, to = b, a
			}
			mustPing(t, from, to, rig.PingOpts{})
			recovers(t, from, to, tc.away, func() (whole time.Time) {
				if tc.kill {
					to.Proc.Kill()
				} else if err := to.Proc.Stop(); err != nil {
					t.Errorf("the agent ends with %v", err)
				}
				if tc.away > 0 {
					time.Sleep(tc.away)
					whole = time.Now()
				}
				to.Start()
				return whole
			})
		})
	}
}

// TestRecoverRestartOnSegment: the same between nodes that met by beacons.
func TestRecoverRestartOnSegment(t *testing.T) {
	n := newNet(t)
	a, b := n.agent("a"), n.agent("b")
	lan := n.Segment("lan")
	for _, h := range []*rig.Host{a, b} {
		lan.Join(rig.End{Node: h.Node, Dev: "eth0"})
		h.Spec.Eth = []rig.EthSpec{{Dev: "eth0", Beacon: rig.BeaconSend}}
	}
	startAll(a, b)
	reach(t, a, b, 10*time.Second)
	recovers(t, a, b, 0, func() time.Time {
		b.Restart()
		return time.Time{}
	})
}

// TestRecoverRestartInTheMiddle:   a ── m ── c   where m restarts.
func TestRecoverRestartInTheMiddle(t *testing.T) {
	n := newNet(t)
	a, m, c := n.agent("a"), n.agent("m"), n.agent("c")
	n.chain(a, m, c)
	startAll(a, m, c)
	reach(t, a, c, 10*time.Second)
	recovers(t, a, c, 0, func() time.Time {
		m.Restart()
		return time.Time{}
	})
}

// renumber returns an event that moves h between two addresses.
func renumber(h *rig.Host, dev string, addrs ...string) func() time.Time {
	i := 0
	return func() time.Time {
		h.Node.IP("addr", "del", addrs[i], "dev", dev)
		i = 1 - i
		h.Node.IP("addr", "add", addrs[i], "dev", dev)
		return time.Time{}
	}
}

func TestRecoverNewAddress(t *testing.T) {
	t.Parallel()
	t.Run("dialer", func(t *testing.T) {
		n := newNet(t)
		a, b := n.udpPair(false, false)
		startAll(a, b)
		reach(t, b, a, 5*time.Second)
		recovers(t, b, a, 0, renumber(a, "eb", addrA, "10.9.0.3/24"))
	})
	t.Run("listener, dialled by a fixed address", func(t *testing.T) {
		n := newNet(t)
		a, b := n.udpPair(false, false)
		startAll(a, b)
		reach(t, a, b, 5*time.Second)
		recovers(t, a, b, 0, renumber(b, "ea", addrB, "10.9.0.4/24"))
	})
	t.Run("listener, dialled by name", func(t *testing.T) {
		n := newNet(t)
		a, b := n.udpPair(false, false)
		a.Spec.Peers[0].Address = "peer.test:20002"
		names := []string{"10.9.0.2 peer.test", "10.9.0.4 peer.test"}
		a.Node.Hosts(names[0])
		startAll(a, b)
		reach(t, a, b, 5*time.Second)
		move, i := renumber(b, "ea", addrB, "10.9.0.4/24"), 0
		recovers(t, a, b, 0, func() time.Time {
			i = 1 - i
			a.Node.Hosts(names[i])
			return move()
		})
	})
	t.Run("listener restarted elsewhere, dialled by name", func(t *testing.T) {
		n := newNet(t)
		a, b := n.udpPair(false, false)
		a.Spec.Peers[0].Address = "peer.test:20002"
		names := []string{"10.9.0.2 peer.test", "10.9.0.4 peer.test"}
		a.Node.Hosts(names[0])
		startAll(a, b)
		reach(t, a, b, 5*time.Second)
		move, i := renumber(b, "ea", addrB, "10.9.0.4/24"), 0
		recovers(t, a, b, 0, func() time.Time {
			i = 1 - i
			b.Proc.Kill()
			a.Node.Hosts(names[i])
			move()
			b.Start()
			return time.Time{}
		})
	})
}

func TestRecoverNewPort(t *testing.T) {
	t.Parallel()
	ports := []string{"0.0.0.0:20002", "0.0.0.0:20012"}
	for _, tc := range []struct {
		name   string
		dialer bool
	}{{"dialer", true}, {"listener", false}} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNet(t)
			a, b := n.udpPair(false, false)
			startAll(a, b)
			from, to := a, b
			if tc.dialer {
				from, to = b, a
			}
			reach(t, from, to, 5*time.Second)
			i := 0
			recovers(t, from, to, 0, func() time.Time {
				i = 1 - i
				udpSpec(to, ports[i])
				to.Restart()
				return time.Time{}
			})
		})
	}
}

// TestRecoverNATPort: a router between the two forgets its table and gives the
// dialer another port.
//
//	a ──── nat ──── b
func TestRecoverNATPort(t *testing.T) {
	if err := rig.Need("nft"); err != nil {
		t.Skip(err)
	}
	n := newNet(t)
	a, b, nat := n.agent("a"), n.agent("b"), n.Node("nat")
	n.Veth(rig.End{Node: a.Node, Dev: "eth0", Addr: "192.168.9.2/24"}, rig.End{Node: nat, Dev: "in", Addr: "192.168.9.1/24"})
	n.Veth(rig.End{Node: b.Node, Dev: "eth0", Addr: addrB}, rig.End{Node: nat, Dev: "out", Addr: addrA})
	a.Node.IP("route", "add", "default", "via", "192.168.9.1")
	nat.Sysctl("ipv4/ip_forward", "1")
	nat.Sysctl("netfilter/nf_conntrack_udp_timeout", "2")
	nat.Sysctl("netfilter/nf_conntrack_udp_timeout_stream", "2")
	port := 0
	remap := func() time.Time {
		port++
		rules := "table ip nat { chain post { type nat hook postrouting priority 100; oifname out meta l4proto udp snat to 10.9.0.1:" +
			[]string{"41001", "41002"}[port%2] + "; }; }"
		if out, err := nat.Run(context.Background(), "sh", "-c", "nft flush ruleset && nft '"+rules+"'"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		// A known connection keeps its port until it has been silent for its
		// time-out, in both directions.
		nat.IP("link", "set", "in", "down")
		nat.IP("link", "set", "out", "down")
		time.Sleep(2500 * time.Millisecond)
		nat.IP("link", "set", "out", "up")
		nat.IP("link", "set", "in", "up")
		return time.Now()
	}
	remap()
	udpSpec(a, "0.0.0.0:20001")
	udpSpec(b, "0.0.0.0:20002")
	dials(a, b, portB)
	startAll(a, b)
	reach(t, a, b, 5*time.Second)
	before, _ := b.Peer(a.ID.Key)
	recovers(t, a, b, 2600*time.Millisecond, remap)
	if after, _ := b.Peer(a.ID.Key); after.LLAddr == before.LLAddr {
		t.Errorf("b sees a at %s as before: the port did not change", after.LLAddr)
	}
}

// TestRecoverInterface: a device goes down, or vanishes, and comes back.
func TestRecoverInterface(t *testing.T) {
	t.Parallel()
	const down = 1500 * time.Millisecond
	flap := func(h *rig.Host, dev string) func() time.Time {
		return func() time.Time {
			h.Node.IP("link", "set", dev, "down")
			time.Sleep(down)
			h.Node.IP("link", "set", dev, "up")
			return time.Now()
		}
	}
	t.Run("UDP, down and up", func(t *testing.T) {
		n := newNet(t)
		a, b := n.udpPair(false, false)
		startAll(a, b)
		reach(t, a, b, 5*time.Second)
		recovers(t, a, b, down, flap(b, "ea"))
	})
	t.Run("UDP, gone and made anew", func(t *testing.T) {
		n := newNet(t)
		a, b := n.udpPair(false, false)
		startAll(a, b)
		reach(t, a, b, 5*time.Second)
		recovers(t, a, b, down, func() time.Time {
			end := rig.End{Node: b.Node, Dev: "ea", Addr: addrB}
			end.Unplug()
			time.Sleep(down)
			n.Veth(rig.End{Node: a.Node, Dev: "eb", Addr: addrA}, end)
			return time.Now()
		})
	})
	t.Run("Ethernet, down and up", func(t *testing.T) {
		n := newNet(t)
		a, b := n.ethPair()
		startAll(a, b)
		reach(t, a, b, 10*time.Second)
		recovers(t, a, b, down, flap(b, "ea"))
	})
	t.Run("Ethernet, gone and made anew", func(t *testing.T) {
		n := newNet(t)
		a, b := n.ethPair()
		startAll(a, b)
		reach(t, a, b, 10*time.Second)
		recovers(t, a, b, down, func() time.Time {
			end := rig.End{Node: b.Node, Dev: "ea"}
			end.Unplug()
			time.Sleep(down)
			n.Veth(rig.End{Node: a.Node, Dev: "eb"}, end)
			return time.Now()
		})
	})
	t.Run("Ethernet, not there at the start", func(t *testing.T) {
		n := newNet(t)
		a, b := n.agent("a"), n.agent("b")
		a.Spec.Eth = []rig.EthSpec{{Dev: "eb", Beacon: rig.BeaconSend}}
		b.Spec.Eth = []rig.EthSpec{{Dev: "ea", Beacon: rig.BeaconSend}}
		startAll(a, b)
		time.Sleep(time.Second)
		n.Veth(rig.End{Node: a.Node, Dev: "eb"}, rig.End{Node: b.Node, Dev: "ea"})
		t.Logf("reached %v after the cable was there", reach(t, a, b, 5*time.Second))
	})
}

// ethPair draws two nodes on one cable that meet by Ethernet beacons.
func (n *net) ethPair() (a, b *rig.Host) {
	a, b = n.agent("a"), n.agent("b")
	n.Veth(rig.End{Node: a.Node, Dev: "eb"}, rig.End{Node: b.Node, Dev: "ea"})
	a.Spec.Eth = []rig.EthSpec{{Dev: "eb", Beacon: rig.BeaconSend}}
	b.Spec.Eth = []rig.EthSpec{{Dev: "ea", Beacon: rig.BeaconSend}}
	return a, b
}

// TestRecoverCut: the cable is dead for longer than sessions live, in silence.
func TestRecoverCut(t *testing.T) {
	n := newNet(t)
	a, b, m := n.mediumPair(7)
	startAll(a, b)
	reach(t, a, b, 5*time.Second)
	for _, cut := range []time.Duration{3 * time.Second, 25 * time.Second} {
		m.Cut(rig.Both, true)
		time.Sleep(cut)
		m.Cut(rig.Both, false)
		took := reach(t, a, b, 10*time.Second)
		t.Logf("cut for %v: reached after %v", cut, took)
		if took > maxGap {
			t.Errorf("cut for %v: reached after %v, want %v", cut, took, maxGap)
		}
	}
}
