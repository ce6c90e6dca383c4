package rig

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// Spec is the configuration of a Host in the words that ours and a stock
// cjdroute share, so that a scenario can be drawn once and played by either.
type Spec struct {
	UDP       []UDPSpec
	Eth       []EthSpec
	Peers     []PeerSpec
	Passwords []PasswordSpec
	Mesh      *MeshSpec // ours only; nil: none

	Closed   bool     // ours only: inbound closed
	Snode    bool     // it is a supernode; a stock node needs a route server beside it
	NoTUN    bool     // ours only
	TUN      []string // ours only; further options of the tun section: name, value, …
	LogLevel string   // ours only; empty: the default
	Extra    []string // ours only: further lines of UCI text
}

// Beacon modes, with cjdns's numbers.
const (
	BeaconOff    = 0
	BeaconAccept = 1
	BeaconSend   = 2
)

var beaconWords = []string{"off", "accept", "send"}

// UDPSpec is one UDP socket.
type UDPSpec struct {
	Bind    string // ip:port or [ip6]:port
	Beacon  int
	Devices []string // for beacons; none: all
	Dev     string   // ours only: the one that it is bound to; empty: any
}

// EthSpec is one Ethernet device.
type EthSpec struct {
	Dev    string
	Beacon int
}

// PeerSpec is a neighbour to dial.
type PeerSpec struct {
	Address         string // ip:port; ours also name:port; a MAC with Dev set
	Dev             string // of Spec.Eth, for a MAC
	Key             cjdns.Key
	Login, Password string
	Version         int // protocol version that the peer is known to speak; 0: none is given
}

// PasswordSpec lets others in.
type PasswordSpec struct{ Login, Password string }

// MeshSpec is a batman mesh of our agent. Zero values leave options out.
type MeshSpec struct {
	Name         string        // of the device for clients; empty: bat0
	Algo         string        // BATMAN_IV or BATMAN_V
	OrigInterval time.Duration // in steps of a millisecond
	HardIfs      []string      // devices that the mesh runs on, the primary one first
	Options      []string      // further options of the mesh section: name, value, name, value, …
}

// device returns the name of the device for clients.
func (m MeshSpec) device() string {
	if m.Name == "" {
		return "bat0"
	}
	return m.Name
}

// uci renders the sections of a mesh.
func (m MeshSpec) uci(b *strings.Builder) {
	interval := ""
	if m.OrigInterval > 0 {
		interval = fmt.Sprint(m.OrigInterval.Milliseconds())
	}
	section(b, "mesh", m.device(), append([]string{"routing_algo", m.Algo, "orig_interval", interval}, m.Options...)...)
	for i, dev := range m.HardIfs {
		section(b, "hardif", fmt.Sprintf("hardif%d", i), "device", dev, "mesh", m.device())
	}
}

// section writes one UCI section; pairs are option, value; empty values are
// left out.
func section(b *strings.Builder, typ, name string, pairs ...string) {
	fmt.Fprintf(b, "config %s '%s'\n", typ, name)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(b, "\toption %s '%s'\n", pairs[i], pairs[i+1])
		}
	}
}

// uci renders the configuration of our agent.
func (s Spec) uci(h *Host) string {
	var b strings.Builder
	inbound := "open"
	if s.Closed {
		inbound = "closed"
	}
	snode := ""
	if s.Snode {
		snode = "1"
	}
	section(&b, "meshagent", "main", "enabled", "1", "key_file", h.keyFile(), "socket", h.Socket,
		"state_dir", filepath.Dir(h.Conf), "inbound", inbound, "log_level", s.LogLevel, "supernode", snode)
	if s.NoTUN {
		section(&b, "tun", "tun", "enabled", "0")
	} else {
		section(&b, "tun", "tun", append([]string{"enabled", "1", "name", "mesh0"}, s.TUN...)...)
	}
	for i, u := range s.UDP {
		section(&b, "udp", fmt.Sprintf("udp%d", i), "bind", u.Bind, "beacon", beaconWords[u.Beacon], "device", u.Dev)
		for _, d := range u.devices() {
			fmt.Fprintf(&b, "\tlist beacon_device '%s'\n", d)
		}
	}
	for i, e := range s.Eth {
		section(&b, "eth", fmt.Sprintf("eth%d", i), "device", e.Dev, "beacon", beaconWords[e.Beacon])
	}
	for i, p := range s.Peers {
		section(&b, "peer", fmt.Sprintf("peer%d", i), "address", p.Address, "interface", p.Dev,
			"public_key", p.Key.String(), "login", p.Login, "password", p.Password, "version", version(p.Version))
	}
	for i, p := range s.Passwords {
		section(&b, "password", fmt.Sprintf("password%d", i), "name", p.Login, "password", p.Password)
	}
	if s.Mesh != nil {
		s.Mesh.uci(&b)
	}
	return b.String() + strings.Join(s.Extra, "\n") + "\n"
}

// version writes a protocol version, or nothing if it is not known.
func version(v int) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprint(v)
}

// devices are those that beacons go out on.
func (u UDPSpec) devices() []string {
	if u.Beacon != BeaconOff && len(u.Devices) == 0 {
		return []string{"all"}
	}
	return u.Devices
}

type dict = map[string]any

// cjdroute renders a cjdroute.conf.
func (s Spec) cjdroute(h *Host) string {
	peer := func(p PeerSpec) dict {
		d := dict{"publicKey": p.Key.String(), "password": p.Password}
		if p.Login != "" {
			d["login"] = p.Login
		}
		return d
	}
	var udp, eth []any
	for i, u := range s.UDP {
		to := dict{}
		for _, p := range s.Peers {
			if i == 0 && p.Dev == "" {
				to[p.Address] = peer(p)
			}
		}
		d := dict{"bind": u.Bind, "connectTo": to}
		if u.Beacon != BeaconOff {
			d["beacon"], d["beaconDevices"], d["beaconPort"] = u.Beacon, u.devices(), 64512
		}
		udp = append(udp, d)
	}
	for _, e := range s.Eth {
		to := dict{}
		for _, p := range s.Peers {
			if p.Dev == e.Dev {
				to[p.Address] = peer(p)
			}
		}
		eth = append(eth, dict{"bind": e.Dev, "beacon": e.Beacon, "connectTo": to})
	}
	interfaces := dict{}
	if udp != nil {
		interfaces["UDPInterface"] = udp
	}
	if eth != nil {
		interfaces["ETHInterface"] = eth
	}
	passwords, snodes := []any{}, []any{}
	if s.Snode {
		snodes = append(snodes, h.ID.Key.String())
	}
	for _, p := range s.Passwords {
		passwords = append(passwords, dict{"user": p.Login, "password": p.Password})
	}
	text, err := json.MarshalIndent(dict{
		"privateKey": h.ID.Private.Hex(), "publicKey": h.ID.Key.String(), "ipv6": h.ID.IP,
		"authorizedPasswords": passwords,
		"admin":               dict{"bind": stockAdmin, "password": "NONE"},
		"interfaces":          interfaces,
		"router": dict{
			"supernodes": snodes,
			"interface":  dict{"type": "TUNInterface", "tunDevice": "mesh0"},
			"ipTunnel":   dict{"allowedConnections": []any{}, "outgoingConnections": []any{}},
		},
		"security": []any{
			dict{"setuser": 0}, dict{"chroot": 0}, dict{"nofiles": 0}, dict{"noforks": 0},
			dict{"seccomp": 0}, dict{"setupComplete": 1},
		},
		"logging": dict{"logTo": "stdout"}, "noBackground": 1, "version": 2,
		"pipe": h.Socket, // its own: two in one folder disturb each other
	}, "", " ")
	if err != nil {
		h.Node.rig.fail("%v", err)
	}
	return string(text) + "\n"
}
