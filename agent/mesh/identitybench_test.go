package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/identity"
)

// signedStep returns what lets a node hear one OGM of a signed originator by
// its neighbour: each of them twice, by two ways.
func signedStep(t testing.TB, copies bool) (s *scene, step func()) {
	s = &scene{world: newWorld(nil, 7)}
	s.jobTime = time.Millisecond
	s.o = s.signed("o", nil)
	via := s.node("via", nil)
	s.link(s.o, 0, via, 0, 0)
	s.run(70 * time.Second)
	f := newForger(testKey(50), BatmanIV, 9, liarMAC, 77)
	frame := func() []byte {
		b := f.frame(via.primary(), nil)
		b[14+2] = 49
		return b
	}
	for range 3 {
		s.hear(s.o, frame())
		s.run(time.Second)
	}
	if s.o.m.id.known.Node(s.now, liarMAC) == nil {
		t.Fatal("not verified")
	}
	var frames [][]byte
	for range 500 {
		b := f.frame(via.primary(), nil)
		b[14+2] = 49
		frames = append(frames, b[:14+24+identity.ContainerSize])
		b[14+22], b[14+23] = 0, identity.ContainerSize // the short form
		b[14+24+2], b[14+24+3] = 0, identity.ContainerSize-4
		b[14+24+5] &= 0xf0
	}
	i := 0
	step = func() {
		s.now = s.now.Add(10 * time.Millisecond)
		b := s.pool.Get()
		b.Set(frames[i])
		if i < len(frames)-1 && !copies {
			i++
		}
		b.Port = 0
		s.o.m.HandleFrame(s.now, b, &s.o.out)
		if s.o.m.routingDeadline() <= s.now {
			s.o.m.routing.queue.flush(s.o.m, s.now, &s.o.out)
		}
		s.o.out.Frames.Recycle(&s.pool)
	}
	return s, step
}

func TestSignedOGMDoesNotAllocate(t *testing.T) {
	for _, copies := range []bool{false, true} {
		s, step := signedStep(t, copies)
		for range 100 {
			step()
		}
		seen := s.o.m.originator(liarMAC).routes[0].lastSeqno
		if n := testing.AllocsPerRun(300, step); n != 0 {
			t.Errorf("copies %v: %v allocations for an OGM, want 0", copies, n)
		}
		if d := s.o.m.originator(liarMAC).routes[0].lastSeqno - seen; !copies && d < 300 || s.o.dropsOf() != "" {
			t.Errorf("copies %v: %d numbers later, drops %s: nothing was measured", copies, d, s.o.dropsOf())
		}
	}
}

func BenchmarkSignedOGMCopy(b *testing.B) {
	_, step := signedStep(b, true)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
