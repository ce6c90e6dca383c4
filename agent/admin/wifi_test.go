package admin

import (
	"context"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
)

// fakeWifi is a host with two radios.
type fakeWifi struct{}

func (fakeWifi) Wifi(context.Context) (WifiStatus, error) { return sampleWifi(), nil }

var sampleLimits = []*WifiLimit{
	{Band: "2.4 GHz", First: 1, Last: 13, Power: 20},
	{Band: "2.4 GHz", First: 14, Last: 14, Rule: "disabled"},
	{Band: "5 GHz", First: 36, Last: 36, Power: 23},
	{Band: "5 GHz", First: 52, Last: 64, Power: 20, Rule: "radar"},
	{Band: "5 GHz", First: 149, Last: 165, Power: 14, Rule: "no IR"},
}

func sampleWifi() WifiStatus {
	return WifiStatus{
		Radios: []*WifiRadio{
			{Name: "phy0", Can: []string{"mesh point beside an access point", "IBSS"}, Country: "DE", Channels: []int{1, 6, 36}, Limits: sampleLimits, Ifaces: []*WifiIface{
				{Name: "wmesh0", Type: "mesh point", MAC: batman.MAC{2}, Channel: 1, MHz: 2412, Width: 20, Stations: []*WifiStation{
					{batman.MAC{2, 1}, mesh.Radio{Signal: -59, SignalAvg: -61, TxRate: 722, RxRate: 650, Expected: 281, Packets: 88, Retries: 12, Failed: 2, Busy: 40, Own: 12}},
					{batman.MAC{2, 2}, mesh.Radio{Signal: -80, Busy: -1}},
				}},
				{Name: "wlan0", Type: "managed", Network: "cafe\x1b", Channel: 1, MHz: 2412, Width: 20},
			}},
			{Name: "phy1", Country: "00", Channels: []int{}},
		},
		Links: []*WifiLink{
			{MeshID: "street", Iface: "wmesh0", Made: true, How: "mesh point; because", Note: "; but set this"},
			{MeshID: "lane", Iface: "wmesh1", Problem: "phy1: channel 14 is not allowed: expected one of 1 6"},
			{MeshID: "park", Iface: "wmesh2", How: "IBSS: because", MTUNote: "driver caps at 1500"},
		},
	}
}

func TestWriteWifi(t *testing.T) {
	var b strings.Builder
	WriteWifi(&b, sampleWifi())
	const want = `phy0: mesh point beside an access point, IBSS; country DE
  2.4 GHz: 1-13 20 dBm, 14 disabled
  5 GHz: 36 23 dBm, 52-64 20 dBm radar, 149-165 14 dBm no IR
  wmesh0: mesh point, channel 1 (2412 MHz, width 20)
    02:01:00:00:00:00 -61 dBm, tx 72.2 Mbit/s, rx 65.0 Mbit/s, expects 28.1 Mbit/s, retries 12 %, failed 2, channel busy 40 %, of these own 12 %
    02:02:00:00:00:00 -80 dBm
  wlan0: managed 'cafe?', channel 1 (2412 MHz, width 20)
phy1: neither mesh point nor IBSS; country not set
mesh 'street' on wmesh0: mesh point; because; but set this
mesh 'lane' on wmesh1: phy1: channel 14 is not allowed: expected one of 1 6
mesh 'park' on wmesh2: IBSS: because
  mtu: driver caps at 1500
`
	if b.String() != want {
		t.Errorf("\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	WriteWifi(&b, WifiStatus{Problem: "no driver"})
	WriteWifi(&b, WifiStatus{})
	if b.String() != "no driver\nno radios\n" {
		t.Errorf("%q", b.String())
	}
}

func TestNeighbourWithRadio(t *testing.T) {
	s := sampleMesh()
	s.Neighbours[0].Radio = &mesh.Radio{SignalAvg: -61, TxRate: 722, RxRate: 650, Packets: 3, Retries: 1, Busy: 5}
	got := batctlTables(s, MeshStyle{})["n"]
	if want := "0.272s  -61 dBm, tx 72.2 Mbit/s, rx 65.0 Mbit/s, retries 25 %, channel busy 5 %\n"; !strings.HasSuffix(got, want) {
		t.Errorf("%q does not end with %q", got, want)
	}
}
