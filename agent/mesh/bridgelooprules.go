package mesh

import (
	"hash/crc32"
	"slices"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blaRx decides about a frame from the mesh for the LAN, which came in a
// packet of type t; true: it must not go there. Broadcasts, and multicasts
// sent to each listener, may come to several gateways of our LAN; 4ADDR packets
// are meant for us alone. Packets of type MCAST are treated as the UNICAST
// ones that they replace, although the kernel's module lets them pass at every
// gateway.
func (m *Mesh) blaRx(now mono.Time, f inner, t batman.PacketType, out *Out) bool {
	if m.primary == nil {
		return true
	}
	if !m.blaOn() {
		return false
	}
	s := &m.bla
	if f.eth.Src == s.loopMAC && m.loopSeen(now, f.vid, out) {
		return true
	}
	if f.eth.Type == batman.EthARP || f.eth.Type == batman.EthVLAN {
		if _, c := parseClaim(f); c != noClaim && c != loopClaim {
			m.lose(dropClaim) // gateways never speak through the mesh: it is forged
			return true
		}
	}
	shared := f.eth.Dst.IsMulticast() && t != batman.TypeUnicast4
	if shared && s.unsynced > 0 {
		return true
	}
	if shared && t != batman.TypeBroadcast && m.blaDuplicate(now, f.b, batman.MAC{}) {
		return true
	}
	if !f.eth.Src.IsStation() {
		return false
	}
	switch c := s.claims[newBLAKey(f.eth.Src, f.vid)]; {
	case c != nil && c.by.own:
		c.seen = now
	case c != nil && shared:
		return true // the other gateway carries it
	default:
		// nobody speaks for this client, or it has chosen us
		if !m.claimOwn(now, f.eth.Src, f.vid, out) && shared && m.otherGateway(f.vid) {
			return true
		}
	}
	m.ownBackbone(now, f.vid, out)
	return false
}

// blaTx decides about a frame from the LAN for the mesh; true: it ends here.
func (m *Mesh) blaTx(now mono.Time, f inner, out *Out) bool {
	if m.primary == nil || !m.blaOn() {
		return false
	}
	if m.rxClaim(now, f, out) {
		return true
	}
	s := &m.bla
	group := f.eth.Dst.IsMulticast()
	if group && s.unsynced > 0 {
		return true
	}
	if c := s.claims[newBLAKey(f.eth.Src, f.vid)]; c != nil {
		switch {
		case !c.by.own && group:
			return true // the gateway that claims it brought it here
		case !c.by.own:
		case now.Sub(c.seen) > blaRace:
			m.unclaim(c, out) // the client moved from the mesh to the LAN
		default:
			return true // we just claimed what comes back
		}
	}
	if m.ownBackbone(now, f.vid, out) == nil && group {
		return true // without a place in the table nothing keeps it from looping
	}
	return false
}

// blaOn reports whether loops are to be avoided. Nothing is remembered while
// they are not.
func (m *Mesh) blaOn() bool {
	if !m.cfg.BLA {
		m.blaForget()
	}
	return m.cfg.BLA
}

// claimOwn claims a client for this node; false if there is no room.
func (m *Mesh) claimOwn(now mono.Time, client batman.MAC, v batman.VID, out *Out) bool {
	g := m.backbone(now, m.self(), v, out)
	if g == nil || !m.addClaim(now, client, v, g) {
		return false
	}
	m.sendClaim(blaClaimFrame, client, v, out)
	return true
}

// unclaim gives up a claim of ours.
func (m *Mesh) unclaim(c *claim, out *Out) {
	m.sendClaim(blaUnclaimFrame, c.client, c.vid, out)
	m.delClaim(c)
}

// otherGateway reports whether our LAN has another gateway on VLAN v.
func (m *Mesh) otherGateway(v batman.VID) bool {
	for _, g := range m.bla.list {
		if !g.own && g.vid == v {
			return true
		}
	}
	return false
}

// loopSeen takes a frame with the source of our own loop detection frames: it
// left into the LAN and came back by the mesh, so there is a way that we
// cannot see.
func (m *Mesh) loopSeen(now mono.Time, v batman.VID, out *Out) bool {
	if m.bla.loopMAC.IsZero() {
		return false
	}
	if now.Sub(m.bla.loopSent) > blaLoopTimeout {
		return true // too late to be sure
	}
	if g := m.ownBackbone(now, v, out); g != nil && g.reported != m.bla.loopSent {
		g.reported = m.bla.loopSent
		out.Events = append(out.Events, Event{Kind: EventLoop, Orig: m.self(), VID: v})
	}
	return true
}

// blaDuplicate reports whether another gateway flooded the same frame shortly
// before. orig is who sent this one; zero if unknown.
func (m *Mesh) blaDuplicate(now mono.Time, payload []byte, orig batman.MAC) bool {
	s := &m.bla
	crc := crc32.Checksum(payload, castagnoli)
	for i := range s.dups {
		d := &s.dups[(s.dup+blaDupSize-i)%blaDupSize]
		if !d.used || now.Sub(d.at) > blaDupTimeout {
			break // all others are older
		}
		if d.crc != crc || d.size != len(payload) || !orig.IsZero() && orig == d.orig {
			continue
		}
		return true
	}
	s.dup = (s.dup + 1) % blaDupSize
	s.dups[s.dup] = blaDup{now, crc, len(payload), orig, true}
	return false
}

// blaBackbone reports whether orig is a gateway of our own LAN on that VLAN.
func (m *Mesh) blaBackbone(orig batman.MAC, v batman.VID) bool {
	return m.cfg.BLA && len(m.bla.list) > 0 && m.bla.backbones[newBLAKey(orig, v)] != nil
}

// blaAnyBackbone is blaBackbone for any VLAN.
func (m *Mesh) blaAnyBackbone(orig batman.MAC) bool {
	return m.cfg.BLA && slices.ContainsFunc(m.bla.list, func(b *backbone) bool { return b.mac == orig })
}

// blaClaimedElsewhere reports whether another gateway of our LAN speaks for
// client.
func (m *Mesh) blaClaimedElsewhere(client batman.MAC, v batman.VID) bool {
	if !m.cfg.BLA || m.primary == nil || len(m.bla.claimList) == 0 {
		return false
	}
	c := m.bla.claims[newBLAKey(client, v)]
	return c != nil && !c.by.own
}

// blaLoopMAC reports whether mac is the source of a loop detection frame,
// which is no client.
func (m *Mesh) blaLoopMAC(mac batman.MAC) bool { return mac[0] == 0xba && mac[1] == 0xbe }
