//go:build netns

package ring

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/hw/rig"
)

// why asks h how its packets for to travel.
func why(t *testing.T, h *rig.Host, to string) (y node.Why) {
	t.Helper()
	if err := h.Call("why", map[string]any{"target": to}, &y); err != nil {
		t.Fatal(err)
	}
	return y
}

// sessionHandle returns the handle under which h receives what to sends.
func sessionHandle(t *testing.T, h, to *rig.Host) uint32 {
	t.Helper()
	var list admin.SessionList
	if err := h.Call("sessions", nil, &list); err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Sessions {
		if s.IP == to.IP() {
			return s.RecvHandle
		}
	}
	t.Fatalf("no session with %s", to.IP())
	return 0
}

// TestWhy: a square, of which a reaches z through r1 or r2. The way in use is
// cut: the session goes on along the other, and why shows it with the reason.
//
//	a ── r1 ── z
//	└─── r2 ───┘
func TestWhy(t *testing.T) {
	n := newNet(t)
	a, z, r1, r2 := n.agent("a"), n.agent("z"), n.agent("r1"), n.agent("r2")
	for _, h := range []*rig.Host{a, z, r1, r2} {
		udpSpec(h, "0.0.0.0:20002")
	}
	for i, pair := range [][2]*rig.Host{{a, r1}, {a, r2}, {z, r1}, {z, r2}} {
		n.Veth(
			rig.End{Node: pair[0].Node, Dev: fmt.Sprintf("to%d", i), Addr: fmt.Sprintf("10.9.%d.1/24", i)},
			rig.End{Node: pair[1].Node, Dev: fmt.Sprintf("to%d", i), Addr: fmt.Sprintf("10.9.%d.2/24", i)},
		)
		dials(pair[0], pair[1], fmt.Sprintf("10.9.%d.2:20002", i))
	}
	startAll(a, z, r1, r2)
	reach(t, a, z, 10*time.Second)

	ping := a.Node.PingWhile(z.IP(), 150, 100*time.Millisecond)
	var y node.Why
	if !rig.Until(25*time.Second, 200*time.Millisecond, func() bool {
		y = why(t, a, z.IP())
		return len(y.Ways) == 2 && y.Ways[0].State == "used" && y.Ways[0].CostMicros > 0 && y.Ways[1].State == "standby" && y.Ways[1].CostMicros > 0
	}) {
		t.Fatalf("no two measured ways: %+v", y)
	}
	if y.State != "session" || y.Session != "ESTABLISHED" || len(y.Hops) != 2 || y.Hops[1].IP != z.IP() || y.Reason == "" || y.Ways[0].Hops != 2 {
		t.Errorf("before the cut: %+v", y)
	}
	used, other := r1, r2
	if y.Hops[0].IP == r2.IP() {
		used, other = r2, r1
	} else if y.Hops[0].IP != r1.IP() {
		t.Fatalf("the first hop is %+v", y.Hops[0])
	}
	handle := sessionHandle(t, a, z)
	printed(t, a, z)
	used.Proc.Kill()
	changed := y.Changes
	begin := time.Now()
	if !rig.Until(10*time.Second, 20*time.Millisecond, func() bool {
		y = why(t, a, z.IP())
		return len(y.Hops) == 2 && y.Hops[0].IP == other.IP()
	}) {
		t.Fatalf("still %+v", y)
	}
	t.Logf("the other way after %v: %s", time.Since(begin).Round(10*time.Millisecond), y.Reason)
	if y.Changes <= changed || y.State != "session" || y.Session != "ESTABLISHED" || y.ChangedMs < 0 {
		t.Errorf("after the cut: %+v", y)
	}
	if y.Cause != "broken" && y.Cause != "followed" && y.Cause != "refused" && y.Cause != "peer-lost" {
		t.Errorf("the cause is %q: %s", y.Cause, y.Reason)
	}
	printed(t, a, z)
	if !strings.Contains(y.Reason, y.Was) || y.Was == y.Label {
		t.Errorf("the reason does not name the way before, %s: %s", y.Was, y.Reason)
	}
	if now := sessionHandle(t, a, z); now != handle {
		t.Errorf("another session: handle %d, before %d", now, handle)
	}
	mustPing(t, a, z, rig.PingOpts{})
	res, err := ping.Result()
	gap, _ := res.Gap()
	t.Logf("%d of %d pings answered, %v without one: %v", res.Received, res.Sent, gap.Round(10*time.Millisecond), err)

	// A node that is not there: what was tried.
	nobody := n.agent("nobody")
	if y = why(t, a, nobody.IP()); y.State != "none" || len(y.Tried) == 0 {
		t.Errorf("before it is searched: %+v", y)
	}
	_, _ = a.Node.Ping(t.Context(), nobody.IP(), rig.PingOpts{Count: 1, Wait: time.Second})
	if !rig.Until(20*time.Second, 100*time.Millisecond, func() bool {
		y = why(t, a, nobody.IP())
		return strings.Contains(strings.Join(y.Tried, " "), "search: the last one failed")
	}) {
		t.Errorf("the search does not end: %+v", y)
	}
	if out := printed(t, a, nobody); y.State != "none" || !strings.Contains(out, "search: the last one failed") {
		t.Errorf("after the search: %+v\n%s", y, out)
	}
}

// printed returns what the command prints.
func printed(t *testing.T, h, to *rig.Host) string {
	t.Helper()
	out, err := exec.Command(agentBin, "why", to.IP(), "--socket", h.Socket).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "reason ") || !strings.Contains(string(out), to.IP()) {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("\n%s", out)
	return string(out)
}
