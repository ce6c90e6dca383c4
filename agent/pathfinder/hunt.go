package pathfinder

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// PeerUp tells of a direct peer at its one-hop label. announce says whether
// the link to it is one that others may use.
func (c *Client) PeerUp(now mono.Time, n Node, announce bool) {
	at, found := slices.BinarySearchFunc(c.links, n.Label, func(l *link, label cjdns.Label) int {
		return cmp.Compare(l.Label, label)
	})
	if found {
		if l := c.links[at]; l.IP == n.IP {
			l.announce = announce
			return
		}
		c.links = slices.Delete(c.links, at, at+1)
	}
	l := &link{Node: n, announce: announce, nextBack: now, nextHunt: now, tell: c.active != nil}
	for i, p := range c.left {
		if p.ip == n.IP {
			l.nextHunt, l.hunts = p.nextHunt, p.hunts
			c.left = slices.Delete(c.left, i, i+1)
			break
		}
	}
	c.links = slices.Insert(c.links, at, l)
	for _, s := range c.list {
		if s.IP == n.IP && !s.up {
			s.next, s.pause = now, 0
		}
	}
}

// PeerDown tells that the peer at label is gone.
func (c *Client) PeerDown(now mono.Time, label cjdns.Label) {
	c.links = slices.DeleteFunc(c.links, func(l *link) bool {
		if l.Label != label {
			return false
		}
		if l.back != 0 {
			c.wish(peerGone)
		}
		if len(c.left) >= maxLeft {
			c.left = slices.Delete(c.left, 0, 1)
		}
		c.left = append(c.left, parting{l.IP, l.nextHunt, l.hunts})
		return true
	})
}

// HandleControl takes an answer to a ControlQuery, which came from the peer at
// label.
func (c *Client) HandleControl(now mono.Time, label cjdns.Label, m *cjdns.Control, out *Out) {
	at := slices.IndexFunc(c.links, func(l *link) bool { return l.Label == label })
	if at < 0 || len(m.Opaque) != 8 || c.links[at].cookieAt == 0 || now.Sub(c.links[at].cookieAt) > askTime || [8]byte(m.Opaque) != c.links[at].cookie {
		c.Drops.Unasked++
		return
	}
	l := c.links[at]
	switch m.Type {
	case cjdns.CtrlRPathReply:
		c.setBack(now, l, m.Path)
	case cjdns.CtrlGetSnodeReply:
		c.proposed(now, l, m, out)
	}
}

// Proposed takes a question of the peer at label which supernode we use: it
// says which one it uses itself.
func (c *Client) Proposed(now mono.Time, label cjdns.Label, m *cjdns.Control, out *Out) {
	for _, l := range c.links {
		if l.Label == label && (l.proposed == 0 || now.Sub(l.proposed) >= time.Second) {
			l.proposed = max(now, 1)
			c.proposed(now, l, m, out)
		}
	}
}

// proposed takes the supernode that a peer says it uses.
func (c *Client) proposed(now mono.Time, l *link, m *cjdns.Control, out *Out) {
	if m.Key.IsZero() || m.Path == 0 {
		return // it has none
	}
	ip := m.Key.IP()
	label := cjdns.Splice(m.Path, l.Label)
	switch {
	case m.SnodeVersion < oldestSnode:
		c.Drops.Version++
		return
	case !ip.Valid() || label == cjdns.LabelInvalid || m.Path == cjdns.SelfLabel && m.Key != l.Key:
		c.Drops.Label++
		return
	case ip == c.selfIP || len(c.wanted) > 0 && !slices.Contains(c.wanted, m.Key):
		return
	}
	s := c.add(Node{m.Key, ip, m.SnodeVersion, label}, now)
	if s == nil {
		c.Drops.Full++
		return
	}
	s.hearsay = false
	if s.named = now; !s.up {
		// The peer has just found it, perhaps after a long time without.
		asked := s.Label != 0 && s.pause > 0 && now < s.next.Add(seekEvery-s.pause)
		s.Label, s.Version = label, m.SnodeVersion
		if !asked {
			s.pause = 0
			c.confirm(now, s, out)
		}
	}
}

// maxLeft bounds the peers that went.
const maxLeft = 16

// parting is what is remembered of a peer that went.
type parting struct {
	ip       cjdns.IP
	nextHunt mono.Time
	hunts    uint8
}

// rehunt lets all peers be asked again, because a supernode is gone.
func (c *Client) rehunt(now mono.Time) {
	for _, l := range c.links {
		l.nextHunt, l.hunts = now, 0
	}
}

// prey returns the peer to ask next which supernode it uses, or to tell of
// ours; nil if there is no reason to ask anybody. Peers are asked while none
// is up, or one that is configured is missing.
func (c *Client) prey() (best *link) {
	all := c.active == nil || slices.ContainsFunc(c.list, func(s *snode) bool { return s.wanted && !s.up })
	for _, l := range c.links {
		if (all || l.tell) && l.Version >= oldestSnode && (best == nil || l.nextHunt < best.nextHunt) {
			best = l
		}
	}
	return best
}

// seek asks s for a sign of life, and searches a configured one to which no
// way is known.
func (c *Client) seek(now mono.Time, s *snode, out *Out) {
	known := true
	if !s.up && s.IP != c.selfIP {
		var n Node
		if n, known = c.finder.Path(now, s.IP); known {
			s.Node = n
		}
	}
	c.confirm(now, s, out)
	if !known && s.wanted && len(c.links) > 0 {
		c.finder.Search(now, s.IP, 0, 0, out)
	}
}

// hunt asks the peer whose turn it is.
func (c *Client) hunt(now mono.Time, out *Out) {
	l := c.prey()
	if l == nil || now < max(l.nextHunt, c.nextHunt) {
		return
	}
	c.nextHunt = now.Add(huntQuick)
	// For the other end we may not have been up yet. A stock node may find its
	// supernode later, and does not tell.
	l.nextHunt = now.Add(min(huntAgain<<l.hunts, huntSlow))
	l.tell = l.tell && l.hunts == 0
	l.hunts = min(l.hunts+1, 6)
	c.control(now, l, cjdns.CtrlGetSnodeQuery, out)
}

// control asks the peer at the other end of l something.
func (c *Client) control(now mono.Time, l *link, t cjdns.ControlType, out *Out) {
	if l.cookieAt == 0 || now.Sub(l.cookieAt) > askTime {
		c.cfg.Rand(l.cookie[:])
	}
	l.cookieAt = max(now, 1)
	out.Controls = append(out.Controls, ControlQuery{Label: l.Label, Type: t, Cookie: l.cookie})
}

// add makes an entry for a supernode, or returns the one that there is; nil if
// there is no room.
func (c *Client) add(n Node, now mono.Time) *snode {
	for _, s := range c.list {
		if s.IP == n.IP {
			return s
		}
	}
	if c.Len() >= MaxSupernodes {
		at := slices.IndexFunc(c.list, func(s *snode) bool { return !s.wanted && !s.up && s.IP != c.selfIP })
		if at < 0 {
			return nil
		}
		c.list = slices.Delete(c.list, at, at+1)
	}
	s := &snode{Node: n, wanted: slices.Contains(c.wanted, n.Key), next: now, named: now}
	c.list = append(c.list, s)
	c.sort()
	return s
}

// sort puts the supernodes that are to be preferred first.
func (c *Client) sort() {
	sort.SliceStable(c.list, func(i, j int) bool {
		a, b := c.list[i], c.list[j]
		return cmp.Or(c.rank(a)-c.rank(b), bytes.Compare(a.Key[:], b.Key[:])) < 0
	})
}

// unranked is the rank of a supernode that a peer has named; that of one known
// by hearsay is one more.
const unranked = math.MaxInt16

// rank orders supernodes: ourselves, those configured, those that peers name,
// the others.
func (c *Client) rank(s *snode) int {
	if s.IP == c.selfIP {
		return -1
	}
	if i := slices.Index(c.wanted, s.Key); i >= 0 {
		return i
	}
	if s.hearsay {
		return unranked + 1
	}
	return unranked
}

// elect chooses the active supernode. It begins anew with announcements if
// that is another one.
func (c *Client) elect(now mono.Time) {
	old := c.active
	if old != nil && old.up && slices.Contains(c.list, old) && c.rank(old) < unranked {
		// A configured one stays; ourselves we prefer to anybody.
		if !c.role || old.IP == c.selfIP {
			return
		}
	}
	c.active = nil
	for _, s := range c.list {
		if s.up && (c.active == nil || s == old && c.rank(c.active) == c.rank(s)) {
			c.active = s
		}
	}
	if c.active != old {
		c.finder.Served(now, c.active != nil)
		c.restart(now, false)
		if c.active != nil {
			for _, l := range c.links {
				l.tell, l.nextHunt, l.hunts = true, now, 0
			}
		}
	}
}

// confirm asks a supernode for a sign of life, if a way to it is known. One
// that is not up is asked less and less often.
func (c *Client) confirm(now mono.Time, s *snode, out *Out) {
	s.next = now.Add(c.finder.jitter(checkEvery))
	if !s.up {
		s.pause = min(max(2*s.pause, seekEvery), maxSnodeWay)
		s.next = now.Add(s.pause)
	}
	if s.Label == 0 {
		return
	}
	if m := c.ask(now, s, snodeAsk{kind: askConfirm, until: now.Add(confirmWait)}, out); m != nil {
		m.SubQuery = "pn"
	}
}
