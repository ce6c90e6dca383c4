package kernel

import (
	"fmt"
	"net"

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
	if mac != [6]byte{} && mac != ifi.MAC {
		if err := c.change(unix.RTM_NEWLINK, 0, putAttr(linkMessage(ifi.Index, 0, 0), unix.IFLA_ADDRESS, mac[:])); err != nil {
			return explain(what+": set the address "+net.HardwareAddr(mac[:]).String(), err)
		}
	}
	if mtu != 0 && mtu != ifi.MTU {
		if err := c.setMTU(ifi.Index, mtu, 0); err != nil {
			return explain(fmt.Sprintf("%s: set the MTU %d", what, mtu), err)
		}
	}
	if !ifi.Up {
		if err := c.setUp(ifi.Index, true); err != nil {
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
	if err := c.setMTU(ifi.Index, mtu, 0); err != nil {
		return explain(fmt.Sprintf("%s: set the MTU %d", name, mtu), err)
	}
	return nil
}
