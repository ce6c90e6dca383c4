package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// chainScreen shows the ways through a chain while its middle link is cut and
// restored.
type chainScreen struct {
	*chain
	terminal bool
	start    time.Time
	pings    pingTable

	mu    sync.Mutex
	event string
}

// runChain shows a chain for ever.
func runChain(c *chain) {
	s := &chainScreen{chain: c, terminal: onTerminal(), start: time.Now()}
	for i := range c.hosts {
		go s.ping(i)
	}
	go s.direct()
	show(s.terminal, c.picture()+s.advice(), s.draw)
}

// ping lets one node ping all others, one after the other, again and again.
func (s *chainScreen) ping(i int) {
	for {
		for j, to := range s.hosts {
			if i == j {
				continue
			}
			res, _ := s.hosts[i].Node.Ping(context.Background(), to.IP(), rig.PingOpts{Wait: 500 * time.Millisecond})
			s.pings.result(i, j, res)
			time.Sleep(200 * time.Millisecond)
		}
	}
}

// direct cuts the link in the middle again and again, and restores it.
func (s *chainScreen) direct() {
	middle := len(s.hosts)/2 - 1
	name := s.hosts[middle].Node.Name + "-" + s.hosts[middle+1].Node.Name
	note := func(what string) {
		s.mu.Lock()
		s.event = fmt.Sprintf("%.0f s  %s %s", time.Since(s.start).Seconds(), name, what)
		s.mu.Unlock()
	}
	for {
		time.Sleep(30 * time.Second)
		s.cable(middle, "down")
		note("is cut")
		time.Sleep(10 * time.Second)
		s.cable(middle, "up")
		note("is restored")
	}
}

// draw writes the tables.
func (s *chainScreen) draw() {
	all := s.ask()
	first := s.hosts[0]
	paths := s.paths(first, all)
	var b strings.Builder
	if s.terminal {
		fmt.Fprintf(&b, home+"meshagent demo: a chain of %d agents that know their neighbours only\n%s", len(s.hosts), s.picture())
	}
	s.mu.Lock()
	fmt.Fprintf(&b, "\nup %v  %s\n", time.Since(s.start).Round(time.Second), s.event)
	s.mu.Unlock()
	s.pings.write(&b, s.hosts, 7)
	fmt.Fprintf(&b, "\npaths of %-3s %-40s %-20s through\n", first.Node.Name, "address", "label")
	for _, h := range s.hosts[1:] {
		p := paths[h]
		if p.label == "" {
			p.label = "-"
		}
		fmt.Fprintf(&b, "     to %-4s %-40s %-20s %s\n", h.Node.Name, h.IP(), p.label, strings.Join(p.way, " "))
	}
	text := b.String()
	if s.terminal {
		overwrite(text + s.advice())
		return
	}
	fmt.Print(text)
}

// advice says what to try in another terminal.
func (s *chainScreen) advice() string {
	first, last := s.hosts[0], s.hosts[len(s.hosts)-1]
	ours := s.bin + " --socket " + first.Socket
	var b strings.Builder
	fmt.Fprintf(&b, "\nTry in another terminal, as root (the names n1 to %s work in each namespace):\n", last.Node.Name)
	for _, line := range []string{
		"ip netns exec " + first.Node.NS + " ping " + last.Node.Name,
		ours + " trace " + last.IP(),
		ours + " status",
	} {
		b.WriteString("  " + line + "\n")
	}
	b.WriteString("ctrl-C ends the demo and removes everything.\n")
	return b.String()
}
