package community

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

func TestJoin(t *testing.T) {
	w, a, b, m := demo(t)
	for _, n := range w.nodes {
		n.want(a, StandingAdmin)
		n.want(b, StandingAdmin)
		if n != b {
			n.want(m, StandingMember)
		}
	}
	b.want(m, StandingMember) // admins tell each other
	if v, ok := a.lastVerdict(m); !ok || !v.Member {
		t.Errorf("a said %+v", v)
	}
	// Who has nothing but the root key checks a membership without asking.
	x := w.add("x")
	x.mustJoin(a.invite(InviteOptions{}))
	x.show(m)
	x.want(m, StandingMember)
	if v, ok := x.lastVerdict(m); !ok || !v.Member {
		t.Errorf("x said %+v", v)
	}
	if !x.c.Knows(m.c.self, m.c.MemberHash()) || x.c.Knows(m.c.self, a.c.MemberHash()) {
		t.Error("the certificate is not known by its name")
	}
	if certs := m.c.OwnCerts(); len(AppendCerts(nil, certs)) > 600-300-4 || len(certs) != 2 {
		t.Errorf("%d certificates, %d bytes", len(certs), len(AppendCerts(nil, certs)))
	}
	s := a.c.Status()
	if s.Standing != "admin" || len(s.Admins) != 2 || len(s.Members) != 2 || s.Name != "demo" {
		t.Errorf("%+v", s)
	}
}

// TestJoinTellsAdmin: with the membership the newcomer knows that the admin is
// a member.
func TestJoinTellsAdmin(t *testing.T) {
	w := newWorld(t, "a", "m")
	a, m := w.nodes[0], w.nodes[1]
	a.found()
	m.mustJoin(a.invite(InviteOptions{}))
	if v, ok := m.lastVerdict(a); !ok || !v.Member {
		t.Errorf("the newcomer was told %+v", v)
	}
}

func TestRestart(t *testing.T) {
	w, a, b, m := demo(t)
	if err := a.revoke(m.c.ip.String(), false); err != nil {
		t.Fatal(err)
	}
	w.run(30 * time.Second)
	token := a.invite(InviteOptions{})
	for _, n := range w.nodes {
		before := n.c.Status()
		n.boot()
		after := n.c.Status()
		if before.Name != after.Name || len(before.Revoked) != len(after.Revoked) || before.Standing != after.Standing || len(before.Admins) != len(after.Admins) {
			t.Errorf("%s: before\n%+v, after\n%+v", n.name, before, after)
		}
	}
	a.want(m, StandingRevoked)
	b.want(m, StandingRevoked)
	m.want(m, StandingRevoked)
	x := w.add("x")
	x.mustJoin(token)
	if len(a.c.Logins(w.now.Add(2*linger))) != 0 {
		t.Errorf("open invites: %v", a.c.Invites())
	}
}

func TestSingleUse(t *testing.T) {
	w, a, _, _ := demo(t)
	token := a.invite(InviteOptions{Uses: 2})
	for i, name := range []string{"x", "y", "z"} {
		n := w.add(name)
		err := n.join(token)
		w.run(JoinTime + time.Second)
		switch {
		case i < 2 && *err != nil:
			t.Errorf("%s: %v", name, *err)
		case i == 2 && (*err == nil || !strings.Contains((*err).Error(), "used already")):
			t.Errorf("%s: %v", name, *err)
		}
	}
}

// TestBadTokens uses tokens that an admin refuses, or the node itself.
func TestBadTokens(t *testing.T) {
	w, a, _, m := demo(t)
	w.clock(build+1000, true)
	x := w.add("x")
	x.c.SetWall(build+1000, true)
	good := a.invite(InviteOptions{})
	forged := good
	forged.Secret[3] ^= 1
	unknown := good
	unknown.Invite[0] ^= 1
	stranger := good
	stranger.Admins = stranger.Admins[:0:0]
	stranger.Admins = append(stranger.Admins, m.c.self)
	foreign := good
	foreign.Root[0] ^= 1
	far := good
	far.Admins = append(far.Admins[:0:0], x.c.self)
	nobody := w.add("nobody")
	absent := good
	absent.Admins = append(absent.Admins[:0:0], nobody.c.self)
	w.nodes = w.nodes[:len(w.nodes)-1]
	over := good
	over.NotAfter = build + 999
	revoked := a.invite(InviteOptions{})
	if err := a.revoke(revoked.Invite.String(), false); err != nil {
		t.Fatal(err)
	}
	short := a.invite(InviteOptions{Life: 10})
	long := short
	long.NotAfter = 0
	a.c.SetWall(build+1100, true)
	for _, tc := range []struct {
		name  string
		token Token
		want  string
	}{
		{"forged", forged, "the token's secret is not that of the invite"},
		{"unknown", unknown, "the admin does not know this invite"},
		{"no admin", stranger, "the node is no admin of the community"},
		{"other community", foreign, "the node is in another community"},
		{"own", far, "this token was made by this node"},
		{"absent", absent, "no admin answered within 30s"},
		{"expired here", over, "the token has expired: it ended 2025-10-09"},
		{"expired there", long, "the invite has expired"},
		{"revoked", revoked, "the invite is revoked"},
	} {
		err := x.join(tc.token)
		w.run(JoinTime + 2*time.Second)
		if *err == nil || !strings.Contains((*err).Error(), tc.want) {
			t.Errorf("%s: %v, want %s", tc.name, *err, tc.want)
		}
		if x.c.In() {
			t.Fatalf("%s: it is in", tc.name)
		}
	}
	x.mustJoin(good)
	if err := x.join(good); *err == nil || !strings.Contains((*err).Error(), "already") {
		t.Errorf("twice: %v", *err)
	}
}

// TestCrashBeforeAnswer lets an admin store a membership and die before its
// answer leaves, and then before it stores one.
func TestCrashBeforeAnswer(t *testing.T) {
	w, a, _, _ := demo(t)
	token := a.only(a.invite(InviteOptions{}))
	x := w.add("x")
	w.cut = func(from, _ *tnode) bool { return from == a }
	result := x.join(token)
	if *result != errPending {
		t.Fatal(*result)
	}
	a.boot() // from its disk, which has the membership
	a.want(x, StandingMember)
	w.cut = nil
	w.run(5 * time.Second)
	if *result != nil {
		t.Errorf("after the admin's restart: %v", *result)
	}
	// The other order: nothing on the disk, so nothing was said.
	token = a.only(a.invite(InviteOptions{}))
	y := w.add("y")
	a.hold = true
	result = y.join(token)
	if y.c.In() || *result != errPending {
		t.Errorf("an answer left before it was stored: %v", *result)
	}
	a.hold = false
	a.boot()
	a.want(y, StandingUnknown)
	w.run(5 * time.Second)
	if *result != nil {
		t.Errorf("after the second restart: %v", *result)
	}
	a.want(y, StandingMember)
}

func TestDiskFull(t *testing.T) {
	w, a, _, _ := demo(t)
	token := a.only(a.invite(InviteOptions{}))
	x := w.add("x")
	a.refuse = errors.New("no space left on device")
	result := x.join(token)
	w.run(JoinTime + 2*time.Second)
	if *result == nil || !strings.Contains((*result).Error(), "could not store") {
		t.Errorf("%v", *result)
	}
	a.refuse = nil
	x.mustJoin(token) // the use was not lost
	x.refuse = errors.New("read-only file system")
	if err := x.join(a.invite(InviteOptions{})); *err == nil {
		t.Error("joined twice")
	}
}

// TestFoundWhileJoining begins a community while the answer of an admin of
// another one is on its way.
func TestFoundWhileJoining(t *testing.T) {
	w := newWorld(t, "a", "x")
	a, x := w.nodes[0], w.nodes[1]
	a.found()
	token := a.invite(InviteOptions{})
	w.cut = func(from, _ *tnode) bool { return from == a }
	result := x.join(token)
	w.cut = nil
	var secret cjdns.PrivateKey
	chance("another root")(secret[:])
	root := cjdns.NewSigningKey(secret).Public()
	cert, err := SignRoot(secret, x.chance, x.c.FirstDraft(root))
	if err != nil {
		t.Fatal(err)
	}
	x.do(func(out *Out) { x.c.Found(w.now, "mine", root, cert, out, func(error, *Out) {}) })
	w.run(5 * time.Second)
	if *result == nil || !strings.Contains((*result).Error(), "it is 'mine'") {
		t.Errorf("joined: %v", *result)
	}
	if s := x.c.Status(); s.Name != "mine" || len(s.Admins) != 1 || len(s.Members) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestDoubleUse uses one invite at two admins that cannot reach each other.
func TestDoubleUse(t *testing.T) {
	w, a, b, _ := demo(t)
	token := a.invite(InviteOptions{})
	w.run(time.Minute) // b hears of the invite
	if len(token.Admins) != 2 {
		t.Fatalf("%d admins in the token", len(token.Admins))
	}
	x, y := w.add("x"), w.add("y")
	island := func(n *tnode) int {
		if n == b || n == y {
			return 1
		}
		return 0
	}
	w.cut = func(from, to *tnode) bool { return island(from) != island(to) }
	w.clock(build+5000, true)
	x.mustJoin(token)
	w.clock(build+5100, true)
	result := y.join(token)
	w.run(5 * time.Second)
	if *result != nil {
		t.Fatal(*result)
	}
	w.cut = nil
	w.run(12 * time.Minute)
	for _, n := range []*tnode{a, b} {
		n.want(x, StandingMember)
		n.want(y, StandingRevoked)
		if s := n.c.Status(); len(s.Revoked) == 0 || s.Revoked[0].Reason != "double-use" {
			t.Errorf("%s: %+v", n.name, s.Revoked)
		}
	}
	if said := strings.Join(append(a.events, b.events...), "\n"); !strings.Contains(said, "was used too often") {
		t.Errorf("nobody reports it: %s", said)
	}
	if v, _ := a.lastVerdict(y); v.Member {
		t.Error("y is still told as a member")
	}
	w.meet(b, y)
	y.want(y, StandingRevoked)
	x.want(x, StandingMember)
}

// TestRevoke revokes a member at one admin; others that only hear of it by
// their neighbours follow, in a line of four.
func TestRevoke(t *testing.T) {
	w, a, _, m := demo(t)
	var line []*tnode
	for _, name := range []string{"x", "y", "z"} {
		n := w.add(name)
		n.mustJoin(a.invite(InviteOptions{}))
		line = append(line, n)
	}
	for _, n := range line {
		n.show(m)
		n.want(m, StandingMember)
	}
	w.cut = func(from, to *tnode) bool { // a - x - y - z
		at := func(n *tnode) int {
			for i, o := range append([]*tnode{a}, line...) {
				if n == o {
					return i
				}
			}
			return -10
		}
		d := at(from) - at(to)
		return d != 1 && d != -1
	}
	w.meet(a, line[0])
	w.meet(line[0], line[1])
	w.meet(line[1], line[2])
	w.run(time.Minute)
	if err := a.revoke(m.c.self.String(), false); err != nil {
		t.Fatal(err)
	}
	w.run(time.Minute)
	for _, n := range line {
		n.want(m, StandingRevoked)
		if v, _ := n.lastVerdict(m); v.Member || !strings.Contains(v.Reason, "lost") {
			t.Errorf("%s said %+v", n.name, v)
		}
	}
	// It applies to those who have never met it, whatever their clock says.
	late := w.add("late")
	w.cut = nil
	late.c.SetWall(0, false)
	late.mustJoin(a.invite(InviteOptions{}))
	late.show(m)
	late.want(m, StandingRevoked)
	if err := a.revoke(m.c.self.String(), true); err != nil {
		t.Fatal(err)
	}
	w.run(10 * time.Minute)
	line[2].want(m, StandingMember)
	if err := a.revoke(m.c.self.String(), true); !errors.Is(err, errNotRevoked) {
		t.Errorf("lifted twice: %v", err)
	}
}

func TestRevokedCannotComeBack(t *testing.T) {
	w, a, _, m := demo(t)
	if err := a.revoke(m.c.self.String(), false); err != nil {
		t.Fatal(err)
	}
	m.want(m, StandingRevoked) // it was told
	if !strings.Contains(strings.Join(m.events, "\n"), "this node's membership is revoked") {
		t.Errorf("events %v", m.events)
	}
	m.do(func(out *Out) { m.c.Leave(out, func(error, *Out) {}) })
	result := m.join(a.invite(InviteOptions{}))
	w.run(5 * time.Second)
	if *result == nil || !strings.Contains((*result).Error(), "is revoked in the community") {
		t.Errorf("%v", *result)
	}
}

// TestAdminLost loses the first admin. Another one, and then a plain member
// with the root's line, carry on.
func TestAdminLost(t *testing.T) {
	w, a, b, m := demo(t)
	lost := func(n *tnode) {
		old := w.cut
		w.cut = func(from, to *tnode) bool { return from == n || to == n || old != nil && old(from, to) }
	}
	lost(a)
	x := w.add("x")
	x.mustJoin(b.invite(InviteOptions{}))
	x.show(m)
	x.want(m, StandingMember) // signed by the lost one
	// The other admin takes over who was signed by the lost one.
	if err := b.rootSigns(b.c.DraftRevoke(a.c.self, ReasonLost, true, false)); err != nil {
		t.Fatal(err)
	}
	w.meet(b, m)
	w.meet(b, x)
	w.run(30 * time.Minute)
	m.want(a, StandingRevoked)
	m.want(m, StandingMember)
	x.show(m)
	x.want(m, StandingMember)
	if m.c.own.Signer != IDOf(b.key.Public()) {
		t.Error("the membership was not renewed")
	}
	lost(b)
	if err := m.rootSigns(m.c.DraftAdmin(m.c.self)); err != nil {
		t.Fatal(err)
	}
	m.want(m, StandingAdmin)
	y := w.add("y")
	y.mustJoin(m.invite(InviteOptions{}))
	y.want(m, StandingAdmin)
	x.show(m)
	x.want(m, StandingAdmin)
	x.show(y)
	x.want(y, StandingMember)
}

// TestAdminLostKeeps revokes a lost admin in the mild way: what it has signed
// before goes on to count, what its thief signs does not.
func TestAdminLostKeeps(t *testing.T) {
	w, a, b, m := demo(t)
	w.cut = func(from, to *tnode) bool { return from == b || to == b } // the thief stays away from b
	if err := b.rootSigns(b.c.DraftRevoke(a.c.self, ReasonLost, false, false)); err != nil {
		t.Fatal(err)
	}
	b.want(m, StandingMember)
	b.want(a, StandingRevoked)
	x := w.add("x")
	x.mustJoin(a.invite(InviteOptions{}))
	w.cut = nil
	b.show(x)
	b.want(x, StandingUnknown)
	if b.c.drops[DropRevoked] == 0 {
		t.Errorf("drops %v", b.c.drops)
	}
	// A page that the thief signs does not count either.
	w.cut = func(from, to *tnode) bool { return from == b || to == b }
	if err := a.revoke(m.c.self.String(), false); err != nil {
		t.Fatal(err)
	}
	w.cut = nil
	w.meet(a, b)
	b.want(m, StandingMember)
}

// TestRootGoesOn types the root's line into a router that knows nothing.
func TestRootGoesOn(t *testing.T) {
	w, _, _, m := demo(t)
	w.clock(build+100000, true)
	fresh := w.add("fresh")
	fresh.c.SetWall(build+100000, true)
	w.cut = func(from, to *tnode) bool { return from != fresh && to != fresh }
	fresh.found()
	m.show(fresh)
	m.want(fresh, StandingAdmin)
	fresh.show(m) // the certificate of its admin comes with it
	fresh.want(m, StandingMember)
}
