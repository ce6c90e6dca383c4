package community

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// Standing is what a node is to our community.
type Standing uint8

// Values of Standing.
const (
	StandingUnknown Standing = iota
	StandingMember
	StandingAdmin
	StandingExpired
	StandingNotYet
	StandingRevoked
)

var standingWords = []string{"unknown", "member", "admin", "expired", "not yet valid", "revoked"}

// String returns the word that is shown.
func (s Standing) String() string {
	if int(s) < len(standingWords) {
		return standingWords[s]
	}
	return "unknown"
}

// Good reports whether s is a member or an admin.
func (s Standing) Good() bool { return s == StandingMember || s == StandingAdmin }

// Standing returns what a node is to us as of now, and why. It looks only at
// what is known; see Present.
func (c *Community) Standing(k cjdns.Key) (Standing, string) { return c.standing(k) }

func (c *Community) standing(k cjdns.Key) (Standing, string) {
	if s := c.adminNode(k); s != nil {
		if _, ok := c.revokedAdmins[s.ip]; ok {
			return StandingRevoked, "the root has revoked the admin"
		}
		return c.period(StandingAdmin, s.cert.Time, s.cert.NotAfter)
	}
	m := c.members[k]
	if m == nil {
		return StandingUnknown, "no membership was shown"
	}
	s := c.admin(m.Signer)
	if s == nil {
		return StandingUnknown, "nobody knows the admin who signed the membership"
	}
	if r, ok := c.revokedMembers[m.ip]; ok {
		return StandingRevoked, "revoked: " + r.String()
	}
	if !c.counts(s, m.Number) {
		return StandingRevoked, "the admin who signed the membership is revoked"
	}
	return c.period(StandingMember, m.Time, m.NotAfter)
}

// period judges a validity: what has ended by the least time that it can be
// is over; what begins later is only called so by a clock that is sure.
func (c *Community) period(good Standing, from, to uint32) (Standing, string) {
	now, sure := c.clock()
	switch {
	case to != 0 && now > int64(to):
		return StandingExpired, "ended " + date(int64(to))
	case sure && int64(from) > now+clockSlack:
		return StandingNotYet, "begins " + date(int64(from)) + "; the clock of the admin or ours is wrong"
	case !sure:
		return good, "clock unsure"
	}
	return good, ""
}

// counts reports whether what s has signed under this number counts: always
// for the root; for an admin unless the root has revoked it before.
func (c *Community) counts(s *signer, number uint32) bool {
	if s == &c.root {
		return true
	}
	upTo, revoked := c.revokedAdmins[s.ip]
	return !revoked || number <= upTo
}

// rebuild makes the tables of what is revoked, after a page has changed. First
// the root's, because they say which pages of admins count.
func (c *Community) rebuild() {
	c.revokedMembers = make(map[cjdns.IP]Reason)
	c.revokedInvites = make(map[InviteID]Reason)
	c.revokedAdmins = make(map[cjdns.IP]uint32)
	for _, s := range c.signers() {
		for i := range s.pages {
			p := &s.pages[i]
			if p.Raw == nil || !c.counts(s, p.Number) {
				continue
			}
			for _, e := range p.Entries {
				switch {
				case e.what == revokeMember && c.revokedMembers[e.IP] == 0:
					c.revokedMembers[e.IP] = e.Reason
				case e.what == revokeInvite:
					c.revokedInvites[e.Invite] = e.Reason
				case e.what == revokeAdmin && s == &c.root:
					c.revokedAdmins[e.IP] = e.UpTo
				}
			}
		}
	}
}

// review tells about every node whose standing is no longer what was told
// last.
func (c *Community) review(out *Out) {
	var changed []cjdns.Key
	for _, s := range c.admins {
		if st, _ := c.standing(s.node); st.Good() != s.told {
			s.told = st.Good()
			changed = append(changed, s.node)
		}
	}
	first := len(changed)
	for k, m := range c.members {
		if c.judge(m) {
			changed = append(changed, k)
		}
	}
	sortKeys(changed[first:])
	c.tell(changed, out)
}

// judge notes what is to be told about a member, and reports whether that is
// something else than before.
func (c *Community) judge(m *member) bool {
	if c.adminNode(m.node) != nil {
		m.told = false // it was told as an admin
		return false
	}
	st, _ := c.standing(m.node)
	changed := st.Good() != m.told
	m.told = st.Good()
	return changed
}

// tell tells what these nodes are now.
func (c *Community) tell(changed []cjdns.Key, out *Out) {
	for _, k := range changed {
		st, why := c.standing(k)
		if st == StandingRevoked && slices.ContainsFunc(c.contacts, func(o contact) bool { return o.key == k }) {
			c.sendPages(k, out) // its last chance to hear why: the peering ends now
		}
		out.Verdicts = append(out.Verdicts, Verdict{k, st.Good(), why})
	}
}

// forgetAll tells that nobody is a member any more.
func (c *Community) forgetAll(out *Out) {
	for _, s := range c.admins {
		if s.told {
			out.Verdicts = append(out.Verdicts, Verdict{s.node, false, "we have left the community"})
		}
	}
	for _, k := range c.memberKeys() {
		if c.members[k].told {
			out.Verdicts = append(out.Verdicts, Verdict{k, false, "we have left the community"})
		}
	}
}

// OwnCerts returns what proves our membership: our certificate first, then
// that of the admin who signed it; nil if we are in no community. They fit
// into an introduction.
func (c *Community) OwnCerts() [][]byte {
	if s := c.adminNode(c.self); s != nil {
		return [][]byte{s.cert.Raw}
	}
	if c.own == nil {
		return nil
	}
	certs := [][]byte{c.own.Raw}
	if s := c.admin(c.own.Signer); s != nil {
		certs = append(certs, s.cert.Raw)
	}
	return certs
}

// MemberHash returns the name of our certificate; zero if we have none.
func (c *Community) MemberHash() (h Hash) {
	if certs := c.OwnCerts(); certs != nil {
		h = hashOf(certs[0])
	}
	return h
}

// Knows reports whether the certificate of this name is the one that k has
// shown: then there is no need to ask for it.
func (c *Community) Knows(k cjdns.Key, h Hash) bool {
	if s := c.adminNode(k); s != nil && s.cert.Hash() == h {
		return true
	}
	m := c.members[k]
	return m != nil && m.Hash() == h
}

// date writes a day.
func date(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.DateOnly) }
