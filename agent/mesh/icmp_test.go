package mesh

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/pkt"
)

// trio is the mesh of the captures, v1 - v2 - v3: v2's interface 0 is on the
// link la with v1, its interface 1 on lb with v3.
func trio(t *testing.T) (w *world, v1, v2, v3 *wnode) {
	w = newWorld(t, 1)
	v1, v2, v3 = w.node("v1", nil), w.node("v2", nil), w.node("v3", nil)
	v2.iface(1, nil)
	w.link(v1, 0, v2, 0, 0)
	w.link(v2, 1, v3, 0, 0)
	converge(w)
	return w, v1, v2, v3
}

// isICMP reports whether a frame is one of mesh ping or traceroute.
func isICMP(frame []byte) bool {
	return len(frame) >= batman.EthLen+batman.ICMPLen && frame[12] == 0x43 && frame[13] == 5 &&
		frame[14] == byte(batman.TypeICMP) && frame[17] != batman.ICMPThroughput
}

// TestGoldenICMP gives our v2 and v3 the requests that batctl on v1 sent to
// two kernels: pings, pings with route record, traceroutes. Every answer is
// the kernels' byte for byte.
func TestGoldenICMP(t *testing.T) {
	for _, name := range []string{"icmp-la-6.1.pcap", "icmp-la-6.12.pcap"} {
		w, v1, v2, _ := trio(t)
		var got [][]byte
		w.tap = func(from *wnode, iface int, frame []byte) {
			if from == v2 && iface == 0 && isICMP(frame) {
				got = append(got, append([]byte(nil), frame...))
			}
		}
		asked := 0
		kinds := map[byte]int{}
		for _, c := range readPcap(t, name) {
			switch {
			case !isICMP(c.frame):
			case batman.MAC(c.frame[6:12]) == hardMAC(1, 0):
				if len(got) != 0 {
					t.Fatalf("%s: %d answers too many: %x", name, len(got), got)
				}
				asked++
				w.air(wport{v1, 0}, c.frame)
				w.run(20 * time.Millisecond)
			case len(got) == 0:
				t.Fatalf("%s: no answer to request %d", name, asked)
			default:
				if !bytes.Equal(got[0], c.frame) {
					t.Errorf("%s: answer to request %d is\n%x, want\n%x", name, asked, got[0], c.frame)
				}
				kinds[c.frame[17]]++
				got = got[1:]
			}
		}
		if asked < 10 || kinds[batman.ICMPEchoReply] == 0 || kinds[batman.ICMPTTLExceeded] == 0 {
			t.Errorf("%s: %d requests, answers %v", name, asked, kinds)
		}
	}
}

// ping pings and returns the reply.
func (n *wnode) ping(r PingRequest, wait time.Duration) Reply {
	n.w.t.Helper()
	r.ID = 4711
	n.m.Ping(n.w.now, r, &n.out)
	n.drain()
	n.w.run(wait)
	reps := n.reps
	n.reps = nil
	if len(reps) != 1 || reps[0].ID != 4711 || reps[0].Kind != ReplyPing {
		n.w.t.Fatalf("replies %+v", reps)
	}
	return reps[0]
}

func TestPing(t *testing.T) {
	w, v1, v2, v3 := trio(t)
	var first []byte
	w.tap = func(from *wnode, _ int, frame []byte) {
		if from == v1 && isICMP(frame) && first == nil {
			first = append(first, frame...)
		}
	}
	if r := v1.ping(PingRequest{Dst: hardMAC(3, 0)}, 20*time.Millisecond); r.Err != "" || r.From != hardMAC(3, 0) || r.Type != batman.ICMPEchoReply || r.TTL != 49 {
		t.Errorf("v3 answers %+v", r)
	}
	for _, c := range readPcap(t, "icmp-la-6.12.pcap") { // batctl asks the same
		if isICMP(c.frame) {
			want := append([]byte(nil), c.frame...)
			copy(want[30:], first[30:34]) // uid, 0, seqno
			want[31] = 0
			if !bytes.Equal(first, want) {
				t.Errorf("request %x, want %x", first, want)
			}
			break
		}
	}
	r := v1.ping(PingRequest{Dst: hardMAC(3, 0), RouteRecord: true}, 20*time.Millisecond)
	want := []batman.MAC{hardMAC(1, 0), hardMAC(2, 0), hardMAC(3, 0), hardMAC(2, 1), hardMAC(1, 0)}
	if !slices.Equal(r.RR, want) {
		t.Errorf("route %v, want %v", r.RR, want)
	}
	if r := v1.ping(PingRequest{Dst: hardMAC(3, 0), TTL: 1}, 20*time.Millisecond); r.From != hardMAC(2, 0) || r.Type != batman.ICMPTTLExceeded || r.TTL != 50 {
		t.Errorf("TTL 1: %+v", r)
	}
	if r := v1.ping(PingRequest{Dst: hardMAC(3, 0), TTL: 2}, 20*time.Millisecond); r.From != hardMAC(3, 0) || r.Type != batman.ICMPEchoReply {
		t.Errorf("TTL 2: %+v", r)
	}
	if r := v1.ping(PingRequest{Dst: v3.mac}, 20*time.Millisecond); r.From != hardMAC(3, 0) || r.Err != "" {
		t.Errorf("by the address of a client: %+v", r)
	}
	for name, dst := range map[string]batman.MAC{"nobody": hardMAC(99, 0), "ourselves": hardMAC(1, 0), "our client": v1.mac} {
		if r := v1.ping(PingRequest{Dst: dst}, 0); r.Err == "" {
			t.Errorf("%s answers %+v", name, r)
		}
	}
	v3.off = true
	start := w.now
	if r := v1.ping(PingRequest{Dst: hardMAC(3, 0), Timeout: 300 * time.Millisecond}, 310*time.Millisecond); r.Err != "timeout" {
		t.Errorf("after %v: %+v", w.now.Sub(start), r)
	}
	for range 2 * maxPings {
		v2.m.Ping(w.now, PingRequest{ID: 1, Dst: hardMAC(3, 0)}, &v2.out)
	}
	if n := len(v2.m.icmp.waits); n != maxPings {
		t.Errorf("%d pings wait", n)
	}
	v2.drain()
	w.run(2 * time.Second)
	if len(v2.reps) != 2*maxPings || len(v2.m.icmp.waits) != 0 {
		t.Errorf("%d replies, %d wait", len(v2.reps), len(v2.m.icmp.waits))
	}
}

// icmpFrame is a frame with an ICMP packet of size bytes.
func icmpFrame(dst, src batman.MAC, i batman.ICMP, size int) []byte {
	b := make([]byte, batman.EthLen+size)
	batman.Eth{Dst: dst, Src: src, Type: batman.EtherType}.Put(b)
	i.Put(b[batman.EthLen:])
	return b
}

// TestICMPRules has a row for each way that a packet can end.
func TestICMPRules(t *testing.T) {
	v1, v2, v3 := hardMAC(1, 0), hardMAC(2, 0), hardMAC(3, 0)
	ask := batman.ICMP{TTL: 50, Msg: batman.ICMPEchoRequest, Dst: v2, Orig: v1}
	w, _, n2, _ := trio(t)
	with := func(change func(i *batman.ICMP)) batman.ICMP { i := ask; change(&i); return i }
	for _, c := range []struct {
		name string
		i    batman.ICMP
		size int
		to   batman.MAC // next hop of what v2 sends; zero: nothing
		want batman.ICMP
	}{
		{"echo", ask, 20, v1, batman.ICMP{TTL: 50, Msg: batman.ICMPEchoReply, Dst: v1, Orig: v2}},
		{"echo of a padded packet", ask, 46, v1, batman.ICMP{TTL: 50, Msg: batman.ICMPEchoReply, Dst: v1, Orig: v2}},
		{"to another interface of ours", with(func(i *batman.ICMP) { i.Dst = hardMAC(2, 1) }), 20, v1, batman.ICMP{TTL: 50, Msg: batman.ICMPEchoReply, Dst: v1, Orig: v2}},
		{"uid and seqno come back", with(func(i *batman.ICMP) { i.UID, i.RR, i.Seqno = 7, 9, 0xabcd }), 20, v1, batman.ICMP{TTL: 50, Dst: v1, Orig: v2, UID: 7, RR: 9, Seqno: 0xabcd}},
		{"TTL does not matter at the end", with(func(i *batman.ICMP) { i.TTL = 0 }), 20, v1, batman.ICMP{TTL: 50, Dst: v1, Orig: v2}},
		{"from an unknown originator", with(func(i *batman.ICMP) { i.Orig = hardMAC(77, 0) }), 20, batman.MAC{}, batman.ICMP{}},
		{"unknown message for us", with(func(i *batman.ICMP) { i.Msg = 99 }), 20, batman.MAC{}, batman.ICMP{}},
		{"answer that nobody waits for", with(func(i *batman.ICMP) { i.Msg = batman.ICMPEchoReply }), 20, batman.MAC{}, batman.ICMP{}},
		{"transit", with(func(i *batman.ICMP) { i.Dst = v3 }), 20, v3, batman.ICMP{TTL: 49, Msg: batman.ICMPEchoRequest, Dst: v3, Orig: v1}},
		{"transit of an unknown message", with(func(i *batman.ICMP) { i.Dst, i.Msg = v3, 99 }), 20, v3, batman.ICMP{TTL: 49, Msg: 99, Dst: v3, Orig: v1}},
		{"transit, TTL 2", with(func(i *batman.ICMP) { i.Dst, i.TTL = v3, 2 }), 20, v3, batman.ICMP{TTL: 1, Msg: batman.ICMPEchoRequest, Dst: v3, Orig: v1}},
		{"transit, TTL 1", with(func(i *batman.ICMP) { i.Dst, i.TTL = v3, 1 }), 20, v1, batman.ICMP{TTL: 50, Msg: batman.ICMPTTLExceeded, Dst: v1, Orig: v2}},
		{"transit, TTL 0", with(func(i *batman.ICMP) { i.Dst, i.TTL = v3, 0 }), 20, v1, batman.ICMP{TTL: 50, Msg: batman.ICMPTTLExceeded, Dst: v1, Orig: v2}},
		{"transit of an answer, TTL 1", with(func(i *batman.ICMP) { i.Dst, i.TTL, i.Msg = v3, 1, batman.ICMPEchoReply }), 20, batman.MAC{}, batman.ICMP{}},
		{"transit to nobody", with(func(i *batman.ICMP) { i.Dst = hardMAC(77, 0) }), 20, batman.MAC{}, batman.ICMP{}},
		{"record with room", with(func(i *batman.ICMP) { i.RR = 15 }), 116, v1, batman.ICMP{TTL: 50, Dst: v1, Orig: v2, RR: 16}},
		{"full record", with(func(i *batman.ICMP) { i.RR = 16 }), 116, batman.MAC{}, batman.ICMP{}},
		{"impossible record", with(func(i *batman.ICMP) { i.RR = 255 }), 116, batman.MAC{}, batman.ICMP{}},
		{"no record in other messages", with(func(i *batman.ICMP) { i.Dst, i.RR, i.Msg = v3, 255, batman.ICMPUnreachable }), 116, v3, batman.ICMP{TTL: 49, Msg: batman.ICMPUnreachable, Dst: v3, Orig: v1, RR: 255}},
	} {
		frame := icmpFrame(v2, v1, c.i, c.size)
		b := w.pool.Get()
		b.Set(frame)
		n2.m.HandleFrame(w.now, b, &n2.out)
		fs := append([]*pkt.Buf(nil), n2.out.Frames.Bufs...)
		n2.out.Frames.Reset()
		switch {
		case c.to.IsZero() && len(fs) == 0:
		case len(fs) != 1 || c.to.IsZero():
			t.Errorf("%s: %d frames", c.name, len(fs))
		default:
			p := fs[0].Bytes()
			got, _ := batman.ParseICMP(p[batman.EthLen:])
			if batman.MAC(p[:6]) != c.to || got != c.want || len(p) != len(frame) {
				t.Errorf("%s: %d bytes to %v: %+v, want %+v", c.name, len(p), batman.MAC(p[:6]), got, c.want)
			}
		}
	}
}

// TestICMPTruncated: each prefix of a packet is dropped and counted.
func TestICMPTruncated(t *testing.T) {
	w, _, n2, _ := trio(t)
	full := icmpFrame(hardMAC(2, 0), hardMAC(1, 0), batman.ICMP{TTL: 50, Msg: batman.ICMPEchoRequest, Dst: hardMAC(2, 0), Orig: hardMAC(1, 0)}, 20)
	for n := batman.EthLen + 3; n < len(full); n++ {
		before := n2.m.drops[dropRunt]
		b := w.pool.Get()
		b.Set(full[:n])
		n2.m.HandleFrame(w.now, b, &n2.out)
		if len(n2.out.Frames.Bufs) != 0 || n2.m.drops[dropRunt] != before+1 {
			t.Errorf("%d of %d bytes: %d frames", n, len(full), len(n2.out.Frames.Bufs))
		}
	}
}

// TestICMPRate: one neighbour gets so many answers a second, and does not
// spend those of another.
func TestICMPRate(t *testing.T) {
	w, _, n2, _ := trio(t)
	send := func(iface int, src batman.MAC) int {
		b := w.pool.Get()
		b.Set(icmpFrame(hardMAC(2, iface), src, batman.ICMP{TTL: 50, Msg: batman.ICMPEchoRequest, Dst: hardMAC(2, 0), Orig: src}, 20))
		b.Port = uint16(iface)
		n2.m.HandleFrame(w.now, b, &n2.out)
		n := len(n2.out.Frames.Bufs)
		n2.out.Frames.Recycle(&w.pool)
		return n
	}
	n := 0
	for range 1000 {
		n += send(0, hardMAC(1, 0))
	}
	if n != icmpBurst || send(1, hardMAC(3, 0)) != 1 {
		t.Errorf("%d answers of 1000; or the other neighbour got none", n)
	}
	w.now = w.now.Add(10 * icmpInterval)
	n = 0
	for range 100 {
		n += send(0, hardMAC(1, 0))
	}
	if n != 10 {
		t.Errorf("%d answers after %v, want 10", n, 10*icmpInterval)
	}
}

func TestICMPAllocs(t *testing.T) {
	w, _, n2, _ := trio(t)
	i := batman.ICMP{TTL: 50, Msg: batman.ICMPEchoRequest, Dst: hardMAC(3, 0), Orig: hardMAC(1, 0)}
	frame := icmpFrame(hardMAC(2, 0), hardMAC(1, 0), i, 116)
	if n := testing.AllocsPerRun(100, func() {
		b := w.pool.Get()
		b.Set(frame)
		n2.m.HandleFrame(w.now, b, &n2.out)
		if len(n2.out.Frames.Bufs) != 1 {
			t.Fatal("not forwarded")
		}
		n2.out.Frames.Recycle(&w.pool)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzICMP: any ICMP packet makes at most one frame, not longer than it was,
// with a smaller TTL unless it is an answer of this node.
func FuzzICMP(f *testing.F) {
	for _, c := range readPcap(f, "icmp-la-6.12.pcap") {
		if isICMP(c.frame) {
			f.Add(c.frame[batman.EthLen:])
		}
	}
	for i, c := range readPcap(f, "tp-la-6.12.pcap") {
		if i < 8 {
			f.Add(c.frame[batman.EthLen:])
		}
	}
	var w *world
	var n2 *wnode
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < 3 || len(p) > 2000 {
			return
		}
		if w == nil {
			w, _, n2, _ = trio(t)
		}
		w.now = w.now.Add(time.Second) // the rate limit is not what is tested
		b := w.pool.Get()
		b.Set(p)
		batman.Eth{Dst: hardMAC(2, 0), Src: hardMAC(1, 0), Type: batman.EtherType}.Put(b.Push(batman.EthLen))
		b.Bytes()[batman.EthLen], b.Bytes()[batman.EthLen+1] = byte(batman.TypeICMP), batman.Version
		n2.m.HandleFrame(w.now, b, &n2.out)
		if len(n2.out.Frames.Bufs) > 1 {
			t.Fatalf("%d frames", len(n2.out.Frames.Bufs))
		}
		for _, b := range n2.out.Frames.Bufs {
			q := b.Bytes()[batman.EthLen:]
			if len(q) > len(p) || q[2] >= p[2] && batman.MAC(q[10:16]) != hardMAC(2, 0) {
				t.Fatalf("%x became %x", p, q)
			}
		}
		n2.out.Frames.Recycle(&w.pool)
	})
}
