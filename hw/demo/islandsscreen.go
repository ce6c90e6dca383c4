package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// islandsScreen shows the running network.
type islandsScreen struct {
	*islands
	terminal bool
	start    time.Time

	mu   sync.Mutex
	rtts map[[2]int]time.Duration // of the last ping; 0: lost
}

// runIslands shows the network for ever.
func runIslands(d *islands) {
	s := &islandsScreen{islands: d, terminal: onTerminal(), start: time.Now(), rtts: map[[2]int]time.Duration{}}
	for i := range d.hosts {
		go s.ping(i)
	}
	show(s.terminal, islandsPicture+s.advice(), s.draw)
}

// ping lets one node ping all others, one after the other, again and again.
func (s *islandsScreen) ping(i int) {
	for {
		for j, to := range s.hosts {
			if i == j {
				continue
			}
			res, _ := s.hosts[i].Node.Ping(context.Background(), to.IP(), rig.PingOpts{})
			s.mu.Lock()
			s.rtts[[2]int{i, j}] = res.Mean()
			s.mu.Unlock()
			time.Sleep(200 * time.Millisecond)
		}
	}
}

// draw writes the table.
func (s *islandsScreen) draw() {
	known := map[string]int{}
	ways := make([]seen, len(s.hosts))
	for i, h := range s.hosts {
		ways[i] = s.ask(h)
		for _, o := range s.neighbours(h) {
			if ways[i].identity[o.Node.Name] == o.IP() {
				known[o.Node.Name]++
			}
		}
	}
	var b strings.Builder
	if s.terminal {
		b.WriteString(home + "meshagent demo: two islands of 9 and 4 agents, nobody has configured a peer on them" + islandsPicture)
	}
	fmt.Fprintf(&b, "\nup %v, OGM interval %v\n%-4s %-40s %-15s %-11s %s\n", time.Since(s.start).Round(time.Second), islandsInterval,
		"node", "address", "identity", "pings", "peers")
	for i, h := range s.hosts {
		identity := fmt.Sprintf("known to %d/%d", known[h.Node.Name], len(s.neighbours(h)))
		if ways[i].err != nil {
			identity = "no answer"
		}
		fmt.Fprintf(&b, "%-4s %-40s %-15s %-11s %s\n", h.Node.Name, h.IP(), identity, s.pings(i), peerNames(s.hosts, h))
	}
	for _, r := range s.relays {
		fmt.Fprintf(&b, "%-4s %-40s %s\n", r.Node.Name, "-", "unsigned")
	}
	text := b.String()
	if s.terminal {
		overwrite(text + s.advice())
		return
	}
	fmt.Print(text)
}

// pings says how many of the others answered a node's last pings, and how soon.
func (s *islandsScreen) pings(i int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum time.Duration
	n := 0
	for j := range s.hosts {
		if d := s.rtts[[2]int{i, j}]; d > 0 {
			sum += d
			n++
		}
	}
	return fmt.Sprintf("%d/%d %.1fms", n, len(s.hosts)-1, float64(sum)/float64(max(n, 1))/float64(time.Millisecond))
}

// advice says what to try in another terminal.
func (s *islandsScreen) advice() string {
	n := func(i int) string { return "ip netns exec " + s.hosts[i].Node.NS }
	var b strings.Builder
	b.WriteString("\nTry in another terminal, as root (the names n1 to n13 work in each namespace):\n")
	ours := s.bin + " --socket " + s.hosts[0].Socket
	for _, line := range []string{
		n(0) + " ping n13",
		ours + " bat o                  # who is who",
		ours + " trace " + s.hosts[12].IP(),
		n(0) + " ssh root@n9            # after: " + n(8) + " /usr/sbin/sshd",
		s.bin + " --socket " + s.relays[0].Socket + " bat o     # a relay: knows no identity",
	} {
		b.WriteString("  " + line + "\n")
	}
	b.WriteString("ctrl-C ends the demo and removes everything.\n")
	return b.String()
}
