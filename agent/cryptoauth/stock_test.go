package cryptoauth

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// stock is a model of the session of cjdroute v20.7, written from its rules:
// one state, which any hello can reset. It is what ours must get along with.
type stock struct {
	cfg         *Config
	key         cjdns.Key
	auth        outAuth
	requireAuth bool

	next        uint64 // 0 init, 1 hello sent, 2 hello received, 3 key sent, 4.. packet number
	initiator   bool
	established bool
	ourPriv     [32]byte
	ourPub      [32]byte
	herTemp     [32]byte
	secret      trafficKey
	last        mono.Time // moves with authentic traffic only
	win         window
	stats       Stats
}

func newStock(cfg *Config, o Options, now mono.Time) *stock {
	s := &stock{cfg: cfg, key: o.Key, requireAuth: o.RequireAuth, last: now}
	s.auth.set(o.Password, o.Login)
	return s
}

func (s *stock) reset() {
	*s = stock{cfg: s.cfg, key: s.key, auth: s.auth, requireAuth: s.requireAuth, last: s.last, stats: s.stats}
}

func (s *stock) resetIfTimeout(now mono.Time) {
	idle := now.Sub(s.last)
	if s.next == 1 || idle < 10*time.Second || s.established && idle < 60*time.Second {
		return
	}
	s.last = now
	s.reset()
}

func (s *stock) encrypt(now mono.Time, text []byte) []byte {
	s.resetIfTimeout(now)
	if s.next >= maxNonce {
		s.reset()
	}
	if s.next < 4 {
		return s.handshake(text)
	}
	if s.next == 4 {
		s.secret = s.agree()
	}
	p := binary.BigEndian.AppendUint32(nil, uint32(s.next))
	p = append(append(p, make([]byte, tagLen)...), text...)
	nonce := s.secret.nonce24(uint32(s.next), true)
	sealBox(p[4:], &nonce, &s.secret.secret)
	s.next++
	return p
}

func (s *stock) agree() trafficKey {
	raw, _ := agree(&s.ourPriv, &s.herTemp)
	return trafficKey{secret: handshakeSecret(&raw, nil), initiator: s.initiator}
}

func (s *stock) handshake(text []byte) []byte {
	h := cjdns.CryptoHeader{State: uint32(s.next), Key: s.cfg.Self.Public}
	if s.auth.key() != nil {
		h.Auth, h.Lookup = cjdns.AuthType(s.auth.named[0]), [7]byte(s.auth.named[1:])
	} else {
		s.cfg.Rand(h.Lookup[:])
	}
	s.cfg.Rand(h.Nonce[:])
	if s.next == 0 || s.next == 2 {
		s.cfg.Rand(s.ourPriv[:])
		s.ourPub = publicKey(&s.ourPriv)
	}
	var raw [32]byte
	if s.next < 2 {
		raw, _ = agree((*[32]byte)(&s.cfg.Self.Private), (*[32]byte)(&s.key))
		s.initiator, s.next = true, 1
	} else {
		raw, _ = agree((*[32]byte)(&s.cfg.Self.Private), &s.herTemp)
		s.next = 3
	}
	secret := handshakeSecret(&raw, s.auth.key())
	h.Sealed = append(append(make([]byte, tagLen), s.ourPub[:]...), text...)
	sealBox(h.Sealed, &h.Nonce, &secret)
	return h.Append(nil)
}

func (s *stock) decrypt(now mono.Time, p []byte) ([]byte, DecryptErr) {
	p = bytes.Clone(p)
	if len(p) < 20 {
		return nil, ErrRunt
	}
	word := binary.BigEndian.Uint32(p)
	switch {
	case word < 2 || word < 4 && !s.established:
		return s.decryptHandshake(word, p)
	case word < 4:
		return nil, ErrKeyEstablished
	}
	key := s.secret
	if !s.established {
		if s.next < 3 {
			return nil, ErrNoSession
		}
		key = s.agree()
	}
	if !key.openAt(word, p) {
		return nil, ErrDecrypt
	}
	if err := s.win.accept(uint64(word), &s.stats); err != 0 {
		return nil, err
	}
	if !s.established {
		s.secret, s.established = key, true
		s.next += 3
	}
	s.last = now
	return p[trafficOverhead:], 0
}

func (s *stock) decryptHandshake(word uint32, p []byte) ([]byte, DecryptErr) {
	h, short := cjdns.ParseCryptoHeader(p)
	if short != nil {
		return nil, ErrRunt
	}
	if !s.key.IsZero() && s.key != h.Key {
		return nil, ErrWrongPermKey
	}
	user, err := s.cfg.authenticate(&h, s.requireAuth)
	if err != 0 {
		return nil, err
	}
	priv, pub := (*[32]byte)(&s.cfg.Self.Private), (*[32]byte)(&h.Key)
	if word >= 2 {
		if !s.initiator {
			return nil, ErrStrayKey
		}
		priv = &s.ourPriv
	}
	raw, _ := agree(priv, pub)
	secret := handshakeSecret(&raw, user.key())
	if !openBox(h.Sealed, &h.Nonce, &secret) {
		return nil, ErrHandshakeFailed
	}
	temp, text := [32]byte(h.Sealed[tagLen:]), h.Sealed[tagLen+32:]
	same := temp == s.herTemp
	switch {
	case word == 0 && same, word == 2 && s.next >= 4 && same, word == 3 && s.next >= 4 && !same:
		return nil, ErrInvalidPacket
	case word >= 2:
		return text, s.takeKey(word, temp)
	default:
		keep, err := s.takeHello(h.Key, temp, same)
		if keep || err != 0 {
			return text, err
		}
	}
	s.key, s.win = h.Key, window{}
	return text, 0
}

func (s *stock) takeKey(word uint32, temp [32]byte) DecryptErr {
	switch {
	case s.next == 0 || s.next == 2 || s.next == 3:
		return ErrStrayKey
	case s.next == 1:
		s.herTemp, s.next = temp, 4
	default:
		if word == 2 {
			s.herTemp = temp
			if s.next > 4 {
				s.secret = s.agree()
			}
		}
		if s.next > 4 {
			s.next++
		}
	}
	s.win = window{}
	return 0
}

// takeHello reports whether the hello changes nothing.
func (s *stock) takeHello(key cjdns.Key, temp [32]byte, same bool) (keep bool, err DecryptErr) {
	switch {
	case same && (s.next == 2 || s.next == 3):
		return false, 0
	case same:
		return false, ErrInvalidPacket
	case s.next == 1 && bytes.Compare(key[:], s.cfg.Self.Public[:]) > 0:
		return true, 0
	case s.next != 0:
		s.reset()
	}
	s.herTemp, s.next = temp, 2
	return false, 0
}
