//go:build netns

package ring

import (
	gonet "net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// kinds are the casts of a two-node scenario: who is stock.
var kinds = []struct {
	name   string
	stockA bool
	stockB bool
}{
	{"we dial", false, true},
	{"we are dialled", true, false},
}

// TestStockControl plays the scenarios with stock nodes only. It shows whether
// the scenarios are sound, and is no test of ours: CJDROUTE_CONTROL asks for it.
func TestStockControl(t *testing.T) {
	needStock(t)
	t.Parallel()
	if os.Getenv("CJDROUTE_CONTROL") == "" {
		t.Skip("CJDROUTE_CONTROL is not set")
	}
	t.Run("UDP", func(t *testing.T) { interopUDP(t, true, true) })
	t.Run("Ethernet", func(t *testing.T) { interopEthernet(t, true, true) })
}

// steady checks that the peers of a stock node lose nothing while traffic
// flows on a clean cable. The nonce jumps by three at establishment, which a
// stock node counts as LOS 3 when its window has passed them: after 64 packets
// in v20, later in v22. So traffic flows once before the count begins, and the
// three are forgiven.
func steady(t *testing.T, stock *rig.Host, traffic func()) {
	t.Helper()
	time.Sleep(2 * time.Second)
	traffic()
	var jump uint64
	sum := func() (lost, oor uint64) {
		peers, err := stock.Peers()
		jump = 3 * uint64(len(peers))
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
	if lost2 > max(lost, jump) || oor2 != oor {
		t.Errorf("the stock node %s counts lostPackets %d -> %d, receivedOutOfRange %d -> %d", stock.Node.Name, lost, lost2, oor, oor2)
	}
}

// patience is how long an answer of a stock node may take.
const patience = 3 * time.Second

// nudge works round a fault of stock v22.3: it looks at an Ethernet frame only
// when the second next one has come (two of them ping each other in 1 to 2 s,
// and lose the last packets). So frames without content are sent to it, 200 a
// second, from the other end of its cable. It does nothing for older versions.
func nudge(t *testing.T, from, stock *rig.Host, dev, stockDev string) {
	t.Helper()
	if !stock.Stock {
		return
	}
	info, err := stock.Admin("Core_nodeInfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := info["version"].(int64); v < 21 {
		return
	}
	dst, src := macOf(t, stock.Node, stockDev), macOf(t, from.Node, dev)
	frame := append(append(dst[:], src[:]...), 0xfc, 0, 0, 0, 0, 6, 0xfc, 0)
	to := &unix.SockaddrLinklayer{}
	var fd int
	if err := from.Node.Do(func() error {
		i, err := gonet.InterfaceByName(dev)
		if err != nil {
			return err
		}
		to.Ifindex = i.Index
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer unix.Close(fd)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-tick.C:
				_ = unix.Sendto(fd, frame, 0, to)
			case <-done:
				tick.Stop()
				return
			}
		}
	}()
	t.Cleanup(func() { close(done) })
}

// steadyPair checks both directions of a pair, at the stock sides.
func steadyPair(t *testing.T, a, b *rig.Host) {
	t.Helper()
	stock := a
	if b.Stock {
		stock = b
	}
	steady(t, stock, func() {
		mustPing(t, a, b, rig.PingOpts{Count: 100, Interval: 10 * time.Millisecond, Wait: patience})
		mustPing(t, b, a, rig.PingOpts{Count: 100, Interval: 10 * time.Millisecond, Size: 1200, Wait: patience})
	})
}

func TestInteropUDP(t *testing.T) {
	needStock(t)
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { interopUDP(t, k.stockA, k.stockB) })
	}
}

func interopUDP(t *testing.T, stockA, stockB bool) {
	n := newNet(t)
	a, b := n.udpPair(stockA, stockB)
	startAll(a, b)
	mustPeer(t, a, b, 10*time.Second)
	t.Logf("first ping after %v", reach(t, a, b, 10*time.Second))
	steadyPair(t, a, b)
}

// TestInteropMutualDial: both sides dial each other.
func TestInteropMutualDial(t *testing.T) {
	needStock(t)
	n := newNet(t)
	a, b := n.udpPair(false, true)
	dials(b, a, "10.9.0.1:20001")
	startAll(a, b)
	nudge(t, a, b, "eb", "ea")
	nudge(t, b, a, "ea", "eb")
	mustPeer(t, a, b, 15*time.Second)
	reach(t, a, b, 10*time.Second)
	steadyPair(t, a, b)
}

func TestInteropEthernetBeacons(t *testing.T) {
	needStock(t)
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { interopEthernet(t, k.stockA, k.stockB) })
	}
}

func interopEthernet(t *testing.T, stockA, stockB bool) {
	n := newNet(t)
	a, b := n.host(n.Node("a"), stockA), n.host(n.Node("b"), stockB)
	n.Veth(rig.End{Node: a.Node, Dev: "eb"}, rig.End{Node: b.Node, Dev: "ea"})
	a.Spec.Eth = []rig.EthSpec{{Dev: "eb", Beacon: rig.BeaconSend}}
	b.Spec.Eth = []rig.EthSpec{{Dev: "ea", Beacon: rig.BeaconSend}}
	startAll(a, b)
	nudge(t, a, b, "eb", "ea")
	nudge(t, b, a, "ea", "eb")
	mustPeer(t, a, b, 15*time.Second)
	reach(t, a, b, 10*time.Second)
	steadyPair(t, a, b)
}

// TestInteropEthernetOneBeacon: only one side sends beacons, the other accepts.
func TestInteropEthernetOneBeacon(t *testing.T) {
	needStock(t)
	t.Parallel()
	for _, k := range kinds {
		t.Run("stock "+map[bool]string{true: "sends", false: "accepts"}[k.stockA], func(t *testing.T) {
			n := newNet(t)
			a, b := n.host(n.Node("a"), k.stockA), n.host(n.Node("b"), k.stockB)
			n.Veth(rig.End{Node: a.Node, Dev: "eb"}, rig.End{Node: b.Node, Dev: "ea"})
			a.Spec.Eth = []rig.EthSpec{{Dev: "eb", Beacon: rig.BeaconSend}}
			b.Spec.Eth = []rig.EthSpec{{Dev: "ea", Beacon: rig.BeaconAccept}}
			startAll(b) // so that it hears the first beacon; the next comes after 32 s
			if !b.Stock && !rig.Until(5*time.Second, 20*time.Millisecond, func() bool {
				s, err := b.Status()
				return err == nil && len(s.Links) == 1 && s.Links[0].State == "up"
			}) {
				t.Fatal("the link of b does not come up")
			}
			startAll(a)
			nudge(t, a, b, "eb", "ea")
			nudge(t, b, a, "ea", "eb")
			mustPeer(t, a, b, 15*time.Second)
			reach(t, a, b, 10*time.Second)
		})
	}
}

// TestInteropUDPBeacons waits long: the first UDP beacon of a stock node is
// lost, the second comes 32 s later.
func TestInteropUDPBeacons(t *testing.T) {
	needStock(t)
	t.Parallel()
	for _, k := range kinds {
		t.Run("stock "+map[bool]string{true: "sends", false: "accepts"}[k.stockA], func(t *testing.T) {
			n := newNet(t)
			a, b := n.host(n.Node("a"), k.stockA), n.host(n.Node("b"), k.stockB)
			n.Veth(rig.End{Node: a.Node, Dev: "eb", Addr: "10.9.0.1/24"}, rig.End{Node: b.Node, Dev: "ea", Addr: "10.9.0.2/24"})
			a.Spec.UDP = []rig.UDPSpec{{Bind: "0.0.0.0:20001", Beacon: rig.BeaconSend}}
			b.Spec.UDP = []rig.UDPSpec{{Bind: "0.0.0.0:20002", Beacon: rig.BeaconAccept}}
			startAll(b)
			startAll(a)
			mustPeer(t, a, b, 45*time.Second)
			reach(t, a, b, 10*time.Second)
			steadyPair(t, a, b)
		})
	}
}

// TestInteropChain:   a ── m ── c   with one of the kinds in the middle.
func TestInteropChain(t *testing.T) {
	needStock(t)
	t.Parallel()
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
				mustPing(t, a, c, rig.PingOpts{Count: 80, Interval: 10 * time.Millisecond, Wait: patience})
				mustPing(t, c, a, rig.PingOpts{Count: 80, Interval: 10 * time.Millisecond, Size: 1200, Wait: patience})
			})
		})
	}
}

// rememberTime is how long our agent may take to write down who has called it.
const rememberTime = 3 * time.Second

// TestInteropRestart: sessions survive the restart of either side. A stock
// node that dialled us keeps its old session until its 60 s time-out unless we
// greet it; so the limits are what its protocol allows.
func TestInteropRestart(t *testing.T) {
	needStock(t)
	t.Parallel()
	for _, k := range kinds {
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
				time.Sleep(rememberTime)
				restarts.Restart()
				restarts.WaitUp(10 * time.Second)
				t.Logf("a reaches b %v after the restart", reach(t, a, b, 10*time.Second))
				mustPing(t, b, a, rig.PingOpts{})
			})
		}
	}
}
