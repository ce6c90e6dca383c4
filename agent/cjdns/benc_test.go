package cjdns

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestBencReader(t *testing.T) {
	r := BencReader{Rest: []byte("d00000002:eii-7e1:xl3:abci0042ed1:q0:ee1:zdee rest")}
	step := func(what string, ok bool) {
		t.Helper()
		if !ok {
			t.Fatalf("%s: at %q", what, r.Rest)
		}
	}
	str := func(want string) {
		t.Helper()
		s, err := r.Str()
		step("string "+want, err == nil && string(s) == want)
	}
	step("dictionary", r.Enter('d') == nil && r.More())
	str("ei")
	n, err := r.Int()
	step("-7", err == nil && n == -7 && r.More())
	str("x")
	step("list", r.Kind() == 'l' && errors.Is(r.Enter('d'), ErrBenc) && r.Enter('l') == nil && r.More())
	str("abc")
	step("more", r.More())
	n, err = r.Int()
	step("42", err == nil && n == 42 && r.More())
	step("inner dictionary", r.Skip() == nil && !r.More() && r.More())
	str("z")
	step("empty dictionary", r.Skip() == nil && !r.More())
	step("rest", string(r.Rest) == " rest" && r.Kind() == 0)
}

func TestBencSkip(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("l", n) + strings.Repeat("e", n) }
	for _, good := range []string{
		"0:", "1:a", "0001:a", "i0e", "i-1e", "i007e", "le", "de", "d1:ai1e1:b1:ce", nested(BencMaxDepth),
		"i9223372036854775807e", "i-9223372036854775808e",
	} {
		r := BencReader{Rest: []byte(good)}
		if err := r.Skip(); err != nil || len(r.Rest) != 0 {
			t.Errorf("%q: %v, rest %q", good, err, r.Rest)
		}
		eachPrefix([]byte(good), func(p []byte) {
			r := BencReader{Rest: p}
			if err := r.Skip(); !errors.Is(err, ErrBenc) {
				t.Errorf("%q of %q: %v, want ErrBenc", p, good, err)
			}
		})
	}
	for _, bad := range []string{
		"", "x", "e", ":", "1", "1:", "2:a", "-1:a", "i", "ie", "i-e", "i--1e", "i+1e", "i1", "i1x", "i 1e", "d1:ae", "di1e1:ae", "l1:a",
		"99999999999999999999999999:a", "i9223372036854775808e", "i-9223372036854775809e", "i99999999999999999999e", nested(BencMaxDepth + 1),
	} {
		r := BencReader{Rest: []byte(bad)}
		if err := r.Skip(); !errors.Is(err, ErrBenc) {
			t.Errorf("%q: %v, want ErrBenc", bad, err)
		}
	}
}

func TestBencWriter(t *testing.T) {
	for _, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		r := BencReader{Rest: AppendBencInt(nil, n)}
		if got, err := r.Int(); err != nil || got != n {
			t.Errorf("%d comes back as %d, %v", n, got, err)
		}
	}
	b := AppendBencStr([]byte("d"), "key")
	b = append(AppendBencStr(b, []byte{0, 255}), 'e')
	if string(b) != "d3:key2:\x00\xffe" {
		t.Errorf("wrote %q", b)
	}
}

func FuzzBenc(f *testing.F) {
	for _, v := range vectors(f, "messages.txt") {
		f.Add(unhex(f, v[0]))
	}
	f.Add([]byte("lllllllleeeeeeee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := BencReader{Rest: b}
		if r.Skip() == nil && len(b)-len(r.Rest) < 2 {
			t.Fatalf("a value of %d bytes in %q", len(b)-len(r.Rest), b)
		}
	})
}
