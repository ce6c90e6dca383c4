package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/pathfinder"
)

// super makes h a supernode; others are those of its community. Without role
// it only uses them.
func (h *host) super(role bool, others ...*host) {
	var keys []cjdns.Key
	for _, o := range others {
		keys = append(keys, o.id.Public)
	}
	h.node.SetSupernodes(h.w.now, keys, role, &h.out)
	h.drain()
}

// uses reports whether s is the supernode that h uses.
func (h *host) uses(s *host) bool { return h.node.supernodeStatus().Active == s.id.IP.String() }

// chain makes n hosts in a line, of which each dials the next.
func chain(t *testing.T, seed uint64, n int) *world {
	w := newWorld(t, seed)
	for i := range n {
		w.host(fmt.Sprintf("n%d", i), 0).user("p")
	}
	for i := range n - 1 {
		w.hosts[i].dial(w.hosts[i+1], "p")
	}
	return w
}

// complete waits until s knows so many nodes and links.
func (w *world) complete(s *host, nodes, links int) time.Duration {
	w.t.Helper()
	return w.until(40*time.Second, s.name+" knows all", func() bool {
		st := s.node.supernodeStatus()
		return st.Nodes == nodes && st.Links == links
	})
}

// hear lets a send to b until it arrives, and returns how long it took.
func (w *world) hear(a, b *host, limit time.Duration) time.Duration {
	w.t.Helper()
	text := fmt.Sprintf("%s to %s at %d", a.name, b.name, w.now)
	next := w.now
	return w.until(limit, a.name+" reaches "+b.name, func() bool {
		if w.now >= next {
			a.tell(b, text)
			next = w.now.Add(100 * time.Millisecond)
		}
		return b.heard(text)
	})
}

// A chain of five with a supernode at one end: everybody finds it, announces
// its links, is told ways, and reaches everybody.
func TestSupernodeOfAChain(t *testing.T) {
	w := chain(t, 900, 5)
	w.calm() // nobody is known beyond the neighbours' neighbours
	s := w.hosts[4]
	s.super(true)
	for _, h := range w.hosts {
		took := w.until(10*time.Second, h.name+" finds the supernode", func() bool { return h.uses(s) })
		t.Logf("%s: %v", h.name, took)
	}
	t.Logf("complete after %v more", w.complete(s, 5, 8))
	w.run(time.Second)
	for _, h := range w.hosts {
		if st := h.node.supernodeStatus(); st.Restarts != 0 || st.Accepted == 0 {
			t.Errorf("%s: %+v", h.name, st)
		}
	}
	w.talk(time.Second)
	if st := s.node.supernodeStatus(); st.Routes == 0 {
		t.Errorf("no way was asked for: %+v", st)
	}
	if d := s.node.Status(w.now).Drops; len(d) > 0 {
		for k := range d {
			if len(k) > 9 && k[:9] == "supernode" {
				t.Errorf("drops %v", d)
			}
		}
	}
	// What is told later goes on without beginning anew, link states too.
	w.run(25 * time.Minute)
	for _, h := range w.hosts {
		if st := h.node.supernodeStatus(); st.Restarts != 0 || st.Accepted < 20 || st.Announced == 0 {
			t.Errorf("%s after 25 minutes: %+v", h.name, st)
		}
	}
	if st := s.node.supernodeStatus(); st.Nodes != 5 || st.Links != 8 {
		t.Errorf("after 25 minutes: %+v", st)
	}
	// A link that breaks is withdrawn by both ends.
	w.drop = func(from, to *host, _ []byte) bool {
		return slices.Contains([]string{"n1n2", "n2n1"}, from.name+to.name)
	}
	w.until(20*time.Second, "the link is withdrawn", func() bool { return s.node.supernodeStatus().Links <= 7 })
}

// A star of twelve around a supernode, whose slots have labels of two widths:
// each label that it tells leads to the right node.
func TestSupernodeOfAStar(t *testing.T) {
	w := newWorld(t, 901)
	s := w.host("s", 0).user("p")
	s.super(true)
	for i := range 12 {
		w.host(fmt.Sprintf("n%d", i), 0).dial(s, "p")
	}
	w.complete(s, 13, 24)
	w.run(time.Second)
	for _, from := range w.hosts[1:] {
		for _, to := range w.hosts[1:] {
			if from == to {
				continue
			}
			m := s.node.super.server.HandleMessage(w.now, pathfinder.Node{Label: 0x13}, &cjdns.Message{
				Version: 22, SubQuery: "gr", Source: from.id.IP[:], Target: to.id.IP[:],
			}, new(pathfinder.Out))
			if m == nil || len(m.Nodes) != 1 {
				t.Fatalf("%s to %s: %+v", from.name, to.name, m)
			}
			from.reps = nil
			from.node.PingLabel(w.now, 1, m.Nodes[0].Label, true, time.Second, &from.out)
			from.drain()
			w.until(time.Second, "an answer", func() bool { return len(from.reps) > 0 })
			if r := from.reps[0]; !r.OK || r.Key != to.id.Public {
				t.Errorf("%s to %s by %v: %+v", from.name, to.name, m.Nodes[0].Label, r)
			}
			w.run(100 * time.Millisecond)
		}
	}
}

// A node's clock is an hour off, and the supernode's is not: announcements are
// dated by the time that the supernode says.
func TestSupernodeAndWrongClocks(t *testing.T) {
	w := chain(t, 902, 3)
	w.hosts[0].skew, w.hosts[1].skew = time.Hour, -time.Hour
	s := w.hosts[2]
	s.super(true)
	w.complete(s, 3, 4)
	for _, h := range w.hosts {
		if st := h.node.supernodeStatus(); st.Restarts != 0 {
			t.Errorf("%s: %+v", h.name, st)
		}
	}
}

// twoSupernodes makes a ring of six with supernodes of one community at n0 and
// n3, each the other's partner; all others may use both.
func twoSupernodes(t *testing.T, seed uint64) (w *world, s1, s2 *host) {
	w = chain(t, seed, 6)
	w.hosts[5].dial(w.hosts[0], "p")
	s1, s2 = w.hosts[0], w.hosts[3]
	s1.super(true, s2)
	s2.super(true, s1)
	for i, h := range w.hosts {
		if i != 0 && i != 3 {
			h.super(false, s1, s2)
		}
	}
	return w, s1, s2
}

// Two supernodes know the same, though everybody tells only one of them. When
// that dies, new paths are found within two seconds and no pair is lost.
func TestSupernodeFailsOver(t *testing.T) {
	w, s1, s2 := twoSupernodes(t, 903)
	w.complete(s1, 6, 12)
	t.Logf("the other one knows all after %v more", w.complete(s2, 6, 12))
	w.run(40 * time.Second) // both are known to all
	if !w.hosts[1].uses(s1) || !w.hosts[5].uses(s1) || !w.hosts[2].uses(s2) {
		t.Error("not everybody uses the nearer one, which was up first")
	}
	s1.dead = true
	w.run(5 * time.Second) // its peers have noticed; nobody has asked yet
	for _, p := range [][2]int{{1, 5}, {2, 4}, {5, 2}, {4, 1}} {
		took := w.hear(w.hosts[p[0]], w.hosts[p[1]], 2*time.Second)
		t.Logf("n%d to n%d after %v", p[0], p[1], took)
	}
	for i, h := range w.hosts {
		if h == s1 || h == s2 {
			continue
		}
		w.until(40*time.Second, fmt.Sprintf("n%d uses the other", i), func() bool { return h.uses(s2) })
	}
	w.until(20*time.Second, "all have told it", func() bool {
		for i, h := range w.hosts {
			if i != 0 && i != 3 && h.node.supernodeStatus().Announced == 0 {
				return false
			}
		}
		return true
	})
	w.talk(2 * time.Second)
}

// Labels that lead nowhere, elsewhere, or in a loop cost the time of a trial:
// then nodes are asked, as if there were no supernode.
func TestSupernodeWithFalseLabels(t *testing.T) {
	for _, c := range []struct {
		name  string
		label uint32
		most  time.Duration
	}{{"the right one", 0x15, 100 * time.Millisecond}, {"an empty slot", 0x1b, time.Second}, {"back to where it came from", 0x13, time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			w := chain(t, 904, 4)
			w.calm()
			s, far := w.hosts[1], w.hosts[3]
			w.until(time.Second, "the last link is up", func() bool { return far.up(w.hosts[2]) })
			// It tells no supernode itself.
			far.node.super.client = pathfinder.NewClient(far.node.finderConfig(), pathfinder.New(far.node.finderConfig()))
			s.super(true)
			w.complete(s, 3, 4+1) // n2 says that it reaches far
			mid := w.hosts[2].id
			a := cjdns.Announcement{
				Snode: s.id.IP, Reset: true, Time: uint64(worldStart*1000 + int64(w.now)/1e6), Version: 22, Scheme: cjdns.SerializeScheme(cjdns.V358),
				Peers: []cjdns.AnnouncedPeer{{PeerNum: 0x13, IP: mid.IP, Label: c.label}},
			}
			liar := pathfinder.Node{Key: far.id.Public, IP: far.id.IP, Version: 22, Label: 0x153}
			if m := s.node.super.server.HandleMessage(w.now, liar, &cjdns.Message{Version: 22, SubQuery: "ann", Ann: a.AppendSigned(nil, far.sign, w.random)}, &s.node.found); m != nil {
				t.Fatalf("%+v", m)
			}
			s.node.flush(w.now, &s.out)
			s.drain()
			w.complete(s, 4, 6)
			w.run(2 * time.Second)
			before := w.hosts[0].node.super.client.Asked
			took := w.hear(w.hosts[0], far, c.most)
			t.Logf("reached after %v", took)
			if w.hosts[0].node.super.client.Asked == before || s.node.supernodeStatus().Routes == 0 {
				t.Error("the supernode was not asked, so it could not lie")
			}
		})
	}
}

// Agents of an island announce themselves through its gateway, the peerings of
// which lead in and out, so that nodes outside reach every one of them. What
// they are for each other within the mesh nobody else is told.
func TestSupernodeOutsideOfAnIsland(t *testing.T) {
	w := islands(t, 905, 4, 1)
	gate, s := w.hosts[3], w.hosts[4]
	s.super(true)
	for range 40 {
		w.introduce()
		w.run(500 * time.Millisecond)
	}
	// The gateway with the supernode, and each of the others with the gateway.
	w.complete(s, 5, 2+3*2)
	for _, h := range w.hosts[:3] {
		t.Logf("%s from outside after %v", h.name, w.hear(s, h, time.Second))
		if st := h.node.supernodeStatus(); st.Announced != 1 {
			t.Errorf("%s: %+v", h.name, st)
		}
	}
	w.hear(w.hosts[0], w.hosts[1], time.Second) // inside
	w.run(30 * time.Second)
	if st := s.node.supernodeStatus(); st.Nodes != 5 || st.Links != 8 {
		t.Errorf("after traffic inside: %+v", st)
	}
	if gate.meshPeers() != 3 {
		t.Errorf("%d peerings of the gateway", gate.meshPeers())
	}
}

// Questions for a supernode are dropped and counted by a node that is none,
// and status says what it knows otherwise.
func TestSupernodeStatus(t *testing.T) {
	w := chain(t, 906, 2)
	a, b := w.hosts[0], w.hosts[1]
	b.super(true)
	w.complete(b, 2, 2)
	w.run(time.Second)
	st := a.node.Status(w.now)
	if k := st.Supernode.Known; len(k) != 1 || k[0].State != "active" || k[0].IP != b.id.IP.String() || st.Supernode.Role || st.Supernode.Announced != 1 {
		t.Errorf("%+v", st.Supernode)
	}
	st = b.node.Status(w.now)
	if !st.Supernode.Role || st.Supernode.Nodes != 2 || st.Supernode.Taken < 2 {
		t.Errorf("%+v", st.Supernode)
	}
	names := make(map[string]int)
	for _, row := range st.Tables {
		names[row.Name] = row.Used
	}
	if names["graph-nodes"] != 2 || names["graph-links"] != 2 || names["supernodes"] != 0 {
		t.Errorf("tables %v", names)
	}
	b.super(false)
	w.until(2*time.Minute, "it is left", func() bool { return a.node.supernodeStatus().Active == "" })
	if d := b.node.Status(w.now).Drops["no-supernode"]; d == 0 {
		t.Error("questions to a node that is none are not counted")
	}
	b.super(true)
	w.until(2*time.Minute, "it is found again", func() bool { return a.uses(b) })
}

// Clients of a supernode have a session each: there is room for more of them
// than a node needs that serves nobody.
func TestSupernodeHasRoomForItsClients(t *testing.T) {
	w := newWorld(t, 940)
	h := w.host("a", 0)
	limit := func() int {
		for _, row := range h.node.Status(w.now).Tables {
			if row.Name == "sessions" {
				return row.Limit
			}
		}
		return 0
	}
	if n := limit(); n != MaxSessions {
		t.Errorf("room for %d", n)
	}
	h.super(true)
	for i := range 2 * MaxServed {
		key := cjdns.Key{0: byte(i), 1: byte(i >> 8)}
		h.node.newSession(w.now, key, key.IP())
		if i == MaxServed-1 && h.node.sessions.Evicted != 0 {
			t.Fatal("a session was dropped for another one")
		}
	}
	if n := h.node.sessions.Len(); n > MaxServed || limit() != MaxServed {
		t.Errorf("%d sessions, room for %d", n, limit())
	}
	if h.super(false); limit() != MaxSessions {
		t.Errorf("room for %d without the role", limit())
	}
}

// A supernode that was away for minutes is found again as soon as it is back:
// by its peers because they hear it, by the others because these tell.
func TestSupernodeComesBack(t *testing.T) {
	for seed := range uint64(4) {
		w := chain(t, 930+seed, 6)
		s := w.hosts[5]
		s.super(true)
		if seed%2 == 0 { // configured, else named by peers
			for _, h := range w.hosts[:5] {
				h.super(false, s)
			}
		}
		w.run(time.Minute)
		w.drop = func(from, to *host, _ []byte) bool { return touches(s, from, to) }
		w.run(4*time.Minute + time.Duration(seed)*7*time.Second)
		w.drop = nil
		w.until(4*time.Second, "all use it again", func() bool {
			return !slices.ContainsFunc(w.hosts[:5], func(h *host) bool { return !h.uses(s) })
		})
	}
}

// Clients and their supernode ask each other as often as is documented, and do
// not measure the ways between them as if programs used them.
func TestSupernodeAtRest(t *testing.T) {
	w := chain(t, 970, 12)
	w.hosts[11].dial(w.hosts[0], "p")
	s := w.hosts[5]
	s.super(true)
	w.run(10 * time.Minute)
	for _, h := range w.hosts {
		if !h.uses(s) {
			t.Fatalf("%s does not use the supernode", h.name)
		}
	}
	frames, bytes := 0, 0
	w.tap = func(_, _ *host, frame []byte) { frames, bytes = frames+1, bytes+len(frame) }
	const rest = 20 * time.Minute
	w.run(rest)
	per := len(w.hosts) * int(rest/time.Second)
	t.Logf("%.2f frames and %d bytes a second of each node", float64(frames)/float64(per), bytes/per)
	if bytes/per > 300 {
		t.Errorf("%d bytes a second of each node", bytes/per)
	}
}
