package mesh

import (
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// flooded is a flooded frame of orig as station src sends it.
func flooded(src, orig batman.MAC, ttl uint8, seqno uint32, text string) []byte {
	h := header(batman.BroadcastLen, batman.BroadcastHeader{TTL: ttl, Seqno: seqno, Orig: orig}.Put)
	return frameTo(0, src, h, clientFrame(batman.Broadcast, clientB, 0, text))
}

func TestFloodWindow(t *testing.T) {
	type step struct {
		at    time.Duration
		seqno uint32
		want  string // "" or the reason
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"first", []step{{0, 2, ""}, {0, 2, "duplicate"}, {0, 3, ""}}},
		{"disorder", []step{{0, 10, ""}, {0, 8, ""}, {0, 9, ""}, {0, 8, "duplicate"}, {0, 10, "duplicate"}, {0, 11, ""}}},
		{"edge of the window", []step{{0, 100, ""}, {0, 100 - 63, ""}, {0, 100 - 63, "duplicate"}, {0, 163, ""}, {0, 100, "duplicate"}}},
		{"first is no jump", []step{{0, 65535, ""}, {0, 100_000, ""}, {0, 1_000_000, ""}, {0, 5, "protected"}}},
		{"restart", []step{{0, 1000, ""}, {time.Second, 2, ""}, {2 * time.Second, 1001, ""}, {3 * time.Second, 3, "protected"}, {31500 * time.Millisecond, 3, ""}}},
		{"old is refused", []step{{0, 1000, ""}, {0, 900, ""}, {1, 800, "protected"}, {2, 901, ""}}},
		{"just no jump", []step{{0, 65535, ""}, {0, 5, ""}, {0, 1000_000, "protected"}}},
		{"just a jump", []step{{0, 65536, ""}, {0, 5, "protected"}}},
		{"just no jump back", []step{{0, 1000, ""}, {0, 937, ""}, {0, 800, ""}, {0, 2000, ""}, {0, 900, "protected"}}},
		{"just a jump back", []step{{0, 1000, ""}, {0, 936, ""}, {0, 800, "protected"}}},
		{"wrap", []step{{0, 1<<32 - 1, ""}, {0, 0, ""}, {0, 1<<32 - 1, "duplicate"}, {0, 0, "duplicate"}, {0, 1, ""}}},
	} {
		var o bcastOrig
		for i, s := range c.steps {
			got := ""
			if why, ok := o.take(mono.Time(s.at), s.seqno); !ok {
				got = dropNames[why]
			}
			if got != s.want {
				t.Errorf("%s, step %d, number %d: %q, want %q", c.name, i, s.seqno, got, s.want)
			}
		}
	}
}

func TestFloodInTransit(t *testing.T) {
	s, _, _ := between(t, nil)
	f := flooded(macB, macB, 50, 77, "hello")
	s.rx(0, f)
	air, clients := s.take()
	// not back to B, which is alone there
	if len(air) != 1 || air[0].iface != 1 || len(clients) != 1 || clients[0] != string(f[28:]) {
		t.Fatalf("sent %x, delivered %x", air, clients)
	}
	if h, _ := batman.ParseBroadcast([]byte(air[0].frame)[14:]); h != (batman.BroadcastHeader{TTL: 49, Seqno: 77, Orig: macB}) {
		t.Errorf("sent %+v", h)
	}
	if o, _ := s.m.ttFind(clientB, 0); o == nil || o.MAC != macB {
		t.Error("the source is not known")
	}
	s.dropped("again", dropDuplicate, func() { s.rx(0, f) })
	s.dropped("by another way", dropDuplicate, func() { s.rx(1, flooded(macC, macB, 48, 77, "hello")) })
	s.dropped("TTL 1", dropTTL, func() { s.rx(0, flooded(macB, macB, 1, 78, "x")) })
	s.dropped("unknown originator", dropUnknownOrig, func() { s.rx(0, flooded(macB, hardMAC(9, 0), 50, 1, "x")) })
	s.dropped("our own", dropEcho, func() { s.rx(0, flooded(macB, hardMAC(1, 1), 50, 1, "x")) })
	bad := flooded(macB, macB, 50, 79, "x")
	copy(bad, macB[:])
	s.dropped("to one station", dropDestination, func() { s.rx(0, bad) })
	copy(bad, []byte{255, 255, 255, 255, 255, 255, 1})
	s.dropped("from a group", dropSource, func() { s.rx(0, bad) })
	s.rx(0, flooded(macB, macB, 2, 79, "x"))
	if air, _ := s.take(); len(air) != 1 || air[0].frame[16] != 1 {
		t.Errorf("TTL 2: sent %x", air)
	}
	// C's own flood that B brings: not to C again, nor back to B
	s.rx(0, flooded(macB, macC, 50, 5, "x"))
	if air, clients := s.take(); len(air) != 0 || len(clients) != 1 {
		t.Errorf("sent %x, delivered %d", air, len(clients))
	}
	// With a second station on B's side it goes back there too.
	s.route(hardMAC(4, 0), hardMAC(4, 0), 0)
	s.take()
	s.rx(0, flooded(macB, macB, 50, 80, "x"))
	if air, _ := s.take(); len(air) != 2 {
		t.Errorf("sent %d, want 2", len(air))
	}
}

func TestFloodRepeats(t *testing.T) {
	s := newStand(t, 2, Seqnos{Broadcast: 41}, nil)
	s.iface(1, hardMAC(1, 1), 1500, true)
	s.iface(2, hardMAC(1, 2), 1500, true)
	s.route(macB, macB, 0)
	s.route(macC, macC, 1) // nobody on interface 2
	s.take()
	s.tx(clientFrame(batman.Broadcast, clientA, 0, "hello"))
	var times []time.Duration
	var ifaces []int
	for i := range 30 {
		air, _ := s.take()
		for _, f := range air {
			times, ifaces = append(times, time.Duration(i)*time.Millisecond), append(ifaces, f.iface)
			if h, _ := batman.ParseBroadcast([]byte(f.frame)[14:]); h != (batman.BroadcastHeader{TTL: 49, Seqno: 42, Orig: hardMAC(1, 0)}) {
				t.Errorf("sent %+v", h)
			}
		}
		s.run(time.Millisecond)
	}
	ms := time.Millisecond
	// a millisecond late, as the deadline is seen at the end of one
	if want := []time.Duration{0, 0, 5 * ms, 10 * ms}; !slices.Equal(ifaces, []int{0, 1, 1, 1}) || !near(times, want, ms) {
		t.Errorf("sent on %v at %v, want %v", ifaces, times, want)
	}
	if got := s.m.Seqnos().Broadcast; got != 42 {
		t.Errorf("counter to continue with: %d", got)
	}
	if d := s.m.bcastDeadline(); d != mono.Never {
		t.Errorf("deadline %v", d)
	}
}

func near(a, b []time.Duration, d time.Duration) bool {
	return slices.EqualFunc(a, b, func(x, y time.Duration) bool { return max(x-y, y-x) <= d })
}

// TestARPWaits: an ARP request is flooded after 250 ms, unless the table
// answered it meanwhile.
func TestARPWaits(t *testing.T) {
	for _, answered := range []bool{false, true} {
		s, b, _ := between(t, nil)
		s.m.datOGM(b, true)
		a := arp{arpRequest, clientA, batman.MAC{}, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}}
		q := newARP(&s.pool, batman.Broadcast, clientA, 0, a)
		s.tx(q.Bytes())
		air, _ := s.take()
		if len(air) != 1 || air[0].frame[14] != byte(batman.TypeUnicast4) {
			t.Fatalf("sent %x, want one question to the table", air)
		}
		s.run(240 * time.Millisecond)
		if air, _ = s.take(); len(air) != 0 {
			t.Errorf("flooded %d frames at once", len(air))
		}
		want := 2
		if answered {
			s.m.dat.cache.learn(s.now, datKey(a.dip, 0), clientB, false)
			want = 0
		}
		s.run(20 * time.Millisecond)
		if air, _ = s.take(); len(air) != want {
			t.Errorf("answered %v: flooded on %d interfaces, want %d", answered, len(air), want)
		}
		s.run(time.Second)
		if air, _ = s.take(); len(air) != 0 {
			t.Errorf("flooded again: %d", len(air))
		}
	}
}

func TestFloodQueueIsBounded(t *testing.T) {
	s := newStand(t, 1, Seqnos{}, nil)
	s.iface(0, hardMAC(1, 0), 1500, true)
	s.route(macB, macB, 0)
	s.route(macC, macC, 0)
	s.take()
	n, seqno := 0, uint32(0)
	for range 3 * maxBcastQueue {
		seqno++
		s.rx(0, flooded(macB, macB, 50, seqno, "x"))
		air, clients := s.take()
		n += len(air)
		if len(clients) != 1 {
			t.Fatal("not delivered")
		}
	}
	if q := s.m.bcast.repeats; q.n != maxBcastQueue || len(q.jobs) > maxBcastQueue {
		t.Errorf("%d queued, room for %d", q.n, len(q.jobs))
	}
	s.run(time.Second)
	air, _ := s.take()
	n += len(air)
	if want := 3*maxBcastQueue + 2*maxBcastQueue; n != want || s.m.drops[dropQueueFull] != 2*maxBcastQueue {
		t.Errorf("sent %d, want %d; drops %v", n, want, dropMap(&s.m.drops))
	}
	// order is kept
	for i, f := range air[:maxBcastQueue] {
		if h, _ := batman.ParseBroadcast([]byte(f.frame)[14:]); h.Seqno != uint32(i+1) {
			t.Fatalf("frame %d has number %d", i, h.Seqno)
		}
	}
}

// TestFloodSurvivesInterfaces: what is queued for an interface that is gone is
// not sent, and what is too long for one is not sent there.
func TestFloodSurvivesInterfaces(t *testing.T) {
	s := newStand(t, 1, Seqnos{}, nil)
	s.iface(0, hardMAC(1, 0), 1500, true)
	s.iface(1, hardMAC(1, 1), 100, true)
	s.route(macB, macB, 0)
	s.route(macC, macC, 1)
	s.take()
	s.tx(clientFrame(batman.Broadcast, clientA, 0, string(make([]byte, 73)))) // one too many
	air, _ := s.take()
	if len(air) != 1 || air[0].iface != 0 || s.m.drops[dropTooBig] != 1 {
		t.Errorf("sent %d, drops %v", len(air), dropMap(&s.m.drops))
	}
	s.m.IfaceDown(s.now, 0, "test", &s.out)
	s.run(time.Second)
	if air, _ := s.take(); len(air) != 0 {
		t.Errorf("sent %d on an interface that is down", len(air))
	}
	if s.m.bcast.repeats.n != 0 {
		t.Error("still queued")
	}
}

func TestFirstFloodNumbers(t *testing.T) {
	if s := newStand(t, 1, Seqnos{Broadcast: 99}, nil); s.m.Seqnos().Broadcast != 99 {
		t.Error("does not continue with the given number")
	}
	s := newStand(t, 1, Seqnos{}, nil)
	var o bcastOrig
	if _, ok := o.take(0, s.m.Seqnos().Broadcast+1); !ok || o.jumped {
		t.Error("the first number is a jump")
	}
}

// TestFloodsOfOurOwnLAN: what another gateway of our LAN floods is carried on,
// but our LAN has it; and a frame that two gateways flood is taken once.
func TestFloodsOfOurOwnLAN(t *testing.T) {
	s, b, c := between(t, func(c *Config) { c.BLA = true })
	s.m.backbone(s.now, b.MAC, 0, &s.out)
	s.rx(0, flooded(macB, macB, 50, 1, "x"))
	if air, clients := s.take(); len(air) != 1 || len(clients) != 0 || s.m.drops[dropBLA] != 1 {
		t.Errorf("sent %d, delivered %d", len(air), len(clients))
	}
	s.dropped("the same by another gateway", dropBLA, func() { s.rx(1, flooded(macC, c.MAC, 50, 1, "x")) })
	h := header(batman.UnicastLen, batman.Unicast{TTL: 50, Dest: hardMAC(1, 0)}.Put)
	s.dropped("unicast", dropBLA, func() { s.rx(0, frameTo(0, macB, h, clientFrame(standMAC, clientB, 0, "x"))) })
}
