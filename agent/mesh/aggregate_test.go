package mesh

import (
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Which OGMs leave in one frame. B is a neighbour on interface 0, and the way
// to many originators.
func TestAggregate(t *testing.T) {
	far := func(i byte, size int) batman.OGM {
		o := relayed(batman.MAC{2, 0xcc, 0, 0, 0, i}, macC, ogmSeq+1, 200)
		o.TVLVLen = uint16(size)
		return o
	}
	many := func(n, size int) (list []batman.OGM) {
		for i := range n {
			list = append(list, far(byte(i), size))
		}
		return list
	}
	secondary := func(seqno uint32) batman.OGM { o := single(macB, seqno); o.TTL = 2; return o }
	for _, c := range []struct {
		name   string
		set    func(s ogmStand)
		ogms   []batman.OGM
		gap    time.Duration // between them
		frames []int         // OGMs in each frame on interface 0, in the order in which they leave
	}{
		{name: "two at once", ogms: many(2, 20), frames: []int{2}},
		{name: "two within 100 ms", ogms: many(2, 20), gap: 80 * time.Millisecond, frames: []int{2}},
		{name: "two later", ogms: many(2, 20), gap: 115 * time.Millisecond, frames: []int{1, 1}},
		{name: "512 bytes", ogms: many(4, 104), frames: []int{4}},
		{name: "two more bytes", ogms: append(many(3, 104), far(9, 106)), frames: []int{3, 1}},
		{name: "short ones find a place in the first frame", ogms: append(many(3, 104), far(9, 106), far(10, 0)), frames: []int{4, 1}},
		{name: "long ones travel alone", ogms: []batman.OGM{far(1, 0), far(2, 600), far(3, 600), far(4, 0)}, frames: []int{2, 1, 1}},
		{name: "32 OGMs would be 768 bytes", ogms: many(33, 0), frames: []int{21, 12}},
		{name: "the MTU bounds too", set: func(s ogmStand) { s.m.ifaces[0].MTU = 200 }, ogms: many(3, 60), frames: []int{2, 1}},
		{name: "what is beyond the MTU is lost", set: func(s ogmStand) { s.m.ifaces[0].MTU = 200 }, ogms: []batman.OGM{far(1, 180), far(2, 0)}, frames: []int{1}},
		{name: "off", set: func(s ogmStand) { s.m.cfg.Aggregation = false }, ogms: many(3, 0), frames: []int{1, 1, 1}},
		{name: "a neighbour's own with others", ogms: append(many(2, 0), single(macB, ogmSeq+1)), frames: []int{3}},
		{name: "of a secondary interface apart", ogms: append(many(2, 0), secondary(ogmSeq+1)), frames: []int{2, 1}},
		{name: "two of these together", ogms: []batman.OGM{secondary(ogmSeq + 1), far(1, 0), secondary(ogmSeq + 2)}, frames: []int{2, 1}},
	} {
		s := newOGMStand(t, 1, nil)
		s.station(macB, 0, 64, 64)
		for _, o := range c.ogms {
			if o.Orig != macB {
				s.behind(o.Orig, map[batman.MAC]uint8{macB: 100}, 0, macB)
			}
		}
		if c.set != nil {
			c.set(s)
		}
		var frames []int
		run := func(d time.Duration) {
			for end := s.now.Add(d); s.m.routingDeadline() <= end; {
				s.now = s.m.routingDeadline()
				s.m.routingExpire(s.now, &s.out)
			}
			s.now = s.now.Add(d)
		}
		for _, o := range c.ogms {
			s.hear(0, macB, o)
			if c.gap > 0 {
				run(c.gap)
			}
		}
		run(time.Second)
		n := s.out.Frames.Len()
		frames = make([]int, n)
		for _, o := range s.left() {
			frames[o.frame]++
		}
		slices.Sort(frames)
		slices.Sort(c.frames)
		if !slices.Equal(frames, c.frames) {
			t.Errorf("%s: frames of %d OGMs, want %d", c.name, frames, c.frames)
		}
	}
}

// What waits leaves with our own OGM: of the primary interface that which goes
// far, of another that which goes no further than the link.
func TestAggregateOwn(t *testing.T) {
	s := newOGMStand(t, 2, nil)
	s.station(macB, 0, 64, 64)
	s.station(macD, 1, 64, 64)
	s.behind(macC, map[batman.MAC]uint8{macB: 100}, 0, macB)
	hear := func() {
		s.hear(0, macB, relayed(macC, macE, ogmSeq+1, 200))
		o := single(macD, ogmSeq+1)
		o.TTL = 2
		s.hear(1, macD, o)
	}
	hear()
	s.m.sendOwn(s.now, s.m.ifaces[0], &s.out)
	var got []batman.MAC
	for _, o := range s.left() {
		if o.iface == 1 && o.frame == 1 || o.iface == 0 && o.frame == 0 {
			got = append(got, o.Orig)
		}
	}
	if want := []batman.MAC{hardMAC(1, 0), macC, hardMAC(1, 0), macC}; !slices.Equal(got, want) {
		t.Errorf("with the primary's OGM left %v, want %v", got, want)
	}
	s.m.sendOwn(s.now, s.m.ifaces[1], &s.out)
	got = nil
	for _, o := range s.left() {
		got = append(got, o.Orig)
	}
	if want := []batman.MAC{hardMAC(1, 1), macD}; !slices.Equal(got, want) {
		t.Errorf("with the other's OGM left %v, want %v", got, want)
	}
	if len(s.m.routing.queue.list) > 0 || s.m.routing.queue.deadline() < 1<<60 {
		t.Error("something still waits")
	}
}

// The queue is bounded, and forgets what waits for an interface that goes.
func TestOGMQueueBound(t *testing.T) {
	s := newOGMStand(t, 2, func(c *Config) { c.Aggregation = false })
	s.station(macB, 0, 64, 64)
	s.behind(macC, map[batman.MAC]uint8{macB: 100}, 0, macB)
	for i := range uint32(300) {
		s.hear(0, macB, relayed(macC, macE, ogmSeq+1+i, 200))
	}
	if n := len(s.m.routing.queue.list); n != maxOGMQueue {
		t.Errorf("%d frames wait, want %d", n, maxOGMQueue)
	}
	if n := s.m.drops[dropQueueFull]; n != 600-maxOGMQueue {
		t.Errorf("%d dropped, want %d", n, 600-maxOGMQueue)
	}
	s.m.IfaceDown(s.now, 1, "gone", &s.out)
	for _, f := range s.m.routing.queue.list {
		if f.to.index != 0 {
			t.Fatal("a frame waits for an interface that is gone")
		}
	}
	if n := len(s.m.routing.queue.list); n != maxOGMQueue/2 {
		t.Errorf("%d frames wait for the other, want %d", n, maxOGMQueue/2)
	}
	seen := map[*pkt.Buf]bool{}
	for range maxOGMQueue / 2 {
		b := s.pool.Get()
		if seen[b] {
			t.Fatal("a buffer was put back twice")
		}
		seen[b] = true
	}
	s.m.ifaces[0].MTU = 20 // smaller than what waits
	if n := len(s.forwarded()); n != 0 {
		t.Errorf("%d OGMs left that are longer than the MTU", n)
	}
}
