package cjdns

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"testing"
)

func TestSigningKeysOfRealNodes(t *testing.T) {
	for _, v := range vectors(t, "keys.txt") {
		p, err := ParsePrivateKey(v[1])
		if err != nil {
			t.Fatal(err)
		}
		k := NewSigningKey(p)
		pub := k.Public()
		if got := hex.EncodeToString(pub[:]); got != v[5] {
			t.Errorf("%s: signing key %s, want %s", v[0], got, v[5])
		}
		if got, err := KeyFromSigning(pub); err != nil || hex.EncodeToString(got[:]) != v[2] {
			t.Errorf("%s: permanent key %x, %v, want %s", v[0], got, err, v[2])
		}
	}
}

func TestSignaturesAreEd25519(t *testing.T) {
	p, err := ParsePrivateKey(vectors(t, "keys.txt")[0][1])
	if err != nil {
		t.Fatal(err)
	}
	k := NewSigningKey(p)
	pub := k.Public()
	random := testRand(1)
	for n := range 20 {
		msg := make([]byte, n*7)
		random(msg)
		sig := k.Sign(random, msg)
		if !ed25519.Verify(pub[:], msg, sig[:]) || !pub.Verify(msg, sig[:]) {
			t.Fatalf("signature of %d bytes refused", len(msg))
		}
		other := k.Sign(random, msg)
		if sig == other {
			t.Error("two signatures of one message are equal")
		}
		for i := range sig {
			bad := sig
			bad[i] ^= 4
			if pub.Verify(msg, bad[:]) {
				t.Fatalf("signature with byte %d changed accepted", i)
			}
		}
		if pub.Verify(append(bytes.Clone(msg), 0), sig[:]) || pub.Verify(msg, sig[:63]) || pub.Verify(msg, nil) {
			t.Error("signature of something else accepted")
		}
	}
	// A source of randomness that fails must not give the key away: without
	// it, different messages still have different nonces.
	zeros := func([]byte) {}
	a, b := k.Sign(zeros, []byte("a")), k.Sign(zeros, []byte("b"))
	if bytes.Equal(a[:32], b[:32]) {
		t.Error("two messages signed with one nonce")
	}
}

func TestVerifyWithKeyOffTheCurve(t *testing.T) {
	bad := VerifyKey{2}
	if _, err := KeyFromSigning(bad); !errors.Is(err, ErrSigningKey) {
		t.Errorf("KeyFromSigning: %v, want ErrSigningKey", err)
	}
	if bad.Verify(nil, make([]byte, SignatureLen)) {
		t.Error("signature of a key off the curve accepted")
	}
}

func BenchmarkSign(b *testing.B) {
	k := NewSigningKey(PrivateKey{1, 2, 3})
	msg := make([]byte, 400)
	random := testRand(1)
	b.ReportAllocs()
	for b.Loop() {
		k.Sign(random, msg)
	}
}

func BenchmarkVerifyAnnouncement(b *testing.B) {
	raw := unhex(b, vectors(b, "announcements.txt")[0][0])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := VerifyAnnouncement(raw); err != nil {
			b.Fatal(err)
		}
	}
}
