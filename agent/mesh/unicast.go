package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// rxUnicast takes a client's frame for one originator. It takes b.
func (m *Mesh) rxUnicast(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	m.rxClientFrame(now, r, batman.UnicastLen, b, out)
}

// rxUnicast4 takes the same with the sender's address. It takes b.
func (m *Mesh) rxUnicast4(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	m.rxClientFrame(now, r, batman.Unicast4Len, b, out)
}

// rxUnknownUnicast takes a packet of the unicast class whose type this node
// does not know: it is carried on, and ends at its destination. It takes b.
func (m *Mesh) rxUnknownUnicast(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	switch dest, ok := batman.Dest(b.Bytes()); {
	case !ok:
		m.dropOn(r.hi, b, dropRunt, out)
	case m.isMine(dest):
		m.dropOn(r.hi, b, dropType, out)
	default:
		m.forwardUnicast(now, r, b, out)
	}
}

// rxClientFrame corrects the way of a client's frame behind a header of hdr
// bytes, and then carries it on or delivers it. Source: batman-adv routing.c,
// batadv_recv_unicast_packet.
func (m *Mesh) rxClientFrame(now mono.Time, r rx, hdr int, b *pkt.Buf, out *Out) {
	p := b.Bytes()
	if len(p) < hdr+batman.EthLen {
		m.dropOn(r.hi, b, dropRunt, out)
		return
	}
	f, ok := parseInner(p[hdr:])
	if !ok {
		m.dropOn(r.hi, b, dropInner, out)
		return
	}
	if why, ok := m.checkTTVN(p, f); !ok {
		m.dropOn(r.hi, b, why, out)
		return
	}
	if dest, _ := batman.Dest(p); !m.isMine(dest) {
		m.forwardUnicast(now, r, b, out)
		return
	}
	if m.blaBackbone(r.src, f.vid) {
		m.dropOn(r.hi, b, dropBLA, out) // our LAN has it already
		return
	}
	t := batman.TypeUnicast
	var from *Originator
	if hdr == batman.Unicast4Len {
		t = batman.TypeUnicast4
		u, _ := batman.ParseUnicast4(p)
		switch u.Subtype {
		case batman.SubDATGet:
			m.stats.datGetRx++
		case batman.SubDATPut:
			m.stats.datPutRx++
		case batman.SubData:
			// only data tells where its source is
			from = m.originator(u.Src)
		}
	}
	b.Pull(hdr)
	m.snoopAndReceive(now, r, f, t, from, b, out)
}

// checkTTVN looks whether the destination in the header of p, which carries
// frame f, is still right as far as this node knows, and corrects it: the
// client may have moved. If it returns false, p cannot be delivered, because
// of why. Every node on the way does this. Source: batman-adv routing.c,
// batadv_check_unicast_ttvn.
func (m *Mesh) checkTTVN(p []byte, f inner) (why dropReason, ok bool) {
	if f.eth.Dst.IsMulticast() {
		return 0, true
	}
	mine, roamed := m.ttLocal(f.eth.Dst, f.vid)
	if roamed {
		m.reroute(p, f, mine) // if it can: nothing better is known
		return 0, true
	}
	u, err := batman.ParseUnicast(p)
	if err != nil {
		return dropRunt, false
	}
	current := m.ttOwnVersion()
	if !m.isMine(u.Dest) {
		o := m.originator(u.Dest)
		if o == nil {
			return dropUnknownOrig, false
		}
		current = m.ttVersion(o)
	}
	if u.TTVN-current <= 128 { // as new as what we know, or newer
		return 0, true
	}
	if m.reroute(p, f, mine) {
		return 0, true
	}
	return dropTTVN, false
}

// reroute writes into the header of p where the client of frame f is now; mine
// says that it is here. It reports false, and changes nothing, if that is
// unknown or not new. Source: batman-adv routing.c,
// batadv_reroute_unicast_packet.
func (m *Mesh) reroute(p []byte, f inner, mine bool) bool {
	dest, ttvn := m.self(), m.ttOwnVersion()
	if !mine {
		o, _ := m.ttFind(f.eth.Dst, f.vid)
		if o == nil || o.MAC == batman.MAC(p[4:10]) {
			return false
		}
		dest, ttvn = o.MAC, m.ttVersion(o)
	}
	p[3] = ttvn
	copy(p[4:10], dest[:])
	return true
}
