package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/hw/rig"
)

// How long a chain may be. A hop takes four bits of a label, of which there
// are 59.
const (
	shortestChain = 2
	longestChain  = 15
)

// chainLength reads CHAIN.
func chainLength() (int, error) {
	text := os.Getenv("CHAIN")
	n, err := strconv.Atoi(text)
	if err != nil || n < shortestChain || n > longestChain {
		return 0, fmt.Errorf("CHAIN=%s: want the number of agents in the chain, %d to %d", text, shortestChain, longestChain)
	}
	return n, nil
}

// chain is a row of agents, each of which knows its neighbours only: every one
// dials the next over UDP.
type chain struct {
	rig   *rig.Rig
	bin   string
	hosts []*rig.Host
	snode *rig.Host // the one that is a supernode; nil: none
}

// newChain builds a chain and starts it.
func newChain(r *rig.Rig, bin string, length int, supernode bool) *chain {
	c := &chain{rig: r, bin: bin}
	var names []string
	for i := range length {
		h := r.Node(fmt.Sprintf("n%d", i+1)).Agent(bin)
		h.Socket = filepath.Join(r.Dir, h.Node.Name) // short: people copy it
		h.Spec.UDP = []rig.UDPSpec{{Bind: "0.0.0.0:20000"}}
		c.hosts = append(c.hosts, h)
		names = append(names, h.IP()+" "+h.Node.Name)
	}
	for i := range length - 1 {
		a, b := c.hosts[i], c.hosts[i+1]
		to := fmt.Sprintf("10.9.%d.2", i+1)
		r.Veth(rig.End{Node: a.Node, Dev: "right", Addr: fmt.Sprintf("10.9.%d.1/24", i+1)}, rig.End{Node: b.Node, Dev: "left", Addr: to + "/24"})
		password := "of-" + b.Node.Name
		b.Spec.Passwords = []rig.PasswordSpec{{Login: a.Node.Name, Password: password}}
		a.Spec.Peers = []rig.PeerSpec{{Address: to + ":20000", Key: b.ID.Key, Login: a.Node.Name, Password: password}}
	}
	if supernode {
		c.snode = c.hosts[length/2]
		c.snode.Spec.Snode = true
	}
	for _, h := range c.hosts {
		h.Node.Hosts(names...)
	}
	for _, h := range c.hosts {
		h.Start()
	}
	for _, h := range c.hosts {
		h.WaitUp(limit)
	}
	return c
}

// picture draws the chain.
func (c *chain) picture() string {
	var names []string
	for _, h := range c.hosts {
		name := h.Node.Name
		if h == c.snode {
			name = "[" + name + "]"
		}
		names = append(names, name)
	}
	text := "\n  " + strings.Join(names, " ── ") + "\n"
	if c.snode != nil {
		text += "  [" + c.snode.Node.Name + "] is a supernode\n"
	}
	return text
}

// cable is the i-th link, from hosts[i] to hosts[i+1].
func (c *chain) cable(i int, state string) { c.hosts[i].Node.IP("link", "set", "right", state) }

// sides splits the pairs of hosts by whether the i-th link is between them.
func (c *chain) sides(i int) (within, across []pair) {
	left := map[*rig.Host]bool{}
	for _, h := range c.hosts[:i+1] {
		left[h] = true
	}
	for _, p := range orderedPairs(c.hosts) {
		if left[p.from] == left[p.to] {
			within = append(within, p)
		} else {
			across = append(across, p)
		}
	}
	return within, across
}

// path is how a host sends to another.
type path struct {
	label string   // as the host shows it; empty: it has no session with the other
	way   []string // names, without that of the host; "?" where nobody is known
}

// paths follows the labels of a host's sessions from switch to switch, by what
// each node says of its peers.
func (c *chain) paths(from *rig.Host, all map[*rig.Host]rig.Status) map[*rig.Host]path {
	switches := rig.SwitchesOf(c.hosts, all)
	paths := map[*rig.Host]path{}
	for _, s := range all[from].Sessions {
		for _, to := range c.hosts {
			if to.IP() == s.IP {
				paths[to] = path{s.Label, wayNames(switches, from, s.Label)}
			}
		}
	}
	return paths
}

// wayNames names the nodes that a label leads through.
func wayNames(s rig.Switches, from *rig.Host, label string) (names []string) {
	l, err := cjdns.ParseLabel(label)
	if err != nil {
		return nil
	}
	way, ok := s.Follow(from, l)
	for _, h := range way {
		names = append(names, h.Node.Name)
	}
	if !ok {
		names = append(names, "?")
	}
	return names
}

// ask asks all hosts for what they show.
func (c *chain) ask() map[*rig.Host]rig.Status {
	all := map[*rig.Host]rig.Status{}
	for _, h := range c.hosts {
		all[h], _ = h.Status() // one that does not answer has no paths
	}
	return all
}

// served fails unless every agent uses the supernode, and it knows them all
// and the links between them.
func (c *chain) served(d time.Duration) error {
	nodes, links := len(c.hosts), 2*(len(c.hosts)-1)
	var missing []string
	var st rig.Status
	if rig.Until(d, 100*time.Millisecond, func() bool {
		missing = nil
		for h, s := range c.ask() {
			if s.Supernode.Active != c.snode.IP() {
				missing = append(missing, h.Node.Name)
			}
			if h == c.snode {
				st = s
			}
		}
		return len(missing) == 0 && st.Supernode.Nodes == nodes && st.Supernode.Links == links
	}) {
		return nil
	}
	return fmt.Errorf("the supernode %s knows %d nodes and %d links, want %d and %d; not used by %q",
		c.snode.Node.Name, st.Supernode.Nodes, st.Supernode.Links, nodes, links, missing)
}
