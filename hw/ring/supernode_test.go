//go:build netns

package ring

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// supernode waits until s knows so many nodes and links.
func supernode(t *testing.T, s *rig.Host, nodes, links int) {
	t.Helper()
	begin := time.Now()
	for {
		st, err := s.Status()
		if err == nil && st.Supernode.Nodes == nodes && st.Supernode.Links == links {
			t.Logf("%d nodes and %d links after %v", nodes, links, time.Since(begin).Round(time.Millisecond))
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("%+v, %v; want %d nodes and %d links", st.Supernode, err, nodes, links)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestSupernodeOfAgents: agents in a row find the supernode at the end, tell
// it of their links, and find each other.
func TestSupernodeOfAgents(t *testing.T) {
	n := newNet(t)
	hosts := []*rig.Host{n.agent("a"), n.agent("b"), n.agent("c"), n.agent("s")}
	s := hosts[3]
	n.chain(hosts...)
	s.Spec.Snode = true
	startAll(hosts...)
	supernode(t, s, 4, 6)
	for i, h := range hosts {
		st, err := h.Status()
		if err != nil || st.Supernode.Active == "" || st.Supernode.AnnouncementRestarts != 0 {
			t.Errorf("host %d: %+v, %v", i, st.Supernode, err)
		}
	}
	eachPair(t, hosts)
}

// TestSupernodeOfStockNodes: nodes of both kinds in a row, of which the one at
// the end is a supernode of ours: the stock ones announce themselves to it as
// well. They begin with that 18 to 24 s after their start.
func TestSupernodeOfStockNodes(t *testing.T) {
	needStock(t)
	n := newNet(t)
	hosts := []*rig.Host{n.host(n.Node("a"), true), n.agent("b"), n.host(n.Node("c"), true), n.agent("s")}
	s := hosts[3]
	n.chain(hosts...)
	s.Spec.Snode = true
	startAll(hosts...)
	supernode(t, s, 4, 6)
	eachPair(t, hosts)
	for _, h := range []*rig.Host{hosts[0], hosts[2]} {
		rep, err := h.Admin("SupernodeHunter_status", nil)
		if active, _ := rep["activeSnode"].(string); err != nil || !strings.Contains(active, s.ID.Key.String()) {
			t.Errorf("%s uses %v, %v", h.Node.Name, rep, err)
		}
	}
	if st, err := s.Status(); err != nil || st.Supernode.Routes == 0 {
		t.Errorf("no path was asked for: %+v, %v", st.Supernode, err)
	}
}

// TestSupernodeDiesUnderStockNodes: a stock node and an agent, each with two
// supernodes of one community as its peers. One supernode dies: the agent
// finds new paths within two seconds, and the stock node announces itself to
// the other as soon as it hunts again.
//
//	stock ── s1 ── agent
//	   └──── s2 ────┘
func TestSupernodeDiesUnderStockNodes(t *testing.T) {
	needStock(t)
	n := newNet(t)
	stock, s1, agent, s2 := n.host(n.Node("a"), true), n.agent("s1"), n.agent("b"), n.agent("s2")
	hosts := []*rig.Host{stock, s1, agent, s2}
	for _, h := range hosts {
		udpSpec(h, "0.0.0.0:20002")
	}
	for i, pair := range [][2]*rig.Host{{stock, s1}, {agent, s1}, {stock, s2}, {agent, s2}, {s1, s2}} {
		n.Veth(
			rig.End{Node: pair[0].Node, Dev: fmt.Sprintf("to%d", i), Addr: fmt.Sprintf("10.9.%d.1/24", i)},
			rig.End{Node: pair[1].Node, Dev: fmt.Sprintf("to%d", i), Addr: fmt.Sprintf("10.9.%d.2/24", i)},
		)
		dials(pair[0], pair[1], fmt.Sprintf("10.9.%d.2:20002", i))
	}
	for i, s := range []*rig.Host{s1, s2} {
		other := []*rig.Host{s2, s1}[i]
		s.Spec.Snode = true
		s.Spec.Extra = []string{"config supernode", "\toption public_key '" + other.ID.Key.String() + "'"}
	}
	startAll(hosts...)
	supernode(t, s1, 4, 10)
	supernode(t, s2, 4, 10)
	mustPing(t, stock, agent, rig.PingOpts{})
	mustPing(t, agent, stock, rig.PingOpts{})
	used := func(h *rig.Host) *rig.Host {
		st, err := h.Status()
		if err != nil {
			t.Fatal(err)
		}
		if st.Supernode.Active == s1.IP() {
			return s1
		}
		return s2
	}
	gone, left := used(agent), s2
	if gone == s2 {
		left = s1
	}
	gone.Proc.Kill()
	took := reach(t, agent, stock, 30*time.Second)
	t.Logf("agent to stock after %v, stock to agent after %v", took, reach(t, stock, agent, 30*time.Second))
	supernodeTaken(t, left, 2*time.Minute)
}

// supernodeTaken waits until s has heard from the stock node and the agent, and
// knows itself, that three links are gone. What the dead supernode said of its
// own three stays for 20 minutes; they do not count without the other ends.
func supernodeTaken(t *testing.T, s *rig.Host, d time.Duration) {
	t.Helper()
	begin := time.Now()
	if !rig.Until(d, 200*time.Millisecond, func() bool {
		st, err := s.Status()
		return err == nil && st.Supernode.Links == 4+3
	}) {
		st, _ := s.Status()
		t.Fatalf("after %v: %+v", d, st.Supernode)
	}
	t.Logf("the other knows that it is gone after %v", time.Since(begin).Round(time.Second))
}
