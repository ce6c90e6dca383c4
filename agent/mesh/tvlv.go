package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// appendTVLVs appends this node's containers for its next OGM, whose header
// has header bytes. The whole stays within batman.MaxOGM: the translation
// table, which comes last here, leaves out what does not fit.
func (m *Mesh) appendTVLVs(now mono.Time, dst []byte, header int, out *Out) []byte {
	start := len(dst)
	if g := m.gwOwn(); g.Down != 0 {
		dst = batman.AppendGateway(dst, g)
	}
	if m.cfg.DAT {
		dst = batman.AppendTVLV(dst, batman.TVLVDAT, batman.VersionDAT, 0)
	}
	dst = m.mcastAppend(dst)
	dst = m.idAppend(now, dst, batman.MaxOGM-header-(len(dst)-start), out)
	return m.ttAppend(now, dst, batman.MaxOGM-header-(len(dst)-start))
}

// ogmTVLVs takes the containers of an OGM of o. Absence has a meaning for
// some; a B.A.T.M.A.N. IV OGM without any container says nothing at all.
func (m *Mesh) ogmTVLVs(now mono.Time, o *Originator, b []byte, out *Out) {
	if len(b) == 0 && m.cfg.Algo == BatmanIV {
		return
	}
	if !m.idAllows(o) {
		return
	}
	var gw batman.Gateway
	var id identity.Container
	var dat, mcast bool
	var mcastFlags uint8
	for len(b) > 0 {
		t, rest, err := batman.NextTVLV(b)
		if err != nil {
			m.lose(dropTVLV)
			break
		}
		b = rest
		switch {
		case t.Type == batman.TVLVGateway && t.Version == batman.VersionGateway:
			gw, err = batman.ParseGateway(t.Value)
		case t.Type == batman.TVLVDAT && t.Version == batman.VersionDAT:
			dat = true
		case t.Type == batman.TVLVMulticast && t.Version == batman.VersionMulticast:
			mcastFlags, err = batman.ParseMulticastFlags(t.Value)
			mcast = err == nil
		case t.Type == batman.TVLVTT && t.Version == batman.VersionTT:
			m.ttOGM(now, o, t.Value, out)
		case t.Type == batman.TVLVType(m.cfg.containerType()) && t.Version == identity.TVLVVersion:
			id, _ = identity.ParseContainer(t.Value)
		}
		if err != nil {
			m.lose(dropTVLV)
		}
	}
	m.gwOGM(now, o, m.idGateway(o, gw, id), out)
	m.datOGM(o, dat)
	m.mcastOGM(o, mcast, mcastFlags)
}

// rxUnicastTVLV takes containers that were sent to one originator; b begins
// with the header.
func (m *Mesh) rxUnicastTVLV(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	u, tvlvs, err := batman.ParseUnicastTVLV(b.Bytes())
	if err != nil {
		m.dropOn(r.hi, b, dropMalformed, out)
		return
	}
	if m.unicastTVLVs(now, u, tvlvs, out) {
		out.Pool.Put(b)
		return
	}
	m.forwardUnicast(now, r, b, out)
}

// rxBigTVLV is the same for a packet that was reassembled and is longer than
// a buffer. It is for this node; p is not kept.
func (m *Mesh) rxBigTVLV(now mono.Time, p []byte, out *Out) {
	if u, tvlvs, err := batman.ParseUnicastTVLV(p); err == nil && m.isMine(u.Dst) {
		m.unicastTVLVs(now, u, tvlvs, out)
		return
	}
	m.lose(dropTooBig)
}

// unicastTVLVs reports whether the packet ends here: because it is for this
// node, or because this node answered on behalf of the destination.
func (m *Mesh) unicastTVLVs(now mono.Time, u batman.UnicastTVLV, b []byte, out *Out) bool {
	mine := m.isMine(u.Dst)
	handled := mine
	for len(b) > 0 {
		t, rest, err := batman.NextTVLV(b)
		if err != nil {
			m.lose(dropTVLV)
			break
		}
		b = rest
		switch {
		case t.Type == batman.TVLVTT && t.Version == batman.VersionTT:
			if m.ttUnicast(now, u.Src, u.Dst, t.Value, out) {
				handled = true
			}
		case t.Type == batman.TVLVRoam && t.Version == batman.VersionRoam && mine:
			if r, err := batman.ParseRoam(t.Value); err != nil {
				m.lose(dropTVLV)
			} else {
				m.ttRoamTVLV(now, u.Src, r, out)
			}
		}
	}
	return handled
}

// sendTVLVs sends containers from this node, or in the name of src, to o.
func (m *Mesh) sendTVLVs(now mono.Time, src batman.MAC, o *Originator, tvlvs []byte, out *Out) {
	u := batman.UnicastTVLV{TTL: batman.TTL, Dst: o.MAC, Src: src, TVLVLen: uint16(len(tvlvs))}
	if n := batman.UnicastTVLVLen + len(tvlvs); n > pkt.MaxMTU {
		p := make([]byte, n) // a whole table: not the data path
		u.Put(p)
		copy(p[batman.UnicastTVLVLen:], tvlvs)
		m.sendBig(now, o, p, out)
		return
	}
	b := out.Pool.Get()
	b.Set(tvlvs)
	u.Put(b.Push(batman.UnicastTVLVLen))
	m.sendTo(now, o, nil, b, out)
}
