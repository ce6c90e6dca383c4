package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/ubus/ubustest"
	"github.com/meshagent/meshagent/agent/ubus/wire"
)

func golden(t testing.TB) (frames []ubustest.Frame) {
	files, err := filepath.Glob("../testdata/*.txt")
	if err != nil || len(files) != 34 {
		t.Fatalf("%d conversations, %v", len(files), err)
	}
	for _, f := range files {
		for _, x := range ubustest.Load(t, f) {
			if !x.Closed && !x.Bad {
				frames = append(frames, x)
			}
		}
	}
	return frames
}

// rewrite writes attributes again from what was read of them.
func rewrite(t *testing.T, monitor bool, b []byte) wire.Body {
	var out wire.Body
	for {
		a, rest, ok := wire.NextAttr(b)
		if !ok {
			return append(out, b...) // one conversation has a broken length
		}
		b = rest
		id := wire.AttrID(a.ID)
		switch {
		case monitor && id == wire.MonitorData:
			out = out.Nested(id, rewrite(t, false, a.Data))
		case !monitor && (id == wire.AttrData || id == wire.AttrSignature):
			v, err := wire.ParseTable(a.Data)
			if err != nil { // the stock "ubus monitor" sends attributes where values belong
				if !bytes.Contains(a.Data, []byte("add\x00")) && !bytes.Contains(a.Data, []byte("remove\x00")) {
					t.Fatalf("%x: %v", a.Data, err)
				}
				out = out.Nested(id, a.Data)
				continue
			}
			data, err := v.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			out = out.Nested(id, data)
		default:
			out = out.Nested(id, a.Data)
		}
	}
}

func TestRecordedFramesReadAndWrite(t *testing.T) {
	for _, f := range golden(t) {
		body := rewrite(t, f.Type == wire.Monitor, f.Bytes[wire.HeaderLen:])
		got, err := wire.AppendMessage(nil, f.Header, body)
		if err != nil || !bytes.Equal(got, f.Bytes) {
			t.Errorf("line %d:\n got %x, %v\nwant %x", f.Line, got, err, f.Bytes)
		}
	}
}

// TestTruncated cuts every recorded frame everywhere: nothing may be read
// beyond the end, and no table may come out of a part of one.
func TestTruncated(t *testing.T) {
	for _, f := range golden(t) {
		for n := range len(f.Bytes) {
			b := f.Bytes[:n:n]
			if _, err := wire.ParseHeader(b); (err == nil) != (n >= wire.HeaderLen) {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if n >= wire.HeaderLen {
				wire.ParseAttrs(b[wire.HeaderLen:])
				wire.ParseMonitor(b[wire.HeaderLen:])
			}
		}
		for n := range len(f.Attrs.Data) {
			v, err := wire.ParseTable(f.Attrs.Data[:n:n])
			if err == nil {
				if b, _ := v.Append(nil); !bytes.Equal(b, f.Attrs.Data[:n]) {
					t.Fatalf("%x was read as %v", f.Attrs.Data[:n], v)
				}
			} else if !errors.Is(err, wire.ErrValue) {
				t.Fatal(err)
			}
		}
	}
}

func TestHeaderLengths(t *testing.T) {
	h := func(n uint32) []byte {
		return []byte{0, 3, 0, 1, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	}
	for n, ok := range map[uint32]bool{0: false, 3: false, 4: true, 1 << 20: true, 1<<20 + 1: false, 0xffffff: false} {
		if got, err := wire.ParseHeader(h(n)); (err == nil) != ok || ok && got.Len != int(n)-4 {
			t.Errorf("length %d: %+v, %v", n, got, err)
		}
	}
	if _, err := wire.AppendMessage(nil, wire.Header{}, make(wire.Body, 1<<20-4)); err != nil {
		t.Error(err)
	}
	if b, err := wire.AppendMessage(nil, wire.Header{}, make(wire.Body, 1<<20-3)); !errors.Is(err, wire.ErrLength) || b != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestValues(t *testing.T) {
	in := wire.Table{
		{"null", nil}, {"i16", int16(-2)}, {"i32", int32(math.MinInt32)}, {"i64", int64(math.MaxInt64)}, {"t", true}, {"f", false},
		{"d", -1.5}, {"long", strings.Repeat("x", 100_000)}, {"s", "ä"}, {"", "no name"}, {"a", wire.Array{int32(1), "x", wire.Array{}}}, {"tab", wire.Table{{"b", wire.Table{}}}},
	}
	b, err := in.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := wire.ParseTable(b)
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("got %v, %v", out, err)
	}
	if got := out.String("s"); got != "ä" {
		t.Error(got)
	}
	if _, ok := out.Get("nothing"); ok {
		t.Error("found nothing")
	}
	n := out.Native()
	if n["i16"] != int64(-2) || n["i32"] != int64(math.MinInt32) || !reflect.DeepEqual(n["a"], []any{int64(1), "x", []any{}}) {
		t.Errorf("%v", n)
	}
	// Anything but 0 is true; strings end at the first zero when read.
	v, err := wire.ParseTable([]byte{0x87, 0, 0, 9, 0, 1, 'b', 0, 7, 0, 0, 0, 0x83, 0, 0, 12, 0, 1, 's', 0, 'x', 0, 'y', 0})
	if err != nil || !reflect.DeepEqual(v, wire.Table{{"b", true}, {"s", "x"}}) {
		t.Errorf("%v, %v", v, err)
	}
}

func TestValuesThatCannotBe(t *testing.T) {
	for name, v := range map[string]any{"int": 1, "float32": float32(1), "map": map[string]any{}, "long": strings.Repeat("x", 1<<20)} {
		if _, err := (wire.Table{{"v", v}}).Append(nil); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	b, err := wire.Table{{"a\x00b", "c\x00d"}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := wire.ParseTable(b); err != nil || v[0].Name != "a\ufffdb" || v[0].Value != "c\ufffdd" {
		t.Errorf("%q, %v", v, err)
	}
}

func TestDepth(t *testing.T) {
	deep := func(n int) wire.Table {
		v := wire.Table{}
		for range n - 1 {
			v = wire.Table{{"t", v}}
		}
		return v
	}
	b, err := deep(wire.MaxDepth).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.ParseTable(b); err != nil {
		t.Error(err)
	}
	if _, err := deep(wire.MaxDepth + 2).Append(nil); !errors.Is(err, wire.ErrDepth) {
		t.Error(err)
	}
	for range 2 { // around what Append refuses to write
		b = wire.Body(nil).Nested(wire.AttrID(wire.TypeTable), append([]byte{0, 0, 0, 0}, b...))
		b[0] |= 0x80
	}
	if _, err := wire.ParseTable(b); !errors.Is(err, wire.ErrDepth) {
		t.Error(err)
	}
	if _, err := wire.TableFromJSON([]byte(strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000))); !errors.Is(err, wire.ErrDepth) {
		t.Error(err)
	}
}

func TestFromJSON(t *testing.T) {
	got, err := wire.TableFromJSON([]byte(`{"z":1,"a":-2147483648,"b":2147483648,"c":1.0,"d":1e400}`))
	if err == nil {
		t.Errorf("1e400 became %v", got)
	}
	got, err = wire.TableFromJSON([]byte(`{"z":1,"a":-2147483648,"b":2147483648,"c":1.5,"e":18446744073709551615,"n":null,"l":[true,"x",{}]}`))
	want := wire.Table{{"z", int32(1)}, {"a", int32(math.MinInt32)}, {"b", int64(2147483648)}, {"c", 1.5}, {"e", float64(1 << 64)},
		{"n", nil}, {"l", wire.Array{true, "x", wire.Table{}}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "[]", "1", `{"a":1} x`, `{"a":`, `{"a" 1}`} {
		if got, err := wire.TableFromJSON([]byte(bad)); err == nil {
			t.Errorf("%s: %v", bad, got)
		}
	}
}

// TestAsTheStockToolWritesJSON compares with what the stock command made of
// the same text.
func TestAsTheStockToolWritesJSON(t *testing.T) {
	for _, f := range ubustest.Load(t, "../testdata/11-call-deferred.txt") {
		if f.ToBus && f.Type == wire.Invoke {
			v, err := wire.TableFromJSON([]byte(`{"ms":150}`))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := v.Append(nil); err != nil || !bytes.Equal(b, f.Attrs.Data) {
				t.Errorf("got %x, %v, want %x", b, err, f.Attrs.Data)
			}
			return
		}
	}
	t.Fatal("the conversation has no call")
}

func TestStatusTexts(t *testing.T) {
	for s, want := range map[wire.Status]string{6: "ubus: permission denied", 13: "ubus: system error", 99: "ubus: status 99"} {
		if s.Error() != want {
			t.Errorf("%d: %s", s, s.Error())
		}
	}
	if s := wire.MsgType(200).String(); s != "type 200" {
		t.Error(s)
	}
}

func FuzzTable(f *testing.F) {
	for _, x := range golden(f) {
		f.Add(x.Attrs.Data)
		f.Add(x.Attrs.Signature)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := wire.ParseTable(b)
		if err != nil {
			return
		}
		again, err := v.Append(nil)
		if err != nil {
			if len(b) < wire.MaxBlob {
				t.Fatalf("%v: %v", v, err)
			}
			return
		}
		w, err := wire.ParseTable(again)
		if err != nil || !same(v, w) {
			t.Fatalf("%v became %v, %v", v, w, err)
		}
		v.Native()
	})
}

// same is DeepEqual where NaN is itself.
func same(v, w wire.Table) bool {
	a, _ := v.Append(nil)
	b, _ := w.Append(nil)
	return bytes.Equal(a, b)
}

func FuzzFrame(f *testing.F) {
	for _, x := range golden(f) {
		f.Add(x.Bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := wire.ParseHeader(b)
		if err != nil {
			return
		}
		body := b[wire.HeaderLen:]
		body = body[:min(h.Len, len(body))]
		a := wire.ParseAttrs(body)
		if a.Has(wire.AttrMethod) && strings.IndexByte(a.Method, 0) >= 0 {
			t.Fatalf("%q", a.Method)
		}
		wire.ParseMonitor(body)
		out, err := wire.AppendMessage(nil, h, body)
		if err != nil || !bytes.Equal(out[wire.HeaderLen:], body) {
			t.Fatalf("%x became %x, %v", b, out, err)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,2.5,"x",null,true,{"b":{}}]}`, `{"a":9223372036854775808}`, `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := wire.TableFromJSON(b)
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q was read as %v", b, v)
		}
		if _, err := v.Append(nil); err != nil && len(b) < 1<<16 {
			t.Fatal(err)
		}
	})
}

func BenchmarkParseTable(b *testing.B) {
	var data []byte
	for _, f := range golden(b) {
		if len(f.Attrs.Data) > len(data) {
			data = f.Attrs.Data
		}
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.ParseTable(data); err != nil {
			b.Fatal(err)
		}
	}
}
