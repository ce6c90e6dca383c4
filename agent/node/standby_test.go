package node

import (
	"testing"
	"time"
)

// doubleLink is a chain c, a, b, d in which a and b are joined by UDP and by
// an Ethernet. The UDP link has the index 0, the Ethernet 1; c and d are on
// Ethernets of their own.
func doubleLink(t *testing.T, seed uint64) (w *world, c, a, b, d *host) {
	t.Helper()
	w = newWorld(t, seed)
	c, a, b, d = w.host("c", 2), w.host("a", 0, 1, 2), w.host("b", 0, 1, 3), w.host("d", 3)
	b.user("p")
	a.dial(b, "p")
	w.run(2 * time.Second)
	if a.links(b) != 2 || b.links(a) != 2 {
		t.Fatalf("%d and %d links", a.links(b), b.links(a))
	}
	w.flows(c, d, 2*time.Second)
	return w, c, a, b, d
}

// links counts the links of h to to that are up.
func (h *host) links(to *host) (c int) {
	for _, p := range h.node.peers {
		if p.key == to.id.Public && p.up {
			c++
		}
	}
	return c
}

// linkInUse returns the index of the link over which a sends most to b.
func linkInUse(a, b *host) uint16 {
	var most *Peer
	for _, p := range a.node.peers {
		if p.key == b.id.Public && (most == nil || p.bytesOut > most.bytesOut) {
			most = p
		}
	}
	return most.link
}

// cut makes a link between a and b carry nothing.
func (w *world) cut(a, b *host, link uint16) {
	w.dropOn = func(from, to *host, l uint16) bool {
		return l == link && touches(a, from, to) && touches(b, from, to)
	}
}

func TestUnpluggedLink(t *testing.T) {
	const period = 5 * time.Millisecond
	for seed := uint64(400); seed < 402; seed++ {
		for _, reported := range []string{"both ends", "one end", "nobody"} {
			w, c, a, b, d := doubleLink(t, seed)
			w.chat(c, d, 4*time.Second, period, nil)
			link := linkInUse(a, b)
			handle := c.session(d).Recv
			w.cut(a, b, link)
			if reported != "nobody" {
				a.node.LinkDown(w.now, link, "unplugged", &a.out)
				a.drain()
			}
			if reported == "both ends" {
				b.node.LinkDown(w.now, link, "unplugged", &b.out)
				b.drain()
			}
			gap := w.chat(c, d, 2*time.Second, period, nil)
			limit := map[string]time.Duration{"both ends": 20 * time.Millisecond, "one end": 250 * time.Millisecond, "nobody": time.Second}[reported]
			if gap > limit {
				t.Errorf("seed %d, known to %s: %v without a packet", seed, reported, gap)
			}
			t.Logf("known to %s: %v without a packet", reported, gap)
			if c.session(d).Recv != handle {
				t.Error("the session was made anew")
			}
			// The link returns, and nothing is lost by that.
			w.dropOn = nil
			a.node.SetLink(w.now, link, a.node.links[link].LinkConfig, &a.out)
			b.node.SetLink(w.now, link, b.node.links[link].LinkConfig, &b.out)
			a.drain()
			b.drain()
			if gap := w.chat(c, d, 12*time.Second, 4*period, nil); gap > 20*time.Millisecond {
				t.Errorf("seed %d: %v without a packet when the link returned", seed, gap)
			}
			if a.links(b) != 2 {
				t.Errorf("%d links after the return", a.links(b))
			}
		}
	}
}

// Both links fail, one after the other; the first returns.
func TestBothLinksFail(t *testing.T) {
	w, c, a, b, d := doubleLink(t, 410)
	for _, l := range []uint16{0, 1} {
		a.node.LinkDown(w.now, l, "unplugged", &a.out)
		a.drain()
	}
	w.dropOn = func(from, to *host, _ uint16) bool { return touches(a, from, to) && touches(b, from, to) }
	w.run(5 * time.Second)
	for _, p := range a.node.peers {
		if p.key == b.id.Public && a.node.ports.State(p.port) == 1 {
			t.Error("a slot is up though no link is")
		}
	}
	w.dropOn = nil
	a.node.SetLink(w.now, 1, a.node.links[1].LinkConfig, &a.out)
	a.drain()
	t.Logf("after the return of one: %v", w.flows(c, d, 3*time.Second))
}

// The links fail in turn, and only one end is told: the one that has come back
// is good again when the other one fails.
func TestLinksFailInTurn(t *testing.T) {
	const period = 5 * time.Millisecond
	for seed := uint64(420); seed < 424; seed++ {
		w, c, a, b, d := doubleLink(t, seed)
		for round := range 5 {
			w.chat(c, d, 2*time.Second, period, nil)
			link := uint16(round % 2)
			w.cut(a, b, link)
			b.node.LinkDown(w.now, link, "unplugged", &b.out)
			b.drain()
			if gap := w.chat(c, d, 3500*time.Millisecond, period, nil); gap > time.Second {
				t.Errorf("seed %d, round %d: %v without a packet", seed, round, gap)
			}
			w.dropOn = nil
			b.node.SetLink(w.now, link, b.node.links[link].LinkConfig, &b.out)
			b.drain()
			w.chat(c, d, time.Second, period, nil)
		}
	}
}

// Two links whose losses change places: their slots change the carrier
// seldom.
func TestSwappingLinks(t *testing.T) {
	w, c, a, b, d := doubleLink(t, 411)
	changes := 0
	last := [2]*Peer{}
	w.dropOn = func(from, to *host, l uint16) bool {
		bad := uint16(int64(w.now) / int64(3*time.Second) % 2)
		return l == bad && touches(a, from, to) && touches(b, from, to) && w.rng.IntN(100) < 30
	}
	w.chat(c, d, 60*time.Second, 20*time.Millisecond, func() {
		i := 0
		for _, p := range a.node.peers {
			if p.key == b.id.Public {
				if last[i] != a.node.byPort[p.port] {
					last[i] = a.node.byPort[p.port]
					changes++
				}
				i++
			}
		}
	})
	if changes -= 2; changes > 6 {
		t.Errorf("%d changes of carriers in a minute", changes)
	}
}

// Nobody answers on either link: the pings that look for one that does are
// limited.
func TestSilentLinksAreNotFlooded(t *testing.T) {
	w, c, a, b, d := doubleLink(t, 413)
	w.calm()
	w.chat(c, d, 3*time.Second, 50*time.Millisecond, nil)
	frames := 0
	w.drop = func(from, to *host, _ []byte) bool {
		if from == a && to == b {
			frames++
		}
		return touches(a, from, to) && touches(b, from, to)
	}
	w.run(10 * time.Second) // without traffic, so all frames are pings and calls
	t.Logf("%d frames in 10 s over two dead links", frames)
	if frames > 120 {
		t.Error("too many")
	}
}

// Our address changes, and the link at which it was is dead: the other one is
// taken at once.
func TestAddressGone(t *testing.T) {
	w, c, a, b, d := doubleLink(t, 412)
	w.chat(c, d, 3*time.Second, 10*time.Millisecond, nil)
	link := linkInUse(a, b)
	w.cut(a, b, link)
	for _, h := range []*host{a, b} {
		h.node.AddressesChanged(w.now, &h.out)
		h.drain()
	}
	if gap := w.chat(c, d, 2*time.Second, 10*time.Millisecond, nil); gap > 250*time.Millisecond {
		t.Errorf("%v without a packet", gap)
	}
}
