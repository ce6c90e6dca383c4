package mesh

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// ogmStep returns what lets a node with interfaces and originators, all reached
// by one neighbour, receive one OGM more, and send on what is due.
func ogmStep(t testing.TB, ifaces, origs, tvlvs int) (s ogmStand, step func()) {
	s = newOGMStand(t, ifaces, nil)
	s.station(macB, 0, 64, 64)
	var frames [][]byte
	for i := range origs {
		mac := batman.MAC{2, 0xcc, 0, 0, byte(i >> 8), byte(i)}
		s.now = s.now.Add(time.Second)
		s.behind(mac, map[batman.MAC]uint8{macB: 200}, 0, macB)
		o := relayed(mac, macC, ogmSeq, 210)
		o.TVLVLen = uint16(tvlvs)
		frames = append(frames, ogmFrameOf(macB, o))
	}
	i, seqno := 0, uint32(ogmSeq)
	step = func() {
		if i == 0 {
			seqno++
		}
		f := frames[i]
		i = (i + 1) % len(frames)
		binary.BigEndian.PutUint32(f[batman.EthLen+4:], seqno)
		s.now = s.now.Add(time.Second / time.Duration(origs))
		b := s.pool.Get()
		b.Set(f)
		s.m.HandleFrame(s.now, b, &s.out)
		if s.m.routingDeadline() <= s.now {
			s.m.routingExpire(s.now, &s.out)
		}
		s.out.Frames.Recycle(&s.pool)
	}
	return s, step
}

func TestOGMDoesNotAllocate(t *testing.T) {
	s, step := ogmStep(t, 2, 20, 44)
	for range 500 {
		step()
	}
	before := s.m.stats.mgmtTx
	if n := testing.AllocsPerRun(2000, step); n != 0 {
		t.Errorf("%v allocations for an OGM, want 0", n)
	}
	if s.m.stats.mgmtTx-before < 200 {
		t.Errorf("only %d frames left: nothing was measured", s.m.stats.mgmtTx-before)
	}
	hi := s.m.ifaces[0]
	if n := testing.AllocsPerRun(500, func() {
		s.m.sendOwn(s.now, hi, &s.out)
		s.out.Frames.Recycle(&s.pool)
	}); n != 0 {
		t.Errorf("%v allocations for an own OGM, want 0", n)
	}
	hi.iv.sendAt = mono.Never
}

// BenchmarkOGM is one OGM received, taken into all tables and sent on.
func BenchmarkOGM(b *testing.B) {
	for _, c := range []struct{ ifaces, origs int }{{1, 20}, {1, 200}, {2, 200}, {4, 200}, {1, 2000}} {
		b.Run(fmt.Sprintf("ifaces=%d/originators=%d", c.ifaces, c.origs), func(b *testing.B) {
			_, step := ogmStep(b, c.ifaces, c.origs, 44)
			for range 2 * c.origs {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// BenchmarkTick is what a node does once a second whatever happens.
func BenchmarkTick(b *testing.B) {
	for _, origs := range []int{20, 200, 2000} {
		b.Run(fmt.Sprintf("originators=%d", origs), func(b *testing.B) {
			s, step := ogmStep(b, 2, origs, 44)
			for range 2 * origs {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				s.m.nextTick = s.now
				s.m.Expire(s.now, &s.out)
				s.out.Frames.Recycle(&s.pool)
			}
		})
	}
}

// BenchmarkOwnOGM is one own OGM on two interfaces, with the echo windows of
// all originators.
func BenchmarkOwnOGM(b *testing.B) {
	for _, origs := range []int{20, 200, 2000} {
		b.Run(fmt.Sprintf("originators=%d", origs), func(b *testing.B) {
			s, step := ogmStep(b, 2, origs, 44)
			for range 2 * origs {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				s.m.sendOwn(s.now, s.m.ifaces[0], &s.out)
				s.out.Frames.Recycle(&s.pool)
			}
		})
	}
}
