package node

import (
	"encoding/binary"
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/session"
)

// unknownHandle reacts to traffic of a session that we do not have: after our
// restart the other end goes on in a session that died with us. Asked for its
// key, it gets a new handshake from us. Stock nodes are repaired by this too.
func (n *Node) unknownHandle(now mono.Time, p *Peer, back cjdns.Label, out *Out) {
	if !n.hints.take(now) || len(n.keyPings) >= maxKeyPings && now < n.keyPings[0].until {
		return
	}
	if len(n.keyPings) >= maxKeyPings {
		n.keyPings = slices.Delete(n.keyPings, 0, 1)
	}
	k := keyPing{label: back, until: now.Add(sessionPause)}
	n.cfg.Rand(k.cookie[:])
	n.keyPings = append(n.keyPings, k)
	n.sendControl(now, back, cjdns.Control{
		Type: cjdns.CtrlKeyPing, Version: Protocol, Key: n.self.Public, Opaque: k.cookie[:],
	}, out)
}

// keyPing is a key ping of ours that no command waits for.
type keyPing struct {
	label  cjdns.Label
	cookie [8]byte
	until  mono.Time
}

// maxKeyPings bounds those under way.
const maxKeyPings = 32

// keyPingAnswered reports whether c answers a key ping of ours, once.
func (n *Node) keyPingAnswered(now mono.Time, c *cjdns.Control) bool {
	i := slices.IndexFunc(n.keyPings, func(k keyPing) bool { return string(c.Opaque) == string(k.cookie[:]) && now < k.until })
	if i < 0 {
		return false
	}
	n.keyPings = slices.Delete(n.keyPings, i, i+1)
	return true
}

// keyPong takes the answer to a key ping.
func (n *Node) keyPong(now mono.Time, p *Peer, back cjdns.Label, c *cjdns.Control, out *Out) {
	if n.pingAnswered(now, back, c, out) {
		return
	}
	ip := c.Key.IP()
	if !n.keyPingAnswered(now, c) || !ip.Valid() || c.Key == n.self.Public || c.Version < oldestPeer {
		n.drops[dropControl]++
		return
	}
	if !n.sources.take(now, p.addr, c.Key) || !n.newcomers.take(now) {
		n.drops[dropBusy]++
		return
	}
	s := n.sessions.ByIP(ip)
	if s == nil {
		if s = n.newSession(now, c.Key, ip); s == nil {
			return
		}
		s.Version = c.Version
	}
	if s.CA.Established() && now < s.NextRenew {
		return
	}
	s.NextRenew = now.Add(sessionPause)
	if s.CA.CanSend() {
		renewCA(s.CA, now, sessionPause)
	}
	if s.Path == 0 {
		n.setPath(now, s, back, session.Theirs)
	}
	n.askNode(now, s, back, out)
}

// handleError takes an error frame. It is not authenticated beyond the hop,
// so it counts only if it names a frame that we may just have sent: one with
// the handle of a session of ours, along its path.
func (n *Node) handleError(now mono.Time, failing cjdns.Label, c *cjdns.Control, out *Out) {
	if n.pingError(now, c, out) || len(c.CauseData) < 4 || !n.errorsIn.take(now) {
		return
	}
	handle := binary.BigEndian.Uint32(c.CauseData)
	if handle < 4 {
		return
	}
	for _, s := range n.sessions.All() {
		if s.Path != failing || s.Send != handle || now.Sub(s.LastOut) > sessionPause || now < s.NextError {
			continue
		}
		switch c.Code {
		case cjdns.ErrorUndeliverable, cjdns.ErrorMalformedAddress, cjdns.ErrorReturnPathInvalid:
			s.NextError = now.Add(errorPause)
			n.reroute(now, s, session.Refused, out)
		case cjdns.ErrorAuthentication, cjdns.ErrorInvalid, cjdns.ErrorUnhandled:
			// The other end does not know the session (any more).
			if now >= s.NextRenew {
				s.NextRenew = now.Add(sessionPause)
				s.NextError = now.Add(errorPause)
				renewCA(s.CA, now, sessionPause)
				n.askNode(now, s, s.Path, out)
			}
		}
	}
	n.flush(now, out)
}
