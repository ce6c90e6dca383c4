package rig

import (
	"testing"
	"time"
)

func TestFlowResult(t *testing.T) {
	const step = 10 * time.Millisecond
	sent := make([]time.Duration, 100)
	for i := range sent {
		sent[i] = time.Duration(i) * step
	}
	arrive := func(lost func(i int) bool) map[uint32]time.Duration {
		came := map[uint32]time.Duration{}
		for i, at := range sent {
			if !lost(i) {
				came[uint32(i)] = at + time.Millisecond
			}
		}
		return came
	}
	for _, tc := range []struct {
		name string
		lost func(i int) bool
		want FlowResult
	}{
		{"nothing", func(int) bool { return false }, FlowResult{Sent: 100, Received: 100, Pause: step}},
		{"a run", func(i int) bool { return i >= 20 && i < 30 || i == 50 }, FlowResult{Sent: 100, Received: 89, Hole: 11 * step, Lost: 10, Pause: 11 * step}},
		{"the end", func(i int) bool { return i >= 60 }, FlowResult{Sent: 100, Received: 60, Hole: 40 * step, Lost: 40, Pause: step}},
		{"all", func(int) bool { return true }, FlowResult{Sent: 100}},
	} {
		if got := flowResult(sent, arrive(tc.lost)); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestAirRefuse(t *testing.T) {
	a := silent(1, 3)
	a.Lay(Full(3), Same(0))
	a.Refuse(a.radios[1], Unicast)
	if got := who(a, 0, frame(broadcast, station(0))); len(got) != 2 {
		t.Errorf("a broadcast is heard by %v, want both others", got)
	}
	if got := who(a, 0, frame(station(1), station(0))); len(got) != 0 {
		t.Errorf("a unicast that is refused is heard by %v", got)
	}
	if got := who(a, 0, frame(station(2), station(0))); len(got) != 1 {
		t.Errorf("a unicast to somebody else is heard by %v, want one", got)
	}
	if s := a.LinkStats(a.radios[0], a.radios[1]); s.Cut != 1 || s.In != 2 {
		t.Errorf("%+v, want one of two cut", s)
	}
	a.Refuse(a.radios[1], nil)
	if got := who(a, 0, frame(station(1), station(0))); len(got) != 1 {
		t.Errorf("heard by %v after the refusal ended", got)
	}
}
