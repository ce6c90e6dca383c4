package pathfinder

import (
	"bytes"
	"slices"
	"sort"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds of searches. Stock cjdns runs 30 at once and asks 20 nodes in each.
const (
	MaxSearches   = 32
	maxAsked      = 32
	maxParallel   = 3
	maxNamed      = 128 // nodes that answers name, in each
	maxClaims     = 16  // ways to the target that they name
	maxRepeats    = 2   // of the question for a peer's links
	searchTimeout = 8 * time.Second
)

// search looks for one address: it asks the known nodes nearest to it for
// nodes still nearer, until somebody names the target itself and that answers.
type search struct {
	target  cjdns.IP
	began   mono.Time
	ask     mono.Time // nobody is asked before
	hold    mono.Time // it does not fail before: a peer may come up that knows
	snode   mono.Time // no node is asked before: a supernode was, or a way is being tried
	told    cjdns.Label
	found   cjdns.Label // the last one that was reported
	asked   map[cjdns.IP]asked
	running int // questions without an answer
	turn    int // questions so far
	most    int // how many there may be
	quiet   bool
	named   []Node        // by answers, on the way to the target
	claims  []claim       // ways to the target that were named, not tried yet
	took    []cjdns.Label // to those that were asked
	tried   []cjdns.Label // of the target, without an answer so far
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
	s := &search{target: ip, began: now, ask: ask, hold: hold, most: maxAsked, asked: make(map[cjdns.IP]asked)}
	f.searches[ip] = s
	if f.first != nil && now >= ask {
		s.snode = f.first(now, ip, out)
	}
	f.step(now, s, out)
	return true
}

// Searching reports whether a search for ip is running.
func (f *Finder) Searching(ip cjdns.IP) bool { return f.searches[ip] != nil }

// step moves s on: it ends it, or tries a way, or asks the next nodes.
func (f *Finder) step(now mono.Time, s *search, out *Out) {
	if f.settled(now, s, out) {
		return
	}
	for now >= max(s.ask, s.snode) && s.running < s.parallel() && len(s.asked) < s.most {
		to, ok := f.next(now, s)
		if !ok {
			break
		}
		p := f.ask(now, to, "fn", slices.Clone(s.target[:]), out)
		if p == nil {
			break // too many questions are under way
		}
		if s.asked[to.IP] == silentOnce {
			s.asked[to.IP] = askedTwice
		} else {
			s.asked[to.IP] = askedOnce
			s.took = append(s.took, to.Label)
		}
		p.search = s
		s.running++
		s.turn++
	}
	if s.running <= 0 && now >= max(s.ask, s.hold, s.snode) || now.Sub(s.began) > searchTimeout {
		delete(f.searches, s.target)
		if !s.quiet {
			out.Failed = append(out.Failed, s.target)
		}
	}
}

func (s *search) parallel() int {
	if s.quiet {
		return 1
	}
	return maxParallel
}

// settled ends s if a way to its target has answered lately. Else it tries a
// way that is known or was named, one after the other: a name costs its
// inventor nothing, so the search goes on if nothing answers.
func (f *Finder) settled(now mono.Time, s *search, out *Out) bool {
	n, ok := f.Path(now, s.target)
	if ok && recent(now, f.route(s.target, n.Label)) {
		delete(f.searches, s.target)
		if n.Label != s.found {
			out.Found = append(out.Found, s.target)
		}
		return true
	}
	if s.told != 0 {
		if now < s.snode {
			return false
		}
		f.Bad(now, s.target, s.told)
		s.told, s.snode = 0, 0
		n, ok = f.Path(now, s.target)
	}
	for !ok && len(s.claims) > 0 {
		labels := make([]cjdns.Label, len(s.claims))
		for i := range s.claims {
			labels[i] = s.claims[i].Label
		}
		i := fairest(labels, s.tried)
		c := s.claims[i]
		s.claims = slices.Delete(s.claims, i, i+1)
		if !slices.Contains(s.tried, c.Label) {
			f.told(now, c.Node, c.source)
			n, ok = f.Path(now, s.target)
		}
	}
	if ok {
		s.told, s.found, s.snode = n.Label, n.Label, now.Add(max(RouteWait, f.wait(n.Label)))
		s.tried = append(s.tried, n.Label)
		out.Found = append(out.Found, s.target)
	}
	return false
}

// claim is a way that somebody has named.
type claim struct {
	Node
	source Source
}

// told learns a way that source has named.
func (f *Finder) told(now mono.Time, n Node, source Source) {
	if _, fresh := f.learn(now, n); fresh {
		if r := f.route(n.IP, n.Label); r != nil {
			r.Source = source
		}
	}
}

// claim notes a way to the target of s.
func (s *search) claim(n Node, source Source) {
	if len(s.claims) < maxClaims && n.Label.Len() <= maxLabelLen && !slices.Contains(s.tried, n.Label) &&
		!slices.ContainsFunc(s.claims, func(c claim) bool { return c.Label == n.Label }) {
		s.claims = append(s.claims, claim{n, source})
	}
}

// name notes a node that may know more.
func (s *search) name(n Node) {
	if len(s.named) < maxNamed && n.Label.Len() <= maxLabelLen &&
		!slices.ContainsFunc(s.named, func(c Node) bool { return c.IP == n.IP }) {
		s.named = append(s.named, n)
	}
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
	s := f.searches[n.IP]
	if s == nil {
		f.told(now, n, FromSupernode)
		return
	}
	s.claim(n, FromSupernode)
	f.NotTold(now, n.IP, out)
}

// NotTold tells that no supernode knows a way to ip.
func (f *Finder) NotTold(now mono.Time, ip cjdns.IP, out *Out) {
	if s := f.searches[ip]; s != nil && s.told == 0 {
		s.snode = 0
		f.step(now, s, out)
	}
}

// late notes that a question has no answer. A search may ask the node once
// more, and a peer's links are asked for again at once, twice. A way through
// others that gives no answer twice in a row rests.
func (f *Finder) late(now mono.Time, p *pending) {
	if s := p.search; s != nil {
		s.running--
		if s.asked[p.to] == askedOnce {
			s.asked[p.to] = silentOnce
		}
	}
	if r := f.route(p.to, p.label); r != nil {
		if p.measures {
			r.missed()
		} else if r.silent++; r.silent >= maxSilent && !p.label.IsOneHop() {
			f.Bad(now, p.to, p.label)
		}
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

// next returns whom to ask next, of those that are known and those that were
// named: in turn the nearest that was not asked yet, and the nearest that lies
// in a direction which was not asked much, see fairest. When all were asked,
// it returns those again that did not answer, as radios lose packets.
func (f *Finder) next(now mono.Time, s *search) (Node, bool) {
	for _, state := range [...]asked{0, silentOnce} {
		list := f.candidates(now, s, state)
		if len(list) == 0 {
			continue
		}
		if s.turn%nearShare == 0 {
			return slices.MinFunc(list, func(a, b Node) int { return compareDistance(a.IP, b.IP, s.target) }), true
		}
		sort.Slice(list, func(i, j int) bool { return compareDistance(list[i].IP, list[j].IP, s.target) < 0 })
		labels := make([]cjdns.Label, len(list))
		for i := range list {
			labels[i] = list[i].Label
		}
		return list[fairest(labels, s.took)], true
	}
	return Node{}, false
}

// candidates returns those whom s may ask, and with whom it has come so far as
// state says.
func (f *Finder) candidates(now mono.Time, s *search, state asked) []Node {
	list := make([]Node, 0, len(f.nodes)+len(s.named))
	may := func(n Node) {
		if n.Label != 0 && n.IP != s.target && s.asked[n.IP] == state && (f.cfg.Skip == nil || !f.cfg.Skip(s.target, n.IP)) {
			list = append(list, n)
		}
	}
	for ip, e := range f.nodes {
		if n, ok := f.Path(now, ip); ok && e.version != 0 {
			may(n)
		}
	}
	for _, n := range s.named {
		if f.nodes[n.IP] == nil {
			may(n)
		}
	}
	return list
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
	d := mono.Min(f.nextGC, f.upkeepDue())
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
			pause := refreshTime
			if p.known {
				pause = refreshSlow
			}
			p.nextAsk = now.Add(f.jitter(pause))
			f.askPeers(now, p.Node, 0, 0, out)
		}
	}
	f.keepUp(now, out)
	if now >= f.nextGC {
		f.nextGC = now.Add(10 * time.Second)
		f.prune(now)
	}
}
