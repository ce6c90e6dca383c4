//go:build netns

package ring

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// Who plays in a topology: one letter for each host.
const (
	anAgent     = 'a'
	aSupernode  = 'A' // an agent that is one
	aStockNode  = 's'
	aStockSnode = 'S' // a stock node with the stock route server
)

// cast makes the hosts of a topology.
func (n *net) cast(kinds string) (hosts []*rig.Host) {
	for i, k := range kinds {
		h := n.host(n.Node(string(rune('a'+i))), k == aStockNode || k == aStockSnode)
		udpSpec(h, "0.0.0.0:20002")
		h.Spec.Snode = k == aSupernode || k == aStockSnode
		hosts = append(hosts, h)
	}
	return hosts
}

// cable joins two hosts, of which a dials b, by a cable that can be cut: no
// frame gets across then, and the devices stay as they are.
func (n *net) cable(no int, a, b *rig.Host) *rig.Medium {
	from, to := fmt.Sprintf("10.9.%d.1", no), fmt.Sprintf("10.9.%d.2", no)
	dev := fmt.Sprintf("to%d", no)
	m := n.Medium(rig.End{Node: a.Node, Dev: dev, Addr: from + "/24"}, rig.End{Node: b.Node, Dev: dev, Addr: to + "/24"}, 1)
	dials(a, b, to+":20002")
	return m
}

// star: the first in the middle, dialled by all others.
func (n *net) star(hosts ...*rig.Host) {
	for i, h := range hosts[1:] {
		n.cable(i, h, hosts[0])
	}
}

// circle is a chain whose ends meet. The result is the cable between the last
// two hosts.
func (n *net) circle(hosts ...*rig.Host) (last *rig.Medium) {
	for i, h := range hosts {
		m := n.cable(i, h, hosts[(i+1)%len(hosts)])
		if i == len(hosts)-2 {
			last = m
		}
	}
	return last
}

// natted puts a host behind a router that hides its addresses, as home routers
// do. It dials outside.
func (n *net) natted(inside, outside *rig.Host) {
	r := n.Node("nat")
	n.Veth(rig.End{Node: inside.Node, Dev: "wan", Addr: "192.168.1.2/24"}, rig.End{Node: r, Dev: "lan", Addr: "192.168.1.1/24"})
	n.Veth(rig.End{Node: r, Dev: "wan", Addr: "10.8.0.1/24"}, rig.End{Node: outside.Node, Dev: "nat", Addr: "10.8.0.2/24"})
	inside.Node.IP("route", "add", "default", "via", "192.168.1.1")
	r.Sysctl("ipv4/ip_forward", "1")
	rules := "table ip nat { chain post { type nat hook postrouting priority 100; oifname wan masquerade; }; }"
	if out, err := r.Run(context.Background(), "nft", rules); err != nil {
		n.t.Fatalf("%v\n%s", err, out)
	}
	dials(inside, outside, "10.8.0.2:20002")
}

// pairs waits until every host has reached every other, at most d, and returns
// how long it took and which pairs did not.
func pairs(hosts []*rig.Host, d time.Duration) (took time.Duration, bad []string) {
	begin := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, a := range hosts {
		wg.Go(func() {
			for _, b := range hosts {
				if a == b {
					continue
				}
				ok := rig.Until(d-time.Since(begin), 50*time.Millisecond, func() bool {
					res, _ := a.Node.Ping(context.Background(), b.IP(), rig.PingOpts{Wait: 500 * time.Millisecond})
					return res.Received == 1
				})
				mu.Lock()
				if took = max(took, time.Since(begin)); !ok {
					bad = append(bad, a.Node.Name+"->"+b.Node.Name)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return took.Round(10 * time.Millisecond), bad
}

// mustPairs fails unless every host reaches every other.
func mustPairs(t *testing.T, what string, hosts []*rig.Host, d time.Duration) {
	t.Helper()
	took, bad := pairs(hosts, d)
	if bad != nil {
		t.Fatalf("%s: %v do not ping within %v", what, bad, d)
	}
	t.Logf("%s: all %d pairs ping after %v", what, len(hosts)*(len(hosts)-1), took)
}

// mustRestart restarts the hosts with the given names, one after the other, and
// wants all pairs each time.
func mustRestart(t *testing.T, hosts []*rig.Host, names string, d time.Duration) {
	t.Helper()
	for _, name := range names {
		h := hosts[name-'a']
		time.Sleep(rememberTime)
		h.Restart()
		h.WaitUp(10 * time.Second)
		mustPairs(t, "restart of "+h.Node.Name, hosts, d)
	}
}

// agentsWait is how long a network of agents may take.
const agentsWait = 20 * time.Second

// TestAgentsStar: four agents around one.
func TestAgentsStar(t *testing.T) {
	n := newNet(t)
	hosts := n.cast("aaaaa")
	n.star(hosts...)
	startAll(hosts...)
	mustPairs(t, "start", hosts, agentsWait)
}

// TestAgentsCircle: five agents in a circle; a cable is cut, and the ways go
// the other way round.
func TestAgentsCircle(t *testing.T) {
	n := newNet(t)
	hosts := n.cast("aaaaa")
	last := n.circle(hosts...)
	startAll(hosts...)
	mustPairs(t, "start", hosts, agentsWait)
	mustHeal(t, hosts[3], hosts[4], last, agentsWait)
	mustPairs(t, "restored", hosts, agentsWait)
}

// mustHeal cuts the cable between two neighbours who have another way to each
// other, wants their pings back within d, and restores it.
func mustHeal(t *testing.T, a, b *rig.Host, m *rig.Medium, d time.Duration) {
	t.Helper()
	mustPeer(t, a, b, 10*time.Second)
	begin := time.Now()
	m.Cut(rig.Both, true)
	t.Logf("cut: %s reaches %s after %v, back after %v", a.Node.Name, b.Node.Name,
		reach(t, a, b, d).Round(10*time.Millisecond), (reach(t, b, a, d) + time.Since(begin)).Round(10*time.Millisecond))
	m.Cut(rig.Both, false)
}

// TestAgentsRestart: five agents in a row, each of which restarts.
func TestAgentsRestart(t *testing.T) {
	n := newNet(t)
	hosts := n.cast("aaaaa")
	n.chain(hosts...)
	startAll(hosts...)
	mustPairs(t, "start", hosts, agentsWait)
	mustRestart(t, hosts, "abcde", agentsWait)
}

// TestAgentsNAT:   a ── nat ── b ── c   a dials b from behind a router.
func TestAgentsNAT(t *testing.T) {
	if err := rig.Need("nft"); err != nil {
		t.Skip(err)
	}
	n := newNet(t)
	hosts := n.cast("aaa")
	n.natted(hosts[0], hosts[1])
	n.cable(1, hosts[1], hosts[2])
	startAll(hosts...)
	mustPairs(t, "start", hosts, agentsWait)
	mustRestart(t, hosts, "ab", agentsWait)
}
