//go:build netns

package ring

import (
	"os"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// How long stock nodes may take: at the start, and after something has changed,
// where one that dialled a stock node goes on in its old session for a minute.
const (
	stockWait   = 60 * time.Second
	stockChange = 2 * time.Minute
)

// TestInteropTopologies: networks of both kinds, in which every ordered pair
// pings, and again after a host was restarted. What it logs stands in
// docs/protocol/interop.md.
func TestInteropTopologies(t *testing.T) {
	needStock(t)
	t.Parallel()
	for _, tc := range []struct {
		name, cast string
		draw       func(n *net, hosts ...*rig.Host)
		restart    string // names of those that are restarted
	}{
		{"star around one of ours", "asasa", (*net).star, "abc"},
		// Around a stock node that was restarted stock nodes do not find each
		// other again as long as they have something to send (sssss as well):
		// its peers have other slots, and they use the old labels.
		{"star around a stock node", "sasas", (*net).star, "bc"},
		{"star around a supernode", "Assss", (*net).star, "ab"},
		{"chain", "asasa", (*net).chain, "abcde"},
		{"chain, stock ends", "sasas", (*net).chain, "abcde"},
		{"chain with a supernode", "sAsas", (*net).chain, "abcde"},
		{"chain of stock nodes", "sssss", (*net).chain, ""},
		{"chain of stock nodes, supernode at its end", "ssssA", (*net).chain, "e"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNet(t)
			hosts := n.cast(tc.cast)
			tc.draw(n, hosts...)
			startAll(hosts...)
			mustPairs(t, "start", hosts, stockWait)
			mustRestart(t, hosts, tc.restart, stockChange)
		})
	}
}

// TestInteropCircle: a circle of both kinds whose cable is cut.
func TestInteropCircle(t *testing.T) {
	needStock(t)
	t.Parallel()
	casts := []string{"asas", "sAsa", "sasA"}
	if os.Getenv("CJDROUTE_CONTROL") != "" {
		casts = append(casts, "ssss")
	}
	for _, cast := range casts {
		t.Run(cast, func(t *testing.T) {
			n := newNet(t)
			hosts := n.cast(cast)
			last := n.circle(hosts...)
			startAll(hosts...)
			mustPairs(t, "start", hosts, stockWait)
			for _, h := range hosts {
				if h.Spec.Snode {
					supernode(t, h, 4, 8)
				}
			}
			mustHeal(t, hosts[2], hosts[3], last, stockChange)
			mustPairs(t, "restored", hosts, stockChange)
		})
	}
}

// TestInteropNAT: one kind behind a router that hides it, and two outside.
func TestInteropNAT(t *testing.T) {
	needStock(t)
	if err := rig.Need("nft"); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	for _, cast := range []string{"sas", "ssa", "saa", "asa", "ass", "sAs"} {
		t.Run(cast, func(t *testing.T) {
			n := newNet(t)
			hosts := n.cast(cast)
			n.natted(hosts[0], hosts[1])
			n.cable(1, hosts[1], hosts[2])
			startAll(hosts...)
			mustPairs(t, "start", hosts, stockWait)
			mustRestart(t, hosts, "abc", stockChange)
		})
	}
}

// TestInteropIslands: two islands of agents that a stock node joins, and two
// stock nodes that an island joins.
func TestInteropIslands(t *testing.T) {
	needStock(t)
	t.Parallel()
	for _, cast := range []string{"aasaa", "AasAa"} {
		t.Run("stock between islands "+cast, func(t *testing.T) {
			n := newNet(t)
			hosts := n.cast(cast)
			for i, pair := range [][2]int{{0, 1}, {3, 4}} {
				isle := n.island(uint64(i+1), quick)
				a, b := hosts[pair[0]], hosts[pair[1]]
				isle.Equip(a)
				isle.Equip(b)
				isle.Link(a, b, 0)
				n.cable(i, a, hosts[2])
			}
			startAll(hosts...)
			mustPairs(t, "start", hosts, stockWait)
			mustRestart(t, hosts, "abcde", stockChange)
		})
	}
	for _, cast := range []string{"saaas", "sAaas"} {
		t.Run("island between stock nodes "+cast, func(t *testing.T) {
			n := newNet(t)
			hosts := n.cast(cast)
			isle := n.island(1, quick)
			for _, h := range hosts[1:4] {
				isle.Equip(h)
			}
			isle.Line(0, hosts[1:4]...)
			n.cable(0, hosts[0], hosts[1])
			n.cable(1, hosts[4], hosts[3])
			startAll(hosts...)
			mustPairs(t, "start", hosts, stockWait)
			mustRestart(t, hosts, "abcde", stockChange)
		})
	}
}
