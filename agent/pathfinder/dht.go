package pathfinder

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds and intervals of the messages.
const (
	maxPending    = 128 // queries without an answer yet
	maxListed     = 8   // nodes in one answer; cjdns lists as many
	refreshTime   = 30 * time.Second
	minQueryWait  = 400 * time.Millisecond
	maxQueryWait  = 3 * time.Second
	oldestVersion = 16 // the oldest protocol version we talk to
)

// Query is a message that the node shall send to To. Its Form is filled in
// from the label.
type Query struct {
	To  Node
	Msg *cjdns.Message
	// Measures: the time that the answer takes counts, so it should not
	// wait for a handshake.
	Measures bool
	// AnyWay: if there is a session with To, its own path will do.
	AnyWay bool
}

// Out gathers what a step wants done. It belongs to the caller, who empties
// it between steps.
type Out struct {
	Queries []Query
	Found   []cjdns.IP // a search has brought a route
	Failed  []cjdns.IP // a search has ended without one

	// Of the supernode client and the supernode role.
	Controls []ControlQuery
	Jobs     []*Job
	Answers  []Query // late answers, to be sent in sessions that stand
}

// Reset empties o.
func (o *Out) Reset() {
	o.Queries, o.Found, o.Failed = o.Queries[:0], o.Found[:0], o.Failed[:0]
	o.Controls, o.Jobs, o.Answers = o.Controls[:0], o.Jobs[:0], o.Answers[:0]
}

// Empty reports whether nothing is wanted.
func (o *Out) Empty() bool {
	return len(o.Queries)+len(o.Found)+len(o.Failed)+len(o.Controls)+len(o.Jobs)+len(o.Answers) == 0
}

// Config says who we are. Rand fills a slice with random bytes. Skip, if there
// is one, reports that the node ip is not worth asking for target.
type Config struct {
	Self     cjdns.Key
	Protocol uint32
	Rand     func([]byte)
	Skip     func(target, ip cjdns.IP) bool
}

// Finder is the pathfinder of one node. One owner.
type Finder struct {
	cfg      Config
	selfIP   cjdns.IP
	scheme   []byte
	nodes    map[cjdns.IP]*entry
	peers    []*peer // ascending by label
	searches map[cjdns.IP]*search
	pending  map[uint64]*pending
	nextGC   mono.Time
	// listed is told by which label a peer says that it sees us; nil: nobody
	// wants to know.
	listed func(now mono.Time, label, back cjdns.Label)
	// first asks a supernode for the way to ip and returns until when no
	// others should be asked; 0 if there is none, and nil without a client.
	first func(now mono.Time, ip cjdns.IP, out *Out) mono.Time
	// Counters of what was refused.
	BadMessages, Unasked uint64
	Asked                uint64 // questions sent
}

type peer struct {
	Node
	silent  uint8 // questions for its links without an answer
	nextAsk mono.Time
}

type pending struct {
	to     cjdns.IP
	label  cjdns.Label
	at     mono.Time
	until  mono.Time
	kind   string
	search *search // of fn
	tar    uint64  // of gp
	page   uint8   // of gp: how many answers came before

	measures bool // of pn: the answer measures the way
}

// maxPages is how many answers a node may need to list its links: a switch
// has 257 slots.
const maxPages = 33

// New returns an empty Finder.
func New(cfg Config) *Finder {
	return &Finder{
		cfg:      cfg,
		selfIP:   cfg.Self.IP(),
		scheme:   cjdns.SerializeScheme(cjdns.V358),
		nodes:    make(map[cjdns.IP]*entry),
		searches: make(map[cjdns.IP]*search),
		pending:  make(map[uint64]*pending),
	}
}

// Len returns the number of known nodes, Searches the number of active ones.
func (f *Finder) Len() int { return len(f.nodes) }

// Searches returns the number of running searches.
func (f *Finder) Searches() int { return len(f.searches) }

// PeerUp tells that a direct peer can be reached by its one-hop label. The
// peer is asked for its neighbours at once: that carries the handshake of the
// session with it, and repairs a session that it still has from an earlier
// life of ours.
func (f *Finder) PeerUp(now mono.Time, n Node, out *Out) {
	if f.nodes[n.IP] == nil && len(f.nodes) >= MaxNodes+len(f.peers) {
		f.evict(now, true)
	}
	e, _ := f.learn(now, n)
	if e == nil {
		return // ourselves, or no label
	}
	e.peer = n.Label
	for i := range e.routes {
		if e.routes[i].Label == n.Label {
			e.routes[i].BadUntil, e.routes[i].fails, e.routes[i].Verified = now, 0, now
			e.routes[i].metric, e.routes[i].Source = 255, FromPeer
		}
	}
	f.peers = slices.DeleteFunc(f.peers, func(p *peer) bool { return p.Label == n.Label })
	at, _ := slices.BinarySearchFunc(f.peers, n.Label, func(p *peer, l cjdns.Label) int {
		if p.Label < l {
			return -1
		}
		return 1
	})
	f.peers = slices.Insert(f.peers, at, &peer{Node: n, nextAsk: now.Add(f.jitter(refreshTime))})
	f.askPeers(now, n, 0, 0, out)
	// Roads that were closed may be open again, and a search that had
	// nobody left to ask has somebody now.
	for _, e := range f.nodes {
		for i := range e.routes {
			if cjdns.RoutesThrough(e.routes[i].Label, n.Label) {
				e.routes[i].BadUntil = now
			}
		}
	}
	for _, s := range f.sorted() {
		f.step(now, s, out)
	}
}

// PeerMetric tells how good the link to the peer at label is, for as long as
// nothing was measured. 255, the best, is what a peer begins with.
func (f *Finder) PeerMetric(label cjdns.Label, metric uint8) {
	for _, p := range f.peers {
		if p.Label == label {
			if r := f.route(p.IP, label); r != nil {
				r.metric = metric
			}
		}
	}
}

// PeerDown tells that the direct peer at label is gone. Routes through it are
// not used any more.
func (f *Finder) PeerDown(now mono.Time, label cjdns.Label) {
	f.peers = slices.DeleteFunc(f.peers, func(p *peer) bool { return p.Label == label })
	for _, e := range f.nodes {
		if e.peer == label {
			e.peer = 0
			for _, p := range f.peers {
				if p.IP == e.ip {
					e.peer = p.Label // it has another link to us
				}
			}
		}
		e.routes = slices.DeleteFunc(e.routes, func(r Route) bool { return cjdns.RoutesThrough(r.Label, label) })
	}
	f.prune(now)
}

// Heard tells that authenticated traffic of n has come along n.Label.
func (f *Finder) Heard(now mono.Time, n Node) {
	e, fresh := f.learn(now, n)
	if e == nil {
		return
	}
	for i := range e.routes {
		if r := &e.routes[i]; r.Label == n.Label {
			if fresh {
				r.Source = FromTraffic
			}
			r.Verified, r.BadUntil, r.fails = now, now, 0
		}
	}
}

// Bad tells that ip does not answer along label: the route rests for a time
// that doubles with every failure, from one second to 32.
func (f *Finder) Bad(now mono.Time, ip cjdns.IP, label cjdns.Label) {
	e := f.nodes[ip]
	if e == nil {
		return
	}
	for i := range e.routes {
		if r := &e.routes[i]; r.Label == label && now >= r.BadUntil {
			r.BadUntil = now.Add(time.Second << min(r.fails, 5))
			r.Verified = -1
			r.fails++
		}
	}
}

// Path returns the best known way to ip.
func (f *Finder) Path(now mono.Time, ip cjdns.IP) (Node, bool) {
	e := f.nodes[ip]
	if e == nil {
		return Node{}, false
	}
	r := e.best(now)
	if r == nil {
		return Node{}, false
	}
	return Node{Key: e.key, IP: ip, Version: e.version, Label: r.Label}, true
}

// Known returns the key and version of ip, if it was heard of, whether a way
// to it is known or not.
func (f *Finder) Known(ip cjdns.IP) (cjdns.Key, uint32, bool) {
	if e := f.nodes[ip]; e != nil {
		return e.key, e.version, true
	}
	return cjdns.Key{}, 0, false
}

// HandleMessage takes a routing message that came from a node along its
// label. If it is a query, the answer is returned for the caller to send
// along the same label. from.Version is filled in from the message.
func (f *Finder) HandleMessage(now mono.Time, from Node, m *cjdns.Message, out *Out) *cjdns.Message {
	if m.Version < oldestVersion {
		f.BadMessages++
		return nil
	}
	from.Version = m.Version
	if m.SubQuery != "" {
		return nil // for the supernode role
	}
	if m.Query == "" {
		f.handleReply(now, from, m, out)
		return nil
	}
	reply := f.envelope(from)
	reply.TxID = slices.Clone(m.TxID)
	switch m.Query {
	case "gp":
		if len(m.Target) != 8 {
			f.BadMessages++
			return nil
		}
		reply.Nodes = f.links(from, cjdns.Label(binary.BigEndian.Uint64(m.Target)))
	case "fn":
		if len(m.Target) != 16 {
			f.BadMessages++
			return nil
		}
		reply.Nodes = f.near(now, from, cjdns.IP(m.Target))
	case "nh":
		if len(m.Target) != 16 {
			f.BadMessages++
			return nil
		}
		reply.Nodes = f.nextHop(now, from, cjdns.IP(m.Target))
	}
	// Anything else is answered like a ping, as stock nodes do.
	return reply
}

func (f *Finder) envelope(n Node) *cjdns.Message { return f.Envelope(n.Label) }

// Envelope returns a message without a subject, for a recipient at label.
func (f *Finder) Envelope(label cjdns.Label) *cjdns.Message {
	return &cjdns.Message{
		Version:   f.cfg.Protocol,
		Scheme:    f.scheme,
		HasScheme: true,
		Form:      cjdns.FormOf(label),
	}
}

// links lists our own links, ourselves included: the eight with the smallest
// label not below tar, the largest first.
func (f *Finder) links(asker Node, tar cjdns.Label) []cjdns.NodeRef {
	if tar > cjdns.SelfLabel {
		// Only the first director counts.
		bits := cjdns.DirectorBits(tar)
		tar = tar&(1<<bits-1) | 1<<bits
	}
	var list []cjdns.NodeRef
	if tar <= cjdns.SelfLabel {
		list = append(list, cjdns.NodeRef{Key: f.cfg.Self, Label: cjdns.SelfLabel, Version: f.cfg.Protocol})
	}
	for _, p := range f.peers {
		if p.Label >= tar && len(list) < maxListed {
			list = append(list, cjdns.NodeRef{Key: p.Key, Label: forAsker(p.Label, asker.Label), Version: p.Version})
		}
	}
	slices.Reverse(list)
	return list
}

// forAsker returns label in the form in which the asker's packets, arriving
// on its slot, can leave through it.
func forAsker(label, asker cjdns.Label) cjdns.Label {
	if l := cjdns.LabelFor(label, asker); l != cjdns.LabelInvalid {
		return l
	}
	return label
}

// near lists up to eight nodes nearest to target, the farthest first, never
// the asker.
func (f *Finder) near(now mono.Time, asker Node, target cjdns.IP) []cjdns.NodeRef {
	near := f.nearest(now, target, maxListed, func(e *entry) bool {
		return e.ip == asker.IP || cjdns.RoutesThrough(e.best(now).Label, asker.Label)
	})
	list := make([]cjdns.NodeRef, 0, len(near))
	for i := len(near) - 1; i >= 0; i-- {
		e := near[i]
		list = append(list, cjdns.NodeRef{Key: e.key, Label: forAsker(e.best(now).Label, asker.Label), Version: e.version})
	}
	return list
}

// nextHop lists the direct peer through which our best route to target goes.
func (f *Finder) nextHop(now mono.Time, asker Node, target cjdns.IP) []cjdns.NodeRef {
	n, ok := f.Path(now, target)
	if !ok {
		return nil
	}
	for _, p := range f.peers {
		if cjdns.RoutesThrough(n.Label, p.Label) {
			return []cjdns.NodeRef{{Key: p.Key, Label: forAsker(p.Label, asker.Label), Version: p.Version}}
		}
	}
	return nil
}

// ask sends one query and remembers that it did.
func (f *Finder) ask(now mono.Time, to Node, kind string, target []byte, out *Out) *pending {
	if len(f.pending) >= maxPending {
		return nil
	}
	m := f.envelope(to)
	m.Query = kind
	m.Target = target
	var cookie [8]byte
	f.cfg.Rand(cookie[:])
	// "01": both kinds of stock node read a first '0' as the old pathfinder's.
	m.TxID = append([]byte("01"), cookie[:]...)
	p := &pending{to: to.IP, label: to.Label, at: now, until: now.Add(f.wait(to.Label)), kind: kind}
	f.pending[binary.BigEndian.Uint64(cookie[:])] = p
	out.Queries = append(out.Queries, Query{To: to, Msg: m})
	f.Asked++
	return p
}

// wait returns how long an answer along label may take: a bit for every hop.
func (f *Finder) wait(label cjdns.Label) time.Duration {
	return min(maxQueryWait, minQueryWait+time.Duration(label.Len()/4)*50*time.Millisecond)
}

// Ping asks n for an empty message: it carries the handshake of a session and
// proves a path.
func (f *Finder) Ping(now mono.Time, n Node, out *Out) { f.ask(now, n, "pn", nil, out) }

// askPeers asks n for its links whose labels are not below tar.
func (f *Finder) askPeers(now mono.Time, n Node, tar uint64, page uint8, out *Out) {
	if p := f.ask(now, n, "gp", binary.BigEndian.AppendUint64(nil, tar), out); p != nil {
		p.tar, p.page = tar, page
	}
}

// handleReply takes an answer. Answers that nobody asked for are dropped: a
// stranger must not fill our store.
func (f *Finder) handleReply(now mono.Time, from Node, m *cjdns.Message, out *Out) {
	if len(m.TxID) != 10 {
		f.Unasked++
		return
	}
	cookie := binary.BigEndian.Uint64(m.TxID[2:])
	p := f.pending[cookie]
	if p == nil || p.to != from.IP {
		f.Unasked++
		return
	}
	delete(f.pending, cookie)
	f.Heard(now, Node{from.Key, from.IP, from.Version, p.label})
	if r := f.route(from.IP, p.label); p.measures && r != nil {
		r.answered(now, now.Sub(p.at))
	}
	for _, q := range f.peers {
		if p.kind == "gp" && q.Label == p.label {
			q.silent = 0
		}
	}
	last := uint64(0)
	for _, ref := range m.Nodes {
		ip := ref.Key.IP()
		if ip == f.selfIP && p.kind == "gp" && p.label.IsOneHop() && f.listed != nil {
			f.listed(now, p.label, ref.Label)
		}
		if !ip.Valid() || ip == f.selfIP || ref.Version < oldestVersion {
			continue
		}
		last = max(last, uint64(ref.Label))
		if ref.Label <= cjdns.SelfLabel || p.kind == "gp" && !ref.Label.IsOneHop() {
			continue // a node lists its own links, and nothing else
		}
		if l := cjdns.Splice(ref.Label, p.label); l != cjdns.LabelInvalid {
			f.learn(now, Node{ref.Key, ip, ref.Version, l})
		}
	}
	if p.kind == "gp" && len(m.Nodes) >= maxListed && last > p.tar && p.page < maxPages {
		f.askPeers(now, Node{from.Key, from.IP, from.Version, p.label}, last, p.page+1, out)
	}
	for _, s := range f.sorted() {
		if p.search == s {
			s.running--
		}
		f.step(now, s, out)
	}
}

// jitter returns d, more or less a quarter.
func (f *Finder) jitter(d time.Duration) time.Duration {
	var b [2]byte
	f.cfg.Rand(b[:])
	return d*3/4 + d/2*time.Duration(binary.BigEndian.Uint16(b[:]))/65536
}
