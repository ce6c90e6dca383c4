package mesh

import (
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
)

// groupPaths are the ways of frames for groups and of DHCP through a node. Each
// returns what gives the node one more.
func groupPaths(t testing.TB) []struct {
	name string
	want [2]int // frames sent and delivered
	size int
	step func() (air, clients int)
} {
	tx := func(s *stand, f []byte) func() (int, int) {
		return func() (air, clients int) {
			b := s.pool.Get()
			b.Set(f)
			s.m.HandleClient(s.now, b, &s.out)
			air, clients = s.out.Frames.Len(), s.out.Clients.Len()
			s.out.Frames.Recycle(&s.pool)
			s.out.Clients.Recycle(&s.pool)
			return air, clients
		}
	}
	rx := func(s *stand, f []byte) func() (int, int) {
		return func() (air, clients int) {
			b := s.pool.Get()
			b.Set(f)
			s.m.HandleFrame(s.now, b, &s.out)
			air, clients = s.out.Frames.Len(), s.out.Clients.Len()
			s.out.Frames.Recycle(&s.pool)
			s.out.Clients.Recycle(&s.pool)
			return air, clients
		}
	}
	const all = batman.McastWantIPv4 | batman.McastWantIPv6
	frame := multicastFrame(clientA, ipRoutable, string(make([]byte, 600)))
	s1, _, _ := between(t, nil)
	s1.many(16, all)
	s2, _, c2 := between(t, nil)
	s2.many(16, all|batman.McastPacketCapable)
	s2.has(c2, groupMAC(ipRoutable), 0)
	s3, _, _ := between(t, nil)
	s3.many(16, all)
	var dests []batman.MAC
	for i := range 16 {
		dests = append(dests, hardMAC(20+i, 0))
	}
	s4, _, _ := between(t, func(c *Config) { c.GWMode = GWClient })
	s4.far(10, 200, 100)
	s4.m.gwTick(s4.now, &s4.out)
	s4.take()
	s5, _, _ := between(t, func(c *Config) { c.GWMode = GWServer })
	answer := dhcp4(batman.Broadcast, standMAC, 67, 68)
	copy(answer[14+28+bootpHardware:], clientC[:])
	list := []struct {
		name string
		want [2]int
		size int
		step func() (air, clients int)
	}{
		{"unicasts-16", [2]int{16, 0}, len(frame), tx(s1, frame)},
		{"type5-17", [2]int{2, 0}, len(frame), tx(s2, frame)},
		{"type5-transit-16", [2]int{2, 1}, len(frame), rx(s3, multicastPacket(50, nil, nil, frame, append(dests, hardMAC(1, 0))...))},
		{"dhcp-request", [2]int{1, 0}, 300, tx(s4, dhcp4(batman.Broadcast, clientA, 68, 67))},
		{"dhcp-answer", [2]int{1, 0}, 300, tx(s5, answer)},
	}
	return list
}

func TestGroupFramesDoNotAllocate(t *testing.T) {
	for _, p := range groupPaths(t) {
		var got [2]int
		for range 10 {
			got[0], got[1] = p.step()
		}
		if got != p.want {
			t.Errorf("%s: %d frames sent and delivered, want %d", p.name, got, p.want)
		}
		if n := testing.AllocsPerRun(1000, func() { p.step() }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", p.name, n)
		}
	}
}

func BenchmarkGroupFrames(b *testing.B) {
	for _, p := range groupPaths(b) {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(p.size))
			for b.Loop() {
				p.step()
			}
		})
	}
}
