package cryptoauth

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// ErrNoPassword reports a user without a password, who would let everybody in.
var ErrNoPassword = errors.New("cryptoauth: a user needs a password")

// challenge is how a password is named on the wire: the kind, then 7 bytes of
// a hash.
type challenge [8]byte

// passwordSecret is SHA-256 of the password; it goes into handshake keys.
func passwordSecret(password []byte) [32]byte { return sha256.Sum256(password) }

// passwordChallenge names a password by itself (kind 1).
func passwordChallenge(secret *[32]byte) (c challenge) {
	h := sha256.Sum256(secret[:])
	copy(c[:], h[:])
	c[0] = byte(cjdns.AuthPassword)
	return c
}

// loginChallenge names a password by its login (kind 2).
func loginChallenge(login string) (c challenge) {
	h := sha256.Sum256([]byte(login))
	copy(c[:], h[:])
	c[0] = byte(cjdns.AuthLogin)
	return c
}

// User is somebody whom we let in.
type User struct {
	Name     string   // the login; if empty, Set invents one
	Password []byte   // not empty
	IP       cjdns.IP // the only address that may use the password; zero: any
}

type userEntry struct {
	User
	secret     [32]byte
	byPassword challenge
	byLogin    challenge
	noise      noiseAuth
}

// Users is the ordered list of those whom we let in. Look-ups go by password
// or by login, and the first match wins, as in cjdns. The zero value is empty
// and ready. One owner.
type Users struct {
	list []*userEntry
	anon int
}

// Set adds u, or replaces the user of that name in its place. It copies the
// password. A user without a name becomes "Anon #1" and so on, as in cjdns.
// The only error is ErrNoPassword.
func (l *Users) Set(u User) error {
	if len(u.Password) == 0 {
		return ErrNoPassword
	}
	login := u.Name // in Noise no login is one too
	if u.Name == "" {
		l.anon++
		u.Name = fmt.Sprintf("Anon #%d", l.anon)
	}
	u.Password = bytes.Clone(u.Password)
	e := &userEntry{User: u, secret: passwordSecret(u.Password), byLogin: loginChallenge(u.Name)}
	e.byPassword = passwordChallenge(&e.secret)
	e.noise = newNoiseAuth(u.Password, login)
	for i, old := range l.list {
		if old.Name == u.Name {
			l.list[i] = e
			return nil
		}
	}
	l.list = append(l.list, e)
	return nil
}

// Remove takes the user away and reports whether there was one. Sessions that
// stand stay.
func (l *Users) Remove(name string) bool {
	for i, e := range l.list {
		if e.Name == name {
			l.list = append(l.list[:i], l.list[i+1:]...)
			return true
		}
	}
	return false
}

// Len returns the number of users.
func (l *Users) Len() int { return len(l.list) }

// All returns the users in the order of look-up, with copies of the passwords.
func (l *Users) All() []User {
	all := make([]User, 0, len(l.list))
	for _, e := range l.list {
		u := e.User
		u.Password = bytes.Clone(u.Password)
		all = append(all, u)
	}
	return all
}

// find returns the first user whom c names, or nil.
func (l *Users) find(c challenge) *userEntry {
	if l == nil {
		return nil
	}
	for _, e := range l.list {
		if c == e.byPassword || c == e.byLogin || c == e.noise.named {
			return e
		}
	}
	return nil
}

// key returns the user's part in handshake keys; nil without a user.
func (e *userEntry) key() *[32]byte {
	if e == nil {
		return nil
	}
	return &e.secret
}

// name returns the user's name; empty without a user.
func (e *userEntry) name() string {
	if e == nil {
		return ""
	}
	return e.Name
}

// authenticate does the cheap half of a handshake: who does the header say
// that it is from? The order of the refusals is that of cjdns.
func (c *Config) authenticate(h *cjdns.CryptoHeader, require bool) (*userEntry, DecryptErr) {
	var u *userEntry
	if h.Auth == cjdns.AuthPassword || h.Auth == cjdns.AuthLogin {
		named := challenge{byte(h.Auth)}
		copy(named[1:], h.Lookup[:])
		u = c.Users.find(named)
	}
	switch {
	case u != nil && u.IP != cjdns.IP{} && u.IP != h.Key.IP():
		return nil, ErrIPRestricted
	case u == nil && require:
		return nil, ErrAuthRequired
	case u == nil && h.Auth != cjdns.AuthNone:
		return nil, ErrUnknownAuth
	}
	return u, 0
}

// CheckAuth decides whether the hello b deserves the key agreement: the
// password it names must exist and belong to the address of the key, and with
// require it must name one. It does no key agreement, so it is cheap enough
// for packets from anywhere. Errors: ErrRunt, ErrStrayKey if b is no hello,
// ErrIPRestricted, ErrAuthRequired, ErrUnknownAuth, ErrWrongPermKey if the
// key is our own or not in fc00::/8.
func (c *Config) CheckAuth(b []byte, require bool) error {
	h, err := cjdns.ParseCryptoHeader(b)
	if err != nil {
		return ErrRunt
	}
	if h.State > cjdns.StateRepeatHello {
		return ErrStrayKey
	}
	if _, err := c.authenticate(&h, require); err != 0 {
		return err
	}
	if h.Key == c.Self.Public || !h.Key.IP().Valid() {
		return ErrWrongPermKey
	}
	return nil
}
