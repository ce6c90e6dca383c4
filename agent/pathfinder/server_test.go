package pathfinder

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// vectors returns the fields of the lines of a file of package cjdns, except
// comments: what real nodes said.
func vectors(t testing.TB, name string) [][]string {
	t.Helper()
	raw, err := os.ReadFile("../cjdns/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for line := range strings.Lines(string(raw)) {
		if line[0] != '#' {
			out = append(out, strings.Fields(line))
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s: no vectors", name)
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// someone is a node that can sign.
type someone struct {
	Node
	sign *cjdns.SigningKey
}

// captured returns the nodes A to E of the captures.
func captured(t testing.TB) map[string]someone {
	list := make(map[string]someone)
	for _, v := range vectors(t, "keys.txt") {
		private, err := cjdns.ParsePrivateKey(v[1])
		if err != nil {
			t.Fatal(err)
		}
		k := cjdns.Key(unhex(t, v[2]))
		list[v[0]] = someone{Node{Key: k, IP: k.IP(), Version: 20, Label: 0x13}, cjdns.NewSigningKey(private)}
	}
	return list
}

// maker returns a node whose address is valid; equal seeds give equal nodes.
func maker(seed uint64) someone {
	for n := seed << 20; ; n++ {
		p := cjdns.PrivateKey{0: byte(n), 1: byte(n >> 8), 2: byte(n >> 16), 3: byte(n >> 24), 4: byte(n >> 32), 5: byte(n >> 40), 30: 1}
		s := cjdns.NewSigningKey(p)
		k, err := cjdns.KeyFromSigning(s.Public())
		if err == nil && k.IP().Valid() {
			return someone{Node{Key: k, IP: k.IP(), Version: 22, Label: 0x13}, s}
		}
	}
}

// stranger is maker for keys whose address is not valid, which are cheap.
func stranger(seed uint64) someone {
	s := cjdns.NewSigningKey(cjdns.PrivateKey{0: byte(seed), 1: byte(seed >> 8), 30: 2})
	v := s.Public()
	k := cjdns.Key(v)
	return someone{Node{Key: k, IP: k.IP(), Version: 22, Label: 0x13}, s}
}

// testWall is the time of day at the beginning of tests, in ms since 1970.
const testWall = 1_700_000_000_000

func newServer(self cjdns.Key) *Server {
	n := byte(0)
	s := NewServer(Config{Self: self, Protocol: 22, Rand: func(b []byte) {
		for i := range b {
			n += 37
			b[i] = n
		}
	}})
	s.SetWall(0, testWall)
	return s
}

// run carries out the jobs in out until there are none.
func (s *Server) run(now mono.Time, out *Out) {
	for len(out.Jobs) > 0 {
		jobs := out.Jobs
		out.Jobs = nil
		for _, j := range jobs {
			j.Run(nil, nil)
			s.Checked(now, j, out)
		}
	}
}

// give lets from send raw, and returns the answer; nil if there is none.
func (s *Server) give(now mono.Time, from Node, raw []byte) *cjdns.Message {
	out := new(Out)
	m := &cjdns.Message{Version: 20, SubQuery: "ann", TxID: []byte("1x"), Ann: raw}
	if r := s.HandleMessage(now, from, m, out); r != nil {
		return r
	}
	s.run(now, out)
	if len(out.Answers) == 0 {
		return nil
	}
	return out.Answers[0].Msg
}

// announce signs a as n, dates it if it is not dated, and sends it.
func (s *Server) announce(t testing.TB, now mono.Time, n someone, a cjdns.Announcement) *cjdns.Message {
	t.Helper()
	if a.Snode == (cjdns.IP{}) {
		a.Snode = s.selfIP
	}
	if a.Time == 0 {
		a.Time = s.clock(now)
	}
	if a.Reset && a.Scheme == nil {
		a.Version, a.Scheme = uint16(n.Version), cjdns.SerializeScheme(cjdns.V358)
	}
	return s.give(now, n.Node, a.AppendSigned(nil, n.sign, func(b []byte) { clear(b) }))
}

// must fails the test unless the answer m says so.
func must(t testing.TB, m *cjdns.Message, want string) {
	t.Helper()
	if m == nil || m.Error != want {
		t.Fatalf("answer %+v, want %q", m, want)
	}
}

// ask asks for the way from src to tar; 0 if there is none.
func (s *Server) ask(now mono.Time, src, tar cjdns.IP) cjdns.Label {
	m := s.HandleMessage(now, Node{Label: 0x13}, &cjdns.Message{Version: 20, SubQuery: "gr", Source: src[:], Target: tar[:]}, new(Out))
	if m == nil || len(m.Nodes) == 0 {
		return 0
	}
	return m.Nodes[0].Label
}

// meet returns announcements of two nodes that have each other in the given
// slots.
func meet(a, b someone, slotOnA, slotOnB uint16) (ofA, ofB cjdns.AnnouncedPeer) {
	one := func(slot uint16) cjdns.Label {
		d, bits := cjdns.PortDirector(slot, 0)
		return cjdns.Label(d) | 1<<bits
	}
	la, lb := one(slotOnA), one(slotOnB)
	ofA = cjdns.AnnouncedPeer{Form: uint8(cjdns.FormOf(la)), PeerNum: uint16(la), IP: b.IP, Label: uint32(lb)}
	ofB = cjdns.AnnouncedPeer{Form: uint8(cjdns.FormOf(lb)), PeerNum: uint16(lb), IP: a.IP, Label: uint32(la)}
	return ofA, ofB
}

// Real nodes announced to a JavaScript supernode on D, and asked it for ways:
// ours holds the same state after each announcement, and gives the same
// labels.
func TestCapturedSupernode(t *testing.T) {
	nodes := captured(t)
	names := make(map[cjdns.VerifyKey]someone)
	for _, n := range nodes {
		names[n.sign.Public()] = n
	}
	s := newServer(nodes["D"].Key)
	now := mono.Time(0)
	for i, v := range vectors(t, "announcements.txt") {
		raw := unhex(t, v[0])
		a, err := cjdns.ParseAnnouncement(raw)
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		if i == 0 {
			s.SetWall(now, int64(a.Time))
		}
		now = mono.Time(int64(a.Time)-s.wall) * mono.Time(time.Millisecond)
		m := s.give(now, names[a.Signer].Node, raw)
		must(t, m, "none")
		if hex.EncodeToString(m.StateHash) != v[1] {
			t.Errorf("announcement %d: state %x, want %s", i, m.StateHash, v[1])
		}
		if m.RecvTime != int64(s.clock(now)) || string(m.TxID) != "1x" {
			t.Errorf("answer %+v", m)
		}
	}
	// D's own node did not announce to that server; ours does.
	d := nodes["D"]
	must(t, s.announce(t, now, d, cjdns.Announcement{Reset: true, Peers: []cjdns.AnnouncedPeer{{IP: nodes["B"].IP, Label: 0x13, PeerNum: 0}}}), "none")
	now = now.Add(compileEvery)
	asked, answers := make(map[string][]byte), make(map[string]*cjdns.Message)
	for _, v := range vectors(t, "messages.txt") {
		raw := unhex(t, v[0])
		m := new(cjdns.Message)
		if err := cjdns.ParseMessage(raw, m); err != nil {
			t.Fatal(err)
		}
		if m.SubQuery == "gr" {
			asked[string(m.TxID)] = raw
		} else if len(m.Nodes) == 1 {
			answers[string(m.TxID)] = m
		}
	}
	if len(asked) < 3 {
		t.Fatalf("%d questions in the capture", len(asked))
	}
	for id, raw := range asked {
		var q cjdns.Message
		if err := cjdns.ParseMessage(raw, &q); err != nil {
			t.Fatal(err)
		}
		m, want := s.HandleMessage(now, nodes["A"].Node, &q, new(Out)), answers[id]
		if m == nil || want == nil || len(m.Nodes) != 1 || m.Nodes[0].Label != want.Nodes[0].Label || m.Nodes[0].Key != want.Nodes[0].Key || string(m.TxID) != id {
			t.Errorf("from %x: %+v, want %+v", q.Source, m, want)
		}
	}
	if got := s.ask(now, nodes["A"].IP, nodes["C"].IP); got != 0x153 && got != 0x133 && got != 0x173 {
		t.Errorf("A to C: %v", got)
	}
}

// Only what its maker sends, and what is new, is taken.
func TestForgedAndReplayedAnnouncements(t *testing.T) {
	a, b, d := maker(1), maker(2), maker(3)
	s := newServer(d.Key)
	now := mono.Time(time.Minute)
	ofA, ofB := meet(a, b, 2, 3)
	reset := cjdns.Announcement{Reset: true, Peers: []cjdns.AnnouncedPeer{ofA}}
	must(t, s.announce(t, now, a, cjdns.Announcement{Peers: reset.Peers, Version: 22}), "unknown_node")
	must(t, s.announce(t, now, a, reset), "none")
	first := s.graph.byIP[a.IP].log.list[0].raw
	for _, c := range []struct {
		name   string
		from   Node
		spoil  func(raw []byte) []byte
		answer string
		kind   refusal
	}{
		{"the same again", a.Node, func(raw []byte) []byte { return raw }, "old_message", refuseOld},
		{"from another node", b.Node, func(raw []byte) []byte { return raw }, "failed_parse_or_validate", refuseForeign},
		{"a bit of the signature", b.Node, func(raw []byte) []byte { raw[0] ^= 1; return raw }, "failed_parse_or_validate", refuseForged},
		{"no signature", b.Node, func(raw []byte) []byte { clear(raw[:64]); return raw }, "failed_parse_or_validate", refuseForged},
		{"a later time", a.Node, func(raw []byte) []byte { raw[118]++; return raw }, "failed_parse_or_validate", refuseForged},
		{"a key of small order", b.Node, func(raw []byte) []byte { clear(raw[64:96]); raw[64] = 1; return raw }, "failed_parse_or_validate", refuseForged},
		{"its key is another", a.Node, func(raw []byte) []byte { k := b.sign.Public(); copy(raw[64:], k[:]); return raw }, "failed_parse_or_validate", refuseForeign},
		{"for another supernode", a.Node, func(raw []byte) []byte { raw[100] ^= 1; return raw }, "wrong_snode", refuseSnode},
		{"cut", a.Node, func(raw []byte) []byte { return raw[:len(raw)-1] }, "failed_parse_or_validate", refuseMalformed},
		{"too long", a.Node, func(raw []byte) []byte { return append(raw, bytes.Repeat([]byte{1}, MaxAnnouncement)...) }, "failed_parse_or_validate", refuseMalformed},
		{"empty", a.Node, func([]byte) []byte { return nil }, "failed_parse_or_validate", refuseMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			now = now.Add(300 * time.Millisecond)
			before := s.Refused[c.kind]
			must(t, s.give(now, c.from, c.spoil(bytes.Clone(first))), c.answer)
			if s.Refused[c.kind] != before+1 {
				t.Errorf("not counted as %s: %v", refusalKinds[c.kind], s.Refused)
			}
		})
	}
	now = now.Add(time.Second)
	late := s.clock(now) - uint64(clockSkew.Milliseconds()) - 1
	must(t, s.announce(t, now, b, cjdns.Announcement{Reset: true, Time: late, Peers: []cjdns.AnnouncedPeer{ofB}}), "excessive_clock_skew")
	must(t, s.announce(t, now, b, cjdns.Announcement{Reset: true, Time: s.clock(now) + 11_000}), "excessive_clock_skew")
	must(t, s.announce(t, now, b, cjdns.Announcement{Reset: true, Scheme: []byte{1, 2, 3}}), "no_encodingScheme")
	if s.Nodes() != 1 {
		t.Errorf("%d nodes", s.Nodes())
	}
	if s.ask(now, a.IP, b.IP) != 0 {
		t.Error("a link that only one end announces was used")
	}
	must(t, s.announce(t, now, b, cjdns.Announcement{Reset: true, Peers: []cjdns.AnnouncedPeer{ofB}}), "none")
	now = now.Add(compileEvery)
	if got := s.ask(now, a.IP, b.IP); got != cjdns.Label(ofB.Label) {
		t.Errorf("A to B: %v", got)
	}
	ofB.Label = 0 // withdrawn
	must(t, s.announce(t, now, b, cjdns.Announcement{Peers: []cjdns.AnnouncedPeer{ofB}}), "none")
	now = now.Add(compileEvery)
	if got := s.ask(now, a.IP, b.IP); got != 0 {
		t.Errorf("A to B after it was withdrawn: %v", got)
	}
	now = now.Add(agreedTime + tidyEvery)
	s.Expire(now, new(Out))
	if s.Nodes() != 0 || s.Links() != 0 || s.graph.bytes != 0 {
		t.Errorf("%d nodes, %d links, %d bytes after all is too old", s.Nodes(), s.Links(), s.graph.bytes)
	}
}

// The signatures that wait are bounded, and one node cannot have several.
func TestAnnouncementsWaitInABoundedQueue(t *testing.T) {
	s := newServer(maker(3).Key)
	now := mono.Time(time.Minute)
	out := new(Out)
	sent := 0
	for i := range uint64(2 * MaxWaiting) {
		n := stranger(100 + 8*i) // the lowest three bits of a private key do not count
		for range 2 {
			a := cjdns.Announcement{Reset: true, Snode: s.selfIP, Time: s.clock(now), Version: 22, Scheme: s.scheme}
			s.HandleMessage(now, n.Node, &cjdns.Message{Version: 22, SubQuery: "ann", Ann: a.AppendSigned(nil, n.sign, func([]byte) {})}, out)
			sent++
		}
	}
	if s.Waiting() != maxWaitingNew || len(out.Jobs) != 1 {
		t.Errorf("%d wait, %d at work", s.Waiting(), len(out.Jobs))
	}
	if got := int(s.Refused[refuseRate]) + s.Waiting() + 1; got != sent {
		t.Errorf("%d of %d accounted for", got, sent)
	}
	makers := map[cjdns.VerifyKey]bool{s.work.ann.Signer: true}
	for _, c := range s.waiting {
		makers[c.ann.Signer] = true
	}
	if len(makers) != maxWaitingNew+1 {
		t.Errorf("announcements of %d nodes wait", len(makers))
	}
	s.run(now, out)
	if s.Refused[refuseForged] != maxWaitingNew+1 || s.Nodes() != 0 {
		t.Errorf("%d nodes, %v", s.Nodes(), s.Refused)
	}
	// A job that is lost does not hold up the others for ever.
	late := maker(7)
	a := cjdns.Announcement{Reset: true, Snode: s.selfIP, Time: s.clock(now), Version: 22, Scheme: s.scheme}
	s.HandleMessage(now, late.Node, &cjdns.Message{Version: 22, SubQuery: "ann", Ann: a.AppendSigned(nil, late.sign, func([]byte) {})}, out)
	lost := out.Jobs[0]
	s.Expire(now.Add(jobTime), out)
	if s.work != nil {
		t.Error("a lost job is still waited for")
	}
	s.Checked(now.Add(jobTime), lost, out)
	if s.graph.byIP[late.IP] != nil {
		t.Error("a result that came too late was taken")
	}
}

// When the clock jumps, what was dated by it is forgotten.
func TestClockOfSupernodeJumps(t *testing.T) {
	s, a := newServer(maker(3).Key), maker(1)
	must(t, s.announce(t, 0, a, cjdns.Announcement{Reset: true}), "none")
	s.SetWall(mono.Time(time.Second), testWall+2000)
	if s.Nodes() != 1 {
		t.Error("forgotten for a second's difference")
	}
	s.SetWall(mono.Time(time.Second), testWall+3_600_000)
	if s.Nodes() != 0 {
		t.Error("still there after the clock has jumped by an hour")
	}
	must(t, s.announce(t, mono.Time(time.Second), a, cjdns.Announcement{Reset: true}), "none")
}

// Questions that make no sense, or come too fast, are not answered.
func TestQuestionsToSupernode(t *testing.T) {
	s, a := newServer(maker(3).Key), maker(1)
	now := mono.Time(time.Minute)
	ask := func(m cjdns.Message) *cjdns.Message { return s.HandleMessage(now, a.Node, &m, new(Out)) }
	m := ask(cjdns.Message{Version: 22, SubQuery: "pn", TxID: []byte("01t")})
	if m == nil || m.RecvTime == 0 || len(m.StateHash) != 64 || !isZero(m.StateHash) || string(m.TxID) != "01t" {
		t.Errorf("pn: %+v", m)
	}
	for _, q := range []cjdns.Message{
		{Version: 15, SubQuery: "pn"}, {Version: 22, SubQuery: "pc"},
		{Version: 22, SubQuery: "gr"}, {Version: 22, SubQuery: "gr", Source: a.IP[:], Target: a.IP[:15]},
	} {
		if r := ask(q); r != nil {
			t.Errorf("%+v was answered: %+v", q, r)
		}
	}
	if s.Strange != 4 {
		t.Errorf("%d counted", s.Strange)
	}
	answered := 0
	for range 10 * askerBurst {
		if ask(cjdns.Message{Version: 22, SubQuery: "gr", Source: a.IP[:], Target: a.IP[:]}) != nil {
			answered++
		}
	}
	if answered != askerBurst || s.RouteRate == 0 {
		t.Errorf("%d answered at once", answered)
	}
}
