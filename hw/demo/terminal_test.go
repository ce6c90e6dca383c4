package main

import (
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

func TestPingTable(t *testing.T) {
	var p pingTable
	p.result(0, 1, rig.PingResult{Sent: 1, Received: 1, RTT: []time.Duration{410 * time.Microsecond}})
	p.result(1, 0, rig.PingResult{Sent: 1})
	var b strings.Builder
	p.write(&b, []*rig.Host{{Node: &rig.Node{Name: "n1"}}, {Node: &rig.Node{Name: "n2"}}}, 7)
	want := "ping, ms  to     n1     n2\n   from n1        ·   0.41\n   from n2     lost      ·\n"
	if b.String() != want {
		t.Errorf("table\n%swant\n%s", b.String(), want)
	}
}
