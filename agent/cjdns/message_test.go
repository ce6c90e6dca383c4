package cjdns

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// unpad takes out the zeros by which cjdns aligns a message.
func unpad(b []byte) []byte {
	i := 1
	for b[i] == '0' {
		i++
	}
	return append([]byte("d"), b[i:]...)
}

func TestMessagesOfRealNodes(t *testing.T) {
	seen := map[string]int{}
	var m Message
	for _, v := range vectors(t, "messages.txt") {
		raw := unhex(t, v[0])
		if err := ParseMessage(raw, &m); err != nil {
			t.Errorf("%q: %v", raw, err)
			continue
		}
		seen[m.Query+"/"+m.SubQuery]++
		if m.Version != 20 && m.Version != 21 && m.Version != 19 || len(m.TxID) == 0 {
			t.Errorf("%q: version %d, txid %q", raw, m.Version, m.TxID)
		}
		if m.HasScheme {
			if s, err := ParseScheme(m.Scheme); err != nil || !slices.Equal(s, V358) || m.Form != 0 {
				t.Errorf("%q: scheme %v, %v, form %d", raw, s, err, m.Form)
			}
		}
		for _, n := range m.Nodes {
			if !n.Key.IP().Valid() || n.Label == 0 || n.Version != 20 {
				t.Errorf("%q: node %+v", raw, n)
			}
		}
		if m.Ann != nil {
			if _, err := VerifyAnnouncement(m.Ann); err != nil {
				t.Errorf("announcement in a message: %v", err)
			}
		}
		if got := m.Append(nil); !bytes.Equal(got, unpad(raw)) {
			t.Errorf("written as %q, want %q", got, unpad(raw))
		}
		eachPrefix(raw, func(p []byte) {
			var m Message
			if err := ParseMessage(p, &m); !errors.Is(err, ErrBenc) {
				t.Errorf("%q parsed to %+v, %v, want ErrBenc", p, m, err)
			}
		})
	}
	for _, q := range []string{"pn/", "gp/", "fn/", "/", "/pn", "/gr", "/ann"} {
		if seen[q] == 0 {
			t.Errorf("no %s among the vectors", q)
		}
	}
}

func TestParseMessageValues(t *testing.T) {
	var m Message
	if err := ParseMessage(unhex(t, vectors(t, "messages.txt")[0][0]), &m); err != nil {
		t.Fatal(err)
	}
	raw := "d02:eii2e2:es5:\x61\x14\x45\x81\x001:n40:" + strings.Repeat("k", 32) + "\x00\x00\x00\x00\x00\x00\x01\x532:np3:\x02\x01\x001:pi20e4:txid2:01e"
	if err := ParseMessage([]byte(raw), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Nodes) != 1 || m.Nodes[0].Version != 256 || m.Nodes[0].Label != 0x153 || m.Nodes[0].Key != Key([]byte(strings.Repeat("k", 32))) {
		t.Errorf("nodes: %+v", m.Nodes)
	}
	if m.Form != 2 || !m.HasScheme || m.Version != 20 || string(m.TxID) != "01" || m.Query != "" || m.Target != nil {
		t.Errorf("parsed to %+v", m)
	}
}

func TestMessageOfEachField(t *testing.T) {
	full := Message{
		Query: "gp", SubQuery: "gr", Version: 22, HasScheme: true, Scheme: SerializeScheme(V358), Form: 1,
		TxID: []byte("01xyz"), Target: make([]byte, 16), Source: []byte("source"), Ann: []byte("ann"), StateHash: make([]byte, 64),
		RecvTime: 1700000000000, Error: "none", DND: true, Back: 0x153,
		Nodes: []NodeRef{{Label: 0x13, Version: 20}, {Label: 0x15, Version: 70000}},
	}
	raw := full.Append(nil)
	var m Message
	if err := ParseMessage(raw, &m); err != nil {
		t.Fatal(err)
	}
	if got := m.Append(nil); !bytes.Equal(got, raw) {
		t.Errorf("%q written as %q", raw, got)
	}
	if m.Nodes[1] != full.Nodes[1] || m.Error != "none" || !m.DND || m.Back != 0x153 || m.RecvTime != full.RecvTime || string(m.Source) != "source" {
		t.Errorf("parsed to %+v", m)
	}
	// Keys come in ascending order.
	r := BencReader{Rest: raw}
	if err := r.Enter('d'); err != nil {
		t.Fatal(err)
	}
	last := ""
	for r.More() {
		k, err := r.Str()
		if err != nil || string(k) <= last {
			t.Fatalf("key %q behind %q, %v", k, last, err)
		}
		if last = string(k); r.Skip() != nil {
			t.Fatalf("no value behind %q", k)
		}
	}
	for _, v := range []uint32{0, 255, 256, 65535, 65536, math.MaxUint32} {
		full.Nodes[0].Version, full.Nodes[1].Version = v, 20
		if err := ParseMessage(full.Append(nil), &m); err != nil || m.Nodes[0].Version != v {
			t.Errorf("version %d comes back as %+v, %v", v, m.Nodes, err)
		}
	}
}

func TestParseMessageTolerates(t *testing.T) {
	for name, raw := range map[string]string{
		"unsorted keys":           "d4:txid2:011:pi20ee",
		"unknown keys":            "d1:ad1:bli1ei2eee1:pi20e2:zz2:zze",
		"bytes behind":            "d1:pi20ee....",
		"no version":              "de",
		"form without scheme":     "d2:eii1e1:pi20ee",
		"scheme without form":     "d2:es2:\x80\x001:pi20ee",
		"empty node list":         "d1:n0:2:np1:\x011:pi20ee",
		"padded by leading zeros": "d000000000001:pi20ee",
	} {
		var m Message
		if err := ParseMessage([]byte(raw), &m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if m.HasScheme || m.Scheme != nil || m.Form != 0 || len(m.Nodes) != 0 {
			t.Errorf("%s: parsed to %+v", name, m)
		}
	}
}

func TestParseMessageRefuses(t *testing.T) {
	node := strings.Repeat("n", 40)
	for _, c := range []struct {
		name, raw string
		want      error
	}{
		{"empty", "", ErrBenc},
		{"list", "le", ErrBenc},
		{"key twice", "d1:pi20e1:pi20ee", ErrMessage},
		{"version as string", "d1:p2:20e", ErrBenc},
		{"txid as integer", "d4:txidi1ee", ErrBenc},
		{"negative version", "d1:pi-1ee", ErrMessage},
		{"huge version", "d1:pi4294967296ee", ErrMessage},
		{"negative form", "d2:eii-1ee", ErrMessage},
		{"huge form", "d2:eii31ee", ErrMessage},
		{"half a node", "d1:n20:" + node[:20] + "2:np2:\x01\x14e", ErrMessage},
		{"node without version", "d1:n40:" + node + "e", ErrMessage},
		{"versions without nodes", "d2:np2:\x01\x14e", ErrMessage},
		{"too many versions", "d1:n40:" + node + "2:np3:\x01\x14\x14e", ErrMessage},
		{"too few versions", "d1:n40:" + node + "2:np2:\x02\x14e", ErrMessage},
		{"versions of 3 bytes", "d1:n40:" + node + "2:np4:\x03\x00\x00\x14e", ErrMessage},
		{"versions of 0 bytes", "d1:n40:" + node + "2:np1:\x00e", ErrMessage},
		{"too deep", "d1:a" + strings.Repeat("l", 8) + strings.Repeat("e", 9), ErrBenc},
	} {
		var m Message
		if err := ParseMessage([]byte(c.raw), &m); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", c.name, m, err, c.want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, v := range vectors(f, "messages.txt") {
		f.Add(unhex(f, v[0]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again Message
		if ParseMessage(b, &m) != nil {
			return
		}
		raw := m.Append(nil)
		if err := ParseMessage(raw, &again); err != nil {
			t.Fatalf("%q parsed to %+v, written as %q: %v", b, m, raw, err)
		}
		if got := again.Append(nil); !bytes.Equal(got, raw) {
			t.Fatalf("%q written again as %q", raw, got)
		}
	})
}

// gpReply is the answer to gp with three nodes.
func gpReply(t testing.TB) []byte {
	var m Message
	for _, v := range vectors(t, "messages.txt") {
		raw := unhex(t, v[0])
		if ParseMessage(raw, &m) == nil && len(m.Nodes) == 3 {
			return raw
		}
	}
	t.Fatal("no such message")
	return nil
}

func BenchmarkParseMessage(b *testing.B) {
	raw := gpReply(b)
	var m Message
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := ParseMessage(raw, &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	var m Message
	if err := ParseMessage(gpReply(b), &m); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0])
	}
}

func TestMessageAllocs(t *testing.T) {
	raw := gpReply(t)
	var m Message
	buf := make([]byte, 0, 1000)
	if n := testing.AllocsPerRun(100, func() {
		if err := ParseMessage(raw, &m); err != nil {
			t.Error(err)
		}
		buf = m.Append(buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
