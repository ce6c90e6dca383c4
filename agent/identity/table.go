package identity

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Limits and times of the table.
const (
	// MaxPeers is how many addresses of hard interfaces there may be with a
	// verified claim.
	MaxPeers = 4096
	// restTime is how long an address was silent at least before it makes room.
	restTime = time.Minute
	// A claim that was not heard for staleClaim gives way to another key;
	// staleSecond is the same for the one that is not believed.
	staleClaim  = 10 * time.Second
	staleSecond = time.Minute
	// An address is protected against OGMs without identity for as long as it
	// had one, within these bounds: the upper one is three lifetimes.
	protectMin   = 10 * time.Second
	protectTimes = 3
	// showTime is how long an attack is shown.
	showTime = time.Minute
	// lowerTime is how long an answered challenge excuses a lower boot counter.
	lowerTime = time.Minute
)

// Table is what is known of the identities of others.
type Table struct {
	a     cjdns.VerifyKey // this node's own: records by it are nobody else's
	peers map[batman.MAC]*Peer
	list  []*Peer // the same
	nodes map[nodeKey]*Node
	queue queue
}

// nodeKey names a node: one key may be on several primary addresses.
type nodeKey struct {
	y   cjdns.VerifyKey // without the sign
	mac batman.MAC
}

func keyOf(a cjdns.VerifyKey, mac batman.MAC) nodeKey {
	a[31] &= 0x7f
	return nodeKey{a, mac}
}

// Node is a node whose record was verified.
type Node struct {
	Record
	ID     ID
	Key    cjdns.Key
	IP     cjdns.IP
	points int // addresses that it claims

	answered bool // a challenge, in this boot
	standing bool // a session of the overlay
	nonce    Nonce
	nonceAt  mono.Time
	asked    bool // nonce is worth something

	lower   uint32 // boot of an answered challenge
	lowerAt mono.Time
	lowered bool

	roamed bool // a roaming packet of this boot came
	roam   uint32
}

// Alive reports whether the node answered something that was never sent
// before.
func (n *Node) Alive() bool { return n.answered || n.standing }

// Lowered reports whether n proved that its boot counter began anew; its record
// of that boot is believed for a minute.
func (n *Node) Lowered() bool { return n.lowered }

// Peer is an address of a hard interface that records claim. Two at most are
// heeded.
type Peer struct {
	MAC    batman.MAC
	claims []claim
	cur    int // the one that is believed
	made   mono.Time

	forged, stripped, conflict hit
}

// hit is when something was seen last.
type hit struct {
	at mono.Time
	ok bool
}

func (h *hit) see(now mono.Time)        { h.at, h.ok = now, true }
func (h hit) recent(now mono.Time) bool { return h.ok && now.Sub(h.at) < showTime }

// NewTable makes an empty table. a is this node's own key.
func NewTable(a cjdns.VerifyKey) *Table {
	return &Table{a: a, peers: map[batman.MAC]*Peer{}, nodes: map[nodeKey]*Node{}}
}

// trusted reports whether p's address belongs to somebody: OGMs that do not
// fit are refused.
func (p *Peer) trusted(now mono.Time) bool {
	if len(p.claims) == 0 {
		return false
	}
	c := &p.claims[p.cur]
	return c.heard && now.Sub(c.lastNew) < c.protect()
}

// Node returns the node that an address belongs to now; nil if that is not
// known.
func (t *Table) Node(now mono.Time, mac batman.MAC) *Node {
	if p := t.peers[mac]; p != nil && p.trusted(now) && p.claims[p.cur].begun {
		return p.claims[p.cur].node
	}
	return nil
}

// State is what is shown of an address.
type State uint8

// States.
const (
	StateNone     State = iota // unsigned, as far as the table knows
	StateVerified              // the newest OGM fitted
	StateForged                // somebody sends OGMs that do not fit
	StateStripped              // the same, without a container
	StateConflict              // two keys claim it
)

// State returns it.
func (t *Table) State(now mono.Time, mac batman.MAC) State {
	p := t.peers[mac]
	switch {
	case p == nil || !p.trusted(now):
		return StateNone
	case p.conflict.recent(now):
		return StateConflict
	case p.forged.recent(now):
		return StateForged
	case p.stripped.recent(now):
		return StateStripped
	}
	return StateVerified
}

// SetStanding tells whether a session with a key stands, whose node is at mac.
// One key has one session: if it moves, the node where it was has none.
func (t *Table) SetStanding(key cjdns.Key, mac batman.MAC, up bool) {
	for _, n := range t.nodes {
		if n.Key == key {
			n.standing = up && n.MAC() == mac
		}
	}
}

// install makes a verified record count. It returns what is to be told, and
// nil if the record is old by now or there is no room.
func (t *Table) install(now mono.Time, r *Record, id ID, key cjdns.Key, ip cjdns.IP) (n *Node, text string) {
	k := keyOf(r.A, r.MAC())
	n = t.nodes[k]
	switch {
	case n == nil:
		if n, text = t.addNode(now, k, r); n == nil {
			return nil, text
		}
	case r.Newer(&n.Record):
	case r.Boot < n.Boot && n.lowered && n.lower == r.Boot && now.Sub(n.lowerAt) < lowerTime:
	default:
		return nil, ""
	}
	if r.Boot != n.Boot || n.lowered {
		n.answered, n.roamed, n.lowered = false, false, false
		t.forgetChains(n)
	}
	n.Record, n.ID, n.Key, n.IP = *r, id, key, ip
	for i := range r.Points[:r.N] {
		if clash := t.addPoint(now, n, &r.Points[i]); clash && text == "" {
			text = "two keys claim " + r.Points[i].MAC.String()
		}
	}
	t.dropClaims(n, r)
	if n.points == 0 {
		delete(t.nodes, k)
		return nil, text
	}
	return n, text
}

// addNode makes the entry of a node that is not known yet.
func (t *Table) addNode(now mono.Time, k nodeKey, r *Record) (*Node, string) {
	if t.peers[k.mac] == nil && !t.room(now) {
		return nil, ""
	}
	text := ""
	var before *Node // the same run under another address: that is not its own any more
	for _, p := range t.list {
		c := &p.claims[p.cur]
		switch n := c.node; {
		case p.MAC != n.MAC() || !n.A.SameNode(r.A):
		case n.Boot == r.Boot && r.Newer(&n.Record):
			before = n
		case p.trusted(now) && now.Sub(c.lastNew) < restTime:
			text = "one key on " + p.MAC.String() + " and " + k.mac.String() + ": a copied key, or an address that changed"
		}
	}
	if before != nil {
		t.dropClaims(before, r)
	}
	n := &Node{Record: *r}
	t.nodes[k] = n
	return n, text
}

// has reports whether the record names an address.
func (r *Record) has(mac batman.MAC) bool {
	for i := range r.Points[:r.N] {
		if r.Points[i].MAC == mac {
			return true
		}
	}
	return false
}

// room reports whether there may be one more address. If the table is full,
// the one that was silent for longest makes room.
func (t *Table) room(now mono.Time) bool {
	if len(t.list) < MaxPeers {
		return true
	}
	var old *Peer
	for _, p := range t.list {
		if old == nil || p.last() < old.last() {
			old = p
		}
	}
	if now.Sub(old.last()) < restTime {
		return false
	}
	t.remove(old)
	return true
}

// last is when p was heard last, or else made.
func (p *Peer) last() mono.Time {
	at := p.made
	for i := range p.claims {
		at = max(at, p.claims[i].lastNew)
	}
	return at
}

func (t *Table) remove(p *Peer) {
	for i := range p.claims {
		t.unclaim(p.claims[i].node)
	}
	p.claims = nil
	delete(t.peers, p.MAC)
	if i := slices.Index(t.list, p); i >= 0 {
		t.list = slices.Delete(t.list, i, i+1)
	}
}

// Tick forgets what nobody needs any more; call it once a second.
func (t *Table) Tick(now mono.Time) (lost []Held) {
	for i := len(t.list) - 1; i >= 0; i-- {
		p := t.list[i]
		for j := range p.claims {
			if c := &p.claims[j]; c.heard && p.MAC == c.node.MAC() && now.Sub(c.lastNew) >= restTime {
				c.node.answered = false
			}
		}
		if !p.trusted(now) && now.Sub(p.last()) >= restTime {
			t.remove(p)
		}
	}
	return t.queue.expire(now)
}
