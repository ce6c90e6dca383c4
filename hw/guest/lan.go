package guest

import (
	"fmt"

	"github.com/meshagent/meshagent/hw/rig"
)

// LAN is an Ethernet segment: a bridge in the lab's namespace that floods what
// it must and does nothing else.
type LAN struct {
	Name string // of the bridge

	lab   *Lab
	ports int
	mtu   int
}

// LAN makes a segment without anybody on it.
func (l *Lab) LAN() *LAN {
	l.lans++
	n := &LAN{Name: fmt.Sprintf("lan%d", l.lans), lab: l, mtu: 1500}
	l.wire.IP("link", "add", n.Name, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
	l.wire.Sysctl("ipv6/conf/"+n.Name+"/disable_ipv6", "1")
	l.wire.IP("link", "set", n.Name, "up")
	l.all = append(l.all, n)
	return n
}

// Port is a place on a LAN where something is plugged in.
type Port struct {
	Dev string // in the lab's namespace
	lan *LAN
}

// Join plugs the device e.Dev, which it makes, into the segment: one end of a
// cable, in the namespace of e.Node.
func (n *LAN) Join(e rig.End) *Port {
	n.ports++
	p := &Port{Dev: fmt.Sprintf("%s.%d", n.Name, n.ports), lan: n}
	w := n.lab.wire
	n.lab.Rig.Veth(e, rig.End{Node: w, Dev: p.Dev})
	w.IP("link", "set", p.Dev, "master", n.Name)
	return p
}

// Move plugs the other end of the cable into another segment.
func (p *Port) Move(to *LAN) {
	p.lan = to
	to.lab.wire.IP("link", "set", p.Dev, "master", to.Name)
}

// plug connects a card of a guest to the segment; nil unplugs it.
func (n *NIC) plug(w *rig.Node, lan *LAN) {
	n.lan = lan
	if lan == nil {
		w.IP("link", "set", n.tap, "nomaster")
		return
	}
	w.IP("link", "set", n.tap, "master", lan.Name)
}

// Drop lets the share percent of the frames be lost that go from one device to
// another (Port.Dev, NIC.Port); an empty name stands for any device of the
// segment. Who loses a broadcast is drawn for each receiver by itself, as on
// the air. Rules add up; Heal removes them all.
func (l *Lab) Drop(from, to string, percent int) error {
	script := "add table bridge lab\nadd chain bridge lab loss { type filter hook forward priority 0; }\nadd rule bridge lab loss"
	if from != "" {
		script += fmt.Sprintf(" iifname %q", from)
	}
	if to != "" {
		script += fmt.Sprintf(" oifname %q", to)
	}
	if percent < 100 {
		script += fmt.Sprintf(" numgen random mod 10000 < %d", percent*100)
	}
	return l.nft(script + " counter drop\n")
}

// Heal ends all losses.
func (l *Lab) Heal() error {
	return l.nft("add table bridge lab\ndelete table bridge lab\n")
}

func (l *Lab) nft(script string) error {
	ctx, stop := bounded()
	defer stop()
	out, err := l.wire.Run(ctx, "sh", "-c", "printf '%s' \"$0\" | nft -f -", script)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Remove takes the segment away. Cables that were plugged in lose their hold.
func (n *LAN) Remove() { n.lab.wire.IP("link", "del", n.Name) }
