//go:build netns

package kernel

import (
	"strings"
	"testing"
	"time"

	"github.com/jsimonetti/rtnetlink/v2"
)

func TestNetNSSetupTAP(t *testing.T) {
	inNetNS(t)
	tap(t, "ed-tap")
	tun(t, "ed-tun")
	addLink(t, "ed-br", "bridge")
	mac := [6]byte{2, 1, 2, 3, 4, 5}
	for range 2 { // again: no change, no error
		if err := SetupTAP("ed-tap", mac, 1460); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, mac [6]byte, mtu int) Interface {
		t.Helper()
		i, err := InterfaceByName("ed-tap")
		if err != nil || i.MAC != mac || i.MTU != mtu || !i.Up || !i.Ethernet {
			t.Errorf("%s: device is %+v, %v; want %x, mtu %d, up", what, i, err, mac, mtu)
		}
		return i
	}
	i := check("set", mac, 1460)
	if err := SetupTAP("ed-tap", [6]byte{}, 0); err != nil {
		t.Fatal(err)
	}
	check("nothing wanted", mac, 1460)
	mac[5]++
	if err := SetupTAP("ed-tap", mac, 1500); err != nil { // while it is up
		t.Fatal(err)
	}
	check("changed", mac, 1500)
	for name, want := range map[string]string{"ed-tun": "not an Ethernet device", "nope": "no such device"} {
		if err := SetupTAP(name, mac, 1500); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("SetupTAP(%s) = %v, want %q", name, err, want)
		}
	}
	if err := SetupTAP("ed-tap", [6]byte{1}, 0); err == nil {
		t.Error("a group address was taken as the device's own")
	}

	l, err := Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := l.Bridge("ed-tap"); ok || l.Stacked("ed-tap") {
		t.Error("the device is in a bridge before it is")
	}
	br, _ := l.ByName("ed-br")
	withRTNL(t, func(c *rtnetlink.Conn) error {
		m := uint32(br.Index)
		return c.Link.Set(&rtnetlink.LinkMessage{Index: uint32(i.Index), Attributes: &rtnetlink.LinkAttributes{Master: &m}})
	})
	if l, err = Interfaces(); err != nil {
		t.Fatal(err)
	}
	if b, ok := l.Bridge("ed-tap"); !ok || b.Name != "ed-br" || !l.Stacked("ed-tap") || len(l.Ports(br.Index)) != 1 || l.Ports(br.Index)[0].Name != "ed-tap" {
		t.Errorf("bridge %v %v, ports %v", b.Name, ok, l.Ports(br.Index))
	}
}

func TestNetNSEthtool(t *testing.T) {
	inNetNS(t)
	addLink(t, "ed-v", "veth")
	// Source: drivers/net/veth.c: 10 Gbit/s, full duplex.
	if e := GetEthtool("ed-v"); e.SpeedMbit != 10000 || !e.FullDuplex {
		t.Errorf("veth: %+v", e)
	}
	for _, name := range []string{"", "nope", "lo", "a-name-much-too-long-for-a-device"} {
		if e := GetEthtool(name); e != (Ethtool{}) {
			t.Errorf("%q: %+v", name, e)
		}
	}
	for _, name := range []string{"", "..", "../..", "lo", "ed-v"} {
		if Wireless(name) {
			t.Errorf("%q is said to be wireless", name)
		}
	}
}

// TestNetNSStations: a bridge learns a station from its frame; its own ports
// are not stations.
func TestNetNSStations(t *testing.T) {
	inNetNS(t)
	f := tap(t, "ed-port")
	addLink(t, "ed-br", "bridge")
	if err := SetupTAP("ed-port", [6]byte{2, 0, 0, 0, 0, 1}, 1400); err != nil {
		t.Fatal(err)
	}
	br, err := InterfaceByName("ed-br")
	if err != nil {
		t.Fatal(err)
	}
	port, _ := InterfaceByName("ed-port")
	withRTNL(t, func(c *rtnetlink.Conn) error {
		m := uint32(br.Index)
		return c.Link.Set(&rtnetlink.LinkMessage{Index: uint32(port.Index), Attributes: &rtnetlink.LinkAttributes{Master: &m}})
	})
	if err := SetupTAP("ed-br", [6]byte{}, 0); err != nil { // up
		t.Fatal(err)
	}
	if err := SetMTU("ed-br", 1300); err != nil {
		t.Fatal(err)
	}
	if br, _ = InterfaceByName("ed-br"); br.MTU != 1300 {
		t.Errorf("MTU %d, want 1300", br.MTU)
	}
	if br.MaxMTU < 1500 || SetMTU("ed-br", br.MaxMTU) != nil || SetMTU("ed-br", br.MaxMTU+1) == nil {
		t.Errorf("the driver says that it allows up to %d", br.MaxMTU)
	}
	if err := SetMTU("ed-br", 1300); err != nil {
		t.Fatal(err)
	}
	if err := SetMTU("nope", 1300); err == nil {
		t.Error("a device that does not exist got an MTU")
	}
	station := [6]byte{2, 0, 0, 0, 0, 0x77}
	frame := append(append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, station[:]...), 0x88, 0xb5)
	frame = append(frame, make([]byte, 46)...)
	var list []Station
	for range 200 { // the port forwards as soon as the bridge has noticed its carrier
		if _, err := f.Write(frame); err != nil {
			t.Fatal(err)
		}
		if list, err = Stations(10); err != nil {
			t.Fatal(err)
		}
		if len(list) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if len(list) != 1 || list[0] != (Station{station, port.Index}) {
		t.Errorf("stations %v, want %x at port %d", list, station, port.Index)
	}
	if list, _ = Stations(0); len(list) != 0 {
		t.Errorf("%d stations beyond the limit", len(list))
	}
}
