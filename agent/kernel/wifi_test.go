package kernel

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"
)

// recorded are answers of a real kernel, by name.
func recorded(t testing.TB) map[string][][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/nl80211.txt")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][][]byte{}
	for line := range strings.Lines(string(text)) {
		name, data, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		b, err := hex.DecodeString(data)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = append(got[name], b)
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the recording is of a little-endian kernel; what follows needs such a CPU")
	}
	return got
}

const fakeFamily = 0x1c

// fakeKernel answers the requests of a Wifi: errno by command, else answers.
type fakeKernel struct {
	t       *testing.T
	answers map[uint8][][]byte
	errno   map[uint8]unix.Errno
	asked   []byte           // commands in order
	args    map[uint8][]byte // of the last request
	raw     map[uint8][]byte // instead of an answer: a whole message
}

func newFakeKernel(t *testing.T) *fakeKernel {
	return &fakeKernel{t: t, answers: map[uint8][][]byte{}, errno: map[uint8]unix.Errno{}, args: map[uint8][]byte{}, raw: map[uint8][]byte{}}
}

func (k *fakeKernel) serve(reqs []netlink.Message) ([]netlink.Message, error) {
	if len(reqs) == 0 {
		k.t.Fatal("a receive without a request")
	}
	reqs[0].Header.Flags &= netlink.Dump | netlink.Acknowledge
	req := reqs[0]
	if len(req.Data) < genlHeader {
		k.t.Fatalf("a request of %d bytes", len(req.Data))
	}
	cmd := req.Data[0]
	msg := func(b []byte) netlink.Message {
		return netlink.Message{Header: netlink.Header{Type: req.Header.Type, Sequence: req.Header.Sequence, PID: nltest.PID}, Data: b}
	}
	if req.Header.Type == unix.GENL_ID_CTRL {
		if e := k.errno[0]; e != 0 {
			return nltest.Error(int(e), reqs)
		}
		group := putString(putU32(nil, unix.CTRL_ATTR_MCAST_GRP_ID, 7), unix.CTRL_ATTR_MCAST_GRP_NAME, "mlme")
		b := putAttr(nil, unix.CTRL_ATTR_FAMILY_ID, binary.NativeEndian.AppendUint16(nil, fakeFamily))
		b = putNested(b, unix.CTRL_ATTR_MCAST_GROUPS, putNested(nil, 1, group))
		return []netlink.Message{msg(append([]byte{unix.CTRL_CMD_NEWFAMILY, 2, 0, 0}, b...))}, nil
	}
	if req.Header.Type != fakeFamily {
		k.t.Fatalf("a request to family %#x", req.Header.Type)
	}
	k.asked, k.args[cmd] = append(k.asked, cmd), req.Data[genlHeader:]
	if e := k.errno[cmd]; e != 0 {
		reqs[0].Header.Flags = 0
		return nltest.Error(int(e), reqs)
	}
	if b, ok := k.raw[cmd]; ok {
		return []netlink.Message{msg(b)}, nil
	}
	if req.Header.Flags&netlink.Acknowledge != 0 {
		return nltest.Error(0, reqs)
	}
	var out []netlink.Message
	for _, a := range k.answers[cmd] {
		out = append(out, msg(append([]byte{cmd, 1, 0, 0}, a...)))
	}
	if req.Header.Flags&netlink.Dump == netlink.Dump && len(out) > 0 {
		return nltest.Multipart(append(out, msg(make([]byte, 4))))
	}
	if len(out) == 0 {
		return nil, io.EOF
	}
	return out, nil
}

// open connects a Wifi to the fake kernel.
func (k *fakeKernel) open() (*Wifi, error) {
	old := Dial
	Dial = func(int) (Conn, error) { return nltest.Dial(k.serve), nil }
	k.t.Cleanup(func() { Dial = old })
	return OpenWifi()
}

func (k *fakeKernel) must() *Wifi {
	k.t.Helper()
	w, err := k.open()
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(w.Close)
	return w
}

func TestOpenWifi(t *testing.T) {
	k := newFakeKernel(t)
	if w := k.must(); w.c.family != fakeFamily || w.c.groups["mlme"] != 7 {
		t.Errorf("family %#x, groups %v", w.c.family, w.c.groups)
	}
	for _, e := range []unix.Errno{unix.ENOENT, unix.EPROTONOSUPPORT} {
		k.errno[0] = e
		if _, err := k.open(); !errors.Is(err, ErrNoWifi) {
			t.Errorf("%v: error %v, want ErrNoWifi", e, err)
		}
	}
	k.errno[0] = unix.EPERM
	if _, err := k.open(); err == nil || !strings.Contains(err.Error(), "root") {
		t.Errorf("EPERM: %v", err)
	}
}

func TestPhysRecorded(t *testing.T) {
	k := newFakeKernel(t)
	k.answers[unix.NL80211_CMD_GET_WIPHY] = recorded(t)["phys"]
	phys, err := k.must().Phys()
	if err != nil || len(phys) != 1 {
		t.Fatalf("%d radios, %v", len(phys), err)
	}
	p := phys[0]
	if p.Name != "phy0" || p.Index != 0 || p.Types&(1<<IfAP|1<<IfMesh|1<<IfAdhoc|1<<IfStation) != 1<<IfAP|1<<IfMesh|1<<IfAdhoc|1<<IfStation {
		t.Errorf("radio %q %d, types %v", p.Name, p.Index, p.Types)
	}
	if len(p.Bands) != 2 || len(p.Bands[0].Channels) != 14 || !p.Bands[0].HT40 || p.Bands[0].VHT || !p.Bands[1].VHT {
		t.Fatalf("bands %+v", p.Bands)
	}
	if c := p.Bands[0].Channels[0]; c != (Channel{MHz: 2412, PowerMBm: 2000}) {
		t.Errorf("first channel %+v", c)
	}
	if _, c := p.Channel(5260); !c.Radar || !c.NoIR || c.Free() {
		t.Errorf("channel 52: %+v", c)
	}
	if len(p.Combinations) != 1 || p.Combinations[0].Channels != 1 || p.Combinations[0].Max != 2050 {
		t.Errorf("combinations %+v", p.Combinations)
	}
	if _, ok := p.Together(IfAP, IfMesh, IfStation); !ok {
		t.Error("AP, mesh point and client cannot be together")
	}
	if _, ok := p.Together(IfAdhoc, IfAdhoc); ok {
		t.Error("two cells can be together")
	}
}

func TestCountry(t *testing.T) {
	k := newFakeKernel(t)
	w := k.must()
	for code, want := range map[string]string{"DE": "DE", "00": "00", "99": "99", "": "", "D": "", "DEU": "", "D\x1b": "", "de": ""} {
		k.answers[unix.NL80211_CMD_GET_REG] = [][]byte{putString(nil, unix.NL80211_ATTR_REG_ALPHA2, code)}
		if got, err := w.Country(3); got != want || err != nil {
			t.Errorf("%q: %q, %v", code, got, err)
		}
	}
	k.answers[unix.NL80211_CMD_GET_REG] = nil
	if _, err := w.Country(3); err == nil {
		t.Error("no answer is no error")
	}
	k.errno[unix.NL80211_CMD_GET_REG] = unix.EINVAL
	if _, err := w.Country(3); err == nil || strings.Contains(err.Error(), "channel") {
		t.Errorf("%v", err)
	}
}

func TestStationsRecorded(t *testing.T) {
	k := newFakeKernel(t)
	rec := recorded(t)
	k.answers[unix.NL80211_CMD_GET_STATION] = rec["stations"]
	k.answers[unix.NL80211_CMD_GET_MESH_CONFIG] = rec["meshparams"][:1]
	k.answers[unix.NL80211_CMD_GET_INTERFACE] = rec["ifaces-mesh"]
	w := k.must()
	list, err := w.Stations(7, 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d stations, %v", len(list), err)
	}
	s := list[1]
	if s.MAC != [6]byte{0x42} || !s.Authorized || s.Peering != 4 || s.Signal != -30 || s.SignalAvg != -30 ||
		s.TxBitrate != 130 || s.RxBitrate != 130 || s.TxPackets != 3 || s.TxBytes != 336 || s.HasExpected {
		t.Errorf("station %+v", s)
	}
	if list, _ = w.Stations(7, 1); len(list) != 1 {
		t.Errorf("%d stations, want at most 1", len(list))
	}
	m, err := w.MeshParams(7)
	if err != nil || m.Forwarding || m.PowerMode != unix.NL80211_MESH_POWER_ACTIVE {
		t.Errorf("mesh parameters %+v, %v", m, err)
	}
	ifs, err := w.Ifaces()
	if err != nil || len(ifs) != 6 {
		t.Fatalf("%d interfaces, %v", len(ifs), err)
	}
	want := WifiIface{Name: "wmesh0", Index: 7, Phy: 2, MAC: [6]byte{0x42, 0, 0, 0, 2, 0}, Type: IfMesh, MHz: 2412, Width: 20}
	if *ifs[0] != want || !ifs[0].Active() || ifs[1].Active() {
		t.Errorf("interfaces %+v, %+v", *ifs[0], *ifs[1])
	}
}

// What the simulated driver does not tell is made here.
func TestStationAndSurvey(t *testing.T) {
	rate := putU32(putAttr(nil, unix.NL80211_RATE_INFO_BITRATE, []byte{1, 1}), unix.NL80211_RATE_INFO_BITRATE32, 86600)
	info := putNested(nil, unix.NL80211_STA_INFO_TX_BITRATE, rate)
	info = putU32(info, unix.NL80211_STA_INFO_EXPECTED_THROUGHPUT, 28106)
	info = putU32(info, unix.NL80211_STA_INFO_TX_RETRIES, 17)
	info = putU32(info, unix.NL80211_STA_INFO_TX_FAILED, 3)
	flags := binary.NativeEndian.AppendUint32(nil, 1<<unix.NL80211_STA_FLAG_AUTHORIZED)
	info = putAttr(info, unix.NL80211_STA_INFO_STA_FLAGS, append(flags, 0, 0, 0, 0))
	mac := [6]byte{2, 1, 1, 1, 1, 1}
	k := newFakeKernel(t)
	k.answers[unix.NL80211_CMD_GET_STATION] = [][]byte{putNested(putAttr(nil, unix.NL80211_ATTR_MAC, mac[:]), unix.NL80211_ATTR_STA_INFO, info)}
	survey := func(mhz uint32, inUse bool, ms uint64) []byte {
		s := putU32(nil, unix.NL80211_SURVEY_INFO_FREQUENCY, mhz)
		s = putU8(s, unix.NL80211_SURVEY_INFO_NOISE, 0xa1)
		if inUse {
			s = putAttr(s, unix.NL80211_SURVEY_INFO_IN_USE, nil)
		}
		s = putAttr(s, unix.NL80211_SURVEY_INFO_TIME, binary.NativeEndian.AppendUint64(nil, ms))
		s = putAttr(s, unix.NL80211_SURVEY_INFO_TIME_BUSY, binary.NativeEndian.AppendUint64(nil, ms/4))
		return putNested(nil, unix.NL80211_ATTR_SURVEY_INFO, s)
	}
	k.answers[unix.NL80211_CMD_GET_SURVEY] = [][]byte{survey(2412, false, 40), survey(2437, true, 1000)}
	w := k.must()
	s, err := w.Station(3, mac)
	want := WifiStation{MAC: mac, TxBitrate: 86600, Expected: 28106, HasExpected: true, TxRetries: 17, TxFailed: 3}
	if err != nil || *s != want {
		t.Errorf("station %+v, %v", s, err)
	}
	v, err := w.Survey(3)
	if err != nil || v != (Survey{MHz: 2437, Noise: -95, TimeMs: 1000, BusyMs: 250}) {
		t.Errorf("survey %+v, %v", v, err)
	}
	k.errno[unix.NL80211_CMD_GET_SURVEY] = unix.EOPNOTSUPP
	if v, err = w.Survey(3); err != nil || v != (Survey{}) {
		t.Errorf("a driver without survey: %+v, %v", v, err)
	}
	k.errno[unix.NL80211_CMD_GET_STATION] = unix.ENOENT
	if _, err = w.Station(3, mac); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no such station: %v", err)
	}
}

func TestJoin(t *testing.T) {
	k := newFakeKernel(t)
	w := k.must()
	c := Cell{ID: "agent", MHz: 5180, Width: 40, McastRate: 120, MinSignal: -80, BSSID: [6]byte{2, 3}, BasicRates: []byte{12, 24}}
	if err := errors.Join(w.JoinMesh(5, &c), w.JoinIBSS(6, &c), w.SetType(5, IfMesh), w.LeaveMesh(5), w.LeaveIBSS(6), w.DelIface(5)); err != nil {
		t.Fatal(err)
	}
	find := func(b []byte, path ...uint16) (v attr) {
		for _, p := range path {
			v = nil
			if err := attrs(b, func(typ uint16, x attr) error {
				if typ == p {
					v = x
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			b = v
		}
		return v
	}
	mesh, ibss := k.args[unix.NL80211_CMD_JOIN_MESH], k.args[unix.NL80211_CMD_JOIN_IBSS]
	for _, b := range [][]byte{mesh, ibss} {
		if find(b, unix.NL80211_ATTR_WIPHY_FREQ).u32() != 5180 || find(b, unix.NL80211_ATTR_CENTER_FREQ1).u32() != 5190 ||
			find(b, unix.NL80211_ATTR_CHANNEL_WIDTH).u32() != unix.NL80211_CHAN_WIDTH_40 || find(b, unix.NL80211_ATTR_MCAST_RATE).u32() != 120 {
			t.Errorf("channel in % x", b)
		}
	}
	if find(mesh, unix.NL80211_ATTR_IFINDEX).u32() != 5 || string(find(mesh, unix.NL80211_ATTR_MESH_ID)) != "agent" {
		t.Errorf("mesh % x", mesh)
	}
	if v := find(mesh, unix.NL80211_ATTR_MESH_CONFIG, unix.NL80211_MESHCONF_FORWARDING); len(v) != 1 || v[0] != 0 {
		t.Errorf("mesh_fwding % x, want 0", v)
	}
	if v := find(mesh, unix.NL80211_ATTR_BEACON_INTERVAL); v.u32() != 100 {
		t.Errorf("beacon interval %d, want that of access points", v.u32())
	}
	if v := find(mesh, unix.NL80211_ATTR_MESH_CONFIG, unix.NL80211_MESHCONF_RSSI_THRESHOLD); int32(v.u32()) != -80 {
		t.Errorf("threshold %d", int32(v.u32()))
	}
	if string(find(ibss, unix.NL80211_ATTR_SSID)) != "agent" || find(ibss, unix.NL80211_ATTR_MAC).mac() != c.BSSID ||
		find(ibss, unix.NL80211_ATTR_FREQ_FIXED) == nil || !bytes.Equal(find(ibss, unix.NL80211_ATTR_BSS_BASIC_RATES), c.BasicRates) {
		t.Errorf("ibss % x", ibss)
	}
	want := []byte{unix.NL80211_CMD_JOIN_MESH, unix.NL80211_CMD_JOIN_IBSS, unix.NL80211_CMD_SET_INTERFACE, unix.NL80211_CMD_LEAVE_MESH, unix.NL80211_CMD_LEAVE_IBSS, unix.NL80211_CMD_DEL_INTERFACE}
	if !slices.Equal(k.asked, want) {
		t.Errorf("commands %v, want %v", k.asked, want)
	}
}

func TestAddIface(t *testing.T) {
	k := newFakeKernel(t)
	w := k.must()
	k.answers[unix.NL80211_CMD_NEW_INTERFACE] = [][]byte{putString(putU32(nil, unix.NL80211_ATTR_IFINDEX, 9), unix.NL80211_ATTR_IFNAME, "wmesh0")}
	f, err := w.AddIface(1, "wmesh0", IfMesh, [6]byte{2, 9})
	if err != nil || f.Index != 9 || f.Name != "wmesh0" {
		t.Errorf("%+v, %v", f, err)
	}
	k.answers[unix.NL80211_CMD_NEW_INTERFACE] = nil
	if _, err = w.AddIface(1, "wmesh0", IfMesh, [6]byte{}); err == nil {
		t.Error("no answer is no error")
	}
}

func TestWifiErrorsSayWhatHelps(t *testing.T) {
	for e, want := range map[unix.Errno]string{
		unix.ERFKILL: "rfkill unblock", unix.EBUSY: "cannot be shared", unix.ENODEV: "gone", unix.EOPNOTSUPP: "driver cannot", unix.EPERM: "root",
		unix.EINVAL: "regulatory domain", unix.EALREADY: "network already", unix.ENOTUNIQ: "address", unix.ENFILE: "name",
	} {
		k := newFakeKernel(t)
		k.errno[unix.NL80211_CMD_JOIN_MESH] = e
		err := k.must().JoinMesh(1, &Cell{ID: "agent", MHz: 2412})
		if !errors.Is(err, e) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "join the mesh agent: ") {
			t.Errorf("%v: %v", e, err)
		}
	}
	// What has no channel cannot have a wrong one.
	k := newFakeKernel(t)
	k.errno[unix.NL80211_CMD_DEL_INTERFACE] = unix.EINVAL
	if err := k.must().DelIface(1); !errors.Is(err, unix.EINVAL) || strings.Contains(err.Error(), "channel") {
		t.Errorf("a removal: %v", err)
	}
}

func TestMalformedAnswers(t *testing.T) {
	for name, b := range map[string][]byte{
		"no header": {1, 1}, "long attribute": {1, 1, 0, 0, 99, 0, 1, 0}, "short attribute": {1, 1, 0, 0, 3, 0, 1, 0},
	} {
		k := newFakeKernel(t)
		for _, cmd := range []uint8{unix.NL80211_CMD_GET_WIPHY, unix.NL80211_CMD_GET_INTERFACE, unix.NL80211_CMD_GET_STATION, unix.NL80211_CMD_GET_SURVEY, unix.NL80211_CMD_GET_MESH_CONFIG} {
			k.raw[cmd] = b
		}
		w := k.must()
		_, e1 := w.Phys()
		_, e2 := w.Ifaces()
		_, e3 := w.Stations(1, 10)
		_, e4 := w.Survey(1)
		_, e5 := w.MeshParams(1)
		for i, err := range []error{e1, e2, e3, e4, e5} {
			if !errors.Is(err, errReply) {
				t.Errorf("%s: call %d: %v", name, i, err)
			}
		}
	}
}

func TestChannels(t *testing.T) {
	for _, c := range []struct{ n, mhz, width, center int }{
		{1, 2412, 20, 2412}, {1, 2412, 0, 2412}, {1, 2412, 40, 2422}, {7, 2442, 40, 2452}, {8, 2447, 40, 2437}, {14, 2484, 20, 2484}, {14, 2484, 40, 0}, {1, 2412, 80, 0},
		{36, 5180, 40, 5190}, {40, 5200, 40, 5190}, {44, 5220, 40, 5230}, {36, 5180, 80, 5210}, {48, 5240, 80, 5210}, {52, 5260, 80, 5290}, {100, 5500, 80, 5530},
		{149, 5745, 40, 5755}, {153, 5765, 40, 5755}, {157, 5785, 80, 5775}, {36, 5180, 30, 0},
	} {
		if ChannelMHz(c.n) != c.mhz || MHzChannel(c.mhz) != c.n || Center(c.mhz, c.width) != c.center {
			t.Errorf("channel %d: %d MHz, %d, center for %d: %d", c.n, ChannelMHz(c.n), MHzChannel(c.mhz), c.width, Center(c.mhz, c.width))
		}
	}
	if ChannelMHz(0) != 0 || ChannelMHz(20) != 0 || ChannelMHz(200) != 0 || MHzChannel(900) != 0 || MHzChannel(5955) != 1 {
		t.Error("channels that do not exist")
	}
}

// testPhy has one free channel in each band, and one of each kind that is not.
func testPhy() Phy {
	return Phy{Name: "phy0", Types: 1<<IfAP | 1<<IfMesh, Bands: []*Band{
		{HT: true, Channels: []Channel{{MHz: 2412}, {MHz: 2467, NoIR: true}, {MHz: 2484, Disabled: true}}},
		{ID: 1, HT: true, HT40: true, VHT: true, Channels: []Channel{{MHz: 5180}, {MHz: 5200}, {MHz: 5220}, {MHz: 5260, Radar: true, NoIR: true}}},
	}}
}

func TestCheckChannel(t *testing.T) {
	p := testPhy()
	for _, c := range []struct {
		mhz, width int
		want       string // "": nothing wrong
	}{
		{2412, 20, ""}, {5180, 20, ""}, {5180, 40, ""}, {5180, 80, "channel 48 (5240 MHz) is not a channel of this radio"}, {2412, 40, "cannot do 40 MHz"}, {2467, 20, "no IR"},
		{2484, 20, "not allowed in this country"}, {5260, 20, "radar"}, {2417, 20, "channel 2 (2417 MHz) is not a channel"}, {2412, 0, ""}, {2417, 0, "channel 2 (2417 MHz) is not a channel"}, {2412, 80, "has no 80 MHz"},
	} {
		err := p.Check(c.mhz, c.width)
		if c.want == "" {
			if err != nil {
				t.Errorf("%d/%d: %v", c.mhz, c.width, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d/%d: %v, want %q", c.mhz, c.width, err, c.want)
		}
	}
}

func TestTogether(t *testing.T) {
	p := Phy{Types: 1<<IfAP | 1<<IfMesh | 1<<IfAdhoc | 1<<IfStation | 1<<IfMonitor, Software: 1 << IfMonitor, Combinations: []Combination{
		{Limits: []Limit{{1, 1 << IfStation}, {2, 1<<IfAP | 1<<IfMesh}}, Max: 3, Channels: 1},
		{Limits: []Limit{{2, 1 << IfStation}}, Max: 2, Channels: 2},
	}}
	for _, c := range []struct {
		types    []IfType
		channels int
		ok       bool
	}{
		{nil, 1, true}, {[]IfType{IfAdhoc}, 1, true}, {[]IfType{IfAP, IfMesh}, 1, true}, {[]IfType{IfAP, IfMesh, IfStation, IfMonitor, IfMonitor}, 1, true},
		{[]IfType{IfAP, IfAP, IfMesh}, 0, false}, {[]IfType{IfAP, IfAdhoc}, 0, false}, {[]IfType{IfStation, IfStation}, 2, true},
		{[]IfType{IfAP, IfAP, IfStation, IfStation}, 0, false}, {[]IfType{IfAPVLAN}, 0, false},
	} {
		if n, ok := p.Together(c.types...); n != c.channels || ok != c.ok {
			t.Errorf("%v: %d, %v; want %d, %v", c.types, n, ok, c.channels, c.ok)
		}
	}
}

func TestWifiEvents(t *testing.T) {
	mac := [6]byte{2, 7}
	body := putAttr(putU32(nil, unix.NL80211_ATTR_IFINDEX, 4), unix.NL80211_ATTR_MAC, mac[:])
	for cmd, want := range map[uint8]WifiChange{
		unix.NL80211_CMD_NEW_STATION: WifiStationNew, unix.NL80211_CMD_DEL_STATION: WifiStationGone, unix.NL80211_CMD_REG_CHANGE: WifiRules,
		unix.NL80211_CMD_NEW_SCAN_RESULTS: WifiScan, unix.NL80211_CMD_CH_SWITCH_NOTIFY: WifiChannel, unix.NL80211_CMD_DEL_INTERFACE: WifiIfaces,
		unix.NL80211_CMD_DEL_WIPHY: WifiPhys, unix.NL80211_CMD_NEW_WIPHY: WifiPhys,
	} {
		e, ok := parseWifiEvent(append([]byte{cmd, 1, 0, 0}, body...))
		if !ok || e != (WifiEvent{What: want, Index: 4, MAC: mac}) {
			t.Errorf("command %d: %+v, %v", cmd, e, ok)
		}
	}
	for _, b := range [][]byte{nil, {1}, {unix.NL80211_CMD_FRAME, 1, 0, 0}, {unix.NL80211_CMD_NEW_STATION, 1, 0, 0, 200, 0, 1, 0}} {
		if e, ok := parseWifiEvent(b); ok {
			t.Errorf("% x: %+v", b, e)
		}
	}
}

func TestWifiManager(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wpa_supplicant")
	old := ManagerDirs
	ManagerDirs = []string{dir}
	t.Cleanup(func() { ManagerDirs = old })
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "wlan0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.WriteFile(filepath.Join(dir, "wlan1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"wlan0": "wpa_supplicant", "wlan1": "", "wlan2": "", "../wpa_supplicant/wlan0": "wpa_supplicant", "..": ""} {
		if got := WifiManager(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// fuzzWifi gives b to every parser of what nl80211 answers.
func fuzzWifi(b []byte) string {
	var l phyList
	_ = l.add(b)
	_ = l.add(b)
	out := fmt.Sprint(len(l))
	for i := range l {
		_ = l[i].Check(2412, 20)
		_ = l[i].Check(5180, 80)
		_, _ = l[i].Together(IfAP, IfMesh)
		out += fmt.Sprint(l[i].Name, l[i].Index, l[i].Types, l[i].Software, l[i].Combinations)
		for _, b := range l[i].Bands {
			out += fmt.Sprint(*b)
		}
	}
	f, e1 := parseWifiIface(b)
	s, e2 := parseStation(b)
	v, in, e3 := parseSurvey(b)
	m, e4 := parseMeshParams(b)
	e, ok := parseWifiEvent(b)
	c := genlConn{}
	e5 := c.learn(b)
	code, e6 := parseCountry(b)
	return out + fmt.Sprint(f, s, v, in, m, e, ok, code, e1, e2, e3, e4, e5, e6)
}

// FuzzWifi: no answer may crash us or make us keep more than the bounds.
func FuzzWifi(f *testing.F) {
	for _, list := range recorded(f) {
		for i := 0; i < len(list); i += 5 {
			f.Add(list[i])
		}
	}
	f.Add([]byte{})
	f.Add(putString(nil, unix.NL80211_ATTR_REG_ALPHA2, "DE"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, again := fuzzWifi(b), fuzzWifi(slices.Clone(b)); a != again {
			t.Errorf("two answers for one input: %s and %s", a, again)
		}
		var l phyList
		for range maxPhys + 1 {
			_ = l.add(b)
		}
		for _, p := range l {
			if len(l) > maxPhys || len(p.Bands) > maxBands || len(p.Combinations) > maxCombinations {
				t.Errorf("%d radios, %d bands, %d combinations", len(l), len(p.Bands), len(p.Combinations))
			}
		}
	})
}
