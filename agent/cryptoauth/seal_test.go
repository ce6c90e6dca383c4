package cryptoauth

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/nacl/box"
	"golang.org/x/crypto/nacl/secretbox"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

const second = mono.Time(time.Second)

// chance returns a deterministic source of random bytes.
func chance(seed uint64) func([]byte) {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 1})
	return func(b []byte) { _, _ = r.Read(b) }
}

var testIdentities = sync.OnceValue(func() (ids []*Identity) {
	rand := chance(7)
	for range 3 {
		ids = append(ids, GenerateIdentity(rand))
	}
	slices.SortFunc(ids, func(a, b *Identity) int { return bytes.Compare(a.Public[:], b.Public[:]) })
	return ids
})

// identities returns key pairs in the order of their public keys.
func identities(t testing.TB, n int) []*Identity {
	t.Helper()
	return testIdentities()[:n]
}

// duo is two sessions with each other; a has the lower key and dials.
type duo struct {
	t        testing.TB
	ids      []*Identity
	ca, cb   *Config
	a, b     *Session
	password []byte
}

func newDuo(t testing.TB) *duo {
	t.Helper()
	d := &duo{t: t, ids: identities(t, 2), password: []byte("correct horse")}
	d.ca = &Config{Self: d.ids[0], Users: &Users{}, Rand: chance(1)}
	d.cb = &Config{Self: d.ids[1], Users: &Users{}, Rand: chance(2)}
	if err := d.cb.Users.Set(User{Name: "ann", Password: d.password}); err != nil {
		t.Fatal(err)
	}
	d.a = New(d.ca, Options{Key: d.ids[1].Public, Password: d.password, Login: "ann"}, 0)
	d.b = New(d.cb, Options{RequireAuth: true}, 0)
	return d
}

// send seals text at one end and opens it at the other.
func send(t testing.TB, now mono.Time, from, to *Session, text string) (Event, error) {
	t.Helper()
	b := seal(t, now, from, text)
	ev, err := to.Open(now, b)
	if err == nil && string(b.Bytes()) != text {
		t.Errorf("opened %q, want %q", b.Bytes(), text)
	}
	return ev, err
}

func seal(t testing.TB, now mono.Time, from *Session, text string) *pkt.Buf {
	t.Helper()
	b := new(pkt.Buf)
	b.Set([]byte(text))
	if err := from.SealCandidate(now, b); err != nil {
		t.Fatalf("seal: %v", err)
	}
	return b
}

// want fails unless the packet was opened with these events.
func want(t testing.TB, ev Event, err error, wanted Event) {
	t.Helper()
	if err != nil || ev != wanted {
		t.Fatalf("events %04b, error %v; want %04b", ev, err, wanted)
	}
}

// shake brings both ends to StateEstablished.
func (d *duo) shake(now mono.Time) {
	d.t.Helper()
	ev, err := send(d.t, now, d.a, d.b, "hello")
	want(d.t, ev, err, Answer)
	ev, err = send(d.t, now, d.b, d.a, "key")
	want(d.t, ev, err, Promoted|Answer)
	ev, err = send(d.t, now, d.a, d.b, "traffic")
	want(d.t, ev, err, Promoted|Fresh|Answer)
	ev, err = send(d.t, now, d.b, d.a, "answer")
	want(d.t, ev, err, Fresh)
	if !d.a.Established() || !d.b.Established() {
		d.t.Fatal("not established")
	}
}

func TestHandshake(t *testing.T) {
	d := newDuo(t)
	if d.a.State() != StateInit || d.a.CanSend() || d.a.Established() {
		t.Error("a new session has a state")
	}
	d.shake(0)
	if d.b.PeerKey() != d.ids[0].Public || d.b.User() != "ann" || d.a.User() != "" {
		t.Errorf("b learned %v, user %q; a's user %q", d.b.PeerKey(), d.b.User(), d.a.User())
	}
	if d.a.State() != StateEstablished || !d.b.CanSend() || d.a.HasCandidate() || d.b.HasCandidate() {
		t.Error("the state is not that of an established session")
	}
	for i := range 100 {
		ev, err := send(t, second, d.a, d.b, fmt.Sprint(i))
		want(t, ev, err, Fresh)
		ev, err = send(t, second, d.b, d.a, fmt.Sprint(i))
		want(t, ev, err, Fresh)
	}
	if st := d.a.Stats(); st.Received != 101 || st.Lost != 0 || d.a.LastIn() != second {
		t.Errorf("stats %+v, last in %v", st, d.a.LastIn())
	}
}

func TestSealBoxIsNaCl(t *testing.T) {
	rand := chance(3)
	for n := range 300 {
		var key [32]byte
		var nonce [24]byte
		text := make([]byte, n*5)
		rand(key[:])
		rand(nonce[:])
		rand(text)
		want := secretbox.Seal(nil, text, &nonce, &key)
		got := append(make([]byte, tagLen), text...)
		sealBox(got, &nonce, &key)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: differs from NaCl's secretbox", len(text))
		}
		if !openBox(got, &nonce, &key) || !bytes.Equal(got[tagLen:], text) {
			t.Fatalf("%d bytes: does not open", len(text))
		}
	}
}

func TestHandshakeSecretIsNaCl(t *testing.T) {
	ids := identities(t, 2)
	var want [32]byte
	box.Precompute(&want, (*[32]byte)(&ids[1].Public), (*[32]byte)(&ids[0].Private))
	raw, ok := agree((*[32]byte)(&ids[0].Private), (*[32]byte)(&ids[1].Public))
	if got := handshakeSecret(&raw, nil); !ok || got != want {
		t.Errorf("secret %x, want %x", got, want)
	}
}

// The values are from a log of cjdroute v20.7.
func TestPasswordSecretOfCjdroute(t *testing.T) {
	unhex := func(s string) (b []byte) { b, _ = hex.DecodeString(s); return b }
	a, err := NewIdentity(cjdns.PrivateKey(unhex("b81337f3fc15f9c1fbecfab8f8e546aa870bb723bdb4f4869d0ea167cbbf9e3f")))
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewIdentity(cjdns.PrivateKey(unhex("3948f69d06c6bb0edff5c58c9ecda4efe0e890826b13db9c71b4ac16a2ab2ccb")))
	if err != nil {
		t.Fatal(err)
	}
	secret := passwordSecret([]byte("passForA"))
	raw, _ := agree((*[32]byte)(&a.Private), (*[32]byte)(&b.Public))
	got := handshakeSecret(&raw, &secret)
	if want := "19902163eb3ab1b612a69b6a10cf92cec48e835467f124bd95f6e4e7b500f497"; hex.EncodeToString(got[:]) != want {
		t.Errorf("hello secret %x, want %s", got, want)
	}
	if c := loginChallenge("A-login"); hex.EncodeToString(c[:]) != "02a7f19ab9870c41" {
		t.Errorf("challenge by login %x", c)
	}
	if c := passwordChallenge(&secret); hex.EncodeToString(c[:]) != "01f93cafc702ce0a" {
		t.Errorf("challenge by password %x", c)
	}
}

func TestIdentityNotFC(t *testing.T) {
	if _, err := NewIdentity(cjdns.PrivateKey{1}); !errors.Is(err, cjdns.ErrNotFC) {
		t.Errorf("error %v, want %v", err, cjdns.ErrNotFC)
	}
}

func TestSealNeedsRoom(t *testing.T) {
	d := newDuo(t)
	b := new(pkt.Buf)
	b.Reset()
	b.Push(pkt.Headroom - headerLen + 1)
	if err := d.a.Seal(0, b); !errors.Is(err, ErrNoRoom) || b.Len() != pkt.Headroom-headerLen+1 {
		t.Errorf("handshake: %v, %d bytes", err, b.Len())
	}
	d.shake(0)
	b.Reset()
	b.Push(pkt.Headroom - trafficOverhead + 1)
	if err := d.a.Seal(0, b); !errors.Is(err, ErrNoRoom) || b.Len() != pkt.Headroom-trafficOverhead+1 {
		t.Errorf("traffic: %v, %d bytes", err, b.Len())
	}
	if err := New(d.ca, Options{}, 0).Seal(0, b); !errors.Is(err, ErrNoKey) {
		t.Errorf("without a key: %v, want %v", err, ErrNoKey)
	}
}

func TestTrafficAllocs(t *testing.T) {
	d := newDuo(t)
	d.shake(0)
	b := new(pkt.Buf)
	text := make([]byte, 1304)
	junk := make([]byte, 200)
	junk[0] = 1
	if n := testing.AllocsPerRun(200, func() {
		b.Set(text)
		if d.a.Seal(0, b) != nil {
			t.Fatal("seal")
		}
		if _, err := d.b.Open(0, b); err != nil {
			t.Fatal(err)
		}
		b.Set(junk)
		if _, err := d.b.Open(0, b); !errors.Is(err, ErrDecrypt) {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{64, 1304} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			d := newDuo(b)
			d.shake(0)
			buf, text := new(pkt.Buf), make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				buf.Set(text)
				_ = d.a.Seal(0, buf)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{64, 1304} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			d := newDuo(b)
			d.shake(0)
			buf, text := new(pkt.Buf), make([]byte, size)
			buf.Set(text)
			_ = d.a.Seal(0, buf)
			sealed := bytes.Clone(buf.Bytes())
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				buf.Set(sealed)
				d.b.cur.win = window{}
				if _, err := d.b.Open(0, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFlood is the cost of a replayed hello.
func BenchmarkFlood(b *testing.B) {
	d := newDuo(b)
	hello := bytes.Clone(seal(b, 0, d.a, "ping").Bytes())
	d.shake(0)
	d.b.cur.herTemp = [32]byte{}
	buf := new(pkt.Buf)
	b.ReportAllocs()
	for b.Loop() {
		buf.Set(hello)
		_, _ = d.b.Open(0, buf)
	}
}

func BenchmarkHandshake(b *testing.B) {
	d := newDuo(b)
	b.ReportAllocs()
	for b.Loop() {
		d.a.Reset(0)
		d.b.Reset(0)
		d.shake(0)
	}
}
