package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of the mesh options. The lowest interval is twice the jitter, as in
// batman-adv; the others keep timers and buffers sane.
const (
	minMeshInterval = 40 // ms
	maxMeshInterval = 60_000
	minMeshMTU      = 576
	maxMeshMTU      = 1500 // what an Ethernet client expects; more would not fit into our buffers with its VLAN tag
	maxHardIfMTU    = 2304 // the largest of 802.11
	maxFanout       = 65535
	maxAllow        = 4096 // keys; as many as a community has members
)

// Types that no standard of batman-adv may ever use, and that stock nodes pass
// on untouched. Source: batman-adv uapi/linux/batadv_packet.h,
// BATADV_UNICAST_MIN and _MAX; multicast TVLVs and below end at 6.
const (
	minIdentityType = 128
	maxIdentityType = 255
	minOverlayType  = 0x45
	maxOverlayType  = 0x7f
)

func (d *draft) readMesh(at place, s *Section) {
	m := defaultMesh()
	if s.Name != "" {
		name, err := parseDevice(s.Name)
		if err != nil {
			d.fail(at, "", "the name of the section is that of the mesh device: %s", err)
		}
		m.Name = name
	}
	selClass := "" // what it means depends on the algorithm, which may come later
	algo := wordFoldInto(&m.Algo, meshAlgoWords)
	d.readOptions(at.file, s, setters{
		"enabled":               into(&m.Enabled, parseBool),
		"mac":                   into(&m.MAC, parseOwnMAC),
		"mtu":                   numberInto(&m.MTU, minMeshMTU, maxMeshMTU),
		"routing_algo":          algo,
		"algo":                  algo,
		"orig_interval":         into(&m.OrigInterval, parseMeshInterval),
		"hop_penalty":           numberInto(&m.HopPenalty, 0, 255),
		"aggregated_ogms":       into(&m.Aggregation, parseBool),
		"bonding":               into(&m.Bonding, parseBool),
		"fragmentation":         into(&m.Fragmentation, parseBool),
		"ap_isolation":          into(&m.APIsolation, parseBool),
		"bridge_loop_avoidance": into(&m.BLA, parseBool),
		"distributed_arp_table": into(&m.DAT, parseBool),
		"multicast_mode":        into(&m.Multicast, parseBool),
		"multicast_fanout":      numberInto(&m.MulticastFanout, 0, maxFanout),
		"gw_mode":               wordInto(&m.GWMode, gwModeWords, false),
		"gw_sel_class":          func(v string) error { selClass = v; return nil },
		"gw_bandwidth": func(v string) (err error) {
			m.GWDown, m.GWUp, err = parseBandwidth(v)
			return err
		},
		"isolation_mark": func(v string) (err error) {
			m.IsolationMark, m.IsolationMask, err = parseMark(v)
			if m.IsolationMask != 0 {
				d.warn(lineOf(at, s, "isolation_mark"), "isolation_mark", "not supported: marks of packets are only seen inside the kernel")
			}
			return err
		},
		"log_level":      into(&m.Log, parseMeshLog),
		"identity":       into(&m.Identity, parseBool),
		"require_signed": wordInto(&m.RequireSigned, signPolicyWords, false),
		"identity_type":  numberInto(&m.IdentityType, minIdentityType, maxIdentityType),
		"overlay_type":   numberInto(&m.OverlayType, minOverlayType, maxOverlayType),
		"admit":          wordInto(&m.Admit, admitWords, false),
		"allow": func(v string) error {
			k, err := parseKey(v)
			switch {
			case err != nil:
				return err
			case slices.Contains(m.Allow, k):
				return nil
			case len(m.Allow) == maxAllow:
				return fmt.Errorf("expected at most %d keys; use a community for more", maxAllow)
			}
			m.Allow = append(m.Allow, k)
			return nil
		},
		"network_coding": func(v string) error {
			on, err := parseBool(v)
			if on {
				d.warn(lineOf(at, s, "network_coding"), "network_coding", "not supported; the mesh works without it")
			}
			return err
		},
	}, "allow")
	d.checkTrust(at, s, m)
	m.GWSelClass = DefaultGWSelClassIV
	if m.Algo == BatmanV {
		m.GWSelClass = DefaultGWSelClassV
	}
	if _, given := s.Get("gw_sel_class"); given {
		var err error
		if m.GWSelClass, err = parseSelClass(selClass, m.Algo); err != nil {
			d.fail(lineOf(at, s, "gw_sel_class"), "gw_sel_class", "%s", err)
		}
	}
	if d.Mesh.Name != "" && d.Mesh.Name != m.Name {
		d.fail(at, "", "a second mesh '%s'; expected one section 'mesh': '%s' is in line %d", m.Name, d.Mesh.Name, d.meshAt.line)
		return
	}
	if d.Mesh.Name != "" && d.meshAt.file == at.file {
		d.fail(at, "", "expected one section 'mesh'; the first is in line %d", d.meshAt.line)
		return
	}
	d.Mesh, d.meshAt = m, at
}

// checkTrust looks for options of identity and admission that are at odds.
func (d *draft) checkTrust(at place, s *Section, m Mesh) {
	switch {
	case m.Identity:
	case m.RequireSigned == SignAll:
		d.fail(lineOf(at, s, "require_signed"), "require_signed", "'all' needs identities; expected overlay or off, or identity 1")
	case m.Admit != AdmitAny:
		d.fail(lineOf(at, s, "admit"), "admit", "'%s' needs identities; expected identity 1, or no option 'admit'", m.Admit)
	}
	switch {
	case m.Admit == AdmitList && len(m.Allow) == 0:
		d.warn(lineOf(at, s, "admit"), "admit", "the list is empty: nobody peers over the mesh without a password; expected: list allow KEY.k")
	case m.Admit != AdmitList && len(m.Allow) > 0:
		d.warn(lineOf(at, s, "allow"), "allow", "has no effect without option admit 'list'")
	}
}

func (d *draft) readHardIf(at place, s *Section) {
	h := HardIf{Section: s.ID(), Enabled: true, ELPInterval: DefaultELPInterval}
	var devices []string
	set := hardIfSetters(&h)
	set["device"] = func(v string) error {
		// OpenWrt's network file may hold several in one option.
		names := strings.Fields(v)
		if len(names) == 0 {
			names = []string{v}
		}
		for _, name := range names {
			dev, err := parseLinkName(name)
			if err != nil {
				return err
			}
			devices = append(devices, dev)
		}
		return nil
	}
	d.readOptions(at.file, s, set, "device")
	d.require(at, s, "device")
	for _, dev := range devices {
		h.Device = dev
		d.HardIfs, d.hardIfAt = append(d.HardIfs, h), append(d.hardIfAt, at)
	}
}

// parseLinkName reads the name of a device that leads to neighbours.
func parseLinkName(s string) (string, error) {
	if s == "lo" {
		return "", errors.New("expected a device with neighbours; lo is the host itself")
	}
	return parseDevice(s)
}

// checkMesh checks that each hard interface belongs to the mesh, once, and is
// none of our own devices.
func (d *draft) checkMesh() {
	if tun := d.TUN.Name; d.TUN.Enabled && tun != "" && tun == d.Mesh.Name {
		d.fail(d.meshAt, "", "'%s' is the agent's TUN device; expected another name for the mesh device", tun)
	}
	if d.Mesh.Name == "" && d.radios > 0 {
		d.Mesh = defaultMesh() // a section 'wifi' is enough
		d.Mesh.Enabled = slices.ContainsFunc(d.HardIfs, func(h HardIf) bool { return h.Enabled && h.Radio != nil })
	}
	for i := range d.HardIfs {
		h := &d.HardIfs[i]
		at := d.hardIfAt[i]
		switch {
		case d.Mesh.Name == "" && h.Mesh != "":
			d.fail(at, "mesh", "there is no section \"mesh '%s'\"", h.Mesh)
		case d.Mesh.Name == "":
			d.fail(at, "", "there is no section 'mesh' that '%s' could belong to; expected one, such as: config mesh '%s'", h.Device, DefaultMeshName)
		case h.Mesh == "":
			h.Mesh = d.Mesh.Name
		case h.Mesh != d.Mesh.Name:
			d.fail(at, "mesh", "there is no section \"mesh '%s'\"; expected '%s'", h.Mesh, d.Mesh.Name)
		}
		switch {
		case h.Device == d.Mesh.Name:
			d.fail(at, "device", "'%s' is the mesh device itself; expected a device below the mesh", h.Device)
		case h.Device == d.TUN.Name && d.TUN.Enabled:
			d.fail(at, "device", "'%s' is the agent's own TUN device; expected an Ethernet or Wi-Fi device", h.Device)
		}
		j := slices.IndexFunc(d.HardIfs[:i], func(o HardIf) bool { return o.Device == h.Device })
		if j >= 0 {
			d.fail(at, "device", "'%s' is used in line %d already", h.Device, d.hardIfAt[j].line)
		}
	}
	if d.Mesh.Name != "" && d.Mesh.Enabled && len(d.HardIfs) == 0 {
		d.warn(d.meshAt, "", "no section 'hardif'; the mesh '%s' has no interface to run on", d.Mesh.Name)
	}
}

// lineOf is the place of an option of s.
func lineOf(at place, s *Section, key string) place {
	for _, e := range s.Entries() {
		if e.Key == key {
			at.line = e.Line
		}
	}
	return at
}

// wordFoldInto is wordInto for words whose case does not matter.
func wordFoldInto[T ~uint8](v *T, words []string) func(string) error {
	return func(s string) error {
		if i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, s) }); i >= 0 {
			s = words[i]
		}
		return wordInto(v, words, false)(s)
	}
}

func parseMeshInterval(s string) (time.Duration, error) {
	n, err := parseNumber(s, minMeshInterval, maxMeshInterval)
	if err != nil {
		return 0, fmt.Errorf("expected milliseconds from %d to %d, found '%s'", minMeshInterval, maxMeshInterval, s)
	}
	return time.Duration(n) * time.Millisecond, nil //nolint:gosec // at most maxMeshInterval
}

// parseOwnMAC reads an address that a device can have.
func parseOwnMAC(s string) (mac [6]byte, err error) {
	mac, ok := parseMAC(s)
	if !ok || mac == [6]byte{} || mac[0]&1 != 0 {
		return [6]byte{}, fmt.Errorf("expected the MAC of one device, such as 02:00:00:00:00:01, found '%s'", s)
	}
	return mac, nil
}

// parseRate reads a rate as batctl does: a whole number of kbit/s, or of what
// the suffix says. The result is in units of 100 kbit/s, rounded down.
func parseRate(s string) (uint32, error) {
	const text = "expected a whole number of kbit/s, or with a unit such as 10000kbit or 10mbit, found '%s'"
	lower := strings.ToLower(s)
	digits, mbit := strings.CutSuffix(lower, "mbit")
	if !mbit {
		digits = strings.TrimSuffix(lower, "kbit")
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf(text, s)
	}
	if mbit {
		n *= 10
	} else {
		n /= 100
	}
	if n > 1<<32-1 {
		return 0, fmt.Errorf(text, s)
	}
	return uint32(n), nil
}

// parseBandwidth reads DOWN or DOWN/UP; UP is a fifth of DOWN if it is left
// out.
func parseBandwidth(s string) (down, up uint32, err error) {
	first, second, both := strings.Cut(s, "/")
	if down, err = parseRate(first); err == nil {
		up = down / 5
		if both {
			up, err = parseRate(second)
		}
	}
	if err != nil || down == 0 {
		return DefaultGWDown, DefaultGWUp, fmt.Errorf("expected DOWN/UP or DOWN, such as 10mbit/2mbit or 10000kbit/2000kbit, at least 100kbit, found '%s'", s)
	}
	return down, max(up, 1), nil
}

// parseSelClass reads when a gateway client changes to another server. For
// BATMAN_V that is a rate, for BATMAN_IV a class or TQ.
func parseSelClass(s string, algo MeshAlgo) (uint32, error) {
	if algo == BatmanV {
		n, err := parseRate(s)
		if err != nil {
			return 0, err
		}
		return max(n, 1), nil
	}
	n, err := parseNumber(s, 1, 256)
	if err != nil {
		return 0, fmt.Errorf("expected a number from 1 to 256, found '%s'", s)
	}
	return uint32(n), nil
}

// parseMark reads MARK or MARK/MASK; the mask is always hexadecimal.
func parseMark(s string) (mark, mask uint32, err error) {
	first, second, both := strings.Cut(s, "/")
	n, err := strconv.ParseUint(first, 0, 32)
	m := uint64(1<<32 - 1)
	if err == nil && both {
		m, err = strconv.ParseUint(strings.TrimPrefix(strings.ToLower(second), "0x"), 16, 32)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("expected MARK or MARK/MASK, such as 0x00000001/0x0000000f, found '%s'", s)
	}
	return uint32(n & m), uint32(m), nil
}

// parseMeshLog reads a number, or words with blanks between.
func parseMeshLog(s string) (l MeshLog, err error) {
	if n, err := strconv.ParseUint(s, 0, 32); err == nil {
		return MeshLog(n) & MeshLogAll, nil
	}
	for _, w := range strings.Fields(s) {
		i := slices.Index(meshLogWords, w)
		switch {
		case w == "none":
			l = 0
		case w == "all":
			l = MeshLogAll
		case i >= 0:
			l |= MeshLog(1) << i & MeshLogAll
		default:
			return 0, fmt.Errorf("expected a number, none, all, or some of %s; found '%s'", strings.Join(meshLogWords, ", "), w)
		}
	}
	return l, nil
}

// meshDiff lists the options of a mesh that differ.
func meshDiff(a, b Mesh) []string {
	return options(
		a.Enabled != b.Enabled, "enabled",
		a.MAC != b.MAC, "mac",
		a.MTU != b.MTU, "mtu",
		a.Algo != b.Algo, "routing_algo",
		a.OrigInterval != b.OrigInterval, "orig_interval",
		a.HopPenalty != b.HopPenalty, "hop_penalty",
		a.Aggregation != b.Aggregation, "aggregated_ogms",
		a.Bonding != b.Bonding, "bonding",
		a.Fragmentation != b.Fragmentation, "fragmentation",
		a.APIsolation != b.APIsolation, "ap_isolation",
		a.BLA != b.BLA, "bridge_loop_avoidance",
		a.DAT != b.DAT, "distributed_arp_table",
		a.Multicast != b.Multicast, "multicast_mode",
		a.MulticastFanout != b.MulticastFanout, "multicast_fanout",
		a.GWMode != b.GWMode, "gw_mode",
		a.GWSelClass != b.GWSelClass, "gw_sel_class",
		a.GWDown != b.GWDown || a.GWUp != b.GWUp, "gw_bandwidth",
		a.IsolationMark != b.IsolationMark || a.IsolationMask != b.IsolationMask, "isolation_mark",
		a.Log != b.Log, "log_level",
		a.Identity != b.Identity, "identity",
		a.RequireSigned != b.RequireSigned, "require_signed",
		a.IdentityType != b.IdentityType, "identity_type",
		a.OverlayType != b.OverlayType, "overlay_type",
		a.Admit != b.Admit, "admit",
		!slices.Equal(a.Allow, b.Allow), "allow",
	)
}

func hardIfDiff(a, b HardIf) []string {
	return append(radioDiff(a.Radio, b.Radio), options(
		a.Enabled != b.Enabled, "enabled",
		a.Mesh != b.Mesh, "mesh",
		a.HopPenalty != b.HopPenalty, "hop_penalty",
		a.ELPInterval != b.ELPInterval, "elp_interval",
		a.ThroughputOverride != b.ThroughputOverride, "throughput_override",
		a.MTU != b.MTU, "mtu",
	)...)
}
