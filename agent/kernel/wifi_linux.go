package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Wifi asks and tells the kernel about radios, over nl80211. It is not safe
// for concurrent use.
type Wifi struct{ c *genlConn }

// ErrNoWifi says that the kernel knows nothing of Wi-Fi: no driver is loaded.
var ErrNoWifi = errors.New("the kernel has no nl80211: no Wi-Fi driver is loaded")

// OpenWifi connects to nl80211.
func OpenWifi() (*Wifi, error) {
	c, err := dialGenl(unix.NL80211_GENL_NAME)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT):
		return nil, ErrNoWifi
	case err != nil:
		return nil, explain("nl80211", err)
	}
	return &Wifi{c}, nil
}

// Close ends the connection.
func (w *Wifi) Close() { _ = w.c.Close() }

// each asks for a list and calls f with every entry.
func (w *Wifi) each(what string, cmd uint8, args []byte, f func(b []byte) error) error {
	answers, err := w.c.request(cmd, netlink.Dump, args)
	for i := 0; err == nil && i < len(answers); i++ {
		err = f(answers[i])
	}
	if err != nil {
		return explainWifi(what, err)
	}
	return nil
}

// one asks for what is one answer.
func (w *Wifi) one(cmd uint8, args []byte) ([]byte, error) {
	answers, err := w.c.request(cmd, 0, args)
	if err == nil && len(answers) != 1 {
		err = errReply
	}
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

// Phys lists the radios.
func (w *Wifi) Phys() ([]*Phy, error) {
	var l phyList
	// Without the flag the kernel tells at most what fits into one message.
	err := w.each("list radios", unix.NL80211_CMD_GET_WIPHY, putAttr(nil, unix.NL80211_ATTR_SPLIT_WIPHY_DUMP, nil), l.add)
	sort.Slice(l, func(i, j int) bool { return l[i].Index < l[j].Index })
	return l, err
}

// Ifaces lists the interfaces of all radios that have a network device.
func (w *Wifi) Ifaces() (list []*WifiIface, err error) {
	err = w.each("list Wi-Fi interfaces", unix.NL80211_CMD_GET_INTERFACE, nil, func(b []byte) error {
		f, err := parseWifiIface(b)
		if err == nil && f.Name != "" && f.Index != 0 && len(list) < maxWifiIfaces {
			list = append(list, f)
		}
		return err
	})
	return list, err
}

// AddIface makes an interface. A zero mac leaves the choice to the driver.
func (w *Wifi) AddIface(phy int, name string, t IfType, mac [6]byte) (f *WifiIface, err error) {
	args := putU32(nil, unix.NL80211_ATTR_WIPHY, uint32(phy))
	args = putString(args, unix.NL80211_ATTR_IFNAME, name)
	args = putU32(args, unix.NL80211_ATTR_IFTYPE, uint32(t))
	if mac != [6]byte{} {
		args = putAttr(args, unix.NL80211_ATTR_MAC, mac[:])
	}
	b, err := w.one(unix.NL80211_CMD_NEW_INTERFACE, args)
	if err == nil {
		f, err = parseWifiIface(b)
	}
	if err != nil {
		return nil, explainWifi("make the interface "+name, err)
	}
	return f, nil
}

// DelIface removes an interface.
func (w *Wifi) DelIface(index int) error {
	return w.tell("remove the interface", unix.NL80211_CMD_DEL_INTERFACE, ifindex(index))
}

// SetType makes an interface, which must be down, one of another type.
func (w *Wifi) SetType(index int, t IfType) error {
	return w.tell("make it "+t.String(), unix.NL80211_CMD_SET_INTERFACE, putU32(ifindex(index), unix.NL80211_ATTR_IFTYPE, uint32(t)))
}

// Cell is a mesh (802.11s) or an independent cell (IBSS) to be in.
type Cell struct {
	ID    string // the mesh id, or the SSID; 1 to 32 bytes
	MHz   int    // of the first 20 MHz
	Width int    // 20, 40 or 80 MHz; 0: 20 without 802.11n
	// McastRate is the rate of broadcast, in units of 100 kbit/s; 0: the
	// driver's choice, which is the slowest.
	McastRate  uint32
	BSSID      [6]byte // IBSS: the name of the cell; fixed, so that it cannot split
	BasicRates []byte  // IBSS: what all must know, in units of 500 kbit/s; nil: the driver's choice
	MinSignal  int     // mesh: peer with nobody below that, dBm; 0: any
}

// beaconInterval of a mesh point, in units of 1024 us. It is that of access
// points: many drivers cannot have two intervals on one radio, and refuse the
// mesh point with the interval that the kernel gives it otherwise.
const beaconInterval = 100

// JoinMesh joins a mesh without encryption; the interface is a mesh point and
// up. Frames are not forwarded by the driver (mesh_fwding 0): that is the
// agent's work. Peers do not sleep.
func (w *Wifi) JoinMesh(index int, c *Cell) error {
	conf := putU8(nil, unix.NL80211_MESHCONF_FORWARDING, 0)
	conf = putU32(conf, unix.NL80211_MESHCONF_POWER_MODE, unix.NL80211_MESH_POWER_ACTIVE)
	if c.MinSignal != 0 {
		conf = putU32(conf, unix.NL80211_MESHCONF_RSSI_THRESHOLD, uint32(int32(c.MinSignal)))
	}
	args := putAttr(ifindex(index), unix.NL80211_ATTR_MESH_ID, []byte(c.ID))
	args = putU32(args, unix.NL80211_ATTR_BEACON_INTERVAL, beaconInterval)
	args = putNested(c.channel(args), unix.NL80211_ATTR_MESH_CONFIG, conf)
	return w.join("mesh "+c.ID, unix.NL80211_CMD_JOIN_MESH, args)
}

// join asks for a channel, which is then what the kernel finds wrong.
func (w *Wifi) join(what string, cmd uint8, args []byte) error {
	err := w.tell("join the "+what, cmd, args)
	if errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w: the driver or the regulatory domain does not allow this channel or width", err)
	}
	return err
}

// LeaveMesh leaves it.
func (w *Wifi) LeaveMesh(index int) error {
	return w.tell("leave the mesh", unix.NL80211_CMD_LEAVE_MESH, ifindex(index))
}

// JoinIBSS joins a cell without encryption; the interface is of type IfAdhoc
// and up.
func (w *Wifi) JoinIBSS(index int, c *Cell) error {
	args := putAttr(ifindex(index), unix.NL80211_ATTR_SSID, []byte(c.ID))
	args = putAttr(c.channel(args), unix.NL80211_ATTR_FREQ_FIXED, nil)
	args = putAttr(args, unix.NL80211_ATTR_MAC, c.BSSID[:])
	if c.BasicRates != nil {
		args = putAttr(args, unix.NL80211_ATTR_BSS_BASIC_RATES, c.BasicRates)
	}
	return w.join("cell "+c.ID, unix.NL80211_CMD_JOIN_IBSS, args)
}

// LeaveIBSS leaves it.
func (w *Wifi) LeaveIBSS(index int) error {
	return w.tell("leave the cell", unix.NL80211_CMD_LEAVE_IBSS, ifindex(index))
}

// channel adds where the cell is.
func (c *Cell) channel(args []byte) []byte {
	width := uint32(unix.NL80211_CHAN_WIDTH_20_NOHT)
	switch c.Width {
	case 20:
		width = unix.NL80211_CHAN_WIDTH_20
	case 40:
		width = unix.NL80211_CHAN_WIDTH_40
	case 80:
		width = unix.NL80211_CHAN_WIDTH_80
	}
	args = putU32(args, unix.NL80211_ATTR_WIPHY_FREQ, uint32(c.MHz))
	args = putU32(args, unix.NL80211_ATTR_CHANNEL_WIDTH, width)
	args = putU32(args, unix.NL80211_ATTR_CENTER_FREQ1, uint32(Center(c.MHz, c.Width)))
	if c.McastRate != 0 {
		args = putU32(args, unix.NL80211_ATTR_MCAST_RATE, c.McastRate)
	}
	return args
}

// Stations lists the stations of an interface, at most limit.
func (w *Wifi) Stations(index, limit int) (list []*WifiStation, err error) {
	err = w.each("list stations", unix.NL80211_CMD_GET_STATION, ifindex(index), func(b []byte) error {
		s, err := parseStation(b)
		if err == nil && len(list) < limit {
			list = append(list, s)
		}
		return err
	})
	return list, err
}

// Station asks for one station; unix.ENOENT if it is not there.
func (w *Wifi) Station(index int, mac [6]byte) (s *WifiStation, err error) {
	b, err := w.one(unix.NL80211_CMD_GET_STATION, putAttr(ifindex(index), unix.NL80211_ATTR_MAC, mac[:]))
	if err != nil {
		return nil, explainWifi("ask for a station", err)
	}
	return parseStation(b)
}

// Survey tells of the channel that an interface is on. Drivers that know
// nothing give a zero Survey.
func (w *Wifi) Survey(index int) (used Survey, err error) {
	err = w.each("survey the channel", unix.NL80211_CMD_GET_SURVEY, ifindex(index), func(b []byte) error {
		s, inUse, err := parseSurvey(b)
		if inUse {
			used = s
		}
		return err
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = nil
	}
	return used, err
}

// MeshParams asks for the parameters of a mesh point.
func (w *Wifi) MeshParams(index int) (m MeshParams, err error) {
	b, err := w.one(unix.NL80211_CMD_GET_MESH_CONFIG, ifindex(index))
	if err != nil {
		return m, explainWifi("ask for mesh parameters", err)
	}
	return parseMeshParams(b)
}

// Country tells by whose rules a radio is bound: two capital letters; "00"
// while nobody has said where the radio is, "99" for rules that the driver
// brings, "98" for what is common to several. Source: include/net/regulatory.h.
func (w *Wifi) Country(phy int) (code string, err error) {
	b, err := w.one(unix.NL80211_CMD_GET_REG, putU32(nil, unix.NL80211_ATTR_WIPHY, uint32(phy)))
	if err != nil {
		return "", explainWifi("ask for the regulatory domain", err)
	}
	return parseCountry(b)
}

func ifindex(i int) []byte { return putU32(nil, unix.NL80211_ATTR_IFINDEX, uint32(i)) }

// tell sends a command that has no answer.
func (w *Wifi) tell(what string, cmd uint8, args []byte) error {
	if _, err := w.c.request(cmd, netlink.Acknowledge, args); err != nil {
		return explainWifi(what, err)
	}
	return nil
}

// explainWifi says what was tried, and what helps against the error if we know
// it.
func explainWifi(what string, err error) error {
	for _, h := range wifiHints {
		if errors.Is(err, h.err) {
			return fmt.Errorf("%s: %w: %s", what, err, h.text)
		}
	}
	return explain(what, err)
}

var wifiHints = [...]struct {
	err  unix.Errno
	text string
}{
	{unix.ERFKILL, "the radio is switched off; switch it on with a switch at the device, or with: rfkill unblock wifi"},
	{unix.EBUSY, "the radio is busy with another interface that it cannot be shared with"},
	{unix.ENODEV, "the radio or the interface is gone"},
	{unix.EOPNOTSUPP, "the driver cannot do that"},
	{unix.ENOTUNIQ, "another interface has its address"},
	{unix.EALREADY, "it is in a network already"},
	{unix.ENFILE, nameTaken},
	{unix.EEXIST, nameTaken},
}

const nameTaken = "an interface of that name is there already"

// SetUp brings the device with that index up or down.
func SetUp(index int, up bool) error {
	c, err := dialRoute()
	if err != nil {
		return explain("route netlink", err)
	}
	defer c.Close()
	if err := c.setUp(index, up); err != nil {
		return explainWifi("switch the interface on or off", err)
	}
	return nil
}

// ManagerDirs are where those who manage Wi-Fi interfaces have a socket for
// each; a variable for tests, here and elsewhere.
// Source: wpa_supplicant.conf(5) and hostapd.conf, ctrl_interface.
var ManagerDirs = []string{"/var/run/wpa_supplicant", "/var/run/hostapd"}

// WifiManager returns the program that manages the interface; "" if there is
// none that shows.
func WifiManager(name string) string {
	for _, d := range ManagerDirs {
		if s, err := os.Stat(filepath.Join(d, filepath.Base(name))); err == nil && s.Mode()&os.ModeSocket != 0 {
			return filepath.Base(d)
		}
	}
	return ""
}
