package main

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// islandsInterval is from one OGM of a node to its next.
const islandsInterval = 200 * time.Millisecond

const islandsPicture = `
  n1 ──── n2 ──── s1 ──── n3             n10 ─── n11
  │       │               │              │       │
  n4 ──── n5              n6 ════udp════ n12 ─── n13
  │       │               │
  n7 ──── n8 ──── s2 ──── n9

  ── radio, lossy     s1, s2: like stock nodes of the mesh, without identity and overlay
  ══ the only configured peering: n6 dials n12 with a password
`

// Nodes by name, in the order in which they are shown.
var (
	islandsAgents = []string{"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10", "n11", "n12", "n13"}
	islandsRelays = []string{"s1", "s2"}
	// the agents from here on are on the second island
	secondIsland = 9
	// the ends of the uplink
	gatewayA, gatewayB = "n6", "n12"
)

// islandsLinks are the radio links with the loss of broadcasts in percent,
// there and back.
var islandsLinks = []struct {
	a, b        string
	there, back int
}{
	{"n1", "n2", 5, 15}, {"n2", "s1", 0, 10}, {"s1", "n3", 10, 5},
	{"n1", "n4", 10, 5}, {"n2", "n5", 25, 10}, {"n3", "n6", 5, 5},
	{"n4", "n5", 15, 0},
	{"n4", "n7", 10, 30}, {"n5", "n8", 0, 5}, {"n6", "n9", 20, 10},
	{"n7", "n8", 20, 15}, {"n8", "s2", 5, 10}, {"s2", "n9", 10, 0},
	{"n10", "n11", 10, 0}, {"n10", "n12", 5, 20}, {"n11", "n13", 15, 5}, {"n12", "n13", 0, 10},
}

// islands is the network of the demo.
type islands struct {
	rig    *rig.Rig
	bin    string
	isle   [2]*rig.Island
	hosts  []*rig.Host // the agents, by islandsAgents
	relays []*rig.Host // on the first island
}

// newIslands builds the network and starts everything.
func newIslands(r *rig.Rig, bin string) *islands {
	d := &islands{rig: r, bin: bin}
	for i := range d.isle {
		d.isle[i] = r.Island(uint64(i+1), islandsInterval)
	}
	byName := map[string]*rig.Host{}
	host := func(name string) *rig.Host {
		h := r.Node(name).Agent(bin)
		h.Socket = filepath.Join(r.Dir, name) // short: people copy it
		byName[name] = h
		return h
	}
	for _, name := range islandsAgents {
		h := host(name)
		d.hosts = append(d.hosts, h)
		d.island(h).Equip(h)
	}
	for _, name := range islandsRelays {
		h := host(name)
		d.relays = append(d.relays, h)
		d.isle[0].EquipRelay(h)
	}
	for _, l := range islandsLinks {
		a, b := byName[l.a], byName[l.b]
		i := d.island(a)
		i.Air.Link(i.Radio(a), i.Radio(b), float64(l.there)/100, float64(l.back)/100)
	}
	d.uplink(byName[gatewayA], byName[gatewayB])
	d.names()
	for _, h := range d.all() {
		h.Start()
	}
	return d
}

// all lists agents and relays.
func (d *islands) all() []*rig.Host { return slices.Concat(d.hosts, d.relays) }

// island returns the island that a host is on.
func (d *islands) island(h *rig.Host) *rig.Island {
	if slices.Index(d.hosts, h) >= secondIsland {
		return d.isle[1]
	}
	return d.isle[0]
}

// uplink joins the gateways by a cable and lets a dial b: the only peering that
// anybody configures.
func (d *islands) uplink(a, b *rig.Host) {
	d.rig.Veth(rig.End{Node: a.Node, Dev: "wan", Addr: "10.9.0.1/24"}, rig.End{Node: b.Node, Dev: "wan", Addr: "10.9.0.2/24"})
	for _, h := range []*rig.Host{a, b} {
		h.Spec.UDP = []rig.UDPSpec{{Bind: "0.0.0.0:20000"}}
	}
	b.Spec.Passwords = []rig.PasswordSpec{{Login: "uplink", Password: "of-" + b.Node.Name}}
	a.Spec.Peers = []rig.PeerSpec{{Address: "10.9.0.2:20000", Key: b.ID.Key, Login: "uplink", Password: "of-" + b.Node.Name}}
}

// names lets each namespace know the agents by name.
func (d *islands) names() {
	var names []string
	for _, h := range d.hosts {
		names = append(names, h.IP()+" "+h.Node.Name)
	}
	for _, h := range d.hosts {
		h.Node.Hosts(names...)
	}
}

// neighbours are the agents of the same island.
func (d *islands) neighbours(h *rig.Host) (list []*rig.Host) {
	for _, o := range d.hosts {
		if o != h && d.island(o) == d.island(h) {
			list = append(list, o)
		}
	}
	return list
}

// seen is what one node's table says of the others.
type seen struct {
	identity map[string]string // by name of the node
	next     map[string]string // name of the best next hop, by name
	err      error
}

// ask reads a node's table of originators.
func (d *islands) ask(h *rig.Host) (s seen) {
	s.identity, s.next = map[string]string{}, map[string]string{}
	var list []rig.BatOriginator
	list, s.err = h.Originators()
	for _, o := range list {
		if name := d.name(h, o.Orig); o.Best {
			s.identity[name], s.next[name] = o.Identity, d.name(h, o.Next)
		}
	}
	return s
}

// name turns the address of a radio on a host's island into the name of its
// node.
func (d *islands) name(h *rig.Host, mac string) string {
	if o := d.island(h).Host(mac); o != nil {
		return o.Node.Name
	}
	return mac
}

// unverified lists pairs of agents of one island of which the first does not
// know who the second is.
func (d *islands) unverified() (missing []string) {
	for _, h := range d.hosts {
		s := d.ask(h)
		for _, o := range d.neighbours(h) {
			if s.identity[o.Node.Name] != o.IP() {
				missing = append(missing, h.Node.Name+"->"+o.Node.Name)
			}
		}
	}
	return missing
}
