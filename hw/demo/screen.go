package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// screen shows the running network.
type screen struct {
	rig      *rig.Rig
	hosts    []*rig.Host
	bin      string
	terminal bool
	start    time.Time
	pings    pingTable
}

func newScreen(r *rig.Rig, hosts []*rig.Host, bin string) *screen {
	return &screen{rig: r, hosts: hosts, bin: bin, terminal: onTerminal(), start: time.Now()}
}

// run shows the network for ever.
func (s *screen) run() {
	for i, a := range s.hosts {
		for j, b := range s.hosts {
			if i != j {
				go s.ping(i, j, a, b)
			}
		}
	}
	s.serve(s.hosts[4])
	show(s.terminal, picture+s.advice(), s.draw)
}

// serve lets the last node answer to curl and iperf3.
func (s *screen) serve(h *rig.Host) {
	l, err := h.Node.Listen("tcp6", "["+h.IP()+"]:80")
	if err != nil {
		return // the advice then simply does not work; the network still does
	}
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			from, _, _ := net.SplitHostPort(r.RemoteAddr)
			fmt.Fprintf(w, "Hello %s, this is %s.\n", from, h.IP())
		}))
	}()
	if _, err := exec.LookPath("iperf3"); err == nil {
		h.Node.Start("iperf3", "iperf3", "-s")
	}
}

// ping keeps one pair pinging and notes each answer.
func (s *screen) ping(i, j int, a, b *rig.Host) {
	note := func(text string) { s.pings.note(i, j, text) }
	for {
		r, w := io.Pipe()
		stop := a.Node.Stream(w, "ping", "-n", "-O", "-i", "2", b.IP())
		for lines := bufio.NewScanner(r); lines.Scan(); {
			line := lines.Text()
			if _, ms, ok := strings.Cut(line, " time="); ok {
				v, _ := strconv.ParseFloat(strings.TrimSuffix(ms, " ms"), 64)
				note(fmt.Sprintf("%.2f", v))
			} else if strings.HasPrefix(line, "no answer") || strings.Contains(line, "nreachable") {
				note("lost")
			}
		}
		stop()
		note("-")
		time.Sleep(2 * time.Second) // ping ends at once while there is no route
	}
}

// draw writes the two tables.
func (s *screen) draw() {
	var b strings.Builder
	if s.terminal {
		b.WriteString(home + "meshagent demo: five agents, five network stacks" + picture + "\n")
	}
	fmt.Fprintf(&b, "up %v\n%-4s %-40s peers\n", time.Since(s.start).Round(time.Second), "node", "address")
	for _, h := range s.hosts {
		fmt.Fprintf(&b, "%-4s %-40s %s\n", h.Node.Name, h.IP(), peerNames(s.hosts, h))
	}
	b.WriteString("\n")
	s.pings.write(&b, s.hosts, 8)
	text := b.String()
	if s.terminal {
		overwrite(text + s.advice())
		return
	}
	fmt.Print(text)
}

// peerNames names a host's established neighbours, by those of all hosts.
func peerNames(hosts []*rig.Host, h *rig.Host) string {
	list, err := h.Peers()
	if err != nil {
		return "(" + err.Error() + ")"
	}
	var names []string
	for _, p := range list {
		name := "?"
		for _, o := range hosts {
			if o.ID.Key.String() == p.Key {
				name = o.Node.Name
			}
		}
		if p.State != "ESTABLISHED" {
			name += "(" + strings.ToLower(p.State) + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// advice says what to try in another terminal.
func (s *screen) advice() string {
	n := func(i int) string { return "ip netns exec " + s.hosts[i].Node.NS }
	var b strings.Builder
	b.WriteString("\nTry in another terminal, as root (the names n1 to n5 work in each namespace):\n")
	for _, line := range []string{
		n(0) + " ping n5",
		n(0) + " curl http://n5/",
		n(0) + " iperf3 -c n5",
		n(0) + " ssh root@n4            # after: " + n(3) + " /usr/sbin/sshd",
		s.bin + " --socket " + s.hosts[2].Socket + " peers",
		s.bin + " --socket " + s.hosts[0].Socket + " trace " + s.hosts[4].IP(),
	} {
		b.WriteString("  " + line + "\n")
	}
	b.WriteString("ctrl-C ends the demo and removes everything.\n")
	return b.String()
}
