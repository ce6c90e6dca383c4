package mesh

import (
	"bytes"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// isTP reports whether a frame belongs to the throughput meter.
func isTP(frame []byte) bool {
	return len(frame) >= batman.EthLen+batman.TPLen && frame[12] == 0x43 && frame[13] == 5 &&
		frame[14] == byte(batman.TypeICMP) && frame[17] == batman.ICMPThroughput
}

// measure runs a test from n and returns its result.
func (n *wnode) measure(dst batman.MAC, d, wait time.Duration) Reply {
	n.w.t.Helper()
	n.m.MeterStart(n.w.now, 99, dst, d, &n.out)
	n.drain()
	n.w.run(wait)
	reps := n.reps
	n.reps = nil
	if len(reps) != 1 || reps[0].ID != 99 || reps[0].Kind != ReplyMeter {
		n.w.t.Fatalf("replies %+v", reps)
	}
	return reps[0]
}

func TestMeter(t *testing.T) {
	w, v1, v2, v3 := trio(t)
	var first []byte
	w.tap = func(from *wnode, _ int, frame []byte) {
		if from == v1 && isTP(frame) && first == nil {
			first = append(first, frame...)
		}
	}
	r := v1.measure(hardMAC(3, 0), 300*time.Millisecond, 310*time.Millisecond)
	if r.Err != "" || r.Bytes < 100*tpMSS || r.DurationMS != 300 || r.From != hardMAC(3, 0) {
		t.Errorf("result %+v", r)
	}
	for _, c := range readPcap(t, "tp-la-6.12.pcap") { // a kernel's first segment, but to v2
		if !isTP(c.frame) {
			continue
		}
		want := append([]byte(nil), c.frame...)
		for _, free := range [][2]int{{18, 24}, {30, 31}, {32, 34}, {38, 42}} { // destination, uid, session, stamp
			copy(want[free[0]:], first[free[0]:free[1]])
		}
		if n := batman.EthLen + batman.TPLen; !bytes.Equal(first[:n], want[:n]) || len(first) != len(want) {
			t.Errorf("first segment, %d bytes, %x\nwant %d bytes, %x", len(first), first[:n], len(want), want[:n])
		}
		break
	}
	if n := len(v3.m.meter.in); n != 1 {
		t.Errorf("%d receivers", n)
	}
	for range 2 { // at once, again
		if r := v1.measure(hardMAC(3, 0), 300*time.Millisecond, 310*time.Millisecond); r.Err != "" || r.Bytes < 100*tpMSS {
			t.Errorf("a test directly behind another: %+v", r)
		}
	}
	w.run(meterSilence + 100*time.Millisecond)
	if len(v3.m.meter.in) != 0 || len(v1.m.meter.out) != 0 {
		t.Error("something is left of the test")
	}
	for _, c := range []struct {
		from, to *wnode
		dst      batman.MAC
		why      string
	}{
		{v1, v1, hardMAC(1, 0), "ourselves"},
		{v1, v1, hardMAC(99, 0), "nobody"},
	} {
		if r := c.from.measure(c.dst, time.Second, 0); r.Err == "" {
			t.Errorf("%s: %+v", c.why, r)
		}
	}
	// both ways at once, and twice
	v2.m.MeterStart(w.now, 1, hardMAC(3, 0), 200*time.Millisecond, &v2.out)
	v2.m.MeterStart(w.now, 2, hardMAC(3, 0), 200*time.Millisecond, &v2.out)
	v2.drain()
	w.run(50 * time.Millisecond)
	v3.m.MeterStart(w.now, 3, hardMAC(2, 0), 200*time.Millisecond, &v3.out)
	v3.drain()
	w.run(300 * time.Millisecond)
	if len(v2.reps) != 2 || v2.reps[0].ID != 2 || v2.reps[0].Err == "" || v2.reps[1].ID != 1 || v2.reps[1].Err != "" || v2.reps[1].Bytes == 0 {
		t.Errorf("v2: %+v", v2.reps)
	}
	if len(v3.reps) != 1 || v3.reps[0].Err == "" {
		t.Errorf("v3: %+v", v3.reps)
	}
	v2.reps = nil
	// cancelled
	v1.m.MeterStart(w.now, 5, hardMAC(2, 0), time.Minute, &v1.out)
	v1.drain()
	w.run(20 * time.Millisecond)
	v1.m.MeterStop(w.now, 6, &v1.out)
	v1.m.MeterStop(w.now, 5, &v1.out)
	v1.drain()
	if len(v1.reps) != 1 || v1.reps[0].Err == "" || v1.reps[0].Bytes == 0 || v1.m.meterDeadline() != mono.Never {
		t.Errorf("cancelled: %+v", v1.reps)
	}
	v1.reps = nil
	// nobody answers
	w.run(2 * time.Second)
	v3.off = true
	if r := v1.measure(hardMAC(3, 0), 3*time.Second, 4*time.Second); r.Err == "" || r.Bytes != 0 {
		t.Errorf("without answer: %+v", r)
	}
}

// TestMeterFloods: a neighbour that begins tests without end takes no memory
// and not our own place, and gets one answer for each packet.
func TestMeterFloods(t *testing.T) {
	w, v1, v2, _ := trio(t)
	sent := 0
	for i := range 5000 {
		h := batman.Throughput{TTL: 50, Dst: hardMAC(2, 0), Orig: hardMAC(1+2*(i&1), 0), Session: uint16(i), Seqno: batman.TPFirstSeqno + uint32(i%7)*1000, Subtype: uint8(i % 3)}
		b := w.pool.Get()
		b.Extend(60)
		h.Put(b.Bytes())
		batman.Eth{Dst: hardMAC(2, 0), Src: hardMAC(1, 0), Type: batman.EtherType}.Put(b.Push(batman.EthLen))
		v2.m.HandleFrame(w.now, b, &v2.out)
		sent += len(v2.out.Frames.Bufs)
		v2.out.Frames.Recycle(&w.pool)
		w.now = w.now.Add(100 * time.Microsecond)
	}
	if sent > 5000 || len(v2.m.meter.in) > maxMetersIn {
		t.Errorf("%d answers, %d receivers", sent, len(v2.m.meter.in))
	}
	w.run(2 * time.Second)
	if r := v2.measure(hardMAC(1, 0), 50*time.Millisecond, 60*time.Millisecond); r.Err != "" {
		t.Errorf("our own test: %+v", r)
	}
	_ = v1
}

func TestMeterAllocs(t *testing.T) {
	w, _, v2, _ := trio(t)
	h := batman.Throughput{TTL: 50, Dst: hardMAC(2, 0), Orig: hardMAC(1, 0), Session: 1, Seqno: batman.TPFirstSeqno}
	segment := func() {
		b := w.pool.Get()
		b.Extend(batman.TPSegment)
		h.Put(b.Bytes())
		batman.Eth{Dst: hardMAC(2, 0), Src: hardMAC(1, 0), Type: batman.EtherType}.Put(b.Push(batman.EthLen))
		v2.m.HandleFrame(w.now, b, &v2.out)
		if len(v2.out.Frames.Bufs) != 1 {
			t.Fatal("no acknowledgement")
		}
		v2.out.Frames.Recycle(&w.pool)
		h.Seqno += tpMSS
	}
	segment()
	if n := testing.AllocsPerRun(100, segment); n != 0 {
		t.Errorf("receiving: %v allocations", n)
	}
	v2.m.MeterStart(w.now, 1, hardMAC(3, 0), time.Second, &v2.out)
	o := v2.m.meter.out[0]
	ack := func() {
		v2.out.Frames.Recycle(&w.pool)
		b := w.pool.Get()
		b.Extend(batman.TPLen)
		batman.Throughput{TTL: 50, Dst: hardMAC(2, 0), Orig: hardMAC(3, 0), UID: o.uid, Session: o.session, Subtype: batman.TPAck, Seqno: o.acked + tpMSS}.Put(b.Bytes())
		batman.Eth{Dst: hardMAC(2, 1), Src: hardMAC(3, 0), Type: batman.EtherType}.Put(b.Push(batman.EthLen))
		b.Port = 1
		v2.m.HandleFrame(w.now, b, &v2.out)
		if len(v2.out.Frames.Bufs) == 0 {
			t.Fatal("no segment")
		}
	}
	if n := testing.AllocsPerRun(50, ack); n != 0 {
		t.Errorf("sending: %v allocations", n)
	}
}

// BenchmarkMeter is the cost of one segment and its acknowledgement on the
// sending side.
func BenchmarkMeter(b *testing.B) {
	s := newTPSender(0)
	var r tpReceiver
	r.reset()
	for now := mono.Time(0); b.Loop(); now += 1000 {
		if seqno, ok := s.next(now); ok {
			r.take(seqno, tpMSS)
		}
		s.ack(now, r.next, time.Millisecond)
	}
}
