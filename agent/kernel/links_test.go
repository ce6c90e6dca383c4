package kernel

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestIsOwn(t *testing.T) {
	l := Links{
		{Name: "lo", Index: 1},
		{Name: "eth0", Index: 2, Master: 5},
		{Name: "tun0", Index: 3, Kind: "tun"},
		{Name: "tap0", Index: 4, Kind: "tun", Master: 5},
		{Name: "br0", Index: 5, Kind: "bridge"},
		{Name: "br0.7", Index: 6, Kind: "vlan", Parent: 5},
		{Name: "br1", Index: 7, Kind: "bridge"},
		{Name: "eth1", Index: 8, Master: 7},
		{Name: "wlan0", Index: 9},
		{Name: "x", Index: 10, Master: 11},
		{Name: "y", Index: 11, Master: 10}, // a circle
	}
	own := []string{"tun0", "tap0"}
	for name, want := range map[string]bool{
		"lo": false, "eth0": false, "tun0": true, "tap0": true, "br0": true, "br0.7": true, "br1": false,
		"eth1": false, "wlan0": false, "x": false, "missing": false,
	} {
		if got := l.IsOwn(name, own...); got != want {
			t.Errorf("IsOwn(%s) = %v, want %v", name, got, want)
		}
	}
	if !(Links{}).IsOwn("tun9", "tun9") {
		t.Error("a device of ours that is not in the list is not ours")
	}
	if i, ok := l.ByIndex(5); !ok || i.Name != "br0" {
		t.Errorf("ByIndex(5) = %v, %v", i.Name, ok)
	}
	if _, ok := l.ByName("nope"); ok {
		t.Error("ByName found a device that does not exist")
	}
}

func TestBroadcasts(t *testing.T) {
	a := func(p, b string) Address {
		x := Address{Prefix: netip.MustParsePrefix(p)}
		if b != "" {
			x.Broadcast = netip.MustParseAddr(b)
		}
		return x
	}
	for _, c := range []struct {
		in   Address
		want string
	}{
		{a("192.168.1.1/24", "192.168.1.255"), "192.168.1.255"},
		{a("192.168.1.1/24", ""), "192.168.1.255"},
		{a("10.1.2.3/13", ""), "10.7.255.255"},
		{a("10.0.0.1/30", ""), "10.0.0.3"},
		{a("10.0.0.1/31", ""), ""},
		{a("10.0.0.1/32", ""), ""},
		{a("127.0.0.1/8", ""), ""},
		{a("10.0.0.1/24", "0.0.0.0"), ""},
		{a("fe80::1/64", ""), ""},
	} {
		got := Interface{Addrs: []Address{c.in, c.in}}.Broadcasts()
		var want []netip.Addr
		if c.want != "" {
			want = []netip.Addr{netip.MustParseAddr(c.want)}
		}
		if !slices.Equal(got, want) {
			t.Errorf("Broadcasts(%v) = %v, want %v", c.in, got, want)
		}
	}
}

func TestSetupTUNRefuses(t *testing.T) {
	good := netip.MustParsePrefix("fc01::1/8")
	for _, c := range []struct {
		name string
		addr netip.Prefix
		mtu  int
		want string
	}{
		{"lo", netip.Prefix{}, 1304, "not in fc00::/8"},
		{"lo", netip.MustParsePrefix("fd01::1/8"), 1304, "not in fc00::/8"},
		{"lo", netip.MustParsePrefix("10.0.0.1/8"), 1304, "not in fc00::/8"},
		{"lo", netip.MustParsePrefix("fc01::1/64"), 1304, "not 8 or 128"},
		{"lo", good, 1279, "mtu 1279"},
		{"no-such-device", good, 1304, "no such device"},
	} {
		_, err := SetupTUN(c.name, c.addr, c.mtu)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("SetupTUN(%s, %v, %d) = %v, want an error with %q", c.name, c.addr, c.mtu, err, c.want)
		}
	}
}

func TestInterfacesHasLoopback(t *testing.T) {
	l, err := Interfaces()
	if err != nil {
		t.Skip("no route netlink here: ", err)
	}
	lo, ok := l.ByName("lo")
	if !ok || !lo.Loopback || lo.Ethernet || lo.Index == 0 || lo.MTU == 0 {
		t.Errorf("lo = %+v, %v", lo, ok)
	}
}
