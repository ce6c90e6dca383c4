package cryptoauth

import (
	"encoding/binary"
	"time"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// cookieLife is how long a cookie is good for. Source: WireGuard.
const cookieLife = 120 * time.Second

// cookieKey is the key under which the owner of pub sends cookies.
func cookieKey(pub *[32]byte) [32]byte {
	return blake2s.Sum256(append([]byte("cookie--"), pub[:]...))
}

// openCookie takes a cookie for the last message that we sent, and puts it
// into that message, which the caller then sends again.
func (s *Session) openCookie(now mono.Time, p []byte) (Event, DecryptErr) {
	if len(p) != cookieLen {
		return 0, ErrRunt
	}
	var msg []byte
	index := binary.LittleEndian.Uint32(p[8:])
	if a := s.in.noise; a != nil && a.index == index {
		msg = a.msg
	} else if c := s.out.noise.find(index); c != nil && s.out.waiting() {
		msg = c.msg
	}
	if msg == nil {
		return 0, ErrStrayKey
	}
	mac1, _ := mac1Of(msg)
	key := cookieKey((*[32]byte)(&s.key))
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return 0, ErrInternal
	}
	var got [16]byte
	if _, err := aead.Open(got[:0], p[12:36], p[36:], mac1); err != nil {
		return 0, ErrHandshakeFailed
	}
	s.cookie = cookie{key: got, got: now, has: true}
	at := len(msg) - 16
	mac2 := keyedMAC(got[:], msg[4:at])
	copy(msg[at:], mac2[:])
	return Answer, 0
}

// cookieJar makes the cookies that we hand out: a keyed hash of the source
// address, so that only who can receive there can come back.
type cookieJar struct {
	secret [32]byte
	made   mono.Time
	used   bool
}

// bake returns the cookie of b's source. It is good for at most cookieLife;
// who comes just after that gets a new one.
func (j *cookieJar) bake(now mono.Time, b *pkt.Buf, rand func([]byte)) [16]byte {
	if !j.used || now.Sub(j.made) >= cookieLife {
		rand(j.secret[:])
		j.made, j.used = now, true
	}
	var at [23]byte
	at[0] = byte(b.Addr.Kind)
	copy(at[1:], b.Addr.IP[:])
	binary.LittleEndian.PutUint16(at[17:], b.Addr.Port)
	binary.LittleEndian.PutUint32(at[19:], b.Addr.Zone)
	return keyedMAC(j.secret[:], at[:])
}

// CheckNoise decides whether the Noise initiation b deserves the key agreement
// that Open does. It is cheap enough for packets from anywhere. With busy set
// only an initiation that brings our cookie for its source address passes; to
// any other, b becomes the answer, a cookie, and reply is true: the caller
// sends it back where it came from. Errors, ErrRunt, ErrInvalidPacket or
// ErrHandshakeFailed, mean that b is no initiation to us.
func (c *Config) CheckNoise(now mono.Time, b *pkt.Buf, busy bool) (reply bool, err error) {
	p := b.Bytes()
	if !ProbeNoise(p) {
		return false, ErrRunt
	}
	if err := c.checkInitiation(p); err != 0 {
		return false, err
	}
	if !busy {
		return false, nil
	}
	cookie := c.jar.bake(now, b, c.Rand)
	at := len(p) - 16
	if want := keyedMAC(cookie[:], p[4:at]); want == [16]byte(p[at:]) {
		return false, nil
	}
	key := cookieKey((*[32]byte)(&c.Self.Public))
	aead, bad := chacha20poly1305.NewX(key[:])
	if bad != nil {
		return false, ErrInternal
	}
	mac1, _ := mac1Of(p)
	var room [cookieLen]byte
	msg := binary.BigEndian.AppendUint32(room[:0], noiseControl)
	msg = binary.LittleEndian.AppendUint32(msg, noiseCookie)
	msg = append(msg, p[8:12]...)
	msg = msg[:len(msg)+24]
	c.Rand(msg[12:36])
	msg = aead.Seal(msg, msg[12:36], cookie[:], mac1)
	if replace(b, msg) != nil {
		return false, ErrInternal
	}
	return true, nil
}
