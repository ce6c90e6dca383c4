package node

import (
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/pathfinder"
)

// square is four nodes: a reaches z through r1 or through r2.
//
//	a ── r1 ── z
//	└─── r2 ───┘
//
// The way in use falls silent: Why shows the other one, and why it was taken.
func TestWhyOfABrokenWay(t *testing.T) {
	w, a, z, r1, r2 := diamond(t, 700)
	w.chat(a, z, 20*time.Second, 100*time.Millisecond, nil)
	y := a.node.Why(w.now, z.id.IP)
	if y.State != "session" || y.PublicKey != z.id.Public.String() || y.Changes != 0 || y.ChangedMs != -1 || len(y.Ways) != 2 {
		t.Fatalf("%+v", y)
	}
	for i, state := range []string{"used", "standby"} {
		o := y.Ways[i]
		if o.State != state || o.Hops != 2 || o.RTTMicros != 4000 || o.CostMicros != 5000 || o.Answers < enoughAnswers || o.LossPermille != 0 || o.Link != "udp" {
			t.Errorf("way %d: %+v", i, o)
		}
	}
	used, other := r1, r2
	if via(a, z, r2) {
		used, other = r2, r1
	}
	first, second := y.Ways[0].Label, y.Ways[1].Label
	if len(y.Hops) != 2 || y.Hops[0].IP != used.id.IP.String() || y.Hops[0].Name != used.name || y.Hops[0].KnownBy != "peer" ||
		y.Hops[1].IP != z.id.IP.String() || y.Hops[1].Label != first || y.Label != first || y.Hops[0].LLAddr != used.addr.String() {
		t.Errorf("hops %+v", y.Hops)
	}
	for _, h := range y.Hops {
		if h.Bits != 4 || h.Form != 0 || len(h.Director) != 4 || h.Director[3] != '1' || h.Slot > 7 {
			t.Errorf("director %+v", h)
		}
	}
	ca := a.session(z).CA
	w.drop = func(from, to *host, _ []byte) bool { return touches(used, from, to) }
	if gap := w.chat(a, z, 3*time.Second, 100*time.Millisecond, nil); gap > 1500*time.Millisecond {
		t.Errorf("%v without a packet", gap)
	}
	if a.session(z).CA != ca || !ca.Established() {
		t.Error("the session was dropped")
	}
	y = a.node.Why(w.now, z.id.IP)
	if y.Label != second || y.Was != first || y.Changes != 1 || y.ChangedMs < 0 || y.Hops[0].IP != other.id.IP.String() {
		t.Errorf("%+v", y)
	}
	if y.Cause != "broken" && y.Cause != "followed" {
		t.Errorf("cause %s", y.Cause)
	}
	if o := y.Ways[1]; o.Label != first || o.State != "resting" && o.State != "failed" || o.State == "resting" != (o.NextMs > 0) || o.AnsweredMs < 1000 {
		t.Errorf("the way before: %+v", o)
	}
	// The peer is given up: the way through it is no way any more.
	w.chat(a, z, 4*time.Second, 100*time.Millisecond, nil)
	if y = a.node.Why(w.now, z.id.IP); len(y.Ways) != 1 {
		t.Errorf("ways %+v", y.Ways)
	}
	if y = a.node.Why(w.now, used.id.IP); len(y.Ways) == 0 || y.Ways[len(y.Ways)-1].State != "down" || y.Ways[len(y.Ways)-1].Source != "peer" ||
		y.Name != used.name || y.Ways[len(y.Ways)-1].Problem != "does not answer" {
		t.Errorf("the peer itself: %+v", y)
	}
}

// The other end is gone, and there is no other way: it is said since when
// nothing has come back, and that the way has answered before.
func TestWhyOfSilence(t *testing.T) {
	w := chain(t, 705, 3)
	a, c := w.hosts[0], w.hosts[2]
	w.hear(a, c, time.Second)
	w.chat(a, c, 2*time.Second, 100*time.Millisecond, nil)
	if y := a.node.Why(w.now, c.id.IP); y.SilentMs != 0 || y.Ways[0].AnsweredMs < 0 {
		t.Errorf("while it answers: %+v", y)
	}
	began := w.now
	w.drop = func(from, to *host, _ []byte) bool { return touches(c, from, to) }
	for range 5 {
		a.tell(c, "are you there?")
		w.run(time.Second)
	}
	y, gone := a.node.Why(w.now, c.id.IP), w.now.Sub(began).Milliseconds()
	if y.State != "session" || y.SilentMs < gone-1000 || y.SilentMs > gone {
		t.Errorf("after %d ms: silent for %d ms, %+v", gone, y.SilentMs, y)
	}
	if o := y.Ways[0]; o.State != "used" || o.AnsweredMs < gone {
		t.Errorf("the way: %+v", o)
	}
}

// enoughAnswers is how many pings of 4 s have been answered in 20 s.
const enoughAnswers = 3

// A way is left for a better one: the costs of both at that time are kept.
func TestWhyOfABetterWay(t *testing.T) {
	w, a, z, r1, r2 := diamond(t, 701)
	slow := r1
	if via(a, z, r2) {
		slow = r2
	}
	w.delay = func(from, to *host, _ []byte) time.Duration {
		if touches(slow, from, to) {
			return 20 * time.Millisecond
		}
		return 2 * time.Millisecond
	}
	w.chat(a, z, 40*time.Second, 100*time.Millisecond, nil)
	y := a.node.Why(w.now, z.id.IP)
	if y.Cause != "better" || y.Changes != 1 || y.CostMicros != 9000 || y.WasCostMicros < 60_000 || y.Was == y.Label {
		t.Errorf("%+v", y)
	}
}

// Whom nothing was sent to, who is unknown, and ourselves.
func TestWhyWithoutASession(t *testing.T) {
	w := chain(t, 702, 4)
	a, b, c := w.hosts[0], w.hosts[1], w.hosts[2]
	c.super(true)
	w.complete(c, 4, 6)
	w.run(10 * time.Second)
	if y := a.node.Why(w.now, a.id.IP); y.State != "self" || len(y.Ways) != 0 || y.PublicKey != a.id.Public.String() {
		t.Errorf("ourselves: %+v", y)
	}
	y := a.node.Why(w.now, b.id.IP)
	if len(y.Ways) != 1 || y.Ways[0].Source != "peer" || y.Ways[0].Hops != 1 || y.Name != b.name || len(y.Hops) != 1 || y.Hops[0].Slot != 0 && y.Hops[0].Slot < 2 {
		t.Errorf("a direct peer: %+v", y)
	}
	nobody := w.host("nobody", 0)
	tried := func(ip cjdns.IP) string { return strings.Join(a.node.Why(w.now, ip).Tried, "|") }
	y = a.node.Why(w.now, nobody.id.IP)
	server := "supernode: " + c.id.IP.String()
	if y.State != "none" || y.Label != "" || tried(nobody.id.IP) != server+" was not asked lately|search: none lately; the next packet for it begins one" {
		t.Errorf("a stranger: %+v", y)
	}
	a.tell(nobody, "are you there?")
	if got := tried(nobody.id.IP); got != server+" was not asked lately|search: runs since 0s; a supernode has 600ms left to answer" {
		t.Errorf("while it is searched: %s", got)
	}
	w.run(20 * time.Second)
	if got := tried(nobody.id.IP); !strings.HasPrefix(got, server+" knew no way 20s ago|search: the last one failed ") || !strings.HasSuffix(got, " ago; the next packet for it begins another") {
		t.Errorf("after the search: %s", got)
	}
	// The supernode names a way.
	far := w.hosts[3]
	w.hear(a, far, time.Second)
	y = a.node.Why(w.now, far.id.IP)
	if y.State != "session" || len(y.Hops) != 3 || y.Hops[1].IP != c.id.IP.String() || y.Hops[2].IP != far.id.IP.String() {
		t.Errorf("%+v", y)
	}
	if !strings.Contains("supernode dht", y.Ways[0].Source) || len(y.Tried) != 0 {
		t.Errorf("%+v", y)
	}
	a.node.finder.Told(w.now, pathfinder.Node{Key: far.id.Public, IP: far.id.IP, Version: Protocol, Label: y.Hops[0].parsed(t)}, &a.node.found)
	if o := a.node.Why(w.now, far.id.IP).Ways; len(o) != 2 || o[1].State != "untried" || o[1].AnsweredMs != -1 {
		t.Errorf("with a way that nothing has come along: %+v", o)
	}
	// The supernode itself knows the hops from what was announced to it.
	w.hear(c, a, time.Second)
	if y = c.node.Why(w.now, a.id.IP); len(y.Hops) != 2 || y.Hops[0].IP != b.id.IP.String() || y.Hops[1].KnownBy == "" {
		t.Errorf("from the supernode: %+v", y.Hops)
	}
}

// parsed returns the label of h.
func (h HopStatus) parsed(t *testing.T) cjdns.Label {
	l, err := cjdns.ParseLabel(h.Label)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// In a mesh: who is called only when it is needed, who does not answer, and
// who is not there.
func TestWhyInAMesh(t *testing.T) {
	w, a, b := meshPair(t, 703)
	lost := w.host("lost", -2)
	mesh := func(to *host) (y *Why, says string) {
		y = a.node.Why(w.now, to.id.IP)
		for _, s := range y.Tried {
			if strings.HasPrefix(s, "mesh: ") {
				return y, s[6:]
			}
		}
		return y, ""
	}
	if y, says := mesh(b); len(y.Ways) != 0 || says != "it is there as "+b.mac.String()+", metric 200; the first packet for it calls it" {
		t.Errorf("before: %+v", y)
	}
	w.chat(a, b, 2*time.Second, 100*time.Millisecond, nil)
	if y, _ := mesh(b); y.State != "session" || len(y.Ways) != 1 || y.Ways[0].Source != "mesh" || y.Ways[0].Metric != 200 || y.Ways[0].State != "used" {
		t.Errorf("a peering: %+v", y)
	}
	if y, says := mesh(lost); y.State != "none" || says != "not among the 1 nodes that it knows" {
		t.Errorf("absent: %+v", y)
	}
	a.told(lost.meshNode()) // the mesh tells of it, and it does not answer
	a.tell(lost, "hello")
	if y, says := mesh(lost); len(y.Ways) != 1 || y.Ways[0].State != "down" || y.Ways[0].Source != "mesh" || says != lost.mac.String()+" was called and has not answered yet" {
		t.Errorf("called: %+v", y)
	}
	w.run(12 * time.Second)
	if y, says := mesh(lost); !strings.HasPrefix(says, lost.mac.String()+" did not answer; it may be called again in ") {
		t.Errorf("silent: %+v", y)
	}
}

// The memory of failed searches is bounded.
func TestFailuresAreBounded(t *testing.T) {
	w := newWorld(t, 704)
	a := w.host("a", 0)
	to := w.host("b", 0).id.IP
	for i := range 1000 {
		to[14], to[15] = byte(i>>8), byte(i)
		a.node.noteFailed(w.now, to)
	}
	if f := a.node.failed; len(f) != maxFailures || f[maxFailures-1].ip != to {
		t.Errorf("%d are remembered, the last %v", len(f), f[len(f)-1].ip)
	}
}
