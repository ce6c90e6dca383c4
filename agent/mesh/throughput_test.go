package mesh

import (
	"bytes"
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// TestTPReceiver compares the receiver with a plain set of segments.
func TestTPReceiver(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var rc tpReceiver
		rc.reset()
		const n = 400
		const size = 100
		arrived := make([]bool, n+1)
		for range 2000 {
			next := int(rc.next-batman.TPFirstSeqno) / size
			i := max(0, min(n-1, next-3+r.IntN(60)))
			arrived[i] = true
			if !rc.take(batman.TPFirstSeqno+uint32(i*size), size) {
				t.Fatalf("seed %d: segment %d refused", seed, i)
			}
			want := 0
			for arrived[want] {
				want++
			}
			if got := int(rc.next-batman.TPFirstSeqno) / size; got != want {
				t.Fatalf("seed %d: segment %d: acknowledges %d, want %d", seed, i, got, want)
			}
			for k := range rc.n {
				x := rc.early[k]
				if !before(x.from, x.to) || !before(rc.next, x.from) || k > 0 && !before(rc.early[k-1].to, x.from) {
					t.Fatalf("seed %d: ranges %v, next %d", seed, rc.early[:rc.n], rc.next)
				}
			}
		}
	}
}

func TestTPReceiverBounds(t *testing.T) {
	var r tpReceiver
	r.reset()
	at := func(i int) uint32 { return batman.TPFirstSeqno + uint32(i)*1000 }
	for i := 300; i > 0; i -= 2 {
		r.take(at(i), 1000)
	}
	if r.n != tpMaxRanges || r.early[0].from != at(2) || r.early[tpMaxRanges-1].from != at(2*tpMaxRanges) {
		t.Errorf("%d ranges, %v to %v", r.n, r.early[0], r.early[r.n-1])
	}
	r.take(at(0), 2000)
	if r.next != at(3) || r.n != tpMaxRanges-1 {
		t.Errorf("next %d, %d ranges", r.next, r.n)
	}
	r.take(at(3), 1000000)
	if r.next != at(1003) || r.n != 0 {
		t.Errorf("next %d, %d ranges", r.next, r.n)
	}
	for _, far := range []uint32{tpWindow + 1, 1 << 31, 1<<31 + 1, 0xffffffff - tpWindow} {
		if r.take(r.next+far, 1000) || r.n != 0 {
			t.Errorf("a segment %d ahead is taken", far)
		}
	}
	if !r.take(at(0), 1000) || r.next != at(1003) {
		t.Error("an old segment is not acknowledged again")
	}
}

// tpLink is a bottleneck: a rate, a delay, a queue, loss and reordering.
type tpLink struct {
	rate    int // segments a second
	delay   time.Duration
	queue   int // segments
	loss    int // of 1000
	reorder int // of 1000: held back for a while
	acks    int // of 1000: acknowledgements lost
}

type tpEvent struct {
	at     mono.Time
	order  int
	ack    bool
	seqno  uint32
	sentAt mono.Time
}

type tpEvents []tpEvent

func (e tpEvents) Len() int      { return len(e) }
func (e tpEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e tpEvents) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e *tpEvents) Push(x any) { *e = append(*e, x.(tpEvent)) }
func (e *tpEvents) Pop() any {
	x := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return x
}

// run lets a sender and a receiver talk over l and returns what share of the
// rate arrived, in percent, and how many segments were sent.
func (l tpLink) run(t *testing.T, seed uint64, d time.Duration) (percent int, sent int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 5))
	var now mono.Time
	s := newTPSender(now)
	var rc tpReceiver
	rc.reset()
	var q tpEvents
	var free mono.Time // when the bottleneck is
	slot := time.Second / time.Duration(l.rate)
	order := 0
	push := func(e tpEvent) { order++; e.order = order; heap.Push(&q, e) }
	pump := func() {
		for {
			seqno, ok := s.next(now)
			if !ok {
				return
			}
			sent++
			free = max(free, now)
			if free.Sub(now) > slot*time.Duration(l.queue) || r.IntN(1000) < l.loss {
				continue
			}
			free = free.Add(slot)
			at := free.Add(l.delay)
			if r.IntN(1000) < l.reorder {
				at = at.Add(slot * time.Duration(r.IntN(20)))
			}
			push(tpEvent{at: at, seqno: seqno, sentAt: now})
		}
	}
	pump()
	for end := mono.Time(d); now < end; {
		if s.cwnd > tpMaxWindow || rc.n > tpMaxRanges || s.sent-s.acked > tpMaxWindow || before(s.top, s.sent) {
			t.Fatalf("window %d, %d ranges, %d under way", s.cwnd, rc.n, s.sent-s.acked)
		}
		next := s.rtoAt
		if len(q) > 0 {
			next = mono.Min(next, q[0].at)
		}
		now = max(now, next)
		if now >= s.rtoAt {
			if !s.timeout(now) {
				t.Fatalf("gave up at %v", now)
			}
			pump()
			continue
		}
		e := heap.Pop(&q).(tpEvent)
		if e.ack {
			if !s.ack(now, e.seqno, now.Sub(e.sentAt)) && !before(e.seqno, s.acked) {
				t.Fatalf("acknowledgement %d refused; %d to %d", e.seqno, s.acked, s.top)
			}
			pump()
			continue
		}
		if !rc.take(e.seqno, tpMSS) {
			t.Fatalf("segment %d refused", e.seqno)
		}
		if r.IntN(1000) >= l.acks {
			push(tpEvent{at: now.Add(l.delay), ack: true, seqno: rc.next, sentAt: e.sentAt})
		}
	}
	return int(s.total / tpMSS * 100 / (uint64(l.rate) * uint64(d/time.Second))), sent
}

// TestTPSpeed states how much of a bottleneck the sender fills.
func TestTPSpeed(t *testing.T) {
	for _, c := range []struct {
		name string
		link tpLink
		min  int // percent
	}{
		{"1 Gbit/s cable", tpLink{rate: 84000, delay: 200 * time.Microsecond, queue: 500}, 90},
		{"100 Mbit/s, 4 ms", tpLink{rate: 8400, delay: 2 * time.Millisecond, queue: 100}, 90},
		{"short queue", tpLink{rate: 8400, delay: 2 * time.Millisecond, queue: 20}, 70},
		{"endless queue", tpLink{rate: 8400, delay: 2 * time.Millisecond, queue: 100000}, 90},
		{"reordering", tpLink{rate: 8400, delay: 2 * time.Millisecond, queue: 100, reorder: 5}, 10},
		{"loss 0.1 %", tpLink{rate: 8400, delay: 2 * time.Millisecond, queue: 100, loss: 1}, 50},
		{"loss 1 %", tpLink{rate: 8400, delay: 2 * time.Millisecond, queue: 100, loss: 10}, 12},
		{"lost acknowledgements", tpLink{rate: 8400, delay: 2 * time.Millisecond, queue: 100, acks: 100}, 85},
		{"1 Mbit/s, 200 ms", tpLink{rate: 84, delay: 100 * time.Millisecond, queue: 30}, 70},
		{"much of all", tpLink{rate: 840, delay: 5 * time.Millisecond, queue: 50, loss: 50, reorder: 50, acks: 50}, 5},
	} {
		worst, sent := 100, 0
		for seed := range uint64(3) {
			p, n := c.link.run(t, seed, 10*time.Second)
			worst, sent = min(worst, p), max(sent, n)
		}
		t.Logf("%s: %d %% of the rate, %d segments sent", c.name, worst, sent)
		if worst < c.min {
			t.Errorf("%s: %d %% of the rate, want %d", c.name, worst, c.min)
		}
	}
}

// TestTPGivesUp: without any answer the sender ends after about a minute.
func TestTPGivesUp(t *testing.T) {
	s := newTPSender(0)
	sent := 0
	for now := mono.Time(0); ; now = s.rtoAt {
		if now > 0 && !s.timeout(now) {
			if now < mono.Time(30*time.Second) || now > mono.Time(90*time.Second) || sent > 100 {
				t.Errorf("gave up at %v after %d segments", time.Duration(now), sent)
			}
			return
		}
		for {
			if _, ok := s.next(now); !ok {
				break
			}
			sent++
		}
	}
}

func TestTPForgedAck(t *testing.T) {
	s := newTPSender(0)
	for {
		if _, ok := s.next(0); !ok {
			break
		}
	}
	for _, a := range []uint32{s.top + 1, s.acked - 1, s.acked + 1<<31, s.top + tpMSS} {
		if s.ack(1, a, 0) {
			t.Errorf("acknowledgement %d between %d and %d is believed", a, s.acked, s.top)
		}
	}
	if s.total != 0 {
		t.Errorf("%d bytes counted", s.total)
	}
}

// TestGoldenTPReceiver feeds the segments of a kernel's test to our receiver:
// it acknowledges as the other kernel did.
func TestGoldenTPReceiver(t *testing.T) {
	for _, name := range []string{"tp-la-6.1.pcap", "tp-la-6.12.pcap"} {
		var acks [][]byte
		l := newLone(t, 2)
		l.know(hardMAC(1, 0))
		var got [][]byte
		for _, c := range readPcap(t, name) {
			p := c.frame[batman.EthLen:]
			if len(p) < batman.TPLen || p[0] != byte(batman.TypeICMP) || p[3] != batman.ICMPThroughput {
				continue
			}
			h, n, err := batman.ParseThroughput(p)
			if err != nil {
				t.Fatal(err)
			}
			if h.Subtype == batman.TPAck {
				acks = append(acks, p[:batman.TPLen])
				continue
			}
			in := l.m.meterIn(c.at, h)
			if in == nil || !in.take(h.Seqno, n) {
				t.Fatalf("%s: segment %d refused", name, h.Seqno)
			}
			in.seen = c.at
			h.TTL, h.Dst, h.Orig, h.Subtype, h.Seqno = batman.TTL, h.Orig, l.m.self(), batman.TPAck, in.next
			b := make([]byte, batman.TPLen)
			h.Put(b)
			got = append(got, b)
		}
		if len(acks) < 5 || len(got) < len(acks) {
			t.Fatalf("%s: %d acknowledgements captured, %d made", name, len(acks), len(got))
		}
		for i, a := range acks {
			if !bytes.Equal(a, got[i]) {
				t.Errorf("%s: acknowledgement %d is\n%x, want\n%x", name, i, got[i], a)
			}
		}
	}
}

// TestMeterSessions: who may hold a place among the receivers.
func TestMeterSessions(t *testing.T) {
	l := newLone(t, 2)
	h := func(node int, session uint16, seqno uint32) *meterIn {
		return l.m.meterIn(l.now, batman.Throughput{Orig: hardMAC(node, 0), Session: session, Seqno: seqno})
	}
	const first = batman.TPFirstSeqno
	if h(1, 1, first+tpMSS) != nil {
		t.Error("a test without its first segment")
	}
	a := h(1, 1, first)
	if a == nil || h(1, 1, first+5) != a {
		t.Fatal("no test")
	}
	b := h(1, 2, first)
	if b == nil || b == a || h(1, 1, first+5) != a {
		t.Fatal("a second test at once is refused, or disturbs the first")
	}
	if h(1, 3, first) != nil {
		t.Error("two running tests, and one is taken over")
	}
	for n := 2; n <= maxMetersIn-1; n++ {
		if h(n, 1, first) == nil {
			t.Errorf("test %d is refused", n)
		}
	}
	if h(9, 1, first) != nil {
		t.Error("the last place is given to a stranger")
	}
	l.now = l.now.Add(meterTakeover)
	b.seen = l.now
	if c := h(1, 3, first); c != a || c.session != 3 {
		t.Error("a third test of the same node is refused")
	}
	if h(1, 1, first+5) != nil {
		t.Error("a segment of the test that was taken over is taken")
	}
	a.seen = l.now
	if d := l.m.meterDeadline(); d != mono.Time(meterSilence) {
		t.Errorf("deadline %v", d)
	}
	l.now = mono.Time(meterSilence)
	l.m.meterExpire(l.now, &l.out)
	if len(l.m.meter.in) != 2 || l.m.meter.in[0] != a || l.m.meter.in[1] != b {
		t.Errorf("%d tests left", len(l.m.meter.in))
	}
}

func TestTPAllocs(t *testing.T) {
	s := newTPSender(0)
	var r tpReceiver
	r.reset()
	now := mono.Time(0)
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Millisecond)
		for {
			seqno, ok := s.next(now)
			if !ok {
				break
			}
			r.take(seqno, tpMSS)
		}
		s.ack(now, r.next, time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzTPReceiver: whatever comes, the ranges stay in order and next moves
// forward.
func FuzzTPReceiver(f *testing.F) {
	f.Add([]byte{0, 10, 20, 10, 10, 10})
	f.Fuzz(func(t *testing.T, in []byte) {
		var r tpReceiver
		r.reset()
		for ; len(in) >= 2; in = in[2:] {
			old := r.next
			r.take(batman.TPFirstSeqno+uint32(in[0])*16, uint32(in[1])+1)
			if before(r.next, old) {
				t.Fatalf("back from %d to %d", old, r.next)
			}
			for k := range r.n {
				x := r.early[k]
				if !before(x.from, x.to) || !before(r.next, x.from) || k > 0 && !before(r.early[k-1].to, x.from) {
					t.Fatalf("ranges %v, next %d", r.early[:r.n], r.next)
				}
			}
		}
	})
}
