package air

import (
	"bytes"
	"testing"
)

// meshFrame is a data frame of 802.11 with a QoS and a mesh header, and a
// payload of the mesh.
func meshFrame(to *Radio, payload ...byte) []byte {
	f := append([]byte{0x88, 3, 0, 0}, to.spec.MAC[:]...)
	f = append(f, make([]byte, 20+2+6)...) // two addresses, sequence, fourth address, QoS, mesh control
	return append(append(f, snap...), payload...)
}

// TestWatch: the watcher hears of unicasts of the mesh, with their fate, and
// of nothing else.
func TestWatch(t *testing.T) {
	m, r := newAir(3)
	m.Link(r[0], r[1], Link{MCS: 7})
	m.LinkOneWay(r[1], r[2], Link{MCS: 7, Loss: 1})
	var seen []Sent
	m.Watch(func(s Sent) { seen = append(seen, s) })
	for _, f := range []*frame{
		{from: r[0], data: meshFrame(r[1], 0x40, 15)},
		{from: r[1], data: meshFrame(r[2], 0x42, 15)},
		{from: r[0], data: meshFrame(r[2], 0x40, 15)},                                               // no link
		{from: r[0], data: append([]byte{0x88, 3, 0, 0}, bytes.Repeat([]byte{0xff}, 60)...)},        // a broadcast
		{from: r[0], data: append(append([]byte{0x88, 3, 0, 0}, r[1].spec.MAC[:]...), snap[1:]...)}, // something else
		{from: r[0], data: append(append([]byte{0xd0, 0, 0, 0}, r[1].spec.MAC[:]...), snap...)},     // management
	} {
		f.tries = [maxRates]attempt{{count: 1}, {idx: -1}}
		rx, _, _ := m.decide(f)
		m.show(f, len(rx) > 0)
	}
	if len(seen) != 2 {
		t.Fatalf("%d frames are seen, want 2: %+v", len(seen), seen)
	}
	if s := seen[0]; s.From != r[0] || s.To != r[1] || !s.Got || !bytes.Equal(s.Payload, []byte{0x40, 15}) {
		t.Errorf("a frame that arrives: %+v", s)
	}
	if s := seen[1]; s.From != r[1] || s.To != r[2] || s.Got {
		t.Errorf("a frame that is lost: %+v", s)
	}
}

// TestSpoilAggregation: the one bit is changed, in ADDBA requests only.
func TestSpoilAggregation(t *testing.T) {
	action := func(fields ...byte) []byte { return append(append([]byte{0xd0}, make([]byte, 23)...), fields...) }
	for _, tc := range []struct {
		name       string
		frame, out []byte
	}{
		{"request", action(3, 0, 1, 0x03, 0x10, 0, 0, 0, 0), action(3, 0, 1, 0x01, 0x10, 0, 0, 0, 0)},
		{"response", action(3, 1, 1, 0, 0, 0x03, 0x10), action(3, 1, 1, 0, 0, 0x03, 0x10)},
		{"other action", action(13, 0, 1, 0x03, 0x10), action(13, 0, 1, 0x03, 0x10)},
		{"short", action(3, 0, 1, 0x03), action(3, 0, 1, 0x03)},
	} {
		spoilAggregation(tc.frame)
		if !bytes.Equal(tc.frame, tc.out) {
			t.Errorf("%s: % x, want % x", tc.name, tc.frame, tc.out)
		}
	}
}

// TestSeed: chance begins anew.
func TestSeed(t *testing.T) {
	m, _ := newAir(0)
	m.Seed(7)
	a := m.rnd.Uint64()
	m.Seed(7)
	if b := m.rnd.Uint64(); a != b {
		t.Errorf("%d, then %d", a, b)
	}
}
