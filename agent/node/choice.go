package node

import (
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pathfinder"
	"github.com/meshagent/meshagent/agent/session"
)

// Which way a session sends. A way that works is left only for one that is
// clearly better, and seldom; one that does not is left at once.
const (
	inUse       = 10 * time.Second // a session that carried data so lately is seen to
	errandUse   = 5 * time.Minute  // between times in which the ways of errands are seen to as if they were data
	choicePause = 10 * time.Second // between changes for the sake of quality
	probeRate   = 50               // pings a second that measure or look for ways, of all sessions
)

// setPath lets s send along label.
func (n *Node) setPath(now mono.Time, s *session.Session, label cjdns.Label, why session.Reason) {
	if label == s.Path {
		return
	}
	if s.Path != 0 {
		s.Cost, s.WasCost = n.finder.Cost(now, s.IP, label), n.finder.Cost(now, s.IP, s.Path)
		s.Was, s.Changed, s.Changes = s.Path, now, s.Changes+1
	}
	if why.IsBroken() && s.Path != 0 {
		n.finder.Bad(now, s.IP, s.Path)
	}
	s.Path, s.Why, s.Doubt, s.Trusted = label, why, mono.Never, 0
}

// settling reports whether the way of s has changed a moment ago. A way that
// loses much must not be mistaken for one that is broken again and again.
func settling(now mono.Time, s *session.Session) bool {
	return s.Changes > 0 && now.Sub(s.Changed) < choicePause
}

// limit returns the silence of s after which its way is under suspicion.
func limit(now mono.Time, s *session.Session) time.Duration {
	if settling(now, s) {
		return 2 * session.MostPatience
	}
	return s.Patience.Limit()
}

// choose measures the ways to the other end of s, which is in use, and changes
// to a clearly better one, at most once in choicePause.
func (n *Node) choose(now mono.Time, s *session.Session, out *Out) {
	if !s.CA.Established() || s.Path == 0 {
		return
	}
	n.finder.Widen(now, s.IP, &n.found)
	if n.finder.Probe(now, at(s, s.Path), func() bool { return n.probes.take(now) }, &n.found) {
		n.hurry(now) // a way that nobody has measured yet may be better
	}
	if settling(now, s) {
		return
	}
	if label, ok := n.finder.Choose(now, s.IP, s.Path); ok {
		n.setPath(now, s, label, session.Better)
	}
}

// suspect asks along the way of s, and along all others: the first that
// answers takes over, see sessionProven.
func (n *Node) suspect(now mono.Time, s *session.Session, out *Out) {
	n.finder.Alternatives(now, at(s, s.Path), func() bool { return n.probes.take(now) }, &n.found)
	n.askNode(now, s, s.Path, out)
}

// dataAlong notes the way along which data of the other end comes.
func (n *Node) dataAlong(now mono.Time, s *session.Session, back cjdns.Label) {
	if back != s.Back {
		s.Back = back
		n.hurry(now)
	}
}

// doubt looks at s when the other end's data has begun to come along another
// way than the one that we use: it may have found that ours is broken. What we
// send along it would be lost without our noticing, because packets keep
// coming. So we ask along it, and follow the other end if nothing answers.
func (n *Node) doubt(now mono.Time, s *session.Session, out *Out) {
	switch {
	case s.Back == 0 || s.Back == s.Path || s.Back == s.Trusted || settling(now, s):
		s.Doubt = mono.Never
		return
	case s.Doubt == mono.Never:
		s.Doubt = now
	case n.finder.Answered(s.IP, s.Path) >= s.Doubt:
		s.Trusted, s.Doubt = s.Back, mono.Never
		return
	case now.Sub(s.Doubt) >= s.Patience.Limit():
		n.setPath(now, s, s.Back, session.Followed)
		return
	}
	n.askNode(now, s, s.Path, out)
	n.hurry(now)
}

// pathFound goes on with a destination to which a search brought a path.
func (n *Node) pathFound(now mono.Time, ip cjdns.IP, out *Out) {
	node, ok := n.finder.Path(now, ip)
	if !ok {
		return
	}
	s := n.sessions.ByIP(ip)
	if s == nil {
		if s = n.newSession(now, node.Key, ip); s == nil {
			return
		}
	}
	if s.Version == 0 {
		s.Version = node.Version
	}
	if s.Path == 0 {
		n.setPath(now, s, node.Label, session.Found)
	} else if s.Asking != mono.Never && now.Sub(s.Asking) > sessionAnswer {
		n.setPath(now, s, node.Label, session.Broken)
	}
	s.NextPing = now.Add(sessionRepeat)
	n.askNode(now, s, node.Label, out)
	n.hurry(now)
}

// pathFailed tells local programs that nobody knows a way to ip. A session
// that there is keeps its last path: links come back.
func (n *Node) pathFailed(now mono.Time, ip cjdns.IP, out *Out) {
	n.noteFailed(now, ip)
	if s := n.sessions.ByIP(ip); s != nil && s.CA.CanSend() {
		return
	}
	n.taken = n.waiting.Take(ip, n.taken[:0])
	for _, b := range n.taken {
		n.unreachable(now, b, out)
	}
}

// pathsLost looks for other ways for the sessions whose path begins at a peer
// that is gone.
func (n *Node) pathsLost(now mono.Time, first cjdns.Label, out *Out) {
	for _, s := range n.sessions.All() {
		if cjdns.RoutesThrough(s.Path, first) {
			n.reroute(now, s, session.PeerLost, out)
		}
	}
}

// reroute marks the path of s as bad and takes another, if one is known.
func (n *Node) reroute(now mono.Time, s *session.Session, why session.Reason, out *Out) {
	n.finder.Bad(now, s.IP, s.Path)
	if node, ok := n.finder.Path(now, s.IP); ok && node.Label != s.Path {
		n.setPath(now, s, node.Label, why)
		n.finder.Ping(now, node, &n.found)
		return
	}
	if s.Alt != 0 && s.Alt != s.Path && now.Sub(s.AltAt) < sessionPause {
		n.setPath(now, s, s.Alt, why)
		s.Alt = 0
		return
	}
	if now.Sub(s.Wanted()) < sessionIdle/4 {
		n.search(now, s.IP, out)
	}
}

// at is the other end of s at label.
func at(s *session.Session, label cjdns.Label) pathfinder.Node {
	return pathfinder.Node{Key: s.Key, IP: s.IP, Version: s.Version, Label: label}
}
