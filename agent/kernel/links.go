package kernel

import (
	"net/netip"
	"slices"
)

// Interface is one network device, as of the moment it was asked for.
type Interface struct {
	Name  string
	Index int
	MTU   int
	// MaxMTU is the largest that the driver allows; 0 if it does not say.
	MaxMTU int
	// Kind is the driver's word for a virtual device ("bridge", "tun",
	// "veth", "vlan", "batadv", "wireguard"); "" for a real one.
	Kind string
	// MAC is the Ethernet address; all zero if it has none.
	MAC [6]byte
	// Ethernet says that it carries Ethernet frames. Wi-Fi does, a TUN device
	// and the loopback do not.
	Ethernet bool
	// Up is the administrator's wish, Running says that there is a carrier.
	Up, Running bool
	Loopback    bool
	// Master is the index of the bridge or bond it is a port of, 0 if none.
	Master int
	// Parent is the index of the device under a VLAN or macvlan, 0 if none.
	Parent int
	Addrs  []Address
}

// Address is one address of an Interface.
type Address struct {
	Prefix netip.Prefix // address and prefix length
	// Broadcast is the IPv4 broadcast address, the zero Addr if there is none.
	Broadcast netip.Addr
}

// equal compares everything.
func (i Interface) equal(j Interface) bool {
	return i.Name == j.Name && i.Index == j.Index && i.MTU == j.MTU && i.MaxMTU == j.MaxMTU && i.Kind == j.Kind && i.MAC == j.MAC &&
		i.Ethernet == j.Ethernet && i.Up == j.Up && i.Running == j.Running && i.Loopback == j.Loopback &&
		i.Master == j.Master && i.Parent == j.Parent && slices.Equal(i.Addrs, j.Addrs)
}

// Links is all network devices at one moment, in order of their index.
type Links []Interface

// ByName finds a device by its name.
func (l Links) ByName(name string) (Interface, bool) {
	return l.find(func(i Interface) bool { return i.Name == name })
}

// ByIndex finds a device by its index.
func (l Links) ByIndex(index int) (Interface, bool) {
	return l.find(func(i Interface) bool { return i.Index == index })
}

func (l Links) find(f func(Interface) bool) (Interface, bool) {
	if k := slices.IndexFunc(l, f); k >= 0 {
		return l[k], true
	}
	return Interface{}, false
}

// IsOwn reports whether the device name is one of own (our TUN and TAP
// devices), a bridge or bond that has one of them as a port, or a VLAN or
// macvlan on top of any of these, at any depth. The agent must not use such a
// device as a link: it would peer with itself through itself.
func (l Links) IsOwn(name string, own ...string) bool {
	d, ok := l.ByName(name)
	if !ok {
		return slices.Contains(own, name)
	}
	return l.isOwn(d, own, len(l))
}

// isOwn follows ports and parents; depth ends it should the kernel's answer,
// put together from several messages, contain a circle.
func (l Links) isOwn(d Interface, own []string, depth int) bool {
	if slices.Contains(own, d.Name) {
		return true
	}
	if depth == 0 {
		return false
	}
	for _, p := range l {
		under := p.Master == d.Index || (d.Parent != 0 && p.Index == d.Parent)
		if under && p.Index != d.Index && l.isOwn(p, own, depth-1) {
			return true
		}
	}
	return false
}

// Broadcasts returns the broadcast addresses of the device's IPv4 addresses,
// each once: where a UDP beacon goes. An address without one, as on a point to
// point link or a /31, gives nothing.
func (i Interface) Broadcasts() []netip.Addr {
	var out []netip.Addr
	for _, a := range i.Addrs {
		b := a.Broadcast
		if !b.IsValid() {
			b = broadcastOf(a.Prefix)
		}
		if b.IsValid() && !b.IsUnspecified() && !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}

// broadcastOf returns the last address of an IPv4 prefix that is large enough
// to have a broadcast address (RFC 3021), else the zero Addr.
func broadcastOf(p netip.Prefix) netip.Addr {
	if !p.IsValid() || !p.Addr().Is4() || p.Bits() > 30 || p.Addr().IsLoopback() {
		return netip.Addr{}
	}
	a := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(a)
}

// Bridge returns the bridge or other master that the device name is a port
// of.
func (l Links) Bridge(name string) (Interface, bool) {
	d, ok := l.ByName(name)
	if !ok || d.Master == 0 {
		return Interface{}, false
	}
	return l.ByIndex(d.Master)
}

// Ports returns the devices whose master is the device with that index.
func (l Links) Ports(master int) (ports []Interface) {
	for _, i := range l {
		if i.Master == master && master != 0 {
			ports = append(ports, i)
		}
	}
	return ports
}

// Stacked reports whether another device lies on top of the device name: a
// VLAN, a macvlan, or a bridge that it is a port of.
func (l Links) Stacked(name string) bool {
	d, ok := l.ByName(name)
	return ok && (d.Master != 0 || slices.ContainsFunc(l, func(i Interface) bool { return i.Parent == d.Index }))
}
