package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
)

func TestLinkable(t *testing.T) {
	var in []netip.Addr
	for _, s := range []string{"192.0.2.1", "fc00::1", "fd00::1", "::ffff:192.0.2.2", "::", "224.0.0.1", "2001:db8::1"} {
		in = append(in, netip.MustParseAddr(s))
	}
	if got := linkable(in); len(got) != 4 || got[1] != netip.MustParseAddr("fd00::1") {
		t.Errorf("usable: %v", got)
	}
}

// TestNoLinkOnOwnDevices: the overlay rides the mesh by a link of its own, and
// not by the devices that the agent has made, nor by what contains them.
func TestNoLinkOnOwnDevices(t *testing.T) {
	d := &Daemon{}
	d.cfg.TUN.Name, d.cfg.Mesh.Name = "tun9", "bat0"
	d.links.d = d
	addr := func(a, b string) []kernel.Address {
		return []kernel.Address{{Prefix: netip.MustParsePrefix(a), Broadcast: netip.MustParseAddr(b)}}
	}
	devs := kernel.Links{
		{Name: "eth0", Index: 2, Ethernet: true, Up: true, Addrs: addr("10.1.0.1/24", "10.1.0.255")},
		{Name: "br0", Index: 5, Ethernet: true, Up: true, Kind: "bridge", Addrs: addr("10.2.0.1/24", "10.2.0.255")},
		{Name: "bat0", Index: 6, Ethernet: true, Up: true, Kind: "tun", Master: 5, Addrs: addr("10.3.0.1/24", "10.3.0.255")},
		{Name: "bat0.7", Index: 7, Ethernet: true, Up: true, Kind: "vlan", Parent: 6},
		{Name: "br1", Index: 8, Ethernet: true, Up: true, Kind: "bridge"},
		{Name: "tun9", Index: 9, Up: true, Kind: "tun"},
	}
	if got := d.links.ethDevices(config.Eth{Device: config.DeviceAll}, devs); !slices.Equal(got, []string{"eth0", "br1"}) {
		t.Errorf("all devices are %v", got)
	}
	for _, name := range []string{"bat0", "br0", "bat0.7", "tun9"} {
		err := d.links.openEth(&socket{eth: config.Eth{Device: name}}, devs)
		if err == nil || !strings.Contains(err.Error(), "our own") {
			t.Errorf("link on %s: %v", name, err)
		}
	}
	for device, want := range map[string]string{config.DeviceAll: "10.1.0.255", "br0": "10.2.0.255"} {
		got := beaconTargets(config.UDP{BeaconPort: 1, BeaconDevices: []string{device}}, devs, d.ownDevices())
		if len(got) != 1 || got[0].AddrPort().Addr().String() != want {
			t.Errorf("beacons on %s go to %v, want %s", device, got, want)
		}
	}
}
