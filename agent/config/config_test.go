package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
)

const (
	keyA = "p1k4y0xpkq5r12br69r6f832jk7h7s9n0ld8fwc8kvgpb70g7kx0.k"
	keyB = "ygrqzpr8dq89gqrx4l7p0jqlfxfd9d0jt73b9ny8vsvfx1h83df0.k"
	keyC = "6cdnwvmdxyl0byf4zduydmp58p1zwnyfsdwybrfywz822d1kn8g0.k"
	ipA  = "fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b"
	// privA belongs to keyA.
	privA = "b81337f3fc15f9c1fbecfab8f8e546aa870bb723bdb4f4869d0ea167cbbf9e3f"
	privB = "3948f69d06c6bb0edff5c58c9ecda4efe0e890826b13db9c71b4ac16a2ab2ccb"
)

func mustKey(t *testing.T, s string) cjdns.Key {
	t.Helper()
	k, err := cjdns.ParseKey(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// notFC returns a well-formed key whose address is not in fc00::/8.
func notFC(t *testing.T) string {
	t.Helper()
	k := mustKey(t, keyA)
	k[0] ^= 1
	return k.String()
}

func parseText(t *testing.T, text string) (Config, []Warning, error) {
	t.Helper()
	doc, err := ParseUCI("f", text)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(doc)
}

func TestParseEverything(t *testing.T) {
	c, warnings, err := parseText(t, `
config meshagent 'main'
	option enabled 'yes'
	option key_file '/k'
	option state_dir '/s'
	option socket '/run/x.sock'
	option inbound 'open'
	option log_level 'debug'
	option supernode '1'
	option supernode_find '1'
config tun 'tun'
	option name 'tunA'
	option mtu '1400'
	option persist '0'
config udp 'wan'
	option bind '[::ffff:10.0.0.1]:2000'
	option beacon 'accept'
	list beacon_device 'eth0'
	list beacon_device '10.0.0.255'
	option beacon_port '2001'
	option dscp '46'
	option device 'eth0'
config udp
	option enabled 0
	option bind '[::]:2000'
	option beacon 2
config eth 'lan'
	option device 'br-lan'
	option beacon 'send'
config peer 'nyc'
	option address '192.0.2.10:25381'
	option public_key '`+keyA+`'
	option password 'it'\''s'
	option login 'me'
	option interface 'wan'
	option version '20'
config peer
	option enabled off
	option name 'next door'
	option address '02-00-00-00-00-0A'
	option public_key '`+keyB+`'
	option password 'none'
	option interface 'br-lan'
config password 'bob'
	option password 's'
	option ip 'fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b'
config password
	option name 'carol'
	option password 't'
config supernode
	option public_key 'v20.0000.0000.0000.0013.`+keyC+`'
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	ip, err := cjdns.ParseIP(ipA)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Main: Main{true, "/k", "/s", "/run/x.sock", InboundOpen, LogDebug, UbusAuto, true, true},
		TUN:  TUN{true, "tunA", 1400, false},
		UDP: []UDP{
			{"wan", true, netip.MustParseAddrPort("10.0.0.1:2000"), BeaconAccept, []string{"eth0", "10.0.0.255"}, 2001, 46, "eth0"},
			{"@udp[1]", false, netip.MustParseAddrPort("[::]:2000"), BeaconSend, []string{"all"}, 64512, 0, ""},
		},
		Eth: []Eth{{"lan", true, "br-lan", BeaconSend}},
		Peers: []Peer{
			{"nyc", true, "nyc", "192.0.2.10:25381", "wan", mustKey(t, keyA), "it's", "me", 20},
			{"@peer[1]", false, "next door", "02:00:00:00:00:0a", "br-lan", mustKey(t, keyB), "", "", 0},
		},
		Passwords:  []Password{{"bob", true, "bob", "s", ip}, {"@password[1]", true, "carol", "t", cjdns.IP{}}},
		Supernodes: []Supernode{{"@supernode[0]", true, mustKey(t, keyC)}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
}

func TestEmptyFileIsDefault(t *testing.T) {
	c, warnings, err := parseText(t, "")
	if err != nil || len(warnings) > 0 || !reflect.DeepEqual(c, Default()) {
		t.Errorf("%+v, %v, %v", c, warnings, err)
	}
}

func TestParseErrors(t *testing.T) {
	peer := "config udp 'w'\noption bind '0.0.0.0:1'\nconfig peer 'p'\noption password 'x'\n"
	for _, tc := range []struct{ name, text, want string }{
		{"bool", "config tun\noption enabled maybe\n",
			"f:2: option 'enabled': expected 1 or 0 (on or off, true or false, yes or no), found 'maybe'"},
		{"inbound", "config meshagent\noption inbound ajar\n", "f:2: option 'inbound': expected closed or open, found 'ajar'"},
		{"log level", "config meshagent\noption log_level loud\n", "f:2: option 'log_level': expected error, warn, info or debug, found 'loud'"},
		{"ubus", "config meshagent\noption ubus on\n", "f:2: option 'ubus': expected auto, off or an absolute path of at most 107 bytes, found 'on'"},
		{"socket", "config meshagent\noption socket x.sock\n", "f:2: option 'socket': expected an absolute path of at most 107 bytes, found 'x.sock'"},
		{"socket length", "config meshagent\noption socket /" + strings.Repeat("x", 107) + "\n",
			"f:2: option 'socket': expected an absolute path of at most 107 bytes, found '/" + strings.Repeat("x", 107) + "'"},
		{"private key", "config meshagent\noption private_key 1234\n", "f:2: option 'private_key': expected a private key, 64 hexadecimal digits"},
		{"list", "config meshagent\nlist socket /x\n", "f:2: option 'socket': expected one value (option), found a list"},
		{"mtu", "config tun\noption mtu 1000\n", "f:2: option 'mtu': expected a number from 1280 to 2000, found '1000'"},
		{"tun name", "config tun\noption name 'a name of a tun'\n",
			"f:2: option 'name': expected the name of a network device, 1 to 15 characters, found 'a name of a tun'"},
		{"two mains", "config meshagent a\nconfig meshagent b\n", "f:2: expected one section 'meshagent'; the first is in line 1"},
		{"two of a name", "config udp a\noption bind 1.1.1.1:1\nconfig eth a\n", "f:3: there is a section 'a' in line 1 already"},
		{"bind", "config udp\noption bind 0.0.0.0\n", "f:2: option 'bind': expected ip:port or [ip6]:port, such as 0.0.0.0:25381, found '0.0.0.0'"},
		{"bind missing", "config udp 'x'\n", "f:1: option 'bind': missing in section 'x'; expected ip:port or [ip6]:port"},
		{"bind inside", "config udp\noption bind [" + ipA + "]:1\n",
			"f:2: option 'bind': an address in fc00::/8 is inside the overlay; expected the address of the link"},
		{"bound twice", "config udp\noption bind 0.0.0.0:1\nconfig udp\noption bind 0.0.0.0:1\n",
			"f:3: option 'bind': 0.0.0.0:1 is bound in line 1 already"},
		{"beacon", "config udp\noption bind 1.1.1.1:1\noption beacon 3\n", "f:3: option 'beacon': expected off, accept or send, found '3'"},
		{"beacon port", "config udp\noption bind 1.1.1.1:1\noption beacon send\noption beacon_port 0\n",
			"f:4: option 'beacon_port': expected a number from 1 to 65535, found '0'"},
		{"beacon port of bind", "config udp\noption bind 1.1.1.1:64512\noption beacon send\n",
			"f:1: option 'beacon_port': 64512 is the port of bind; expected another one"},
		{"dscp", "config udp\noption bind 1.1.1.1:1\noption dscp 64\n", "f:3: option 'dscp': expected a number from 0 to 63, found '64'"},
		{"own tun as eth", "config eth\noption device tunmesh0\n",
			"f:1: option 'device': 'tunmesh0' is the agent's own TUN device; expected a device below the overlay"},
		{"own tun as udp", "config udp\noption bind 1.1.1.1:1\noption device tunmesh0\n",
			"f:1: option 'device': 'tunmesh0' is the agent's own TUN device; expected a device below the overlay"},
		{"own tun for beacons", "config udp\noption bind 1.1.1.1:1\noption beacon send\nlist beacon_device tunmesh0\n",
			"f:1: option 'beacon_device': 'tunmesh0' is the agent's own TUN device; expected a device below the overlay"},
		{"loopback", "config eth\noption device lo\n",
			"f:2: option 'device': expected a device with neighbours, or all; lo is the host itself"},
		{"device twice", "config eth\noption device e\nconfig eth\noption device e\n", "f:3: option 'device': 'e' is used in line 1 already"},
		{"peer without all", "config udp 'w'\noption bind '0.0.0.0:1'\nconfig peer 'p'\n",
			"f:3: option 'address': missing in section 'p'; expected ip:port, [ip6]:port, hostname:port or a MAC\n" +
				"f:3: option 'public_key': missing in section 'p'; expected a public key, 52 base32 characters and .k\n" +
				"f:3: option 'password': missing in section 'p'; expected the password that the peer gave you, or 'none' to send none"},
		{"key text", peer + "option address 1.1.1.1:1\noption public_key abc.k\n",
			"f:6: option 'public_key': expected a public key, 52 base32 characters and .k, found 'abc.k'"},
		{"overlay peer", peer + "option public_key " + keyA + "\noption address [" + ipA + "]:1\n",
			"f:6: option 'address': an address in fc00::/8 is inside the overlay; expected the address of the link, found '[" + ipA + "]:1'"},
		{"password does not show", peer + "option public_key " + keyA + "\noption address 1.1.1.1:1\nconfig password\noption password '\x01secret'\n",
			"f:8: option 'password': expected a password of 1 to 256 bytes without control characters"},
		{"interface", peer + "option public_key " + keyA + "\noption address 1.1.1.1:1\noption interface eth0\n",
			"f:3: option 'interface': 'eth0' is no udp link; expected one of: w"},
		{"same peer", peer + "option public_key " + keyA + "\noption address 1.1.1.1:1\nconfig peer\noption password x\noption public_key " + keyA + "\noption address 1.1.1.1:1\n",
			"f:7: the same peer is in line 3 already"},
		{"same address", peer + "option public_key " + keyA + "\noption address A.b:1\nconfig peer\noption password x\noption public_key " + keyB + "\noption address a.B:1\n",
			"f:7: option 'address': a.b:1 is the address of another node in line 3 already"},
		{"password name", "config password\noption name a\noption password x\nconfig password a\noption password y\n",
			"f:4: option 'name': 'a' has a password in line 1 already"},
		{"password ip", "config password a\noption password y\noption ip 10.0.0.1\n",
			"f:3: option 'ip': expected a node's address in fc00::/8, found '10.0.0.1'"},
		{"supernode twice", "config supernode\noption public_key " + keyA + "\nconfig supernode\noption public_key " + keyA + "\n",
			"f:3: option 'public_key': the same supernode is in line 1 already"},
		{"all at once", "config tun\noption mtu x\nconfig udp\noption bind x\n",
			"f:2: option 'mtu': expected a number from 1280 to 2000, found 'x'\n" +
				"f:4: option 'bind': expected ip:port or [ip6]:port, such as 0.0.0.0:25381, found 'x'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := parseText(t, tc.text)
			if err == nil || err.Error() != tc.want {
				t.Errorf("error\n%v, want\n%s", err, tc.want)
			}
		})
	}
}

func TestKeyOutsideFCIsRefusedWithTheReason(t *testing.T) {
	bad := notFC(t)
	_, _, err := parseText(t, "config supernode\noption public_key "+bad+"\n")
	want := regexp.MustCompile(`^f:2: option 'public_key': '` + bad + `' hashes to [0-9a-f:]{39}, which is not in fc00::/8: it is mistyped or no node's key$`)
	if err == nil || !want.MatchString(err.Error()) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// manySupernodes are nine sections and one that is switched off.
var manySupernodes = func() (text string) {
	for i := range byte(9) {
		k := someKey(i)
		text += "config supernode\noption public_key " + k + "\n"
	}
	return text + "config supernode\noption enabled 0\noption public_key " + someKey(9) + "\n"
}()

// someKey returns the public key, as text, of a node whose address is
// valid; n tells them apart.
func someKey(n byte) string {
	for i := range 1 << 16 {
		if k := (cjdns.Key{0: n + 1, 1: byte(i), 2: byte(i >> 8)}); k.IP().Valid() {
			return k.String()
		}
	}
	panic("no key")
}

func TestParseWarnings(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"section once", "config box\nconfig box\nconfig name\n", "f:1: unknown section type 'box', ignored\nf:3: unknown section type 'name', ignored"},
		{"option once", "config udp\noption bind 1.1.1.1:1\noption foo 1\nconfig udp\noption bind 1.1.1.1:2\noption foo 2\n",
			"f:3: option 'foo': unknown in a section 'udp', ignored"},
		{"twice", "config tun\noption mtu 1300\noption mtu 1304\n", "f:3: option 'mtu': given in line 2 already; this one counts"},
		{"deleted is for overlays", "config udp\noption bind 1.1.1.1:1\nconfig peer\noption deleted 1\noption address 1.1.1.1:1\noption password x\noption public_key " + keyA + "\n",
			"f:4: option 'deleted': unknown in a section 'peer', ignored"},
		{"no link", "config peer\noption address 1.1.1.1:1\noption password x\noption public_key " + keyA + "\n",
			"f:1: option 'address': no section 'udp' has a link for 1.1.1.1:1; the peer is never dialled"},
		{"same password", "config password a\noption password x\nconfig password b\noption password x\n",
			"f:3: option 'password': the same password as in line 1; whoever uses it is called 'a'"},
		{"many supernodes", manySupernodes, "f:17: option 'public_key': not used: there are 8 supernodes before it already"},
		{"private key", "config meshagent\noption private_key " + privA + "\n", "f:1: option 'private_key': is moved into the key file when the agent starts"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, warnings, err := parseText(t, tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := Problems(warnings).Error(); got != tc.want {
				t.Errorf("warnings\n%s, want\n%s", got, tc.want)
			}
		})
	}
}

func TestParseEndpoint(t *testing.T) {
	for _, tc := range []struct {
		in, want string
		err      error
	}{
		{"10.0.0.1:5", "10.0.0.1:5", nil},
		{"[::ffff:10.0.0.1]:5", "10.0.0.1:5", nil},
		{"[2001:DB8::1]:5", "[2001:db8::1]:5", nil},
		{"[fe80::1%eth0]:5", "[fe80::1%eth0]:5", nil},
		{"[fd00::1]:5", "[fd00::1]:5", nil},
		{"Node.Example.org:5", "node.example.org:5", nil},
		{"localhost:5", "localhost:5", nil},
		{"1.example:5", "1.example:5", nil},
		{"02:00:00:00:00:Aa", "02:00:00:00:00:aa", nil},
		{"02-00-00-00-00-aa", "02:00:00:00:00:aa", nil},
		{"", "", errEndpoint},
		{"10.0.0.1", "", errEndpoint},
		{"2001:db8::1:5", "", errEndpoint},
		{"[10.0.0.1]:5", "", errEndpoint},
		{"[2001:db8::1:5", "", errEndpoint},
		{"10.0.0.256:5", "", errEndpoint},
		{"10.0.0:5", "", errEndpoint},
		{"a b:5", "", errEndpoint},
		{"-a:5", "", errEndpoint},
		{strings.Repeat("a.", 127) + "a:5", "", errEndpoint},
		{":5", "", errEndpoint},
		{"02:00:00:00:00:0g", "", errEndpoint},
		{"02-00:00-00-00-aa", "", errPort},
		{"10.0.0.1:0", "", errPort},
		{"10.0.0.1:65536", "", errPort},
		{"10.0.0.1:", "", errPort},
		{"[fc00::1]:5", "", errOverlay},
		{"[fc00::1%eth0]:5", "", errOverlay},
		{"0.0.0.0:5", "", errAny},
		{"[::]:5", "", errAny},
		{"00:00:00:00:00:00", "", errAny},
		{"224.0.0.1:5", "", errMulticast},
		{"255.255.255.255:5", "", errMulticast},
		{"[ff02::1]:5", "", errMulticast},
		{"ff:ff:ff:ff:ff:ff", "", errMulticast},
		{"01:00:5e:00:00:01", "", errMulticast},
	} {
		e, err := ParseEndpoint(tc.in)
		if !errors.Is(err, tc.err) {
			t.Errorf("ParseEndpoint(%q): error %v, want %v", tc.in, err, tc.err)
			continue
		}
		if err == nil && e.String() != tc.want {
			t.Errorf("ParseEndpoint(%q) = %s, want %s", tc.in, e, tc.want)
		}
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{"10.0.0.1:5", "[fe80::1%eth0]:5", "a.b:5", "02:00:00:00:00:aa"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseEndpoint(s)
		if err != nil {
			return
		}
		again, err := ParseEndpoint(e.String())
		if err != nil || again != e {
			t.Fatalf("%q is %s, which is %v, %v", s, e, again, err)
		}
	})
}

func TestProblem(t *testing.T) {
	for _, tc := range []struct {
		p    Problem
		want string
	}{
		{Problem{"f", 3, "k", "t"}, "f:3: option 'k': t"},
		{Problem{"f", 0, "", "t"}, "f: t"},
		{Problem{"", 3, "", "t"}, "line 3: t"},
		{Problem{"", 0, "k", "t"}, "option 'k': t"},
		{Problem{"", 0, "", "t"}, "t"},
	} {
		if got := tc.p.Error(); got != tc.want {
			t.Errorf("%#v prints %q, want %q", tc.p, got, tc.want)
		}
	}
}

func TestDiff(t *testing.T) {
	before, _, err := parseText(t, `
config udp 'a'
	option bind 0.0.0.0:1
config udp 'b'
	option bind 0.0.0.0:2
config eth
	option device e0
config password 'x'
	option password 1
config peer 'p'
	option address 1.1.1.1:1
	option public_key `+keyA+`
	option password 1
config peer 'q'
	option address 1.1.1.1:2
	option public_key `+keyB+`
	option password 1
config supernode
	option public_key `+keyA+"\n")
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(before, before); len(d) > 0 {
		t.Errorf("no difference gives %v", d)
	}
	after, _, err := parseText(t, `
config meshagent
	option inbound open
	option socket /x
config tun
	option mtu 1400
config udp 'a'
	option bind 0.0.0.0:3
	option beacon send
config eth
	option device e0
	option beacon accept
config eth 'new'
	option device e1
config password 'x'
	option password 2
config peer 'renamed'
	option address 1.1.1.1:2
	option public_key `+keyB+`
	option password 1
	option name q
	option login me
config peer 'r'
	option address 1.1.1.1:9
	option public_key `+keyA+`
	option password 1
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{
		{Kind: "main", Action: Changed, Options: []string{"inbound"}},
		{Kind: "main", Action: Changed, Options: []string{"socket"}, Restart: true},
		{Kind: "tun", Action: Changed, Options: []string{"mtu"}, Restart: true},
		{Kind: "udp", Action: Removed, Section: "b", Old: 1, New: -1},
		{Kind: "supernode", Action: Removed, Section: "@supernode[0]", Old: 0, New: -1},
		{Kind: "peer", Action: Removed, Section: "p", Name: "p", Old: 0, New: -1},
		{Kind: "udp", Action: Changed, Section: "a", Options: []string{"bind", "beacon", "beacon_device"}},
		{Kind: "eth", Action: Changed, Section: "@eth[0]", Name: "e0", Options: []string{"beacon"}},
		{Kind: "password", Action: Changed, Section: "x", Name: "x", Options: []string{"password"}},
		{Kind: "peer", Action: Changed, Section: "renamed", Name: "q", Options: []string{"login"}, Old: 1},
		{Kind: "eth", Action: Added, Section: "new", Name: "e1", Old: -1, New: 1},
		{Kind: "peer", Action: Added, Section: "r", Name: "r", Old: -1, New: 1},
	}
	if got := Diff(before, after); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// counter is chance that a test can foresee.
func counter() func([]byte) {
	n := byte(0)
	return func(b []byte) {
		for i := range b {
			n += 37
			b[i] = n
		}
	}
}

func TestGeneratedUCIIsClean(t *testing.T) {
	text := GenUCI(counter())
	c, warnings, err := parseText(t, text)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	if len(c.UDP) != 2 || len(c.Passwords) != 1 || len(c.Passwords[0].Password) != 32 || c.UDP[0].Bind.Port() <= 1024 || c.UDP[0].Beacon != BeaconSend {
		t.Errorf("%+v", c)
	}
	if strings.Contains(text, "@") {
		t.Error("a placeholder is left")
	}
	if GenUCI(counter()) != text {
		t.Error("it depends on more than chance")
	}
}

// TestReferenceIsTrue turns every comment that shows an option into the option
// and checks that the agent knows it, and that no option is left out.
func TestReferenceIsTrue(t *testing.T) {
	text := regexp.MustCompile(`(?m)^(\s*)#(\s*(?:config|option|list) )`).ReplaceAllString(GenUCI(counter()), "$1$2")
	_, warnings, err := parseText(t, text)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	source, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"meshread.go", "wifi.go"} {
		more, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, more...)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(?:\t|set\[)"([a-z_]+)"(?::|\])`).FindAllStringSubmatch(string(source), -1) {
		if !slices.Contains([]string{"private_key", "algo", "master", "network_coding", "isolation_mark"}, m[1]) && !regexp.MustCompile(`(option|list) `+m[1]+` `).MatchString(text) {
			t.Errorf("option %s is not in reference.uci", m[1])
		}
	}
}

func TestGeneratedCjdrouteIsClean(t *testing.T) {
	p, err := cjdns.ParsePrivateKey(privA)
	if err != nil {
		t.Fatal(err)
	}
	text := GenCjdroute(counter(), p, mustKey(t, keyA))
	c, warnings, err := ParseCjdroute("f", text)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	if c.PrivateKey != p || c.PublicKey != mustKey(t, keyA) || len(c.UDP) != 2 || len(c.Passwords) != 1 || c.TUN.Name != DefaultTUN {
		t.Errorf("%+v", c)
	}
}

func TestGenPortNeedsNoPrivilege(t *testing.T) {
	draws := [][]byte{{0, 0}, {4, 0}, {0xfc, 0x00}, {0x1f, 0x40}} // 0, 1024, 64512, 8000
	port := genPort(func(b []byte) { copy(b, draws[0]); draws = draws[1:] })
	if port != "8000" {
		t.Errorf("port %s, want 8000", port)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(t.TempDir(), name)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
