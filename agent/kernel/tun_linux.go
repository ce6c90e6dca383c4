package kernel

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// overlay is the prefix of all overlay addresses; addresses outside are never
// routed into the TUN device.
var overlay = netip.MustParsePrefix("fc00::/8")

// TUNSetup is what SetupTUN did to a device.
type TUNSetup struct {
	name  string
	index uint32
	addr  netip.Prefix
}

// SetupTUN gives the device name the address addr, the MTU and the route
// fc00::/8, and brings it up. addr lies in fc00::/8; its prefix length is 8,
// like that of cjdns, or 128. Calling it for a device that has all that, one
// that outlived the last run, changes nothing. Other overlay addresses on the
// device are those of an earlier identity and are removed.
//
// Duplicate address detection is off: nobody else can own the address, and
// waiting for it would make the address unusable for a second. So are router
// discovery and the device's link-local address, which would only send
// packets into an overlay that drops them.
func SetupTUN(name string, addr netip.Prefix, mtu int) (*TUNSetup, error) {
	what := "tun device " + name
	if !addr.IsValid() || !addr.Addr().Is6() || !overlay.Contains(addr.Addr()) {
		return nil, fmt.Errorf("%s: address %v is not in %v", what, addr, overlay)
	}
	if bits := addr.Bits(); bits != 8 && bits != 128 {
		return nil, fmt.Errorf("%s: prefix length of %v is not 8 or 128", what, addr)
	}
	if mtu < 1280 || mtu > 65535 {
		return nil, fmt.Errorf("%s: mtu %d is not between 1280 (the least for IPv6) and 65535", what, mtu)
	}
	ifi, err := InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	if err := enableIPv6(name); err != nil {
		return nil, err
	}
	for _, s := range [...]struct{ key, value string }{{"addr_gen_mode", "1"}, {"accept_ra", "0"}, {"autoconf", "0"}} {
		_ = setSysctl(s.value, "net", "ipv6", "conf", name, s.key) // a courtesy; older kernels lack the first
	}
	c, err := dialRoute()
	if err != nil {
		return nil, explain("route netlink", err)
	}
	defer c.Close()
	s := &TUNSetup{name: name, index: uint32(ifi.Index), addr: addr}
	if err := c.setMTU(ifi.Index, mtu, unix.IFF_UP); err != nil {
		return nil, explain(what+": set mtu and bring up", err)
	}
	for _, a := range ifi.Addrs {
		if overlay.Contains(a.Prefix.Addr()) && a.Prefix != addr {
			if err := c.change(unix.RTM_DELADDR, 0, s.address(a.Prefix)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return nil, explain(what+": remove old address "+a.Prefix.String(), err)
			}
		}
	}
	if err := c.change(unix.RTM_NEWADDR, netlink.Create|netlink.Excl, s.address(addr)); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, explain(what+": add address "+addr.String(), err)
	}
	if err := c.change(unix.RTM_NEWROUTE, netlink.Create|netlink.Replace, s.route()); err != nil {
		return nil, explain(what+": add route "+overlay.String(), err)
	}
	return s, nil
}

func (s *TUNSetup) address(p netip.Prefix) []byte {
	ip := p.Addr().AsSlice()
	b := addressMessage(unix.AF_INET6, uint8(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE, s.index)
	b = putAttr(b, unix.IFA_ADDRESS, ip)
	b = putAttr(b, unix.IFA_LOCAL, ip)
	return putU32(b, unix.IFA_FLAGS, unix.IFA_F_NODAD)
}

// route is the one that the kernel itself makes for an address with /8, so
// adding it to such an address changes nothing. It begins with struct rtmsg.
func (s *TUNSetup) route() []byte {
	b := []byte{
		unix.AF_INET6, uint8(overlay.Bits()), 0, 0,
		unix.RT_TABLE_MAIN, unix.RTPROT_KERNEL, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST,
		0, 0, 0, 0, // no flags
	}
	b = putAttr(b, unix.RTA_DST, overlay.Addr().AsSlice())
	b = putU32(b, unix.RTA_OIF, s.index)
	return putU32(b, unix.RTA_PRIORITY, 256)
}

// Close removes the address and the route again. It is needed for a device
// that stays; if the device is gone there is nothing to do and no error.
func (s *TUNSetup) Close() error {
	c, err := dialRoute()
	if err != nil {
		return explain("route netlink", err)
	}
	defer c.Close()
	gone := func(err error) bool {
		return err == nil || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EADDRNOTAVAIL)
	}
	if err := c.change(unix.RTM_DELROUTE, 0, s.route()); !gone(err) {
		return explain("tun device "+s.name+": remove route", err)
	}
	if err := c.change(unix.RTM_DELADDR, 0, s.address(s.addr)); !gone(err) {
		return explain("tun device "+s.name+": remove address", err)
	}
	return nil
}
