package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Limits of ROAM announcements taken from one originator: a whole hall may
// move at once, but not again and again.
const (
	ttRoamBurst = 1024
	ttRoamEvery = time.Second / 64
)

// ttRoamCount counts how often a client came to this node.
type ttRoamCount struct {
	ttKey
	since mono.Time
	n     int
}

// ttMayRoam limits the announcements of one client. Source: batman-adv
// translation-table.c, batadv_tt_check_roam_count.
func (m *Mesh) ttMayRoam(now mono.Time, k ttKey) bool {
	r := m.tt.roams[k]
	if r == nil {
		if len(m.tt.roamList) >= MaxLocalClients {
			return false
		}
		r = &ttRoamCount{ttKey: k, since: now}
		m.tt.roams[k] = r
		m.tt.roamList = append(m.tt.roamList, r)
	}
	if now.Sub(r.since) >= ttRoamTime {
		r.since, r.n = now, 0
	}
	r.n++
	return r.n <= ttRoamMax
}

func (m *Mesh) ttPurgeRoams(now mono.Time) {
	l := m.tt.roamList
	for i := len(l) - 1; i >= 0; i-- {
		if now.Sub(l[i].since) >= ttRoamTime {
			delete(m.tt.roams, l[i].ttKey)
			l[i], l[len(l)-1] = l[len(l)-1], nil
			l = l[:len(l)-1]
		}
	}
	m.tt.roamList = l
}

// ttClaim is called for a new client of this node: those who have it so far
// are told that it is here.
func (m *Mesh) ttClaim(now mono.Time, k ttKey, out *Out) {
	e := m.tt.global[k]
	if e == nil || k.mac == m.meshIf.MAC {
		return
	}
	for i := len(e.places) - 1; i >= 0; i-- {
		p := &e.places[i]
		if p.state&placeLeft != 0 {
			continue
		}
		if m.primary != nil && m.ttMayRoam(now, k) {
			m.stats.ttRoamTx++
			if m.idNode(p.orig) != nil {
				m.idRoam(now, p.orig, k, out)
			} else {
				m.ttSend(now, m.self(), p.orig, batman.AppendRoam(nil, batman.Roam{Client: k.mac, VID: k.vid}), out)
			}
		}
		out.Events = append(out.Events, Event{Kind: EventRoamed, Orig: p.orig.MAC, Client: k.mac, VID: k.vid})
		if p.state&placeTold == 0 {
			m.ttCut(e, p.orig)
			continue
		}
		p.state |= placeLeft
		p.at = now
	}
}

// ttRoamTVLV takes an unsigned announcement of src. One in the name of a
// verified node is not its own: agents sign them.
func (m *Mesh) ttRoamTVLV(now mono.Time, src batman.MAC, r batman.Roam, out *Out) {
	if o := m.originator(src); o != nil && m.id.self != nil {
		switch {
		case m.idNode(o) != nil:
			m.lose(dropForgedRoam)
			return
		case !m.idAllows(o):
			m.lose(dropUnsigned)
			return
		}
	}
	m.ttRoam(now, src, r, out)
}

// ttRoam takes an announcement of src that a client is behind it now. Source:
// batman-adv translation-table.c, batadv_roam_tvlv_unicast_handler_v1.
func (m *Mesh) ttRoam(now mono.Time, src batman.MAC, r batman.Roam, out *Out) {
	o := m.originator(src)
	if o == nil {
		m.lose(dropUnknownOrig)
		return
	}
	if !r.Client.IsStation() {
		m.lose(dropTVLV)
		return
	}
	if !o.tt.roams.Take(now, ttRoamEvery, ttRoamBurst) {
		m.lose(dropRateLimit)
		return
	}
	m.stats.ttRoamRx++
	if m.blaBackbone(src, r.VID) {
		return
	}
	k := ttKey{r.Client, r.VID}
	e := m.tt.global[k]
	var p *ttPlace
	if e != nil {
		p = e.place(o)
	}
	if p == nil {
		if e, p = m.ttPut(k, o); p == nil {
			m.lose(dropTableFull)
			return
		}
	}
	p.at = now
	if p.state&placeTold == 0 {
		p.ttvn = o.tt.ttvn + 1
		m.ttSet(e, p, 0, 0)
	} else {
		p.state &^= placeLeft
	}
	for i := len(e.places) - 1; i >= 0; i-- {
		switch q := &e.places[i]; {
		case q.orig == o, m.idOwner(now, q, o):
		case q.state&placeTold == 0:
			m.ttCut(e, q.orig)
		default:
			q.state |= placeLeft
			q.at = now
		}
	}
	m.ttLost(now, e, o, true, out)
}

// ttTemp notes a client of o that was seen before o announced it ("speedy
// join"). It overrides nothing that is known. Source: batman-adv
// translation-table.c, batadv_tt_add_temporary_global_entry.
func (m *Mesh) ttTemp(now mono.Time, o *Originator, client batman.MAC, v batman.VID) {
	k := ttKey{client, v}
	if e := m.tt.global[k]; e != nil {
		if p := &e.places[0]; p.state&placeTemp == 0 || p.orig == o {
			return
		}
	}
	if !client.IsStation() || m.blaLoopMAC(client) || m.blaBackbone(o.MAC, v) || client == m.meshIf.MAC {
		return
	}
	if c := m.tt.local[k]; c != nil {
		if c.announced {
			return
		}
		m.ttGone(c, false) // it was here for less than an OGM
	}
	// The entry that it may have is temporary, so it has one place.
	if e := m.tt.global[k]; e != nil {
		m.ttCut(e, e.places[0].orig)
	}
	if o.tt.temps >= ttTempMax || m.tt.total >= MaxClients {
		return
	}
	if e, p := m.ttPut(k, o); p != nil {
		p.at, p.ttvn = now, o.tt.ttvn
		m.ttSet(e, p, placeTemp, 0)
	}
}
