package mesh

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// Groups, as addresses in IP headers.
var (
	ipRoutable = []byte{239, 1, 2, 3}
	ipLocal    = []byte{224, 0, 0, 251}
	ip6All     = []byte{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
	ip6Node    = []byte{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 3, 0xff}
	ip6Site    = []byte{0xff, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34}
	ip6Own     = []byte{0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
)

// groupMAC is the Ethernet address of an IP group.
func groupMAC(ip []byte) batman.MAC {
	if len(ip) == 4 {
		return batman.MAC{1, 0, 0x5e, ip[1] & 0x7f, ip[2], ip[3]}
	}
	return batman.MAC{0x33, 0x33, ip[12], ip[13], ip[14], ip[15]}
}

// multicastFrame is an IP packet for a group.
func multicastFrame(src batman.MAC, ip []byte, text string) []byte {
	b := make([]byte, batman.EthLen, 128)
	if len(ip) == 4 {
		batman.Eth{Dst: groupMAC(ip), Src: src, Type: batman.EthIPv4}.Put(b)
		b = append(b, make([]byte, 16)...)
		b[batman.EthLen], b[batman.EthLen+9] = 0x45, protoUDP
	} else {
		batman.Eth{Dst: groupMAC(ip), Src: src, Type: batman.EthIPv6}.Put(b)
		b = append(b, make([]byte, 24)...)
		b[batman.EthLen], b[batman.EthLen+6] = 0x60, protoUDP
	}
	return append(append(b, ip...), text...)
}

func TestGroups(t *testing.T) {
	edit := func(f []byte, at int, v ...byte) []byte {
		f = bytes.Clone(f)
		copy(f[batman.EthLen+at:], v)
		return f
	}
	body := "\x22\x00\x00\x00\x00\x00\x00\x00\x8f\x00\x00\x00"
	v4 := multicastFrame(clientA, ipLocal, body)
	v6 := multicastFrame(clientA, ip6Node, body)
	mld := edit(v6, 6, 0)
	mld = edit(mld, 40, 58, 0, 5, 2, 0, 0, 1, 0, 143)
	for _, c := range []struct {
		name  string
		frame []byte
		want  mcastGroup
	}{
		{"other type", clientFrame(groupMAC(ipLocal), clientA, 0, "x"), groupFlood},
		{"224.0.0.251", v4, groupUnsnoopable},
		{"224.0.1.251", edit(v4, 18, 1), groupRoutable},
		{"239.1.2.3", multicastFrame(clientA, ipRoutable, ""), groupRoutable},
		{"IGMPv3 report", edit(v4, 9, protoIGMP), groupFlood},
		{"IGMPv2 report", edit(edit(v4, 9, protoIGMP), 20, 0x16), groupFlood},
		{"IGMPv1 report", edit(edit(v4, 9, protoIGMP), 20, 0x12), groupFlood},
		{"IGMP query", edit(edit(v4, 9, protoIGMP), 20, 0x11), groupUnsnoopable},
		{"IGMPv3 report behind an option", edit(edit(v4, 9, protoIGMP), 0, 0x46, 0, 0), groupUnsnoopable}, // the byte there is 0
		{"IPv4 too short", v4[:batman.EthLen+19], groupBroken},
		{"ff02::1", multicastFrame(clientA, ip6All, ""), groupUnsnoopable},
		{"ff12::1", edit(multicastFrame(clientA, ip6All, ""), 25, 0x12), groupLink},
		{"ff02::1:ff00:3ff", v6, groupLink},
		{"ff05::1234", multicastFrame(clientA, ip6Site, ""), groupRoutable},
		{"ff01::1", multicastFrame(clientA, ip6Own, ""), groupFlood},
		{"MLDv2 report", mld, groupFlood},
		{"MLDv1 report", edit(mld, 48, 131), groupFlood},
		{"MLDv1 report without options", edit(edit(v6, 6, 58), 40, 131), groupFlood},
		{"MLD query", edit(mld, 48, 130), groupLink},
		{"options that never end", edit(mld, 41, 255), groupLink},
		{"IPv6 too short", v6[:batman.EthLen+39], groupBroken},
		{"MLDv2 report cut off", mld[:batman.EthLen+48], groupLink},
	} {
		f, ok := parseInner(c.frame[:len(c.frame):len(c.frame)])
		if got := groupOf(f); !ok || got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	for n := range len(mld) { // no panic
		if f, ok := parseInner(mld[:n:n]); ok {
			groupOf(f)
		}
	}
}

// wants lets o announce flags.
func (s *stand) wants(o *Originator, flags uint8) *Originator {
	s.m.mcastOGM(o, true, flags)
	return o
}

// many makes n originators from 20 on, in turn behind B and C, that want flags.
func (s *stand) many(n int, flags uint8) {
	for i := range n {
		via, k := macB, 0
		if i%2 == 1 {
			via, k = macC, 1
		}
		s.wants(s.route(hardMAC(20+i, 0), via, k), flags)
	}
	s.take()
}

// kinds counts packets by type: U, M, B.
func kinds(air []sent) string {
	u, m, b := 0, 0, 0
	for _, f := range air {
		switch batman.PacketType(f.frame[14]) {
		case batman.TypeUnicast:
			u++
		case batman.TypeMulticast:
			m++
		case batman.TypeBroadcast:
			b++
		}
	}
	return fmt.Sprintf("U%d M%d B%d", u, m, b)
}

// TestWhoGetsMulticast: which packets leave for a frame, between nodes B and C.
func TestWhoGetsMulticast(t *testing.T) {
	const (
		all4  = batman.McastWantIPv4
		all6  = batman.McastWantIPv6
		bad   = batman.McastWantUnsnoopables
		quiet = batman.McastNoRouter4 | batman.McastNoRouter6 // a node of module 2022.3
		ptype = batman.McastPacketCapable
	)
	for _, c := range []struct {
		name string
		set  func(s *stand, b, c *Originator)
		ip   []byte
		want string
	}{
		{"nobody known to want it", func(s *stand, b, c *Originator) {}, ipRoutable, "drop"},
		{"nobody wants it", func(s *stand, b, c *Originator) { s.wants(b, quiet); s.wants(c, quiet|ptype) }, ipRoutable, "drop"},
		{"one router", func(s *stand, b, c *Originator) { s.wants(b, quiet); s.wants(c, batman.McastNoRouter6) }, ipRoutable, "U1 M0 B0"},
		{"one router, group of the link", func(s *stand, b, c *Originator) { s.wants(b, quiet); s.wants(c, batman.McastNoRouter6) }, ipLocal, "drop"},
		{"one router of IPv6", func(s *stand, b, c *Originator) { s.wants(b, quiet); s.wants(c, batman.McastNoRouter4) }, ip6Site, "U1 M0 B0"},
		{"one router of IPv6, group of the link", func(s *stand, b, c *Originator) { s.wants(b, quiet); s.wants(c, batman.McastNoRouter4) }, ip6Node, "drop"},
		{"two want all", func(s *stand, b, c *Originator) { s.wants(b, all4); s.wants(c, all4) }, ipRoutable, "U2 M0 B0"},
		{"want all of the other IP", func(s *stand, b, c *Originator) { s.wants(b, all4); s.wants(c, all4|quiet) }, ip6Node, "drop"},
		{"all and router are once", func(s *stand, b, c *Originator) { s.wants(b, quiet|ptype); s.wants(c, all6|ptype) }, ip6Site, "U0 M1 B0"},
		{"type 5 for all", func(s *stand, b, c *Originator) { s.wants(b, all4|ptype); s.wants(c, all4|ptype) }, ipRoutable, "U0 M2 B0"},
		{"type 5, one cannot", func(s *stand, b, c *Originator) { s.wants(b, all4|ptype); s.wants(c, all4) }, ipRoutable, "U2 M0 B0"},
		{"silent about multicast", func(s *stand, b, c *Originator) { s.m.mcastOGM(b, false, 0xff); s.wants(c, quiet|ptype) }, ipRoutable, "U1 M0 B0"},
		{"unsnoopable", func(s *stand, b, c *Originator) { s.wants(b, all4|bad|ptype); s.wants(c, quiet|ptype) }, ipLocal, "U0 M0 B2"},
		{"unsnoopable of IPv6", func(s *stand, b, c *Originator) { s.wants(b, bad|ptype) }, ip6All, "U0 M0 B2"},
		{"snoopable", func(s *stand, b, c *Originator) { s.wants(b, all4|bad|ptype); s.wants(c, quiet|ptype) }, ipRoutable, "U0 M1 B0"},
		{"listener", func(s *stand, b, c *Originator) {
			s.wants(b, quiet)
			s.wants(c, quiet)
			s.has(c, groupMAC(ipRoutable), 0)
		}, ipRoutable, "U1 M0 B0"},
		{"listener on another VLAN only", func(s *stand, b, c *Originator) {
			s.wants(b, quiet)
			s.has(c, groupMAC(ipRoutable), batman.VLANTag|3)
		}, ipRoutable, "drop"},
		{"listener that wants all", func(s *stand, b, c *Originator) { s.wants(b, all4); s.has(b, groupMAC(ipRoutable), 0) }, ipRoutable, "U1 M0 B0"},
		{"16 of them", func(s *stand, b, c *Originator) { s.many(16, all4) }, ipRoutable, "U16 M0 B0"},
		{"17 of them", func(s *stand, b, c *Originator) { s.many(17, all4) }, ipRoutable, "U0 M0 B2"},
		{"17 of them, type 5", func(s *stand, b, c *Originator) { s.many(17, all4|ptype) }, ipRoutable, "U0 M2 B0"},
		{"15 and 2 listeners", func(s *stand, b, c *Originator) {
			s.many(15, all4)
			s.has(b, groupMAC(ipRoutable), 0)
			s.has(c, groupMAC(ipRoutable), 0)
		}, ipRoutable, "U0 M0 B2"},
		{"as many as fit", func(s *stand, b, c *Originator) { s.many(trackerRoom(14+20+100), all4|ptype) }, ipRoutable, "U0 M2 B0"},
		{"one more", func(s *stand, b, c *Originator) { s.many(trackerRoom(14+20+100)+1, all4|ptype) }, ipRoutable, "U0 M0 B2"},
		{"own scope", func(s *stand, b, c *Originator) { s.wants(b, quiet) }, ip6Own, "U0 M0 B2"},
		{"mode off", func(s *stand, b, c *Originator) {
			f := s.m.cfg
			f.Multicast = false
			s.m.SetConfig(s.now, f, &s.out)
		}, ipRoutable, "U0 M0 B2"},
		{"fanout 1", func(s *stand, b, c *Originator) {
			f := s.m.cfg
			f.MulticastFanout = 1
			s.m.SetConfig(s.now, f, &s.out)
			s.wants(b, all4)
			s.wants(c, all4)
		}, ipRoutable, "U0 M0 B2"},
		{"short link of our own", func(s *stand, b, c *Originator) {
			s.iface(1, hardMAC(1, 1), 1279, false)
			s.wants(b, all4|ptype)
			s.wants(c, all4|ptype)
		}, ipRoutable, "U2 M0 B0"},
		{"originator gone", func(s *stand, b, c *Originator) {
			s.wants(b, all4|bad)
			s.wants(c, all4|ptype)
			s.m.forget(s.now, b, &s.out)
		}, ipRoutable, "U0 M1 B0"},
	} {
		s, o1, o2 := between(t, func(c *Config) { c.GWSelClass = 20 })
		c.set(s, o1, o2)
		s.take()
		frame := multicastFrame(clientA, c.ip, string(make([]byte, 100)))
		if c.want == "drop" {
			s.dropped(c.name, dropMulticast, func() { s.tx(frame) })
			continue
		}
		s.tx(frame)
		air, _ := s.take()
		if got := kinds(air); got != c.want {
			t.Errorf("%s: sent %s, want %s", c.name, got, c.want)
		}
		seen := map[batman.MAC]int{}
		for _, f := range air {
			p := []byte(f.frame[14:])
			if len(p) > 1280 && batman.PacketType(p[0]) == batman.TypeMulticast {
				t.Errorf("%s: packet of %d bytes", c.name, len(p))
			}
			for _, d := range destinations(t, p) {
				seen[d]++
			}
			if !bytes.HasSuffix(p, frame) {
				t.Errorf("%s: the frame is not at the end of %x", c.name, p)
			}
		}
		for d, n := range seen {
			if n > 1 {
				t.Errorf("%s: %v gets it %d times", c.name, d, n)
			}
		}
	}
	// a frame of a VLAN, even with a tag for priority only
	for _, id := range []uint16{0, 7} {
		s, b, _ := between(t, nil)
		s.wants(b, batman.McastWantIPv4|batman.McastPacketCapable)
		s.tx(tag(multicastFrame(clientA, ipRoutable, "x"), id))
		if air, _ := s.take(); kinds(air) != "U0 M0 B2" {
			t.Errorf("VLAN %d: sent %s", id, kinds(air))
		}
	}
	s, _, _ := between(t, nil)
	s.dropped("broken", dropMulticast, func() { s.tx(multicastFrame(clientA, ipRoutable, "")[:33]) })
}

// destinations returns for whom packet p is: nil for a flood.
func destinations(t *testing.T, p []byte) (list []batman.MAC) {
	t.Helper()
	switch batman.PacketType(p[0]) {
	case batman.TypeUnicast:
		return []batman.MAC{batman.MAC(p[4:10])}
	case batman.TypeMulticast:
		h, tvlvs, frame, err := batman.ParseMulticast(p)
		var tr tracked
		dests, ok := tr.find(tvlvs)
		if err != nil || !ok || h.TTL == 0 || len(frame) == 0 {
			t.Fatalf("%x: %v", p, err)
		}
		if n := len(p) - len(frame) - len(tr.before) - len(tr.after); n%4 != 2 {
			t.Errorf("header of %d bytes: the frame is not aligned", n)
		}
		for ; len(dests) > 0; dests = dests[6:] {
			list = append(list, batman.MAC(dests[:6]))
		}
	}
	return list
}

// TestGoldenMulticast is v1: frames for groups leave as they left the kernel.
func TestGoldenMulticast(t *testing.T) {
	for _, c := range []struct {
		name             string
		flags            uint8
		packets, unicast int
	}{
		{"v-mcast-la-6.12.pcap", 0x38, 3, 0},
		{"mcast-la-6.1.pcap", 0x18, 0, 3},
	} {
		got := map[batman.PacketType]int{}
		for _, f := range payload(t, c.name, v1) {
			kind := batman.PacketType(f[14])
			head := batman.UnicastLen
			if kind == batman.TypeMulticast {
				_, _, frame, err := batman.ParseMulticast(f[14:])
				if err != nil {
					t.Fatal(err)
				}
				head = len(f) - 14 - len(frame)
			} else if kind != batman.TypeUnicast || f[14+head]&1 == 0 {
				continue
			}
			s := newStand(t, 1, Seqnos{}, nil)
			s.iface(0, v1, 1500, false)
			o := s.route(v2la, v2la, 0)
			s.wants(o, c.flags)
			s.wants(s.route(v3, v2la, 0), c.flags)
			s.has(o, batman.MAC(f[14+head:]), 0)
			o.tt.ttvn = f[17]
			s.take()
			s.tx(f[14+head:])
			if air, _ := s.take(); len(air) != 1 || air[0].frame != string(f) {
				t.Errorf("%s: sent\n%x, want\n%x", c.name, air, f)
			}
			got[kind]++
			// and v2 delivers it
			s = newStand(t, 1, Seqnos{}, nil)
			s.iface(0, v2la, 1500, false)
			s.take()
			s.rx(0, f)
			if _, clients := s.take(); len(clients) != 1 || clients[0] != string(f[14+head:]) {
				t.Errorf("%s: delivered %x, want %x", c.name, clients, f[14+head:])
			}
		}
		if got[batman.TypeMulticast] != c.packets || got[batman.TypeUnicast] != c.unicast {
			t.Errorf("%s: %v packets", c.name, got)
		}
	}
}

// TestGoldenMulticastFlags: what kernels announce, and what we do.
func TestGoldenMulticastFlags(t *testing.T) {
	for name, want := range map[string]int{"gateway-la-6.1.pcap": 0x18, "gateway-la-6.12.pcap": 0x38} {
		s := newStand(t, 1, Seqnos{}, nil)
		o := s.route(v3, v2la, 0)
		for _, c := range readPcap(t, name) {
			if c.frame[12] == 0x43 {
				s.m.ogmTVLVs(s.now, o, ogmOf(c.frame[14:], v3), &s.out)
			}
		}
		if st := s.m.Status(s.now); len(st.Mcast) != 1 || st.Mcast[0] != (McastStatus{v3, want}) {
			t.Errorf("%s: %+v, want %#x", name, st.Mcast, want)
		}
	}
	s := newStand(t, 1, Seqnos{}, nil)
	want := []byte{6, 2, 0, 4, 0x26, 0, 0, 0}
	if b := s.m.appendTVLVs(s.now, nil, batman.OGMLen, &s.out); !bytes.Contains(b, want) {
		t.Errorf("containers %x, want %x in them", b, want)
	}
	s.m.SetMeshIface(s.now, MeshIfaceConfig{Name: "bat0", MAC: standMAC, MTU: 1500, Bridged: true}, &s.out)
	s.iface(0, hardMAC(1, 0), 1279, false)
	want[4] = 7
	if b := s.m.appendTVLVs(s.now, nil, batman.OGMLen, &s.out); !bytes.Contains(b, want) {
		t.Errorf("bridged, short link: containers %x, want %x in them", b, want)
	}
	if f := s.m.Status(s.now).McastFlags; f != 7 {
		t.Errorf("flags in the status %#x, want 7", f)
	}
}

// TestMulticastListsAreExact compares lists and counts with what each
// originator said last.
func TestMulticastListsAreExact(t *testing.T) {
	s := newStand(t, 1, Seqnos{}, nil)
	rng := rand.New(rand.NewPCG(4, 4))
	for range 2000 {
		o := s.route(hardMAC(10+rng.IntN(20), 0), macB, 0)
		switch rng.IntN(8) {
		case 0:
			s.m.forget(s.now, o, &s.out)
		case 1:
			s.m.mcastOGM(o, false, 0)
		default:
			s.wants(o, uint8(rng.Uint32()))
		}
		want := func(name string, got []*Originator, bit uint8, set bool) {
			n := 0
			for _, o := range s.m.origList {
				if o.mcast.flags()&bit != 0 != set {
					continue
				}
				n++
				if !slices.Contains(got, o) {
					t.Fatalf("%v is not in %s", o.MAC, name)
				}
			}
			if n != len(got) {
				t.Fatalf("%d in %s, want %d", len(got), name, n)
			}
		}
		m := &s.m.mcast
		want("all4", m.all4, batman.McastWantIPv4, true)
		want("all6", m.all6, batman.McastWantIPv6, true)
		want("router4", m.router4, batman.McastNoRouter4, false)
		want("router6", m.router6, batman.McastNoRouter6, false)
		unsnoopables, incapable := 0, 0
		for _, o := range s.m.origList {
			f := o.mcast.flags()
			if f&batman.McastWantUnsnoopables != 0 {
				unsnoopables++
			}
			if f&batman.McastPacketCapable == 0 {
				incapable++
			}
		}
		if m.unsnoopables != unsnoopables || m.incapable != incapable {
			t.Fatalf("counts %d and %d, want %d and %d", m.unsnoopables, m.incapable, unsnoopables, incapable)
		}
		s.take()
	}
}

// TestMulticastReachesEverybodyOnce in a grid, while it is sent in each of the
// three ways.
func TestMulticastReachesEverybodyOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		side  int
		set   func(i int, c *Config)
		short bool // one node has a link that is too short for type 5
		kind  batman.PacketType
	}{
		{"type 5", 5, nil, false, batman.TypeMulticast},
		{"unicast", 4, nil, true, batman.TypeUnicast},
		{"flood", 5, nil, true, batman.TypeBroadcast},
		{"off", 3, func(_ int, c *Config) { c.Multicast = false }, false, batman.TypeBroadcast},
		{"type 5 of B.A.T.M.A.N. V", 4, func(_ int, c *Config) { c.Algo = BatmanV }, false, batman.TypeMulticast},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 11)
			var n []*wnode
			for i := range c.side * c.side {
				k := w.node(fmt.Sprint(i), func(f *Config) {
					if c.set != nil {
						c.set(i, f)
					}
				})
				n = append(n, k)
				if c.short && i == 7 {
					k.iface(0, func(f *IfaceConfig) { f.MTU = 1279 })
				}
				if i%c.side > 0 {
					w.link(n[i-1], 0, k, 0, 0)
				}
				if i >= c.side {
					w.link(n[i-c.side], 0, k, 0, 0)
				}
			}
			w.run(90 * time.Second)
			used := map[batman.PacketType]int{}
			w.tap = func(_ *wnode, _ int, frame []byte) {
				if t := batman.PacketType(frame[14]); t != batman.TypeIVOGM && t != batman.TypeELP && t != batman.TypeOGM2 {
					used[t]++
				}
			}
			for _, k := range n {
				k.got = nil
			}
			for round := range 8 {
				for _, ip := range [][]byte{ipRoutable, ipLocal, ip6All, ip6Node, ip6Site} {
					from := n[(round*5+len(ip))%len(n)]
					text := fmt.Sprint("to ", ip, " ", round)
					from.client(multicastFrame(from.mac, ip, text))
					w.run(20 * time.Millisecond)
					for _, k := range n {
						if k.received(text) == (k == from) {
							t.Errorf("%s: node %s has it wrongly", text, k.name)
						}
					}
				}
			}
			if len(used) != 1 || used[c.kind] == 0 {
				t.Errorf("packets %v, want type %#x only", used, c.kind)
			}
			t.Logf("%d frames to %d others took %d packets", 8*5, len(n)-1, used[c.kind])
		})
	}
}
