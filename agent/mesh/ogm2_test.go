package mesh

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

func fastV(c *Config) { c.OrigInterval, c.Algo = 200*time.Millisecond, BatmanV }

// throughput is n's metric of the node to.
func (n *wnode) throughput(to *wnode) uint32 {
	o := n.m.originator(hardMAC(to.id, 0))
	if o == nil {
		return 0
	}
	return n.m.metric(o)
}

// A line of four: everybody finds a way to everybody; a hop after the first
// costs the hop penalty, rounded down each time as the kernel does. Frames of
// clients pass.
func TestLineV(t *testing.T) {
	w := newWorld(t, 1)
	var n []*wnode
	for _, name := range []string{"a", "b", "c", "d"} {
		n = append(n, w.node(name, fastV))
	}
	for i := range 3 {
		w.link(n[i], 0, n[i+1], 0, 0)
	}
	took := w.until(10*time.Second, "routes", func() bool {
		return n[0].next(n[3]) == "b" && n[3].next(n[0]) == "c" && n[1].next(n[3]) == "c"
	})
	t.Logf("after %v", took)
	w.run(5 * time.Second)
	for i, want := range []uint32{10000, 8823, 7785} {
		if q := n[0].throughput(n[1+i]); q != want {
			t.Errorf("over %d hops: %d, want %d", 1+i, q, want)
		}
	}
	w.flows(n[0], n[3], 5*time.Second)
	w.flows(n[3], n[0], 5*time.Second)
	w.run(10 * time.Second)
	for _, a := range n {
		if len(a.m.origs) != 3 {
			t.Errorf("%s knows %d originators", a.name, len(a.m.origs))
		}
	}
}

// On one Wi-Fi channel every hop after the first halves the throughput, until
// 1 Mbit/s; what the driver tells of a station counts, and its loss takes the
// metric down by 1/8 per ELP interval.
func TestWifiV(t *testing.T) {
	w := newWorld(t, 3)
	wifi := func(c *IfaceConfig) { c.Wifi, c.FullDuplex, c.Speed, c.ELPInterval = true, true, 0, 0 }
	var n []*wnode
	for _, name := range []string{"a", "b", "c", "d"} {
		k := w.node(name, fastV)
		k.iface(0, wifi)
		n = append(n, k)
	}
	for i := range 3 {
		w.link(n[i], 0, n[i+1], 0, 0)
	}
	probes := 0
	w.tap = func(_ *wnode, _ int, frame []byte) {
		if !batman.MAC(frame[:6]).IsMulticast() && frame[14] == byte(batman.TypeELP) {
			if probes++; len(frame) != batman.EthLen+200 {
				t.Errorf("probe of %d bytes", len(frame))
			}
		}
	}
	w.run(5 * time.Second)
	if q := n[0].throughput(n[1]); q != throughputDefault {
		t.Errorf("nobody knows the link: %d", q)
	}
	// Six directed pairs, two probes every 500 ms in about 5 s.
	if probes < 100 || probes > 130 {
		t.Errorf("%d probes", probes)
	}
	for i := range n {
		var list []Radio
		for _, k := range []int{i - 1, i + 1} {
			if k >= 0 && k < len(n) {
				list = append(list, Radio{Station: hardMAC(n[k].id, 0), Expected: 400, Expects: true})
			}
		}
		n[i].m.SetRadios(0, list)
	}
	w.run(40 * time.Second)
	for i, want := range []uint32{400, 200, 100} {
		if q := n[0].throughput(n[1+i]); q+3 < want || q > want { // the average comes from below
			t.Errorf("over %d hops: %d, want %d", 1+i, q, want)
		}
	}
	n[0].m.SetRadios(0, nil)
	before := n[0].throughput(n[1])
	w.run(2 * time.Second)
	after := n[0].throughput(n[1])
	if after == 0 || after*10 > before*7 { // (7/8)^4 is 0.59
		t.Errorf("the station is gone: %d, then %d", before, after)
	}
	w.run(60 * time.Second)
	if q := n[0].throughput(n[3]); q != 0 {
		t.Errorf("no station, but %d", q)
	}
}

// A diamond: the faster branch is chosen, though it is slow towards the other
// side; after a cut the other takes over when it is five OGMs ahead, and the
// way back to the fast one needs no waiting.
func TestDiamondV(t *testing.T) {
	w := newWorld(t, 2)
	a, b, c, d := w.node("a", fastV), w.node("b", fastV), w.node("c", fastV), w.node("d", fastV)
	for _, k := range []*wnode{a, b, c, d} {
		k.iface(1, nil)
	}
	// a-b-d is fast from a to d, a-c-d from d to a: b and c tell different
	// speeds for their two sides.
	speed := func(k *wnode, i int, s uint32) { k.iface(i, func(f *IfaceConfig) { f.Speed = s }) }
	speed(a, 0, 8000) // to b
	speed(a, 1, 2000) // to c
	speed(d, 0, 1000) // to b
	speed(d, 1, 3000) // to c
	w.link(a, 0, b, 0, 0)
	w.link(a, 1, c, 0, 0)
	w.link(b, 1, d, 0, 0)
	w.link(c, 1, d, 1, 0)
	w.run(10 * time.Second)
	if got := a.next(d); got != "b" {
		t.Errorf("a reaches d by %q", got)
	}
	if got := d.next(a); got != "c" {
		t.Errorf("d reaches a by %q", got)
	}
	if q := a.throughput(d); q != 8000 { // b has 10000 to d, less the penalty 8823
		t.Errorf("a to d: %d", q)
	}
	if q := d.throughput(a); q != 3000 {
		t.Errorf("d to a: %d", q)
	}
	w.flows(a, d, time.Second)
	w.cut(b, 1, d, 0)
	took := w.until(20*time.Second, "the other way", func() bool { return a.next(d) == "c" })
	t.Logf("rerouted after %v", took)
	if took < 4*200*time.Millisecond || took > 8*200*time.Millisecond {
		t.Errorf("rerouted after %v, want about 5 intervals", took)
	}
	w.flows(a, d, time.Second)
	w.link(b, 1, d, 0, 0)
	took = w.until(20*time.Second, "the fast way", func() bool { return a.next(d) == "b" })
	t.Logf("back after %v", took)
	if took > 700*time.Millisecond {
		t.Errorf("back after %v", took)
	}
}

// Two interfaces to the same neighbour: the faster one is used, an override
// moves the traffic, an interface that goes away takes its ways along. Penalty
// on the wire: other interface hop penalty, same half duplex one half.
func TestInterfacesV(t *testing.T) {
	w := newWorld(t, 4)
	a, b, c := w.node("a", fastV), w.node("b", fastV), w.node("c", fastV)
	for _, k := range []*wnode{a, b} {
		k.iface(1, func(f *IfaceConfig) { f.Speed = 20000 })
		w.t = t
	}
	b.iface(2, func(f *IfaceConfig) { f.HopPenalty = 51 }) // 20 %
	w.link(a, 0, b, 0, 0)
	w.link(a, 1, b, 1, 0)
	w.link(b, 2, c, 0, 0)
	w.run(5 * time.Second)
	way := func() int {
		return int(a.m.router(a.m.originator(hardMAC(b.id, 0)), nil).hi.index)
	}
	if way() != 1 || a.throughput(b) != 20000 {
		t.Errorf("a uses interface %d: %d", way(), a.throughput(b))
	}
	// c's OGM comes in on b's interface 2 with 10000, which costs 20 %, then
	// the hop penalty.
	if q := a.throughput(c); q != 8000*225/255 {
		t.Errorf("a to c: %d", q)
	}
	if q := b.throughput(c); q != 8000 {
		t.Errorf("b to c: %d", q)
	}
	a.iface(0, func(f *IfaceConfig) { f.ThroughputOverride = 50000 })
	w.until(20*time.Second, "the interface with the override", func() bool { return way() == 0 })
	a.m.IfaceDown(w.now, 0, "test", &a.out)
	a.drain()
	if o := a.m.originator(hardMAC(b.id, 0)); a.m.router(o, nil) == nil || way() != 1 {
		t.Error("no way over the other interface")
	}
	if self := a.m.self(); self != hardMAC(a.id, 1) {
		t.Errorf("primary is %v", self)
	}
	// The new name spreads.
	w.until(5*time.Second, "the new name", func() bool {
		o := c.m.originator(hardMAC(a.id, 1))
		return o != nil && c.m.router(o, nil) != nil
	})
	w.flows(a, c, 3*time.Second)
	a.iface(0, nil)
	w.until(5*time.Second, "the interface is back", func() bool { return len(a.m.ifaces[0].neighbours) > 0 })
}

// A node that restarts without its counters is taken at once the first time,
// and refused for 30 s after that; with them it is never noticed.
func TestRestartV(t *testing.T) {
	w := newWorld(t, 5)
	a, b := w.node("a", fastV), w.node("b", fastV)
	w.link(a, 0, b, 0, 0)
	w.run(3 * time.Second)
	seen := func() time.Duration { return w.now.Sub(a.m.originator(hardMAC(b.id, 0)).lastSeen) }
	kept := b.m.Seqnos()
	b.boot(kept)
	w.run(time.Second)
	if seen() > 500*time.Millisecond || a.m.drops[dropProtected] > 0 {
		t.Error("a restart with counters was noticed")
	}
	b.boot(Seqnos{OGM2: kept.OGM2 + 1<<30})
	w.run(time.Second)
	if seen() > 500*time.Millisecond {
		t.Error("the first jump was refused")
	}
	b.boot(Seqnos{OGM2: kept.OGM2 + 1<<29})
	w.run(time.Second)
	if seen() < 500*time.Millisecond || a.m.drops[dropProtected] == 0 {
		t.Error("the second jump was taken")
	}
	w.run(31 * time.Second)
	if seen() > 500*time.Millisecond {
		t.Error("the protection does not end")
	}
}

// vStand is one node that is fed by hand.
type vStand struct {
	t    testing.TB
	m    *Mesh
	out  Out
	pool pkt.Pool
	now  mono.Time
	sent [][]byte
}

func newVStand(t testing.TB, ifaces int, set func(*Config)) *vStand {
	s := &vStand{t: t}
	s.out.Pool = &s.pool
	c := Default()
	c.Algo, c.BLA = BatmanV, false
	if set != nil {
		set(&c)
	}
	s.m = New(Options{Config: c}, 0)
	for i := range ifaces {
		f := IfaceConfig{Name: fmt.Sprint("e", i), MAC: hardMAC(1, i), MTU: 1500, FullDuplex: true, Speed: 1000}
		if err := s.m.SetIface(0, uint16(i), f, &s.out); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// frame gives a frame on interface i and keeps what is sent.
func (s *vStand) frame(i int, src batman.MAC, p []byte) {
	b := s.pool.Get()
	b.Set(p)
	batman.Eth{Dst: batman.Broadcast, Src: src, Type: batman.EtherType}.Put(b.Push(batman.EthLen))
	b.Port = uint16(i)
	s.m.HandleFrame(s.now, b, &s.out)
	s.take()
}

func (s *vStand) take() {
	for _, b := range s.out.Frames.Bufs {
		s.sent = append(s.sent, append([]byte{byte(b.Port)}, b.Bytes()[batman.EthLen:]...))
		s.pool.Put(b)
	}
	s.out.Frames.Reset()
	s.out.Events = s.out.Events[:0]
}

func (s *vStand) run(d time.Duration) {
	end := s.now.Add(d)
	for s.m.Deadline() <= end {
		s.now = max(s.now, s.m.Deadline())
		s.m.Expire(s.now, &s.out)
		s.take()
	}
	s.now = end
}

func elpOf(orig batman.MAC, seqno uint32) []byte {
	p := make([]byte, batman.ELPSent)
	batman.ELP{Orig: orig, Seqno: seqno, IntervalMS: 500}.Put(p)
	return p
}

func ogm2Of(orig batman.MAC, seqno, throughput uint32, tvlvs ...byte) []byte {
	p := make([]byte, batman.OGM2Len, 64)
	batman.OGM2{TTL: batman.TTL, Seqno: seqno, Orig: orig, Throughput: throughput, TVLVLen: uint16(len(tvlvs))}.Put(p)
	return append(p, tvlvs...)
}

// forwarded returns the throughput with which orig's OGM of that number went
// out on interface i; 0 if it did not.
func (s *vStand) forwarded(i int, orig batman.MAC, seqno uint32) (tp uint32) {
	for _, f := range s.sent {
		p := f[1:]
		for int(f[0]) == i && len(p) >= batman.OGM2Len && p[0] == byte(batman.TypeOGM2) {
			o, _, size, err := batman.ParseOGM2(p)
			if err != nil {
				s.t.Fatal(err)
			}
			if o.Orig == orig && o.Seqno == seqno {
				if tp != 0 {
					s.t.Errorf("%v %d: twice on %d", orig, seqno, i)
				}
				tp = o.Throughput
			}
			p = p[size:]
		}
	}
	return tp
}

var (
	vX, vY, vZ = hardMAC(20, 0), hardMAC(21, 0), hardMAC(22, 0)
	vFar       = hardMAC(30, 0)
)

// The rules of receiving and forwarding, one by one.
func TestRulesV(t *testing.T) {
	s := newVStand(t, 2, nil)
	m := s.m
	drops := func(why dropReason) uint64 { return m.drops[why] }

	s.frame(0, vX, ogm2Of(vX, 100, throughputMax))
	if drops(dropNeighbour) != 1 || len(m.origs) != 0 {
		t.Error("an OGM counts before ELP came")
	}
	s.frame(0, vX, elpOf(vX, 7))
	s.frame(0, vX, ogm2Of(vX, 100, 0))
	if drops(dropOGM) != 1 || len(m.origs) != 0 {
		t.Error("throughput 0 is taken")
	}
	s.frame(0, vX, ogm2Of(hardMAC(1, 1), 100, 5))
	if len(m.origs) != 0 {
		t.Error("an OGM of our own is taken")
	}
	s.frame(0, vX, ogm2Of(vX, 100, throughputMax))
	o := m.originator(vX)
	if o == nil || m.metric(o) != 1000 {
		t.Fatal("no route")
	}
	s.run(200 * time.Millisecond)
	if s.forwarded(0, vX, 100) != 0 || s.forwarded(1, vX, 100) != 0 {
		t.Error("forwarded where nobody can need it")
	}
	// More neighbours: now it goes on, also back on the same interface, since
	// not everybody there may hear X.
	s.frame(0, vY, elpOf(vY, 1))
	s.frame(1, vZ, elpOf(vZ, 1))
	s.frame(0, vX, ogm2Of(vX, 101, throughputMax))
	s.run(200 * time.Millisecond)
	if a, b := s.forwarded(0, vX, 101), s.forwarded(1, vX, 101); a != 882 || b != 882 {
		t.Errorf("forwarded with %d and %d", a, b)
	}
	// The same again by Y: worse, so not the route, and not forwarded twice.
	s.frame(0, vY, ogm2Of(vX, 101, 500))
	s.run(200 * time.Millisecond)
	s.forwarded(0, vX, 101)
	if r := m.router(o, nil); r.MAC != vX {
		t.Errorf("route by %v", r.MAC)
	}
	// Old numbers and those of before are refused.
	s.frame(0, vY, ogm2Of(vX, 100, 5000))
	if r := m.router(o, nil); r.MAC != vX || drops(dropDuplicate) == 0 {
		t.Error("an old OGM is taken")
	}
	// Y is 5 ahead: X fell silent.
	for i := range uint32(5) {
		if r := m.router(o, nil); r.MAC != vX {
			t.Errorf("switched %d OGMs too early", 5-i)
		}
		s.frame(0, vY, ogm2Of(vX, 102+i, 500))
	}
	if r := m.router(o, nil); r.MAC != vY {
		t.Error("not switched after 5 OGMs")
	}
	s.run(200 * time.Millisecond)
	if s.forwarded(0, vX, 105) != 0 || s.forwarded(0, vX, 106) != 500*225/255 {
		t.Error("only OGMs of the route are forwarded")
	}
	// TTL 1 ends, unknown TVLVs go on untouched, padding is no OGM.
	p := ogm2Of(vX, 107, 900, 200, 9, 0, 2, 0xaa, 0xbb)
	s.frame(0, vX, append(p, make([]byte, 40)...))
	s.run(200 * time.Millisecond)
	found := false
	for _, f := range s.sent {
		if o, tlv, _, err := batman.ParseOGM2(f[1:]); f[1] == 4 && err == nil && o.Seqno == 107 {
			found = o.TTL == batman.TTL-1 && len(tlv) == 6 && tlv[5] == 0xbb
		}
	}
	if !found {
		t.Error("the TVLV was changed")
	}
	p = ogm2Of(vX, 108, 900)
	p[2] = 1
	s.frame(0, vX, p)
	s.run(200 * time.Millisecond)
	if s.forwarded(0, vX, 108) != 0 || s.forwarded(1, vX, 108) != 0 || drops(dropTTL) == 0 {
		t.Error("TTL 1 is forwarded")
	}
	if drops(dropMalformed) != 0 {
		t.Error("padding counts as malformed")
	}
}

// ELP numbers: repeated and old ones are ignored, far older ones are a
// restart. The neighbour's entry follows its node's name.
func TestELPWindow(t *testing.T) {
	s := newVStand(t, 1, nil)
	s.frame(0, vX, elpOf(vX, 1000))
	n := s.m.ifaces[0].neighbour(vX)
	for _, c := range []struct {
		seqno uint32
		taken bool
	}{{1000, false}, {999, false}, {937, false}, {936, true}, {937, true}, {5000, true}, {4000, true}, {0xfffffff0, true}, {3, true}, {0xfffffff1, false}} {
		s.now = s.now.Add(time.Second)
		s.frame(0, vX, elpOf(vX, c.seqno))
		if got := n.lastSeen == s.now; got != c.taken {
			t.Errorf("%d: taken %v", c.seqno, got)
		}
	}
	s.frame(0, vX, elpOf(vY, 4))
	if n.Orig != vY {
		t.Errorf("node %v", n.Orig)
	}
	s.frame(0, vX, elpOf(batman.MAC{}, 5))
	s.frame(0, vX, elpOf(hardMAC(1, 0), 5))
	if s.m.drops[dropMalformed] != 2 || n.Orig != vY {
		t.Error("impossible names are taken")
	}
}

// Silence: the neighbour and its ways go after 200 s, the originator after
// 400 s.
func TestPurgeV(t *testing.T) {
	s := newVStand(t, 1, nil)
	s.frame(0, vX, elpOf(vX, 1))
	s.frame(0, vX, ogm2Of(vX, 1, throughputMax))
	o := s.m.originator(vX)
	s.run(199 * time.Second)
	if s.m.router(o, nil) == nil || len(s.m.ifaces[0].neighbours) != 1 {
		t.Error("gone too early")
	}
	s.run(3 * time.Second)
	if s.m.router(o, nil) != nil || len(s.m.ifaces[0].neighbours) != 0 || s.m.metric(o) != 0 {
		t.Error("still there after 200 s")
	}
	s.run(200 * time.Second)
	if len(s.m.origs) != 0 {
		t.Error("still known after 400 s")
	}
}

// Every prefix of a valid frame is harmless.
func TestTruncatedV(t *testing.T) {
	agg := append(ogm2Of(vX, 1, 100, 66, 1, 0, 2, 1, 2), ogm2Of(vFar, 1, 100, 66, 1, 0, 4, 1, 2, 3, 4)...)
	for i := range len(agg) {
		s := newVStand(t, 1, nil)
		s.frame(0, vX, elpOf(vX, 1))
		s.frame(0, vX, agg[:i])
		if n := len(s.m.origs); n > 1 || i < 26 && n > 0 {
			t.Errorf("%d bytes: %d originators", i, n)
		}
	}
	for i := range batman.ELPLen {
		s := newVStand(t, 1, nil)
		s.frame(0, vX, elpOf(vX, 1)[:i])
		if len(s.m.ifaces[0].neighbours) != 0 {
			t.Errorf("%d bytes of ELP are taken", i)
		}
	}
	s := newVStand(t, 1, nil)
	s.frame(0, vX, elpOf(vX, 1))
	s.frame(0, vX, append(ogm2Of(vX, 1, 100, 66, 1, 0), ogm2Of(vFar, 1, 100)...)) // odd length
	if len(s.m.origs) != 0 || s.m.drops[dropMalformed] != 1 {
		t.Error("an odd length is taken")
	}
}

// A flood of invented stations and originators fills no more than the tables,
// does not push out what is alive, and does not make us fill the air.
func TestFloodV(t *testing.T) {
	s := newVStand(t, 1, nil)
	s.m.ifaces[0].Wifi = true
	live := []batman.MAC{vX, vY}
	for i := range 40000 {
		if i%100 == 0 {
			s.run(100 * time.Millisecond)
			s.sent = s.sent[:0]
			for _, mac := range live {
				s.frame(0, mac, elpOf(mac, uint32(i)))
				s.frame(0, mac, ogm2Of(mac, uint32(i), throughputMax))
			}
		}
		fake := batman.MAC{6, 1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
		s.frame(0, fake, elpOf(fake, uint32(i)))
		s.frame(0, fake, ogm2Of(fake, 1, throughputMax))
		s.frame(0, vY, ogm2Of(fake, 2, throughputMax))
	}
	if n := len(s.m.ifaces[0].neighbours); n > maxHardNeigh {
		t.Errorf("%d neighbours", n)
	}
	if n := len(s.m.origs); n > MaxOriginators {
		t.Errorf("%d originators", n)
	}
	for _, mac := range live {
		if o := s.m.originator(mac); o == nil || s.m.router(o, nil) == nil || s.m.ifaces[0].neighbour(mac) == nil {
			t.Errorf("%v was pushed out", mac)
		}
	}
	s.sent = s.sent[:0]
	s.run(time.Second)
	if n := len(s.sent); n > 2*(maxProbed*elpProbes+1)+20 {
		t.Errorf("%d frames in a second", n)
	}
	// After the flood a new station comes in.
	s.run(6 * time.Second)
	s.frame(0, vZ, elpOf(vZ, 1))
	if s.m.ifaces[0].neighbour(vZ) == nil {
		t.Error("no room for a new neighbour")
	}
	if s.m.drops[dropRateLimit] == 0 {
		t.Error("nothing was limited")
	}
}

// FuzzV feeds ELP and OGM2 frames of a few stations and lets time pass.
func FuzzV(f *testing.F) {
	f.Add(append(elpOf(vX, 1), ogm2Of(vX, 1, 100)...))
	f.Add(append([]byte{1, 2, 3}, ogm2Of(vFar, 1, 100, 66, 1, 0, 2, 1, 2)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		s := newVStand(t, 2, func(c *Config) { c.OrigInterval = 100 * time.Millisecond })
		s.frame(0, vX, elpOf(vX, 1))
		s.frame(1, vY, elpOf(vY, 1))
		for len(p) > 2 {
			n := min(int(p[0]), len(p)-1)
			q := append([]byte(nil), p[1:1+n]...)
			if len(q) > 2 {
				q[0], q[1] = 3+q[0]&1, batman.Version
				s.frame(n&1, []batman.MAC{vX, vY, vZ, vFar}[q[2]&3], q)
			}
			p = p[1+n:]
			s.run(50 * time.Millisecond)
		}
		for _, o := range s.m.origList {
			for i := range o.routes {
				if r := o.routes[i].router; r != nil && r.orig != o {
					t.Fatal("a route by somebody else's way")
				}
			}
		}
		if len(s.m.origs) != len(s.m.origList) {
			t.Fatal("lists differ")
		}
	})
}

// BenchmarkOGM2: one OGM of a known originator, two interfaces, forwarded.
func BenchmarkOGM2(b *testing.B) {
	s := newVStand(b, 2, nil)
	s.frame(0, vX, elpOf(vX, 1))
	s.frame(0, vZ, elpOf(vZ, 1))
	s.frame(1, vY, elpOf(vY, 1))
	r := rx{s.m.ifaces[0], vX, batman.Broadcast}
	p := ogm2Of(vFar, 1, 100, 66, 1, 0, 4, 1, 2, 3, 4)
	b.ReportAllocs()
	seqno := uint32(0)
	for b.Loop() {
		seqno++
		batman.OGM2{TTL: 50, Seqno: seqno, Orig: vFar, Throughput: 100, TVLVLen: 8}.Put(p)
		s.m.rxOGM2(s.now, r, p, &s.out)
		for _, f := range s.out.Frames.Bufs {
			s.pool.Put(f)
		}
		s.out.Frames.Reset()
		s.out.Events = s.out.Events[:0]
	}
}

// Equal ways do not alternate, a repeated number is forwarded once, and after
// a restart with lower numbers the ways that fell silent do not stay.
func TestSwitchV(t *testing.T) {
	s := newVStand(t, 1, nil)
	for _, mac := range []batman.MAC{vX, vY, vZ} {
		s.frame(0, mac, elpOf(mac, 1))
	}
	const old = 0x70000000
	s.frame(0, vX, ogm2Of(vFar, old, 500))
	s.frame(0, vY, ogm2Of(vFar, old, 500))
	s.frame(0, vX, ogm2Of(vFar, old, 400))
	o := s.m.originator(vFar)
	router := func() batman.MAC { return s.m.router(o, nil).MAC }
	if router() != vY { // X became worse with the repeated number, and Y speaks next
		s.frame(0, vY, ogm2Of(vFar, old, 500))
	}
	if router() != vY {
		t.Error("the better way is not taken")
	}
	s.frame(0, vX, ogm2Of(vFar, old, 500))
	if router() != vY {
		t.Error("switched to a way that is no better")
	}
	s.run(200 * time.Millisecond)
	if s.forwarded(0, vFar, old) == 0 { // counts twice as an error
		t.Error("not forwarded")
	}
	for i := range uint32(6) { // Y fell silent, the node restarted
		s.frame(0, vX, ogm2Of(vFar, 1000+i, 500))
	}
	if router() != vX {
		t.Error("a silent way with high numbers stays")
	}
}
