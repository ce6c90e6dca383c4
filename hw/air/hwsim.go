package air

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The generic netlink family of mac80211_hwsim: commands, attributes and flags
// of drivers/net/wireless/mac80211_hwsim.h. All numbers are in host byte order.
const (
	cmdRegister = 1
	cmdFrame    = 2
	cmdTxInfo   = 3
	cmdNewRadio = 4
	cmdDelRadio = 5
	cmdAddMAC   = 7
	cmdDelMAC   = 8

	attrReceiver    = 1
	attrTransmitter = 2
	attrFrame       = 3
	attrFlags       = 4
	attrRxRate      = 5
	attrSignal      = 6
	attrTxInfo      = 7
	attrCookie      = 8
	attrChannels    = 9
	attrRadioID     = 10
	attrAlpha2      = 11
	attrCustomReg   = 12
	attrStrictReg   = 13
	attrRadioName   = 17
	attrFreq        = 19
	attrTxInfoFlags = 21
	attrPermAddr    = 22
	attrIfTypes     = 23

	flagNoAck = 2
	flagAcked = 4
)

// genlHeader is the length of a generic netlink header: command, version and
// two bytes that are reserved.
const genlHeader = 4

// family is a connection to the family of hwsim. The radios of a family belong
// to the network namespace that it was opened in, wherever their phys go.
type family struct {
	conn *netlink.Conn
	id   uint16

	mu sync.Mutex // sending; receiving is one goroutine's
}

func dialFamily() (*family, error) {
	conn, err := netlink.Dial(unix.NETLINK_GENERIC, nil)
	if err != nil {
		return nil, fmt.Errorf("generic netlink: %w", err)
	}
	f := &family{conn: conn, id: unix.GENL_ID_CTRL}
	msgs, err := f.do(unix.CTRL_CMD_GETFAMILY, 0, func(e *netlink.AttributeEncoder) {
		e.String(unix.CTRL_ATTR_FAMILY_NAME, "MAC80211_HWSIM")
	})
	if err != nil {
		return nil, fmt.Errorf("mac80211_hwsim: %w", err)
	}
	for _, m := range msgs {
		if a, err := attributes(m.Data); err == nil {
			if b := a[unix.CTRL_ATTR_FAMILY_ID]; len(b) == 2 {
				f.id = binary.NativeEndian.Uint16(b)
				return f, nil
			}
		}
	}
	return nil, errors.New("mac80211_hwsim: no family id in the answer")
}

// message encodes a request.
func (f *family) message(cmd uint8, flags netlink.HeaderFlags, body func(*netlink.AttributeEncoder)) (netlink.Message, error) {
	e := netlink.NewAttributeEncoder()
	if body != nil {
		body(e)
	}
	b, err := e.Encode()
	if err != nil {
		return netlink.Message{}, err
	}
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(f.id), Flags: netlink.Request | flags},
		Data:   append([]byte{cmd, 1, 0, 0}, b...),
	}, nil
}

// do sends a request and returns the answer. The kernel's refusal is the
// error.
func (f *family) do(cmd uint8, flags netlink.HeaderFlags, body func(*netlink.AttributeEncoder)) ([]netlink.Message, error) {
	m, err := f.message(cmd, flags, body)
	if err != nil {
		return nil, err
	}
	return f.conn.Execute(m)
}

// send sends a message that is not acknowledged.
func (f *family) send(cmd uint8, body func(*netlink.AttributeEncoder)) error {
	m, err := f.message(cmd, 0, body)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err = f.conn.Send(m)
	return err
}

// attributes reads the attributes behind a generic netlink header.
func attributes(b []byte) (map[uint16][]byte, error) {
	if len(b) < genlHeader {
		return nil, errors.New("short message")
	}
	d, err := netlink.NewAttributeDecoder(b[genlHeader:])
	if err != nil {
		return nil, err
	}
	a := map[uint16][]byte{}
	for d.Next() {
		a[d.Type()] = d.Bytes()
	}
	return a, d.Err()
}

// Interface types, as bits of RadioSpec.IfTypes. Source: enum nl80211_iftype.
const (
	IfAdHoc   = 1 << 1
	IfStation = 1 << 2
	IfAP      = 1 << 3
	IfMesh    = 1 << 7
)

// RadioSpec is what a simulated radio can do.
type RadioSpec struct {
	Name     string  // of the phy
	MAC      [6]byte // of its first interface, and its name on the medium
	IfTypes  uint32  // interface types, or 0: all
	Channels int     // how many at the same time; 0: one

	// Regulatory rules: a country that the driver asks for, one of the two
	// custom rules that hwsim knows (1 and 2; 0: none), and whether nothing
	// may widen them.
	Country string
	Custom  int
	Strict  bool
}

// create makes a radio, with one interface, in the first namespace.
func (f *family) create(s RadioSpec) error {
	_, err := f.do(cmdNewRadio, netlink.Acknowledge, func(e *netlink.AttributeEncoder) {
		e.String(attrRadioName, s.Name)
		e.Bytes(attrPermAddr, s.MAC[:])
		if s.IfTypes != 0 {
			e.Uint32(attrIfTypes, s.IfTypes)
		}
		if s.Channels != 0 {
			e.Uint32(attrChannels, uint32(s.Channels))
		}
		if s.Country != "" {
			e.String(attrAlpha2, s.Country)
		}
		if s.Custom > 0 {
			e.Uint32(attrCustomReg, uint32(s.Custom-1))
		}
		if s.Strict {
			e.Flag(attrStrictReg, true)
		}
	})
	// The answer is the number of the radio, where others have the error: the
	// library takes the positive number for an error of the kernel's.
	var op *netlink.OpError
	if errors.As(err, &op) {
		if no, ok := op.Err.(unix.Errno); ok && int32(no) < 0 { //nolint:errorlint // OpError holds the bare number
			err = nil
		}
	}
	return err
}

// destroy takes a radio away, as a stick that is pulled out.
func (f *family) destroy(name string) error {
	_, err := f.do(cmdDelRadio, netlink.Acknowledge, func(e *netlink.AttributeEncoder) { e.String(attrRadioName, name) })
	return err
}
