package node

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/pkt"
)

// What anybody can send under the address of a peer does not keep the peer
// from coming back after a restart.
func TestSpoofedHandshakesDoNotLockOut(t *testing.T) {
	w, a, b := pair(t, 120)
	frames := [][]byte{{0, 0, 0, 0}, make([]byte, 120), {0xff, 0xff, 0xff, 0xff, 1}, make([]byte, 200)}
	binary.BigEndian.PutUint32(frames[3], 0xffffffff)
	spoof := func() {
		for _, f := range frames {
			for range 10 {
				b.receive(0, a.addr, f)
			}
		}
	}
	for range 10 {
		spoof()
		w.run(10 * time.Millisecond)
	}
	a.boot()
	a.dial(b, "p")
	w.until(2*time.Second, "a is back", func() bool { spoof(); return a.up(b) && b.up(a) })
}

// Hellos that claim the key of a configured peer need no password; they must
// not use up what others need to get in.
func TestClaimedKeyDoesNotLockOut(t *testing.T) {
	w, a, b := pair(t, 121)
	c := w.host("c", 0)
	claim := make([]byte, 160)
	copy(claim[40:], b.id.Public[:])
	a.user("q")
	n := 0
	c.dial(a, "q")
	w.until(2*time.Second, "c gets in", func() bool {
		for range 20 {
			n++
			a.receive(0, strangerAddr(n), claim)
		}
		return c.up(a) && a.up(c)
	})
	if a.node.drops[dropAuth] == 0 {
		t.Error("nothing was refused")
	}
	w.flows(a, b, time.Second)
}

// Beacons come in on the beacon socket only, and make a bounded number of
// peers, which are soon forgotten.
func TestFloodOfBeacons(t *testing.T) {
	w, a, b := pair(t, 122)
	const beaconLink = 7
	conf := b.node.links[0].LinkConfig
	conf.Beacon, conf.BeaconLink = BeaconAccept, beaconLink
	b.node.SetLink(w.now, 0, conf, &b.out)
	b.drain()
	one := cjdns.UDPBeacon{Port: 99, Beacon: cjdns.Beacon{Version: 20, Key: key(t, w)}}
	b.receive(0, strangerAddr(1), one.Append(nil))
	if len(b.node.peers) != 1 {
		t.Error("a beacon on the data socket made a peer")
	}
	for i := range 200 {
		one.Port = uint16(1 + i)
		b.receive(beaconLink, strangerAddr(i), one.Append(nil)) // one key, many addresses
		w.run(10 * time.Millisecond)
	}
	if n := len(b.node.peers); n != 2 {
		t.Errorf("one key in many beacons made %d peers", n-1)
	}
	sent := 0
	w.tap = func(from, _ *host, _ []byte) { sent++ }
	w.run(15 * time.Second)
	if n := len(b.node.peers); n != 1 {
		t.Errorf("%d peers after 15 s of silence", n)
	}
	w.tap = nil
	w.flows(a, b, time.Second)
}

// key draws a key in fc00::/8.
func key(t *testing.T, w *world) cjdns.Key {
	t.Helper()
	return w.host("x").id.Public
}

// An error frame counts only if it names the handle and the path of a session.
func TestForgedErrorsDoNotReroute(t *testing.T) {
	w, a, b := pair(t, 123)
	s := a.node.sessions.ByIP(b.id.IP)
	a.tell(b, "x")
	forged := cjdns.Control{Type: cjdns.CtrlError, Code: cjdns.ErrorUndeliverable,
		CauseData: binary.BigEndian.AppendUint32(nil, s.Send)}
	before := s.NextError
	a.node.handleError(w.now, s.Path<<4|5, &forged, &a.out)
	forged.CauseData = make([]byte, 4) // a hello as cause
	a.node.handleError(w.now, s.Path, &forged, &a.out)
	if s.NextError != before {
		t.Error("a forged error was believed")
	}
	forged.CauseData = binary.BigEndian.AppendUint32(nil, s.Send)
	a.node.handleError(w.now, s.Path, &forged, &a.out)
	if s.NextError == before {
		t.Error("a genuine error was not believed")
	}
	a.drain()
}

// Whom we remember from an earlier life must still show a password.
func TestRememberedPeerNeedsPassword(t *testing.T) {
	w, a, b := pair(t, 124)
	b.boot() // without the password
	b.node.Remember(w.now, 0, a.addr, a.id.Public, &b.out)
	b.drain()
	a.boot()
	a.node.SetPeer(w.now, PeerConfig{Name: "b", Addrs: []pkt.Addr{b.addr}, Key: b.id.Public}, &a.out)
	a.drain()
	w.run(5 * time.Second)
	if b.up(a) {
		t.Error("a remembered peer came in without a password")
	}
}

// With the password, it is back at once although it does not call itself.
func TestRememberedPeerIsCalled(t *testing.T) {
	w, a, b := pair(t, 125)
	b.boot()
	b.user("p")
	b.node.Remember(w.now, 0, a.addr, a.id.Public, &b.out)
	b.drain()
	w.until(time.Second, "back", func() bool { return b.up(a) })
	w.flows(b, a, time.Second)
}

// The same, with the listener at another port than the dialler knows.
func TestRememberedPeerIsCalledFromElsewhere(t *testing.T) {
	w, a, b := pair(t, 127)
	b.boot()
	b.user("p")
	b.addr.Port++
	b.node.Remember(w.now, 0, a.addr, a.id.Public, &b.out)
	b.drain()
	w.until(time.Second, "back", func() bool { return b.up(a) && a.up(b) })
	w.flows(a, b, time.Second)
}

// One key pong each for our own key pings, and never twice.
func TestKeyPongsAreAsked(t *testing.T) {
	w, a, b := pair(t, 126)
	p := b.node.peers[0]
	for i := range 50 {
		b.node.unknownHandle(w.now, p, cjdns.Label(0x13), &b.out)
		b.drain()
		w.now = w.now.Add(time.Duration(i) * time.Millisecond)
	}
	if len(b.node.keyPings) > maxKeyPings {
		t.Errorf("%d key pings are remembered", len(b.node.keyPings))
	}
	k := b.node.keyPings[len(b.node.keyPings)-1]
	pong := cjdns.Control{Type: cjdns.CtrlKeyPong, Version: 20, Key: key(t, w), Opaque: k.cookie[:]}
	before := b.node.sessions.Len()
	b.node.keyPong(w.now, p, 0x13, &pong, &b.out)
	if b.node.sessions.Len() != before+1 {
		t.Fatal("the answer to a key ping was not taken")
	}
	pong.Key = key(t, w)
	b.node.keyPong(w.now, p, 0x13, &pong, &b.out)
	if b.node.sessions.Len() != before+1 {
		t.Error("a second answer was taken")
	}
	b.drain()
	_ = a
}
