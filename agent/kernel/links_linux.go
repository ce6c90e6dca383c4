package kernel

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
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
	err := c.dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, &rtnetlink.LinkMessage{}, func(data []byte) error {
		var m rtnetlink.LinkMessage
		err := m.UnmarshalBinary(data)
		if err == nil && m.Attributes != nil {
			i := fromLink(m)
			i.MaxMTU = maxMTU(data)
			l = append(l, i)
		}
		return err
	})
	if err != nil {
		return nil, explain("list network devices", err)
	}
	sort.Slice(l, func(i, j int) bool { return l[i].Index < l[j].Index })
	err = c.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, &rtnetlink.AddressMessage{}, func(data []byte) error {
		var m rtnetlink.AddressMessage
		err := m.UnmarshalBinary(data)
		if err != nil {
			return err
		}
		a, ok := fromAddress(m)
		k := slices.IndexFunc(l, func(i Interface) bool { return i.Index == int(m.Index) })
		if ok && k >= 0 {
			l[k].Addrs = append(l[k].Addrs, a)
		}
		return nil
	})
	if err != nil {
		return nil, explain("list addresses", err)
	}
	return l, nil
}

func fromLink(m rtnetlink.LinkMessage) Interface {
	a := m.Attributes
	i := Interface{
		Name: a.Name, Index: int(m.Index), MTU: int(a.MTU),
		Ethernet: m.Type == unix.ARPHRD_ETHER && len(a.Address) == 6,
		Up:       m.Flags&unix.IFF_UP != 0, Running: m.Flags&unix.IFF_RUNNING != 0,
		Loopback: m.Flags&unix.IFF_LOOPBACK != 0,
	}
	if i.Ethernet {
		i.MAC = [6]byte(a.Address)
	}
	if a.Info != nil {
		i.Kind = a.Info.Kind
	}
	if a.Master != nil {
		i.Master = int(*a.Master)
	}
	// The library calls IFLA_LINK "Type". For a veth it is the other end,
	// whose index may belong to another namespace.
	switch i.Kind {
	case "vlan", "macvlan", "macvtap", "ipvlan", "hsr", "dsa":
		i.Parent = int(a.Type)
	}
	return i
}

// maxMTU reads IFLA_MAX_MTU, which the library leaves out; 0 if it is not there.
func maxMTU(link []byte) (mtu int) {
	const header = unix.SizeofIfInfomsg
	if len(link) < header {
		return 0
	}
	ad, err := netlink.NewAttributeDecoder(link[header:])
	if err != nil {
		return 0
	}
	for ad.Next() {
		if ad.Type() == unix.IFLA_MAX_MTU && len(ad.Bytes()) == 4 {
			mtu = int(min(ad.Uint32(), 1<<30))
		}
	}
	return mtu
}

func fromAddress(m rtnetlink.AddressMessage) (a Address, ok bool) {
	if m.Attributes == nil {
		return a, false
	}
	// On a point to point link IFA_ADDRESS is the other end.
	ip := m.Attributes.Address
	if m.Attributes.Local != nil {
		ip = m.Attributes.Local
	}
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return a, false
	}
	a.Prefix = netip.PrefixFrom(addr, int(m.PrefixLength))
	if b, ok := netip.AddrFromSlice(m.Attributes.Broadcast); ok {
		a.Broadcast = b
	}
	return a, a.Prefix.IsValid()
}
