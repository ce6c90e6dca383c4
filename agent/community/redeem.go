package community

import (
	"crypto/subtle"
	"errors"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// redeemed answers a newcomer who claims to know the secret of an invite. The
// membership is stored before the answer leaves: whoever has it can rely on
// it, and who asks again because the answer was lost gets the same.
func (c *Community) redeemed(now mono.Time, from cjdns.Key, r redeem, out *Out) {
	if !c.redeems.Take(now, redeemTime, redeemBurst) {
		c.drops[DropRate]++
		c.answer(from, r.invite, RefusedBusy, nil, out)
		return
	}
	finished := false
	ok := c.enqueue(now, task{from: SourceOf(from), step: func(now mono.Time, out *Out) *Job {
		if finished {
			return nil
		}
		finished = true
		v, ip, outcome := c.mayRedeem(from, r)
		if outcome != Welcome {
			c.answer(from, r.invite, outcome, nil, out)
			return nil
		}
		if m := c.members[from]; m != nil && m.Invite == v.ID && c.countsMember(m) {
			c.whenSaved(out, func(err error, out *Out) { c.welcome(from, v.ID, m, err, out) })
			return nil
		}
		if _, ok := c.members[from]; !ok && len(c.members) >= MaxMembers && !c.roomForMember() {
			c.drops[DropFull]++
			c.answer(from, r.invite, RefusedFull, nil, out)
			return nil
		}
		t := stamp(c.guess())
		n := Membership{Role: v.Role, Key: r.key, Joined: t, NotAfter: stamp(int64(t) + membershipLife), Invite: v.ID}
		return c.certify(n, t, from, ip, func(m *member, out *Out) {
			v.used++
			v.redeemed = max(now, 1)
			out.event(false, ip.String()+" is a member now, by invite "+v.ID.String())
			out.Logins = true
			c.spread(now) // so that the other admins count the use too
			c.whenSaved(out, func(err error, out *Out) { c.welcome(from, v.ID, m, err, out) })
		})
	}}, out)
	if !ok {
		c.answer(from, r.invite, RefusedBusy, nil, out)
	}
}

// mayRedeem checks a request.
func (c *Community) mayRedeem(from cjdns.Key, r redeem) (v *invite, ip cjdns.IP, o Outcome) {
	if !c.isAdmin() {
		return nil, ip, RefusedNoAdmin
	}
	if v = c.invite(r.invite); v == nil || v.stock {
		if _, ok := c.revokedInvites[r.invite]; ok {
			return nil, ip, RefusedRevoked
		}
		return nil, ip, RefusedUnknown
	}
	// The proof first: it costs less than looking at the key.
	want := proof(c.root.id, v.ID, v.Secret, r.key, c.self)
	if subtle.ConstantTimeCompare(want[:], r.proof[:]) != 1 {
		c.drops[DropKey]++
		return nil, ip, RefusedProof
	}
	node, ip, err := nodeOf(r.key)
	if err != nil || node != from {
		c.drops[DropKey]++
		return nil, ip, RefusedProof
	}
	if _, ok := c.revokedMembers[ip]; ok {
		return nil, ip, RefusedMember
	}
	if m := c.members[from]; m != nil && m.Invite == v.ID && c.countsMember(m) && c.closed(v) != "revoked" {
		return v, ip, Welcome // it asks again
	}
	switch c.closed(v) {
	case "":
		return v, ip, Welcome
	case "expired":
		return nil, ip, RefusedExpired
	case "used":
		return nil, ip, RefusedUsed
	}
	return nil, ip, RefusedRevoked
}

// certify returns the job of signing a membership from time t on; then is
// called when it stands in the table.
func (c *Community) certify(n Membership, t uint32, node cjdns.Key, ip cjdns.IP, then func(m *member, out *Out)) *Job {
	n.Head = Head{Community: c.root.id, Signer: IDOf(c.cfg.Self), Number: c.number + 1, Time: t}
	return &Job{draft: n.unsigned(), purpose: func(_ mono.Time, j *Job, out *Out) {
		signed, err := ParseMembership(j.signed)
		if err != nil {
			panic("community: own membership is refused") // unsigned and ParseMembership are at odds
		}
		m := &member{Membership: signed, node: node, ip: ip}
		c.putMember(m, out)
		then(m, out)
	}}
}

// answer refuses, or gives objects.
func (c *Community) answer(to cjdns.Key, id InviteID, o Outcome, objects [][]byte, out *Out) {
	w := welcome{invite: id, outcome: o, objects: objects}
	out.Messages = append(out.Messages, Message{to, w.append(messageTo(msgWelcome, c.root.id))})
}

// refuse answers a request for another community in that one's name.
func (c *Community) refuse(to cjdns.Key, community ID, body []byte, o Outcome, out *Out) {
	r, err := parseRedeem(body)
	if err != nil {
		return
	}
	w := welcome{invite: r.invite, outcome: o}
	out.Messages = append(out.Messages, Message{to, w.append(messageTo(msgWelcome, community))})
}

// welcome gives a membership to its node, with all admins' certificates, and
// then what is revoked.
func (c *Community) welcome(to cjdns.Key, id InviteID, m *member, err error, out *Out) {
	if err != nil {
		c.answer(to, id, RefusedStore, nil, out)
		return
	}
	objects := [][]byte{m.Raw}
	if s := c.admin(m.Signer); s != nil {
		objects = append(objects, s.cert.Raw)
	}
	for _, s := range c.admins {
		if st, _ := c.standing(s.node); st == StandingAdmin && s.id != m.Signer {
			objects = append(objects, s.cert.Raw)
		}
	}
	c.answer(to, id, Welcome, objects, out)
	sent := 0
	for _, s := range c.signers() {
		for i := range s.pages {
			// The others come when they synchronise.
			if p := &s.pages[i]; p.Raw != nil && c.counts(s, p.Number) && sent < 2*perSummary {
				c.sendBatch(to, batch{objects: [][]byte{p.Raw}}, out)
				sent++
			}
		}
	}
}

// Renewal.
const (
	renewPause = 10 * time.Minute // between requests
	renewYoung = membershipLife / 4
)

// renewTick asks an admin for a new membership when half of ours is over, or
// when its signer does not count any more.
func (c *Community) renewTick(now mono.Time, out *Out) {
	if c.own == nil || c.adminNode(c.self) != nil || now < c.nextRenew {
		return
	}
	s := c.admin(c.own.Signer)
	void := s == nil || !c.counts(s, c.own.Number)
	half := int64(c.own.Time) + (int64(c.own.NotAfter)-int64(c.own.Time))/2
	if t := c.guess(); !void && (c.own.NotAfter == 0 || t < half) {
		return
	}
	c.nextRenew = now.Add(renewPause)
	for range c.admins {
		c.renewAt++
		a := c.admins[c.renewAt%len(c.admins)]
		if st, _ := c.standing(a.node); st == StandingAdmin {
			c.sendSummary(a.node, true, out)
			out.Messages = append(out.Messages, Message{a.node, messageTo(msgRenew, c.root.id)})
			return
		}
	}
}

// renewed gives a member that asks a fresh membership. The old one need not
// count any more if it is the signer who was revoked: we knew it before.
func (c *Community) renewed(now mono.Time, from cjdns.Key, out *Out) {
	if !c.redeems.Take(now, redeemTime, redeemBurst) {
		c.drops[DropRate]++
		return
	}
	finished := false
	c.enqueue(now, task{from: SourceOf(from), step: func(_ mono.Time, out *Out) *Job {
		m := c.members[from]
		if finished || m == nil || !c.isAdmin() {
			return nil
		}
		finished = true
		if _, revoked := c.revokedMembers[m.ip]; revoked || c.over(m.NotAfter) {
			c.drops[DropRevoked]++
			return nil
		}
		t := stamp(c.guess())
		if c.countsMember(m) && int64(t)-int64(m.Time) < renewYoung {
			c.answer(from, InviteID{}, Welcome, [][]byte{m.Raw}, out)
			return nil
		}
		n := m.Membership
		n.NotAfter = stamp(int64(t) + membershipLife)
		return c.certify(n, t, from, m.ip, func(m *member, out *Out) {
			c.whenSaved(out, func(err error, out *Out) {
				if err == nil {
					c.answer(from, InviteID{}, Welcome, [][]byte{m.Raw}, out)
				}
			})
		})
	}}, out)
}

// Errors of the commands.
var (
	errNoCommunity = errors.New("this node is in no community: meshagent community create NAME, or meshagent join TOKEN")
	errInAlready   = errors.New("this node is in a community already; expected none: meshagent community leave")
	errNoAdmin     = errors.New("this node is no admin of its community; ask an admin, or make it one: meshagent community admin add KEY --root LINE")
	errNotRevoked  = errors.New("not revoked by this node: only the admin who has revoked it can lift that")
	errListFull    = errors.New("the list of revocations is full; lift some, or let another admin revoke")
	errBookFull    = errors.New("there are 256 open invites already; revoke some: meshagent invite list")
)
