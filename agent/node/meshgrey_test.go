package node

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
)

// greyHop is one end's choice of the next hop, as the mesh makes it: the best
// one is a grey hole, which is avoided when it is asked for, for twice as long
// each time. The other hop loses some packets.
type greyHop struct {
	until mono.Time
	time  time.Duration
}

func (g *greyHop) asked(w *world, h *host) {
	for _, q := range h.asks {
		if q.Kind != AskAvoid {
			continue
		}
		if w.now < g.until { // there is no other hop than the one in use
			h.node.NotAvoided(w.now, q.MAC)
			continue
		}
		g.time = max(5*time.Second, min(2*g.time, 80*time.Second))
		g.until = w.now.Add(g.time)
	}
	h.asks = nil
}

// Both ends try the grey hole again from time to time, each when it likes. An
// end that hears nothing because of the other one asks in vain, which must not
// keep it from leaving the grey hole at once when it is its turn.
func TestGreyHoleIsTriedByBothEnds(t *testing.T) {
	worst := time.Duration(0)
	for seed := uint64(600); seed < 640; seed++ {
		w, a, b := meshPair(t, seed)
		w.chat(a, b, 5*time.Second, 20*time.Millisecond, nil)
		ends := map[*host]*greyHop{a: {}, b: {}}
		w.drop = func(from, _ *host, _ []byte) bool {
			for h, g := range ends {
				g.asked(w, h)
			}
			return w.now >= ends[from].until || w.rng.IntN(100) < 25
		}
		asks, answers := w.interview(a, b, 2*time.Minute, 50*time.Millisecond)
		worst = max(worst, asks, answers)
		if asks > 5*time.Second || answers > 5*time.Second {
			t.Errorf("seed %d: %v without a question, %v without an answer", seed, asks, answers)
		}
	}
	t.Logf("at worst %v", worst)
}
