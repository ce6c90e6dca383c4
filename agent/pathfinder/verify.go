package pathfinder

import (
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// announcement looks at what costs little, and lets the signature be checked.
func (s *Server) announcement(now mono.Time, from Node, m *cjdns.Message, out *Out) *cjdns.Message {
	c := &check{from: from, raw: slices.Clone(m.Ann), at: now}
	c.query = cjdns.Message{Version: m.Version, TxID: slices.Clone(m.TxID)}
	var err error
	if c.ann, err = cjdns.ParseAnnouncement(c.raw); err != nil || len(c.raw) > MaxAnnouncement {
		return s.refuse(now, c, refuseMalformed)
	}
	if c.ann.Snode != s.selfIP {
		p := s.member(from.IP)
		if p == nil || c.ann.Snode != from.IP || len(m.StateHash) != len(cjdns.StateHash{}) {
			return s.refuse(now, c, refuseSnode)
		}
		if c.gossip, c.prev = true, slices.Clone(m.StateHash); !p.in.take(now, passEvery, passBurst) {
			return s.refuse(now, c, refuseRate)
		}
	}
	if r := s.before(now, c); r != refuseNone {
		return s.refuse(now, c, r)
	}
	// The key that signs has one node, which need not be computed here.
	c.job = &Job{raw: c.raw, from: c}
	s.waiting = append(s.waiting, c)
	s.next(now, out)
	return nil
}

// before makes the checks that need no signature. They are made again when it
// is known, because the graph may have changed since.
func (s *Server) before(now mono.Time, c *check) refusal {
	a, ms := c.ann, s.clock(now)
	skew := uint64(clockSkew.Milliseconds())
	switch {
	case a.Time > ms+skew, !c.gossip && a.Time+skew < ms:
		return refuseSkew
	case a.Time+agreedMs < ms:
		return refuseOld
	}
	v := s.graph.byIP[c.from.IP]
	if c.gossip {
		v = s.bySigner(a.Signer)
	}
	if c.known = v != nil; !c.known {
		return s.beforeNew(now, c)
	}
	switch {
	case v.signer != a.Signer:
		return refuseForeign
	case c.job == nil && !c.gossip && !v.pace.take(now, announceEvery, announceBurst):
		return refuseRate
	case c.job == nil && (len(s.waiting) >= MaxWaiting || s.pending(c)):
		return refuseRate
	case c.gossip:
		return s.beforeGossip(now, c, v)
	case a.Time <= v.log.newest() && v.snode == s.selfIP:
		return refuseOld
	case !a.Reset && v.snode != s.selfIP:
		return refuseUnknown // it has told another supernode, and not us
	}
	return s.complete(a)
}

// beforeNew is before for a node that is not known.
func (s *Server) beforeNew(now mono.Time, c *check) refusal {
	first := !c.gossip || isZero(c.prev)
	switch {
	case !first:
		return refuseGap
	case !c.gossip && !c.ann.Reset:
		return refuseUnknown
	case c.job != nil:
		return s.complete(c.ann)
	}
	fresh := 0
	for _, w := range s.waiting {
		if !w.known {
			fresh++
		}
	}
	hop := firstHop(c.from.Label)
	switch {
	case fresh >= maxWaitingNew || len(s.waiting) >= MaxWaiting || s.pending(c),
		!c.gossip && !s.strangers.take(now, c.from.IP), !s.newcomers.take(now, newEvery, newBurst):
		return refuseRate
	case !c.gossip && len(s.graph.byIP) > MaxGraphNodes/2 && !s.through[hop].take(now, throughEvery, throughBurst):
		return refuseFull
	}
	return s.complete(c.ann)
}

// complete reports whether an announcement that begins anew says what it must.
func (s *Server) complete(a *cjdns.Announcement) refusal {
	switch {
	case a.Scheme != nil && s.graph.scheme(a.Scheme) == nil, a.Reset && a.Scheme == nil:
		return refuseScheme
	case a.Reset && a.Version == 0, a.Version != 0 && a.Version < oldestVersion:
		return refuseVersion
	}
	return refuseNone
}

// bySigner returns the node that signs with k, if it is known.
func (s *Server) bySigner(k cjdns.VerifyKey) *vertex {
	if v := s.signers[k]; v != nil && !v.gone {
		return v
	}
	return nil
}

// pending reports whether an announcement like c is being checked, or waits for
// it: by the same sender, and of what a partner passes on in the name of the
// same node. What another sender says in its name does not count: it may be
// forged.
func (s *Server) pending(c *check) bool {
	like := func(w *check) bool {
		return w.from.IP == c.from.IP && w.gossip == c.gossip && (!c.gossip || w.ann.Signer == c.ann.Signer)
	}
	return s.work != nil && like(s.work) || slices.ContainsFunc(s.waiting, like)
}

// next begins the next check, one at a time.
func (s *Server) next(now mono.Time, out *Out) {
	if s.work != nil || len(s.waiting) == 0 {
		return
	}
	s.work = s.waiting[0]
	s.waiting = slices.Delete(s.waiting, 0, 1)
	s.work.begun = now
	out.Jobs = append(out.Jobs, s.work.job)
}

// Checked takes a signature that has been checked, and goes on with the next.
func (s *Server) Checked(now mono.Time, j *Job, out *Out) {
	c := j.from
	if c == nil || c != s.work {
		return // it came too late
	}
	s.work = nil
	if r := s.take(now, c); r != refuseNone {
		s.answer(c, s.refuse(now, c, r), out)
	} else {
		s.Accepted++
		reply := s.envelope(now, c.from, &c.query)
		reply.Error = refusalNames[refuseNone]
		h := s.graph.byIP[c.job.key.IP()].log.hash
		reply.StateHash = h[:]
		s.answer(c, reply, out)
	}
	s.next(now, out)
	s.pass(now, out)
}

// take puts an announcement whose signature has been checked into the graph.
func (s *Server) take(now mono.Time, c *check) refusal {
	j := c.job
	switch {
	case !j.ok:
		return refuseForged
	case !c.gossip && j.key != c.from.Key:
		return refuseForeign
	}
	if r := s.before(now, c); r != refuseNone {
		return r
	}
	v := s.graph.byIP[j.key.IP()]
	if v == nil {
		var ok bool
		if v, ok = s.graph.add(now, j.key, c.ann.Signer); !ok {
			return refuseFull
		}
		s.signers[c.ann.Signer] = v
	}
	if c.gossip {
		return s.takeGossip(now, c, v)
	}
	s.graph.apply(now, v, c.ann, c.raw)
	s.tell(v)
	return refuseNone
}

// refuse counts c and returns the answer that says so; nil if none is due.
func (s *Server) refuse(now mono.Time, c *check, r refusal) *cjdns.Message {
	s.Refused[r]++
	if refusalNames[r] == "" {
		return nil
	}
	m := s.envelope(now, c.from, &c.query)
	m.Error = refusalNames[r]
	if !c.gossip {
		return s.withHash(m, c.from.IP)
	}
	var h cjdns.StateHash
	if v := s.bySigner(c.ann.Signer); v != nil {
		h = v.log.hash
	}
	m.StateHash = h[:]
	return m
}

// answer sends a late answer.
func (s *Server) answer(c *check, m *cjdns.Message, out *Out) {
	if m != nil {
		out.Answers = append(out.Answers, Query{To: c.from, Msg: m, AnyWay: true})
	}
}

func isZero(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }
