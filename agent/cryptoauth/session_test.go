package cryptoauth

import (
	"bytes"
	"errors"
	"testing"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// word returns what kind of packet s would send.
func word(t testing.TB, now mono.Time, s *Session) byte {
	t.Helper()
	return seal(t, now, s, "").Bytes()[3]
}

func TestStatesAreThoseOfCjdns(t *testing.T) {
	d := newDuo(t)
	check := func(s *Session, want State, text string) {
		t.Helper()
		if s.State() != want || s.State().String() != text {
			t.Errorf("state %v (%d), want %s", s.State(), s.State(), text)
		}
	}
	check(d.a, StateInit, "INIT")
	_, _ = send(t, 0, d.a, d.b, "")
	check(d.a, StateSentHello, "SENT_HELLO")
	check(d.b, StateReceivedHello, "RECEIVED_HELLO")
	_, _ = send(t, 0, d.b, d.a, "")
	check(d.b, StateSentKey, "SENT_KEY")
	check(d.a, StateReceivedKey, "RECEIVED_KEY")
	_, _ = send(t, 0, d.a, d.b, "")
	check(d.b, StateEstablished, "ESTABLISHED")
	if State(50).String() != "INVALID" {
		t.Error("a state that is none has a name")
	}
}

func TestRepeatsUseTheSameTempKey(t *testing.T) {
	d := newDuo(t)
	hello := seal(t, 0, d.a, "hello")
	repeat := seal(t, 0, d.a, "hello")
	if hello.Bytes()[3] != 0 || repeat.Bytes()[3] != 1 || bytes.Equal(hello.Bytes()[16:40], repeat.Bytes()[16:40]) {
		t.Error("the second hello is no repeat with a nonce of its own")
	}
	ev, err := d.b.Open(0, repeat) // the first one was lost
	want(t, ev, err, Answer)
	temp := d.b.in.herTemp
	ev, err = d.b.Open(0, seal(t, 0, d.a, "hello"))
	want(t, ev, err, Answer)
	if d.b.in.herTemp != temp || temp != d.a.out.tempPub {
		t.Error("the temporary key changed")
	}
	lost := seal(t, 0, d.b, "key")
	repeat = seal(t, 0, d.b, "key")
	if lost.Bytes()[3] != 2 || repeat.Bytes()[3] != 3 {
		t.Error("the second key packet is no repeat")
	}
	ev, err = d.a.Open(0, repeat)
	want(t, ev, err, Promoted|Answer)
	ev, err = d.a.Open(0, seal(t, 0, d.b, "key"))
	want(t, ev, err, Answer) // it still lacks our traffic
}

// TestBothDial: the lower key's hello stands.
func TestBothDial(t *testing.T) {
	d := newDuo(t)
	d.b = New(d.cb, Options{Key: d.ids[0].Public}, 0)
	fromA, fromB := seal(t, 0, d.a, "hello"), seal(t, 0, d.b, "hello")
	ev, err := d.a.Open(0, fromB)
	want(t, ev, err, Answer)
	ev, err = d.b.Open(0, fromA)
	want(t, ev, err, Answer)
	if w := word(t, 0, d.a); w != 1 {
		t.Errorf("the lower key answers with %d, want a repeat hello", w)
	}
	if w := word(t, 0, d.b); w != 2 {
		t.Errorf("the higher key answers with %d, want a key packet", w)
	}
	// A hello that cannot be answered must not stand for ever.
	late := 6 * second
	seal(t, late, d.a, "hello")
	d.b.Reset(late)
	ev, err = d.a.Open(late, seal(t, late, d.b, "hello"))
	want(t, ev, err, Answer)
	if w := word(t, late, d.a); w != 2 {
		t.Errorf("after 6 s the lower key sends %d, want a key packet", w)
	}
}

func TestUnconfirmedTransportTimesOut(t *testing.T) {
	d := newDuo(t)
	_, _ = send(t, 0, d.a, d.b, "")
	_, _ = send(t, 0, d.b, d.a, "")
	temp := d.a.out.tempPub
	if !d.a.CanSend() || d.a.Established() {
		t.Fatal("no unconfirmed transport")
	}
	now := mono.Time(handshakeLimit) + 1
	if w := word(t, now, d.a); w != 0 || d.a.out.tempPub == temp {
		t.Errorf("after 10 s the initiator sends %d", w)
	}
	if d.b.tick(now); d.b.HasCandidate() || d.b.State() != StateInit {
		t.Error("the responder still waits after 10 s")
	}
}

func TestIdleSessionStartsAgain(t *testing.T) {
	d := newDuo(t)
	d.shake(0)
	now := mono.Time(idleLimit)
	if w := word(t, now, d.a); w < 4 {
		t.Errorf("after 60 s: %d", w)
	}
	if w := word(t, now+1, d.a); w != 0 || d.a.Established() || d.a.CanSend() {
		t.Errorf("after more than 60 s: %d", w)
	}
	// The peer was quicker: what it sends brings the transport back.
	ev, err := send(t, now, d.b, d.a, "late")
	want(t, ev, err, Fresh)
	if !d.a.Established() {
		t.Error("the transport was not taken back")
	}
}

func TestRenewBesideTraffic(t *testing.T) {
	d := newDuo(t)
	d.shake(0)
	now := 70 * second
	for n := 10 * second; n <= now; n += 10 * second {
		_, _ = send(t, n, d.a, d.b, "")
		_, _ = send(t, n, d.b, d.a, "")
	}
	inFlight := seal(t, now, d.b, "old")
	d.a.Renew(now)
	if !d.a.HasCandidate() || d.a.CandidateAge(now+second) != 1e9 || !d.a.Established() {
		t.Error("Renew made no candidate, or spoilt the session")
	}
	d.a.Renew(now + second)
	if d.a.out.started != now {
		t.Error("Renew threw a young candidate away")
	}
	var b pkt.Buf
	b.Set([]byte("x"))
	if err := d.a.Seal(now, &b); err != nil || b.Bytes()[3] < 4 {
		t.Error("Seal does not use the current transport")
	}
	ev, err := send(t, now, d.a, d.b, "hello")
	want(t, ev, err, Answer)
	ev, err = send(t, now, d.b, d.a, "key")
	want(t, ev, err, Promoted|Answer)
	ev, err = d.a.Open(now, inFlight)
	want(t, ev, err, Fresh|Stale)
	ev, err = send(t, now, d.a, d.b, "traffic")
	want(t, ev, err, Promoted|Fresh|Answer)
	ev, err = send(t, now, d.b, d.a, "traffic")
	want(t, ev, err, Fresh)
	if d.a.HasCandidate() || d.b.HasCandidate() {
		t.Error("a candidate is left over")
	}
	d.a.tick(now.Add(previousLimit) + 1)
	if d.a.prev != nil {
		t.Error("the transport before lives for ever")
	}
}

func TestCandidateThatFailsGoesAway(t *testing.T) {
	d := newDuo(t)
	d.shake(0)
	d.a.Renew(0)
	seal(t, 0, d.a, "hello")
	now := mono.Time(handshakeLimit) + 1
	if d.a.tick(now); d.a.HasCandidate() || !d.a.Established() {
		t.Error("the candidate is still open, or the session is gone")
	}
	d.a.Renew(now)
	if d.a.DropCandidate(); d.a.HasCandidate() || d.a.CandidateAge(now) != 0 {
		t.Error("DropCandidate does not")
	}
	if w := word(t, now, d.a); w < 4 {
		t.Errorf("without a candidate SealCandidate makes %d", w)
	}
}

// TestFailedRenewalReturns: if the peer forgot the keys of a renewal but kept
// the ones before, so do we.
func TestFailedRenewalReturns(t *testing.T) {
	d := newDuo(t)
	d.shake(0)
	old := d.a.cur
	d.a.Renew(0)
	_, _ = send(t, 0, d.a, d.b, "hello")
	_, _ = send(t, 0, d.b, d.a, "key")
	d.b.DropCandidate()
	var b pkt.Buf
	for now := 100 * ms; now < 5*second; now += 100 * ms {
		b.Set([]byte("x"))
		if err := d.b.Seal(now, &b); err != nil {
			t.Fatal(err)
		}
		if _, err := d.a.Open(now, &b); err != nil {
			t.Fatal(err)
		}
	}
	if d.a.cur != old {
		t.Error("we do not follow the peer")
	}
}

// TestLateKeyPacketLosesAgainstTraffic: of two answers to one hello, the one
// that the peer uses wins.
func TestLateKeyPacketLosesAgainstTraffic(t *testing.T) {
	d := newDuo(t)
	hello := bytes.Clone(seal(t, 0, d.a, "hello").Bytes())
	d.open(d.b, hello)
	first := bytes.Clone(seal(t, 0, d.b, "key").Bytes())
	d.b.Reset(0)
	d.open(d.b, hello)
	second := bytes.Clone(seal(t, 0, d.b, "key").Bytes())
	d.open(d.a, second)
	ev, err := send(t, 0, d.a, d.b, "traffic")
	want(t, ev, err, Promoted|Fresh|Answer)
	d.open(d.a, first)
	if _, err := try(d.a, second); !errors.Is(err, ErrInvalidPacket) {
		t.Errorf("the key packet from before: %v, want %v", err, ErrInvalidPacket)
	}
	ev, err = send(t, 0, d.b, d.a, "1")
	want(t, ev, err, Fresh|Stale)
	now := 4 * ms * 1000
	ev, err = send(t, now, d.b, d.a, "2")
	want(t, ev, err, Fresh)
	ev, err = send(t, now, d.a, d.b, "3")
	want(t, ev, err, Fresh)
}

// TestReplayedHelloDoesNotPushOutAYoungOne: a candidate is safe for a second
// from hellos that it displaced.
func TestReplayedHelloDoesNotPushOutAYoungOne(t *testing.T) {
	d := newDuo(t)
	old := bytes.Clone(seal(t, 0, d.a, "old").Bytes())
	d.a.Reset(0)
	recent := bytes.Clone(seal(t, 0, d.a, "new").Bytes())
	d.open(d.b, old)
	d.open(d.b, recent)
	refuses(t, d.b, old, ErrInvalidPacket)
	if d.b.in.herTemp != d.a.out.tempPub {
		t.Error("the replay pushed the new hello out")
	}
	var b pkt.Buf
	b.Set(old)
	if _, err := d.b.Open(2*second, &b); err != nil {
		t.Errorf("after 2 s: %v", err) // it might be the right one after all
	}
}

func TestNonceLimit(t *testing.T) {
	d := newDuo(t)
	d.shake(0)
	if d.a.NeedsRenew(0) {
		t.Error("a new transport needs none")
	}
	d.a.cur.next = renewNonce
	if !d.a.NeedsRenew(0) {
		t.Error("no warning before the end of the packet numbers")
	}
	ev, err := send(t, 0, d.a, d.b, "")
	want(t, ev, err, Fresh)
	if !d.b.NeedsRenew(0) {
		t.Error("the receiver does not see the end")
	}
	d.a.cur.next = maxNonce - 1
	if w := seal(t, 0, d.a, "").Bytes()[0]; w != 0xff || d.a.CanSend() {
		t.Errorf("the last number: first byte %x", w)
	}
	if w := word(t, 0, d.a); w != 0 {
		t.Errorf("after the last number: %d, want a hello", w)
	}
}

func TestSetAuthResetsUpdateAuthDoesNot(t *testing.T) {
	d := newDuo(t)
	d.shake(0)
	d.a.SetAuth(0, d.password, "ann")
	d.a.UpdateAuth([]byte("other"), "")
	if !d.a.Established() {
		t.Fatal("the session is gone")
	}
	d.a.Renew(0)
	if h := seal(t, 0, d.a, "").Bytes(); h[4] != 1 {
		t.Errorf("the new hello has kind %d, want 1: a password alone", h[4])
	}
	st := d.a.Stats()
	d.a.SetAuth(second, d.password, "ann")
	if d.a.Established() || d.a.State() != StateInit || d.a.PeerKey() != d.ids[1].Public || d.a.Stats() != st || d.a.LastIn() != second {
		t.Error("SetAuth did not reset, or too much")
	}
}

// TestResponderUsesItsOwnPassword: the key packet carries the responder's
// password at the initiator, if it has one.
func TestResponderUsesItsOwnPassword(t *testing.T) {
	d := newDuo(t)
	if err := d.ca.Users.Set(User{Name: "bob", Password: []byte("for bob")}); err != nil {
		t.Fatal(err)
	}
	d.b.UpdateAuth([]byte("for bob"), "bob")
	_, _ = send(t, 0, d.a, d.b, "")
	key := seal(t, 0, d.b, "")
	if key.Bytes()[4] != 2 {
		t.Errorf("the key packet has kind %d, want 2", key.Bytes()[4])
	}
	ev, err := d.a.Open(0, key)
	want(t, ev, err, Promoted|Answer)
	if d.a.User() != "bob" || d.b.User() != "ann" {
		t.Errorf("users %q and %q", d.a.User(), d.b.User())
	}
	// And without that user the link never comes up.
	d.a.Reset(0)
	d.b.Reset(0)
	d.ca.Users.Remove("bob")
	_, _ = send(t, 0, d.a, d.b, "")
	refuses(t, d.a, bytes.Clone(seal(t, 0, d.b, "").Bytes()), ErrUnknownAuth)
}

// TestListenerCallsBack: a listener that let the peer in may begin the next
// handshake, though the peer shows no password in its answer.
func TestListenerCallsBack(t *testing.T) {
	d := newDuo(t)
	d.shake(0)
	d.b.Renew(0)
	d.a.requireAuth = false
	d.a.auth = outAuth{}
	ev, err := send(t, 0, d.b, d.a, "hello")
	want(t, ev, err, Answer)
	ev, err = send(t, 0, d.a, d.b, "key")
	want(t, ev, err, Promoted|Answer)
	if d.b.User() != "ann" {
		t.Errorf("user %q, want ann as before", d.b.User())
	}
}
