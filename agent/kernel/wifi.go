package kernel

import (
	"errors"
	"strconv"
	"strings"
)

// IfType is what a Wi-Fi interface is. Source: uapi/linux/nl80211.h,
// enum nl80211_iftype.
type IfType uint8

// The types that matter here.
const (
	IfAdhoc   IfType = 1 // a station of an independent cell (IBSS)
	IfStation IfType = 2 // a client ("managed")
	IfAP      IfType = 3
	IfAPVLAN  IfType = 4
	IfMonitor IfType = 6
	IfMesh    IfType = 7 // a mesh point (802.11s)
)

// String returns iw's word.
func (t IfType) String() string {
	if int(t) < len(ifTypeNames) && ifTypeNames[t] != "" {
		return ifTypeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

var ifTypeNames = [...]string{
	IfAdhoc: "IBSS", IfStation: "managed", IfAP: "AP", IfAPVLAN: "AP/VLAN", IfMonitor: "monitor", IfMesh: "mesh point",
}

// IfTypes is a set of IfType.
type IfTypes uint32

// Has reports whether t is in the set.
func (s IfTypes) Has(t IfType) bool { return t < 32 && s&(1<<t) != 0 }

// Phy is a radio.
type Phy struct {
	Index        int
	Name         string
	Types        IfTypes // that an interface of it may have
	Software     IfTypes // of these any number may run beside others
	Bands        []*Band
	Combinations []Combination
}

// Band is a part of the spectrum. Source: enum nl80211_band.
type Band struct {
	ID       int
	HT, HT40 bool
	VHT      bool
	Channels []Channel
}

// String returns the usual name of the band.
func (b *Band) String() string {
	if b.ID < len(bandNames) {
		return bandNames[b.ID]
	}
	return "band " + strconv.Itoa(b.ID)
}

var bandNames = [...]string{"2.4 GHz", "5 GHz", "60 GHz", "6 GHz"}

// Channel is 20 MHz of a band, and what the rules of the country allow on it.
type Channel struct {
	MHz      int  // in the middle
	Disabled bool // not allowed at all
	NoIR     bool // we may not speak first: no mesh point, no IBSS
	Radar    bool // only after listening for radar
	PowerMBm int  // at most, in 1/100 dBm
}

// Combination says which interfaces a radio can have at the same time. Source:
// enum nl80211_if_combination_attrs.
type Combination struct {
	Limits   []Limit
	Max      int // interfaces in all
	Channels int // different ones at a time
}

// Limit is how many interfaces of some types there may be.
type Limit struct {
	Max   int
	Types IfTypes
}

// Together reports whether interfaces of these types can run at the same time,
// and on how many channels. One alone always can. Source: net/wireless/util.c,
// cfg80211_iter_combinations.
func (p *Phy) Together(types ...IfType) (channels int, ok bool) {
	var count [32]int
	total := 0
	for _, t := range types {
		if !p.Types.Has(t) {
			return 0, false
		}
		if !p.Software.Has(t) {
			count[t]++
			total++
		}
	}
	if total <= 1 {
		return 1, true
	}
	for _, c := range p.Combinations {
		if total <= c.Max && c.allows(count) {
			channels, ok = max(channels, c.Channels), true
		}
	}
	return channels, ok
}

func (c *Combination) allows(count [32]int) bool {
	var all IfTypes
	left := make([]int, len(c.Limits))
	for i, l := range c.Limits {
		all |= l.Types
		left[i] = l.Max
	}
	for t, n := range count {
		if n == 0 {
			continue
		}
		if !all.Has(IfType(t)) {
			return false
		}
		for i, l := range c.Limits {
			if !l.Types.Has(IfType(t)) {
				continue
			}
			if left[i] -= n; left[i] < 0 {
				return false
			}
		}
	}
	return true
}

// Channel finds the channel in the middle of which mhz is; nil if there is none.
func (p *Phy) Channel(mhz int) (*Band, Channel) {
	for _, b := range p.Bands {
		for _, c := range b.Channels {
			if c.MHz == mhz {
				return b, c
			}
		}
	}
	return nil, Channel{}
}

// ChannelMHz turns the number of a channel into its frequency in MHz; 0 if
// there is none. Numbers up to 14 are in the band of 2.4 GHz, others in that of
// 5 GHz. Source: IEEE 802.11-2020, 17.3.8.4.2 and 15.4.4.3.
func ChannelMHz(n int) int {
	switch {
	case n >= 1 && n <= 13:
		return 2407 + 5*n
	case n == 14:
		return 2484
	case n >= 36 && n <= 177:
		return 5000 + 5*n
	}
	return 0
}

// MHzChannel is the number of the channel of that frequency; 0 if it has none.
func MHzChannel(mhz int) int {
	switch {
	case mhz == 2484:
		return 14
	case mhz >= 2412 && mhz <= 2472:
		return (mhz - 2407) / 5
	case mhz >= 5180 && mhz <= 5885:
		return (mhz - 5000) / 5
	case mhz > 5950 && mhz <= 7115:
		return (mhz - 5950) / 5
	}
	return 0
}

// Center is the middle of the channel of that width, in MHz, whose first 20 MHz
// are at mhz; 0 if there is none. Source: IEEE 802.11-2020, annex E.
func Center(mhz, width int) int {
	n := MHzChannel(mhz)
	switch {
	case width <= 20:
		return mhz
	case mhz < 2484 && width == 40 && n >= 1 && n <= 13:
		if n <= 7 {
			return mhz + 10
		}
		return mhz - 10
	case mhz < 5180 || mhz > 5885 || width != 40 && width != 80:
		return 0
	}
	first := 36
	if n >= 149 {
		first = 149
	}
	if (n-first)%4 != 0 {
		return 0
	}
	block := (n - first) / (width / 5) * (width / 5)
	return 5000 + 5*(first+block) + width/2 - 10
}

// Check says why a mesh point or a cell of that width cannot be at mhz.
func (p *Phy) Check(mhz, width int) error {
	center := Center(mhz, width)
	if center == 0 {
		return errors.New(channelText(mhz) + " has no " + strconv.Itoa(width) + " MHz: expected width 20, or another channel")
	}
	width = max(width, 20)
	for f := center - width/2 + 10; f < center+width/2; f += 20 {
		why := ""
		switch b, c := p.Channel(f); {
		case b == nil:
			why = " is not a channel of this radio: "
		case c.Disabled:
			why = " is not allowed in this country, says the regulatory domain: "
		case c.Radar:
			why = " is shared with radar, which needs a listener that the agent is not: "
		case c.NoIR:
			why = " may not be used to begin a network (no IR); perhaps the country is not set: "
		case width > 20 && !b.HT40 || width > 40 && !b.VHT:
			return errors.New("the radio cannot do " + strconv.Itoa(width) + " MHz there: expected width 20")
		}
		if why != "" {
			return errors.New(channelText(f) + why + "expected one of " + p.usable())
		}
	}
	return nil
}

func channelText(mhz int) string {
	return "channel " + strconv.Itoa(MHzChannel(mhz)) + " (" + strconv.Itoa(mhz) + " MHz)"
}

// Usable lists the channels on which a network may be begun.
func (p *Phy) Usable() (list []int) {
	for _, b := range p.Bands {
		for _, c := range b.Channels {
			if n := MHzChannel(c.MHz); n != 0 && c.Free() {
				list = append(list, n)
			}
		}
	}
	return list
}

func (p *Phy) usable() (s string) {
	for _, n := range p.Usable() {
		s += strconv.Itoa(n) + " "
	}
	return strings.TrimSpace(s)
}

// Rule says, in iw's words, why a network may not be begun on the channel:
// "disabled"; "radar": only after listening for it; "no IR": only where another
// speaks first. Empty: it may.
func (c Channel) Rule() string {
	switch {
	case c.Disabled:
		return "disabled"
	case c.Radar:
		return "radar"
	case c.NoIR:
		return "no IR"
	}
	return ""
}

// Free reports whether a network may be begun on the channel.
func (c Channel) Free() bool { return c.Rule() == "" }

// WifiIface is an interface of a radio.
type WifiIface struct {
	Name  string
	Index int
	Phy   int // Index of the radio
	MAC   [6]byte
	Type  IfType
	SSID  string // the network it is in; a mesh point does not tell its mesh
	MHz   int    // 0: it is in no network
	Width int    // MHz
}

// Active reports whether the interface is in a network, or makes one.
func (w *WifiIface) Active() bool { return w.MHz != 0 }

// WifiStation is a station that the radio hears, as the driver knows it. What
// the driver does not tell is 0.
type WifiStation struct {
	MAC         [6]byte
	Authorized  bool   // may send data
	Peering     uint8  // state of a mesh peering; 4: established
	InactiveMs  uint32 // since it was heard
	ConnectedS  uint32
	Signal      int8 // dBm, of the last frame
	SignalAvg   int8
	TxBitrate   uint32 // 100 kbit/s, of the last frame
	RxBitrate   uint32
	Expected    uint32 // throughput that rate control expects, kbit/s
	HasExpected bool
	TxPackets   uint32
	TxRetries   uint32
	TxFailed    uint32
	RxBytes     uint64
	TxBytes     uint64
}

// Survey is what the radio knows of the channel that it is on. Times are since
// the interface was made.
type Survey struct {
	MHz    int
	Noise  int8   // dBm; 0: unknown
	TimeMs uint64 // observed
	BusyMs uint64 // of these the medium was in use
	RxMs   uint64
	TxMs   uint64
}

// MeshParams are parameters of a mesh point that concern us.
type MeshParams struct {
	Forwarding bool // the driver forwards frames of others by itself (HWMP)
	RSSI       int  // no peering below that, dBm; 0: any
	PowerMode  uint32
}
