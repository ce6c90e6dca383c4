package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// Stations around a stand: B on interface 0, C on interface 1.
var (
	macB    = hardMAC(2, 0)
	macC    = hardMAC(3, 0)
	clientA = batman.MAC{2, 0xcc, 0, 0, 0, 0xa}
	clientB = batman.MAC{2, 0xcc, 0, 0, 0, 0xb}
	clientC = batman.MAC{2, 0xcc, 0, 0, 0, 0xc}
)

// between makes a stand between B and C.
func between(t testing.TB, set func(*Config)) (s *stand, b, c *Originator) {
	s = newStand(t, 2, Seqnos{}, set)
	b, c = s.route(macB, macB, 0), s.route(macC, macC, 1)
	b.tt.ttvn, c.tt.ttvn = 5, 7
	s.has(b, clientB, 0)
	s.has(c, clientC, 0)
	s.take()
	return s, b, c
}

func unicastTo(ttl, ttvn uint8, dest, client batman.MAC) []byte {
	h := header(batman.UnicastLen, batman.Unicast{TTL: ttl, TTVN: ttvn, Dest: dest}.Put)
	return frameTo(0, macB, h, clientFrame(client, clientB, 0, "unicast"))
}

func TestClientFramesThatNobodyMustSee(t *testing.T) {
	s, _, _ := between(t, nil)
	good := clientFrame(clientC, clientA, 0, "x")
	typ := func(t uint16, vid batman.VID) []byte {
		f := clientFrame(clientC, clientA, vid, "x")
		f[len(f)-3], f[len(f)-2] = byte(t>>8), byte(t)
		return f
	}
	for _, c := range []struct {
		name  string
		frame []byte
		why   dropReason
	}{
		{"empty", nil, dropInner},
		{"short", good[:13], dropInner},
		{"short tag", clientFrame(clientC, clientA, batman.VLANTag|1, "")[:17], dropInner},
		{"batman in batman", typ(batman.EtherType, 0), dropInner},
		{"batman in batman in a VLAN", typ(batman.EtherType, batman.VLANTag|1), dropInner},
		{"spanning tree", clientFrame(batman.MAC{1, 0x80, 0xc2, 0, 0, 0}, clientA, 0, "x"), dropInner},
		{"ECTP", clientFrame(batman.MAC{0xcf, 0, 0, 0, 0, 0}, clientA, 0, "x"), dropInner},
		{"unknown client", clientFrame(batman.MAC{2, 1, 2, 3, 4, 5}, clientA, 0, "x"), dropUnknownClient},
		{"client of another VLAN", clientFrame(clientC, clientA, batman.VLANTag|1, "x"), dropUnknownClient},
		{"own client", clientFrame(standMAC, clientA, 0, "x"), dropUnknownClient},
	} {
		s.dropped(c.name, c.why, func() { s.tx(c.frame) })
	}
	s.tx(good)
	if air, _ := s.take(); len(air) != 1 {
		t.Errorf("good frame: sent %d", len(air))
	}
	s.m.IfaceDown(s.now, 0, "test", &s.out)
	s.m.IfaceDown(s.now, 1, "test", &s.out)
	s.take()
	s.dropped("no interface", dropNoPrimary, func() { s.tx(good) })
}

func TestClientIsLearned(t *testing.T) {
	s, _, _ := between(t, nil)
	s.tx(clientFrame(clientC, clientA, batman.VLANTag|3, "x"))
	if mine, _ := s.m.ttLocal(clientA, batman.VLANTag|3); !mine {
		t.Error("the source is not in the local table")
	}
}

func TestUnicastInTransit(t *testing.T) {
	s, b, _ := between(t, nil)
	_ = b
	client := func(mac batman.MAC) { s.tx(clientFrame(batman.Broadcast, mac, 0, "x")); s.take() }
	for _, c := range []struct {
		name       string
		ttvn       uint8
		dest, to   batman.MAC
		iface      int // -1: delivered, -2: dropped
		wantDest   batman.MAC
		wantTTVN   uint8
		why        dropReason
		ttl, start uint8
	}{
		{name: "current", ttvn: 7, dest: macC, to: clientC, iface: 1, wantDest: macC, wantTTVN: 7},
		{name: "newer than ours", ttvn: 9, dest: macC, to: clientC, iface: 1, wantDest: macC, wantTTVN: 9},
		{name: "newer, client moved", ttvn: 9, dest: macC, to: clientB, iface: 1, wantDest: macC, wantTTVN: 9},
		{name: "old, client moved to B", ttvn: 6, dest: macC, to: clientB, iface: 0, wantDest: macB, wantTTVN: 5},
		{name: "old, client still there", ttvn: 6, dest: macC, to: clientC, iface: -2, why: dropTTVN},
		{name: "old, client unknown", ttvn: 6, dest: macC, to: batman.MAC{2, 9, 9, 9, 9, 9}, iface: -2, why: dropTTVN},
		{name: "old, client is ours", ttvn: 6, dest: macC, to: clientA, iface: -1},
		{name: "half a round old", ttvn: 7 + 128, dest: macC, to: clientC, iface: 1, wantDest: macC, wantTTVN: 7 + 128},
		{name: "more than half a round", ttvn: 7 + 129, dest: macC, to: clientC, iface: -2, why: dropTTVN},
		{name: "old, but multicast", ttvn: 6, dest: macC, to: batman.MAC{1, 0, 0x5e, 1, 2, 3}, iface: 1, wantDest: macC, wantTTVN: 6},
		{name: "for us", ttvn: 0, dest: hardMAC(1, 0), to: clientA, iface: -1},
		{name: "for our other interface", ttvn: 0, dest: hardMAC(1, 1), to: clientA, iface: -1},
		{name: "for us, client is at C", ttvn: 255, dest: hardMAC(1, 0), to: clientC, iface: 1, wantDest: macC, wantTTVN: 7},
		{name: "unknown destination", ttvn: 7, dest: hardMAC(9, 0), to: clientC, iface: -2, why: dropUnknownOrig},
		{name: "TTL 1", ttvn: 7, dest: macC, to: clientC, iface: -2, why: dropTTL, ttl: 1},
		{name: "TTL 0", ttvn: 7, dest: macC, to: clientC, iface: -2, why: dropTTL, ttl: 255},
		{name: "TTL 1 for us", ttvn: 0, dest: hardMAC(1, 0), to: clientA, iface: -1, ttl: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			client(clientA)
			ttl := uint8(50)
			if c.ttl != 0 {
				ttl = c.ttl
			}
			if ttl == 255 {
				ttl = 0
			}
			f := unicastTo(ttl, c.ttvn, c.dest, c.to)
			if c.iface == -2 {
				s.dropped(c.name, c.why, func() { s.rx(0, f) })
				return
			}
			s.rx(0, f)
			air, clients := s.take()
			if c.iface == -1 {
				if len(clients) != 1 || len(air) != 0 || clients[0] != string(f[24:]) {
					t.Errorf("delivered %q, sent %d", clients, len(air))
				}
				return
			}
			if len(air) != 1 || len(clients) != 0 || air[0].iface != c.iface {
				t.Fatalf("delivered %d, sent %d", len(clients), len(air))
			}
			u, _ := batman.ParseUnicast([]byte(air[0].frame)[14:])
			if want := (batman.Unicast{TTL: 49, TTVN: c.wantTTVN, Dest: c.wantDest}); u != want {
				t.Errorf("sent %+v, want %+v", u, want)
			}
			if air[0].frame[24:] != string(f[24:]) {
				t.Error("the client's frame changed")
			}
		})
	}
}

// TestRoamedAway: the client was here and another node told that it has it.
func TestRoamedAway(t *testing.T) {
	s, _, _ := between(t, nil)
	s.tx(clientFrame(batman.Broadcast, clientA, 0, "x"))
	// so long that our table is announced
	s.run(3 * time.Second)
	s.take()
	s.m.ttRoam(s.now, macC, batman.Roam{Client: clientA}, &s.out)
	s.rx(0, unicastTo(50, 200, hardMAC(1, 0), clientA)) // whatever TTVN
	air, clients := s.take()
	if len(air) != 1 || len(clients) != 0 || air[0].iface != 1 {
		t.Fatalf("sent %d, delivered %d, want one sent to C; drops %v", len(air), len(clients), dropMap(&s.m.drops))
	}
	if u, _ := batman.ParseUnicast([]byte(air[0].frame)[14:]); u.Dest != macC || u.TTVN != 7 {
		t.Errorf("sent %+v", u)
	}
	// And a client of ours that sends to it says that it may be wrong if the
	// client left C too.
	s.m.ttRoam(s.now, macC, batman.Roam{Client: clientB}, &s.out)
	e := s.m.tt.global[ttKey{clientB, 0}]
	for i := range e.places {
		e.places[i].state |= placeLeft
	}
	s.tx(clientFrame(clientB, standMAC, 0, "x"))
	air, _ = s.take()
	if len(air) != 1 {
		t.Fatalf("sent %d", len(air))
	}
	u, _ := batman.ParseUnicast([]byte(air[0].frame)[14:])
	if o := s.m.originator(u.Dest); u.TTVN != o.tt.ttvn-1 {
		t.Errorf("TTVN %d, want one less than %d", u.TTVN, o.tt.ttvn)
	}
}

func TestUnicast4(t *testing.T) {
	s, b, _ := between(t, nil)
	buf := s.pool.Get()
	buf.Set(clientFrame(clientB, clientA, 0, "x"))
	s.m.sendUnicast4(s.now, b, batman.SubData, buf, &s.out)
	air, _ := s.take()
	if len(air) != 1 {
		t.Fatal("not sent")
	}
	u, err := batman.ParseUnicast4([]byte(air[0].frame)[14:])
	want := batman.Unicast4{Unicast: batman.Unicast{TTL: 50, TTVN: 5, Dest: macB}, Src: hardMAC(1, 0), Subtype: batman.SubData}
	if err != nil || u != want {
		t.Errorf("sent %+v, want %+v", u, want)
	}
	// Its client left B: B shall look again.
	s.m.ttRoam(s.now, macB, batman.Roam{Client: clientA}, &s.out)
	s.m.tt.global[ttKey{clientA, 0}].places[0].state |= placeLeft
	buf = s.pool.Get()
	buf.Set(clientFrame(clientA, standMAC, 0, "x"))
	s.m.sendUnicast4(s.now, b, batman.SubData, buf, &s.out)
	if air, _ := s.take(); len(air) != 1 || air[0].frame[17] != 4 {
		t.Errorf("sent %x, want TTVN 4", air)
	}
	// What comes says where its source is, if it is data.
	for sub := range uint8(6) {
		src := batman.MAC{2, 0xdd, 0, 0, 0, sub}
		h := header(batman.Unicast4Len, batman.Unicast4{Unicast: batman.Unicast{TTL: 9, Dest: hardMAC(1, 0)}, Src: macC, Subtype: sub}.Put)
		s.rx(0, frameTo(0, macB, h, clientFrame(standMAC, src, 0, "x")))
		if _, clients := s.take(); len(clients) != 1 {
			t.Errorf("subtype %d: delivered %d", sub, len(clients))
		}
		if o, _ := s.m.ttFind(src, 0); (o != nil) != (sub == batman.SubData) {
			t.Errorf("subtype %d: source is at %v", sub, o)
		}
	}
}

func TestUnknownUnicastTypes(t *testing.T) {
	s, _, _ := between(t, nil)
	for _, typ := range []byte{0x45, 0x60, 0x7f} {
		h := make([]byte, 12)
		h[0], h[1], h[2] = typ, batman.Version, 50
		copy(h[4:], macC[:])
		f := frameTo(0, macB, h, []byte("payload"))
		s.rx(0, f)
		air, _ := s.take()
		if len(air) != 1 || air[0].iface != 1 || air[0].frame[14+3:] != string(f[14+3:]) || air[0].frame[16] != 49 {
			t.Errorf("type %#x: sent %x", typ, air)
		}
		mine := hardMAC(1, 1)
		copy(f[18:], mine[:])
		s.dropped("for us", dropType, func() { s.rx(0, f) })
		// too long for the link
		s.iface(1, hardMAC(1, 1), 1400, false)
		long := frameTo(0, macB, h, make([]byte, 1480))
		s.rx(0, long)
		if air, _ := s.take(); len(air) != 2 {
			t.Errorf("type %#x: sent %d fragments", typ, len(air))
		}
		s.iface(1, hardMAC(1, 1), 1500, false)
	}
	s.dropped("0x80", dropType, func() { s.rx(0, frameTo(0, macB, []byte{0x80, batman.Version, 50, 0, 0, 0, 0, 0, 0, 0})) })
}

func TestAPIsolation(t *testing.T) {
	s, _, c := between(t, func(c *Config) { c.APIsolation = true })
	s.m.ttTold(s.now, c, ttKey{clientC, 0}, batman.TTWifi, c.tt.ttvn, &s.out)
	s.m.ttLearn(s.now, clientA, 0, batman.TTWifi, &s.out)
	h := header(batman.UnicastLen, batman.Unicast{TTL: 50, Dest: hardMAC(1, 0)}.Put)
	s.dropped("from the mesh", dropIsolation, func() { s.rx(0, frameTo(0, macB, h, clientFrame(clientA, clientC, 0, "x"))) })
	s.rx(0, frameTo(0, macB, h, clientFrame(clientA, clientB, 0, "x")))
	if _, clients := s.take(); len(clients) != 1 {
		t.Error("a client on a wire cannot be heard")
	}
}

// TestTruncated: no beginning of a header is taken for the whole.
func TestTruncated(t *testing.T) {
	s, _, _ := between(t, nil)
	frame := clientFrame(clientC, clientB, 0, "x")
	for _, c := range []struct {
		name string
		h    []byte
	}{
		{"unicast", header(batman.UnicastLen, batman.Unicast{TTL: 50, TTVN: 7, Dest: macC}.Put)},
		{"4addr", header(batman.Unicast4Len, batman.Unicast4{Unicast: batman.Unicast{TTL: 50, TTVN: 7, Dest: macC}, Src: macB}.Put)},
		{"broadcast", header(batman.BroadcastLen, batman.BroadcastHeader{TTL: 50, Seqno: 1, Orig: macB}.Put)},
		{"fragment", header(batman.FragmentLen, batman.Fragment{TTL: 50, Dest: hardMAC(1, 0), Orig: macB, Total: 99}.Put)},
	} {
		whole := frameTo(0, macB, c.h, frame)
		end := len(whole) - len("x") - 1 // one byte of the inner header is missing
		if c.name == "fragment" {
			end = 14 + batman.FragmentLen
		}
		for n := range end + 1 {
			before := s.ifaceDrops()
			s.rx(0, whole[:n])
			var drops uint64
			for i, after := range s.ifaceDrops() {
				drops += after - before[i]
			}
			if air, clients := s.take(); drops != 1 || len(air)+len(clients) != 0 {
				t.Errorf("%s, %d of %d bytes: %d drops, sent %d, delivered %d", c.name, n, len(whole), drops, len(air), len(clients))
			}
		}
	}
}

func TestPriority(t *testing.T) {
	ip := func(typ uint16, first ...byte) []byte {
		f := clientFrame(clientC, clientB, 0, string(first)+"12345678901234567890")
		f[12], f[13] = byte(typ>>8), byte(typ)
		return f
	}
	tag := clientFrame(clientC, clientB, batman.VLANTag|7, "x")
	tag[14] |= 3 << 5
	for _, c := range []struct {
		name  string
		frame []byte
		want  uint8
	}{
		{"other", clientFrame(clientC, clientB, 0, "\xff\xff\xff"), 0},
		{"VLAN", tag, 3},
		{"IPv4 EF", ip(batman.EthIPv4, 0x45, 0xb8), 5},
		{"IPv6 EF", ip(batman.EthIPv6, 0x6b, 0x80), 5},
		{"short", clientFrame(clientC, clientB, 0, ""), 0},
	} {
		for _, h := range [][]byte{header(batman.UnicastLen, batman.Unicast{}.Put), header(batman.Unicast4Len, batman.Unicast4{}.Put)} {
			if got := priority(append(h, c.frame...)); got != c.want {
				t.Errorf("%s: %d, want %d", c.name, got, c.want)
			}
		}
	}
	if got := priority([]byte{byte(batman.TypeICMP)}); got != 0 {
		t.Errorf("ICMP: %d", got)
	}
}

// TestARPReplies: what a client answers goes to whoever asked, and to the
// nodes that keep the address.
func TestARPReplies(t *testing.T) {
	s, b, _ := between(t, nil)
	s.m.datOGM(b, true)
	a := arp{arpReply, clientA, clientC, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 3}}
	s.tx(newARP(&s.pool, clientC, clientA, 0, a).Bytes())
	air, _ := s.take()
	n := map[byte]int{}
	for _, f := range air {
		n[f.frame[14]]++
	}
	if n[byte(batman.TypeUnicast)] != 1 || n[byte(batman.TypeUnicast4)] != 2 || len(air) != 3 {
		t.Errorf("sent %d: %v", len(air), n)
	}
}
