package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestWifi(t *testing.T) {
	c, warnings, err := parseText(t, "config wifi\noption mesh_id 'our street'\n")
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	want := HardIf{
		Section: "@wifi[0]", Enabled: true, Device: "wmesh0", Mesh: "bat0", ELPInterval: DefaultELPInterval,
		Radio: &Radio{MeshID: "our street", Made: true, Width: 20},
	}
	if len(c.HardIfs) != 1 || !reflect.DeepEqual(c.HardIfs[0], want) || c.Mesh.Name != "bat0" || !c.Mesh.Enabled || !c.Mesh.Identity {
		t.Errorf("a mesh id alone: %+v, mesh %+v", c.HardIfs, c.Mesh)
	}
	c, _, err = parseText(t, `config mesh 'm'
config wifi 'a'
	option mesh_id 'x'
	option phy 'phy1'
	option device 'phy1-mesh0'
	option mode 'adhoc'
	option bssid '02:ca:fe:ca:ca:40'
	option channel '5180'
	option width 'VHT80'
	option mcast_rate '12000'
	option min_signal '-80'
	option hop_penalty '7'
	option mtu '1500'
config wifi
	option enabled '0'
	option mesh_id 'y'
	option phy 'auto'
	option width 'HT40'
`)
	if err != nil {
		t.Fatal(err)
	}
	full := HardIf{
		Section: "a", Enabled: true, Device: "phy1-mesh0", Mesh: "m", HopPenalty: 7, ELPInterval: DefaultELPInterval, MTU: 1500,
		Radio: &Radio{MeshID: "x", Phy: "phy1", Mode: RadioIBSS, BSSID: [6]byte{2, 0xca, 0xfe, 0xca, 0xca, 0x40}, Channel: 5180, Width: 80, McastRate: 120, MinSignal: -80},
	}
	if len(c.HardIfs) != 2 || !reflect.DeepEqual(c.HardIfs[0], full) {
		t.Errorf("all options: %+v", c.HardIfs)
	}
	if h := c.HardIfs[1]; h.Enabled || h.Device != "wmesh1" || !h.Radio.Made || h.Radio.Phy != "" || h.Radio.Width != 40 {
		t.Errorf("the second: %+v", h)
	}
	if c, _, err = parseText(t, "config wifi\noption mesh_id x\noption enabled 0\n"); err != nil || c.Mesh.Enabled {
		t.Errorf("a section that is off: mesh enabled %v, %v", c.Mesh.Enabled, err)
	}
}

func TestWifiErrors(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"config wifi\n", "option 'mesh_id': missing in section '@wifi[0]'; expected the name of the mesh on the air"},
		{"config wifi\noption mesh_id ''\n", "option 'mesh_id': expected the name of the mesh on the air, 1 to 32 bytes, found 0"},
		{"config wifi\noption mesh_id '" + strings.Repeat("x", 33) + "'\n", "found 33"},
		{"config wifi\noption mesh_id x\noption channel 15\n", "option 'channel': expected auto, a channel from 1 to 14"},
		{"config wifi\noption mesh_id x\noption channel six\n", "found 'six'"},
		{"config wifi\noption mesh_id x\noption width 30\n", "option 'width': expected 20, 40 or 80 MHz, found '30'"},
		{"config wifi\noption mesh_id x\noption mode ap\n", "option 'mode': expected"},
		{"config wifi\noption mesh_id x\noption bssid 01:00:00:00:00:01\n", "option 'bssid': expected the MAC"},
		{"config wifi\noption mesh_id x\noption min_signal 5\n", "option 'min_signal': expected dBm"},
		{"config wifi\noption mesh_id x\noption device lo\n", "lo is the host itself"},
		{"config wifi\noption mesh_id x\noption mesh bat1\n", "there is no section \"mesh 'bat1'\""},
		{"config mesh bat0\nconfig wifi\noption mesh_id x\nconfig hardif\noption device wmesh0\n", "'wmesh0' is used in line 2 already"},
	} {
		if _, _, err := parseText(t, tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.text, err, tc.want)
		}
	}
}

func TestWifiDiff(t *testing.T) {
	a := Radio{MeshID: "a", Width: 20}
	b := Radio{MeshID: "b", Made: true, Phy: "phy0", Mode: RadioMesh, BSSID: [6]byte{2}, Channel: 1, Width: 40, McastRate: 1, MinSignal: -1}
	want := []string{"mesh_id", "device", "phy", "mode", "bssid", "channel", "width", "mcast_rate", "min_signal"}
	if got := hardIfDiff(HardIf{Radio: &a}, HardIf{Radio: &b}); !slices.Equal(got, want) {
		t.Errorf("differences %v, want %v", got, want)
	}
	if got := hardIfDiff(HardIf{Radio: &b}, HardIf{Radio: &b}); len(got) != 0 {
		t.Errorf("differences %v, want none", got)
	}
}
