package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/hw/rig"
)

// onTerminal reports whether somebody looks at standard output.
func onTerminal() bool {
	_, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS)
	return err == nil
}

// show draws for ever: each second into the same place of a terminal, else now
// and then, after the text once.
func show(terminal bool, once string, draw func()) {
	pause := 10 * time.Second
	if terminal {
		fmt.Print("\x1b[2J")
		pause = time.Second
	} else {
		fmt.Print(once)
	}
	for {
		draw()
		time.Sleep(pause)
	}
}

// home begins a screen of a terminal.
const home = "\x1b[H"

// overwrite prints a screen over the one before: each line is cleared to its
// end, then what is below.
func overwrite(text string) {
	fmt.Print(strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J")
}

// pingTable is what became of the last ping of each pair of hosts, by their
// indices.
type pingTable struct {
	mu  sync.Mutex
	rtt map[[2]int]string
}

func (p *pingTable) note(from, to int, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rtt == nil {
		p.rtt = map[[2]int]string{}
	}
	p.rtt[[2]int{from, to}] = text
}

// result notes the answer of a single ping.
func (p *pingTable) result(from, to int, res rig.PingResult) {
	text := "lost"
	if res.Received > 0 {
		text = fmt.Sprintf("%.2f", float64(res.Mean())/float64(time.Millisecond))
	}
	p.note(from, to, text)
}

// write prints the table, each column width characters wide.
func (p *pingTable) write(b *strings.Builder, hosts []*rig.Host, width int) {
	b.WriteString("ping, ms  to")
	for _, h := range hosts {
		fmt.Fprintf(b, "%*s", width, h.Node.Name)
	}
	b.WriteString("\n")
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, h := range hosts {
		fmt.Fprintf(b, "   from %-4s", h.Node.Name)
		for j := range hosts {
			v := p.rtt[[2]int{i, j}]
			if i == j {
				v = "·"
			}
			fmt.Fprintf(b, "%*s", width, v)
		}
		b.WriteString("\n")
	}
}
