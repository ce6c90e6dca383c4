package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Limits of answers, by size: one unit is about one frame. A node that joins
// a mesh of 200 needs some 300 units at once.
const (
	ttAnswerUnit  = 1024
	ttAnswerEvery = time.Second / 32 // per requester
	ttAnswerBurst = 512
	ttAnswerAll   = time.Second / 256
	ttAnswerTotal = 2048
)

// ttAskFor asks o, or whoever on the way knows, for the version that t
// describes: all of it, or only its last changes. One request per originator
// is under way. Source: batman-adv translation-table.c,
// batadv_send_tt_request.
func (m *Mesh) ttAskFor(now mono.Time, o *Originator, t batman.TT, full bool, out *Out) {
	s := &o.tt
	if m.primary == nil || s.asked && now.Sub(s.askedAt) < ttAsk || m.tt.wire == nil && m.router(o, nil) == nil {
		return
	}
	s.asked, s.askedAt, s.askedFull, s.askedTTVN = true, now, full, t.TTVN
	flags := uint8(batman.TTRequest)
	if full {
		flags |= batman.TTFullTable
	}
	b := batman.AppendTVLV(nil, batman.TVLVTT, batman.VersionTT, batman.TTLen+len(t.VLANs))
	b = batman.AppendTT(b, flags, t.TTVN, t.VLANs.Len())
	for i := range t.VLANs.Len() {
		b = t.VLANs.At(i).Append(b)
	}
	m.stats.ttRequestTx++
	m.ttSend(now, m.self(), o, b, out)
}

// ttDoubtful reports whether all of o's table is asked for, because the copy
// does not fit what o announces.
func (o *Originator) ttDoubtful(now mono.Time) bool {
	return o.tt.asked && o.tt.askedFull && now.Sub(o.tt.askedAt) < ttAnswerLife
}

// ttUnicast takes a TT container that src sent to dst. It reports false if the
// packet must go on: it is not for this node and this node cannot answer.
func (m *Mesh) ttUnicast(now mono.Time, src, dst batman.MAC, value []byte, out *Out) (taken bool) {
	t, err := batman.ParseTT(value)
	if err != nil {
		m.lose(dropTVLV)
		return true
	}
	mine := m.isMine(dst)
	switch t.Flags & batman.TTTypeMask {
	case batman.TTRequest:
		m.stats.ttRequestRx++
		if mine {
			m.ttAnswer(now, src, t, out)
			return true
		}
		return m.ttAnswerFor(now, src, dst, t, out)
	case batman.TTResponse:
		m.stats.ttResponseRx++
		if mine {
			m.ttResponse(now, src, t, out)
		}
		return mine
	}
	return true
}

// ttAnswer answers a request for this node's own table. Source: batman-adv
// translation-table.c, batadv_send_my_tt_response.
func (m *Mesh) ttAnswer(now mono.Time, src batman.MAC, t batman.TT, out *Out) {
	o := m.originator(src)
	if o == nil {
		m.lose(dropUnknownOrig)
		return
	}
	if m.primary == nil {
		m.lose(dropNoPrimary)
		return
	}
	told := 0
	for _, v := range m.tt.vlans {
		told += v.n
	}
	l := &m.tt
	flags := uint8(batman.TTResponse)
	size := len(l.diff)
	if t.Flags&batman.TTFullTable != 0 || t.TTVN != l.ttvn || len(l.diff) == 0 || len(l.diff) > told*batman.TTEntryLen {
		flags |= batman.TTFullTable
		size = told * batman.TTEntryLen
	}
	b, ok := m.ttAnswerRoom(now, o, len(l.vlans), size, out)
	if !ok {
		return
	}
	b = l.appendHead(b, flags)
	if flags&batman.TTFullTable == 0 {
		b = append(b, l.diff...)
	} else {
		for _, c := range l.localList {
			if c.announced {
				b = batman.TTEntry{Flags: c.sent, Client: c.mac, VID: c.vid}.Append(b)
			}
		}
	}
	m.ttSendAnswer(now, m.self(), o, b, out)
}

// ttAnswerFor answers for dst if this node has exactly the version asked for.
// It reports false if it has not. Source: batman-adv translation-table.c,
// batadv_send_other_tt_response.
func (m *Mesh) ttAnswerFor(now mono.Time, src, dst batman.MAC, t batman.TT, out *Out) bool {
	of, o := m.originator(dst), m.originator(src)
	if of == nil || o == nil || m.isMine(src) {
		return false
	}
	s := &of.tt
	if !s.known || s.short || s.ttvn != t.TTVN || !m.ttAgrees(of, t.VLANs) {
		return false
	}
	told := 0
	for _, v := range s.vlans {
		told += v.n
	}
	for i := range t.VLANs.Len() {
		if m.blaBackbone(dst, t.VLANs.At(i).VID) {
			return false // its clients there are not in the copy
		}
	}
	flags := uint8(batman.TTResponse)
	size := len(s.diff)
	if t.Flags&batman.TTFullTable != 0 || len(s.diff) == 0 {
		flags |= batman.TTFullTable
		size = told * batman.TTEntryLen
	}
	if ttTableSize(len(s.vlans), size/batman.TTEntryLen) > m.ttPacketMax() {
		return false
	}
	b, ok := m.ttAnswerRoom(now, o, len(s.vlans), size, out)
	if !ok {
		return false
	}
	b = batman.AppendTT(b, flags, s.ttvn, len(s.vlans))
	for _, v := range s.vlans {
		b = batman.TTVLAN{CRC: v.crc, VID: v.vid}.Append(b)
	}
	if flags&batman.TTFullTable == 0 {
		b = append(b, s.diff...)
	} else {
		for _, e := range s.clients {
			if p := e.place(of); p.state&placeTold != 0 {
				b = batman.TTEntry{Flags: p.flags, Client: e.mac, VID: e.vid}.Append(b)
			}
		}
	}
	m.ttSendAnswer(now, dst, o, b, out)
	return true
}

// ttAnswerRoom checks the limits of an answer to o with so many VLANs and size
// bytes of entries, and returns where to write it: behind the header of the
// container, which is written last.
func (m *Mesh) ttAnswerRoom(now mono.Time, o *Originator, vlans, size int, out *Out) ([]byte, bool) {
	n := batman.TTLen + vlans*batman.TTVLANLen + size
	if batman.UnicastTVLVLen+batman.TVLVLen+n > m.ttPacketMax() {
		m.lose(dropTooBig)
		return nil, false
	}
	units := 1 + n/ttAnswerUnit
	if !o.tt.answers.TakeN(now, units, ttAnswerEvery, ttAnswerBurst) || !m.tt.answers.TakeN(now, units, ttAnswerAll, ttAnswerTotal) {
		m.lose(dropRateLimit)
		return nil, false
	}
	return make([]byte, batman.TVLVLen, batman.TVLVLen+n), true
}

// ttSendAnswer sends the container b in the name of src.
func (m *Mesh) ttSendAnswer(now mono.Time, src batman.MAC, o *Originator, b []byte, out *Out) {
	batman.AppendTVLV(b[:0], batman.TVLVTT, batman.VersionTT, len(b)-batman.TVLVLen)
	m.stats.ttResponseTx++
	m.ttSend(now, src, o, b, out)
}

// ttResponse takes an answer, in the name of src, to this node. The kernel
// module takes answers that it did not ask for; here a table only changes if
// it is wanted, and changes only if they lead on from the copy.
func (m *Mesh) ttResponse(now mono.Time, src batman.MAC, t batman.TT, out *Out) {
	o := m.originator(src)
	if o == nil {
		m.lose(dropUnknownOrig)
		return
	}
	s := &o.tt
	full := t.Flags&batman.TTFullTable != 0
	if !m.idAllows(o) {
		m.lose(dropUnsigned)
		return
	}
	if !s.asked || now.Sub(s.askedAt) >= ttAnswerLife || !full && (s.askedFull || t.TTVN != s.askedTTVN) {
		m.lose(dropUnasked)
		return
	}
	if !full && !(!s.known && t.TTVN == 1 || s.known && t.TTVN-s.ttvn == 1) {
		m.lose(dropUnasked) // what it changes is not there any more
		return
	}
	s.asked = false
	if full {
		m.ttReplace(now, o, t.Entries, t.TTVN, out)
		return
	}
	m.ttApply(now, o, t.Entries, t.TTVN, out)
}
