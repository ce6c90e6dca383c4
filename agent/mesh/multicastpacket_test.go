package mesh

import (
	"bytes"
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
)

// multicastPacket is a packet from B for dests, with other containers around
// the list.
func multicastPacket(ttl uint8, before, after []byte, frame []byte, dests ...batman.MAC) []byte {
	value := []byte{byte(len(dests) >> 8), byte(len(dests))}
	for _, d := range dests {
		value = append(value, d[:]...)
	}
	if len(dests)%2 == 0 {
		value = append(value, 0, 0)
	}
	tvlvs := append(bytes.Clone(before), batman.AppendTVLV(nil, batman.TVLVTracker, batman.VersionTracker, len(value))...)
	tvlvs = append(append(tvlvs, value...), after...)
	h := header(batman.MulticastLen, batman.Multicast{TTL: ttl, TVLVLen: uint16(len(tvlvs))}.Put)
	return frameTo(0, macB, h, tvlvs, frame)
}

func TestMulticastInTransit(t *testing.T) {
	me, other := hardMAC(1, 0), hardMAC(1, 1)
	// 20, 22, 24 are behind B; 21, 23, 25 behind C; nobody is behind 40
	far := func(i int) batman.MAC { return hardMAC(i, 0) }
	frame := multicastFrame(clientB, ipRoutable, "text")
	private := append(batman.AppendTVLV(nil, 99, 1, 4), 1, 2, 3, 4)
	for _, c := range []struct {
		name          string
		before, after []byte
		dests         []batman.MAC
		want          [2][]batman.MAC // behind B and C
		mine          bool
	}{
		{"one behind C", nil, nil, []batman.MAC{far(21)}, [2][]batman.MAC{nil, {far(21)}}, false},
		{"one each", nil, nil, []batman.MAC{far(21), far(20)}, [2][]batman.MAC{{far(20)}, {far(21)}}, false},
		{"mixed", nil, nil, []batman.MAC{far(21), far(20), far(25), far(23), far(24)}, [2][]batman.MAC{{far(20), far(24)}, {far(21), far(25), far(23)}}, false},
		{"for us only", nil, nil, []batman.MAC{me}, [2][]batman.MAC{}, true},
		{"for our other address", nil, nil, []batman.MAC{other}, [2][]batman.MAC{}, true},
		{"for us twice", nil, nil, []batman.MAC{me, other}, [2][]batman.MAC{}, true},
		{"for us and others", nil, nil, []batman.MAC{far(20), me, far(21)}, [2][]batman.MAC{{far(20)}, {far(21)}}, true},
		{"neighbours themselves", nil, nil, []batman.MAC{macB, macC}, [2][]batman.MAC{{macB}, {macC}}, false},
		{"unknown ones are left out", nil, nil, []batman.MAC{far(40), far(21), far(41)}, [2][]batman.MAC{nil, {far(21)}}, false},
		{"zero and multicast are left out", nil, nil, []batman.MAC{{}, far(20), batman.Broadcast, {1, 0, 0x5e, 0, 0, 1}}, [2][]batman.MAC{{far(20)}, nil}, false},
		{"other containers stay", private, private, []batman.MAC{far(20), far(21), far(23)}, [2][]batman.MAC{{far(20)}, {far(21), far(23)}}, false},
	} {
		s, _, _ := between(t, nil)
		s.many(6, 0)
		s.rx(0, multicastPacket(50, c.before, c.after, frame, c.dests...))
		air, clients := s.take()
		if got := len(clients) == 1 && clients[0] == string(frame); got != c.mine || len(clients) > 1 {
			t.Errorf("%s: delivered %x", c.name, clients)
		}
		var got [2][]batman.MAC
		for _, f := range air {
			p := []byte(f.frame[14:])
			if got[f.iface] != nil {
				t.Errorf("%s: two packets on interface %d", c.name, f.iface)
			}
			got[f.iface] = destinations(t, p)
			// it is what the other would have sent for these alone
			want := multicastPacket(49, c.before, c.after, frame, got[f.iface]...)
			copy(want[6:12], f.frame[6:12])
			copy(want[:6], map[int]string{0: string(macB[:]), 1: string(macC[:])}[f.iface])
			if string(want) != f.frame {
				t.Errorf("%s: sent\n%x, want\n%x", c.name, f.frame, want)
			}
		}
		for i := range got {
			if !sameMACs(got[i], c.want[i]) {
				t.Errorf("%s: interface %d: for %v, want %v", c.name, i, got[i], c.want[i])
			}
		}
	}
}

// sameMACs compares without regard to order.
func sameMACs(a, b []batman.MAC) bool {
	n := map[batman.MAC]int{}
	for _, x := range a {
		n[x]++
	}
	for _, x := range b {
		n[x]--
	}
	for _, k := range n {
		if k != 0 {
			return false
		}
	}
	return true
}

func TestBadMulticast(t *testing.T) {
	s, _, _ := between(t, nil)
	frame := multicastFrame(clientB, ipRoutable, "text")
	good := multicastPacket(50, nil, nil, frame, macC, hardMAC(1, 0))
	edit := func(at int, v ...byte) []byte {
		f := bytes.Clone(good)
		copy(f[14+at:], v)
		return f
	}
	for _, c := range []struct {
		name  string
		frame []byte
		why   dropReason
	}{
		{"TTL 1", edit(2, 1), dropTTL},
		{"TTL 0", edit(2, 0), dropTTL},
		{"odd length of containers", edit(4, 0, 21), dropMalformed},
		{"containers longer than the packet", edit(4, 8, 0), dropMalformed},
		{"no containers", edit(4, 0, 0), dropTVLV},
		{"no list", edit(6, 99), dropTVLV},
		{"list of another version", edit(7, 2), dropTVLV},
		{"odd container", edit(8, 0, 15), dropTVLV},
		{"container longer than all", edit(8, 1, 0), dropTVLV},
		{"more originators than there are", edit(10, 0, 3), dropTVLV},
		{"65535 originators", edit(10, 255, 255), dropTVLV},
		{"no originators", multicastPacket(50, nil, nil, frame), dropNoRoute},
		{"nobody that can be reached", multicastPacket(50, nil, nil, frame, hardMAC(77, 0)), dropNoRoute},
		{"short frame", multicastPacket(50, nil, nil, frame[:13], macC, hardMAC(1, 0)), dropInner},
		{"batman in batman", multicastPacket(50, nil, nil, clientFrame(batman.Broadcast, clientB, 0, ""), hardMAC(1, 0)), dropInner},
	} {
		if c.name == "batman in batman" {
			c.frame[len(c.frame)-2], c.frame[len(c.frame)-1] = 0x43, 5
		}
		s.dropped(c.name, c.why, func() { s.rx(0, c.frame) })
	}
	s.rx(0, good)
	if air, clients := s.take(); len(air) != 1 || len(clients) != 1 {
		t.Errorf("good: %d sent, %d delivered", len(air), len(clients))
	}
	// every shorter packet is refused
	for n := range len(good) - len(frame) + batman.EthLen {
		before := s.m.drops
		s.rx(0, good[:n])
		if air, clients := s.take(); len(air)+len(clients) > 0 || s.m.drops == before {
			t.Errorf("%d of %d bytes: %d sent, %d delivered", n, len(good), len(air), len(clients))
		}
	}
	// a link that is too short for the packet
	s.iface(1, hardMAC(1, 1), 110, false)
	s.take()
	long := multicastPacket(50, nil, nil, multicastFrame(clientB, ipRoutable, string(make([]byte, 100))), macC)
	s.dropped("too long for the next link", dropTooBig, func() { s.rx(0, long) })
}

// FuzzMulticast gives a node packets of type 5 and frames of clients for
// groups, and looks at what leaves: at most one copy for each way, each for
// some of the originators of the packet and never for one twice, shorter lived,
// with the same frame.
func FuzzMulticast(f *testing.F) {
	for _, name := range []string{"v-mcast-la-6.12.pcap"} {
		for _, c := range readPcap(f, name) {
			if c.frame[12] == 0x43 && batman.PacketType(c.frame[14]) == batman.TypeMulticast {
				f.Add(c.frame[14:], uint8(0x38), false)
			}
		}
	}
	frame := multicastFrame(clientB, ip6All, "text")
	far := []batman.MAC{hardMAC(20, 0), hardMAC(21, 0), hardMAC(1, 0), hardMAC(22, 0), {}, macC, macC}
	f.Add(multicastPacket(50, []byte{9, 9, 0, 2, 1, 2}, []byte{9, 9, 0, 0}, frame, far...)[14:], uint8(0x27), false)
	f.Add(frame, uint8(0x26), true)
	f.Add(multicastFrame(clientB, ipLocal, "text"), uint8(7), true)
	f.Fuzz(func(t *testing.T, b []byte, flags uint8, fromClient bool) {
		if len(b) < 2 || len(b) > 1500 {
			return
		}
		s, _, _ := between(t, nil)
		s.many(7, flags)
		s.m.mcastOGM(s.m.originator(macB), false, flags)
		var tr tracked
		_, tvlvs, _, err := batman.ParseMulticast(b)
		in, _ := tr.find(tvlvs)
		if fromClient {
			s.tx(b)
		} else {
			b[0], b[1] = byte(batman.TypeMulticast), batman.Version
			s.rx(0, frameTo(0, macB, b))
		}
		air, clients := s.take()
		ways, got := map[string]bool{}, map[batman.MAC]int{}
		for _, f := range air {
			p := []byte(f.frame[14:])
			if batman.PacketType(p[0]) != batman.TypeMulticast {
				if !fromClient {
					t.Fatalf("%x became %x", b, p)
				}
				continue
			}
			if ways[f.frame[:12]] {
				t.Errorf("two copies to %x", f.frame[:6])
			}
			ways[f.frame[:12]] = true
			for _, d := range destinations(t, p) {
				got[d]++
			}
			h, _, payload, _ := batman.ParseMulticast(p)
			if fromClient {
				if !bytes.Equal(payload, b) {
					t.Errorf("frame %x became %x", b, payload)
				}
				continue
			}
			if was, _, frame, _ := batman.ParseMulticast(b); h.TTL+1 != min(was.TTL, batman.TTL) || !bytes.Equal(frame, payload) || len(p) > len(b)+2 {
				t.Errorf("%x became %x", b, p)
			}
		}
		listed := map[batman.MAC]int{}
		for ; len(in) >= 6; in = in[6:] {
			listed[batman.MAC(in[:6])]++
		}
		for d, n := range got {
			if !fromClient && (err != nil || n > listed[d]) || fromClient && n > 1 {
				t.Errorf("%x went to %v %d times", b, d, n)
			}
		}
		if !fromClient && len(clients) > 1 || fromClient && len(clients) > 0 {
			t.Errorf("delivered %x", clients)
		}
	})
}
