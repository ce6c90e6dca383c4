//go:build netns

package ring

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// agentBin is the program under test.
var agentBin = os.Getenv("MESHAGENT")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if agentBin == "" {
		dir, err := os.MkdirTemp("", "meshagent-ring-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		agentBin = filepath.Join(dir, "meshagent")
		cmd := exec.Command("go", "build", "-o", agentBin, "github.com/meshagent/meshagent/agent/cmd/meshagent")
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build meshagent:", err)
			return 1
		}
	}
	return m.Run()
}

// net is the network of one test.
type net struct {
	*rig.Rig
	t     *testing.T
	hosts []*rig.Host
}

// newNet makes an empty network that goes away with the test; if the test
// fails, the ends of all logs are shown. The test runs beside others: most
// spend their time in waiting.
func newNet(t *testing.T) *net {
	t.Helper()
	if err := rig.Need("ping"); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	return quietNet(t)
}

// quietNet is newNet for a test that loads the machine, and so runs alone.
func quietNet(t *testing.T) *net {
	t.Helper()
	if err := rig.Need("ping"); err != nil {
		t.Skip(err)
	}
	n := &net{Rig: rig.New(rig.Config{Fail: t.Fatalf, Logf: t.Logf}), t: t}
	t.Cleanup(func() {
		if t.Failed() {
			n.dump()
		}
		n.Close()
	})
	return n
}

// dump shows what the hosts say about themselves.
func (n *net) dump() {
	for _, h := range n.hosts {
		if h.Proc == nil {
			continue
		}
		peers, err := h.Peers()
		n.t.Logf("%s %s alive %v peers %+v %v\n%s", h.Node.NS, h.IP(), h.Proc.Alive(), peers, err, h.Proc.Tail(30))
		if !h.Stock {
			s, err := h.Status()
			n.t.Logf("%s sessions %+v drops %v problems %q %v", h.Node.NS, s.Sessions, s.Drops, s.Problems, err)
		}
	}
}

// agent makes a host of ours in a namespace of its own.
func (n *net) agent(name string) *rig.Host { return n.host(n.Node(name), false) }

// host makes a host in a namespace: ours, or the real cjdroute.
func (n *net) host(node *rig.Node, stock bool) *rig.Host {
	h := node.Agent(agentBin)
	if stock {
		h = node.StockNode(stockBin)
	}
	n.hosts = append(n.hosts, h)
	return h
}

// startAll starts hosts and waits until they serve.
func startAll(hosts ...*rig.Host) {
	for _, h := range hosts {
		h.Start()
	}
	for _, h := range hosts {
		h.WaitUp(10 * time.Second)
	}
}

const (
	addrA, addrB = "10.9.0.1/24", "10.9.0.2/24"
	portB        = "10.9.0.2:20002"
)

// dials lets a dial b at address with a password of its own.
func dials(a, b *rig.Host, address string) {
	login := "guest" + fmt.Sprint(len(b.Spec.Passwords))
	b.Spec.Passwords = append(b.Spec.Passwords, rig.PasswordSpec{Login: login, Password: "pass-of-" + login})
	a.Spec.Peers = append(a.Spec.Peers, rig.PeerSpec{Address: address, Key: b.ID.Key, Login: login, Password: "pass-of-" + login})
}

// udpSpec gives h the UDP socket that the tests use.
func udpSpec(h *rig.Host, bind string) { h.Spec.UDP = []rig.UDPSpec{{Bind: bind}} }

// udpPair draws   a ──veth── b   where a dials b over UDP.
func (n *net) udpPair(stockA, stockB bool) (a, b *rig.Host) {
	a, b = n.host(n.Node("a"), stockA), n.host(n.Node("b"), stockB)
	n.Veth(rig.End{Node: a.Node, Dev: "eb", Addr: addrA}, rig.End{Node: b.Node, Dev: "ea", Addr: addrB})
	udpSpec(a, "0.0.0.0:20001")
	udpSpec(b, "0.0.0.0:20002")
	dials(a, b, portB)
	return a, b
}

// mediumPair is udpPair over a cable with faults.
func (n *net) mediumPair(seed uint64) (a, b *rig.Host, m *rig.Medium) {
	a, b = n.agent("a"), n.agent("b")
	m = n.Medium(rig.End{Node: a.Node, Dev: "eb", Addr: addrA}, rig.End{Node: b.Node, Dev: "ea", Addr: addrB}, seed)
	udpSpec(a, "0.0.0.0:20001")
	udpSpec(b, "0.0.0.0:20002")
	dials(a, b, portB)
	return a, b, m
}

// mustPeer waits until a and b show each other established.
func mustPeer(t *testing.T, a, b *rig.Host, d time.Duration) {
	t.Helper()
	if !rig.WaitPeer(a, b, d) {
		t.Fatalf("%s and %s are not peers after %v", a.Node.Name, b.Node.Name, d)
	}
}

// mustPing pings from a to b over the overlay until count of count come back,
// three tries at most: a first try may meet a path that is being looked up.
func mustPing(t *testing.T, a, b *rig.Host, o rig.PingOpts) rig.PingResult {
	t.Helper()
	if o.Count == 0 {
		o.Count, o.Interval = 10, 20*time.Millisecond
	}
	var res rig.PingResult
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		r, err := a.Node.Ping(ctx, b.IP(), o)
		cancel()
		if res = r; err == nil && r.Received == o.Count {
			return r
		}
	}
	t.Fatalf("ping %s -> %s: %d of %d came back\n%s", a.Node.Name, b.Node.Name, res.Received, o.Count, res.Output)
	return res
}

// reach waits until one ping from a to b comes back and returns how long it
// took.
func reach(t *testing.T, a, b *rig.Host, d time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	if !rig.Until(d, 0, func() bool {
		res, _ := a.Node.Ping(context.Background(), b.IP(), rig.PingOpts{Wait: 250 * time.Millisecond})
		if res.Received == 0 {
			time.Sleep(50 * time.Millisecond) // ping fails at once while there is no route
		}
		return res.Received == 1
	}) {
		t.Fatalf("%s does not reach %s within %v", a.Node.Name, b.Node.Name, d)
	}
	return time.Since(start)
}
