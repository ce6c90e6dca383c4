package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// draft is a Config while it is being read: with the places that its parts
// came from, and what is wrong with it so far.
type draft struct {
	Config
	udpAt, ethAt, peerAt, passwordAt, supernodeAt, hardIfAt []place

	meshAt    place
	radios    int              // sections 'wifi' so far
	sectionAt map[string]place // named sections

	warnings Problems
	problems Problems
	warned   map[string]bool
}

// place is where something stands in the text.
type place struct {
	file string
	line int
}

func newDraft(c Config) *draft {
	return &draft{Config: c, sectionAt: map[string]place{}, warned: map[string]bool{}}
}

func (d *draft) fail(at place, key, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: at.file, Line: at.line, Key: key, Text: fmt.Sprintf(format, args...)})
}

func (d *draft) warn(at place, key, format string, args ...any) {
	d.warnings = append(d.warnings, Warning{File: at.file, Line: at.line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// warnOnce warns unless something of the same name was warned of before.
func (d *draft) warnOnce(name string, at place, key, format string, args ...any) {
	if !d.warned[name] {
		d.warned[name] = true
		d.warn(at, key, format, args...)
	}
}

// finish checks what only the whole can tell, and returns the result.
func (d *draft) finish() (Config, []Warning, error) {
	d.checkDevices()
	d.checkLinks()
	d.checkPeers()
	d.checkPasswords()
	d.checkMesh()
	d.warnings.sort()
	return d.Config, d.warnings, d.problems.err()
}

// checkDevices refuses the TUN device as a link: the overlay would carry
// itself.
func (d *draft) checkDevices() {
	tun := d.TUN.Name
	if tun == "" || !d.TUN.Enabled {
		return
	}
	const text = "'%s' is the agent's own TUN device; expected a device below the overlay"
	for i, u := range d.UDP {
		if u.Device == tun {
			d.fail(d.udpAt[i], "device", text, tun)
		}
		if slices.Contains(u.BeaconDevices, tun) {
			d.fail(d.udpAt[i], "beacon_device", text, tun)
		}
	}
	for i, e := range d.Eth {
		if e.Device == tun {
			d.fail(d.ethAt[i], "device", text, tun)
		}
	}
}

func (d *draft) checkLinks() {
	for i, u := range d.UDP {
		if u.Beacon != BeaconOff && u.BeaconPort == u.Bind.Port() {
			d.fail(d.udpAt[i], "beacon_port", "%d is the port of bind; expected another one", u.BeaconPort)
		}
		for j, o := range d.UDP[:i] {
			if o.Enabled && u.Enabled && o.Bind == u.Bind && o.Device == u.Device && u.Bind.Port() != 0 {
				d.fail(d.udpAt[i], "bind", "%s is bound in line %d already", u.Bind, d.udpAt[j].line)
			}
		}
	}
	for i, e := range d.Eth {
		for j, o := range d.Eth[:i] {
			if o.Device == e.Device {
				d.fail(d.ethAt[i], "device", "'%s' is used in line %d already", e.Device, d.ethAt[j].line)
			}
		}
	}
}

func (d *draft) checkPeers() {
	for i, p := range d.Peers {
		e, err := p.Endpoint()
		if err != nil || p.PublicKey.IsZero() {
			continue // reported where it was read
		}
		for j, o := range d.Peers[:i] {
			switch {
			case o.Address != p.Address || o.Interface != p.Interface && o.Interface != "" && p.Interface != "":
			case o.PublicKey == p.PublicKey:
				d.fail(d.peerAt[i], "", "the same peer is in line %d already", d.peerAt[j].line)
			default:
				d.fail(d.peerAt[i], "address", "%s is the address of another node in line %d already", p.Address, d.peerAt[j].line)
			}
		}
		if !d.fits(p, e) {
			kind := "udp"
			if e.IsMAC() {
				kind = "eth"
			}
			switch names := d.linkNames(e); {
			case len(names) == 0:
				d.warn(d.peerAt[i], "address", "no section '%s' has a link for %s; the peer is never dialled", kind, p.Address)
			default:
				d.fail(d.peerAt[i], "interface", "'%s' is no %s link; expected one of: %s", p.Interface, kind, strings.Join(names, ", "))
			}
		}
	}
}

// fits reports whether a link exists over which p can be dialled.
func (d *draft) fits(p Peer, e Endpoint) bool {
	names := d.linkNames(e)
	if p.Interface == "" {
		return len(names) > 0
	}
	if e.IsMAC() && slices.Contains(names, DeviceAll) {
		return true
	}
	return slices.Contains(names, p.Interface)
}

// linkNames lists the names under which a peer may ask for a link.
func (d *draft) linkNames(e Endpoint) (names []string) {
	if !e.IsMAC() {
		for _, u := range d.UDP {
			names = append(names, u.Section)
		}
		return names
	}
	for _, l := range d.Eth {
		names = append(names, l.Device)
		if l.Section != l.Device {
			names = append(names, l.Section)
		}
	}
	return names
}

func (d *draft) checkPasswords() {
	for i, p := range d.Passwords {
		for j, o := range d.Passwords[:i] {
			if o.Name == p.Name {
				d.fail(d.passwordAt[i], "name", "'%s' has a password in line %d already", p.Name, d.passwordAt[j].line)
			} else if o.Password == p.Password && p.Password != "" {
				d.warn(d.passwordAt[i], "password", "the same password as in line %d; whoever uses it is called '%s'", d.passwordAt[j].line, o.Name)
			}
		}
	}
	used := 0
	for i, s := range d.Supernodes {
		if s.Enabled {
			if used++; used > MaxSupernodes {
				d.warn(d.supernodeAt[i], "public_key", "not used: there are %d supernodes before it already", MaxSupernodes)
			}
		}
		for j, o := range d.Supernodes[:i] {
			if o.Key == s.Key && !s.Key.IsZero() {
				d.fail(d.supernodeAt[i], "public_key", "the same supernode is in line %d already", d.supernodeAt[j].line)
			}
		}
	}
}

// The parsers below return an error whose text says what was expected.

func parseBool(s string) (bool, error) {
	switch s {
	case "1", "on", "true", "yes", "enabled":
		return true, nil
	case "0", "off", "false", "no", "disabled":
		return false, nil
	}
	return false, fmt.Errorf("expected 1 or 0 (on or off, true or false, yes or no), found '%s'", s)
}

// parseWord returns the index of s in words; a number that is an index is
// accepted too if numbers says so.
func parseWord(s string, words []string, numbers bool) (int, error) {
	if i := slices.Index(words, s); i >= 0 {
		return i, nil
	}
	if n, err := strconv.Atoi(s); numbers && err == nil && n >= 0 && n < len(words) {
		return n, nil
	}
	last := len(words) - 1
	return 0, fmt.Errorf("expected %s or %s, found '%s'", strings.Join(words[:last], ", "), words[last], s)
}

func parseNumber(s string, low, high uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("expected a number from %d to %d, found '%s'", low, high, s)
	}
	return n, nil
}

// parseKey reads a public key; refused ones are refused with the reason.
func parseKey(s string) (cjdns.Key, error) {
	k, err := cjdns.ParseKey(s)
	switch {
	case err == nil:
		return k, nil
	case err == cjdns.ErrNotFC: //nolint:errorlint // ParseKey returns the sentinel itself
		raw, _ := cjdns.DecodeBase32(strings.TrimSuffix(s, ".k"))
		var wrong cjdns.Key
		copy(wrong[:], raw)
		return k, fmt.Errorf("'%s' hashes to %s, which is not in fc00::/8: it is mistyped or no node's key", s, wrong.IP())
	default:
		return k, fmt.Errorf("expected a public key, 52 base32 characters and .k, found '%s'", s)
	}
}

// parseNodeKey reads a public key, or a node text that ends in one
// (v20.0000.0000.0000.0013.KEY.k).
func parseNodeKey(s string) (cjdns.Key, error) {
	const n = 54
	if len(s) > n && s[len(s)-n-1] == '.' {
		return parseKey(s[len(s)-n:])
	}
	return parseKey(s)
}

func parseBind(s string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return ap, fmt.Errorf("expected ip:port or [ip6]:port, such as 0.0.0.0:25381, found '%s'", s)
	}
	addr := ap.Addr().Unmap()
	switch {
	case overlayPrefix.Contains(addr.WithZone("")):
		return ap, errOverlay
	case addr.IsMulticast():
		return ap, errMulticast
	}
	return netip.AddrPortFrom(addr, ap.Port()), nil
}

// parseDevice checks the name of a network device as Linux does.
func parseDevice(s string) (string, error) {
	if s == "" || len(s) > 15 || s == "." || s == ".." || strings.ContainsAny(s, "/: \t") {
		return "", fmt.Errorf("expected the name of a network device, 1 to 15 characters, found '%s'", s)
	}
	return s, nil
}

// parsePath checks an absolute path of at most limit bytes.
func parsePath(s string, limit int) (string, error) {
	if !strings.HasPrefix(s, "/") || len(s) > limit {
		return "", fmt.Errorf("expected an absolute path of at most %d bytes, found '%s'", limit, s)
	}
	return s, nil
}

// Limits of secrets and names, in bytes.
const (
	maxPassword = 256
	maxName     = 128
)

// parseSecret checks a password. The text of the error does not show it.
func parseSecret(s string) (string, error) {
	if s == "" || len(s) > maxPassword || checkText("", s) != nil {
		return "", fmt.Errorf("expected a password of 1 to %d bytes without control characters", maxPassword)
	}
	return s, nil
}

func parseName(s string) (string, error) {
	if s == "" || len(s) > maxName || checkText("", s) != nil {
		return "", fmt.Errorf("expected a name of 1 to %d bytes without control characters", maxName)
	}
	return s, nil
}

// parseLinkDevice checks a device that is to be a link: any but the loopback.
func parseLinkDevice(s string) (string, error) {
	if s == "lo" {
		return "", fmt.Errorf("expected a device with neighbours, or %s; lo is the host itself", DeviceAll)
	}
	return parseDevice(s)
}

// parseBeaconDevice checks a device, a broadcast address or "all".
func parseBeaconDevice(s string) (string, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		if overlayPrefix.Contains(a.WithZone("")) {
			return "", errOverlay
		}
		return a.String(), nil
	}
	dev, err := parseDevice(s)
	if err != nil {
		return "", fmt.Errorf("expected a network device, a broadcast address or %s, found '%s'", DeviceAll, s)
	}
	return dev, nil
}
