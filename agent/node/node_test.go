package node

import (
	"fmt"
	"testing"
	"time"
)

// talk lets every host tell something to every other one until it arrives.
func (w *world) talk(limit time.Duration) {
	w.t.Helper()
	for i, a := range w.hosts {
		for j, b := range w.hosts {
			if a == b || a.dead || b.dead {
				continue
			}
			text := fmt.Sprintf("%d to %d at %d", i, j, w.now)
			next := w.now
			w.until(limit, a.name+" reaches "+b.name, func() bool {
				if w.now >= next {
					a.tell(b, text)
					next = w.now.Add(100 * time.Millisecond)
				}
				return b.heard(text)
			})
		}
	}
}

func TestTwoNodesUDP(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.host("a", 0), w.host("b", 0)
	b.user("secret")
	a.dial(b, "secret")
	took := w.until(time.Second, "both up", func() bool { return a.up(b) && b.up(a) })
	t.Logf("up after %v", took)
	w.talk(time.Second)
	for _, h := range w.hosts {
		for _, p := range h.node.peers {
			if st := p.ca.Stats(); st.Lost+st.OutOfRange+st.Duplicates != 0 {
				t.Errorf("%s: %+v on a clean wire", h.name, st)
			}
		}
	}
}

func TestWrongPasswordIsSilent(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.host("a", 0), w.host("b", 0)
	b.user("secret")
	answered := false
	w.tap = func(from, _ *host, _ []byte) { answered = answered || from == b }
	a.dial(b, "wrong")
	w.run(5 * time.Second)
	if a.up(b) || b.up(a) {
		t.Fatal("a peer with a wrong password came up")
	}
	if answered {
		t.Error("a hello with a wrong password was answered")
	}
	if b.node.Status(w.now).Drops["auth"] == 0 {
		t.Errorf("not counted: %v", b.node.Status(w.now).Drops)
	}
}

func TestEthernetBeacons(t *testing.T) {
	w := newWorld(t, 3)
	a, b, c := w.host("a", 1), w.host("b", 1), w.host("c", 1)
	all := func() bool {
		return a.up(b) && a.up(c) && b.up(a) && b.up(c) && c.up(a) && c.up(b)
	}
	t.Logf("up after %v", w.until(2*time.Second, "all six", all))
	w.talk(time.Second)
}

func TestChainFindsTheFarEnd(t *testing.T) {
	for n := 3; n <= 8; n++ {
		w := newWorld(t, uint64(n))
		for i := range n {
			w.host(fmt.Sprintf("n%d", i), 0).user("p")
		}
		for i := range n - 1 {
			w.hosts[i].dial(w.hosts[i+1], "p")
		}
		w.run(time.Second)
		first, last := w.hosts[0], w.hosts[n-1]
		took := w.until(3*time.Second, "the far end", func() bool {
			first.tell(last, "far")
			return last.heard("far")
		})
		t.Logf("%d nodes: %v", n, took)
		w.talk(3 * time.Second)
	}
}

// A link of the chain is cut and restored: packets flow again within two
// seconds of its return, in the same session.
func TestChainHeals(t *testing.T) {
	w := newWorld(t, 5)
	a, b, c := w.host("a", 0), w.host("b", 0), w.host("c", 0)
	b.user("p")
	c.user("p")
	a.dial(b, "p")
	b.dial(c, "p")
	w.talk(3 * time.Second)
	w.drop = func(from, to *host, _ []byte) bool { return from == c || to == c }
	for range 300 {
		a.tell(c, "lost")
		w.run(100 * time.Millisecond)
	}
	w.drop = nil
	took := w.until(2*time.Second, "healed", func() bool {
		a.tell(c, "back")
		return c.heard("back")
	})
	t.Logf("healed after %v", took)
}

// restart lets one side lose its state with packets in flight.
func restart(t *testing.T, seed uint64, which func(a, b *host) *host, limit time.Duration) {
	t.Helper()
	w := newWorld(t, seed)
	a, b := w.host("a", 0), w.host("b", 0)
	b.user("p")
	a.dial(b, "p")
	w.talk(time.Second)
	w.run(5 * time.Second)
	h := which(a, b)
	h.boot()
	if h == b {
		b.user("p")
	} else {
		a.dial(b, "p")
	}
	i := 0
	took := w.until(limit, "pings flow again", func() bool {
		i++
		a.tell(b, "ping")
		w.run(5 * time.Millisecond)
		if b.heard("ping") {
			b.tell(a, "pong")
			w.run(5 * time.Millisecond)
		}
		if h == b && i == 1 {
			b.got = nil
		}
		return a.heard("pong") && b.heard("ping")
	})
	t.Logf("flows again after %v", took)
}

func TestRestartOfListener(t *testing.T) {
	restart(t, 6, func(_, b *host) *host { return b }, 2*time.Second)
}

func TestRestartOfDialler(t *testing.T) {
	restart(t, 7, func(a, _ *host) *host { return a }, 2*time.Second)
}
