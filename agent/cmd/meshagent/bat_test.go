package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
)

// The nodes of the fake mesh: we, a node behind us, one behind that.
var (
	meshSelf = batman.MAC{2, 0xba, 0, 0, 1, 0}
	meshMid  = batman.MAC{2, 0xba, 0, 0, 2, 0}
	meshFar  = batman.MAC{2, 0xba, 0, 0, 3, 0}
	meshLost = batman.MAC{2, 0xba, 0, 0, 4, 0} // it never answers
	client   = batman.MAC{2, 0xba, 0, 0, 3, 0xff}
)

// manyClients is more than fits into one answer.
const manyClients = 4500

func (a *agent) Mesh(context.Context) (mesh.Status, error) {
	s := mesh.Status{
		Algo: "BATMAN_IV", MeshIf: "bat0", MeshMAC: batman.MAC{2, 0xba, 0, 0, 1, 0xff}, Primary: "eth9", PrimaryMAC: meshSelf, Config: mesh.Default(),
		Ifaces: []mesh.IfaceStatus{{Name: "eth9", MAC: meshSelf, Active: true, Drops: map[string]uint64{"runt": 2}}},
		Originators: []mesh.OriginatorStatus{
			{MAC: meshMid, Best: true, LastSeen: 90 * time.Second, TQ: 255, Next: meshMid, Iface: "eth9"},
			{MAC: meshFar, Best: true, LastSeen: 416 * time.Millisecond, TQ: 150, Next: meshMid, Iface: "eth9"},
		},
		Counters: map[string]uint64{"tx": 5}, Drops: map[string]uint64{"runt": 2},
	}
	s.Global = append(s.Global, mesh.GlobalStatus{MAC: batman.MAC{1, 0, 0x5e, 0, 0, 1}, Flags: "....", Orig: meshFar},
		mesh.GlobalStatus{MAC: client, Flags: "....", Orig: meshFar, Best: true})
	for i := len(s.Global); i < manyClients; i++ {
		s.Global = append(s.Global, mesh.GlobalStatus{MAC: batman.MAC{2, 0xcc, 0, 0, byte(i >> 8), byte(i)}, Flags: "....", Orig: meshFar, Best: true})
	}
	return s, nil
}

func (a *agent) MeshPing(_ context.Context, dst batman.MAC, o admin.MeshPingOptions) (admin.MeshPingReply, error) {
	a.pings++
	r := admin.MeshPingReply{Originator: dst, From: dst, TTL: 49, RTTMicros: int64(1000 * a.pings)}
	switch {
	case dst == meshLost:
		return admin.MeshPingReply{Originator: dst, Error: admin.MeshTimeout}, nil
	case dst != meshFar:
		return admin.MeshPingReply{Originator: dst, Error: "no route"}, nil
	case o.TTL == 1:
		r.Type, r.From = admin.MeshTTLExceeded, meshMid
	}
	if o.RecordRoute {
		r.Route = []batman.MAC{meshSelf, meshMid, meshFar, meshMid, meshSelf}
	}
	return r, nil
}

func (a *agent) MeshThroughput(_ context.Context, dst batman.MAC, d time.Duration) (admin.MeshThroughput, error) {
	if dst != meshFar {
		return admin.MeshThroughput{Originator: dst, Error: "destination unreachable"}, nil
	}
	return admin.MeshThroughput{Originator: dst, TimeMs: uint64(d.Milliseconds()), Bytes: 10478124}, nil //nolint:gosec // a test
}

func (a *agent) Wifi(context.Context) (admin.WifiStatus, error) {
	return admin.WifiStatus{Problem: "the kernel has no nl80211", Radios: []*admin.WifiRadio{}}, nil
}

func (a *agent) MeshLog(_ context.Context, after uint64) ([]admin.MeshLogLine, error) {
	if after > 0 {
		return nil, nil
	}
	return []admin.MeshLogLine{{Seq: 1, Time: 1, Kind: "routes", Text: "x"}}, nil
}

func TestBatCommands(t *testing.T) {
	socket, _ := start(t)
	home := t.TempDir()
	write(t, filepath.Join(home, "bat-hosts"), "# names\n\nnonsense\n02:BA:00:00:03:00 far\n02:ba:00:00:04:00\tlost x\n")
	env := []string{"MESHAGENT_SOCKET=" + socket, "HOME=" + home}
	const head = `\[B\.A\.T\.M\.A\.N\. adv meshagent-9\.9\.9, MainIF/MAC: eth9/02:ba:00:00:01:00 \(bat0/02:ba:00:00:01:ff BATMAN_IV\)\]\n`
	const cols = `   Originator        last-seen \(#/255\) Nexthop           \[outgoingIF\]\n`
	const mid = ` \* 02:ba:00:00:02:00   90\.000s   \(255\) 02:ba:00:00:02:00 \[      eth9\]\n`
	far := func(name string) string {
		return ` \* ` + name + `    0\.416s   \(150\) 02:ba:00:00:02:00 \[      eth9\]\n`
	}
	named := far(`              far`)
	for _, tc := range []struct {
		args string
		code int
		out  string // a pattern for all of standard output
		err  string // in standard error
	}{
		{"bat o", 0, `^` + head + cols + mid + named + `$`, ""},
		{"bat originators -n", 0, `^` + head + cols + mid + far(`02:ba:00:00:03:00`) + `$`, ""},
		{"bat o -H -t 60", 0, `^` + named + `$`, ""},
		{"bat o --json", 0, `^\[\{"hard_ifname":"eth9","orig_address":"02:ba:00:00:02:00","best":true,.*"tq":150\}\]\n$`, ""},
		{"bat oj", 0, `^\[\{"hard_ifname":"eth9",.*\}\]\n$`, ""},
		{"bat --json o", 0, `^\[\{"hard_ifname":"eth9",.*\}\]\n$`, ""},
		{"bat n", 0, `^` + head + `IF             Neighbor              last-seen\n$`, ""},
		{"bat nj", 0, `^\[\]\n$`, ""},
		{"bat if", 0, `^eth9: active\n$`, ""},
		{"bat if --json", 0, `^\[\{"mesh_ifname":"bat0","hard_ifname":"eth9",.*"drops":\{"runt":2\}\}\]\n$`, ""},
		{"bat tl", 0, `BATMAN_IV\), TTVN: 0\]\nClient`, ""},
		{"bat tg -m", 0, `^` + head + `.*\n   01:00:5e:00:00:01   -1 .*\n$`, ""},
		{"bat gwl", 0, `Bandwidth\n$`, ""},
		{"bat dc", 0, `Distributed ARP Table \(bat0\):\n.*\n$`, ""},
		{"bat cl", 0, `group id: 0x0000\]\nClient .*\n$`, ""},
		{"bat bl", 0, `Client .*\n\n\[B.*\nOriginator .*\n$`, ""},
		{"bat bl --json", 0, `^\{"backbones":\[\],"claims":\[\]\}\n$`, ""},
		{"bat mf", 0, `Multicast flags`, ""},
		{"bat mj", 0, `^\{"version":"meshagent-9\.9\.9","algo_name":"BATMAN_IV",`, ""},
		{"bat s", 0, `^\ttx: 5\n\tdrop runt: 2\n$`, ""},
		{"bat s --json", 0, `^\{"counters":\{"tx":5\},"drops":\{"runt":2\}\}\n$`, ""},
		{"bat log", 0, `^\d{4}-.* routes x\n$`, ""},
		{"bat t far", 0, `^02:ba:00:00:03:00\n$`, ""},
		{"bat translate 02:ba:00:00:03:ff", 0, `^02:ba:00:00:03:00\n$`, ""},
		{"bat t nowhere", 1, `^$`, "expected the MAC of a node or of a client"},
		{"bat ping lost -c 2 -i 0.001 -t 0.5", 2,
			`^PING lost \(02:ba:00:00:04:00\) 20\(48\) bytes of data\nReply from host lost timed out\nReply from host lost timed out\n` +
				`--- lost ping statistics ---\n2 packets transmitted, 0 received, 100% packet loss\nrtt min/avg/max/mdev = 0\.000/0\.000/0\.000/0\.000 ms\n$`, ""},
		{"bat p 02:ba:00:00:09:00 -c 1", 2, `\nFrom 02:ba:00:00:09:00: Destination Host Unreachable \(icmp_seq 1\): no route\n`, ""},
		{"bat ping -c 1 far --json", 0, `^\{"target":"far","originator":"02:ba:00:00:03:00","replies":\[\{.*\}\],"transmitted":1,"received":1\}\n$`, ""},
		{"bat ping -c 1 02:ba:00:00:01:00", 1, `^$`, "is this node itself"},
		{"bat tp far -t 740", 0, `^Test duration 740ms\.\nSent 10478124 Bytes\.\nThroughput: 13\.50 MB/s \(113\.28 Mbps\)\n$`, ""},
		{"bat tp far -t 740 --json", 0, `^\{"originator":"02:ba:00:00:03:00","tpmeter_test_time":740,"tpmeter_bytes":10478124\}\n$`, ""},
		{"bat tp lost", 1, `^$`, "lost: destination unreachable"},
		{"bat tr lost", 2, `^traceroute to lost \(02:ba:00:00:04:00\), 50 hops max, 20 byte packets\n 1: \*   \*   \*   \*\n 2: \*`, ""},
		{"bat traceroute 02:ba:00:00:09:00", 1, `^traceroute to .*\n$`, "Destination Host Unreachable: no route"},
	} {
		got := runWith(t, "", env, strings.Fields(tc.args)...)
		if got.code != tc.code || !regexp.MustCompile(tc.out).MatchString(got.out) || !strings.Contains(got.err, tc.err) {
			t.Errorf("%s: exit %d\n%s%s\nwant %d, %s", tc.args, got.code, got.out, got.err, tc.code, tc.out)
		}
	}
}

// The lines are those that batctl printed in the same place.
func TestBatPingAndTraceroute(t *testing.T) {
	socket, _ := start(t)
	env := []string{"MESHAGENT_SOCKET=" + socket}
	got := runWith(t, "", env, "bat", "ping", "-R", "-c", "2", "-i", "0.001", "02:ba:00:00:03:ff")
	want := `PING 02:ba:00:00:03:ff (02:ba:00:00:03:00) 116(144) bytes of data
116 bytes from 02:ba:00:00:03:ff icmp_seq=1 ttl=49 time=1.00 ms
RR: 	02:ba:00:00:01:00
	02:ba:00:00:02:00
	02:ba:00:00:03:00
	02:ba:00:00:03:00
	02:ba:00:00:02:00
	02:ba:00:00:01:00

116 bytes from 02:ba:00:00:03:ff icmp_seq=2 ttl=49 time=2.00 ms	(same route)
--- 02:ba:00:00:03:ff ping statistics ---
2 packets transmitted, 2 received, 0% packet loss
rtt min/avg/max/mdev = 1.000/1.500/2.000/0.500 ms
`
	if got.code != 0 || got.out != want {
		t.Errorf("%+v\nwant %s", got, want)
	}
	got = runWith(t, "", env, "bat", "tr", "02:ba:00:00:03:00")
	want = `traceroute to 02:ba:00:00:03:00 (02:ba:00:00:03:00), 50 hops max, 20 byte packets
 1: 02:ba:00:00:02:00  3.000 ms  4.000 ms  5.000 ms
 2: 02:ba:00:00:03:00  6.000 ms  7.000 ms  8.000 ms
`
	if got.code != 0 || got.out != want {
		t.Errorf("%+v\nwant %s", got, want)
	}
	got = runWith(t, "", env, "bat", "tr", "--json", "02:ba:00:00:03:00")
	want = `{"hops":[{"hop":1,"address":"02:ba:00:00:02:00","times_ms":[9,10,11]},{"hop":2,"address":"02:ba:00:00:03:00","times_ms":[12,13,14]}],` +
		`"originator":"02:ba:00:00:03:00","reached":true,"target":"02:ba:00:00:03:00"}` + "\n"
	if got.code != 0 || got.out != want {
		t.Errorf("%+v\nwant %s", got, want)
	}
}

// A table that is longer than a line of the socket comes in parts.
func TestBatLongTable(t *testing.T) {
	socket, _ := start(t)
	got := runWith(t, "", nil, "bat", "tgj", "--socket", socket)
	var rows []map[string]any
	if err := json.Unmarshal([]byte(got.out), &rows); err != nil || len(rows) != manyClients {
		t.Errorf("%d rows of %d, %v, %s", len(rows), manyClients, err, got.err)
	}
}

func TestBatUsage(t *testing.T) {
	for _, tc := range []struct {
		args string
		code int
		want string // in standard error, or in standard output if code is 0
	}{
		{"bat", 1, "meshagent: expected a command; list: meshagent bat -h\n"},
		{"bat -h", 0, "meshagent bat COMMAND"},
		{"bat o -h", 0, "meshagent bat o\n"},
		{"bat originators -h", 0, "meshagent bat o\n"},
		{"bat sing", 1, "meshagent: no command 'bat sing'; list: meshagent bat -h\n"},
		{"bat o x", 1, "meshagent: expected: meshagent bat o [--json]\n"},
		{"bat o -x", 1, "flag provided but not defined: -x"},
		{"bat -x", 1, "flag provided but not defined: -x"},
		{"bat originators -x", 1, "flag provided but not defined: -x"},
		{"bat n -t 5", 1, "flag provided but not defined: -t"},
		{"bat o -w=never", 1, "expected seconds, such as 0.2"},
		{"bat ping", 1, "meshagent: expected: meshagent bat ping [-c COUNT]"},
		{"bat ping x -c -1", 1, "meshagent: -c: expected 0 or more\n"},
		{"bat ping x -t 31", 1, "meshagent: -t: expected at most 30s\n"},
		{"bat tp x -t 0", 1, "expected milliseconds from 1 to 600000"},
		{"bat tr", 1, "meshagent: expected: meshagent bat tr [-n] [-T] TARGET [--json]\n"},
		{"status -x", 2, "flag provided but not defined: -x"},
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

// cancelAfter cancels when it has seen a word n times.
type cancelAfter struct {
	strings.Builder
	word   string
	n      int
	cancel func()
}

func (c *cancelAfter) Write(p []byte) (int, error) {
	c.Builder.Write(p)
	if strings.Count(c.String(), c.word) >= c.n {
		c.cancel()
	}
	return len(p), nil
}

func TestBatWatchEndsWithItsContext(t *testing.T) {
	socket, _ := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := cancelAfter{word: "Originator", n: 2, cancel: cancel}
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, getenv: func(string) string { return "" }}
	if code := a.main(ctx, []string{"bat", "o", "-w=0.001", "--socket", socket}); code != 0 || strings.Count(out.String(), "Originator") < 2 {
		t.Errorf("exit %d\n%s", code, out.String())
	}
}

func TestBatHosts(t *testing.T) {
	h := batHosts{map[batman.MAC]string{}, map[string]batman.MAC{}}
	h.read(strings.NewReader("02:00:00:00:00:01 a\n02:00:00:00:00:01 b\n02:00:00:00:00:02 b\n\n#02:00:00:00:00:03 c\n02:00:00:00:00:04 " + strings.Repeat("x", 60)))
	one, two := batman.MAC{2, 0, 0, 0, 0, 1}, batman.MAC{2, 0, 0, 0, 0, 2}
	if h.name(one) != "" || h.name(two) != "b" || h.target("b") != two.String() || h.target("a") != "a" || len(h.names) != 2 || h.label(one) != one.String() {
		t.Errorf("%v", h)
	}
	if n := h.name(batman.MAC{2, 0, 0, 0, 0, 4}); len(n) != maxBatHost {
		t.Errorf("a name of %d bytes", len(n))
	}
}
