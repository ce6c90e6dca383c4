package rig

import (
	"fmt"
	"strings"
	"time"
)

// Island is an air and the agents on it. Nothing is configured on them but the
// mesh: no peer, no password, no address.
type Island struct {
	Air      *Air
	Interval time.Duration // between OGMs

	no    int
	radio map[*Host]*Radio
	hosts []*Host // in the order of joining
}

// Island makes an island without anybody on it. The addresses of its radios
// differ from those of the rig's other islands.
func (r *Rig) Island(seed uint64, interval time.Duration) *Island {
	r.mu.Lock()
	r.islands++
	no := r.islands
	r.mu.Unlock()
	return &Island{Air: r.Air(seed), Interval: interval, no: no, radio: map[*Host]*Radio{}}
}

// Equip gives a host a radio, wlan0, and a mesh on it. Options of the mesh
// section follow: name, value, …
func (i *Island) Equip(h *Host, options ...string) {
	r := i.Air.Join(End{Node: h.Node, Dev: "wlan0"})
	i.radio[h] = r
	i.hosts = append(i.hosts, h)
	h.Node.IP("link", "set", "wlan0", "address", i.StationMAC(r), "mtu", "1532")
	h.Spec.Mesh = &MeshSpec{
		OrigInterval: i.Interval, HardIfs: []string{"wlan0"},
		Options: append([]string{"bridge_loop_avoidance", "0"}, options...), // no two nodes share a LAN, and it keeps them deaf at first
	}
}

// EquipRelay is Equip for a host that relays the mesh and knows nothing of us,
// as a stock node does: no identity, no overlay.
func (i *Island) EquipRelay(h *Host) {
	h.Spec.NoTUN = true
	i.Equip(h, "identity", "0")
}

// StationMAC is the address of a radio of the island.
func (i *Island) StationMAC(r *Radio) string {
	return fmt.Sprintf("02:1d:00:00:%02x:%02x", i.no, r.Index+1)
}

// Radio returns the radio of a host.
func (i *Island) Radio(h *Host) *Radio { return i.radio[h] }

// MAC is the address by which the mesh knows a host.
func (i *Island) MAC(h *Host) string { return i.StationMAC(i.radio[h]) }

// Host returns the host whose radio has an address, nil if none has.
func (i *Island) Host(mac string) *Host {
	for _, h := range i.hosts {
		if strings.EqualFold(i.MAC(h), mac) {
			return h
		}
	}
	return nil
}

// Link lets two hosts hear each other: loss is that of broadcasts, both ways.
func (i *Island) Link(a, b *Host, loss float64) { i.Air.Link(i.radio[a], i.radio[b], loss, loss) }

// Line links each host to the next.
func (i *Island) Line(loss float64, hosts ...*Host) {
	for k := 1; k < len(hosts); k++ {
		i.Link(hosts[k-1], hosts[k], loss)
	}
}

// Cut ends a link or restores it.
func (i *Island) Cut(a, b *Host, cut bool) { i.Air.CutBoth(i.radio[a], i.radio[b], cut) }

// Best returns the line of a host's table about its best way to another.
func (i *Island) Best(from, to *Host) (BatOriginator, bool) {
	list, _ := from.Originators()
	for _, o := range list {
		if o.Best && o.Orig == i.MAC(to) {
			return o, true
		}
	}
	return BatOriginator{}, false
}

// Knows reports whether a host has a way to another and knows who it is.
func (i *Island) Knows(from, to *Host) bool {
	o, ok := i.Best(from, to)
	return ok && o.Identity == to.IP()
}

// Diamond draws two ways between two hosts, with losses of their own, on an
// island of its own. The hosts must not be equipped yet.
//
//	    ┌── g ──┐
//	a ──┤       ├── b
//	    └── h ──┘
func (i *Island) Diamond(a, b, g, h *Host, lossG, lossH float64) {
	for _, x := range []*Host{a, b, g, h} {
		i.Equip(x)
	}
	i.Line(lossG, a, g, b)
	i.Line(lossH, a, h, b)
}
