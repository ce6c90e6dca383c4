package community

import (
	"errors"
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Errors of objects that are not taken.
var (
	ErrCommunity = errors.New("community: of another community")
	ErrSigner    = errors.New("community: signed by nobody whom the root has certified")
	ErrSignature = errors.New("community: the signature is wrong")
	ErrOld       = errors.New("community: a newer one is known")
	ErrRevoked   = errors.New("community: the signer is revoked")
	ErrFull      = errors.New("community: the table is full")
)

// dropOf is the counter of each error.
var dropOf = map[error]Drop{
	ErrObject: DropMalformed, ErrKey: DropKey, ErrCommunity: DropCommunity, ErrSigner: DropSigner,
	ErrSignature: DropSignature, ErrOld: DropOld, ErrRevoked: DropRevoked, ErrFull: DropFull,
}

// errKnown says that there is nothing to do.
var errKnown = errors.New("known")

// Present takes certificates that somebody has shown: in a record, or before
// a handshake. They are checked when there is time; Out.Verdicts tells about
// the nodes that turn out to be members. It reports false if there is too
// much to do.
func (c *Community) Present(now mono.Time, from Source, certs [][]byte, out *Out) bool {
	if !c.In() || len(certs) == 0 {
		return false
	}
	if !c.sources.take(now, from) || !c.all.take(now, allTime, allBurst) {
		c.drops[DropRate]++
		return false
	}
	return c.enqueue(now, c.receiving(from, certs, false, nil), out)
}

// receiving makes the task of checking and storing objects, in their order.
// secret says that they came from an admin, and may be invites. done gets
// how many were taken and the first error, or nil.
func (c *Community) receiving(from Source, objects [][]byte, secret bool, done func(now mono.Time, taken int, err error, out *Out)) task {
	objects = slices.Clone(objects)
	// Admins' certificates first: the others need them.
	slices.SortStableFunc(objects, func(a, b []byte) int { return rank(a) - rank(b) })
	taken := 0
	var first error
	note := func(err error) {
		if err == nil || errors.Is(err, errKnown) {
			return
		}
		if first == nil {
			first = err
		}
		if d, ok := dropOf[err]; ok { //nolint:errorlint // sentinels of this package, never wrapped
			c.drops[d]++
		}
	}
	return task{from: from, step: func(now mono.Time, out *Out) *Job {
		for len(objects) > 0 {
			raw := objects[0]
			objects = objects[1:]
			j, err := c.examine(raw, secret)
			if err != nil {
				note(err)
				continue
			}
			take := j.purpose
			j.purpose = func(now mono.Time, j *Job, out *Out) {
				if !j.ok {
					note(ErrSignature)
					return
				}
				// What it depends on may have changed meanwhile.
				if _, err := c.examine(raw, secret); err != nil {
					note(err)
					return
				}
				taken++
				take(now, j, out)
			}
			return j
		}
		if done != nil {
			done(now, taken, first, out)
		}
		return nil
	}}
}

func rank(object []byte) int {
	if len(object) > 0 && object[0] == kindAdmin {
		return 0
	}
	return 1
}

// examine does everything about an object but check its signature. The job
// does that, and its purpose is to store the object.
func (c *Community) examine(raw []byte, secret bool) (*Job, error) {
	if len(raw) == 0 {
		return nil, ErrObject
	}
	switch raw[0] {
	case kindAdmin:
		return c.examineAdmin(raw)
	case kindMember:
		return c.examineMembership(raw)
	case kindPage:
		return c.examinePage(raw)
	case kindInvite:
		if secret {
			return c.examineInvite(raw)
		}
	}
	return nil, ErrObject
}

func (c *Community) examineAdmin(raw []byte) (*Job, error) {
	a, err := ParseAdmin(raw)
	if err != nil {
		return nil, err
	}
	if a.Community != c.root.id {
		return nil, ErrCommunity
	}
	old := c.admin(a.ID())
	switch {
	case old != nil && string(old.cert.Raw) == string(raw):
		return nil, errKnown
	case old != nil && old.cert.Number >= a.Number:
		return nil, ErrOld
	case old == nil && len(c.admins) >= MaxAdmins && c.idleAdmin() < 0:
		return nil, ErrFull
	}
	node, ip, err := nodeOf(a.Key)
	if err != nil {
		return nil, err
	}
	a.Raw = slices.Clone(raw)
	return &Job{check: &a.Head, by: c.root.key, purpose: func(_ mono.Time, _ *Job, out *Out) {
		if old != nil {
			old.cert = a
		} else {
			if len(c.admins) >= MaxAdmins {
				i := c.idleAdmin()
				c.admins = slices.Delete(c.admins, i, i+1)
			}
			c.admins = append(c.admins, &signer{id: a.ID(), key: a.Key, node: node, ip: ip, cert: a})
			out.event(false, "new admin "+ip.String())
		}
		c.rebuild()
		c.review(out)
		c.save(out)
		out.Certs = true
		out.Logins = out.Logins || node == c.self
	}}, nil
}

// idleAdmin is the index of an admin that counts no more, or -1.
func (c *Community) idleAdmin() int {
	return slices.IndexFunc(c.admins, func(s *signer) bool {
		st, _ := c.standing(s.node)
		return st == StandingRevoked || st == StandingExpired
	})
}

func (c *Community) examineMembership(raw []byte) (*Job, error) {
	m, err := ParseMembership(raw)
	if err != nil {
		return nil, err
	}
	if m.Community != c.root.id {
		return nil, ErrCommunity
	}
	s := c.admin(m.Signer)
	if s == nil {
		return nil, ErrSigner
	}
	if !c.counts(s, m.Number) {
		return nil, ErrRevoked
	}
	node, ip, err := nodeOf(m.Key)
	if err != nil {
		return nil, err
	}
	old := c.members[node]
	switch {
	case old != nil && string(old.Raw) == string(raw):
		return nil, errKnown
	case old != nil && !newer(&m, &old.Membership) && c.countsMember(old):
		return nil, ErrOld
	case old == nil && len(c.members) >= MaxMembers && !c.roomForMember():
		return nil, ErrFull
	}
	m.Raw = slices.Clone(raw)
	return &Job{check: &m.Head, by: s.key, purpose: func(now mono.Time, _ *Job, out *Out) {
		c.putMember(&member{Membership: m, node: node, ip: ip}, out)
		c.doubleUse(now, m.Invite, out)
	}}, nil
}

// newer reports whether m replaces o, a membership of the same node.
func newer(m, o *Membership) bool {
	if m.Signer == o.Signer {
		return m.Number > o.Number
	}
	return m.Time > o.Time
}

// countsMember reports whether the admin who signed m still counts.
func (c *Community) countsMember(m *member) bool {
	s := c.admin(m.Signer)
	return s != nil && c.counts(s, m.Number)
}

// roomForMember makes room in the full table of members: whoever is none any
// more goes.
func (c *Community) roomForMember() bool {
	for _, k := range c.memberKeys() {
		if st, _ := c.standing(k); !st.Good() && st != StandingRevoked {
			delete(c.members, k)
			return true
		}
	}
	return false
}

// putMember stores a membership whose signature is good.
func (c *Community) putMember(m *member, out *Out) {
	if old := c.members[m.node]; old != nil {
		m.told = old.told
	}
	c.members[m.node] = m
	if m.Signer == IDOf(c.cfg.Self) {
		c.number = max(c.number, m.Number)
	}
	if m.node == c.self {
		own := m.Membership
		c.own = &own
		out.Certs = true
		c.save(out)
	} else if c.isAdmin() {
		c.save(out) // others need not remember whom they have met
	}
	c.review(out)
}

func (c *Community) examinePage(raw []byte) (*Job, error) {
	p, err := ParsePage(raw)
	if err != nil {
		return nil, err
	}
	if p.Community != c.root.id {
		return nil, ErrCommunity
	}
	s := c.signer(p.Signer)
	if s == nil {
		return nil, ErrSigner
	}
	switch old := &s.pages[p.Page]; {
	case old.Raw != nil && string(old.Raw) == string(raw):
		return nil, errKnown
	case old.Raw != nil && old.Number >= p.Number:
		return nil, ErrOld
	case !c.counts(s, p.Number):
		return nil, ErrRevoked
	}
	p.Raw = slices.Clone(raw)
	return &Job{check: &p.Head, by: s.key, purpose: func(now mono.Time, _ *Job, out *Out) {
		lost := s.pages[p.Page].Entries
		c.putPage(now, s, p, out)
		if s.node != c.self || !c.isAdmin() {
			return
		}
		// After a loss of state we hear of pages that we signed before it.
		// What we have revoked since must not be lost.
		for _, e := range lost {
			if !slices.ContainsFunc(p.Entries, e.same) {
				c.enqueue(now, c.revoking(e, false, nil), out)
			}
		}
	}}, nil
}

// putPage stores a page whose signature is good.
func (c *Community) putPage(now mono.Time, s *signer, p Page, out *Out) {
	s.pages[p.Page] = p
	if s.node == c.self {
		c.number = max(c.number, p.Number)
	}
	_, before := c.revokedMembers[c.ip]
	c.rebuild()
	c.review(out)
	c.save(out)
	c.spread(now)
	out.Logins = true
	if _, ok := c.revokedMembers[c.ip]; ok && !before {
		out.event(true, "this node's membership is revoked: ask an admin of the community")
	}
}

func (c *Community) examineInvite(raw []byte) (*Job, error) {
	v, err := ParseInvite(raw)
	if err != nil {
		return nil, err
	}
	if v.Community != c.root.id {
		return nil, ErrCommunity
	}
	s := c.admin(v.Signer)
	if s == nil {
		return nil, ErrSigner
	}
	switch {
	case !c.counts(s, v.Number):
		return nil, ErrRevoked
	case c.invite(v.ID) != nil:
		return nil, errKnown
	case c.over(v.NotAfter):
		return nil, ErrOld
	case !c.roomForInvite():
		return nil, ErrFull
	}
	v.Raw = slices.Clone(raw)
	return &Job{check: &v.Head, by: s.key, purpose: func(_ mono.Time, _ *Job, out *Out) {
		c.book = append(c.book, &invite{Invite: v})
		if v.Signer == IDOf(c.cfg.Self) {
			c.number = max(c.number, v.Number)
		}
		out.Logins = true
		c.save(out)
	}}, nil
}

// over reports whether a time has passed for certain.
func (c *Community) over(notAfter uint32) bool {
	now, _ := c.clock()
	return notAfter != 0 && now > int64(notAfter)
}

// IPOf returns the overlay address of the node that signs with v, if it can
// be one.
func IPOf(v cjdns.VerifyKey) (cjdns.IP, error) {
	_, ip, err := nodeOf(v)
	return ip, err
}
