package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/node"
)

const (
	keyA  = "p1k4y0xpkq5r12br69r6f832jk7h7s9n0ld8fwc8kvgpb70g7kx0.k"
	keyB  = "ygrqzpr8dq89gqrx4l7p0jqlfxfd9d0jt73b9ny8vsvfx1h83df0.k"
	ipA   = "fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b"
	privA = "b81337f3fc15f9c1fbecfab8f8e546aa870bb723bdb4f4869d0ea167cbbf9e3f"
	privB = "3948f69d06c6bb0edff5c58c9ecda4efe0e890826b13db9c71b4ac16a2ab2ccb"
)

// agent is a Backend that stores peers as the real one does, and whose pings
// are answered if the target is ipA.
type agent struct {
	store  *config.Store
	pings  int
	denied bool // it may not write its configuration
	trial  int  // seconds of the countdown
	wish   admin.ConfigWish
	told   string // what became of the wish
	events []admin.Event
	checks admin.Diagnosis
	*communityAgent
}

func (a *agent) Status(context.Context) (node.Status, error) {
	return node.Status{Version: "9.9.9", Protocol: 20, IP: ipA, Peers: []node.PeerStatus{{
		LLAddr: "10.0.0.1:5", Addr: "v20.0000.0000.0000.0013." + keyA, State: "ESTABLISHED", Name: "b"}}}, nil
}

func (a *agent) Ping(_ context.Context, target string, _ admin.PingOptions) (admin.PingResult, error) {
	a.pings++
	r := admin.PingReply{Seq: 1, RTTMicros: 410}
	if target != ipA {
		r = admin.PingReply{Seq: 1, Error: "timeout"}
	}
	return admin.PingResult{Target: target, IP: target, Replies: []admin.PingReply{r}}, nil
}

func (a *agent) Trace(_ context.Context, target string) (admin.TraceResult, error) {
	if target != ipA {
		return admin.TraceResult{Target: target, Error: "no path"}, nil
	}
	return admin.TraceResult{Target: target, Hops: []admin.TraceHop{{Hop: 1, IP: ipA, RTTMicros: 300}}}, nil
}

func (a *agent) Why(_ context.Context, target string) (*node.Why, error) {
	if target != ipA {
		return nil, admin.Errorf(admin.CodeNotFound, "no peer is called %q", target)
	}
	return &node.Why{Target: target, IP: target, State: "self", Tried: []string{}}, nil
}

func (a *agent) PeerAdd(_ context.Context, p config.Peer) (config.PeerChange, error) {
	if a.denied {
		return config.PeerChange{}, &fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}
	}
	return a.store.AddPeer(p)
}

func (a *agent) PeerDel(_ context.Context, selector string) (config.PeerChange, error) {
	if a.denied {
		return config.PeerChange{}, &fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}
	}
	return a.store.DelPeer(selector)
}

func (a *agent) Reload(context.Context) (admin.ReloadReport, error) {
	_, err := a.store.Load()
	return admin.ReloadReport{Changes: []config.Change{}, Warnings: []string{}}, err
}

func (a *agent) ConfigDiff(ctx context.Context) (admin.ReloadReport, error) { return a.Reload(ctx) }

func (a *agent) ConfigTrial(ctx context.Context, verb admin.TrialVerb, confirm time.Duration) (admin.ReloadReport, error) {
	r, err := a.Reload(ctx)
	switch {
	case verb == admin.TrialApply:
		a.trial = int(confirm / time.Second)
		r.ConfirmSeconds = a.trial
	case verb == admin.TrialConfirm && a.trial == 0:
		err = &admin.Error{Code: admin.CodeNotFound, Text: "nothing to confirm"}
	default:
		a.trial = 0
	}
	return r, err
}

func (a *agent) ConfigStore(_ context.Context, done bool, refused string) (admin.ConfigWish, error) {
	if done || refused != "" {
		a.told = fmt.Sprint(done, refused)
	}
	return a.wish, nil
}

func (a *agent) Events(uint64, int) []admin.Event                { return a.events }
func (a *agent) Doctor(context.Context) (admin.Diagnosis, error) { return a.checks, nil }

type result struct {
	code     int
	out, err string
}

// runWith runs the program without a terminal and with an environment of env
// ("NAME=value").
func runWith(t *testing.T, stdin string, env []string, args ...string) result {
	t.Helper()
	var out, errs strings.Builder
	a := &app{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs, getenv: func(name string) string {
		for _, e := range env {
			if n, v, _ := strings.Cut(e, "="); n == name {
				return v
			}
		}
		return ""
	}}
	code := a.main(t.Context(), args)
	return result{code, out.String(), errs.String()}
}

// start runs a fake agent and returns its socket and configuration.
func start(t *testing.T) (socket, conf string) {
	t.Helper()
	socket, conf, _ = startAgent(t)
	return socket, conf
}

func startAgent(t *testing.T) (socket, conf string, a *agent) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ma")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, conf = filepath.Join(dir, "s"), filepath.Join(dir, "conf")
	write(t, conf, "config meshagent 'main'\n\toption socket '"+socket+"'\n\nconfig udp 'wan'\n\toption bind '0.0.0.0:1'\n")
	l, err := admin.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	a = &agent{store: config.Open(conf), communityAgent: newCommunityAgent()}
	s := &admin.Server{Registry: admin.NewMethods(a)}
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket, conf, a
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClientCommands(t *testing.T) {
	socket, conf := start(t)
	env := []string{"MESHAGENT_SOCKET=" + socket}
	for _, tc := range []struct {
		args string
		code int
		out  string // a pattern for all of standard output
	}{
		{"status", 0, `(?s)^node *\naddress  ` + ipA + `\nversion  9\.9\.9, protocol 20, up 0s\n.*established`},
		{"status --json", 0, `^\{"version":"9\.9\.9",.*\}\n$`},
		{"--json status", 0, `^\{"version":"9\.9\.9",.*\}\n$`},
		{"peers", 0, `^PEER  STATE .*\nb     established .*\n$`},
		{"peers --peerstats", 0, `^10\.0\.0\.1:5 v20\.0000\.0000\.0000\.0013\.` + keyA + ` ESTABLISHED in 0kb/s out 0kb/s "b"\n$`},
		{"peers --json", 0, `^\{"peers":\[\{"name":"b",.*\],"total":1\}\n$`},
		{"sessions", 0, `^no sessions: `},
		{"sessions --json", 0, `^\{"sessions":\[\],"total":0\}\n$`},
		{"ping -c 2 -i 0.001 " + ipA, 0, `^` + ipA + `: seq=1 time=0\.41 ms\n` + ipA + `: seq=2 time=0\.41 ms\n2 sent, 2 answered, 0% loss, rtt min/avg/max 0\.41/0\.41/0\.41 ms\n$`},
		{"ping " + ipA + " -c 1 -W 300ms --json", 0, `^\{"target":"` + ipA + `","ip":"` + ipA + `","replies":\[\{"seq":1,"rttMicros":410\}\]\}\n$`},
		{"ping -c 1 fc00::1", 1, `^fc00::1: seq=1 timeout\n1 sent, 0 answered, 100% loss\n$`},
		{"trace " + ipA, 0, `^HOP .*\n1 .*0\.30 ms  -\n$`},
		{"trace fc00::1 --json", 1, `^\{"target":"fc00::1","hops":null,"error":"no path"\}\n$`},
		{"why " + ipA, 0, `^node    ` + ipA + `\nreason  this is the address of this node: packets for it do not leave the host\n$`},
		{"why --json " + ipA, 0, `^\{"target":"` + ipA + `","ip":"` + ipA + `","state":"self",.*"reason":"this is .*","tried":\[\]\}\n$`},
		{"why nobody --json", 1, `^\{"error":\{"code":"not_found","text":"no peer is called \\"nobody\\""\}\}\n$`},
		{"version", 0, `^meshagent 0\.1\.0, protocol \d+\nthe running agent is 9\.9\.9, protocol 20\n$`},
		{"version --json", 0, `^\{"version":"0\.1\.0","protocol":\d+,"agent":\{"version":"9\.9\.9","protocol":20\}\}\n$`},
		{"reload", 0, `^nothing has changed\n$`},
		{"peer add 10.0.0.1:5 " + keyA + " --password x --name b", 0, `^added b: 10\.0\.0\.1:5 ` + ipA + `\n$`},
		{"peer add --json --password x 10.0.0.1:5 " + keyA, 0, `^\{"action":"unchanged","section":"b",.*\}\n$`},
		{"peer del b", 0, `^removed b: 10\.0\.0\.1:5 ` + ipA + `\n$`},
		{"peer del b --json", 1, `^\{"error":\{"code":"not_found","text":"no peer 'b' in the configuration; .*"\}\}\n$`},
	} {
		got := runWith(t, "", env, strings.Fields(tc.args)...)
		if got.code != tc.code || !regexp.MustCompile(tc.out).MatchString(got.out) {
			t.Errorf("%s: exit %d\n%s%s\nwant %d, %s", tc.args, got.code, got.out, got.err, tc.code, tc.out)
		}
	}
	// The other ways to find the socket.
	for _, args := range [][]string{{"status", "--socket", socket}, {"--socket", socket, "status"}, {"status", "--config", conf}} {
		if got := runWith(t, "", nil, args...); got.code != 0 {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := runWith(t, "", env, "status", "--socket", "/nowhere"); got.code != 1 {
		t.Errorf("--socket does not come first: %+v", got)
	}
}

func TestPeerStanza(t *testing.T) {
	socket, conf := start(t)
	env := []string{"MESHAGENT_SOCKET=" + socket}
	stanza := `"10.0.0.1:5": {"password": "p", "login": "l", "publicKey": "` + keyA + `", "peerName": "nyc"}`
	for i, text := range []string{stanza, "{" + stanza + "}", stanza + ","} {
		got := runWith(t, text, env, "peer", "add")
		want := "unchanged nyc: 10.0.0.1:5 " + ipA + "\n"
		if i == 0 {
			want = "added nyc: 10.0.0.1:5 " + ipA + "\n"
		}
		if got.code != 0 || got.out != want {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	two := stanza + `, "host.example:5": {"password": "p", "publicKey": "` + keyB + `"}`
	got := runWith(t, two, env, "peer", "add", "-", "--json")
	var changes []config.PeerChange
	if err := json.Unmarshal([]byte(got.out), &changes); err != nil || len(changes) != 2 || changes[1].Action != "added" {
		t.Errorf("%+v: %v", got, err)
	}
	loaded, err := config.Open(conf).Load()
	if err != nil || len(loaded.Config.Peers) != 2 || loaded.Config.Peers[0].Login != "l" {
		t.Errorf("%+v, %v", loaded, err)
	}
	got = runWith(t, "\n\"10.0.0.1\": {}", env, "peer", "add")
	if got.code != 1 || got.err != "meshagent: stdin:2: option '10.0.0.1': expected ip:port, [ip6]:port, hostname:port or a MAC such as 02:00:00:00:00:01\n" {
		t.Errorf("%+v", got)
	}
	// One that is refused does not keep the others away.
	third := `"10.0.0.1:5": {"password": "p", "publicKey": "` + keyB + `"}, "h.example:6": {"password": "p", "publicKey": "` + keyB + `"}`
	got = runWith(t, third, env, "peer", "add")
	if got.code != 1 || !strings.HasPrefix(got.out, "added ") || !strings.HasPrefix(got.err, "meshagent: 10.0.0.1:5: option 'address': 10.0.0.1:5 is the address of another node") {
		t.Errorf("%+v", got)
	}
}

func TestNoAgent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	want := "no agent answers on " + socket + ": start it with: meshagent run -c FILE"
	for _, args := range []string{"status", "peers", "sessions", "ping x", "trace x", "why x", "peer add a:1 " + keyA, "peer del x", "reload"} {
		got := runWith(t, "", nil, append(strings.Fields(args), "--socket", socket)...)
		if got.code != 1 || got.err != "meshagent: "+want+"\n" || got.out != "" {
			t.Errorf("%s: %+v", args, got)
		}
		got = runWith(t, "", nil, append(strings.Fields(args), "--json", "--socket", socket)...)
		if got.code != 1 || got.out != `{"error":{"code":"no_agent","text":"`+want+`"}}`+"\n" {
			t.Errorf("%s --json: %+v", args, got)
		}
	}
	if got := runWith(t, "", nil, "version", "--socket", socket); got.code != 0 || !strings.HasSuffix(got.out, want+"\n") {
		t.Errorf("version: %+v", got)
	}
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		args string
		code int
		want string // in standard error, or in standard output if code is 0
	}{
		{"", 2, "USAGE\n  meshagent COMMAND\n"},
		{"nonsense", 2, "SUBCOMMANDS"},
		{"-h", 0, "USAGE\n  meshagent COMMAND\n"},
		{"ping -h", 0, "  meshagent ping ADDRESS\n"},
		{"peer add -h", 0, "  meshagent peer add [ADDRESS KEY]\n"},
		{"peer", 2, "  meshagent peer add|del\n"},
		{"status --what", 2, "flag provided but not defined: -what"},
		{"ping x --what", 2, "flag provided but not defined: -what"},
		{"status x", 2, "meshagent: expected: meshagent status [--json]\n"},
		{"ping", 2, "meshagent: expected: meshagent ping ADDRESS [-c COUNT] [-i SECONDS] [-W SECONDS] [--json]\n"},
		{"ping x -i never", 2, "expected seconds, such as 0.2"},
		{"ping x -c -1", 2, "meshagent: -c: expected 0 or more\n"},
		{"ping x -W 31", 2, "meshagent: -W: expected at most 30s\n"},
		{"why", 2, "meshagent: expected: meshagent why ADDRESS|KEY|NAME [--json]\n"},
		{"peer add a:1", 2, "meshagent: expected: meshagent peer add ADDRESS KEY"},
		{"peer add - --password x", 2, "expected no --password"},
		{"genconf --format yaml", 2, "meshagent: --format: expected uci or cjdroute, found 'yaml'\n"},
		{"config", 2, "meshagent: expected: meshagent config diff|apply"},
		{"config diff x", 2, "meshagent: expected: meshagent config diff"},
		{"config confirm --confirm 5", 2, "meshagent: expected: meshagent config diff"},
		{"config keep", 2, "meshagent: expected: meshagent config diff"},
		{"config apply --confirm x", 2, "invalid value"},
		{"check-config", 2, "meshagent: expected: meshagent check-config FILE [--json]\n"},
		{"run x", 2, "meshagent: expected: meshagent run -c FILE [--socket PATH]\n"},
	} {
		got := runWith(t, "", nil, strings.Fields(tc.args)...)
		text := got.err
		if tc.code == 0 {
			text = got.out
		}
		if got.code != tc.code || !strings.Contains(text, tc.want) {
			t.Errorf("%q: %+v, want %d %q", tc.args, got, tc.code, tc.want)
		}
	}
}

func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	a := &app{}
	for _, c := range a.tree().Subcommands {
		if c.ShortHelp == "" || c.ShortUsage == "" {
			t.Errorf("%s has no help", c.Name)
		}
		if c.Name != "run" && c.Name != "genconf" && c.Name != "peer" && c.Name != "community" && c.FlagSet.Lookup("json") == nil {
			t.Errorf("%s has no --json", c.Name)
		}
	}
}

func TestKeygen(t *testing.T) {
	got := runWith(t, "", nil, "keygen")
	m := regexp.MustCompile(`^private key  ([0-9a-f]{64})\npublic key   ([0-9a-z]{52}\.k)\nip           (fc[0-9a-f:]{37})\n$`).FindStringSubmatch(got.out)
	if got.code != 0 || m == nil {
		t.Fatalf("%+v", got)
	}
	if got := runWith(t, m[1]+"\n", nil, "keygen", "--pub"); got.out != "public key   "+m[2]+"\nip           "+m[3]+"\n" {
		t.Errorf("%+v does not belong to %v", got, m)
	}
	if got := runWith(t, privA, nil, "keygen", "--pub", "--json"); got.out != `{"publicKey":"`+keyA+`","ip":"`+ipA+`"}`+"\n" {
		t.Errorf("%+v", got)
	}
	if got := runWith(t, "", nil, "keygen", "--json"); !regexp.MustCompile(`^\{"privateKey":"[0-9a-f]{64}","publicKey":".*\.k","ip":"fc.*"\}\n$`).MatchString(got.out) {
		t.Errorf("%+v", got)
	}
	for in, want := range map[string]string{
		"x":                      "meshagent: standard input: not a private key: want 64 hexadecimal digits\n",
		strings.Repeat("00", 32): "meshagent: standard input: the key does not hash to an address in fc00::/8\n",
	} {
		if got := runWith(t, in, nil, "keygen", "--pub"); got.code != 1 || got.err != want {
			t.Errorf("%q: %+v, want %s", in, got, want)
		}
	}
}

func TestGenconfPassesCheckConfig(t *testing.T) {
	for _, format := range []string{"uci", "cjdroute"} {
		conf := runWith(t, "", nil, "genconf", "--format", format)
		path := filepath.Join(t.TempDir(), format)
		text := conf.out
		if format == "uci" { // not the key of the host that runs the test
			text = strings.Replace(text, "#option key_file '/etc/meshagent/key'", "option key_file '"+path+".key'", 1)
		} else {
			write(t, path+".meshagent", "config meshagent\n\toption key_file '"+path+".key'\n")
		}
		write(t, path, text)
		got := runWith(t, "", nil, "check-config", path)
		if conf.code != 0 || got.code != 0 || got.err != "" || !strings.HasPrefix(got.out, path+": ok, ") {
			t.Errorf("%s: %+v", format, got)
		}
		if format == "cjdroute" && !strings.Contains(got.out, "ok, fc") {
			t.Errorf("no address: %+v", got)
		}
	}
}

func TestCheckConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf")
	base := "config meshagent 'main'\n\toption key_file '" + path + ".key'\n"
	write(t, path, base+"\toption odd 1\nconfig tun\n\toption mtu 5\n\toption name ''\n")
	got := runWith(t, "", nil, "check-config", path)
	want := path + ":5: option 'mtu': expected a number from 1280 to 2000, found '5'\n" +
		path + ":6: option 'name': expected the name of a network device, 1 to 15 characters, found ''\n"
	if got.code != 1 || got.err != want {
		t.Errorf("%+v, want\n%s", got, want)
	}
	write(t, path, base+"\toption odd 1\n")
	write(t, path+".key", privA+"\n")
	got = runWith(t, "", nil, "check-config", "--json", path)
	if want := `{"ok":true,"publicKey":"` + keyA + `","ip":"` + ipA + `","warnings":[{"file":"` + path +
		`","line":3,"key":"odd","text":"unknown in a section 'meshagent', ignored"}],"errors":[]}` + "\n"; got.code != 0 || got.out != want {
		t.Errorf("%+v, want\n%s", got, want)
	}
	if got := runWith(t, "", nil, "check-config", path+"x"); got.code != 1 || !strings.Contains(got.err, "no such file") {
		t.Errorf("%+v", got)
	}

	// What only derived keys can tell.
	jsonConf := `{"privateKey": "` + privB + `", "publicKey": "` + keyA + `", "interfaces": {"UDPInterface": [{"bind": "0.0.0.0:1", "connectTo": {"10.0.0.1:5": {"password": "x", "publicKey": "` + keyB + `"}}}]}}`
	write(t, path, jsonConf)
	write(t, path+".meshagent", base)
	if got := runWith(t, "", nil, "check-config", path); got.code != 1 || !strings.Contains(got.err, "carries another private key than "+path+".key") {
		t.Errorf("%+v", got)
	}
	os.Remove(path + ".key")
	got = runWith(t, "", nil, "check-config", path)
	if got.code != 0 || !strings.Contains(got.err, "option 'publicKey': privateKey belongs to "+keyB) || !strings.Contains(got.err, "has this node's own key") {
		t.Errorf("%+v", got)
	}
	write(t, path, `{"privateKey": "`+strings.Repeat("01", 32)+`"}`)
	if got := runWith(t, "", nil, "check-config", path); got.code != 1 || !strings.HasSuffix(got.err, "option 'privateKey': the key does not hash to an address in fc00::/8\n") {
		t.Errorf("%+v", got)
	}
}

func TestRunRefusesBadConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf")
	write(t, path, "config tun\n\toption mtu 5\n")
	want := "meshagent: " + path + ":2: option 'mtu': expected a number from 1280 to 2000, found '5'\n"
	if got := runWith(t, "", nil, "run", "-c", path); got.code != 1 || got.err != want {
		t.Errorf("%+v, want %s", got, want)
	}
	write(t, path, "config meshagent\n\toption enabled 0\n")
	if got := runWith(t, "", nil, "run", "-c", path); got.code != 0 || !strings.Contains(got.err, "enabled") {
		t.Errorf("%+v", got)
	}
}

func TestSecondAgentEndsAtOnce(t *testing.T) {
	socket, conf := start(t)
	want := "meshagent: another agent is running on " + socket + "; give each its own option 'socket'\n"
	if got := runWith(t, "", nil, "run", "-c", conf); got.code != 1 || got.err != want {
		t.Errorf("%+v, want %s", got, want)
	}
}
