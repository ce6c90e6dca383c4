package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// What is sent on, where, and with which fields: the node has interfaces 0 and
// 1, B is a perfect neighbour on 0 unless the case says otherwise, and the best
// way to C.
func TestOGMForward(t *testing.T) {
	const notBest, direct = batman.NotBestNextHop, batman.DirectLink
	type want struct {
		iface       int
		ttl, fl, tq uint8
	}
	next := single(macB, ogmSeq+1)
	far := relayed(macC, macD, ogmSeq+1, 200)
	with := func(o batman.OGM, set func(*batman.OGM)) batman.OGM { set(&o); return o }
	for _, c := range []struct {
		name  string
		set   func(s ogmStand)
		src   batman.MAC
		iface int
		ogms  []batman.OGM
		want  []want
	}{
		{"a neighbour's own: DIRECTLINK where it came from", nil, macB, 0, []batman.OGM{next}, []want{{0, 49, direct, 225}, {1, 49, 0, 225}}},
		{"of a stranger: for its echo only", nil, macE, 0, []batman.OGM{single(macE, 5)}, []want{{0, 49, direct | notBest, 0}, {1, 49, notBest, 0}}},
		{"a neighbour's own by a second interface, not the best", func(s ogmStand) { s.station(macD, 1, 64, 64) }, macB, 1,
			[]batman.OGM{next}, []want{{0, 49, 0, 0}, {1, 49, direct, 0}}}, // B is the best next hop by whatever interface
		{"of a secondary interface: only there", nil, macB, 0, []batman.OGM{with(next, func(o *batman.OGM) { o.TTL = 2 })}, []want{{0, 1, direct, 225}}},
		{"a TTL of 3 is of no secondary interface", nil, macB, 0, []batman.OGM{with(next, func(o *batman.OGM) { o.TTL = 3 })}, []want{{0, 2, direct, 225}, {1, 2, 0, 225}}},
		{"TTL at its end", nil, macB, 0, []batman.OGM{with(next, func(o *batman.OGM) { o.TTL = 1 })}, nil},
		{"TTL that nobody sends", nil, macB, 0, []batman.OGM{with(next, func(o *batman.OGM) { o.TTL = 255 })}, []want{{0, 49, direct, 225}, {1, 49, 0, 225}}},
		{"the same again", nil, macB, 0, []batman.OGM{next, next}, []want{{0, 49, direct, 225}, {0, 49, direct, 225}, {1, 49, 0, 225}, {1, 49, 0, 225}}},
		{"from afar by the best", nil, macB, 0, []batman.OGM{far}, []want{{0, 47, 0, 176}, {1, 47, 0, 176}}},
		{"old flags are not kept", nil, macB, 0, []batman.OGM{with(far, func(o *batman.OGM) { o.Flags = direct | 0x02 })}, []want{{0, 47, 2, 176}, {1, 47, 2, 176}}},
		{"from afar by another", func(s ogmStand) { s.station(macD, 0, 64, 64) }, macD, 0, []batman.OGM{relayed(macC, macE, ogmSeq+1, 200)}, nil},
		{"from afar, the same again", nil, macB, 0, []batman.OGM{far, far}, []want{{0, 47, 0, 176}, {1, 47, 0, 176}}},
		{"from afar, an older one", nil, macB, 0, []batman.OGM{with(far, func(o *batman.OGM) { o.Seqno = ogmSeq - 7 })}, []want{{0, 47, 0, 176}, {1, 47, 0, 176}}},
		{"from afar over a link that does not hear us", func(s ogmStand) { *s.m.originator(macB).iv.echoOf(s.m.ifaces[0]) = 0 }, macB, 0, []batman.OGM{far}, nil},
		{"a neighbour's own over such a link", func(s ogmStand) { *s.m.originator(macB).iv.echoOf(s.m.ifaces[0]) = 0 }, macB, 0,
			[]batman.OGM{next}, []want{{0, 49, direct, 0}, {1, 49, 0, 0}}},
		{"the sender has it from our next hop", func(s ogmStand) { s.station(macD, 0, 64, 64) }, macD, 0, []batman.OGM{relayed(macC, macB, ogmSeq+1, 200)}, nil},
		{"the next hop was of no use lately", func(s ogmStand) {
			for k := range 3 {
				s.m.originator(macC).way(macB, s.m.ifaces[0]).iv.slot(k).ring = tqRing{}
				s.m.originator(macB).way(macB, s.m.ifaces[0]).iv.slot(k).ring = tqRing{}
			}
		}, macB, 0, []batman.OGM{next}, []want{{0, 49, direct | notBest, 225}, {1, 49, notBest, 225}}},
		{"the same from afar", func(s ogmStand) {
			for k := range 3 {
				s.m.originator(macC).way(macB, s.m.ifaces[0]).iv.slot(k).ring = tqRing{}
			}
		}, macB, 0, []batman.OGM{far}, nil},
		{"interface penalty", func(s ogmStand) { s.m.ifaces[0].HopPenalty = 55 }, macB, 0, []batman.OGM{far}, []want{{0, 47, 0, 137}, {1, 47, 0, 137}}},
		{"Wi-Fi cannot hear and send at once", func(s ogmStand) { s.m.ifaces[0].Wifi = true; s.m.ifaces[1].Wifi = true }, macB, 0,
			[]batman.OGM{far}, []want{{0, 47, 0, 155}, {1, 47, 0, 176}}},
		{"both", func(s ogmStand) { s.m.ifaces[0].Wifi = true; s.m.ifaces[0].HopPenalty = 55 }, macB, 0, []batman.OGM{far}, []want{{0, 47, 0, 121}, {1, 47, 0, 137}}},
		{"no hop penalty", func(s ogmStand) { s.m.cfg.HopPenalty = 0 }, macB, 0, []batman.OGM{far}, []want{{0, 47, 0, 200}, {1, 47, 0, 200}}},
		{"a TQ that falls to 0", nil, macB, 0, []batman.OGM{with(far, func(o *batman.OGM) { o.TQ = 1 })}, []want{{0, 47, 0, 0}, {1, 47, 0, 0}}},
	} {
		s := newOGMStand(t, 2, func(c *Config) { c.Aggregation = false })
		s.station(macB, 0, 64, 64)
		s.behind(macC, map[batman.MAC]uint8{macB: 100}, 0, macB)
		if c.set != nil {
			c.set(s)
		}
		for _, o := range c.ogms {
			s.hear(c.iface, c.src, o)
		}
		var got []want
		for i := range 2 {
			list := s.m.routing.queue.list
			for _, f := range list {
				if int(f.to.index) == i {
					o, _, _, _ := batman.ParseOGM(f.buf.Bytes())
					got = append(got, want{i, o.TTL, o.Flags, o.TQ})
					if o.Prev != c.src || o.Orig != c.ogms[0].Orig || o.Seqno != c.ogms[0].Seqno {
						t.Errorf("%s: %+v", c.name, o)
					}
				}
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: forwarded %v, want %v", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: forwarded %v, want %v", c.name, got, c.want)
				break
			}
		}
	}
}

// TVLVs, known or not, and the reserved byte go on as they came.
func TestOGMUntouched(t *testing.T) {
	for _, n := range []int{0, 4, 8, 112, 488, 1476} {
		s := newOGMStand(t, 1, nil)
		s.station(macB, 0, 64, 64)
		o := single(macB, ogmSeq+1)
		o.TVLVLen = uint16(n)
		f := ogmFrameOf(macB, o)
		p := f[batman.EthLen:]
		p[20] = 0x5a
		for i := batman.OGMLen + 4; i < len(p); i++ {
			p[i] = byte(i * 7)
		}
		s.rx(0, f)
		if len(s.m.routing.queue.list) != 1 {
			t.Errorf("%d bytes: not forwarded", n)
			continue
		}
		got := s.m.routing.queue.list[0].buf.Bytes()
		if string(got[20:21]) != "\x5a" || string(got[22:]) != string(p[22:]) {
			t.Errorf("%d bytes: changed\n%x to\n%x", n, p, got)
		}
		s.forwarded()
	}
}

// A frame of OGMs leaves 100 to 110 ms after the first of them came, and takes
// along what comes until then; without aggregation each leaves within 10 ms.
func TestOGMDelay(t *testing.T) {
	for _, aggregate := range []bool{true, false} {
		s := newOGMStand(t, 1, func(c *Config) { c.Aggregation = aggregate })
		s.station(macB, 0, 64, 64)
		for i := range uint32(200) {
			begin := s.now
			s.hear(0, macB, single(macB, ogmSeq+1+i))
			due := s.m.routingDeadline()
			at := due.Sub(begin)
			low, high := time.Duration(0), 10*time.Millisecond
			if aggregate {
				low, high = 100*time.Millisecond, 110*time.Millisecond
			}
			if at < low || at >= high {
				t.Fatalf("aggregation %v: leaves after %v", aggregate, at)
			}
			s.now = due
			s.m.routingExpire(s.now, &s.out)
			if n := len(s.left()); n != 1 {
				t.Fatalf("aggregation %v: %d OGMs left", aggregate, n)
			}
			s.now = begin.Add(time.Second)
		}
	}
}
