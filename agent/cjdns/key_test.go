package cjdns

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestKeysOfRealNodes(t *testing.T) {
	for _, v := range vectors(t, "keys.txt") {
		name, priv, pubHex, text, ip := v[0], v[1], v[2], v[3], v[4]
		k, err := ParseKey(text)
		if err != nil {
			t.Errorf("%s: ParseKey: %v", name, err)
			continue
		}
		if got := fmt.Sprintf("%x", k[:]); got != pubHex {
			t.Errorf("%s: key is %s, want %s", name, got, pubHex)
		}
		if k.String() != text {
			t.Errorf("%s: String = %s, want %s", name, k, text)
		}
		if k2, err := ParseKey(strings.ToUpper(text[:52]) + ".k"); err != nil || k2 != k {
			t.Errorf("%s: upper case: %v, %v", name, k2, err)
		}
		if got := k.IP().String(); got != ip {
			t.Errorf("%s: address %s, want %s", name, got, ip)
		}
		if a, err := ParseIP(ip); err != nil || a != k.IP() {
			t.Errorf("%s: ParseIP(%s) = %v, %v", name, ip, a, err)
		}
		p, err := ParsePrivateKey(priv)
		if err != nil || p.Hex() != priv {
			t.Errorf("%s: ParsePrivateKey: %s, %v", name, p.Hex(), err)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	good := vectors(t, "keys.txt")[0][3]
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"empty", "", ErrKeyText},
		{"no suffix", good[:52], ErrKeyText},
		{"short", good[1:], ErrKeyText},
		{"long", "0" + good, ErrKeyText},
		{"vowel", "a" + good[1:], ErrKeyText},
		{"leftover bits", good[:51] + "2.k", ErrKeyText},
		{"not fc", strings.Repeat("0", 52) + ".k", ErrNotFC},
	} {
		if k, err := ParseKey(c.text); !errors.Is(err, c.want) || !k.IsZero() {
			t.Errorf("%s: ParseKey(%q) = %v, %v, want %v", c.name, c.text, k, err, c.want)
		}
	}
}

func TestPrivateKeyDoesNotShow(t *testing.T) {
	p, err := ParsePrivateKey(vectors(t, "keys.txt")[0][1])
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%s", "%+v", "%#v"} {
		if got := fmt.Sprintf(format, p); got != "(private key)" {
			t.Errorf("%s prints %s", format, got)
		}
	}
	for _, bad := range []string{"", "00", strings.Repeat("g", 64), strings.Repeat("0", 66)} {
		if _, err := ParsePrivateKey(bad); !errors.Is(err, ErrPrivateKeyText) {
			t.Errorf("ParsePrivateKey(%q): %v", bad, err)
		}
	}
}

func TestParseIPRefuses(t *testing.T) {
	for _, s := range []string{"", "10.0.0.1", "fd00::1", "2001:db8::1", "fc00::1%eth0", "::ffff:10.0.0.1"} {
		if ip, err := ParseIP(s); err == nil {
			t.Errorf("ParseIP(%q) = %v, want an error", s, ip)
		}
	}
}

func FuzzBase32(f *testing.F) {
	f.Add("p1k4y0xpkq5r12br69r6f832jk7h7s9n0ld8fwc8kvgpb70g7kx0")
	f.Add("zz")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := DecodeBase32(s)
		if err != nil {
			return
		}
		if got := EncodeBase32(b); !strings.EqualFold(got, s) {
			t.Fatalf("%q decodes to %x, which encodes to %q", s, b, got)
		}
	})
}

func TestNodeAddr(t *testing.T) {
	key := vectors(t, "keys.txt")[1][3]
	text := "v20.0000.0000.0000.0013." + key
	a, err := ParseNodeAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	if a.Version != 20 || a.Label != 0x13 || a.Key.String() != key || a.String() != text {
		t.Errorf("ParseNodeAddr(%s) = %+v, prints %s", text, a, a)
	}
	eachPrefix([]byte(text), func(p []byte) {
		if a, err := ParseNodeAddr(string(p)); err == nil {
			t.Errorf("ParseNodeAddr(%q) = %v, want an error", p, a)
		}
	})
	for _, bad := range []string{
		"20" + text[3:], "v" + text[3:], "v-1" + text[3:], "v4294967296" + text[3:], "v+1" + text[3:],
		text + "x", "v20.0000.0000.0000.00g3." + key, "v20.0000:0000.0000.0013." + key, "v20.0000.0000.0000.0013:" + key,
	} {
		if a, err := ParseNodeAddr(bad); err == nil {
			t.Errorf("ParseNodeAddr(%q) = %v, want an error", bad, a)
		}
	}
}

func FuzzNodeAddr(f *testing.F) {
	f.Add("v20.0000.0000.0000.0013.ygrqzpr8dq89gqrx4l7p0jqlfxfd9d0jt73b9ny8vsvfx1h83df0.k")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseNodeAddr(s)
		if err != nil {
			return
		}
		if b, err := ParseNodeAddr(a.String()); err != nil || a != b {
			t.Fatalf("%q parsed to %v, printed and parsed to %v, %v", s, a, b, err)
		}
	})
}
