package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// meshScreen shows the mesh while links are cut and restored and a phone
// moves.
type meshScreen struct {
	*mesh
	terminal bool
	start    time.Time

	mu        sync.Mutex
	sent, got int
	rtt       string
	events    []string
}

// runMesh shows the mesh for ever.
func runMesh(m *mesh) {
	s := &meshScreen{mesh: m, terminal: onTerminal(), start: time.Now(), rtt: "-"}
	go s.ping()
	go s.direct()
	show(s.terminal, "", s.draw)
}

// note adds an event to the list on the screen.
func (s *meshScreen) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf("%4.0f s  ", time.Since(s.start).Seconds()) + fmt.Sprintf(format, args...)
	s.events = append(s.events, line)
	if len(s.events) > 6 {
		s.events = s.events[len(s.events)-6:]
	}
}

// direct cuts the way between the phones again and again, restores it, and now
// and then moves the second phone to the next corner.
func (s *meshScreen) direct() {
	corners := []int{side*side - 1, side - 1, side * (side - 1)}
	time.Sleep(15 * time.Second)
	for i := 1; ; i++ {
		way, ok := s.way(s.at(0), s.at(1))
		if !ok || len(way) < 3 {
			time.Sleep(time.Second)
			continue
		}
		hop := i % (len(way) - 1)
		x, y := way[hop], way[hop+1]
		s.air.CutBoth(s.radios[x], s.radios[y], true)
		s.note("cut n%d-n%d on the way %s", x+1, y+1, wayText(way, ok))
		time.Sleep(10 * time.Second)
		s.air.CutBoth(s.radios[x], s.radios[y], false)
		s.note("restored n%d-n%d; the way is now %s", x+1, y+1, wayText(s.way(s.at(0), s.at(1))))
		time.Sleep(10 * time.Second)
		if i%2 == 0 {
			to := corners[i/2%len(corners)]
			s.mu.Lock()
			s.plug(1, to)
			s.mu.Unlock()
			s.note("p2 moved to n%d", to+1)
			time.Sleep(10 * time.Second)
		}
	}
}

// ping lets the first phone ping the second and counts.
func (s *meshScreen) ping() {
	for {
		r, w := io.Pipe()
		stop := s.phones[0].Node.Stream(w, "ping", "-n", "-O", "-i", "0.5", s.phones[1].Addr)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			line := lines.Text()
			s.mu.Lock()
			if _, ms, ok := strings.Cut(line, " time="); ok {
				v, _ := strconv.ParseFloat(strings.TrimSuffix(ms, " ms"), 64)
				s.sent, s.got, s.rtt = s.sent+1, s.got+1, fmt.Sprintf("%.2f ms", v)
			} else if strings.HasPrefix(line, "no answer") || strings.Contains(line, "nreachable") {
				s.sent, s.rtt = s.sent+1, "lost"
			}
			s.mu.Unlock()
		}
		stop()
		time.Sleep(time.Second)
	}
}

// draw writes the picture and the tables.
func (s *meshScreen) draw() {
	way := wayText(s.way(s.at(0), s.at(1)))
	left, right := s.table(s.at(0)), s.table(s.at(1))
	var b strings.Builder
	if s.terminal {
		b.WriteString(home)
	}
	s.mu.Lock()
	fmt.Fprintf(&b, "meshagent demo: nine agents on one air, OGM interval %v, up %v\n", meshInterval, time.Since(s.start).Round(time.Second))
	fmt.Fprintf(&b, "loss of broadcasts in percent, there/back (a unicast is tried 7 times); x: cut\n\n%s\n", s.picture())
	fmt.Fprintf(&b, "p1 pings p2: %d sent, %d came back, last %s; way %s\n\n", s.sent, s.got, s.rtt, way)
	for i := range max(len(left), len(right)) {
		fmt.Fprintf(&b, "%-38s  %s\n", line(left, i), line(right, i))
	}
	b.WriteByte('\n')
	for _, e := range s.events {
		b.WriteString(e + "\n")
	}
	s.mu.Unlock()
	text := b.String() + s.advice()
	if s.terminal {
		overwrite(text)
		return
	}
	fmt.Print(text)
}

func line(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// table lists the originators of a node with their best next hop.
func (s *meshScreen) table(node int) (lines []string) {
	list, err := s.hosts[node].Originators()
	if err != nil {
		return []string{err.Error()}
	}
	lines = []string{fmt.Sprintf("n%d: originator  TQ  next  seen", node+1)}
	slices.SortStableFunc(list, func(a, b rig.BatOriginator) int { return strings.Compare(a.Orig, b.Orig) })
	for _, o := range list {
		if o.Best {
			lines = append(lines, fmt.Sprintf("%14s %4d  %-4s %4.1f s", nodeName(o.Orig), o.TQ, nodeName(o.Next), float64(o.LastSeen)/1000))
		}
	}
	return lines
}

// advice says what to try in another terminal.
func (s *meshScreen) advice() string {
	n := func(i int) string { return "ip netns exec " + s.phones[i].Node.NS }
	var b strings.Builder
	b.WriteString("\nTry in another terminal, as root:\n")
	bat := s.bin + " --socket " + s.hosts[0].Socket + " bat "
	for _, line := range []string{
		n(0) + " ping " + s.phones[1].Addr,
		bat + "o",
		bat + "tg",
		bat + "tr " + nodeMAC(side*side-1),
	} {
		b.WriteString("  " + line + "\n")
	}
	b.WriteString("ctrl-C ends the demo and removes everything.\n")
	return b.String()
}
