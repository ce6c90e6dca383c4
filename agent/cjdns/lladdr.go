package cjdns

import (
	"encoding/binary"
	"net/netip"
)

// Types in the first byte of Control.LLAddr. The second byte is the length of
// the whole, these two included; the rest of the 32 bytes is zero.
//
//	1   length 8    port 2, IPv4 address 4
//	2   length 20   port 2, IPv6 address 16
//	3   length 32   anything else, opaque
//
// The port is big endian. Source: cjdns wire/Control.h, version 22.
const (
	llAddrUDP4  = 1
	llAddrUDP6  = 2
	llAddrOther = 3
)

// LLAddrUDP returns the field Control.LLAddr for a UDP address. Without an
// address the field says that there is something else.
func LLAddrUDP(a netip.AddrPort) (f [32]byte) {
	ip := a.Addr().Unmap()
	binary.BigEndian.PutUint16(f[2:], a.Port())
	switch {
	case ip.Is4():
		v4 := ip.As4()
		f[0], f[1] = llAddrUDP4, 8
		copy(f[4:], v4[:])
	case ip.Is6():
		v6 := ip.As16()
		f[0], f[1] = llAddrUDP6, 20
		copy(f[4:], v6[:])
	default:
		f = [32]byte{llAddrOther, 32}
	}
	return f
}

// ParseLLAddr returns the UDP address in the field Control.LLAddr. It reports
// false if there is none, or if its length is wrong.
func ParseLLAddr(f [32]byte) (netip.AddrPort, bool) {
	port := binary.BigEndian.Uint16(f[2:])
	switch {
	case f[0] == llAddrUDP4 && f[1] == 8:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(f[4:8])), port), true
	case f[0] == llAddrUDP6 && f[1] == 20:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(f[4:20])), port), true
	}
	return netip.AddrPort{}, false
}
