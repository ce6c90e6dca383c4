package rig

import "github.com/meshagent/meshagent/agent/cjdns"

// Switches says which host is behind each slot of the switch of each host.
type Switches map[*Host]map[uint16]*Host

// SwitchesOf reads them from what agents show of their peers. One that is not
// in all has no slots.
func SwitchesOf(hosts []*Host, all map[*Host]Status) Switches {
	byKey := make(map[string]*Host, len(hosts))
	for _, h := range hosts {
		byKey[h.ID.Key.String()] = h
	}
	s := make(Switches, len(all))
	for h, st := range all {
		s[h] = make(map[uint16]*Host)
		for _, p := range st.Peers {
			label, err := cjdns.ParseLabel(p.Label)
			if to := byKey[p.PublicKey]; to != nil && err == nil && label > cjdns.SelfLabel {
				port, _ := cjdns.PortOf(label)
				s[h][port] = to
			}
		}
	}
	return s
}

// Follow returns the hosts that a label leads through, the last one included
// and the first one not. ok is false if it leads to a slot behind which is
// nobody.
func (s Switches) Follow(from *Host, label cjdns.Label) (way []*Host, ok bool) {
	for at := from; label > cjdns.SelfLabel; {
		port, width := cjdns.PortOf(label)
		if at = s[at][port]; at == nil {
			return way, false
		}
		way, label = append(way, at), label>>width
	}
	return way, label == cjdns.SelfLabel
}
