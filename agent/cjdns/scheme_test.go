package cjdns

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSlotsLikeCjdns(t *testing.T) {
	for _, v := range vectors(t, "slots.txt") {
		slot, minBits, width := uint16(atoi(t, v[0])), atoi(t, v[1]), atoi(t, v[2])
		director, oneHop := uint64(hexLabel(t, v[3])), hexLabel(t, v[4])
		if _, bits := PortDirector(slot, 0); bits != minBits {
			t.Errorf("slot %d needs %d bits, want %d", slot, bits, minBits)
		}
		d, bits := PortDirector(slot, width)
		if d != director || bits != width {
			t.Errorf("PortDirector(%d, %d) = %#x, %d, want %#x", slot, width, d, bits, director)
		}
		if got := Label(d) | 1<<bits; got != oneHop || slot != 1 && !got.IsOneHop() {
			t.Errorf("slot %d: one-hop label %v, want %v", slot, got, oneHop)
		}
		if p, bits := PortOf(oneHop); p != slot || bits != width || DirectorBits(oneHop) != width {
			t.Errorf("PortOf(%v) = %d, %d, want %d, %d", oneHop, p, bits, slot, width)
		}
	}
}

func TestPortDirectorIsInverseOfPortOf(t *testing.T) {
	for slot := range uint16(300) {
		for _, minBits := range []int{0, 4, 5, 7, 8, 10, 11} {
			d, bits := PortDirector(slot, minBits)
			if bits == 0 {
				if slot <= 256 && minBits <= 10 {
					t.Errorf("PortDirector(%d, %d) refused", slot, minBits)
				}
				continue
			}
			if slot > 256 || bits < minBits {
				t.Errorf("PortDirector(%d, %d) = %#x, %d", slot, minBits, d, bits)
			}
			if slot == 1 {
				if d != 1 {
					t.Errorf("PortDirector(1, %d) = %#x, want 1", minBits, d)
				}
				continue
			}
			for _, rest := range []Label{1, 0x13, 1 << 40} {
				if p, w := PortOf(rest<<bits | Label(d)); p != slot || w != bits {
					t.Errorf("PortOf(%#x) = %d, %d, want %d, %d", d, p, w, slot, bits)
				}
			}
		}
	}
}

func TestLabelForLikeCjdns(t *testing.T) {
	for _, v := range vectors(t, "getlabelfor.txt") {
		target, asker, want := hexLabel(t, v[0]), hexLabel(t, v[1]), hexLabel(t, v[2])
		if got := LabelFor(target, asker); got != want {
			t.Errorf("LabelFor(%v, %v) = %v, want %v", target, asker, got, want)
		}
	}
	if got := ConvertLabel(V358, 1<<58|5, 2); got != LabelInvalid {
		t.Errorf("ConvertLabel of a long label = %v, want invalid", got)
	}
	for _, asker := range []Label{0x13, 0x86, 0x404} {
		if got := LabelFor(SelfLabel, asker); got != SelfLabel {
			t.Errorf("LabelFor(self, %v) = %v", asker, got)
		}
	}
	if got := LabelFor(1<<58|5, 0x404); got != LabelInvalid {
		t.Errorf("LabelFor of a long label = %v, want invalid", got)
	}
}

func TestConvertLabelLikeCjdns(t *testing.T) {
	for _, v := range vectors(t, "convert.txt") {
		l, from, to, want := hexLabel(t, v[0]), atoi(t, v[1]), atoi(t, v[2]), hexLabel(t, v[3])
		if got := V358.FormOf(l); got != from || FormOf(l) != from {
			t.Errorf("FormOf(%v) = %d and %d, want %d", l, got, FormOf(l), from)
		}
		if got := ConvertLabel(V358, l, to); got != want {
			t.Errorf("ConvertLabel(%v, %d) = %v, want %v", l, to, got, want)
		}
	}
}

func TestConvertLabelInOtherSchemes(t *testing.T) {
	f4 := EncodingScheme{{4, 0, 0}}
	v37 := EncodingScheme{{3, 1, 1}, {7, 1, 0}}
	for _, c := range []struct {
		name string
		s    EncodingScheme
		l    Label
		form int
		want Label
	}{
		{"single form", f4, 0x13, 0, 0x13},
		{"single form, canonical", f4, 0x13, FormCanonical, 0x13},
		{"single form, other", f4, 0x13, 1, LabelInvalid},
		{"plain numbers", v37, 0x15, 1, 0x104},
		{"and back", v37, 0x104, FormCanonical, 0x15},
		{"number 0 would be self", v37, 0x100, 0, LabelInvalid},
		{"no such form", v37, 0x15, 2, LabelInvalid},
		{"form below canonical", v37, 0x15, -2, LabelInvalid},
		{"empty scheme", nil, 0x15, 0, LabelInvalid},
	} {
		if got := ConvertLabel(c.s, c.l, c.form); got != c.want {
			t.Errorf("%s: ConvertLabel(%v, %d) = %v, want %v", c.name, c.l, c.form, got, c.want)
		}
	}
}

func TestSchemesLikeCjdns(t *testing.T) {
	for _, v := range vectors(t, "schemes.txt") {
		name, raw := v[0], unhex(t, v[1])
		var want EncodingScheme
		for _, form := range v[2:] {
			var f EncodingForm
			if _, err := fmt.Sscanf(strings.ReplaceAll(form, ":", " "), "%d %d %x", &f.PrefixLen, &f.BitCount, &f.Prefix); err != nil {
				t.Fatal(err)
			}
			want = append(want, f)
		}
		got, err := ParseScheme(raw)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: ParseScheme(%x) = %v, %v, want %v", name, raw, got, err, want)
		}
		if got := SerializeScheme(want); string(got) != string(raw) {
			t.Errorf("%s: SerializeScheme = %x, want %x", name, got, raw)
		}
		eachPrefix(raw, func(p []byte) {
			if s, err := ParseScheme(p); !errors.Is(err, ErrScheme) && len(s) >= len(want) {
				t.Errorf("%s: ParseScheme(%x) = %v, %v", name, p, s, err)
			}
		})
	}
}

func TestInsaneSchemesAreRefused(t *testing.T) {
	for name, s := range map[string]EncodingScheme{
		"no form":               {},
		"one form with prefix":  {{3, 1, 1}},
		"form without prefix":   {{3, 0, 0}, {5, 1, 1}},
		"same prefix":           {{3, 1, 1}, {5, 1, 1}},
		"prefix of a prefix":    {{3, 1, 1}, {5, 2, 3}},
		"descending bit counts": {{5, 1, 1}, {3, 2, 2}},
		"equal bit counts":      {{5, 1, 1}, {5, 2, 2}},
		"too wide":              {{3, 1, 1}, {31, 31, 2}},
	} {
		if got, err := ParseScheme(SerializeScheme(s)); !errors.Is(err, ErrScheme) {
			t.Errorf("%s: ParseScheme = %v, %v, want ErrScheme", name, got, err)
		}
	}
	if _, err := ParseScheme([]byte{0x61, 0x14, 0x45, 0x81, 0x00, 0x00, 0x00}); err != nil {
		t.Errorf("zeros behind a scheme: %v", err)
	}
	if _, err := ParseScheme([]byte{0x61, 0x14, 0x45, 0x81, 0x00, 0x00, 0x01}); !errors.Is(err, ErrScheme) {
		t.Errorf("rubbish behind a scheme: %v, want ErrScheme", err)
	}
}

func FuzzScheme(f *testing.F) {
	for _, v := range vectors(f, "schemes.txt") {
		f.Add(unhex(f, v[1]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseScheme(b)
		if err != nil {
			return
		}
		again, err := ParseScheme(SerializeScheme(s))
		if err != nil || !slices.Equal(s, again) {
			t.Fatalf("%x parsed to %v, written and parsed to %v, %v", b, s, again, err)
		}
		for _, l := range []Label{0, 1, 0x13, 0x404, 1 << 59, LabelInvalid} {
			for form := -3; form <= len(s); form++ {
				ConvertLabel(s, l, form)
			}
		}
	})
}

func BenchmarkPortOf(b *testing.B) {
	b.ReportAllocs()
	var sum int
	for i := 0; b.Loop(); i++ {
		p, w := PortOf(Label(i))
		sum += int(p) + w
	}
	_ = sum
}
