package rig

import (
	"net"
	"strconv"
	"strings"
)

// End is one end of a cable: the device Dev in the namespace of Node, with an
// address in CIDR form, or none. A device with an IPv6 address gets no other
// addresses and sends no solicitations; one without has IPv6 switched off, so
// that only the traffic of the programs under test flows.
type End struct {
	Node *Node
	Dev  string
	Addr string
}

// Veth joins two nodes by a cable.
func (r *Rig) Veth(a, b End) {
	r.ip("link", "add", a.Dev, "netns", a.Node.NS, "type", "veth", "peer", "name", b.Dev, "netns", b.Node.NS)
	a.up()
	b.up()
}

// Unplug removes the device, and with it the other end of its cable.
func (e End) Unplug() { e.Node.IP("link", "del", e.Dev) }

// up configures the device and switches it on.
func (e End) up() {
	conf := "ipv6/conf/" + e.Dev + "/"
	if strings.Contains(e.Addr, ":") {
		e.Node.Sysctl(conf+"accept_dad", "0")
		e.Node.Sysctl(conf+"accept_ra", "0")
		e.Node.Sysctl(conf+"addr_gen_mode", "1")
	} else {
		e.Node.Sysctl(conf+"disable_ipv6", "1")
	}
	if e.Addr != "" {
		e.Node.IP(addrArgs(e.Addr, e.Dev)...)
	}
	e.Node.IP("link", "set", e.Dev, "up")
}

// addrArgs are the arguments of ip that give a device an address, and for IPv4
// the broadcast address that goes with it, as DHCP clients do.
func addrArgs(addr, dev string) []string {
	args := []string{"addr", "add", addr, "dev", dev}
	if !strings.Contains(addr, ":") {
		args = append(args, "brd", "+")
	}
	return args
}

// Segment is an Ethernet segment: a bridge in a namespace of its own.
type Segment struct {
	node  *Node
	ports int
}

// Segment makes an Ethernet segment without anybody on it.
func (r *Rig) Segment(name string) *Segment {
	s := &Segment{node: r.Node(name)}
	s.node.IP("link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
	s.node.Sysctl("ipv6/conf/br0/disable_ipv6", "1")
	s.node.IP("link", "set", "br0", "up")
	return s
}

// Join plugs the device e.Dev, which it makes, into the segment.
func (s *Segment) Join(e End) {
	s.ports++
	port := "p" + strconv.Itoa(s.ports)
	s.node.rig.ip("link", "add", e.Dev, "netns", e.Node.NS, "type", "veth", "peer", "name", port, "netns", s.node.NS)
	s.node.Sysctl("ipv6/conf/"+port+"/disable_ipv6", "1")
	s.node.IP("link", "set", port, "master", "br0", "up")
	e.up()
}

// MAC returns the hardware address of a device of the namespace it is called
// in (see Node.Do).
func MAC(dev string) (string, error) {
	i, err := net.InterfaceByName(dev)
	if err != nil {
		return "", err
	}
	return i.HardwareAddr.String(), nil
}
