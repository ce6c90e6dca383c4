package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// LAN makes a bridge in the node and puts devices of it in.
func (n *Node) LAN(bridge string, ports ...string) {
	n.IP("link", "add", bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
	n.Sysctl("ipv6/conf/"+bridge+"/disable_ipv6", "1")
	n.IP("link", "set", bridge, "up")
	for _, dev := range ports {
		n.Sysctl("ipv6/conf/"+dev+"/disable_ipv6", "1")
		n.IP("link", "set", dev, "master", bridge, "up")
	}
}

// Phone is a client of a mesh: a namespace with one cable that can be moved
// from bridge to bridge.
type Phone struct {
	Node *Node
	MAC  string
	Addr string // without prefix length
	At   *Node  // where it is plugged in; nil: nowhere

	cidr string
}

// Phone makes a phone with an IPv4 address in CIDR form.
func (r *Rig) Phone(name, cidr, mac string) *Phone {
	addr, _, _ := strings.Cut(cidr, "/")
	return &Phone{Node: r.Node(name), MAC: mac, Addr: addr, cidr: cidr}
}

// port is the other end of the phone's cable.
func (p *Phone) port() string { return p.Node.Name + "-port" }

// Plug moves the phone's cable into a bridge of a node. The phone's carrier
// goes and comes, as with a cable or a change of the access point, and the
// phone says that it is there, as phones do: nobody finds one that is silent.
func (p *Phone) Plug(n *Node, bridge string) {
	if p.At == nil {
		n.rig.Veth(End{p.Node, "eth0", ""}, End{n, p.port(), ""})
		p.Node.IP("link", "set", "eth0", "down")
		p.Node.IP("link", "set", "eth0", "address", p.MAC, "up")
		p.Node.IP("addr", "add", p.cidr, "dev", "eth0", "brd", "+")
	} else {
		p.At.IP("link", "set", p.port(), "netns", n.NS)
		n.Sysctl("ipv6/conf/"+p.port()+"/disable_ipv6", "1")
	}
	n.IP("link", "set", p.port(), "master", bridge, "up")
	p.At = n
	p.announce()
}

// announce asks for an address that nobody has, for some seconds: a broadcast
// a second, like a phone that looks for its DHCP server.
func (p *Phone) announce() {
	at := p.cidr[:strings.LastIndexByte(p.Addr, '.')+1] + "254"
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _ = p.Node.Run(ctx, "ping", "-c", "3", "-W", "1", at)
	}()
}

// Bat runs "meshagent bat ARGS --json" for the host and decodes what it
// prints.
func (h *Host) Bat(out any, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	argv := append([]string{h.Bin, "--socket", h.Socket, "bat"}, append(args, "--json")...)
	text, err := h.Node.Run(ctx, argv...)
	if err == nil {
		err = json.Unmarshal([]byte(text), out)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv[3:], " "), err, strings.TrimSpace(text))
	}
	return nil
}

// BatOriginator is a line of "meshagent bat o --json", with batctl's keys.
type BatOriginator struct {
	Orig     string `json:"orig_address"`
	Best     bool   `json:"best"`
	LastSeen int    `json:"last_seen_msecs"`
	Next     string `json:"neigh_address"`
	TQ       int    `json:"tq"`
	HardIf   string `json:"hard_ifname"`
	// Identity is ours: the overlay address, or a word for why there is none.
	Identity string `json:"identity"`
}

// BatGlobal is a line of "meshagent bat tg --json", with batctl's keys.
type BatGlobal struct {
	Client string `json:"tt_address"`
	Orig   string `json:"orig_address"`
	Best   bool   `json:"best"`
	VID    int    `json:"tt_vid"` // -1: untagged
}

// Originators asks our agent for its originator table.
func (h *Host) Originators() (list []BatOriginator, err error) {
	err = h.Bat(&list, "o")
	return list, err
}
