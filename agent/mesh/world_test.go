package mesh

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// world is a mesh in virtual time: nodes, links between their interfaces, and
// the frames that are on their way.
//
//	w := newWorld(t, 1)
//	a, b := w.node("a", nil), w.node("b", nil)
//	w.link(a, 0, b, 0, 0)        // interface 0 of a and of b hear each other, no loss
//	w.run(10 * time.Second)
//	a.send(b.mac, "hello")       // a client of a to a client of b
type world struct {
	t     *testing.T
	rng   *rand.Rand
	now   mono.Time
	nodes []*wnode
	links map[[2]wport]*wlink // directed
	queue flights
	order uint64
	pool  pkt.Pool
	// tap, if set, sees every frame that leaves an interface.
	tap func(from *wnode, iface int, frame []byte)
	// hops counts how often a client's frame, told by its bytes, left a node.
	delay time.Duration
	// jobTime is how long a signature takes; below 0 none is ever done.
	jobTime time.Duration
	frames  uint64
	bytes   uint64
}

// wport is one interface of one node.
type wport struct {
	node  *wnode
	iface int
}

// wlink is one direction of hearing. Broadcast frames are lost with
// probability loss (of 1000), unicast ones with loss to the 7th power, as
// 802.11 repeats them.
//
// A frame that is longer than mtu, if that is not 0, is lost.
type wlink struct{ loss, mtu int }

type wnode struct {
	w    *world
	name string
	id   int
	m    *Mesh
	cfg  Config
	out  Out
	mac  batman.MAC // of its mesh interface
	got  [][]byte   // frames that left into its client side
	evs  []Event
	reps []Reply
	off  bool

	// With key the node is signed; see identity_test.go.
	key     *cjdns.SigningKey
	boots   uint32
	jobs    []wjob
	changes []NodeChange
	overlay []string // frames from other nodes, with the sender in front
}

type flight struct {
	at    mono.Time
	order uint64
	to    wport
	frame []byte
}

type flights []flight

func (f flights) Len() int      { return len(f) }
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f flights) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(f[i].at, f[j].at), cmp.Compare(f[i].order, f[j].order)) < 0
}
func (f *flights) Push(x any) { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	x := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return x
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{t: t, rng: rand.New(rand.NewPCG(seed, 77)), links: map[[2]wport]*wlink{}, delay: 300 * time.Microsecond}
}

// hardMAC is the address of an interface: 02:ba:00:00:NN:0i as in the captures.
func hardMAC(node, iface int) batman.MAC {
	return batman.MAC{2, 0xba, 0, byte(node >> 8), byte(node), byte(iface)}
}

// node adds a node with one hard interface; set changes its configuration.
// BLA is off: it would silence broadcasts for 30 s.
func (w *world) node(name string, set func(*Config)) *wnode {
	n := &wnode{w: w, name: name, id: len(w.nodes) + 1, cfg: Default()}
	n.cfg.BLA = false
	if set != nil {
		set(&n.cfg)
	}
	n.out.Pool = &w.pool
	n.mac = hardMAC(n.id, 0xff)
	w.nodes = append(w.nodes, n)
	n.boot(Seqnos{})
	return n
}

// boot starts the node anew.
func (n *wnode) boot(s Seqnos) {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(n.w.rng.Uint32())
	}
	o := Options{Config: n.cfg, Seqnos: s, Seed: seed}
	if n.key != nil {
		n.boots++
		o.Signer, o.Boot, n.jobs = n.key.Public(), n.boots, nil
	}
	n.m = New(o, n.w.now)
	n.m.SetMeshIface(n.w.now, MeshIfaceConfig{Name: "bat0", MAC: n.mac, MTU: 1500}, &n.out)
	n.iface(0, nil)
}

// iface adds or changes interface i.
func (n *wnode) iface(i int, set func(*IfaceConfig)) {
	c := IfaceConfig{
		Name: fmt.Sprintf("eth%d", i), MAC: hardMAC(n.id, i), MTU: 1500, FullDuplex: true, Speed: 10000,
		ELPInterval: n.cfg.OrigInterval / 2, // as the defaults are to each other
	}
	if set != nil {
		set(&c)
	}
	if err := n.m.SetIface(n.w.now, uint16(i), c, &n.out); err != nil {
		n.w.t.Fatal(err)
	}
	n.drain()
}

// link lets two interfaces hear each other. loss is in thousandths.
func (w *world) link(a *wnode, ai int, b *wnode, bi int, loss int) {
	w.oneway(a, ai, b, bi, loss)
	w.oneway(b, bi, a, ai, loss)
}

// oneway lets b hear a. A loss below 0 cuts.
func (w *world) oneway(a *wnode, ai int, b *wnode, bi int, loss int) {
	key := [2]wport{{a, ai}, {b, bi}}
	if loss < 0 {
		delete(w.links, key)
		return
	}
	w.links[key] = &wlink{loss: loss}
}

// cut takes the link away in both directions.
func (w *world) cut(a *wnode, ai int, b *wnode, bi int) { w.link(a, ai, b, bi, -1) }

// drain empties n.out.
func (n *wnode) drain() {
	w := n.w
	for _, b := range n.out.Frames.Bufs {
		if !n.off {
			w.air(wport{n, int(b.Port)}, b.Bytes())
		}
		w.pool.Put(b)
	}
	for _, b := range n.out.Clients.Bufs {
		n.got = append(n.got, append([]byte(nil), b.Bytes()...))
		w.pool.Put(b)
	}
	n.out.Frames.Reset()
	n.out.Clients.Reset()
	n.evs = append(n.evs, n.out.Events...)
	n.reps = append(n.reps, n.out.Replies...)
	n.out.Events, n.out.Replies = n.out.Events[:0], n.out.Replies[:0]
	n.drainIdentity()
}

// air carries a frame to all that hear it and must take it.
func (w *world) air(from wport, frame []byte) {
	w.frames++
	w.bytes += uint64(len(frame))
	if w.tap != nil {
		w.tap(from.node, from.iface, frame)
	}
	dst := batman.MAC(frame[:6])
	for _, n := range w.nodes { // in a fixed order: maps have none
		for i, hi := range n.m.ifaces {
			l := w.links[[2]wport{from, {n, i}}]
			if l == nil || hi == nil || !dst.IsMulticast() && hi.MAC != dst || l.mtu != 0 && len(frame)-batman.EthLen > l.mtu || w.lost(l.loss, dst.IsMulticast()) {
				continue
			}
			w.order++
			at := w.now.Add(w.delay + time.Duration(w.rng.Int64N(int64(w.delay))))
			heap.Push(&w.queue, flight{at, w.order, wport{n, i}, append([]byte(nil), frame...)})
		}
	}
}

func (w *world) lost(loss int, group bool) bool {
	tries := 7
	if group {
		tries = 1
	}
	for range tries {
		if w.rng.IntN(1000) >= loss {
			return false
		}
	}
	return true
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		next := end
		if len(w.queue) > 0 {
			next = mono.Min(next, w.queue[0].at)
		}
		for _, n := range w.nodes {
			if !n.off {
				next = mono.Min(next, mono.Min(n.m.Deadline(), n.jobDue()))
			}
		}
		w.now = max(w.now, next)
		if w.now >= end {
			w.now = end
			return
		}
		for len(w.queue) > 0 && w.queue[0].at <= w.now {
			f := heap.Pop(&w.queue).(flight)
			if f.to.node.off {
				continue
			}
			b := w.pool.Get()
			b.Set(f.frame)
			b.Port = uint16(f.to.iface)
			f.to.node.m.HandleFrame(w.now, b, &f.to.node.out)
			f.to.node.drain()
		}
		for _, n := range w.nodes {
			if !n.off && n.m.Deadline() <= w.now {
				n.m.Expire(w.now, &n.out)
				n.drain()
			}
			if !n.off {
				n.runJobs()
			}
		}
	}
}

// until runs until ok holds and returns how long it took.
func (w *world) until(limit time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	begin := w.now
	for !ok() {
		if w.now.Sub(begin) > limit {
			w.t.Fatalf("%s: not within %v", what, limit)
		}
		w.run(5 * time.Millisecond)
	}
	return w.now.Sub(begin)
}

// client gives a frame of a client behind n to the mesh.
func (n *wnode) client(frame []byte) {
	b := n.w.pool.Get()
	b.Set(frame)
	n.m.HandleClient(n.w.now, b, &n.out)
	n.drain()
}

// ethTest is an Ethernet type that nobody looks into.
const ethTest = 0x88b5

// clientFrame is a frame with text as payload; vid 0 is untagged.
func clientFrame(dst, src batman.MAC, vid batman.VID, text string) []byte {
	b := make([]byte, batman.EthLen, 64)
	batman.Eth{Dst: dst, Src: src, Type: ethTest}.Put(b)
	if vid.Tagged() {
		batman.Eth{Dst: dst, Src: src, Type: batman.EthVLAN}.Put(b)
		b = append(b, byte(vid.ID()>>8), byte(vid.ID()), ethTest>>8, ethTest&0xff)
	}
	return append(b, text...)
}

// send sends text from the node's own mesh interface.
func (n *wnode) send(dst batman.MAC, text string) { n.client(clientFrame(dst, n.mac, 0, text)) }

// received reports whether text arrived at n's clients, and forgets what did.
func (n *wnode) received(text string) bool {
	found := 0
	for _, f := range n.got {
		if len(f) >= len(text) && string(f[len(f)-len(text):]) == text {
			found++
		}
	}
	n.got = nil
	if found > 1 {
		n.w.t.Errorf("%s received %q %d times", n.name, text, found)
	}
	return found > 0
}

// flows waits until a text from a reaches b, and returns how long it took.
func (w *world) flows(a, b *wnode, limit time.Duration) time.Duration {
	w.t.Helper()
	try := 0
	return w.until(limit, fmt.Sprintf("frames from %s to %s", a.name, b.name), func() bool {
		try++
		text := fmt.Sprintf("%s to %s, %d", a.name, b.name, try)
		a.send(b.mac, text)
		w.run(5 * time.Millisecond)
		for _, f := range b.got {
			if len(f) > 14 && batman.MAC(f[6:12]) == a.mac {
				b.got = nil
				return true
			}
		}
		b.got = nil
		return false
	})
}

// next returns the next hop from n to node to: the name of the node, "" if none.
func (n *wnode) next(to *wnode) string {
	o := n.m.originator(hardMAC(to.id, 0))
	if o == nil {
		return ""
	}
	r := n.m.router(o, nil)
	if r == nil {
		return ""
	}
	for _, k := range n.w.nodes {
		for _, hi := range k.m.ifaces {
			if hi != nil && hi.MAC == r.MAC {
				return k.name
			}
		}
	}
	return "?"
}
