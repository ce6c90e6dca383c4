package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// The files in testdata/cjdroute are configurations with which cjdroute v20.7
// ran; the keys in them are made for tests.
func TestRealConfigurations(t *testing.T) {
	usual := []string{
		"option 'admin': the cjdns admin protocol is not served; use the meshagent command",
		"option 'security': not supported: meshagent does not change its user or root; let the service manager do so",
		"option 'logging': not supported: messages go to standard error; see option log_level",
		"option 'pipe': there is no second process to talk to, ignored",
	}
	priv, err := cjdns.ParsePrivateKey(privA)
	if err != nil {
		t.Fatal(err)
	}
	base := Default()
	base.TUN.Name = "tunA"
	base.PrivateKey, base.PublicKey = priv, mustKey(t, keyA)
	udp := UDP{"udp_0", true, netip.MustParseAddrPort("0.0.0.0:20001"), BeaconOff, nil, 64512, 0, ""}
	peerB := Peer{"peer_ygrqzpr8", true, "B", "10.11.1.2:20002", "udp_0", mustKey(t, keyB), "passForA", "A-login", 0}
	for _, tc := range []struct {
		file     string
		want     func(c *Config)
		warnings []string // beside the usual ones
	}{
		{"two_udp_A.conf", func(c *Config) {
			c.UDP = []UDP{udp}
			c.Peers = []Peer{peerB}
			c.Passwords = []Password{{"password_0", true, "u", "unused", cjdns.IP{}}}
		}, nil},
		{"two_eth_A.conf", func(c *Config) { c.Eth = []Eth{{"eth_0", true, "eB", BeaconSend}} }, nil},
		{"snode4_A.conf", func(c *Config) {
			c.UDP = []UDP{udp}
			c.Peers = []Peer{peerB}
			c.Supernodes = []Supernode{{"supernode_0", true, mustKey(t, "kmwpyjbl9gqy10fbgtm4nl3k2rhr2gdyp4sy8unzmrm6wp7qz7x0.k")}}
		}, nil},
		{"udp_beacon_A.conf", func(c *Config) {
			u := udp
			u.Beacon, u.BeaconDevices = BeaconSend, []string{"all"}
			c.UDP = []UDP{u}
		}, []string{"option 'router.ipTunnel': not supported: tunnels for IPv4 and other prefixes are not made (1 left out)"}},
	} {
		t.Run(tc.file, func(t *testing.T) {
			c, warnings, err := ParseCjdroute(tc.file, readAll(t, filepath.Join("testdata/cjdroute", tc.file)))
			if err != nil {
				t.Fatal(err)
			}
			want := base
			tc.want(&want)
			if !reflect.DeepEqual(c, want) {
				t.Errorf("got\n%+v\nwant\n%+v", c, want)
			}
			expected := map[string]bool{}
			for _, w := range append(tc.warnings, usual...) {
				expected[w] = true
			}
			for _, w := range warnings {
				_, text, _ := strings.Cut(w.Error(), ": ")
				if !expected[text] || w.Line < 2 {
					t.Errorf("warning %q", w)
				}
				delete(expected, text)
			}
			for w := range expected {
				t.Errorf("no warning %q", w)
			}
		})
	}
}

// quirky has what cjdroute's own parser lets pass, in a file of version 1, and
// the things people leave in their files.
const quirky = `// a comment first
{
    /* two
       lines */
    "privateKey": "` + privA + `"   // no comma
    "publicKey" "` + keyA + `",
    "ipv6": "` + ipA + `",,
    "authorizedPasswords": [
        {"password": "a\x22b\xc3\xa9", "user": "ren\xc3\xa9"}
        // {"password": "c", "user": "d"},
        {"password": "tab	in"},
        {"password": "again", "user": "ren\xc3\xa9"}
    ],
    "admin": {"bind": "127.0.0.1:11234"},
    "interfaces": {
        "UDPInterface": {
            "bind": "0.0.0.0",
            "dscp": 46,
            "connectTo": {
                "192.0.2.1:5": {"login": "l", "password": "p", "publicKey": "` + keyB + `", "peerName": "b", "contact": "x", "odd": 1},
                "[2001:db8::1]:5": {"password": "p", "publicKey": "` + keyB + `", "ipv6": "fc3d:853d:a911:1413:e1e4:a7fb:2540:e9c4", "odd": 2},
                "192.0.2.1:5": {"password": "later", "publicKey": "` + keyC + `"}
            }
        },
        "_disabled_UDPInterface": "whatever"
        "ETHInterface": [{"bind": "all", "beacon": 1, "connectTo": {"02:00:00:00:00:01": {"publicKey": "` + keyC + `"}}}],
        "TCPInterface": []
    },
    "router": {
        "interface": {"type": "TUNInterface"},
        "_disabled_interface": {"type": "SocketInterface"},
        "ipTunnel": {"allowedConnections": [], "outgoingConnections": []},
        "dnsSeeds": ["seed.example"], "publicPeer": {"id": "x"},
    },
    "security": [], "logging": {},
    "noBackground": 0
}
and then anything
`

func TestQuirksOfCjdroute(t *testing.T) {
	c, warnings, err := ParseCjdroute("f", quirky)
	if err != nil {
		t.Fatal(err)
	}
	priv, _ := cjdns.ParsePrivateKey(privA)
	want := Default()
	want.PrivateKey, want.PublicKey = priv, mustKey(t, keyA)
	want.TUN.Name = ""
	want.UDP = []UDP{{"udp_0", true, netip.MustParseAddrPort("0.0.0.0:0"), BeaconOff, nil, 64512, 46, ""}}
	want.Eth = []Eth{{"eth_0", true, "all", BeaconAccept}}
	want.Passwords = []Password{{"password_0", true, "rené", `a"bé`, cjdns.IP{}}, {"password_1", true, "password_1", "tab\tin", cjdns.IP{}}}
	want.Peers = []Peer{
		{"peer_ygrqzpr8", true, "b", "192.0.2.1:5", "udp_0", mustKey(t, keyB), "p", "l", 0},
		{"peer_ygrqzpr8_2", true, "", "[2001:db8::1]:5", "udp_0", mustKey(t, keyB), "p", "", 0},
		{"peer_6cdnwvmd", true, "", "02:00:00:00:00:01", "eth_0", mustKey(t, keyC), "", "", 0},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
	wantWarnings := `f:6: a comma or colon is missing or too many; read as meant
f:12: option 'authorizedPasswords[2]': user 'rené' has a password in line 9 already; the first one counts
f:14: option 'admin': the cjdns admin protocol is not served; use the meshagent command
f:20: option 'interfaces.UDPInterface.connectTo.192.0.2.1:5.odd': unknown, ignored
f:22: option 'interfaces.UDPInterface.connectTo.192.0.2.1:5': given in line 20 already; the first one counts
f:26: option 'interfaces.ETHInterface[0].connectTo.02:00:00:00:00:01': no password: the peer lets us in only if it dials us itself
f:27: option 'interfaces.TCPInterface': unknown, ignored
f:33: option 'router.dnsSeeds': not supported: peers are not looked up in the DNS
f:33: option 'router.publicPeer': not supported: this node is not announced as a public peer
f:36: option 'noBackground': meshagent always stays in the foreground`
	if got := Problems(warnings).Error(); got != wantWarnings {
		t.Errorf("warnings\n%s\nwant\n%s", got, wantWarnings)
	}
}

func TestCjdrouteErrors(t *testing.T) {
	peer := func(address, options string) string {
		return "{\"interfaces\": {\"UDPInterface\": [{\n\"connectTo\": {\n\"" + address + "\": {" + options + "}\n}}]}}"
	}
	key := `"password": "x", "publicKey": "` + keyA + `"`
	for _, tc := range []struct{ name, text, want string }{
		{"not closed", "{\n\"a\": 1\n", "f:3: the text ends before the last brace is closed"},
		{"empty", "// nothing\n", "f:2: the text ends before the last brace is closed"},
		{"list", "[]", "f:1: expected '{'"},
		{"comment", "{ /* \n", "f:1: the comment that begins here is never closed"},
		{"slash", "{\n/ }", "f:2: expected // or /* after a slash"},
		{"string", "{\n\"a\n\": 1}", "f:2: the string that begins here is not closed on its line"},
		{"string at end", "{\"a", "f:1: the string that begins here is not closed on its line"},
		{"escape", `{"a": "\xg0"}`, `f:1: expected two hexadecimal digits behind \x`},
		{"bytes", `{"a": "\xff"}`, "f:1: expected UTF-8 text"},
		{"json escape", "{\n\"a\": \"\\q\"}", "f:2: invalid literal: \"\\q\""},
		{"word", "{\n\n\"a\": tru }", "f:3: invalid literal: tru"},
		{"key", "{ a: 1 }", "f:1: expected a key in double quotes"},
		{"key without value", `{"a"}`, "f:1: a key without a value"},
		{"colon", `{:}`, "f:1: a colon where none is expected"},
		{"brace", `{"a": [}`, "f:1: '}' closes what is not open"},
		{"deep", strings.Repeat(`{"a":`, 40), "f:1: nested too deep"},
		{"type", "{\"interfaces\": 1,\n\"router\": \"x\"}", "f:1: option 'interfaces': expected an object {…}, found a number\nf:2: option 'router': expected an object {…}, found a string"},
		{"private key", `{"privateKey": "12"}`, "f:1: option 'privateKey': expected a private key, 64 hexadecimal digits"},
		{"password", `{"authorizedPasswords": [{"user": "x"}]}`, "f:1: option 'authorizedPasswords[0]': \"password\" is missing"},
		{"address", peer("10.0.0.1", key), "f:3: option 'interfaces.UDPInterface[0].connectTo.10.0.0.1': expected ip:port, [ip6]:port, hostname:port or a MAC such as 02:00:00:00:00:01"},
		{"overlay", peer("[fc00::1]:5", key), "f:3: option 'interfaces.UDPInterface[0].connectTo.[fc00::1]:5': an address in fc00::/8 is inside the overlay; expected the address of the link"},
		{"mac on udp", peer("02:00:00:00:00:01", key), "f:3: option 'interfaces.UDPInterface[0].connectTo.02:00:00:00:00:01': the kind of address does not fit the interface; expected ip:port below UDPInterface, a MAC below ETHInterface"},
		{"no key", peer("10.0.0.1:5", `"password": "x"`), "f:3: option 'interfaces.UDPInterface[0].connectTo.10.0.0.1:5': \"publicKey\" is missing"},
		{"key and address", peer("10.0.0.1:5", key+`, "ipv6": "fc00::1"`), "f:3: option 'interfaces.UDPInterface[0].connectTo.10.0.0.1:5.ipv6': publicKey has the address " + ipA + "; key or address is mistyped"},
		{"eth", `{"interfaces": {"ETHInterface": [{"beacon": 2}]}}`, "f:1: option 'interfaces.ETHInterface[0]': \"bind\" is missing"},
		{"supernode", `{"router": {"supernodes": ["x"]}}`, "f:1: option 'router.supernodes[0]': expected a public key, 52 base32 characters and .k, found 'x'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := ParseCjdroute("f", tc.text)
			if err == nil || err.Error() != tc.want {
				t.Errorf("error\n%v, want\n%s", err, tc.want)
			}
		})
	}
}

func TestIsCjdroute(t *testing.T) {
	for text, want := range map[string]bool{
		"{": true, " \n// x\n/* y */ {": true, "\ufeff{}": true,
		"": false, "config a": false, "# {": false, "// {": false, "/* {": false,
	} {
		if got := IsCjdroute(text); got != want {
			t.Errorf("IsCjdroute(%q) = %v", text, got)
		}
	}
}

func TestParsePeers(t *testing.T) {
	want := []Peer{{"", true, "nyc", "192.0.2.1:5", "", mustKey(t, keyA), "p", "", 0}}
	inner := `"192.0.2.1:5": {"password": "p", "publicKey": "` + keyA + `", "peerName": "nyc"}`
	for _, text := range []string{inner, inner + ",", "{" + inner + "}", "// mine\n" + inner + " // x", "\n{\n" + inner + ",\n}\n"} {
		got, warnings, err := ParsePeers("stdin", text)
		if err != nil || len(warnings) > 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v, %v", text, got, warnings, err)
		}
	}
	two := inner + `, "02:00:00:00:00:01": {"password": "q", "publicKey": "` + keyB + `"}`
	if got, _, err := ParsePeers("stdin", two); err != nil || len(got) != 2 || got[1].Address != "02:00:00:00:00:01" {
		t.Errorf("%+v, %v", got, err)
	}
	for text, want := range map[string]string{
		"":           `stdin:1: expected "ip:port": {"password": …, "publicKey": …}`,
		"x":          "stdin:1: expected a key in double quotes",
		"\n\"x\": {": "stdin:3: the text ends before the last brace is closed",
		"\n\"10.0.0.1:5\": {\"publicKey\": \"" + keyA[:10] + "\"}": "stdin:2: option '10.0.0.1:5.publicKey': expected a public key, 52 base32 characters and .k, found '" + keyA[:10] + "'",
	} {
		if _, _, err := ParsePeers("stdin", text); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

func TestTruncatedCjdroute(t *testing.T) {
	text := strings.TrimSpace(readAll(t, "testdata/cjdroute/two_udp_A.conf"))
	for n := range text {
		if _, _, err := ParseCjdroute("f", text[:n]); err == nil {
			t.Fatalf("%d of %d bytes are accepted", n, len(text))
		}
	}
}

func FuzzCjdroute(f *testing.F) {
	files, err := filepath.Glob("testdata/cjdroute/*.conf")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds")
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add(quirky)
	f.Add(`{"a" {"b" [1 2 "\x41"]} /* */ } x`)
	f.Fuzz(func(t *testing.T, text string) {
		out, _, problem := relaxJSON(text)
		if problem == nil {
			if strings.Count(out, "\n") > strings.Count(text, "\n") {
				t.Fatalf("lines moved: %q became %q", text, out)
			}
			// What was mended needs no mending.
			again, repaired, problem := relaxJSON(out)
			if problem != nil || repaired != 0 || strings.TrimSpace(again) != strings.TrimSpace(out) {
				t.Fatalf("%q became %q, which became %q (%v, %d)", text, out, again, problem, repaired)
			}
		}
		c, _, err := ParseCjdroute("f", text)
		if err != nil {
			return
		}
		for _, p := range c.Peers {
			if e, err := p.Endpoint(); err != nil || e.String() != p.Address || p.PublicKey.IsZero() || p.Section == "" {
				t.Fatalf("peer %+v: %v", p, err)
			}
		}
		_, _, _ = ParsePeers("f", text)
	})
}
