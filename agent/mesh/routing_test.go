package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// Bonding alternates between ways of different interfaces that are less than
// 50 worse than the best; packets in transit never do.
func TestBonding(t *testing.T) {
	for _, c := range []struct {
		name    string
		bonding bool
		b, d, e uint8 // TQ by the station on interface 0, 1, 2
		want    string
	}{
		{"off", false, 200, 200, 200, "BBBBBB"},
		{"three alike", true, 200, 200, 200, "DEBDEB"},
		{"two alike", true, 200, 151, 150, "DBDBDB"},
		{"one", true, 200, 150, 10, "BBBBBB"},
		{"a better one by an interface", true, 200, 250, 0, "DBDBDB"},
	} {
		s := newOGMStand(t, 3, func(cfg *Config) { cfg.Bonding = c.bonding })
		o := s.m.obtain(s.now, macC, macB, &s.out)
		names := map[batman.MAC]string{macB: "B", macD: "D", macE: "E"}
		for i, k := range []struct {
			mac batman.MAC
			tq  uint8
		}{{macB, c.b}, {macD, c.d}, {macE, c.e}} {
			n := s.m.addWay(s.now, o, k.mac, s.m.ifaces[i])
			for j := range 4 {
				n.iv.slot(j).ring.push(k.tq)
			}
			s.m.setRoute(s.now, o, i+1, n, &s.out)
			if i == 0 {
				s.m.setRoute(s.now, o, 0, n, &s.out)
			}
		}
		got := ""
		for range 6 {
			got += names[s.m.nextHop(o, nil).MAC]
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		for i, want := range []batman.MAC{macB, macD, macE} {
			if s.m.nextHop(o, s.m.ifaces[i]).MAC != want {
				t.Errorf("%s: bonding in transit", c.name)
			}
		}
	}
}

// Ways live 200 s without an OGM, originators 400 s, stations 200 s.
func TestPurge(t *testing.T) {
	s := newOGMStand(t, 1, nil)
	s.station(macB, 0, 64, 64)
	s.station(macD, 0, 64, 64)
	o := s.behind(macC, map[batman.MAC]uint8{macB: 100, macD: 50}, 0, macB, macD)
	alive := func(d time.Duration, ways, origs, stations int, router batman.MAC) {
		t.Helper()
		s.now = s.now.Add(d)
		s.m.purge(s.now, &s.out)
		var got batman.MAC
		if n := s.m.router(o, nil); n != nil {
			got = n.MAC
		}
		if len(o.neighbours) != ways || len(s.m.origs) != origs || len(s.m.origList) != origs || len(s.m.ifaces[0].neighbours) != stations || got != router {
			t.Errorf("%d ways to C, the best by %v, %d originators, %d stations; want %d, %v, %d, %d", len(o.neighbours), got, len(s.m.origs),
				len(s.m.ifaces[0].neighbours), ways, router, origs, stations)
		}
	}
	alive(100*time.Second, 2, 3, 2, macB)
	o.way(macD, s.m.ifaces[0]).lastSeen = s.now
	s.m.hardNeigh(s.now, s.m.ifaces[0], macD)
	alive(100*time.Second, 2, 3, 2, macB)
	alive(time.Second, 1, 3, 1, macD) // B is lost, D takes over
	alive(99*time.Second, 1, 3, 1, macD)
	alive(time.Second, 0, 3, 0, batman.MAC{})
	alive(99*time.Second, 0, 3, 0, batman.MAC{})
	alive(time.Second, 0, 0, 0, batman.MAC{})
	if s.m.routing.routed != 0 || s.m.routing.extra != 0 {
		t.Errorf("counters %d, %d", s.m.routing.routed, s.m.routing.extra)
	}
}

// A packet to a node of which nothing is heard any more goes no further than
// the node was, and some hops.
func TestStaleHops(t *testing.T) {
	s := newOGMStand(t, 2, nil)
	s.station(macB, 0, 64, 64)
	o := s.behind(macC, map[batman.MAC]uint8{macB: 100}, 0, macB)
	o.routes[0].lastTTL = 48 // three hops
	for _, c := range []struct {
		silent        time.Duration
		lastTTL       uint8
		in, out, sent uint8
	}{
		{9999 * time.Millisecond, 48, 50, 49, 1},
		{10 * time.Second, 48, 50, 10, 1},
		{10 * time.Second, 48, 5, 4, 1},
		{10 * time.Second, 0, 50, 49, 1},
		{10 * time.Second, 255, 50, 8, 1},
		{10 * time.Second, 48, 1, 0, 0},
	} {
		o.lastSeen, o.routes[0].lastTTL = s.now.Add(-c.silent), c.lastTTL
		p := header(batman.UnicastLen, batman.Unicast{TTL: c.in, Dest: macC}.Put)
		p[0] = 0x60 // of a type that is only carried on
		s.rx(1, frameTo(1, macD, p, make([]byte, 40)))
		air, _ := s.take()
		if len(air) != int(c.sent) || c.sent > 0 && air[0].frame[16] != c.out {
			t.Errorf("silent for %v, TTL %d: sent %x, want TTL %d", c.silent, c.in, air, c.out)
		}
	}
}

// A packet in transit does not go back to the station that sent it, unless
// there is no other way.
func TestTransitHop(t *testing.T) {
	for _, c := range []struct {
		name string
		tqs  map[batman.MAC]uint8
		in   int
		src  batman.MAC
		want batman.MAC
	}{
		{"from another", map[batman.MAC]uint8{macB: 100, macD: 50}, 0, macE, macB},
		{"from the next hop", map[batman.MAC]uint8{macB: 100, macD: 50, macE: 60}, 0, macB, macE},
		{"from the next hop, others of no use", map[batman.MAC]uint8{macB: 100, macD: 0, macE: 0}, 0, macB, macB},
		{"from the next hop, by another interface", map[batman.MAC]uint8{macB: 100, macD: 50}, 1, macB, macB},
	} {
		s := newOGMStand(t, 2, nil)
		o := s.behind(macC, c.tqs, 0, macB, macD, macE)
		if n := s.m.transitHop(o, rx{hi: s.m.ifaces[c.in], src: c.src}); n.MAC != c.want {
			t.Errorf("%s: to %v, want %v", c.name, n.MAC, c.want)
		}
	}
	v := newStand(t, 1, Seqnos{}, func(c *Config) { c.Algo = BatmanV })
	o := v.route(macC, macB, 0)
	*v.m.addWay(v.now, o, macD, v.m.ifaces[0]).v.slot(1) = vSlot{50, 1}
	if n := v.m.transitHop(o, rx{hi: v.m.ifaces[0], src: macB}); n.MAC != macB {
		t.Errorf("in B.A.T.M.A.N. V: to %v, want back", n.MAC)
	}
	s := newOGMStand(t, 1, nil)
	if s.m.transitHop(s.m.obtain(s.now, macC, macB, &s.out), rx{hi: s.m.ifaces[0], src: macB}) != nil {
		t.Error("a way to nowhere")
	}
}
