package pathfinder

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

const ms = time.Millisecond

// always allows every ping.
func always() bool { return true }

// twoWays returns a finder that knows two ways to one node, a direct one and
// one through another peer, and that node at the direct way.
func twoWays(t *testing.T) (f *Finder, out *Out, z Node, detour cjdns.Label) {
	t.Helper()
	f, out = newFinder(), new(Out)
	z = node(1, 0x15)
	f.PeerUp(0, z, out)
	f.PeerUp(0, node(2, 0x13), out)
	f.Heard(0, Node{z.Key, z.IP, 20, 0x153})
	f.upkeep.next = mono.Never // it would count
	out.Reset()
	if n := len(f.Routes(z.IP)); n != 2 {
		t.Fatalf("%d routes", n)
	}
	return f, out, z, 0x153
}

// measure lets the way to ip along label have had n answers.
func (f *Finder) measure(now mono.Time, ip cjdns.IP, label cjdns.Label, n int, rtt time.Duration, loss uint16) {
	r := f.route(ip, label)
	r.Measure = Measure{}
	for range n {
		r.answered(now, rtt)
	}
	r.Loss = loss
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name           string
		direct, detour time.Duration
		lossDirect     uint16
		lossDetour     uint16
		answers        int
		from           string
		leaves         bool
	}{
		{"direct is as quick", 10 * ms, 10 * ms, 0, 0, 1, "detour", true},
		{"direct is a little slower", 12 * ms, 10 * ms, 0, 0, 1, "detour", true},
		{"direct is much slower", 20 * ms, 10 * ms, 0, 0, 9, "detour", false},
		{"the detour is a little quicker", 12 * ms, 10 * ms, 0, 0, 9, "direct", false},
		{"the detour is much quicker", 20 * ms, 10 * ms, 0, 0, 9, "direct", true},
		{"too little is known of it", 20 * ms, 10 * ms, 0, 0, 2, "direct", false},
		{"direct loses an eighth", 10 * ms, 10 * ms, fullLoss / 8, 0, 9, "direct", true},
		{"the detour loses an eighth", 20 * ms, 10 * ms, 0, fullLoss / 8, 9, "direct", false},
		{"both take next to no time", 2 * ms, 1 * ms, 0, 0, 9, "direct", false},
	} {
		f, _, z, detour := twoWays(t)
		f.measure(1, z.IP, z.Label, c.answers, c.direct, c.lossDirect)
		f.measure(1, z.IP, detour, c.answers, c.detour, c.lossDetour)
		cur, other := z.Label, detour
		if c.from == "detour" {
			cur, other = detour, z.Label
		}
		got, ok := f.Choose(2, z.IP, cur)
		if ok != c.leaves || ok && got != other {
			t.Errorf("%s: %v, %v", c.name, got, ok)
		}
		// And never to and fro.
		if _, back := f.Choose(2, z.IP, other); ok && back {
			t.Errorf("%s: back at once", c.name)
		}
	}
}

// Of ways that lead through others the better one must be a quarter better.
func TestChooseBetweenDetours(t *testing.T) {
	f, _, z, first := twoWays(t)
	second := cjdns.Label(0x173)
	f.Heard(0, Node{z.Key, z.IP, 20, second})
	f.measure(1, z.IP, first, 9, 20*ms, 0)
	f.measure(1, z.IP, second, 9, 17*ms, 0)
	if l, ok := f.Choose(2, z.IP, first); ok {
		t.Errorf("changed to %v for a sixth", l)
	}
	f.measure(1, z.IP, second, 9, 14*ms, 0)
	if l, ok := f.Choose(2, z.IP, first); !ok || l != second {
		t.Error("not changed for a third")
	}
	f.Bad(2, z.IP, second)
	if _, ok := f.Choose(2, z.IP, first); ok {
		t.Error("changed to a way that does not answer")
	}
	late := mono.Time(0).Add(time.Minute)
	if _, ok := f.Choose(late, z.IP, first); ok {
		t.Error("changed because of what was true a minute ago")
	}
}

func TestProbe(t *testing.T) {
	f, out, z, detour := twoWays(t)
	now := mono.Time(time.Second)
	if !f.Probe(now, z, always, out) || len(out.Queries) != 1 || out.Queries[0].To.Label != z.Label || !out.Queries[0].Measures {
		t.Fatalf("first: %+v", out.Queries)
	}
	q := out.Queries[0]
	out.Reset()
	answer(f, now.Add(7*ms), q, out)
	if r := f.route(z.IP, z.Label); r.RTT != 7*ms || r.Answers != 1 || r.Loss != 0 {
		t.Errorf("measure %+v", r.Measure)
	}
	// In a minute: the way in use every two seconds, the other every four.
	count := map[cjdns.Label]int{}
	for range 60 {
		now = now.Add(time.Second)
		f.Probe(now, z, always, out)
		for _, q := range out.Queries {
			count[q.To.Label]++
			if q.To.Label == z.Label {
				answer(f, now.Add(9*ms), q, new(Out))
			}
		}
		out.Reset()
		f.Expire(now, out)
		out.Reset()
	}
	if count[z.Label] != 30 || count[detour] != 15 {
		t.Errorf("pings: %v", count)
	}
	r, s := f.route(z.IP, z.Label), f.route(z.IP, detour)
	if r.Loss != 0 || r.RTT < 8*ms || r.RTT > 9*ms || s.Answers != 0 || s.LossPermille() < 700 {
		t.Errorf("measures %+v and %+v", r.Measure, s.Measure)
	}
	// Without permission nothing leaves; a single way is not measured.
	if f.Probe(now.Add(time.Minute), z, func() bool { return false }, out); len(out.Queries) != 0 {
		t.Error("more pings than allowed")
	}
	f.PeerDown(now, 0x13)
	if f.Probe(now.Add(time.Minute), z, always, out); len(out.Queries) != 0 {
		t.Error("a single way is measured")
	}
}

func TestAlternatives(t *testing.T) {
	f, out, z, detour := twoWays(t)
	f.Alternatives(1, z, always, out)
	if len(out.Queries) != 1 || out.Queries[0].To.Label != detour {
		t.Errorf("asked %+v", out.Queries)
	}
}

// For a node behind a peer another peer is asked now and then.
func TestWiden(t *testing.T) {
	f, out := newFinder(), new(Out)
	f.PeerUp(0, node(1, 0x13), out)
	f.PeerUp(0, node(2, 0x15), out)
	z := node(3, 0x173)
	f.Heard(0, z)
	out.Reset()
	asked := 0
	for s := range 70 {
		f.Widen(mono.Time(s)*mono.Time(time.Second), z.IP, out)
		for _, q := range out.Queries {
			if asked++; q.To.Label != 0x15 || q.Msg.Query != "fn" {
				t.Errorf("asked %+v", q)
			}
		}
		out.Reset()
	}
	if asked < 2 || asked > 4 {
		t.Errorf("asked %d times in 70 s", asked)
	}
	f.Widen(mono.Time(time.Hour), node(1, 0).IP, out)
	if len(out.Queries) != 0 {
		t.Error("asked for the way to a direct peer")
	}
}

// The better link is preferred as long as nothing was measured.
func TestMetricOfFreshWays(t *testing.T) {
	f, out := newFinder(), new(Out)
	z := node(1, 0x15)
	f.PeerUp(0, z, out)
	f.PeerUp(0, Node{z.Key, z.IP, 20, 0x13}, out)
	f.PeerMetric(0x13, 200)
	if p, _ := f.Path(1, z.IP); p.Label != 0x15 {
		t.Errorf("path %v", p.Label)
	}
	f.PeerMetric(0x13, 255)
	if p, _ := f.Path(1, z.IP); p.Label != 0x13 {
		t.Errorf("path %v with equal links", p.Label)
	}
	f.PeerDown(1, 0x13)
	if p, ok := f.Path(1, z.IP); !ok || p.Label != 0x15 {
		t.Errorf("path %v after one of two links", p.Label)
	}
}

// Packets get lost: a silent peer is asked for its links again, twice, and a
// silent node once more in a search.
func TestSilenceIsAskedAgain(t *testing.T) {
	f, out := newFinder(), new(Out)
	f.PeerUp(0, node(1, 0x13), out)
	f.upkeep.next = mono.Never // it would ask, too
	target := key(9).IP()
	f.Search(0, target, 0, 0, out)
	count := map[string]int{}
	for _, q := range out.Queries {
		count[q.Msg.Query]++
	}
	out.Reset()
	for now := f.Deadline(); now < mono.Time(5*time.Second); now = f.Deadline() {
		f.Expire(now, out)
		for _, q := range out.Queries {
			count[q.Msg.Query]++
		}
		out.Reset()
	}
	if count["gp"] != 3 || count["fn"] != 2 {
		t.Errorf("asked %v", count)
	}
}

// A search for somebody who is being called asks nobody, and one that waits
// for a peer does not end before the peer had time to come.
func TestSearchWaits(t *testing.T) {
	f, out := newFinder(), new(Out)
	f.PeerUp(0, node(1, 0x13), out)
	z := node(9, 0x15)
	out.Reset()
	f.Search(0, z.IP, mono.Time(time.Second), mono.Time(time.Second), out)
	if len(out.Queries) != 0 || f.Deadline() > mono.Time(time.Second) {
		t.Errorf("asked %+v, deadline %v", out.Queries, f.Deadline())
	}
	f.PeerUp(5, z, out)
	if len(out.Found) != 1 || f.Searches() != 0 {
		t.Error("the peer that came was not taken")
	}
	out.Reset()
	f.Search(10, key(10).IP(), mono.Time(time.Second), 0, out)
	f.Expire(mono.Time(time.Second), out)
	asked := false
	for _, q := range out.Queries {
		asked = asked || q.Msg.Query == "fn"
	}
	if !asked {
		t.Error("nobody is asked when the called one did not come")
	}
	alone, none := newFinder(), new(Out)
	alone.Search(0, z.IP, 0, mono.Time(time.Second), none)
	if len(none.Failed) != 0 {
		t.Error("ended before its time")
	}
	if alone.Expire(mono.Time(time.Second), none); len(none.Failed) != 1 {
		t.Error("does not end")
	}
}

func TestSkip(t *testing.T) {
	f, out := newFinder(), new(Out)
	skipped := node(1, 0x13)
	f.cfg.Skip = func(_, ip cjdns.IP) bool { return ip == skipped.IP }
	f.PeerUp(0, skipped, out)
	f.PeerUp(0, node(2, 0x15), out)
	out.Reset()
	f.Search(0, key(9).IP(), 0, 0, out)
	if len(out.Queries) != 1 || out.Queries[0].To.Label != 0x15 {
		t.Errorf("asked %+v", out.Queries)
	}
}
