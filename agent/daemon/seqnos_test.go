package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
)

var seqnoMAC = batman.MAC{2, 0, 0, 0, 0, 1}

func seqnoSample() mesh.Seqnos {
	return mesh.Seqnos{
		OGM: map[batman.MAC]uint32{seqnoMAC: 0xfffffffe}, ELP: map[batman.MAC]uint32{seqnoMAC: 7},
		OGM2: 100, Broadcast: 200, Fragment: 65535,
	}
}

func TestSeqnosAfterAStopAreExact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.seqnos")
	var s seqnoStore
	if name := s.load(path); name != "" || s.last.OGM != nil {
		t.Errorf("without a file: %q %+v", name, s.last)
	}
	s.save(seqnoSample(), "bat7", time.Second, true)
	var r seqnoStore
	if name := r.load(path); name != "bat7" {
		t.Errorf("mesh device of the last run: %q", name)
	}
	if r.last.OGM[seqnoMAC] != 0xfffffffe || r.last.ELP[seqnoMAC] != 7 || r.last.OGM2 != 100 || r.last.Broadcast != 200 || r.last.Fragment != 65535 {
		t.Errorf("numbers %+v, want those that were saved", r.last)
	}
}

// TestSeqnosAfterACrashGoOn: no number is used twice, and none is so far ahead
// that others take it for a jump (65536), or that an echo window of 64 is
// emptied for long.
func TestSeqnosAfterACrashGoOn(t *testing.T) {
	for _, interval := range []time.Duration{40 * time.Millisecond, time.Second, time.Minute} {
		path := filepath.Join(t.TempDir(), "a.seqnos")
		s := seqnoStore{path: path, every: seqnoPause}
		s.save(seqnoSample(), "bat0", interval, false)
		var f seqnoRecord
		raw, _ := os.ReadFile(path)
		if err := json.Unmarshal(raw, &f); err != nil {
			t.Fatal(err)
		}
		f.At += time.Hour.Milliseconds() // nobody knows when it was written
		var r seqnoStore
		r.last = f.next(time.Now())
		sent := uint32(seqnoPause/interval) + 1 // since the file was written
		ogm := r.last.OGM[seqnoMAC] - 0xfffffffe
		if ogm < sent || ogm > 2*sent+2 {
			t.Errorf("interval %v: OGMs skip %d, want %d or a little more", interval, ogm, sent)
		}
		if d := r.last.OGM2 - 100; d < sent || d > 2*sent+2 {
			t.Errorf("interval %v: OGM2 skips %d, want %d or a little more", interval, d, sent)
		}
		if d := r.last.Broadcast - 200; d < 1000 || d >= 65535 {
			t.Errorf("broadcasts skip %d", d)
		}
	}
}

// TestSeqnosAfterACrashFollowTheClock: with a file that is written rarely, a
// crash costs no more numbers than were used.
func TestSeqnosAfterACrashFollowTheClock(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	r := seqnoRecord{Interval: 1000, Pause: seqnoPauseDisk.Milliseconds(), At: at.UnixMilli(), Seqnos: seqnoSample()}
	for _, c := range []struct {
		passed    time.Duration
		low, high uint32
	}{{0, 1, 3}, {10 * time.Second, 11, 14}, {9 * time.Minute, 541, 560}, {24 * time.Hour, 601, 1000}, {-time.Hour, 601, 1000}} {
		if d := r.next(at.Add(c.passed)).OGM2 - 100; d < c.low || d > c.high {
			t.Errorf("%v after writing: skips %d, want %d to %d", c.passed, d, c.low, c.high)
		}
	}
}

func TestSeqnosOfABrokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.seqnos")
	for _, text := range []string{"", "{", `{"ogm":{"xx":1}}`, `{"mesh":"bat0","interval_ms":-1,"pause_ms":-5,"ogm":{"02:00:00:00:00:01":5}}`, `{"pause_ms":9223372036854775807,"interval_ms":1}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var s seqnoStore
		s.load(path)
		if n, ok := s.last.OGM[seqnoMAC]; ok && n-5 > 65535 {
			t.Errorf("%s: OGMs go on at %d", text, n)
		}
	}
}

func TestFirstSeqnoFollowsTheClock(t *testing.T) {
	wall := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	a, b := firstSeqno(wall, time.Second), firstSeqno(wall.Add(90*time.Second), time.Second)
	if a == 0 || b-a != 90 {
		t.Errorf("90 s are %d numbers, want 90", b-a)
	}
	if n := firstSeqno(time.Unix(100, 0), time.Second); n != 0 {
		t.Errorf("a clock that was never set gives %d, want 0", n)
	}
}
