package node

import (
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/pathfinder"
	"github.com/meshagent/meshagent/agent/session"
)

// slotOf returns the label by which h reaches its peer to.
func (h *host) slotOf(to *host) cjdns.Label {
	for _, p := range h.node.peers {
		if p.key == to.id.Public && p.hasPort {
			return p.label
		}
	}
	h.w.t.Fatalf("%s and %s are no peers", h.name, to.name)
	return 0
}

// round returns a label of so many hops around a ring of hosts, from the
// first one on.
func round(hops int, ring ...*host) cjdns.Label {
	label := cjdns.SelfLabel
	for i := hops - 1; i >= 0; i-- {
		next := ring[i%len(ring)].slotOf(ring[(i+1)%len(ring)])
		label = (label^1)<<next.Len() | next
	}
	return label
}

// triangle is three nodes, each a peer of both others.
func triangle(t *testing.T, seed uint64) (w *world, a, b, c *host) {
	w = newWorld(t, seed)
	a, b, c = w.host("a", 0).user("p"), w.host("b", 0).user("p"), w.host("c", 0).user("p")
	a.dial(b, "p")
	b.dial(c, "p")
	c.dial(a, "p")
	w.run(3 * time.Second)
	return w, a, b, c
}

// A label that goes round and round ends where its bits do: a frame is handed
// on at most 15 times, and causes at most one error.
func TestLabelsThatGoRound(t *testing.T) {
	w, a, b, c := triangle(t, 720)
	const size = 600
	count := 0
	w.tap = func(_, _ *host, f []byte) {
		if len(f) >= size {
			count++
		}
	}
	full := uint64(0)
	for i := range 16 {
		full |= uint64(round(1, []*host{b, c, a}[i%3], []*host{c, a, b}[i%3])&0xf) << (4 * i)
	}
	for _, frame := range []struct {
		name  string
		label cjdns.Label
		most  int
	}{
		{"once round", round(3, a, b, c), 3},
		{"59 bits", round(14, a, b, c), 14},
		{"all bits, no end", cjdns.Label(full), 16},
	} {
		count = 0
		buf := a.pool.Get()
		h := cjdns.SwitchHeader{Label: frame.label, Version: 1}
		if !buf.Set(append(h.Append(nil), make([]byte, size)...)) {
			t.Fatal("too long")
		}
		if frame.most == 16 { // past our own switch, as somebody would who forges labels
			a.node.sendTo(w.now, a.node.byKey(b.id.Public), buf, &a.out)
		} else {
			copy(buf.Bytes(), h.Append(nil))
			buf.Pull(cjdns.SwitchHeaderLen)
			a.node.sendAlong(w.now, frame.label, buf, &a.out)
		}
		a.drain()
		w.run(time.Second)
		t.Logf("%s: %v handed on %d times", frame.name, frame.label, count)
		if count > frame.most || count == 0 {
			t.Errorf("%s: handed on %d times", frame.name, count)
		}
	}
	// Each of them ended at one node, which has counted it.
	ends := int64(0)
	for _, h := range w.hosts {
		d := h.node.Status(w.now).Drops
		ends += d["label-spent"] + d["malformed-label"] + d["return-path"] + d["runt"] + d["own-key"]
	}
	if ends != 3 {
		t.Errorf("%d ends of three frames", ends)
		w.dump()
	}
	w.flows(a, c, time.Second)
}

// A way that somebody names leads back to ourselves, or to another node: what
// we send along it comes home and is dropped, or is answered by nobody. The
// session does not change, and the way rests.
func TestWaysToOurselves(t *testing.T) {
	w, a, b, c := triangle(t, 721)
	w.flows(a, b, time.Second)
	far := w.host("far", 0) // nobody's peer
	for _, label := range []cjdns.Label{round(3, a, b, c), round(6, a, b, c), round(2, a, b, a), round(1, a, c)} {
		before := a.node.Status(w.now).Drops["own-key"]
		a.tell(far, "are you there?")
		a.node.finder.Told(w.now, pathfinder.Node{Key: far.id.Public, IP: far.id.IP, Version: Protocol, Label: label}, &a.node.found)
		a.node.flush(w.now, &a.out)
		a.drain()
		w.run(3 * time.Second)
		if s := a.session(far); s != nil && s.CA.Established() {
			t.Errorf("%v: a session with nobody", label)
		}
		came := a.node.Status(w.now).Drops["own-key"] - before
		t.Logf("%v: came home %d times", label, came)
		if came > 20 {
			t.Errorf("%v: came home %d times", label, came)
		}
		// In use, it does not move a session that works.
		s := a.session(b)
		path := s.Path
		a.node.finder.Told(w.now, pathfinder.Node{Key: b.id.Public, IP: b.id.IP, Version: Protocol, Label: label}, &a.node.found)
		w.chat(a, b, 2*time.Second, 100*time.Millisecond, nil)
		if s.Path != path || s.Why == session.Broken {
			t.Errorf("%v: the session with b went to %v, because %v", label, s.Path, s.Why)
		}
		w.run(10 * time.Second)
	}
}

// Routing messages of a peer that are as nested, as long or as odd as they can
// be are dropped and counted, each at the cost of reading it once; the peer is
// answered afterwards as before.
func TestOversizedMessages(t *testing.T) {
	w, a, b, _ := triangle(t, 722)
	w.flows(a, b, time.Second)
	s := b.session(a)
	before := a.node.Status(w.now).Drops["message"]
	const size = 1100
	bad := []string{
		strings.Repeat("l", size), strings.Repeat("d", size), strings.Repeat("d1:a", size/4), "d1:q" + strings.Repeat("l", size-10) + "e",
		"d1:q999999999:fn", "d1:q" + strings.Repeat("0", size) + "2:fne", "d1:q" + strings.Repeat("9", size) + ":fne",
		"d1:pi" + strings.Repeat("9", size) + "ee", "d1:n1080:" + strings.Repeat("n", 1080) + "2:np28:\x01" + strings.Repeat("\x14", 26) + "e",
		"d" + strings.Repeat("1:q2:fn", 150) + "e", "d1:n40:" + strings.Repeat("n", 40) + "e",
	}
	for _, text := range bad {
		m := b.pool.Get()
		m.Set([]byte(text))
		cjdns.PutDataHeader(m.Push(cjdns.DataHeaderLen), cjdns.ContentDHT)
		b.node.sendSession(w.now, s, s.Path, m, &b.out)
		b.drain()
	}
	nodes := a.node.finder.Len()
	w.run(time.Second)
	if got := a.node.Status(w.now).Drops["message"] - before; got < int64(len(bad))-1 {
		t.Errorf("%d of %d were counted as malformed", got, len(bad))
	}
	if a.node.finder.Len() > nodes+1 {
		t.Errorf("%d nodes, %d before", a.node.finder.Len(), nodes)
	}
	w.flows(b, a, time.Second)
}
