package community

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// The functions below are the operator's. done is called when the change is
// stored, or with the reason why there is none.

// Found begins a community, or enters one as its admin: cert is what its root
// has signed for this node.
func (c *Community) Found(now mono.Time, name string, root cjdns.VerifyKey, cert []byte, out *Out, done func(err error, out *Out)) {
	err := CheckName(name)
	switch {
	case err != nil:
	case c.In() && c.root.key != root:
		err = fmt.Errorf("%w; it is '%s'", errInAlready, c.name)
	case c.In() && c.adminNode(c.self) != nil:
		err = fmt.Errorf("this node is an admin of '%s' already", c.name)
	}
	a, perr := ParseAdmin(cert)
	if err == nil && (perr != nil || a.Key != c.cfg.Self || a.Community != IDOf(root)) {
		err = errors.New("the certificate is not for this node")
	}
	if err != nil {
		done(err, out)
		return
	}
	asked := false
	c.enqueue(now, task{step: func(mono.Time, *Out) *Job {
		if asked {
			return nil
		}
		asked = true
		return &Job{check: &a.Head, by: root, purpose: func(now mono.Time, j *Job, out *Out) {
			if j.err != nil {
				done(j.err, out)
				return
			}
			if !c.In() {
				c.reset()
				c.name, c.root = name, signer{id: IDOf(root), key: root}
			}
			c.apply(now, cert, out, done)
		}}
	}}, out)
}

// apply takes an object that the root has signed.
func (c *Community) apply(now mono.Time, object []byte, out *Out, done func(err error, out *Out)) {
	c.enqueue(now, c.receiving(Source{}, [][]byte{object}, byMember, func(now mono.Time, _ int, err error, out *Out) {
		if err != nil {
			done(err, out)
			return
		}
		c.spread(now)
		c.whenSaved(out, done)
	}), out)
}

// Apply takes an admin's certificate or a page that the root has signed.
func (c *Community) Apply(now mono.Time, object []byte, out *Out, done func(err error, out *Out)) {
	if !c.In() {
		done(errNoCommunity, out)
		return
	}
	c.apply(now, object, out, done)
}

// rootNumber is a number greater than that of everything that we know of the
// root. The time is part of it, so that a root key that was typed into another
// router goes on where it stopped.
func (c *Community) rootNumber() uint32 {
	n := uint32(0)
	for _, s := range c.admins {
		n = max(n, s.cert.Number)
	}
	for i := range c.root.pages {
		n = max(n, c.root.pages[i].Number)
	}
	return max(n+1, stamp(c.guess()))
}

// FirstDraft returns what the root has to sign to make this node an admin of
// its community, whether or not the node is in it.
func (c *Community) FirstDraft(root cjdns.VerifyKey) []byte {
	id := IDOf(root)
	a := Admin{Head: Head{Community: id, Signer: id, Number: c.rootNumber(), Time: stamp(c.guess())}, Key: c.cfg.Self}
	return a.unsigned()
}

// DraftAdmin returns what the root has to sign to make a node an admin. We
// must have met it as a member, or be it.
func (c *Community) DraftAdmin(k cjdns.Key) ([]byte, error) {
	if !c.In() {
		return nil, errNoCommunity
	}
	key := c.cfg.Self
	if k != c.self {
		m := c.members[k]
		if m == nil {
			return nil, fmt.Errorf("%s is no member that this node has met: let it join first, or do this on an admin", k.IP())
		}
		key = m.Key
	}
	if c.adminNode(k) == nil && len(c.admins) >= MaxAdmins && c.idleAdmin() < 0 {
		return nil, fmt.Errorf("there are %d admins, which is the most; revoke one first", MaxAdmins)
	}
	a := Admin{Head: Head{Community: c.root.id, Signer: c.root.id, Number: c.rootNumber(), Time: stamp(c.guess())}, Key: key}
	return a.unsigned(), nil
}

// DraftRevoke returns what the root has to sign to revoke an admin, or to
// lift that. What the admin has signed so far goes on to count, as far as we
// know it, unless all is set.
func (c *Community) DraftRevoke(k cjdns.Key, reason Reason, all, lift bool) ([]byte, error) {
	if !c.In() {
		return nil, errNoCommunity
	}
	s := c.adminNode(k)
	if s == nil {
		return nil, fmt.Errorf("%s is no admin of '%s'", k.IP(), c.name)
	}
	e := Revocation{what: revokeAdmin, Reason: reason, IP: s.ip}
	if !all {
		e.UpTo = c.highest(s)
	}
	p, err := c.edit(&c.root, e, lift)
	if err != nil {
		return nil, err
	}
	p.Head = Head{Community: c.root.id, Signer: c.root.id, Number: c.rootNumber(), Time: c.signedTime()}
	return p.unsigned(), nil
}

// highest is the greatest number that we have seen of s.
func (c *Community) highest(s *signer) uint32 {
	n := c.through(s)
	for i := range s.pages {
		n = max(n, s.pages[i].Number)
	}
	for _, m := range c.members {
		if m.Signer == s.id {
			n = max(n, m.Number)
		}
	}
	return n
}

// SignRoot signs a draft with the root's secret. It is for the program at the
// operator's hands; the agent never has that secret.
func SignRoot(secret cjdns.PrivateKey, rand func([]byte), draft []byte) ([]byte, error) {
	k := cjdns.NewSigningKey(secret)
	if len(draft) < headLen || (draft[0] != kindAdmin && draft[0] != kindPage) {
		return nil, ErrObject
	}
	id := IDOf(k.Public())
	if ID(draft[2:10]) != id || ID(draft[10:18]) != id {
		return nil, errors.New("this is the root key of another community")
	}
	return sign(k, rand, slices.Clone(draft)), nil
}

// InviteOptions say what an invite is to be.
type InviteOptions struct {
	Role    Role
	Uses    uint8
	Life    int64  // seconds; 0: never ends
	Address string // host:port of this node, may be empty
	Stock   bool   // a password for a stock node
	Note    string // for people; of a stock invite
}

// Invite makes an invite and puts it into the book. token is empty if it is
// for a stock node: login and password are all that one needs.
func (c *Community) Invite(now mono.Time, o InviteOptions, out *Out, done func(t Token, l Login, err error, out *Out)) {
	fail := func(err error) { done(Token{}, Login{}, err, out) }
	s := c.adminNode(c.self)
	switch {
	case !o.Stock && !c.In():
		fail(errNoCommunity)
		return
	case !o.Stock && (s == nil || !c.isAdmin()):
		fail(errNoAdmin)
		return
	case !c.roomForInvite():
		fail(errBookFull)
		return
	}
	v := Invite{Role: o.Role, Uses: o.Uses}
	if o.Life > 0 {
		v.NotAfter = stamp(c.guess() + o.Life)
	}
	c.cfg.Rand(v.ID[:])
	c.cfg.Rand(v.Secret[:])
	login := Login{v.ID.String(), password(v.ID, v.Secret)}
	if o.Stock {
		v.Head = Head{Time: stamp(c.guess())}
		c.book = append(c.book, &invite{Invite: v, stock: true, note: o.Note})
		out.Logins = true
		c.whenSaved(out, func(err error, out *Out) { done(Token{NotAfter: v.NotAfter}, login, err, out) })
		return
	}
	t := Token{Role: v.Role, Root: c.root.key, Invite: v.ID, Secret: v.Secret, NotAfter: v.NotAfter, Uses: v.Uses, Admins: []cjdns.Key{c.self}, Name: c.name, Address: o.Address}
	for _, a := range c.admins {
		if st, _ := c.standing(a.node); st == StandingAdmin && a.node != c.self && len(t.Admins) < maxAdmins {
			t.Admins = append(t.Admins, a.node)
		}
	}
	for len(t.Admins) > 1 && len(t.String()) > maxTokenLen {
		t.Admins = t.Admins[:len(t.Admins)-1]
	}
	asked := false
	c.enqueue(now, task{step: func(_ mono.Time, out *Out) *Job {
		if asked {
			return nil
		}
		asked = true
		v.Head = Head{Community: c.root.id, Signer: s.id, Number: c.number + 1, Time: stamp(c.guess())}
		return &Job{draft: v.unsigned(), purpose: func(now mono.Time, j *Job, out *Out) {
			v, err := ParseInvite(j.signed)
			if err != nil {
				panic("community: own invite is refused") // unsigned and ParseInvite are at odds
			}
			c.number = v.Number
			c.book = append(c.book, &invite{Invite: v})
			out.Logins = true
			c.spread(now) // the other admins redeem it too
			c.whenSaved(out, func(err error, out *Out) { done(t, login, err, out) })
		}}
	}}, out)
}

// Revoke revokes the member or invite that selector names: a public key, an
// overlay address, or an invite. lift takes that back.
func (c *Community) Revoke(now mono.Time, selector string, reason Reason, lift bool, out *Out, done func(what string, err error, out *Out)) {
	e, v, err := c.find(selector)
	if err != nil {
		done("", err, out)
		return
	}
	what := "member " + e.IP.String()
	if v != nil || e.what == revokeInvite {
		what = "invite " + e.Invite.String()
	}
	finish := func(err error, out *Out) { done(what, err, out) }
	if v != nil && v.stock {
		if lift {
			finish(errors.New("it is in use; there is nothing to lift"), out)
			return
		}
		c.book = slices.DeleteFunc(c.book, func(o *invite) bool { return o == v })
		out.Logins = true
		c.whenSaved(out, finish)
		return
	}
	if !c.In() {
		finish(errNoCommunity, out)
		return
	}
	e.Reason = reason
	c.enqueue(now, c.revoking(e, lift, func(_ mono.Time, err error, out *Out) { finish(err, out) }), out)
}

// find reads a selector.
func (c *Community) find(selector string) (e Revocation, v *invite, err error) {
	if raw, err := hex.DecodeString(selector); err == nil && len(raw) == 8 {
		e = Revocation{what: revokeInvite, Invite: InviteID(raw)}
		if v = c.invite(e.Invite); v != nil {
			if v.NotAfter != 0 {
				e.UpTo = stamp(int64(v.NotAfter) + clockSlack)
			}
			return e, v, nil
		}
		if _, ok := c.revokedInvites[e.Invite]; ok {
			return e, nil, nil
		}
		return e, nil, fmt.Errorf("there is no invite %s; list them: meshagent invite list", selector)
	}
	ip, err := cjdns.ParseIP(selector)
	if k, kerr := cjdns.ParseKey(selector); kerr == nil {
		ip, err = k.IP(), nil
	}
	if err != nil {
		return e, nil, fmt.Errorf("'%.64s' names nothing that can be revoked: expected a public key, an address in fc00::/8, or the 16 digits of an invite", selector)
	}
	for _, s := range c.admins {
		if s.ip == ip {
			return e, nil, fmt.Errorf("%s is an admin: only the root can revoke it, with --root LINE", ip)
		}
	}
	return Revocation{what: revokeMember, IP: ip, UpTo: c.entryEnd()}, nil, nil
}

// Leave forgets the community and all that is known of it.
func (c *Community) Leave(out *Out, done func(err error, out *Out)) {
	if !c.In() {
		done(errNoCommunity, out)
		return
	}
	c.forgetAll(out)
	c.reset()
	out.Certs, out.Logins, out.Revoked = true, true, true
	c.whenSaved(out, done)
}
