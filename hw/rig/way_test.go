package rig

import (
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
)

func TestFollow(t *testing.T) {
	a, b, c := &Host{ID: NewIdentity()}, &Host{ID: NewIdentity()}, &Host{ID: NewIdentity()}
	shows := func(labels map[*Host]string) (st Status) {
		for h, l := range labels {
			st.Peers = append(st.Peers, struct {
				Name, PublicKey, IP, Addr, LLAddr, State, Label, LastProblem string
				LostPackets, ReceivedOutOfRange, Duplicates, ReceivedPackets uint64
				RTTMicros                                                    int64
			}{PublicKey: h.ID.Key.String(), Label: l})
		}
		return st
	}
	s := SwitchesOf([]*Host{a, b, c}, map[*Host]Status{
		a: shows(map[*Host]string{b: "0000.0000.0000.0013"}),
		b: shows(map[*Host]string{a: "0000.0000.0000.0013", c: "0000.0000.0000.0015"}),
	})
	for _, tc := range []struct {
		label string
		way   []*Host
		ok    bool
	}{
		{"0000.0000.0000.0001", nil, true},
		{"0000.0000.0000.0013", []*Host{b}, true},
		{"0000.0000.0000.0153", []*Host{b, c}, true},
		{"0000.0000.0000.0133", []*Host{b, a}, true},
		{"0000.0000.0000.0015", nil, false},
		{"0000.0000.0000.1353", []*Host{b, c}, false}, // c shows nothing
	} {
		label, err := cjdns.ParseLabel(tc.label)
		if err != nil {
			t.Fatal(err)
		}
		way, ok := s.Follow(a, label)
		same := len(way) == len(tc.way) && ok == tc.ok
		for i := range way {
			same = same && way[i] == tc.way[i]
		}
		if !same {
			t.Errorf("%s: %d hosts, %v", tc.label, len(way), ok)
		}
	}
}
