package node

import (
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/session"
)

// greyMesh makes the mesh between a and b drop what a sends, until a wants
// another next hop, times times.
func (w *world) greyMesh(a, b *host, times int) {
	w.drop = func(from, to *host, _ []byte) bool {
		if times > 0 && slices.ContainsFunc(a.asks, func(q Ask) bool { return q.Kind == AskAvoid && q.MAC == b.mac.MAC() }) {
			a.asks = nil
			times--
		}
		return from == a && to == b && times > 0
	}
}

// A relay forwards announcements and drops the rest: it is left within 5 s.
func TestGreyHoleIsLeft(t *testing.T) {
	w, a, b := meshPair(t, 500)
	w.chat(a, b, 5*time.Second, 20*time.Millisecond, nil)
	w.greyMesh(a, b, 1)
	gap := w.chat(a, b, 8*time.Second, 20*time.Millisecond, nil)
	if gap > 5*time.Second {
		t.Errorf("%v without a packet", gap)
	}
	t.Logf("one grey hole: %v without a packet", gap)
	w.run(time.Minute)
	w.chat(a, b, 2*time.Second, 20*time.Millisecond, nil)
	w.greyMesh(a, b, 2) // and the next one is no better
	gap = w.chat(a, b, 8*time.Second, 20*time.Millisecond, nil)
	if gap > 5*time.Second {
		t.Errorf("%v without a packet", gap)
	}
	t.Logf("two of them: %v without a packet", gap)
}

// A link on the way ends, so the way is bad in both directions, and each end
// has to find out for itself.
func TestCutLinkIsLeftByBothEnds(t *testing.T) {
	for seed := uint64(510); seed < 516; seed++ {
		w, a, b := meshPair(t, seed)
		w.chat(a, b, 5*time.Second, 20*time.Millisecond, nil)
		left := map[*host]bool{}
		w.drop = func(from, to *host, _ []byte) bool {
			if slices.ContainsFunc(from.asks, func(q Ask) bool { return q.Kind == AskAvoid && q.MAC == to.mac.MAC() }) {
				left[from] = true
			}
			return !left[from]
		}
		asks, answers := w.interview(a, b, 8*time.Second, 20*time.Millisecond)
		t.Logf("seed %d: %v without a question, %v without an answer", seed, asks, answers)
		if asks > 1500*time.Millisecond || answers > 2*time.Second {
			t.Errorf("seed %d: %v without a question, %v without an answer", seed, asks, answers)
		}
	}
}

// interview lets a ask again and again, and b answer what it hears. It returns
// the longest times without a question and without an answer that came.
func (w *world) interview(a, b *host, d, period time.Duration) (asks, answers time.Duration) {
	na, nb, la, lb := len(a.got), len(b.got), w.now, w.now
	for end := w.now.Add(d); w.now < end; w.run(period) {
		if len(a.got) > na {
			la, na = w.now, len(a.got)
		}
		if len(b.got) > nb {
			lb, nb = w.now, len(b.got)
			b.tell(a, "answer")
		}
		asks, answers = max(asks, w.now.Sub(lb)), max(answers, w.now.Sub(la))
		a.tell(b, "question")
	}
	return asks, answers
}

// It is there from the beginning.
func TestGreyHoleAtTheFirstCall(t *testing.T) {
	w, a, b := meshPair(t, 501)
	w.greyMesh(a, b, 1)
	t.Logf("the first answer after %v", w.flows(a, b, 5*time.Second))
}

// Nothing helps: the mesh is asked less and less often. And it is not asked
// about an idle peering.
func TestGreyHoleIsAskedAboutSeldom(t *testing.T) {
	w, a, b := meshPair(t, 502)
	w.flows(a, b, time.Second)
	w.drop = func(_, _ *host, _ []byte) bool { return true }
	w.chat(a, b, time.Minute, 100*time.Millisecond, nil)
	if n := a.asked(AskAvoid); n < 3 || n > 7 {
		t.Errorf("asked %d times in a minute", n)
	}
	w.drop = nil
	w.flows(a, b, 3*time.Second)
	w.chat(a, b, 70*time.Second, 100*time.Millisecond, nil)
	w.run(40 * time.Second)
	a.asked(AskAvoid)
	w.drop = func(_, _ *host, _ []byte) bool { return true }
	w.run(30 * time.Second)
	if n := a.asked(AskAvoid); n != 0 {
		t.Errorf("asked %d times about a peering that nobody uses", n)
	}
}

// The gateway restarts, and the session through it goes on.
func TestGatewayRestarts(t *testing.T) {
	for _, which := range []int{2, 3} {
		w := islands(t, 510, 3, 3)
		a, z, g := w.hosts[0], w.hosts[5], w.hosts[which]
		w.chat(a, z, 5*time.Second, 50*time.Millisecond, nil)
		handle := a.session(z).Recv
		g.boot()
		if which == 2 {
			g.dial(w.hosts[3], "p")
		} else {
			g.user("p")
		}
		w.introduce()
		gap := w.chat(a, z, 6*time.Second, 50*time.Millisecond, nil)
		if gap > 2*time.Second {
			t.Errorf("%s restarted: %v without a packet", g.name, gap)
		}
		t.Logf("%s restarted: %v without a packet", g.name, gap)
		if a.session(z).Recv != handle {
			t.Error("the session was made anew")
		}
	}
}

// twoGateways is two islands that are joined twice. It returns a node in each,
// and the gateways of the first.
func twoGateways(t *testing.T, seed uint64) (w *world, a, z *host, gates []*host) {
	w = newWorld(t, seed)
	a = w.host("a", -1)
	z = w.host("z", -2)
	for i := range 2 {
		g, h := w.host("g", 0, -1), w.host("h", 0, -2)
		h.user("p")
		g.dial(h, "p")
		g.name += string(rune('0' + i))
		gates = append(gates, g)
	}
	w.run(time.Second)
	w.introduce()
	w.flows(a, z, 2*time.Second)
	return w, a, z, gates
}

// A gateway dies, and the mesh has not noticed yet: the other one takes over.
func TestSecondGatewayTakesOver(t *testing.T) {
	for seed := uint64(520); seed < 522; seed++ {
		w, a, z, gates := twoGateways(t, seed)
		w.chat(a, z, 5*time.Second, 50*time.Millisecond, nil)
		dead := gates[0]
		if via(a, z, gates[1]) {
			dead = gates[1]
		}
		dead.dead = true
		gap := w.chat(a, z, 6*time.Second, 50*time.Millisecond, nil)
		if gap > 2*time.Second {
			t.Errorf("seed %d: %v without a packet", seed, gap)
		}
		t.Logf("%v without a packet, because %v", gap, a.session(z).Why)
		if w := a.session(z).Why; w != session.Broken {
			t.Errorf("the reason is %v", w)
		}
	}
}

// A node moves through its mesh and changes its address in it five times, as
// when radios are exchanged; its session goes on.
func TestFiveMoves(t *testing.T) {
	w := islands(t, 530, 3, 3)
	a, z := w.hosts[0], w.hosts[5]
	w.chat(a, z, 3*time.Second, 50*time.Millisecond, nil)
	handle := a.session(z).Recv
	for i := range 5 {
		old := a.meshNode()
		old.Reachable = false
		a.meshMove(byte(10 + i))
		next := w.now.Add(time.Second) // the others learn it with the next OGM
		gap := w.chat(a, z, 4*time.Second, 50*time.Millisecond, func() {
			if next != 0 && w.now >= next {
				next = 0
				for _, h := range w.hosts[1:3] {
					h.told(a.meshNode())
					h.told(old)
				}
			}
		})
		if gap > 2*time.Second {
			t.Errorf("move %d: %v without a packet", i, gap)
		}
	}
	if a.session(z).Recv != handle {
		t.Error("the session was made anew")
	}
	for _, h := range w.hosts {
		if slices.ContainsFunc(h.evs, func(e Event) bool { return e.Kind == EventSameKey }) {
			t.Errorf("%s takes the moves for two nodes with one key", h.name)
		}
	}
	if n := len(w.hosts[2].node.peers); n > 3 {
		t.Errorf("the gateway has %d peers", n)
	}
}
