package community

import (
	"slices"
	"sort"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Synchronisation: when a peering comes up, and every few minutes, two members
// tell each other the numbers of what they know, and send what the other does
// not know. Admins do so with each other over any distance, and then tell each
// other memberships and invites too.
const (
	syncTime    = 5 * time.Minute
	syncPause   = 20 * time.Second // between summaries to one contact that we begin
	maxTries    = 5                // summaries without an answer
	syncPeers   = 8                // contacts that are told in one round
	spreadPause = 3 * time.Second  // between rounds that news bring about
	spreadTries = 3                // rounds after such a one, each later: messages get lost
	perSummary  = 3                // messages with objects that one summary brings
	messageRoom = MaxMessage - messageHead - batchHead - logHead
)

// contact is a neighbour in the overlay.
type contact struct {
	key  cjdns.Key
	told mono.Time // when we told it our numbers; 0 never
	// tries counts how often since it has said something: stock nodes never
	// do, and are left alone.
	tries int
}

// Contact tells that a peering with k has come up, or that a member is in
// reach.
func (c *Community) Contact(now mono.Time, k cjdns.Key, out *Out) {
	if k == c.self {
		return
	}
	i := slices.IndexFunc(c.contacts, func(o contact) bool { return o.key == k })
	if i < 0 {
		if len(c.contacts) >= maxContacts {
			// The one told first gives way; the table is short.
			i = 0
			for j := range c.contacts {
				if c.contacts[j].told < c.contacts[i].told {
					i = j
				}
			}
			c.contacts = slices.Delete(c.contacts, i, i+1)
		}
		c.contacts = append(c.contacts, contact{key: k})
		i = len(c.contacts) - 1
	}
	c.contacts[i].tries = 0
	c.greet(now, &c.contacts[i], out)
}

// Gone tells that there is no peering with k any more.
func (c *Community) Gone(k cjdns.Key) {
	c.contacts = slices.DeleteFunc(c.contacts, func(o contact) bool { return o.key == k })
}

func (c *Community) greet(now mono.Time, o *contact, out *Out) {
	if !c.In() || o.told != 0 && now.Sub(o.told) < syncPause || o.tries >= maxTries {
		return
	}
	o.told = max(now, 1)
	o.tries++
	c.sendSummary(o.key, true, out)
}

// syncTick tells the contacts in turns, and the other admins if we are one.
func (c *Community) syncTick(now mono.Time, out *Out) {
	if now < c.sync {
		return
	}
	c.sync, c.lastSync = now.Add(syncTime), now
	if c.again > 0 {
		c.again--
		c.sync = now.Add(spreadPause << (spreadTries - c.again))
		for i := range c.contacts {
			if o := &c.contacts[i]; o.tries > 0 { // it has said nothing since
				o.told = 0
			}
		}
	}
	sort.SliceStable(c.contacts, func(i, j int) bool { return c.contacts[i].told < c.contacts[j].told })
	left := syncPeers
	for i := range c.contacts {
		switch o := &c.contacts[i]; {
		case o.tries >= maxTries:
		case left > 0:
			left--
			c.greet(now, o, out)
		case o.told == 0:
			c.sync = mono.Min(c.sync, now.Add(spreadPause)) // it is waiting for news
		}
	}
	if c.isAdmin() {
		c.doubleUses(now, out)
		for _, s := range c.admins {
			if st, _ := c.standing(s.node); st == StandingAdmin && s.node != c.self {
				c.sendSummary(s.node, true, out)
			}
		}
	}
}

// spread tells the contacts and admins soon that something has changed here:
// a revocation must not wait for the next round.
func (c *Community) spread(now mono.Time) {
	for i := range c.contacts {
		c.contacts[i].told = 0
	}
	c.again = spreadTries
	c.sync = mono.Min(c.sync, max(now, c.lastSync.Add(spreadPause)))
	c.nextTick = mono.Min(c.nextTick, c.sync)
}

func (c *Community) sendSummary(to cjdns.Key, ask bool, out *Out) {
	certs := c.OwnCerts()
	if certs == nil {
		return
	}
	s := summary{ask: ask, certs: certs}
	for _, o := range c.signers() {
		e := state{id: o.id, cert: o.cert.Number, through: c.through(o)}
		for i := range o.pages {
			e.pages[i] = o.pages[i].Number
		}
		s.states = append(s.states, e)
	}
	out.Messages = append(out.Messages, Message{to, s.append(messageTo(msgSummary, c.root.id))})
}

// Receive takes a message that came in a session with from.
func (c *Community) Receive(now mono.Time, from cjdns.Key, b []byte, out *Out) {
	kind, community, body, err := parseMessage(b)
	if err != nil {
		c.drops[DropMalformed]++
		return
	}
	for i := range c.contacts {
		if c.contacts[i].key == from {
			c.contacts[i].tries = 0
		}
	}
	source := SourceOf(from)
	if !c.sources.take(now, source) || !c.all.Take(now, allTime, allBurst) {
		c.drops[DropRate]++
		return
	}
	if kind == msgWelcome {
		c.welcomed(now, from, community, body, out)
		return
	}
	if !c.In() || community != c.root.id {
		if c.In() {
			c.drops[DropCommunity]++
		}
		if kind == msgRedeem {
			c.refuse(from, community, body, RefusedCommunity, out)
		}
		return
	}
	switch kind {
	case msgSummary:
		var s summary
		if s, err = parseSummary(body); err == nil {
			c.enqueue(now, c.receiving(source, clone(s.certs), byStranger, func(_ mono.Time, _ int, _ error, out *Out) {
				c.compare(from, s, out)
			}), out)
		}
	case msgObjects:
		var t batch
		if t, err = parseBatch(body); err == nil {
			c.receiveBatch(now, from, t, out)
		}
	case msgRedeem:
		var r redeem
		if r, err = parseRedeem(body); err == nil {
			c.redeemed(now, from, r, out)
		}
	case msgRenew:
		// The certificates come in a summary before this.
		c.renewed(now, from, out)
	default:
		err = errMessage
	}
	if err != nil {
		c.drops[DropMalformed]++
	}
}

// clone copies objects out of a message that the caller wants back.
func clone(list [][]byte) [][]byte {
	out := make([][]byte, len(list))
	for i, b := range list {
		out[i] = slices.Clone(b)
	}
	return out
}

func (c *Community) receiveBatch(now mono.Time, from cjdns.Key, t batch, out *Out) {
	st, _ := c.standing(from)
	if !st.Good() && !c.isSigner(from) {
		c.drops[DropStranger]++
		return
	}
	by := byMember
	if st == StandingAdmin && c.isAdmin() {
		by = byAdmin
	}
	c.enqueue(now, c.receiving(SourceOf(from), clone(t.objects), by, func(_ mono.Time, taken int, _ error, out *Out) {
		if s := c.admin(t.signer); by == byAdmin && s != nil && t.from <= s.through && t.through > s.through {
			s.through = t.through
			taken++
		}
		if t.more && taken > 0 { // else asking again would bring the same again
			c.sendSummary(from, false, out)
		}
	}), out)
}

// isSigner reports whether our membership was signed by the node k: then it
// may tell us what has become of it even if we do not know it as an admin.
func (c *Community) isSigner(k cjdns.Key) bool {
	if c.own == nil {
		return false
	}
	s := c.admin(c.own.Signer)
	return s != nil && s.node == k
}

// compare answers a summary: with what the other does not know, and if it
// asks, with a summary of our own that does not ask. So two nodes are even
// after three messages, or as many as the objects take.
func (c *Community) compare(from cjdns.Key, theirs summary, out *Out) {
	st, _ := c.standing(from)
	if st == StandingRevoked {
		c.sendPages(from, out) // so that it learns why nobody talks to it
	}
	if !st.Good() {
		c.drops[DropStranger]++
		return
	}
	var fresh [][]byte
	for _, s := range c.signers() {
		e := stateOf(theirs.states, s.id)
		if s.cert.Number > e.cert {
			fresh = append(fresh, s.cert.Raw)
		}
		for i := range s.pages {
			if p := &s.pages[i]; p.Number > e.pages[i] && c.counts(s, p.Number) {
				fresh = append(fresh, p.Raw)
			}
		}
	}
	if len(fresh) > 0 {
		c.owes(from)
	}
	left := perSummary
	for len(fresh) > 0 && left > 0 {
		left--
		t := batch{}
		t.objects, fresh = fill(fresh)
		t.more = left == 0 && len(fresh) > 0
		c.sendBatch(from, t, out)
	}
	if st == StandingAdmin && c.isAdmin() {
		for _, s := range c.admins {
			if e := stateOf(theirs.states, s.id); e.through < c.through(s) && left > 0 {
				left = c.sendLog(from, s, e.through, left, out)
			}
		}
	}
	if theirs.ask {
		c.sendSummary(from, false, out)
	}
}

// owes notes that a contact is sent news: as it passes them on, to us too, it
// has them when it speaks again.
func (c *Community) owes(k cjdns.Key) {
	for i := range c.contacts {
		if o := &c.contacts[i]; o.key == k {
			o.tries = max(o.tries, 1)
		}
	}
}

// fill takes as many objects as fit into a message.
func fill(list [][]byte) (these, rest [][]byte) {
	room, n := messageRoom, 0
	for n < len(list) && len(list[n])+2 <= room {
		room -= len(list[n]) + 2
		n++
	}
	return list[:n], list[n:]
}

func (c *Community) sendBatch(to cjdns.Key, t batch, out *Out) {
	out.Messages = append(out.Messages, Message{to, t.append(messageTo(msgObjects, c.root.id))})
}

// through is the number up to which we know the memberships and invites of s.
func (c *Community) through(s *signer) uint32 {
	if s.node == c.self {
		return c.number
	}
	return s.through
}

func stateOf(list []state, id ID) state {
	for _, e := range list {
		if e.id == id {
			return e
		}
	}
	return state{id: id}
}

// sendLog sends memberships and invites of s with numbers above from, in at
// most left messages; it returns how many are left.
func (c *Community) sendLog(to cjdns.Key, s *signer, from uint32, left int, out *Out) int {
	numbers := make(map[string]uint32)
	var list [][]byte
	note := func(h *Head) {
		if h.Signer == s.id && h.Number > from {
			numbers[string(h.Raw)] = h.Number
			list = append(list, h.Raw)
		}
	}
	for _, m := range c.members {
		note(&m.Head)
	}
	for _, v := range c.book {
		if !v.stock {
			note(&v.Head)
		}
	}
	sort.Slice(list, func(i, j int) bool { return numbers[string(list[i])] < numbers[string(list[j])] })
	for more := true; more && left > 0; {
		t := batch{signer: s.id, from: from, through: c.through(s)}
		t.objects, list = fill(list)
		if more = len(list) > 0; more {
			t.through = numbers[string(t.objects[len(t.objects)-1])]
			from = t.through
		}
		left--
		t.more = more && left == 0
		c.sendBatch(to, t, out)
	}
	return left
}

// sendPages sends a node that is a member no more the pages that say so: those
// that name it, and the root's, in which its admin may be revoked. It can then
// ask for another membership, or at least say what is wrong.
func (c *Community) sendPages(k cjdns.Key, out *Out) {
	ip := k.IP()
	sent := 0
	for _, s := range c.signers() {
		for i := range s.pages {
			p := &s.pages[i]
			named := s == &c.root || slices.ContainsFunc(p.Entries, func(e Revocation) bool { return e.what != revokeInvite && e.IP == ip })
			if p.Raw != nil && named && c.counts(s, p.Number) && sent < perSummary {
				c.sendBatch(k, batch{objects: [][]byte{p.Raw}}, out)
				sent++
			}
		}
	}
}
