package node

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/pkt"
)

// meshPair returns two nodes in one mesh that know of each other.
func meshPair(t *testing.T, seed uint64) (w *world, a, b *host) {
	t.Helper()
	w = newWorld(t, seed)
	a, b = w.host("a", -1), w.host("b", -1)
	w.introduce()
	return w, a, b
}

// asked counts the wishes of a kind that h has had, and forgets them all.
func (h *host) asked(k AskKind) (c int) {
	for _, a := range h.asks {
		if a.Kind == k {
			c++
		}
	}
	h.asks = nil
	return c
}

// meshMove gives h another address in the mesh; nobody is told.
func (h *host) meshMove(last byte) { h.mac = pkt.MACAddr([6]byte{2, 0, 0, 0, 1, last}) }

func TestMeshPeeringIsGivenUp(t *testing.T) {
	w, a, b := meshPair(t, 220)
	a.tell(b, "hello")
	w.run(time.Second)
	if a.meshPeers() != 1 {
		t.Fatal("no peering")
	}
	w.run(100 * time.Second)
	if a.meshPeers() != 1 || b.meshPeers() != 1 {
		t.Error("a peering ended before its time")
	}
	w.run(60 * time.Second)
	if len(a.node.peers)+len(b.node.peers) != 0 {
		w.dump()
		t.Fatal("a peering that nobody uses is kept")
	}
	frames := 0
	w.tap = func(_, _ *host, _ []byte) { frames++ }
	w.run(5 * time.Minute)
	if frames != 0 {
		t.Errorf("%d frames between nodes that want nothing of each other", frames)
	}
	if n := len(a.node.mesh.slots.resting); n != 0 {
		t.Errorf("%d slots still rest", n)
	}
	w.flows(a, b, time.Second)
}

// One end gives a peering up while the other still has it: they do not call
// each other for ever.
func TestMeshPeeringEndsOnBothSides(t *testing.T) {
	w, a, b := meshPair(t, 221)
	a.tell(b, "hello")
	w.run(40 * time.Second)
	a.node.removePeer(w.now, a.node.peers[0], &a.out)
	a.drain()
	w.run(20 * time.Second)
	if len(a.node.peers)+len(b.node.peers) != 0 {
		w.dump()
		t.Error("the other end has not given up, or has called again")
	}
}

func TestMeshNodeRestarts(t *testing.T) {
	w, a, b := meshPair(t, 222)
	w.flows(a, b, time.Second)
	w.run(5 * time.Second)
	port := a.node.peers[0].port
	b.boot()
	w.introduce()
	t.Logf("from the other: %v", w.flows(a, b, time.Second))
	if len(a.node.peers) != 1 || a.node.peers[0].port != port {
		t.Error("the peering lost its slot")
	}
	b.boot()
	w.introduce()
	t.Logf("from the one that restarted: %v", w.flows(b, a, time.Second))
}

// Handshakes of a key of which the mesh has not told are dropped, but make
// the node ask; the caller repeats, and gets in.
// TestMeshLost: the mesh begins anew. The peering waits until it tells of the
// node again, and keeps its slot.
func TestMeshLost(t *testing.T) {
	w := newWorld(t, 211)
	a, b := w.host("a", -1), w.host("b", -1)
	w.introduce()
	a.tell(b, "hello")
	w.until(time.Second, "the first packet", func() bool { return b.heard("hello") })
	port := a.node.peers[0].port
	a.node.MeshLost(w.now, &a.out)
	a.drain()
	if a.meshPeers() != 0 || a.node.InMesh(b.id.Public) || len(a.node.peers) != 1 {
		t.Fatalf("%d peerings are up", a.meshPeers())
	}
	w.run(time.Second)
	w.introduce()
	w.until(2*time.Second, "the peering", func() bool { return a.meshPeers() == 1 })
	if a.node.peers[0].port != port {
		t.Errorf("slot %d, before %d", a.node.peers[0].port, port)
	}
	w.talk(time.Second)
}

func TestMeshStrangerIsAskedFor(t *testing.T) {
	w := newWorld(t, 223)
	a, b := w.host("a", -1), w.host("b", -1)
	a.told(b.meshNode())
	a.tell(b, "hello")
	w.run(time.Second)
	if len(b.node.peers) != 0 {
		t.Fatal("a key that the mesh does not know came in")
	}
	if n := b.asked(AskRecord); n == 0 || n > 11 {
		t.Errorf("asked %d times for the stranger's record", n)
	}
	if b.node.Status(w.now).Drops["mesh-unknown"] == 0 {
		t.Errorf("not counted: %v", b.node.Status(w.now).Drops)
	}
	b.told(a.meshNode())
	t.Logf("in after %v", w.until(2*time.Second, "a gets in", func() bool { return a.up(b) && b.up(a) }))
	// A flood of such keys is asked about at a limited rate.
	hello := make([]byte, 120)
	for i := range 1000 {
		w.random(hello)
		copy(hello, []byte{0, 0, 0, 0})
		b.receive(0, pkt.MACAddr([6]byte{2, byte(i >> 8), byte(i)}), hello)
	}
	if n := b.asked(AskRecord); n > 11 {
		t.Errorf("asked %d times in one instant", n)
	}
	if len(b.node.peers) != 1 {
		t.Error("a flood of keys made peers")
	}
}

func TestMeshAdmission(t *testing.T) {
	w, a, b := meshPair(t, 224)
	b.node.SetAdmission(AdmitListed)
	a.tell(b, "hello")
	w.run(2 * time.Second)
	if a.up(b) || b.up(a) || b.node.Status(w.now).Drops["not-admitted"] == 0 {
		t.Errorf("came in without being admitted: %v", b.node.Status(w.now).Drops)
	}
	b.node.Admit(w.now, a.id.Public, true, &b.out)
	w.until(time.Second, "the admitted gets in", func() bool { return a.up(b) && b.up(a) })
	w.flows(a, b, time.Second)
	b.node.Admit(w.now, a.id.Public, false, &b.out)
	w.run(2 * time.Second)
	if b.up(a) {
		t.Error("who is no longer admitted stays")
	}
	a.tell(b, "again")
	w.run(2 * time.Second)
	if b.up(a) || b.heard("again") {
		t.Error("who is no longer admitted comes back")
	}
	// We do not call whom we do not admit either.
	b.tell(a, "from b")
	w.run(time.Second)
	if len(b.node.peers) != 0 {
		t.Error("somebody who is not admitted is called")
	}
}

// A password that was given out lets in whom the admission does not; that of
// our beacons lets in nobody.
func TestMeshPasswords(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     bool
		choose func(b *host) []byte
	}{
		{"invite", true, func(b *host) []byte { b.user("invite"); return []byte("invite") }},
		{"beacon", false, func(b *host) []byte { return b.node.beacon.Password[:] }},
		{"wrong", false, func(*host) []byte { return []byte("wrong") }},
	} {
		w, a, b := meshPair(t, 225)
		b.node.SetAdmission(AdmitListed)
		l := a.node.meshLink()
		p := a.node.addMeshPeer(w.now, l, a.node.mesh.nodes[b.id.IP])
		p.ca = cryptoauth.New(&a.node.meshCA, cryptoauth.Options{Key: b.id.Public, Password: c.choose(b)}, w.now)
		a.node.knock(w.now, p, &a.out)
		a.drain()
		w.run(2 * time.Second)
		if b.up(a) != c.in {
			t.Errorf("%s: in is %v", c.name, b.up(a))
		}
	}
}

// Where a peer is says the mesh, never a packet.
func TestMeshAddressIsOnlyTold(t *testing.T) {
	w, a, b := meshPair(t, 226)
	w.flows(a, b, time.Second)
	p := b.node.peers[0]
	old, port, ca := p.addr, p.port, p.ca
	a.meshMove(7)
	a.tell(b, "from elsewhere")
	w.run(50 * time.Millisecond)
	if !b.heard("from elsewhere") {
		t.Error("traffic that opens in the session was refused for its source")
	}
	if p.addr != old {
		t.Fatal("the source of a packet moved a peer")
	}
	gone := a.meshNode()
	gone.MAC, gone.Reachable = old.MAC(), false
	b.told(a.meshNode())
	if p.addr != a.mac {
		t.Fatal("the mesh told of another address, and the peer has not moved")
	}
	b.told(gone)
	t.Logf("after the move: %v", w.flows(b, a, time.Second))
	if len(b.node.peers) != 1 || p.port != port || p.ca != ca || b.node.byAddr[peerKey{0, a.mac}] != p || b.node.byAddr[peerKey{0, old}] != nil {
		t.Error("slot, session or index were not kept")
	}
}

// Two keys claim one address: both are called, and the one that is there
// works, whichever was called first.
func TestMeshAddressOfTwoKeys(t *testing.T) {
	w := newWorld(t, 227)
	a, b, liar := w.host("a", -1), w.host("b", -1), w.host("liar")
	w.introduce()
	a.told(MeshNode{Key: liar.id.Public, IP: liar.id.IP, MAC: b.mac.MAC(), Metric: 255, Reachable: true})
	a.tell(liar, "to the liar")
	w.run(100 * time.Millisecond)
	t.Logf("the true one after %v", w.flows(a, b, time.Second))
	a.tell(liar, "to the liar")
	w.run(2 * time.Second)
	w.flows(a, b, 100*time.Millisecond)
	w.flows(b, a, 100*time.Millisecond)
	// The liar is called while the true one sends much: nothing of that is
	// lost or looked for by trying.
	w.run(20 * time.Second)
	w.flows(a, b, time.Second)
	a.tell(liar, "to the liar")
	if a.node.mesh.peers[liar.id.IP] == nil {
		t.Fatal("the liar was not called")
	}
	a.got = nil
	for range 500 {
		b.tell(a, "many")
	}
	w.run(50 * time.Millisecond)
	many := 0
	for _, p := range a.got {
		if string(p[ip6HeaderLen:]) == "many" {
			many++
		}
	}
	if many != 500 {
		t.Errorf("%d of 500 packets arrived", many)
	}
}

// A message goes out although the way to its receiver opens only later.
func TestMessageWaitsForTheWay(t *testing.T) {
	w := newWorld(t, 236)
	a, b := w.host("a", -1), w.host("b", -1)
	if !a.node.SendMessage(w.now, b.id.IP, []byte("later"), &a.out) {
		t.Fatal("refused")
	}
	a.drain()
	w.run(4 * time.Second)
	w.introduce()
	w.until(3*time.Second, "the message", func() bool { return len(b.letters) == 1 })
}

func TestOneKeyOnTwoMeshAddresses(t *testing.T) {
	w, a, b := meshPair(t, 228)
	two := b.meshNode()
	two.MAC[5], two.Boot = 99, two.Boot-1
	a.told(two)
	e := a.node.mesh.nodes[b.id.IP]
	if e.addr() != b.mac {
		t.Error("an older boot counter is preferred")
	}
	if !slices.ContainsFunc(a.evs, func(e Event) bool { return e.Kind == EventSameKey }) {
		t.Error("not reported")
	}
	a.evs = nil
	two.Boot += 2
	a.told(two)
	if len(a.evs) != 0 {
		t.Error("a newer boot counter at another address, which may be a restart, is reported at once")
	}
	w.run(2 * twinTold)
	old := b.meshNode()
	old.Metric--
	a.told(old)
	if len(a.evs) == 0 {
		t.Error("both addresses are there after long, and it is not reported")
	}
	if e.addr() == b.mac || len(e.macs) != 2 {
		t.Error("the newer boot counter is not preferred")
	}
	for i := range 20 {
		two.MAC[4] = byte(i)
		a.told(two)
	}
	if len(e.macs) > maxMeshMACs {
		t.Errorf("%d addresses of one key", len(e.macs))
	}
	self := a.meshNode()
	a.evs = nil
	a.told(self)
	if len(a.evs) != 1 || a.evs[0].Kind != EventSameKey || a.node.mesh.nodes[a.id.IP] != nil {
		t.Error("our own key in the mesh was not reported")
	}
	last := b.meshNode()
	last.Boot = 1000
	a.told(last)
	w.flows(a, b, time.Second)
}

func TestMeshNodesAreBounded(t *testing.T) {
	w, a, _ := meshPair(t, 229)
	for i := range MaxMeshNodes + 100 {
		k := cjdns.Key{1, byte(i), byte(i >> 8)}
		ip := k.IP() // not valid for most: the table takes none of those
		a.node.SetMeshNode(w.now, MeshNode{Key: k, IP: ip, Reachable: true}, &a.out)
		a.node.mesh.nodes[cjdns.IP{0xfc, byte(i), byte(i >> 8)}] = &meshNode{macs: make([]MeshNode, 1)}
		if len(a.node.mesh.nodes) >= MaxMeshNodes {
			break
		}
	}
	before := a.node.drops[dropTableFull]
	late := w.host("late", -1)
	a.told(late.meshNode())
	if a.node.drops[dropTableFull] != before+1 || len(a.node.mesh.nodes) > MaxMeshNodes {
		t.Errorf("%d mesh nodes", len(a.node.mesh.nodes))
	}
}

// More nodes than there are slots: the peerings are bounded, low slots stay
// free, and only what is unused gives way.
func TestMeshSlots(t *testing.T) {
	w := newWorld(t, 230)
	hub := w.host("hub", -1)
	var others []*host
	for i := range MaxMeshPeers + 16 {
		h := w.host(fmt.Sprint(i), -1)
		hub.told(h.meshNode())
		h.told(hub.meshNode())
		others = append(others, h)
	}
	w.calm()
	for _, h := range others {
		h.tell(hub, "hello")
	}
	w.run(time.Second)
	if n := hub.meshPeers(); n != MaxMeshPeers {
		t.Fatalf("%d peerings, want %d", n, MaxMeshPeers)
	}
	if hub.node.Status(w.now).Drops["mesh-full"] == 0 {
		t.Error("refused peerings are not counted")
	}
	for _, p := range hub.node.peers {
		if p.hasPort && (p.port < firstMeshSlot || cjdns.DirectorBits(p.label) == 4) {
			t.Fatalf("slot %d", p.port)
		}
	}
	// The first ones stay in use; the rest is idle for 40 s.
	for range 8 {
		for _, h := range others[:20] {
			h.tell(hub, "still here")
		}
		w.run(5 * time.Second)
	}
	used := map[cjdns.Key]uint16{}
	for _, h := range others[:20] {
		used[h.id.Public] = uint16(hub.node.mesh.peers[h.id.IP].port)
	}
	for i, h := range others[MaxMeshPeers:] {
		text := fmt.Sprintf("late %d", i)
		next := w.now
		w.until(2*time.Second, "one gives way", func() bool {
			if w.now >= next {
				h.tell(hub, text)
				next = w.now.Add(200 * time.Millisecond)
			}
			return hub.heard(text)
		})
	}
	for k, port := range used {
		p := hub.node.mesh.peers[k.IP()]
		if p == nil || uint16(p.port) != port {
			t.Fatal("a peering in use gave way")
		}
	}
	if n := len(hub.node.mesh.slots.resting); n != 16 {
		t.Errorf("%d slots rest, want 16", n)
	}
	if p, ok := hub.node.ports.Free(0); !ok || p != 0 {
		t.Errorf("the lowest free slot is %d", p)
	}
}

func TestUplinksDoNotAlternate(t *testing.T) {
	w := newWorld(t, 231)
	a := w.host("a", -1)
	outside := w.host("outside", 0)
	outside.user("p")
	var ups []*host
	for i := range 4 {
		h := w.host(fmt.Sprint(i), 0, -1)
		h.dial(outside, "p")
		ups = append(ups, h)
	}
	w.run(time.Second)
	w.introduce()
	w.flows(a, outside, 2*time.Second)
	if n := a.meshPeers(); n != maxUplinks {
		t.Errorf("%d uplinks", n)
	}
	changes := 0
	last := a.node.mesh.uplinks.chosen
	for i := range 60 {
		for j, h := range ups { // qualities come and go
			m := h.meshNode()
			m.Metric = uint8(180 + 30*((i+j)%2) + w.rng.IntN(10))
			a.told(m)
		}
		a.tell(w.hosts[len(w.hosts)-1-i%2], "x")
		a.node.callUplinks(w.now, &a.out)
		a.drain()
		if a.node.mesh.uplinks.chosen != last {
			changes, last = changes+1, a.node.mesh.uplinks.chosen
		}
		w.run(time.Second)
	}
	if changes != 0 {
		t.Errorf("%d changes of uplinks that are much alike", changes)
	}
	m := ups[0].meshNode()
	for _, h := range ups[1:] {
		if !slices.Contains(last[:], h.id.IP) {
			m = h.meshNode()
		}
	}
	if slices.Contains(last[:], m.IP) {
		t.Fatal("the test does not know which uplink is unused")
	}
	m.Metric = 255
	a.told(m)
	w.run(11 * time.Second)
	a.node.callUplinks(w.now, &a.out)
	if !slices.Contains(a.node.mesh.uplinks.chosen[:], m.IP) {
		t.Error("a much better uplink is not taken")
	}
	a.drain()
}

func TestHasUplink(t *testing.T) {
	w := islands(t, 232, 2, 1)
	if w.hosts[0].node.HasUplink() || !w.hosts[1].node.HasUplink() || !w.hosts[2].node.HasUplink() {
		t.Error("wrong about who has an uplink")
	}
	w.talk(2 * time.Second)
	if w.hosts[0].node.HasUplink() {
		t.Error("a mesh peering is no uplink")
	}
}

func TestMessages(t *testing.T) {
	w := islands(t, 233, 3, 2)
	a, z := w.hosts[0], w.hosts[4]
	body := bytes.Repeat([]byte("m"), MaxMessage)
	if !a.node.SendMessage(w.now, z.id.IP, body, &a.out) {
		t.Fatal("a message was refused")
	}
	a.drain()
	w.until(2*time.Second, "the message", func() bool { return len(z.letters) == 1 })
	if m := z.letters[0]; m.From != a.id.Public || m.IP != a.id.IP || !bytes.Equal(m.Body, body) {
		t.Errorf("message of %d bytes from %v", len(m.Body), m.IP)
	}
	if a.node.SendMessage(w.now, z.id.IP, append(body, 1), &a.out) || a.node.SendMessage(w.now, z.id.IP, nil, &a.out) {
		t.Error("a message of a wrong size was taken")
	}
	for range 500 {
		a.node.SendMessage(w.now, z.id.IP, body, &a.out)
	}
	a.drain()
	w.run(time.Second)
	if n := len(z.letters); n > 32 {
		t.Errorf("%d messages of one sender in a second", n)
	}
	nobody := w.host("nobody", 0)
	taken := 0
	for range 100 {
		if a.node.SendMessage(w.now, nobody.id.IP, body, &a.out) {
			taken++
		}
	}
	a.drain()
	if taken > maxLetters {
		t.Errorf("%d messages wait", taken)
	}
	w.run(11 * time.Second)
	if n := len(a.node.mail.waiting); n != 0 {
		t.Errorf("%d messages still wait", n)
	}
}

// Who dials without a password sends its introduction first, and is let in
// once it is admitted.
func TestIntroduction(t *testing.T) {
	w := newWorld(t, 234)
	a, b := w.host("a", 0), w.host("b", 0)
	cert := bytes.Repeat([]byte("c"), 159)
	if !a.node.SetIntroduction(cert) {
		t.Fatal("refused")
	}
	a.dial(b, "")
	w.run(100 * time.Millisecond)
	if len(b.intros) != 1 || b.intros[0].Addr != a.addr || !bytes.Equal(b.intros[0].Body, append(cert, 0)) {
		t.Fatalf("introductions: %v", b.intros)
	}
	if b.up(a) {
		t.Fatal("came in without a password")
	}
	w.run(20 * time.Second)
	if n := len(b.intros); n < 5 || n > 22 {
		t.Errorf("%d introductions in 20 s", n)
	}
	b.node.Admit(w.now, a.id.Public, true, &b.out)
	w.until(2*time.Second, "the admitted gets in", func() bool { return a.up(b) && b.up(a) })
	w.flows(a, b, time.Second)
	before := len(b.intros)
	w.run(5 * time.Second)
	if len(b.intros) != before {
		t.Error("introductions go on after the peering stands")
	}
	b.node.Admit(w.now, a.id.Public, false, &b.out)
	w.run(2 * time.Second)
	if b.up(a) {
		t.Error("who is no longer admitted stays")
	}
	if a.node.SetIntroduction(make([]byte, MaxIntroduction+1)) {
		t.Error("an introduction that is too long was taken")
	}
	b.intros = nil
	for size := range 1000 {
		b.receive(0, strangerAddr(size), append([]byte(introductionMark), make([]byte, size)...))
	}
	if n := len(b.intros); n > 21 {
		t.Errorf("%d introductions in one instant", n)
	}
}

// Handshakes that anybody can send in the name of a peer, from anywhere in the
// mesh, do not keep it from coming back.
func TestMeshHellosDoNotLockOut(t *testing.T) {
	w, a, b := meshPair(t, 235)
	w.flows(a, b, time.Second)
	fake := make([]byte, 140)
	flood := func() {
		for i := range 40 {
			w.random(fake)
			copy(fake, []byte{0, 0, 0, byte(i % 4)})
			clear(fake[4:16]) // no password
			copy(fake[40:], a.id.Public[:])
			b.receive(0, pkt.MACAddr([6]byte{2, 0, 0, 0, 9, byte(i)}), fake)
			b.receive(0, a.mac, fake)
		}
	}
	flood()
	a.boot()
	w.introduce()
	a.tell(b, "back")
	t.Logf("back after %v", w.until(2*time.Second, "a is back", func() bool { flood(); return b.heard("back") }))
}
