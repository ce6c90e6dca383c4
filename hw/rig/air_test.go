package rig

import (
	"math"
	"slices"
	"testing"
)

// silent makes an air with radios that have addresses but no devices.
func silent(seed uint64, n int) *Air {
	a := &Air{seed: seed, links: map[[2]int]*airLink{}}
	for i := range n {
		a.radios = append(a.radios, &Radio{Index: i, air: a, mac: station(i)})
	}
	return a
}

func station(i int) [6]byte { return [6]byte{2, 0, 0, 0, 0, byte(i)} }

var broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func frame(dst, src [6]byte) []byte {
	return append(append(append([]byte{}, dst[:]...), src[:]...), 0x43, 0x05, 0, 0)
}

// who lists the indexes of those that hear a frame.
func who(a *Air, from int, f []byte) (heard []int) {
	for _, r := range a.carry(a.radios[from], f, nil) {
		heard = append(heard, r.Index)
	}
	return heard
}

func TestAirWhoHears(t *testing.T) {
	a := silent(1, 4)
	a.Lay(Line(4), Same(0))
	for _, tc := range []struct {
		name string
		from int
		dst  [6]byte
		want []int
	}{
		{"broadcast", 1, broadcast, []int{0, 2}},
		{"broadcast at the end", 0, broadcast, []int{1}},
		{"multicast", 1, [6]byte{0x33, 0x33, 0, 0, 0, 1}, []int{0, 2}},
		{"unicast to a neighbour", 1, station(2), []int{2}},
		{"unicast out of reach", 0, station(2), nil},
		{"unicast to nobody", 0, [6]byte{2, 9}, nil},
		{"unicast to itself", 0, station(0), nil},
	} {
		if got := who(a, tc.from, frame(tc.dst, station(tc.from))); !slices.Equal(got, tc.want) {
			t.Errorf("%s: heard by %v, want %v", tc.name, got, tc.want)
		}
	}
	if s := a.radios[1].Sent(); s != (RadioStats{3, 48, 2, 32}) {
		t.Errorf("sent %+v, want 3 frames, 2 of them broadcasts", s)
	}
}

func TestAirCutIsOneWay(t *testing.T) {
	a := silent(1, 2)
	x, y := a.radios[0], a.radios[1]
	a.Link(x, y, 0, 0)
	a.Cut(x, y, true)
	if got := who(a, 0, frame(broadcast, station(0))); got != nil {
		t.Errorf("the cut direction is heard by %v", got)
	}
	if got := who(a, 1, frame(broadcast, station(1))); !slices.Equal(got, []int{0}) {
		t.Errorf("the other direction is heard by %v, want 0", got)
	}
	if _, ok := a.Loss(x, y); ok {
		t.Error("Loss says that the cut direction is there")
	}
	a.Cut(x, y, false)
	if got := who(a, 0, frame(broadcast, station(0))); !slices.Equal(got, []int{1}) {
		t.Errorf("the restored direction is heard by %v, want 1", got)
	}
	if s := a.LinkStats(x, y); s != (LinkStats{In: 2, Out: 1, Cut: 1}) {
		t.Errorf("stats %+v, want one frame out and one cut", s)
	}
}

// TestAirAddressFollowsTheCard: a radio is found by the source of its last
// frame.
func TestAirAddressFollowsTheCard(t *testing.T) {
	a := silent(1, 2)
	a.Lay(Full(2), Same(0))
	who(a, 1, frame(broadcast, station(7)))
	if got := who(a, 0, frame(station(7), station(0))); !slices.Equal(got, []int{1}) {
		t.Errorf("the new address is heard by %v, want 1", got)
	}
	if got := who(a, 0, frame(station(1), station(0))); got != nil {
		t.Errorf("the old address is heard by %v, want nobody", got)
	}
}

// TestAirLoss: broadcasts are lost with p and unicasts with p^7, within five
// standard deviations of the binomial distribution.
func TestAirLoss(t *testing.T) {
	const n = 20000
	for _, p := range []float64{0, 0.1, 0.3, 0.6, 0.9, 1} {
		a := silent(42, 2)
		a.Lay(Full(2), Same(p))
		for _, tc := range []struct {
			name string
			dst  [6]byte
			want float64
		}{{"broadcast", broadcast, p}, {"unicast", station(1), math.Pow(p, 7)}} {
			lost := 0
			for range n {
				if who(a, 0, frame(tc.dst, station(0))) == nil {
					lost++
				}
			}
			dev := 5 * math.Sqrt(n*tc.want*(1-tc.want))
			if math.Abs(float64(lost)-n*tc.want) > dev {
				t.Errorf("%s p=%v: %d of %d lost, want %.0f ± %.0f", tc.name, p, lost, n, n*tc.want, dev)
			}
		}
	}
}

// TestAirSameSeedSameFate: what other links carry in between changes nothing.
func TestAirSameSeedSameFate(t *testing.T) {
	fate := func(seed uint64, noise int) (heard []bool) {
		a := silent(seed, 3)
		a.Lay(Line(3), Same(0.5))
		for range 200 {
			for range noise {
				who(a, 2, frame(broadcast, station(2)))
				who(a, 0, frame(station(1), station(0)))
			}
			heard = append(heard, who(a, 0, frame(broadcast, station(0))) != nil)
		}
		return heard
	}
	if !slices.Equal(fate(1, 0), fate(1, 3)) {
		t.Error("the fate of frames depends on other traffic")
	}
	if slices.Equal(fate(1, 0), fate(2, 0)) {
		t.Error("another seed gives the same fate")
	}
}

func TestShapes(t *testing.T) {
	for _, tc := range []struct {
		name string
		got  []Edge
		want []Edge
	}{
		{"grid", Grid(2, 2), []Edge{{0, 1}, {0, 2}, {1, 3}, {2, 3}}},
		{"line", Line(3), []Edge{{0, 1}, {1, 2}}},
		{"ring", Ring(3), []Edge{{0, 1}, {1, 2}, {0, 2}}},
		{"full", Full(3), []Edge{{0, 1}, {0, 2}, {1, 2}}},
	} {
		if !slices.Equal(tc.got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, tc.got, tc.want)
		}
	}
	if n := len(Grid(3, 3)); n != 12 {
		t.Errorf("a 3x3 grid has %d links, want 12", n)
	}
}
