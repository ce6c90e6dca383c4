package mesh

import (
	"runtime"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// liar is the address of an invented station.
func liar(i int) batman.MAC {
	return batman.MAC{0x06, 0x66, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
}

// living is an ogmStand with 40 good neighbours and two originators behind each;
// refresh lets them speak again.
func living(t *testing.T) (s ogmStand, refresh func(), check func(when string)) {
	s = newOGMStand(t, 2, nil)
	mac := func(i int) batman.MAC { return hardMAC(100+i, 0) }
	for i := range 40 {
		s.station(mac(i), i&1, 64, 64)
		s.behind(mac(1000+i), map[batman.MAC]uint8{mac(i): 200}, i&1, mac(i))
		s.behind(mac(2000+i), map[batman.MAC]uint8{mac(i): 200}, i&1, mac(i))
	}
	seqno := uint32(ogmSeq)
	refresh = func() {
		seqno++
		for i := range 40 {
			for _, hi := range s.m.ifaces {
				*s.m.originator(mac(i)).iv.echoOf(hi) = ^window(0)
			}
			s.hear(i&1, mac(i), single(mac(i), seqno), relayed(mac(1000+i), macE, seqno, 210), relayed(mac(2000+i), macE, seqno, 210))
		}
		s.forwarded()
	}
	check = func(when string) {
		t.Helper()
		for i := range 40 {
			for _, k := range []int{i, 1000 + i, 2000 + i} {
				o := s.m.originator(mac(k))
				if o == nil || s.m.router(o, nil) == nil || s.m.router(o, nil).MAC != mac(i) || s.m.router(o, s.m.ifaces[i&1]) == nil {
					t.Fatalf("%s: %v, which is alive, lost its route", when, mac(k))
				}
			}
			if s.m.ifaces[i&1].neighbour(mac(i)) == nil {
				t.Fatalf("%s: station %d is forgotten", when, i)
			}
		}
		tablesWithinBounds(t, s.m)
	}
	refresh()
	check("before")
	return s, refresh, check
}

// tablesWithinBounds checks every bound of the routing tables, and that the
// counters agree with the tables.
func tablesWithinBounds(t testing.TB, m *Mesh) {
	t.Helper()
	if len(m.origs) > MaxOriginators || len(m.origs) != len(m.origList) {
		t.Fatalf("%d originators, %d in the list", len(m.origs), len(m.origList))
	}
	routed, extra := 0, 0
	for _, o := range m.origList {
		if m.origs[o.MAC] != o {
			t.Fatal("list and table of originators differ")
		}
		if m.router(o, nil) != nil {
			routed++
		}
		if len(o.neighbours) > maxNeighbours || len(o.routes) > MaxIfaces+1 || len(o.iv.echo) > MaxIfaces {
			t.Fatalf("%d ways, %d routes, %d echo windows", len(o.neighbours), len(o.routes), len(o.iv.echo))
		}
		extra += extraWays(len(o.neighbours))
		for _, n := range o.neighbours {
			if n.orig != o || len(n.iv.slots) > MaxIfaces+1 || len(n.v.slots) > MaxIfaces+1 || !n.hi.active {
				t.Fatal("a way is wrong")
			}
		}
		for s := range o.routes {
			if r := o.routes[s].router; r != nil && o.way(r.MAC, r.hi) != r {
				t.Fatal("a route is no way")
			}
		}
	}
	if routed != m.routing.routed || extra != m.routing.extra || extra > maxExtraWays {
		t.Fatalf("%d routed, %d extra ways; counted %d, %d", routed, extra, m.routing.routed, m.routing.extra)
	}
	for _, hi := range m.ifaces {
		if hi != nil && len(hi.neighbours) > maxHardNeigh {
			t.Fatalf("%d stations", len(hi.neighbours))
		}
	}
	if len(m.routing.queue.list) > maxOGMQueue || len(m.ifaces) > MaxIfaces || len(m.routing.seqnos.OGM) > maxSeqnos || len(m.routing.seqnos.ELP) > maxSeqnos {
		t.Fatal("a queue or list is too long")
	}
}

func heapBytes() int {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int(s.HeapAlloc)
}

// Floods of invented originators, stations and ways, eight minutes long, with all
// that is alive speaking each second.
func TestFloods(t *testing.T) {
	for _, c := range []struct {
		name  string
		most  int // originators, 120 of them alive
		flood func(s ogmStand, i int)
	}{
		{"stations that invent themselves", maxStrangers + 120, func(s ogmStand, i int) { s.hear(i&1, liar(i), single(liar(i), uint32(i))) }},
		{"one station that invents originators", maxStrangers + 120, func(s ogmStand, i int) { s.hear(0, liar(0), relayed(liar(i), macE, uint32(i), 255)) }},
		{"a neighbour that invents originators", MaxOriginators, func(s ogmStand, i int) { s.hear(0, hardMAC(100, 0), relayed(liar(i), macE, uint32(i), 255)) }},
		{"stations that claim ways to one originator", maxStrangers + 120, func(s ogmStand, i int) {
			s.hear(0, liar(i%5000), relayed(hardMAC(1100, 0), macE, ogmSeq+uint32(i), 255))
		}},
		{"echoes from nobody", 120, func(s ogmStand, i int) {
			s.hear(0, liar(i), batman.OGM{TTL: 49, Flags: batman.DirectLink, Seqno: ogmSeq, Orig: hardMAC(1, 0), Prev: hardMAC(1, 0)})
		}},
		{"numbers of a liar that run", 121, func(s ogmStand, i int) { s.hear(0, liar(1), single(liar(1), uint32(i)*60)) }},
	} {
		s, refresh, check := living(t)
		before := heapBytes()
		most := 0
		for i := range 48000 {
			c.flood(s, i)
			if i%100 == 99 {
				s.now = s.now.Add(time.Second)
				refresh()
				s.m.purge(s.now, &s.out)
				s.out.Events = s.out.Events[:0]
				most = max(most, len(s.m.origs))
			}
			if i%8000 == 7999 {
				check(c.name)
			}
		}
		if most > c.most {
			t.Errorf("%s: %d originators, want %d at most", c.name, most, c.most)
		}
		t.Logf("%s: up to %d originators, %d kB", c.name, most, (heapBytes()-before)/1024)
		// A newcomer by a neighbour that is alive finds a place.
		if c.name != "a neighbour that invents originators" {
			o := relayed(hardMAC(5000, 0), macE, 5, 200)
			s.hear(0, hardMAC(102, 0), o)
			if s.m.originator(hardMAC(5000, 0)) == nil {
				t.Errorf("%s: no room for a newcomer", c.name)
			}
		}
	}
}

// A station that fooled us into a route to it fills the table with originators
// that have routes: then newcomers wait, but what lives stays.
func TestFloodWithRoutes(t *testing.T) {
	s, refresh, check := living(t)
	for k := range 20 {
		s.station(liar(k), 0, 64, 64)
	}
	for i := range 6000 {
		k := i % 20
		s.hear(0, liar(k), relayed(liar(100+i), macE, 7, 255), relayed(liar(100+i), macE, 8, 255))
		if i%400 == 399 {
			s.now = s.now.Add(time.Second)
			refresh()
		}
	}
	if len(s.m.origs) != MaxOriginators {
		t.Fatalf("%d originators, the flood should fill the table", len(s.m.origs))
	}
	check("full of routes")
	refuses := func(want bool) {
		t.Helper()
		mac := liar(1 << 20)
		s.hear(1, hardMAC(101, 0), relayed(mac, macE, 5, 200))
		if (s.m.originator(mac) == nil) != want {
			t.Errorf("the newcomer is refused: %v, want %v", !want, want)
		}
	}
	refuses(true)
	for range 101 { // the liars fall silent
		s.now = s.now.Add(time.Second)
		refresh()
	}
	check("later")
	refuses(false)
}

// When strangers filled their half of the table, others of them wait until one
// was quiet for 30 s; a neighbour's newcomers do not wait.
func TestStrangersWait(t *testing.T) {
	s := newOGMStand(t, 1, nil)
	s.station(macB, 0, 64, 64)
	for i := 0; len(s.m.origs) < maxStrangers+1; i++ {
		s.hear(0, liar(i), single(liar(i), 5))
		s.now = s.now.Add(time.Millisecond)
	}
	s.now = s.now.Add(20 * time.Second)
	oldest := s.m.origList[1].MAC
	add := func(from, orig batman.MAC, want bool) {
		t.Helper()
		s.now = s.now.Add(time.Second)
		s.hear(0, from, relayed(orig, macE, 5, 200))
		if (s.m.originator(orig) != nil) != want {
			t.Errorf("%v by %v: taken %v, want %v", orig, from, !want, want)
		}
	}
	add(macD, macD, false)
	add(macB, macC, true)
	if s.m.originator(oldest) == nil {
		t.Error("somebody made room though there was some")
	}
	s.now = s.now.Add(10 * time.Second)
	add(macD, macD, true)
	if s.m.originator(oldest) != nil {
		t.Error("the quietest did not make room")
	}
}

// An originator keeps its first ways whatever others invent, and all of them
// together are bounded, in both algorithms.
func TestWaysBounded(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		s := newStand(t, 2, Seqnos{}, func(c *Config) { c.Algo = algo })
		var all []*Originator
		for i := range 300 {
			o := &Originator{MAC: liar(i), lastSeen: s.now}
			s.m.origs[o.MAC], s.m.origList = o, append(s.m.origList, o)
			all = append(all, o)
			for k := range 200 {
				s.m.addWay(s.now, o, liar(1000+k), s.m.ifaces[k&1])
			}
		}
		tablesWithinBounds(t, s.m)
		if n := len(all[0].neighbours); n != maxNeighbours {
			t.Errorf("%v: %d ways to the first, want %d", algo, n, maxNeighbours)
		}
		if n := len(all[299].neighbours); n != freeWays || s.m.routing.extra != maxExtraWays {
			t.Errorf("%v: %d ways to the last, want its own %d; %d extra", algo, n, freeWays, s.m.routing.extra)
		}
		// A way that is quiet makes room, one that is a route does not.
		o := all[299]
		s.m.setRoute(s.now, o, 1, o.neighbours[0], &s.out)
		s.now = s.now.Add(quiet)
		route, first := o.neighbours[0], o.neighbours[1]
		if s.m.addWay(s.now, o, macB, s.m.ifaces[0]) == nil || o.way(first.MAC, first.hi) != nil || o.way(route.MAC, route.hi) == nil {
			t.Errorf("%v: a quiet way did not make room, or the route did", algo)
		}
		tablesWithinBounds(t, s.m)
		s.m.dropNeighbours(s.now, all[0], func(n *Neighbour) bool { return n.hi.index == 0 }, &s.out)
		tablesWithinBounds(t, s.m)
		for _, o := range all {
			s.m.forget(s.now, o, &s.out)
		}
		if s.m.routing.extra != 0 || s.m.routing.routed != 0 {
			t.Errorf("%v: %d extra ways, %d routes left", algo, s.m.routing.extra, s.m.routing.routed)
		}
	}
}

// Stations on an interface: quiet ones make room, others never.
func TestStationsBounded(t *testing.T) {
	s := newStand(t, 1, Seqnos{}, nil)
	hi := s.m.ifaces[0]
	for i := range maxHardNeigh {
		s.m.hardNeigh(s.now, hi, liar(i))
	}
	if s.m.hardNeigh(s.now, hi, macB) != nil {
		t.Error("no bound")
	}
	s.now = s.now.Add(quiet)
	for i := range maxHardNeigh {
		if i != 7 {
			s.m.hardNeigh(s.now, hi, liar(i))
		}
	}
	if s.m.hardNeigh(s.now, hi, macB) == nil || hi.neighbour(liar(7)) != nil || len(hi.neighbours) != maxHardNeigh {
		t.Error("the quiet one did not make room")
	}
	if s.m.hardNeigh(s.now, hi, macD) != nil {
		t.Error("one that is alive made room")
	}
}

// Rates: what a station may bring in one instant and after a second.
func TestOGMRates(t *testing.T) {
	for _, c := range []struct {
		name        string
		frame       func(i int) []byte
		burst, rate uint64 // taken of 10000, then a second later of 10000; one newcomer was there before
		good        bool   // there is a route to the sender
	}{
		{"a neighbour's own", func(i int) []byte { return ogmFrameOf(macB, single(macB, uint32(ogmSeq+i))) }, directBurst, 50, true},
		{"of a known originator by a neighbour", func(i int) []byte { return ogmFrameOf(macB, relayed(macC, macE, uint32(ogmSeq+i), 9)) }, ogmBurst, 5000, true},
		{"of a known originator by a stranger", func(i int) []byte { return ogmFrameOf(macD, relayed(macC, macE, uint32(ogmSeq+i), 9)) }, strangerOGMBurst, 500, false},
		{"new originators by a neighbour", func(i int) []byte { return ogmFrameOf(macB, relayed(liar(i), macE, 5, 9)) }, newOrigBurst - 1, 20, true},
		{"new originators by a stranger", func(i int) []byte { return ogmFrameOf(macD, relayed(liar(i), macE, 5, 9)) }, newOrigBurst - 1, 20, false},
	} {
		s := newOGMStand(t, 1, nil)
		s.station(macB, 0, 64, 64)
		s.behind(macC, map[batman.MAC]uint8{macB: 100}, 0, macB)
		for k, want := range []uint64{c.burst, c.rate} {
			before := s.m.drops[dropRateLimit]
			for i := range 10000 {
				s.rx(0, c.frame(10000*k+i))
			}
			if got := 10000 - (s.m.drops[dropRateLimit] - before); got != want {
				t.Errorf("%s: %d taken, want %d", c.name, got, want)
			}
			s.now = s.now.Add(time.Second)
		}
	}
}

// More interfaces than there may be, and unusable ones, are refused.
func TestIfacesBounded(t *testing.T) {
	s := newStand(t, 0, Seqnos{}, nil)
	good := IfaceConfig{Name: "eth", MAC: macB, MTU: 1500}
	for i := range 100 {
		c := good
		c.MAC[4] = byte(i)
		if err := s.m.SetIface(s.now, uint16(i), c, &s.out); (err == nil) != (i < MaxIfaces) {
			t.Errorf("interface %d: %v", i, err)
		}
	}
	for _, c := range []IfaceConfig{{Name: "no address", MTU: 1500}, {Name: "group", MAC: batman.MAC{1}, MTU: 1500}, {Name: "short", MAC: macB, MTU: 99}} {
		if s.m.SetIface(s.now, 0, c, &s.out) == nil {
			t.Errorf("%s: no error", c.Name)
		}
	}
	if len(s.m.ifaces) != MaxIfaces {
		t.Errorf("%d interfaces", len(s.m.ifaces))
	}
}
