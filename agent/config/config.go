package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// NoPassword as a peer's password says that none is sent.
const NoPassword = "none"

// maxSocketPath is what fits into a sockaddr_un, less the final zero.
const maxSocketPath = 107

// Parse checks every option of doc. The error is Problems: everything that is
// wrong, not only the first. Unknown sections and options only give warnings,
// so that the file of a newer version can be used. Config is not usable if
// there is an error.
func Parse(doc *Document) (Config, []Warning, error) {
	d := newDraft(Default())
	d.readDocument(doc, false)
	return d.finish()
}

// setters say which options a section may have and what each does. An error
// says what was expected.
type setters map[string]func(string) error

// readDocument adds what doc says. An overlay may override single options of
// main and tun, and replace or remove peers.
func (d *draft) readDocument(doc *Document, overlay bool) {
	single := map[string]place{}
	for _, s := range doc.Sections() {
		at := place{doc.File(), s.Line}
		if s.Name != "" {
			if before, taken := d.sectionAt[s.Name]; taken && before.file == at.file {
				d.fail(at, "", "there is a section '%s' in line %d already", s.Name, before.line)
				continue
			}
			d.sectionAt[s.Name] = at
		}
		switch s.Type {
		case "meshagent", "tun":
			if before, taken := single[s.Type]; taken {
				d.fail(at, "", "expected one section '%s'; the first is in line %d", s.Type, before.line)
				continue
			}
			single[s.Type] = at
			if s.Type == "tun" {
				d.readTUN(at.file, s)
			} else {
				d.readMain(at.file, s)
			}
		case "udp":
			d.readUDP(at, s)
		case "eth":
			d.readEth(at, s)
		case "peer":
			d.readPeer(at, s, overlay)
		case "password":
			d.readPassword(at, s)
		case "supernode":
			d.readSupernode(at, s)
		case "mesh":
			d.readMesh(at, s)
		case "hardif":
			d.readHardIf(at, s)
		case "wifi":
			d.readWifi(at, s)
		default:
			d.warnOnce("section "+s.Type, at, "", "unknown section type '%s', ignored", s.Type)
		}
	}
}

// readOptions gives the options of s to their setters. lists names those that
// may be given several times.
func (d *draft) readOptions(file string, s *Section, set setters, lists ...string) {
	seen := map[string]int{}
	for _, e := range s.Entries() {
		at := place{file, e.Line}
		isList := slices.Contains(lists, e.Key)
		f := set[e.Key]
		switch {
		case f == nil:
			d.warnOnce("option "+s.Type+"."+e.Key, at, e.Key, "unknown in a section '%s', ignored", s.Type)
			continue
		case e.List && !isList:
			d.fail(at, e.Key, "expected one value (option), found a list")
			continue
		case seen[e.Key] > 0 && !isList:
			d.warn(at, e.Key, "given in line %d already; this one counts", seen[e.Key])
		}
		seen[e.Key] = e.Line
		if err := f(e.Value); err != nil {
			d.fail(at, e.Key, "%s", err)
		}
	}
}

// require reports options that s must have and has not.
func (d *draft) require(at place, s *Section, keys ...string) {
	for _, key := range keys {
		if _, ok := s.Get(key); !ok {
			d.fail(at, key, "missing in section '%s'; expected %s", s.ID(), expected[key])
		}
	}
}

// expected describes the options that have no default.
var expected = map[string]string{
	"address":    "ip:port, [ip6]:port, hostname:port or a MAC",
	"bind":       "ip:port or [ip6]:port",
	"device":     "the name of a network device",
	"mesh_id":    "the name of the mesh on the air, the same on all its nodes",
	"password":   "a password",
	"public_key": "a public key, 52 base32 characters and .k",
}

// into makes a setter of a parser and a variable.
func into[T any](v *T, parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		x, err := parse(s)
		if err == nil {
			*v = x
		}
		return err
	}
}

func wordInto[T ~uint8](v *T, words []string, numbers bool) func(string) error {
	return func(s string) error {
		i, err := parseWord(s, words, numbers)
		if err == nil {
			*v = T(i) //nolint:gosec // words has few elements
		}
		return err
	}
}

func numberInto[T ~uint8 | ~uint16 | ~uint32 | ~int](v *T, low, high uint64) func(string) error {
	return func(s string) error {
		n, err := parseNumber(s, low, high)
		if err == nil {
			*v = T(n)
		}
		return err
	}
}

func pathInto(v *string, limit int) func(string) error {
	return into(v, func(s string) (string, error) { return parsePath(s, limit) })
}

func (d *draft) readMain(file string, s *Section) {
	m := &d.Main
	d.readOptions(file, s, setters{
		"enabled":        into(&m.Enabled, parseBool),
		"key_file":       pathInto(&m.KeyFile, 4096),
		"state_dir":      pathInto(&m.StateDir, 4096),
		"socket":         pathInto(&m.Socket, maxSocketPath),
		"ubus":           into(&m.Ubus, parseUbus),
		"supernode":      into(&m.Supernode, parseBool),
		"supernode_find": into(&m.SupernodeFind, parseBool),
		"inbound":        wordInto(&m.Inbound, inboundWords, false),
		"log_level":      wordInto(&m.LogLevel, logLevelWords, false),
		"private_key": func(v string) error {
			var err error
			if d.PrivateKey, err = parsePrivateKey(v); err != nil {
				return err
			}
			d.warn(place{file, s.Line}, "private_key", "is moved into the key file when the agent starts")
			return nil
		},
	})
}

// parseUbus reads where ubusd is.
func parseUbus(s string) (string, error) {
	if s == UbusAuto || s == UbusOff {
		return s, nil
	}
	path, err := parsePath(s, maxSocketPath)
	if err != nil {
		return "", fmt.Errorf("expected %s, %s or an absolute path of at most %d bytes, found '%s'", UbusAuto, UbusOff, maxSocketPath, s)
	}
	return path, nil
}

// parsePrivateKey reads a key to be imported; the text of the error does not
// show it. A key of zeros is what means "none" in a Config.
func parsePrivateKey(s string) (cjdns.PrivateKey, error) {
	p, err := cjdns.ParsePrivateKey(s)
	if err != nil || p == (cjdns.PrivateKey{}) {
		return p, errPrivateKey
	}
	return p, nil
}

var errPrivateKey = errors.New("expected a private key, 64 hexadecimal digits")

func (d *draft) readTUN(file string, s *Section) {
	t := &d.TUN
	d.readOptions(file, s, setters{
		"enabled": into(&t.Enabled, parseBool),
		"name":    into(&t.Name, parseDevice),
		"mtu":     numberInto(&t.MTU, MinMTU, MaxMTU),
		"persist": into(&t.Persist, parseBool),
	})
}

func (d *draft) readUDP(at place, s *Section) {
	u := UDP{Section: s.ID(), Enabled: true, BeaconPort: DefaultBeaconPort}
	d.readOptions(at.file, s, setters{
		"enabled": into(&u.Enabled, parseBool),
		"bind":    into(&u.Bind, parseBind),
		"beacon":  wordInto(&u.Beacon, beaconWords, true),
		"beacon_device": func(v string) error {
			dev, err := parseBeaconDevice(v)
			if err == nil {
				u.BeaconDevices = append(u.BeaconDevices, dev)
			}
			return err
		},
		"beacon_port": numberInto(&u.BeaconPort, 1, 65535),
		"dscp":        numberInto(&u.DSCP, 0, 63),
		"device":      into(&u.Device, parseDevice),
	}, "beacon_device")
	d.require(at, s, "bind")
	d.addUDP(at, u)
}

// addUDP adds u, or puts it in the place of the link of the same section.
func (d *draft) addUDP(at place, u UDP) {
	if u.Beacon != BeaconOff && len(u.BeaconDevices) == 0 {
		u.BeaconDevices = []string{DeviceAll}
	}
	if i := slices.IndexFunc(d.UDP, func(o UDP) bool { return o.Section == u.Section }); i >= 0 {
		d.UDP[i], d.udpAt[i] = u, at
		return
	}
	d.UDP, d.udpAt = append(d.UDP, u), append(d.udpAt, at)
}

func (d *draft) readEth(at place, s *Section) {
	e := Eth{Section: s.ID(), Enabled: true, Beacon: BeaconOff}
	d.readOptions(at.file, s, setters{
		"enabled": into(&e.Enabled, parseBool),
		"device":  into(&e.Device, parseLinkDevice),
		"beacon":  wordInto(&e.Beacon, beaconWords, true),
	})
	d.require(at, s, "device")
	d.addEth(at, e)
}

func (d *draft) addEth(at place, e Eth) {
	if i := slices.IndexFunc(d.Eth, func(o Eth) bool { return o.Section == e.Section }); i >= 0 {
		d.Eth[i], d.ethAt[i] = e, at
		return
	}
	d.Eth, d.ethAt = append(d.Eth, e), append(d.ethAt, at)
}

func (d *draft) readPeer(at place, s *Section, overlay bool) {
	p := Peer{Section: s.ID(), Enabled: true, Name: s.Name}
	deleted := false
	set := setters{
		"enabled":    into(&p.Enabled, parseBool),
		"name":       into(&p.Name, parseName),
		"address":    into(&p.Address, parseAddress),
		"interface":  into(&p.Interface, parseName),
		"public_key": into(&p.PublicKey, parseKey),
		"password":   into(&p.Password, parseSecret),
		"login":      into(&p.Login, parseName),
		"version":    numberInto(&p.Version, 0, 9999),
	}
	if overlay {
		set["deleted"] = into(&deleted, parseBool)
	}
	d.readOptions(at.file, s, set)
	d.require(at, s, "address", "public_key")
	if deleted {
		d.dropPeer(p.ID())
		return
	}
	if _, ok := s.Get("password"); !ok {
		d.fail(at, "password", "missing in section '%s'; expected the password that the peer gave you, or '%s' to send none", s.ID(), NoPassword)
	}
	if p.Password == NoPassword {
		p.Password = ""
	}
	if overlay {
		d.dropPeer(p.ID())
	}
	d.addPeer(at, p)
}

// addPeer adds p. A peer of a cjdroute.conf, whose section is made up, gives
// way to a section of the same name in the overlay.
func (d *draft) addPeer(at place, p Peer) {
	for i := range d.Peers {
		if d.Peers[i].Section == p.Section && p.Section != "" {
			d.Peers[i].Section = d.freePeerSection(d.Peers[i])
		}
	}
	d.Peers, d.peerAt = append(d.Peers, p), append(d.peerAt, at)
}

// dropPeer removes the peer of this identity; without an interface, whatever
// its interface is.
func (d *draft) dropPeer(id PeerID) {
	for i := len(d.Peers) - 1; i >= 0; i-- {
		if o := d.Peers[i].ID(); o.matches(id) {
			d.Peers, d.peerAt = slices.Delete(d.Peers, i, i+1), slices.Delete(d.peerAt, i, i+1)
		}
	}
}

func (d *draft) readPassword(at place, s *Section) {
	p := Password{Section: s.ID(), Enabled: true, Name: s.ID()}
	d.readOptions(at.file, s, setters{
		"enabled":  into(&p.Enabled, parseBool),
		"name":     into(&p.Name, parseName),
		"password": into(&p.Password, parseSecret),
		"ip":       into(&p.IP, parseIP),
	})
	d.require(at, s, "password")
	for i := range d.Passwords {
		if d.Passwords[i].Section == p.Section {
			d.Passwords[i].Section = "cjdroute_" + p.Section
		}
	}
	d.Passwords, d.passwordAt = append(d.Passwords, p), append(d.passwordAt, at)
}

func (d *draft) readSupernode(at place, s *Section) {
	n := Supernode{Section: s.ID(), Enabled: true}
	d.readOptions(at.file, s, setters{
		"enabled":    into(&n.Enabled, parseBool),
		"public_key": into(&n.Key, parseNodeKey),
	})
	d.require(at, s, "public_key")
	d.Supernodes, d.supernodeAt = append(d.Supernodes, n), append(d.supernodeAt, at)
}

// parseAddress checks a peer's address and returns the way we write it.
func parseAddress(s string) (string, error) {
	e, err := ParseEndpoint(s)
	if err != nil {
		return "", fmt.Errorf("%w, found '%s'", err, s)
	}
	return e.String(), nil
}

func parseIP(s string) (cjdns.IP, error) {
	ip, err := cjdns.ParseIP(s)
	if err != nil {
		return ip, fmt.Errorf("expected a node's address in fc00::/8, found '%s'", s)
	}
	return ip, nil
}

// PeerID is what tells one configured peer from another. It is comparable.
type PeerID struct {
	Key       cjdns.Key
	Address   string
	Interface string
}

// ID returns the identity of p: peers that differ in nothing else are the same
// peer with other options.
func (p Peer) ID() PeerID { return PeerID{p.PublicKey, p.Address, p.Interface} }

// matches reports whether id, whose interface may be left open, means o.
func (o PeerID) matches(id PeerID) bool {
	return o.Key == id.Key && o.Address == id.Address && (id.Interface == "" || o.Interface == id.Interface)
}
