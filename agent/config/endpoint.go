package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Endpoint is a peer's address, taken apart. Exactly one of the three forms is
// set: AddrPort, Host and Port, or MAC.
type Endpoint struct {
	AddrPort netip.AddrPort // an address written as numbers; IPv4-mapped ones are unmapped
	Host     string         // a name that has to be resolved, again whenever the peer is lost
	Port     uint16         // with Host
	MAC      [6]byte        // an Ethernet address
}

// IsMAC reports whether the peer is met on Ethernet.
func (e Endpoint) IsMAC() bool { return e.MAC != [6]byte{} }

// IsHost reports whether the address is a name.
func (e Endpoint) IsHost() bool { return e.Host != "" }

// String returns the one way in which meshagent writes e.
func (e Endpoint) String() string {
	switch {
	case e.IsMAC():
		m := e.MAC
		return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
	case e.IsHost():
		return e.Host + ":" + strconv.Itoa(int(e.Port))
	default:
		return e.AddrPort.String()
	}
}

// Endpoint takes p.Address apart. It does not fail for a Peer out of Parse.
func (p Peer) Endpoint() (Endpoint, error) { return ParseEndpoint(p.Address) }

var (
	errEndpoint  = errors.New("expected ip:port, [ip6]:port, hostname:port or a MAC such as 02:00:00:00:00:01")
	errPort      = errors.New("expected a port from 1 to 65535 after the last colon")
	errOverlay   = errors.New("an address in fc00::/8 is inside the overlay; expected the address of the link")
	errMulticast = errors.New("expected the address of one node, not a multicast or broadcast address")
	errAny       = errors.New("expected the address of a node, not the unspecified address")
)

// overlayPrefix is where the overlay lives; nothing in it can be a link.
var overlayPrefix = netip.MustParsePrefix("fc00::/8")

// ParseEndpoint reads a peer's address. The error says what was expected.
func ParseEndpoint(s string) (e Endpoint, err error) {
	if mac, ok := parseMAC(s); ok {
		if mac == [6]byte{} {
			return e, errAny
		}
		if mac[0]&1 != 0 {
			return e, errMulticast
		}
		return Endpoint{MAC: mac}, nil
	}
	host, portText, err := splitHostPort(s)
	if err != nil {
		return e, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return e, errPort
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		if strings.HasPrefix(s, "[") || !validHost(host) {
			return e, errEndpoint
		}
		return Endpoint{Host: strings.ToLower(host), Port: uint16(port)}, nil
	}
	addr = addr.Unmap()
	switch {
	case overlayPrefix.Contains(addr.WithZone("")):
		return e, errOverlay
	case addr.IsUnspecified():
		return e, errAny
	case addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return e, errMulticast
	}
	return Endpoint{AddrPort: netip.AddrPortFrom(addr, uint16(port))}, nil
}

// splitHostPort cuts at the last colon; IPv6 addresses need brackets.
func splitHostPort(s string) (host, port string, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", errEndpoint
	}
	host, port = s[:i], s[i+1:]
	if strings.HasPrefix(host, "[") {
		inner, ok := strings.CutSuffix(host[1:], "]")
		if a, err := netip.ParseAddr(inner); !ok || err != nil || !a.Is6() {
			return "", "", errEndpoint
		}
		return inner, port, nil
	}
	if strings.ContainsRune(host, ':') {
		return "", "", errEndpoint
	}
	return host, port, nil
}

// parseMAC reads six pairs of hexadecimal digits with colons, or dashes as
// some tools print them.
func parseMAC(s string) (mac [6]byte, ok bool) {
	if len(s) != 17 {
		return mac, false
	}
	sep := s[2]
	if sep != ':' && sep != '-' {
		return mac, false
	}
	for i := range mac {
		if i > 0 && s[3*i-1] != sep {
			return mac, false
		}
		v, err := strconv.ParseUint(s[3*i:3*i+2], 16, 8)
		if err != nil {
			return mac, false
		}
		mac[i] = byte(v)
	}
	return mac, true
}

// validHost reports whether s looks like a DNS name: labels of letters,
// digits, dashes and underscores, and not a misspelt IPv4 address.
func validHost(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	letter := false
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		letter = false
		for i := range len(label) {
			c := label[i]
			switch {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
				letter = true
			case c == '-', c >= '0' && c <= '9':
			default:
				return false
			}
		}
	}
	return letter // a last label of digits only is a wrong IPv4 address
}
