package mesh

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// lone is a node that is fed by hand.
type lone struct {
	t   testing.TB
	m   *Mesh
	out Out
	now mono.Time
}

func newLone(t testing.TB, node int) *lone {
	l := &lone{t: t, m: New(Options{Config: Default(), Seed: [32]byte{byte(node)}}, 0)}
	l.out.Pool = &pkt.Pool{}
	if err := l.m.SetIface(0, 0, IfaceConfig{Name: "eth0", MAC: hardMAC(node, 0), MTU: 1500}, &l.out); err != nil {
		t.Fatal(err)
	}
	return l
}

// know enters an originator.
func (l *lone) know(mac batman.MAC) *Originator {
	o := &Originator{MAC: mac}
	l.m.origs[mac] = o
	l.m.origList = append(l.m.origList, o)
	return o
}

// clients returns the frames that left into the LAN since the last call.
func (l *lone) clients() (fs [][]byte) {
	for _, b := range l.out.Clients.Bufs {
		fs = append(fs, append([]byte(nil), b.Bytes()...))
	}
	l.out.Clients.Recycle(l.out.Pool)
	return fs
}

func (l *lone) tx(frame []byte) bool { return l.m.blaTx(l.now, mustInner(l.t, frame), &l.out) }
func (l *lone) rx(frame []byte, t batman.PacketType) bool {
	return l.m.blaRx(l.now, mustInner(l.t, frame), t, &l.out)
}

func (l *lone) expect(what string, want ...[]byte) {
	l.t.Helper()
	got := l.clients()
	if len(got) != len(want) {
		l.t.Errorf("%s: %d frames, want %d: %x", what, len(got), len(want), got)
		return
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			l.t.Errorf("%s: frame %d is\n%x, want\n%x", what, i, got[i], want[i])
		}
	}
}

// settle lets the node become a synced gateway on VLAN v.
func (l *lone) settle(v batman.VID) {
	l.tx(clientFrame(batman.Broadcast, hardMAC(99, 99), v, "first"))
	for l.m.bla.unsynced > 0 {
		l.now = l.m.blaDeadline()
		l.m.blaExpire(l.now, &l.out)
	}
	l.clients()
}

func TestCRC16(t *testing.T) {
	for n, want := range map[int]uint16{1: 0xa9d9, 2: 0x59d9} {
		if got := crc16(hardMAC(n, 0)); got != want {
			t.Errorf("group of v%d is %04x, want %04x", n, got, want)
		}
	}
}

// claimFrames returns the claim frames of a capture of the shared LAN.
func claimFrames(t testing.TB, name string) (fs []captured) {
	for _, c := range readPcap(t, name) {
		if f, ok := parseInner(c.frame); ok {
			if _, k := parseClaim(f); k != noClaim {
				fs = append(fs, c)
			}
		}
	}
	if len(fs) < 20 {
		t.Fatalf("%s: only %d claim frames", name, len(fs))
	}
	return fs
}

// TestGoldenClaimFrames builds every claim frame that the kernels sent anew.
func TestGoldenClaimFrames(t *testing.T) {
	for _, name := range []string{"bla-lw-6.1.pcap", "bla-lw-6.12.pcap"} {
		seen := map[uint8]int{}
		for _, c := range claimFrames(t, name) {
			a, k := parseClaim(mustInner(t, c.frame))
			dst, src := batman.MAC(c.frame[:6]), batman.MAC(c.frame[6:12])
			kind := a.dst[3]
			seen[kind]++
			gateway, about := src, a.src
			if kind == blaClaimFrame || kind == blaLoopFrame {
				gateway, about = a.src, src
			}
			if kind == blaRequestFrame {
				about = dst
			}
			if (k == loopClaim) != (kind == blaLoopFrame) {
				t.Errorf("%x is taken for %d", c.frame, k)
			}
			l := newLone(t, int(gateway[4]))
			l.m.bla.group = binary.BigEndian.Uint16(a.dst[4:])
			l.m.sendClaim(kind, about, mustInner(t, c.frame).vid, &l.out)
			l.expect(name, c.frame)
		}
		for kind := range uint8(5) {
			if seen[kind] == 0 {
				t.Errorf("%s has no frame of type %d", name, kind)
			}
		}
	}
}

// TestGoldenBLATalk plays v2's part in the talk of two kernels: the same
// causes make the same bytes.
func TestGoldenBLATalk(t *testing.T) {
	all := claimFrames(t, "bla-lw-6.12.pcap")
	all = slices.DeleteFunc(all, func(c captured) bool { return mustInner(t, c.frame).vid != 0 })
	f := func(i int) []byte { return all[i].frame }
	l := newLone(t, 2)
	l.know(hardMAC(1, 0))
	mesh := func(mac batman.MAC) []byte { return clientFrame(hardMAC(2, 0xff), mac, 0, "from the mesh") }
	cc01 := batman.MAC{2, 0xcc, 0, 0, 0, 1}

	l.rx(mesh(hardMAC(1, 1)), batman.TypeUnicast)
	l.expect("claim with our own group", f(1))
	if !l.tx(f(0)) { // v1 claims the same and has the larger group
		t.Error("a claim frame goes into the mesh")
	}
	if l.m.bla.group != 0xa9d9 {
		t.Errorf("group %04x", l.m.bla.group)
	}
	l.tx(f(2)) // unclaim
	l.tx(f(3)) // claim
	l.expect("silence")
	l.tx(f(4)) // announcement with more than we know
	l.expect("request", f(5))
	if l.m.bla.unsynced == 0 {
		t.Error("in step although claims are missing")
	}
	for i := 6; i <= 8; i++ {
		l.tx(f(i))
	}
	before := l.m.bla.unsynced
	l.tx(f(9))
	if got := l.m.bla.backbones[newBLAKey(hardMAC(1, 0), 0)]; got == nil || got.unsynced || l.m.bla.unsynced != before-1 {
		t.Errorf("not in step after the answer: %+v", got)
	}
	l.expect("silence after the answer")

	l.now = l.now.Add(time.Second)
	for _, mac := range []batman.MAC{hardMAC(1, 0xff), hardMAC(2, 2), cc01} {
		l.rx(mesh(mac), batman.TypeUnicast)
	}
	l.expect("claims", f(12), f(13), f(14))
	l.now = l.m.bla.next
	l.m.blaExpire(l.now, &l.out)
	l.expect("announcement", f(10))
	l.tx(f(11)) // v1 asks
	got := l.clients()
	want := [][]byte{f(12), f(13), f(14), f(15)}
	if len(got) != 4 || !bytes.Equal(got[3], f(15)) {
		t.Fatalf("answer %x", got)
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(g []byte) bool { return bytes.Equal(g, w) }) {
			t.Errorf("answer lacks %x", w)
		}
	}
	l.now = l.now.Add(101 * time.Millisecond)
	if l.tx(clientFrame(batman.Broadcast, hardMAC(2, 2), 0, "now here")) {
		t.Log("the broadcast itself is not for the mesh yet: the node is new on the VLAN")
	}
	if l.tx(clientFrame(hardMAC(3, 0xff), hardMAC(2, 2), 0, "now here")) {
		t.Error("the frame of a client that roamed is dropped")
	}
	l.expect("unclaim", f(16))
}

// TestBLARules has one row for each rule about payload.
func TestBLARules(t *testing.T) {
	client, other := hardMAC(50, 1), hardMAC(51, 1)
	bcast := clientFrame(batman.Broadcast, client, 0, "to all")
	ucast := clientFrame(other, client, 0, "to one")
	mcast := clientFrame(batman.MAC{1, 0, 0x5e, 0, 0, 1}, client, 0, "to some")
	foreign := func(l *lone) {
		g := l.m.backbone(l.now, hardMAC(7, 0), 0, &l.out)
		l.m.addClaim(l.now, client, 0, g)
	}
	own := func(l *lone) { l.rx(ucast, batman.TypeUnicast); l.clients() }
	unsynced := func(l *lone) { l.m.unsync(l.m.backbone(l.now, hardMAC(7, 0), 0, &l.out)) }
	old := func(l *lone) { own(l); l.now = l.now.Add(blaRace + 1) }
	const fromLAN = 0xff
	for _, c := range []struct {
		name  string
		prep  func(l *lone)
		frame []byte
		by    batman.PacketType
		drop  bool
		says  int // kind of the frame that answers, or -1
		mine  bool
	}{
		{"unclaimed from mesh, broadcast", nil, bcast, batman.TypeBroadcast, false, blaClaimFrame, true},
		{"unclaimed from mesh, unicast", nil, ucast, batman.TypeUnicast, false, blaClaimFrame, true},
		{"own from mesh, broadcast", own, bcast, batman.TypeBroadcast, false, -1, true},
		{"own from mesh, unicast", own, ucast, batman.TypeUnicast, false, -1, true},
		{"foreign from mesh, broadcast", foreign, bcast, batman.TypeBroadcast, true, -1, false},
		{"foreign from mesh, multicast as unicast", foreign, mcast, batman.TypeUnicast, true, -1, false},
		{"foreign from mesh, multicast as 4ADDR", foreign, bcast, batman.TypeUnicast4, false, blaClaimFrame, true},
		{"foreign from mesh, unicast", foreign, ucast, batman.TypeUnicast, false, blaClaimFrame, true},
		{"unsynced from mesh, broadcast", unsynced, bcast, batman.TypeBroadcast, true, -1, false},
		{"unsynced from mesh, multicast as unicast", unsynced, mcast, batman.TypeUnicast, true, -1, false},
		{"unsynced from mesh, DHCP as 4ADDR", unsynced, bcast, batman.TypeUnicast4, false, blaClaimFrame, true},
		{"unsynced from mesh, unicast", unsynced, ucast, batman.TypeUnicast, false, blaClaimFrame, true},
		{"unclaimed from LAN, broadcast", nil, bcast, fromLAN, false, -1, false},
		{"unclaimed from LAN, unicast", nil, ucast, fromLAN, false, -1, false},
		{"foreign from LAN, broadcast", foreign, bcast, fromLAN, true, -1, false},
		{"foreign from LAN, unicast", foreign, ucast, fromLAN, false, -1, false},
		{"own from LAN, race", own, ucast, fromLAN, true, -1, true},
		{"own from LAN, race, broadcast", own, bcast, fromLAN, true, -1, true},
		{"own from LAN, roamed", old, ucast, fromLAN, false, blaUnclaimFrame, false},
		{"own from LAN, roamed, broadcast", old, bcast, fromLAN, false, blaUnclaimFrame, false},
		{"unsynced from LAN, broadcast", unsynced, bcast, fromLAN, true, -1, false},
		{"unsynced from LAN, unicast", unsynced, ucast, fromLAN, false, -1, false},
	} {
		l := newLone(t, 2)
		l.settle(0)
		if c.prep != nil {
			c.prep(l)
		}
		l.clients()
		var drop bool
		if c.by == fromLAN {
			drop = l.tx(c.frame)
		} else {
			drop = l.rx(c.frame, c.by)
		}
		if drop != c.drop {
			t.Errorf("%s: drop %v, want %v", c.name, drop, c.drop)
		}
		says := -1
		if fs := l.clients(); len(fs) == 1 {
			a, _ := parseClaim(mustInner(t, fs[0]))
			says = int(a.dst[3])
		} else if len(fs) > 1 {
			t.Errorf("%s: says %x", c.name, fs)
		}
		if says != c.says {
			t.Errorf("%s: says %d, want %d", c.name, says, c.says)
		}
		cl := l.m.bla.claims[newBLAKey(client, 0)]
		if mine := cl != nil && cl.by.own; mine != c.mine {
			t.Errorf("%s: claimed by us %v, want %v", c.name, mine, c.mine)
		}
		l.check(c.name)
	}
}

// check compares the CRCs and counts with a recount.
func (l *lone) check(what string) {
	l.t.Helper()
	s := &l.m.bla
	crc := map[*backbone]uint16{}
	for i, c := range s.claimList {
		crc[c.by] ^= crc16(c.client)
		if c.index != i || s.claims[newBLAKey(c.client, c.vid)] != c || s.backbones[newBLAKey(c.by.mac, c.by.vid)] != c.by {
			l.t.Errorf("%s: claim %d is not where it should be", what, i)
		}
	}
	own, unsynced := 0, 0
	for _, g := range s.list {
		if g.crc != crc[g] {
			l.t.Errorf("%s: CRC of %v is %04x, want %04x", what, g.mac, g.crc, crc[g])
		}
		if g.own {
			own++
		}
		if g.unsynced {
			unsynced++
		}
		if g.own != (g.mac == l.m.self()) || s.backbones[newBLAKey(g.mac, g.vid)] != g {
			l.t.Errorf("%s: gateway %v is out of place", what, g.mac)
		}
	}
	if own != s.own || unsynced != s.unsynced || len(s.claims) != len(s.claimList) || len(s.backbones) != len(s.list) {
		l.t.Errorf("%s: own %d/%d unsynced %d/%d claims %d/%d gateways %d/%d", what, own, s.own, unsynced, s.unsynced,
			len(s.claims), len(s.claimList), len(s.backbones), len(s.list))
	}
	if len(s.claimList) > MaxClaims || len(s.list) > MaxBackbones+maxOwnVLANs {
		l.t.Errorf("%s: %d claims, %d gateways", what, len(s.claimList), len(s.list))
	}
}

// TestBLASilence: a new gateway carries no broadcasts for three periods, then
// it does, and announces itself each period.
func TestBLASilence(t *testing.T) {
	l := newLone(t, 2)
	bcast := clientFrame(batman.Broadcast, hardMAC(50, 1), 0x800a, "hello")
	l.tx(bcast)
	fs := l.clients()
	if len(fs) != 1 || fmt.Sprintf("%x", fs[0][12:20]) != "8100000a08060001" {
		t.Fatalf("first announcement: %x", fs)
	}
	for period := 1; period <= 3; period++ {
		if !l.tx(bcast) || !l.rx(bcast, batman.TypeBroadcast) {
			t.Errorf("a broadcast passes before period %d ended", period)
		}
		l.now = l.m.blaDeadline()
		l.m.blaExpire(l.now, &l.out)
		if n := len(l.clients()); n != 1 {
			t.Errorf("period %d: %d frames", period, n)
		}
	}
	if l.now != mono.Time(3*blaPeriod) || l.tx(bcast) {
		t.Errorf("still silent at %v", l.now)
	}
}

func TestBLATimeouts(t *testing.T) {
	l := newLone(t, 2)
	l.settle(0)
	mine, theirs := hardMAC(50, 1), hardMAC(51, 1)
	l.rx(clientFrame(hardMAC(2, 0xff), mine, 0, ""), batman.TypeUnicast)
	l.m.addClaim(l.now, theirs, 0, l.m.backbone(l.now, hardMAC(7, 0), 0, &l.out))
	l.clients()
	start := l.now
	var unclaimed, gone time.Duration
	for l.now.Sub(start) < 3*time.Minute {
		l.now = l.m.blaDeadline()
		l.m.blaExpire(l.now, &l.out)
		for _, b := range l.clients() {
			if a, _ := parseClaim(mustInner(t, b)); a.dst[3] == blaUnclaimFrame && a.src == mine {
				unclaimed = l.now.Sub(start)
			}
		}
		if gone == 0 && !l.m.blaBackbone(hardMAC(7, 0), 0) {
			gone = l.now.Sub(start)
		}
		l.check("timeouts")
	}
	if unclaimed < blaClaimGone || unclaimed > blaClaimGone+blaPeriod {
		t.Errorf("unclaimed after %v", unclaimed)
	}
	if gone < blaGone || gone > blaGone+blaPeriod {
		t.Errorf("the other gateway is gone after %v", gone)
	}
	if len(l.m.bla.claims) != 0 || len(l.m.bla.list) != 1 {
		t.Errorf("%d claims, %d gateways left", len(l.m.bla.claims), len(l.m.bla.list))
	}
}

// bridge lets gateways talk on one LAN until all is said.
func bridge(ls ...*lone) {
	for said := true; said; {
		said = false
		for _, l := range ls {
			for _, f := range l.clients() {
				said = true
				for _, o := range ls {
					if o != l {
						o.tx(f)
					}
				}
			}
		}
	}
}

// TestBLAGroups: three gateways agree on the largest group and on who claims
// what, after one lost frames and after one changed its name.
func TestBLAGroups(t *testing.T) {
	var ls []*lone
	for n := 1; n <= 3; n++ {
		l := newLone(t, n)
		for o := 1; o <= 4; o++ {
			if o != n {
				l.know(hardMAC(o, 0))
			}
		}
		ls = append(ls, l)
	}
	a, b, c := ls[0], ls[1], ls[2]
	now := mono.Time(0)
	step := func() { // a period
		for end := now.Add(blaPeriod); ; {
			now = min(a.m.blaDeadline(), b.m.blaDeadline(), c.m.blaDeadline(), end)
			for _, l := range ls {
				l.now = now
				l.m.blaExpire(now, &l.out)
				bridge(ls...)
				l.check("groups")
			}
			if now == end {
				return
			}
		}
	}
	for _, l := range ls {
		l.tx(clientFrame(batman.Broadcast, hardMAC(90, 1), 0, ""))
		bridge(ls...)
	}
	for range 4 {
		step()
	}
	for _, l := range ls {
		if l.m.bla.group != max(crc16(hardMAC(1, 0)), crc16(hardMAC(2, 0)), crc16(hardMAC(3, 0))) || l.m.bla.unsynced != 0 || len(l.m.bla.list) != 3 {
			t.Errorf("node %v: group %04x, %d unsynced, %d gateways", l.m.self(), l.m.bla.group, l.m.bla.unsynced, len(l.m.bla.list))
		}
	}
	// claims that nobody hears
	for i := range 199 { // of 200 in a row the CRCs would cancel out
		a.rx(clientFrame(hardMAC(1, 0xff), hardMAC(60, i), 0, ""), batman.TypeUnicast)
	}
	a.clients()
	step()
	step()
	for _, l := range ls {
		if n := len(l.m.bla.claims); n != 199 {
			t.Errorf("node %v knows %d claims of 199", l.m.self(), n)
		}
	}
	if !b.m.blaClaimedElsewhere(hardMAC(60, 7), 0) || a.m.blaClaimedElsewhere(hardMAC(60, 7), 0) {
		t.Error("claimed elsewhere is wrong")
	}
	// unicast through b: b takes over
	b.rx(clientFrame(hardMAC(1, 0xff), hardMAC(60, 7), 0, ""), batman.TypeUnicast)
	bridge(ls...)
	if !a.m.blaClaimedElsewhere(hardMAC(60, 7), 0) || b.m.blaClaimedElsewhere(hardMAC(60, 7), 0) || !c.m.blaClaimedElsewhere(hardMAC(60, 7), 0) {
		t.Error("the claim did not move")
	}
	// another name
	if err := a.m.SetIface(a.now, 0, IfaceConfig{Name: "eth0", MAC: hardMAC(4, 0), MTU: 1500}, &a.out); err != nil {
		t.Fatal(err)
	}
	a.tx(clientFrame(batman.Broadcast, hardMAC(90, 1), 0, ""))
	bridge(ls...)
	a.check("renamed")
	for range 8 {
		step()
	}
	if b.m.blaBackbone(hardMAC(1, 0), 0) || !b.m.blaBackbone(hardMAC(4, 0), 0) {
		t.Error("the new name is not known, or the old one still is")
	}
}

// TestBLAOtherMesh: gateways of another mesh are left alone, but their frames
// do not enter ours.
func TestBLAOtherMesh(t *testing.T) {
	l := newLone(t, 2)
	x := newLone(t, 9)
	x.tx(clientFrame(batman.Broadcast, hardMAC(90, 1), 0, ""))
	for _, f := range x.clients() {
		if !l.tx(f) {
			t.Error("enters the mesh")
		}
	}
	if len(l.m.bla.list) != 0 {
		t.Error("is taken for one of ours")
	}
	// our own frame comes back
	l.tx(clientFrame(batman.Broadcast, hardMAC(90, 1), 0, ""))
	for _, f := range l.clients() {
		if !l.tx(f) {
			t.Error("our own frame enters the mesh")
		}
		if !l.rx(f, batman.TypeBroadcast) {
			t.Error("a claim frame comes out of the mesh")
		}
	}
	// in two tags
	f := arpFrame(batman.Broadcast, hardMAC(9, 0), 0x8005, arp{op: arpReply, dst: batman.MAC{0xff, 0x43, 5, 0, 1, 2}})
	f = append(f[:12:12], append([]byte{0x81, 0, 0, 7}, f[12:]...)...)
	if !l.tx(f) || !l.rx(f, batman.TypeBroadcast) {
		t.Error("a claim frame in two tags passes")
	}
}

func TestBLALoopDetection(t *testing.T) {
	l := newLone(t, 2)
	l.settle(0)
	var frame []byte
	for frame == nil {
		l.now = l.m.blaDeadline()
		l.m.blaExpire(l.now, &l.out)
		for _, f := range l.clients() {
			if _, k := parseClaim(mustInner(t, f)); k == loopClaim {
				frame = f
			}
		}
	}
	if l.now != mono.Time(blaLoopPeriods*blaPeriod) || !l.m.blaLoopMAC(batman.MAC(frame[6:12])) {
		t.Errorf("at %v: %x", l.now, frame)
	}
	if l.tx(frame) { // of another node, say: it must travel
		t.Error("does not enter the mesh")
	}
	l.out.Events = nil
	l.now = l.now.Add(time.Second)
	for range 3 {
		if !l.rx(frame, batman.TypeBroadcast) {
			t.Error("goes round")
		}
	}
	if len(l.out.Events) != 1 || l.out.Events[0].Kind != EventLoop {
		t.Errorf("events %+v", l.out.Events)
	}
	l.out.Events = nil
	l.now = l.now.Add(blaLoopTimeout)
	if !l.rx(frame, batman.TypeBroadcast) || len(l.out.Events) != 0 {
		t.Error("too late, and yet a loop")
	}
}

func TestBLADuplicates(t *testing.T) {
	l := newLone(t, 2)
	now := mono.Time(0)
	dup := func(text string, orig batman.MAC) bool { return l.m.blaDuplicate(now, []byte(text), orig) }
	a, b := hardMAC(1, 0), hardMAC(3, 0)
	for _, c := range []struct {
		after time.Duration
		text  string
		orig  batman.MAC
		want  bool
	}{
		{0, "x", a, false},
		{0, "x", a, false}, // the same sender may repeat himself
		{0, "x", b, true},
		{0, "y", b, false},
		{0, "x", batman.MAC{}, true}, // unknown sender
		{499 * time.Millisecond, "x", b, true},
		{2 * time.Millisecond, "x", b, false},
	} {
		now = now.Add(c.after)
		if got := dup(c.text, c.orig); got != c.want {
			t.Errorf("at %v %q of %v: %v", now, c.text, c.orig, got)
		}
	}
	for i := range blaDupSize {
		dup(fmt.Sprint(i), a)
	}
	if dup("x", a) {
		t.Error("17 frames are remembered")
	}
	for i := 1; i < blaDupSize; i++ {
		if !dup(fmt.Sprint(i), b) {
			t.Errorf("frame %d of 16 is forgotten", i)
		}
	}
}

// TestBLAFlood: clients and gateways by the thousand cost bounded memory and
// leave what is there.
func TestBLAFlood(t *testing.T) {
	l := newLone(t, 2)
	l.settle(0)
	keep := hardMAC(50, 1)
	l.rx(clientFrame(hardMAC(2, 0xff), keep, 0, ""), batman.TypeUnicast)
	r := rand.New(rand.NewPCG(1, 2))
	mac := func() (m batman.MAC) {
		binary.BigEndian.PutUint32(m[2:], r.Uint32())
		m[0] = 2
		return m
	}
	x := newLone(t, 9)
	x.m.bla.group = l.m.bla.group
	for range 20000 {
		l.tx(arpFrame(batman.Broadcast, mac(), 0, arp{op: arpReply, src: hardMAC(7, 0), dst: batman.MAC{0xff, 0x43, 5, 0, byte(l.m.bla.group >> 8), byte(l.m.bla.group)}}))
	}
	if n := len(l.m.bla.claims); n != MaxClaims-claimReserve+0 {
		t.Errorf("%d claims after a flood of foreign ones", n)
	}
	for range 20000 {
		l.rx(clientFrame(hardMAC(2, 0xff), mac(), 0, ""), batman.TypeUnicast)
		l.clients()
	}
	for range 3000 {
		l.tx(arpFrame(batman.Broadcast, hardMAC(50, 9), 0, arp{op: arpReply, src: mac(), dst: batman.MAC{0xff, 0x43, 5, 0, byte(l.m.bla.group >> 8), byte(l.m.bla.group)}}))
	}
	for v := range 4000 {
		l.tx(clientFrame(batman.Broadcast, mac(), batman.VLANTag|batman.VID(v+1), ""))
		l.clients()
	}
	l.check("flood")
	if c := l.m.bla.claims[newBLAKey(keep, 0)]; c == nil || !c.by.own {
		t.Error("the claim from before is gone")
	}
	// a request for thousands of claims is answered little by little, and not at every call
	l.clients()
	ask := arpFrame(hardMAC(2, 0), hardMAC(7, 0), 0, arp{op: arpReply, src: hardMAC(2, 0), dst: batman.MAC{0xff, 0x43, 5, 3, byte(l.m.bla.group >> 8), byte(l.m.bla.group)}})
	sent := 0
	for range 1000 {
		l.tx(ask)
		n := len(l.clients())
		if n > blaAnswerChunk+1 {
			t.Fatalf("%d frames at once", n)
		}
		sent += n
	}
	if sent > blaAnswerChunk {
		t.Errorf("%d frames for 1000 requests at once", sent)
	}
	mine := 0
	for _, c := range l.m.bla.claimList {
		if c.by.own && c.vid == 0 {
			mine++
		}
	}
	for l.m.bla.answering != mono.Never {
		l.now = l.m.blaDeadline()
		l.m.blaExpire(l.now, &l.out)
		sent += len(l.clients())
	}
	if sent < mine+1 || sent > mine+1+200 { // with the announcements of a period that may lie in between
		t.Errorf("%d frames for %d claims", sent, mine)
	}
}

func TestBLAOff(t *testing.T) {
	l := newLone(t, 2)
	l.settle(0)
	l.rx(clientFrame(hardMAC(2, 0xff), hardMAC(50, 1), 0, ""), batman.TypeUnicast)
	l.m.backbone(l.now, hardMAC(7, 0), 0, &l.out)
	l.m.cfg.BLA = false
	if l.m.blaBackbone(hardMAC(7, 0), 0) {
		t.Error("still a gateway")
	}
	l.clients()
	if l.tx(clientFrame(batman.Broadcast, hardMAC(50, 1), 0, "")) || l.rx(clientFrame(batman.Broadcast, hardMAC(51, 1), 0, ""), batman.TypeBroadcast) {
		t.Error("drops")
	}
	l.now = l.m.blaDeadline()
	l.m.blaExpire(l.now, &l.out)
	if n := len(l.clients()); n != 0 || len(l.m.bla.claims)+len(l.m.bla.list)+l.m.bla.unsynced != 0 {
		t.Errorf("%d frames; %d claims, %d gateways", n, len(l.m.bla.claims), len(l.m.bla.list))
	}
}

// FuzzBLA drives the claims with frames from both sides and time.
func FuzzBLA(f *testing.F) {
	for _, c := range claimFrames(f, "bla-lw-6.12.pcap") {
		f.Add(append([]byte{0, byte(len(c.frame))}, c.frame...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		l := newLone(t, 2)
		l.know(hardMAC(1, 0))
		for len(in) >= 2 {
			op, n := in[0], min(int(in[1]), len(in)-2)
			b := in[2 : 2+n]
			in = in[2+n:]
			fr, ok := parseInner(b)
			switch {
			case op&3 == 3:
				l.now = l.now.Add(time.Duration(op) * 200 * time.Millisecond)
				if l.m.blaDeadline() <= l.now {
					l.m.blaExpire(l.now, &l.out)
				}
			case !ok:
			case op&3 == 0:
				l.m.blaTx(l.now, fr, &l.out)
			case op&3 == 1:
				l.m.blaRx(l.now, fr, batman.TypeBroadcast, &l.out)
			default:
				l.m.blaRx(l.now, fr, batman.TypeUnicast, &l.out)
			}
			for _, c := range l.clients() {
				if _, k := parseClaim(mustInner(t, c)); k != goodClaim && k != loopClaim {
					t.Fatalf("said %x", c)
				}
			}
		}
		l.check("fuzz")
	})
}

// TestBLAAllocs: frames of known clients cost no memory.
func TestBLAAllocs(t *testing.T) {
	l := newLone(t, 2)
	l.settle(0)
	far := mustInner(t, clientFrame(hardMAC(2, 0xff), hardMAC(50, 1), 0, "from the mesh"))
	near := mustInner(t, clientFrame(hardMAC(50, 1), hardMAC(2, 0xff), 0, "from the LAN"))
	l.m.blaRx(l.now, far, batman.TypeUnicast, &l.out)
	if n := testing.AllocsPerRun(100, func() {
		if l.m.blaRx(l.now, far, batman.TypeUnicast, &l.out) || l.m.blaTx(l.now, near, &l.out) {
			t.Fatal("dropped")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkBLA is the cost of one frame in each direction, with 1000 claims.
func BenchmarkBLA(b *testing.B) {
	l := newLone(b, 2)
	l.settle(0)
	for i := range 1000 {
		l.rx(clientFrame(hardMAC(2, 0xff), hardMAC(i, 1), 0, ""), batman.TypeUnicast)
	}
	l.clients()
	far := mustInner(b, clientFrame(hardMAC(2, 0xff), hardMAC(500, 1), 0, "from the mesh"))
	near := mustInner(b, clientFrame(hardMAC(500, 1), hardMAC(2, 0xff), 0, "from the LAN"))
	b.ReportAllocs()
	for b.Loop() {
		l.m.blaRx(l.now, far, batman.TypeUnicast, &l.out)
		l.m.blaTx(l.now, near, &l.out)
	}
}

// TestBLARace: of two gateways that claim a client at once exactly one keeps
// it, whether the other gives way as the kernel does or settles too.
func TestBLARace(t *testing.T) {
	client := hardMAC(60, 1)
	frame := clientFrame(batman.Broadcast, client, 0, "heard by both")
	for seed := range 50 {
		a, b := newLone(t, 1), newLone(t, 2)
		a.know(hardMAC(2, 0))
		b.know(hardMAC(1, 0))
		for _, l := range []*lone{a, b} {
			l.settle(0)
			l.m.bla.group = 0xa9d9
			l.m.rng = rand.New(rand.NewPCG(uint64(seed), uint64(l.m.self()[4])))
		}
		kernel := seed%2 == 0 // b is one: it settles nothing
		bridge(a, b)
		a.rx(frame, batman.TypeBroadcast)
		b.rx(frame, batman.TypeBroadcast)
		fa, fb := a.clients(), b.clients()
		for _, f := range fa {
			b.tx(f)
		}
		for _, f := range fb {
			a.tx(f)
		}
		owns := func(l *lone) bool { c := l.m.bla.claims[newBLAKey(client, 0)]; return c != nil && c.by.own }
		if owns(a) || owns(b) {
			t.Fatal("no race")
		}
		start := a.now
		for a.now.Sub(start) < 100*time.Millisecond {
			a.now = a.now.Add(100 * time.Microsecond)
			b.now = a.now
			a.m.blaExpire(a.now, &a.out)
			if !kernel {
				b.m.blaExpire(b.now, &b.out)
			}
			fa, fb := a.clients(), b.clients() // the cable takes its time
			for _, f := range fa {
				b.tx(f)
			}
			for _, f := range fb {
				a.tx(f)
			}
		}
		if owns(a) == owns(b) || kernel && !owns(a) {
			t.Errorf("seed %d: a owns %v, b owns %v", seed, owns(a), owns(b))
		}
		a.check("race")
		b.check("race")
	}
}

// TestBLARaceEnds: a gateway that goes on claiming a client gets it.
func TestBLARaceEnds(t *testing.T) {
	l := newLone(t, 2)
	l.settle(0)
	client := hardMAC(60, 1)
	l.rx(clientFrame(batman.Broadcast, client, 0, ""), batman.TypeBroadcast)
	again := 0
	for range 200 {
		l.clients()
		l.tx(arpFrame(batman.Broadcast, client, 0, arp{op: arpReply, src: hardMAC(7, 0), dst: batman.MAC{0xff, 0x43, 5, 0, byte(l.m.bla.group >> 8), byte(l.m.bla.group)}}))
		l.now = l.now.Add(20 * time.Millisecond)
		l.m.blaExpire(l.now, &l.out)
		again += len(l.clients())
	}
	if again > blaRaceTries || !l.m.blaClaimedElsewhere(client, 0) {
		t.Errorf("claimed again %d times", again)
	}
}
