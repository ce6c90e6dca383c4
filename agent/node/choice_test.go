package node

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/session"
)

// diamond is two nodes and two relays between them: a and z can reach each
// other through either.
func diamond(t *testing.T, seed uint64) (w *world, a, z, r1, r2 *host) {
	t.Helper()
	w = newWorld(t, seed)
	a, z, r1, r2 = w.host("a", 0), w.host("z", 0), w.host("r1", 0), w.host("r2", 0)
	for _, r := range []*host{r1, r2} {
		r.user("p")
		a.dial(r, "p")
		z.dial(r, "p")
	}
	w.run(time.Second)
	w.flows(a, z, 2*time.Second)
	return w, a, z, r1, r2
}

// touches reports whether a frame between from and to is to or from h.
func touches(h, from, to *host) bool { return from == h || to == h }

// session returns the session of h with to.
func (h *host) session(to *host) *session.Session { return h.node.sessions.ByIP(to.id.IP) }

// via reports whether the way of a to z begins at r.
func via(a, z, r *host) bool {
	p := a.node.firstHop(a.session(z).Path)
	return p != nil && p.key == r.id.Public
}

// chat lets programs on a and z talk for d, each with a packet in every
// period, and returns the longest time that either heard nothing.
func (w *world) chat(a, z *host, d, period time.Duration, each func()) (gap time.Duration) {
	la, lz := w.now, w.now
	na, nz := len(a.got), len(z.got)
	for end := w.now.Add(d); w.now < end; {
		a.tell(z, "chat")
		z.tell(a, "chat")
		w.run(period)
		if len(a.got) > na {
			la, na = w.now, len(a.got)
		}
		if len(z.got) > nz {
			lz, nz = w.now, len(z.got)
		}
		gap = max(gap, w.now.Sub(la), w.now.Sub(lz))
		if each != nil {
			each()
		}
	}
	return gap - period
}

// Two ways whose losses change places every 3 s: the way is changed seldom.
func TestSwappingLoss(t *testing.T) {
	for _, loss := range []int{10, 25, 40} {
		for seed := uint64(300); seed < 302; seed++ {
			w, a, z, r1, r2 := diamond(t, seed)
			w.drop = func(from, to *host, _ []byte) bool {
				bad := r1
				if int64(w.now)/int64(3*time.Second)%2 == 1 {
					bad = r2
				}
				return touches(bad, from, to) && w.rng.IntN(100) < loss
			}
			var times []mono.Time
			seen := a.session(z).Changes
			w.chat(a, z, 70*time.Second, 50*time.Millisecond, func() {
				if c := a.session(z).Changes; c != seen {
					times, seen = append(times, w.now), c
				}
			})
			for i := 1; i < len(times); i++ {
				if d := times[i].Sub(times[i-1]); d < 10*time.Second {
					t.Errorf("%d %% lost, seed %d: changes %v after each other, the last one because %v", loss, seed, d, a.session(z).Why)
				}
			}
			t.Logf("%d %% lost: %d changes in 70 s", loss, len(times))
		}
	}
}

func TestBetterWayIsTaken(t *testing.T) {
	for _, c := range []struct {
		name         string
		slow, quick  time.Duration // of a hop
		loss         int           // on the slow way, percent
		change, stay bool
	}{
		{"quicker", 20 * time.Millisecond, 4 * time.Millisecond, 0, true, false},
		{"less lost", 4 * time.Millisecond, 4 * time.Millisecond, 30, true, false},
		{"alike", 10 * time.Millisecond, 9 * time.Millisecond, 0, false, true},
	} {
		w, a, z, r1, r2 := diamond(t, 310)
		slow, quick := r1, r2
		if via(a, z, r2) {
			slow, quick = r2, r1
		}
		w.delay = func(from, to *host, _ []byte) time.Duration {
			if touches(slow, from, to) {
				return c.slow
			}
			return c.quick
		}
		w.drop = func(from, to *host, _ []byte) bool { return touches(slow, from, to) && w.rng.IntN(100) < c.loss }
		w.chat(a, z, 40*time.Second, 50*time.Millisecond, nil)
		s := a.session(z)
		if c.change && !via(a, z, quick) || c.stay && s.Changes != 0 {
			t.Errorf("%s: %d changes, why %v", c.name, s.Changes, s.Why)
			for _, r := range a.node.finder.Routes(z.id.IP) {
				t.Logf("%+v", r)
			}
		}
		if s.Changes > 2 {
			t.Errorf("%s: %d changes", c.name, s.Changes)
		}
	}
}

// A relay falls silent: the other way is taken well within two seconds, in
// both directions, and without a report of anybody.
func TestBrokenWayIsReplaced(t *testing.T) {
	for _, period := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond} {
		for seed := uint64(320); seed < 323; seed++ {
			w, a, z, r1, r2 := diamond(t, seed)
			w.chat(a, z, 8*time.Second, period, nil)
			dead := r1
			if via(a, z, r2) {
				dead = r2
			}
			w.drop = func(from, to *host, _ []byte) bool { return touches(dead, from, to) }
			gap := w.chat(a, z, 5*time.Second, period, nil)
			if gap > 1500*time.Millisecond {
				t.Errorf("seed %d: %v without a packet", seed, gap)
			}
			t.Logf("a packet each %v: %v without one", period, gap)
		}
	}
}

// The quick way falls silent and a slow one takes over: what was measured of
// the quick one before is no reason to go back.
func TestBrokenWayIsNotBetter(t *testing.T) {
	w, a, z, r1, r2 := diamond(t, 326)
	quick, slow := r1, r2
	if via(a, z, r2) {
		quick, slow = r2, r1
	}
	w.delay = func(from, to *host, _ []byte) time.Duration {
		if touches(slow, from, to) {
			return 60 * time.Millisecond
		}
		return time.Millisecond
	}
	w.chat(a, z, 20*time.Second, 100*time.Millisecond, nil)
	if !via(a, z, quick) {
		t.Fatal("not the quick way")
	}
	// Only what the two say to each other is lost: the peers stay up.
	cut := true
	w.drop = func(from, to *host, f []byte) bool { return cut && touches(quick, from, to) && len(f) > 62 }
	w.chat(a, z, 3*time.Second, 100*time.Millisecond, nil)
	w.chat(a, z, 20*time.Second, 100*time.Millisecond, func() {
		if !via(a, z, slow) {
			t.Fatalf("back to the broken way, because %v", a.session(z).Why)
		}
	})
	cut = false
	w.chat(a, z, 60*time.Second, 100*time.Millisecond, nil)
	if !via(a, z, quick) {
		t.Error("not back when it works again")
	}
}

// Only one end's packets are lost on the old way: it notices although packets
// keep coming.
func TestOneWayLoss(t *testing.T) {
	for seed := uint64(330); seed < 332; seed++ {
		w, a, z, r1, r2 := diamond(t, seed)
		w.chat(a, z, 8*time.Second, 20*time.Millisecond, nil)
		dead := r1
		if via(z, a, r2) {
			dead = r2
		}
		w.drop = func(from, to *host, _ []byte) bool { return from == z && to == dead }
		gap := w.chat(a, z, 6*time.Second, 20*time.Millisecond, nil)
		if gap > 1500*time.Millisecond {
			t.Errorf("seed %d: %v without a packet", seed, gap)
		}
		t.Logf("%v without a packet", gap)
	}
}

// Two nodes of one mesh that also have a common UDP peer: they talk directly,
// unless the detour is measurably better.
func TestSameMeshIsDirect(t *testing.T) {
	for _, c := range []struct {
		mesh   time.Duration
		direct bool
	}{{time.Millisecond, true}, {5 * time.Millisecond, true}, {100 * time.Millisecond, false}} {
		w := newWorld(t, 340)
		a, z, r := w.host("a", 0, -1), w.host("z", 0, -1), w.host("r", 0)
		r.user("p")
		a.dial(r, "p")
		z.dial(r, "p")
		w.delay = func(from, to *host, _ []byte) time.Duration {
			if touches(r, from, to) {
				return 2 * time.Millisecond // the detour takes 8 ms there and back
			}
			return c.mesh
		}
		w.run(time.Second)
		w.flows(a, z, 2*time.Second) // the mesh knows nobody yet
		if via(a, z, r) == false {
			t.Fatal("not through the relay")
		}
		w.introduce()
		w.chat(a, z, 3*time.Second, 50*time.Millisecond, nil)
		if c.direct && (!a.session(z).Path.IsOneHop() || !z.session(a).Path.IsOneHop()) {
			t.Errorf("mesh with %v a way: a detour after 3 s", c.mesh)
		}
		w.chat(a, z, 30*time.Second, 50*time.Millisecond, nil)
		if a.session(z).Path.IsOneHop() != c.direct || z.session(a).Path.IsOneHop() != c.direct {
			t.Errorf("mesh with %v a way: direct is %v and %v", c.mesh, a.session(z).Path.IsOneHop(), z.session(a).Path.IsOneHop())
			for _, r := range a.node.finder.Routes(z.id.IP) {
				t.Logf("%+v", r)
			}
		}
		if n := a.session(z).Changes; n > 2 {
			t.Errorf("%d changes", n)
		}
	}
}

// What measuring costs: pings a second, of a session in use with two ways,
// and of one that is not in use.
func TestMeasuringIsCheap(t *testing.T) {
	w, a, z, _, _ := diamond(t, 350)
	w.chat(a, z, 10*time.Second, 100*time.Millisecond, nil)
	before := a.node.finder.Asked
	w.chat(a, z, 60*time.Second, 100*time.Millisecond, nil)
	used := a.node.finder.Asked - before
	w.run(15 * time.Second)
	before = a.node.finder.Asked
	w.run(60 * time.Second)
	idle := a.node.finder.Asked - before
	t.Logf("questions a minute: %d in use, %d idle", used, idle)
	if used > 60 || idle > 12 {
		t.Error("too many")
	}

}

// Peers and sessions that nobody uses are quiet: a ping and its answer in
// three seconds on each link, the questions for links, and two questions for a
// supernode from each end of a link.
func TestIdleIsQuiet(t *testing.T) {
	w, a, z, _, _ := diamond(t, 351)
	w.run(20 * time.Minute) // until upkeep is at rest
	w.chat(a, z, 10*time.Second, 100*time.Millisecond, nil)
	w.run(15 * time.Second)
	frames := 0
	w.tap = func(_, _ *host, _ []byte) { frames++ }
	w.run(time.Minute)
	t.Logf("%d frames a minute on four links", frames)
	if frames > 4*(2*20+8+4+8) {
		t.Error("too many")
	}
}
