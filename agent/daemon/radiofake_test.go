package daemon

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/kernel"
)

// fakeAir is a kernel with radios, behind netlink. A mesh point or a cell is
// joined as soon as it is asked for.
type fakeAir struct {
	t       *testing.T
	phys    []fakeRadio
	ifs     []*fakeIface
	next    int // index of the next interface
	rfkill  bool
	busy    bool // interfaces cannot be brought up
	fwd     bool // mesh points forward
	noRadio bool // no nl80211
	several bool // a radio may have three mesh points
	did     []string
	// stations are those of all interfaces, and whether they may send data.
	stations map[[6]byte]bool
}

type fakeRadio struct {
	name string
	can  kernel.IfTypes
	// mac is the address of new interfaces.
	mac [6]byte
}

type fakeIface struct {
	kernel.WifiIface
	up bool
}

const fakeFamily = 0x1c

// install makes all netlink sockets those of the fake.
func (k *fakeAir) install() {
	old := kernel.Dial
	kernel.Dial = func(family int) (kernel.Conn, error) {
		if family == unix.NETLINK_ROUTE {
			return nltest.Dial(k.route), nil
		}
		return nltest.Dial(k.generic), nil
	}
	k.t.Cleanup(func() { kernel.Dial = old })
	k.next = 10
}

func (k *fakeAir) add(name string, phy int, t kernel.IfType, up bool) *fakeIface {
	f := &fakeIface{kernel.WifiIface{Name: name, Index: k.next, Phy: phy, MAC: k.phys[phy].mac, Type: t}, up}
	k.next++
	k.ifs = append(k.ifs, f)
	return f
}

func (k *fakeAir) byName(name string) *fakeIface {
	for _, f := range k.ifs {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// links are the devices as the supervisor sees them.
func (k *fakeAir) links() kernel.Links {
	l, err := kernel.Interfaces()
	if err != nil {
		k.t.Fatal(err)
	}
	return l
}

func (k *fakeAir) route(reqs []netlink.Message) ([]netlink.Message, error) {
	req := reqs[0]
	switch req.Header.Type {
	case unix.RTM_GETLINK:
		var out []netlink.Message
		for _, f := range k.ifs {
			m := rtnetlink.LinkMessage{Type: unix.ARPHRD_ETHER, Index: uint32(f.Index), Attributes: &rtnetlink.LinkAttributes{ //nolint:gosec // small
				Name: f.Name, Address: net.HardwareAddr(f.MAC[:]), Broadcast: make([]byte, 6), MTU: 1500,
			}}
			if f.up {
				m.Flags = unix.IFF_UP
			}
			b, err := m.MarshalBinary()
			if err != nil {
				k.t.Fatal(err)
			}
			out = append(out, netlink.Message{Header: netlink.Header{Type: unix.RTM_NEWLINK, Sequence: req.Header.Sequence, PID: nltest.PID}, Data: b})
		}
		return dump(req, out)
	case unix.RTM_NEWLINK:
		var m rtnetlink.LinkMessage
		if err := m.UnmarshalBinary(req.Data); err != nil {
			k.t.Fatal(err)
		}
		for _, f := range k.ifs {
			if f.Index != int(m.Index) {
				continue
			}
			f.up = m.Flags&unix.IFF_UP != 0
			switch {
			case f.up && k.rfkill:
				f.up = false
				return refuse(reqs, unix.ERFKILL)
			case f.up && k.busy:
				f.up = false
				return refuse(reqs, unix.EBUSY)
			case !f.up:
				f.MHz, f.SSID = 0, ""
			}
		}
		return refuse(reqs, 0)
	}
	return dump(req, nil)
}

func refuse(reqs []netlink.Message, e unix.Errno) ([]netlink.Message, error) {
	reqs[0].Header.Flags = 0
	return nltest.Error(int(e), reqs)
}

func dump(req netlink.Message, out []netlink.Message) ([]netlink.Message, error) {
	if len(out) == 0 {
		return nil, io.EOF
	}
	return nltest.Multipart(append(out, netlink.Message{Header: netlink.Header{Sequence: req.Header.Sequence, PID: nltest.PID}, Data: make([]byte, 4)}))
}

func u32(n int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) } //nolint:gosec // small

func pack(list ...netlink.Attribute) []byte { return nltest.MustMarshalAttributes(list) }

func at(typ uint16, b []byte) netlink.Attribute { return netlink.Attribute{Type: typ, Data: b} }

func flags(set kernel.IfTypes) []byte {
	var list []netlink.Attribute
	for t := range uint16(32) {
		if set&(1<<t) != 0 {
			list = append(list, at(t, nil))
		}
	}
	return pack(list...)
}

// describe is what GET_WIPHY says: channels 1 and 6, and that an access point
// and a client may run beside any one other interface; or several mesh points.
func (r fakeRadio) describe(index int, several bool) []byte {
	channel := func(mhz int) []byte { return pack(at(unix.NL80211_FREQUENCY_ATTR_FREQ, u32(mhz))) }
	freqs := pack(at(1, channel(2412)), at(2, channel(2437)))
	limit := func(i uint16, set kernel.IfTypes) netlink.Attribute {
		most := 1
		if several && set.Has(mp) {
			most = 3
		}
		return at(i, pack(at(unix.NL80211_IFACE_LIMIT_MAX, u32(most)), at(unix.NL80211_IFACE_LIMIT_TYPES, flags(set))))
	}
	comb := pack(at(unix.NL80211_IFACE_COMB_MAXNUM, u32(3)), at(unix.NL80211_IFACE_COMB_NUM_CHANNELS, u32(1)),
		at(unix.NL80211_IFACE_COMB_LIMITS, pack(limit(1, types(ap)), limit(2, types(sta)), limit(3, types(mp, adhoc)))))
	return pack(
		at(unix.NL80211_ATTR_WIPHY, u32(index)), at(unix.NL80211_ATTR_WIPHY_NAME, append([]byte(r.name), 0)),
		at(unix.NL80211_ATTR_SUPPORTED_IFTYPES, flags(r.can)),
		at(unix.NL80211_ATTR_WIPHY_BANDS, pack(at(0, pack(at(unix.NL80211_BAND_ATTR_FREQS, freqs), at(unix.NL80211_BAND_ATTR_HT_CAPA, []byte{2, 0}))))),
		at(unix.NL80211_ATTR_INTERFACE_COMBINATIONS, pack(at(1, comb))),
	)
}

func (f *fakeIface) describe() []byte {
	list := []netlink.Attribute{
		at(unix.NL80211_ATTR_IFINDEX, u32(f.Index)), at(unix.NL80211_ATTR_IFNAME, append([]byte(f.Name), 0)), at(unix.NL80211_ATTR_WIPHY, u32(f.Phy)),
		at(unix.NL80211_ATTR_IFTYPE, u32(int(f.Type))), at(unix.NL80211_ATTR_MAC, f.MAC[:]),
	}
	if f.SSID != "" {
		list = append(list, at(unix.NL80211_ATTR_SSID, []byte(f.SSID)))
	}
	if f.MHz != 0 {
		list = append(list, at(unix.NL80211_ATTR_WIPHY_FREQ, u32(f.MHz)))
	}
	return pack(list...)
}

func (k *fakeAir) generic(reqs []netlink.Message) ([]netlink.Message, error) {
	req := reqs[0]
	cmd, args := req.Data[0], map[uint16][]byte{}
	msg := func(b []byte) netlink.Message {
		return netlink.Message{Header: netlink.Header{Type: req.Header.Type, Sequence: req.Header.Sequence, PID: nltest.PID}, Data: append([]byte{cmd, 1, 0, 0}, b...)}
	}
	if req.Header.Type == unix.GENL_ID_CTRL {
		if k.noRadio {
			return refuse(reqs, unix.ENOENT)
		}
		return []netlink.Message{msg(pack(at(unix.CTRL_ATTR_FAMILY_ID, binary.NativeEndian.AppendUint16(nil, fakeFamily))))}, nil
	}
	ad, err := netlink.NewAttributeDecoder(req.Data[4:])
	if err != nil {
		k.t.Fatal(err)
	}
	for ad.Next() {
		args[ad.Type()] = ad.Bytes()
	}
	number := func(typ uint16) int {
		if len(args[typ]) < 4 {
			return 0
		}
		return int(binary.NativeEndian.Uint32(args[typ]))
	}
	var out []netlink.Message
	switch cmd {
	case unix.NL80211_CMD_GET_WIPHY:
		for i, r := range k.phys {
			out = append(out, msg(r.describe(i, k.several)))
		}
		return dump(req, out)
	case unix.NL80211_CMD_GET_INTERFACE:
		for _, f := range k.ifs {
			out = append(out, msg(f.describe()))
		}
		return dump(req, out)
	case unix.NL80211_CMD_NEW_INTERFACE:
		name := string(args[unix.NL80211_ATTR_IFNAME][:len(args[unix.NL80211_ATTR_IFNAME])-1])
		k.did = append(k.did, "new "+name)
		f := k.add(name, number(unix.NL80211_ATTR_WIPHY), kernel.IfType(number(unix.NL80211_ATTR_IFTYPE)), false) //nolint:gosec // small
		copy(f.MAC[:], args[unix.NL80211_ATTR_MAC])
		return []netlink.Message{msg(f.describe())}, nil
	}
	i := slices.IndexFunc(k.ifs, func(f *fakeIface) bool { return f.Index == number(unix.NL80211_ATTR_IFINDEX) })
	if i < 0 {
		return refuse(reqs, unix.ENODEV)
	}
	return k.change(reqs, i, cmd, args, number, msg)
}

// change carries out a command on interface i.
func (k *fakeAir) change(reqs []netlink.Message, i int, cmd uint8, args map[uint16][]byte, number func(uint16) int, msg func([]byte) netlink.Message) ([]netlink.Message, error) {
	f := k.ifs[i]
	did := func(what string) ([]netlink.Message, error) {
		k.did = append(k.did, what+" "+f.Name)
		return refuse(reqs, 0)
	}
	switch cmd {
	case unix.NL80211_CMD_DEL_INTERFACE:
		k.ifs = slices.Delete(k.ifs, i, i+1)
		return did("del")
	case unix.NL80211_CMD_SET_INTERFACE:
		if f.up {
			return refuse(reqs, unix.EBUSY)
		}
		f.Type = kernel.IfType(number(unix.NL80211_ATTR_IFTYPE)) //nolint:gosec // small
		return did("type " + f.Type.String())
	case unix.NL80211_CMD_JOIN_MESH, unix.NL80211_CMD_JOIN_IBSS:
		switch {
		case !f.up:
			return refuse(reqs, unix.ENETDOWN)
		case f.MHz != 0:
			return refuse(reqs, unix.EALREADY)
		}
		f.MHz, f.SSID = number(unix.NL80211_ATTR_WIPHY_FREQ), string(args[unix.NL80211_ATTR_SSID])
		return did("join " + string(args[unix.NL80211_ATTR_MESH_ID]) + f.SSID)
	case unix.NL80211_CMD_LEAVE_MESH, unix.NL80211_CMD_LEAVE_IBSS:
		f.MHz, f.SSID = 0, ""
		return did("leave")
	case unix.NL80211_CMD_GET_MESH_CONFIG:
		fwd := []byte{0}
		if k.fwd {
			fwd[0] = 1
		}
		return []netlink.Message{msg(pack(at(unix.NL80211_ATTR_MESH_CONFIG, pack(at(unix.NL80211_MESHCONF_FORWARDING, fwd)))))}, nil
	case unix.NL80211_CMD_GET_STATION:
		mac := args[unix.NL80211_ATTR_MAC]
		may, ok := k.stations[[6]byte(mac)]
		if !ok {
			return refuse(reqs, unix.ENOENT)
		}
		bits := u32(1 << unix.NL80211_STA_FLAG_AUTHORIZED)
		set := u32(0)
		if may {
			set = bits
		}
		return []netlink.Message{msg(pack(at(unix.NL80211_ATTR_MAC, mac), at(unix.NL80211_ATTR_STA_INFO, pack(at(unix.NL80211_STA_INFO_STA_FLAGS, append(bits, set...))))))}, nil
	}
	k.t.Errorf("command %d", cmd)
	return refuse(reqs, unix.EOPNOTSUPP)
}
