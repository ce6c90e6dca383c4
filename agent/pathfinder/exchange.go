package pathfinder

import (
	"encoding/binary"
	"slices"
	"sort"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds and rates of the exchange between supernodes.
const (
	passEvery  = 10 * time.Millisecond // between announcements passed on to one, after a burst of
	passBurst  = 32
	maxFlight  = 8 // announcements passed on to one that it has not answered
	passWait   = 3 * time.Second
	maxTries   = 3
	directTime = 90 * time.Second // a node that told us so lately needs nobody to speak for it
)

// partners are the other supernodes of the community. Each passes on to the
// others what nodes have announced to it, and nothing that it has by hearsay:
// so nothing goes in circles. An announcement stays as its maker signed it,
// addressed to whom it was sent.
//
// The message is that of an announcement, "sq" "ann", with one field more,
// "stateHash": the hash of what the sender held of that node before it, zeros
// for the first. A receiver whose hash is another says so, and is told
// everything from the beginning. Source: ours.
type partners struct {
	members []*member // all that are configured
	others  []*partner
	away    []*partner // that were others, and may come back
	signers map[cjdns.VerifyKey]*vertex
}

// member is a supernode that may pass on to us.
type member struct {
	ip cjdns.IP
	in pace
}

// SetCommunity says which supernodes may pass on to us.
func (s *Server) SetCommunity(keys []cjdns.Key) {
	s.members = nil
	for _, k := range keys[:min(len(keys), MaxSupernodes)] {
		s.members = append(s.members, &member{ip: k.IP()})
	}
}

func (s *Server) member(ip cjdns.IP) *member {
	for _, m := range s.members {
		if m.ip == ip {
			return m
		}
	}
	return nil
}

// partner is one other supernode that is up.
type partner struct {
	Node
	queue  []*vertex // to be told of
	queued map[*vertex]bool
	// agreed is the beginning of the hash of what it holds, as far as it said.
	agreed map[*vertex]uint64
	flight map[uint64]*passed
	out    pace
}

// passed is an announcement that was passed on and not answered yet.
type passed struct {
	v     *vertex
	hash  cjdns.StateHash // of v.log when it was sent
	at    int             // index in that log
	want  cjdns.StateHash // the hash that the partner should have now
	until mono.Time
	tries int
}

func newPartners() partners { return partners{signers: make(map[cjdns.VerifyKey]*vertex)} }

// SetPartners says which other supernodes of the community there are and can
// be reached. One that is new is told everything, one that was away what it
// has missed.
func (s *Server) SetPartners(nodes []Node) {
	old, away := s.others, s.away
	s.others, s.away = nil, nil
	named := func(p *partner, n Node) bool { return p.IP == n.IP }
	for _, n := range nodes {
		if at := slices.IndexFunc(old, func(p *partner) bool { return named(p, n) }); at >= 0 {
			old[at].Node = n
			s.others = append(s.others, old[at])
			continue
		}
		p := &partner{queued: make(map[*vertex]bool), agreed: make(map[*vertex]uint64), flight: make(map[uint64]*passed)}
		if at := slices.IndexFunc(away, func(p *partner) bool { return named(p, n) }); at >= 0 {
			p = away[at]
		}
		p.Node = n
		s.others = append(s.others, p)
		s.missing(p)
	}
	for _, p := range append(old, away...) {
		if len(s.away) < MaxSupernodes && !slices.ContainsFunc(nodes, func(n Node) bool { return named(p, n) }) {
			s.away = append(s.away, p)
		}
	}
}

// missing lets p be told of what it does not hold as we do.
func (s *Server) missing(p *partner) {
	for _, v := range s.graph.all {
		if h, ok := p.agreed[v]; (!ok || h != prefix(v.log.hash)) && !p.under(v) {
			s.enqueue(p, v)
		}
	}
}

// sweep forgets what partners hold of nodes that are gone, and begins again
// with what they did not take.
func (s *Server) sweep() {
	for _, p := range s.others {
		s.missing(p)
	}
	for k, v := range s.signers {
		if v.gone {
			delete(s.signers, k)
		}
	}
	for _, list := range [...][]*partner{s.others, s.away} {
		for _, p := range list {
			for v := range p.agreed {
				if v.gone {
					delete(p.agreed, v)
				}
			}
		}
	}
}

func (s *Server) partner(ip cjdns.IP) *partner {
	for _, p := range s.others {
		if p.IP == ip {
			return p
		}
	}
	return nil
}

// tell lets all partners know of v.
func (s *Server) tell(v *vertex) {
	for _, p := range s.others {
		s.enqueue(p, v)
	}
}

func (s *Server) enqueue(p *partner, v *vertex) {
	if !p.queued[v] && !v.gone && v.snode == s.selfIP && v.ip != p.IP {
		p.queue, p.queued[v] = append(p.queue, v), true
	}
}

// pass passes on what waits, as fast as it may.
func (s *Server) pass(now mono.Time, out *Out) {
	for _, p := range s.others {
		for _, id := range lateFlights(now, p.flight) {
			f := p.flight[id]
			delete(p.flight, id)
			s.again(now, p, f, out)
		}
		for len(p.queue) > 0 && len(p.flight) < maxFlight && p.out.take(now, passEvery, passBurst) {
			v := p.queue[0]
			p.queue = slices.Delete(p.queue, 0, 1)
			delete(p.queued, v)
			if v.gone || len(v.log.list) == 0 || v.snode != s.selfIP || p.under(v) {
				continue
			}
			f := &passed{v: v}
			if h, ok := p.agreed[v]; ok && h == prefix(v.log.prev) && v.log.prev != (cjdns.StateHash{}) {
				f.at = len(v.log.list) - 1
				s.send(now, p, f, v.log.prev, out)
			} else {
				s.send(now, p, f, cjdns.StateHash{}, out)
			}
		}
	}
}

// under reports whether something about v is under way to p. Its answer looks
// whether there is more.
func (p *partner) under(v *vertex) bool {
	for _, f := range p.flight {
		if f.v == v {
			return true
		}
	}
	return false
}

// send passes on the announcement f.at of f.v; before is the hash of what the
// partner holds.
func (s *Server) send(now mono.Time, p *partner, f *passed, before cjdns.StateHash, out *Out) {
	raw := f.v.log.list[f.at].raw
	f.hash, f.want, f.until = f.v.log.hash, before.Add(raw), now.Add(passWait)
	if f.at == len(f.v.log.list)-1 {
		f.want = f.v.log.hash // after both have forgotten what is superseded
	}
	var cookie [8]byte
	s.cfg.Rand(cookie[:])
	p.flight[binary.BigEndian.Uint64(cookie[:])] = f
	m := &cjdns.Message{
		SubQuery: "ann", Version: s.cfg.Protocol, Scheme: s.scheme, HasScheme: true, Form: cjdns.FormOf(p.Label),
		TxID: append([]byte("04"), cookie[:]...), Ann: raw, StateHash: before[:],
	}
	out.Queries = append(out.Queries, Query{To: p.Node, Msg: m, AnyWay: true})
}

// HandleReply takes an answer that came from a node. It reports whether it is
// one of a partner.
func (s *Server) HandleReply(now mono.Time, from Node, m *cjdns.Message, out *Out) bool {
	if m.Query != "" || m.SubQuery != "" || len(m.TxID) != 10 || string(m.TxID[:2]) != "04" {
		return false
	}
	id := binary.BigEndian.Uint64(m.TxID[2:])
	p := s.partner(from.IP)
	if p == nil || p.flight[id] == nil {
		s.Strange++
		return true
	}
	f := p.flight[id]
	delete(p.flight, id)
	switch {
	case m.Error == refusalNames[refuseOld]:
		p.agreed[f.v] = prefix(f.v.log.hash) // it knows better
	case string(m.StateHash) != string(f.want[:]):
		s.again(now, p, f, out)
	case f.v.gone || f.v.log.hash != f.hash:
		p.agreed[f.v] = prefix(f.want)
		s.enqueue(p, f.v) // something has come since
	case f.at+1 < len(f.v.log.list):
		f.at++
		s.send(now, p, f, f.want, out)
	default:
		p.agreed[f.v] = prefix(f.want)
	}
	s.pass(now, out)
	return true
}

// again begins anew with the node of f, a few times.
func (s *Server) again(now mono.Time, p *partner, f *passed, out *Out) {
	delete(p.agreed, f.v)
	if f.tries++; f.tries >= maxTries || f.v.gone || len(f.v.log.list) == 0 {
		return // sweep begins again
	}
	f.at = 0
	s.send(now, p, f, cjdns.StateHash{}, out)
}

func prefix(h cjdns.StateHash) uint64 { return binary.BigEndian.Uint64(h[:]) }

func lateFlights(now mono.Time, m map[uint64]*passed) (list []uint64) {
	for id, f := range m {
		if now >= f.until {
			list = append(list, id)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list
}

// passDue returns when pass has something to do.
func (s *Server) passDue() mono.Time {
	d := mono.Never
	for _, p := range s.others {
		if len(p.queue) > 0 && len(p.flight) < maxFlight {
			d = mono.Min(d, mono.Time(p.out).Add(-passEvery*(passBurst-1)))
		}
		for _, f := range p.flight {
			d = mono.Min(d, f.until)
		}
	}
	return d
}

// beforeGossip is before for what a partner says about v.
func (s *Server) beforeGossip(now mono.Time, c *check, v *vertex) refusal {
	a := c.ann
	switch {
	case v.snode == s.selfIP && now.Sub(v.heard) < directTime:
		return refuseOld
	case isZero(c.prev) && v.snode != a.Snode && a.Time <= v.log.newest():
		return refuseOld
	case !isZero(c.prev) && (v.snode != a.Snode || string(v.log.hash[:]) != string(c.prev)):
		return refuseGap
	case !isZero(c.prev) && a.Time <= v.log.newest():
		return refuseOld
	case a.Scheme != nil && s.graph.scheme(a.Scheme) == nil:
		return refuseScheme
	}
	return refuseNone
}

// takeGossip puts what a partner says about v into the graph.
func (s *Server) takeGossip(now mono.Time, c *check, v *vertex) refusal {
	if isZero(c.prev) {
		s.graph.clear(v)
	}
	s.graph.apply(now, v, c.ann, c.raw)
	return refuseNone
}
