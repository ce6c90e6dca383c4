package identity

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// neighbour is a table, and a node that it hears.
type neighbour struct {
	table *Table
	k     *cjdns.SigningKey
	self  *Self
	now   mono.Time
	seqno uint32
}

// newNeighbour has verified the node.
func newNeighbour(k *cjdns.SigningKey) *neighbour {
	n := &neighbour{table: NewTable(testKeyOwn.Public()), k: k, self: signedSelf(k, 3, 0), seqno: 999}
	n.hear(n.ogm(true))
	n.work()
	return n
}

var testKeyOwn = cjdns.NewSigningKey(cjdns.PrivateKey{77})

// ogm is the next OGM of the node's primary interface.
func (n *neighbour) ogm(record bool) *OGM {
	n.seqno++
	e, _ := n.self.Element(mac1, n.seqno)
	c, _ := FindContainer(n.self.Append(nil, TVLVType, e, record, record), TVLVType)
	return &OGM{MAC: mac1, Seqno: n.seqno, Has: true, Container: c, Routed: true, Held: Held{Src: mac1, Raw: []byte{1}}}
}

func (n *neighbour) hear(o *OGM) Verdict {
	budget := 1000
	return n.table.Check(n.now, o, &budget)
}

// work makes all checks.
func (n *neighbour) work() (out []Outcome) {
	for {
		j := n.table.Next(n.now, 1000)
		if j == nil {
			n.now = n.now.Add(time.Millisecond)
			if j = n.table.Next(n.now, 1000); j == nil {
				return out
			}
		}
		j.Run(nil, nil)
		o, _ := n.table.Done(n.now, j)
		out = append(out, o)
	}
}

func TestTableFirst(t *testing.T) {
	n := &neighbour{table: NewTable(testKeyOwn.Public()), k: testKey(0), self: signedSelf(testKey(0), 3, 0), seqno: 999}
	if v := n.hear(n.ogm(false)); v.Result != Unsigned || !v.Ask {
		t.Errorf("without a record: %+v", v)
	}
	o := n.ogm(true)
	if v := n.hear(o); v.Result != Unsigned || v.Ask {
		t.Errorf("with a record: %+v", v)
	}
	n.hear(o) // a copy by another way
	out := n.work()
	if len(out) != 1 || out[0].Node == nil || !out[0].Begin || out[0].Seqno != 1001 {
		t.Fatalf("checked %+v", out)
	}
	key, _ := n.k.Public().Identity()
	if node := n.table.Node(n.now, mac1); node == nil || node.Key != key || node.IP != key.IP() || node.Boot != 3 || node.Alive() {
		t.Errorf("node %+v", node)
	}
	if v := n.hear(o); v.Result != Valid || v.Begin {
		t.Errorf("a copy after that: %+v", v)
	}
	if v := n.hear(n.ogm(true)); v.Result != Valid || v.Begin || len(n.work()) != 0 {
		t.Errorf("the next one: %+v", v)
	}
	// the other interface is known with the same record, from its own OGM on
	if n.table.Node(n.now, mac2) != nil {
		t.Error("an interface that sent nothing is verified")
	}
	e, _ := n.self.Element(mac2, 5)
	c, _ := FindContainer(n.self.Append(nil, TVLVType, e, false, false), TVLVType)
	if v := n.hear(&OGM{MAC: mac2, Seqno: 5, Has: true, Container: c}); v.Result != Valid || !v.Begin {
		t.Errorf("the other interface: %+v", v)
	}
	if n.table.Node(n.now, mac2) != n.table.Node(n.now, mac1) {
		t.Error("interfaces of two nodes")
	}
}

// The table is bounded: silent ones make room, living ones do not.
func TestTableBounded(t *testing.T) {
	table := NewTable(testKeyOwn.Public())
	put := func(i int, now mono.Time) bool {
		r := Record{Boot: 1, Serial: 1, N: 1, A: cjdns.VerifyKey{byte(i), byte(i >> 8), 1}}
		r.Points[0] = Point{MAC: batman.MAC{2, 1, 0, 0, byte(i >> 8), byte(i)}, Chain: 1}
		n, _ := table.install(now, &r, ID{}, cjdns.Key{}, cjdns.IP{})
		return n != nil
	}
	for i := range MaxPeers {
		if !put(i, mono.Time(i)) {
			t.Fatalf("%d is refused", i)
		}
	}
	if put(MaxPeers, mono.Time(MaxPeers)) {
		t.Error("there is room for one more at once")
	}
	if late := mono.Time(0).Add(restTime); !put(MaxPeers, late) || table.peers[batman.MAC{2, 1}] != nil {
		t.Error("the one that is silent for longest does not make room")
	}
	if len(table.list) != MaxPeers || len(table.peers) != MaxPeers || len(table.nodes) != MaxPeers {
		t.Errorf("%d, %d addresses, %d nodes", len(table.list), len(table.peers), len(table.nodes))
	}
	table.Tick(mono.Time(0).Add(time.Hour))
	if len(table.list)+len(table.peers)+len(table.nodes) != 0 {
		t.Error("nothing is forgotten")
	}
}

// Interfaces come and go, also the primary one: no claim is left over.
func TestTableInterfacesChange(t *testing.T) {
	n := newNeighbour(testKey(0))
	for i, list := range [][]Iface{
		{{mac1, 1100}}, {{mac1, 1200}, {mac3, 9}}, {{mac3, 20}, {mac1, 1300}}, {{mac3, 30}}, {{mac1, 1400}, {mac2, 77}, {mac3, 40}},
	} {
		n.now = n.now.Add(20 * time.Second)
		n.self.SetIfaces(list)
		if !sign(n.self, n.k, n.now, n.self.facts) {
			t.Fatal("not signed")
		}
		r, _ := ParseRecord(n.self.Record())
		e, _ := n.self.Element(list[0].MAC, list[0].Next)
		c, _ := FindContainer(n.self.Append(nil, TVLVType, e, true, true), TVLVType)
		o := &OGM{MAC: list[0].MAC, Seqno: list[0].Next, Has: true, Container: c, Routed: true}
		n.hear(o)
		n.work()
		if v := n.hear(o); v.Result != Valid {
			t.Fatalf("%d: %+v", i, v)
		}
		points := 0
		for _, p := range n.table.list {
			for _, c := range p.claims {
				points++
				if !r.has(p.MAC) && c.node.MAC() == r.MAC() {
					t.Errorf("%d: %v is still claimed", i, p.MAC)
				}
			}
		}
		sum := 0
		for _, node := range n.table.nodes {
			sum += node.points
		}
		if sum != points {
			t.Errorf("%d: %d claims, %d counted", i, points, sum)
		}
	}
}

// Fair by station, and living nodes first.
func TestQueueOrder(t *testing.T) {
	var q queue
	add := func(c class, from byte, routed bool, name byte) bool {
		m := batman.MAC{2, from}
		mac := batman.MAC{2, 9, name}
		if !q.room(c, m, mac, routed) {
			return false
		}
		q.add(mono.Time(len(q.list)), &item{class: c, from: m, routed: routed, mac: mac, job: &Job{}})
		return true
	}
	count := 0
	for i := range 100 {
		if add(classFirst, byte(i), false, byte(i)) {
			count++
		}
	}
	if count != maxStrangers {
		t.Errorf("%d of strangers", count)
	}
	for i := range 20 {
		add(classFirst, 200, true, byte(i))
	}
	if len(q.list) != maxStrangers+maxFrom {
		t.Errorf("%d waiting", len(q.list))
	}
	add(classFirst, 201, true, 77)
	add(classKnown, 202, true, 78)
	add(classRestart, 203, true, 79)
	var order string
	now := mono.Time(0)
	for range 8 {
		now = now.Add(time.Second)
		if q.next(now, 1) == nil {
			t.Fatal("nothing is due")
		}
		if q.next(now, 1) != nil {
			t.Fatal("two at a time")
		}
		order += fmt.Sprint(q.work.mac[2], " ")
		q.work = nil
	}
	if want := "78 79 0 0 77 1 1 2 "; order != want {
		t.Errorf("order %s, want %s", order, want)
	}
}

// The rate is kept, and a job that never comes back stops nothing.
func TestQueueRate(t *testing.T) {
	var q queue
	now, count := mono.Time(0), 0
	for range 1000 {
		now = now.Add(10 * time.Millisecond)
		if len(q.list) == 0 {
			q.add(now, &item{job: &Job{}})
		}
		if q.next(now, 5) != nil {
			count++
			q.work = nil
		}
	}
	if count < 50 || count > 50+verifyBurst {
		t.Errorf("%d checks in 10 s, want 50", count)
	}
	q.add(now, &item{job: &Job{}})
	now = now.Add(time.Second)
	q.next(now, 5)
	q.work.held = []Held{{}}
	q.add(now, &item{job: &Job{}, held: []Held{{}, {}}})
	if lost := q.expire(now.Add(itemLife)); len(lost) != 2 {
		t.Errorf("%d OGMs lost with what waited too long", len(lost))
	}
	if lost := q.expire(now.Add(jobLife)); len(lost) != 1 || q.work != nil {
		t.Errorf("%d OGMs lost with a lost job", len(lost))
	}
}

func BenchmarkSign(b *testing.B) {
	s := signedSelf(testKey(0), 1, 0)
	j := &Job{signer: s.a, sign: true, msg: s.parsed.appendContent([]byte(contextRecord))}
	k := testKey(0)
	b.ReportAllocs()
	for b.Loop() {
		j.Run(k, func(b []byte) { clear(b) })
	}
}

func BenchmarkVerify(b *testing.B) {
	s := signedSelf(testKey(0), 1, 0)
	j := recordJob(s.Record(), &s.parsed)
	b.ReportAllocs()
	for b.Loop() {
		j.Run(nil, nil)
	}
	if !j.ok {
		b.Fatal("refused")
	}
}

func BenchmarkStartChain(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s := NewSelf(testKeyOwn.Public(), 1, 0, counting())
		s.SetIfaces([]Iface{{mac1, 5}})
	}
}

// The check of an OGM: of one that is new, of a copy by another way, and of one
// that is forged.
func BenchmarkCheck(b *testing.B) {
	for _, name := range []string{"new", "copy", "forged"} {
		b.Run(name, func(b *testing.B) {
			n := newNeighbour(testKey(0))
			c := NewChain(&n.self.a, mac1, 9, 5000, 1<<20, Element{})
			c.Build(1 << 20)
			p, _ := c.point(5000)
			n.table.peers[mac1].claims[0].point(&p)
			o := &OGM{MAC: mac1, Seqno: 5001, Has: true}
			o.Element, _ = c.At(5001)
			budget := 1000
			n.table.Check(1, o, &budget)
			o.Element, _ = c.At(5002)
			o.Seqno++
			if name != "new" {
				n.table.Check(1, o, &budget)
			}
			if name == "forged" {
				o.Seqno++
			}
			f := n.table.peers[mac1].claims[0].chains[0]
			want := map[string]Result{"new": Valid, "copy": Valid, "forged": Forged}[name]
			b.ReportAllocs()
			for b.Loop() {
				if v := n.table.Check(1, o, &budget); v.Result != want {
					b.Fatal(v.Result)
				}
				if name == "new" {
					n.table.peers[mac1].claims[0].chains[0] = f
				}
			}
		})
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	n := newNeighbour(testKey(0))
	o := n.ogm(false)
	if a := testing.AllocsPerRun(100, func() { // each a new element
		budget := 100
		if v := n.table.Check(n.now, o, &budget); v.Result != Valid {
			t.Fatal(v)
		}
		o.Seqno++
		o.Element, _ = n.self.chains[0].now.At(o.Seqno)
	}); a != 0 {
		t.Errorf("%v allocations for a new element", a)
	}
	o.Seqno--
	o.Element, _ = n.self.chains[0].now.At(o.Seqno)
	if a := testing.AllocsPerRun(100, func() { n.hear(o) }); a != 0 {
		t.Errorf("%v allocations for a copy", a)
	}
	o.Seqno += 2
	if a := testing.AllocsPerRun(100, func() { n.hear(o) }); a != 0 {
		t.Errorf("%v allocations for a forged one", a)
	}
}

// TestStanding: a node is alive for as long as the one session with its key
// stands there, however often that is told.
func TestStanding(t *testing.T) {
	n := newNeighbour(testKey(0))
	key, _ := n.k.Public().Identity()
	node := n.table.Node(n.now, mac1)
	for i, c := range []struct {
		mac  batman.MAC
		up   bool
		want bool
	}{{mac1, true, true}, {mac1, true, true}, {mac3, true, false}, {mac1, true, true}, {mac1, true, true}, {mac1, false, false}} {
		if n.table.SetStanding(key, c.mac, c.up); node.Alive() != c.want {
			t.Errorf("step %d: alive is %v", i, node.Alive())
		}
	}
	other, _ := testKey(1).Public().Identity()
	n.table.SetStanding(other, mac1, true)
	if node.Alive() {
		t.Error("alive by the session of another key")
	}
}
