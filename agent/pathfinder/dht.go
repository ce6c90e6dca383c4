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
	maxPending    = 128              // queries without an answer yet
	maxListed     = 8                // nodes in one answer; cjdns lists as many
	refreshTime   = 30 * time.Second // between questions for the links of a peer
	refreshSlow   = 80 * time.Second // the same if it has said nothing new; less than a session lives
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
	upkeep   upkeep
	// listed is told by which label a peer says that it sees us; nil: nobody
	// wants to know.
	listed func(now mono.Time, label, back cjdns.Label)
	// first asks a supernode for the way to ip and returns until when no
	// others should be asked; 0 if there is none, and nil without a client.
	first func(now mono.Time, ip cjdns.IP, out *Out) mono.Time
	// client is who looks for supernodes and knows which are used; nil: nobody.
	client *Client
	// Counters of what was refused.
	BadMessages, Unasked uint64
	Asked                uint64 // questions sent
}

type peer struct {
	Node
	silent  uint8 // questions for its links without an answer
	known   bool  // the last answer has said nothing new
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
	if f.nodes[n.IP] == nil && f.full() && !f.evict(now, true) {
		f.evictAny()
	}
	e, _ := f.learn(now, n)
	if e == nil {
		return // ourselves, or no label
	}
	e.peer = n.Label
	for i := range e.routes {
		if e.routes[i].Label == n.Label {
			e.routes[i].BadUntil, e.routes[i].fails, e.routes[i].Verified = now, 0, now
			e.routes[i].Last, e.routes[i].metric, e.routes[i].Source = now, 255, FromPeer
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
	f.stir(now)
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
	f.stir(now)
}

// Heard tells that authenticated traffic of n has come along n.Label.
func (f *Finder) Heard(now mono.Time, n Node) {
	if f.nodes[n.IP] == nil && f.full() {
		f.evict(now, true)
	}
	e, fresh := f.learn(now, n)
	if e == nil {
		return
	}
	if !e.answered() {
		f.prove(e)
	}
	for i := range e.routes {
		if r := &e.routes[i]; r.Label == n.Label {
			if fresh {
				r.Source = FromTraffic
			}
			r.Verified, r.Last, r.BadUntil, r.fails, r.silent = now, now, now, 0, 0
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
	reply.TxID, reply.Back = slices.Clone(m.TxID), from.Label
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
	case querySnode:
		reply.Nodes = f.tellSnodes(from)
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
