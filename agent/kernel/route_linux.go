package kernel

import (
	"encoding"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// routeConn speaks route netlink with the messages of rtnetlink. That library's
// own Conn would do as well, but it keeps the readers and writers of all its
// messages in the program.
type routeConn struct{ *netlink.Conn }

func dialRoute() (routeConn, error) {
	c, err := Dial(unix.NETLINK_ROUTE, nil)
	return routeConn{c}, err
}

// change sends m and waits until the kernel has done what it says.
func (c routeConn) change(typ netlink.HeaderType, flags netlink.HeaderFlags, m encoding.BinaryMarshaler) error {
	_, err := c.request(typ, netlink.Acknowledge|flags, m)
	return err
}

// dump asks for everything of the kind of m and calls each with every answer
// of the type want.
func (c routeConn) dump(typ, want netlink.HeaderType, m encoding.BinaryMarshaler, each func(data []byte) error) error {
	answers, err := c.request(typ, netlink.Dump, m)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.Header.Type != want {
			continue
		}
		if err := each(a.Data); err != nil {
			return err
		}
	}
	return nil
}

func (c routeConn) request(typ netlink.HeaderType, flags netlink.HeaderFlags, m encoding.BinaryMarshaler) ([]netlink.Message, error) {
	data, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return c.Execute(netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request | flags}, Data: data})
}

// setUp brings a device up or down.
func (c routeConn) setUp(index int, up bool) error {
	flags := uint32(0)
	if up {
		flags = unix.IFF_UP
	}
	return c.change(unix.RTM_NEWLINK, 0, &rtnetlink.LinkMessage{
		Family: unix.AF_UNSPEC, Index: uint32(index), Flags: flags, Change: unix.IFF_UP, Attributes: &rtnetlink.LinkAttributes{},
	})
}
