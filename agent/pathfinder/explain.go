package pathfinder

import (
	"bytes"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// What a person wants to know about ways. Nothing here changes anything.

// Source says who named a way first.
type Source uint8

// Sources.
const (
	FromNode      Source = iota // a node, in its links or in the answer to a search
	FromPeer                    // our own switch: it is a direct peer
	FromTraffic                 // the node itself, whose packets came along it
	FromSupernode               // a supernode
	FromGraph                   // announcements that we hold as a supernode ourselves
)

// String names the source as the status shows it.
func (s Source) String() string {
	return [...]string{"dht", "peer", "theirs", "supernode", "announced"}[min(s, FromGraph)]
}

// Cost returns what r is compared by, 0 if it was not measured lately.
func (r *Route) Cost(now mono.Time) time.Duration {
	if !r.measured(now) {
		return 0
	}
	return r.cost()
}

// Cost returns the cost of the way to ip along label, 0 if it is not known or
// was not measured lately.
func (f *Finder) Cost(now mono.Time, ip cjdns.IP, label cjdns.Label) time.Duration {
	if r := f.route(ip, label); r != nil {
		return r.Cost(now)
	}
	return 0
}

// Step is a node on a way.
type Step struct {
	Node        // Label leads from us to it; the rest is zero if nobody is known there
	From Source // who says that it is there
	Seen bool   // it has answered along Label itself
}

// Along fills in which node is at the end of the Label of each step, as far as
// somebody has said so. Of several the surest counts: a direct peer, then one
// that has answered there, then the one with the lowest address.
func (f *Finder) Along(steps []Step) {
	narrowed := make([]cjdns.Label, len(steps))
	for i := range steps {
		narrowed[i] = narrow(steps[i].Label)
	}
	for _, e := range f.nodes {
		for i := range e.routes {
			r := &e.routes[i]
			l := narrow(r.Label)
			for k := range steps {
				if s := (Step{Node{e.key, e.ip, e.version, steps[k].Label}, r.Source, r.Verified >= 0}); narrowed[k] == l && s.surer(&steps[k]) {
					steps[k] = s
				}
			}
		}
	}
}

func (s *Step) surer(o *Step) bool {
	switch {
	case o.Key.IsZero():
		return true
	case (s.From == FromPeer) != (o.From == FromPeer):
		return s.From == FromPeer
	case s.Seen != o.Seen:
		return s.Seen
	}
	return bytes.Compare(s.IP[:], o.IP[:]) < 0
}

// Along fills in the nodes that are not known yet by the links that nodes have
// announced: each is looked for behind the one before it.
func (s *Server) Along(steps []Step) {
	g, at, before := s.graph, s.graph.byIP[s.selfIP], cjdns.SelfLabel
	for i := range steps {
		to := (*vertex)(nil)
		if at != nil && int(at.index) < len(g.start)-1 {
			hop := narrow(cjdns.Unsplice(steps[i].Label, before))
			for _, h := range g.hops[g.start[at.index]:g.start[at.index+1]] {
				if v := g.all[h.to]; narrow(cjdns.Label(h.label)) == hop && !v.gone {
					to = v
				}
			}
		}
		if to != nil && steps[i].Key.IsZero() {
			steps[i].Node, steps[i].From = Node{to.key, to.ip, to.version, steps[i].Label}, FromGraph
		}
		at, before = s.graph.byIP[steps[i].IP], steps[i].Label
	}
}

// narrow returns label with every director in its narrowest form, so that
// labels along the same slots are equal. It reads all of them as V358.
func narrow(label cjdns.Label) cjdns.Label {
	out, at := cjdns.Label(0), 0
	for rest := label; rest > 1; {
		port, w := cjdns.PortOf(rest)
		if w > rest.Len() {
			return label // no path
		}
		d, bits := cjdns.PortDirector(port, 0)
		out |= cjdns.Label(d) << at
		at += bits
		rest >>= w
	}
	return out | 1<<at
}

// SearchInfo is how far a search has come.
type SearchInfo struct {
	Began   mono.Time
	Asked   int       // nodes
	Waiting int       // for their answers
	Snode   mono.Time // until then a supernode has time to answer; 0: none was asked, or it has
	Mesh    mono.Time // until then the mesh has time to bring a peering; 0: nothing is waited for
}

// SearchFor returns how far the search for ip has come; false if none is
// running.
func (f *Finder) SearchFor(ip cjdns.IP) (SearchInfo, bool) {
	s := f.searches[ip]
	if s == nil {
		return SearchInfo{}, false
	}
	return SearchInfo{s.began, len(s.asked), s.running, s.snode, max(s.ask, s.hold)}, true
}

// Word is what a supernode last said about a way.
type Word uint8

// Words.
const (
	WordWay     Word = iota + 1 // it named one
	WordNone                    // it knows none
	WordFalse                   // it named one that cannot be
	WordSilence                 // it did not answer
)

// String says it: "named a way".
func (w Word) String() string {
	return [...]string{"said nothing", "named a way", "knew no way", "named a way that cannot be", "did not answer"}[min(w, WordSilence)]
}

// Advice is an answer of a supernode to a question for a way.
type Advice struct {
	Target cjdns.IP
	By     cjdns.IP
	At     mono.Time
	Word   Word
}

// maxAdvice is how many answers a client remembers.
const maxAdvice = 32

// advised remembers an answer, in place of the oldest one.
func (c *Client) advised(now mono.Time, target, by cjdns.IP, w Word) {
	if len(c.advice) >= maxAdvice {
		c.advice = c.advice[:copy(c.advice, c.advice[1:])]
	}
	c.advice = append(c.advice, Advice{target, by, now, w})
}

// Advice returns the last answer about target; false if there is none among
// the last answers about all.
func (c *Client) Advice(target cjdns.IP) (Advice, bool) {
	for i := len(c.advice) - 1; i >= 0; i-- {
		if c.advice[i].Target == target {
			return c.advice[i], true
		}
	}
	return Advice{}, false
}
