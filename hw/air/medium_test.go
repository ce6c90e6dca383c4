package air

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// unicast makes a frame of one radio to another, with attempts at MCS rates.
func unicast(from, to *Radio, tries ...attempt) *frame {
	f := &frame{from: from, freq: 2412, data: append([]byte{8, 0, 0, 0}, to.spec.MAC[:]...)}
	for i := range f.tries {
		f.tries[i] = attempt{idx: -1}
	}
	copy(f.tries[:], tries)
	return f
}

func mcs(idx int8, count uint8) attempt { return attempt{idx: idx, count: count, flags: rateMCS} }

func newAir(n int) (*Medium, []*Radio) {
	m := newMedium(nil, 1)
	for i := range n {
		m.radios = append(m.radios, &Radio{spec: RadioSpec{MAC: [6]byte{2, 0, 0, 0, byte(i + 1), 0}}})
	}
	return m, m.radios
}

// TestAttemptOrder: a frame is tried at the rates in their order; what was not needed
// is taken out, as drivers report it.
func TestAttemptOrder(t *testing.T) {
	for _, tc := range []struct {
		name  string
		link  Link
		tries []attempt
		got   bool
		left  []attempt
	}{
		{"first", Link{MCS: 7}, []attempt{mcs(7, 2), mcs(0, 3)}, true, []attempt{mcs(7, 1)}},
		{"too fast", Link{MCS: 3}, []attempt{mcs(7, 2), mcs(3, 3)}, true, []attempt{mcs(7, 2), mcs(3, 1)}},
		{"in vain", Link{MCS: 0}, []attempt{mcs(7, 2), mcs(3, 3)}, false, []attempt{mcs(7, 2), mcs(3, 3)}},
		{"lost", Link{MCS: 7, Loss: 1}, []attempt{mcs(0, 4)}, false, []attempt{mcs(0, 4)}},
		{"two streams", Link{MCS: 6}, []attempt{mcs(8, 1), mcs(6, 1)}, true, []attempt{mcs(8, 1), mcs(6, 1)}},
		{"legacy", Link{MCS: 0}, []attempt{{idx: 11, count: 1}, {idx: 4, count: 2}}, true, []attempt{{idx: 11, count: 1}, {idx: 4, count: 1}}},
	} {
		m, r := newAir(2)
		m.Link(r[0], r[1], tc.link)
		f := unicast(r[0], r[1], tc.tries...)
		rx, acked, _ := m.decide(f)
		if acked != tc.got || len(rx) != 0 != tc.got {
			t.Errorf("%s: acked %v, received by %d, want %v", tc.name, acked, len(rx), tc.got)
		}
		left := slices.DeleteFunc(f.tries[:], func(a attempt) bool { return a.idx < 0 })
		if !slices.Equal(left, tc.left) {
			t.Errorf("%s: attempts %v, want %v", tc.name, left, tc.left)
		}
	}
}

// TestWhoHears: broadcasts go to all that have a link, unicasts to one, and
// nothing to a radio that was pulled out.
func TestWhoHears(t *testing.T) {
	m, r := newAir(4)
	m.Link(r[0], r[1], Link{MCS: 7, Signal: -40})
	m.LinkOneWay(r[0], r[2], Link{MCS: 7, Signal: -70})
	all := &frame{from: r[0], data: bytes.Repeat([]byte{0xff}, 24), tries: [maxRates]attempt{{count: 1}}}
	rx, acked, _ := m.decide(all)
	if len(rx) != 2 || rx[0].to != r[1] || rx[0].signal != -40 || rx[1].to != r[2] || acked {
		t.Errorf("a broadcast is received by %v, acknowledged %v", rx, acked)
	}
	rx, acked, signal := m.decide(unicast(r[0], r[1], mcs(7, 1)))
	if len(rx) != 1 || !acked || signal != -40 {
		t.Errorf("a unicast is received by %v, acknowledged %v with %d dBm", rx, acked, signal)
	}
	// one way only: it arrives once, and the sender never learns of it
	f := unicast(r[0], r[2], mcs(7, 3))
	rx, acked, _ = m.decide(f)
	if len(rx) != 1 || acked || f.tries[0].count != 3 {
		t.Errorf("without a way back: received by %v, acknowledged %v after %d attempts", rx, acked, f.tries[0].count)
	}
	if rx, acked, _ := m.decide(unicast(r[0], r[3], mcs(7, 1))); len(rx) != 0 || acked {
		t.Errorf("without a link: received by %v, acknowledged %v", rx, acked)
	}
	r[1].gone = true
	if rx, _, _ := m.decide(unicast(r[0], r[1], mcs(7, 1))); len(rx) != 0 {
		t.Errorf("a radio that is gone receives")
	}
	m.Cut(r[0], r[2])
	if rx, _, _ := m.decide(all); len(rx) != 0 {
		t.Errorf("a link that is cut carries")
	}
	r[3].learn([6]byte{2, 9}, true)
	if !r[3].has([6]byte{2, 9}) {
		t.Error("a second interface is not known")
	}
	r[3].learn([6]byte{2, 9}, false)
	if r[3].has([6]byte{2, 9}) {
		t.Error("an interface that is gone is still known")
	}
}

// TestLoss: the share of lost broadcasts is the link's, and one seed gives one
// course.
func TestLoss(t *testing.T) {
	course := func() (lost []bool) {
		m, r := newAir(2)
		m.Link(r[0], r[1], Link{Loss: 0.3, MCS: 7})
		for range 10000 {
			f := &frame{from: r[0], data: bytes.Repeat([]byte{0xff}, 24), tries: [maxRates]attempt{{count: 1}}}
			rx, _, _ := m.decide(f)
			lost = append(lost, len(rx) == 0)
		}
		return lost
	}
	a, count := course(), 0
	for _, l := range a {
		if l {
			count++
		}
	}
	if count < 2800 || count > 3200 {
		t.Errorf("%d of 10000 lost, want 3000", count)
	}
	if !slices.Equal(a, course()) {
		t.Error("two runs with one seed differ")
	}
}

// TestAttempts: a frame's rates as the kernel writes them, whole and cut short.
func TestAttempts(t *testing.T) {
	info := []byte{7, 2, 3, 4, 0xff, 0, 0xff, 0}
	got := readAttempts(info, []byte{7, 8, 0, 3, 8, 0})
	want := [maxRates]attempt{mcs(7, 2), mcs(3, 4), {idx: -1}, {idx: -1}}
	if got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if b := appendAttempts(nil, got); !bytes.Equal(b, info) {
		t.Errorf("written as % x, want % x", b, info)
	}
	for n := range info {
		if got := readAttempts(info[:n], nil); got[0].count == 0 {
			t.Errorf("%d bytes: no attempt at all", n)
		}
	}
}

// TestListener: what a kernel prints between the words is kept apart.
func TestListener(t *testing.T) {
	var screen strings.Builder
	var res Result
	l := &listener{c: Config{Scenario: "x", Screen: &screen}, res: &res}
	l.listen(strings.NewReader("boot\r\n" + wordMark + `{"text":"a\n"}` + "\r\n[  1.0] half a line" + wordMark + `{"note":"n"}` + "\n" +
		wordMark + `{"end":true,"up":2.5}` + "\n"))
	if err := l.verdict(t.Context(), nil); err != nil || screen.String() != "a\n" || !slices.Equal(res.Notes, []string{"n"}) || res.Virtual.Seconds() != 2.5 {
		t.Errorf("err %v, screen %q, result %+v", err, screen.String(), res)
	}
	if !slices.Equal(l.console, []string{"boot", "[  1.0] half a line"}) {
		t.Errorf("console %q", l.console)
	}
	l = &listener{c: Config{Scenario: "x"}, res: &res}
	l.listen(strings.NewReader("Kernel panic\n"))
	if err := l.verdict(t.Context(), errors.New("exit status 1")); err == nil || !strings.Contains(err.Error(), "Kernel panic") {
		t.Errorf("a kernel that dies: %v", err)
	}
	l.listen(strings.NewReader(wordMark + `{"fail":"n1 is dead"}` + "\n" + wordMark + `{"end":true}` + "\n"))
	if err := l.verdict(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "n1 is dead") {
		t.Errorf("a scenario that fails: %v", err)
	}
}

// TestStations reads what iw prints.
func TestStations(t *testing.T) {
	got := parseStations("Station 02:00:00:00:02:00 (on wlan0)\n\tinactive time:\t8 ms\n\ttx retries:\t5\n\ttx failed:\t1\n\tsignal:  \t-60 [-60] dBm\n" +
		"\ttx bitrate:\t65.0 MBit/s MCS 7\n\texpected throughput:\t28.106Mbps\nStation 02:00:00:00:03:00 (on wlan0)\n\tsignal:  \t-71 dBm\n")
	want := []Heard{{MAC: "02:00:00:00:02:00", Signal: -60, Rate: 65, Expected: 28.106, Retries: 5, Failed: 1}, {MAC: "02:00:00:00:03:00", Signal: -71}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
