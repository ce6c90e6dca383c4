package community

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/mono"
)

// invite is an invite in our book.
type invite struct {
	Invite
	used     uint8     // times that we have redeemed it
	moved    uint8     // users that are members by something else now
	redeemed mono.Time // here, the last time in this run; 0 never
	stock    bool      // a password for a stock node: nothing to redeem, nobody told
	note     string
}

// Login is a password that lets in who holds an invite.
type Login struct {
	Name     string // the invite
	Password string
}

// linger is how long the password of an invite opens after its last use: the
// newcomer may not have got the answer.
const linger = time.Hour

// Logins returns the passwords of the open invites, in the order of the book.
func (c *Community) Logins(now mono.Time) (list []Login) {
	for _, v := range c.book {
		if why := c.closed(v); why == "" || why == "used" && v.redeemed != 0 && now.Sub(v.redeemed) < linger {
			list = append(list, Login{v.ID.String(), password(v.ID, v.Secret)})
		}
	}
	return list
}

// Cut reports whether those who came in with the password of this login, which
// is no longer good, must go at once. They stay if the invite has only served
// its purpose or its time: they are members now.
func (c *Community) Cut(login string) bool {
	for _, v := range c.book {
		if v.ID.String() == login && !v.stock {
			why := c.closed(v)
			return why != "used" && why != "expired" && why != ""
		}
	}
	return true
}

// invite returns the invite of this id, or nil.
func (c *Community) invite(id InviteID) *invite {
	for _, v := range c.book {
		if v.ID == id {
			return v
		}
	}
	return nil
}

// used returns how often an invite was used: by how many nodes, as far as we
// know.
func (c *Community) used(v *invite) int {
	return max(int(v.used), int(v.moved)+c.uses[v.ID])
}

// closed says why an invite can not be used; empty if it can.
func (c *Community) closed(v *invite) string {
	if _, ok := c.revokedInvites[v.ID]; ok {
		return "revoked"
	}
	if s := c.admin(v.Signer); !v.stock && (s == nil || !c.counts(s, v.Number)) {
		return "its admin is revoked"
	}
	switch {
	case c.over(v.NotAfter):
		return "expired"
	case !v.stock && c.used(v) >= int(v.Uses):
		return "used"
	}
	return ""
}

// roomForInvite reports whether the book has room, after throwing out what
// is of no use any more.
func (c *Community) roomForInvite() bool {
	if len(c.book) < MaxInvites {
		return true
	}
	n := len(c.book)
	c.book = slices.DeleteFunc(c.book, func(v *invite) bool {
		why := c.closed(v)
		return why == "expired" || why == "revoked"
	})
	return len(c.book) < n
}

// doubleUse looks whether an invite was used at two admins that did not know
// of each other. The later nodes lose their membership.
func (c *Community) doubleUse(now mono.Time, id InviteID, out *Out) {
	v := c.invite(id)
	if v == nil || v.stock || c.uses[id] <= int(v.Uses) || !c.isAdmin() {
		return
	}
	users := c.users(id)
	for i, m := range users {
		if _, revoked := c.revokedMembers[m.ip]; i < int(v.Uses) || revoked {
			continue
		}
		if c.punishing {
			return // one after the other; this one is looked for again
		}
		c.punishing = true
		out.event(true, "invite "+id.String()+" was used too often: "+m.ip.String()+" came last and is revoked")
		e := Revocation{what: revokeMember, IP: m.ip, Reason: ReasonDoubleUse, UpTo: c.entryEnd()}
		c.enqueue(now, c.revoking(e, false, func(now mono.Time, err error, out *Out) {
			c.punishing = false
			if err != nil {
				out.event(true, "it could not be revoked: "+err.Error())
				return
			}
			c.doubleUse(now, id, out)
		}), out)
		return
	}
}

// doubleUses looks at all invites.
func (c *Community) doubleUses(now mono.Time, out *Out) {
	for _, v := range c.book {
		c.doubleUse(now, v.ID, out)
	}
}

// entryEnd is the time after which an entry about a member is of no use.
func (c *Community) entryEnd() uint32 { return stamp(c.guess() + revocationLife) }

// revoking makes the task of adding an entry to our list, or taking it out,
// and signing the page.
func (c *Community) revoking(e Revocation, lift bool, done func(now mono.Time, err error, out *Out)) task {
	finish := func(now mono.Time, err error, out *Out) {
		if done != nil {
			done(now, err, out)
		}
	}
	asked := false
	return task{step: func(now mono.Time, out *Out) *Job {
		if asked {
			return nil
		}
		asked = true
		s := c.adminNode(c.self)
		if s == nil || !c.isAdmin() {
			finish(now, errNoAdmin, out)
			return nil
		}
		p, err := c.edit(s, e, lift)
		if err != nil {
			finish(now, err, out)
			return nil
		}
		p.Head = Head{Community: c.root.id, Signer: s.id, Number: c.number + 1, Time: c.signedTime()}
		return &Job{draft: p.unsigned(), purpose: func(now mono.Time, j *Job, out *Out) {
			p, err := ParsePage(j.signed)
			if err != nil {
				panic("community: own page is refused") // unsigned and ParsePage are at odds
			}
			c.putPage(now, s, p, out)
			c.whenSaved(out, func(err error, out *Out) { finish(now, err, out) })
		}}
	}}
}

// edit returns the page of s that is to be signed anew, with e added or taken
// out. Entries of no more use give way.
func (c *Community) edit(s *signer, e Revocation, lift bool) (p Page, err error) {
	for i := range s.pages {
		if at := slices.IndexFunc(s.pages[i].Entries, e.same); at >= 0 {
			p = Page{Page: uint8(i), Entries: slices.Clone(s.pages[i].Entries)} //nolint:gosec // below Pages
			if lift {
				p.Entries = slices.Delete(p.Entries, at, at+1)
			} else {
				p.Entries[at] = e
			}
			return p, nil
		}
	}
	if lift {
		return p, errNotRevoked
	}
	for i := range s.pages {
		entries := slices.DeleteFunc(slices.Clone(s.pages[i].Entries), func(o Revocation) bool {
			return o.what != revokeAdmin && c.over(o.UpTo)
		})
		if len(entries) < PageEntries {
			return Page{Page: uint8(i), Entries: append(entries, e)}, nil //nolint:gosec // below Pages
		}
	}
	return p, errListFull
}
