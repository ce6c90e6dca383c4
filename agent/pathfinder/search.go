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
	searchTimeout = 8 * time.Second
)

// search looks for one address: it asks the known node nearest to it for
// nodes still nearer, until somebody names the target itself.
type search struct {
	target  cjdns.IP
	began   mono.Time
	asked   map[cjdns.IP]bool
	running int // questions without an answer
}

// Search looks for ip, unless that is going on already. The outcome comes as
// Found or Failed, perhaps within this very call. It reports false if too
// many searches are running.
func (f *Finder) Search(now mono.Time, ip cjdns.IP, out *Out) bool {
	if f.searches[ip] != nil {
		return true
	}
	if len(f.searches) >= MaxSearches {
		return false
	}
	s := &search{target: ip, began: now, asked: make(map[cjdns.IP]bool)}
	f.searches[ip] = s
	f.step(now, s, out)
	return true
}

// Searching reports whether a search for ip is running.
func (f *Finder) Searching(ip cjdns.IP) bool { return f.searches[ip] != nil }

// step moves s on: it ends it, or asks the next nodes.
func (f *Finder) step(now mono.Time, s *search, out *Out) {
	if _, ok := f.Path(now, s.target); ok {
		delete(f.searches, s.target)
		out.Found = append(out.Found, s.target)
		return
	}
	for s.running < maxParallel && len(s.asked) < maxAsked {
		next := f.nearest(now, s.target, 1, func(e *entry) bool { return s.asked[e.ip] || e.ip == s.target })
		if len(next) == 0 {
			break
		}
		e := next[0]
		to := Node{e.key, e.ip, e.version, e.best(now).Label}
		p := f.ask(now, to, "fn", slices.Clone(s.target[:]), out)
		if p == nil {
			break // too many questions are under way
		}
		s.asked[e.ip] = true
		p.search = s
		s.running++
	}
	if s.running <= 0 || now.Sub(s.began) > searchTimeout {
		delete(f.searches, s.target)
		out.Failed = append(out.Failed, s.target)
	}
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
		if p.search != nil {
			p.search.running--
		}
	}
	if late {
		for _, s := range f.sorted() {
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
