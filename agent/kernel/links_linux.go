package kernel

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"golang.org/x/sys/unix"
)

// Interfaces lists the network devices with their addresses.
func Interfaces() (Links, error) {
	c, err := dialRoute()
	if err != nil {
		return nil, explain("route netlink", err)
	}
	defer c.Close()
	return list(c)
}

// InterfaceByName finds one network device.
func InterfaceByName(name string) (Interface, error) {
	l, err := Interfaces()
	if err != nil {
		return Interface{}, err
	}
	i, ok := l.ByName(name)
	if !ok {
		return Interface{}, fmt.Errorf("network device %s: %w", name, unix.ENODEV)
	}
	return i, nil
}

// list asks for links and addresses. The two answers are not of one moment;
// Watch asks again when something changes in between.
func list(c routeConn) (Links, error) {
	var l Links
	err := c.dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, linkMessage(0, 0, 0), func(data []byte) error {
		i, err := parseLink(data)
		if err == nil {
			l = append(l, i)
		}
		return err
	})
	if err != nil {
		return nil, explain("list network devices", err)
	}
	sort.Slice(l, func(i, j int) bool { return l[i].Index < l[j].Index })
	err = c.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, addressMessage(unix.AF_UNSPEC, 0, 0, 0, 0), func(data []byte) error {
		index, a, err := parseAddress(data)
		if err != nil {
			return err
		}
		k := slices.IndexFunc(l, func(i Interface) bool { return i.Index == index })
		if a.Prefix.IsValid() && k >= 0 {
			l[k].Addrs = append(l[k].Addrs, a)
		}
		return nil
	})
	if err != nil {
		return nil, explain("list addresses", err)
	}
	return l, nil
}

// parseLink reads struct ifinfomsg and the attributes behind it.
func parseLink(b []byte) (i Interface, err error) {
	fixed, rest, err := head(b, unix.SizeofIfInfomsg)
	if err != nil {
		return i, err
	}
	flags := fixed[8:].u32()
	i = Interface{
		Index: int(fixed[4:].u32()),
		Up:    flags&unix.IFF_UP != 0, Running: flags&unix.IFF_RUNNING != 0, Loopback: flags&unix.IFF_LOOPBACK != 0,
	}
	parent := 0
	err = attrs(rest, func(typ uint16, v attr) error {
		switch typ {
		case unix.IFLA_IFNAME:
			i.Name = v.text()
		case unix.IFLA_MTU:
			i.MTU = int(v.u32())
		case unix.IFLA_MAX_MTU:
			i.MaxMTU = int(min(v.u32(), 1<<30))
		case unix.IFLA_ADDRESS:
			i.Ethernet = fixed[2:].u16() == unix.ARPHRD_ETHER && len(v) == 6
			if i.Ethernet {
				i.MAC = v.mac()
			}
		case unix.IFLA_MASTER:
			i.Master = int(v.u32())
		case unix.IFLA_LINK:
			parent = int(v.u32())
		case unix.IFLA_LINKINFO:
			return attrs(v, func(typ uint16, v attr) error {
				if typ == unix.IFLA_INFO_KIND {
					i.Kind = v.text()
				}
				return nil
			})
		}
		return nil
	})
	// For a veth this is the other end, whose index may belong to another
	// namespace.
	switch i.Kind {
	case "vlan", "macvlan", "macvtap", "ipvlan", "hsr", "dsa":
		i.Parent = parent
	}
	return i, err
}

// parseAddress reads struct ifaddrmsg and the attributes behind it: an address
// and the device that has it. The prefix is not valid if the address is of
// neither IPv4 nor IPv6.
func parseAddress(b []byte) (index int, a Address, err error) {
	fixed, rest, err := head(b, unix.SizeofIfAddrmsg)
	if err != nil {
		return 0, a, err
	}
	var ip, local netip.Addr
	err = attrs(rest, func(typ uint16, v attr) error {
		switch typ {
		case unix.IFA_ADDRESS:
			ip, _ = netip.AddrFromSlice(v)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(v)
		case unix.IFA_BROADCAST:
			a.Broadcast, _ = netip.AddrFromSlice(v)
		}
		return nil
	})
	if local.IsValid() { // on a point to point link IFA_ADDRESS is the other end
		ip = local
	}
	a.Prefix = netip.PrefixFrom(ip, int(fixed[1]))
	return int(fixed[4:].u32()), a, err
}
