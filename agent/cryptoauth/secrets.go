package cryptoauth

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// agree returns X25519(priv, pub). It reports false if pub is of low order.
func agree(priv, pub *[32]byte) (secret [32]byte, ok bool) {
	secret = x25519(priv, pub)
	return secret, subtle.ConstantTimeCompare(secret[:], make([]byte, 32)) == 0
}

// handshakeSecret turns the result of a key agreement into a key. Without a
// password that is NaCl's way, with one it is not. Source: cjdns
// crypto/CryptoAuth.c.
func handshakeSecret(raw, password *[32]byte) (key [32]byte) {
	if password == nil {
		return hsalsa(raw)
	}
	var both [64]byte
	copy(both[:32], raw[:])
	copy(both[32:], password[:])
	return sha256.Sum256(both[:])
}

// permSecret remembers the agreement of the permanent keys, which opens every
// hello, so that a flood of hellos costs no scalar multiplication each.
type permSecret struct {
	peer cjdns.Key
	raw  [32]byte
	ok   bool
	done bool
}

func (m *permSecret) get(self *Identity, peer cjdns.Key) (*[32]byte, bool) {
	if !m.done || m.peer != peer {
		m.peer, m.done = peer, true
		m.raw, m.ok = agree((*[32]byte)(&self.Private), (*[32]byte)(&peer))
	}
	return &m.raw, m.ok
}

// outAuth is what we show the peer to be let in.
type outAuth struct {
	password []byte
	login    string
	secret   [32]byte
	named    challenge
	noise    noiseAuth
}

// set reports whether anything changed.
func (a *outAuth) set(password []byte, login string) bool {
	if bytes.Equal(a.password, password) && a.login == login {
		return false
	}
	*a = outAuth{password: bytes.Clone(password), login: login}
	if len(password) > 0 {
		a.secret = passwordSecret(password)
		a.named = passwordChallenge(&a.secret)
		if login != "" {
			a.named = loginChallenge(login)
		}
		a.noise = newNoiseAuth(password, login)
	}
	return true
}

// key returns the password's part in handshake keys, nil without a password.
func (a *outAuth) key() *[32]byte {
	if len(a.password) == 0 {
		return nil
	}
	return &a.secret
}

// noiseAuth returns the password as Noise uses it, nil without a password.
func (a *outAuth) noiseAuth() *noiseAuth {
	if len(a.password) == 0 {
		return nil
	}
	return &a.noise
}
