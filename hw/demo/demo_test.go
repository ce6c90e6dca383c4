package main

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

func TestPairLine(t *testing.T) {
	p := pair{from: &rig.Host{Node: &rig.Node{Name: "n1"}}, to: &rig.Host{Node: &rig.Node{Name: "n2"}}}
	p.res = rig.PingResult{Sent: 10, Received: 10, RTT: []time.Duration{400 * time.Microsecond, 420 * time.Microsecond}}
	if got, want := p.String(), "n1 -> n2 10/10 0% loss rtt 0.41 ms"; got != want || !p.ok() {
		t.Errorf("line %q, ok %v, want %q, true", got, p.ok(), want)
	}
	p.res.Received = 9
	if got, want := p.String(), "n1 -> n2 9/10 10% loss rtt 0.41 ms"; got != want || p.ok() {
		t.Errorf("line %q, ok %v, want %q, false", got, p.ok(), want)
	}
}

func TestChosen(t *testing.T) {
	for _, tc := range []struct {
		name, value string
		ok          bool
	}{
		{"MESH", "", true}, {"MESH", "0", true}, {"MESH", "1", true}, {"WIFI", "1", true},
		{"BOX", "yes", false}, {"SPINE", "1", true}, {"CHAIN", "8", true}, {"CHAIN", "0", true}, {"CHAIN", "2", true},
		{"CHAIN", "15", true}, {"CHAIN", "1", false}, {"CHAIN", "16", false}, {"CHAIN", "100", false}, {"CHAIN", "-8", false},
		{"CHAIN", "x", false}, {"CHAIN", "8.5", false}, {"SUPERNODE", "1", false}, {"SUPERNODE", "0", true},
	} {
		t.Run(tc.name+"="+tc.value, func(t *testing.T) {
			for _, v := range []string{"MESH", "WIFI", "CHAIN", "SUPERNODE", "BOX", "SPINE"} {
				t.Setenv(v, "")
			}
			t.Setenv(tc.name, tc.value)
			if err := chosen(); (err == nil) != tc.ok {
				t.Errorf("chosen() = %v, want ok %v", err, tc.ok)
			}
		})
	}
}
