package mesh

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/identity"
)

// atClient reports where n sends frames for a client: the name of the node.
func (n *wnode) atClient(c batman.MAC) string {
	if mine, _ := n.m.ttLocal(c, 0); mine {
		return n.name
	}
	o, _ := n.m.ttFind(c, 0)
	for _, k := range n.w.nodes {
		if o != nil && k.primary() == o.MAC {
			return k.name
		}
	}
	if o != nil {
		return o.MAC.String()
	}
	return ""
}

// speak lets a client behind n be heard.
func (n *wnode) speak(c batman.MAC) { n.client(clientFrame(batman.Broadcast, c, 0, "speak")) }

// Three agents and a stock node, each hearing each other.
func policyWorld(t *testing.T, policy SignPolicy) (w *world, a, b, c, stock *wnode) {
	w = newWorld(t, 31)
	w.jobTime = 20 * time.Millisecond
	set := func(cfg *Config) { cfg.RequireSigned = policy }
	a, b, c, stock = w.signed("a", set), w.signed("b", set), w.signed("c", set), w.node("stock", nil)
	for i, x := range w.nodes {
		for _, y := range w.nodes[:i] {
			w.link(x, 0, y, 0, 0)
		}
	}
	w.run(70 * time.Second)
	return w, a, b, c, stock
}

// A client of a signed node stays with it, whatever a node without identity
// says, until the owner gives it up.
func TestIdentityClients(t *testing.T) {
	for _, policy := range []SignPolicy{SignOff, SignOverlay} {
		w, a, b, c, stock := policyWorld(t, policy)
		a.speak(clientA)
		w.run(3 * time.Second)
		if c.atClient(clientA) != "a" {
			t.Fatalf("%v: c finds the client at %q", policy, c.atClient(clientA))
		}
		// A stock node claims it, and says so in its OGMs and to a; the client
		// still speaks at a.
		for range 10 {
			a.speak(clientB)
			b := a.m.tt.local[ttKey{clientA, 0}]
			if b != nil {
				b.lastSeen = w.now
			}
			stock.m.ttLearn(w.now, clientA, 0, 0, &stock.out)
			stock.m.sendTVLVs(w.now, stock.primary(), stock.m.originator(a.primary()), batman.AppendRoam(nil, batman.Roam{Client: clientA}), &stock.out)
			stock.drain()
			w.run(time.Second)
		}
		want := "a"
		if policy == SignOff {
			want = "stock"
		}
		if got := c.atClient(clientA); got != want {
			t.Errorf("%v: claimed by a stock node, c finds the client at %q, want %q", policy, got, want)
		}
		if got := a.atClient(clientA); policy == SignOverlay && got != "a" {
			t.Errorf("%v: a finds its own client at %q", policy, got)
		}
		// It really goes there, a moment after it spoke at a.
		a.speak(clientA)
		w.run(1500 * time.Millisecond)
		stock.speak(clientA)
		w.run(5 * time.Second)
		if got := c.atClient(clientA); got != "stock" {
			t.Errorf("%v: gone to a stock node, c finds the client at %q", policy, got)
		}
		// And to another agent, which says so with a signature.
		sent := b.m.stats.idSigned
		b.speak(clientA)
		w.run(3 * time.Second)
		if got := c.atClient(clientA); got != "b" {
			t.Errorf("%v: gone to b, c finds the client at %q", policy, got)
		}
		a.speak(clientC)
		w.run(3 * time.Second)
		b.speak(clientC)
		w.run(1500 * time.Millisecond)
		if got := c.atClient(clientC); got != "b" {
			t.Errorf("%v: gone from a to b, c finds the client at %q; a at %q", policy, got, a.atClient(clientC))
		}
		if policy == SignOverlay && b.m.stats.idSigned == sent {
			t.Error("b signed no roaming packet")
		}
		w.run(20 * time.Second)
		if got := c.atClient(clientC); got != "b" || policy == SignOverlay && !c.m.originator(b.primary()).id.confirmed {
			t.Errorf("%v: in the end c finds the client at %q, table confirmed %v", policy, got, c.m.originator(b.primary()).id.confirmed)
		}
		if d := a.dropsOf() + b.dropsOf() + c.dropsOf(); d != "" {
			t.Errorf("%v: drops %s", policy, d)
		}
	}
}

// Unsigned roaming in the name of a signed node is no use.
func TestIdentityForgedRoam(t *testing.T) {
	s := newScene(t, BatmanIV, SignOverlay)
	s.o.speak(clientA)
	s.run(5 * time.Second)
	tv := batman.AppendRoam(nil, batman.Roam{Client: clientA})
	h := header(batman.UnicastTVLVLen, batman.UnicastTVLV{TTL: 50, Dst: s.o.primary(), Src: s.v.primary(), TVLVLen: uint16(len(tv))}.Put)
	f := make([]byte, batman.EthLen)
	batman.Eth{Dst: s.o.primary(), Src: liarMAC, Type: batman.EtherType}.Put(f)
	s.hear(s.o, append(append(f, h...), tv...))
	if s.o.m.drops[dropForgedRoam] != 1 || s.o.atClient(clientA) != "o" {
		t.Errorf("drops %s, client at %q", s.o.dropsOf(), s.o.atClient(clientA))
	}
	// a signed packet with a wrong signature
	content := make([]byte, 10+8+64)
	binary.BigEndian.PutUint32(content, s.v.boots)
	binary.BigEndian.PutUint32(content[4:], 1)
	content[9] = 1
	copy(content[10:], clientA[:])
	p := make([]byte, batman.EthLen+identity.HeaderLen)
	batman.Eth{Dst: s.o.primary(), Src: liarMAC, Type: batman.EtherType}.Put(p)
	identity.Header{Type: identity.PacketType, TTL: 50, Dst: s.o.primary(), Src: s.v.primary(), Kind: identity.KindRoam}.Put(p[batman.EthLen:])
	bad := s.o.m.stats.idBad
	s.hear(s.o, append(p, content...))
	s.run(time.Second)
	if s.o.m.stats.idBad != bad+1 || s.o.atClient(clientA) != "o" {
		t.Errorf("bad signatures %d, client at %q", s.o.m.stats.idBad-bad, s.o.atClient(clientA))
	}
}

// A table that is not that of the record is dropped and asked for again.
func TestIdentityForgedTable(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		s := newScene(t, algo, SignOverlay)
		s.v.speak(clientA)
		s.run(20 * time.Second)
		o := s.o.m.originator(s.v.primary())
		if !o.id.confirmed || s.o.atClient(clientA) != "v" {
			t.Fatalf("%v: confirmed %v, client at %q", algo, o.id.confirmed, s.o.atClient(clientA))
		}
		// A table of the same version, as if somebody on the way had answered.
		o.tt.asked, o.tt.askedAt, o.tt.askedFull, o.tt.askedTTVN = true, s.now, true, o.tt.ttvn
		v := batman.AppendTT(nil, batman.TTResponse|batman.TTFullTable, o.tt.ttvn, 0)
		v = batman.TTEntry{Client: clientC}.Append(v)
		tt, _ := batman.ParseTT(v)
		s.o.m.ttResponse(s.now, s.v.primary(), tt, &s.o.out)
		if s.o.atClient(clientC) != "" || s.o.m.drops[dropForgedTT] != 1 {
			t.Errorf("%v: the forged client is at %q, drops %s", algo, s.o.atClient(clientC), s.o.dropsOf())
		}
		s.run(5 * time.Second)
		if s.o.atClient(clientA) != "v" || !o.id.confirmed {
			t.Errorf("%v: the table did not come back", algo)
		}
	}
}

// The gateway is what the record says.
func TestIdentityGateway(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		s := newScene(t, algo, SignOverlay)
		f := s.last()
		forged := setTVLVs(f, batman.AppendGateway(bytes.Clone(tvlvsOf(f)), batman.Gateway{Down: 5000, Up: 5000}))
		if algo == BatmanV {
			s.greet(liarMAC)
			setSeqno(forged, seqnoOf(f))
		}
		// with the next number: the one on the way changed it before we heard it
		s.cut(s.v, 0, s.o, 0)
		n := len(s.ogms)
		s.until(3*time.Second, "next OGM", func() bool { return len(s.ogms) > n })
		f = s.last()
		forged = setTVLVs(f, batman.AppendGateway(bytes.Clone(tvlvsOf(f)), batman.Gateway{Down: 5000, Up: 5000}))
		s.hear(s.o, forged)
		if gw := s.o.m.originator(s.v.primary()).gw; gw.Down != 0 || s.o.m.drops[dropForgedGW] != 1 {
			t.Errorf("%v: gateway %+v, drops %s", algo, gw, s.o.dropsOf())
		}
		s.link(s.v, 0, s.o, 0, 0)
		c := s.v.m.cfg
		c.GWMode, c.GWDown, c.GWUp = GWServer, 300, 200
		s.v.m.SetConfig(s.now, c, &s.v.out)
		s.v.drain()
		s.run(4 * time.Second)
		if gw := s.o.m.originator(s.v.primary()).gw; gw != (batman.Gateway{Down: 300, Up: 200}) || s.o.m.drops[dropForgedGW] != 1 {
			t.Errorf("%v: gateway %+v, drops %s", algo, gw, s.o.dropsOf())
		}
	}
}

// With policy "all" the clients and frames of a stock node do not count; it
// still carries for others.
func TestIdentityPolicyAll(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		w := newWorld(t, 41)
		w.jobTime = 20 * time.Millisecond
		set := func(c *Config) { c.Algo, c.RequireSigned = algo, SignAll }
		a, stock, b := w.signed("a", set), w.node("stock", func(c *Config) { c.Algo = algo }), w.signed("b", set)
		w.link(a, 0, stock, 0, 0)
		w.link(stock, 0, b, 0, 0)
		w.until(15*time.Second, "alive", func() bool {
			n, k := a.m.id.known.Node(w.now, b.primary()), b.m.id.known.Node(w.now, a.primary())
			return n != nil && n.Alive() && k != nil && k.Alive()
		})
		w.run(5 * time.Second)
		w.flows(a, b, 10*time.Second)
		if a.atClient(stock.mac) != "" || a.next(stock) != "stock" {
			t.Errorf("%v: client of the stock node at %q, next hop %q", algo, a.atClient(stock.mac), a.next(stock))
		}
		a.got = nil
		stock.send(a.mac, "from stock")
		stock.send(batman.Broadcast, "to all from stock")
		w.run(100 * time.Millisecond)
		if len(a.got) > 0 || a.m.drops[dropUnsigned] < 2 {
			t.Errorf("%v: %d frames were delivered, drops %s", algo, len(a.got), a.dropsOf())
		}
		// who is played from a recording does not answer: nothing of it counts
		f := newForger(testKey(60), algo, 1, batman.MAC{2, 0xee, 0, 0, 0, 9}, 5)
		s := &scene{world: w, o: a}
		for range 5 {
			s.greet(f.mac)
			s.hear(a, f.frame(f.mac, nil))
			w.run(time.Second)
		}
		o := a.m.originator(f.mac)
		if o == nil || a.m.idAllows(o) || !strings.HasPrefix(a.showAny(f.mac), "fc") {
			t.Errorf("%v: the one that does not answer counts, or is not shown: %q", algo, a.showAny(f.mac))
		}
	}
}

// showAny is identity for originators without a route too.
func (n *wnode) showAny(mac batman.MAC) string {
	var r OriginatorStatus
	n.m.idStatus(n.w.now, n.m.originator(mac), &r)
	return r.Identity
}

// A node that turns into a stock node is refused for as long as it was known
// before, half an hour at most.
func TestIdentityStripped(t *testing.T) {
	for _, c := range []struct{ known, refused time.Duration }{
		{30 * time.Second, 0}, {5 * time.Minute, 0}, {time.Hour, 30 * time.Minute},
	} {
		w := newWorld(t, 51)
		w.jobTime = 20 * time.Millisecond
		a, b := w.signed("a", nil), w.signed("b", nil)
		w.link(a, 0, b, 0, 0)
		w.until(5*time.Second, "verified", func() bool { return a.verified(b) })
		begin := w.now
		w.run(c.known)
		b.key = nil
		b.boot(b.m.Seqnos())
		known := w.now.Sub(begin)
		w.run(time.Second)
		d := w.until(time.Hour, "stock node taken", func() bool { w.run(time.Second); return a.identity(b.primary()) == "-" })
		if c.refused == 0 {
			c.refused = known
		}
		if d < c.refused-5*time.Second || d > c.refused+70*time.Second {
			t.Errorf("known for %v, refused for %v", known, d)
		}
		if a.m.drops[dropStripped] == 0 {
			t.Error("nothing was counted")
		}
		w.flows(a, b, 20*time.Second)
	}
}

// Two nodes with one key are both reachable, and the log says so; a node that
// finds its own key elsewhere says that.
func TestIdentityOneKeyTwice(t *testing.T) {
	w := newWorld(t, 61)
	w.jobTime = 20 * time.Millisecond
	a, b, c := w.signed("a", nil), w.signed("b", nil), w.signed("c", nil)
	c.key = b.key
	c.boot(Seqnos{})
	w.link(a, 0, b, 0, 0)
	w.link(a, 0, c, 0, 0)
	w.link(b, 0, c, 0, 0)
	w.run(20 * time.Second)
	if !a.verified(b) || !a.verified(c) {
		t.Errorf("shown are %q and %q", a.identity(b.primary()), a.identity(c.primary()))
	}
	said := func(n *wnode, kind EventKind, text string) bool {
		for _, e := range n.evs {
			if e.Kind == kind && strings.Contains(e.Text, text) {
				return true
			}
		}
		return false
	}
	if !said(a, EventIdentity, "one key on") || !said(b, EventCopied, "") {
		t.Errorf("events of a %+v, of b %+v", a.evs, b.evs)
	}
	up := map[batman.MAC]bool{}
	for _, n := range a.changes {
		up[n.MAC] = n.Reachable
	}
	if !up[b.primary()] || !up[c.primary()] {
		t.Errorf("told was %+v", a.changes)
	}
}

// A relay that forwards OGMs and drops what it should carry is left at once if
// there is another way, tried again after 5 s, 10 s and so on; without another
// way it stays.
func TestAvoidGreyHole(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		w := newWorld(t, 72)
		w.jobTime = 20 * time.Millisecond
		set := func(c *Config) { c.Algo = algo }
		a, hole, other, b := w.signed("a", set), w.node("hole", set), w.node("other", set), w.signed("b", set)
		w.link(a, 0, hole, 0, 0)
		w.link(hole, 0, b, 0, 0)
		w.link(a, 0, other, 0, 100)
		w.link(other, 0, b, 0, 100)
		slow := func(c *IfaceConfig) { c.Speed = 1000 }
		other.iface(0, slow)
		w.run(100 * time.Second)
		o := a.m.originator(b.primary())
		hop := func() batman.MAC { return a.m.localHop(w.now, o).MAC }
		if hop() != hole.primary() {
			t.Fatalf("%v: the way leads over %v", algo, hop())
		}
		for _, back := range []time.Duration{5, 10, 20, 40, 80, 80} {
			back *= time.Second
			begin := w.now
			if !a.m.Avoid(w.now, b.primary(), &a.out) {
				t.Errorf("%v: it says that there is no other way", algo)
			}
			a.drain()
			if hop() != other.primary() {
				t.Fatalf("%v: not left", algo)
			}
			w.until(2*back, "tried again", func() bool { return hop() == hole.primary() })
			if d := w.now.Sub(begin); d < back || d > back+50*time.Millisecond {
				t.Errorf("%v: tried again after %v, want %v", algo, d, back)
			}
			w.run(time.Second)
		}
		w.run(200 * time.Second)
		a.m.Avoid(w.now, b.primary(), &a.out)
		a.drain()
		w.run(5100 * time.Millisecond)
		if hop() != hole.primary() {
			t.Errorf("%v: the time did not begin anew", algo)
		}
		w.cut(a, 0, other, 0)
		w.run(15 * time.Second)
		if a.m.Avoid(w.now, b.primary(), &a.out) {
			t.Errorf("%v: it says that there is another way", algo)
		}
		a.drain()
		if hop() != hole.primary() {
			t.Errorf("%v: the only way was left", algo)
		}
	}
}

// A forged number harms a stock relay for half a minute; agents leave it for a
// way of agents only within some intervals, without being told by anybody.
func TestIdentityStockRelayForged(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		w := newWorld(t, 81)
		w.jobTime = 20 * time.Millisecond
		set := func(c *Config) { c.Algo = algo }
		a, stock, c, b := w.signed("a", set), w.node("stock", set), w.signed("c", set), w.signed("b", set)
		w.link(a, 0, stock, 0, 0)
		w.link(stock, 0, b, 0, 0)
		w.link(a, 0, c, 0, 100)
		w.link(c, 0, b, 0, 100)
		c.iface(0, func(i *IfaceConfig) { i.Speed = 1000 })
		var last []byte
		w.tap = func(from *wnode, _ int, f []byte) {
			if from == b && isOGM(f) && batman.MAC(f[batman.EthLen+8:][:6]) == b.primary() {
				last = bytes.Clone(f)
			}
		}
		w.run(100 * time.Second)
		if a.next(b) != "stock" {
			t.Fatalf("%v: the way leads over %q", algo, a.next(b))
		}
		s := &scene{world: w, o: stock}
		if algo == BatmanV {
			s.greet(liarMAC)
		}
		f := bytes.Clone(last)
		copy(f[6:12], liarMAC[:])
		f[batman.EthLen+2] = 49
		setSeqno(f, seqnoOf(f)+70000)
		s.hear(stock, f)
		d := w.until(20*time.Second, "the stock node left", func() bool { return a.next(b) == "c" })
		w.flows(a, b, 5*time.Second)
		var harm time.Duration
		if algo == BatmanIV {
			harm = w.until(60*time.Second, "the stock node heard b again", func() bool { return stock.m.originator(b.primary()).routes[0].lastSeqno < seqnoOf(last)+100 }) + d
		}
		t.Logf("%v: left after %v; the stock node refused b for %v; at a %s", algo, d, harm, a.dropsOf())
		if d > 6*time.Second || algo == BatmanIV && harm < 29*time.Second {
			t.Errorf("%v: left after %v, of %v", algo, d, harm)
		}
	}
}

// The losses of two ways change places every 3 s: packets of this node change
// their next hop once in 10 s at most, though the best way changes oftener.
func TestStayWithSwappingLoss(t *testing.T) {
	more := 0
	for seed := uint64(80); seed < 120; seed++ {
		w := newWorld(t, seed)
		w.jobTime = 20 * time.Millisecond
		set := func(c *Config) { c.OrigInterval = 200 * time.Millisecond }
		a, g, h, b := w.signed("a", set), w.signed("g", set), w.signed("h", set), w.signed("b", set)
		lay := func(lossG, lossH int) {
			for i, x := range []*wnode{g, h} {
				loss := []int{lossG, lossH}[i]
				w.link(a, 0, x, 0, loss)
				w.link(x, 0, b, 0, loss)
			}
		}
		lay(50, 400)
		w.run(20 * time.Second)
		o := a.m.originator(b.primary())
		var last, lastBest *Neighbour
		var changes []time.Duration
		begin, best := w.now, 0
		for step := range 60 * 20 { // a minute
			if step%60 == 0 {
				lay(50+350*(step/60%2), 400-350*(step/60%2))
			}
			w.run(50 * time.Millisecond)
			n, top := a.m.localHop(w.now, o), a.m.nextHop(o, nil)
			if n != last && last != nil {
				changes = append(changes, w.now.Sub(begin))
			}
			if top != lastBest && lastBest != nil {
				best++
			}
			last, lastBest = n, top
		}
		t.Logf("seed %d: changes at %v, of the best way %d", seed, changes, best)
		for k := 1; k < len(changes); k++ {
			if d := changes[k] - changes[k-1]; d < stayTime {
				t.Errorf("seed %d: changed back after %v", seed, d)
			}
		}
		if best > len(changes) {
			more++
		}
	}
	if more == 0 {
		t.Error("the best way never changed oftener: nothing was shown")
	}
}
