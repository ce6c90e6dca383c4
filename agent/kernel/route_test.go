package kernel

import (
	"encoding"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// marshal is a message as the library writes it.
func marshal(t testing.TB, m encoding.BinaryMarshaler) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRouteMessages compares our messages with the library's.
func TestRouteMessages(t *testing.T) {
	s := &TUNSetup{index: 7, addr: netip.MustParsePrefix("fc01::1/8")}
	ip := net.IP(s.addr.Addr().AsSlice())
	mac := [6]byte{2, 0, 0, 0, 0, 5}
	for _, c := range []struct {
		name string
		got  []byte
		want encoding.BinaryMarshaler
	}{
		{"list of links", linkMessage(0, 0, 0), &rtnetlink.LinkMessage{}},
		{"list of addresses", addressMessage(unix.AF_UNSPEC, 0, 0, 0, 0), &rtnetlink.AddressMessage{}},
		{"up", linkMessage(7, unix.IFF_UP, unix.IFF_UP), &rtnetlink.LinkMessage{
			Index: 7, Flags: unix.IFF_UP, Change: unix.IFF_UP, Attributes: &rtnetlink.LinkAttributes{},
		}},
		{"MAC", putAttr(linkMessage(7, 0, 0), unix.IFLA_ADDRESS, mac[:]), &rtnetlink.LinkMessage{
			Index: 7, Attributes: &rtnetlink.LinkAttributes{Address: mac[:]},
		}},
		{"address", s.address(s.addr), &rtnetlink.AddressMessage{
			Family: unix.AF_INET6, PrefixLength: 8, Scope: unix.RT_SCOPE_UNIVERSE, Index: 7, Flags: unix.IFA_F_NODAD,
			Attributes: &rtnetlink.AddressAttributes{Address: ip, Local: ip, Flags: unix.IFA_F_NODAD},
		}},
		{"route", s.route(), &rtnetlink.RouteMessage{
			Family: unix.AF_INET6, DstLength: 8, Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_KERNEL,
			Scope: unix.RT_SCOPE_UNIVERSE, Type: unix.RTN_UNICAST,
			Attributes: rtnetlink.RouteAttributes{Dst: overlay.Addr().AsSlice(), OutIface: 7, Priority: 256},
		}},
	} {
		want := marshal(t, c.want)
		if c.name == "address" { // begins with an attribute that says nothing
			want = slices.Delete(want, unix.SizeofIfAddrmsg, unix.SizeofIfAddrmsg+8)
		}
		if string(c.got) != string(want) {
			t.Errorf("%s:\n%x\nthe library:\n%x", c.name, c.got, want)
		}
	}
}

func TestParseLink(t *testing.T) {
	mac := [6]byte{2, 0, 0, 0, 0, 5}
	five := uint32(5)
	lib := &rtnetlink.LinkMessage{Type: unix.ARPHRD_ETHER, Index: 9, Flags: unix.IFF_UP | unix.IFF_RUNNING, Attributes: &rtnetlink.LinkAttributes{
		Name: "br0.7", MTU: 1400, Address: mac[:], Type: 3, Master: &five, Info: &rtnetlink.LinkInfo{Kind: "vlan"},
	}}
	b := putU32(marshal(t, lib), unix.IFLA_MAX_MTU, 1<<31)
	want := Interface{Name: "br0.7", Index: 9, MTU: 1400, MaxMTU: 1 << 30, Kind: "vlan", MAC: mac, Ethernet: true, Up: true, Running: true, Master: 5, Parent: 3}
	if i, err := parseLink(b); err != nil || !i.equal(want) {
		t.Errorf("%+v, %v, want %+v", i, err, want)
	}
	lib.Attributes.Info.Kind, lib.Attributes.Address, lib.Flags = "veth", net.HardwareAddr{1, 2, 3, 4}, unix.IFF_LOOPBACK
	want.Kind, want.MAC, want.Ethernet, want.Parent, want.Up, want.Running, want.Loopback, want.MaxMTU = "veth", [6]byte{}, false, 0, false, false, true, 0
	if i, err := parseLink(marshal(t, lib)); err != nil || !i.equal(want) {
		t.Errorf("%+v, %v, want %+v", i, err, want)
	}
	for _, n := range []int{0, 15, 17 + attrHeader} {
		if _, err := parseLink(b[:n]); err == nil {
			t.Errorf("no error for %d bytes", n)
		}
	}
}

func TestParseAddress(t *testing.T) {
	v4 := func(last byte) net.IP { return net.IP{10, 0, 0, last} }
	b := marshal(t, &rtnetlink.AddressMessage{Family: unix.AF_INET, PrefixLength: 24, Index: 4, Attributes: &rtnetlink.AddressAttributes{
		Address: v4(2), Local: v4(1), Broadcast: v4(255),
	}})
	want := Address{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParseAddr("10.0.0.255")}
	if index, a, err := parseAddress(b); err != nil || index != 4 || a != want {
		t.Errorf("%d, %v, %v, want 4, %v", index, a, err, want)
	}
	b = putAttr(addressMessage(unix.AF_INET6, 64, 0, 0, 4), unix.IFA_ADDRESS, netip.MustParseAddr("fe80::1").AsSlice())
	if _, a, err := parseAddress(b); err != nil || a.Prefix != netip.MustParsePrefix("fe80::1/64") {
		t.Errorf("%v, %v", a, err)
	}
	for _, b := range [][]byte{addressMessage(unix.AF_INET, 24, 0, 0, 4), putAttr(addressMessage(unix.AF_INET, 24, 0, 0, 4), unix.IFA_ADDRESS, []byte{1})} {
		if _, a, err := parseAddress(b); err != nil || a.Prefix.IsValid() {
			t.Errorf("no address read as %v, %v", a, err)
		}
	}
	if _, _, err := parseAddress(b[:7]); err == nil {
		t.Error("no error for half a header")
	}
}

func TestParseForwarding(t *testing.T) {
	m := &rtnetlink.NeighMessage{Family: unix.AF_BRIDGE, Index: 6, State: unix.NUD_REACHABLE, Attributes: &rtnetlink.NeighAttributes{
		Address: net.IP{}, LLAddress: net.HardwareAddr{2, 0, 0, 0, 0, 5},
	}}
	want := Station{[6]byte{2, 0, 0, 0, 0, 5}, 6}
	if s, ok, err := parseForwarding(marshal(t, m)); err != nil || !ok || s != want {
		t.Errorf("%v, %v, %v, want %v", s, ok, err, want)
	}
	m.State |= unix.NUD_PERMANENT
	if _, ok, err := parseForwarding(marshal(t, m)); err != nil || ok {
		t.Errorf("the host's own address: %v, %v", ok, err)
	}
	m.State, m.Attributes.LLAddress = 0, net.HardwareAddr{3, 0, 0, 0, 0, 5}
	if _, ok, err := parseForwarding(marshal(t, m)); err != nil || ok {
		t.Errorf("a group: %v, %v", ok, err)
	}
	if _, ok, err := parseForwarding(make([]byte, 11)); err == nil || ok {
		t.Error("no error for half a header")
	}
}

// FuzzRoute: no answer may crash us, and none is read in two ways.
func FuzzRoute(f *testing.F) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 5}
	link := marshal(f, &rtnetlink.LinkMessage{Type: unix.ARPHRD_ETHER, Index: 9, Attributes: &rtnetlink.LinkAttributes{
		Name: "br0.7", MTU: 1400, Address: mac, Type: 3, Info: &rtnetlink.LinkInfo{Kind: "vlan"},
	}})
	f.Add(answer(unix.RTM_NEWLINK, 0, 1, link))
	f.Add(link)
	f.Add((&TUNSetup{index: 7}).address(netip.MustParsePrefix("fc01::1/8")))
	f.Add(putAttr(make([]byte, unix.SizeofNdMsg), unix.NDA_LLADDR, mac))
	f.Add(answer(2, 0x200, 3, append(number(unix.EINVAL), answer(16, 1, 3, nil)...))) // a refusal with words
	f.Add([]byte{})
	read := func(b []byte) string {
		m, end, e1 := splitMessages(b)
		i, e2 := parseLink(b)
		index, a, e3 := parseAddress(b)
		s, ok, e4 := parseForwarding(b)
		return fmt.Sprint(m, end, i, index, a, s, ok, e1, e2, e3, e4)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, again := read(b), read(slices.Clone(b)); x != again {
			t.Errorf("two answers for one input: %s and %s", x, again)
		}
	})
}
