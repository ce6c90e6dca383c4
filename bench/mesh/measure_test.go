package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// probes makes a row of probes 10 ms apart that begins half a second before
// the cut; those sent in [from, to) after the cut are lost.
func probes(from, to time.Duration) (cutAt time.Time, sent []time.Time, ok []bool) {
	cutAt = time.Unix(1000, 0)
	for d := -500 * time.Millisecond; d < 10*time.Second; d += 10 * time.Millisecond {
		sent = append(sent, cutAt.Add(d))
		ok = append(ok, d < from || d >= to)
	}
	return cutAt, sent, ok
}

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name     string
		from, to time.Duration
		want     cut
	}{
		{"nothing lost", 0, 0, cut{ok: true}},
		{"one second lost", 0, time.Second, cut{took: time.Second, ok: true, lost: 10}},
		{"never again", 0, time.Minute, cut{lost: 100}},
		{"lost before the cut does not count", -time.Second, 0, cut{ok: true}},
	} {
		if got := judge(probes(tc.from, tc.to)); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// TestJudgeWantsARowOfAnswers: single answers between losses are no new way.
func TestJudgeWantsARowOfAnswers(t *testing.T) {
	at, sent, ok := probes(0, 2*time.Second)
	for i := 60; i < 240; i += 3 {
		ok[i] = true
	}
	if got := judge(at, sent, ok); !got.ok || got.took != 2*time.Second {
		t.Errorf("got %+v, want a new way after 2 s", got)
	}
}

func TestPathFollowsTheProbes(t *testing.T) {
	w := &world{addrs: make([]string, 9), probes: map[[2]int]int{
		{0, 1}: 10, {0, 3}: 2, {1, 2}: 10, {1, 0}: 12, {2, 5}: 9, {5, 8}: 10, {3, 4}: 2,
	}}
	w.nodes = append(w.nodes, make([]*rig.Node, 9)...)
	if got, want := w.path(0, 8), []int{0, 1, 2, 5, 8}; !slices.Equal(got, want) {
		t.Errorf("path %v, want %v", got, want)
	}
	if got := w.path(0, 8); got != nil {
		t.Errorf("path %v of no probes, want none", got)
	}
}

func TestTable(t *testing.T) {
	a := result{kind: "ours", loss: 0.1, reach: 2 * time.Second, bytes: 1000, cuts: []cut{{took: time.Second, ok: true, lost: 10}, {took: 3 * time.Second, ok: true, lost: 30}, {took: 2 * time.Second, ok: true, lost: 20}}}
	b := result{kind: "theirs", loss: 0.1, missing: 3, bytes: 500, cuts: []cut{{}}}
	lines := strings.Split(table([]result{a, b}, options{}), "\n")
	if got := strings.Join(strings.Fields(lines[3]), " "); !strings.HasPrefix(got, "10 % ours 2.00 (1.00) 2.00 (1.00) 20.0 (1.00) 1000 (1.00)") {
		t.Errorf("line of ours: %q", got)
	}
	if got := strings.Join(strings.Fields(lines[4]), " "); !strings.HasPrefix(got, "10 % theirs - - 0.00 (0.00) 500 (0.50)") {
		t.Errorf("line of theirs: %q", got)
	}
}
