package mesh

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// FuzzMesh drives complete nodes with frames and time. The first byte says
// whether they are alone with each other (honest) or whether somebody among
// them sends what he likes, by which algorithm they route, and who is signed; what follows
// are commands, see fuzzRun.
//
//   - hostile: every table stays within its bounds, sequence numbers go back
//     only by an accepted jump, no frame leaves a node more than 50 times;
//   - honest: no forwarding loop outlives six OGM intervals;
//   - both: no panic, every buffer has one owner at the end of each step.
func FuzzMesh(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 || len(data) > 8192 {
			return
		}
		algo, honest := BatmanIV, data[0]&1 != 0
		if data[0]&2 != 0 {
			algo = BatmanV
		}
		r := &fuzzRun{t: t, data: data[2:], net: newNet(t, uint64(data[1]), 3+int(data[0]>>2)%3, 900, algo)}
		if data[0]&0x80 != 0 {
			r.sign()
		}
		r.begin(honest)
		for steps := 0; len(r.data) > 0 && steps < 100 && r.spent < 300*time.Second; steps++ {
			if honest {
				r.honest()
			} else {
				r.hostile()
			}
			r.check()
		}
		if r.worst > 6*r.interval && honest {
			t.Fatalf("a loop to %s lived %v", r.worstTo, r.worst)
		}
	})
}

// fuzzBufs is how many buffers there are in a run.
const fuzzBufs = 4096

// fuzzRun is one run.
type fuzzRun struct {
	t *testing.T
	*net
	data  []byte
	spent time.Duration

	bufs  []*pkt.Buf       // all
	known map[*pkt.Buf]int // their index
	seen  []int            // when it was last found free
	round int
	lost  int // held by nodes that restarted

	frames  uint32
	passes  map[[2]uint32]int // by frame and node
	windows map[windowKey]windowState
}

// windowKey names what a node remembers of an originator for a slot, or for
// its flooded frames.
type windowKey struct {
	m    *Mesh
	o    *Originator
	slot int
}

type windowState struct {
	known   bool
	last    uint32
	resetAt mono.Time
}

func (r *fuzzRun) begin(honest bool) {
	r.known, r.passes, r.windows = map[*pkt.Buf]int{}, map[[2]uint32]int{}, map[windowKey]windowState{}
	for _, n := range r.nodes {
		r.lost -= held(n.m) // not of those that are counted
	}
	r.pool.Keep = 2 * fuzzBufs
	for range fuzzBufs {
		r.bufs = append(r.bufs, new(pkt.Buf))
	}
	for range 1000 { // what newNet left there
		r.pool.Get()
	}
	for i, b := range r.bufs {
		r.known[b] = i
		r.pool.Put(b)
	}
	r.seen = make([]int, fuzzBufs)
	if !honest {
		r.tap = r.count
	}
}

// byte takes one byte of the program, 0 at its end.
func (r *fuzzRun) byte() byte {
	if len(r.data) == 0 {
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

// bytes takes n of them, or what is left.
func (r *fuzzRun) bytes(n int) []byte {
	n = min(n, len(r.data))
	p := r.data[:n]
	r.data = r.data[n:]
	return p
}

func (r *fuzzRun) node() *wnode { return r.nodes[int(r.byte())%len(r.nodes)] }

// pass lets time go on.
func (r *fuzzRun) pass(d time.Duration) {
	r.spent += d
	r.run(d)
}

// restart notes what the node held: it is lost with it.
func (r *fuzzRun) restart(n *wnode, s Seqnos) {
	r.lost += held(n.m)
	n.boot(s)
	r.second(n)
}

// honest does one thing that happens in every mesh.
func (r *fuzzRun) honest() {
	switch op := r.byte(); op % 4 {
	case 0:
		d := time.Duration(r.byte()) * 8 * time.Millisecond
		r.spent += 5 * d // watching costs more
		r.watch(d)
	case 1:
		what, i, j := int(r.byte())%disturbances, int(r.byte())%len(r.nodes), int(r.byte())%len(r.nodes)
		if what == 4 || what == 5 {
			r.lost += held(r.nodes[i].m)
		}
		r.disturb(what, i, j)
	case 2:
		r.delay = time.Duration(1+int(r.byte())) * 100 * time.Microsecond // up to 25 ms, and as much by chance
	case 3:
		a, b := r.node(), r.node()
		a.send(b.mac, "hello")
		a.send(batman.Broadcast, "hello all")
	}
}

// hostile does one thing, with the worst meant.
func (r *fuzzRun) hostile() {
	ops := byte(10)
	if r.nodes[0].key != nil {
		ops = 13
	}
	switch op := r.byte() % ops; op {
	case 10, 11, 12:
		r.hostileIdentity(op)
	case 0:
		r.pass(time.Duration(r.byte()) * 4 * time.Millisecond)
	case 1:
		r.pass(time.Duration(r.byte()%40) * time.Second)
	case 2, 3: // any frame on the air
		n := r.node()
		iface, from, to, size := int(r.byte()), r.byte(), r.byte(), int(r.byte())<<8|int(r.byte())
		p := bytes.Clone(r.bytes(size % 1700))
		if len(p) > 2 && from&0x80 == 0 {
			p[1] = batman.Version
		}
		r.inject(n, iface, r.address(from), r.address(to), p)
	case 4: // frames of OGMs that make sense
		n, iface, from := r.node(), int(r.byte()), r.address(r.byte())
		r.inject(n, iface, from, batman.Broadcast, r.ogms())
	case 5: // a client
		n, vid, to, size := r.node(), batman.VID(r.byte()), r.byte(), int(r.byte())
		c := clientFrame(r.clientAddress(to), r.clientAddress(r.byte()), batman.VLANTag*(vid&1)|vid>>4, "")
		n.client(r.mark(append(c, r.bytes(size%1500)...)))
	case 6: // any frame of a client
		n := r.node()
		n.client(r.mark(bytes.Clone(r.bytes((int(r.byte())<<8 | int(r.byte())) % 1600))))
	case 7:
		n, what := r.node(), r.byte()
		switch what % 5 {
		case 0:
			n.m.IfaceDown(r.now, uint16(what>>4)&1, "down", &n.out)
			n.drain()
		case 1:
			n.iface(int(what>>4)&1, nil)
		case 2:
			n.iface(0, func(c *IfaceConfig) { c.MAC[0], c.MAC[3], c.MTU = 2, what, 100+int(what)*6; c.Wifi = what&16 != 0 })
		case 3:
			r.restart(n, n.m.Seqnos())
		case 4:
			n.m.RemoveIface(r.now, 1, &n.out)
			n.drain()
		}
	case 8:
		n, b := r.node(), r.byte()
		c := n.m.cfg
		c.Aggregation, c.Bonding, c.Fragmentation, c.APIsolation, c.BLA, c.DAT, c.Multicast = b&1 == 0, b&2 != 0, b&4 == 0, b&8 != 0, b&16 != 0, b&32 == 0, b&64 == 0
		c.GWMode = GWMode(r.byte() % 3)
		n.m.SetConfig(r.now, c, &n.out)
		n.drain()
	case 9:
		n, b := r.node(), r.byte()
		n.m.Ping(r.now, PingRequest{ID: 1, Dst: r.address(b), TTL: b, RouteRecord: b&1 != 0}, &n.out)
		n.drain()
	}
}

// address is one that may mean something: of a node's interface, of the mesh
// interface, of nobody, or of everybody.
func (r *fuzzRun) address(b byte) batman.MAC {
	switch k := int(b) & 0x3f; {
	case k < 16:
		return hardMAC(1+k%len(r.nodes), k/8)
	case k < 24:
		return hardMAC(1+k%len(r.nodes), 0xff)
	case k < 28:
		return batman.Broadcast
	default:
		return liar(k)
	}
}

func (r *fuzzRun) clientAddress(b byte) batman.MAC {
	if b < 64 {
		return r.address(b)
	}
	return batman.MAC{2, 0xcc, 0, 0, 0, b}
}

// ogms builds a frame of OGMs of either algorithm.
func (r *fuzzRun) ogms() (frame []byte) {
	for n := 1 + int(r.byte())%4; n > 0 && len(r.data) > 0; n-- {
		kind, orig, prev := r.byte(), r.address(r.byte()), r.address(r.byte())
		seqno := uint32(r.byte()) << (kind & 0x1c)
		tvlvs := r.bytes(int(r.byte()) % 64)
		ttl, flags, tq := r.byte(), r.byte(), r.byte()
		var h []byte
		switch kind & 3 {
		case 0:
			h = header(batman.ELPSent, batman.ELP{Orig: orig, Seqno: seqno, IntervalMS: uint32(tq) * 10}.Put)
			tvlvs = nil
		case 1:
			h = header(batman.OGM2Len, batman.OGM2{TTL: ttl, Seqno: seqno, Orig: orig, TVLVLen: uint16(len(tvlvs)), Throughput: uint32(tq) << (flags & 24)}.Put)
		default:
			h = header(batman.OGMLen, batman.OGM{TTL: ttl, Flags: flags, Seqno: seqno, Orig: orig, Prev: prev, TQ: tq, TVLVLen: uint16(len(tvlvs))}.Put)
		}
		frame = append(append(frame, h...), tvlvs...)
	}
	return frame
}

// frameMark is in front of the number at the end of every injected frame.
const frameMark = 0x7ea75eed

// mark appends a number to a frame, by which it can be told later.
func (r *fuzzRun) mark(p []byte) []byte {
	r.frames++
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(p, frameMark), r.frames)
}

func (r *fuzzRun) inject(n *wnode, iface int, src, dst batman.MAC, p []byte) {
	h := make([]byte, batman.EthLen)
	batman.Eth{Dst: dst, Src: src, Type: batman.EtherType}.Put(h)
	b := r.pool.Get()
	b.Set(r.mark(append(h, p...)))
	b.Port = uint16(iface & 1)
	n.m.HandleFrame(r.now, b, &n.out)
	n.drain()
}

// count notes that a frame leaves a node.
func (r *fuzzRun) count(from *wnode, _ int, frame []byte) {
	if len(frame) < 8 || binary.BigEndian.Uint32(frame[len(frame)-8:]) != frameMark {
		return
	}
	k := [2]uint32{binary.BigEndian.Uint32(frame[len(frame)-4:]), uint32(from.id)}
	if r.passes[k]++; r.passes[k] > batman.TTL {
		r.t.Fatalf("frame %x passed node %s %d times", frame, from.name, r.passes[k])
	}
}

func (r *fuzzRun) check() {
	r.checkBufs()
	for _, n := range r.nodes {
		n.got, n.evs, n.reps = n.got[:0], n.evs[:0], n.reps[:0]
		tablesWithinBounds(r.t, n.m)
		otherTablesWithinBounds(r.t, n.m)
		r.checkWindows(n.m)
	}
}

// otherTablesWithinBounds checks the tables that are none of the routing.
func otherTablesWithinBounds(t testing.TB, m *Mesh) {
	t.Helper()
	switch {
	case m.frag.held > maxFragBufs, len(m.frag.chains) > maxFragChains:
		t.Fatalf("%d fragments of %d packets", m.frag.held, len(m.frag.chains))
	case m.bcast.repeats.n+m.bcast.delayed.n > maxBcastQueue:
		t.Fatalf("%d broadcasts wait", m.bcast.repeats.n+m.bcast.delayed.n)
	case len(m.tt.local) > MaxLocalClients, m.tt.total > MaxClients, len(m.tt.global) > MaxClients, len(m.tt.local) != len(m.tt.localList):
		t.Fatalf("%d local clients, %d global ones", len(m.tt.local), m.tt.total)
	case len(m.icmp.waits) > maxPings, len(m.meter.in)+len(m.meter.out) > maxMeters:
		t.Fatal("too many tests")
	}
	total := 0
	for _, o := range m.origList {
		if len(o.tt.clients) > MaxClientsOrig {
			t.Fatalf("%d clients of one originator", len(o.tt.clients))
		}
		total += len(o.tt.clients)
	}
	if total != m.tt.total {
		t.Fatalf("%d clients of all, %d counted", total, m.tt.total)
	}
}

// floodSlot names the window for flooded frames of an originator.
const floodSlot = -1

// checkWindows checks that numbers of OGMs and floods go back only by an
// accepted jump, and that there is one in 30 s. OGMs of originators with an
// identity are held by their chains.
func (r *fuzzRun) checkWindows(m *Mesh) {
	for _, o := range m.origList {
		for s := range o.routes {
			if o.id.seen {
				break // its numbers begin anew when its record says so
			}
			rt := &o.routes[s]
			now := windowState{rt.known, rt.lastSeqno, rt.resetAt}
			if m.cfg.Algo == BatmanV {
				now.known = s < len(o.v.slots) && o.v.slots[s].known
			}
			r.checkWindow(windowKey{m, o, s}, now)
		}
		flood := windowState{true, o.bcast.last, o.bcast.resetAt}
		if !o.bcast.jumped {
			flood.resetAt = mono.Time(0).Add(-resetProtection)
		}
		r.checkWindow(windowKey{m, o, floodSlot}, flood)
	}
}

func (r *fuzzRun) checkWindow(k windowKey, now windowState) {
	old := r.windows[k]
	r.windows[k] = now
	switch {
	case !old.known || !now.known:
	case now.resetAt == old.resetAt && int32(now.last-old.last) < 0:
		r.t.Fatalf("the number of %v in slot %d went from %d to %d", k.o.MAC, k.slot, old.last, now.last)
	case now.resetAt != old.resetAt && now.resetAt.Sub(old.resetAt) < resetProtection && now.resetAt > old.resetAt:
		r.t.Fatalf("two jumps of %v in slot %d within %v", k.o.MAC, k.slot, now.resetAt.Sub(old.resetAt))
	}
}

// held returns how many buffers a node keeps.
func held(m *Mesh) int {
	n := len(m.routing.queue.list) + m.frag.held + m.bcast.repeats.n + m.bcast.delayed.n
	for _, hi := range m.ifaces {
		if hi != nil && hi.v.queue.buf != nil {
			n++
		}
	}
	return n
}

// checkBufs checks that every buffer is either free, once, or held by a node.
func (r *fuzzRun) checkBufs() {
	r.round++
	free := fuzzBufs - r.lost
	for _, n := range r.nodes {
		free -= held(n.m)
	}
	list := make([]*pkt.Buf, 0, fuzzBufs)
	for range free {
		b := r.pool.Get()
		i, ok := r.known[b]
		if !ok {
			r.t.Fatalf("of %d free buffers only %d are there: one leaked", free, len(list))
		}
		if r.seen[i] == r.round {
			r.t.Fatal("a buffer was put back twice")
		}
		r.seen[i] = r.round
		list = append(list, b)
	}
	if _, ok := r.known[r.pool.Get()]; ok {
		r.t.Fatalf("more than %d free buffers: one was put back that is still held", free)
	}
	for _, b := range list {
		r.pool.Put(b)
	}
}
