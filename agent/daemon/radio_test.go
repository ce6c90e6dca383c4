package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mesh"
)

func types(list ...kernel.IfType) (s kernel.IfTypes) {
	for _, t := range list {
		s |= 1 << t
	}
	return s
}

// radioPhy is a radio with a free channel 1, 6 and 36 that can have the
// interfaces of each combination on one channel.
func radioPhy(name string, index int, can kernel.IfTypes, combinations ...kernel.Combination) *kernel.Phy {
	return &kernel.Phy{Name: name, Index: index, Types: can, Combinations: combinations, Bands: []*kernel.Band{
		{HT: true, Channels: []kernel.Channel{{MHz: 2412}, {MHz: 2437}, {MHz: 2467, NoIR: true}}},
		{ID: 1, HT: true, HT40: true, Channels: []kernel.Channel{{MHz: 5180}, {MHz: 5200}}},
	}}
}

func combination(channels int, list ...kernel.IfType) kernel.Combination {
	c := kernel.Combination{Max: len(list), Channels: channels}
	for _, t := range list {
		c.Limits = append(c.Limits, kernel.Limit{Max: 1, Types: types(t)})
	}
	return c
}

const ap, sta, mp, adhoc = kernel.IfAP, kernel.IfStation, kernel.IfMesh, kernel.IfAdhoc

func TestChooseRadio(t *testing.T) {
	all := types(ap, sta, mp, adhoc)
	both := radioPhy("phy0", 0, all, combination(1, ap, mp), combination(1, ap, adhoc))
	ibssAP := radioPhy("phy0", 0, all, combination(1, ap, adhoc))
	meshOnly := radioPhy("phy0", 0, types(ap, mp))
	ibssOnly := radioPhy("phy0", 0, types(sta, adhoc))
	two := radioPhy("phy0", 0, all, combination(2, ap, mp))
	apOn := func(mhz int) []*kernel.WifiIface {
		return []*kernel.WifiIface{{Name: "phy0-ap0", Type: ap, MHz: mhz}, {Name: "other", Phy: 9, Type: ap, MHz: 2462}}
	}
	closed := radioPhy("phy0", 0, all)
	closed.Bands = []*kernel.Band{{Channels: []kernel.Channel{{MHz: 2412, NoIR: true}, {MHz: 5260, Radar: true}}}}
	five := radioPhy("phy0", 0, all)
	five.Bands = five.Bands[1:]
	for _, tc := range []struct {
		name string
		r    config.Radio
		phys []*kernel.Phy
		up   []*kernel.WifiIface
		typ  kernel.IfType
		mhz  int
		want string // of the reason, or of the error if typ is 0
	}{
		{"both", config.Radio{}, []*kernel.Phy{both}, nil, mp, 2412, "mesh point; an access point can run beside it"},
		{"mode ibss", config.Radio{Mode: config.RadioIBSS}, []*kernel.Phy{both}, nil, adhoc, 2412, "IBSS; set by option mode"},
		{"ap beside IBSS only", config.Radio{}, []*kernel.Phy{ibssAP}, nil, adhoc, 2412, "an access point can run beside it, but not beside a mesh point"},
		{"ap is there", config.Radio{}, []*kernel.Phy{ibssAP}, apOn(2437), adhoc, 2437, "IBSS; the driver has no mesh point beside phy0-ap0; on the channel of phy0-ap0"},
		{"ap is there, both", config.Radio{}, []*kernel.Phy{both}, apOn(2437), mp, 2437, "mesh point; an access point can run beside it; on the channel of phy0-ap0"},
		{"mesh only", config.Radio{}, []*kernel.Phy{meshOnly}, nil, mp, 2412, "no access point can run beside it"},
		{"IBSS only", config.Radio{}, []*kernel.Phy{ibssOnly}, nil, adhoc, 2412, "IBSS; the driver has no mesh point"},
		{"channel", config.Radio{Channel: 36}, []*kernel.Phy{both}, nil, mp, 5180, ""},
		{"MHz", config.Radio{Channel: 5200, Width: 40}, []*kernel.Phy{both}, nil, mp, 5200, ""},
		{"another channel than the ap", config.Radio{Channel: 1}, []*kernel.Phy{two}, apOn(2437), mp, 2412, ""},
		{"5 GHz only", config.Radio{}, []*kernel.Phy{five}, nil, mp, 5180, ""},
		{"second radio", config.Radio{}, []*kernel.Phy{radioPhy("phy0", 0, types(ap, sta)), radioPhy("phy1", 1, all)}, nil, mp, 2412, ""},
		{"named radio", config.Radio{Phy: "phy1"}, []*kernel.Phy{both, radioPhy("phy1", 1, types(adhoc))}, nil, adhoc, 2412, ""},

		{"none", config.Radio{}, nil, nil, 0, 0, "there is no radio"},
		{"wrong name", config.Radio{Phy: "phy7"}, []*kernel.Phy{both}, nil, 0, 0, "option phy: there is no radio phy7; expected auto"},
		{"neither", config.Radio{}, []*kernel.Phy{radioPhy("phy0", 0, types(ap))}, nil, 0, 0, "phy0: the driver has no mesh point; the driver has no IBSS"},
		{"ap takes all", config.Radio{}, []*kernel.Phy{meshOnly}, apOn(2437), 0, 0, "the driver has no mesh point beside phy0-ap0"},
		{"ap elsewhere", config.Radio{Channel: 1}, []*kernel.Phy{both}, apOn(2437), 0, 0, "option channel: the radio can be on one channel only, and phy0-ap0 has it on 6: expected that, or auto"},
		{"no IR", config.Radio{Channel: 12}, []*kernel.Phy{both}, nil, 0, 0, "may not be used to begin a network"},
		{"no such channel", config.Radio{Channel: 11}, []*kernel.Phy{both}, nil, 0, 0, "channel 11 (2462 MHz) is not a channel of this radio"},
		{"width", config.Radio{Channel: 1, Width: 40}, []*kernel.Phy{both}, nil, 0, 0, "cannot do 40 MHz"},
		{"nothing is allowed", config.Radio{}, []*kernel.Phy{closed}, nil, 0, 0, "set the country"},
	} {
		c, err := chooseRadio(&tc.r, tc.phys, tc.up, "wmesh0")
		switch {
		case tc.typ == 0:
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
			}
		case err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case c.typ != tc.typ || c.mhz != tc.mhz || !strings.Contains(c.reason, tc.want):
			t.Errorf("%s: %v on %d (%s); want %v on %d (%s)", tc.name, c.typ, c.mhz, c.reason, tc.typ, tc.mhz, tc.want)
		}
	}
}

// Nodes without an option bssid must come to the same cell.
func TestCell(t *testing.T) {
	c := &radioChoice{phy: radioPhy("phy0", 0, types(mp)), mhz: 2412}
	a, b := c.cell(&config.Radio{MeshID: "street", Width: 20}), c.cell(&config.Radio{MeshID: "street", Width: 20})
	if a.BSSID != b.BSSID || a.BSSID[0]&3 != 2 || a.Width != 20 || a.ID != "street" {
		t.Errorf("cells %+v and %+v", a, b)
	}
	if o := c.cell(&config.Radio{MeshID: "lane"}); o.BSSID == a.BSSID {
		t.Error("two meshes have one BSSID")
	}
	if o := c.cell(&config.Radio{MeshID: "street", BSSID: [6]byte{2, 1}}); o.BSSID != [6]byte{2, 1} {
		t.Errorf("option bssid gives %v", o.BSSID)
	}
	c.phy.Bands[0].HT = false
	if o := c.cell(&config.Radio{Width: 20}); o.Width != 0 {
		t.Errorf("width %d on a radio without 802.11n", o.Width)
	}
}

func TestAirTime(t *testing.T) {
	var a airTime
	for _, tc := range []struct {
		s     kernel.Survey
		busy  int
		own   int
		known bool
	}{
		{kernel.Survey{MHz: 2412, TimeMs: 1000, BusyMs: 100, TxMs: 50}, 0, 0, false},
		{kernel.Survey{MHz: 2412, TimeMs: 2000, BusyMs: 600, TxMs: 150}, 50, 10, true},
		{kernel.Survey{MHz: 2412, TimeMs: 2050, BusyMs: 650, TxMs: 150}, 50, 10, true}, // too short
		{kernel.Survey{MHz: 2412, TimeMs: 3000, BusyMs: 650, TxMs: 150}, 5, 0, true},
		{kernel.Survey{MHz: 2412, TimeMs: 10, BusyMs: 5}, 0, 0, false}, // the driver counts anew
		{kernel.Survey{MHz: 2412, TimeMs: 210, BusyMs: 1000, TxMs: 900}, 100, 100, true},
		{kernel.Survey{MHz: 5180, TimeMs: 500, BusyMs: 1001}, 0, 0, false},
		{kernel.Survey{}, 0, 0, false}, // a driver that knows nothing
		{kernel.Survey{}, 0, 0, false},
	} {
		if a.add(tc.s); a.busy != tc.busy || a.own != tc.own || a.known != tc.known {
			t.Errorf("%+v: %d %%, own %d %%, known %v; want %d, %d, %v", tc.s, a.busy, a.own, a.known, tc.busy, tc.own, tc.known)
		}
	}
	s := &kernel.WifiStation{Signal: -60, SignalAvg: -61, TxBitrate: 650, RxBitrate: 540, Expected: 28106, HasExpected: true, TxPackets: 9, TxRetries: 2, TxFailed: 1, InactiveMs: 7}
	want := mesh.Radio{Signal: -60, SignalAvg: -61, Noise: -95, TxRate: 650, RxRate: 540, Expected: 281, Expects: true, Packets: 9, Retries: 2, Failed: 1, InactiveMs: 7, Busy: 30, Own: 4}
	if got := linkRadio(s, &airTime{last: kernel.Survey{Noise: -95}, busy: 30, own: 4, known: true}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := linkRadio(s, &airTime{}); got.Busy != -1 {
		t.Errorf("unknown airtime is %d", got.Busy)
	}
}

// A failure is not tried again at once, not even when its own doing makes news.
func TestRadioBackOff(t *testing.T) {
	now := time.Now()
	r := radioState{tried: now, wait: radioWaitMax, next: now.Add(radioWaitMax)}
	r.again()
	if d := r.next.Sub(now); d != radioWaitMin || r.wait != 0 {
		t.Errorf("next attempt after %v, then after %v", d, r.wait)
	}
	r = radioState{}
	if r.again(); !r.next.IsZero() {
		t.Error("the first attempt waits")
	}
}

// What lies side by side under the same rules is one entry.
func TestLimits(t *testing.T) {
	band := func(id int, channels ...kernel.Channel) *kernel.Band { return &kernel.Band{ID: id, Channels: channels} }
	got := ""
	for _, l := range limits([]*kernel.Band{
		band(0, kernel.Channel{MHz: 2412, PowerMBm: 2000}, kernel.Channel{MHz: 2417, PowerMBm: 2000}, kernel.Channel{MHz: 2422, PowerMBm: 1500},
			kernel.Channel{MHz: 2427, PowerMBm: 1500, NoIR: true}, kernel.Channel{MHz: 2484, PowerMBm: 2000, Disabled: true}),
		band(1, kernel.Channel{MHz: 5260, PowerMBm: 2000, Radar: true, NoIR: true}, kernel.Channel{MHz: 5280, PowerMBm: 2000, Radar: true},
			kernel.Channel{MHz: 5500, PowerMBm: 2000, Radar: true}),
		band(2, kernel.Channel{MHz: 58320, PowerMBm: 4000}), // without numbers
		band(3, kernel.Channel{MHz: 5955, PowerMBm: 2350}),
		band(7),
	}) {
		got += fmt.Sprintf("%s %d-%d %d %q\n", l.Band, l.First, l.Last, l.Power, l.Rule)
	}
	const want = `2.4 GHz 1-2 20 ""
2.4 GHz 3-3 15 ""
2.4 GHz 4-4 15 "no IR"
2.4 GHz 14-14 0 "disabled"
5 GHz 52-56 20 "radar"
5 GHz 100-100 20 "radar"
6 GHz 1-1 23 ""
`
	if got != want {
		t.Errorf("\n%swant\n%s", got, want)
	}
}
