package community

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// JoinTime is how long a newcomer looks for an admin.
const JoinTime = 30 * time.Second

const joinPause = 2 * time.Second // between requests

// joining is an attempt to join.
type joining struct {
	token   Token
	started mono.Time
	next    mono.Time
	at      int
	given   []cjdns.Key // admins that have refused for good
	last    string      // what the last answer was
	busy    bool        // an answer is being checked
	done    func(err error, out *Out)
}

// Join asks the admins of a token, in turns, for a membership. done is called
// when it is stored, or with the reason why not. The owner has to see to it
// that messages can reach an admin.
func (c *Community) Join(now mono.Time, t Token, out *Out, done func(err error, out *Out)) {
	if err := c.mayJoin(t); err != nil {
		done(err, out)
		return
	}
	c.join = &joining{token: t, started: now, next: now, done: done}
	c.joinTick(now, out)
	c.nextTick = mono.Min(c.nextTick, now.Add(tickTime))
}

func (c *Community) mayJoin(t Token) error {
	switch {
	case c.join != nil:
		return errors.New("this node is joining already; wait for the outcome")
	case slices.Contains(t.Admins, c.self):
		return errors.New("this token was made by this node; it is for another one")
	case c.In() && c.root.key == t.Root:
		if st, why := c.standing(c.self); st.Good() {
			return fmt.Errorf("this node is in the community '%s' already", c.name)
		} else if st == StandingRevoked {
			return fmt.Errorf("this node is in the community '%s' already, but %s", c.name, why)
		}
	case c.In():
		return fmt.Errorf("%w; it is '%s'", errInAlready, c.name)
	}
	if c.over(t.NotAfter) {
		return fmt.Errorf("the token has expired: it ended %s; ask for a new one", date(int64(t.NotAfter)))
	}
	return nil
}

// Joining returns the token that is being used, or nil.
func (c *Community) Joining() *Token {
	if c.join == nil {
		return nil
	}
	return &c.join.token
}

// joinTick asks the next admin, or gives up.
func (c *Community) joinTick(now mono.Time, out *Out) {
	j := c.join
	if j == nil || j.busy {
		return
	}
	left := slices.DeleteFunc(slices.Clone(j.token.Admins), func(k cjdns.Key) bool { return slices.Contains(j.given, k) })
	switch {
	case len(left) == 0:
		c.joined(errors.New(j.last), out)
		return
	case now.Sub(j.started) >= JoinTime && j.last != "":
		c.joined(errors.New(j.last), out)
		return
	case now.Sub(j.started) >= JoinTime:
		c.joined(fmt.Errorf("no admin answered within %s: none is in reach of this node", JoinTime), out)
		return
	case now < j.next:
		return
	}
	j.next = now.Add(joinPause)
	admin := left[j.at%len(left)]
	j.at++
	t := &j.token
	r := redeem{invite: t.Invite, key: c.cfg.Self, proof: proof(t.Community(), t.Invite, t.Secret, c.cfg.Self, admin)}
	out.Messages = append(out.Messages, Message{admin, r.append(messageTo(msgRedeem, t.Community()))})
}

func (c *Community) joined(err error, out *Out) {
	done := c.join.done
	c.join = nil
	done(err, out)
}

// welcomed takes the answer of an admin.
func (c *Community) welcomed(now mono.Time, from cjdns.Key, community ID, body []byte, out *Out) {
	w, err := parseWelcome(body)
	if err != nil {
		c.drops[DropMalformed]++
		return
	}
	j := c.join
	if j == nil || w.invite != j.token.Invite || community != j.token.Community() || !slices.Contains(j.token.Admins, from) {
		// A renewed membership is checked like any other.
		if st, _ := c.standing(from); st == StandingAdmin && community == c.root.id && w.outcome == Welcome && w.invite == (InviteID{}) {
			c.enqueue(now, c.receiving(SourceOf(from), clone(w.objects), byMember, nil), out)
			return
		}
		c.drops[DropStranger]++
		return
	}
	if j.busy {
		return
	}
	if w.outcome != Welcome {
		if w.outcome != RefusedBusy || j.last == "" {
			j.last = w.outcome.String()
		}
		switch {
		case w.outcome.final():
			c.joined(errors.New(j.last), out)
		case w.outcome.elsewhere():
			j.given = append(j.given, from)
			j.next = now
			c.joinTick(now, out)
		}
		return
	}
	j.busy = c.enqueue(now, c.entering(j, from, clone(w.objects)), out)
}

// entering makes the task of checking what an admin has given us, and of
// entering the community.
func (c *Community) entering(j *joining, from cjdns.Key, objects [][]byte) task {
	var m Membership
	var a Admin
	var s *signer
	fail := func(text string) {
		j.busy, j.last = false, "the admin's answer is of no use: "+text
		j.given = append(j.given, from)
	}
	stage := 0
	return task{from: SourceOf(from), step: func(now mono.Time, out *Out) *Job {
		if c.join != j {
			return nil
		}
		stage++
		switch stage {
		case 1:
			var err error
			if m, a, err = c.ours(j, objects); err != nil {
				fail(err.Error())
				return nil
			}
			return &Job{check: &a.Head, by: j.token.Root, of: a.Key, purpose: func(_ mono.Time, job *Job, _ *Out) {
				if job.err != nil {
					fail("the certificate of the admin is not signed by the root of the community")
					stage = 2
					return
				}
				s = &signer{id: a.ID(), key: a.Key, node: job.node, ip: job.ip, cert: a}
			}}
		case 2:
			return &Job{check: &m.Head, by: a.Key, purpose: func(now mono.Time, job *Job, out *Out) {
				if job.err != nil {
					fail("the membership is not signed by the admin")
					return
				}
				c.enter(now, j, s, m, objects, out)
			}}
		}
		return nil
	}}
}

// ours finds our membership and the certificate of its signer.
func (c *Community) ours(j *joining, objects [][]byte) (m Membership, a Admin, err error) {
	id := j.token.Community()
	found := false
	for _, raw := range objects {
		if o, err := ParseMembership(raw); err == nil && o.Key == c.cfg.Self && o.Community == id {
			m, found = o, true
		}
	}
	if !found {
		return m, a, errors.New("it holds no membership of this node")
	}
	for _, raw := range objects {
		if o, err := ParseAdmin(raw); err == nil && o.Community == id && o.ID() == m.Signer {
			return m, o, nil
		}
	}
	return m, a, errors.New("it holds no certificate of the admin who signed")
}

// enter makes us a member. Everything is checked.
func (c *Community) enter(now mono.Time, j *joining, s *signer, m Membership, objects [][]byte, out *Out) {
	if c.In() && c.root.key != j.token.Root { // begun meanwhile
		c.joined(fmt.Errorf("%w; it is '%s'", errInAlready, c.name), out)
		return
	}
	if !c.In() {
		c.reset()
		c.name = j.token.Name
		c.root = signer{id: j.token.Community(), key: j.token.Root}
	}
	if c.admin(s.id) == nil {
		c.admins = append(c.admins, s)
	}
	c.rebuild()
	c.putMember(&member{Membership: m, node: c.self, ip: c.ip}, out)
	c.review(out) // the admin counts from now on
	c.spread(now) // to those who were neighbours before
	c.enqueue(now, c.receiving(Source{}, objects, byMember, nil), out)
	c.whenSaved(out, func(err error, out *Out) {
		if c.join != j {
			return
		}
		if err != nil {
			err = fmt.Errorf("the membership cannot be stored, and is lost at the next start unless it can be before: %w", err)
		} else {
			out.event(false, "this node is a member of the community '"+c.name+"' now")
		}
		c.joined(err, out)
	})
}
