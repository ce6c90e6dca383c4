package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// stand is one node whose routes are set by hand: for tests of what it does
// with single packets.
type stand struct {
	t    testing.TB
	m    *Mesh
	now  mono.Time
	pool pkt.Pool
	out  Out
}

// standMAC is the mesh interface of a stand.
var standMAC = hardMAC(1, 0xff)

// newStand makes node 1 with n interfaces.
func newStand(t testing.TB, n int, seqnos Seqnos, set func(*Config)) *stand {
	cfg := Default()
	cfg.BLA = false
	if set != nil {
		set(&cfg)
	}
	s := &stand{t: t, now: mono.Time(time.Hour)}
	s.out.Pool = &s.pool
	s.m = New(Options{Config: cfg, Seqnos: seqnos}, s.now)
	s.m.SetMeshIface(s.now, MeshIfaceConfig{Name: "bat0", MAC: standMAC, MTU: 1500}, &s.out)
	for i := range n {
		s.iface(i, hardMAC(1, i), 1500, false)
	}
	s.take()
	return s
}

func (s *stand) iface(i int, mac batman.MAC, mtu int, wifi bool) {
	s.t.Helper()
	c := IfaceConfig{Name: "eth", MAC: mac, MTU: mtu, Wifi: wifi}
	if err := s.m.SetIface(s.now, uint16(i), c, &s.out); err != nil {
		s.t.Fatal(err)
	}
}

// route makes originator mac reachable by station via on interface i, for
// local packets and for those of every interface.
func (s *stand) route(mac, via batman.MAC, i int) *Originator {
	s.t.Helper()
	o := s.m.obtain(s.now, mac, mac, &s.out)
	hi := s.m.ifaces[i]
	n := s.m.addWay(s.now, o, via, hi)
	for k := range len(s.m.ifaces) + 1 {
		s.m.setRoute(s.now, o, k, n, &s.out)
	}
	if s.m.hardNeigh(s.now, hi, via) == nil {
		s.t.Fatal("no room for a neighbour")
	}
	return o
}

// has makes client one of o's.
func (s *stand) has(o *Originator, client batman.MAC, v batman.VID) {
	s.m.ttTold(s.now, o, ttKey{client, v}, 0, o.tt.ttvn, &s.out)
}

// rx gives the node a frame from the air, tx one from a client.
func (s *stand) rx(i int, frame []byte) {
	b := s.pool.Get()
	if len(frame) >= batman.EthLen { // as a reader leaves it
		b.Set(frame[batman.EthLen:])
		copy(b.Push(batman.EthLen), frame)
	} else {
		b.Set(frame)
	}
	b.Port = uint16(i)
	s.m.HandleFrame(s.now, b, &s.out)
}

func (s *stand) tx(frame []byte) {
	b := s.pool.Get()
	b.Set(frame)
	s.m.HandleClient(s.now, b, &s.out)
}

// sent is a frame that left on an interface.
type sent struct {
	iface int
	frame string
}

// take returns what the node sent, without OGMs, and what it delivered.
func (s *stand) take() (air []sent, clients []string) {
	for _, b := range s.out.Frames.Bufs {
		if f := string(b.Bytes()); f[batman.EthLen] != byte(batman.TypeIVOGM) {
			air = append(air, sent{int(b.Port), f})
		}
		s.pool.Put(b)
	}
	for _, b := range s.out.Clients.Bufs {
		clients = append(clients, string(b.Bytes()))
		s.pool.Put(b)
	}
	s.out.Frames.Reset()
	s.out.Clients.Reset()
	s.out.Events = s.out.Events[:0]
	return air, clients
}

// run lets d pass.
func (s *stand) run(d time.Duration) {
	for end := s.now.Add(d); ; {
		next := s.m.Deadline()
		if next > end {
			s.now = end
			return
		}
		s.now = max(s.now, next)
		s.m.Expire(s.now, &s.out)
	}
}

// ifaceDrops returns what all interfaces together have counted.
func (s *stand) ifaceDrops() (sum [dropCount]uint64) {
	for _, hi := range s.m.ifaces {
		if hi != nil {
			for i, n := range hi.drops {
				sum[i] += n
			}
		}
	}
	return sum
}

// dropped checks that exactly one more packet was dropped than before, for
// that reason, and none was sent or delivered.
func (s *stand) dropped(what string, why dropReason, do func()) {
	s.t.Helper()
	before := s.m.drops
	do()
	air, clients := s.take()
	for i, n := range s.m.drops {
		want := before[i]
		if dropReason(i) == why {
			want++
		}
		if n != want {
			s.t.Errorf("%s: %d dropped because of %q, want %d", what, n, dropNames[i], want)
		}
	}
	if len(air)+len(clients) > 0 {
		s.t.Errorf("%s: %d frames sent, %d delivered, want none", what, len(air), len(clients))
	}
}

// frameTo puts Ethernet in front of a packet for interface i of the stand.
func frameTo(i int, src batman.MAC, packet ...[]byte) []byte {
	dst := hardMAC(1, i)
	if batman.PacketType(packet[0][0]) == batman.TypeBroadcast {
		dst = batman.Broadcast
	}
	b := make([]byte, batman.EthLen, 1600)
	batman.Eth{Dst: dst, Src: src, Type: batman.EtherType}.Put(b)
	for _, p := range packet {
		b = append(b, p...)
	}
	return b
}

// header encodes a packet header of n bytes.
func header(n int, put func([]byte)) []byte {
	b := make([]byte, n)
	put(b)
	return b
}
