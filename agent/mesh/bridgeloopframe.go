package mesh

import (
	"encoding/binary"
	"slices"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Gateways speak with each other by ARP replies on the LAN, without IP
// addresses. The target MAC says what it is: ff:43:05, the type, and two
// bytes of the group.
//
//	type         Ethernet destination, source   sender MAC
//	0 claim      broadcast, client              gateway
//	1 unclaim    broadcast, gateway             client
//	2 announce   broadcast, gateway             43:05:43:05 and the CRC of its claims
//	3 request    asked gateway, asking gateway  asked gateway
//	4 loop       broadcast, ba:be and random    gateway
//
// Source: batadv_packet.h, struct batadv_bla_claim_dst.
const (
	blaClaimFrame    = 0
	blaUnclaimFrame  = 1
	blaAnnounceFrame = 2
	blaRequestFrame  = 3
	blaLoopFrame     = 4
)

var (
	blaMagic         = [3]byte{0xff, 0x43, 0x05}
	blaAnnounceMagic = [4]byte{0x43, 0x05, 0x43, 0x05}
)

// sendClaim sends a frame of bridge loop avoidance about mac into the LAN.
func (m *Mesh) sendClaim(kind uint8, mac batman.MAC, v batman.VID, out *Out) {
	a := arp{op: arpReply, src: m.self()}
	copy(a.dst[:], blaMagic[:])
	a.dst[3] = kind
	binary.BigEndian.PutUint16(a.dst[4:], m.bla.group)
	dst, src := batman.Broadcast, m.self()
	switch kind {
	case blaClaimFrame, blaLoopFrame:
		src = mac
	case blaUnclaimFrame, blaAnnounceFrame:
		a.src = mac
	case blaRequestFrame:
		dst, a.src = mac, mac
	}
	m.deliver(newARP(out.Pool, dst, src, v, a), out)
}

func (m *Mesh) sendAnnounce(g *backbone, out *Out) {
	var mac batman.MAC
	copy(mac[:], blaAnnounceMagic[:])
	binary.BigEndian.PutUint16(mac[4:], g.crc)
	m.sendClaim(blaAnnounceFrame, mac, g.vid, out)
}

// claimFrame is what a frame says about bridge loop avoidance.
type claimFrame uint8

const (
	noClaim    claimFrame = iota // nothing
	goodClaim                    // it is a frame of the LAN's gateways
	loopClaim                    // it looks for loops and travels everywhere
	deepClaim                    // it is in more than one VLAN tag, which nobody sends
	otherClaim                   // of a type that we do not know
)

// parseClaim reads a frame of bridge loop avoidance.
func parseClaim(f inner) (a arp, c claimFrame) {
	deep := false
	for f.eth.Type == batman.EthVLAN && len(f.b) >= f.off+batman.VLANLen {
		deep = true
		f.eth.Type = binary.BigEndian.Uint16(f.b[f.off+2:])
		f.off += batman.VLANLen
	}
	if f.eth.Type != batman.EthARP {
		return a, noClaim
	}
	a, ok := parseARP(f)
	switch {
	case !ok || [3]byte(a.dst[:3]) != blaMagic:
		return a, noClaim
	case deep:
		return a, deepClaim
	case a.dst[3] == blaLoopFrame:
		return a, loopClaim
	case a.dst[3] > blaLoopFrame:
		return a, otherClaim
	}
	return a, goodClaim
}

// rxClaim takes a frame from the LAN if it is one of bridge loop avoidance;
// it reports whether it was.
func (m *Mesh) rxClaim(now mono.Time, f inner, out *Out) bool {
	a, c := parseClaim(f)
	if c != goodClaim {
		return c == deepClaim
	}
	kind := a.dst[3]
	sender := f.eth.Src
	if kind == blaClaimFrame {
		sender = a.src
	}
	if sender == m.self() || !m.claimGroup(sender, binary.BigEndian.Uint16(a.dst[4:])) {
		m.lose(dropClaim)
		return true
	}
	m.ownBackbone(now, f.vid, out) // who hears the others is one of them
	switch kind {
	case blaClaimFrame:
		if g := m.backbone(now, sender, f.vid, out); g != nil && f.eth.Src.IsStation() {
			m.rxClaimOf(now, f.eth.Src, g)
		}
	case blaUnclaimFrame:
		if c := m.bla.claims[newBLAKey(a.src, f.vid)]; c != nil {
			m.delClaim(c)
		}
	case blaAnnounceFrame:
		if [4]byte(a.src[:4]) == blaAnnounceMagic {
			m.rxAnnounce(now, sender, f.vid, binary.BigEndian.Uint16(a.src[4:]), out)
		}
	case blaRequestFrame:
		if f.eth.Dst == a.src && f.eth.Dst == m.self() {
			m.rxRequest(now, f.vid, out)
		}
	}
	return true
}

// rxClaimOf gives a client to g, which claims it.
func (m *Mesh) rxClaimOf(now mono.Time, client batman.MAC, g *backbone) {
	key := newBLAKey(client, g.vid)
	c := m.bla.claims[key]
	race := c != nil && c.by.own && now.Sub(c.since) < blaRace
	m.bla.races = slices.DeleteFunc(m.bla.races, func(r blaRacer) bool { return r.key == key })
	m.addClaim(now, client, g.vid, g)
	if !race || len(m.bla.races) >= maxRaces {
		return
	}
	if now.Sub(c.raceAt) > blaPeriod {
		c.races, c.raceAt = 0, now
	}
	if c.races++; c.races <= blaRaceTries {
		m.bla.races = append(m.bla.races, blaRacer{key, now.Add(blaRaceWait + m.jitter(blaRaceWait))})
	}
}

// settleRaces claims again what both sides gave up.
func (m *Mesh) settleRaces(now mono.Time, out *Out) {
	m.bla.races = slices.DeleteFunc(m.bla.races, func(r blaRacer) bool {
		if now < r.at {
			return false
		}
		if c := m.bla.claims[r.key]; c != nil && !c.by.own {
			m.claimOwn(now, c.client, c.vid, out)
		}
		return true
	})
}

// claimGroup reports whether a gateway with that group is one of ours. Two
// groups that meet in one mesh become the one with the larger number.
func (m *Mesh) claimGroup(gateway batman.MAC, group uint16) bool {
	if !gateway.IsStation() {
		return false
	}
	if group == m.bla.group {
		return true
	}
	if m.originator(gateway) == nil {
		return false // of another mesh
	}
	m.bla.group = max(group, m.bla.group)
	return true
}

// rxAnnounce compares what a gateway claims with what we know of it.
func (m *Mesh) rxAnnounce(now mono.Time, mac batman.MAC, v batman.VID, crc uint16, out *Out) {
	g := m.backbone(now, mac, v, out)
	if g == nil {
		return
	}
	g.seen = now
	if g.crc == crc {
		m.sync(g)
		return
	}
	m.forgetClaims(g)
	m.sendClaim(blaRequestFrame, mac, v, out)
	m.unsync(g) // no broadcasts as long as we do not know who claims what
}

// rxRequest sends our claims again and then an announcement.
func (m *Mesh) rxRequest(now mono.Time, v batman.VID, out *Out) {
	g := m.bla.backbones[newBLAKey(m.self(), v)]
	if g == nil || g.answer > 0 {
		return
	}
	if !g.limit.Take(now, blaAnswerInterval, blaAnswerBurst) {
		m.lose(dropRateLimit)
		return
	}
	g.answer = len(m.bla.claimList)
	m.answerRequest(now, g, out)
}

// answerRequest sends the next few claims of g. The list is walked from its
// end: a removal brings the last one forward, which has had its turn, and new
// claims are sent anyway.
func (m *Mesh) answerRequest(now mono.Time, g *backbone, out *Out) {
	g.answer = min(g.answer, len(m.bla.claimList))
	for sent := 0; g.answer > 0; {
		if sent == blaAnswerChunk {
			m.bla.answering = mono.Min(m.bla.answering, now.Add(blaAnswerPause))
			return
		}
		g.answer--
		if c := m.bla.claimList[g.answer]; c.by == g {
			m.sendClaim(blaClaimFrame, c.client, c.vid, out)
			sent++
		}
	}
	m.sendAnnounce(g, out)
}
