package mesh

import (
	"slices"
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
)

// The captures were taken in a row of kernels v1 -la- v2 -lb- v3.
var (
	v1   = batman.MAC{2, 0xba, 0, 0, 1, 0}
	v2la = batman.MAC{2, 0xba, 0, 0, 2, 0}
	v2lb = batman.MAC{2, 0xba, 0, 0, 2, 1}
	v3   = batman.MAC{2, 0xba, 0, 0, 3, 0}
)

// payload returns the frames of a capture from station src that carry
// anything but OGMs.
func payload(t *testing.T, name string, src batman.MAC) (list [][]byte) {
	for _, f := range readPcap(t, name) {
		p := f.frame
		if batman.MAC(p[6:12]) == src && p[12] == 0x43 && p[14] != byte(batman.TypeIVOGM) {
			list = append(list, p)
		}
	}
	return list
}

// TestGoldenTransit is v2: what v1 and v3 sent to each other must leave as it
// left the kernel.
func TestGoldenTransit(t *testing.T) {
	for _, c := range []struct {
		la, lb                         string
		unicast, unicast4, frag, flood int
	}{
		{"frag-la-6.1.pcap", "frag-lb-6.1.pcap", 3, 3, 16, 0},
		{"frag-la-6.12.pcap", "frag-lb-6.12.pcap", 4, 0, 24, 0},
		{"ping-la-6.1.pcap", "ping-lb-6.1.pcap", 0, 1, 0, 1},
	} {
		t.Run(c.la, func(t *testing.T) {
			s := newStand(t, 2, Seqnos{}, nil)
			s.iface(0, v2la, 1500, false)
			s.iface(1, v2lb, 1500, false)
			s.route(v1, v1, 0)
			s.route(v3, v3, 1)
			s.take()
			n := map[batman.PacketType]int{} // that the other capture has too: not all, it ended earlier or later
			pass := func(in int, from batman.MAC, name string, sent [][]byte) {
				for _, f := range payload(t, name, from) {
					kind := batman.PacketType(f[14])
					if dest := batman.MAC(f[18:24]); kind != batman.TypeBroadcast && dest != v1 && dest != v3 {
						continue // for v2 itself
					}
					s.rx(in, f)
					air, _ := s.take()
					if len(air) != 1 || air[0].iface != 1-in {
						t.Fatalf("%x: sent %x", f[:40], air)
					}
					if slices.ContainsFunc(sent, func(g []byte) bool { return string(g) == air[0].frame }) {
						n[kind]++
					}
				}
			}
			pass(0, v1, c.la, payload(t, c.lb, v2lb))
			pass(1, v3, c.lb, payload(t, c.la, v2la))
			want := map[batman.PacketType]int{
				batman.TypeUnicast: c.unicast, batman.TypeUnicast4: c.unicast4, batman.TypeFragment: c.frag, batman.TypeBroadcast: c.flood,
			}
			for kind, k := range want {
				if n[kind] != k {
					t.Errorf("%d packets of type %#x left as they left the kernel, want %d", n[kind], kind, k)
				}
			}
		})
	}
}

// TestGoldenFragments is v1 and v3: the packets that the kernel cut are cut in
// the same way, and put together they are client frames.
func TestGoldenFragments(t *testing.T) {
	for _, c := range []struct {
		name      string
		src, next batman.MAC
		dest      batman.MAC
	}{
		{"frag-la-6.1.pcap", v1, v2la, v3}, {"frag-lb-6.1.pcap", v3, v2lb, v1},
		{"frag-la-6.12.pcap", v1, v2la, v3}, {"frag-lb-6.12.pcap", v3, v2lb, v1},
	} {
		var whole []byte
		var cut []string
		packets := 0
		for _, f := range payload(t, c.name, c.src) {
			if f[14] != byte(batman.TypeFragment) {
				continue
			}
			h, err := batman.ParseFragment(f[14:])
			if err != nil {
				t.Fatal(err)
			}
			if h.No == 0 {
				whole, cut = nil, nil
			}
			whole = append(slices.Clone(f[14+batman.FragmentLen:]), whole...)
			cut = append(cut, string(f))
			if len(whole) < int(h.Total) {
				continue
			}
			packets++

			s := newStand(t, 1, Seqnos{Fragment: h.Seqno - 1}, nil)
			s.iface(0, c.src, 1500, false)
			o := s.route(c.dest, c.next, 0)
			s.take()
			b := s.pool.Get()
			b.Set(whole)
			s.m.sendTo(s.now, o, nil, b, &s.out)
			air, _ := s.take()
			if len(air) != len(cut) {
				t.Fatalf("%s: %d fragments, want %d", c.name, len(air), len(cut))
			}
			for i := range air {
				if air[i].frame != cut[i] {
					t.Errorf("%s: fragment %d is\n%x, want\n%x", c.name, i, air[i].frame[:60], cut[i][:60])
				}
			}

			// and the other end
			s = newStand(t, 1, Seqnos{}, nil)
			s.iface(0, c.dest, 1500, false)
			s.route(c.src, v2la, 0)
			s.take()
			for _, f := range cut {
				g := []byte(f)
				copy(g, c.dest[:])
				copy(g[6:], v2la[:])
				s.rx(0, g)
			}
			if _, got := s.take(); len(got) != 1 || got[0] != string(whole[batman.UnicastLen:]) {
				t.Errorf("%s: delivered %d frames: drops %v", c.name, len(got), dropMap(&s.m.drops))
			}
		}
		if packets < 4 {
			t.Errorf("%s: only %d packets in fragments", c.name, packets)
		}
	}
}

// TestGoldenClient is v1 and v3: what their clients sent becomes the packets
// that the kernel made of it.
func TestGoldenClient(t *testing.T) {
	unicast, floods := 0, 0
	for _, c := range []struct {
		name      string
		src, next batman.MAC
	}{
		{"ping-la-6.1.pcap", v1, v2la}, {"ping-lb-6.1.pcap", v3, v2lb},
		{"frag-la-6.12.pcap", v1, v2la}, {"frag-lb-6.12.pcap", v3, v2lb},
	} {
		for _, f := range payload(t, c.name, c.src) {
			var seqnos Seqnos
			flood, isFlood := batman.ParseBroadcast(f[14:])
			if isFlood == nil && f[14] == byte(batman.TypeBroadcast) && flood.Orig == c.src {
				seqnos.Broadcast = flood.Seqno - 1
			} else if f[14] != byte(batman.TypeUnicast) || f[16] != batman.TTL {
				continue
			}
			s := newStand(t, 1, seqnos, func(c *Config) { c.DAT = false })
			s.iface(0, c.src, 1500, false)
			s.route(v2la, c.next, 0) // there is somebody
			if seqnos.Broadcast != 0 {
				floods++
				s.tx(f[14+batman.BroadcastLen:])
			} else {
				unicast++
				u, err := batman.ParseUnicast(f[14:])
				in, ok := parseInner(f[14+batman.UnicastLen:])
				if err != nil || !ok {
					t.Fatalf("%x", f)
				}
				o := s.route(u.Dest, c.next, 0)
				o.tt.ttvn = u.TTVN
				s.has(o, in.eth.Dst, in.vid)
				s.take()
				s.tx(in.b)
			}
			air, _ := s.take()
			if len(air) != 1 || air[0].frame != string(f) {
				t.Errorf("%s: sent\n%x, want\n%x", c.name, air, f)
			}
		}
	}
	if unicast < 6 || floods < 1 {
		t.Errorf("%d unicast frames and %d floods in the captures", unicast, floods)
	}
}
