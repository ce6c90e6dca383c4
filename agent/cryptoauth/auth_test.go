package cryptoauth

import (
	"bytes"
	"errors"
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/pkt"
)

func TestUsers(t *testing.T) {
	var l Users
	if err := l.Set(User{Name: "none"}); !errors.Is(err, ErrNoPassword) {
		t.Errorf("without a password: %v, want %v", err, ErrNoPassword)
	}
	password := []byte("first")
	for _, u := range []User{
		{Name: "ann", Password: password},
		{Password: []byte("anonymous")},
		{Name: "bob", Password: []byte("first")},
		{Password: []byte("anonymous too")},
		{Name: "ann", Password: []byte("changed")},
	} {
		if err := l.Set(u); err != nil {
			t.Fatal(err)
		}
	}
	password[0] = 'X'
	var names string
	for _, u := range l.All() {
		names += u.Name + "=" + string(u.Password) + " "
	}
	if want := "ann=changed Anon #1=anonymous bob=first Anon #2=anonymous too "; names != want || l.Len() != 4 {
		t.Errorf("users %q, want %q", names, want)
	}
	secret := passwordSecret([]byte("first"))
	if u := l.find(passwordChallenge(&secret)); u.name() != "bob" {
		t.Errorf("by password: %q, want bob", u.name())
	}
	if u := l.find(loginChallenge("Anon #2")); u.name() != "Anon #2" {
		t.Errorf("by login: %q", u.name())
	}
	if !l.Remove("bob") || l.Remove("bob") || l.find(passwordChallenge(&secret)) != nil {
		t.Error("bob is still there")
	}
}

func TestFirstUserWins(t *testing.T) {
	var l Users
	for _, name := range []string{"one", "two"} {
		if err := l.Set(User{Name: name, Password: []byte("same")}); err != nil {
			t.Fatal(err)
		}
	}
	secret := passwordSecret([]byte("same"))
	if u := l.find(passwordChallenge(&secret)); u.name() != "one" {
		t.Errorf("found %q, want one", u.name())
	}
}

// TestCheckAuth: the cheap check and Open refuse the same hellos for the same
// reasons, those apart that need the key agreement.
func TestCheckAuth(t *testing.T) {
	ids := identities(t, 3)
	users := func(list ...User) *Users {
		l := new(Users)
		for _, u := range list {
			if err := l.Set(u); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	pw := []byte("secret")
	for _, c := range []struct {
		name    string
		users   *Users
		o       Options
		require bool
		mangle  func([]byte) []byte
		cheap   error // of CheckAuth
		open    error // of Open
	}{
		{name: "no password, none required"},
		{name: "no password, nobody may", require: true, cheap: ErrAuthRequired, open: ErrAuthRequired},
		{name: "no password, required", users: users(User{Name: "u", Password: pw}), require: true, cheap: ErrAuthRequired, open: ErrAuthRequired},
		{name: "by password", users: users(User{Name: "u", Password: pw}), o: Options{Password: pw}, require: true},
		{name: "by login", users: users(User{Name: "u", Password: pw}), o: Options{Password: pw, Login: "u"}, require: true},
		{name: "unknown password", users: users(User{Name: "u", Password: pw}), o: Options{Password: []byte("?")}, cheap: ErrUnknownAuth, open: ErrUnknownAuth},
		{name: "unknown password, required", users: users(User{Name: "u", Password: pw}), o: Options{Password: []byte("?")}, require: true, cheap: ErrAuthRequired, open: ErrAuthRequired},
		{name: "right login, wrong password", users: users(User{Name: "u", Password: pw}), o: Options{Password: []byte("?"), Login: "u"}, open: ErrHandshakeFailed},
		{name: "right address", users: users(User{Name: "u", Password: pw, IP: ids[0].IP}), o: Options{Password: pw}, require: true},
		{name: "other address", users: users(User{Name: "u", Password: pw, IP: ids[2].IP}), o: Options{Password: pw}, cheap: ErrIPRestricted, open: ErrIPRestricted},
		{name: "kind 3", mangle: func(b []byte) []byte { b[4] = 3; return b }, cheap: ErrUnknownAuth, open: ErrUnknownAuth},
		{name: "kind 255, required", require: true, mangle: func(b []byte) []byte { b[4] = 255; return b }, cheap: ErrAuthRequired, open: ErrAuthRequired},
		{name: "key packet", mangle: func(b []byte) []byte { b[3] = 2; return b }, cheap: ErrStrayKey, open: ErrStrayKey},
		{name: "runt", mangle: func(b []byte) []byte { return b[:119] }, cheap: ErrRunt, open: ErrRunt},
		{name: "not fc", mangle: func(b []byte) []byte { b[40]++; return b }, cheap: ErrWrongPermKey, open: ErrWrongPermKey},
		{name: "our own key", mangle: func(b []byte) []byte { copy(b[40:], ids[1].Public[:]); return b }, cheap: ErrWrongPermKey, open: ErrWrongPermKey},
	} {
		ca := &Config{Self: ids[0], Rand: chance(1)}
		cb := &Config{Self: ids[1], Users: c.users, Rand: chance(2)}
		c.o.Key = ids[1].Public
		raw := bytes.Clone(seal(t, 0, New(ca, c.o, 0), "ping").Bytes())
		if c.mangle != nil {
			raw = c.mangle(raw)
		}
		if err := cb.CheckAuth(raw, c.require); !errors.Is(err, c.cheap) {
			t.Errorf("%s: CheckAuth = %v, want %v", c.name, err, c.cheap)
		}
		var b pkt.Buf
		b.Set(raw)
		s := New(cb, Options{RequireAuth: c.require}, 0)
		if _, err := s.Open(0, &b); !errors.Is(err, c.open) {
			t.Errorf("%s: Open = %v, want %v", c.name, err, c.open)
		}
		if (c.open == nil) == s.PeerKey().IsZero() {
			t.Errorf("%s: learned the key %v", c.name, s.PeerKey())
		}
	}
}

func TestProbeHello(t *testing.T) {
	d := newDuo(t)
	raw := seal(t, 0, d.a, "").Bytes()
	if k, ok := ProbeHello(raw); !ok || k != d.ids[0].Public {
		t.Errorf("ProbeHello = %v, %v", k, ok)
	}
	for n := range raw {
		if _, ok := ProbeHello(raw[:n]); ok {
			t.Errorf("%d bytes were taken for a hello", n)
		}
	}
	for word, want := range map[byte]bool{0: true, 1: true, 2: false, 3: false, 4: false, 255: false} {
		raw[3] = word
		if _, ok := ProbeHello(raw); ok != want {
			t.Errorf("first word %d: %v, want %v", word, ok, want)
		}
	}
	if raw[3] = 3; !IsHandshake(raw) || IsHandshake(raw[:3]) {
		t.Error("IsHandshake does not know a key packet")
	}
	if raw[3] = 4; IsHandshake(raw) {
		t.Error("IsHandshake takes traffic for a handshake")
	}
}

func TestChallengeIsNotTheSecret(t *testing.T) {
	secret := passwordSecret([]byte("p"))
	if c := passwordChallenge(&secret); bytes.Contains(secret[:], c[1:]) || c[0] != byte(cjdns.AuthPassword) {
		t.Errorf("challenge %x of secret %x", c, secret)
	}
}
