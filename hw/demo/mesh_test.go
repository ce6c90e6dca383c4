package main

import (
	"strings"
	"testing"

	"github.com/meshagent/meshagent/hw/rig"
)

func TestMeshLossIsGivenForEveryLink(t *testing.T) {
	if got, want := len(meshLoss), len(rig.Grid(side, side)); got != want {
		t.Errorf("%d losses for %d links", got, want)
	}
	differ := 0
	for _, l := range meshLoss {
		if l[0] != l[1] {
			differ++
		}
	}
	if differ < len(meshLoss)/2 {
		t.Errorf("only %d links differ by direction", differ)
	}
}

func TestWayText(t *testing.T) {
	if got := wayText([]int{0, 1, 4}, true); got != "n1 n2 n5" {
		t.Errorf("got %q", got)
	}
	if got := wayText([]int{0, 1}, false); got != "n1 n2 …" {
		t.Errorf("got %q, want it to end open", got)
	}
}

func TestUses(t *testing.T) {
	way := []int{0, 1, 4, 5}
	for _, tc := range []struct {
		x, y int
		want bool
	}{{0, 1, true}, {1, 4, true}, {4, 1, false}, {0, 4, false}, {5, 8, false}} {
		if got := uses(way, tc.x, tc.y); got != tc.want {
			t.Errorf("uses(%v, %d, %d) = %v", way, tc.x, tc.y, got)
		}
	}
}

func TestNodeName(t *testing.T) {
	if got := nodeName(strings.ToUpper(nodeMAC(4))); got != "n5" {
		t.Errorf("nodeName of the fifth radio = %q", got)
	}
	if got := nodeName("02:ff:00:00:00:01"); got != "02:ff:00:00:00:01" {
		t.Errorf("nodeName of a stranger = %q", got)
	}
}
