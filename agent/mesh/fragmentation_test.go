package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/pkt"
)

// part is a fragment for the stand, from o by B.
func part(orig batman.MAC, no uint8, seqno, total uint16, data []byte) []byte {
	h := batman.Fragment{TTL: 50, No: no, Dest: hardMAC(1, 0), Orig: orig, Seqno: seqno, Total: total}
	return frameTo(0, macB, header(batman.FragmentLen, h.Put), data)
}

// parts cuts a packet into n fragments, last first, as the kernel does.
func parts(orig batman.MAC, seqno uint16, n int, p []byte) (list [][]byte) {
	total, size := uint16(len(p)), (len(p)+n-1)/n
	for no := range n {
		cut := max(0, len(p)-size)
		list = append(list, part(orig, uint8(no), seqno, total, p[cut:]))
		p = p[:cut]
	}
	return list
}

// packetForUs is a unicast packet with a client frame of n bytes in it.
func packetForUs(n int) (packet, frame []byte) {
	text := make([]byte, n-batman.EthLen)
	for i := range text {
		text[i] = byte(i ^ i>>8)
	}
	frame = clientFrame(standMAC, clientB, 0, string(text))
	return append(header(batman.UnicastLen, batman.Unicast{TTL: 50, Dest: hardMAC(1, 0)}.Put), frame...), frame
}

func TestFragmentsInAnyOrder(t *testing.T) {
	s, _, _ := between(t, nil)
	seqno := uint16(65533) // and over the wrap
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {0, 2, 1}, {0, 1, 2}, {2, 0, 1}} {
		packet, frame := packetForUs(1500 + int(seqno%7))
		list := parts(macB, seqno, 3, packet)
		seqno++
		for i, k := range order {
			s.rx(0, list[k])
			_, clients := s.take()
			switch {
			case i < 2 && len(clients) != 0:
				t.Fatal("delivered too early")
			case i == 2 && (len(clients) != 1 || clients[0] != string(frame)):
				t.Fatalf("order %v: delivered %d", order, len(clients))
			}
		}
		if f := &s.m.frag; f.held != 0 || len(f.chains) != 0 {
			t.Fatalf("%d fragments left", f.held)
		}
	}
	if s.m.stats.fragRx != 18 {
		t.Errorf("counted %d", s.m.stats.fragRx)
	}
}

// TestFragmentsOfManySizes includes packets that only just fit into a buffer,
// whichever part comes first.
func TestFragmentsOfManySizes(t *testing.T) {
	s, _, _ := between(t, nil)
	seqno := uint16(0)
	for size := 30; size <= fragWhole-batman.UnicastLen; size += 1 + size/64 {
		for _, n := range []int{1, 2, 3, 16} {
			if n == 1 && size > 1500 {
				continue // no frame is that long
			}
			packet, frame := packetForUs(size)
			seqno++
			for _, f := range parts(macB, seqno, n, packet) {
				if len(f) > batman.EthLen+batman.FragmentLen {
					s.rx(0, f)
				}
			}
			if _, clients := s.take(); len(clients) != 1 || clients[0] != string(frame) {
				t.Fatalf("%d bytes in %d: delivered %d; drops %v", size, n, len(clients), dropMap(&s.m.drops))
			}
		}
	}
}

func TestFragmentsThatLie(t *testing.T) {
	packet, _ := packetForUs(1500)
	all := parts(macB, 7, 2, packet)
	for _, c := range []struct {
		name   string
		frames [][]byte
		why    dropReason
		n      uint64
	}{
		{"twice", [][]byte{all[0], all[0]}, dropDuplicate, 1},
		{"another total", [][]byte{all[0], part(macB, 1, 7, 1511, packet[:755])}, dropFragment, 2},
		{"too much", [][]byte{all[0], part(macB, 1, 7, 1510, packet[:756])}, dropFragment, 2},
		{"more than all", [][]byte{part(macB, 0, 7, 10, packet[:11])}, dropFragment, 1},
		{"total 0", [][]byte{part(macB, 0, 7, 0, packet[:11])}, dropFragment, 1},
		{"nothing in it", [][]byte{part(macB, 0, 7, 10, nil)}, dropRunt, 1},
		{"too big", [][]byte{part(macB, 0, 7, MaxPacket+1, packet)}, dropTooBig, 1},
		{"unknown originator", [][]byte{part(hardMAC(9, 0), 0, 7, 1510, packet)}, dropUnknownOrig, 1},
		{"new number in the slot", [][]byte{all[0], part(macB, 0, 15, 1510, packet[:755])}, dropFragment, 1},
		{"whole of another version", [][]byte{part(macB, 0, 7, 20, append([]byte{0x40, 14}, packet[2:20]...))}, dropVersion, 1},
		{"whole is a runt", [][]byte{part(macB, 0, 7, 2, packet[:2])}, dropRunt, 1},
		{"whole is a fragment", parts(macB, 7, 2, part(macB, 0, 8, 40, packet[:40])[14:]), dropNested, 1},
		{"whole is an OGM", [][]byte{part(macB, 0, 7, 60, append([]byte{0, 15}, packet[2:60]...))}, dropDestination, 1},
		{"whole is flooded", [][]byte{part(macB, 0, 7, 60, append([]byte{1, 15}, packet[2:60]...))}, dropDestination, 1},
	} {
		s, _, _ := between(t, nil)
		for _, f := range c.frames {
			s.rx(0, f)
		}
		if air, clients := s.take(); len(air)+len(clients) != 0 || s.m.drops[c.why] != c.n {
			t.Errorf("%s: sent %d, delivered %d, drops %v, want %d times %q", c.name, len(air), len(clients), dropMap(&s.m.drops), c.n, dropNames[c.why])
		}
	}
}

func TestFragmentsInTransit(t *testing.T) {
	s, _, _ := between(t, nil)
	whole, _ := packetForUs(1400) // 1410 bytes fit the next link
	whole[3] = 7
	copy(whole[4:], macC[:])
	toC := func(f []byte) []byte {
		copy(f[18:], macC[:])
		return f
	}
	for _, f := range parts(macB, 1, 2, whole) {
		s.rx(0, toC(f))
	}
	air, _ := s.take()
	if len(air) != 1 || air[0].iface != 1 || air[0].frame[14+3:] != string(whole[3:]) || air[0].frame[16] != 49 {
		t.Fatalf("sent %d; drops %v", len(air), dropMap(&s.m.drops))
	}
	long, _ := packetForUs(1500)
	for _, f := range parts(macB, 2, 2, long) {
		s.rx(0, toC(f))
		air, _ := s.take()
		if len(air) != 1 || air[0].frame[17:] != string(f[17:]) || air[0].frame[16] != 49 {
			t.Errorf("sent %x", air)
		}
		f[16] = 1
		s.dropped("TTL 1", dropTTL, func() { s.rx(0, f) })
	}
	s.iface(1, hardMAC(1, 1), 700, false)
	s.dropped("longer than the link", dropTooBig, func() { s.rx(0, toC(parts(macB, 3, 2, long)[0])) })
}

func TestFragmentsTimeOut(t *testing.T) {
	s, b, _ := between(t, nil)
	packet, _ := packetForUs(1500)
	list := parts(macB, 1, 2, packet)
	s.rx(0, list[0])
	s.run(9 * time.Second)
	s.rx(0, list[1])
	if _, clients := s.take(); len(clients) != 1 {
		t.Error("not delivered after 9 s")
	}
	s.rx(0, list[0])
	s.run(12 * time.Second)
	s.rx(0, list[1])
	if _, clients := s.take(); len(clients) != 0 || s.m.drops[dropFragment] != 1 {
		t.Errorf("delivered %d after 12 s", len(clients))
	}
	s.m.forget(s.now, b, &s.out)
	if f := &s.m.frag; f.held != 0 || len(f.chains) != 0 {
		t.Errorf("%d fragments of a forgotten originator", f.held)
	}
}

// TestFragmentFloods: whoever begins packets and never ends them fills a
// bounded table, and the packets of others still come through.
func TestFragmentFloods(t *testing.T) {
	s, _, _ := between(t, nil)
	var bad []batman.MAC
	for i := range 100 {
		bad = append(bad, hardMAC(1000+i, 0))
		s.route(bad[i], macB, 0)
	}
	s.take()
	packet, _ := packetForUs(1500)
	junk := make([]byte, 90)
	for i := range 20_000 {
		s.now = s.now.Add(10 * time.Microsecond)
		s.rx(0, part(bad[i%len(bad)], uint8(i/800%16), uint16(i/len(bad)), 1510, junk))
		if i%500 == 499 {
			list := parts(macC, uint16(i), 2, packet)
			s.rx(0, list[0])
			s.rx(0, part(bad[i%len(bad)], 3, uint16(i), 1510, junk))
			s.rx(0, list[1])
			if _, clients := s.take(); len(clients) != 1 {
				t.Errorf("after %d fragments: delivered %d", i, len(clients))
			}
		}
		f := &s.m.frag
		if f.held > maxFragBufs || len(f.chains) > maxFragChains || len(f.chains)+len(f.free) > maxFragChains {
			t.Fatalf("%d fragments of %d packets, %d free", f.held, len(f.chains), len(f.free))
		}
	}
	held := 0
	for _, o := range s.m.origList {
		n := 0
		for i, c := range o.frag.slots {
			if c != nil {
				n += c.n
				if c.orig != o || int(c.seqno)%fragSlots != i {
					t.Fatal("wrong slot")
				}
			}
		}
		if n != o.frag.held {
			t.Errorf("%v holds %d fragments, counted %d", o.MAC, n, o.frag.held)
		}
		held += n
	}
	if held != s.m.frag.held || held < 200 {
		t.Errorf("%d fragments, counted %d", held, s.m.frag.held)
	}
	s.run(12 * time.Second)
	if s.m.frag.held != 0 {
		t.Errorf("%d fragments after the timeout", s.m.frag.held)
	}
}

// TestLargestPackets: 16 full fragments, and one byte more.
func TestLargestPackets(t *testing.T) {
	s, b, _ := between(t, nil)
	p := make([]byte, MaxPacket)
	s.m.sendBig(s.now, b, p, &s.out)
	air, _ := s.take()
	if len(air) != fragParts || len(air[0].frame) != batman.EthLen+fragLink || len(air[15].frame) != batman.EthLen+fragLink {
		t.Errorf("%d fragments", len(air))
	}
	s.dropped("one more", dropTooBig, func() { s.m.sendBig(s.now, b, append(p, 0), &s.out) })
	s.m.cfg.Fragmentation = false
	s.dropped("fragmentation off", dropTooBig, func() { s.m.sendBig(s.now, b, p, &s.out) })
	s.m.cfg.Fragmentation = true
	s.m.forget(s.now, b, &s.out)
	s.dropped("no route", dropNoRoute, func() { s.m.sendBig(s.now, b, p, &s.out) })

	// Only tables may be longer than a buffer.
	s, _, _ = between(t, nil)
	packet, _ := packetForUs(1500)
	big := append(packet, make([]byte, pkt.MaxMTU)...)
	for _, f := range parts(macB, 1, 5, big) {
		s.rx(0, f)
	}
	if s.m.drops[dropTooBig] != 1 {
		t.Errorf("drops %v", dropMap(&s.m.drops))
	}
}

func TestFragmentNumbers(t *testing.T) {
	s := newStand(t, 1, Seqnos{Fragment: 65535}, nil)
	o := s.route(macB, macB, 0)
	s.take()
	s.m.sendBig(s.now, o, make([]byte, 1501), &s.out)
	air, _ := s.take()
	if h, _ := batman.ParseFragment([]byte(air[0].frame)[14:]); h.Seqno != 0 || s.m.Seqnos().Fragment != 0 {
		t.Errorf("number %d after 65535", h.Seqno)
	}
}

// TestFragmentsOfTheModestStay: who holds most makes room, not who waits
// longest; and a packet never makes room for its own parts.
func TestFragmentsOfTheModestStay(t *testing.T) {
	s, _, _ := between(t, nil)
	packet, _ := packetForUs(1500)
	list := parts(macC, 1, 3, packet)
	s.rx(0, list[0])
	var bad []batman.MAC
	for i := range 8 {
		bad = append(bad, hardMAC(1000+i, 0))
		s.route(bad[i], macB, 0)
	}
	for i := range 8 * fragSlots * fragParts {
		s.now++
		s.rx(0, part(bad[i%8], uint8(i/64), uint16(i/8%8), 1510, []byte("junk")))
	}
	s.rx(0, list[1])
	s.rx(0, list[2])
	if _, clients := s.take(); len(clients) != 1 {
		t.Errorf("delivered %d; drops %v", len(clients), dropMap(&s.m.drops))
	}

	s, _, _ = between(t, nil)
	for i := range 8 {
		s.route(bad[i], macB, 0)
	}
	for slot := range fragSlots {
		for i := range 8 {
			for no := range 8 {
				s.now++
				s.rx(0, part(bad[i], uint8(no), uint16(slot), 1510, []byte("junk")))
			}
		}
	}
	c := s.m.originator(bad[0]).frag.slots[0] // the oldest, and all hold as much
	s.rx(0, part(bad[0], 9, 0, 1510, []byte("junk")))
	if c != s.m.originator(bad[0]).frag.slots[0] || c.n != 9 || s.m.frag.held != maxFragBufs-8+1 {
		t.Errorf("%d parts of the packet, %d fragments in all", c.n, s.m.frag.held)
	}
}
