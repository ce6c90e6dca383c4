package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// genlConn speaks with one family of generic netlink. The messages that we
// need are so few that a library for them would only be in the way.
//
// A message is a netlink message whose data begins with struct genlmsghdr:
// command, version and two reserved bytes. Source: uapi/linux/genetlink.h.
type genlConn struct {
	Conn
	family uint16
	groups map[string]uint32 // numbers of the multicast groups
}

const genlHeader = 4

// dialGenl opens a connection to the family with that name. The error is
// unix.ENOENT if the kernel does not have it.
func dialGenl(name string) (*genlConn, error) {
	nc, err := Dial(unix.NETLINK_GENERIC)
	if err != nil {
		return nil, err
	}
	_ = nc.SetOption(netlink.ExtendedAcknowledge, true) // for better errors; old kernels cannot
	c := &genlConn{Conn: nc, family: unix.GENL_ID_CTRL}
	answers, err := c.request(unix.CTRL_CMD_GETFAMILY, 0, putString(nil, unix.CTRL_ATTR_FAMILY_NAME, name))
	if err == nil && len(answers) != 1 {
		err = errReply
	}
	if err == nil {
		err = c.learn(answers[0])
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

var errReply = errors.New("the kernel's reply makes no sense")

// learn takes the description of a family.
func (c *genlConn) learn(b []byte) error {
	c.groups = map[string]uint32{}
	err := attrs(b, func(typ uint16, v attr) error {
		switch typ {
		case unix.CTRL_ATTR_FAMILY_ID:
			c.family = v.u16()
		case unix.CTRL_ATTR_MCAST_GROUPS:
			return attrs(v, func(_ uint16, v attr) error {
				var name string
				var id uint32
				err := attrs(v, func(typ uint16, v attr) error {
					switch typ {
					case unix.CTRL_ATTR_MCAST_GRP_NAME:
						name = v.text()
					case unix.CTRL_ATTR_MCAST_GRP_ID:
						id = v.u32()
					}
					return nil
				})
				c.groups[name] = id
				return err
			})
		}
		return nil
	})
	if err == nil && c.family <= unix.GENL_ID_CTRL {
		err = errReply
	}
	return err
}

// request sends a command and returns the attributes of the answers. flags are
// netlink.Dump, netlink.Acknowledge for a command without an answer, or 0 for
// one that has a single answer.
func (c *genlConn) request(cmd uint8, flags netlink.HeaderFlags, args []byte) ([][]byte, error) {
	m := netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(c.family), Flags: netlink.Request | flags},
		Data:   append([]byte{cmd, 1, 0, 0}, args...),
	}
	answers, err := c.Execute(m)
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for _, a := range answers {
		if a.Header.Type != m.Header.Type {
			continue // the acknowledgement
		}
		if len(a.Data) < genlHeader {
			return nil, errReply
		}
		list = append(list, a.Data[genlHeader:])
	}
	return list, nil
}

// attr is the value of an attribute. A number that is too short reads as 0.
type attr []byte

func (a attr) u8() uint8 {
	if len(a) < 1 {
		return 0
	}
	return a[0]
}

func (a attr) u16() uint16 {
	if len(a) < 2 {
		return 0
	}
	return binary.NativeEndian.Uint16(a)
}

func (a attr) u32() uint32 {
	if len(a) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(a)
}

func (a attr) u64() uint64 {
	if len(a) < 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(a)
}

// text is a string without its final zero.
func (a attr) text() string {
	for i, c := range a {
		if c == 0 {
			return string(a[:i])
		}
	}
	return string(a)
}

// mac is an Ethernet address; zero if it is none.
func (a attr) mac() (m [6]byte) {
	if len(a) == len(m) {
		copy(m[:], a)
	}
	return m
}

const attrHeader = 4

// attrs calls each with the attributes in b, in order. Source:
// uapi/linux/netlink.h, struct nlattr: length with header, type, both in the
// machine's byte order; values are padded to 4 bytes.
func attrs(b []byte, each func(typ uint16, v attr) error) error {
	for len(b) >= attrHeader {
		n := int(binary.NativeEndian.Uint16(b))
		if n < attrHeader || n > len(b) {
			return fmt.Errorf("%w: attribute of %d bytes in %d", errReply, n, len(b))
		}
		typ := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if err := each(typ, b[attrHeader:n]); err != nil {
			return err
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	return nil
}

func putAttr(b []byte, typ uint16, v []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrHeader+len(v)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func putU8(b []byte, typ uint16, v uint8) []byte { return putAttr(b, typ, []byte{v}) }

func putU32(b []byte, typ uint16, v uint32) []byte {
	return putAttr(b, typ, binary.NativeEndian.AppendUint32(nil, v))
}

// putString adds a string with its final zero.
func putString(b []byte, typ uint16, s string) []byte { return putAttr(b, typ, append([]byte(s), 0)) }

func putNested(b []byte, typ uint16, v []byte) []byte { return putAttr(b, typ|unix.NLA_F_NESTED, v) }
