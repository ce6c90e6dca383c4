package main

import (
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/air"
	"github.com/meshagent/meshagent/hw/rig"
)

// TestOrder: what the host asks for arrives in the kernel.
func TestOrder(t *testing.T) {
	a := order{Kind: "agent-V", Seed: 3, Settle: 80 * time.Second, Window: 2 * time.Minute}
	got, err := parseOrder(a.String())
	if err != nil || got != a {
		t.Errorf("%+v, %v, want %+v", got, err, a)
	}
	if strings.ContainsAny(a.String(), " =") {
		t.Errorf("%q is not one word", a)
	}
	for _, bad := range []string{"", "a,b,1s,1s", "a,1,x,1s", "a,1,1s,x"} {
		if _, err := parseOrder(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestChoose(t *testing.T) {
	var o options
	if err := o.choose("kernel-V,agent-V"); err != nil || len(o.kinds) != 2 || o.kinds[0].name != "kernel-V" {
		t.Errorf("%+v, %v", o.kinds, err)
	}
	if err := o.choose("none"); err != nil || len(o.kinds) != 0 {
		t.Errorf("%+v, %v", o.kinds, err)
	}
	if err := o.choose("agent"); err == nil {
		t.Error("a kind that is not there is taken")
	}
}

// course is a trail of frames, one every 100 ms from a time on: b and c name
// the relay.
func course(start time.Time, b, c *air.Radio, relays string) (steps []step) {
	for i, r := range relays {
		to := b
		if r == 'c' {
			to = c
		}
		steps = append(steps, step{start.Add(time.Duration(i) * flowStep), to})
	}
	return steps
}

// TestJudge: when a flow moves, and when it only looks so.
func TestJudge(t *testing.T) {
	b, c := new(air.Radio), new(air.Radio)
	at := time.Unix(1000, 0)
	long := strings.Repeat("c", 60)
	for _, tc := range []struct {
		name, before, after string
		want                direction
	}{
		{"stays", "bbbb", strings.Repeat("b", 60), direction{Last: 5900 * time.Millisecond}},
		{"moves", "bbbb", "bbbbb" + long, direction{Moved: true, Took: 500 * time.Millisecond, Last: 400 * time.Millisecond}},
		{"a glance", "bbbb", "bbcc" + strings.Repeat("b", 40) + long, direction{Moved: true, Took: 4400 * time.Millisecond, Last: 4300 * time.Millisecond}},
		{"there and back", "bbbb", "b" + long + "bbbbb" + long, direction{Moved: true, Took: 100 * time.Millisecond, Last: 6500 * time.Millisecond}},
		{"one frame goes back", "bbbb", "bb" + long + "b" + long, direction{Moved: true, Took: 200 * time.Millisecond, Last: 100 * time.Millisecond}},
	} {
		tr := &trail{steps: course(at.Add(-time.Duration(len(tc.before))*flowStep), b, c, tc.before+tc.after), old: b, at: at}
		tc.want.Sent, tc.want.Lost = 60, 5
		if got := tr.judge(rig.FlowResult{Sent: 40, Received: 40}, rig.FlowResult{Sent: 100, Received: 95}); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// TestTable: medians and ranges, and those that did not move.
func TestTable(t *testing.T) {
	moved := func(s int) direction {
		return direction{Moved: true, Took: time.Duration(s) * time.Second, Last: time.Duration(s+1) * time.Second, Lost: s}
	}
	text := table([]result{
		{Kind: "x", There: moved(1), Back: moved(4)}, {Kind: "x", There: moved(9), Back: direction{Lost: 50}}, {Kind: "x", There: moved(2), Back: direction{Away: true}},
		{Kind: "y", There: direction{}, Back: moved(3)},
	})
	for _, want := range []string{"2.0 (1.0…9.0)", "3.0 (2.0…10.0)", "2 (1…9)", "4.0 (4.0…4.0)", "27 (4…50)  1, 1", "0 (0…0)  1, 0", "3.0 (3.0…3.0)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestIdleTable: what the radios cost is not the agents'.
func TestIdleTable(t *testing.T) {
	r := idleResult{CPU: []time.Duration{600 * time.Millisecond, 0, 0, 1200 * time.Millisecond}}
	text := r.table([]time.Duration{time.Second, 4 * time.Second, 10 * time.Second, 40 * time.Second})
	for _, want := range []string{" 10.0\n", " 20.0\n", " 100.0\n", " 500.0\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
