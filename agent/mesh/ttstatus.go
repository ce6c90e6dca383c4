package mesh

import (
	"cmp"
	"slices"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// ttFlags prints letters for the flags that are set, dots for the others.
func ttFlags(letters string, set ...bool) string {
	b := []byte(letters)
	for i, s := range set {
		if !s {
			b[i] = '.'
		}
	}
	return string(b)
}

func (k ttKey) compare(l ttKey) int {
	return cmp.Or(k.mac.Compare(l.mac), cmp.Compare(k.vid, l.vid))
}

// ttStatus fills the tables as batctl tl and tg print them, by address.
func (m *Mesh) ttStatus(now mono.Time, s *Status) {
	s.TTVN = m.tt.ttvn
	clients := slices.Clone(m.tt.localList)
	slices.SortFunc(clients, func(a, b *ttClient) int { return a.compare(b.ttKey) })
	for _, c := range clients {
		l := LocalStatus{
			MAC: c.mac, VID: c.vid,
			Flags: ttFlags("RPNXWI", c.roamed, c.keep, !c.announced, c.gone, c.flags&batman.TTWifi != 0, c.flags&batman.TTIsolated != 0),
		}
		if !c.keep {
			l.LastSeen = now.Sub(c.lastSeen)
		}
		if i, found := m.tt.vlans.find(c.vid); found {
			l.CRC = m.tt.vlans[i].crc
		}
		s.Local = append(s.Local, l)
	}
	var entries []*ttEntry
	for _, o := range m.origList {
		for _, e := range o.tt.clients {
			if e.places[0].orig == o { // each entry once
				entries = append(entries, e)
			}
		}
	}
	slices.SortFunc(entries, func(a, b *ttEntry) int { return a.compare(b.ttKey) })
	for _, e := range entries {
		best, roaming := m.ttBest(e), e.roaming()
		for i := range e.places {
			p := &e.places[i]
			g := GlobalStatus{
				MAC: e.mac, VID: e.vid, TTVN: p.ttvn, LastTTVN: p.orig.tt.ttvn, Orig: p.orig.MAC, Best: p == best,
				Flags: ttFlags("RWIT", roaming, p.flags&batman.TTWifi != 0, p.flags&batman.TTIsolated != 0, p.state&placeTemp != 0),
			}
			if j, found := p.orig.tt.vlans.find(e.vid); found {
				g.CRC = p.orig.tt.vlans[j].crc
			}
			s.Global = append(s.Global, g)
		}
	}
}
