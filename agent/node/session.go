package node

import (
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pathfinder"
	"github.com/meshagent/meshagent/agent/pkt"
	"github.com/meshagent/meshagent/agent/session"
)

// Life of an end-to-end session. Stock cjdns drops it after 120 s of no use.
const (
	sessionIdle   = 120 * time.Second
	askedIdle     = sessionIdle / 4         // how long one is idle already that no program began
	sessionAnswer = 600 * time.Millisecond  // sent, nothing came back: ask
	sessionRenew  = 1200 * time.Millisecond // still nothing: new handshake, search another path
	sessionPause  = 2 * time.Second         // between handshakes, doubled while nothing answers
	sessionRepeat = 500 * time.Millisecond  // between repeats of the first handshake
	maxAnswers    = 3                       // repeats towards a node in which nobody here is interested
	maxBackoff    = 3                       // doublings: at most every 16 s
	heardPause    = 5 * time.Second         // between notes to the pathfinder that a path works
	maxContent    = 1 << 8                  // content types below are IPv6 next headers
	deafTime      = 150 * time.Millisecond  // packets that do not open for so long: new handshake
	deafMost      = time.Second             // if they come as closely as that
	errorPause    = 200 * time.Millisecond  // between error frames about a session that are believed
	handleLen     = 4
)

// newSession makes a session with the owner of key. It returns nil if the
// table is full of sessions in use.
func (n *Node) newSession(now mono.Time, key cjdns.Key, ip cjdns.IP) *session.Session {
	s := n.sessions.Add(now, key, ip, cryptoauth.New(&n.ca, cryptoauth.Options{Key: key}, now))
	if s == nil {
		n.drops[dropTableFull]++
	}
	return s
}

// unwanted notes that s began without a packet of a local program: its ways
// need not be measured, and no other is searched if it does not answer.
func unwanted(s *session.Session) { s.LastData = s.Created.Add(-askedIdle) }

// innerHandshake takes a frame for our router that begins with a handshake
// packet; back leads to its sender. It takes b.
func (n *Node) innerHandshake(now mono.Time, p *Peer, back cjdns.Label, b *pkt.Buf, out *Out) {
	h, err := cjdns.ParseCryptoHeader(b.Bytes())
	if err != nil {
		n.drop(b, dropRunt, out)
		return
	}
	ip := h.Key.IP()
	if !ip.Valid() || h.Key == n.self.Public {
		n.drop(b, dropSelfKey, out)
		return
	}
	s := n.sessions.ByIP(ip)
	if s == nil && h.State > 1 {
		n.drop(b, dropUnknownSess, out)
		return
	}
	// Key agreement is the expensive step: each node, behind each neighbour,
	// may cause only so much of it, and new ones less than known ones.
	if s == nil && !n.newcomers.take(now) || s != nil && !n.inner.take(now) ||
		h.State < cjdns.StateKey && !n.sources.take(now, p.addr, h.Key) {
		n.drop(b, dropBusy, out)
		return
	}
	fresh := s == nil
	if fresh {
		if s = n.newSession(now, h.Key, ip); s == nil {
			out.Pool.Put(b)
			return
		}
		unwanted(s)
	}
	ev, err := s.CA.Open(now, b)
	if err != nil {
		n.drop(b, dropInner, out)
		if fresh {
			n.sessions.Drop(s)
		}
		return
	}
	handle, ok := b.Pull(handleLen)
	if !ok {
		n.drop(b, dropRunt, out)
		return
	}
	s.Candidate = binary.BigEndian.Uint32(handle)
	if s.Candidate < 4 || s.Candidate == controlWord {
		s.Candidate = 0
		n.drop(b, dropRunt, out)
		return
	}
	if ev&cryptoauth.Promoted != 0 {
		n.sessionProven(now, s, back)
		s.Send = s.Candidate
	} else if s.Send == 0 {
		s.Send = s.Candidate
	}
	if s.Path == 0 {
		n.setPath(now, s, back, session.Theirs)
	}
	answered := n.innerContent(now, p, s, back, ev, b, out)
	if ev&cryptoauth.Promoted != 0 {
		n.sessionReady(now, s, out)
	}
	if ev&cryptoauth.Answer != 0 && !answered {
		n.askNode(now, s, back, out)
	}
}

// innerTraffic takes a frame for our router that begins with the handle of a
// session. It takes b.
func (n *Node) innerTraffic(now mono.Time, p *Peer, back cjdns.Label, handle uint32, b *pkt.Buf, out *Out) {
	s := n.sessions.ByHandle(handle)
	if s == nil {
		n.unknownHandle(now, p, back, out)
		n.drop(b, dropUnknownSess, out)
		return
	}
	b.Pull(handleLen)
	size := uint64(b.Len())
	ev, err := s.CA.Open(now, b)
	if err != nil {
		n.drop(b, dropInner, out)
		if err == cryptoauth.ErrDecrypt {
			n.deaf(now, s, out)
		}
		return
	}
	s.BytesIn += size
	n.sessionProven(now, s, back)
	if ev&cryptoauth.Promoted != 0 {
		if s.Candidate != 0 {
			s.Send = s.Candidate
		}
		n.sessionReady(now, s, out)
	}
	n.innerContent(now, p, s, back, ev, b, out)
	if ev&cryptoauth.Answer != 0 {
		n.askNode(now, s, back, out)
	}
}

// patient ends the long pauses between candidates that are for an other end that
// is away and for which nobody sends: it is there, or somebody does. When both
// ends began anew at once they may stand with different candidates.
func patient(now mono.Time, s *session.Session) {
	if s.Backoff != 0 {
		s.Backoff, s.NextRenew = 0, mono.Min(s.NextRenew, now.Add(sessionRenew))
	}
}

// deaf notes a packet for s that none of its keys opens. Some of them in a row
// may mean that both ends began anew at once and stand with different keys; then
// a handshake settles it, once in sessionPause.
func (n *Node) deaf(now mono.Time, s *session.Session, out *Out) {
	if since := now.Sub(s.Deaf); s.Deaf == 0 || since > deafMost {
		s.Deaf = now
		return
	} else if since < deafTime || s.Path == 0 || now < s.NextDeaf {
		return
	}
	s.Deaf, s.NextDeaf = 0, now.Add(sessionPause)
	s.NextRenew = max(s.NextRenew, s.NextDeaf)
	renewCA(s.CA, now, sessionPause)
	n.askNode(now, s, s.Path, out)
	n.flush(now, out)
}

// sessionProven notes an authenticated packet that came along back, the label
// that leads to its sender.
func (n *Node) sessionProven(now mono.Time, s *session.Session, back cjdns.Label) {
	troubled := false
	if s.Asking != mono.Never {
		troubled = now.Sub(s.Asking) > limit(now, s)
		s.Patience.Answered(now.Sub(s.Asking))
	}
	s.LastIn, s.Asking = now, mono.Never
	patient(now, s)
	if back != s.Path {
		if s.Path == 0 {
			n.setPath(now, s, back, session.Theirs)
		} else if troubled {
			n.setPath(now, s, back, session.Broken)
		}
		s.Alt, s.AltAt = back, now
	}
	if s.Version != 0 && now.Sub(s.NextHeard) >= 0 {
		s.NextHeard = now.Add(heardPause)
		n.finder.Heard(now, pathfinder.Node{Key: s.Key, IP: s.IP, Version: s.Version, Label: back})
	}
}

// innerContent takes the plain text of an end-to-end packet that came through
// the peer p. It reports whether it sent an answer. It takes b.
func (n *Node) innerContent(now mono.Time, p *Peer, s *session.Session, back cjdns.Label, ev cryptoauth.Event, b *pkt.Buf, out *Out) bool {
	h, err := cjdns.ParseDataHeader(b.Bytes())
	if err != nil {
		n.drop(b, dropRunt, out)
		return false
	}
	b.Pull(cjdns.DataHeaderLen)
	switch {
	case h.ContentType == cjdns.ContentDHT:
		return n.innerMessage(now, s, back, ev, b, out)
	case h.ContentType == contentMessage && ev&cryptoauth.Fresh != 0:
		n.carried(now, p, out)
		n.innerLetter(now, s, b, out)
	case h.ContentType < maxContent && ev&cryptoauth.Fresh != 0:
		n.carried(now, p, out)
		n.dataAlong(now, s, back)
		n.toTUN(now, s, uint8(h.ContentType), b, out)
	default:
		// Stock nodes send data only in traffic packets; what came in a
		// handshake could be a replay.
		n.drop(b, dropContent, out)
	}
	return false
}

// innerMessage takes a routing message. It takes b.
func (n *Node) innerMessage(now mono.Time, s *session.Session, back cjdns.Label, ev cryptoauth.Event, b *pkt.Buf, out *Out) bool {
	defer out.Pool.Put(b)
	if b.Len() == 0 {
		return false
	}
	var m cjdns.Message
	if err := cjdns.ParseMessage(b.Bytes(), &m); err != nil {
		n.drops[dropMessage]++
		return false
	}
	proven := ev&(cryptoauth.Fresh|cryptoauth.Promoted) != 0
	if m.Version != 0 && (proven || s.Version == 0) {
		s.Version = m.Version
	}
	if m.Query == "" && m.SubQuery == "" {
		// An answer in a handshake counts too: that it repeats a cookie which
		// nobody else could read proves that it is new.
		if n.pingReply(now, s, back, &m, out) {
			return false
		}
	}
	if n.prepareAnswer(now, s, back, &m, out) {
		return false
	}
	reply, ours := n.superMessage(now, at(s, back), &m)
	if !ours {
		reply = n.finder.HandleMessage(now, at(s, back), &m, &n.found)
	}
	if reply == nil {
		return false
	}
	n.sendMessage(now, s, back, reply, ev&cryptoauth.Fresh == 0, out)
	return true
}

// sendMessage sends a routing message to s along label; with candidate, in
// the handshake that is going on.
func (n *Node) sendMessage(now mono.Time, s *session.Session, label cjdns.Label, m *cjdns.Message, candidate bool, out *Out) {
	b := out.Pool.Get()
	if !b.Set(m.Append(n.scratch[:0])) {
		n.drop(b, dropTooBig, out)
		return
	}
	cjdns.PutDataHeader(b.Push(cjdns.DataHeaderLen), cjdns.ContentDHT)
	if (candidate && s.CA.HasCandidate()) || !s.CA.CanSend() || s.Send == 0 {
		binary.BigEndian.PutUint32(b.Push(handleLen), s.Recv)
		if err := s.CA.SealCandidate(now, b); err != nil {
			n.drop(b, dropInner, out)
			return
		}
		n.sessionSent(now, s)
		n.sendAlong(now, label, b, out)
		return
	}
	asking := s.Asking
	n.sendSession(now, s, label, b, out)
	if m.Query == "" && m.SubQuery == "" {
		s.Asking = asking // an answer asks for none
	}
}

// sendSession encrypts b, which begins with the data header, for s, and sends
// it along label. It takes b and reports whether it left.
func (n *Node) sendSession(now mono.Time, s *session.Session, label cjdns.Label, b *pkt.Buf, out *Out) bool {
	if err := s.CA.Seal(now, b); err != nil {
		n.drop(b, dropInner, out)
		return false
	}
	binary.BigEndian.PutUint32(b.Push(handleLen), s.Send)
	s.BytesOut += uint64(b.Len())
	n.sessionSent(now, s)
	return n.sendAlong(now, label, b, out)
}

// sessionSent notes that something was sent to which there should be some
// answer.
func (n *Node) sessionSent(now mono.Time, s *session.Session) {
	s.LastOut = now
	if s.Asking == mono.Never {
		s.Asking = now
		n.hurry(now)
	}
}

// askNode sends an empty query along label: it proves the path and carries
// the handshake.
func (n *Node) askNode(now mono.Time, s *session.Session, label cjdns.Label, out *Out) {
	if label == 0 {
		return
	}
	n.finder.Ping(now, pathfinder.Node{Key: s.Key, IP: s.IP, Version: s.Version, Label: label}, &n.found)
	n.flush(now, out)
}

// sendQuery carries a query of the pathfinder.
func (n *Node) sendQuery(now mono.Time, q pathfinder.Query, out *Out) {
	if q.To.IP == n.self.IP {
		n.toSelf(now, q)
		return
	}
	s := n.sessions.ByIP(q.To.IP)
	if s == nil {
		if s = n.newSession(now, q.To.Key, q.To.IP); s == nil {
			return
		}
		s.Version = q.To.Version
		unwanted(s)
	}
	if q.AnyWay && n.anyWay(now, s, &q) == 0 {
		return // no way to it is known
	}
	if s.Path == 0 {
		n.setPath(now, s, q.To.Label, session.Found)
	}
	n.sendMessage(now, s, q.To.Label, q.Msg, s.CA.HasCandidate() && !q.Measures, out)
}

// sessionReady sends what has waited for s.
func (n *Node) sessionReady(now mono.Time, s *session.Session, out *Out) {
	if !s.CA.CanSend() || s.Send == 0 || s.Path == 0 {
		return
	}
	n.taken = n.waiting.Take(s.IP, n.taken[:0])
	for _, b := range n.taken {
		n.toSession(now, s, b, out)
	}
	n.postWaiting(now, s, out)
	n.answerDue(now, out)
	n.retryPing(now, s.IP, out)
}

// expireSessions asks after silent sessions and drops unused ones.
func (n *Node) expireSessions(now mono.Time, out *Out) {
	n.taken = n.waiting.Expired(now, n.taken[:0])
	for _, b := range n.taken {
		n.unreachable(now, b, out)
	}
	for _, s := range n.sessions.All() {
		if now.Sub(max(s.Wanted(), s.LastIn)) > sessionIdle || !s.CA.CanSend() && now.Sub(max(s.Wanted(), s.Created)) > halfOpenTime {
			n.sessions.Drop(s)
			continue
		}
		if now.Sub(s.Wanted()) < inUse {
			n.callMesh(now, s.IP, out)
			if now.Sub(s.LastData) < inUse {
				n.choose(now, s, out)
			}
			n.doubt(now, s, out)
			n.flush(now, out)
		}
		n.expireSession(now, s, out)
	}
}

func (n *Node) expireSession(now mono.Time, s *session.Session, out *Out) {
	if s.Asking == mono.Never && !s.CA.NeedsRenew(now) {
		return
	}
	silent := now.Sub(mono.Min(s.Asking, now))
	n.hurry(now)
	switch {
	case !s.CA.CanSend():
		if now >= s.NextPing {
			s.NextPing = now.Add(sessionRepeat)
			if s.Wanted() <= s.Created && now.Sub(s.Created) > maxAnswers*sessionRepeat {
				return // nobody here wants it: a stranger's hello is not worth more
			}
			if silent > sessionRenew && now >= s.NextRenew {
				s.NextRenew = now.Add(sessionPause)
				n.reroute(now, s, session.Broken, out)
			}
			n.askNode(now, s, s.Path, out)
		}
	case silent >= sessionRenew || s.CA.NeedsRenew(now):
		if now >= s.NextRenew {
			s.NextRenew = now.Add(sessionPause << s.Backoff)
			if now.Sub(s.Wanted()) > sessionPause {
				s.Backoff = min(s.Backoff+1, maxBackoff)
			}
			s.NextPing = now.Add(sessionRepeat)
			renewCA(s.CA, now, sessionPause)
			n.askNode(now, s, s.Path, out)
			if silent >= sessionRenew {
				n.reroute(now, s, session.Broken, out)
			}
		} else if now >= s.NextPing {
			s.NextPing = now.Add(sessionRepeat)
			n.suspect(now, s, out)
		}
	case silent >= limit(now, s) && now >= s.NextPing:
		s.NextPing = now.Add(sessionAnswer)
		n.suspect(now, s, out)
	}
	n.flush(now, out)
}
