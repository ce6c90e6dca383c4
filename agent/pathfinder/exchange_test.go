package pathfinder

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// pair is two supernodes of one community, and what is under way between them.
type pair struct {
	a, b   *Server
	an, bn Node
	// lose drops a message; nil drops none.
	lose func(m *cjdns.Message) bool
	sent int
}

func newPair(t testing.TB) *pair {
	a, b := maker(11), maker(12)
	p := &pair{a: newServer(a.Key), b: newServer(b.Key), an: a.Node, bn: b.Node}
	p.a.SetCommunity([]cjdns.Key{p.bn.Key})
	p.b.SetCommunity([]cjdns.Key{p.an.Key})
	p.a.SetPartners([]Node{p.bn})
	p.b.SetPartners([]Node{p.an})
	return p
}

// carry moves messages from one to the other until there are none.
func (p *pair) carry(now mono.Time, out *Out) {
	for len(out.Queries) > 0 {
		queries := out.Queries
		out.Queries = nil
		for _, q := range queries {
			from, to, sender, receiver := p.a, p.b, p.an, p.bn
			if q.To.IP == p.an.IP {
				from, to, sender, receiver = p.b, p.a, p.bn, p.an
			}
			p.sent++
			if p.lose != nil && p.lose(q.Msg) {
				continue
			}
			back := new(Out)
			if m := to.HandleMessage(now, sender, q.Msg, back); m != nil {
				back.Answers = append(back.Answers, Query{Msg: m})
			}
			to.run(now, back)
			for _, r := range back.Answers {
				from.HandleReply(now, receiver, r.Msg, out)
			}
		}
	}
}

// tell lets n announce a to the supernode s, and carries what follows.
func (p *pair) tell(t testing.TB, now mono.Time, s *Server, n someone, a cjdns.Announcement) {
	t.Helper()
	a.Snode, a.Time = s.selfIP, s.clock(now)
	if a.Reset {
		a.Version, a.Scheme = 22, s.scheme
	}
	out := new(Out)
	raw := a.AppendSigned(nil, n.sign, func([]byte) {})
	if m := s.HandleMessage(now, n.Node, &cjdns.Message{Version: 22, SubQuery: "ann", Ann: raw}, out); m != nil {
		t.Fatalf("refused: %+v", m)
	}
	s.run(now, out)
	must(t, out.Answers[0].Msg, "none")
	p.carry(now, out)
	p.settle(now)
}

func (p *pair) settle(now mono.Time) {
	for _, s := range []*Server{p.a, p.b} {
		out := new(Out)
		s.Expire(now, out)
		p.carry(now, out)
	}
}

// same reports whether both hold the same of n.
func (p *pair) same(n someone) bool {
	x, y := p.a.graph.byIP[n.IP], p.b.graph.byIP[n.IP]
	return x != nil && y != nil && x.log.hash == y.log.hash && x.version == y.version && len(x.links) == len(y.links)
}

// What nodes tell one supernode the other knows, as they said it.
func TestSupernodesAgree(t *testing.T) {
	p := newPair(t)
	x, y := maker(1), maker(2)
	ofX, ofY := meet(x, y, 2, 40)
	now := mono.Time(time.Minute)
	p.tell(t, now, p.a, x, cjdns.Announcement{Reset: true, Peers: []cjdns.AnnouncedPeer{ofX}})
	p.tell(t, now, p.b, y, cjdns.Announcement{Reset: true, Peers: []cjdns.AnnouncedPeer{ofY}})
	if !p.same(x) || !p.same(y) {
		t.Fatalf("%v %v; refused %v %v", p.same(x), p.same(y), p.a.Refused, p.b.Refused)
	}
	now = now.Add(compileEvery)
	for _, s := range []*Server{p.a, p.b} {
		if l := s.ask(now, x.IP, y.IP); l != cjdns.Label(ofY.Label) {
			t.Errorf("x to y: %v", l)
		}
	}
	// The next ones follow one by one.
	p.sent = 0
	for range 5 {
		now = now.Add(time.Minute)
		p.tell(t, now, p.a, x, cjdns.Announcement{Peers: []cjdns.AnnouncedPeer{ofX}})
		if !p.same(x) {
			t.Fatal("they differ")
		}
	}
	if p.sent != 5 {
		t.Errorf("%d messages for five announcements", p.sent)
	}
	// One is lost: everything is told again.
	p.lose = func(*cjdns.Message) bool { return true }
	now = now.Add(time.Minute)
	p.tell(t, now, p.a, x, cjdns.Announcement{Links: []cjdns.LinkState{{PeerNum: uint32(ofX.PeerNum)}}})
	if p.same(x) {
		t.Fatal("what was lost has arrived")
	}
	p.lose = nil
	now = now.Add(passWait)
	p.settle(now)
	if !p.same(x) {
		t.Errorf("they differ after a repeat; refused %v", p.b.Refused)
	}
	// One that refuses at first, because it does not know us yet, is told again.
	p.b.SetCommunity(nil)
	now = now.Add(time.Minute)
	p.tell(t, now, p.a, x, cjdns.Announcement{Peers: []cjdns.AnnouncedPeer{ofX}})
	if p.same(x) || p.b.Refused[refuseSnode] == 0 || p.b.Refused[refuseSnode] > 2*maxTries {
		t.Fatalf("taken from a stranger, or asked without end: %v", p.b.Refused)
	}
	p.b.SetCommunity([]cjdns.Key{p.an.Key})
	now = now.Add(tidyEvery)
	p.settle(now)
	if !p.same(x) {
		t.Fatal("not told again")
	}
	// One that was away is told what it has missed, and no more.
	p.a.SetPartners(nil)
	now = now.Add(time.Minute)
	p.tell(t, now, p.a, x, cjdns.Announcement{Peers: []cjdns.AnnouncedPeer{ofX}})
	if p.same(x) {
		t.Fatal("it was told while away")
	}
	z := maker(3)
	p.tell(t, now, p.a, z, cjdns.Announcement{Reset: true})
	p.sent = 0
	p.a.SetPartners([]Node{p.bn})
	p.settle(now)
	if !p.same(x) || !p.same(z) || p.sent != 2 {
		t.Errorf("after it was away: %v %v, %d messages", p.same(x), p.same(z), p.sent)
	}
	// A new partner is told everything.
	c := newServer(maker(13).Key)
	p.b, p.bn = c, maker(13).Node
	c.SetWall(0, testWall)
	c.SetCommunity([]cjdns.Key{p.an.Key})
	c.SetPartners([]Node{p.an})
	p.a.SetPartners([]Node{p.bn})
	p.settle(now)
	if !p.same(x) || c.graph.byIP[y.IP] != nil {
		t.Error("not everything that x said, or hearsay")
	}
}

// A partner may pass on only what was announced to it; nobody else may pass on
// anything; and what a node says itself counts more.
func TestFalsePartner(t *testing.T) {
	p := newPair(t)
	x, foreign := maker(1), maker(14)
	now := mono.Time(time.Minute)
	say := func(from Node, snode cjdns.IP, at mono.Time, prev []byte, reset bool) *cjdns.Message {
		out := new(Out)
		a := cjdns.Announcement{Snode: snode, Reset: reset, Time: p.b.clock(at), Version: 22, Scheme: p.b.scheme}
		m := &cjdns.Message{Version: 22, SubQuery: "ann", StateHash: prev, Ann: a.AppendSigned(nil, x.sign, func([]byte) {})}
		if r := p.b.HandleMessage(now, from, m, out); r != nil {
			return r
		}
		p.b.run(now, out)
		return out.Answers[0].Msg
	}
	zero := make([]byte, 64)
	must(t, say(foreign.Node, p.an.IP, now, zero, true), "wrong_snode")
	must(t, say(foreign.Node, foreign.IP, now, zero, true), "wrong_snode")
	must(t, say(p.an, foreign.IP, now, zero, true), "wrong_snode")
	must(t, say(p.an, p.an.IP, now, nil, true), "wrong_snode")
	must(t, say(p.an, p.an.IP, now, make([]byte, 63), true), "wrong_snode")
	must(t, say(p.an, p.an.IP, now.Add(time.Minute), zero, true), "excessive_clock_skew")
	must(t, say(p.an, p.an.IP, now.Add(-agreedTime-time.Second), zero, true), "old_message")
	other := make([]byte, 64)
	other[5] = 1
	must(t, say(p.an, p.an.IP, now, other, false), "unknown_node")
	if p.b.Nodes() != 0 {
		t.Fatalf("%d nodes", p.b.Nodes())
	}
	must(t, say(p.an, p.an.IP, now, zero, true), "none")
	hash := p.b.graph.byIP[x.IP].log.hash
	must(t, say(p.an, p.an.IP, now, hash[:], false), "old_message")
	must(t, say(p.an, p.an.IP, now.Add(time.Second), other, false), "unknown_node")
	must(t, say(p.an, p.an.IP, now.Add(time.Second), hash[:], false), "none")
	// It speaks for itself now.
	now = now.Add(5 * time.Second)
	must(t, p.b.announce(t, now, x, cjdns.Announcement{Reset: true}), "none")
	must(t, say(p.an, p.an.IP, now.Add(time.Second), zero, true), "old_message")
	now = now.Add(directTime)
	must(t, say(p.an, p.an.IP, now, zero, true), "none")
	if p.b.graph.byIP[x.IP].snode != p.an.IP {
		t.Error("it has gone to the other supernode, and that is not believed")
	}
	// A flood of a partner is bounded.
	answered := 0
	for range 10 * passBurst {
		if say2 := p.b.HandleMessage(now, p.an, &cjdns.Message{Version: 22, SubQuery: "ann", StateHash: other, Ann: p.b.graph.byIP[x.IP].log.list[0].raw}, new(Out)); say2 != nil {
			answered++
		}
	}
	if answered > passBurst {
		t.Errorf("%d answered at once", answered)
	}
}

// Many nodes are passed on at a bounded rate, and all in the end.
func TestExchangeIsPaced(t *testing.T) {
	p := newPair(t)
	now := mono.Time(time.Minute)
	const n = 200
	for i := range uint64(n) {
		x := stranger(8 * i)
		v, ok := p.a.graph.add(now, x.Key, x.sign.Public())
		if !ok {
			t.Fatal("no room")
		}
		a := &cjdns.Announcement{Snode: p.a.selfIP, Reset: true, Time: p.a.clock(now), Version: 22, Scheme: p.a.scheme}
		p.a.graph.apply(now, v, a, a.AppendSigned(nil, x.sign, func([]byte) {}))
		p.a.tell(v)
	}
	out := new(Out)
	p.a.pass(now, out)
	if len(out.Queries) != maxFlight {
		t.Errorf("%d at once", len(out.Queries))
	}
	for range 10_000 {
		for len(out.Queries) > 0 {
			q := out.Queries[0]
			out.Queries = out.Queries[1:]
			p.sent++
			h := (cjdns.StateHash{}).Add(q.Msg.Ann)
			p.a.HandleReply(now, p.bn, &cjdns.Message{Version: 22, TxID: q.Msg.TxID, StateHash: h[:]}, out)
		}
		if len(p.a.others[0].queue)+len(p.a.others[0].flight) == 0 {
			break
		}
		now = max(now+1, p.a.passDue())
		p.a.pass(now, out)
	}
	if p.sent != n {
		t.Errorf("%d of %d were passed on", p.sent, n)
	}
	took := now.Sub(mono.Time(time.Minute))
	if took < (n-passBurst)*passEvery {
		t.Errorf("all within %v", took)
	}
	t.Logf("%d nodes in %v", n, took)
}
