package pkt

import (
	"fmt"
	"net/netip"
)

// AddrKind says what an Addr holds.
type AddrKind uint8

// Kinds of link-layer addresses.
const (
	AddrNone AddrKind = iota
	AddrUDP4          // IPv4 address and UDP port
	AddrUDP6          // IPv6 address, zone and UDP port
	AddrMAC           // Ethernet address, in the first six bytes
)

// Addr is a neighbour's address on a link, what cjdns calls lladdr. It is
// comparable and holds no pointer, so it is a map key that costs nothing.
type Addr struct {
	IP   [16]byte // IPv4 and MAC use the first bytes, the rest is zero
	Zone uint32   // interface index of a link-local IPv6 address, else 0
	Port uint16
	Kind AddrKind
}

// UDPAddr returns the Addr of ap. IPv4-mapped addresses become IPv4. The zone
// must be given as an interface index, 0 if none.
func UDPAddr(ap netip.AddrPort, zone uint32) Addr {
	ip := ap.Addr().Unmap()
	a := Addr{Port: ap.Port(), Kind: AddrUDP6, Zone: zone}
	if ip.Is4() {
		v4 := ip.As4()
		copy(a.IP[:], v4[:])
		a.Kind, a.Zone = AddrUDP4, 0
		return a
	}
	a.IP = ip.As16()
	return a
}

// MACAddr returns the Addr of an Ethernet address.
func MACAddr(m [6]byte) Addr {
	a := Addr{Kind: AddrMAC}
	copy(a.IP[:], m[:])
	return a
}

// MAC returns the Ethernet address in a; zero for other kinds.
func (a Addr) MAC() (m [6]byte) {
	if a.Kind == AddrMAC {
		copy(m[:], a.IP[:6])
	}
	return m
}

// AddrPort returns the IP address and port in a; the zero AddrPort for other
// kinds. The zone is lost.
func (a Addr) AddrPort() netip.AddrPort {
	switch a.Kind {
	case AddrUDP4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a.IP[:4])), a.Port)
	case AddrUDP6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.IP), a.Port)
	default:
		return netip.AddrPort{}
	}
}

// IsBroadcast reports whether a is the Ethernet broadcast address.
func (a Addr) IsBroadcast() bool {
	return a.MAC() == [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
}

// String prints a as cjdns prints an lladdr: ip:port, [ip6]:port or a MAC.
func (a Addr) String() string {
	switch a.Kind {
	case AddrUDP4:
		return a.AddrPort().String()
	case AddrUDP6:
		if a.Zone != 0 {
			return fmt.Sprintf("[%s%%%d]:%d", netip.AddrFrom16(a.IP), a.Zone, a.Port)
		}
		return a.AddrPort().String()
	case AddrMAC:
		m := a.MAC()
		return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
	default:
		return "none"
	}
}
