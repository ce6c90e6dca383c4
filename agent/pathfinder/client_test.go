package pathfinder

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// desk is a client with what it wants done, and the test in the place of the
// node and of all others.
type desk struct {
	*Client
	t    *testing.T
	out  Out
	now  mono.Time
	sign *cjdns.SigningKey
	// alive: supernodes answer signs of life.
	alive bool
}

func newDesk(t *testing.T) *desk {
	self := maker(1)
	n := byte(0)
	cfg := Config{Self: self.Key, Protocol: 22, Rand: func(b []byte) {
		for i := range b {
			n += 73
			b[i] = n
		}
	}}
	return &desk{Client: NewClient(cfg, New(cfg)), t: t, sign: self.sign, now: mono.Time(time.Minute)}
}

// pass lets t go by.
func (d *desk) pass(t time.Duration) {
	for end := d.now.Add(t); d.now < end; {
		d.now = min(end, max(d.Deadline(), d.now+1))
		d.WindowEnds(d.now)
		d.Expire(d.now, &d.out)
		for i := 0; d.alive && i < len(d.out.Queries); i++ {
			if q := d.out.Queries[i]; q.Msg.SubQuery == "pn" {
				d.reply(q, cjdns.Message{})
			}
		}
	}
}

// peer adds a direct peer that sees us at back; 0: it does not say.
func (d *desk) peer(n Node, back cjdns.Label) {
	d.PeerUp(d.now, n, true)
	d.finder.PeerUp(d.now, n, &d.out)
	d.out.Reset()
	if back != 0 {
		d.setBack(d.now, d.links[slices.IndexFunc(d.links, func(l *link) bool { return l.Label == n.Label })], back)
	}
}

// names lets the peer at label say that it uses s, at path from there.
func (d *desk) names(label cjdns.Label, s Node, path cjdns.Label) {
	d.Proposed(d.now, label, &cjdns.Control{Type: cjdns.CtrlGetSnodeQuery, Key: s.Key, SnodeVersion: s.Version, Path: path}, &d.out)
}

// question takes the last query of a kind out of what is wanted.
func (d *desk) question(kind string) Query {
	d.t.Helper()
	for i := len(d.out.Queries) - 1; i >= 0; i-- {
		if q := d.out.Queries[i]; q.Msg.SubQuery == kind {
			d.out.Queries = slices.Delete(d.out.Queries, i, i+1)
			return q
		}
	}
	d.t.Fatalf("no %s among %+v", kind, d.out.Queries)
	return Query{}
}

// reply answers q as its receiver.
func (d *desk) reply(q Query, m cjdns.Message) {
	m.Version, m.TxID = max(m.Version, 20), q.Msg.TxID
	if m.RecvTime == 0 {
		m.RecvTime = testWall + int64(d.now)/1e6
	}
	d.HandleReply(d.now, q.To, &m, &d.out)
}

// snode makes s the supernode in use, reached through the peer at 0x13.
func (d *desk) snode(s Node) {
	d.names(0x13, s, cjdns.SelfLabel)
	d.reply(d.question("pn"), cjdns.Message{})
	if a, ok := d.Active(); !ok || a.IP != s.IP {
		d.t.Fatalf("active: %+v %v", a, ok)
	}
}

// signed carries out the jobs and returns the announcement that is sent.
func (d *desk) signed() (Query, *cjdns.Announcement) {
	d.t.Helper()
	if len(d.out.Jobs) != 1 {
		d.t.Fatalf("%d jobs", len(d.out.Jobs))
	}
	j := d.out.Jobs[0]
	d.out.Jobs = nil
	j.Run(d.sign, func(b []byte) { clear(b) })
	d.Signed(d.now, j, &d.out)
	q := d.question("ann")
	a, err := cjdns.ParseAnnouncement(q.Msg.Ann)
	if err != nil {
		d.t.Fatal(err)
	}
	return q, a
}

// A supernode is one that a peer names, that may be used, and that answers
// with its time.
func TestDiscovery(t *testing.T) {
	d := newDesk(t)
	p, s, other := node(1, 0x13), node(2, 0), node(3, 0)
	d.peer(p, 0)
	d.pass(huntAgain + 2*huntQuick)
	if len(d.out.Controls) != 2 || d.out.Controls[0].Type != cjdns.CtrlGetSnodeQuery || d.out.Controls[0].Label != 0x13 {
		t.Fatalf("%+v", d.out.Controls)
	}
	d.names(0x13, Node{Key: s.Key, IP: s.IP, Version: 19}, 0x15) // too old
	d.pass(time.Second)
	d.names(0x13, s, cjdns.SelfLabel) // the peer is somebody else
	d.pass(time.Second)
	d.names(0x13, Node{Version: 20}, 0) // none
	d.pass(time.Second)
	d.names(0x13, Node{Key: cjdns.Key{1}, Version: 20}, 0x15) // no address
	d.pass(time.Second)
	d.names(0x13, s, cjdns.LabelInvalid)
	if d.Len() != 0 || d.Drops.Label != 3 || d.Drops.Version != 1 {
		t.Fatalf("%d known, %+v", d.Len(), d.Drops)
	}
	d.pass(time.Second)
	d.names(0x13, s, 0x15)
	q := d.question("pn")
	if q.To.Label != 0x153 || q.To.Key != s.Key {
		t.Errorf("asked %+v", q.To)
	}
	d.HandleReply(d.now, other, &cjdns.Message{Version: 20, TxID: q.Msg.TxID, RecvTime: 1}, &d.out)
	if _, ok := d.Active(); ok || d.Drops.Unasked != 1 {
		t.Error("somebody else's answer counted")
	}
	d.reply(q, cjdns.Message{RecvTime: -1})
	d.reply(q, cjdns.Message{RecvTime: latestTime})
	if _, ok := d.Active(); ok {
		t.Error("active without a time")
	}
	d.pass(seekEvery)
	d.reply(d.question("pn"), cjdns.Message{})
	if a, ok := d.Active(); !ok || a.Key != s.Key || a.Label != 0x153 {
		t.Errorf("active %+v", a)
	}
	// A configured one is the only one that may be used, and is searched.
	d.out.Reset()
	d.SetSupernodes(d.now, []cjdns.Key{other.Key}, false, &d.out)
	if _, ok := d.Active(); ok || !d.finder.Searching(other.IP) {
		t.Error("the old one is still in use, or the new one is not searched")
	}
	for i := range uint64(2 * MaxSupernodes) {
		d.pass(time.Second)
		d.names(0x13, node(20+i, 0), 0x15)
	}
	if d.Len() != 1 {
		t.Errorf("%d known", d.Len())
	}
	d.SetSupernodes(d.now, nil, false, &d.out)
	for i := range uint64(2 * MaxSupernodes) {
		d.pass(time.Second)
		d.names(0x13, node(20+i, 0), 0x15)
	}
	if d.Len() > MaxSupernodes {
		t.Errorf("%d known", d.Len())
	}
}

// A way that a supernode names is learned as a claim; what cannot be is
// dropped and counted, and then another supernode and the nodes are asked.
func TestRoutesOfSupernodes(t *testing.T) {
	far := node(9, 0)
	for _, c := range []struct {
		name   string
		ref    cjdns.NodeRef
		learns bool
	}{
		{"a way", cjdns.NodeRef{Key: far.Key, Label: 0x153, Version: 20}, true},
		{"another key", cjdns.NodeRef{Key: key(8), Label: 0x153, Version: 20}, false},
		{"to ourselves", cjdns.NodeRef{Key: far.Key, Label: 1, Version: 20}, false},
		{"no label", cjdns.NodeRef{Key: far.Key, Version: 20}, false},
		{"too long", cjdns.NodeRef{Key: far.Key, Label: 1<<60 | 0x13, Version: 20}, false},
		{"invalid", cjdns.NodeRef{Key: far.Key, Label: cjdns.LabelInvalid, Version: 20}, false},
		{"no such peer", cjdns.NodeRef{Key: far.Key, Label: 0x157, Version: 20}, false},
		{"too old", cjdns.NodeRef{Key: far.Key, Label: 0x153, Version: 3}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			s := node(1, 0x13)
			d.peer(s, 0)
			d.snode(s)
			d.out.Reset()
			d.finder.Search(d.now, far.IP, 0, 0, &d.out)
			q := d.question("gr")
			if !bytes.Equal(q.Msg.Source, d.selfIP[:]) || !bytes.Equal(q.Msg.Target, far.IP[:]) || len(d.out.Queries) != 0 {
				t.Fatalf("asked %+v, and %+v", q.Msg, d.out.Queries)
			}
			d.reply(q, cjdns.Message{Nodes: []cjdns.NodeRef{c.ref}})
			_, known := d.finder.Path(d.now, far.IP)
			if known != c.learns || len(d.out.Found) > 0 != c.learns {
				t.Errorf("known %v, found %v", known, d.out.Found)
			}
			if !c.learns {
				if d.Drops.Label+d.Drops.Version != 1 {
					t.Errorf("drops %+v", d.Drops)
				}
				if len(d.out.Queries) != 1 || d.out.Queries[0].Msg.Query != "fn" {
					t.Errorf("then asked %+v", d.out.Queries)
				}
				return
			}
			if r := d.finder.route(far.IP, 0x153); r == nil || r.Verified >= 0 {
				t.Error("it counts as proven")
			}
			// Nothing answers along it: the nodes are asked after the trial.
			d.out.Reset()
			d.now = d.now.Add(RouteWait)
			d.finder.Expire(d.now, &d.out)
			if !slices.ContainsFunc(d.out.Queries, func(q Query) bool { return q.Msg.Query == "fn" }) {
				t.Errorf("after the trial: %+v", d.out.Queries)
			}
			if _, known = d.finder.Path(d.now, far.IP); known {
				t.Error("the label is still used")
			}
		})
	}
}

// One that does not answer is passed over at once and left after two
// questions.
func TestSilentSupernodeIsLeft(t *testing.T) {
	d := newDesk(t)
	s1, s2, far := node(1, 0x13), node(2, 0x15), node(9, 0)
	d.peer(s1, 0)
	d.peer(s2, 0)
	d.SetSupernodes(d.now, []cjdns.Key{s1.Key, s2.Key}, false, &d.out)
	for _, q := range slices.Clone(d.out.Queries) {
		d.reply(q, cjdns.Message{}) // both are peers, and so can be asked at once
	}
	d.out.Reset()
	d.finder.Search(d.now, far.IP, 0, 0, &d.out)
	began := d.now
	if q := d.question("gr"); q.To.IP != s1.IP {
		t.Fatalf("asked %v first", q.To.IP)
	}
	d.pass(RouteWait)
	q := d.question("gr")
	if q.To.IP != s2.IP {
		t.Fatalf("asked %v next", q.To.IP)
	}
	if slices.ContainsFunc(d.out.Queries, func(q Query) bool { return q.Msg.Query == "fn" }) {
		t.Error("nodes are asked although a supernode is")
	}
	d.now = d.now.Add(20 * time.Millisecond)
	d.reply(q, cjdns.Message{Nodes: []cjdns.NodeRef{{Key: far.Key, Label: 0x175, Version: 20}}})
	if _, ok := d.finder.Path(d.now, far.IP); !ok || d.now.Sub(began) > time.Second {
		t.Errorf("no way after %v", d.now.Sub(began))
	}
	d.finder.Search(d.now, node(10, 0).IP, 0, 0, &d.out)
	d.pass(RouteWait)
	if a, ok := d.Active(); !ok || a.IP != s2.IP {
		t.Errorf("active %+v", a)
	}
}

// The first announcement says everything, later ones what has changed, and
// what a supernode does not hold is told again, less and less often.
func TestAnnouncements(t *testing.T) {
	d := newDesk(t)
	s, p, far := node(1, 0x13), node(2, 0x15), node(3, 0x404)
	server := newServer(s.Key)
	d.alive = true
	d.peer(s, 0x17)
	d.snode(s)
	d.peer(p, 0x19)
	send := func() *cjdns.Announcement {
		t.Helper()
		q, a := d.signed()
		self := Node{Key: d.cfg.Self, IP: d.selfIP, Version: 22, Label: 0x17}
		out := new(Out)
		if m := server.HandleMessage(d.now, self, q.Msg, out); m != nil {
			t.Fatalf("refused: %+v", m)
		}
		server.run(d.now, out)
		d.reply(q, *out.Answers[0].Msg)
		return a
	}
	server.SetWall(d.now, testWall+int64(d.now)/1e6)
	d.pass(firstPeer)
	a := send()
	want := []cjdns.AnnouncedPeer{{PeerNum: 0x13, IP: s.IP, Label: 0x17}, {PeerNum: 0x15, IP: p.IP, Label: 0x19}}
	if !a.Reset || a.Version != 22 || len(a.Scheme) != 5 || !slices.Equal(a.Peers, want) || a.Snode != s.IP {
		t.Errorf("first %+v", a)
	}
	if d.Announced() != 2 || d.Restarts != 0 {
		t.Errorf("%d announced, %d restarts", d.Announced(), d.Restarts)
	}
	// Nothing is new: a minute later, with the states of the links.
	for range 6 {
		d.pass(windowTime - 1)
		if len(d.out.Jobs) > 0 {
			t.Fatal("announced before a minute was over")
		}
		d.now++
		d.WindowEnds(d.now)
		d.Sample(0x13, Totals{Received: 90, Lost: 10, Bytes: 5 << 10, LagMs: 3})
	}
	d.Expire(d.now, &d.out)
	d.pass(2)
	a = send()
	if a.Reset || len(a.Peers) != 0 || len(a.Links) != 1 || a.Version != 0 || len(a.Links[0].Samples) < 5 ||
		a.Links[0].Samples[0] != (cjdns.LinkSample{Lag: 3, Drop: lossUnit / 10, KB: 5}) {
		t.Errorf("a minute later %+v", a)
	}
	// A new peer, and one that is gone.
	d.peer(far, 0x2002)
	d.pass(newPeer)
	if a = send(); len(a.Peers) != 1 || a.Peers[0].Form != 2 || a.Peers[0].PeerNum != 0x404 || a.Peers[0].Label != 0x2002 {
		t.Errorf("a new peer: %+v", a)
	}
	d.PeerDown(d.now, 0x15)
	d.pass(peerGone)
	if a = send(); len(a.Peers) != 1 || a.Peers[0].PeerNum != 0x15 || a.Peers[0].Label != 0 || d.Announced() != 2 {
		t.Errorf("a peer is gone: %+v", a)
	}
	// Everything is told again before it is too old.
	for range 20 {
		d.pass(nothingNew)
		send()
	}
	if d.Restarts != 0 || server.graph.byIP[d.selfIP].log.newest()-server.graph.byIP[d.selfIP].log.list[0].time > agreedMs {
		t.Errorf("%d restarts", d.Restarts)
	}
	// A supernode that never holds what it should is not flooded.
	d.out.Reset()
	sent := 0
	for end := d.now.Add(5 * time.Minute); d.now < end; {
		d.pass(100 * time.Millisecond)
		if len(d.out.Jobs) > 0 {
			q, _ := d.signed()
			d.reply(q, cjdns.Message{Error: "none", StateHash: make([]byte, 64)})
			sent++
		}
	}
	if sent < 3 || sent > 16 {
		t.Errorf("%d announcements in five minutes to one that forgets", sent)
	}
}

// A supernode whose clock is set, because it booted without one, is told
// everything again at once, dated by the new time.
func TestClockOfSupernodeIsSet(t *testing.T) {
	for _, jump := range [...]int64{3 * 365 * 86400_000, -3 * 365 * 86400_000, 11_000} {
		d := newDesk(t)
		s := node(1, 0x13)
		server := newServer(s.Key)
		wall := func(jump int64) int64 { return testWall + int64(d.now)/1e6 + jump }
		d.peer(s, 0x17)
		d.snode(s)
		began, sent := mono.Time(0), 0
		answer := func() (taken bool) {
			q, _ := d.signed()
			self := Node{Key: d.cfg.Self, IP: d.selfIP, Version: 22, Label: 0x17}
			out := new(Out)
			m := server.HandleMessage(d.now, self, q.Msg, out)
			if server.run(d.now, out); m == nil {
				m = out.Answers[0].Msg
			}
			d.reply(q, *m)
			return m.Error == "none"
		}
		server.SetWall(d.now, wall(0))
		if d.pass(firstPeer); !answer() {
			t.Fatal("not taken")
		}
		server.SetWall(d.now, wall(jump))
		began = d.now
		for d.pass(time.Second); ; d.pass(time.Second) {
			for i := range d.out.Queries {
				if q := d.out.Queries[i]; q.Msg.SubQuery == "pn" {
					d.reply(q, cjdns.Message{RecvTime: wall(jump)})
				}
			}
			d.out.Queries = d.out.Queries[:0]
			if len(d.out.Jobs) > 0 {
				if sent++; answer() {
					break
				}
			}
			if d.now.Sub(began) > 10*time.Minute {
				break
			}
		}
		if took := d.now.Sub(began); took > nothingNew+5*time.Second || sent > 3 {
			t.Errorf("a jump by %d ms: %d announcements in %v", jump, sent, took)
		}
	}
}

// Announcements of a node with many peers come in several messages, each of a
// length that fits.
func TestManyPeersAreAnnouncedInTurn(t *testing.T) {
	d := newDesk(t)
	s := node(1, 0x13)
	d.peer(s, 0x17)
	d.snode(s)
	for i := range uint16(60) {
		dir, bits := cjdns.PortDirector(i+2, 0)
		d.peer(node(100+uint64(i), cjdns.Label(dir)|1<<bits), 0x19)
	}
	messages, log := 0, stateLog{}
	for d.Announced() < 61 {
		d.pass(messageFull * 2)
		q, a := d.signed()
		log.add(a, q.Msg.Ann, maxLog)
		if len(q.Msg.Ann) > cjdns.AnnounceHeaderLen+maxAnnounce {
			t.Errorf("an announcement of %d bytes", len(q.Msg.Ann))
		}
		d.reply(q, cjdns.Message{Error: "none", StateHash: log.hash[:]})
		if messages++; messages > 5 {
			t.Fatalf("%d of 61 announced in %d messages", d.Announced(), messages)
		}
	}
	t.Logf("%d messages", messages)
}

// A supernode whose section is taken out of the configuration is not used any
// more, unless a peer names it; and the order is always that of the sections.
func TestSupernodesAfterReload(t *testing.T) {
	d := newDesk(t)
	s1, s2, far := node(1, 0x13), node(2, 0x15), node(9, 0)
	d.peer(s1, 0)
	d.peer(s2, 0)
	set := func(keys ...cjdns.Key) {
		d.SetSupernodes(d.now, keys, false, &d.out)
		for _, q := range slices.Clone(d.out.Queries) {
			if q.Msg.SubQuery == "pn" {
				d.reply(q, cjdns.Message{})
			}
		}
		d.out.Reset()
	}
	active := func() (ip cjdns.IP) {
		a, _ := d.Active()
		return a.IP
	}
	set(s1.Key, s2.Key)
	set(s2.Key, s1.Key)
	if active() != s1.IP {
		t.Error("the one in use was left for a change of the order")
	}
	if others := d.Others(); len(others) != 2 || others[0].IP != s2.IP {
		t.Errorf("the order is %+v", others)
	}
	set(s2.Key)
	if active() != s2.IP || d.Len() != 1 {
		t.Errorf("active %v of %d", active(), d.Len())
	}
	set()
	if _, ok := d.Active(); ok || d.Len() != 0 {
		t.Error("one that nobody names is in use")
	}
	if d.Ask(d.now, far.IP, &d.out) {
		t.Error("and is asked")
	}
	d.pass(2 * huntSlow)
	if len(d.out.Controls) == 0 {
		t.Error("peers are not asked which one they use")
	}
	d.snode(s1)
}

// One that is a supernode itself can use as many others as one that is none.
func TestSupernodeHasRoomForTheOthers(t *testing.T) {
	d := newDesk(t)
	var keys []cjdns.Key
	for i := range uint64(MaxSupernodes) {
		keys = append(keys, node(20+i, 0).Key)
	}
	d.SetSupernodes(d.now, keys, true, &d.out)
	known := 0
	d.Each(func(s SupernodeInfo) {
		if slices.Contains(keys, s.Key) {
			known++
		}
	})
	if known != MaxSupernodes || d.Len() != MaxSupernodes || len(d.list) != MaxSupernodes+1 {
		t.Errorf("%d of %d known, %d counted", known, MaxSupernodes, d.Len())
	}
}
