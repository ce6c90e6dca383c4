package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// ttEntry is a client of other nodes: mostly of one, but a client can be
// behind several, and a multicast address is.
type ttEntry struct {
	ttKey
	extra  uint8     // flags known from the time when it was this node's client
	places []ttPlace // sorted by address of the originator, never empty
}

// ttPlace is an originator that has, had or may have the client.
type ttPlace struct {
	orig  *Originator
	at    mono.Time // when it was last told, or when state changed
	pos   int32     // in orig.tt.clients
	ttvn  uint8
	flags uint8 // WIFI, ISOLA
	state uint8
}

// States of a place.
const (
	// placeTold: announced by the originator, so part of its checksum.
	placeTold = 1 << iota
	// placeLeft: the client is elsewhere now, but it is not known where. Data
	// goes there only if there is no better place (ROAM).
	placeLeft
	// placeTemp: the client was seen there before it was announced.
	placeTemp
	// placeNew marks what a full table names, while it is taken over.
	placeNew
)

// search returns where the place of o is in e, or would be.
func (e *ttEntry) search(o *Originator) (i int, found bool) {
	n := len(e.places)
	if n == 1 && e.places[0].orig == o { // mostly
		return 0, true
	}
	for i < n {
		h := int(uint(i+n) >> 1)
		if e.places[h].orig.MAC.Compare(o.MAC) < 0 {
			i = h + 1
		} else {
			n = h
		}
	}
	return i, i < len(e.places) && e.places[i].orig == o
}

// place returns the place of o in e; nil if there is none. The pointer is
// good until places are added or removed.
func (e *ttEntry) place(o *Originator) *ttPlace {
	if i, found := e.search(o); found {
		return &e.places[i]
	}
	return nil
}

// roaming reports whether nobody is known to have the client now.
func (e *ttEntry) roaming() bool {
	for i := range e.places {
		if e.places[i].state&placeLeft == 0 {
			return false
		}
	}
	return true
}

// ttBest returns the place to send to: one that the client did not leave, then
// one that speaks, then the best way, then the newest. The module does not look
// at silence: for 200 s it sends to the best of two gateways of a LAN although
// that one is dead and the other is not. What a verified node says of its
// clients goes before what anybody may have said.
func (m *Mesh) ttBest(e *ttEntry) *ttPlace {
	if len(e.places) == 1 {
		return &e.places[0]
	}
	var heard mono.Time
	for i := range e.places {
		heard = max(heard, e.places[i].orig.lastSeen)
	}
	var best *ttPlace
	var metric uint64
	for i := range e.places {
		p := &e.places[i]
		q := uint64(m.metric(p.orig))
		q |= m.idRank(p.orig) << 32
		if heard.Sub(p.orig.lastSeen) <= ttSilent {
			q |= 1 << 34
		}
		if p.state&placeLeft == 0 {
			q |= 1 << 35
		}
		if best == nil || q > metric || q == metric && p.at > best.at {
			best, metric = p, q
		}
	}
	return best
}

// ttFind returns the best originator that has client; nil if none. roamed: it
// left that originator and is not announced elsewhere yet, so the TTVN to
// send is one less, which makes the originator look again.
func (m *Mesh) ttFind(client batman.MAC, v batman.VID) (o *Originator, roamed bool) {
	k := ttKey{client, v}
	e := m.tt.global[k]
	if e == nil {
		return nil, false
	}
	p := m.ttBest(e)
	if p.state&placeLeft == 0 {
		return p.orig, false
	}
	if c := m.tt.local[k]; c != nil && !c.gone {
		return nil, false // it came to this node
	}
	return p.orig, true
}

// ttHas reports whether o announces client (multicast listeners too).
func (m *Mesh) ttHas(o *Originator, client batman.MAC, v batman.VID) bool {
	if e := m.tt.global[ttKey{client, v}]; e != nil {
		p := e.place(o)
		return p != nil && p.state&placeTold != 0
	}
	return false
}

// ttEach calls f for every originator that announces client, in order of
// address. f must not change the table.
func (m *Mesh) ttEach(client batman.MAC, v batman.VID, f func(o *Originator)) {
	e := m.tt.global[ttKey{client, v}]
	if e == nil {
		return
	}
	for i := range e.places {
		if e.places[i].state&placeTold != 0 {
			f(e.places[i].orig)
		}
	}
}

// ttIsolated reports whether AP isolation forbids frames from src to dst: one
// of them is a client of this node, the other is not, and both are on Wi-Fi
// or both are marked as isolated.
func (m *Mesh) ttIsolated(src, dst batman.MAC, v batman.VID) bool {
	if !m.cfg.APIsolation {
		return false
	}
	c, e := m.tt.local[ttKey{src, v}], m.tt.global[ttKey{dst, v}]
	if c == nil || e == nil {
		if c, e = m.tt.local[ttKey{dst, v}], m.tt.global[ttKey{src, v}]; c == nil || e == nil {
			return false
		}
	}
	flags := e.extra
	for i := range e.places {
		flags |= e.places[i].flags
	}
	return c.flags&flags&(batman.TTWifi|batman.TTIsolated) != 0
}

// ttPut makes a place of o for client k, without a state; nil if limits
// forbid it.
func (m *Mesh) ttPut(k ttKey, o *Originator) (*ttEntry, *ttPlace) {
	if len(o.tt.clients) >= MaxClientsOrig || m.tt.total >= MaxClients && !m.ttEvict(o) {
		return nil, nil
	}
	e := m.tt.global[k]
	if e == nil {
		e = &ttEntry{ttKey: k, places: make([]ttPlace, 0, 1)}
		m.tt.global[k] = e
	}
	i, _ := e.search(o)
	e.places = append(e.places, ttPlace{})
	copy(e.places[i+1:], e.places[i:])
	e.places[i] = ttPlace{orig: o, pos: int32(len(o.tt.clients))}
	o.tt.clients = append(o.tt.clients, e)
	m.tt.total++
	return e, &e.places[i]
}

// ttSet gives p of e state and flags, and keeps the checksum of its
// originator. It reports false if the originator has too many VLANs already,
// and then leaves p as it was.
func (m *Mesh) ttSet(e *ttEntry, p *ttPlace, state, flags uint8) bool {
	s := &p.orig.tt
	if p.state&placeTold != 0 {
		v := s.vlans.at(e.vid)
		v.crc ^= batman.TTSum(e.mac, e.vid, p.flags)
		v.n--
	}
	ok := true
	if state&placeTold != 0 {
		if _, found := s.vlans.find(e.vid); found || len(s.vlans) < MaxVLANs {
			v := s.vlans.at(e.vid)
			v.crc ^= batman.TTSum(e.mac, e.vid, flags)
			v.n++
		} else {
			ok = false
		}
	}
	if p.state&placeTemp != 0 {
		s.temps--
	}
	if ok {
		p.state, p.flags = state, flags&batman.TTSyncMask
	} else {
		p.state = 0
	}
	if p.state&placeTemp != 0 {
		s.temps++
	}
	s.vlans.drop(e.vid)
	return ok
}

// ttCut removes the place of o from e, and e itself if that was the last.
func (m *Mesh) ttCut(e *ttEntry, o *Originator) {
	i, found := e.search(o)
	if !found {
		return
	}
	p := &e.places[i]
	m.ttSet(e, p, 0, 0)
	list, pos := o.tt.clients, p.pos
	last := list[len(list)-1]
	list[pos] = last
	last.place(o).pos = pos
	list[len(list)-1] = nil
	o.tt.clients = list[:len(list)-1]
	m.tt.total--
	copy(e.places[i:], e.places[i+1:])
	e.places[len(e.places)-1] = ttPlace{}
	e.places = e.places[:len(e.places)-1]
	if len(e.places) == 0 {
		delete(m.tt.global, e.ttKey)
	}
}

// ttEvict makes room for a client of o in a full table. The originator with
// the most clients pays, if it has clearly more than o: so nobody can crowd
// out the others, and who comes late still gets a share.
func (m *Mesh) ttEvict(o *Originator) bool {
	v := m.tt.victim
	if v == nil || len(v.tt.clients) <= len(o.tt.clients)+1 {
		for _, c := range m.origList {
			if v == nil || len(c.tt.clients) > len(v.tt.clients) {
				v = c
			}
		}
		m.tt.victim = v
	}
	if v == nil || len(v.tt.clients) <= len(o.tt.clients)+1 {
		return false
	}
	e := v.tt.clients[len(v.tt.clients)-1]
	if e.place(v).state&placeTold != 0 {
		v.tt.short = true
	}
	m.ttCut(e, v)
	return true
}

// ttWipe removes every client of o.
func (m *Mesh) ttWipe(o *Originator) {
	for n := len(o.tt.clients); n > 0; n = len(o.tt.clients) {
		m.ttCut(o.tt.clients[n-1], o)
	}
}

// ttRouteLost forgets the clients of o, which cannot be reached.
func (m *Mesh) ttRouteLost(now mono.Time, o *Originator, out *Out) {
	m.ttWipe(o)
	o.tt.known, o.tt.asked, o.tt.diff, o.tt.short = false, false, nil, false
}

// ttOriginatorGone forgets all about o.
func (m *Mesh) ttOriginatorGone(now mono.Time, o *Originator, out *Out) {
	m.ttWipe(o)
	o.tt = ttOrig{}
	if m.tt.victim == o {
		m.tt.victim = nil
	}
}

// ttBackbone forgets the clients of o on VLAN v: o turned out to be a gateway
// to our own LAN, where they are reached without the mesh.
func (m *Mesh) ttBackbone(now mono.Time, o *Originator, v batman.VID, out *Out) {
	for i := len(o.tt.clients) - 1; i >= 0; i-- {
		if e := o.tt.clients[i]; e.vid == v {
			m.ttCut(e, o)
		}
	}
}

// ttPurgeGlobal removes what was not announced in time.
func (m *Mesh) ttPurgeGlobal(now mono.Time) {
	for _, o := range m.origList {
		for i := len(o.tt.clients) - 1; i >= 0; i-- {
			e := o.tt.clients[i]
			if p := e.place(o); p.state&placeTold == 0 && now.Sub(p.at) >= ttSoftLife {
				m.ttCut(e, o)
			}
		}
	}
}
