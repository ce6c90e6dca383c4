package cryptoauth

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"github.com/meshagent/meshagent/agent/pkt"
)

// recorded is every kind of packet of one handshake, in order.
type recorded struct{ hello, repeatHello, key, repeatKey, fromA, fromB []byte }

func (d *duo) record() (r recorded) {
	r.hello = bytes.Clone(seal(d.t, 0, d.a, "hello").Bytes())
	r.repeatHello = bytes.Clone(seal(d.t, 0, d.a, "hello").Bytes())
	d.open(d.b, r.hello)
	r.key = bytes.Clone(seal(d.t, 0, d.b, "key").Bytes())
	r.repeatKey = bytes.Clone(seal(d.t, 0, d.b, "key").Bytes())
	d.open(d.a, r.key)
	r.fromA = bytes.Clone(seal(d.t, 0, d.a, "traffic").Bytes())
	d.open(d.b, r.fromA)
	r.fromB = bytes.Clone(seal(d.t, 0, d.b, "traffic").Bytes())
	d.open(d.a, r.fromB)
	return r
}

func try(s *Session, raw []byte) (Event, error) {
	var b pkt.Buf
	b.Set(raw)
	return s.Open(0, &b)
}

func (d *duo) open(s *Session, raw []byte) {
	d.t.Helper()
	if _, err := try(s, raw); err != nil {
		d.t.Fatal(err)
	}
}

// fresh gives sessions that have not met, with the chance of the recording.
func (d *duo) fresh() (a, b *Session) {
	n := newDuo(d.t)
	return n.a, n.b
}

// refuses fails unless s drops raw for that reason, counts it, and stays what
// it was.
func refuses(t *testing.T, s *Session, raw []byte, reason DecryptErr) {
	t.Helper()
	before := *s
	n := s.Stats().Drops[reason]
	if _, err := try(s, raw); !errors.Is(err, reason) {
		t.Errorf("error %v, want %v", err, reason)
	}
	if s.Stats().Drops[reason] != n+1 {
		t.Errorf("%v was not counted", reason)
	}
	before.stats, before.perm, before.out.keyDH, before.out.haveDH = s.stats, s.perm, s.out.keyDH, s.out.haveDH
	before.in.made = s.in.made
	before.displaced, before.auth.password = s.displaced, nil
	after := *s
	after.auth.password = nil
	if !sameSession(&before, &after) {
		t.Errorf("%v changed the session", reason)
	}
}

func sameSession(a, b *Session) bool {
	return a.cur == b.cur && a.prev == b.prev && reflect.DeepEqual(a.out, b.out) && a.in == b.in &&
		a.key == b.key && a.known == b.known && a.lastIn == b.lastIn && a.displaced == b.displaced
}

func TestTruncatedPacketsAreRefused(t *testing.T) {
	d := newDuo(t)
	r := d.record()
	for name, raw := range map[string][]byte{"hello": r.hello, "key": r.key, "traffic": r.fromA} {
		for n := range raw {
			a, b := d.fresh()
			to := b
			if name == "key" {
				seal(t, 0, a, "hello")
				to = a
			} else if name == "traffic" {
				d.open(b, r.hello)
				seal(t, 0, b, "key")
			}
			if _, err := try(to, raw[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes accepted", name, n, len(raw))
			}
		}
	}
}

func TestFlippedBitsAreRefused(t *testing.T) {
	d := newDuo(t)
	r := d.record()
	a, b := d.fresh()
	seal(t, 0, a, "hello")
	b2 := func() *Session { _, b := d.fresh(); return b }
	// Bytes that the header does not protect: the word's lowest bit tells a
	// repeat, and a named password leaves four bytes unused.
	free := func(raw []byte, i int, bit byte) bool {
		return i == 3 && bit == 1 && raw[3] < 4 || len(raw) > headerLen && i >= 12 && i < 16 || len(raw) > headerLen && raw[4] == 0 && i >= 5 && i < 16
	}
	for i := range r.hello {
		for bit := byte(1); bit != 0; bit <<= 1 {
			flipped := bytes.Clone(r.hello)
			flipped[i] ^= bit
			if _, err := try(b, flipped); (err == nil) != free(r.hello, i, bit) {
				t.Errorf("hello, byte %d bit %02x: %v", i, bit, err)
			}
			if b.in.live {
				b = b2()
			}
		}
	}
	for i := range r.key {
		for bit := byte(1); bit != 0; bit <<= 1 {
			flipped := bytes.Clone(r.key)
			flipped[i] ^= bit
			if _, err := try(a, flipped); (err == nil) != free(r.key, i, bit) {
				t.Errorf("key, byte %d bit %02x: %v", i, bit, err)
			}
			if a.cur != nil {
				a, _ = d.fresh()
				seal(t, 0, a, "hello")
			}
		}
	}
	traffic := bytes.Clone(seal(t, 0, d.a, "more").Bytes())
	for i := range traffic {
		flipped := bytes.Clone(traffic)
		flipped[i] ^= 0x10
		if _, err := try(d.b, flipped); err == nil {
			t.Errorf("traffic, byte %d: accepted", i)
		}
	}
	d.open(d.b, traffic)
}

func TestEveryReasonToRefuse(t *testing.T) {
	d := newDuo(t)
	r := d.record()

	a, b := d.fresh()
	refuses(t, a, nil, ErrRunt)
	refuses(t, a, r.fromB[:19], ErrRunt)
	refuses(t, a, r.fromB, ErrNoSession)
	refuses(t, a, r.key, ErrStrayKey)
	refuses(t, b, r.repeatKey, ErrWrongPermKey) // its own

	d.open(b, r.hello)
	refuses(t, b, r.hello, ErrInvalidPacket) // a hello that is no repeat, again
	refuses(t, b, r.fromA, ErrNoSession)     // before the key packet
	seal(t, 0, b, "key")
	refuses(t, b, r.fromB, ErrDecrypt)

	seal(t, 0, a, "hello")
	d.open(a, r.key)
	refuses(t, a, r.key, ErrInvalidPacket) // the same key packet again
	other := bytes.Clone(r.repeatKey)
	d.reseal(t, a, other, [32]byte{9, 9})
	refuses(t, a, other, ErrInvalidPacket) // a repeat with another key
	d.reseal(t, a, other, [32]byte{})
	refuses(t, a, other, ErrWiseguy)
	d.reseal(t, a, other, [32]byte{1})
	binary.BigEndian.PutUint32(other, 2)
	refuses(t, a, other, ErrWiseguy) // a point of order 1

	refuses(t, d.a, r.key, ErrKeyEstablished)
	refuses(t, d.a, r.fromB, ErrReplay)
	refuses(t, d.b, r.fromA, ErrReplay)
	refuses(t, d.b, r.hello, ErrInvalidPacket)
	refuses(t, d.b, r.repeatHello, ErrInvalidPacket)
	refuses(t, d.a, r.hello, ErrWrongPermKey) // our own packet comes back
	if st := d.b.Stats(); st.Duplicates != 1 {
		t.Errorf("%d duplicates, want 1", st.Duplicates)
	}
}

// reseal gives a key packet for a another temporary key.
func (d *duo) reseal(t *testing.T, a *Session, raw []byte, temp [32]byte) {
	t.Helper()
	raw[3] = 3
	copy(raw[clearLen:], temp[:])
	copy(raw[headerLen:], "key")
	secret := handshakeSecret(&a.out.keyDH, nil)
	sealBox(raw[72:], (*[24]byte)(raw[16:40]), &secret)
}

func TestHelloWithZeroTempKey(t *testing.T) {
	d := newDuo(t)
	raw := bytes.Clone(seal(t, 0, d.a, "hello").Bytes())
	clear(raw[clearLen:headerLen])
	shared, _ := d.a.perm.get(d.ids[0], d.ids[1].Public)
	secret := handshakeSecret(shared, d.a.auth.key())
	sealBox(raw[72:], (*[24]byte)(raw[16:40]), &secret)
	refuses(t, d.b, raw, ErrWiseguy)

	// A point of low order is found when we answer.
	raw = bytes.Clone(seal(t, 0, d.a, "hello").Bytes())
	copy(raw[clearLen:headerLen], []byte{31: 0, 0: 1})
	clear(raw[clearLen+1 : headerLen])
	sealBox(raw[72:], (*[24]byte)(raw[16:40]), &secret)
	d.open(d.b, raw)
	var b pkt.Buf
	b.Reset()
	if err := d.b.SealCandidate(0, &b); !errors.Is(err, ErrBadPeer) || d.b.HasCandidate() {
		t.Errorf("answered a worthless key: %v", err)
	}
}

func TestErrorsHaveTextAndCode(t *testing.T) {
	seen := map[string]bool{}
	for e := DecryptErr(1); e < NumErrs; e++ {
		if s := e.Error(); s == "" || seen[s] || e.Code() != uint8(e) {
			t.Errorf("error %d: %q", e, s)
		} else {
			seen[s] = true
		}
	}
	if DecryptErr(200).Error() == "" || ErrNoRoom.Error() == ErrNoKey.Error() || ErrBadPeer.Error() == ErrNoKey.Error() {
		t.Error("an error lacks its own text")
	}
}
