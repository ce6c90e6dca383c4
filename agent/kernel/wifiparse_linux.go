package kernel

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Bounds for what a driver may describe.
const (
	maxPhys         = 64
	maxBands        = 8
	maxChannels     = 256
	maxCombinations = 64
	maxLimits       = 32
	maxWifiIfaces   = 256
)

// phyList puts together the radios, of which each answer tells a part.
// Source: net/wireless/nl80211.c, nl80211_send_wiphy.
type phyList []*Phy

func (l *phyList) add(b []byte) error {
	index := -1
	err := attrs(b, func(typ uint16, v attr) error {
		if typ == unix.NL80211_ATTR_WIPHY {
			index = int(v.u32())
		}
		return nil
	})
	if err != nil || index < 0 {
		return err
	}
	i := slices.IndexFunc(*l, func(p *Phy) bool { return p.Index == index })
	if i < 0 {
		if len(*l) == maxPhys {
			return nil
		}
		i = len(*l)
		*l = append(*l, &Phy{Index: index})
	}
	p := (*l)[i]
	return attrs(b, func(typ uint16, v attr) (err error) {
		switch typ {
		case unix.NL80211_ATTR_WIPHY_NAME:
			p.Name = v.text()
		case unix.NL80211_ATTR_SUPPORTED_IFTYPES:
			p.Types, err = typeSet(v)
		case unix.NL80211_ATTR_SOFTWARE_IFTYPES:
			p.Software, err = typeSet(v)
		case unix.NL80211_ATTR_WIPHY_BANDS:
			err = attrs(v, p.addBand)
		case unix.NL80211_ATTR_INTERFACE_COMBINATIONS:
			err = attrs(v, p.addCombination)
		}
		return err
	})
}

// typeSet reads a list of flags, one for each type.
func typeSet(b []byte) (s IfTypes, err error) {
	err = attrs(b, func(typ uint16, _ attr) error {
		if typ < 32 {
			s |= 1 << typ
		}
		return nil
	})
	return s, err
}

func (p *Phy) addBand(id uint16, v attr) error {
	i := slices.IndexFunc(p.Bands, func(b *Band) bool { return b.ID == int(id) })
	if i < 0 {
		if len(p.Bands) == maxBands {
			return nil
		}
		i = len(p.Bands)
		p.Bands = append(p.Bands, &Band{ID: int(id)})
	}
	b := p.Bands[i]
	return attrs(v, func(typ uint16, v attr) error {
		switch typ {
		case unix.NL80211_BAND_ATTR_HT_CAPA:
			b.HT = true
			b.HT40 = v.u16()&2 != 0 // Source: IEEE 802.11-2020, 9.4.2.55.2: supported channel width set
		case unix.NL80211_BAND_ATTR_VHT_CAPA:
			b.VHT = true
		case unix.NL80211_BAND_ATTR_FREQS:
			return attrs(v, b.addChannel)
		}
		return nil
	})
}

func (b *Band) addChannel(_ uint16, v attr) error {
	var c Channel
	err := attrs(v, func(typ uint16, v attr) error {
		switch typ {
		case unix.NL80211_FREQUENCY_ATTR_FREQ:
			c.MHz = int(v.u32())
		case unix.NL80211_FREQUENCY_ATTR_DISABLED:
			c.Disabled = true
		case unix.NL80211_FREQUENCY_ATTR_NO_IR:
			c.NoIR = true
		case unix.NL80211_FREQUENCY_ATTR_RADAR:
			c.Radar = true
		case unix.NL80211_FREQUENCY_ATTR_MAX_TX_POWER:
			c.PowerMBm = int(v.u32())
		}
		return nil
	})
	if c.MHz != 0 && len(b.Channels) < maxChannels {
		b.Channels = append(b.Channels, c)
	}
	return err
}

func (p *Phy) addCombination(_ uint16, v attr) error {
	var c Combination
	err := attrs(v, func(typ uint16, v attr) error {
		switch typ {
		case unix.NL80211_IFACE_COMB_MAXNUM:
			c.Max = int(v.u32())
		case unix.NL80211_IFACE_COMB_NUM_CHANNELS:
			c.Channels = int(v.u32())
		case unix.NL80211_IFACE_COMB_LIMITS:
			return attrs(v, c.addLimit)
		}
		return nil
	})
	if len(p.Combinations) < maxCombinations {
		p.Combinations = append(p.Combinations, c)
	}
	return err
}

func (c *Combination) addLimit(_ uint16, v attr) error {
	var l Limit
	err := attrs(v, func(typ uint16, v attr) (err error) {
		switch typ {
		case unix.NL80211_IFACE_LIMIT_MAX:
			l.Max = int(v.u32())
		case unix.NL80211_IFACE_LIMIT_TYPES:
			l.Types, err = typeSet(v)
		}
		return err
	})
	if len(c.Limits) < maxLimits {
		c.Limits = append(c.Limits, l)
	}
	return err
}

// chanWidths are MHz by enum nl80211_chan_width.
var chanWidths = [...]int{20, 20, 40, 80, 80, 160, 5, 10, 1, 2, 4, 8, 16, 320}

// parseWifiIface reads an interface. One without a network device, which is
// a P2P device, has no name.
func parseWifiIface(b []byte) (*WifiIface, error) {
	w := new(WifiIface)
	err := attrs(b, func(typ uint16, v attr) error {
		switch typ {
		case unix.NL80211_ATTR_IFNAME:
			w.Name = v.text()
		case unix.NL80211_ATTR_IFINDEX:
			w.Index = int(v.u32())
		case unix.NL80211_ATTR_WIPHY:
			w.Phy = int(v.u32())
		case unix.NL80211_ATTR_IFTYPE:
			w.Type = IfType(v.u32())
		case unix.NL80211_ATTR_MAC:
			w.MAC = v.mac()
		case unix.NL80211_ATTR_SSID:
			w.SSID = string(v)
		case unix.NL80211_ATTR_WIPHY_FREQ:
			w.MHz = int(v.u32())
		case unix.NL80211_ATTR_CHANNEL_WIDTH:
			if i := v.u32(); i < uint32(len(chanWidths)) {
				w.Width = chanWidths[i]
			}
		}
		return nil
	})
	return w, err
}

// parseStation reads a station. Source: enum nl80211_sta_info.
func parseStation(b []byte) (*WifiStation, error) {
	s := new(WifiStation)
	err := attrs(b, func(typ uint16, v attr) error {
		switch typ {
		case unix.NL80211_ATTR_MAC:
			s.MAC = v.mac()
		case unix.NL80211_ATTR_STA_INFO:
			return attrs(v, s.info)
		}
		return nil
	})
	return s, err
}

func (s *WifiStation) info(typ uint16, v attr) (err error) {
	switch typ {
	case unix.NL80211_STA_INFO_INACTIVE_TIME:
		s.InactiveMs = v.u32()
	case unix.NL80211_STA_INFO_CONNECTED_TIME:
		s.ConnectedS = v.u32()
	case unix.NL80211_STA_INFO_SIGNAL:
		s.Signal = int8(v.u8())
	case unix.NL80211_STA_INFO_SIGNAL_AVG:
		s.SignalAvg = int8(v.u8())
	case unix.NL80211_STA_INFO_TX_BITRATE:
		s.TxBitrate, err = bitrate(v)
	case unix.NL80211_STA_INFO_RX_BITRATE:
		s.RxBitrate, err = bitrate(v)
	case unix.NL80211_STA_INFO_EXPECTED_THROUGHPUT:
		s.Expected, s.HasExpected = v.u32(), true
	case unix.NL80211_STA_INFO_TX_PACKETS:
		s.TxPackets = v.u32()
	case unix.NL80211_STA_INFO_TX_RETRIES:
		s.TxRetries = v.u32()
	case unix.NL80211_STA_INFO_TX_FAILED:
		s.TxFailed = v.u32()
	case unix.NL80211_STA_INFO_RX_BYTES64:
		s.RxBytes = v.u64()
	case unix.NL80211_STA_INFO_TX_BYTES64:
		s.TxBytes = v.u64()
	case unix.NL80211_STA_INFO_PLINK_STATE:
		s.Peering = v.u8()
	case unix.NL80211_STA_INFO_STA_FLAGS: // struct nl80211_sta_flag_update: mask, set
		if len(v) >= 8 {
			s.Authorized = v.u32()&attr(v[4:]).u32()&(1<<unix.NL80211_STA_FLAG_AUTHORIZED) != 0
		}
	}
	return err
}

// bitrate reads a rate in units of 100 kbit/s: the field of 32 bits, or the
// older one of 16.
func bitrate(b []byte) (rate uint32, err error) {
	err = attrs(b, func(typ uint16, v attr) error {
		switch {
		case typ == unix.NL80211_RATE_INFO_BITRATE32:
			rate = v.u32()
		case typ == unix.NL80211_RATE_INFO_BITRATE && rate == 0:
			rate = uint32(v.u16())
		}
		return nil
	})
	return rate, err
}

// parseSurvey reads an entry of a survey, and whether it is of the channel in
// use.
func parseSurvey(b []byte) (s Survey, inUse bool, err error) {
	err = attrs(b, func(typ uint16, v attr) error {
		if typ != unix.NL80211_ATTR_SURVEY_INFO {
			return nil
		}
		return attrs(v, func(typ uint16, v attr) error {
			switch typ {
			case unix.NL80211_SURVEY_INFO_FREQUENCY:
				s.MHz = int(v.u32())
			case unix.NL80211_SURVEY_INFO_NOISE:
				s.Noise = int8(v.u8())
			case unix.NL80211_SURVEY_INFO_IN_USE:
				inUse = true
			case unix.NL80211_SURVEY_INFO_TIME:
				s.TimeMs = v.u64()
			case unix.NL80211_SURVEY_INFO_TIME_BUSY:
				s.BusyMs = v.u64()
			case unix.NL80211_SURVEY_INFO_TIME_RX:
				s.RxMs = v.u64()
			case unix.NL80211_SURVEY_INFO_TIME_TX:
				s.TxMs = v.u64()
			}
			return nil
		})
	})
	return s, inUse, err
}

// parseCountry reads a regulatory domain; "" if its code is not one.
func parseCountry(b []byte) (code string, err error) {
	err = attrs(b, func(typ uint16, v attr) error {
		if typ == unix.NL80211_ATTR_REG_ALPHA2 {
			code = v.text()
		}
		return nil
	})
	letter := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' }
	if len(code) != 2 || !letter(code[0]) || !letter(code[1]) {
		code = ""
	}
	return code, err
}

func parseMeshParams(b []byte) (m MeshParams, err error) {
	err = attrs(b, func(typ uint16, v attr) error {
		if typ != unix.NL80211_ATTR_MESH_CONFIG {
			return nil
		}
		return attrs(v, func(typ uint16, v attr) error {
			switch typ {
			case unix.NL80211_MESHCONF_FORWARDING:
				m.Forwarding = v.u8() != 0
			case unix.NL80211_MESHCONF_RSSI_THRESHOLD:
				m.RSSI = int(int32(v.u32()))
			case unix.NL80211_MESHCONF_POWER_MODE:
				m.PowerMode = v.u32()
			}
			return nil
		})
	})
	return m, err
}
