package cryptoauth

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

const (
	// freshInitiation: for so long the same initiation is sent again, then a
	// new one is made. The peer answers each one once.
	freshInitiation = 2500 * time.Millisecond
	// fallbackAfter: for so long each of Noise and the legacy handshake is
	// tried, in turn, while nothing answers.
	fallbackAfter = 3 * time.Second
	// defaultVersion is the protocol version in initiations.
	defaultVersion = 22
)

// initiation is one of ours that waits for its response.
type initiation struct {
	index uint32 // ours; 0: none
	priv  [32]byte
	state noiseState
	msg   []byte
}

// noiseCall is the Noise side of a handshake that we began. The initiation
// before the last may be answered too: it may have been under way for long.
type noiseCall struct {
	last, before initiation
	made         mono.Time // when last was made
}

// noiseAnswer is the Noise side of a handshake that the peer began.
type noiseAnswer struct {
	state    noiseState
	psk      [32]byte
	herIndex uint32
	index    uint32
	stamp    tai64n
	msg      []byte // the response, once it was made
}

// cookie is what a peer under load gave us: with it the next messages pass.
type cookie struct {
	key [16]byte
	got mono.Time
	has bool
}

// get returns the key of mac2, nil without a fresh cookie.
func (c *cookie) get(now mono.Time) []byte {
	if !c.has || now.Sub(c.got) > cookieLife {
		return nil
	}
	return c.key[:]
}

// dialsNoise decides which kind of handshake we begin now.
func (s *Session) dialsNoise(now mono.Time) bool {
	switch {
	case s.cur != nil:
		return s.cur.noise != nil
	case !s.noise:
		return false
	default:
		return now.Sub(s.out.started)/fallbackAfter%2 == 0
	}
}

// newIndex draws a name for a transport of ours. Packets begin with it, so its
// first byte is neither that of a legacy handshake nor that of a control
// message. high gives the upper 24 bits.
func (s *Session) newIndex(high uint32) uint32 {
	for {
		var low [1]byte
		s.cfg.Rand(low[:])
		index := high&^0xff | uint32(low[0])
		if low[0] != 0 && low[0] != 0xff && !s.usesIndex(index) {
			return index
		}
	}
}

func (s *Session) usesIndex(index uint32) bool {
	for _, t := range []*transport{s.cur, s.prev, s.in.made, s.out.made} {
		if t != nil && t.noise != nil && t.noise.index == index {
			return true
		}
	}
	a := s.in.noise
	return a != nil && a.index == index || s.out.noise.last.index == index || s.out.noise.before.index == index
}

// sealInitiation makes b an initiation. What b held is lost: these messages
// carry no payload.
func (s *Session) sealInitiation(now mono.Time, b *pkt.Buf) error {
	c := &s.out.noise
	if c.last.index == 0 || now.Sub(c.made) > freshInitiation {
		next, ok := s.newInitiation(now)
		if !ok {
			return ErrBadPeer
		}
		c.before, c.last, c.made = c.last, next, now
	}
	return replace(b, c.last.msg)
}

// replace makes msg the packet.
func replace(b *pkt.Buf, msg []byte) error {
	b.Truncate(0)
	p := b.Extend(len(msg))
	if p == nil {
		return ErrNoRoom
	}
	copy(p, msg)
	return nil
}

func (s *Session) newInitiation(now mono.Time) (c initiation, ok bool) {
	self := s.cfg.Self
	var high [4]byte
	s.cfg.Rand(high[1:])
	c.index = s.newIndex(binary.LittleEndian.Uint32(high[:]))
	s.cfg.Rand(c.priv[:])
	stamp := newTAI64N(s.cfg.Wall)
	if bytes.Compare(stamp[:], s.sentStamp[:]) <= 0 {
		stamp = s.sentStamp.next()
	}
	s.sentStamp = stamp
	version := s.cfg.Version
	if version == 0 {
		version = defaultVersion
	}

	c.state.begin(s.key)
	pub := publicKey(&c.priv)
	msg := make([]byte, 0, initiationLen+additionalMax)
	msg = binary.BigEndian.AppendUint32(msg, noiseControl)
	msg = binary.LittleEndian.AppendUint32(msg, noiseInitiation)
	msg = binary.LittleEndian.AppendUint32(msg, c.index)
	msg = append(msg, pub[:]...)
	c.state.ephemeral(&pub)
	if !c.state.mixDH(&c.priv, (*[32]byte)(&s.key)) {
		return c, false
	}
	at := len(msg)
	msg = c.state.encrypt(msg, self.Public[:])
	c.state.absorb(msg[at:])
	raw, ok := s.perm.get(self, s.key)
	if !ok {
		return c, false
	}
	c.state.mixKey(raw[:])
	at = len(msg)
	msg = c.state.encrypt(msg, stamp[:])
	c.state.absorb(msg[at:])
	msg = c.state.encrypt(msg, appendAdditional(nil, version, s.auth.noiseAuth()))
	c.msg = putMACs(msg, (*[32]byte)(&s.key), s.cookie.get(now))
	return c, true
}

// openControl takes a Noise control message. It carries no payload: b is
// empty afterwards.
func (s *Session) openControl(now mono.Time, b *pkt.Buf) (Event, DecryptErr) {
	p := b.Bytes()
	if len(p) < 8 {
		return 0, ErrRunt
	}
	var ev Event
	var err DecryptErr
	switch binary.LittleEndian.Uint32(p[4:]) {
	case noiseInitiation:
		ev, err = s.openInitiation(now, p)
	case noiseResponse:
		ev, err = s.openResponse(now, p)
	case noiseCookie:
		ev, err = s.openCookie(now, p)
	default:
		err = ErrInvalidPacket
	}
	if err == 0 {
		b.Truncate(0)
	}
	return ev, err
}

// checkInitiation does what costs no key agreement.
func (c *Config) checkInitiation(p []byte) DecryptErr {
	switch n := len(p); {
	case n < initiationLen:
		return ErrRunt
	case n%4 != 0, n > initiationLen && n < initiationLen+additionalMin, n > initiationLen+additionalMax:
		return ErrInvalidPacket
	}
	if mac1, body := mac1Of(p); !validMAC(&c.Self.mac1, mac1, body) {
		return ErrHandshakeFailed
	}
	return 0
}

func validMAC(key *[32]byte, mac, body []byte) bool {
	want := keyedMAC(key[:], body)
	return hmac.Equal(want[:], mac)
}

// openInitiation takes an initiation. Like a hello it proves nothing, and
// makes a candidate only.
func (s *Session) openInitiation(now mono.Time, p []byte) (Event, DecryptErr) {
	if err := s.cfg.checkInitiation(p); err != 0 {
		return 0, err
	}
	temp := [32]byte(p[12:44])
	switch {
	case s.brought(&temp):
		return 0, ErrInvalidPacket
	case s.in.live && s.in.herTemp == temp && s.in.noise != nil:
		s.in.owed, s.in.quiet = true, false
		return Answer, 0
	}
	a := noiseAnswer{herIndex: binary.LittleEndian.Uint32(p[8:])}
	key, named, err := s.readInitiation(&a, &temp, p)
	if err != 0 {
		return 0, err
	}
	user, err := s.authenticateNoise(&a, key, named)
	if err != 0 {
		return 0, err
	}
	if bytes.Compare(a.stamp[:], s.seenStamp[:]) <= 0 && s.cur != nil && s.cur.idle(now) < handshakeLimit {
		return 0, ErrReplay
	}
	if err := s.admit(now, key, &temp, user.name()); err != 0 {
		return 0, err
	}
	// A v22 initiator finds its session by the upper bits of our index.
	a.index = s.newIndex(a.herIndex)
	s.in.noise = &a
	return Answer, 0
}

// readInitiation opens the fields of an initiation.
func (s *Session) readInitiation(a *noiseAnswer, temp *[32]byte, p []byte) (key cjdns.Key, named challenge, err DecryptErr) {
	self := s.cfg.Self
	a.state.begin(self.Public)
	a.state.ephemeral(temp)
	if !a.state.mixDH((*[32]byte)(&self.Private), temp) {
		return key, named, ErrWiseguy
	}
	if _, ok := a.state.decrypt(key[:0], p[44:92]); !ok {
		return key, named, ErrHandshakeFailed
	}
	a.state.absorb(p[44:92])
	if s.known && key != s.key || key == self.Public || !s.known && !key.IP().Valid() {
		return key, named, ErrWrongPermKey
	}
	raw, ok := s.perm.get(self, key)
	if !ok {
		return key, named, ErrWrongPermKey
	}
	a.state.mixKey(raw[:])
	if _, ok := a.state.decrypt(a.stamp[:0], p[92:120]); !ok {
		return key, named, ErrHandshakeFailed
	}
	a.state.absorb(p[92:120])
	if sealed := p[120 : len(p)-macsLen]; len(sealed) > 0 {
		var room [additionalMax]byte
		text, ok := a.state.decrypt(room[:0], sealed)
		if !ok {
			return key, named, ErrHandshakeFailed
		}
		if named, _, ok = parseAdditional(text); !ok {
			return key, named, ErrInvalidPacket
		}
	}
	return key, named, 0
}

// authenticateNoise finds the password of an initiation.
func (s *Session) authenticateNoise(a *noiseAnswer, key cjdns.Key, named challenge) (*userEntry, DecryptErr) {
	if named == (challenge{}) {
		if s.requireAuth {
			return nil, ErrAuthRequired
		}
		// A stock node that we dialled may begin a handshake of its own,
		// with the password that we showed but without naming it.
		a.psk = s.unnamedPSK()
		return nil, 0
	}
	u := s.cfg.Users.find(named)
	switch {
	case u == nil && s.requireAuth:
		return nil, ErrAuthRequired
	case u == nil:
		return nil, ErrUnknownAuth
	case u.IP != cjdns.IP{} && u.IP != key.IP():
		return nil, ErrIPRestricted
	}
	a.psk = u.noise.psk
	return u, 0
}

// unnamedPSK returns the password of handshakes that name none of the peer's:
// ours, or without one, the one that the peer showed before.
func (s *Session) unnamedPSK() [32]byte {
	if mine := s.auth.noiseAuth(); mine != nil {
		return mine.psk
	}
	return s.herPSK
}

// sealResponse makes b the response to the peer's initiation; further calls
// repeat it. What b held is lost.
func (s *Session) sealResponse(now mono.Time, b *pkt.Buf) error {
	h, a := &s.in, s.in.noise
	h.owed = false
	if a.msg != nil {
		return replace(b, a.msg)
	}
	s.cfg.Rand(h.tempPriv[:])
	h.tempPub = publicKey(&h.tempPriv)
	msg := make([]byte, 0, responseLen)
	msg = binary.BigEndian.AppendUint32(msg, noiseControl)
	msg = binary.LittleEndian.AppendUint32(msg, noiseResponse)
	msg = binary.LittleEndian.AppendUint32(msg, a.index)
	msg = binary.LittleEndian.AppendUint32(msg, a.herIndex)
	msg = append(msg, h.tempPub[:]...)
	a.state.ephemeral(&h.tempPub)
	if !a.state.mixDH(&h.tempPriv, &h.herTemp) || !a.state.mixDH(&h.tempPriv, (*[32]byte)(&s.key)) {
		s.in = herHello{}
		return ErrBadPeer
	}
	a.state.mixPSK(&a.psk)
	at := len(msg)
	msg = a.state.encrypt(msg, nil)
	a.state.absorb(msg[at:])
	a.msg = putMACs(msg, (*[32]byte)(&s.key), s.cookie.get(now))
	recv, send := a.state.split()
	h.made, h.answered = newNoiseTransport(&send, &recv, a.index, a.herIndex, false), true
	h.made.herTemp, h.made.user = h.herTemp, h.user
	return replace(b, a.msg)
}

// openResponse takes the answer to our initiation. It is fresh, as a key
// packet is.
func (s *Session) openResponse(now mono.Time, p []byte) (Event, DecryptErr) {
	if len(p) != responseLen {
		return 0, ErrRunt
	}
	c := s.out.noise.find(binary.LittleEndian.Uint32(p[12:]))
	if !s.out.waiting() || c == nil {
		if s.Established() {
			return 0, ErrKeyEstablished
		}
		return 0, ErrStrayKey
	}
	if mac1, body := mac1Of(p); !validMAC(&s.cfg.Self.mac1, mac1, body) {
		return 0, ErrHandshakeFailed
	}
	temp := [32]byte(p[16:48])
	n := c.state
	n.ephemeral(&temp)
	if !n.mixDH(&c.priv, &temp) || !n.mixDH((*[32]byte)(&s.cfg.Self.Private), &temp) {
		return 0, ErrWiseguy
	}
	psk := s.unnamedPSK()
	n.mixPSK(&psk)
	if _, ok := n.decrypt(nil, p[48:64]); !ok {
		return 0, ErrHandshakeFailed
	}
	n.absorb(p[48:64])
	send, recv := n.split()
	t := newNoiseTransport(&send, &recv, c.index, binary.LittleEndian.Uint32(p[8:]), true)
	t.herTemp = temp
	s.out.noise = noiseCall{}
	s.out.made = t
	s.in.quiet = true
	s.promote(now, t)
	return Promoted | Answer, 0
}

// find returns our initiation with that index, or nil.
func (c *noiseCall) find(index uint32) *initiation {
	switch {
	case index == 0:
		return nil
	case c.last.index == index:
		return &c.last
	case c.before.index == index:
		return &c.before
	default:
		return nil
	}
}
