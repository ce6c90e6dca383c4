package mesh

import (
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// probing makes two nodes of that algorithm that look how much their link
// carries, with interfaces of 1532 bytes.
func probing(t *testing.T, algo Algo) (w *world, a, b *wnode) {
	w = newWorld(t, 3)
	set := func(c *Config) { c.Algo, c.ProbeMTU = algo, true }
	a, b = w.node("a", set), w.node("b", set)
	for _, n := range w.nodes {
		n.iface(0, func(c *IfaceConfig) { c.MTU = 1532 })
	}
	w.link(a, 0, b, 0, 0)
	return w, a, b
}

// carries returns what n knows of the link to to.
func (n *wnode) carries(to *wnode) int {
	for _, s := range n.m.Status(n.w.now).Neighbours {
		if s.MAC == hardMAC(to.id, 0) {
			return s.MTU
		}
	}
	return -1
}

// large sends a frame of a client with that many bytes behind the Ethernet
// header and reports whether it arrived.
func (n *wnode) large(to *wnode, size int) bool {
	text := strings.Repeat("x", size-8) + "the end."
	n.client(clientFrame(to.mac, n.mac, 0, text))
	n.w.run(20 * time.Millisecond)
	return to.received(text)
}

func TestLinkProbe(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		w, a, b := probing(t, algo)
		w.flows(a, b, 10*time.Second)
		w.run(10 * time.Second)
		if x, y := a.carries(b), b.carries(a); x != 1532 || y != 1532 {
			t.Errorf("%v: found %d and %d, want 1532", algo, x, y)
		}
		if !a.large(b, 1500) || a.m.stats.fragTx != 0 {
			t.Errorf("%v: a frame of 1500 bytes: %d fragments", algo, a.m.stats.fragTx)
		}
		// The link becomes shorter in one direction, and nobody says so.
		w.links[[2]wport{{a, 0}, {b, 0}}].mtu = 1480
		if a.large(b, 1500) {
			t.Fatal("the link carries more than it can")
		}
		w.run(linkCheck + 30*time.Second)
		if x := a.carries(b); x != 1480 {
			t.Errorf("%v: found %d, want 1480", algo, x)
		}
		before := a.m.stats.fragTx
		if !a.large(b, 1500) || a.m.stats.fragTx != before+2 {
			t.Errorf("%v: a frame of 1500 bytes over 1480: %d fragments", algo, a.m.stats.fragTx-before)
		}
		// The other direction cannot be told apart until the other end sends its
		// answers in two pieces; the next look finds it.
		w.run(linkCheck + 30*time.Second)
		if x := b.carries(a); x != 1532 {
			t.Errorf("%v: the other direction, found %d, want 1532", algo, x)
		}
		logged := false
		for _, e := range a.evs {
			logged = logged || e.Kind == EventLinkMTU && e.Orig == hardMAC(b.id, 0) && strings.Contains(e.Text, "1480 bytes")
		}
		if !logged {
			t.Errorf("%v: nothing was told", algo)
		}
		// The interface is changed: what is known is looked at again.
		w.links[[2]wport{{a, 0}, {b, 0}}].mtu = 0
		a.iface(0, func(c *IfaceConfig) { c.MTU = 1540 })
		w.run(10 * time.Second)
		if x := a.carries(b); x != 1540 {
			t.Errorf("%v: after a change of the interface found %d, want 1540", algo, x)
		}
	}
}

// Frames in transit are cut for a short link, and joined before a long one.
func TestLinkProbeInTransit(t *testing.T) {
	w, a, b := probing(t, BatmanIV)
	c := w.node("c", func(c *Config) { c.ProbeMTU = true })
	c.iface(0, func(c *IfaceConfig) { c.MTU = 1532 })
	b.iface(1, func(c *IfaceConfig) { c.MTU = 1532 })
	w.link(b, 1, c, 0, 0)
	w.links[[2]wport{{b, 1}, {c, 0}}].mtu = 1400
	w.flows(a, c, 10*time.Second)
	w.run(30 * time.Second)
	before := b.m.stats.fragTx
	if !a.large(c, 1500) {
		t.Error("a frame of 1500 bytes does not get over the short link")
	}
	if n := b.m.stats.fragTx - before; a.m.stats.fragTx != 0 || n != 2 {
		t.Errorf("fragments: a sent %d, b %d, want 0 and 2", a.m.stats.fragTx, n)
	}
	if !c.large(a, 1500) {
		t.Error("a frame of 1500 bytes does not get back")
	}
}

// Stations that answer nothing, as many as there may be, cost a few small
// packets each, and do not keep others from being asked.
func TestLinkProbeFlood(t *testing.T) {
	w, a, b := probing(t, BatmanIV)
	sent, longest, bytes := 0, 0, 0
	w.tap = func(from *wnode, _ int, frame []byte) {
		if from == a && isICMP(frame) && batman.MAC(frame[:6]) != hardMAC(b.id, 0) {
			sent, longest, bytes = sent+1, max(longest, len(frame)), bytes+len(frame)
		}
	}
	for i := range 200 {
		mac := hardMAC(1000+i, 0)
		p := make([]byte, batman.OGMLen)
		batman.OGM{TTL: 50, Seqno: 1, Orig: mac, Prev: mac, TQ: 255}.Put(p)
		f := w.pool.Get()
		f.Set(append(ethHeader(batman.Broadcast, mac), p...))
		a.m.HandleFrame(w.now, f, &a.out)
		a.drain()
		w.run(20 * time.Millisecond)
	}
	if n := len(a.m.ifaces[0].neighbours); n < 200 {
		t.Fatalf("%d stations", n)
	}
	w.run(time.Minute)
	if sent == 0 || longest > batman.EthLen+batman.ICMPLen || sent > 70*8 {
		t.Errorf("%d packets of up to %d bytes to stations that do not answer", sent, longest)
	}
	if x := a.carries(b); x != 1532 {
		t.Errorf("found %d beside them, want 1532", x)
	}
}

// What a neighbour says costs nothing that it was not asked for.
func TestLinkProbeAnswersThatNobodyAskedFor(t *testing.T) {
	w, a, b := probing(t, BatmanIV)
	w.flows(a, b, 10*time.Second)
	w.run(10 * time.Second)
	drops := a.m.drops[dropICMP]
	for _, uid := range []uint8{a.m.icmp.uid, a.m.icmp.uid + 1} {
		p := make([]byte, 1500)
		batman.ICMP{TTL: 50, Msg: batman.ICMPEchoReply, Dst: hardMAC(a.id, 0), Orig: hardMAC(b.id, 0), UID: uid, Seqno: a.m.icmp.seqno - 1}.Put(p)
		w.air(wport{b, 0}, append(ethHeader(hardMAC(a.id, 0), hardMAC(b.id, 0)), p...))
		w.run(5 * time.Millisecond)
	}
	if got := a.m.drops[dropICMP] - drops; got != 2 || a.carries(b) != 1532 {
		t.Errorf("%d answers dropped, link %d", got, a.carries(b))
	}
}

// ethHeader is that of a frame of the mesh.
func ethHeader(dst, src batman.MAC) []byte {
	b := make([]byte, batman.EthLen)
	batman.Eth{Dst: dst, Src: src, Type: batman.EtherType}.Put(b)
	return b
}
