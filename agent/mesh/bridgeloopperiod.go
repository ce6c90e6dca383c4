package mesh

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

func (m *Mesh) blaDeadline() mono.Time {
	t := mono.Min(m.bla.next, m.bla.answering)
	for _, r := range m.bla.races {
		t = mono.Min(t, r.at)
	}
	return t
}

// blaExpire goes on with answers, and every period drops what is too old and
// speaks to the other gateways.
func (m *Mesh) blaExpire(now mono.Time, out *Out) {
	s := &m.bla
	if now >= s.answering {
		s.answering = mono.Never
		for _, g := range s.list {
			if g.answer > 0 {
				m.answerRequest(now, g, out)
			}
		}
	}
	if len(s.races) > 0 && m.primary != nil && m.blaOn() {
		m.settleRaces(now, out)
	}
	if now < s.next {
		return
	}
	s.next = now.Add(blaPeriod)
	if m.primary == nil || !m.blaOn() {
		return
	}
	for i := len(s.claimList) - 1; i >= 0; i-- {
		if c := s.claimList[i]; c.by.own && now.Sub(c.seen) > blaClaimGone {
			m.unclaim(c, out)
		}
	}
	s.list = slices.DeleteFunc(s.list, func(g *backbone) bool {
		gone := now.Sub(g.seen) > blaGone
		if gone {
			m.forgetBackbone(g)
		}
		return gone
	})
	s.loopIn--
	loop := s.loopIn == 0
	if loop {
		var r [8]byte
		binary.BigEndian.PutUint64(r[:], m.rng.Uint64())
		s.loopMAC, s.loopSent, s.loopIn = batman.MAC{0xba, 0xbe, r[0], r[1], r[2], r[3]}, now, blaLoopPeriods
	}
	for _, g := range s.list {
		if g.own {
			m.blaSpeak(now, g, loop, out)
		}
	}
}

// blaSpeak is the periodic work for a VLAN of this node.
func (m *Mesh) blaSpeak(now mono.Time, g *backbone, loop bool, out *Out) {
	g.seen = now
	m.sendAnnounce(g, out)
	if loop {
		m.sendClaim(blaLoopFrame, m.bla.loopMAC, g.vid, out)
	}
	if g.wait > 0 {
		g.wait--
	}
	if g.wait == 0 {
		m.sync(g)
	}
}

// blaPrimaryChanged gives this node's gateways its new name. The others hear
// the announcement, know nothing of its claims, and ask.
func (m *Mesh) blaPrimaryChanged(now mono.Time, old *HardIface, out *Out) {
	s := &m.bla
	if m.primary != nil {
		s.group = crc16(m.self())
	}
	if m.primary == nil || old == nil || !m.cfg.BLA {
		m.blaForget()
		return
	}
	s.list = slices.DeleteFunc(s.list, func(g *backbone) bool {
		if !g.own && g.mac == m.self() { // somebody used our name
			m.forgetBackbone(g)
			return true
		}
		return false
	})
	for _, g := range s.list {
		if g.own {
			delete(s.backbones, newBLAKey(g.mac, g.vid))
			g.mac = m.self()
			s.backbones[newBLAKey(g.mac, g.vid)] = g
			m.sendAnnounce(g, out)
		}
	}
}

// blaMeshIface has nothing to do: the frames bear the name of the node, not
// the address of the mesh interface.
func (m *Mesh) blaMeshIface(mono.Time, MeshIfaceConfig, *Out) {}

// blaStatus lists claims and gateways by VLAN and address.
func (m *Mesh) blaStatus(now mono.Time, s *Status) {
	s.BLAGroup = m.bla.group
	if !m.cfg.BLA {
		return
	}
	for _, c := range m.bla.claimList {
		s.Claims = append(s.Claims, ClaimStatus{c.client, c.vid, c.by.mac, c.by.own, c.by.crc})
	}
	sort.Slice(s.Claims, func(i, j int) bool {
		a, b := &s.Claims[i], &s.Claims[j]
		return cmp.Or(cmp.Compare(a.VID, b.VID), a.Client.Compare(b.Client)) < 0
	})
	for _, g := range m.bla.list {
		s.Backbones = append(s.Backbones, BackboneStatus{g.mac, g.vid, g.own, now.Sub(g.seen), g.crc})
	}
	sort.Slice(s.Backbones, func(i, j int) bool {
		a, b := &s.Backbones[i], &s.Backbones[j]
		return cmp.Or(cmp.Compare(a.VID, b.VID), a.Orig.Compare(b.Orig)) < 0
	})
}
