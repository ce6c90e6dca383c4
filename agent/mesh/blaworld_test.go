package mesh

import (
	"bytes"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// lan is a cable with hosts, to which nodes are bridged.
type lan struct {
	w     *world
	gates []*wnode
	seen  [][]byte // payload frames that came out of the mesh
	said  int      // frames of bridge loop avoidance
}

// send puts a frame of a host, or of gateway from, on the cable.
func (l *lan) send(frame []byte, from *wnode) {
	for _, g := range l.gates {
		if g != from && !g.off {
			g.client(frame)
		}
	}
}

// run lets d pass and carries what comes out of the mesh.
func (l *lan) run(d time.Duration) {
	for end := l.w.now.Add(d); l.w.now < end; {
		l.w.run(2 * time.Millisecond)
		for again := true; again; {
			again = false
			for _, g := range l.gates {
				got := g.got
				g.got = nil
				for _, f := range got {
					again = true
					if in, ok := parseInner(f); ok {
						if _, k := parseClaim(in); k != noClaim {
							l.said++
						} else {
							l.seen = append(l.seen, f)
						}
					}
					l.send(f, g)
				}
			}
		}
	}
}

// countText returns how many of fs end with text.
func countText(fs [][]byte, text string) (n int) {
	for _, f := range fs {
		if bytes.HasSuffix(f, []byte(text)) {
			n++
		}
	}
	return n
}

// TestBLAWorld bridges two nodes to one LAN; a third is only in the mesh. After
// the silence every broadcast crosses exactly once in each direction, and
// goes on crossing when the responsible gateway dies.
func TestBLAWorld(t *testing.T) {
	w := newWorld(t, 3)
	on := func(c *Config) { c.BLA = true }
	a, b, c := w.node("a", on), w.node("b", on), w.node("c", on)
	w.link(a, 0, b, 0, 0)
	w.link(b, 0, c, 0, 0)
	w.link(a, 0, c, 0, 0)
	l := &lan{w: w, gates: []*wnode{a, b}}
	host := batman.MAC{2, 0xcc, 0, 0, 0, 1}
	bcast := func(text string) { l.send(clientFrame(batman.Broadcast, host, 0, text), nil) }
	l.run(5 * time.Second)
	bcast("first") // makes gateways, and passes itself, as with the kernel
	l.run(10 * time.Millisecond)
	bcast("silence")
	l.run(20 * time.Second)
	if n := countText(c.got, "silence"); n != 0 {
		t.Errorf("a broadcast crossed %d times in the silence", n)
	}
	l.run(30 * time.Second)
	if !a.m.blaBackbone(hardMAC(2, 0), 0) || !b.m.blaBackbone(hardMAC(1, 0), 0) || c.m.blaBackbone(hardMAC(1, 0), 0) {
		t.Fatal("the gateways do not know each other")
	}
	cross := func(text string) {
		t.Helper()
		// the first frame of a new client may be claimed by both, at once
		c.send(batman.Broadcast, "claim me")
		l.run(50 * time.Millisecond)
		c.got, l.seen = nil, nil
		bcast(text + " in")
		l.run(300 * time.Millisecond)
		if n := countText(c.got, text+" in"); n != 1 {
			t.Errorf("%s: the host's broadcast comes %d times to c", text, n)
		}
		c.send(batman.Broadcast, text+" out")
		l.run(300 * time.Millisecond)
		if n := countText(l.seen, text+" out"); n != 1 {
			t.Errorf("%s: c's broadcast comes %d times to the LAN", text, n)
		}
		c.send(host, text+" to the host")
		l.run(300 * time.Millisecond)
		if n := countText(l.seen, text+" to the host"); n != 1 {
			t.Errorf("%s: c's frame comes %d times to the LAN", text, n)
		}
		if n := countText(l.seen, text+" in"); n != 0 {
			t.Errorf("%s: the host hears itself %d times", text, n)
		}
	}
	cross("both")
	for range 20 {
		l.run(time.Second)
		cross("again")
	}
	frames := w.frames
	l.run(10 * time.Second)
	if n := w.frames - frames; n > 500 {
		t.Errorf("%d frames in 10 s without traffic: a loop", n)
	}
	owner, other := a, b
	if a.m.blaClaimedElsewhere(c.mac, 0) {
		owner, other = b, a
	}
	if other.m.bla.claims[newBLAKey(c.mac, 0)] == nil || owner.m.bla.claims[newBLAKey(c.mac, 0)] == nil {
		t.Fatal("nobody claims c's client")
	}
	owner.off = true
	l.run(blaGone + 3*blaPeriod)
	cross("one gateway")
	owner.off = false
	owner.boot(Seqnos{})
	l.run(2 * time.Minute)
	cross("back again")
}
