package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Frames of bridges among themselves, which a mesh must not carry: spanning
// tree would cut its links, and loopback tests (ECTP) look like loops.
// Source: batman-adv mesh-interface.c, batadv_interface_tx.
var (
	stpMAC  = batman.MAC{0x01, 0x80, 0xc2}
	ectpMAC = batman.MAC{0xcf}
)

// HandleClient takes a whole Ethernet frame that entered the mesh interface,
// learns its source and sends the frame to whoever has the destination. It
// takes b. Source: batman-adv mesh-interface.c, batadv_interface_tx.
func (m *Mesh) HandleClient(now mono.Time, b *pkt.Buf, out *Out) {
	f, ok := parseInner(b.Bytes())
	switch {
	case !ok || f.eth.Type == batman.EtherType: // also behind a VLAN tag
		m.drop(b, dropInner, out)
		return
	case m.blaTx(now, f, out):
		m.drop(b, dropBLA, out)
		return
	case !m.ttLearn(now, f.eth.Src, f.vid, m.clientFlags(f.eth.Src), out):
		m.drop(b, dropTableFull, out)
		return
	case m.primary == nil:
		m.drop(b, dropNoPrimary, out)
		return
	}
	m.datDHCP(now, f, false, out)
	if f.eth.Dst == stpMAC || f.eth.Dst == ectpMAC {
		m.drop(b, dropInner, out)
		return
	}
	m.stats.txFrames++
	m.stats.txBytes += uint64(b.Len())
	if !f.eth.Dst.IsMulticast() {
		m.clientUnicast(now, f, b, out)
		return
	}
	if m.cfg.GWMode != GWOff {
		switch to, client := m.gwSteer(now, f); to {
		case steerGateway:
			m.gwSend(now, f, b, out)
			return
		case steerClient:
			m.sendToClient(now, f, client, b, out)
			return
		case steerDrop:
			m.drop(b, dropGateway, out)
			return
		}
	}
	if !f.eth.Dst.IsBroadcast() && m.mcastForward(now, f, b, out) {
		return
	}
	m.clientFlood(now, f, b, out)
}

// clientUnicast sends a client's frame to one client.
func (m *Mesh) clientUnicast(now mono.Time, f inner, b *pkt.Buf, out *Out) {
	if f.eth.Type == batman.EthARP {
		if answered, asked := m.datClientRequest(now, f, out); answered || asked {
			m.drop(b, dropDAT, out)
			return
		}
		m.datClientReply(now, f, out)
	}
	if m.ttIsolated(f.eth.Src, f.eth.Dst, f.vid) {
		m.drop(b, dropIsolation, out)
		return
	}
	if m.cfg.GWMode != GWOff && m.gwOutOfRange(f) {
		m.drop(b, dropGateway, out)
		return
	}
	m.sendToClient(now, f, f.eth.Dst, b, out)
}

// sendToClient sends frame f, which b holds, to the node that has client on
// f's VLAN. A client that nobody has is not looked for. It takes b.
func (m *Mesh) sendToClient(now mono.Time, f inner, client batman.MAC, b *pkt.Buf, out *Out) {
	o, roamed := m.ttFind(client, f.vid)
	if o == nil {
		m.drop(b, dropUnknownClient, out)
		return
	}
	ttvn := m.ttVersion(o)
	if roamed {
		ttvn-- // o shall look again
	}
	m.sendUnicastAs(now, o, ttvn, b, out)
}

// clientFlood sends a client's frame to all nodes. An ARP request waits for
// the distributed table to answer it.
func (m *Mesh) clientFlood(now mono.Time, f inner, b *pkt.Buf, out *Out) {
	delay := false
	if f.eth.Type == batman.EthARP {
		var answered bool
		if answered, delay = m.datClientRequest(now, f, out); answered {
			m.drop(b, dropDAT, out)
			return
		}
	}
	m.bcastOwn(now, b, delay, out)
}

// snoopAndReceive gives frame f, which is all that is left in b, to the ARP
// table and then to the clients of this node. See receive. It takes b.
func (m *Mesh) snoopAndReceive(now mono.Time, r rx, f inner, t batman.PacketType, from *Originator, b *pkt.Buf, out *Out) {
	if !m.idFrame(f, from) {
		m.dropOn(r.hi, b, dropUnsigned, out)
		return
	}
	if f.eth.Type == batman.EthARP && (m.datMeshRequest(now, f, out) || m.datMeshReply(now, f, out)) {
		m.dropOn(r.hi, b, dropDAT, out)
		return
	}
	m.datDHCP(now, f, true, out)
	m.receive(now, r, f, t, from, b, out)
}

// receive gives frame f, which is all that is left in b, to the clients of
// this node, unless that would make a loop or is forbidden. t is the type of
// the packet that brought it. from, if not nil, is the originator that the
// source is at. It takes b. Source: batman-adv mesh-interface.c,
// batadv_interface_rx.
func (m *Mesh) receive(now mono.Time, r rx, f inner, t batman.PacketType, from *Originator, b *pkt.Buf, out *Out) {
	if f.eth.Type == batman.EtherType {
		m.dropOn(r.hi, b, dropInner, out)
		return
	}
	m.stats.rxFrames++
	m.stats.rxBytes += uint64(b.Len())
	if m.blaRx(now, f, t, out) {
		m.dropOn(r.hi, b, dropBLA, out)
		return
	}
	if from != nil {
		m.ttTemp(now, from, f.eth.Src, f.vid)
	}
	if !f.eth.Dst.IsMulticast() && m.ttIsolated(f.eth.Src, f.eth.Dst, f.vid) {
		m.dropOn(r.hi, b, dropIsolation, out)
		return
	}
	m.deliver(b, out)
}

// deliver hands a client's frame to the mesh interface. It takes b.
func (m *Mesh) deliver(b *pkt.Buf, out *Out) { out.Clients.Add(b) }
