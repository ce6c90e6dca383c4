package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// islandsPlan bounds the check of the whole picture: four minutes less the time
// to build the network and to take it away.
var islandsPlan = plan{limit: 225 * time.Second, abreast: 8}

// checkIslands proves that every agent reaches every other, and returns the
// exit status.
func checkIslands(d *islands) (status int) {
	start := time.Now()
	fmt.Printf("two islands of 9 and 4 agents, OGM interval %v:\n%s\n", islandsInterval, islandsPicture)
	for _, h := range d.hosts {
		h.WaitUp(limit)
	}
	var missing []string
	if !rig.Until(islandsPlan.limit/3, 500*time.Millisecond, func() bool { missing = d.unverified(); return len(missing) == 0 }) {
		fmt.Printf("%5.1f s  %d pairs of which one does not know who the other is, such as %s\n", time.Since(start).Seconds(),
			len(missing), strings.Join(missing[:min(len(missing), 10)], " "))
	} else {
		fmt.Printf("%5.1f s  every agent knows the address of every other on its island\n", time.Since(start).Seconds())
	}
	status = checkPairs(d.hosts, plan{limit: islandsPlan.limit - time.Since(start), abreast: islandsPlan.abreast}, func() error {
		return d.halves()
	})
	if status != 0 {
		d.explain()
	}
	return status
}

// halves makes sure that the relays are what they shall be: the way between
// the halves of the first island, and strangers to the overlay.
func (d *islands) halves() error {
	n2 := d.ask(d.hosts[1])
	if via := n2.next["n3"]; via != "s1" && via != "n5" { // n5: on the way to s2
		return fmt.Errorf("n2 reaches n3 via %q, want s1 or n5", via)
	}
	for _, s := range d.relays {
		peers, err := s.Peers()
		if err != nil || len(peers) != 0 {
			return fmt.Errorf("%s shall have no peer: %d, %w", s.Node.Name, len(peers), err)
		}
		if who := n2.identity[s.Node.Name]; who != "-" {
			return fmt.Errorf("n2 takes %s for %q, want unsigned", s.Node.Name, who)
		}
	}
	fmt.Printf("n2 sends to n3 via %s; %s and %s are unsigned and have no peers\n", n2.next["n3"], islandsRelays[0], islandsRelays[1])
	return nil
}

// explain shows the tables of all nodes.
func (d *islands) explain() {
	for _, h := range d.all() {
		fmt.Fprintf(os.Stderr, "\n%s %s running: %v\n", h.Node.Name, h.IP(), h.Proc.Alive())
		list, err := h.Originators()
		if err != nil {
			fmt.Fprintln(os.Stderr, "  originators:", err)
		}
		for _, o := range list {
			if o.Best {
				fmt.Fprintf(os.Stderr, "  %s tq %d via %s, %d ms ago, %s\n", d.name(h, o.Orig), o.TQ, d.name(h, o.Next), o.LastSeen, o.Identity)
			}
		}
	}
}
