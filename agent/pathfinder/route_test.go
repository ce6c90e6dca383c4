package pathfinder

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// f4 and v48 are schemes that other builds of cjdns have.
var (
	f4  = cjdns.EncodingScheme{{BitCount: 4}}
	v48 = cjdns.EncodingScheme{{BitCount: 4, PrefixLen: 1, Prefix: 1}, {BitCount: 8, PrefixLen: 1, Prefix: 0}}
)

// field is a graph that the test makes itself, with the slots of each node.
type field struct {
	*graph
	slots [][]int32 // per node: whom each slot leads to; -1: nobody
}

// newField makes n nodes with the schemes given, in turn.
func newField(n int, schemes ...cjdns.EncodingScheme) *field {
	f := &field{graph: newGraph(), slots: make([][]int32, n)}
	f.stale = true
	for i := range n {
		var k cjdns.Key
		binary.BigEndian.PutUint64(k[8:], uint64(i)+1)
		v := &vertex{key: k, ip: k.IP(), version: 22, scheme: schemes[i%len(schemes)], index: int32(i)}
		f.all = append(f.all, v)
		f.byIP[v.ip] = v
		f.slots[i] = []int32{-1, -1} // slot 1 is the own router
	}
	return f
}

// slot gives a node the next free slot towards another, or the one asked for.
func (f *field) slot(of int, to int, at int) uint16 {
	s := &f.slots[of]
	if at == 0 {
		for at = 0; at < len(*s) && (at == 1 || (*s)[at] >= 0); at++ {
		}
	}
	for len(*s) <= at {
		*s = append(*s, -1)
	}
	(*s)[at] = int32(to)
	return uint16(at)
}

// director writes a slot in the narrowest form of a scheme.
func director(s cjdns.EncodingScheme, slot uint16) cjdns.Label {
	if len(s) == 3 { // v358
		d, bits := cjdns.PortDirector(slot, 0)
		return cjdns.Label(d) | 1<<bits
	}
	for _, form := range s {
		if int(slot) < 1<<form.BitCount {
			return (cjdns.Label(slot)<<form.PrefixLen | cjdns.Label(form.Prefix)) | 1<<form.Width()
		}
	}
	return cjdns.LabelInvalid
}

// link joins a and b; atA and atB are their slots, 0 for the next free one.
func (f *field) link(a, b, atA, atB int, lagA, lagB uint16) {
	la := director(f.all[a].scheme, f.slot(a, b, atA))
	lb := director(f.all[b].scheme, f.slot(b, a, atB))
	f.announce(a, b, la, lb, lagA)
	f.announce(b, a, lb, la, lagB)
}

// announce lets v say that u reaches it by toV; its own label for u is toU.
func (f *field) announce(v, u int, toU, toV cjdns.Label, lag uint16) {
	p := cjdns.AnnouncedPeer{Form: uint8(f.all[v].scheme.FormOf(toU)), PeerNum: uint16(toU), IP: f.all[u].ip, Label: uint32(toV)}
	f.all[v].setLink(&p, nil, maxNodeLinks)
	l := &f.all[v].links[len(f.all[v].links)-1]
	l.lag = lag
	f.links++
}

// walk follows label from a node as switches do, and returns where it ends;
// -1 if some switch refuses it.
func (f *field) walk(from int32, label cjdns.Label) int32 {
	at, in := from, 0 // width of the slot by which the frame came in
	for label != 1 {
		s := f.all[at].scheme
		form := s.FormOf(label)
		if form < 0 || form < in {
			return -1 // no such form, or no way back through it
		}
		width := s[form].Width()
		var slot uint16
		if len(s) == 3 {
			slot, _ = cjdns.PortOf(label)
		} else {
			slot = uint16(uint64(label) >> s[form].PrefixLen & (1<<s[form].BitCount - 1))
		}
		if int(slot) >= len(f.slots[at]) || f.slots[at][slot] < 0 {
			return -1
		}
		next := f.slots[at][slot]
		label >>= width
		back := cjdns.LabelInvalid
		for i, to := range f.slots[next] {
			if to == at {
				back = director(f.all[next].scheme, uint16(i))
			}
		}
		at, in = next, f.all[next].scheme.FormOf(back)
	}
	return at
}

// Labels lead where they should, over nodes with slots of all widths and with
// different encoding schemes.
func TestLabelsOfMixedSchemes(t *testing.T) {
	for _, c := range []struct {
		name    string
		schemes []cjdns.EncodingScheme
		slots   []int // cycles through these, on every node
	}{
		{"narrow", []cjdns.EncodingScheme{cjdns.V358}, []int{2, 3}},
		{"wide then narrow", []cjdns.EncodingScheme{cjdns.V358}, []int{40, 2}},
		{"middle and narrow", []cjdns.EncodingScheme{cjdns.V358}, []int{9, 2}},
		{"all widths", []cjdns.EncodingScheme{cjdns.V358}, []int{200, 12, 3, 7, 33}},
		{"two schemes", []cjdns.EncodingScheme{cjdns.V358, v48}, []int{2, 3, 5}},
		{"two schemes, wide", []cjdns.EncodingScheme{cjdns.V358, v48}, []int{20, 3, 9}},
		{"three schemes", []cjdns.EncodingScheme{cjdns.V358, f4, v48}, []int{2, 3, 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const n = 5
			f := newField(n, c.schemes...)
			used, next := make([]map[int]bool, n), 0
			pick := func(node int) int {
				at := c.slots[next%len(c.slots)]
				next++
				for used[node][at] {
					at++
				}
				if used[node] == nil {
					used[node] = make(map[int]bool)
				}
				used[node][at] = true
				return at
			}
			for i := range n - 1 {
				f.link(i, i+1, pick(i), pick(i+1), 1, 1)
			}
			f.compile(0, cjdns.IP{})
			for from := range int32(n) {
				for to := range int32(n) {
					if from == to {
						continue
					}
					l := f.route(from, to)
					if got := f.walk(from, l); got != to {
						t.Errorf("%d to %d: label %v ends at %d", from, to, l, got)
					}
				}
			}
		})
	}
}

// randomField makes a connected graph of n nodes with about degree links each.
func randomField(n, degree int, seed uint64) *field {
	rng := rand.New(rand.NewPCG(seed, 5))
	f := newField(n, cjdns.V358)
	have := make(map[[2]int]bool)
	join := func(a, b int) {
		if a == b || have[[2]int{min(a, b), max(a, b)}] || len(f.slots[a]) > 200 || len(f.slots[b]) > 200 {
			return
		}
		have[[2]int{min(a, b), max(a, b)}] = true
		f.link(a, b, 0, 0, uint16(1+rng.IntN(60)), uint16(1+rng.IntN(60)))
	}
	for i := 1; i < n; i++ {
		join(i, rng.IntN(i))
	}
	for range n * (degree - 2) / 2 {
		join(rng.IntN(n), rng.IntN(n))
	}
	f.compile(0, cjdns.IP{})
	return f
}

// The paths are the cheapest, as a search that looks at everything says.
func TestShortestAgainstPlainSearch(t *testing.T) {
	f := randomField(150, 4, 1)
	n := len(f.all)
	const never = ^uint32(0)
	for from := range int32(n) {
		dist := make([]uint32, n)
		for i := range dist {
			dist[i] = never
		}
		dist[from] = 0
		for changed := true; changed; {
			changed = false
			for u := range n {
				for _, h := range f.hops[f.start[u]:f.start[u+1]] {
					if dist[u] != never && dist[u]+h.cost < dist[h.to] {
						dist[h.to], changed = dist[u]+h.cost, true
					}
				}
			}
		}
		for to := range int32(n) {
			path, cost := f.shortest(from, to, false), uint32(0)
			if len(path) == 0 || path[0] != from || path[len(path)-1] != to {
				t.Fatalf("%d to %d: path %v", from, to, path)
			}
			for i := 1; i < len(path); i++ {
				cost += f.between(path[i-1], path[i]).cost
			}
			if cost != dist[to] {
				t.Fatalf("%d to %d costs %d, want %d", from, to, cost, dist[to])
			}
			if l := f.labelOf(path); from != to && l != cjdns.LabelInvalid && f.walk(from, l) != to {
				t.Fatalf("%d to %d: label %v ends at %d", from, to, l, f.walk(from, l))
			}
		}
	}
}

// A path whose label would be too long gives way to one that fits.
func TestLongLabels(t *testing.T) {
	const n = 20
	f := newField(n, cjdns.V358)
	for i := range n - 1 {
		f.link(i, i+1, 0, 0, 1, 1)
	}
	f.link(0, n/2, 0, 0, 60_000, 60_000)
	f.compile(0, cjdns.IP{})
	if l := f.labelOf(f.shortest(0, n-1, false)); l != cjdns.LabelInvalid {
		t.Fatalf("the cheapest path has label %v", l)
	}
	if l := f.route(0, n-1); f.walk(0, l) != n-1 {
		t.Errorf("label %v ends at %d", l, f.walk(0, l))
	}
	if l := f.route(n-1, 0); f.walk(n-1, l) != 0 {
		t.Errorf("label %v ends at %d", l, f.walk(n-1, l))
	}
	g := newField(n, cjdns.V358)
	for i := range n - 1 {
		g.link(i, i+1, 0, 0, 1, 1)
	}
	g.compile(0, cjdns.IP{})
	if l := g.route(0, n-1); l != cjdns.LabelInvalid {
		t.Errorf("19 hops in one label: %v", l)
	}
	if l := g.route(0, 14); g.walk(0, l) != 14 {
		t.Errorf("14 hops: %v", l)
	}
}

// Thousands of nodes in a row whose links are as bad as can be announced: the
// sum of their costs does not fit into 32 bits. There is no way, and the search
// for it ends.
func TestCostsDoNotOverflow(t *testing.T) {
	const n = 6000
	f := newField(n, cjdns.V358)
	for i := range n - 1 {
		f.link(i, i+1, 0, 0, math.MaxUint16, math.MaxUint16)
	}
	for _, v := range f.all {
		for i := range v.links {
			v.links[i].drop = math.MaxUint16 - 1
		}
	}
	f.compile(0, f.all[0].ip)
	if c := f.hops[0].cost; maxWayCost/c < cjdns.MaxLabelLen {
		t.Errorf("%d links that cost %d each are too many for a way", maxWayCost/c, c)
	}
	for _, bits := range [...]bool{!byBits, byBits} {
		if p := f.shortest(0, n-1, bits); p != nil {
			t.Errorf("a way over %d nodes", len(p))
		}
	}
	if l := f.route(0, 12); f.walk(0, l) != 12 {
		t.Errorf("label %v ends at %d", l, f.walk(0, l))
	}
	if l := f.route(0, n-1); l != cjdns.LabelInvalid {
		t.Errorf("label %v", l)
	}
}

// What one end says alone counts for nothing: a link to somebody who does not
// announce it, a label that is no single hop, forms that are not there.
func TestForgedLinksAreNotUsed(t *testing.T) {
	f := newField(4, cjdns.V358)
	f.link(0, 1, 0, 0, 50, 50)
	f.link(1, 2, 0, 0, 50, 50)
	f.announce(3, 0, 0x13, 0x19, 1) // 3 says that 0 and 2 reach it
	f.announce(3, 2, 0x15, 0x19, 1)
	f.all[1].setLink(&cjdns.AnnouncedPeer{PeerNum: 99, IP: f.all[0].ip, Label: 0x1513}, nil, maxNodeLinks)
	f.all[1].setLink(&cjdns.AnnouncedPeer{PeerNum: 98, IP: f.all[0].ip, Label: 0x19, Form: 9}, nil, maxNodeLinks)
	f.all[1].setLink(&cjdns.AnnouncedPeer{PeerNum: 97, IP: f.all[1].ip, Label: 0x19}, nil, maxNodeLinks)
	f.compile(0, f.all[0].ip)
	if l := f.route(0, 3); l != cjdns.LabelInvalid {
		t.Errorf("a way to a node that nobody else knows: %v", l)
	}
	if l := f.route(0, 2); f.walk(0, l) != 2 {
		t.Errorf("label %v ends at %d", l, f.walk(0, l))
	}
	if f.all[3].linked || !f.all[2].linked {
		t.Error("the wrong nodes count as linked")
	}
	if n := len(f.hops); n != 4 {
		t.Errorf("%d hops", n)
	}
}

// Quality is the weight: a slow link, and one that loses, are gone around.
func TestQualityIsTheWeight(t *testing.T) {
	f := newField(3, cjdns.V358)
	f.link(0, 1, 0, 0, 10, 10)
	f.link(1, 2, 0, 0, 10, 10)
	f.link(0, 2, 0, 0, 40, 40)
	f.compile(0, cjdns.IP{})
	if p := f.shortest(0, 2, false); len(p) != 3 {
		t.Errorf("path %v", p)
	}
	for i := range f.all[1].links {
		f.all[1].links[i].drop = 0xfffe
	}
	f.stale, f.next = true, 0
	f.compile(0, cjdns.IP{})
	if p := f.shortest(0, 2, false); len(p) != 2 {
		t.Errorf("path %v over a link that loses a quarter", p)
	}
	var q quality
	if q.cost() != (unknownLag+2)*16 {
		t.Errorf("cost %d of a link of which nothing is known", q.cost())
	}
	q.update([]cjdns.LinkSample{{Lag: 0, Drop: 9999}, {Lag: 100}, {Lag: 20}})
	if q.lag != 80 || q.drop != 0 {
		t.Errorf("%+v", q)
	}
	for range 100 {
		q.update([]cjdns.LinkSample{{Lag: 1 << 30, Drop: 1 << 30}})
	}
	if q.cost() > 1<<30 {
		t.Errorf("cost %d", q.cost())
	}
}

// A node gives way to new ones only if there is no way to it and it was not
// heard of for a while.
func TestGraphIsBounded(t *testing.T) {
	f := newField(MaxGraphNodes, cjdns.V358)
	f.link(0, 1, 0, 0, 1, 1)
	f.compile(0, f.all[0].ip)
	k := cjdns.Key{5: 1}
	if _, ok := f.add(mono.Time(time.Second), k, cjdns.VerifyKey{}); ok {
		t.Fatal("there was room")
	}
	now := mono.Time(strangerFresh)
	for i := range 1000 {
		k[9] = byte(i)
		k[10] = byte(i >> 8)
		if _, ok := f.add(now, k, cjdns.VerifyKey{}); !ok {
			t.Fatalf("no room for stranger %d", i)
		}
	}
	if len(f.byIP) != MaxGraphNodes || f.byIP[f.all[0].ip] == nil || f.byIP[f.all[1].ip] == nil {
		t.Errorf("%d nodes, or those with a way to us are gone", len(f.byIP))
	}
	f.next = 0
	f.compile(now, f.all[0].ip)
	if len(f.all) != MaxGraphNodes {
		t.Errorf("%d nodes after the gone ones are swept out", len(f.all))
	}
	v := f.all[0]
	for i := range 1000 {
		v.setLink(&cjdns.AnnouncedPeer{PeerNum: uint16(i), IP: f.all[1].ip, Label: 0x13}, nil, maxNodeLinks)
	}
	if len(v.links) > maxNodeLinks {
		t.Errorf("%d links of one node", len(v.links))
	}
}

// Nodes that are known do not fill the memory either: while all together have
// said too much, each keeps what fits into its share, and can begin anew.
func TestKnownNodesAreBounded(t *testing.T) {
	g := newGraph()
	k := cjdns.Key{5: 1}
	v, _ := g.add(0, k, cjdns.VerifyKey(k))
	say := func(round int, reset bool) {
		a := &cjdns.Announcement{Time: uint64(1 + round), Reset: reset, Version: 22, Scheme: cjdns.SerializeScheme(cjdns.V358)}
		for j := range 25 {
			a.Peers = append(a.Peers, cjdns.AnnouncedPeer{PeerNum: uint16(100*round + j), IP: v.ip, Label: 0x13})
		}
		g.apply(0, v, a, a.Append(nil))
	}
	const bytes, links = maxGraphBytes, MaxGraphLinks // of others
	g.bytes, g.links = bytes, links
	for round := range 100 {
		say(round, false)
	}
	if v.log.size > fairBytes || len(v.links) > fairLinks || len(v.log.list) == 0 {
		t.Errorf("%d bytes, %d announcements, %d links", v.log.size, len(v.log.list), len(v.links))
	}
	say(100, true)
	if len(v.log.list) != 1 || len(v.links) != fairLinks {
		t.Errorf("%d announcements, %d links after it began anew", len(v.log.list), len(v.links))
	}
	if g.bytes != bytes+v.log.size || g.links != links+len(v.links) {
		t.Errorf("counted as %d bytes and %d links", g.bytes-bytes, g.links-links)
	}
	g.bytes, g.links = v.log.size, len(v.links) // the others are forgotten
	for round := range 100 {
		say(101+round, false)
	}
	if v.log.size <= fairBytes || v.log.size > maxLog || len(v.links) != maxNodeLinks {
		t.Errorf("%d bytes, %d links with nobody else", v.log.size, len(v.links))
	}
	if fairBytes < MaxAnnouncement {
		t.Error("an announcement is more than a share")
	}
}

// BenchmarkRoute measures questions for ways in a graph of 10,000 nodes with
// four links each.
func BenchmarkRoute(b *testing.B) {
	f := randomField(10_000, 4, 3)
	rng := rand.New(rand.NewPCG(4, 4))
	b.ReportAllocs()
	for b.Loop() {
		f.route(int32(rng.IntN(len(f.all))), int32(rng.IntN(len(f.all))))
	}
}

// BenchmarkGetRoute measures the same as a message and its answer.
func BenchmarkGetRoute(b *testing.B) {
	f := randomField(10_000, 4, 3)
	s := newServer(maker(1).Key)
	s.graph = f.graph
	rng := rand.New(rand.NewPCG(4, 4))
	now := mono.Time(0)
	m := &cjdns.Message{Version: 22, SubQuery: "gr", TxID: []byte("0112345678")}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second) // the rate is limited
		m.Source, m.Target = f.all[rng.IntN(len(f.all))].ip[:], f.all[rng.IntN(len(f.all))].ip[:]
		if s.HandleMessage(now, Node{Label: 0x13}, m, nil) == nil {
			b.Fatal("no answer")
		}
	}
}

// BenchmarkCompile measures what new announcements cost, at most once in
// compileEvery.
func BenchmarkCompile(b *testing.B) {
	f := randomField(10_000, 4, 3)
	b.ReportAllocs()
	for b.Loop() {
		f.stale, f.next = true, 0
		f.compile(0, f.all[0].ip)
	}
}

// BenchmarkGraphMemory reports the bytes of heap for each of 10,000 nodes
// with four links that have announced themselves.
func BenchmarkGraphMemory(b *testing.B) {
	size := uint64(0)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		g := newGraph()
		const n = 10_000
		for i := range n {
			var k cjdns.Key
			binary.BigEndian.PutUint64(k[8:], uint64(i)+1)
			v, _ := g.add(0, k, cjdns.VerifyKey(k))
			a := &cjdns.Announcement{Reset: true, Time: 1, Version: 22, Scheme: cjdns.SerializeScheme(cjdns.V358)}
			for j := range 4 {
				var p cjdns.Key
				binary.BigEndian.PutUint64(p[8:], uint64((i+j*j*7+1)%n)+1)
				a.Peers = append(a.Peers, cjdns.AnnouncedPeer{PeerNum: uint16(0x13 + 2*j), IP: p.IP(), Label: uint32(0x13 + 2*j)})
			}
			g.apply(0, v, a, a.Append(nil))
		}
		g.compile(0, cjdns.IP{})
		runtime.GC()
		runtime.ReadMemStats(&after)
		size = (after.HeapAlloc - before.HeapAlloc) / n
		runtime.KeepAlive(g)
	}
	b.ReportMetric(float64(size), "B/node")
}
