package cryptoauth

import (
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

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

// AllowNoAuth lets the peer go on by handshakes without a password: something
// else has shown by now that it may come in.
func (s *Session) AllowNoAuth() { s.requireAuth = false }

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
