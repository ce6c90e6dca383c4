package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// routeConn speaks route netlink. Its messages begin with one of four fixed
// structures, and attributes follow. All numbers are in the CPU's order. Source:
// rtnetlink(7), uapi/linux/rtnetlink.h, if_link.h, if_addr.h and neighbour.h.
type routeConn struct{ Conn }

func dialRoute() (routeConn, error) {
	c, err := Dial(unix.NETLINK_ROUTE)
	return routeConn{c}, err
}

// change sends a message and waits until the kernel has done what it says.
func (c routeConn) change(typ netlink.HeaderType, flags netlink.HeaderFlags, data []byte) error {
	_, err := c.request(typ, netlink.Acknowledge|flags, data)
	return err
}

// dump asks for everything of the kind of data and calls each with every answer
// of the type want.
func (c routeConn) dump(typ, want netlink.HeaderType, data []byte, each func(data []byte) error) error {
	answers, err := c.request(typ, netlink.Dump, data)
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

func (c routeConn) request(typ netlink.HeaderType, flags netlink.HeaderFlags, data []byte) ([]netlink.Message, error) {
	return c.Execute(netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request | flags}, Data: data})
}

// setUp brings a device up or down.
func (c routeConn) setUp(index int, up bool) error {
	flags := uint32(0)
	if up {
		flags = unix.IFF_UP
	}
	return c.change(unix.RTM_NEWLINK, 0, linkMessage(index, flags, unix.IFF_UP))
}

// setMTU gives a device an MTU, and turns on those of its flags.
func (c routeConn) setMTU(index, mtu int, flags uint32) error {
	return c.change(unix.RTM_NEWLINK, 0, putU32(linkMessage(index, flags, flags), unix.IFLA_MTU, uint32(mtu)))
}

// linkMessage is struct ifinfomsg: the device index is to have those of the
// flags that are in change.
func linkMessage(index int, flags, change uint32) []byte {
	b := make([]byte, 4, unix.SizeofIfInfomsg) // family and kind of device: any
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, change)
}

// addressMessage is struct ifaddrmsg.
func addressMessage(family, bits, flags, scope uint8, index uint32) []byte {
	return binary.NativeEndian.AppendUint32([]byte{family, bits, flags, scope}, index)
}

// head cuts the fixed structure of n bytes off a message.
func head(b []byte, n int) (fixed, rest attr, err error) {
	if len(b) < n {
		return nil, nil, fmt.Errorf("%w: %d bytes, expected %d at least", errReply, len(b), n)
	}
	return b[:n], b[n:], nil
}
