package mesh

import (
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// The primary interface's OGM leaves on every interface with containers and
// TTL 50, another's only there, bare, with TTL 2; each has its own numbers.
func TestOwnOGM(t *testing.T) {
	s := ogmStand{newStand(t, 3, Seqnos{OGM: map[batman.MAC]uint32{hardMAC(1, 0): 70, hardMAC(1, 1): 80, hardMAC(1, 2): 1<<32 - 1}}, nil)}
	s.m.IfaceDown(s.now, 2, "down", &s.out)
	s.left()
	last := map[batman.MAC]mono.Time{}
	next := map[batman.MAC]uint32{hardMAC(1, 0): 70, hardMAC(1, 1): 80}
	count := map[batman.MAC]int{}
	for end := s.now.Add(20 * time.Second); s.now < end; {
		s.now = max(s.now, s.m.Deadline())
		s.m.Expire(s.now, &s.out)
		seen := map[batman.MAC][]int{}
		for _, o := range s.left() {
			seen[o.Orig] = append(seen[o.Orig], o.iface)
			ttl := uint8(2)
			if o.Orig == hardMAC(1, 0) {
				ttl = 50
			}
			if o.TTL != ttl || o.Flags != 0 || o.TQ != 255 || o.Prev != o.Orig || o.Seqno != next[o.Orig] || (o.tvlvs == "") != (ttl == 2) {
				t.Fatalf("sent %+v, want number %d", o, next[o.Orig])
			}
		}
		for orig, ifaces := range seen {
			if want := map[batman.MAC][]int{hardMAC(1, 0): {0, 1}, hardMAC(1, 1): {1}}[orig]; !slices.Equal(ifaces, want) {
				t.Fatalf("the OGM of %v left on %v, want %v", orig, ifaces, want)
			}
			if d := s.now.Sub(last[orig]); last[orig] != 0 && (d < 980*time.Millisecond || d >= 1020*time.Millisecond) {
				t.Errorf("%v between OGMs of %v", d, orig)
			}
			last[orig] = s.now
			next[orig]++
			count[orig]++
		}
	}
	for orig, n := range count {
		if n < 19 || n > 22 {
			t.Errorf("%d OGMs of %v in 20 s", n, orig)
		}
	}
	if got := s.m.Seqnos().OGM; got[hardMAC(1, 0)] != next[hardMAC(1, 0)] || got[hardMAC(1, 1)] != next[hardMAC(1, 1)] || got[hardMAC(1, 2)] != 1<<32-1 {
		t.Errorf("to continue with: %v", got)
	}
}

// The echo windows move on with every own OGM of their interface, and only
// with these.
func TestEchoWindowMoves(t *testing.T) {
	s := newOGMStand(t, 2, nil)
	o := s.station(macB, 0, 64, 0)
	o.iv.echo = []window{5, 1<<63 | 1}
	s.m.sendOwn(s.now, s.m.ifaces[0], &s.out)
	s.m.sendOwn(s.now, s.m.ifaces[1], &s.out)
	s.m.sendOwn(s.now, s.m.ifaces[1], &s.out)
	if o.iv.echo[0] != 10 || o.iv.echo[1] != 4 {
		t.Errorf("windows %b", o.iv.echo)
	}
	s.m.setPrimary(s.now, s.m.ifaces[1], &s.out)
	if o.iv.echo[0] != 10 || o.iv.echo[1] != 4 {
		t.Errorf("windows %b behind a change of the primary interface, which sends nothing", o.iv.echo)
	}
}

// The node takes the name of the next interface when the primary one goes,
// says so at once, and does not go back when that one returns.
func TestPrimaryChange(t *testing.T) {
	s := ogmStand{newStand(t, 2, Seqnos{}, nil)}
	s.run(5 * time.Second)
	s.left()
	s.m.IfaceDown(s.now, 0, "down", &s.out)
	s.run(50 * time.Millisecond)
	found := false
	for _, o := range s.left() {
		found = found || o.Orig == hardMAC(1, 1) && o.TTL == 50 && o.tvlvs != "" && o.iface == 1
	}
	if !found || s.m.self() != hardMAC(1, 1) {
		t.Errorf("name %v; announced: %v", s.m.self(), found)
	}
	s.iface(0, hardMAC(1, 0), 1500, false)
	s.run(2 * time.Second)
	for _, o := range s.left() {
		if want := map[batman.MAC]uint8{hardMAC(1, 0): 2, hardMAC(1, 1): 50}[o.Orig]; o.TTL != want {
			t.Errorf("after the return: %+v", o)
		}
	}
	s.m.IfaceDown(s.now, 0, "down", &s.out)
	s.m.IfaceDown(s.now, 1, "down", &s.out)
	s.run(3 * time.Second)
	if n := len(s.left()); n != 0 || s.m.self() != (batman.MAC{}) {
		t.Errorf("without interfaces: name %v, %d OGMs", s.m.self(), n)
	}
}

// An interface that returns goes on with its numbers: removed, down, with
// another address in between. Others would refuse a jump for 30 s.
func TestSeqnoSurvives(t *testing.T) {
	for name, away := range map[string]func(s ogmStand){
		"down":    func(s ogmStand) { s.m.IfaceDown(s.now, 0, "down", &s.out) },
		"removed": func(s ogmStand) { s.m.RemoveIface(s.now, 0, &s.out) },
		"other address": func(s ogmStand) {
			s.iface(0, macE, 1500, false)
			if s.m.Seqnos().OGM[macE] == 77 {
				t.Error("another address has the same number")
			}
		},
		"restart": func(s ogmStand) {
			cfg := Default()
			s.m = New(Options{Config: cfg, Seqnos: s.m.Seqnos()}, s.now)
			*s.stand = stand{t: s.t, m: s.m, now: s.now}
			s.out.Pool = &s.pool
		},
	} {
		s := newOGMStand(t, 1, nil)
		s.m.ifaces[0].iv.seqno = 76
		s.m.sendOwn(s.now, s.m.ifaces[0], &s.out)
		s.left()
		away(s)
		if got := s.m.Seqnos().OGM[hardMAC(1, 0)]; name != "restart" && got != 77 {
			t.Errorf("%s: %d kept, want 77", name, got)
		}
		s.now = s.now.Add(time.Second)
		s.iface(0, hardMAC(1, 0), 1500, false)
		s.run(30 * time.Millisecond)
		list := s.left()
		if len(list) != 1 || list[0].Seqno != 77 || list[0].Orig != hardMAC(1, 0) {
			t.Errorf("%s: sent %+v, want number 77", name, list)
		}
	}
	s := newOGMStand(t, 1, nil)
	for i := range 1000 {
		s.iface(0, batman.MAC{2, 9, 9, 9, byte(i >> 8), byte(i)}, 1500, false)
	}
	if n := len(s.m.Seqnos().OGM); n > maxSeqnos+1 {
		t.Errorf("%d numbers kept after 1000 addresses", n)
	}
}

// What was learned on an interface is forgotten when it goes, and routes move.
func TestIfaceGone(t *testing.T) {
	s := newOGMStand(t, 2, nil)
	s.station(macB, 0, 64, 64)
	s.station(macD, 1, 64, 64)
	o := s.behind(macC, map[batman.MAC]uint8{macB: 100}, 0, macB)
	for k := range 3 {
		s.m.addWay(s.now, o, macD, s.m.ifaces[1])
		o.way(macD, s.m.ifaces[1]).iv.slot(k).ring.push(50)
	}
	s.m.IfaceDown(s.now, 0, "down", &s.out)
	if n := s.m.router(o, nil); n == nil || n.MAC != macD {
		t.Errorf("C is reached by %v, want by D", n)
	}
	if s.m.router(o, s.m.ifaces[0]) != nil || s.m.router(o, s.m.ifaces[1]).MAC != macD {
		t.Error("tables by interface")
	}
	b := s.m.originator(macB)
	if s.m.router(b, nil) != nil || *b.iv.echoOf(s.m.ifaces[0]) != 0 || len(b.neighbours) != 0 || len(s.m.ifaces[0].neighbours) != 0 {
		t.Error("something of the interface is left")
	}
	gone := 0
	for _, e := range s.out.Events {
		if e.Kind == EventRoute && e.Orig == macB && e.Next == (batman.MAC{}) {
			gone++
		}
	}
	if gone != 1 {
		t.Errorf("%d events of the lost route", gone)
	}
}

// A changed interval counts at once.
func TestIntervalChange(t *testing.T) {
	s := ogmStand{newStand(t, 1, Seqnos{}, func(c *Config) { c.OrigInterval = time.Hour })}
	s.run(time.Minute)
	s.left()
	c := s.m.cfg
	c.OrigInterval = 100 * time.Millisecond
	s.m.SetConfig(s.now, c, &s.out)
	s.run(time.Second)
	if n := len(s.left()); n < 8 || n > 12 {
		t.Errorf("%d OGMs in a second, want 10", n)
	}
}
