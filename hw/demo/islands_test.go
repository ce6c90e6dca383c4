package main

import (
	"slices"
	"testing"
)

// TestIslandsHangTogether: every agent is reached over radio links and the one
// uplink, and without the relays the first island falls apart.
func TestIslandsHangTogether(t *testing.T) {
	reached := func(from string, without ...string) (list []string) {
		list = []string{from}
		for i := 0; i < len(list); i++ {
			for _, l := range islandsLinks {
				for _, e := range [][2]string{{l.a, l.b}, {l.b, l.a}} {
					if e[0] == list[i] && !slices.Contains(list, e[1]) && !slices.Contains(without, e[1]) {
						list = append(list, e[1])
					}
				}
			}
		}
		return list
	}
	if n := len(reached("n1")); n != secondIsland+len(islandsRelays) {
		t.Errorf("the first island has %d nodes", n)
	}
	if n := len(reached("n13")); n != len(islandsAgents)-secondIsland {
		t.Errorf("the second island has %d nodes", n)
	}
	halves := reached("n1", islandsRelays...)
	if len(halves) != 6 || slices.Contains(halves, "n3") {
		t.Errorf("without the relays n1 reaches %v, want its half", halves)
	}
	for _, g := range []string{gatewayA, gatewayB} {
		if !slices.Contains(islandsAgents, g) {
			t.Errorf("the gateway %s is no agent", g)
		}
	}
	for _, l := range islandsLinks {
		if l.there > 35 || l.back > 35 {
			t.Errorf("%s-%s loses %d/%d %%: pings would get lost too", l.a, l.b, l.there, l.back)
		}
	}
}
