package pathfinder

import (
	"bytes"
	"slices"
	"sort"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// How soon after the last answer of the supernode the next announcement goes
// out, by the most urgent of what has happened.
// Source: cjdns subnode/ReachabilityAnnouncer.c.
const (
	messageFull  = 500 * time.Millisecond
	firstPeer    = time.Second
	peerGone     = 6 * time.Second
	newPeer      = 12 * time.Second
	nothingNew   = 60 * time.Second
	windowTime   = 10 * time.Second // of a link sample
	againAfter   = 14 * time.Minute // before a supernode forgets; less than agreedTime
	maxAnnounce  = 700              // bytes of entities
	signTime     = 10 * time.Second // after that a job is taken for lost
	backRetry    = 2 * time.Second  // between questions how a peer sees us
	backEvery    = time.Minute      // the same once it is known
	restartPause = time.Second      // between announcements that begin anew
	maxAgain     = 5                // doublings of it
	peerEntity   = 32               // bytes
	metaEntities = 4 + 1 + 7        // version, padding, scheme
	rpathVersion = 21               // the first version that answers CtrlRPathQuery
)

// link is a direct peer, as the client sees it.
type link struct {
	Node
	announce bool
	back     cjdns.Label // its label for us; 0 while unknown
	nextBack mono.Time   // when it is asked for that again
	cookie   [8]byte
	cookieAt mono.Time // 0: no question is open
	proposed mono.Time // when it named a supernode of its own accord
	nextHunt mono.Time // when it may be asked for a supernode
	hunts    uint8     // how often it was, up to 6
	tell     bool      // it shall hear of ours
	sampler
}

// told is what the supernode holds of one of our entities.
type told struct {
	peer  cjdns.AnnouncedPeer // zero for version and scheme
	again mono.Time           // when it is announced again
}

// announcer tells the active supernode of our links: first everything, then
// what has changed, and the state of the links.
type announcer struct {
	log    stateLog
	told   map[entity]told
	reset  bool // the next one begins anew
	again  int  // how often it began anew without success in between
	delay  time.Duration
	last   mono.Time // last answer, or begin
	work   *Job      // being signed, or sent
	sent   []told    // what work will have told, by entity
	states []*link   // whose samples it holds
	counts []uint32  // and how many windows they reach to
	until  mono.Time // when work is lost
	window uint32    // number of the present window of samples
	nextW  mono.Time
	// Accepted counts announcements that a supernode has taken, Restarts how
	// often it did not hold what we thought.
	Accepted, Restarts uint64
}

func newAnnouncer() announcer {
	return announcer{told: make(map[entity]told), reset: true, delay: nothingNew}
}

// wish makes the next announcement come within d of the last.
func (a *announcer) wish(d time.Duration) { a.delay = min(a.delay, d) }

// restart forgets what the supernode holds, because it is another one or does
// not hold it; failed says the latter.
func (c *Client) restart(now mono.Time, failed bool) {
	a := &c.announcer
	a.log, a.reset, a.work, a.delay = stateLog{}, true, nil, firstPeer
	clear(a.told)
	for _, l := range c.links {
		l.told = l.count
	}
	if !failed {
		a.again = 0
		a.last = now.Add(-restartPause)
		return
	}
	a.Restarts++
	a.delay = restartPause << min(a.again, maxAgain)
	a.again++
}

// announceDue returns when the announcer has something to do.
func (c *Client) announceDue() mono.Time {
	a := &c.announcer
	d := a.nextW
	if len(c.links) == 0 {
		d = mono.Never
	}
	switch {
	case a.work != nil:
		return mono.Min(d, a.until)
	case !c.ready():
		return d
	}
	return mono.Min(d, a.last.Add(a.delay))
}

// WindowEnds reports whether a window of link samples has ended; then the
// caller gives a Sample for each link.
func (c *Client) WindowEnds(now mono.Time) bool {
	if now < c.nextW {
		return false
	}
	c.nextW = now.Add(windowTime)
	c.window++
	return true
}

// Sample gives what has been counted on the link at label.
func (c *Client) Sample(label cjdns.Label, t Totals) {
	for _, l := range c.links {
		if l.Label == label {
			l.sample(c.window, t)
		}
	}
}

// setBack notes the label by which the other end of l sees us.
func (c *Client) setBack(now mono.Time, l *link, back cjdns.Label) {
	if back <= cjdns.SelfLabel || uint64(back) != uint64(uint32(back)) {
		c.Drops.Label++
		return
	}
	l.nextBack = now.Add(c.finder.jitter(backEvery))
	if l.back != back {
		l.back = back
		d := firstPeer
		for _, t := range c.told {
			if t.peer.Label != 0 {
				d = newPeer
			}
		}
		c.wish(d)
	}
}

// peerListed notes that the peer at label lists us at back: how peers before
// version 21 are asked.
func (c *Client) peerListed(now mono.Time, label, back cjdns.Label) {
	for _, l := range c.links {
		if l.Label == label && (l.Version < rpathVersion || l.back == 0) {
			c.setBack(now, l, back)
		}
	}
}

// askBacks asks peers how they see us, while there is somebody to tell. Those
// that cannot be asked list us among their links when the Finder asks for
// these.
func (c *Client) askBacks(now mono.Time, out *Out) {
	if c.active == nil {
		return
	}
	for _, l := range c.links {
		if now < l.nextBack {
			continue
		}
		l.nextBack = now.Add(backRetry)
		if l.back != 0 {
			l.nextBack = now.Add(c.finder.jitter(backEvery))
		}
		if l.Version >= rpathVersion {
			c.control(now, l, cjdns.CtrlRPathQuery, out)
		} else {
			c.finder.askPeers(now, l.Node, 0, 0, out)
		}
	}
}

// ready reports whether there is somebody to tell, and something to begin
// with: a first announcement waits until a peer has said how it sees us.
func (c *Client) ready() bool {
	return c.active != nil && (!c.reset || slices.ContainsFunc(c.links, func(l *link) bool { return l.announced().Label != 0 }))
}

// announce makes and signs what is due.
func (c *Client) announce(now mono.Time, out *Out) {
	a := &c.announcer
	if a.work != nil && now >= a.until {
		a.work, a.delay = nil, firstPeer
		a.last = now
	}
	if a.work != nil || !c.ready() || now < a.last.Add(a.delay) {
		return
	}
	ann := c.compose(now)
	ann.Snode = c.active.IP
	ann.Time = uint64(max(1, int64(now)/int64(time.Millisecond)+c.active.offset))
	ann.Time = max(ann.Time, a.log.newest()+1)
	a.work = &Job{ann: ann}
	a.until = now.Add(signTime)
	out.Jobs = append(out.Jobs, a.work)
}

// compose gathers what the supernode does not hold yet, as much as fits.
func (c *Client) compose(now mono.Time) *cjdns.Announcement {
	a := &c.announcer
	ann := &cjdns.Announcement{Reset: a.reset}
	a.sent, a.states, a.counts, a.delay = a.sent[:0], a.states[:0], a.counts[:0], nothingNew
	size := 0
	due := func(e entity) bool { t, ok := a.told[e]; return !ok || now >= t.again }
	if a.reset || due(entVersion) || due(entScheme) {
		ann.Version, ann.Scheme = uint16(c.cfg.Protocol), c.finder.scheme
		size += metaEntities
	}
	have := make(map[entity]bool)
	var peers []cjdns.AnnouncedPeer
	for _, l := range c.links {
		p := l.announced()
		if p.Label == 0 {
			continue
		}
		have[entity(p.PeerNum)] = true
		if t := a.told[entity(p.PeerNum)]; t.peer != p || now >= t.again {
			peers = append(peers, p)
		}
	}
	// What is gone comes first.
	for _, e := range sortedEntities(a.told) {
		if p := a.told[e].peer; p.Label != 0 && !have[e] {
			p.Label = 0
			ann.Peers = append(ann.Peers, p)
		}
	}
	ann.Peers = append(ann.Peers, peers...)
	if most := (maxAnnounce - size) / peerEntity; len(ann.Peers) > most {
		ann.Peers = ann.Peers[:most]
		a.delay = messageFull
	}
	for _, p := range ann.Peers {
		a.sent = append(a.sent, told{peer: p})
	}
	for _, l := range c.links {
		state, ok := l.news(l.peerNum())
		if !ok || l.announced().Label == 0 {
			continue
		}
		ann.Links = append(ann.Links, state)
		if len(ann.Append(nil)) > cjdns.AnnounceHeaderLen+maxAnnounce {
			ann.Links, a.delay = ann.Links[:len(ann.Links)-1], messageFull
			break
		}
		a.states, a.counts = append(a.states, l), append(a.counts, l.count)
	}
	return ann
}

func sortedEntities(m map[entity]told) []entity {
	list := make([]entity, 0, len(m))
	for e := range m {
		list = append(list, e)
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list
}

// peerNum is the number by which announcements refer to l: the label of its
// other end, as nodes of version 22 have it.
func (l *link) peerNum() uint16 { return uint16(l.Label) }

// announced is what is said about l; its Label is 0 if nothing is.
func (l *link) announced() cjdns.AnnouncedPeer {
	if !l.announce || l.back == 0 {
		return cjdns.AnnouncedPeer{}
	}
	return cjdns.AnnouncedPeer{Form: uint8(cjdns.FormOf(l.Label)), PeerNum: l.peerNum(), IP: l.IP, Label: uint32(l.back)}
}

// Signed takes an announcement that has been signed and sends it.
func (c *Client) Signed(now mono.Time, j *Job, out *Out) {
	a := &c.announcer
	if a.work != j || !j.ok || c.active == nil || j.ann.Snode != c.active.IP {
		return
	}
	m := c.ask(now, c.active, snodeAsk{kind: askAnnounce, until: now.Add(announceWait)}, out)
	if m == nil {
		a.work, a.last = nil, now
		return
	}
	m.SubQuery, m.Ann = "ann", j.raw
	a.until = now.Add(signTime)
}

// unanswered notes that an announcement has no answer; it is made anew.
func (c *Client) unanswered(now mono.Time) {
	a := &c.announcer
	if a.work == nil {
		return
	}
	// Perhaps it was taken, perhaps not: the hash in the next answer tells.
	a.work, a.last, a.delay = nil, now, firstPeer
}

// announced takes the answer of s to an announcement.
func (c *Client) announced(now mono.Time, s *snode, m *cjdns.Message) {
	a := &c.announcer
	j := a.work
	if s != c.active || j == nil || j.raw == nil {
		return
	}
	a.work, a.last = nil, now
	if m.Error != "" && m.Error != "none" {
		c.restart(now, true)
		return
	}
	a.log.add(j.ann, j.raw, maxLog)
	if !bytes.Equal(m.StateHash, a.log.hash[:]) {
		c.restart(now, true)
		return
	}
	a.Accepted++
	a.reset, a.again = false, 0
	if j.ann.Version != 0 {
		t := told{again: now.Add(c.finder.jitter(againAfter))}
		a.told[entVersion], a.told[entScheme] = t, t
	}
	for _, t := range a.sent {
		t.again = now.Add(c.finder.jitter(againAfter))
		if e := entity(t.peer.PeerNum); t.peer.Label == 0 {
			delete(a.told, e)
		} else {
			a.told[e] = t
		}
	}
	for i, l := range a.states {
		l.told = a.counts[i]
	}
}
