package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// B is the way to C with a mean of 100, D another with 50; both are good
// neighbours on interface 0. What an OGM of C by D changes.
func TestRank(t *testing.T) {
	for _, c := range []struct {
		name     string
		set      func(s ogmStand)
		ogm      batman.OGM
		ringB    int // values that are not 0 in B's ring
		d        uint32
		router   batman.MAC
		lastTTL  uint8
		received int // OGMs of C by D
	}{
		{name: "worse", ogm: relayed(macC, macE, ogmSeq+1, 99), ringB: 1, d: 74, router: macB, lastTTL: 48, received: 2},
		{name: "better", ogm: relayed(macC, macE, ogmSeq+1, 200), ringB: 1, d: 125, router: macD, lastTTL: 48, received: 2},
		{name: "worse, behind a short gap", ogm: relayed(macC, macE, ogmSeq+9, 20), ringB: 1, d: 35, router: macB, lastTTL: 48, received: 2},
		{name: "worse, behind a long gap", ogm: relayed(macC, macE, ogmSeq+10, 20), ringB: 0, d: 35, router: macD, lastTTL: 48, received: 2},
		{name: "worse, behind a restart", ogm: relayed(macC, macE, ogmSeq+1<<30, 20), ringB: 1, d: 35, router: macB, lastTTL: 48, received: 1},
		{name: "as good, no better heard", ogm: relayed(macC, macE, ogmSeq+1, 150), ringB: 1, d: 100, router: macB, lastTTL: 48, received: 2},
		{name: "as good, better heard", set: func(s ogmStand) { *s.m.originator(macB).iv.echoOf(s.m.ifaces[0]) >>= 1 },
			ogm: relayed(macC, macE, ogmSeq+1, 150), ringB: 1, d: 100, router: macD, lastTTL: 48, received: 2},
		{name: "link of no use", set: func(s ogmStand) { *s.m.originator(macD).iv.echoOf(s.m.ifaces[0]) = 0 },
			ogm: relayed(macC, macE, ogmSeq+1, 200), ringB: 1, d: 50, router: macB, lastTTL: 49, received: 2},
		{name: "known by B, similar TTL", ogm: func() batman.OGM { o := relayed(macC, macE, ogmSeq, 200); o.TTL = 46; return o }(),
			ringB: 1, d: 125, router: macD, lastTTL: 49, received: 1},
		{name: "known by B, longer way", ogm: func() batman.OGM { o := relayed(macC, macE, ogmSeq, 200); o.TTL = 45; return o }(),
			ringB: 1, d: 50, router: macB, lastTTL: 49, received: 1},
		{name: "sender has it from B", ogm: relayed(macC, macB, ogmSeq+1, 200), ringB: 1, d: 50, router: macB, lastTTL: 49, received: 2},
		{name: "sender has it from B, which is no neighbour any more", set: func(s ogmStand) {
			b := s.m.originator(macB)
			for k := range b.routes {
				s.m.setRoute(s.now, b, k, nil, &s.out)
			}
		}, ogm: relayed(macC, macB, ogmSeq+1, 200), ringB: 1, d: 125, router: macD, lastTTL: 48, received: 2},
		{name: "sender has it from B, the originator", set: func(s ogmStand) {}, ogm: relayed(macC, macC, ogmSeq+1, 200), ringB: 1, d: 125, router: macD, lastTTL: 48, received: 2},
	} {
		s := newOGMStand(t, 2, nil)
		s.station(macB, 0, 64, 64)
		s.station(macD, 0, 64, 64)
		o := s.behind(macC, map[batman.MAC]uint8{macB: 100, macD: 50}, 0, macB, macD)
		if c.set != nil {
			c.set(s)
		}
		b, d := o.way(macB, s.m.ifaces[0]), o.way(macD, s.m.ifaces[0])
		s.hear(0, macD, c.ogm)
		for k := range 2 { // every slot alike
			ring, n := b.iv.slots[k].ring, 0
			for _, v := range ring.values {
				if v != 0 {
					n++
				}
			}
			pushed := int(ring.next) - 1
			wantPushed := 0
			if c.ogm.Seqno > ogmSeq && c.lastTTL == 48 {
				wantPushed = 1
			}
			if c.ringB == 0 {
				wantPushed = -1 // begun anew
			}
			rt := o.routes[k]
			if n != c.ringB || pushed != wantPushed || s.m.quality(d, k) != c.d || rt.router.MAC != c.router || rt.lastTTL != c.lastTTL {
				t.Errorf("%s, slot %d: B has %d values, %d pushed; D %d; by %v, TTL %d", c.name, k, n, pushed, s.m.quality(d, k), rt.router.MAC, rt.lastTTL)
			}
			if got := d.iv.slots[k].real.count(); got != c.received {
				t.Errorf("%s, slot %d: %d OGMs by D counted, want %d", c.name, k, got, c.received)
			}
		}
	}
}

// Each outgoing interface has its own table: with Wi-Fi on both, what comes in
// on one is worth more for packets that go by the other.
func TestRankByInterface(t *testing.T) {
	s := newOGMStand(t, 2, nil)
	for _, hi := range s.m.ifaces {
		hi.Wifi = true
	}
	s.station(macB, 0, 64, 64)
	s.station(macD, 1, 64, 64)
	for i := range uint32(8) {
		s.hear(0, macB, relayed(macC, macE, ogmSeq+i, 200))
		s.hear(1, macD, relayed(macC, macE, ogmSeq+i, 190))
	}
	o := s.m.originator(macC)
	for via, want := range []batman.MAC{macD, macB} {
		if got := s.m.router(o, s.m.ifaces[via]); got == nil || got.MAC != want {
			t.Errorf("what came in on %d goes to %v, want %v", via, got, want)
		}
	}
	if got := s.m.router(o, nil); got.MAC != macB {
		t.Errorf("local packets go to %v", got.MAC)
	}
	if got := s.m.nextHop(o, s.m.ifaces[0]); got.MAC != macD {
		t.Errorf("packets in transit from interface 0 go to %v", got.MAC)
	}
}

// The TQ of a new neighbour rises as the windows fill. Its first OGM counts in
// the tables by interface, which find the entry that the default one made, but
// not in the default one. The first figures are what a kernel sent.
func TestClimb(t *testing.T) {
	s := newOGMStand(t, 1, nil)
	hi := s.m.ifaces[0]
	want := map[uint32]uint8{0: 0, 1: 9, 2: 20, 3: 29, 4: 38, 5: 47, 6: 56, 65: 225, 69: 225}
	for i := range uint32(70) {
		s.m.sendOwn(s.now, hi, &s.out)
		if i > 0 {
			s.hear(0, macB, batman.OGM{TTL: 49, Flags: batman.DirectLink, Seqno: hi.iv.seqno - 1, Orig: hi.MAC, Prev: hi.MAC})
		}
		s.left()
		s.hear(0, macB, single(macB, 77000+i))
		list := s.forwarded()
		if len(list) != 1 {
			t.Fatalf("OGM %d: %d forwarded", i, len(list))
		}
		if q, ok := want[i]; ok && list[0].TQ != q {
			t.Errorf("after %d OGMs: TQ %d, want %d", i, list[0].TQ, q)
		}
		if n := s.m.originator(macB).way(macB, hi).iv.slot(0).real.count(); n != min(int(i), 64) {
			t.Errorf("after %d OGMs: %d counted in the default table", i, n)
		}
		s.now = s.now.Add(time.Second)
	}
}
