package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/hw/rig"
)

// chainScreen shows the ways through a chain while its middle link is cut and
// restored.
type chainScreen struct {
	*chain
	terminal bool
	start    time.Time

	mu    sync.Mutex
	rtts  map[[2]int]string // of the last ping
	event string
}

// runChain shows a chain for ever.
func runChain(c *chain) {
	_, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS)
	s := &chainScreen{chain: c, terminal: err == nil, start: time.Now(), rtts: map[[2]int]string{}}
	for i := range c.hosts {
		go s.ping(i)
	}
	go s.direct()
	pause := 10 * time.Second
	if s.terminal {
		fmt.Print("\x1b[2J")
		pause = time.Second
	} else {
		fmt.Print(c.picture(), s.advice())
	}
	for {
		s.draw()
		time.Sleep(pause)
	}
}

// ping lets one node ping all others, one after the other, again and again.
func (s *chainScreen) ping(i int) {
	for {
		for j, to := range s.hosts {
			if i == j {
				continue
			}
			res, _ := s.hosts[i].Node.Ping(context.Background(), to.IP(), rig.PingOpts{Wait: 500 * time.Millisecond})
			text := "lost"
			if res.Received == 1 {
				text = fmt.Sprintf("%.2f", float64(res.Mean())/float64(time.Millisecond))
			}
			s.mu.Lock()
			s.rtts[[2]int{i, j}] = text
			s.mu.Unlock()
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
		fmt.Fprintf(&b, "\x1b[Hmeshagent demo: a chain of %d agents that know their neighbours only\n%s", len(s.hosts), s.picture())
	}
	s.mu.Lock()
	fmt.Fprintf(&b, "\nup %v  %s\nping, ms  to", time.Since(s.start).Round(time.Second), s.event)
	for _, h := range s.hosts {
		fmt.Fprintf(&b, "%7s", h.Node.Name)
	}
	b.WriteString("\n")
	for i, h := range s.hosts {
		fmt.Fprintf(&b, "   from %-4s", h.Node.Name)
		for j := range s.hosts {
			v := s.rtts[[2]int{i, j}]
			if i == j {
				v = "·"
			}
			fmt.Fprintf(&b, "%7s", v)
		}
		b.WriteString("\n")
	}
	s.mu.Unlock()
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
		// each line is cleared to its end, then what is below
		text = strings.ReplaceAll(text+s.advice(), "\n", "\x1b[K\n") + "\x1b[J"
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
