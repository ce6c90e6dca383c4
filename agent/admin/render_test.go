package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/node"
)

var samplePeers = []node.PeerStatus{
	{Name: "B", LLAddr: "10.11.1.2:20002", Addr: "v20.0000.0000.0000.0013." + keyA, State: "ESTABLISHED", RecvKbps: 6, SendKbps: 7,
		IP: ipA, Link: "udp4", Received: 1000, RTTMicros: 412, LastInMs: 63_000, Source: "config", Noise: true},
	{LLAddr: "02:00:00:00:00:01", Addr: "v20.0000.0000.0000.0019." + keyA, State: "UNRESPONSIVE", IP: ipA, Link: "eth0",
		Duplicates: 1, Lost: 8, OutOfRange: 2, Received: 92, LastInMs: -1, Source: "beacon", LastProblem: "no answer\x1b[2J"},
}

func render(t *testing.T, f func(w *strings.Builder) error) string {
	t.Helper()
	var b strings.Builder
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if strings.TrimRight(line, " \n")+"\n" != line {
			t.Errorf("blanks at the end of %q", line)
		}
	}
	return b.String()
}

func equal(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The form is that of cjdns's tools/peerStats, which scripts take apart.
func TestPeerStats(t *testing.T) {
	equal(t, render(t, func(w *strings.Builder) error { return WritePeerStats(w, samplePeers) }), `
10.11.1.2:20002 v20.0000.0000.0000.0013.`+keyA+` ESTABLISHED in 6kb/s out 7kb/s "B"
02:00:00:00:00:01 v20.0000.0000.0000.0019.`+keyA+` UNRESPONSIVE in 0kb/s out 0kb/s  DUP 1  LOS 8  OOR 2
`)
}

func TestPeersTable(t *testing.T) {
	equal(t, render(t, func(w *strings.Builder) error { return WritePeers(w, samplePeers) }), `
PEER                                     STATE         VIA                     IN/OUT kb/s  LOSS  RTT      LAST   NOTE
B                                        established   udp4 10.11.1.2:20002    6/7          0.0%  0.41 ms  1m 3s  noise
fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b  unresponsive  eth0 02:00:00:00:00:01  0/0          8.0%  -        never  beacon, DUP 1 OOR 2, no answer?[2J
`)
	if got := render(t, func(w *strings.Builder) error { return WritePeers(w, nil) }); !strings.Contains(got, "meshagent peer add") {
		t.Errorf("no peers: %s", got)
	}
}

func TestStatusScreen(t *testing.T) {
	s := node.Status{
		Version: "0.1.0", Protocol: 20, PublicKey: keyA, IP: ipA, UptimeMs: int64((76 * time.Hour).Milliseconds()),
		TUN:      node.TUNStatus{Name: "tunmesh0", State: "up", MTU: 1304, Inbound: "closed", Offload: "vnet_hdr"},
		Links:    []node.LinkStatus{{Kind: "udp", Name: "udp4", Bind: "0.0.0.0:1", State: "up", Beacon: "send", Offload: "mmsg", RxPackets: 1, TxPackets: 2}, {Kind: "eth", Bind: "eth9", State: "down", Error: "no such device"}},
		Peers:    samplePeers[:1],
		Sessions: make([]node.SessionStatus, 2),
		Drops:    map[string]int64{"replay": 3, "auth": 1},
		Tables:   []node.TableStatus{{Name: "sessions", Used: 90, Limit: 100}, {Name: "peers", Used: 1, Limit: 100}},
		Problems: []string{"/dev/net/tun is missing"},
	}
	equal(t, render(t, func(w *strings.Builder) error { return WriteStatus(w, s) }), `
node     `+keyA+`
address  `+ipA+`
version  0.1.0, protocol 20, up 3d 4h
tun      tunmesh0 up, mtu 1304, inbound closed, vnet_hdr
drops    auth 1, replay 3
tables   sessions 90 of 100

LINK  KIND  ON         STATE  BEACON  I/O   IN/OUT PACKETS  NOTE
udp4  udp   0.0.0.0:1  up     send    mmsg  1/2
-     eth   eth9       down   -       -     0/0             no such device

PEER  STATE        VIA                   IN/OUT kb/s  LOSS  RTT      LAST   NOTE
B     established  udp4 10.11.1.2:20002  6/7          0.0%  0.41 ms  1m 3s  noise

2 sessions; list: meshagent sessions

problem: /dev/net/tun is missing
`)
	if got := render(t, func(w *strings.Builder) error { return WriteStatus(w, node.Status{}) }); !strings.Contains(got, "tun      off\n") || !strings.Contains(got, "no links") {
		t.Errorf("an empty status:\n%s", got)
	}
}

func TestSessionsTable(t *testing.T) {
	equal(t, render(t, func(w *strings.Builder) error {
		return WriteSessions(w, []node.SessionStatus{{IP: ipA, State: "ESTABLISHED", Label: "0000.0000.0000.0013", Version: 20, Lost: 1, RTTMicros: 123_456, LastOutMs: 500}})
	}), `
ADDRESS                                  STATE        PATH                 VERSION  RTT     LAST IN  LAST OUT  NOTE
`+ipA+`  established  0000.0000.0000.0013  20       123 ms  0s       0s        LOS 1
`)
	s := node.SessionStatus{Paths: make([]node.PathStatus, 3), Changes: 2, ChangedMs: 4000, Why: "better", Lost: 1}
	if got, want := sessionNote(s), "2 more known, path changed 2 times, last 4s ago: better, LOS 1"; got != want {
		t.Errorf("note %q, want %q", got, want)
	}
	p := node.PeerStatus{LinkKind: "mesh", Source: "mesh", Metric: 200, CarriedBy: "udp4"}
	if got, want := peerNote(p), "mesh, metric 200, carried by udp4"; got != want {
		t.Errorf("note %q, want %q", got, want)
	}
}

func TestPingText(t *testing.T) {
	replies := []PingReply{{Seq: 1, RTTMicros: 410, Version: 20, Via: "0000.0000.0000.0013"}, {Seq: 2, Error: "timeout"}, {Seq: 3, RTTMicros: 612}}
	equal(t, render(t, func(w *strings.Builder) error {
		for _, r := range replies {
			if err := WritePingReply(w, "fc00::1", r); err != nil {
				return err
			}
		}
		return nil
	}), `
fc00::1: seq=1 time=0.41 ms version=20 path=0000.0000.0000.0013
fc00::1: seq=2 timeout
fc00::1: seq=3 time=0.61 ms
`)
	for want, rs := range map[string][]PingReply{
		"3 sent, 2 answered, 33% loss, rtt min/avg/max 0.41/0.51/0.61 ms": replies,
		"1 sent, 0 answered, 100% loss":                                   replies[1:2],
		"0 sent":                                                          nil,
	} {
		if got := PingSummary(rs); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestTraceText(t *testing.T) {
	equal(t, render(t, func(w *strings.Builder) error {
		return WriteTrace(w, TraceResult{Target: "x", Hops: []TraceHop{{Hop: 1, Name: "b", IP: ipA, Label: "0000.0000.0000.0013", RTTMicros: 300}, {Hop: 2, Error: "timeout"}}, Error: "the path ends here"})
	}), `
HOP  NODE  ADDRESS                                  RTT      PATH                 NOTE
1    b     fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b  0.30 ms  0000.0000.0000.0013
2    -     -                                        -        -                    timeout
x: the path ends here
`)
}

func TestChangesText(t *testing.T) {
	equal(t, render(t, func(w *strings.Builder) error {
		return WritePeerChange(w, config.PeerChange{Action: "added", Section: "nyc", Name: "New York", Address: "a:1", IP: ipA})
	}), "added nyc (New York): a:1 "+ipA+"\n")
	equal(t, render(t, func(w *strings.Builder) error {
		return WriteReload(w, ReloadReport{Warnings: []string{"f:1: odd"}, Changes: []config.Change{
			{Kind: "tun", Action: "changed", Options: []string{"name", "mtu"}, Restart: true},
			{Kind: "peer", Action: "added", Section: "nyc", Name: "New York"},
		}})
	}), `
warning: f:1: odd
changed tun: name, mtu (takes effect when the agent is started anew)
added peer nyc (New York)
`)
	equal(t, render(t, func(w *strings.Builder) error { return WriteReload(w, ReloadReport{}) }), "nothing has changed\n")
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 63 * time.Second: "1m 3s", 3600 * time.Second: "1h 0m", 100 * time.Hour: "4d 4h",
	} {
		if got := Age(d); got != want {
			t.Errorf("Age(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestLoss(t *testing.T) {
	for _, tc := range []struct {
		lost, received uint64
		want           string
	}{{0, 0, "-"}, {0, 9, "0.0%"}, {1, 999, "0.1%"}, {1, 99_999, "<0.1%"}, {5, 0, "100.0%"}} {
		if got := loss(tc.lost, tc.received); got != tc.want {
			t.Errorf("loss(%d, %d) = %s, want %s", tc.lost, tc.received, got, tc.want)
		}
	}
}
