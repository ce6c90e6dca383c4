package pathfinder

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds and intervals of what a node does with supernodes.
const (
	MaxSupernodes = 8 // known at once, beside ourselves
	MaxRouteAsks  = 64
	maxSnodeWay   = 60 * time.Second // longest pause between searches for a configured one

	huntQuick    = 100 * time.Millisecond // between questions to peers
	huntAgain    = time.Second            // before a peer is asked for the second time, doubled each time up to
	huntSlow     = time.Minute
	askTime      = 3 * time.Second // until when an answer of a peer counts
	seekEvery    = 3 * time.Second // between signs of life of one that is not up
	confirmWait  = time.Second
	announceWait = 3 * time.Second
	checkEvery   = 30 * time.Second // between signs of life of those that are known
	maxMissed    = 2
	namedTime    = 5 * time.Minute // one that only peers named, and that does not answer
	oldestSnode  = 20
	latestTime   = 1 << 59 // ms since 1970: announcements have 60 bits for it

	// RouteWait is how long the answer of one supernode is waited for before
	// the next is asked, and how long a label of theirs is tried before others
	// are asked too.
	RouteWait = 600 * time.Millisecond
)

// ControlQuery is a control frame that the node shall send to the peer at
// Label.
type ControlQuery struct {
	Label  cjdns.Label
	Type   cjdns.ControlType // CtrlGetSnodeQuery or CtrlRPathQuery
	Cookie [8]byte           // the opaque bytes
}

// ClientDrops counts what the client refused, by reason.
type ClientDrops struct {
	Unasked uint64 // answers that nobody asked for
	Label   uint64 // labels that cannot be, or lead to another key
	Version uint64 // too old
	Full    uint64 // questions for which there was no room
}

// Client asks supernodes for ways and tells one of them of our links. What
// they answer is a claim like any other: a label is learned, tried and
// measured as if a peer had named it.
//
// A peer says which supernode it uses (GETSNODE); configured keys are searched
// as well, and if there are any, no others are used. One that answers with its
// time is up. The first of those that are up is active, in the order of the
// configuration, then in that of their keys; it stays so while it answers.
//
// Source: cjdns subnode/SupernodeHunter.c, subnode/SubnodePathfinder.c.
type Client struct {
	cfg    Config
	selfIP cjdns.IP
	finder *Finder

	wanted []cjdns.Key // configured; empty: any
	role   bool        // we are one ourselves
	list   []*snode
	active *snode
	links  []*link // ascending by label
	asks   map[uint64]*snodeAsk

	find        bool // see Find
	testimonies []testimony

	nextHunt mono.Time // when the next peer may be asked
	left     []parting // peers that went, so that one that comes and goes is not asked each time

	advice []Advice // the last answers, the oldest first

	announcer
	Drops ClientDrops
	Asked uint64 // questions for ways sent
}

// snode is a supernode that we know of.
type snode struct {
	Node
	wanted bool
	up     bool
	missed uint8
	// hearsay: neither the configuration nor a peer has named it.
	hearsay bool
	// offset is its time in ms since 1970, less ours in ms.
	offset int64
	rtt    time.Duration
	next   mono.Time // next sign of life
	pause  time.Duration
	named  mono.Time // when a peer named it last
}

type askKind uint8

const (
	askConfirm askKind = iota
	askRoute
	askAnnounce
)

// snodeAsk is a question to a supernode without an answer yet.
type snodeAsk struct {
	kind   askKind
	to     cjdns.IP
	target cjdns.IP // of askRoute
	at     mono.Time
	until  mono.Time
	tried  []cjdns.IP // of askRoute: who was asked before
}

// NewClient returns a Client that knows no supernode. What it learns goes into
// f.
func NewClient(cfg Config, f *Finder) *Client {
	c := &Client{cfg: cfg, selfIP: cfg.Self.IP(), finder: f, asks: make(map[uint64]*snodeAsk), announcer: newAnnouncer()}
	f.listed, f.client = c.peerListed, c
	f.first = func(now mono.Time, ip cjdns.IP, out *Out) mono.Time {
		if !c.Ask(now, ip, out) {
			return 0
		}
		return now.Add(RouteWait)
	}
	return c
}

// SetSupernodes says which supernodes may be used; none means any that a peer
// names, so those that only the configuration named are left. role says that we
// are one ourselves.
func (c *Client) SetSupernodes(now mono.Time, keys []cjdns.Key, role bool, out *Out) {
	c.wanted, c.role = slices.Clone(keys), role
	c.list = slices.DeleteFunc(c.list, func(s *snode) bool {
		return s.IP == c.selfIP || (s.wanted || len(keys) > 0) && !slices.Contains(keys, s.Key)
	})
	for _, s := range c.list {
		s.wanted = slices.Contains(keys, s.Key)
		s.hearsay = s.hearsay && !s.wanted
	}
	if role {
		c.add(Node{c.cfg.Self, c.selfIP, c.cfg.Protocol, cjdns.SelfLabel}, now)
	}
	for _, k := range keys {
		if k != c.cfg.Self {
			c.add(Node{Key: k, IP: k.IP()}, now)
		}
	}
	c.sort()
	c.elect(now)
	c.rehunt(now)
	c.Expire(now, out)
}

// Active returns the supernode in use, with the way to it.
func (c *Client) Active() (Node, bool) {
	if c.active == nil {
		return Node{}, false
	}
	return c.active.Node, true
}

// ask sends one question and remembers that it did. The caller completes the
// message that it returns; nil if there is no room.
func (c *Client) ask(now mono.Time, s *snode, a snodeAsk, out *Out) *cjdns.Message {
	if len(c.asks) >= MaxRouteAsks {
		c.Drops.Full++
		return nil
	}
	var cookie [8]byte
	c.cfg.Rand(cookie[:])
	a.to, a.at = s.IP, now
	c.asks[binary.BigEndian.Uint64(cookie[:])] = &a
	m := c.finder.Envelope(s.Label)
	m.TxID = append([]byte("03"), cookie[:]...)
	out.Queries = append(out.Queries, Query{To: s.Node, Msg: m, AnyWay: true})
	return m
}

// Ask asks the active supernode for a way to ip. It reports false if there is
// none to ask. What comes of it the Finder learns.
func (c *Client) Ask(now mono.Time, ip cjdns.IP, out *Out) bool {
	if c.active == nil || ip == c.active.IP || ip == c.selfIP {
		return false
	}
	for _, a := range c.asks {
		if a.kind == askRoute && a.target == ip {
			return true
		}
	}
	return c.askRoute(now, c.active, ip, nil, out)
}

func (c *Client) askRoute(now mono.Time, s *snode, ip cjdns.IP, tried []cjdns.IP, out *Out) bool {
	m := c.ask(now, s, snodeAsk{kind: askRoute, target: ip, until: now.Add(RouteWait), tried: append(tried, s.IP)}, out)
	if m == nil {
		return false
	}
	m.SubQuery, m.Source, m.Target = "gr", slices.Clone(c.selfIP[:]), slices.Clone(ip[:])
	c.Asked++
	return true
}

// HandleReply takes an answer that came from a node. It reports whether it is
// one to a question of the client.
func (c *Client) HandleReply(now mono.Time, from Node, m *cjdns.Message, out *Out) bool {
	if m.Query != "" || m.SubQuery != "" || len(m.TxID) != 10 || string(m.TxID[:2]) != "03" {
		return false
	}
	cookie := binary.BigEndian.Uint64(m.TxID[2:])
	a := c.asks[cookie]
	if a == nil || a.to != from.IP {
		c.Drops.Unasked++
		return true
	}
	delete(c.asks, cookie)
	at := slices.IndexFunc(c.list, func(s *snode) bool { return s.IP == from.IP })
	if at < 0 {
		return true
	}
	s := c.list[at]
	if m.RecvTime <= 0 || m.RecvTime >= latestTime || m.Version < oldestSnode {
		c.missed(now, s, a, out) // some other node, or a liar
		return true
	}
	c.answered(now, s, a, m.RecvTime)
	switch a.kind {
	case askRoute:
		c.routed(now, s, a, m, out)
	case askAnnounce:
		c.announced(now, s, m)
	}
	return true
}

// answered notes a sign of life of s.
func (c *Client) answered(now mono.Time, s *snode, a *snodeAsk, recv int64) {
	d := now.Sub(a.at)
	if s.rtt == 0 {
		s.rtt = d
	}
	s.rtt = max(1, s.rtt+(d-s.rtt)/4)
	// It got the question half a round trip ago, as far as we know.
	offset := recv - int64(a.at.Add(d/2))/int64(time.Millisecond)
	if change := offset - s.offset; !s.up || max(change, -change) > rebaseAfter.Milliseconds() {
		s.offset = offset // its clock was set
	} else {
		s.offset += change / 2
	}
	s.missed, s.pause = 0, 0
	if !s.up {
		s.up = true
		c.elect(now)
	}
}

// missed notes that s gave no answer to a.
func (c *Client) missed(now mono.Time, s *snode, a *snodeAsk, out *Out) {
	if s.missed++; s.missed >= maxMissed && s.up && s.IP != c.selfIP {
		s.up, s.next = false, now
		c.elect(now)
		c.rehunt(now)
	}
	switch a.kind {
	case askRoute:
		c.advised(now, a.target, a.to, WordSilence)
		c.askNext(now, a, out)
	case askAnnounce:
		c.unanswered(now)
	}
}

// askNext asks another supernode that is up, or gives up.
func (c *Client) askNext(now mono.Time, a *snodeAsk, out *Out) {
	for _, s := range c.list {
		if s.up && s.IP != a.target && !slices.Contains(a.tried, s.IP) && c.askRoute(now, s, a.target, a.tried, out) {
			c.finder.Await(now, a.target, now.Add(RouteWait))
			return
		}
	}
	c.finder.NotTold(now, a.target, out)
}

// routed takes the way that s names.
func (c *Client) routed(now mono.Time, s *snode, a *snodeAsk, m *cjdns.Message, out *Out) {
	said := WordNone
	for _, ref := range m.Nodes[:min(len(m.Nodes), 1)] { // nobody names more
		said = WordFalse
		switch {
		case ref.Key.IP() != a.target:
			c.Drops.Label++
		case ref.Version < oldestVersion:
			c.Drops.Version++
		case !c.usable(ref.Label):
			c.Drops.Label++
		default:
			c.advised(now, a.target, s.IP, WordWay)
			c.finder.Told(now, Node{ref.Key, a.target, ref.Version, ref.Label}, out)
			return
		}
	}
	c.advised(now, a.target, s.IP, said)
	c.askNext(now, a, out)
}

// usable reports whether label can be a path of ours: it has a length, its
// first hop is a peer that is there, and it does not come back to us at once.
func (c *Client) usable(label cjdns.Label) bool {
	if label <= cjdns.SelfLabel || label.Len() > maxLabelLen {
		return false
	}
	first, width := cjdns.PortOf(label)
	return slices.ContainsFunc(c.links, func(l *link) bool {
		// The same peer may be written in a wider form.
		port, _ := cjdns.PortOf(l.Label)
		return port == first && (l.back == 0 || !cjdns.RoutesThrough(label>>width, l.back))
	})
}

// Deadline returns when Expire should be called next.
func (c *Client) Deadline() mono.Time {
	d := c.announceDue()
	if l := c.prey(); l != nil {
		d = mono.Min(d, max(l.nextHunt, c.nextHunt))
	}
	for _, a := range c.asks {
		d = mono.Min(d, a.until)
	}
	for _, s := range c.list {
		d = mono.Min(d, s.next)
	}
	for _, l := range c.links {
		if c.active != nil {
			d = mono.Min(d, l.nextBack)
		}
	}
	return d
}

// Expire does what is due at now.
func (c *Client) Expire(now mono.Time, out *Out) {
	for _, cookie := range c.late(now) {
		a := c.asks[cookie]
		delete(c.asks, cookie)
		for _, s := range c.list {
			if s.IP == a.to {
				c.missed(now, s, a, out)
				break
			}
		}
	}
	c.list = slices.DeleteFunc(c.list, func(s *snode) bool {
		return !s.wanted && !s.up && s.IP != c.selfIP && now.Sub(s.named) > namedTime
	})
	for _, s := range c.list {
		if now >= s.next {
			c.seek(now, s, out)
		}
	}
	c.hunt(now, out)
	c.askBacks(now, out)
	c.announce(now, out)
}

// late returns the questions that are out of time, in the order in which they
// were asked.
func (c *Client) late(now mono.Time) (list []uint64) {
	for cookie, a := range c.asks {
		if now >= a.until {
			list = append(list, cookie)
		}
	}
	sort.Slice(list, func(i, j int) bool {
		x, y := list[i], list[j]
		return cmp.Or(cmp.Compare(c.asks[x].at, c.asks[y].at), cmp.Compare(x, y)) < 0
	})
	return list
}
