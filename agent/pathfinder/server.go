package pathfinder

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds and rates of the supernode role.
const (
	MaxAnnouncement = 1100 // bytes; stock nodes send up to 904
	MaxWaiting      = 64   // announcements whose signature is not checked yet
	maxWaitingNew   = 32   // of these, by nodes that are not known yet
	waitTime        = 5 * time.Second
	jobTime         = 10 * time.Second // after that a job is taken for lost

	clockSkew   = 10 * time.Second // between a node and us
	rebaseAfter = 5 * time.Second  // a jump of our own clock

	announceEvery = 250 * time.Millisecond // of one node, after a burst of
	announceBurst = 8
	newEvery      = 10 * time.Millisecond // nodes that are not known yet, after a burst of
	newBurst      = 200
	// The same through one peer, once half of the table is in use: so one
	// neighbour cannot fill it.
	throughEvery = 500 * time.Millisecond
	throughBurst = 64
	routeEvery   = 2 * time.Millisecond // questions for ways, of all, after a burst of
	routeBurst   = 500
	askerEvery   = 20 * time.Millisecond // the same through one peer
	askerBurst   = 100
	firstHops    = 257 // slots of a switch
	tidyEvery    = 10 * time.Second
	numSenders   = 256 // whose announcements are counted while they are not known
)

// pace limits a rate: it is the instant at which the bucket is full again. The
// zero value is full.
type pace mono.Time

// take takes a token, of which one comes every so often and burst fit in. It
// reports whether there was one.
func (p *pace) take(now mono.Time, every time.Duration, burst int) bool {
	full := max(mono.Time(*p), now).Add(every)
	if full.Sub(now) > every*time.Duration(burst) {
		return false
	}
	*p = pace(full)
	return true
}

// senders limits what each node that is not known may announce, as pace in
// vertex does for one that is: each signature costs as much as a good one. Two
// whose addresses collide share a rate.
type senders struct {
	seed uint32 // random: nobody can choose whose rate he shares
	pace [numSenders]pace
}

func (s *senders) take(now mono.Time, ip cjdns.IP) bool {
	h := s.seed
	for _, c := range ip {
		h = (h ^ uint32(c)) * 16777619
	}
	return s.pace[(h^h>>16)%numSenders].take(now, announceEvery, announceBurst)
}

// refusal says why an announcement was refused.
type refusal uint8

// The names of refusals that stock servers have are theirs; clients look at
// none of them but the empty one.
const (
	refuseNone refusal = iota
	refuseMalformed
	refuseForged
	refuseForeign // made by another node than the one that sent it
	refuseOld
	refuseSnode
	refuseSkew
	refuseScheme
	refuseVersion
	refuseUnknown
	refuseRate
	refuseFull
	refuseGap // a supernode has left something out
	numRefusals
)

var refusalNames = [numRefusals]string{
	"none", "failed_parse_or_validate", "failed_parse_or_validate", "failed_parse_or_validate", "old_message",
	"wrong_snode", "excessive_clock_skew", "no_encodingScheme", "no_version", "unknown_node", "", "", "unknown_node",
}

// refusalKinds are the names of the counters.
var refusalKinds = [numRefusals]string{
	"", "malformed", "forged", "foreign", "old", "wrong-snode", "clock-skew", "scheme", "version", "unknown", "rate", "full", "gap",
}

// Server is the supernode role: it collects announcements, and answers which
// way leads from one node to another.
//
// An announcement is taken if the node that sends it made it, or if it comes
// from a configured supernode to which its maker sent it; if it is addressed
// to whom it was sent, its time is ours within ten seconds and newer than that
// of all before; and if its signature is good, which a Job checks.
//
// Source: cjdns-route-server; cjdns wire/Announce.h.
type Server struct {
	cfg    Config
	selfIP cjdns.IP
	scheme []byte
	graph  *graph
	// wall is the time of day in ms since 1970 at the instant 0, as far as
	// we know.
	wall int64

	waiting []*check
	work    *check
	partners

	strangers         senders
	newcomers, routes pace
	through, askers   [firstHops]pace
	nextTidy          mono.Time

	// Refused counts announcements by refusal, Accepted those that were
	// taken; Routes answers with a way, NoRoute those without, RouteRate
	// questions that were not answered, TooLong ways without a usable label.
	Refused                    [numRefusals]uint64
	Accepted                   uint64
	Routes, NoRoute, RouteRate uint64
	Strange                    uint64 // other messages
}

// check is an announcement that waits for its signature to be checked.
type check struct {
	from   Node
	query  cjdns.Message // Version and TxID of the message that brought it
	ann    *cjdns.Announcement
	raw    []byte
	at     mono.Time
	begun  mono.Time
	known  bool // its maker is in the graph
	job    *Job
	gossip bool
	prev   []byte // of gossip: the hash before it
}

// NewServer returns a Server that knows nobody.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg, selfIP: cfg.Self.IP(), scheme: cjdns.SerializeScheme(cjdns.V358), graph: newGraph(), partners: newPartners()}
	var seed [4]byte
	cfg.Rand(seed[:])
	s.strangers.seed = binary.BigEndian.Uint32(seed[:])
	return s
}

// SetWall tells the time of day in ms since 1970. When it jumps, what is known
// is forgotten: its times mean nothing any more.
func (s *Server) SetWall(now mono.Time, ms int64) {
	base := ms - int64(now)/int64(time.Millisecond)
	if d := base - s.wall; d > rebaseAfter.Milliseconds() || d < -rebaseAfter.Milliseconds() {
		for _, v := range s.graph.all {
			if !v.gone {
				s.graph.remove(v)
			}
		}
		s.wall = base
	}
}

// clock returns our time in ms since 1970.
func (s *Server) clock(now mono.Time) uint64 {
	return uint64(max(1, s.wall+int64(now)/int64(time.Millisecond)))
}

// HandleMessage takes a message with a SubQuery that came from a node along
// its label, and returns the answer. For an announcement there is none yet: it
// comes in Out.Answers once the signature is checked.
func (s *Server) HandleMessage(now mono.Time, from Node, m *cjdns.Message, out *Out) *cjdns.Message {
	if m.Version < oldestVersion {
		s.Strange++
		return nil
	}
	from.Version = m.Version
	switch m.SubQuery {
	case "pn":
		return s.withHash(s.envelope(now, from, m), from.IP)
	case "gr":
		return s.route(now, from, m)
	case "ann":
		return s.announcement(now, from, m, out)
	}
	s.Strange++
	return nil
}

// envelope returns an answer without a subject to m.
func (s *Server) envelope(now mono.Time, to Node, m *cjdns.Message) *cjdns.Message {
	return &cjdns.Message{
		Version: s.cfg.Protocol, Scheme: s.scheme, HasScheme: true, Form: cjdns.FormOf(to.Label),
		TxID: slices.Clone(m.TxID), RecvTime: int64(s.clock(now)),
	}
}

// withHash completes an answer with the hash of what is held of ip.
func (s *Server) withHash(m *cjdns.Message, ip cjdns.IP) *cjdns.Message {
	var h cjdns.StateHash
	if v := s.graph.byIP[ip]; v != nil && v.snode == s.selfIP {
		h = v.log.hash
	}
	m.StateHash = h[:]
	return m
}

// route answers which label leads from m.Source to m.Target.
func (s *Server) route(now mono.Time, from Node, m *cjdns.Message) *cjdns.Message {
	if len(m.Source) != 16 || len(m.Target) != 16 {
		s.Strange++
		return nil
	}
	if !s.askers[firstHop(from.Label)].take(now, askerEvery, askerBurst) || !s.routes.take(now, routeEvery, routeBurst) {
		s.RouteRate++
		return nil
	}
	s.graph.compile(now, s.selfIP)
	reply := s.envelope(now, from, m)
	src, tar := s.graph.byIP[cjdns.IP(m.Source)], s.graph.byIP[cjdns.IP(m.Target)]
	if src == nil || tar == nil || tar.version == 0 {
		s.NoRoute++
		return reply
	}
	label := cjdns.SelfLabel
	if src != tar {
		label = s.graph.route(src.index, tar.index)
	}
	if label == cjdns.LabelInvalid {
		s.NoRoute++
		return reply
	}
	s.Routes++
	reply.Nodes = []cjdns.NodeRef{{Key: tar.key, Label: label, Version: tar.version}}
	return reply
}

// firstHop returns the slot through which label leads.
func firstHop(label cjdns.Label) uint16 {
	port, _ := cjdns.PortOf(label)
	return min(port, firstHops-1)
}

// Deadline returns when Expire should be called next.
func (s *Server) Deadline() mono.Time {
	d := mono.Min(s.nextTidy, s.passDue())
	if s.work != nil {
		d = mono.Min(d, s.work.begun.Add(jobTime))
	}
	return d
}

// Expire does what is due at now.
func (s *Server) Expire(now mono.Time, out *Out) {
	if s.work != nil && now.Sub(s.work.begun) >= jobTime {
		s.work = nil
		s.Refused[refuseRate]++
	}
	before := len(s.waiting)
	s.waiting = slices.DeleteFunc(s.waiting, func(c *check) bool { return now.Sub(c.at) >= waitTime })
	s.Refused[refuseRate] += uint64(before - len(s.waiting))
	s.next(now, out)
	if now >= s.nextTidy {
		s.nextTidy = now.Add(tidyEvery)
		s.graph.expire(s.clock(now))
		s.sweep()
		s.graph.compile(now, s.selfIP)
	}
	s.pass(now, out)
}

// Nodes returns the number of nodes that have announced themselves.
func (s *Server) Nodes() int { return len(s.graph.byIP) }

// Links returns the number of links that are announced, each direction for
// itself.
func (s *Server) Links() int { return s.graph.links }

// Waiting returns the number of announcements that wait to be checked.
func (s *Server) Waiting() int { return len(s.waiting) }

// EachRefusal calls f with the name and the count of every reason for which
// announcements were refused.
func (s *Server) EachRefusal(f func(reason string, count uint64)) {
	for r, n := range s.Refused {
		if n != 0 {
			f(refusalKinds[r], n)
		}
	}
}
