package node

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// A hint tells a sender that we have no session with it: after a restart, or
// because it now comes from another address. It proves nothing, so all it
// does is to make the receiver begin a new handshake beside its session, at
// most one in two seconds. It is shorter than any CryptoAuth packet, so a
// stock node drops it as a runt before anything else.
//
//	0   4 bytes  fffffffb
//	4   8 bytes  "no-sess\0"
//
// Source: ours, see docs/protocol/recovery.md.
const hintLen = 12

const (
	hintWord = uint32(0xfffffffb)
	hintText = "no-sess\x00"
)

func isHint(b []byte) bool {
	return len(b) == hintLen && binary.BigEndian.Uint32(b) == hintWord && string(b[4:]) == hintText
}

// hint answers a frame from an unknown address; it takes b. Only what looks
// like traffic is answered, and never a hint: two nodes must not hint at each
// other for ever.
func (n *Node) hint(now mono.Time, l *link, b *pkt.Buf, out *Out) {
	if b.Len() >= 20 && binary.BigEndian.Uint32(b.Bytes()) >= 4 {
		n.hintTo(now, l.index, b.Addr, out)
	}
	out.Pool.Put(b)
}

func (n *Node) hintTo(now mono.Time, index uint16, to pkt.Addr, out *Out) {
	l := n.link(index)
	if l == nil || !l.up || !n.hints.take(now) {
		return
	}
	b := out.Pool.Get()
	h := b.Extend(hintLen)
	binary.BigEndian.PutUint32(h, hintWord)
	copy(h[4:], hintText)
	b.Port, b.Addr = index, to
	n.transmit(l, b, out)
}

// handleHint begins a new handshake with p, which does not know our session.
func (n *Node) handleHint(now mono.Time, p *Peer, out *Out) {
	if p.ca.CanSend() && !n.unneeded(now, p) {
		n.renew(now, p, out)
	}
}
