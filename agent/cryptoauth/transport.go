package cryptoauth

import (
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// transport is one set of traffic keys with what counts on them: our next
// packet number and the window of the peer's. A session has up to three: the
// one before, the current one, and the one a handshake is about to make.
type transport struct {
	key   trafficKey // only its initiator counts if noise is set
	noise *noiseKeys // of a Noise transport, else nil
	// next is the number of our next packet.
	next uint64
	win  window
	// herTemp is the peer's temporary key, ours follows from the secret. A
	// handshake packet that brings it again is a replay.
	herTemp [32]byte
	// user is the name of the password that the peer used, if any.
	user string
	// confirmed: traffic of the peer came over it, so the peer has the keys.
	confirmed bool
	created   mono.Time // when it became current
	lastIn    mono.Time // when traffic came; created, if none did
	demoted   mono.Time // when it ceased to be current
}

// newTransport agrees on keys. It reports false if the peer's temporary key
// is a point of low order, which would give a secret that everybody knows.
func newTransport(ourPriv, herTemp *[32]byte, initiator bool) (*transport, bool) {
	raw, ok := agree(ourPriv, herTemp)
	if !ok {
		return nil, false
	}
	return &transport{
		key:     trafficKey{secret: handshakeSecret(&raw, nil), initiator: initiator},
		next:    firstNonce,
		herTemp: *herTemp,
	}, true
}

// spent reports whether the packet numbers are used up.
func (t *transport) spent() bool { return t.next >= maxNonce }

// seal makes b a traffic packet.
func (t *transport) seal(b *pkt.Buf) error {
	if t.noise != nil {
		err := t.noise.seal(uint32(t.next), b)
		if err == nil {
			t.next++
		}
		return err
	}
	if !b.CanPush(trafficOverhead) {
		return ErrNoRoom
	}
	t.key.sealAt(uint32(t.next), b)
	t.next++
	return nil
}

// open decrypts b in place and returns its packet number. If it reports false,
// b is unchanged, or it is a Noise packet for t.
func (t *transport) open(b *pkt.Buf) (n uint64, ok bool) {
	p := b.Bytes()
	if t.noise != nil {
		nonce, ok := t.noise.open(p)
		return uint64(nonce), ok
	}
	if len(p) < trafficOverhead {
		return 0, false
	}
	nonce := binary.BigEndian.Uint32(p)
	return uint64(nonce), t.key.openAt(nonce, p)
}

// strip takes from an opened packet what is around the plain text.
func (t *transport) strip(b *pkt.Buf) {
	if t.noise == nil {
		b.Pull(trafficOverhead)
		return
	}
	b.Pull(noiseHeader)
	b.Truncate(b.Len() - tagLen)
}

// idle returns how long nothing came.
func (t *transport) idle(now mono.Time) time.Duration { return now.Sub(t.lastIn) }
