package community

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// TestLogIsComplete gives one admin more members, invites and revocations than
// fit into a few messages. The other one gets all of them, also when messages
// are lost.
func TestLogIsComplete(t *testing.T) {
	w, a, b, _ := demo(t)
	lost := 0
	w.cut = func(from, to *tnode) bool { return from == b || to == b }
	for i := range 60 {
		n := w.add(fmt.Sprint("n", i))
		w.now = w.now.Add(2 * time.Second)
		n.mustJoin(a.only(a.invite(InviteOptions{})))
		w.nodes = w.nodes[:len(w.nodes)-1] // it goes home
	}
	for i := range 100 {
		if err := a.revoke(cjdns.IP{0xfc, 15: byte(i + 1)}.String(), false); err != nil {
			t.Fatal(err)
		}
	}
	w.cut = func(_, _ *tnode) bool { lost++; return lost%7 == 3 }
	w.meet(a, b)
	w.run(20 * time.Minute)
	if x, y := len(a.c.members), len(b.c.members); x != y || x < 60 {
		t.Errorf("%d and %d members", x, y)
	}
	if x, y := len(a.c.revokedMembers), len(b.c.revokedMembers); x != y || x != 100 {
		t.Errorf("%d and %d revocations", x, y)
	}
	if x, y := len(a.c.book), len(b.c.book); x != y || x < 60 {
		t.Errorf("%d and %d invites", x, y)
	}
	if x := slices.IndexFunc(b.c.book, func(v *invite) bool { return b.c.closed(v) == "" }); x >= 0 {
		t.Errorf("an invite is open at the other admin: %+v", b.c.Invites()[x])
	}
}

// TestSyncComesToRest counts the messages of an hour in which nothing happens.
func TestSyncComesToRest(t *testing.T) {
	w, _, _, m := demo(t)
	stock := cjdns.Key{1, 2, 3}
	m.do(func(out *Out) { m.c.Contact(w.now, stock, out) })
	w.run(5 * time.Minute)
	sent, silent := 0, 0
	w.cut = func(_, _ *tnode) bool { sent++; return false }
	for range 3600 {
		w.now = w.now.Add(time.Second)
		for _, n := range w.nodes {
			var out Out
			n.c.Expire(w.now, &out)
			for _, msg := range out.Messages {
				if msg.To == stock {
					silent++
				}
			}
			n.flush(&out)
		}
	}
	// Each of four ends tells its neighbour every five minutes, and gets an
	// answer; the two admins tell each other besides.
	if sent > 12*12 {
		t.Errorf("%d messages in an hour", sent)
	}
	if silent > maxTries {
		t.Errorf("%d messages to a node that never answers", silent)
	}
}

// TestUseIsNotForgotten: a member that comes in again by a second invite does
// not open the first one for somebody else.
func TestUseIsNotForgotten(t *testing.T) {
	w, a, b, _ := demo(t)
	first := a.invite(InviteOptions{})
	x := w.add("x")
	x.mustJoin(first)
	w.run(time.Minute)
	x.do(func(out *Out) { x.c.Leave(out, func(error, *Out) {}) })
	x.mustJoin(a.invite(InviteOptions{}))
	w.run(10 * time.Minute)
	y := w.add("y")
	err := y.join(b.only(first))
	w.run(JoinTime)
	if *err == nil || !strings.Contains((*err).Error(), "used already") {
		t.Errorf("%v", *err)
	}
}

// TestAdminForgetsItsState lets an admin come back with its key and the root's
// line only. It goes on behind the numbers that it used before, and what it
// revokes meanwhile is not lost.
func TestAdminForgetsItsState(t *testing.T) {
	w, a, b, m := demo(t)
	if err := a.revoke(m.c.self.String(), false); err != nil {
		t.Fatal(err)
	}
	w.run(time.Minute)
	before := a.c.number
	a.disk = nil
	a.boot()
	w.cut = func(from, to *tnode) bool { return from == a || to == a }
	a.found()
	other := cjdns.IP{0xfc, 15: 77}
	if err := a.revoke(other.String(), false); err != nil {
		t.Fatal(err)
	}
	w.cut = nil
	w.meet(a, b)
	w.run(15 * time.Minute)
	for _, n := range []*tnode{a, b} {
		n.want(m, StandingRevoked)
		if _, ok := n.c.revokedMembers[other]; !ok {
			t.Errorf("%s has lost a revocation", n.name)
		}
	}
	if a.c.number <= before {
		t.Errorf("number %d after %d", a.c.number, before)
	}
}

// TestStrangersLearnNothing: invites with their secrets go to admins only, and
// nothing goes to strangers.
func TestStrangersLearnNothing(t *testing.T) {
	w, a, _, m := demo(t)
	token := a.invite(InviteOptions{})
	x := w.add("x")
	var seen [][]byte
	record := func(from *tnode, to cjdns.Key, f func(out *Out)) {
		var out Out
		f(&out)
		for i := 0; i < len(out.Jobs); i++ {
			out.Jobs[i].Run(from.key, from.chance)
			from.c.JobDone(w.now, out.Jobs[i], &out)
		}
		for _, msg := range out.Messages {
			if msg.To == to {
				seen = append(seen, msg.Body)
			}
		}
	}
	ask := summary{ask: true, certs: m.c.OwnCerts()}
	body := ask.append(messageTo(msgSummary, a.c.root.id))
	record(a, m.c.self, func(out *Out) { a.c.Receive(w.now, m.c.self, body, out) })
	if len(seen) == 0 {
		t.Error("no answer for a member")
	}
	for _, b := range seen {
		if strings.Contains(string(b), string(token.Secret[:])) {
			t.Error("a member is told the secret of an invite")
		}
	}
	// The same certificates, shown by somebody else.
	seen = nil
	record(a, x.c.self, func(out *Out) { a.c.Receive(w.now, x.c.self, body, out) })
	if len(seen) > 0 {
		t.Errorf("%d answers for a stranger with copied certificates", len(seen))
	}
}

// TestNeighboursOfBefore: who was a neighbour before the node joined is a
// contact afterwards, and many silent neighbours do not crowd out a member.
func TestNeighboursOfBefore(t *testing.T) {
	w, a, b, m := demo(t)
	x := w.add("x")
	for i := range 3 * syncPeers {
		x.do(func(out *Out) { x.c.Contact(w.now, cjdns.Key{1, byte(i)}, out) })
	}
	w.meet(x, b)
	x.mustJoin(a.only(a.invite(InviteOptions{})))
	w.run(time.Minute)
	w.cut = func(from, to *tnode) bool { return from == a && to == x || from == x && to == a }
	if err := a.revoke(m.c.self.String(), false); err != nil {
		t.Fatal(err)
	}
	w.run(2 * time.Minute)
	x.show(m)
	x.want(m, StandingRevoked)
	if n := len(x.c.contacts); n != 3*syncPeers+1 {
		t.Errorf("%d contacts", n)
	}
}

// TestRevocationIsSaidAgain loses the first messages about a revocation: the
// next round five minutes later would be too late.
func TestRevocationIsSaidAgain(t *testing.T) {
	for loss := range 4 {
		w, a, _, m := demo(t)
		x := w.add("x")
		x.mustJoin(a.invite(InviteOptions{}))
		x.show(m)
		w.meet(a, x)
		w.run(time.Minute)
		left := loss
		w.cut = func(from, to *tnode) bool {
			if from != x && to != x || left == 0 {
				return false
			}
			left--
			return true
		}
		if err := a.revoke(m.c.self.String(), false); err != nil {
			t.Fatal(err)
		}
		w.run(45 * time.Second)
		if st, _ := x.c.standing(m.c.self); st != StandingRevoked {
			t.Errorf("%d messages lost: the member is %v after 45 s", loss, st)
		}
	}
}
