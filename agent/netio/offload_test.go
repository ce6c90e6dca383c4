package netio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/meshagent/meshagent/agent/pkt"
)

// refSum is RFC 1071 as the RFC writes it: 16-bit big-endian words, one at a
// time. It shares nothing with sum16.
func refSum(parts ...[]byte) uint16 {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// refTransport is the checksum over the pseudo header and everything from
// offset trans of the IPv6 packet p on; 0 if the one in p is right.
func refTransport(p []byte, trans int, proto byte) uint16 {
	ps := append([]byte{}, p[8:40]...)
	ps = binary.BigEndian.AppendUint32(ps, uint32(len(p)-trans))
	ps = append(ps, 0, 0, 0, proto)
	return refSum(ps, p[trans:])
}

func TestSum16(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 2000)
	for i := range buf {
		buf[i] = byte(r.Uint32())
	}
	for n := range 600 {
		for _, off := range []int{0, 1, 2, 3, 4, 7} {
			b := buf[off : off+n]
			var w [2]byte
			binary.BigEndian.PutUint16(w[:], ^refSum(b))
			want := uint32(binary.NativeEndian.Uint16(w[:]))
			for name, got := range map[string]uint32{
				"sum16": sum16(b, 0), "wide": fold64(sumWide(b, 0)), "narrow": fold64(sumNarrow(b, 0)),
			} {
				if got != want {
					t.Fatalf("%s of %d bytes at %d = %#x, want %#x", name, n, off, got, want)
				}
			}
		}
	}
	ones := bytes.Repeat([]byte{0xff}, 65536)
	if got := sum16(ones, 0xffff); got != 0xffff {
		t.Errorf("sum of ones = %#x, want 0xffff", got)
	}
}

// seg describes one packet of a test flow.
type seg struct {
	port  uint16 // source port: the flow
	seq   uint32
	ack   uint32
	flags byte
	opts  []byte // multiple of 4
	pay   []byte
	udp   bool
}

var testIP6 = [40]byte{
	0x60, 0, 0, 0, 0, 0, 0, 64,
	0xfc, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
	0xfc, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
}

// packet builds the packet with the reference checksum.
func (s seg) packet() []byte {
	p := append([]byte{}, testIP6[:]...)
	var at int
	if s.udp {
		p[6] = protoUDP
		p = binary.BigEndian.AppendUint16(p, s.port)
		p = binary.BigEndian.AppendUint16(p, 5001)
		p = binary.BigEndian.AppendUint16(p, uint16(8+len(s.pay)))
		p = append(p, 0, 0)
		at = 46
	} else {
		p[6] = protoTCP
		p = binary.BigEndian.AppendUint16(p, s.port)
		p = binary.BigEndian.AppendUint16(p, 5001)
		p = binary.BigEndian.AppendUint32(p, s.seq)
		p = binary.BigEndian.AppendUint32(p, s.ack)
		p = append(p, byte(5+len(s.opts)/4)<<4, s.flags, 0x20, 0, 0, 0, 0, 0)
		p = append(p, s.opts...)
		at = 56
	}
	p = append(p, s.pay...)
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
	c := refTransport(p, 40, p[6])
	if c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(p[at:], c)
	return p
}

func fill(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) + seed + byte(i>>8)
	}
	return b
}

func bufOf(p []byte) *pkt.Buf {
	b := new(pkt.Buf)
	if !b.Set(p) {
		panic("test packet too long")
	}
	return b
}

// super builds what the kernel hands over: headers, all payload, and a
// checksum field with the pseudo header only.
func super(s seg, gso int) (vnetHdr, []byte) {
	p := append([]byte{}, s.packet()...)
	h := vnetHdr{flags: vnetNeedsCsum, gsoType: gsoTCP6, gsoSize: uint16(gso), csumStart: 40, csumOff: tcpCsum}
	at := 56
	if s.udp {
		h.gsoType, h.csumOff, at = gsoUDPL4, udpCsum, 46
	}
	h.hdrLen = uint16(len(p) - len(s.pay))
	ps := append([]byte{}, p[8:40]...)
	ps = binary.BigEndian.AppendUint32(ps, uint32(len(p)-40))
	ps = append(ps, 0, 0, 0, p[6])
	binary.BigEndian.PutUint16(p[at:], ^refSum(ps))
	return h, p
}

// splitAll cuts p as a caller with batch bufs does.
func splitAll(t *testing.T, h vnetHdr, p []byte, mtu int) [][]byte {
	t.Helper()
	var s splitter
	if !s.start(h, p, mtu) {
		t.Fatalf("start refused a good super-packet: %+v, %d bytes", h, len(p))
	}
	var out [][]byte
	b := new(pkt.Buf)
	for s.active() {
		s.next(b)
		out = append(out, append([]byte{}, b.Bytes()...))
		if len(out) > 70000 {
			t.Fatal("split does not end")
		}
	}
	return out
}

func TestSplitTCP(t *testing.T) {
	s := seg{port: 9, seq: 0xffffff00, ack: 77, flags: tcpACK | tcpPSH | tcpFIN | tcpCWR, opts: fill(12, 1), pay: fill(5000, 3)}
	h, p := super(s, 1232)
	h.gsoType |= gsoECN
	got := splitAll(t, h, p, 1304)
	if len(got) != 5 {
		t.Fatalf("%d segments, want 5", len(got))
	}
	var all []byte
	for i, g := range got {
		if c := refTransport(g, 40, protoTCP); c != 0 {
			t.Errorf("segment %d: checksum is off by %#x", i, c)
		}
		if n := int(binary.BigEndian.Uint16(g[4:])); n != len(g)-40 {
			t.Errorf("segment %d: length %d, want %d", i, n, len(g)-40)
		}
		if q := binary.BigEndian.Uint32(g[44:]); q != s.seq+uint32(len(all)) {
			t.Errorf("segment %d: sequence %#x, want %#x", i, q, s.seq+uint32(len(all)))
		}
		want := byte(tcpACK)
		if i == 0 {
			want |= tcpCWR
		}
		if i == len(got)-1 {
			want |= tcpPSH | tcpFIN
		}
		if g[53] != want {
			t.Errorf("segment %d: flags %#x, want %#x", i, g[53], want)
		}
		if !bytes.Equal(g[60:72], s.opts) {
			t.Errorf("segment %d: options changed", i)
		}
		all = append(all, g[72:]...)
	}
	if !bytes.Equal(all, s.pay) {
		t.Error("the segments do not add up to the payload")
	}
}

func TestSplitUDP(t *testing.T) {
	s := seg{udp: true, port: 9, pay: fill(2500, 3)}
	h, p := super(s, 1000)
	got := splitAll(t, h, p, 1304)
	if len(got) != 3 {
		t.Fatalf("%d datagrams, want 3", len(got))
	}
	for i, g := range got {
		want := seg{udp: true, port: 9, pay: s.pay[i*1000 : min(i*1000+1000, 2500)]}.packet()
		if !bytes.Equal(g, want) {
			t.Errorf("datagram %d differs from one built alone", i)
		}
	}
}

// A checksum that comes out as 0 must be sent as ffff, because 0 means none.
func TestUDPChecksumZeroBecomesOnes(t *testing.T) {
	s := seg{udp: true, port: 9, pay: []byte{0, 0}}
	p := s.packet()
	copy(p[48:], p[46:48]) // now the old checksum is in the data and the new one is 0
	h := vnetHdr{flags: vnetNeedsCsum, csumStart: 40, csumOff: udpCsum}
	ps := binary.BigEndian.AppendUint32(append([]byte{}, p[8:40]...), uint32(len(p)-40))
	binary.BigEndian.PutUint16(p[46:], ^refSum(append(ps, 0, 0, 0, protoUDP)))
	if !finishCsum(h, p) {
		t.Fatal("refused")
	}
	if p[46] != 0xff || p[47] != 0xff {
		t.Errorf("checksum %x, want ffff", p[46:48])
	}
	if !csumRight(p) {
		t.Error("and it is wrong")
	}
}

func TestSplitRefuses(t *testing.T) {
	good := seg{port: 9, flags: tcpACK, pay: fill(3000, 1)}
	for _, c := range []struct {
		name string
		mod  func(h *vnetHdr, p []byte) []byte
	}{
		{"no checksum start", func(h *vnetHdr, p []byte) []byte { h.flags = 0; return p }},
		{"IPv4", func(h *vnetHdr, p []byte) []byte { p[0] = 0x45; return p }},
		{"IPv4 segments", func(h *vnetHdr, p []byte) []byte { h.gsoType = 1; return p }},
		{"fragments", func(h *vnetHdr, p []byte) []byte { h.gsoType = 3; return p }},
		{"size zero", func(h *vnetHdr, p []byte) []byte { h.gsoSize = 0; return p }},
		{"segments above the mtu", func(h *vnetHdr, p []byte) []byte { h.gsoSize = 1304 - 59; return p }},
		{"transport header inside the IP header", func(h *vnetHdr, p []byte) []byte { h.csumStart = 39; return p }},
		{"transport header behind the end", func(h *vnetHdr, p []byte) []byte { h.csumStart = 60000; return p }},
		{"other checksum field", func(h *vnetHdr, p []byte) []byte { h.csumOff = 6; return p }},
		{"short TCP header", func(h *vnetHdr, p []byte) []byte { p[52] = 4 << 4; return p }},
		{"no payload", func(h *vnetHdr, p []byte) []byte { return p[:60] }},
		{"cut in the TCP header", func(h *vnetHdr, p []byte) []byte { return p[:59] }},
		{"cut in the IP header", func(h *vnetHdr, p []byte) []byte { return p[:39] }},
		{"empty", func(h *vnetHdr, p []byte) []byte { return nil }},
	} {
		h, p := super(good, 1000)
		p = c.mod(&h, p)
		var s splitter
		if s.start(h, p, 1304) || s.active() {
			t.Errorf("%s: accepted", c.name)
		}
	}
	h, p := super(good, 1304-60)
	var s splitter
	if !s.start(h, p, 1304) {
		t.Error("segments of exactly the mtu are refused")
	}
}

// mergeAll sorts packets into super-packets and returns them as the kernel
// would get them.
type superPacket struct {
	hdr vnetHdr
	p   []byte
	n   int
}

func mergeAll(m *merger, bufs []*pkt.Buf) []superPacket {
	m.sort(bufs)
	var out []superPacket
	for i := range m.groups {
		g := &m.groups[i]
		if g.count == 1 {
			out = append(out, superPacket{p: bufs[g.first].Bytes(), n: 1})
			continue
		}
		var hb [maxHead]byte
		k := g.head(hb[:], bufs[g.first].Bytes())
		sp := superPacket{hdr: parseVnet((*[vnetHdrLen]byte)(hb[:])), p: append([]byte{}, hb[vnetHdrLen:k]...)}
		for j := g.first; j >= 0; j = m.next[j] {
			sp.p = append(sp.p, bufs[j].Bytes()[g.hdr:]...)
			sp.n++
		}
		out = append(out, sp)
	}
	return out
}

func TestMerge(t *testing.T) {
	const A, P = tcpACK, tcpACK | tcpPSH
	d := func(port uint16, seq uint32, n int, flags byte) seg {
		return seg{port: port, seq: seq, ack: 1, flags: flags, opts: fill(12, 0), pay: fill(n, byte(seq))}
	}
	u := func(port uint16, n int) seg { return seg{udp: true, port: port, pay: fill(n, 5)} }
	with := func(s seg, f func(*seg)) seg { f(&s); return s }
	for _, c := range []struct {
		name string
		in   []seg
		want []int // packets per group, in order
	}{
		{"run", []seg{d(1, 0, 100, A), d(1, 100, 100, A), d(1, 200, 100, A)}, []int{3}},
		{"run with short end", []seg{d(1, 0, 100, A), d(1, 100, 40, A), d(1, 140, 100, A)}, []int{2, 1}},
		{"longer packet", []seg{d(1, 0, 100, A), d(1, 100, 101, A), d(1, 201, 101, A)}, []int{1, 2}},
		{"push ends", []seg{d(1, 0, 100, A), d(1, 100, 100, P), d(1, 200, 100, A), d(1, 300, 100, A)}, []int{2, 2}},
		{"push first", []seg{d(1, 0, 100, P), d(1, 100, 100, A)}, []int{1, 1}},
		{"gap", []seg{d(1, 0, 100, A), d(1, 200, 100, A)}, []int{1, 1}},
		{"backwards", []seg{d(1, 100, 100, A), d(1, 0, 100, A)}, []int{1, 1}},
		{"wrap", []seg{d(1, 1<<32-50, 100, A), d(1, 50, 100, A)}, []int{2}},
		{"two flows", []seg{d(1, 0, 100, A), d(2, 0, 100, A), d(1, 100, 100, A), d(2, 100, 100, A)}, []int{2, 2}},
		{"ack between", []seg{d(1, 0, 100, A), d(1, 100, 0, A), d(1, 100, 100, A)}, []int{1, 1, 1}},
		{"fin", []seg{d(1, 0, 100, A), d(1, 100, 100, A|tcpFIN)}, []int{1, 1}},
		{"cwr", []seg{d(1, 0, 100, A), d(1, 100, 100, A|tcpCWR)}, []int{1, 1}},
		{"other ack", []seg{d(1, 0, 100, A), with(d(1, 100, 100, A), func(s *seg) { s.ack = 2 })}, []int{1, 1}},
		{"other options", []seg{d(1, 0, 100, A), with(d(1, 100, 100, A), func(s *seg) { s.opts = fill(12, 1) })}, []int{1, 1}},
		{"no options", []seg{d(1, 0, 100, A), with(d(1, 100, 100, A), func(s *seg) { s.opts = nil })}, []int{1, 1}},
		{"udp", []seg{u(1, 64), u(1, 64), u(1, 64)}, []int{3}},
		{"udp short end", []seg{u(1, 64), u(1, 60), u(1, 60)}, []int{2, 1}},
		{"udp longer", []seg{u(1, 64), u(1, 65)}, []int{1, 1}},
		{"udp empty", []seg{u(1, 64), u(1, 0), u(1, 64)}, []int{1, 1, 1}},
		{"udp and tcp of equal ports", []seg{u(1, 100), d(1, 0, 100, A), u(1, 100)}, []int{2, 1}},
		{"64 KiB", func() (v []seg) {
			for i := range 60 {
				v = append(v, d(1, uint32(i*1200), 1200, A))
			}
			return v
		}(), []int{54, 6}},
		{"nine flows", func() (v []seg) {
			for i := range 18 {
				v = append(v, d(uint16(i%9), uint32(i/9*100), 100, A))
			}
			return v
		}(), []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
	} {
		var bufs []*pkt.Buf
		var before [][]byte
		for _, s := range c.in {
			p := s.packet()
			bufs = append(bufs, bufOf(p))
			before = append(before, p)
		}
		got := mergeAll(newMerger(64, true, true), bufs)
		var counts []int
		for _, g := range got {
			counts = append(counts, g.n)
		}
		if fmt.Sprint(counts) != fmt.Sprint(c.want) {
			t.Errorf("%s: groups of %v, want %v", c.name, counts, c.want)
		}
		for i, b := range bufs {
			if !bytes.Equal(b.Bytes(), before[i]) {
				t.Errorf("%s: packet %d was changed", c.name, i)
			}
		}
		checkSame(t, c.name, before, got)
	}
}

// checkSame cuts super-packets again and compares the packets of each flow
// with the ones before: same bytes, same order within the flow.
func checkSame(t *testing.T, name string, before [][]byte, got []superPacket) {
	t.Helper()
	flow := func(p []byte) string {
		if len(p) < 48 || p[0]>>4 != 6 {
			return "none"
		}
		return string(p[6:7]) + string(p[8:44])
	}
	want, have := map[string][][]byte{}, map[string][][]byte{}
	for _, p := range before {
		want[flow(p)] = append(want[flow(p)], p)
	}
	for _, g := range got {
		if g.n == 1 {
			have[flow(g.p)] = append(have[flow(g.p)], g.p)
			continue
		}
		for _, p := range splitAll(t, g.hdr, g.p, pkt.MaxMTU) {
			have[flow(p)] = append(have[flow(p)], p)
		}
	}
	for f, w := range want {
		h := have[f]
		if len(h) != len(w) {
			t.Errorf("%s: %d packets of a flow came out, want %d", name, len(h), len(w))
			continue
		}
		for i := range w {
			if !bytes.Equal(h[i], w[i]) {
				t.Errorf("%s: packet %d of a flow is %x, want %x", name, i, h[i], w[i])
			}
		}
	}
}

// A damaged packet must reach the kernel as a damaged packet.
func TestMergeLeavesDamagedPacketsAlone(t *testing.T) {
	for bad := range 3 {
		var bufs []*pkt.Buf
		var before [][]byte
		for i := range 3 {
			p := seg{port: 1, seq: uint32(i * 100), flags: tcpACK, pay: fill(100, byte(i))}.packet()
			if i == bad {
				p[80] ^= 1
			}
			before = append(before, p)
			bufs = append(bufs, bufOf(p))
		}
		got := mergeAll(newMerger(8, true, true), bufs)
		checkSame(t, "damaged", before, got)
		for _, g := range got {
			if g.n > 1 && bytes.Contains(g.p, before[bad][60:]) {
				t.Errorf("damaged packet %d was merged", bad)
			}
		}
	}
}

// FuzzSplit gives the splitter arbitrary headers and packets: whatever it
// accepts must come out as packets within the MTU that verify.
func FuzzSplit(f *testing.F) {
	for _, s := range []seg{
		{port: 9, seq: 1, flags: tcpACK | tcpPSH, opts: fill(12, 1), pay: fill(3000, 3)},
		{udp: true, port: 9, pay: fill(2500, 3)},
	} {
		h, p := super(s, 1000)
		var b [vnetHdrLen]byte
		h.put(b[:])
		f.Add(b[:], p)
	}
	f.Fuzz(func(t *testing.T, hb, p []byte) {
		if len(hb) != vnetHdrLen || len(p) > maxSuper {
			t.Skip()
		}
		h := parseVnet((*[vnetHdrLen]byte)(hb))
		finishCsum(h, append([]byte{}, p...))
		var s splitter
		if !s.start(h, p, 1304) {
			return
		}
		proto := byte(protoTCP)
		if h.gsoType&^gsoECN == gsoUDPL4 {
			proto = protoUDP
		}
		n, b := 0, new(pkt.Buf)
		for s.active() {
			s.next(b)
			q := b.Bytes()
			if len(q) > 1304 {
				t.Fatalf("segment of %d bytes", len(q))
			}
			if c := refTransport(q, int(h.csumStart), proto); c != 0 {
				t.Fatalf("checksum off by %#x", c)
			}
			n += len(q) - s.hdr
		}
		if n != len(p)-s.hdr {
			t.Fatalf("%d payload bytes came out of %d", n, len(p)-s.hdr)
		}
	})
}

// FuzzMerge lets the input choose a batch of packets of few flows, partly
// damaged, and demands that merging and cutting again gives the same packets
// in the same order per flow.
func FuzzMerge(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add(bytes.Repeat([]byte{0, 100, 0, 0}, 20))
	f.Add(bytes.Repeat([]byte{4, 64, 0, 0}, 20))
	f.Fuzz(func(t *testing.T, in []byte) {
		var bufs []*pkt.Buf
		var before [][]byte
		seq := map[uint16]uint32{}
		for len(in) >= 4 && len(bufs) < 64 {
			s := seg{port: uint16(in[0] & 3), udp: in[0]&4 != 0, flags: tcpACK, pay: fill(int(in[1])*8, in[1])}
			if in[0]&0x18 == 0x18 {
				s.opts = fill(12, 9)
			}
			if in[0]&0x20 != 0 {
				s.flags = in[2]
			}
			s.seq = seq[s.port] + uint32(in[3]&1)
			seq[s.port] = s.seq + uint32(len(s.pay))
			p := s.packet()
			if in[2] == 0xff {
				p[int(in[3])%len(p)] ^= in[1]
			}
			if in[2] == 0xfe {
				p = p[:int(in[3])%len(p)]
			}
			bufs, before, in = append(bufs, bufOf(p)), append(before, p), in[4:]
		}
		checkSame(t, "fuzz", before, mergeAll(newMerger(64, true, true), bufs))
	})
}

func TestOffloadDoesNotAllocate(t *testing.T) {
	h, p := super(seg{port: 9, seq: 1, flags: tcpACK, opts: fill(12, 1), pay: fill(60000, 3)}, 1232)
	bufs := make([]*pkt.Buf, 64)
	for i := range bufs {
		bufs[i] = new(pkt.Buf)
	}
	var s splitter
	m := newMerger(64, true, true)
	var hb [maxHead]byte
	n := testing.AllocsPerRun(10, func() {
		if !s.start(h, p, 1304) {
			t.Fatal("refused")
		}
		k := 0
		for ; s.active(); k++ {
			s.next(bufs[k])
		}
		m.sort(bufs[:k])
		m.groups[0].head(hb[:], bufs[0].Bytes())
	})
	if n != 0 {
		t.Errorf("%v allocations per super-packet, want 0", n)
	}
	if len(m.groups) != 1 {
		t.Errorf("%d groups, want 1", len(m.groups))
	}
}

func BenchmarkSplit(b *testing.B) {
	h, p := super(seg{port: 9, seq: 1, flags: tcpACK, opts: fill(12, 1), pay: fill(60000, 3)}, 1232)
	buf := new(pkt.Buf)
	var s splitter
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s.start(h, p, 1304)
		for ; s.active(); n++ {
			s.next(buf)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
}

func BenchmarkMerge(b *testing.B) {
	for _, c := range []struct {
		name string
		mk   func(i int) seg
	}{
		{"tcp1flow", func(i int) seg {
			return seg{port: 1, seq: uint32(i * 1232), flags: tcpACK, opts: fill(12, 1), pay: fill(1232, 3)}
		}},
		{"udp64", func(i int) seg { return seg{udp: true, port: 1, pay: fill(64, 3)} }},
		{"udp8flows", func(i int) seg { return seg{udp: true, port: uint16(i % 16), pay: fill(64, 3)} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			bufs := make([]*pkt.Buf, 50)
			for i := range bufs {
				bufs[i] = bufOf(c.mk(i).packet())
			}
			m := newMerger(64, true, true)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				m.sort(bufs)
				n += len(bufs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
		})
	}
}
