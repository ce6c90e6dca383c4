package mesh

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// quality sets how good the way to o is.
func (s *stand) quality(o *Originator, q uint32) {
	n := s.m.router(o, nil)
	if s.m.cfg.Algo == BatmanV {
		n.v.slot(0).throughput = q
		return
	}
	n.iv.slot(0).ring.avg = uint8(q)
}

// far makes originator i (from 10 on) behind B, of that quality, and hears it
// announce a gateway of that bandwidth.
func (s *stand) far(i int, q, down uint32) *Originator {
	o := s.route(hardMAC(i, 0), macB, 0)
	s.quality(o, q)
	s.m.gwOGM(s.now, o, batman.Gateway{Down: down, Up: down}, &s.out)
	return o
}

// election runs the choice and returns the node that was chosen, 0 for none.
func (s *stand) election() int {
	s.m.gwTick(s.now, &s.out)
	if s.m.gw.chosen == nil {
		return 0
	}
	return int(s.m.gw.chosen.MAC[4])
}

func TestGatewayElection(t *testing.T) {
	type g struct{ q, down uint32 }
	for _, c := range []struct {
		name   string
		algo   Algo
		class  uint32
		first  []g // gateways 10, 11, ...
		want   int
		then   []g // what becomes of them; down 0: withdrawn, q 0: unreachable
		change int
	}{
		{"none", BatmanIV, 20, nil, 0, nil, 0},
		{"best quality", BatmanIV, 20, []g{{100, 100}, {120, 10}, {110, 1000}}, 11, nil, 11},
		{"not much better", BatmanIV, 20, []g{{100, 100}, {90, 100}}, 10, []g{{100, 100}, {119, 100}}, 10},
		{"late switch", BatmanIV, 20, []g{{100, 100}, {90, 100}}, 10, []g{{100, 100}, {120, 100}}, 11},
		{"fast switch", BatmanIV, 3, []g{{100, 100}, {90, 100}}, 10, []g{{100, 100}, {101, 100}}, 11},
		{"no switch at the same quality", BatmanIV, 3, []g{{100, 100}, {90, 100}}, 10, []g{{100, 100}, {100, 100}}, 10},
		{"stable", BatmanIV, 2, []g{{100, 100}, {90, 100}}, 10, []g{{10, 100}, {250, 100}}, 10},
		{"stable, withdrawn", BatmanIV, 2, []g{{100, 100}, {90, 100}}, 10, []g{{100, 0}, {50, 100}}, 11},
		{"stable, unreachable", BatmanIV, 2, []g{{100, 100}, {90, 100}}, 10, []g{{0, 100}, {50, 100}}, 11},
		{"fast: bandwidth counts", BatmanIV, 1, []g{{200, 10}, {150, 100}, {255, 2}}, 11, nil, 11},
		{"fast: quality counts squared", BatmanIV, 1, []g{{200, 100}, {100, 399}}, 10, nil, 10},
		{"fast stays", BatmanIV, 1, []g{{200, 100}}, 10, []g{{100, 1}, {255, 10000}}, 10},
		{"fast: the slowest is better than none", BatmanIV, 1, []g{{1, 1}}, 10, nil, 10},
		{"fast: no overflow", BatmanIV, 1, []g{{255, 1<<32 - 1}, {255, 1<<32 - 2}}, 10, nil, 10},
		{"last one withdrawn", BatmanIV, 20, []g{{100, 100}}, 10, []g{{100, 0}}, 0},
		{"last one unreachable", BatmanIV, 20, []g{{100, 100}}, 10, []g{{0, 100}}, 0},
		{"V: the smaller of way and bandwidth", BatmanV, 50, []g{{1000, 20}, {90, 1000}, {50, 50}}, 11, nil, 11},
		{"V: not much better", BatmanV, 50, []g{{100, 100}}, 10, []g{{100, 100}, {149, 200}}, 10},
		{"V: much better", BatmanV, 50, []g{{100, 100}}, 10, []g{{100, 100}, {200, 150}}, 11},
		{"V: worse by much", BatmanV, 50, []g{{100, 100}}, 10, []g{{100, 100}, {1000, 10}}, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStand(t, 1, Seqnos{}, func(f *Config) { f.Algo, f.GWMode, f.GWSelClass = c.algo, GWClient, c.class })
			for i, k := range c.first {
				s.far(10+i, k.q, k.down)
			}
			if got := s.election(); got != c.want {
				t.Fatalf("chose %d, want %d", got, c.want)
			}
			for i, k := range c.then {
				s.far(10+i, k.q, k.down)
			}
			if c.then != nil {
				if got := s.election(); got != c.change {
					t.Errorf("then chose %d, want %d", got, c.change)
				}
			}
		})
	}
}

func TestSilentGateway(t *testing.T) {
	s := newStand(t, 1, Seqnos{}, func(c *Config) { c.GWMode = GWClient })
	a, b := s.far(10, 200, 100), s.far(11, 100, 100)
	if got := s.election(); got != 10 {
		t.Fatalf("chose %d", got)
	}
	s.now = s.now.Add(gwSilent + 1)
	if got := s.election(); got != 10 {
		t.Errorf("both are silent: chose %d, want the better one", got)
	}
	b.lastSeen = s.now
	if got := s.election(); got != 11 {
		t.Errorf("chose %d, want the one that speaks", got)
	}
	a.lastSeen = s.now
	if got := s.election(); got != 11 {
		t.Errorf("chose %d before the other one's OGM", got)
	}
	s.far(10, 200, 100)
	if got := s.election(); got != 10 {
		t.Errorf("chose %d, want the better one again", got)
	}
}

// TestGatewayEvents also checks what the table shows.
func TestGatewayEvents(t *testing.T) {
	s := newStand(t, 1, Seqnos{}, func(c *Config) { c.GWMode = GWClient })
	want := func(when string, old, now batman.MAC, best ...bool) {
		t.Helper()
		var evs []Event
		s.out.Events = nil
		s.m.gwTick(s.now, &s.out)
		for _, e := range s.out.Events {
			if e.Kind == EventGateway {
				evs = append(evs, e)
			}
		}
		switch {
		case old == now && len(evs) == 0:
		case len(evs) != 1 || evs[0].Orig != now || evs[0].Next != old:
			t.Errorf("%s: events %+v, want %v instead of %v", when, evs, now, old)
		}
		var got []bool
		for _, g := range s.m.Status(s.now).Gateways {
			got = append(got, g.Best)
		}
		if !slices.Equal(got, best) {
			t.Errorf("%s: best in the table %v, want %v", when, got, best)
		}
	}
	none, g10, g11 := batman.MAC{}, hardMAC(10, 0), hardMAC(11, 0)
	want("at first", none, none)
	o11 := s.far(11, 100, 100)
	want("first gateway", none, g11, true)
	want("nothing new", g11, g11, true)
	o10 := s.far(10, 150, 100)
	want("better gateway", g11, g10, true, false)
	s.m.gwOGM(s.now, o10, batman.Gateway{Down: 5}, &s.out) // no bandwidth up: none
	want("withdrawn", g10, g11, true)
	s.m.forget(s.now, o11, &s.out)
	want("gone", g11, none)
	s.far(10, 150, 100)
	want("back", none, g10, true)
	c := s.m.cfg
	c.GWMode = GWOff
	s.m.SetConfig(s.now, c, &s.out)
	want("mode off", g10, none, false)
	c.GWMode = GWClient
	s.m.SetConfig(s.now, c, &s.out)
	want("mode client", none, g10, true)
	s.far(11, 200, 100)
	c.GWSelClass = gwStable
	want("better gateway", g10, g11, false, true)
	s.far(10, 255, 100)
	s.m.SetConfig(s.now, c, &s.out)
	want("class changed", g11, g10, true, false)

	g := s.m.Status(s.now).Gateways[0]
	if (g != GatewayStatus{Orig: g10, Best: true, TQ: 255, Next: macB, Iface: "eth", Down: 100, Up: 100}) {
		t.Errorf("table: %+v", g)
	}
}

func TestGatewayIsAnnounced(t *testing.T) {
	s := newStand(t, 1, Seqnos{}, func(c *Config) { c.GWMode, c.GWDown, c.GWUp = GWServer, 200, 50 })
	kernel := []byte{1, 1, 0, 8, 0, 0, 0, 200, 0, 0, 0, 50} // as captured
	if b := s.m.appendTVLVs(s.now, nil, batman.OGMLen, &s.out); !bytes.Contains(b, kernel) {
		t.Errorf("containers %x", b)
	}
	c := s.m.cfg
	c.GWMode = GWClient
	s.m.SetConfig(s.now, c, &s.out)
	if b := s.m.appendTVLVs(s.now, nil, batman.OGMLen, &s.out); bytes.Contains(b, kernel[:4]) {
		t.Errorf("containers of a client %x", b)
	}
}

// TestGoldenGateway is v1, a client of gateway v3: it learns of the gateway from
// the kernel's OGMs, and sends it the DHCP messages as the kernel did. The
// answers are sent as the kernel of v3 sent them.
func TestGoldenGateway(t *testing.T) {
	for _, name := range []string{"gateway-la-6.1.pcap", "gateway-la-6.12.pcap"} {
		s := newStand(t, 1, Seqnos{}, func(c *Config) { c.GWMode = GWClient })
		s.iface(0, v1, 1500, false)
		o3 := s.route(v3, v2la, 0)
		s.quality(o3, 200)

		server := newStand(t, 1, Seqnos{}, func(c *Config) { c.GWMode, c.DAT = GWServer, false })
		server.iface(0, v3, 1500, false)
		o1 := server.route(v1, v2lb, 0)

		requests, answers := 0, 0
		for _, c := range readPcap(t, name) {
			f := c.frame
			if f[12] != 0x43 {
				continue
			}
			switch p := f[14:]; batman.PacketType(p[0]) {
			case batman.TypeIVOGM:
				s.m.ogmTVLVs(s.now, o3, ogmOf(p, v3), &s.out)
				s.m.gwTick(s.now, &s.out)
				if n := s.m.router(o3, nil); n.iv.slot(0).ring.avg != 200 {
					t.Fatal("the quality is not what was set")
				}
			case batman.TypeUnicast4:
				if u, _ := batman.ParseUnicast4(p); u.Src != v1 || u.Subtype != batman.SubData {
					continue
				}
				requests++
				if s.m.gw.chosen != o3 || o3.gw != (batman.Gateway{Down: 200, Up: 50}) {
					t.Fatalf("%s: gateway %+v chosen %v", name, o3.gw, s.m.gw.chosen)
				}
				o3.tt.ttvn = p[3]
				s.take()
				s.tx(p[batman.Unicast4Len:])
				if air, _ := s.take(); len(air) != 1 || air[0].frame != string(f) {
					t.Errorf("%s: sent %x, want %x", name, air, f)
				}
			case batman.TypeUnicast:
				in, ok := parseInner(p[batman.UnicastLen:])
				if who, client := dhcpWay(in); !ok || who != dhcpToClient || client != (batman.MAC{2, 0xcc, 0, 0, 0, 1}) {
					continue
				}
				answers++
				// v1's clients are served by v3
				o1.tt.ttvn = p[3]
				server.has(o1, batman.MAC{2, 0xcc, 0, 0, 0, 1}, 0)
				server.take()
				server.tx(in.b)
				want := slices.Clone(p)
				want[2]++ // v2 was between
				if air, _ := server.take(); len(air) != 1 || air[0].frame[14:] != string(want) {
					t.Errorf("%s: answered %x, want %x", name, air, want)
				}
				s.take()
				s.rx(0, f)
				if _, clients := s.take(); len(clients) != 1 || clients[0] != string(in.b) {
					t.Errorf("%s: delivered %x, want %x", name, clients, in.b)
				}
			}
		}
		if requests != 2 || answers != 2 {
			t.Errorf("%s: %d requests and %d answers, want 2 and 2", name, requests, answers)
		}
	}
}

// ogmOf returns the containers of orig's OGM in an aggregate; nil if there is
// none.
func ogmOf(p []byte, orig batman.MAC) []byte {
	for len(p) >= batman.OGMLen && batman.PacketType(p[0]) == batman.TypeIVOGM {
		n := batman.OGMLen + int(p[22])<<8 + int(p[23])
		if len(p) < n {
			break
		}
		if batman.MAC(p[8:14]) == orig {
			return p[batman.OGMLen:n]
		}
		p = p[n:]
	}
	return nil
}

func TestDHCPOfAServerStaysOnItsSide(t *testing.T) {
	s := newStand(t, 1, Seqnos{}, func(c *Config) { c.GWMode = GWServer })
	s.far(10, 200, 100)
	s.dropped("discover at a server", dropGateway, func() { s.tx(dhcp4(batman.Broadcast, clientA, 68, 67)) })
	s.dropped("answer to a client that nobody has", dropUnknownClient, func() { s.tx(dhcp4(batman.Broadcast, clientA, 67, 68)) })
	s.tx(clientFrame(batman.Broadcast, clientA, 0, "other"))
	if air, _ := s.take(); len(air) != 1 {
		t.Errorf("other broadcast: sent %d frames, want 1", len(air))
	}
}

func TestDHCPWithoutGateway(t *testing.T) {
	s := newStand(t, 1, Seqnos{}, func(c *Config) { c.GWMode = GWClient })
	s.route(macB, macB, 0)
	s.m.gwTick(s.now, &s.out)
	s.take()
	s.dropped("discover", dropGateway, func() { s.tx(dhcp4(batman.Broadcast, clientA, 68, 67)) })
	c := s.m.cfg
	c.GWMode = GWOff
	s.m.SetConfig(s.now, c, &s.out)
	s.tx(dhcp4(batman.Broadcast, clientA, 68, 67))
	if air, _ := s.take(); len(air) != 1 || air[0].frame[14] != byte(batman.TypeBroadcast) {
		t.Errorf("mode off: sent %x", air)
	}
}

func TestRenewalOutOfRange(t *testing.T) {
	for _, c := range []struct {
		name          string
		mode          GWMode
		algo          Algo
		own, old      uint32 // quality of the chosen gateway 10 and of 11, which has the client's server
		gateway       bool   // 11 is a gateway
		port          uint16
		reachesServer bool
	}{
		{"about as good", GWClient, BatmanIV, 200, 150, true, 67, true},
		{"much worse", GWClient, BatmanIV, 201, 150, true, 67, false},
		{"much worse, other port", GWClient, BatmanIV, 201, 100, true, 68, true},
		{"much worse, but no gateway", GWClient, BatmanIV, 201, 100, false, 67, true},
		{"own side is a gateway", GWServer, BatmanIV, 0, 204, true, 67, false},
		{"own side is a gateway, other is near", GWServer, BatmanIV, 0, 205, true, 67, true},
		{"off", GWOff, BatmanIV, 255, 10, true, 67, true},
		{"V", GWClient, BatmanV, 10000, 10, true, 67, true},
	} {
		s := newStand(t, 1, Seqnos{}, func(f *Config) { f.Algo, f.GWMode = c.algo, c.mode })
		if c.own > 0 {
			s.far(10, c.own, 10000)
		}
		down := uint32(0)
		if c.gateway {
			down = 10000
		}
		o := s.far(11, c.old, down)
		s.has(o, clientC, 0)
		s.m.gwTick(s.now, &s.out)
		s.take()
		f := dhcp4(clientC, clientA, 68, c.port)
		if !c.reachesServer {
			s.dropped(c.name, dropGateway, func() { s.tx(f) })
			continue
		}
		s.tx(f)
		if air, _ := s.take(); len(air) != 1 || air[0].frame[14] != byte(batman.TypeUnicast) {
			t.Errorf("%s: sent %x", c.name, air)
		}
	}
}

// TestGatewaysInALine: clients in the middle reach the nearer server, and the
// other one when the nearer one is cut off.
func TestGatewaysInALine(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		t.Run(algo.String(), func(t *testing.T) {
			w := newWorld(t, 5)
			var n []*wnode
			for i := range 6 {
				n = append(n, w.node(fmt.Sprint(i), func(c *Config) {
					c.Algo, c.GWMode, c.GWSelClass = algo, GWClient, 20
					if algo == BatmanV {
						c.GWSelClass, c.GWDown, c.GWUp = 50, 100000, 100000
					}
					if i == 0 || i == 5 {
						c.GWMode = GWServer
					}
				}))
				if i > 0 {
					w.link(n[i-1], 0, n[i], 0, 0)
				}
			}
			w.run(80 * time.Second)
			client := func(at int) batman.MAC { return batman.MAC{2, 0xcc, 0, 0, 0, byte(at)} }
			asks := func(from, to int) {
				t.Helper()
				discover := dhcp4(batman.Broadcast, client(from), 68, 67)
				n[from].client(discover)
				w.run(20 * time.Millisecond)
				for i, k := range n {
					got := slices.ContainsFunc(k.got, func(f []byte) bool { return bytes.Equal(f, discover) })
					k.got = nil
					if got != (i == to) {
						t.Errorf("node %d asks: node %d has it: %v", from, i, got)
					}
				}
			}
			asks(1, 0)
			asks(4, 5)
			// the answer, a broadcast, goes to the client alone
			w.run(5 * time.Second) // the client is announced
			offer := dhcp4(batman.Broadcast, n[5].mac, 67, 68)
			chaddr := client(4)
			copy(offer[14+28+bootpHardware:], chaddr[:])
			n[5].client(offer)
			w.run(20 * time.Millisecond)
			for i, k := range n {
				if got := len(k.got) > 0; got != (i == 4) {
					t.Errorf("node %d got the answer: %v", i, got)
				}
				k.got = nil
			}
			n[0].off = true
			w.until(35*time.Second, "the other gateway", func() bool {
				return n[1].m.gw.chosen != nil && n[1].m.gw.chosen.MAC == hardMAC(6, 0)
			})
			asks(1, 5)
		})
	}
}
