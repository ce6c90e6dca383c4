package kernel

import (
	"fmt"
	"net"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// SetupTAP gives the Ethernet device name an address and an MTU and brings it
// up. A zero mac and an mtu of 0 leave what the device has. It can be called
// for a device that is up and in use.
func SetupTAP(name string, mac [6]byte, mtu int) error {
	what := "tap device " + name
	ifi, err := InterfaceByName(name)
	if err != nil {
		return err
	}
	if !ifi.Ethernet {
		return fmt.Errorf("%s: not an Ethernet device", what)
	}
	c, err := dialRoute()
	if err != nil {
		return explain("route netlink", err)
	}
	defer c.Close()
	set := func(a rtnetlink.LinkAttributes, flags uint32) error {
		return c.change(unix.RTM_NEWLINK, 0, &rtnetlink.LinkMessage{
			Family: unix.AF_UNSPEC, Index: uint32(ifi.Index), Flags: flags, Change: flags, Attributes: &a,
		})
	}
	if mac != [6]byte{} && mac != ifi.MAC {
		if err := set(rtnetlink.LinkAttributes{Address: net.HardwareAddr(mac[:])}, 0); err != nil {
			return explain(what+": set the address "+net.HardwareAddr(mac[:]).String(), err)
		}
	}
	if mtu != 0 && mtu != ifi.MTU {
		if err := set(rtnetlink.LinkAttributes{MTU: uint32(mtu)}, 0); err != nil {
			return explain(fmt.Sprintf("%s: set the MTU %d", what, mtu), err)
		}
	}
	if !ifi.Up {
		if err := set(rtnetlink.LinkAttributes{}, unix.IFF_UP); err != nil {
			return explain(what+": bring up", err)
		}
	}
	return nil
}

// SetMTU gives a device an MTU.
func SetMTU(name string, mtu int) error {
	ifi, err := InterfaceByName(name)
	if err != nil {
		return err
	}
	c, err := dialRoute()
	if err != nil {
		return explain("route netlink", err)
	}
	defer c.Close()
	if err := c.change(unix.RTM_NEWLINK, 0, &rtnetlink.LinkMessage{
		Family: unix.AF_UNSPEC, Index: uint32(ifi.Index), Attributes: &rtnetlink.LinkAttributes{MTU: uint32(mtu)},
	}); err != nil {
		return explain(fmt.Sprintf("%s: set the MTU %d", name, mtu), err)
	}
	return nil
}
