package cjdns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
)

func TestControlFramesOfRealNodes(t *testing.T) {
	seen := map[ControlType]int{}
	for _, v := range vectors(t, "control.txt") {
		raw := unhex(t, v[0])
		c, err := ParseControl(raw)
		if err != nil {
			t.Errorf("%s: %v", v[0], err)
			continue
		}
		seen[c.Type]++
		if c.Version != 20 || len(c.Opaque) != 12 {
			t.Errorf("%s: parsed to %+v", v[0], c)
		}
		if got := c.Append(nil); !bytes.Equal(got, raw) {
			t.Errorf("written as %x, want %s", got, v[0])
		}
		if got := c.Append([]byte("12 bytes up ")); !bytes.Equal(got[12:], raw) {
			t.Errorf("appended as %x, want %s", got, v[0])
		}
		eachPrefix(raw, func(p []byte) {
			if c, err := ParseControl(p); err == nil {
				t.Errorf("%x parsed to %+v, want an error", p, c)
			}
		})
		for i := range raw {
			bad := bytes.Clone(raw)
			bad[i] ^= 0x10
			if c, err := ParseControl(bad); err == nil {
				t.Errorf("%x, with byte %d changed, parsed to %+v", bad, i, c)
			}
		}
	}
	for _, typ := range []ControlType{CtrlPing, CtrlPong, CtrlGetSnodeQuery, CtrlGetSnodeReply} {
		if seen[typ] == 0 {
			t.Errorf("no %v among the vectors", typ)
		}
	}
}

// one control frame of each type, with all its fields.
func controlSamples(t testing.TB) []Control {
	key := Key(unhex(t, vectors(t, "keys.txt")[0][2]))
	cookie := []byte("cookie")
	return []Control{
		{
			Type: CtrlError, Code: ErrorUndeliverable,
			Cause:     SwitchHeader{Label: 0x8000000000000153, Version: 1, LabelShift: 4, TrafficClass: 0xffff},
			CauseData: []byte{0, 1, 2, 3, 4},
		},
		{Type: CtrlPing, Version: 20, Opaque: cookie},
		{Type: CtrlPong, Version: 20, Opaque: []byte{}},
		{Type: CtrlKeyPing, Version: 20, Key: key, Opaque: cookie},
		{Type: CtrlKeyPong, Version: 22, Key: key, Opaque: cookie[:5]},
		{Type: CtrlGetSnodeQuery, Version: 20, Opaque: cookie},
		{Type: CtrlGetSnodeReply, Version: 20, SnodeVersion: 21, Kbps: 0xffffffff, Key: key, Path: 0x153, Opaque: cookie},
		{Type: CtrlRPathQuery, Version: 21, Opaque: cookie},
		{Type: CtrlRPathReply, Version: 21, Path: 0x13, Opaque: cookie},
		{Type: CtrlLLAddrQuery, Version: 22, Opaque: cookie},
		{Type: CtrlLLAddrReply, Version: 22, LLAddr: LLAddrUDP(netip.MustParseAddrPort("10.0.0.1:53")), Opaque: cookie},
	}
}

func sameControl(a, b Control) bool {
	ok := bytes.Equal(a.Opaque, b.Opaque) && bytes.Equal(a.CauseData, b.CauseData)
	return ok && a.Type == b.Type && a.Code == b.Code && a.Cause == b.Cause && a.Version == b.Version && a.Key == b.Key &&
		a.Path == b.Path && a.SnodeVersion == b.SnodeVersion && a.Kbps == b.Kbps && a.LLAddr == b.LLAddr
}

func TestControlOfEachType(t *testing.T) {
	for _, c := range controlSamples(t) {
		raw := c.Append(nil)
		got, err := ParseControl(raw)
		if err != nil || !sameControl(got, c) {
			t.Errorf("%v: %+v written and parsed to %+v, %v", c.Type, c, got, err)
		}
		// The sum of all words is ffff, as routers on the way check it.
		sum := uint32(0)
		for p := append(bytes.Clone(raw[4:]), 0); len(p) > 1; p = p[2:] {
			sum += uint32(binary.BigEndian.Uint16(p))
		}
		if sum = sum>>16 + sum&0xffff; sum>>16+sum&0xffff != 0xffff {
			t.Errorf("%v: words add up to %x", c.Type, sum)
		}
		eachPrefix(raw, func(p []byte) {
			if c, err := ParseControl(p); err == nil {
				t.Errorf("%x parsed to %+v, want an error", p, c)
			}
		})
	}
}

// refit writes the right checksum into a frame that was changed.
func refit(b []byte) []byte {
	binary.BigEndian.PutUint16(b[4:], controlChecksum(b))
	return b
}

func TestControlRefuses(t *testing.T) {
	ping := Control{Type: CtrlPing, Version: 20}.Append(nil)
	change := func(at int, v byte) []byte {
		b := bytes.Clone(ping)
		b[at] = v
		return refit(b)
	}
	checksum := bytes.Clone(ping)
	checksum[4] ^= 1
	for _, c := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"empty", nil, ErrShort},
		{"not a control frame", change(0, 0), ErrControlMagic},
		{"type 0", change(7, 0), ErrControlType},
		{"type 1", change(7, 1), ErrControlType},
		{"type 13", change(7, 13), ErrControlType},
		{"type 0x103", change(6, 1), ErrControlType},
		{"magic", change(8, 0), ErrControlMagic},
		{"pong with the magic of a ping", change(7, 4), ErrControlMagic},
		{"checksum", checksum, ErrControlChecksum},
		{"long opaque", Control{Type: CtrlPing, Opaque: make([]byte, 257)}.Append(nil), ErrControlLong},
		{"long opaque with key", Control{Type: CtrlKeyPing, Opaque: make([]byte, 65)}.Append(nil), ErrControlLong},
	} {
		if got, err := ParseControl(c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", c.name, got, err, c.want)
		}
	}
	for _, n := range []int{256, 64} {
		c := Control{Type: CtrlKeyPing, Opaque: make([]byte, n)}
		if n > 64 {
			c.Type = CtrlPing
		}
		if _, err := ParseControl(c.Append(nil)); err != nil {
			t.Errorf("%v with %d opaque bytes: %v", c.Type, n, err)
		}
	}
}

func TestControlNames(t *testing.T) {
	if got := CtrlGetSnodeReply.String(); got != "GETSNODE_REPLY" {
		t.Errorf("type 8 is %s", got)
	}
	if ControlType(0).String() != "UNKNOWN" || ControlType(13).String() != "UNKNOWN" || ErrorCode(14).String() != "UNKNOWN" {
		t.Error("unknown types and codes have names")
	}
	if ErrorReturnPathInvalid.String() != "RETURN_PATH_INVALID" || ErrorInternal.String() != "INTERNAL" || ErrorUndeliverable != 8 {
		t.Error("error codes are out of step with their names")
	}
}

func TestLLAddr(t *testing.T) {
	for _, s := range []string{"10.0.0.1:53", "[2001:db8::1]:65535"} {
		want := netip.MustParseAddrPort(s)
		if got, ok := ParseLLAddr(LLAddrUDP(want)); !ok || got != want {
			t.Errorf("%s comes back as %v, %v", s, got, ok)
		}
	}
	f := LLAddrUDP(netip.MustParseAddrPort("10.0.0.1:53"))
	if want := [32]byte{1, 8, 0, 53, 10, 0, 0, 1}; f != want {
		t.Errorf("field is %x, want %x", f, want)
	}
	f[1] = 20
	for _, f := range [][32]byte{f, {}, {3, 32}, LLAddrUDP(netip.AddrPort{})} {
		if a, ok := ParseLLAddr(f); ok {
			t.Errorf("%x is taken for %v", f, a)
		}
	}
}

func FuzzControl(f *testing.F) {
	for _, c := range controlSamples(f) {
		f.Add(c.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseControl(b)
		if errors.Is(err, ErrControlChecksum) {
			b = refit(bytes.Clone(b)) // let the fuzzer get past it
			c, err = ParseControl(b)
		}
		if err != nil {
			return
		}
		if got := c.Append(nil); !bytes.Equal(got, b) {
			t.Fatalf("%x parsed to %+v, written back as %x", b, c, got)
		}
	})
}

func BenchmarkControl(b *testing.B) {
	raw := Control{Type: CtrlPing, Version: 20, Opaque: make([]byte, 12)}.Append(nil)
	buf := make([]byte, 0, 100)
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		c, err := ParseControl(raw)
		if err != nil {
			b.Fatal(err)
		}
		buf = c.Append(buf[:0])
	}
}

func TestControlAllocs(t *testing.T) {
	samples := controlSamples(t)
	buf := make([]byte, 0, 200)
	if n := testing.AllocsPerRun(100, func() {
		for i := range samples {
			buf = samples[i].Append(buf[:0])
			if _, err := ParseControl(buf); err != nil {
				t.Error(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
