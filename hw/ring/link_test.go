//go:build netns

package ring

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// chain joins hosts   h0 ──udp── h1 ──udp── h2 …   each dials its successor.
func (n *net) chain(hosts ...*rig.Host) {
	for i, h := range hosts {
		udpSpec(h, "0.0.0.0:20002")
		if i == 0 {
			continue
		}
		prev := hosts[i-1]
		n.Veth(
			rig.End{Node: prev.Node, Dev: "right", Addr: fmt.Sprintf("10.9.%d.1/24", i)},
			rig.End{Node: h.Node, Dev: "left", Addr: fmt.Sprintf("10.9.%d.2/24", i)},
		)
		dials(prev, h, fmt.Sprintf("10.9.%d.2:20002", i))
	}
}

func TestTwoNodesUDP(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	startAll(a, b)
	mustPeer(t, a, b, 5*time.Second)
	reach(t, a, b, 5*time.Second)
	mustPing(t, a, b, rig.PingOpts{Count: 100, Interval: 10 * time.Millisecond})
	mustPing(t, b, a, rig.PingOpts{Count: 100, Interval: 10 * time.Millisecond, Size: 1200})
}

func TestTwoNodesUDPOverIPv6(t *testing.T) {
	n := newNet(t)
	a, b := n.agent("a"), n.agent("b")
	n.Veth(rig.End{Node: a.Node, Dev: "eb", Addr: "fd00:9::1/64"}, rig.End{Node: b.Node, Dev: "ea", Addr: "fd00:9::2/64"})
	udpSpec(a, "[::]:20001")
	udpSpec(b, "[::]:20002")
	dials(a, b, "[fd00:9::2]:20002")
	startAll(a, b)
	mustPeer(t, a, b, 5*time.Second)
	reach(t, a, b, 5*time.Second)
	mustPing(t, b, a, rig.PingOpts{})
}

func TestTwoNodesDialEachOther(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	dials(b, a, "10.9.0.1:20001")
	startAll(a, b)
	mustPeer(t, a, b, 5*time.Second)
	reach(t, a, b, 5*time.Second)
	mustPing(t, a, b, rig.PingOpts{Count: 50, Interval: 10 * time.Millisecond})
	if peers, _ := a.Peers(); len(peers) != 1 {
		t.Errorf("peers of a: %+v, want one", peers)
	}
}

func TestUDPBeacons(t *testing.T) {
	n := newNet(t)
	lan := n.Segment("lan")
	var hosts []*rig.Host
	for i := range 3 {
		h := n.agent(string(rune('a' + i)))
		lan.Join(rig.End{Node: h.Node, Dev: "eth0", Addr: fmt.Sprintf("10.9.0.%d/24", i+1)})
		h.Spec.UDP = []rig.UDPSpec{{Bind: "0.0.0.0:20001", Beacon: rig.BeaconSend}}
		hosts = append(hosts, h)
	}
	startAll(hosts...)
	eachPair(t, hosts)
}

func TestEthernetBeacons(t *testing.T) {
	n := newNet(t)
	lan := n.Segment("lan")
	var hosts []*rig.Host
	for i := range 3 {
		h := n.agent(string(rune('a' + i)))
		lan.Join(rig.End{Node: h.Node, Dev: "eth0"})
		h.Spec.Eth = []rig.EthSpec{{Dev: "eth0", Beacon: rig.BeaconSend}}
		hosts = append(hosts, h)
	}
	startAll(hosts...)
	eachPair(t, hosts)
}

// TestTwoNodesEthernetDial: no beacons, one side dials a MAC.
func TestTwoNodesEthernetDial(t *testing.T) {
	n := newNet(t)
	a, b := n.agent("a"), n.agent("b")
	n.Veth(rig.End{Node: a.Node, Dev: "eb"}, rig.End{Node: b.Node, Dev: "ea"})
	var mac string
	if err := b.Node.Do(func() (err error) { mac, err = rig.MAC("ea"); return err }); err != nil {
		t.Fatal(err)
	}
	a.Spec.Eth = []rig.EthSpec{{Dev: "eb"}}
	b.Spec.Eth = []rig.EthSpec{{Dev: "ea"}}
	dials(a, b, mac)
	a.Spec.Peers[0].Dev = "eb"
	startAll(a, b)
	mustPeer(t, a, b, 5*time.Second)
	reach(t, a, b, 5*time.Second)
	mustPing(t, b, a, rig.PingOpts{Count: 50, Interval: 10 * time.Millisecond, Size: 1200})
}

func TestNoBeaconNoPeer(t *testing.T) {
	n := newNet(t)
	a, b := n.agent("a"), n.agent("b")
	n.Veth(rig.End{Node: a.Node, Dev: "eb"}, rig.End{Node: b.Node, Dev: "ea"})
	a.Spec.Eth = []rig.EthSpec{{Dev: "eb", Beacon: rig.BeaconSend}}
	b.Spec.Eth = []rig.EthSpec{{Dev: "ea", Beacon: rig.BeaconOff}}
	startAll(a, b)
	time.Sleep(3 * time.Second)
	if peers, err := b.Peers(); err != nil || len(peers) != 0 {
		t.Errorf("peers of b, which has beacons off: %+v, %v", peers, err)
	}
}

// eachPair waits until every host reaches every other and pings both ways.
func eachPair(t *testing.T, hosts []*rig.Host) {
	t.Helper()
	for _, a := range hosts {
		for _, b := range hosts {
			if a != b {
				reach(t, a, b, 10*time.Second)
				mustPing(t, a, b, rig.PingOpts{})
			}
		}
	}
}

func TestChainOfThree(t *testing.T) {
	n := newNet(t)
	a, m, c := n.agent("a"), n.agent("m"), n.agent("c")
	n.chain(a, m, c)
	startAll(a, m, c)
	t.Logf("a reaches c %v after the start", reach(t, a, c, 10*time.Second))
	mustPing(t, a, c, rig.PingOpts{Count: 100, Interval: 10 * time.Millisecond})
	mustPing(t, c, a, rig.PingOpts{Count: 100, Interval: 10 * time.Millisecond, Size: 1200})
}

func TestChainOfFive(t *testing.T) {
	n := newNet(t)
	var hosts []*rig.Host
	for i := range 5 {
		hosts = append(hosts, n.agent(string(rune('a'+i))))
	}
	n.chain(hosts...)
	startAll(hosts...)
	t.Logf("a reaches e %v after the start", reach(t, hosts[0], hosts[4], 15*time.Second))
	mustPing(t, hosts[4], hosts[0], rig.PingOpts{Count: 20, Interval: 20 * time.Millisecond})
	mustPing(t, hosts[1], hosts[3], rig.PingOpts{Count: 20, Interval: 20 * time.Millisecond})
}

// TestChainHeals: the path comes back with the link.
func TestChainHeals(t *testing.T) {
	n := newNet(t)
	a, m, c := n.agent("a"), n.agent("m"), n.agent("c")
	n.chain(a, m, c)
	startAll(a, m, c)
	reach(t, a, c, 10*time.Second)
	m.Node.IP("link", "set", "right", "down")
	time.Sleep(3 * time.Second)
	if res, _ := a.Node.Ping(context.Background(), c.IP(), rig.PingOpts{Wait: 300 * time.Millisecond}); res.Received != 0 {
		t.Fatal("a reaches c over a link that is down")
	}
	m.Node.IP("link", "set", "right", "up")
	t.Logf("a reaches c %v after the link came back", reach(t, a, c, 5*time.Second))
}
