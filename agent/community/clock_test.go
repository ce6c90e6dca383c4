package community

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// TestClock judges one membership by clocks of all kinds. It is valid from
// build+1000 for a year.
func TestClock(t *testing.T) {
	w, a, _, _ := demo(t)
	w.clock(build+1000, true)
	m := w.add("late")
	m.c.SetWall(build+1000, true)
	m.mustJoin(a.invite(InviteOptions{}))
	end := int64(build + 1000 + membershipLife)
	if m.c.own.NotAfter != uint32(end) {
		t.Fatalf("ends %d", m.c.own.NotAfter)
	}
	for _, tc := range []struct {
		name    string
		wall    int64
		trusted bool
		want    Standing
		why     string
	}{
		{"in time", build + 2000, true, StandingMember, ""},
		{"last second", end, true, StandingMember, ""},
		{"expired", end + 1, true, StandingExpired, "ended 2026-10-09"},
		{"1970", 0, false, StandingMember, "clock unsure"},
		{"1970, and claims to be sure", 12345, true, StandingMember, "clock unsure"}, // no clock is before the build
		{"before 1970", -5, false, StandingMember, "clock unsure"},
		{"late, but nobody vouches for it", end + 1000, false, StandingMember, "clock unsure"},
		{"a day slow", build - 80000, true, StandingMember, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := New(Config{Self: a.key.Public(), Rand: chance("x"), Build: build}, 0)
			if err != nil {
				t.Fatal(err)
			}
			var out Out
			if err := c.Load(a.disk, &out); err != nil {
				t.Fatal(err)
			}
			c.trustedAt = 0
			c.SetWall(tc.wall, tc.trusted)
			if got, why := c.Standing(m.c.self); got != tc.want || !strings.Contains(why, tc.why) {
				t.Errorf("%s (%s), want %s (%s)", got, why, tc.want, tc.why)
			}
		})
	}
	// Not yet valid: a clock that is sure and much earlier than the admin's.
	old, err := New(Config{Self: a.key.Public(), Rand: chance("x"), Build: build - 10*86400}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out Out
	if err := old.Load(a.disk, &out); err != nil {
		t.Fatal(err)
	}
	old.trustedAt = 0
	old.SetWall(build-9*86400, true)
	if got, why := old.Standing(m.c.self); got != StandingNotYet || !strings.Contains(why, "begins 2025-10-09") {
		t.Errorf("%s (%s)", got, why)
	}
	old.SetWall(build-9*86400, false)
	if got, _ := old.Standing(m.c.self); got != StandingMember {
		t.Errorf("unsure: %s", got)
	}
}

// TestStoredTime: a node that was sure once does not fall for 1970 later, and
// learns the time from signed lists. A trusted clock outranks both.
func TestStoredTime(t *testing.T) {
	w, a, b, m := demo(t)
	end := int64(m.c.own.NotAfter)
	m.c.SetWall(end+5, true)
	m.do(func(out *Out) { m.c.save(out) })
	m.boot()
	m.c.SetWall(0, false)
	m.want(m, StandingExpired)
	m.c.SetWall(build+5, true)
	m.want(m, StandingMember)
	// An admin with a clock revokes something: its list tells the time.
	b.c.SetWall(0, false)
	b.want(m, StandingMember)
	a.c.SetWall(end+7, true)
	if err := a.revoke(a.invite(InviteOptions{}).Invite.String(), false); err != nil {
		t.Fatal(err)
	}
	w.run(time.Minute)
	b.want(m, StandingExpired)
	if now, sure := b.c.clock(); now != end+7 || sure {
		t.Errorf("b has %d, %v", now, sure)
	}
	// A list of an admin without a clock tells none.
	a2 := w.add("fresh")
	a2.c.SetWall(0, false)
	if a2.c.signedTime() != 0 {
		t.Error("an unsure clock is signed")
	}
}

// TestExpiryIsTold: whoever expires while we run is told, and renewal happens
// long before.
func TestExpiryAndRenewal(t *testing.T) {
	w, a, _, m := demo(t)
	first := m.c.own.NotAfter
	w.clock(build+membershipLife/2+10, true)
	w.run(time.Minute)
	if m.c.own.NotAfter <= first || m.c.own.Joined == 0 || m.c.own.Joined >= m.c.own.Time {
		t.Errorf("not renewed: %+v", m.c.own)
	}
	a.want(m, StandingMember)
	w.cut = func(_, _ *tnode) bool { return true }
	w.clock(int64(m.c.own.NotAfter)+1, true)
	w.run(10 * time.Minute)
	if v, _ := a.lastVerdict(m); v.Member || !strings.HasPrefix(v.Reason, "ended") {
		t.Errorf("%+v", v)
	}
	// Over is over: no renewal.
	w.cut = nil
	w.run(time.Hour)
	a.want(m, StandingExpired)
}

// TestFlood presents 10,000 made-up certificates. The queue stays bounded,
// each costs at most one signature, and a true member is still let in.
func TestFlood(t *testing.T) {
	w, a, _, m := demo(t)
	x := w.add("x")
	x.mustJoin(a.invite(InviteOptions{}))
	draw := chance("flood")
	x.jobs = 0
	var out Out
	most := 0
	for i := range 10_000 {
		j := Membership{Head: Head{Community: x.c.root.id, Signer: IDOf(a.key.Public()), Number: uint32(i + 1), Time: build}, Role: RoleMember, Key: m.key.Public(), NotAfter: 0}
		if i%2 == 0 {
			draw(j.Key[:])
		}
		var sig [cjdns.SignatureLen]byte
		draw(sig[:])
		raw := append(j.unsigned(), sig[:]...)
		if i%3 == 0 {
			raw = corrupt(m.c.own.Raw, 100+i%40)
		}
		var from Source
		draw(from[:])
		x.c.Present(w.now, from, [][]byte{raw}, &out)
		most = max(most, len(x.c.tasks))
		if i%100 == 99 {
			w.now = w.now.Add(10 * time.Millisecond) // 10,000 a second
		}
	}
	if most > MaxWaiting || len(out.Jobs) > 1 {
		t.Errorf("%d tasks, %d jobs", most, len(out.Jobs))
	}
	x.flush(&out)
	if len(x.c.members) > 2 || x.jobs > 100+MaxWaiting+200 {
		t.Errorf("%d members, %d signatures checked", len(x.c.members), x.jobs)
	}
	x.want(m, StandingUnknown)
	w.now = w.now.Add(5 * time.Second)
	x.show(m)
	x.want(m, StandingMember)
	if x.c.drops[DropRate]+x.c.drops[DropQueue] < 9000 || x.c.drops[DropSignature] == 0 {
		t.Errorf("drops %v", x.c.Status().Drops)
	}
}

// TestFairQueue: one source that sends much does not keep others out.
func TestFairQueue(t *testing.T) {
	w, a, _, m := demo(t)
	x := w.add("x")
	x.mustJoin(a.invite(InviteOptions{}))
	bad := corrupt(m.c.own.Raw, 120)
	var out Out
	for range 50 {
		x.c.Present(w.now, Source{1}, [][]byte{bad}, &out)
	}
	if n := len(x.c.tasks); n != maxPerFrom {
		t.Errorf("%d tasks of one source", n)
	}
	if !x.c.Present(w.now, Source{2}, m.c.OwnCerts(), &out) {
		t.Error("the other source is refused")
	}
	x.flush(&out)
	x.want(m, StandingMember)
}

// TestTablesAreBounded fills every table.
func TestTablesAreBounded(t *testing.T) {
	w := newWorld(t, "a")
	a := w.nodes[0]
	a.found()
	for range MaxInvites {
		a.invite(InviteOptions{})
	}
	var err error
	a.do(func(out *Out) {
		a.c.Invite(w.now, InviteOptions{Uses: 1, Role: RoleMember}, out, func(_ Token, _ Login, e error, _ *Out) { err = e })
	})
	if err != errBookFull { //nolint:errorlint // the sentinel itself
		t.Errorf("invite %d: %v", MaxInvites+1, err)
	}
	for i := range Pages*PageEntries + 1 {
		ip := cjdns.IP{0xfc, 14: byte(i >> 8), 15: byte(i)}
		err := a.revoke(ip.String(), false)
		if full := i == Pages*PageEntries; full != (err != nil) {
			t.Fatalf("revocation %d: %v", i, err)
		}
	}
	// Entries that are of no use any more give way.
	a.c.SetWall(build+revocationLife+10, true)
	if err := a.revoke("fc00::ffff", false); err != nil {
		t.Error(err)
	}
	for i := range MaxMembers + 10 {
		k := cjdns.Key{byte(i), byte(i >> 8)}
		a.c.addMember(&member{node: k, ip: cjdns.IP{0xfc, byte(i), byte(i >> 8)}, Membership: Membership{Head: Head{Signer: IDOf(a.key.Public()), Time: build, Raw: []byte(fmt.Sprint(i))}}})
		if len(a.c.members) == MaxMembers {
			break
		}
	}
	x := w.add("x")
	result := x.join(a.booked())
	w.run(JoinTime + 2*time.Second)
	if *result == nil || !strings.Contains((*result).Error(), "the community is full") {
		t.Errorf("%v", *result)
	}
}
