//go:build netns

package ring

import (
	"os"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// stockBin is a real cjdroute, v20.7 or newer.
var stockBin = os.Getenv("CJDROUTE")

func needStock(t *testing.T) {
	t.Helper()
	if stockBin == "" {
		t.Skip("CJDROUTE does not name a cjdroute to test with")
	}
}

// kinds are the casts of a two-node scenario: who is stock. Stock with stock
// shows whether the scenario itself is sound.
var kinds = []struct {
	name   string
	stockA bool
	stockB bool
}{
	{"we dial", false, true},
	{"we are dialled", true, false},
	{"both stock", true, true},
}

// steady checks that the peers of a stock node lose nothing while traffic
// flows on a clean cable. The nonce jumps by three at establishment, which a
// stock node counts as LOS 3 when its window of 64 packets has passed them; so
// traffic flows once before the count begins.
func steady(t *testing.T, stock *rig.Host, traffic func()) {
	t.Helper()
	time.Sleep(2 * time.Second)
	traffic()
	sum := func() (lost, oor uint64) {
		peers, err := stock.Peers()
		if err != nil || len(peers) == 0 {
			t.Fatalf("peers of the stock node %s: %v, %v", stock.Node.Name, peers, err)
		}
		for _, p := range peers {
			lost, oor = lost+p.Lost, oor+p.OutOfRange
		}
		return lost, oor
	}
	lost, oor := sum()
	traffic()
	lost2, oor2 := sum()
	if lost2 != lost || oor2 != oor {
		t.Errorf("the stock node %s counts lostPackets %d -> %d, receivedOutOfRange %d -> %d", stock.Node.Name, lost, lost2, oor, oor2)
	}
}

// steadyPair checks both directions of a pair, at the stock sides.
func steadyPair(t *testing.T, a, b *rig.Host) {
	t.Helper()
	stock := a
	if b.Stock {
		stock = b
	}
	steady(t, stock, func() {
		mustPing(t, a, b, rig.PingOpts{Count: 100, Interval: 10 * time.Millisecond})
		mustPing(t, b, a, rig.PingOpts{Count: 100, Interval: 10 * time.Millisecond, Size: 1200})
	})
}

func TestInteropUDP(t *testing.T) {
	needStock(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			n := newNet(t)
			a, b := n.udpPair(k.stockA, k.stockB)
			startAll(a, b)
			mustPeer(t, a, b, 10*time.Second)
			t.Logf("first ping after %v", reach(t, a, b, 10*time.Second))
			steadyPair(t, a, b)
		})
	}
}

// TestInteropMutualDial: both sides dial each other.
func TestInteropMutualDial(t *testing.T) {
	needStock(t)
	n := newNet(t)
	a, b := n.udpPair(false, true)
	dials(b, a, "10.9.0.1:20001")
	startAll(a, b)
	mustPeer(t, a, b, 15*time.Second)
	reach(t, a, b, 10*time.Second)
	steadyPair(t, a, b)
}

func TestInteropEthernetBeacons(t *testing.T) {
	needStock(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			n := newNet(t)
			a, b := n.host(n.Node("a"), k.stockA), n.host(n.Node("b"), k.stockB)
			n.Veth(rig.End{Node: a.Node, Dev: "eb"}, rig.End{Node: b.Node, Dev: "ea"})
			a.Spec.Eth = []rig.EthSpec{{Dev: "eb", Beacon: rig.BeaconSend}}
			b.Spec.Eth = []rig.EthSpec{{Dev: "ea", Beacon: rig.BeaconSend}}
			startAll(a, b)
			mustPeer(t, a, b, 15*time.Second)
			reach(t, a, b, 10*time.Second)
			steadyPair(t, a, b)
		})
	}
}

// TestInteropEthernetOneBeacon: only one side sends beacons, the other accepts.
func TestInteropEthernetOneBeacon(t *testing.T) {
	needStock(t)
	for _, k := range kinds[:2] {
		t.Run("stock "+map[bool]string{true: "sends", false: "accepts"}[k.stockA], func(t *testing.T) {
			n := newNet(t)
			a, b := n.host(n.Node("a"), k.stockA), n.host(n.Node("b"), k.stockB)
			n.Veth(rig.End{Node: a.Node, Dev: "eb"}, rig.End{Node: b.Node, Dev: "ea"})
			a.Spec.Eth = []rig.EthSpec{{Dev: "eb", Beacon: rig.BeaconSend}}
			b.Spec.Eth = []rig.EthSpec{{Dev: "ea", Beacon: rig.BeaconAccept}}
			startAll(a, b)
			mustPeer(t, a, b, 15*time.Second)
			reach(t, a, b, 10*time.Second)
		})
	}
}

// TestInteropUDPBeacons waits long: the first UDP beacon of a stock node is
// lost, the second comes 32 s later.
func TestInteropUDPBeacons(t *testing.T) {
	needStock(t)
	for _, k := range kinds[:2] {
		t.Run("stock "+map[bool]string{true: "sends", false: "accepts"}[k.stockA], func(t *testing.T) {
			n := newNet(t)
			a, b := n.host(n.Node("a"), k.stockA), n.host(n.Node("b"), k.stockB)
			n.Veth(rig.End{Node: a.Node, Dev: "eb", Addr: "10.9.0.1/24"}, rig.End{Node: b.Node, Dev: "ea", Addr: "10.9.0.2/24"})
			a.Spec.UDP = []rig.UDPSpec{{Bind: "0.0.0.0:20001", Beacon: rig.BeaconSend, Devices: []string{"eb"}}}
			b.Spec.UDP = []rig.UDPSpec{{Bind: "0.0.0.0:20002", Beacon: rig.BeaconAccept, Devices: []string{"ea"}}}
			startAll(a, b)
			mustPeer(t, a, b, 45*time.Second)
			reach(t, a, b, 10*time.Second)
			steadyPair(t, a, b)
		})
	}
}

// TestInteropChain:   a ── m ── c   with one of the kinds in the middle.
func TestInteropChain(t *testing.T) {
	needStock(t)
	for _, tc := range []struct {
		name               string
		ends, middle, last bool // stock?
	}{
		{"we between two stock nodes", true, false, true},
		{"stock between two of ours", false, true, false},
		{"stock, stock, we", true, true, false},
		{"we, we, stock", false, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNet(t)
			a, m, c := n.host(n.Node("a"), tc.ends), n.host(n.Node("m"), tc.middle), n.host(n.Node("c"), tc.last)
			n.chain(a, m, c)
			startAll(a, m, c)
			mustPeer(t, a, m, 10*time.Second)
			mustPeer(t, m, c, 10*time.Second)
			t.Logf("a reaches c after %v", reach(t, a, c, 20*time.Second))
			stock := m
			if a.Stock {
				stock = a
			} else if c.Stock {
				stock = c
			}
			steady(t, stock, func() {
				mustPing(t, a, c, rig.PingOpts{Count: 80, Interval: 10 * time.Millisecond})
				mustPing(t, c, a, rig.PingOpts{Count: 80, Interval: 10 * time.Millisecond, Size: 1200})
			})
		})
	}
}

// TestInteropRestart: sessions survive the restart of either side. A stock
// node that dialled us keeps its old session until its 60 s time-out unless we
// greet it; so the limits are what its protocol allows.
func TestInteropRestart(t *testing.T) {
	needStock(t)
	for _, k := range kinds[:2] {
		for _, we := range []bool{true, false} {
			t.Run(k.name+", "+map[bool]string{true: "we restart", false: "stock restarts"}[we], func(t *testing.T) {
				n := newNet(t)
				a, b := n.udpPair(k.stockA, k.stockB)
				startAll(a, b)
				mustPeer(t, a, b, 10*time.Second)
				reach(t, a, b, 10*time.Second)
				mustPing(t, b, a, rig.PingOpts{})
				restarts := a
				if k.stockA == we {
					restarts = b
				}
				restarts.Restart()
				restarts.WaitUp(10 * time.Second)
				t.Logf("a reaches b %v after the restart", reach(t, a, b, 10*time.Second))
				mustPing(t, b, a, rig.PingOpts{})
			})
		}
	}
}
