package pathfinder

import (
	"bytes"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds of searches. Stock cjdns runs 30 at once and asks 20 nodes in each.
const (
	MaxSearches   = 32
	maxAsked      = 32
	maxParallel   = 3
	maxRepeats    = 2 // of the question for a peer's links
	searchTimeout = 8 * time.Second
)

// search looks for one address: it asks the known node nearest to it for
// nodes still nearer, until somebody names the target itself.
type search struct {
	target  cjdns.IP
	began   mono.Time
	ask     mono.Time // nobody is asked before
	hold    mono.Time // it does not fail before: a peer may come up that knows
	snode   mono.Time // no node is asked before: a supernode was, or its label is being tried
	told    cjdns.Label
	asked   map[cjdns.IP]asked
	running int // questions without an answer
}

// asked says how far a search has come with a node.
type asked uint8

const (
	askedOnce asked = iota + 1
	silentOnce
	askedTwice
)

// Search looks for ip, unless that is going on already. The outcome comes as
// Found or Failed, perhaps within this very call. Nobody is asked before the
// instant ask, and it does not fail before hold: for a caller that has begun
// something by which ip, or somebody to ask, may become a direct peer. It
// reports false if too many searches are running.
func (f *Finder) Search(now mono.Time, ip cjdns.IP, ask, hold mono.Time, out *Out) bool {
	if f.searches[ip] != nil {
		return true
	}
	if len(f.searches) >= MaxSearches {
		return false
	}
	s := &search{target: ip, began: now, ask: ask, hold: hold, asked: make(map[cjdns.IP]asked)}
	f.searches[ip] = s
	if f.first != nil && now >= ask {
		s.snode = f.first(now, ip, out)
	}
	f.step(now, s, out)
	return true
}

// Searching reports whether a search for ip is running.
func (f *Finder) Searching(ip cjdns.IP) bool { return f.searches[ip] != nil }

// step moves s on: it ends it, or asks the next nodes.
func (f *Finder) step(now mono.Time, s *search, out *Out) {
	if n, ok := f.Path(now, s.target); ok && !f.onTrial(now, s, n.Label) {
		delete(f.searches, s.target)
		if n.Label != s.told {
			out.Found = append(out.Found, s.target)
		}
		return
	}
	for now >= max(s.ask, s.snode) && s.running < maxParallel && len(s.asked) < maxAsked {
		next := f.next(now, s)
		if next == nil {
			break
		}
		to := Node{next.key, next.ip, next.version, next.best(now).Label}
		p := f.ask(now, to, "fn", slices.Clone(s.target[:]), out)
		if p == nil {
			break // too many questions are under way
		}
		if s.asked[next.ip] == silentOnce {
			s.asked[next.ip] = askedTwice
		} else {
			s.asked[next.ip] = askedOnce
		}
		p.search = s
		s.running++
	}
	if s.running <= 0 && now >= max(s.ask, s.hold, s.snode) || now.Sub(s.began) > searchTimeout {
		delete(f.searches, s.target)
		out.Failed = append(out.Failed, s.target)
	}
}

// onTrial reports whether label, the best for the target of s, is one that a
// supernode has named and that has not answered yet. Once the trial is over
// without an answer it rests, and the nodes are asked.
func (f *Finder) onTrial(now mono.Time, s *search, label cjdns.Label) bool {
	if s.told == 0 || label != s.told {
		return false
	}
	if r := f.route(s.target, label); r != nil && recent(now, r) {
		return false
	}
	if now < s.snode {
		return true
	}
	f.Bad(now, s.target, label)
	s.told = 0
	_, other := f.Path(now, s.target)
	return !other
}

// Await lets the search for ip ask no nodes before until: a supernode has been
// asked.
func (f *Finder) Await(now mono.Time, ip cjdns.IP, until mono.Time) {
	if s := f.searches[ip]; s != nil {
		s.snode = until
	}
}

// Told takes the way to a node that a supernode names. A search for it tries
// that label, and goes on if nothing answers along it within RouteWait.
func (f *Finder) Told(now mono.Time, n Node, out *Out) {
	_, fresh := f.learn(now, n)
	r := f.route(n.IP, n.Label)
	if fresh && r != nil {
		r.Source = FromSupernode
	}
	s := f.searches[n.IP]
	if s == nil {
		return
	}
	if r == nil || now < r.BadUntil || s.told != 0 {
		f.NotTold(now, n.IP, out)
		return
	}
	s.told, s.snode = n.Label, now.Add(RouteWait)
	out.Found = append(out.Found, n.IP)
	f.step(now, s, out)
}

// NotTold tells that no supernode knows a way to ip.
func (f *Finder) NotTold(now mono.Time, ip cjdns.IP, out *Out) {
	if s := f.searches[ip]; s != nil && s.told == 0 {
		s.snode = 0
		f.step(now, s, out)
	}
}

// late notes that a question has no answer. A search may ask the node once
// more, and a peer's links are asked for again at once, twice.
func (f *Finder) late(now mono.Time, p *pending) {
	if s := p.search; s != nil {
		s.running--
		if s.asked[p.to] == askedOnce {
			s.asked[p.to] = silentOnce
		}
	}
	if r := f.route(p.to, p.label); p.measures && r != nil {
		r.missed()
	}
	for _, q := range f.peers {
		if p.kind == "gp" && q.Label == p.label && q.silent < maxRepeats {
			q.silent++
			q.nextAsk = now
		}
	}
}

// due returns when s moves on by itself.
func (s *search) due() mono.Time {
	d := mono.Never
	for _, t := range [...]mono.Time{s.ask, s.hold, s.snode} {
		if t != 0 {
			d = mono.Min(d, t)
		}
	}
	return d
}

// woken forgets the instants that have come.
func (s *search) woken(now mono.Time) {
	if now >= s.ask {
		s.ask = 0
	}
	if now >= s.hold {
		s.hold = 0
	}
	if now >= s.snode {
		s.snode = 0
	}
}

// next returns whom to ask next: the nearest node that was not asked yet, else
// one that did not answer the first time, as radios lose packets. It returns
// nil if there is nobody.
func (f *Finder) next(now mono.Time, s *search) *entry {
	for _, silent := range [...]bool{false, true} {
		near := f.nearest(now, s.target, 1, func(e *entry) bool {
			if e.ip == s.target || f.cfg.Skip != nil && f.cfg.Skip(s.target, e.ip) {
				return true
			}
			if silent {
				return s.asked[e.ip] != silentOnce
			}
			return s.asked[e.ip] != 0
		})
		if len(near) > 0 {
			return near[0]
		}
	}
	return nil
}

// sorted returns the searches by target, so that map order never shows.
func (f *Finder) sorted() []*search {
	all := make([]*search, 0, len(f.searches))
	for _, s := range f.searches {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *search) int { return bytes.Compare(a.target[:], b.target[:]) })
	return all
}

// Deadline returns when Expire should be called next.
func (f *Finder) Deadline() mono.Time {
	d := f.nextGC
	for _, p := range f.pending {
		d = mono.Min(d, p.until)
	}
	for _, p := range f.peers {
		d = mono.Min(d, p.nextAsk)
	}
	for _, s := range f.searches {
		d = mono.Min(d, s.due())
	}
	return d
}

// Expire gives up on late answers, moves searches on, and refreshes what is
// known about the peers' links.
func (f *Finder) Expire(now mono.Time, out *Out) {
	late := false
	for cookie, p := range f.pending {
		if now < p.until {
			continue
		}
		delete(f.pending, cookie)
		late = true
		f.late(now, p)
	}
	for _, s := range f.sorted() {
		if late || now >= s.due() {
			s.woken(now)
			f.step(now, s, out)
		}
	}
	for _, p := range f.peers {
		if now >= p.nextAsk {
			p.nextAsk = now.Add(f.jitter(refreshTime))
			f.askPeers(now, p.Node, 0, 0, out)
		}
	}
	if now >= f.nextGC {
		f.nextGC = now.Add(10 * time.Second)
		f.prune(now)
	}
}
