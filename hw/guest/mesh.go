package guest

import (
	"fmt"
	"strings"
)

// Mesh is a node of the kernel's batman-adv, in a namespace of a guest. Its
// mesh interface is bat0; its hard interfaces are cards of the guest.
type Mesh struct {
	Guest *Guest
	Name  string // of the namespace

	nics   []*NIC // hard interfaces, in the order of their LANs
	client *NIC   // in br0 with bat0, or nil
}

// MeshConfig says how a node differs from the kernel's defaults.
type MeshConfig struct {
	Algo     string   // empty: BATMAN_IV
	Interval int      // between OGMs, in ms; 0: 1000
	BLA      bool     // bridge loop avoidance, which keeps a node deaf at first
	Client   *LAN     // to be bridged with bat0
	MTU      int      // of the hard interfaces; 0: 1500
	Setup    []string // further commands of batctl, before bat0 is up
	IPs      []string // of bat0, or of br0 with a Client; CIDR form
}

// Mesh makes a node with a hard interface on each of the LANs. The first one
// is its primary.
func (g *Guest) Mesh(name string, c MeshConfig, lans ...*LAN) *Mesh {
	m := &Mesh{Guest: g, Name: name}
	for range lans {
		m.nics = append(m.nics, g.card())
	}
	if c.Client != nil {
		m.client = g.card()
	}
	if c.Algo == "" {
		c.Algo = "BATMAN_IV"
	}
	if c.MTU == 0 {
		c.MTU = 1500
	}
	var b, in strings.Builder
	fmt.Fprintf(&b, "set -e\nip netns add %s\n", name)
	fmt.Fprintf(&in, "set -e\nip link set lo up\nbatctl meshif bat0 interface create routing_algo %s\n", c.Algo)
	for i, n := range m.nics {
		fmt.Fprintf(&b, "ip link set %s netns %s\n", n.Dev, name)
		fmt.Fprintf(&in, "ip link set %s up mtu %d\nbatctl meshif bat0 interface -M add %s\n", n.Dev, c.MTU, n.Dev)
		n.plug(g.lab.wire, lans[i])
	}
	if c.Interval != 0 {
		fmt.Fprintf(&in, "batctl it %d\n", c.Interval)
	}
	if !c.BLA {
		in.WriteString("batctl bl 0\n")
	}
	for _, s := range c.Setup {
		in.WriteString("batctl " + s + "\n")
	}
	in.WriteString("ip link set bat0 up\n")
	dev := "bat0"
	if c.Client != nil {
		fmt.Fprintf(&b, "ip link set %s netns %s\n", m.client.Dev, name)
		fmt.Fprintf(&in, "ip link add br0 type bridge forward_delay 0 mcast_snooping 0\n"+
			"ip link set bat0 master br0\nip link set %s up master br0\nip link set br0 up\n", m.client.Dev)
		m.client.plug(g.lab.wire, c.Client)
		dev = "br0"
	}
	for _, ip := range c.IPs {
		fmt.Fprintf(&in, "ip addr add %s dev %s\n", ip, dev)
	}
	g.Must(b.String())
	m.Must(in.String())
	return m
}

// card takes a free card.
func (g *Guest) card() *NIC {
	for _, n := range g.nics {
		if !n.use {
			n.use = true
			return n
		}
	}
	g.lab.fail("guest %s: all %d cards are in use", g.Name, len(g.nics))
	return nil
}

// MAC returns the address of the primary hard interface, by which the mesh
// knows the node.
func (m *Mesh) MAC() string { return m.nics[0].MAC }

// MACs returns the addresses of all hard interfaces.
func (m *Mesh) MACs() (macs []string) {
	for _, n := range m.nics {
		macs = append(macs, n.MAC)
	}
	return macs
}

// Port returns the name under which Lab.Drop knows the node's hard interface
// on a LAN.
func (m *Mesh) Port(lan *LAN) string {
	for _, n := range m.nics {
		if n.lan == lan {
			return n.tap
		}
	}
	return ""
}

// Go starts a shell script in the node's namespace.
func (m *Mesh) Go(script string) *Job { return m.Guest.in(m.Name, script) }

// Run runs a shell script in the node's namespace.
func (m *Mesh) Run(script string) (string, error) { return m.Go(script).Wait(runTime) }

// Must is Run for steps that have to succeed.
func (m *Mesh) Must(script string) string {
	out, err := m.Run(script)
	if err != nil {
		m.Guest.lab.fail("node %s: %s\n%v", m.Name, script, err)
	}
	return out
}

// Host makes a namespace that is no node of a mesh but a host on a LAN, with a
// card of the guest. The script prepares the card, $dev.
func (g *Guest) Host(name string, lan *LAN, script string) *Mesh {
	h := &Mesh{Guest: g, Name: name, nics: []*NIC{g.card()}}
	n := h.nics[0]
	n.plug(g.lab.wire, lan)
	g.Must(fmt.Sprintf("ip netns add %s && ip link set %s netns %s", name, n.Dev, name))
	h.Must(fmt.Sprintf("set -e\ndev=%s\nip link set lo up\nip link set $dev up\n%s", n.Dev, script))
	return h
}

// Close takes the node away and gives its cards back.
func (m *Mesh) Close() {
	nics := m.nics
	if m.client != nil {
		nics = append(nics, m.client)
	}
	var b strings.Builder
	for _, n := range nics {
		n.plug(m.Guest.lab.wire, nil)
		// The move back would happen with the end of the namespace, but later.
		fmt.Fprintf(&b, "ip -n %s link set %s down nomaster netns 1; ", m.Name, n.Dev)
	}
	fmt.Fprintf(&b, "for p in $(ip netns pids %s); do kill -9 $p; done; ip netns del %s", m.Name, m.Name)
	if _, err := m.Guest.Run(b.String()); err == nil {
		for _, n := range nics {
			n.use = false
		}
	}
}
