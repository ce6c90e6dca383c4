package pathfinder

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// A label that comes straight back to us from our peer is no way, whatever
// follows: 0x15 is how the peer at 0x13 sees us.
func TestRouteThroughOurselves(t *testing.T) {
	for _, c := range []struct {
		name  string
		rest  cjdns.Label // behind the peer
		taken bool
	}{{"back to us", 0x15, false}, {"through us", 0x135, false}, {"to another", 0x17, true}, {"through another", 0x157, true}} {
		d := newDesk(t)
		s, far := node(1, 0x13), node(9, 0)
		d.peer(s, 0x15)
		d.snode(s)
		d.out.Reset()
		d.finder.Search(d.now, far.IP, 0, 0, &d.out)
		d.reply(d.question("gr"), cjdns.Message{Nodes: []cjdns.NodeRef{{Key: far.Key, Label: cjdns.Splice(c.rest, 0x13), Version: 20}}})
		if _, known := d.finder.Path(d.now, far.IP); known != c.taken || c.taken != (d.Drops.Label == 0) {
			t.Errorf("%s: known %v, %+v", c.name, known, d.Drops)
		}
		a, ok := d.Advice(far.IP)
		if want := map[bool]Word{true: WordWay, false: WordFalse}[c.taken]; !ok || a.Word != want || a.By != s.IP || a.At != d.now {
			t.Errorf("%s: remembered as %+v", c.name, a)
		}
	}
}

// A supernode that answers every question with a new label to nowhere, for an
// hour: the way that works stays the one in use, nothing grows, and each lie
// costs one question.
func TestSupernodeThatAlwaysLies(t *testing.T) {
	d := newDesk(t)
	s, far := node(1, 0x13), node(9, 0x153)
	d.peer(s, 0)
	d.snode(s)
	d.finder.Heard(d.now, far)
	d.out.Reset()
	lies := 0
	for end := d.now.Add(time.Hour); d.now < end; d.now = d.now.Add(30 * time.Second) {
		d.finder.Heard(d.now, far) // it is in use
		d.finder.Expire(d.now, &d.out)
		d.out.Reset()
		if !d.Ask(d.now, far.IP, &d.out) {
			t.Fatal("not asked")
		}
		lies++
		d.reply(d.question("gr"), cjdns.Message{Nodes: []cjdns.NodeRef{{Key: far.Key, Label: cjdns.Label(lies)<<5 | 1<<20 | 3, Version: 20}}})
		if len(d.out.Queries) != 0 {
			t.Fatalf("%d questions for one lie", len(d.out.Queries))
		}
		if p, ok := d.finder.Path(d.now, far.IP); !ok || p.Label != far.Label {
			t.Fatalf("after %d lies the way is %v", lies, p.Label)
		}
		if _, ok := d.finder.Choose(d.now, far.IP, far.Label); ok {
			t.Fatal("a way that nobody measured is chosen")
		}
	}
	if n := len(d.finder.Routes(far.IP)); n > maxRoutes || d.Asks() != 0 {
		t.Errorf("%d ways, %d questions open after %d lies", n, d.Asks(), lies)
	}
	d.PeerDown(d.now, 0x13)
	for i := range uint64(100) {
		d.advised(d.now, node(100+i, 0).IP, s.IP, WordNone)
	}
	if _, ok := d.Advice(node(100, 0).IP); ok {
		t.Errorf("more than %d answers are remembered", maxAdvice)
	}
}

// Answers that nobody asked for, and answers that come again, teach nothing.
func TestUnaskedRoutes(t *testing.T) {
	d := newDesk(t)
	s, far := node(1, 0x13), node(9, 0)
	d.peer(s, 0)
	d.snode(s)
	d.out.Reset()
	before := d.finder.Len()
	m := &cjdns.Message{Version: 20, RecvTime: testWall, Nodes: []cjdns.NodeRef{{Key: far.Key, Label: 0x153, Version: 20}}}
	for i := range 10_000 {
		m.TxID = []byte("03abcdef" + string(rune('0'+i%10)) + string(rune('0'+i/10%10)))
		d.HandleReply(d.now, s, m, &d.out)
	}
	if d.finder.Len() != before || d.Drops.Unasked != 10_000 || !d.out.Empty() {
		t.Errorf("%d nodes, %+v, %+v", d.finder.Len(), d.Drops, d.out)
	}
	d.Ask(d.now, far.IP, &d.out)
	q := d.question("gr")
	d.reply(q, cjdns.Message{Nodes: m.Nodes})
	d.reply(q, cjdns.Message{Nodes: []cjdns.NodeRef{{Key: far.Key, Label: 0x173, Version: 20}}})
	if r := d.finder.Routes(far.IP); len(r) != 1 || r[0].Label != 0x153 || r[0].Source != FromSupernode || d.Drops.Unasked != 10_001 {
		t.Errorf("ways %+v, %+v", r, d.Drops)
	}
}

// A peer whose list of links never ends is asked for as many pages as a switch
// can have links, and no more.
func TestEndlessLinks(t *testing.T) {
	f, out, now := newFinder(), new(Out), mono.Time(0)
	f.PeerUp(now, node(1, 0x13), out)
	asked := 0
	for label := cjdns.Label(0x10001); len(out.Queries) > 0; {
		q := out.Queries[0]
		out.Queries = out.Queries[1:]
		if q.Msg.Query != "gp" {
			continue
		}
		if asked++; asked > 1000 {
			t.Fatal("it never ends")
		}
		var list []cjdns.NodeRef
		for range maxListed {
			label += 2
			list = append(list, cjdns.NodeRef{Key: key(uint64(label % 64)), Label: label, Version: 20})
		}
		slices.Reverse(list)
		now++
		answer(f, now, q, out, list...)
	}
	if asked > maxPages+1 {
		t.Errorf("%d pages", asked)
	}
	t.Logf("%d pages, %d nodes", asked, f.Len())
}

// Every step of a way is named by the surest that said so, whatever the form
// of the directors, and by a supernode's own graph where nobody else did.
func TestAlong(t *testing.T) {
	f, out := newFinder(), new(Out)
	b, c, e := node(1, 0x13), node(2, 0x153), node(3, 0x153)
	f.PeerUp(0, b, out)
	f.learn(0, c)
	f.Heard(0, e) // it has answered there: c is only said to be there
	wide := func(l cjdns.Label) cjdns.Label { return cjdns.ConvertLabel(cjdns.V358, l, 2) }
	steps := []Step{{Node: Node{Label: wide(0x13)}}, {Node: Node{Label: cjdns.Splice(wide(0x15), wide(0x13))}}, {Node: Node{Label: 0x1553}}}
	f.Along(steps)
	if steps[0].IP != b.IP || steps[0].From != FromPeer || steps[0].Label != wide(0x13) {
		t.Errorf("the peer: %+v", steps[0])
	}
	if steps[1].IP != e.IP || steps[1].From != FromTraffic || !steps[1].Seen {
		t.Errorf("the second: %+v", steps[1])
	}
	if !steps[2].Key.IsZero() || steps[2].Label != 0x1553 {
		t.Errorf("the third: %+v", steps[2])
	}
	for _, l := range []cjdns.Label{0, 1, 2, 3, 4, 0x13, 0x86, cjdns.LabelInvalid, 1 << 63, 0x4000000000000000} {
		narrow(l) // ends
	}
}

// Somebody who sends forged announcements in the name of a node all the time
// does not keep that node from announcing: each sender waits for himself.
func TestForgedAnnouncementsBlockNobody(t *testing.T) {
	s := newServer(maker(1).Key)
	victim, liar, fresh := maker(2), maker(3), maker(4)
	now := mono.Time(time.Second)
	must(t, s.announce(t, now, victim, cjdns.Announcement{Reset: true}), "none")
	send := func(from Node, n someone, out *Out) *cjdns.Message {
		a := cjdns.Announcement{Reset: true, Snode: s.selfIP, Time: s.clock(now), Version: 22, Scheme: cjdns.SerializeScheme(cjdns.V358)}
		raw := a.AppendSigned(nil, n.sign, func(b []byte) { clear(b) })
		if from.IP != n.IP {
			raw[0] ^= 1
		}
		return s.HandleMessage(now, from, &cjdns.Message{Version: 22, SubQuery: "ann", TxID: []byte("1x"), Ann: raw}, out)
	}
	for _, n := range []someone{victim, fresh} {
		now = now.Add(time.Minute)
		out, accepted, forged := new(Out), s.Accepted, s.Refused[refuseForged]
		send(liar.Node, n, out)
		send(liar.Node, n, out) // one of each sender waits
		if m := send(n.Node, n, out); m != nil || s.Waiting() != 1 {
			t.Errorf("answer %+v, %d wait", m, s.Waiting())
		}
		s.run(now, out)
		if s.Accepted != accepted+1 || s.Refused[refuseForged] != forged+1 {
			t.Errorf("%d accepted, refused %v", s.Accepted-accepted, s.Refused)
		}
	}
}

// Nor does it keep new nodes from being taken, however fast it comes.
func TestFloodOfForgedAnnouncements(t *testing.T) {
	s := newServer(maker(1).Key)
	liar, now := maker(2), mono.Time(time.Second)
	a := cjdns.Announcement{Reset: true, Snode: s.selfIP, Version: 22, Scheme: cjdns.SerializeScheme(cjdns.V358)}
	raw := a.AppendSigned(nil, liar.sign, func(b []byte) { clear(b) })
	flood := func() {
		for end := now.Add(time.Second); now < end; now = now.Add(time.Millisecond) {
			binary.BigEndian.PutUint64(raw[112:], s.clock(now)<<4|9)
			s.give(now, liar.Node, raw)
		}
	}
	for i := range uint64(5) {
		flood()
		if m := s.announce(t, now, maker(10+i), cjdns.Announcement{Reset: true}); m == nil || m.Error != "none" {
			t.Errorf("new node %d: %+v", i, m)
		}
	}
	if n := s.Refused[refuseForged]; n > 5*4+announceBurst+4 {
		t.Errorf("%d signatures of one sender were checked in five seconds", n)
	} else {
		t.Logf("%d signatures of one sender were checked in five seconds", n)
	}
}
