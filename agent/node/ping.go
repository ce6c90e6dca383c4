package node

import (
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/session"
)

// Reply is the outcome of a command that had to wait for an answer.
type Reply struct {
	ID      uint64
	OK      bool
	RTT     time.Duration
	Label   cjdns.Label // where the question went
	Version uint32      // of the node that answered
	Key     cjdns.Key   // of that node; zero if it was not asked for
	Problem string      // why not, if not OK
}

// ping is a command that waits. ip is zero for pings by label.
type ping struct {
	id    uint64
	ip    cjdns.IP
	label cjdns.Label
	key   bool
	at    mono.Time // when the question left; Never: not yet
	until mono.Time
}

// Ping asks the node at ip for a sign of life, through its session; a path is
// searched and a session made if there is none. The outcome comes as a Reply
// with id.
func (n *Node) Ping(now mono.Time, id uint64, ip cjdns.IP, timeout time.Duration, out *Out) {
	p := &ping{id: id, ip: ip, at: mono.Never, until: now.Add(timeout)}
	switch {
	case ip == n.self.IP:
		out.Replies = append(out.Replies, Reply{ID: id, OK: true, Label: cjdns.SelfLabel, Version: Protocol, Key: n.self.Public})
		return
	case !n.addPing(p, out):
		return
	}
	n.tryPing(now, p, out)
	n.flush(now, out)
	n.hurry(now)
}

// PingLabel sends a switch ping along label. With key, the node there is
// asked for its public key too.
func (n *Node) PingLabel(now mono.Time, id uint64, label cjdns.Label, key bool, timeout time.Duration, out *Out) {
	p := &ping{id: id, label: label, key: key, at: now, until: now.Add(timeout)}
	if !n.addPing(p, out) {
		return
	}
	c := cjdns.Control{Type: cjdns.CtrlPing, Version: Protocol}
	if key {
		c.Type, c.Key = cjdns.CtrlKeyPing, n.self.Public
	}
	for cookie, q := range n.pings {
		if q == p {
			c.Opaque = pingOpaque(cookie)
		}
	}
	n.sendControl(now, label, c, out)
	n.hurry(now)
}

// Path returns the label of the path that packets to ip take now.
func (n *Node) Path(now mono.Time, ip cjdns.IP) (cjdns.Label, bool) {
	if s := n.sessions.ByIP(ip); s != nil && s.Path != 0 {
		return s.Path, true
	}
	node, ok := n.finder.Path(now, ip)
	return node.Label, ok
}

// addPing remembers p under a random cookie, or refuses it.
func (n *Node) addPing(p *ping, out *Out) bool {
	if len(n.pings) >= MaxPings {
		out.Replies = append(out.Replies, Reply{ID: p.id, Problem: "too many commands are waiting"})
		return false
	}
	var cookie [8]byte
	n.cfg.Rand(cookie[:])
	n.pings[binary.BigEndian.Uint64(cookie[:])] = p
	return true
}

// pingOpaque is what a switch ping carries and its answer must echo: four
// bytes of handle and eight of cookie, the layout of cjdroute's own pings.
func pingOpaque(cookie uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("ping"), cookie)
}

// tryPing sends the query of p if there is a session to carry it.
func (n *Node) tryPing(now mono.Time, p *ping, out *Out) {
	s := n.sessions.ByIP(p.ip)
	if s == nil || s.Path == 0 || !s.CA.CanSend() || s.Send == 0 {
		if !n.finder.Searching(p.ip) {
			n.reach(now, p.ip, out)
		}
		return
	}
	s.LastData = now
	for cookie, q := range n.pings {
		if q == p {
			m := n.finder.Envelope(s.Path)
			m.Query = "pn"
			m.TxID = binary.BigEndian.AppendUint64([]byte("02"), cookie)
			p.at, p.label = now, s.Path
			n.sendMessage(now, s, s.Path, m, false, out)
		}
	}
}

// retryPing sends the pings that waited for a session with ip.
func (n *Node) retryPing(now mono.Time, ip cjdns.IP, out *Out) {
	for _, p := range n.pings {
		if p.ip == ip && p.at == mono.Never {
			n.tryPing(now, p, out)
		}
	}
}

// finishPing ends a command with r.
func (n *Node) finishPing(cookie uint64, r Reply, out *Out) {
	delete(n.pings, cookie)
	out.Replies = append(out.Replies, r)
}

// pingReply takes an answer that came in session s, if a command waits for
// it.
func (n *Node) pingReply(now mono.Time, s *session.Session, back cjdns.Label, m *cjdns.Message, out *Out) bool {
	if len(m.TxID) != 10 || string(m.TxID[:2]) != "02" {
		return false
	}
	cookie := binary.BigEndian.Uint64(m.TxID[2:])
	p := n.pings[cookie]
	if p == nil || p.ip != s.IP {
		return false
	}
	rtt := now.Sub(p.at)
	if s.RTT == 0 {
		s.RTT = int64(rtt)
	} else {
		s.RTT += (int64(rtt) - s.RTT) / 8
	}
	n.finishPing(cookie, Reply{ID: p.id, OK: true, RTT: rtt, Label: p.label, Version: m.Version, Key: s.Key}, out)
	return true
}

// pingAnswered takes a pong or key pong, if a command waits for it.
func (n *Node) pingAnswered(now mono.Time, back cjdns.Label, c *cjdns.Control, out *Out) bool {
	if len(c.Opaque) != 12 || string(c.Opaque[:4]) != "ping" {
		return false
	}
	cookie := binary.BigEndian.Uint64(c.Opaque[4:])
	p := n.pings[cookie]
	if p == nil || p.ip != (cjdns.IP{}) || p.key != (c.Type == cjdns.CtrlKeyPong) {
		return false
	}
	n.finishPing(cookie, Reply{ID: p.id, OK: true, RTT: now.Sub(p.at), Label: p.label, Version: c.Version, Key: c.Key}, out)
	return true
}

// pingError takes an error frame, if it is about a switch ping of ours: the
// cause must hold its cookie.
func (n *Node) pingError(now mono.Time, c *cjdns.Control, out *Out) bool {
	ctrl := c.CauseData
	const opaqueAt = 16 // marker, checksum, type, magic, version
	if len(ctrl) < opaqueAt+12 || binary.BigEndian.Uint32(ctrl) != controlWord {
		return false
	}
	at := opaqueAt
	if ctrl[7] == byte(cjdns.CtrlKeyPing) {
		at += len(cjdns.Key{})
	}
	if len(ctrl) < at+12 || string(ctrl[at:at+4]) != "ping" {
		return false
	}
	cookie := binary.BigEndian.Uint64(ctrl[at+4:])
	p := n.pings[cookie]
	if p == nil {
		return false
	}
	n.finishPing(cookie, Reply{ID: p.id, RTT: now.Sub(p.at), Label: p.label, Problem: "switch error: " + c.Code.String()}, out)
	return true
}

// expirePings ends the commands that have waited too long, and tries again
// for those whose question could not leave yet.
func (n *Node) expirePings(now mono.Time, out *Out) {
	for cookie, p := range n.pings {
		switch {
		case now >= p.until:
			r := Reply{ID: p.id, Label: p.label, Problem: "timeout"}
			if p.at == mono.Never {
				r.Problem = n.whyNot(now, p.ip)
			}
			n.finishPing(cookie, r, out)
		case p.at == mono.Never:
			n.tryPing(now, p, out)
			n.hurry(now)
		default:
			n.wakeAt(p.until)
		}
	}
}

// whyNot says why no question could be sent to ip.
func (n *Node) whyNot(now mono.Time, ip cjdns.IP) string {
	up := 0
	for _, p := range n.peers {
		if p.up {
			up++
		}
	}
	if up == 0 {
		return "no peer is up"
	}
	if _, ok := n.finder.Path(now, ip); !ok {
		return "no path found"
	}
	return "a path is known but no session came up"
}

// Hops returns the labels of the nodes along the way to label, the first peer
// first, label itself last.
func Hops(label cjdns.Label) []cjdns.Label {
	var hops []cjdns.Label
	bits := 0
	for rest := label; rest > 1; {
		_, w := cjdns.PortOf(rest)
		if w <= 0 || w > rest.Len() {
			break
		}
		bits += w
		rest >>= w
		hops = append(hops, label&(1<<bits-1)|1<<bits)
	}
	return hops
}
