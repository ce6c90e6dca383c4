package pathfinder

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// dhtWorld is a network of Finders in virtual time. Messages are written and
// parsed, and go along labels from switch to switch as frames do; there is no
// encryption. One seed, one run.
type dhtWorld struct {
	t     *testing.T
	rng   *rand.Rand
	now   mono.Time
	all   []*dhtNode
	queue flights
	seq   int
	// cut reports links that are broken; nil: none.
	cut func(a, b *dhtNode) bool
	// Totals: messages, bytes of messages times links, sessions begun.
	messages, bytes, sessions int
}

type dhtNode struct {
	w     *dhtWorld
	index int
	key   cjdns.Key
	ip    cjdns.IP
	f     *Finder
	links map[uint16]dhtLink
	out   Out
	// known is when each other node was last talked to: as long as a session
	// lasts, no other handshake is needed.
	known map[cjdns.IP]mono.Time
	due   mono.Time // of the timer in the queue
	// answer takes the place of the Finder, for liars.
	answer func(from Node, rest cjdns.Label, m *cjdns.Message) *cjdns.Message

	found, failed []cjdns.IP
	sent          int // bytes of messages that it sent or passed on
}

// dhtLink leads to the slot port of another node.
type dhtLink struct {
	to   *dhtNode
	port uint16
}

// flight is a message under way, or a timer if m is nil.
type flight struct {
	at   mono.Time
	seq  int
	to   *dhtNode
	from Node
	rest cjdns.Label
	m    []byte
}

type flights []flight

func (q flights) Len() int { return len(q) }
func (q flights) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q flights) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *flights) Push(x any)   { *q = append(*q, x.(flight)) }
func (q *flights) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

const (
	dhtHop     = 5 * time.Millisecond
	dhtSession = 2 * time.Minute
	// Of each message on each link: switch header, encryption, UDP and IP.
	dhtOverhead = 12 + 24 + 4 + 20 + 28
	// More, for a message that begins a session: the longer header, both ways,
	// and the ping with its answer that completes the handshake.
	dhtHandshake = 2*96 + 2*(dhtOverhead+80)
)

func newDHTWorld(t *testing.T, seed uint64, n int) *dhtWorld {
	w := &dhtWorld{t: t, rng: rand.New(rand.NewPCG(seed, 3))}
	for i := range n {
		w.add(key(uint64(i) + 1))
	}
	return w
}

func (w *dhtWorld) add(k cjdns.Key) *dhtNode {
	n := &dhtNode{
		w: w, index: len(w.all), key: k, ip: k.IP(), links: make(map[uint16]dhtLink),
		known: make(map[cjdns.IP]mono.Time), due: mono.Never,
	}
	n.f = New(Config{Self: k, Protocol: 22, Rand: w.random})
	w.all = append(w.all, n)
	return n
}

func (w *dhtWorld) random(b []byte) {
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
}

// join links two nodes.
func (w *dhtWorld) join(a, b *dhtNode) {
	pa, pb := a.free(), b.free()
	a.links[pa], b.links[pb] = dhtLink{b, pb}, dhtLink{a, pa}
	a.peerUp(pa)
	b.peerUp(pb)
}

func (n *dhtNode) free() uint16 {
	for p := uint16(2); ; p++ {
		if _, ok := n.links[p]; !ok {
			return p
		}
	}
}

func (n *dhtNode) label(port uint16) cjdns.Label {
	d, bits := cjdns.PortDirector(port, 0)
	return cjdns.Label(d) | 1<<bits
}

func (n *dhtNode) peerUp(port uint16) {
	p := n.links[port].to
	n.f.PeerUp(n.w.now, Node{p.key, p.ip, 22, n.label(port)}, &n.out)
	n.drain()
}

// linked reports whether a and b are.
func (w *dhtWorld) linked(a, b *dhtNode) bool {
	for _, l := range a.links {
		if l.to == b {
			return true
		}
	}
	return false
}

func (w *dhtWorld) chain() {
	for i := range len(w.all) - 1 {
		w.join(w.all[i], w.all[i+1])
	}
}

func (w *dhtWorld) ring() {
	w.chain()
	w.join(w.all[len(w.all)-1], w.all[0])
}

// mesh makes a connected random graph with degree links per node on average.
func (w *dhtWorld) mesh(degree int) {
	n := len(w.all)
	for i := 1; i < n; i++ {
		for {
			if j := w.rng.IntN(i); len(w.all[j].links) < 2*degree {
				w.join(w.all[i], w.all[j])
				break
			}
		}
	}
	for links := n - 1; links < n*degree/2; {
		a, b := w.all[w.rng.IntN(n)], w.all[w.rng.IntN(n)]
		if a != b && !w.linked(a, b) && len(a.links) < 2*degree && len(b.links) < 2*degree {
			w.join(a, b)
			links++
		}
	}
}

// walk follows label from n and returns where it leads, the label back, what
// is left of it (for a node that answers for others) and the number of links.
func (w *dhtWorld) walk(n *dhtNode, label cjdns.Label) (to *dhtNode, back, rest cjdns.Label, hops int) {
	back = cjdns.SelfLabel
	in, first := uint16(1), true
	for n.answer == nil || first {
		if label <= cjdns.SelfLabel {
			if label == 0 || hops == 0 {
				return nil, 0, 0, 0
			}
			d, bits := cjdns.PortDirector(in, 0)
			return n, back<<bits | cjdns.Label(d), cjdns.SelfLabel, hops
		}
		port, bits := cjdns.PortOf(label)
		if !first {
			d, need := cjdns.PortDirector(in, bits)
			if need != bits {
				return nil, 0, 0, 0 // the slot that it came from does not fit
			}
			back = back<<bits | cjdns.Label(d)
		}
		l, ok := n.links[port]
		if !ok || w.cut != nil && w.cut(n, l.to) || back.Len() > maxLabelLen {
			return nil, 0, 0, 0
		}
		n, in, label, first, hops = l.to, l.port, label>>bits, false, hops+1
	}
	d, bits := cjdns.PortDirector(in, 0)
	return n, back<<bits | cjdns.Label(d), label, hops
}

// send sends m along label.
func (n *dhtNode) send(label cjdns.Label, m *cjdns.Message) {
	w := n.w
	raw := m.Append(nil)
	to, back, rest, hops := w.walk(n, label)
	if to == nil || to == n {
		return
	}
	size := len(raw) + dhtOverhead
	if at, ok := n.known[to.ip]; !ok || w.now.Sub(at) > dhtSession {
		if m.Query != "" {
			w.sessions++
			size += dhtHandshake
		}
	}
	n.known[to.ip] = w.now
	w.messages++
	w.bytes += size * hops
	n.sent += size
	w.push(flight{at: w.now.Add(time.Duration(hops) * dhtHop), to: to, from: Node{n.key, n.ip, 22, back}, rest: rest, m: raw})
}

func (w *dhtWorld) push(f flight) {
	w.seq++
	f.seq = w.seq
	heap.Push(&w.queue, f)
}

// drain carries out what the Finder wants.
func (n *dhtNode) drain() {
	for !n.out.Empty() {
		o := n.out
		n.out = Out{}
		for _, q := range o.Queries {
			n.send(q.To.Label, q.Msg)
		}
		n.found = append(n.found, o.Found...)
		n.failed = append(n.failed, o.Failed...)
		for _, ip := range o.Found {
			// The node asks along the way that was found.
			if p, ok := n.f.Path(n.w.now, ip); ok {
				n.f.Ping(n.w.now, p, &n.out)
			}
		}
	}
	if d := n.f.Deadline(); d < n.due {
		n.due = d
		n.w.push(flight{at: d, to: n})
	}
}

// run lets d pass.
func (w *dhtWorld) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && w.queue[0].at <= end {
		f := heap.Pop(&w.queue).(flight)
		w.now = max(w.now, f.at)
		if f.m == nil {
			if f.to.answer == nil && f.at == f.to.due {
				f.to.due = mono.Never
				if f.to.f.Deadline() <= w.now {
					f.to.f.Expire(w.now, &f.to.out)
				}
				f.to.drain()
			}
			continue
		}
		f.to.receive(f)
	}
	w.now = end
}

func (n *dhtNode) receive(f flight) {
	var m cjdns.Message
	if err := cjdns.ParseMessage(f.m, &m); err != nil {
		n.w.t.Fatal(err)
	}
	if n.answer != nil {
		if m.Query == "" {
			return
		}
		if reply := n.answer(f.from, f.rest, &m); reply != nil {
			n.send(f.from.Label, reply)
		}
		return
	}
	n.f.Heard(n.w.now, f.from)
	reply := n.f.HandleMessage(n.w.now, f.from, &m, &n.out)
	if reply != nil {
		n.send(f.from.Label, reply)
	}
	n.drain()
}

// proven reports whether n has a way to to that has answered.
func (n *dhtNode) proven(to *dhtNode) bool {
	p, ok := n.f.Path(n.w.now, to.ip)
	if !ok {
		return false
	}
	at, _, _, _ := n.w.walk(n, p.Label)
	return at == to
}

// find searches to from n, until it is found or not, and returns how long it
// took. Searches that fail count as -1.
func (w *dhtWorld) find(n, to *dhtNode) time.Duration {
	begin := w.now
	for range 200 {
		if r := n.f.Answered(to.ip, n.best(to)); r >= begin || n.proven(to) && n.f.entryOf(to.ip).peer != 0 {
			return w.now.Sub(begin)
		}
		if len(n.failed) > 0 && slices.Contains(n.failed, to.ip) {
			break
		}
		if !n.f.Searching(to.ip) {
			if p, ok := n.f.Path(w.now, to.ip); ok {
				n.f.Ping(w.now, p, &n.out)
			} else {
				n.f.Search(w.now, to.ip, 0, 0, &n.out)
			}
			n.drain()
		}
		w.run(50 * time.Millisecond)
	}
	n.failed = nil
	return -1
}

func (n *dhtNode) best(to *dhtNode) cjdns.Label {
	p, _ := n.f.Path(n.w.now, to.ip)
	return p.Label
}

// entryOf returns the entry of ip, or an empty one.
func (f *Finder) entryOf(ip cjdns.IP) *entry {
	if e := f.nodes[ip]; e != nil {
		return e
	}
	return &entry{}
}

// hops returns the length of the shortest way.
func (w *dhtWorld) hops(from, to *dhtNode) int {
	dist := map[*dhtNode]int{from: 0}
	for todo := []*dhtNode{from}; len(todo) > 0; todo = todo[1:] {
		n := todo[0]
		if n == to {
			return dist[n]
		}
		for _, l := range n.links {
			if _, ok := dist[l.to]; !ok {
				dist[l.to] = dist[n] + 1
				todo = append(todo, l.to)
			}
		}
	}
	return -1
}
