package cryptoauth

import (
	"bytes"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Time limits of a session.
const (
	// handshakeLimit: a handshake that was answered, but did not lead to
	// traffic in that time, is forgotten. Source: cjdns crypto/CryptoAuth.c.
	handshakeLimit = 10 * time.Second
	// idleLimit: a transport over which nothing came for so long is not
	// used any more. Source: the same.
	idleLimit = 60 * time.Second
	// previousLimit: for so long after its last packet the transport before
	// the current one is still read. A peer that never heard of the newer
	// one keeps it alive.
	previousLimit = 10 * time.Second
)

// WallTime is the time of day, UTC. Only the Noise handshake needs it, and
// only that it grows from one handshake with a peer to the next.
type WallTime struct {
	Sec  int64 // since 1970
	Nsec uint32
}

// Config is what all sessions of a node share. The owner of the node owns it;
// its parts may change between calls.
type Config struct {
	Self  *Identity
	Users *Users       // whom we let in; nil: nobody has a password
	Rand  func([]byte) // fills the slice with unpredictable bytes
	Wall  WallTime     // set before calls that may start a Noise handshake
	// Version is our protocol version in Noise handshakes; 0 means 22.
	Version uint32

	jar cookieJar
}

// Options describe one session.
type Options struct {
	Key         cjdns.Key // the peer; zero: learn it from the first hello
	Password    []byte    // our password at the peer; empty: none. Copied
	Login       string    // our login at the peer; empty: none
	RequireAuth bool      // refuse handshakes without a password that Users knows
	Noise       bool      // dial with the Noise handshake of v22
}

// Event is what Open learned from a packet, a set of bits.
type Event uint8

// Bits of an Event.
const (
	// Answer: the handshake goes on only if the caller sends something now,
	// with SealCandidate: a ping, or the pong to the ping just received.
	Answer Event = 1 << iota
	// Promoted: a new transport became the current one.
	Promoted
	// Fresh: the packet was authenticated traffic and is not a replay: the
	// peer is alive. The payload of a handshake packet is never Fresh.
	Fresh
	// Stale: the packet came over the transport before the current one. It
	// is Fresh too.
	Stale
)

// State is the number that cjdns shows for a session.
type State uint8

// States. Source: cjdns crypto/CryptoAuth.h.
const (
	StateInit          State = 0
	StateSentHello     State = 1
	StateReceivedHello State = 2
	StateSentKey       State = 3
	StateReceivedKey   State = 4
	StateEstablished   State = 100
)

// String returns the word that cjdns prints.
func (s State) String() string {
	switch s {
	case StateInit:
		return "INIT"
	case StateSentHello:
		return "SENT_HELLO"
	case StateReceivedHello:
		return "RECEIVED_HELLO"
	case StateSentKey:
		return "SENT_KEY"
	case StateReceivedKey:
		return "RECEIVED_KEY"
	case StateEstablished:
		return "ESTABLISHED"
	default:
		return "INVALID"
	}
}

// Stats counts packets since the session was made; Reset keeps it.
type Stats struct {
	Received   uint64          // traffic packets accepted
	Lost       uint64          // gaps in the peer's packet numbers that nothing filled yet
	OutOfRange uint64          // refused: too old for the replay window
	Duplicates uint64          // refused: seen before
	Drops      [NumErrs]uint64 // refused by Open, by DecryptErr
}

// Session is one end of a CryptoAuth session. One owner; no method is safe for
// concurrent use.
//
// It holds up to three transports, like WireGuard: a current one to send with;
// the one before, of which late packets are still read; and a candidate that
// a handshake is making. A hello proves nothing, since anybody can replay it,
// so it never touches the current transport: the answer to it makes a
// candidate, which becomes current with the first traffic that comes over it.
// Without a current transport the session behaves like a stock node's.
type Session struct {
	cfg         *Config
	requireAuth bool
	passed      bool // the peer has shown a password in this session

	// The peer. known is false until the first acceptable hello if the
	// peer's key was not given.
	key   cjdns.Key
	known bool
	perm  permSecret

	auth outAuth

	cur, prev *transport
	out       ourHello
	in        herHello
	displaced tempRing

	// Noise. noise says that the next handshake without a current transport
	// tries it first; wantNoise is what the owner asked for.
	noise, wantNoise     bool
	sentStamp, seenStamp tai64n // our last timestamp; the peer's last one that proved right
	cookie               cookie

	lastIn mono.Time
	stats  Stats
}

// New returns a session without keys, in StateInit.
func New(cfg *Config, o Options, now mono.Time) *Session {
	s := &Session{
		cfg: cfg, requireAuth: o.RequireAuth, key: o.Key, known: !o.Key.IsZero(),
		noise: o.Noise, wantNoise: o.Noise, lastIn: now,
	}
	s.auth.set(o.Password, o.Login)
	return s
}

// Open authenticates the packet b, which must begin with the CryptoAuth
// header, and decrypts it in place: afterwards b is the payload, which may be
// empty. On error b is unspecified and the session unchanged, but the reason,
// a DecryptErr, is counted.
func (s *Session) Open(now mono.Time, b *pkt.Buf) (Event, error) {
	s.tick(now)
	ev, err := s.open(now, b)
	if err != 0 {
		s.stats.Drops[err]++
		return 0, err
	}
	return ev, nil
}

func (s *Session) open(now mono.Time, b *pkt.Buf) (Event, DecryptErr) {
	word, ok := firstWord(b.Bytes())
	switch {
	case !ok:
		return 0, ErrRunt
	case word < firstNonce:
		return s.openHandshake(now, b)
	case word == noiseControl:
		return s.openControl(now, b)
	default:
		return s.openTraffic(now, b)
	}
}

func (s *Session) openTraffic(now mono.Time, b *pkt.Buf) (Event, DecryptErr) {
	if b.Len() < trafficOverhead {
		return 0, ErrRunt
	}
	if s.cur != nil {
		if n, ok := s.cur.open(b); ok {
			return s.deliver(now, b, s.cur, n, Fresh)
		}
	}
	if t := s.in.transport(); t != nil {
		if n, ok := t.open(b); ok {
			if a := s.in.noise; a != nil {
				s.seenStamp = a.stamp
			}
			s.promote(now, t)
			s.in = herHello{}
			s.out.quiet = true
			return s.deliver(now, b, t, n, Fresh|Promoted|Answer)
		}
	}
	if s.prev != nil {
		if n, ok := s.prev.open(b); ok {
			if s.cur == nil || n > s.prev.win.max && s.cur.idle(now) > s.followAfter() {
				// The peer uses that one and none other.
				s.cur, s.prev = s.prev, s.cur
				return s.deliver(now, b, s.cur, n, Fresh)
			}
			return s.deliver(now, b, s.prev, n, Fresh|Stale)
		}
	}
	if s.cur == nil && s.prev == nil && !s.in.answered {
		return 0, ErrNoSession
	}
	return 0, ErrDecrypt
}

// deliver accepts an authentic traffic packet of t unless it is a replay.
func (s *Session) deliver(now mono.Time, b *pkt.Buf, t *transport, n uint64, ev Event) (Event, DecryptErr) {
	if err := t.win.accept(n, &s.stats); err != 0 {
		return 0, err
	}
	if !t.confirmed {
		t.confirmed = true
		if s.out.made == t {
			s.out = ourHello{}
		}
	}
	t.lastIn, s.lastIn = now, now
	s.stats.Received++
	t.strip(b)
	return ev, 0
}

// followAfter is how long the current transport must be silent until we follow
// a peer that uses the one before. The lower key is quicker, or two of us
// could change places for ever.
func (s *Session) followAfter() time.Duration {
	if bytes.Compare(s.cfg.Self.Public[:], s.key[:]) < 0 {
		return time.Second
	}
	return 3 * time.Second
}

// promote makes t the current transport.
func (s *Session) promote(now mono.Time, t *transport) {
	if s.cur != nil && (s.cur.confirmed || s.prev == nil) {
		s.prev = s.cur
	}
	t.created, t.lastIn = now, now
	if t.user != "" {
		s.passed = true
	} else if s.cur != nil {
		t.user = s.cur.user
	}
	s.cur = t
}

// tick lets time do what it does. Every method that takes the time begins
// with it, so a session needs no timer.
func (s *Session) tick(now mono.Time) {
	if s.in.live && now.Sub(s.in.started) > handshakeLimit {
		s.in = herHello{}
	}
	if t := s.cur; t != nil {
		switch {
		case !t.confirmed && t.idle(now) > handshakeLimit:
			// The peer has forgotten what it agreed to. If it kept talking
			// over the keys before, so do we.
			s.cur, s.out = nil, ourHello{}
			if p := s.prev; p != nil && p.confirmed && p.idle(now) < handshakeLimit {
				s.cur, s.prev = p, nil
			}
		case t.confirmed && t.idle(now) > idleLimit, t.tooOld(now):
			s.retire()
		}
	}
	if s.prev != nil && s.prev.tooOld(now) {
		s.prev = nil
	}
	if s.prev != nil && (s.cur == nil || s.cur.confirmed) && s.prev.idle(now) > previousLimit && s.sinceSwitch(now) > previousLimit {
		s.prev = nil
	}
	if h := &s.out; h.live && now.Sub(h.started) > handshakeLimit {
		// Without a current transport we go on calling, with the same key.
		if h.waiting() && (s.cur != nil || h.quiet) || !h.waiting() && h.made != s.cur {
			s.out = ourHello{}
		}
	}
}

// sinceSwitch returns how long ago prev ceased to be the current transport.
func (s *Session) sinceSwitch(now mono.Time) time.Duration {
	if s.cur == nil {
		return previousLimit + 1
	}
	return now.Sub(s.cur.created)
}

// retire stops sending with the current transport.
func (s *Session) retire() { s.cur, s.prev = nil, s.cur }

// Seal encrypts b in place with the current transport. Without one it makes b
// the payload of the next handshake packet, and starts a handshake if none is
// open. A Noise handshake carries no payload: b becomes the message, and what
// it held is lost. b needs 120 bytes of headroom and 16 of tailroom. Errors
// are of type SealErr; the packet is then lost.
func (s *Session) Seal(now mono.Time, b *pkt.Buf) error {
	s.tick(now)
	if s.cur != nil && s.cur.spent() {
		s.retire()
	}
	if s.cur != nil {
		return s.cur.seal(b)
	}
	return s.sealHandshake(now, b)
}

// SealCandidate makes b the payload of the candidate's next handshake packet.
// Without a candidate it does what Seal does.
func (s *Session) SealCandidate(now mono.Time, b *pkt.Buf) error {
	s.tick(now)
	if s.HasCandidate() {
		return s.sealHandshake(now, b)
	}
	return s.Seal(now, b)
}

// Renew starts a candidate with a hello of ours beside the current transport;
// SealCandidate then makes the hello. It does nothing while a hello of ours is
// out, which ends by itself after 10 seconds, or one of the peer's is young.
func (s *Session) Renew(now mono.Time) {
	s.tick(now)
	if s.known && !s.calling() && !(s.called() && now.Sub(s.in.started) < patience) {
		s.startHello(now)
	}
}

// calling reports whether a hello of ours waits for an answer.
func (s *Session) calling() bool { return s.out.waiting() && !s.out.quiet }

// called reports whether a hello of the peer's is being answered.
func (s *Session) called() bool { return s.in.live && !s.in.quiet }

// NeedsRenew reports whether the current transport is near its end, so that
// the owner should call Renew soon.
func (s *Session) NeedsRenew(now mono.Time) bool {
	s.tick(now)
	return s.cur != nil && (s.cur.next >= renewNonce || s.cur.win.max >= renewNonce || s.cur.aging(now))
}

// HasCandidate reports whether a handshake is open, as of the last call that
// took the time.
func (s *Session) HasCandidate() bool {
	return s.called() || s.calling()
}

// CandidateAge returns the time since the open handshake began, 0 if none is
// open.
func (s *Session) CandidateAge(now mono.Time) time.Duration {
	switch {
	case s.called():
		return now.Sub(s.in.started)
	case s.calling():
		return now.Sub(s.out.started)
	default:
		return 0
	}
}

// DropCandidate forgets the open handshake. The current transport stays.
func (s *Session) DropCandidate() {
	s.in = herHello{}
	if s.out.made == nil {
		s.out = ourHello{}
	}
}

// Established reports whether the current transport works in both directions:
// the peer's traffic came over it.
func (s *Session) Established() bool { return s.cur != nil && s.cur.confirmed }

// CanSend reports whether Seal yields traffic and not a handshake packet, as
// of the last call that took the time.
func (s *Session) CanSend() bool { return s.cur != nil && !s.cur.spent() }

// State returns what a stock node would show.
func (s *Session) State() State {
	switch {
	case s.Established():
		return StateEstablished
	case s.cur != nil:
		return StateReceivedKey
	case s.in.live && s.in.answered:
		return StateSentKey
	case s.in.live:
		return StateReceivedHello
	case s.out.live && s.out.sent:
		return StateSentHello
	default:
		return StateInit
	}
}

// Reset forgets everything but the peer's key, our password and the counters.
func (s *Session) Reset(now mono.Time) {
	s.cur, s.prev, s.in, s.out = nil, nil, herHello{}, ourHello{}
	s.displaced, s.noise, s.lastIn = tempRing{}, s.wantNoise, now
}

// SetAuth sets our password and login at the peer. If they changed, it resets
// the session.
func (s *Session) SetAuth(now mono.Time, password []byte, login string) {
	if s.auth.set(password, login) {
		s.Reset(now)
	}
}

// UpdateAuth sets our password and login at the peer for handshakes to come;
// what stands stays.
func (s *Session) UpdateAuth(password []byte, login string) { s.auth.set(password, login) }

// PeerKey returns the peer's permanent key, zero if it is not known yet.
func (s *Session) PeerKey() cjdns.Key { return s.key }

// User returns the name of the user whose password the peer used; empty if it
// used none.
func (s *Session) User() string {
	switch {
	case s.cur != nil:
		return s.cur.user
	case s.in.live:
		return s.in.user
	default:
		return ""
	}
}

// LastIn returns when authenticated traffic came last. Before the first, it is
// when the session was made or reset.
func (s *Session) LastIn() mono.Time { return s.lastIn }

// Stats returns the counters.
func (s *Session) Stats() Stats { return s.stats }

// NoiseProto reports whether the current transport is one of Noise.
func (s *Session) NoiseProto() bool { return s.cur != nil && s.cur.noise != nil }
