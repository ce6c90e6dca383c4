package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// payPaths are the ways of a packet through a node. Each returns what gives
// the node one packet more.
func payPaths(t testing.TB) []struct {
	name string
	size int
	step func() (air, clients int)
} {
	const size = 1400
	text := string(make([]byte, size-batman.EthLen))
	give := func(s *stand, f func()) func() (int, int) {
		return func() (air, clients int) {
			f()
			air, clients = s.out.Frames.Len(), s.out.Clients.Len()
			s.out.Frames.Recycle(&s.pool)
			s.out.Clients.Recycle(&s.pool)
			return air, clients
		}
	}
	in := func(s *stand, i int, f []byte) {
		b := s.pool.Get()
		b.Set(f)
		b.Port = uint16(i)
		s.m.HandleFrame(s.now, b, &s.out)
	}
	unicast := func(dest, client batman.MAC, n int) []byte {
		h := header(batman.UnicastLen, batman.Unicast{TTL: 50, TTVN: 7, Dest: dest}.Put)
		return frameTo(0, macB, h, clientFrame(client, clientB, 0, string(make([]byte, n-batman.EthLen))))
	}
	bla := func(c *Config) { c.BLA = true }

	s1, _, _ := between(t, bla)
	transit := unicast(macC, clientC, size)
	s2, _, _ := between(t, bla)
	client := clientFrame(clientC, standMAC, 0, text)
	s3, _, _ := between(t, bla)
	mine := unicast(hardMAC(1, 0), standMAC, size)
	s4, _, _ := between(t, nil)
	flood, seqno := flooded(macB, macB, 50, 0, text), uint32(0)
	s5, _, _ := between(t, nil)
	s5.iface(1, hardMAC(1, 1), 1500, true)
	s6, _, _ := between(t, nil)
	long := clientFrame(clientC, standMAC, 0, string(make([]byte, 1500)))
	s7, _, _ := between(t, nil)
	packet, _ := packetForUs(1514)
	cut, number := parts(macB, 0, 2, packet), uint16(0)
	s8, _, _ := between(t, nil)
	list := []struct {
		name string
		size int
		step func() (air, clients int)
	}{
		{"transit", size, give(s1, func() { in(s1, 0, transit) })},
		{"client", size, give(s2, func() {
			b := s2.pool.Get()
			b.Set(client)
			s2.m.HandleClient(s2.now, b, &s2.out)
		})},
		{"deliver", size, give(s3, func() { in(s3, 0, mine) })},
		{"flood", size, give(s4, func() {
			seqno++
			flood[18], flood[19], flood[20], flood[21] = byte(seqno>>24), byte(seqno>>16), byte(seqno>>8), byte(seqno)
			in(s4, 0, flood)
		})},
		{"flood-wifi", size, give(s5, func() {
			seqno++
			flood[18], flood[19], flood[20], flood[21] = byte(seqno>>24), byte(seqno>>16), byte(seqno>>8), byte(seqno)
			in(s5, 0, flood)
			s5.now = s5.now.Add(bcastRepeat)
			s5.m.bcastExpire(s5.now, &s5.out)
		})},
		{"split", 1514, give(s6, func() {
			b := s6.pool.Get()
			b.Set(long)
			s6.m.HandleClient(s6.now, b, &s6.out)
		})},
		{"merge", 1514, give(s7, func() {
			number++
			for _, f := range cut {
				f[30], f[31] = byte(number>>8), byte(number)
				in(s7, 0, f)
			}
		})},
		{"fragment-transit", 1514, give(s8, func() {
			number++
			for _, f := range cut {
				copy(f[18:], macC[:])
				in(s8, 0, f)
			}
			mac := hardMAC(1, 0)
			for _, f := range cut {
				copy(f[18:], mac[:])
			}
		})},
	}
	for _, s := range []*stand{s1, s2, s3, s4, s5, s6, s7, s8} {
		s.tx(clientFrame(batman.Broadcast, standMAC, 0, "x"))
		s.run(40 * time.Second) // also what bridge loop avoidance waits for
		for _, k := range []struct{ orig, via batman.MAC }{{macB, macB}, {macC, macC}} {
			s.m.originator(k.orig).lastSeen = s.now
		}
		s.take()
	}
	return list
}

// TestPayloadDoesNotAllocate also checks that each path does what its name
// says.
func TestPayloadDoesNotAllocate(t *testing.T) {
	want := map[string][2]int{
		"transit": {1, 0}, "client": {1, 0}, "deliver": {0, 1}, "flood": {1, 1}, "flood-wifi": {3, 1}, "split": {2, 0}, "merge": {0, 1},
		"fragment-transit": {2, 0},
	}
	for _, p := range payPaths(t) {
		var air, clients int
		for range 100 {
			air, clients = p.step()
		}
		if got := [2]int{air, clients}; got != want[p.name] {
			t.Errorf("%s: %d frames sent and delivered, want %d", p.name, got, want[p.name])
		}
		if n := testing.AllocsPerRun(1000, func() { p.step() }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", p.name, n)
		}
	}
}

func BenchmarkPayload(b *testing.B) {
	for _, p := range payPaths(b) {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(p.size))
			for b.Loop() {
				p.step()
			}
		})
	}
}
