package community

import (
	"errors"
	"slices"
	"sort"

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

	errKnown = errors.New("known") // there is nothing to do
	errBusy  = errors.New("too many signatures of strangers")
)

// dropOf is the counter of each error.
var dropOf = map[error]Drop{
	ErrObject: DropMalformed, ErrKey: DropKey, ErrCommunity: DropCommunity, ErrSigner: DropSigner,
	ErrSignature: DropSignature, ErrOld: DropOld, ErrRevoked: DropRevoked, ErrFull: DropFull, errBusy: DropRate,
}

// Present takes certificates that somebody has shown: in a record, or before
// a handshake. They are checked when there is time; Out.Verdicts tells about
// the nodes that turn out to be members. It reports false if there is too
// much to do.
func (c *Community) Present(now mono.Time, from Source, certs [][]byte, out *Out) bool {
	if !c.In() || len(certs) == 0 {
		return false
	}
	if !c.sources.take(now, from) || !c.all.Take(now, allTime, allBurst) {
		c.drops[DropRate]++
		return false
	}
	return c.enqueue(now, c.receiving(from, certs, byStranger, nil), out)
}

// trust says from whom objects came.
type trust uint8

const (
	byStranger trust = iota // signatures are checked at a limited rate
	byMember                // or by ourselves
	byAdmin                 // may be invites
)

// exam is what remains to be done about an object: to check a signature, and
// to store it.
type exam struct {
	head  *Head
	by    cjdns.VerifyKey // who should have signed
	of    cjdns.VerifyKey // whom it is about, zero if nobody
	store func(now mono.Time, j *Job, out *Out) error
}

// receiving makes the task of checking and storing objects, in their order.
// done gets how many were taken and the first error, or nil.
func (c *Community) receiving(from Source, objects [][]byte, by trust, done func(now mono.Time, taken int, err error, out *Out)) task {
	objects = slices.Clone(objects)
	// Admins' certificates first: the others need them.
	sort.SliceStable(objects, func(i, j int) bool { return rank(objects[i]) < rank(objects[j]) })
	taken := 0
	var first error
	note := func(err error) {
		if errors.Is(err, errKnown) {
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
			x, err := c.examine(raw, by)
			if err == nil && by == byStranger && !c.checks.Take(now, checkTime, checkBurst) {
				err = errBusy
			}
			if err != nil {
				note(err)
				continue
			}
			return &Job{check: x.head, by: x.by, of: x.of, purpose: func(now mono.Time, j *Job, out *Out) {
				err := j.err
				if err == nil { // what it depends on may have changed meanwhile
					x, err = c.examine(raw, by)
				}
				if err == nil {
					err = x.store(now, j, out)
				}
				if err != nil {
					note(err)
					return
				}
				taken++
			}}
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

// examine does everything about an object that is cheap.
func (c *Community) examine(raw []byte, by trust) (exam, error) {
	if len(raw) == 0 {
		return exam{}, ErrObject
	}
	switch raw[0] {
	case kindAdmin:
		return c.examineAdmin(raw)
	case kindMember:
		return c.examineMembership(raw)
	case kindPage:
		return c.examinePage(raw)
	case kindInvite:
		if by == byAdmin {
			return c.examineInvite(raw)
		}
	}
	return exam{}, ErrObject
}

func (c *Community) examineAdmin(raw []byte) (x exam, err error) {
	a, err := ParseAdmin(slices.Clone(raw))
	if err != nil {
		return x, err
	}
	if a.Community != c.root.id {
		return x, ErrCommunity
	}
	old := c.admin(a.ID())
	switch {
	case old != nil && string(old.cert.Raw) == string(raw):
		return x, errKnown
	case old != nil && old.cert.Number >= a.Number:
		return x, ErrOld
	case old == nil && len(c.admins) >= MaxAdmins && c.idleAdmin() < 0:
		return x, ErrFull
	}
	return exam{head: &a.Head, by: c.root.key, of: a.Key, store: func(_ mono.Time, j *Job, out *Out) error {
		if old != nil {
			old.cert = a
		} else {
			if len(c.admins) >= MaxAdmins {
				i := c.idleAdmin()
				c.admins = slices.Delete(c.admins, i, i+1)
			}
			c.admins = append(c.admins, &signer{id: a.ID(), key: a.Key, node: j.node, ip: j.ip, cert: a})
			out.event(false, "new admin "+j.ip.String())
		}
		c.rebuild()
		c.review(out)
		c.save(out)
		out.Certs, out.Logins, out.Revoked = true, true, true
		return nil
	}}, nil
}

// idleAdmin is the index of an admin that counts no more, or -1.
func (c *Community) idleAdmin() int {
	return slices.IndexFunc(c.admins, func(s *signer) bool {
		st, _ := c.standing(s.node)
		return st == StandingRevoked || st == StandingExpired
	})
}

func (c *Community) examineMembership(raw []byte) (x exam, err error) {
	m, err := ParseMembership(slices.Clone(raw))
	if err != nil {
		return x, err
	}
	if m.Community != c.root.id {
		return x, ErrCommunity
	}
	s := c.admin(m.Signer)
	switch {
	case s == nil:
		return x, ErrSigner
	case !c.counts(s, m.Number):
		return x, ErrRevoked
	case c.certs[m.Hash()]:
		return x, errKnown
	}
	return exam{head: &m.Head, by: s.key, of: m.Key, store: func(now mono.Time, j *Job, out *Out) error {
		old := c.members[j.node]
		switch {
		case old != nil && !newer(&m, &old.Membership) && c.countsMember(old):
			return ErrOld
		case old == nil && len(c.members) >= MaxMembers && !c.roomForMember():
			return ErrFull
		}
		c.putMember(&member{Membership: m, node: j.node, ip: j.ip}, out)
		c.doubleUse(now, m.Invite, out)
		return nil
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

func (c *Community) examinePage(raw []byte) (x exam, err error) {
	p, err := ParsePage(slices.Clone(raw))
	if err != nil {
		return x, err
	}
	if p.Community != c.root.id {
		return x, ErrCommunity
	}
	s := c.signer(p.Signer)
	if s == nil {
		return x, ErrSigner
	}
	switch old := &s.pages[p.Page]; {
	case old.Raw != nil && string(old.Raw) == string(raw):
		return x, errKnown
	case old.Raw != nil && old.Number >= p.Number:
		return x, ErrOld
	case !c.counts(s, p.Number):
		return x, ErrRevoked
	}
	return exam{head: &p.Head, by: s.key, store: func(now mono.Time, _ *Job, out *Out) error {
		lost := s.pages[p.Page].Entries
		c.putPage(now, s, p, out)
		if s.node != c.self || !c.isAdmin() {
			return nil
		}
		// After a loss of state we hear of pages that we signed before it.
		// What we have revoked since must not be lost.
		for _, e := range lost {
			if !slices.ContainsFunc(p.Entries, e.same) {
				c.enqueue(now, c.revoking(e, false, nil), out)
			}
		}
		return nil
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
	out.Logins, out.Revoked = true, true
	if _, ok := c.revokedMembers[c.ip]; ok && !before {
		out.event(true, "this node's membership is revoked: ask an admin of the community")
	}
}

func (c *Community) examineInvite(raw []byte) (x exam, err error) {
	v, err := ParseInvite(slices.Clone(raw))
	if err != nil {
		return x, err
	}
	if v.Community != c.root.id {
		return x, ErrCommunity
	}
	s := c.admin(v.Signer)
	switch {
	case s == nil:
		return x, ErrSigner
	case !c.counts(s, v.Number):
		return x, ErrRevoked
	case c.invite(v.ID) != nil:
		return x, errKnown
	case c.over(v.NotAfter):
		return x, ErrOld
	case !c.roomForInvite():
		return x, ErrFull
	}
	return exam{head: &v.Head, by: s.key, store: func(_ mono.Time, _ *Job, out *Out) error {
		c.book = append(c.book, &invite{Invite: v})
		if s.node == c.self {
			c.number = max(c.number, v.Number)
		}
		out.Logins = true
		c.save(out)
		return nil
	}}, nil
}

// over reports whether a time has passed for certain.
func (c *Community) over(notAfter uint32) bool {
	now, _ := c.clock()
	return notAfter != 0 && now > int64(notAfter)
}
