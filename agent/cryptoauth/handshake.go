package cryptoauth

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

const (
	headerLen = cjdns.CryptoHeaderLen
	clearLen  = headerLen - 32 // the header without the temporary key
)

const (
	// patience: for so long after a hello we only answer it. Then, if we
	// wanted to dial ourselves, we do that in turn with answering: the
	// hello may have been a replay.
	patience = 3 * time.Second
	// yieldAfter: for so long the node with the lower key insists that its
	// own hello be answered. Then it answers the other's, because the peer
	// may be unable to accept ours.
	yieldAfter = 5 * time.Second
	// displaceAfter protects a young candidate from hellos that it already
	// displaced.
	displaceAfter = time.Second
)

// ourHello is the handshake that we began.
type ourHello struct {
	live    bool
	sent    bool // further hellos are repeats
	quiet   bool // another handshake came first; still, an answer is welcome
	started mono.Time

	tempPriv, tempPub [32]byte
	keyDH             [32]byte // agreement of tempPriv with the peer's permanent key
	haveDH            bool

	made     *transport // what the answer gave, until it is confirmed
	answered tempRing   // the temporary keys that came in answer

	noise noiseCall // the other handshake, tried before, after or in turn
}

// waiting reports whether the hello lacks an answer.
func (h *ourHello) waiting() bool { return h.live && h.made == nil }

// herHello is the handshake that the peer began.
type herHello struct {
	live     bool
	owed     bool // a hello came that was not answered yet
	answered bool // a key packet was sent; further ones are repeats
	quiet    bool // another handshake came first; still, traffic is welcome
	turn     bool // whether we answered the last time, when taking turns
	started  mono.Time
	since    mono.Time // when the first of the hellos came that nothing came of

	user    string
	herTemp [32]byte

	tempPriv, tempPub [32]byte
	keyDH             [32]byte   // agreement of our permanent key with herTemp
	made              *transport // nil until something came that may be traffic

	noise *noiseAnswer // nil: it was a legacy hello
}

// transport returns the keys that follow from the handshake; nil if the peer
// cannot have them. The agreement waits until here, so that a replayed hello
// costs one less.
func (h *herHello) transport() *transport {
	if h.answered && h.made == nil && h.noise == nil {
		h.made, _ = newTransport(&h.tempPriv, &h.herTemp, false)
		if h.made != nil {
			h.made.user = h.user
		}
	}
	return h.made
}

// tempRing remembers the last temporary keys of a kind, by their first bytes.
type tempRing struct {
	at   uint8
	keys [8][8]byte
}

func (r *tempRing) add(temp *[32]byte) {
	r.keys[r.at%8] = [8]byte(temp[:8])
	r.at++
}

func (r *tempRing) has(temp *[32]byte) bool {
	for _, k := range r.keys {
		if k == [8]byte(temp[:8]) {
			return true
		}
	}
	return false
}

// openHandshake does the checks in the order of cjdns, cheap ones first.
func (s *Session) openHandshake(now mono.Time, b *pkt.Buf) (Event, DecryptErr) {
	h, short := cjdns.ParseCryptoHeader(b.Bytes())
	if short != nil {
		return 0, ErrRunt
	}
	if s.known && h.Key != s.key || h.Key == s.cfg.Self.Public {
		return 0, ErrWrongPermKey
	}
	// Whoever was let in once need not show a password in the answer to our
	// own hello: its permanent key says who it is, and stock nodes that
	// dialled us show none.
	must := s.requireAuth && !(s.passed && h.State >= cjdns.StateKey)
	user, err := s.cfg.authenticate(&h, must)
	if err != 0 {
		return 0, err
	}
	if !s.known && !h.Key.IP().Valid() {
		return 0, ErrWrongPermKey
	}
	var ev Event
	if h.State >= cjdns.StateKey {
		ev, err = s.openKey(now, &h, user)
	} else {
		ev, err = s.openHello(now, &h, user)
	}
	if err == 0 {
		b.Pull(headerLen)
	}
	return ev, err
}

// openHello opens a hello.
func (s *Session) openHello(now mono.Time, h *cjdns.CryptoHeader, user *userEntry) (Event, DecryptErr) {
	raw, ok := s.perm.get(s.cfg.Self, h.Key)
	if !ok {
		return 0, ErrWrongPermKey
	}
	secret := handshakeSecret(raw, user.key())
	if !openBox(h.Sealed, &h.Nonce, &secret) {
		return 0, ErrHandshakeFailed
	}
	return s.hello(now, h.State, h.Key, (*[32]byte)(h.Sealed[tagLen:]), user.name())
}

// hello decides what an authentic hello changes. It may be a replay.
func (s *Session) hello(now mono.Time, word uint32, key cjdns.Key, temp *[32]byte, user string) (Event, DecryptErr) {
	switch {
	case *temp == [32]byte{}:
		return 0, ErrWiseguy
	case s.brought(temp):
		return 0, ErrInvalidPacket
	case s.in.live && s.in.herTemp == *temp && s.in.noise == nil:
		if word == cjdns.StateHello {
			return 0, ErrInvalidPacket
		}
		s.in.owed, s.in.quiet = true, false
		return Answer, 0
	}
	if s.calling() && s.out.sent &&
		bytes.Compare(key[:], s.cfg.Self.Public[:]) > 0 && now.Sub(s.out.started) < yieldAfter {
		return Answer, 0 // both dialled, and our hello stands: say so
	}
	return Answer, s.admit(now, key, temp, user)
}

// brought reports whether a transport of ours came from that temporary key.
func (s *Session) brought(temp *[32]byte) bool {
	return s.cur != nil && s.cur.herTemp == *temp || s.prev != nil && s.prev.herTemp == *temp
}

// admit makes a hello of either kind the handshake that we answer.
func (s *Session) admit(now mono.Time, key cjdns.Key, temp *[32]byte, user string) DecryptErr {
	since := now
	if s.in.live {
		since = s.in.since
		if s.displaced.has(temp) && now.Sub(s.in.started) < displaceAfter {
			return ErrInvalidPacket
		}
		s.displaced.add(&s.in.herTemp)
	}
	s.key, s.known = key, true
	s.in = herHello{live: true, owed: true, started: now, since: since, user: user, herTemp: *temp}
	return 0
}

// openKey takes the answer to our hello. It is fresh: only the peer can have
// made it, and only after our temporary key was drawn.
func (s *Session) openKey(now mono.Time, h *cjdns.CryptoHeader, user *userEntry) (Event, DecryptErr) {
	if !s.out.live || !s.out.sent {
		if s.Established() {
			return 0, ErrKeyEstablished
		}
		return 0, ErrStrayKey
	}
	if !s.out.haveDH {
		dh, ok := agree(&s.out.tempPriv, (*[32]byte)(&s.key))
		if !ok {
			return 0, ErrWrongPermKey
		}
		s.out.keyDH, s.out.haveDH = dh, true
	}
	secret := handshakeSecret(&s.out.keyDH, user.key())
	if !openBox(h.Sealed, &h.Nonce, &secret) {
		return 0, ErrHandshakeFailed
	}
	temp := [32]byte(h.Sealed[tagLen:])
	if temp == [32]byte{} {
		return 0, ErrWiseguy
	}
	if m := s.out.made; m != nil {
		repeat := h.State == cjdns.StateRepeatKey
		if repeat != (m.herTemp == temp) {
			return 0, ErrInvalidPacket
		}
		if repeat { // the peer waits for our traffic
			return Answer, 0
		}
	}
	if s.out.answered.has(&temp) {
		return 0, ErrInvalidPacket
	}
	t, ok := newTransport(&s.out.tempPriv, &temp, true)
	if !ok {
		return 0, ErrWiseguy
	}
	t.user = user.name()
	s.out.answered.add(&temp)
	s.out.made = t
	s.in.quiet = true
	s.promote(now, t)
	return Promoted | Answer, 0
}

// startHello begins a handshake.
func (s *Session) startHello(now mono.Time) {
	s.out = ourHello{live: true, started: now}
}

// sealHandshake makes b the payload of a key packet if the peer began, of a
// hello otherwise.
func (s *Session) sealHandshake(now mono.Time, b *pkt.Buf) error {
	switch {
	case !s.known:
		return ErrNoKey
	case !b.CanPush(headerLen):
		return ErrNoRoom
	}
	if s.called() && s.answersNow(now) {
		if s.in.noise != nil {
			return s.sealResponse(now, b)
		}
		return s.sealKey(b)
	}
	if !s.calling() {
		s.startHello(now)
	}
	if s.dialsNoise(now) {
		return s.sealInitiation(now, b)
	}
	raw, ok := s.perm.get(s.cfg.Self, s.key)
	if !ok {
		return ErrBadPeer
	}
	word := cjdns.StateRepeatHello
	if !s.out.sent {
		s.cfg.Rand(s.out.tempPriv[:])
		s.out.tempPub = publicKey(&s.out.tempPriv)
		word, s.out.sent = cjdns.StateHello, true
	}
	secret := handshakeSecret(raw, s.auth.key())
	s.putHandshake(b, word, &s.out.tempPub, &secret)
	return nil
}

// answersNow decides between a key packet and a hello of our own.
func (s *Session) answersNow(now mono.Time) bool {
	if s.in.owed || s.requireAuth || s.cur != nil && !s.calling() || now.Sub(s.in.since) < patience {
		return true
	}
	s.in.turn = !s.in.turn
	return s.in.turn
}

// sealKey makes b the payload of a key packet.
func (s *Session) sealKey(b *pkt.Buf) error {
	h := &s.in
	word := cjdns.StateRepeatKey
	if !h.answered {
		dh, ok := agree((*[32]byte)(&s.cfg.Self.Private), &h.herTemp)
		if !ok {
			s.in = herHello{}
			return ErrBadPeer
		}
		h.keyDH = dh
		s.cfg.Rand(h.tempPriv[:])
		h.tempPub = publicKey(&h.tempPriv)
		word, h.answered = cjdns.StateKey, true
	}
	h.owed = false
	secret := handshakeSecret(&h.keyDH, s.auth.key())
	s.putHandshake(b, word, &h.tempPub, &secret)
	return nil
}

// putHandshake writes a cjdns.CryptoHeader in front of b and encrypts.
func (s *Session) putHandshake(b *pkt.Buf, word uint32, tempPub, secret *[32]byte) {
	copy(b.Push(len(tempPub)), tempPub[:])
	h := b.Push(clearLen)
	binary.BigEndian.PutUint32(h, word)
	clear(h[4:16])
	if s.auth.key() != nil {
		copy(h[4:12], s.auth.named[:])
	} else {
		s.cfg.Rand(h[5:14]) // as stock nodes do
	}
	s.cfg.Rand(h[16:40])
	copy(h[40:72], s.cfg.Self.Public[:])
	sealBox(b.Bytes()[72:], (*[24]byte)(h[16:40]), secret)
}
