package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Defaults and limits of the section "wifi".
const (
	DefaultRadioWidth = 20   // MHz
	DefaultRadioMTU   = 1532 // a client's 1500 bytes without being cut
	maxMeshID         = 32   // bytes. Source: IEEE 802.11-2020, 9.4.2.98
	radioDevice       = "wmesh"
)

// Radio is what a section "wifi" says of the radio under a hard interface.
type Radio struct {
	MeshID string // of an 802.11s mesh, or the SSID of an IBSS
	// Made says that the section names no device: the agent makes one.
	Made      bool
	Phy       string // the name of the radio; empty: the first that can
	Mode      RadioMode
	BSSID     [6]byte // of an IBSS; zero: made of MeshID
	Channel   int     // number, or MHz from 2000 on; 0: any
	Width     int     // MHz
	McastRate uint32  // of broadcast, 100 kbit/s; 0: the driver's choice
	MinSignal int     // dBm: peer with nobody below that; 0: any
}

// RadioMode says how stations find each other.
type RadioMode uint8

// Values of RadioMode.
const (
	RadioAuto RadioMode = iota
	RadioMesh           // a mesh point, 802.11s
	RadioIBSS           // an independent cell, "ad hoc"
)

// String returns the word used in the configuration.
func (m RadioMode) String() string { return word(radioModeWords, int(m)) }

var radioModeWords = []string{"auto", "mesh", "ibss"}

func (d *draft) readWifi(at place, s *Section) {
	r := &Radio{Width: DefaultRadioWidth}
	h := HardIf{Section: s.ID(), Enabled: true, ELPInterval: DefaultELPInterval, Radio: r}
	set := hardIfSetters(&h)
	set["device"] = into(&h.Device, parseLinkName)
	set["mesh_id"] = into(&r.MeshID, parseMeshID)
	set["phy"] = into(&r.Phy, parseDevice)
	set["mode"] = func(v string) error {
		if v == "adhoc" { // OpenWrt's word in a wifi-iface
			v = "ibss"
		}
		return wordInto(&r.Mode, radioModeWords, false)(v)
	}
	set["bssid"] = into(&r.BSSID, parseOwnMAC)
	set["channel"] = into(&r.Channel, parseChannel)
	set["width"] = into(&r.Width, parseWidth)
	set["mcast_rate"] = into(&r.McastRate, parseRate)
	set["min_signal"] = into(&r.MinSignal, parseSignal)
	d.readOptions(at.file, s, set)
	d.require(at, s, "mesh_id")
	if r.Phy == "auto" {
		r.Phy = ""
	}
	if h.Device == "" {
		r.Made = true
		h.Device = radioDevice + strconv.Itoa(d.radios)
	}
	d.radios++
	d.HardIfs, d.hardIfAt = append(d.HardIfs, h), append(d.hardIfAt, at)
}

// hardIfSetters are the options that a section has which makes hard
// interfaces, apart from the devices.
func hardIfSetters(h *HardIf) setters {
	mesh := into(&h.Mesh, parseDevice)
	return setters{
		"enabled":             into(&h.Enabled, parseBool),
		"mesh":                mesh,
		"master":              mesh,
		"hop_penalty":         numberInto(&h.HopPenalty, 0, 255),
		"elp_interval":        into(&h.ELPInterval, parseMeshInterval),
		"throughput_override": into(&h.ThroughputOverride, parseRate),
		"mtu":                 numberInto(&h.MTU, minMeshMTU, maxHardIfMTU),
	}
}

func parseMeshID(s string) (string, error) {
	if s == "" || len(s) > maxMeshID {
		return "", fmt.Errorf("expected the name of the mesh on the air, 1 to %d bytes, found %d", maxMeshID, len(s))
	}
	return s, nil
}

// parseChannel reads a number up to 177, or MHz.
func parseChannel(s string) (int, error) {
	if s == "auto" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || (n < 1 || n > 14) && (n < 36 || n > 177) && (n < 2412 || n > 7115) {
		return 0, fmt.Errorf("expected auto, a channel from 1 to 14 (2.4 GHz) or from 36 to 177 (5 GHz), or MHz, found '%s'", s)
	}
	return n, nil
}

func parseWidth(s string) (int, error) {
	// OpenWrt's htmode means the same here.
	switch strings.TrimPrefix(strings.TrimPrefix(s, "V"), "HT") {
	case "20":
		return 20, nil
	case "40":
		return 40, nil
	case "80":
		return 80, nil
	}
	return 0, fmt.Errorf("expected 20, 40 or 80 MHz, found '%s'", s)
}

func parseSignal(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < -100 || n > 0 {
		return 0, fmt.Errorf("expected dBm from -100 to -1, or 0 for none, found '%s'", s)
	}
	return n, nil
}

// radioDiff lists the options of a radio that differ.
func radioDiff(a, b *Radio) []string {
	if a == nil || b == nil {
		return options(a != b, "mesh_id")
	}
	return options(
		a.MeshID != b.MeshID, "mesh_id",
		a.Made != b.Made, "device",
		a.Phy != b.Phy, "phy",
		a.Mode != b.Mode, "mode",
		a.BSSID != b.BSSID, "bssid",
		a.Channel != b.Channel, "channel",
		a.Width != b.Width, "width",
		a.McastRate != b.McastRate, "mcast_rate",
		a.MinSignal != b.MinSignal, "min_signal",
	)
}
