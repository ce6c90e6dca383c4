package pathfinder

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// maxChain is how many hops of four bits a label holds.
const maxChain = maxLabelLen / 4

// unlink breaks the link between a and b; both ends notice.
func (w *dhtWorld) unlink(a, b *dhtNode) {
	for _, e := range [...][2]*dhtNode{{a, b}, {b, a}} {
		for port, l := range e[0].links {
			if l.to == e[1] {
				delete(e[0].links, port)
				e[0].f.PeerDown(w.now, e[0].label(port))
				e[0].drain()
			}
		}
	}
}

// reach searches from every step-th node to every step-th other one, and
// returns how long it took on average and at most, the hops of the ways found
// and of the shortest ones.
func (w *dhtWorld) reach(step int) (s reachStats) {
	w.t.Helper()
	for i, a := range w.all {
		for j, b := range w.all {
			if i == j || (i*len(w.all)+j)%step != 0 {
				continue
			}
			best := w.hops(a, b)
			if best < 0 {
				continue
			}
			before := a.f.Asked
			took := w.find(a, b)
			s.tried++
			s.asked += int(a.f.Asked - before)
			if took < 0 {
				if best <= maxChain {
					w.t.Errorf("%d does not reach %d, %d hops away", i, j, best)
				}
				s.failed++
				continue
			}
			if best > maxChain {
				w.t.Errorf("%d reaches %d, %d hops away: a label holds %d", i, j, best, maxChain)
			}
			_, _, _, h := w.walk(a, a.best(b))
			s.sum, s.most, s.hops, s.best = s.sum+took, max(s.most, took), s.hops+h, s.best+best
		}
	}
	return s
}

type reachStats struct {
	tried, failed, asked, hops, best int
	sum, most                        time.Duration
}

func (s reachStats) String() string {
	found := max(1, s.tried-s.failed)
	return fmt.Sprintf("%d of %d found, mean %v, at most %v, %.1f questions, %.2f of the shortest way",
		s.tried-s.failed, s.tried, (s.sum / time.Duration(found)).Round(time.Millisecond), s.most,
		float64(s.asked)/float64(max(1, s.tried)), float64(s.hops)/float64(max(1, s.best)))
}

// A node reaches every other one as far as labels can be written: in
// chains, rings and random graphs, from 20 s after they began, after a cut
// and after it has healed.
func TestDHTReachesAll(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes int
		make  func(*dhtWorld)
		step  int
	}{
		{"chain", 20, (*dhtWorld).chain, 1},
		{"ring", 20, (*dhtWorld).ring, 1},
		{"random", 20, func(w *dhtWorld) { w.mesh(3) }, 1},
		{"chain", 50, (*dhtWorld).chain, 11},
		{"ring", 50, (*dhtWorld).ring, 11},
		{"random", 50, func(w *dhtWorld) { w.mesh(4) }, 7},
		{"random", 200, func(w *dhtWorld) { w.mesh(4) }, 797},
	} {
		t.Run(fmt.Sprint(c.name, c.nodes), func(t *testing.T) {
			w := newDHTWorld(t, 1, c.nodes)
			c.make(w)
			w.run(20 * time.Second)
			t.Log("at first:", w.reach(c.step))
			a := w.all[len(w.all)/2]
			var b *dhtNode
			for _, l := range a.links {
				if b == nil || l.to.index < b.index {
					b = l.to
				}
			}
			w.unlink(a, b)
			t.Log("after a cut:", w.reach(c.step))
			w.join(a, b)
			w.run(time.Second)
			t.Log("healed:", w.reach(c.step))
		})
	}
}

// What the table costs while nothing happens: docs/protocol/dht.md has the
// figures.
func TestDHTAtRest(t *testing.T) {
	const nodes, hour = 50, time.Hour
	w := newDHTWorld(t, 5, nodes)
	w.mesh(4)
	for _, c := range []struct {
		what               string
		run                time.Duration
		served             bool
		perSecond, perHour int // bytes on all links, sessions begun; of a node
	}{
		{"the first two minutes", 2 * time.Minute, false, 3000, 0},
		{"the first hour", hour, false, 300, 0},
		{"at rest", hour, false, 100, 45},
		{"with a supernode", hour, true, 100, 45},
	} {
		for _, n := range w.all {
			n.f.Served(w.now, c.served)
		}
		w.bytes, w.messages, w.sessions = 0, 0, 0
		w.run(c.run)
		secs := int(c.run / time.Second)
		rate, begun := w.bytes/nodes/secs, w.sessions*3600/nodes/secs
		t.Logf("%s: %d bytes a second, %d messages and %d sessions an hour for each node", c.what, rate, w.messages*3600/nodes/secs, begun)
		if rate > c.perSecond || c.perHour != 0 && begun > c.perHour {
			t.Error("more than is documented")
		}
	}
}

// The way does not grow by what a step of a search goes too far.
func TestOnward(t *testing.T) {
	for _, c := range []struct {
		name            string
		way, back, next cjdns.Label
		want            cjdns.Label
	}{
		{"on from there", 0x153, 0x157, 0x19, 0x1953},
		{"it does not say how it sees us", 0x153, 0, 0x17, 0x1753},
		{"back by one hop", 0x153, 0x1b7, 0x197, 0x193},
		{"the node on the way", 0x153, 0x1b7, 0x17, 0x13},
		{"back to us and beyond", 0x153, 0x1b7, 0x19b7, 0x19},
		{"hops that do not agree", 0x153, 0x17, 0x197, 0x19753},
		{"a wide slot where the ways part", 0x153, 0x867, 0x197, 0x8e3},
	} {
		if got := onward(c.way, c.back, c.next); got != c.want {
			t.Errorf("%s: %x, want %x", c.name, uint64(got), uint64(c.want))
		}
	}
}
