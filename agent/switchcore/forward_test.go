package switchcore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// full returns a table in which every slot is up.
func full() *Table {
	t := new(Table)
	for p := range Port(MaxPorts) {
		t.Set(p, Up)
	}
	return t
}

// frame returns a frame with the given label and a control marker as body.
func frame(l cjdns.Label) []byte {
	return append(cjdns.SwitchHeader{Label: l, Version: 1}.Append(nil), 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4)
}

func labelOf(t testing.TB, f []byte) cjdns.Label {
	t.Helper()
	h, err := cjdns.ParseSwitchHeader(f)
	if err != nil {
		t.Fatal(err)
	}
	return h.Label
}

func TestForwardLikeCjdns(t *testing.T) {
	raw, err := os.ReadFile("testdata/relay.txt")
	if err != nil {
		t.Fatal(err)
	}
	table, n := full(), 0
	for line := range strings.Lines(string(raw)) {
		v := strings.Fields(line)
		if line[0] == '#' {
			continue
		}
		n++
		in, out := Port(v[0][0]-'0'), Port(v[2][0]-'0')
		f, err := hex.DecodeString(v[1])
		if err != nil {
			t.Fatal(err)
		}
		got, err := Forward(table, in, f)
		if err != nil || got != out || hex.EncodeToString(f) != v[3] {
			t.Errorf("%s from slot %d: to slot %d as %x, %v, want slot %d as %s", v[1], in, got, f, err, out, v[3])
		}
	}
	if n < 30 {
		t.Errorf("%d vectors", n)
	}
}

// A frame from our router to a direct peer's router arrives there as
// 8000000000000001, shift 4; behind that node's switch it shows the way back.
func TestForwardToDirectPeer(t *testing.T) {
	table := full()
	for _, out := range []Port{0, 2, 7, 9, 32, 33, 200, 256} {
		for _, back := range []Port{0, 2, 7, 9, 32, 33, 200, 256} {
			f := frame(out.Label())
			got, err := Forward(table, Self, f)
			if err != nil || got != out {
				t.Fatalf("to slot %d: %d, %v", out, got, err)
			}
			if l := labelOf(t, f); l != 0x8000000000000001 {
				t.Errorf("to slot %d: label on the wire is %v", out, l)
			}
			got, err = Forward(table, back, f)
			if err != nil || got != Self {
				t.Fatalf("from slot %d to the router: %d, %v", back, got, err)
			}
			if l := labelOf(t, f).Reverse(); l != back.Label() {
				t.Errorf("from slot %d: way back is %v, want %v", back, l, back.Label())
			}
		}
	}
	f := frame(cjdns.SelfLabel)
	if got, err := Forward(table, Self, f); err != nil || got != Self || labelOf(t, f).Reverse() != cjdns.SelfLabel {
		t.Errorf("to myself: %d, %v, way back %v", got, err, labelOf(t, f).Reverse())
	}
}

// a -- x [relay] y -- b, as it was run between real nodes: the answer of b
// must come back to a, and the answer to the answer to b.
func TestForwardThroughRelay(t *testing.T) {
	table := full()
	for _, c := range []struct {
		x, y Port // slots of a and b at the relay
		bits int  // of the director out of the relay
	}{
		{0, 2, 4}, {2, 0, 4}, {0, 9, 7}, {9, 0, 7}, {40, 9, 10}, {9, 40, 10}, {200, 256, 10}, {256, 200, 10}, {7, 33, 10},
	} {
		for _, slots := range [][2]Port{{0, 0}, {5, 3}, {20, 2}, {2, 20}, {100, 3}, {256, 256}} {
			atA, atB := slots[0], slots[1] // slots of the relay at a and b
			hop := cjdns.LabelFor(c.y.Label(), c.x.Label())
			if cjdns.DirectorBits(hop) != c.bits {
				t.Errorf("slots %d, %d: director of %d bits, want %d", c.x, c.y, cjdns.DirectorBits(hop), c.bits)
			}
			path := cjdns.Splice(hop, atA.Label())
			f := frame(path)
			steps := []struct{ in, out Port }{
				{Self, atA}, {c.x, c.y}, {atB, Self}, // a to b
				{Self, atB}, {c.y, c.x}, {atA, Self}, // and back
				{Self, atA}, {c.x, c.y}, {atB, Self}, // and again
			}
			for i, s := range steps {
				if i%3 == 0 && i > 0 {
					f = frame(labelOf(t, f).Reverse())
				}
				if out, err := Forward(table, s.in, f); err != nil || out != s.out {
					t.Fatalf("slots %v and %v, step %d: out of slot %d, %v, want %d", c, slots, i, out, err, s.out)
				}
			}
		}
	}
}

// A narrow director cannot be used by a frame from a wide slot.
func TestForwardRefuses(t *testing.T) {
	var table Table
	for _, p := range []Port{0, Self, 2, 9, 40, 200} {
		table.Set(p, Up)
	}
	table.Set(3, Down)
	for _, c := range []struct {
		name  string
		in    Port
		label cjdns.Label
		want  error
	}{
		{"empty slot", 0, Port(5).Label(), ErrMalformedAddress},
		{"wide empty slot", 0, Port(99).Label(), ErrMalformedAddress},
		{"wide slot in, narrow director out", 9, 0x15, ErrMalformedAddress},
		{"wider slot in, wide director out", 40, Port(9).Label(), ErrMalformedAddress},
		{"peer is down", 2, Port(3).Label(), ErrUndeliverable},
		{"peer is down, asked by the own router", Self, Port(3).Label(), nil},
		{"back where it came from", 2, Port(2).Label(), nil},
		{"no room for the way back", 9, 0x8000000000000021, ErrReturnPathInvalid},
		{"just room for the way back", 9, 0x8000000000000801, nil},
		{"a bit less", 9, 0x8000000000000401, ErrReturnPathInvalid},
		{"no room for a wide way back", 200, 0x8000000000002001, ErrReturnPathInvalid},
		{"just room for a wide way back", 200, 0x8000000000004001, nil},
		{"no such slot to come from", MaxPorts, 0x15, ErrMalformedAddress},
	} {
		f := frame(c.label)
		before := bytes.Clone(f)
		_, err := Forward(&table, c.in, f)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err != nil && !bytes.Equal(f, before) {
			t.Errorf("%s: frame was changed", c.name)
		}
	}
	// A path may go on behind a router's 0001, but nothing ever follows it.
	if out, err := Forward(&table, 0, frame(0x11)); err != nil || out != Self {
		t.Errorf("label 11: %d, %v", out, err)
	}
}

func TestForwardTruncated(t *testing.T) {
	whole := frame(0x15)
	for n := range cjdns.SwitchHeaderLen {
		if _, err := Forward(full(), 0, whole[:n:n]); !errors.Is(err, ErrShort) {
			t.Errorf("%d bytes: %v, want ErrShort", n, err)
		}
	}
	if _, err := Forward(full(), 0, whole[:cjdns.SwitchHeaderLen]); err != nil {
		t.Errorf("a header without body: %v", err)
	}
}

func TestForwardLabelUsedUp(t *testing.T) {
	for _, c := range []struct {
		shift uint8
		label cjdns.Label
		want  error
	}{
		{59, 0x15, nil}, {60, 0x15, ErrLabelShift}, {53, 0x404, nil}, {54, 0x404, ErrLabelShift}, {63, 0x86, ErrLabelShift},
	} {
		f := cjdns.SwitchHeader{Label: c.label, Version: 3, LabelShift: c.shift}.Append(nil)
		_, err := Forward(full(), 2, f)
		if !errors.Is(err, c.want) {
			t.Errorf("shift %d, label %v: %v, want %v", c.shift, c.label, err, c.want)
		}
		h, _ := cjdns.ParseSwitchHeader(f)
		if err == nil && (h.LabelShift != 63 || h.Version != 3 || h.TrafficClass != 0xffff) {
			t.Errorf("shift %d: header %+v", c.shift, h)
		}
	}
}

// Along random paths the label that the receiver gets leads back to the
// origin, and the answer's label is the path again.
func TestForwardRandomPaths(t *testing.T) {
	const seed = 1
	// A path of so many bits always leaves the 14 that the widest way back
	// needs at the last node.
	const roomy = 64 - 1 - 14
	r := rand.New(rand.NewPCG(seed, 2))
	table := full()
	port := func() Port {
		for {
			p := Port([]int{8, 33, MaxPorts}[r.IntN(3)])
			if p = Port(r.IntN(int(p))); p != Self {
				return p
			}
		}
	}
	delivered := 0
	for i := range 20000 {
		// outs[k] leads from node k to k+1, ins[k] is the slot where that
		// frame arrives.
		n := 1 + r.IntN(8)
		outs, ins := make([]Port, n), make([]Port, n)
		path := cjdns.SelfLabel
		for k := range n {
			outs[k], ins[k] = port(), port()
		}
		for k := n - 1; k >= 0; k-- {
			hop := outs[k].Label()
			if k > 0 {
				hop = cjdns.LabelFor(hop, ins[k-1].Label())
			}
			if path != cjdns.LabelInvalid {
				path = cjdns.Splice(path, hop)
			}
		}
		if path == cjdns.LabelInvalid {
			continue
		}
		// walk sends a frame along label and returns the way back.
		walk := func(label cjdns.Label, outs, ins []Port) (cjdns.Label, error) {
			f := frame(label)
			in := Self
			for k := range outs {
				out, err := Forward(table, in, f)
				if err != nil {
					return 0, err
				}
				if out != outs[k] {
					t.Fatalf("seed %d, path %d %v: hop %d goes to slot %d, want %d", seed, i, label, k, out, outs[k])
				}
				in = ins[k]
			}
			out, err := Forward(table, in, f)
			if err != nil {
				return 0, err
			}
			if out != Self {
				t.Fatalf("seed %d, path %d %v: ends in slot %d", seed, i, label, out)
			}
			return labelOf(t, f).Reverse(), nil
		}
		back, err := walk(path, outs, ins)
		if path.Len() > roomy && (errors.Is(err, ErrReturnPathInvalid) || errors.Is(err, ErrLabelShift)) {
			continue // too long for the way back: the origin cannot know
		}
		if err != nil {
			t.Fatalf("seed %d, path %d %v through %v, %v: %v", seed, i, path, outs, ins, err)
		}
		var backOuts, backIns []Port
		for k := n - 1; k >= 0; k-- {
			backOuts, backIns = append(backOuts, ins[k]), append(backIns, outs[k])
		}
		again, err := walk(back, backOuts, backIns)
		if back.Len() > roomy && (errors.Is(err, ErrReturnPathInvalid) || errors.Is(err, ErrLabelShift)) {
			continue
		}
		if err != nil {
			t.Fatalf("seed %d, path %d: way back %v of %v: %v", seed, i, back, path, err)
		}
		if forth, err := walk(again, outs, ins); forth != back && (err == nil || again.Len() <= roomy) {
			t.Fatalf("seed %d, path %d: %v leads back by %v, then by %v, %v", seed, i, again, back, forth, err)
		}
		delivered++
	}
	if delivered < 10000 {
		t.Errorf("only %d of 20000 paths were short enough for a way back", delivered)
	}
}

func TestTable(t *testing.T) {
	var table Table
	table.Set(Self, Up)
	for want := range Port(MaxPorts) {
		if want == Self {
			continue
		}
		p, ok := table.Free(0)
		if !ok || p != want {
			t.Fatalf("Free = %d, %v, want %d", p, ok, want)
		}
		table.Set(p, Down)
	}
	if p, ok := table.Free(0); ok {
		t.Errorf("a full table has slot %d free", p)
	}
	table.Set(9, Empty)
	table.Set(40, Empty)
	if p, ok := table.Free(0); !ok || p != 9 {
		t.Errorf("Free = %d, %v, want 9", p, ok)
	}
	table.Set(MaxPorts, Up)
	if table.State(MaxPorts) != Empty || table.State(2) != Down || table.State(Self) != Up {
		t.Error("states are mixed up")
	}
	var unset Table
	if p, ok := unset.Free(0); !ok || p != 0 {
		t.Errorf("Free of an empty table = %d, %v", p, ok)
	}
	unset.Set(0, Up)
	if p, ok := unset.Free(0); !ok || p != 2 {
		t.Errorf("Free gave the router's slot: %d, %v", p, ok)
	}
}

func FuzzForward(f *testing.F) {
	f.Add(uint16(0), frame(0x15))
	f.Add(uint16(200), frame(1))
	f.Add(uint16(9), frame(0x8000000000000801))
	table := full()
	for p := Port(5); p < MaxPorts; p += 7 {
		table.Set(p, Down)
	}
	table.Set(6, Empty)
	f.Fuzz(func(t *testing.T, in uint16, b []byte) {
		before := bytes.Clone(b)
		out, err := Forward(table, Port(in), b)
		if err != nil {
			if !bytes.Equal(b, before) {
				t.Fatalf("%x changed to %x in spite of %v", before, b, err)
			}
			e := AppendErrorFrame(nil, b, Code(err))
			if (e != nil) != MayError(b) || len(e) > 256 {
				t.Fatalf("error frame %x", e)
			}
			return
		}
		if table.State(out) == Empty || in >= MaxPorts || !bytes.Equal(b[12:], before[12:]) {
			t.Fatalf("%x from slot %d went to slot %d as %x", before, in, out, b)
		}
		// The way back from here names the slot in.
		if p, _ := cjdns.PortOf(labelOf(t, b).Reverse()); p != in {
			t.Fatalf("%x from slot %d: the way back names slot %d", before, in, p)
		}
	})
}

func BenchmarkForward(b *testing.B) {
	table := full()
	header := cjdns.SwitchHeader{Label: 0x8000000000000135, Version: 1, LabelShift: 4}
	f := frame(0)
	b.ReportAllocs()
	for b.Loop() {
		header.Put(f)
		if _, err := Forward(table, 0, f); err != nil {
			b.Fatal(err)
		}
	}
}

func TestForwardAllocs(t *testing.T) {
	table := full()
	f := frame(0)
	var err error
	if n := testing.AllocsPerRun(100, func() {
		cjdns.PutLabel(f, 0x15)
		f[9] = 0
		if _, e := Forward(table, 0, f); e != nil {
			err = e
		}
		cjdns.PutLabel(f, 0x15)
		Forward(table, 200, f)
	}); n != 0 || err != nil {
		t.Errorf("%v allocations, want 0; %v", n, err)
	}
}
