package pathfinder

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// key returns a key that hashes into fc00::/8; equal seeds give equal keys.
func key(seed uint64) cjdns.Key {
	rng := rand.New(rand.NewPCG(seed, 7))
	for {
		var k cjdns.Key
		for i := 0; i < 32; i += 8 {
			binary.BigEndian.PutUint64(k[i:], rng.Uint64())
		}
		if k.IP().Valid() {
			return k
		}
	}
}

func node(seed uint64, label cjdns.Label) Node {
	k := key(seed)
	return Node{Key: k, IP: k.IP(), Version: 20, Label: label}
}

func newFinder() *Finder {
	rng := rand.New(rand.NewPCG(1, 2))
	return New(Config{Self: key(0), Protocol: 20, Rand: func(b []byte) {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}})
}

// answer lets f hear nodes in answer to the query q.
func answer(f *Finder, now mono.Time, q Query, out *Out, nodes ...cjdns.NodeRef) {
	m := &cjdns.Message{Version: 20, TxID: q.Msg.TxID, Nodes: nodes}
	f.HandleMessage(now, q.To, m, out)
}

func TestPeerIsAskedForItsLinks(t *testing.T) {
	f, out := newFinder(), new(Out)
	b := node(1, 0x13)
	f.PeerUp(0, b, out)
	if len(out.Queries) != 1 || out.Queries[0].Msg.Query != "gp" || out.Queries[0].To.Label != 0x13 {
		t.Fatalf("queries: %+v", out.Queries)
	}
	if p, ok := f.Path(0, b.IP); !ok || p.Label != 0x13 {
		t.Errorf("path to the peer: %v %v", p.Label, ok)
	}
	c := node(2, 0)
	q := out.Queries[0]
	out.Reset()
	answer(f, 1, q, out,
		cjdns.NodeRef{Key: c.Key, Label: 0x15, Version: 20},
		cjdns.NodeRef{Key: b.Key, Label: 1, Version: 20},
		cjdns.NodeRef{Key: key(0), Label: 0x13, Version: 20}) // ourselves
	if p, ok := f.Path(1, c.IP); !ok || p.Label != 0x153 {
		t.Errorf("path to the peer's peer: %v %v, want 0x153", p.Label, ok)
	}
	if f.Len() != 2 {
		t.Errorf("%d nodes, want 2", f.Len())
	}
}

func TestAnswersNobodyAskedForAreDropped(t *testing.T) {
	f, out := newFinder(), new(Out)
	b := node(1, 0x13)
	f.PeerUp(0, b, out)
	q := out.Queries[0]
	other := Query{To: node(3, 0x15), Msg: q.Msg}
	answer(f, 1, other, out, cjdns.NodeRef{Key: key(2), Label: 0x15, Version: 20})
	q.Msg.TxID = []byte("0112345678")
	answer(f, 1, q, out, cjdns.NodeRef{Key: key(2), Label: 0x15, Version: 20})
	if f.Len() != 1 || f.Unasked != 2 {
		t.Errorf("%d nodes known, %d answers counted as unasked", f.Len(), f.Unasked)
	}
}

func TestSearchWalksTowardsTheTarget(t *testing.T) {
	f, out := newFinder(), new(Out)
	b, c, d := node(1, 0x13), node(2, 0), node(3, 0)
	f.PeerUp(0, b, out)
	out.Reset()
	f.Search(0, d.IP, 0, 0, out)
	if len(out.Queries) != 1 || out.Queries[0].Msg.Query != "fn" {
		t.Fatalf("queries: %+v", out.Queries)
	}
	q := out.Queries[0]
	out.Reset()
	answer(f, 1, q, out, cjdns.NodeRef{Key: c.Key, Label: 0x15, Version: 20})
	if len(out.Queries) != 1 || out.Queries[0].To.IP != c.IP || out.Queries[0].To.Label != 0x153 {
		t.Fatalf("next step: %+v", out.Queries)
	}
	q = out.Queries[0]
	out.Reset()
	answer(f, 2, q, out, cjdns.NodeRef{Key: d.Key, Label: 0x17, Version: 20})
	if len(out.Found) != 1 || out.Found[0] != d.IP {
		t.Fatalf("found: %v", out.Found)
	}
	if p, _ := f.Path(2, d.IP); p.Label != 0x1753 {
		t.Errorf("path %v, want 0x1753", p.Label)
	}
	if f.Searches() != 1 {
		t.Error("a name is taken for an answer")
	}
	out.Reset()
	target, _ := f.Path(3, d.IP)
	f.Ping(3, target, out)
	answer(f, 4, out.Queries[0], out)
	if f.Searches() != 0 || len(out.Found) != 0 {
		t.Error("the search goes on")
	}
}

func TestSearchEndsWithoutAnswer(t *testing.T) {
	f, out := newFinder(), new(Out)
	f.PeerUp(0, node(1, 0x13), out)
	out.Reset()
	target := key(9).IP()
	f.Search(0, target, 0, 0, out)
	now := mono.Time(0)
	for len(out.Failed) == 0 {
		now = f.Deadline()
		if now > mono.Time(10*time.Second) {
			t.Fatal("it never ends")
		}
		f.Expire(now, out)
	}
	if out.Failed[0] != target {
		t.Errorf("failed: %v", out.Failed)
	}
	t.Logf("gave up after %v", now.Sub(0))
}

// With nobody to ask, a search ends at once and is not left behind.
func TestSearchAlone(t *testing.T) {
	f, out := newFinder(), new(Out)
	f.Search(0, key(9).IP(), 0, 0, out)
	if len(out.Failed) != 1 || f.Searches() != 0 {
		t.Errorf("failed %v, %d running", out.Failed, f.Searches())
	}
}

func TestBadRoutesRestAndReturn(t *testing.T) {
	f, out := newFinder(), new(Out)
	b, c := node(1, 0x13), node(2, 0x153)
	f.PeerUp(0, b, out)
	f.Heard(0, c)
	f.Heard(0, Node{c.Key, c.IP, 20, 0x1753})
	if p, _ := f.Path(0, c.IP); p.Label != 0x153 {
		t.Fatalf("path %v, want the shorter", p.Label)
	}
	f.Bad(0, c.IP, 0x153)
	if p, _ := f.Path(0, c.IP); p.Label != 0x1753 {
		t.Errorf("path %v, want the other", p.Label)
	}
	f.Bad(0, c.IP, 0x1753)
	if _, ok := f.Path(0, c.IP); ok {
		t.Error("a path although both are bad")
	}
	if _, ok := f.Path(mono.Time(time.Second), c.IP); !ok {
		t.Error("no path after a second of rest")
	}
}

func TestPeerDownTakesItsRoutesAway(t *testing.T) {
	f, out := newFinder(), new(Out)
	f.PeerUp(0, node(1, 0x13), out)
	f.PeerUp(0, node(4, 0x15), out)
	f.Heard(0, node(2, 0x153))
	f.Heard(0, Node{key(2), key(2).IP(), 20, 0x175})
	f.PeerDown(1, 0x13)
	if _, ok := f.Path(1, key(1).IP()); ok {
		t.Error("the peer that is gone has a path")
	}
	if p, ok := f.Path(1, key(2).IP()); !ok || p.Label != 0x175 {
		t.Errorf("path %v %v, want 0x175 through the other peer", p.Label, ok)
	}
}

func TestQueriesAreAnswered(t *testing.T) {
	f, out := newFinder(), new(Out)
	asker := node(1, 0x13)
	f.PeerUp(0, asker, out)
	for i := range 10 {
		d, bits := cjdns.PortDirector(uint16(i+2), 0)
		f.PeerUp(0, node(uint64(10+i), cjdns.Label(d)|1<<bits), out)
	}
	ask := func(q string, target []byte) *cjdns.Message {
		return f.HandleMessage(0, asker, &cjdns.Message{Version: 20, Query: q, TxID: []byte("0xyz"), Target: target}, out)
	}
	for _, q := range []string{"pn", "something new"} {
		if r := ask(q, nil); r == nil || string(r.TxID) != "0xyz" || len(r.Nodes) != 0 || r.Version != 20 || !r.HasScheme {
			t.Errorf("%s: %+v", q, r)
		}
	}
	r := ask("gp", make([]byte, 8))
	if len(r.Nodes) != 8 || r.Nodes[7].Label != 1 || r.Nodes[7].Key != key(0) {
		t.Fatalf("gp from 0: %+v", r.Nodes)
	}
	for i := 1; i < 8; i++ {
		if r.Nodes[i-1].Label <= r.Nodes[i].Label {
			t.Errorf("gp: label %v before %v", r.Nodes[i-1].Label, r.Nodes[i].Label)
		}
	}
	more := ask("gp", binary.BigEndian.AppendUint64(nil, uint64(r.Nodes[0].Label)))
	if len(more.Nodes) != 5 || more.Nodes[4].Label != r.Nodes[0].Label {
		t.Errorf("gp from the highest label: %d nodes, want it and 4 more", len(more.Nodes))
	}
	target := key(12).IP()
	r = ask("fn", target[:])
	if len(r.Nodes) != 8 || r.Nodes[7].Key != key(12) {
		t.Errorf("fn: the nearest node does not come last: %+v", r.Nodes)
	}
	for _, n := range r.Nodes {
		if n.Key == asker.Key {
			t.Error("fn lists the asker")
		}
	}
	if r = ask("nh", target[:]); len(r.Nodes) != 1 || r.Nodes[0].Key != key(12) {
		t.Errorf("nh: %+v", r.Nodes)
	}
	for _, q := range []string{"gp", "fn", "nh"} {
		if ask(q, []byte{1, 2, 3}) != nil {
			t.Errorf("%s with a short target was answered", q)
		}
	}
	old := &cjdns.Message{Version: 15, Query: "pn"}
	if f.HandleMessage(0, asker, old, out) != nil {
		t.Error("version 15 was answered")
	}
	// An asker on a wide slot gets labels that it can use.
	wide := asker
	wide.Label = 0x86
	r = f.HandleMessage(0, wide, &cjdns.Message{Version: 20, Query: "gp", Target: make([]byte, 8)}, out)
	for _, n := range r.Nodes {
		if n.Label != 1 && cjdns.FormOf(n.Label) < 1 {
			t.Errorf("label %v cannot be reached from a slot of 7 bits", n.Label)
		}
	}
}

// A neighbour that answers with thousands of invented nodes fills the store
// to its bound, and the peers stay.
func TestStoreIsBounded(t *testing.T) {
	f, out := newFinder(), new(Out)
	b := node(1, 0x13)
	f.PeerUp(0, b, out)
	for i := range 3000 {
		k := cjdns.Key{0: byte(i), 1: byte(i >> 8), 5: 77}
		f.learn(mono.Time(i)*mono.Time(time.Millisecond), Node{k, k.IP(), 20, 0x153})
	}
	if f.Len() > MaxNodes+1 {
		t.Errorf("%d nodes, limit %d", f.Len(), MaxNodes)
	}
	if p, ok := f.Path(0, b.IP); !ok || p.Label != 0x13 {
		t.Error("the peer was pushed out")
	}
	for i := range 2 * MaxSearches {
		k := cjdns.Key{0: byte(i), 9: 1}
		f.Search(0, k.IP(), 0, 0, out)
	}
	if f.Searches() > MaxSearches || len(f.pending) > maxPending {
		t.Errorf("%d searches, %d pending", f.Searches(), len(f.pending))
	}
	f.Expire(mono.Time(10*time.Minute), out)
	if f.Len() != 1 || len(f.pending) > maxPending {
		t.Errorf("%d nodes after ten silent minutes", f.Len())
	}
}

// What the tables may grow to, in bytes: docs/protocol/dht.md says it.
func TestMemoryOfTheTables(t *testing.T) {
	e := unsafe.Sizeof(entry{}) + maxRoutes*unsafe.Sizeof(Route{})
	s := unsafe.Sizeof(search{}) + (maxNamed+maxClaims)*unsafe.Sizeof(claim{}) + 2*maxAsked*unsafe.Sizeof(Node{})
	t.Logf("a node %d bytes, a search %d", e, s)
	if e > 512 || s > 16<<10 {
		t.Error("more than is documented")
	}
}

func TestDistanceSwapsHalves(t *testing.T) {
	a := cjdns.IP{0: 0xfc, 8: 1}
	b := cjdns.IP{0: 0xfc, 15: 1}
	zero := cjdns.IP{0: 0xfc}
	if !DistanceOf(b, zero).Less(DistanceOf(a, zero)) {
		t.Error("byte 8 must weigh more than byte 15")
	}
	c := cjdns.IP{0: 0xfc, 7: 0xff}
	if !DistanceOf(c, zero).Less(DistanceOf(b, zero)) {
		t.Error("the low half must weigh more than the high half")
	}
}
