package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// ttOGM takes the TT container of an OGM of o: it applies the changes if they
// lead on from what is known, and asks for what is missing.
//
// A version is the next one if it is larger by one; after 255 comes a request
// for the whole table, as in the kernel module.
//
// Source: batman-adv translation-table.c, batadv_tt_update_orig.
func (m *Mesh) ttOGM(now mono.Time, o *Originator, value []byte, out *Out) {
	t, err := batman.ParseTT(value)
	if err != nil {
		m.lose(dropTVLV)
		return
	}
	s := &o.tt
	if !s.known && t.TTVN == 1 || int(t.TTVN)-int(s.ttvn) == 1 {
		if t.Entries.Len() == 0 {
			m.ttAskFor(now, o, t, false, out)
			return
		}
		m.ttApply(now, o, t.Entries, t.TTVN, out)
		if !m.ttAgrees(o, t.VLANs) {
			m.ttAskFor(now, o, t, true, out)
		}
		return
	}
	if !s.known || t.TTVN != s.ttvn || !m.ttAgrees(o, t.VLANs) {
		m.ttAskFor(now, o, t, true, out)
		return
	}
	if s.short && now.Sub(s.shortAt) >= ttTryAgain { // perhaps it fits now
		s.shortAt = now
		m.ttAskFor(now, o, t, true, out)
	}
}

// ttAgrees compares the copy of o's table with the checksums of its VLANs. It
// cannot tell and says yes if limits kept a part out. VLANs on which o is a
// gateway to our own LAN have no clients here and do not count.
func (m *Mesh) ttAgrees(o *Originator, l batman.TTVLANs) bool {
	if o.tt.short {
		return true
	}
	found := 0
	for i := range l.Len() {
		v := l.At(i)
		j, ok := o.tt.vlans.find(v.VID)
		if ok {
			found++
		}
		if m.blaBackbone(o.MAC, v.VID) {
			continue
		}
		if !ok || o.tt.vlans[j].crc != v.CRC {
			return false
		}
	}
	return len(o.tt.vlans) <= found
}

// ttApply makes version ttvn of o's table out of the copy and changes.
func (m *Mesh) ttApply(now mono.Time, o *Originator, changes batman.TTEntries, ttvn uint8, out *Out) {
	for i := range changes.Len() {
		m.ttChange(now, o, changes.At(i), ttvn, out)
	}
	s := &o.tt
	s.known, s.ttvn, s.diff = true, ttvn, s.diff[:0]
	if n := changes.Len(); n <= ttDiffMax {
		s.diff = append(s.diff, changes[:n*batman.TTEntryLen]...)
	}
	m.idDigest(o)
}

// ttReplace makes version ttvn of o's table out of all its entries.
func (m *Mesh) ttReplace(now mono.Time, o *Originator, all batman.TTEntries, ttvn uint8, out *Out) {
	s := &o.tt
	s.short = false
	for _, e := range s.clients {
		e.place(o).state &^= placeNew
	}
	for i := range all.Len() {
		m.ttChange(now, o, all.At(i), ttvn, out)
	}
	for i := len(s.clients) - 1; i >= 0; i-- {
		e := s.clients[i]
		p := e.place(o)
		told, named := p.state&placeTold != 0, p.state&placeNew != 0
		p.state &^= placeNew
		// What was told and is not named is gone. What a ROAM announced
		// stays if this version is older than the announced one.
		if told && !named || !told && p.state == 0 && int8(ttvn-p.ttvn) >= 0 {
			m.ttCut(e, o)
		}
	}
	s.known, s.ttvn, s.diff = true, ttvn, nil
	m.idDigest(o)
}

// ttChange applies one change of o's table.
func (m *Mesh) ttChange(now mono.Time, o *Originator, c batman.TTEntry, ttvn uint8, out *Out) {
	k := ttKey{c.Client, c.VID}
	roam := c.Flags&batman.TTRoam != 0
	if c.Flags&batman.TTDel == 0 {
		m.ttTold(now, o, k, c.Flags, ttvn, out)
		return
	}
	e := m.tt.global[k]
	if e == nil {
		return
	}
	p := e.place(o)
	if p == nil {
		return
	}
	l := m.tt.local[k]
	if roam && len(e.places) == 1 && (l == nil || l.gone) && !k.mac.IsMulticast() {
		m.ttSet(e, p, placeLeft, p.flags) // somebody will announce it
		p.at = now
		return
	}
	m.ttCut(e, o)
}

// ttTold notes that o announces client k. Source: batman-adv
// translation-table.c, batadv_tt_global_add.
func (m *Mesh) ttTold(now mono.Time, o *Originator, k ttKey, flags, ttvn uint8, out *Out) {
	if m.blaBackbone(o.MAC, k.vid) {
		return
	}
	e := m.tt.global[k]
	var p *ttPlace
	if e != nil {
		p = e.place(o)
	}
	state := uint8(placeTold | placeNew)
	if flags&batman.TTRoam != 0 && !k.mac.IsMulticast() {
		// A whole table, sent between the client's departure and the next
		// version: it counts, but the client is not there any more.
		state |= placeLeft
	} else if p != nil && p.state&placeTold != 0 && p.state&placeLeft != 0 && ttvn == o.tt.ttvn && o.tt.known {
		// The same version again, which knows nothing yet of the client
		// that left.
		state |= placeLeft
	}
	if p == nil {
		if e, p = m.ttPut(k, o); p == nil {
			m.ttShort(now, o, out)
			return
		}
	}
	if p.state == 0 || p.state&placeLeft != state&placeLeft {
		p.at = now
	}
	p.ttvn = ttvn
	if !m.ttSet(e, p, state, flags&batman.TTSyncMask) {
		m.ttCut(e, o)
		m.ttShort(now, o, out)
		return
	}
	e.extra = 0
	if state&placeLeft == 0 {
		m.ttOusts(e, o)
		if !k.mac.IsMulticast() {
			m.ttLost(now, e, o, false, out)
		}
	}
}

// ttOusts removes from e what its announcement by o proves wrong: places
// where the client was only seen, and places that it had left and that say so.
func (m *Mesh) ttOusts(e *ttEntry, o *Originator) {
	for i := len(e.places) - 1; i >= 0; i-- {
		if p := &e.places[i]; p.orig != o && (p.state&placeTemp != 0 || p.state&(placeTold|placeLeft) == placeLeft) {
			m.ttCut(e, p.orig)
		}
	}
}

// ttLost takes the client of e out of the local table, as it is behind o now.
// The mesh interface's own MAC stays: somebody else uses it.
func (m *Mesh) ttLost(now mono.Time, e *ttEntry, o *Originator, roamed bool, out *Out) {
	c := m.tt.local[e.ttKey]
	if c == nil || c.gone && (c.roamed || !roamed) || m.idKeeps(now, c, o) {
		return
	}
	if c.mac == m.meshIf.MAC {
		out.Events = append(out.Events, Event{Kind: EventClash, Orig: o.MAC, Client: c.mac, VID: c.vid})
		return
	}
	e.extra = c.flags
	if c.gone {
		c.roamed = true
		return
	}
	m.ttGone(c, roamed)
	out.Events = append(out.Events, Event{Kind: EventRoamed, Orig: o.MAC, Client: e.mac, VID: e.vid})
}

// ttShort notes that limits keep a part of o's table out.
func (m *Mesh) ttShort(now mono.Time, o *Originator, out *Out) {
	m.lose(dropTableFull)
	if !o.tt.short {
		o.tt.short, o.tt.shortAt = true, now
		m.ttLimit(now, "translation table of "+o.MAC.String(), out)
	}
}
