package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// IsCjdroute reports whether text is a cjdroute.conf rather than UCI text: its
// first character outside blanks and comments is a brace.
func IsCjdroute(text string) bool {
	for {
		text = strings.TrimLeft(text, " \t\r\n\ufeff")
		switch {
		case strings.HasPrefix(text, "{"):
			return true
		case strings.HasPrefix(text, "//"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text, "*/")
		default:
			return false
		}
	}
}

// ParseCjdroute reads a cjdroute.conf as it is, comments and all. What
// meshagent has no counterpart for gives one warning each; keys that begin
// with _disabled_ are ignored, as cjdroute ignores them. The error is Problems.
//
// The TUN device has no name if the file gives none: the kernel chooses, as
// for cjdroute.
func ParseCjdroute(file, text string) (Config, []Warning, error) {
	d := newDraft(Default())
	d.readCjdroute(file, text)
	return d.finish()
}

// ParsePeers reads what people send each other: one or more
//
//	"192.0.2.10:25381": {"password": "…", "publicKey": "….k", "peerName": "nyc"}
//
// with or without braces around the whole. Keys that hold MACs are Ethernet
// peers. Sections and interfaces of the result are empty.
func ParsePeers(file, text string) ([]Peer, []Warning, error) {
	if !IsCjdroute(text) {
		text = "{" + text + "\n}"
	}
	d := newDraft(Default())
	root, ok := d.parseJSON(file, text)
	if !ok {
		return nil, nil, d.problems.err()
	}
	if len(root.members) == 0 {
		d.fail(place{file, 1}, "", "expected \"ip:port\": {\"password\": …, \"publicKey\": …}")
	}
	d.readConnectTo(root, "", nil)
	d.warnings.sort()
	for i := range d.Peers {
		d.Peers[i].Section = ""
	}
	return d.Peers, d.warnings, d.problems.err()
}

func (d *draft) readCjdroute(file, text string) {
	d.TUN = TUN{Enabled: false, MTU: DefaultMTU, Persist: true}
	root, ok := d.parseJSON(file, text)
	if !ok {
		return
	}
	for _, m := range root.each(d) {
		switch m.key {
		case "privateKey":
			d.jsonText(m, into(&d.PrivateKey, parsePrivateKey))
		case "publicKey":
			d.jsonText(m, func(s string) (err error) { d.PublicKey, err = parseKey(s); return err })
		case "ipv6":
			d.jsonText(m, func(s string) error { _, err := parseIP(s); return err })
		case "authorizedPasswords":
			d.readAuthorizedPasswords(m)
		case "interfaces":
			d.readInterfaces(m)
		case "router":
			d.readRouter(m)
		case "admin":
			d.warn(m.at, m.path, "the cjdns admin protocol is not served; use the meshagent command")
		case "security":
			d.unsupported(m, "meshagent does not change its user or root; let the service manager do so")
		case "logging":
			d.unsupported(m, "messages go to standard error; see option log_level")
		case "noBackground":
			if m.text == "0" {
				d.warn(m.at, m.path, "meshagent always stays in the foreground")
			}
		case "pipe":
			d.warn(m.at, m.path, "there is no second process to talk to, ignored")
		case "version":
			if m.kind != jsonNumber || m.text != "1" && m.text != "2" {
				d.warn(m.at, m.path, "expected 1 or 2")
			}
		default:
			d.unknown(m)
		}
	}
	if ip, ok := root.find("ipv6"); ok && !d.PublicKey.IsZero() {
		if v, err := parseIP(ip.text); err == nil && v != d.PublicKey.IP() {
			d.warn(ip.at, ip.path, "publicKey has the address %s; the key counts", d.PublicKey.IP())
		}
	}
}

// unsupported warns of a part that is not empty.
func (d *draft) unsupported(v *jsonValue, text string) {
	if len(v.members) > 0 || v.kind == jsonString && v.text != "" || v.kind == jsonNumber {
		d.warn(v.at, v.path, "not supported: %s", text)
	}
}

// unknown warns once of each kind of unknown key.
func (d *draft) unknown(v *jsonValue) {
	d.warnOnce("key "+v.kindPath(), v.at, v.path, "unknown, ignored")
}

func (d *draft) readAuthorizedPasswords(v *jsonValue) {
	if !d.expect(v, jsonList) {
		return
	}
	for i, e := range v.each(d) {
		if !d.expect(e, jsonObject) {
			continue
		}
		p := Password{Section: fmt.Sprintf("password_%d", i), Enabled: true}
		p.Name = p.Section
		for _, m := range e.each(d) {
			switch m.key {
			case "password":
				d.jsonText(m, into(&p.Password, parseSecret))
			case "user":
				d.jsonText(m, into(&p.Name, parseName))
			case "ipv6":
				d.jsonText(m, into(&p.IP, parseIP))
			default:
				d.unknown(m)
			}
		}
		d.needs(e, "password")
		if o := slices.IndexFunc(d.Passwords, func(o Password) bool { return o.Name == p.Name }); o >= 0 {
			d.warn(e.at, e.path, "user '%s' has a password in line %d already; the first one counts", p.Name, d.passwordAt[o].line)
			continue
		}
		d.Passwords, d.passwordAt = append(d.Passwords, p), append(d.passwordAt, e.at)
	}
}

func (d *draft) readInterfaces(v *jsonValue) {
	if !d.expect(v, jsonObject) {
		return
	}
	for _, m := range v.each(d) {
		switch m.key {
		case "UDPInterface":
			for i, e := range m.listOrOne(d) {
				d.readUDPInterface(e, fmt.Sprintf("udp_%d", i))
			}
		case "ETHInterface":
			for i, e := range m.listOrOne(d) {
				d.readETHInterface(e, fmt.Sprintf("eth_%d", i))
			}
		default:
			d.unknown(m)
		}
	}
}

func (d *draft) readUDPInterface(v *jsonValue, section string) {
	if !d.expect(v, jsonObject) {
		return
	}
	u := UDP{Section: section, Enabled: true, BeaconPort: DefaultBeaconPort}
	u.Bind = anyBind
	for _, m := range v.each(d) {
		switch m.key {
		case "bind":
			d.jsonText(m, into(&u.Bind, parseLooseBind))
		case "dscp":
			d.jsonNumber(m, numberInto(&u.DSCP, 0, 63))
		case "beacon":
			d.jsonNumber(m, numberInto(&u.Beacon, 0, 2))
		case "beaconPort":
			d.jsonNumber(m, numberInto(&u.BeaconPort, 1, 65535))
		case "beaconDevices":
			if d.expect(m, jsonList) {
				for _, e := range m.each(d) {
					d.jsonText(e, func(s string) error {
						dev, err := parseBeaconDevice(s)
						u.BeaconDevices = append(u.BeaconDevices, dev)
						return err
					})
				}
			}
		case "connectTo":
			d.readConnectTo(m, section, isUDP)
		default:
			d.unknown(m)
		}
	}
	d.addUDP(v.at, u)
}

func (d *draft) readETHInterface(v *jsonValue, section string) {
	if !d.expect(v, jsonObject) {
		return
	}
	e := Eth{Section: section, Enabled: true}
	d.needs(v, "bind")
	for _, m := range v.each(d) {
		switch m.key {
		case "bind":
			d.jsonText(m, into(&e.Device, parseLinkDevice))
		case "beacon":
			d.jsonNumber(m, numberInto(&e.Beacon, 0, 2))
		case "connectTo":
			d.readConnectTo(m, section, isEth)
		default:
			d.unknown(m)
		}
	}
	d.addEth(v.at, e)
}

func isUDP(e Endpoint) bool { return !e.IsMAC() }
func isEth(e Endpoint) bool { return e.IsMAC() }

// decoration is what people add to a peer for other people.
var decoration = []string{"contact", "email", "gpg", "gpgkey", "location", "country", "nick", "nickname",
	"ircname", "ircNick", "website", "comment", "authType", "interfaceNumber"}

// readConnectTo adds the peers of one link. fits says which kind of address
// the link can dial; nil allows any.
func (d *draft) readConnectTo(v *jsonValue, link string, fits func(Endpoint) bool) {
	if !d.expect(v, jsonObject) {
		return
	}
	for _, m := range v.each(d) {
		p := Peer{Enabled: true, Interface: link}
		e, err := ParseEndpoint(m.key)
		switch {
		case err != nil:
			d.fail(m.at, m.path, "%s", err)
			continue
		case fits != nil && !fits(e):
			d.fail(m.at, m.path, "the kind of address does not fit the interface; expected ip:port below UDPInterface, a MAC below ETHInterface")
			continue
		}
		p.Address = e.String()
		if !d.expect(m, jsonObject) {
			continue
		}
		d.readPeerOptions(m, &p)
		if p.PublicKey.IsZero() {
			continue
		}
		p.Section = d.freePeerSection(p)
		if slices.ContainsFunc(d.Peers, func(o Peer) bool { return o.ID() == p.ID() }) {
			d.warn(m.at, m.path, "given twice; the first one counts")
			continue
		}
		d.addPeer(m.at, p)
	}
}

func (d *draft) readPeerOptions(v *jsonValue, p *Peer) {
	d.needs(v, "publicKey")
	var ip cjdns.IP
	var ipAt *jsonValue
	for _, m := range v.each(d) {
		switch m.key {
		case "publicKey":
			d.jsonText(m, into(&p.PublicKey, parseKey))
		case "password":
			if m.text != "" || m.kind != jsonString {
				d.jsonText(m, into(&p.Password, parseSecret))
			}
		case "login", "user":
			if m.text != "" || m.kind != jsonString {
				d.jsonText(m, into(&p.Login, parseName))
			}
		case "peerName", "name":
			if m.text != "" || m.kind != jsonString {
				d.jsonText(m, into(&p.Name, parseName))
			}
		case "version":
			d.jsonNumber(m, numberInto(&p.Version, 0, 9999))
		case "ipv6":
			ipAt = m
			d.jsonText(m, into(&ip, parseIP))
		default:
			if !slices.Contains(decoration, m.key) {
				d.unknown(m)
			}
		}
	}
	if ipAt != nil && ip.Valid() && !p.PublicKey.IsZero() && p.PublicKey.IP() != ip {
		d.fail(ipAt.at, ipAt.path, "publicKey has the address %s; key or address is mistyped", p.PublicKey.IP())
	}
	if p.Password == "" {
		d.warn(v.at, v.path, "no password: the peer lets us in only if it dials us itself")
	}
}

// freePeerSection makes a name for a peer that has none. It does not depend on
// the order of the file, unless one key is there with several addresses.
func (d *draft) freePeerSection(p Peer) string {
	base := "peer_" + p.PublicKey.String()[:8]
	name := base
	for n := 2; slices.ContainsFunc(d.Peers, func(o Peer) bool { return o.Section == name }); n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	return name
}

func (d *draft) readRouter(v *jsonValue) {
	if !d.expect(v, jsonObject) {
		return
	}
	for _, m := range v.each(d) {
		switch m.key {
		case "supernodes":
			d.readSupernodes(m)
		case "interface":
			d.readTUNInterface(m)
		case "ipTunnel":
			if tunnels := m.count("allowedConnections") + m.count("outgoingConnections"); tunnels > 0 {
				d.warn(m.at, m.path, "not supported: tunnels for IPv4 and other prefixes are not made (%d left out)", tunnels)
			}
		case "dnsSeeds":
			d.unsupported(m, "peers are not looked up in the DNS")
		case "publicPeer":
			d.unsupported(m, "this node is not announced as a public peer")
		default:
			d.unknown(m)
		}
	}
}

func (d *draft) readSupernodes(v *jsonValue) {
	if !d.expect(v, jsonList) {
		return
	}
	for i, e := range v.each(d) {
		s := Supernode{Section: fmt.Sprintf("supernode_%d", i), Enabled: true}
		d.jsonText(e, into(&s.Key, parseNodeKey))
		if !s.Key.IsZero() && slices.ContainsFunc(d.Supernodes, func(o Supernode) bool { return o.Key == s.Key }) {
			d.warn(e.at, e.path, "given twice; the first one counts")
			continue
		}
		d.Supernodes, d.supernodeAt = append(d.Supernodes, s), append(d.supernodeAt, e.at)
	}
}

func (d *draft) readTUNInterface(v *jsonValue) {
	if !d.expect(v, jsonObject) {
		return
	}
	kind, _ := v.find("type")
	if kind == nil || kind.text != "TUNInterface" {
		d.warn(v.at, v.path, "not supported: expected \"type\": \"TUNInterface\"; there is no device towards local programs")
		return
	}
	d.TUN.Enabled = true
	for _, m := range v.each(d) {
		switch m.key {
		case "type":
		case "tunDevice":
			if m.text != "" || m.kind != jsonString {
				d.jsonText(m, into(&d.TUN.Name, parseDevice))
			}
		default:
			d.unknown(m)
		}
	}
}
