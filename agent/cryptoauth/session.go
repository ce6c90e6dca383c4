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
	herPSK               [32]byte // of the password that the peer showed

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
				s.seenStamp, s.herPSK = a.stamp, a.psk
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
				if s.cur != nil {
					s.cur.demoted = now
				}
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
		s.prev, s.cur.demoted = s.cur, now
	}
	t.created, t.lastIn = now, now
	if t.user != "" {
		s.passed = true
	} else if s.cur != nil {
		t.user = s.cur.user
	}
	s.cur, s.noise = t, t.noise != nil
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
			s.retire(now)
		}
	}
	if s.prev != nil && s.prev.tooOld(now) {
		s.prev = nil
	}
	if s.prev != nil && (s.cur == nil || s.cur.confirmed) && s.prev.idle(now) > previousLimit && now.Sub(s.prev.demoted) > previousLimit {
		s.prev = nil
	}
	if h := &s.out; h.live && now.Sub(h.started) > handshakeLimit {
		// Without a current transport we go on calling, with the same key.
		if h.waiting() && (s.cur != nil || h.quiet) || !h.waiting() && h.made != s.cur {
			s.out = ourHello{}
		}
	}
}

// retire stops sending with the current transport.
func (s *Session) retire(now mono.Time) {
	s.cur.demoted = now
	s.cur, s.prev = nil, s.cur
}

// Knows reports whether b is a traffic packet of the current transport, newer
// than all that came before: then its sender is the peer, wherever it comes
// from. Nothing changes but b, which is spoilt.
func (s *Session) Knows(b *pkt.Buf) bool {
	if s.cur == nil || !s.cur.confirmed {
		return false
	}
	n, ok := s.cur.open(b)
	return ok && n > s.cur.win.max
}

// ProvesKey reports whether b is a hello that only the owner of the peer's
// permanent key can have made, be it a replay. It costs one pass over b, as
// the agreement of the permanent keys is kept. b is spoilt.
func (s *Session) ProvesKey(b *pkt.Buf) bool {
	p := b.Bytes()
	h, err := cjdns.ParseCryptoHeader(p)
	if err != nil || h.State > cjdns.StateRepeatHello || !s.known || h.Key != s.key {
		return false
	}
	user, bad := s.cfg.authenticate(&h, false)
	if bad != 0 {
		return false
	}
	raw, ok := s.perm.get(s.cfg.Self, h.Key)
	if !ok {
		return false
	}
	secret := handshakeSecret(raw, user.key())
	return openBox(p[72:], &h.Nonce, &secret)
}

// Seal encrypts b in place with the current transport. Without one it makes b
// the payload of the next handshake packet, and starts a handshake if none is
// open. A Noise handshake carries no payload: b becomes the message, and what
// it held is lost. b needs 120 bytes of headroom and 16 of tailroom. Errors
// are of type SealErr; the packet is then lost.
func (s *Session) Seal(now mono.Time, b *pkt.Buf) error {
	s.tick(now)
	if s.cur != nil && s.cur.spent() {
		s.retire(now)
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
	if s.known && !s.calling() && !(s.called() && now.Sub(s.in.since) < patience) {
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
