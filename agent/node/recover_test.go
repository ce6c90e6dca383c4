package node

import (
	"net/netip"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/pkt"
)

// pair returns two nodes of which a dials b, and that have talked.
func pair(t *testing.T, seed uint64) (w *world, a, b *host) {
	t.Helper()
	w = newWorld(t, seed)
	a, b = w.host("a", 0), w.host("b", 0)
	b.user("p")
	a.dial(b, "p")
	w.talk(time.Second)
	w.run(3 * time.Second)
	return w, a, b
}

// flows waits until a's pings are answered by b again.
func (w *world) flows(a, b *host, limit time.Duration) time.Duration {
	w.t.Helper()
	a.got, b.got = nil, nil
	next := w.now
	return w.until(limit, "pings flow again", func() bool {
		if w.now >= next {
			a.tell(b, "ping")
			next = w.now.Add(50 * time.Millisecond)
		}
		if b.heard("ping") {
			b.tell(a, "pong")
		}
		return a.heard("pong")
	})
}

func addr(s string) pkt.Addr { return pkt.UDPAddr(netip.MustParseAddrPort(s), 0) }

func TestDiallerMoves(t *testing.T) {
	w, a, b := pair(t, 20)
	a.addr = addr("10.0.0.77:4000")
	t.Logf("from the dialler: %v", w.flows(a, b, 2*time.Second))
	w.run(3 * time.Second) // a new handshake may begin every two seconds
	// The listener cannot know; but the kernel tells the dialler.
	a.addr = addr("10.0.0.78:4000")
	a.node.AddressesChanged(w.now, &a.out)
	a.drain()
	t.Logf("from the listener: %v", w.flows(b, a, 2*time.Second))
	if n := len(b.node.peers); n != 1 {
		w.dump()
		t.Errorf("the listener has %d entries for one peer", n)
	}
}

// The dialler has a static address of the listener, which moves; the
// listener's own packets tell where it is.
func TestListenerMoves(t *testing.T) {
	w, a, b := pair(t, 21)
	b.addr = addr("10.0.0.79:1000")
	t.Logf("from the listener: %v", w.flows(b, a, 2*time.Second))
	if n := len(a.node.peers); n != 1 {
		w.dump()
		t.Errorf("the dialler has %d entries for one peer", n)
	}
	w.run(3 * time.Second)
	// And home again.
	b.addr = addr("10.0.0.2:1000")
	t.Logf("home again, from the dialler: %v", w.flows(a, b, 2*time.Second))
}

// A host name leads elsewhere.
func TestListenerMovesName(t *testing.T) {
	w := newWorld(t, 22)
	a, b := w.host("a", 0), w.host("b", 0)
	b.user("p")
	conf := PeerConfig{Name: "b", Host: "b.example:1000", Addrs: []pkt.Addr{b.addr}, Key: b.id.Public, Password: "p"}
	a.node.SetPeer(w.now, conf, &a.out)
	w.talk(time.Second)
	b.boot() // the listener has forgotten the dialler
	b.user("p")
	b.addr = addr("10.0.0.80:1000")
	asked := false
	next := w.now
	took := w.until(3*time.Second, "pings flow again", func() bool {
		if w.now >= next {
			a.tell(b, "ping")
			next = w.now.Add(50 * time.Millisecond)
		}
		for _, q := range a.asks {
			if q.Kind == AskResolve && q.Peer == "b" {
				asked = true
				a.node.SetPeerAddrs(w.now, "b", []pkt.Addr{b.addr}, &a.out)
			}
		}
		a.asks = nil
		return b.heard("ping")
	})
	if !asked {
		t.Error("the name was not asked for again")
	}
	t.Logf("found after %v", took)
}

func TestBothDial(t *testing.T) {
	for seed := uint64(30); seed < 40; seed++ {
		w := newWorld(t, seed)
		a, b := w.host("a", 0), w.host("b", 0)
		a.user("to-a")
		b.user("to-b")
		a.dial(b, "to-b")
		b.dial(a, "to-a")
		w.until(3*time.Second, "both up", func() bool { return a.up(b) && b.up(a) })
		w.talk(time.Second)
	}
}

// With every tenth frame lost, everything still comes up and heals.
func TestLossyWires(t *testing.T) {
	for seed := uint64(40); seed < 48; seed++ {
		w := newWorld(t, seed)
		w.drop = func(_, _ *host, _ []byte) bool { return w.rng.IntN(10) == 0 }
		for i := range 4 {
			w.host(string(rune('a'+i)), 0).user("p")
		}
		for i := range 3 {
			w.hosts[i].dial(w.hosts[i+1], "p")
		}
		w.run(2 * time.Second)
		w.talk(5 * time.Second)
	}
}

// Old frames of every kind are sent again: nothing that works is disturbed.
func TestReplaysDoNotDisturb(t *testing.T) {
	w := newWorld(t, 50)
	var old []flying
	w.tap = func(from, to *host, frame []byte) {
		src := from.addr
		old = append(old, flying{to: to, from: src, data: append([]byte(nil), frame...)})
	}
	a, b := w.host("a", 0), w.host("b", 0)
	b.user("p")
	a.dial(b, "p")
	w.talk(time.Second)
	w.run(5 * time.Second)
	w.tap = nil
	shakes := a.node.peers[0].handshakes + b.node.peers[0].handshakes
	lost := 0
	for round := range 50 {
		for _, f := range old {
			f.to.receive(0, f.from, f.data)
		}
		w.run(20 * time.Millisecond)
		a.got, b.got = nil, nil
		a.tell(b, "ping")
		w.run(3 * time.Millisecond)
		if !b.heard("ping") {
			lost++
		}
		_ = round
	}
	if lost != 0 {
		t.Errorf("%d of 50 packets lost while %d old frames were replayed each time", lost, len(old))
	}
	w.run(12 * time.Second)
	if n := a.node.peers[0].handshakes + b.node.peers[0].handshakes; n > shakes+12 {
		t.Errorf("replays caused %d handshakes", n-shakes)
	}
}

// After a long cut both ends call; they agree at once whose call counts.
func TestLongCut(t *testing.T) {
	for seed := uint64(130); seed < 150; seed++ {
		w, a, b := pair(t, seed)
		w.drop = func(_, _ *host, _ []byte) bool { return true }
		for range 250 + w.rng.IntN(40) {
			a.tell(b, "lost")
			b.tell(a, "lost")
			w.run(100 * time.Millisecond)
		}
		w.drop = nil
		before := len(a.evs) + len(b.evs)
		took := w.flows(a, b, time.Second)
		w.run(5 * time.Second)
		if n := len(a.evs) + len(b.evs) - before; n > 2 {
			t.Errorf("seed %d: %d changes of state after the cut, healed in %v", seed, n, took)
		}
	}
}

// Restart of the middle node of a chain: sessions through it go on.
func TestMiddleRestarts(t *testing.T) {
	w := newWorld(t, 60)
	a, b, c := w.host("a", 0), w.host("b", 0), w.host("c", 0)
	b.user("p")
	c.user("p")
	a.dial(b, "p")
	b.dial(c, "p")
	w.talk(3 * time.Second)
	handle := a.node.sessions.ByIP(c.id.IP).Recv
	b.boot()
	b.user("p")
	b.dial(c, "p")
	t.Logf("through the middle after %v", w.flows(a, c, 2*time.Second))
	if a.node.sessions.ByIP(c.id.IP).Recv != handle {
		t.Error("the session was made anew")
	}
}

// An end of a chain restarts; the other end, which is no peer of it, learns
// that its session is gone.
func TestFarEndRestarts(t *testing.T) {
	w := newWorld(t, 61)
	a, b, c := w.host("a", 0), w.host("b", 0), w.host("c", 0)
	b.user("p")
	c.user("p")
	a.dial(b, "p")
	b.dial(c, "p")
	w.talk(3 * time.Second)
	w.run(10 * time.Second)
	c.boot()
	c.user("p")
	t.Logf("far end back after %v", w.flows(a, c, 2*time.Second))
}

// A ring: the short way is cut, the long way is found; then the short way
// returns.
func TestRingTakesTheOtherWay(t *testing.T) {
	w := newWorld(t, 62)
	for i := range 6 {
		w.host(string(rune('a'+i)), 0).user("p")
	}
	for i := range 6 {
		w.hosts[i].dial(w.hosts[(i+1)%6], "p")
	}
	w.run(time.Second)
	w.talk(3 * time.Second)
	a, c := w.hosts[0], w.hosts[2]
	w.flows(a, c, time.Second)
	cut := w.hosts[1]
	w.drop = func(from, to *host, _ []byte) bool { return from == cut || to == cut }
	t.Logf("other way after %v", w.flows(a, c, 8*time.Second))
	w.drop = nil
	t.Logf("after the return: %v", w.flows(a, c, 2*time.Second))
}

// Two nodes that met by beacons, of which only one heard the other's: the one
// that was called restarts, and so does the one that called.
func TestSegmentRestart(t *testing.T) {
	for restarted := range 2 {
		w := newWorld(t, 150)
		a := w.host("a", 1)
		w.run(100 * time.Millisecond) // nobody hears a's first beacon
		b := w.host("b", 1)
		w.until(5*time.Second, "peers", func() bool { return a.up(b) && b.up(a) })
		w.flows(a, b, 2*time.Second)
		w.run(5 * time.Second)
		h, other := w.hosts[restarted], w.hosts[1-restarted]
		for range 3 {
			h.boot()
			t.Logf("%s restarted: %v", h.name, w.flows(other, h, time.Second))
			w.run(3 * time.Second)
		}
	}
}

// Both ends are cut from each other for a while, in which the pauses between
// their attempts have grown, and begin anew at once when they are not: packets
// of programs arrive within 2 s in both directions.
func TestCutsOfAnyLength(t *testing.T) {
	var most time.Duration
	for seed := range uint64(100) {
		w, a, b := pair(t, 1000+seed)
		w.run(time.Duration(seed) * 37 * time.Millisecond)
		for _, cut := range []time.Duration{3 * time.Second, 25*time.Second + time.Duration(seed)*40*time.Millisecond} {
			w.drop = func(_, _ *host, _ []byte) bool { return true }
			w.run(cut)
			w.drop = nil
			for _, d := range []time.Duration{w.hear(a, b, 20*time.Second), w.hear(b, a, 20*time.Second)} {
				if most = max(most, d); d > 2*time.Second {
					t.Errorf("seed %d, a cut of %v: %v", seed, cut, d)
				}
			}
		}
	}
	t.Logf("at most %v", most)
}
