package node

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// An introduction is sent by whoever dials without a password, just before
// its hello: it holds what may let it in, the certificates of a community.
// The node does not look into it. It proves nothing about its sender; the
// handshake does that.
//
//	0   4   fffffffa
//	4   4   "cert"
//	8       the body, of even length
//
// A stock node takes it for traffic of a session that it does not have, and
// drops it. Source: ours.
const (
	introductionMark = "\xff\xff\xff\xfacert"
	// MaxIntroduction bounds the body, bytes.
	MaxIntroduction = 600
	introPause      = time.Second // between introductions to one peer
)

// Introduction came from an address where somebody wants to be let in.
type Introduction struct {
	Link uint16
	Addr pkt.Addr
	Body []byte
}

// SetIntroduction says what we introduce ourselves with; nothing if body is
// empty. It copies body, and reports false, and takes none, if it is too long.
func (n *Node) SetIntroduction(body []byte) bool {
	if len(body) > MaxIntroduction {
		n.introduction = nil
		return false
	}
	n.introduction = slices.Clone(body)
	if len(body)%2 != 0 {
		n.introduction = append(n.introduction, 0)
	}
	return true
}

func isIntroduction(b []byte) bool {
	return len(b) > len(introductionMark) && string(b[:len(introductionMark)]) == introductionMark
}

// introduced takes an introduction. It takes b.
func (n *Node) introduced(now mono.Time, b *pkt.Buf, out *Out) {
	body := b.Bytes()[len(introductionMark):]
	switch {
	case len(body) > MaxIntroduction || len(body)%2 != 0:
		n.drop(b, dropRunt, out)
	case !n.introSources.take(now, b.Addr, n.self.Public) || !n.introductions.take(now):
		n.drop(b, dropBusy, out)
	default:
		out.Introductions = append(out.Introductions, Introduction{Link: b.Port, Addr: b.Addr, Body: slices.Clone(body)})
		out.Pool.Put(b)
	}
}

// introduce sends our introduction to the peer p at addr, if its handshake
// may need it.
func (n *Node) introduce(now mono.Time, p *Peer, addr pkt.Addr, out *Out) {
	l := n.link(p.link)
	if len(n.introduction) == 0 || now < p.nextIntro || l == nil || !l.up || addr.Kind == pkt.AddrNone {
		return
	}
	if !n.onMesh(p) && (p.conf == nil || p.conf.Password != "") {
		return
	}
	p.nextIntro = now.Add(introPause)
	b := out.Pool.Get()
	b.Set(append(append(n.scratch[:0], introductionMark...), n.introduction...))
	b.Port, b.Addr = p.link, addr
	n.transmit(l, b, out)
}
