package adb

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
)

func TestValues(t *testing.T) {
	w := NewWriter()
	long := strings.Repeat("x", 300)
	huge := bytes.Repeat([]byte("y"), 70000)
	numbers := []uint64{0, 1, 1<<28 - 1, 1 << 28, 1<<32 - 1, 1 << 32, 1<<63 + 5}
	values := make([]Value, len(numbers))
	for i, n := range numbers {
		values[i] = w.Int(n)
	}
	root := w.Object(w.String("a"), Null, w.String(long), w.Blob(huge), w.Array(values...), w.Blob(nil))
	r, err := NewReader(w.Finish(root))
	if err != nil {
		t.Fatal(err)
	}
	check := func(r *Reader) {
		t.Helper()
		o, err := r.Object(r.Root())
		if err != nil || len(o) != 5 { // what is null at the end is cut
			t.Fatal(err, o)
		}
		if b, err := r.Blob(o.Get(3)); err != nil || string(b) != long {
			t.Error(err, b)
		}
		if b, err := r.Blob(o.Get(4)); err != nil || !bytes.Equal(b, huge) {
			t.Error(err, len(b))
		}
		list, err := r.Array(o.Get(5))
		if err != nil || len(list) != len(numbers) {
			t.Fatal(err, list)
		}
		for i, v := range list {
			if n, err := r.Int(v); err != nil || n != numbers[i] {
				t.Errorf("%d, %v; expected %d", n, err, numbers[i])
			}
		}
		if o.Get(0) != Null || o.Get(2) != Null || o.Get(99) != Null {
			t.Error("slots that are not there")
		}
	}
	check(r)
	again := NewWriter()
	v, err := again.Copy(r, r.Root())
	if err != nil {
		t.Fatal(err)
	}
	if r, err = NewReader(again.Finish(v)); err != nil {
		t.Fatal(err)
	}
	check(r)
	if a, b := w.String("same"), w.String("same"); a != b {
		t.Error("equal bytes are stored twice")
	}
	if a, b := w.Reserve([]byte("same")), w.String("same"); a == b {
		t.Error("reserved bytes are shared")
	}
}

// Every value that points out of the database is an error.
func TestOutside(t *testing.T) {
	w := NewWriter()
	db := w.Finish(w.Object(w.String("abc"), w.Int(1<<40)))
	for kind := range uint32(16) {
		for at := range uint32(len(db) + 9) { //nolint:gosec // small
			v := Value(kind<<28 | at)
			r, err := NewReader(db)
			if err != nil {
				t.Fatal(err)
			}
			b, berr := r.Blob(v)
			if berr == nil && len(b) > len(db) {
				t.Errorf("%#x: %d bytes", v, len(b))
			}
			_, _ = r.Int(v)
			_, _ = r.Object(v)
			_, _ = NewWriter().Copy(r, v)
		}
	}
	if _, err := NewReader(db[:7]); err == nil {
		t.Error("a database without a header")
	}
	// An object that contains itself.
	self := NewWriter()
	at := self.Object(Value(1))
	self.buf[len(self.buf)-4], self.buf[len(self.buf)-1] = byte(at), byte(at>>24)
	r, err := NewReader(self.Finish(at))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewWriter().Copy(r, r.Root()); err == nil {
		t.Error("an endless value was copied")
	}
}

func TestKeys(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := EncodePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePrivateKey(text)
	if err != nil || !again.Equal(key) {
		t.Error(err)
	}
	if text, err = EncodePublicKey(&key.PublicKey); err != nil {
		t.Fatal(err)
	}
	pub, err := ParsePublicKey(text)
	if err != nil || !pub.Equal(&key.PublicKey) {
		t.Error(err)
	}
	for _, bad := range []string{"", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if _, err := ParsePublicKey([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
		if _, err := ParsePrivateKey([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if (&File{DB: make([]byte, 8)}).Sign(other) == nil {
		t.Error("signed with another curve")
	}
}

func TestLimit(t *testing.T) {
	raw := append([]byte("ADB."), make([]byte, 5000)...)
	if _, err := Open(raw, 100); err == nil {
		t.Error("beyond the limit, not compressed")
	}
	b, err := Compress(raw, func(b []byte) ([]byte, error) {
		// One stored block of RFC 1951, 3.2.4.
		n := len(b)
		return append([]byte{1, byte(n), byte(n >> 8), byte(^n), byte(^n >> 8)}, b...), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Open(b, 6000); err != nil || !bytes.Equal(got, raw) {
		t.Error(err)
	}
	if _, err := Open(b, 5000); err == nil {
		t.Error("beyond the limit")
	}
	if _, err := Open(append(b, 1), 6000); err == nil {
		t.Error("more behind the end")
	}
}
