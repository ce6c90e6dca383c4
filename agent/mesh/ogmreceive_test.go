package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

var macD, macE = hardMAC(4, 0), hardMAC(5, 0)

// What is not taken at all, and why.
func TestOGMDropped(t *testing.T) {
	me := hardMAC(1, 0)
	good := relayed(macC, macD, ogmSeq+1, 200)
	with := func(set func(*batman.OGM)) batman.OGM { o := good; set(&o); return o }
	for _, c := range []struct {
		name  string
		frame []byte
		why   map[dropReason]uint64
	}{
		{"good", ogmFrameOf(macB, good), nil},
		{"padded", append(ogmFrameOf(macB, good), make([]byte, 36)...), map[dropReason]uint64{dropMalformed: 1}}, // 24 zero bytes are an OGM of nobody
		{"short padding", append(ogmFrameOf(macB, good), make([]byte, 23)...), nil},
		{"other bytes behind", append(ogmFrameOf(macB, good), 9, 15, 50, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2), nil},
		{"short", ogmFrameOf(macB, good)[:batman.EthLen+23], map[dropReason]uint64{dropRunt: 1}},
		{"TVLVs beyond the end", ogmFrameOf(macB, with(func(o *batman.OGM) { o.TVLVLen = 8 }))[:batman.EthLen+30], map[dropReason]uint64{dropMalformed: 1}},
		{"odd TVLVs", append(ogmFrameOf(macB, with(func(o *batman.OGM) { o.TVLVLen = 3 })), 0), map[dropReason]uint64{dropMalformed: 1}},
		{"group as originator", ogmFrameOf(macB, with(func(o *batman.OGM) { o.Orig[0] |= 1 })), map[dropReason]uint64{dropMalformed: 1}},
		{"no originator", ogmFrameOf(macB, with(func(o *batman.OGM) { o.Orig = batman.MAC{} })), map[dropReason]uint64{dropMalformed: 1}},
		{"our own frame", ogmFrameOf(hardMAC(1, 1), good), map[dropReason]uint64{dropOwnFrame: 1}},
		{"our rebroadcast comes back", ogmFrameOf(macB, with(func(o *batman.OGM) { o.Prev = hardMAC(1, 1) })), map[dropReason]uint64{dropEcho: 1}},
		{"for the echo only", ogmFrameOf(macB, with(func(o *batman.OGM) { o.Flags = batman.NotBestNextHop })), map[dropReason]uint64{dropNotBest: 1}},
		{"no TQ", ogmFrameOf(macB, with(func(o *batman.OGM) { o.TQ = 0 })), map[dropReason]uint64{dropOGM: 1}},
		{"far number", ogmFrameOf(macB, with(func(o *batman.OGM) { o.Seqno += 1 << 30 })), nil},
		{"not broadcast", append(me[:], ogmFrameOf(macB, good)[6:]...), map[dropReason]uint64{dropDestination: 1}},
		{"sender without route", ogmFrameOf(macE, good), map[dropReason]uint64{dropNoRoute: 1}},
		{"last hop", ogmFrameOf(macB, with(func(o *batman.OGM) { o.TTL = 1 })), map[dropReason]uint64{dropTTL: 2}}, // on each interface
	} {
		s := newOGMStand(t, 2, nil)
		s.station(macB, 0, 64, 64)
		s.behind(macC, map[batman.MAC]uint8{macB: 100}, 0, macB)
		s.counts(c.name, c.why, func() { s.rx(0, c.frame) })
		if n := len(s.forwarded()); (n > 0) != (c.why == nil) && c.name != "padded" {
			t.Errorf("%s: %d OGMs forwarded", c.name, n)
		}
	}
}

// The states of an OGM, and what the windows of the sender B and of another
// neighbour D hold behind it.
func TestUpdateWindows(t *testing.T) {
	for _, c := range []struct {
		name       string
		b, d       window
		diff       int32
		state      dupState
		wantB      window
		wantD      window
		last       uint32
		protected  bool // a jump was accepted 29 s ago
		newSender  bool // the sender is no way to it yet
		neverHeard bool // nobody is
	}{
		{name: "new", b: 1, d: 1, diff: 1, state: newOGM, wantB: 3, wantD: 2, last: 1},
		{name: "by the other already", b: 2, d: 1, diff: 0, state: origDup, wantB: 3, wantD: 1},
		{name: "by this one already", b: 1, d: 1, diff: 0, state: neighDup, wantB: 1, wantD: 1},
		{name: "late and new", b: 1, d: 1, diff: -5, state: newOGM, wantB: 33, wantD: 1},
		{name: "late and known", b: 33, d: 1, diff: -5, state: neighDup, wantB: 33, wantD: 1},
		{name: "too late", b: 7, d: 7, diff: -64, state: newOGM, wantB: 1, wantD: 0, last: 1<<32 - 64},
		{name: "too late, protected", b: 7, d: 7, diff: -64, state: tooFar, wantB: 7, wantD: 7, protected: true},
		{name: "nearly too late, protected", b: 1, d: 1, diff: -63, state: newOGM, wantB: 1<<63 | 1, wantD: 1, protected: true},
		{name: "gap, protected", b: 7, d: 7, diff: seqnoRange - 1, state: newOGM, wantB: 1, wantD: 0, last: seqnoRange - 1, protected: true},
		{name: "jump", b: 7, d: 7, diff: seqnoRange, state: newOGM, wantB: 1, wantD: 0, last: seqnoRange},
		{name: "jump, protected", b: 7, d: 7, diff: seqnoRange, state: tooFar, wantB: 7, wantD: 7, protected: true},
		{name: "new sender does not count", d: 1, diff: 1, state: newOGM, wantD: 2, last: 1, newSender: true},
		{name: "new sender, known number", d: 1, diff: 0, state: origDup, wantD: 1, newSender: true},
		{name: "first of all", diff: 5, state: newOGM, neverHeard: true},
	} {
		s := newOGMStand(t, 1, nil)
		o := s.m.obtain(s.now, macC, macB, &s.out)
		rt := o.routeOf(s.now, 0)
		rt.known, rt.lastSeqno = true, ogmSeq
		if c.protected {
			rt.resetAt = s.now.Add(-29 * time.Second)
		}
		for mac, w := range map[batman.MAC]window{macB: c.b, macD: c.d} {
			if !c.neverHeard && (mac != macB || !c.newSender) {
				s.m.addWay(s.now, o, mac, s.m.ifaces[0]).iv.slot(0).real = w
			}
		}
		state := s.m.updateWindows(s.now, rx{hi: s.m.ifaces[0], src: macB}, o, ogmSeq+uint32(c.diff), 0)
		if state != c.state || rt.lastSeqno != ogmSeq+c.last {
			t.Errorf("%s: state %d, last number %d; want %d, %d", c.name, state, rt.lastSeqno-ogmSeq, c.state, c.last)
		}
		for mac, want := range map[batman.MAC]window{macB: c.wantB, macD: c.wantD} {
			if n := o.way(mac, s.m.ifaces[0]); n != nil && n.iv.slot(0).real != want {
				t.Errorf("%s: window of %v %b, want %b", c.name, mac, n.iv.slot(0).real, want)
			}
		}
	}
}

// A node that restarts with another number is accepted at once, also soon
// after it was found; the next jump has to wait 30 s.
func TestSeqnoProtection(t *testing.T) {
	s := newOGMStand(t, 1, nil)
	hear := func(seqno uint32) bool {
		before := s.m.drops[dropProtected]
		s.hear(0, macB, single(macB, seqno))
		s.left()
		return s.m.drops[dropProtected] == before
	}
	step := func(d time.Duration, seqno uint32, want bool) {
		t.Helper()
		s.now = s.now.Add(d)
		if hear(seqno) != want {
			t.Errorf("number %x: accepted %v, want %v", seqno, !want, want)
		}
	}
	step(0, 0xdeadbeef, true)
	step(time.Second, 0xdeadbef0, true)
	step(time.Second, 0xdeadbef1, true)
	step(time.Second, 0x1234, true) // the restart
	step(time.Second, 0x1235, true)
	step(time.Second, 0x77770000, false)
	step(27*time.Second, 0x77770001, false)
	step(time.Second, 0x77770002, true)
	step(time.Second, 0x77770003, true)
}

// An echo counts for the neighbour that sent our OGM back on the interface
// where it left, if it heard it directly.
func TestEcho(t *testing.T) {
	own := func(iface int, flags uint8, ago int32) batman.OGM {
		return batman.OGM{TTL: 49, Flags: flags, Seqno: uint32(ogmSeq - ago), Orig: hardMAC(1, iface), Prev: hardMAC(1, iface)}
	}
	const direct = batman.DirectLink
	for _, c := range []struct {
		name string
		on   int
		ogm  batman.OGM
		want window
	}{
		{"the last", 0, own(0, direct, 0), 1},
		{"not of the best next hop", 0, own(0, direct|batman.NotBestNextHop, 0), 1},
		{"an earlier one", 0, own(0, direct, 63), 1 << 63},
		{"too old", 0, own(0, direct, 64), 0},
		{"not sent yet", 0, own(0, direct, -1), 0},
		{"not direct", 0, own(0, 0, 0), 0},
		{"of our other interface", 0, own(1, direct, 0), 0},
		{"heard on the other interface", 1, own(0, direct, 0), 0},
	} {
		s := newOGMStand(t, 2, nil)
		o := s.station(macB, c.on, 64, 0)
		s.hear(c.on, macB, c.ogm)
		if got := *o.iv.echoOf(s.m.ifaces[0]); got != c.want {
			t.Errorf("%s: window %b, want %b", c.name, got, c.want)
		}
		if len(s.forwarded()) > 0 || s.m.originator(hardMAC(1, 0)) != nil {
			t.Errorf("%s: our own OGM was forwarded or made an originator", c.name)
		}
	}
	s := newOGMStand(t, 1, nil)
	s.hear(0, macB, own(0, direct, 0))
	if len(s.m.origs) != 0 {
		t.Error("an echo of a station that sent no OGM made an originator")
	}
}

// TVLVs count also if the link is of no use, but not if the OGM is none that
// may be believed.
func TestOGMContainers(t *testing.T) {
	dat := func(o batman.OGM) []byte {
		v := batman.AppendTVLV(nil, batman.TVLVDAT, batman.VersionDAT, 0)
		o.TVLVLen = uint16(len(v))
		f := ogmFrameOf(macB, o)
		copy(f[batman.EthLen+batman.OGMLen:], v)
		return f
	}
	for _, c := range []struct {
		name string
		do   func(s ogmStand)
		want bool
	}{
		{"good link", func(s ogmStand) { s.station(macB, 0, 64, 64); s.rx(0, dat(single(macB, ogmSeq+1))) }, true},
		{"no echo", func(s ogmStand) { s.rx(0, dat(single(macB, 7))) }, true},
		{"no TQ", func(s ogmStand) { o := single(macB, 7); o.TQ = 0; s.rx(0, dat(o)) }, false},
		{"for the echo only", func(s ogmStand) { o := single(macB, 7); o.Flags = batman.NotBestNextHop; s.rx(0, dat(o)) }, false},
		{"none at all says nothing", func(s ogmStand) { s.rx(0, dat(single(macB, 7))); s.hear(0, macB, single(macB, 8)) }, true},
		{"another says: no DAT", func(s ogmStand) {
			s.rx(0, dat(single(macB, 7)))
			o := single(macB, 8)
			o.TVLVLen = 4
			s.hear(0, macB, o)
		}, false},
	} {
		s := newOGMStand(t, 2, nil)
		c.do(s)
		o := s.m.originator(macB)
		if got := o != nil && o.dat.capable; got != c.want {
			t.Errorf("%s: capable of DAT %v, want %v", c.name, got, c.want)
		}
	}
}

// A container that is broken is counted at the interface that it came by. The
// others of its packet count, if it is possible to tell where they begin, and
// the OGM goes on as it came.
func TestBrokenContainers(t *testing.T) {
	value := func(k batman.TVLVType, version uint8, n int) []byte {
		return append(batman.AppendTVLV(nil, k, version, n), make([]byte, n)...)
	}
	dat := value(batman.TVLVDAT, batman.VersionDAT, 0)
	for _, c := range []struct {
		name  string
		tvlvs []byte
		dat   bool // what follows is found
	}{
		{"odd", append(value(66, 1, 3), dat...), false},
		{"longer than the OGM", append(batman.AppendTVLV(nil, 66, 1, 100), dat...), false},
		{"gateway of 6 bytes", append(value(batman.TVLVGateway, batman.VersionGateway, 6), dat...), true},
		{"multicast flags of 2 bytes", append(value(batman.TVLVMulticast, batman.VersionMulticast, 2), dat...), true},
		{"table of 2 bytes", append(value(batman.TVLVTT, batman.VersionTT, 2), dat...), true},
	} {
		if len(c.tvlvs)%2 != 0 {
			c.tvlvs = append(c.tvlvs, 0)
		}
		s := newOGMStand(t, 1, nil)
		s.station(macB, 0, 64, 64)
		o := single(macB, ogmSeq+1)
		o.TVLVLen = uint16(len(c.tvlvs))
		f := ogmFrameOf(macB, o)
		copy(f[batman.EthLen+batman.OGMLen:], c.tvlvs)
		s.counts(c.name, map[dropReason]uint64{dropTVLV: 1}, func() { s.rx(0, f) })
		if got := s.m.originator(macB).dat.capable; got != c.dat {
			t.Errorf("%s: what follows is found: %v", c.name, got)
		}
		if list := s.forwarded(); len(list) != 1 || list[0].tvlvs != string(c.tvlvs) {
			t.Errorf("%s: forwarded %+v", c.name, list)
		}
	}
	roam := batman.AppendRoam(nil, batman.Roam{Client: batman.Broadcast})
	for _, c := range []struct {
		name  string
		tvlvs []byte
		why   dropReason
	}{
		{"odd", value(66, 1, 3), dropTVLV},
		{"table of 2 bytes", value(batman.TVLVTT, batman.VersionTT, 2), dropTVLV},
		{"ROAM of 6 bytes", value(batman.TVLVRoam, batman.VersionRoam, 6), dropTVLV},
		{"a group roams", roam, dropTVLV},
		{"a table that nobody asked for", append(batman.AppendTVLV(nil, batman.TVLVTT, batman.VersionTT, 4), batman.TTResponse, 1, 0, 0), dropUnasked},
	} {
		s := newOGMStand(t, 1, nil)
		s.station(macB, 0, 64, 64)
		h := header(batman.UnicastTVLVLen, batman.UnicastTVLV{TTL: 50, Dst: hardMAC(1, 0), Src: macB, TVLVLen: uint16(len(c.tvlvs))}.Put)
		s.counts(c.name, map[dropReason]uint64{c.why: 1}, func() { s.rx(0, frameTo(0, macB, h, c.tvlvs)) })
	}
}
