package mesh

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
)

// linkBench drives a linkMTU over a link that carries packets of up to mtu
// bytes there and back, loses a share of them, and takes rtt.
type linkBench struct {
	l            linkMTU
	now          mono.Time
	mtu          int
	loss         int // of 100 tries to get a packet there and back
	rtt          time.Duration
	off          bool
	rng          *rand.Rand
	seq          uint16
	large, small int // packets sent
	bytes        int
	busy         bool // large packets go by the link
	longest      int
}

func newLinkBench(top, mtu int) *linkBench {
	b := &linkBench{mtu: mtu, rtt: 3 * time.Millisecond, rng: rand.New(rand.NewPCG(1, 2))}
	b.l.begin(0, top)
	return b
}

// run lets d pass.
func (b *linkBench) run(d time.Duration) {
	end := b.now.Add(d)
	type answer struct {
		at  mono.Time
		seq uint16
	}
	var flying []answer
	for {
		next := b.l.at
		for _, a := range flying {
			next = mono.Min(next, a.at)
		}
		if next >= end {
			b.now = end
			return
		}
		b.now = max(b.now, next)
		keep := flying[:0]
		for _, a := range flying {
			if a.at <= b.now {
				b.l.answer(b.now, a.seq)
			} else {
				keep = append(keep, a)
			}
		}
		flying = keep
		if b.l.at > b.now {
			continue
		}
		t := b.l.expire(b.now, b.l.resting() && b.busy)
		send := func(size int) uint16 {
			b.seq++
			if size == 0 {
				return 0
			}
			b.bytes += size
			b.longest = max(b.longest, size)
			if !b.off && size <= b.mtu && b.rng.IntN(100) >= b.loss {
				flying = append(flying, answer{b.now.Add(b.rtt), b.seq})
			}
			return b.seq
		}
		if t.small == 0 {
			continue
		}
		if t.large != 0 {
			b.large++
		}
		b.small++
		b.l.sent(send(t.large), send(t.small))
	}
}

func TestLinkMTUFindsTheSize(t *testing.T) {
	for _, c := range []struct{ top, mtu, want int }{
		{1532, 1532, 1532}, {1532, 9000, 1532}, {2304, 2304, 2304}, {1500, 1500, 1500},
		{1532, 1500, 1500}, {1532, 1504, 1504}, {2304, 1500, 1500}, {2304, 1532, 1532}, {2304, 2303, 2303},
		{1532, 1499, 1499}, {1532, 1300, 1300}, {1500, 1280, 1280}, {1500, 1281, 1281}, {1532, 1531, 1531},
		{1532, 1000, 1280}, // nothing below is asked for
		{1280, 1280, 1280}, {1000, 1000, 1000}, {9000, 9000, 2304},
	} {
		b := newLinkBench(c.top, c.mtu)
		b.run(time.Minute)
		if got := b.l.current(); got != c.want || !b.l.resting() {
			t.Errorf("interface %d, link %d: found %d, want %d, at rest %v", c.top, c.mtu, got, c.want, b.l.resting())
		}
		if b.longest > 2304 || b.large > 50 {
			t.Errorf("interface %d, link %d: %d probes, longest %d", c.top, c.mtu, b.large, b.longest)
		}
		if c.mtu >= c.top && c.top > linkLeast && (b.large != 1 || b.bytes > c.top+2*20) {
			t.Errorf("a link without limit was asked %d times, %d bytes", b.large, b.bytes)
		}
		if c.top <= linkLeast && b.small != 0 {
			t.Errorf("interface %d: asked %d times", c.top, b.small)
		}
	}
}

// A bad link is not a short one, and one that is away is asked less and less.
func TestLinkMTUOnBadLinks(t *testing.T) {
	wrong := 0
	for seed := range uint64(200) {
		b := newLinkBench(1532, 1532)
		b.loss, b.rng = 30, rand.New(rand.NewPCG(seed, 9))
		b.run(time.Minute)
		if b.l.current() != 1532 {
			wrong++
		}
	}
	if wrong > 10 { // four in a row happen now and then
		t.Errorf("%d of 200 links that lose 30 %% were found too short", wrong)
	}

	b := newLinkBench(1532, 1532)
	b.rtt = 1200 * time.Millisecond // the answers come after the next try has gone
	b.run(time.Minute)
	if b.l.current() != 1532 || !b.l.resting() {
		t.Errorf("slow link: found %d, at rest %v", b.l.current(), b.l.resting())
	}

	b = newLinkBench(1532, 1532)
	b.off = true
	b.run(time.Hour)
	if b.large != 0 || b.small > 20 || b.l.known {
		t.Errorf("a station that never answers got %d large and %d small packets, known %v", b.large, b.small, b.l.known)
	}
	b.off = false
	b.run(linkRest + time.Minute)
	if b.l.current() != 1532 || !b.l.known {
		t.Errorf("then it answers: found %d, known %v", b.l.current(), b.l.known)
	}
}

// A link that changes is noticed if it is used, and a quiet one costs little.
func TestLinkMTUFollowsTheLink(t *testing.T) {
	b := newLinkBench(1532, 1532)
	b.run(time.Minute)
	before := b.large
	b.run(2 * time.Hour)
	if b.large != before {
		t.Errorf("a link without large packets was asked %d times", b.large-before)
	}
	b.busy, b.mtu = true, 1400
	b.run(linkCheck + time.Minute)
	if b.l.current() != 1400 {
		t.Errorf("became shorter: found %d, want 1400", b.l.current())
	}
	bytes := b.bytes
	b.run(2 * time.Hour)
	if perSecond := float64(b.bytes-bytes) / 7200; perSecond > 20 {
		t.Errorf("a short link in use costs %.1f bytes a second", perSecond)
	}
	b.busy, b.mtu = false, 1450
	b.run(linkSearch + linkCheck + time.Minute)
	if b.l.current() != 1450 {
		t.Errorf("became longer: found %d, want 1450", b.l.current())
	}
	b.mtu = 1532
	b.l.begin(b.now, 1540) // the interface has changed
	if b.l.current() != 1450 || b.l.resting() {
		t.Errorf("another MTU of the interface: %d, at rest %v", b.l.current(), b.l.resting())
	}
	b.run(time.Minute)
	if b.l.current() != 1532 {
		t.Errorf("after that: found %d, want 1532", b.l.current())
	}
	b.l.begin(b.now, 1300)
	if b.l.current() != 1300 {
		t.Errorf("a smaller MTU of the interface: %d", b.l.current())
	}
}

// While a search goes on nothing is sent that was seen not to get through.
func TestLinkMTUIsSafeWhileItSearches(t *testing.T) {
	b := newLinkBench(1532, 1450)
	for !b.l.resting() {
		b.run(50 * time.Millisecond)
		if b.l.high != 0 && b.l.current() >= b.l.high {
			t.Fatalf("sends %d, and %d did not get through", b.l.current(), b.l.high)
		}
	}
	if b.l.answer(b.now, b.l.small[0]) || b.l.answer(b.now, b.l.large[0]) {
		t.Error("an answer that nobody waits for was taken")
	}
}
