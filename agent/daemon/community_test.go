package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/community"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
)

// stopAfter ends the agent before its folder is removed.
func (a *agent) stopAfter(t *testing.T) {
	t.Cleanup(func() {
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

// found makes a the admin of a new community and returns the root's secret.
func (a *agent) found(t *testing.T, name string) cjdns.PrivateKey {
	t.Helper()
	var secret cjdns.PrivateKey
	random(secret[:])
	root := cjdns.NewSigningKey(secret).Public()
	draft, err := a.CommunityDraft(t.Context(), admin.DraftOptions{Kind: admin.DraftFound, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := community.SignRoot(secret, random, draft)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.CommunityFound(t.Context(), name, root, cert); err != nil {
		t.Fatal(err)
	}
	return secret
}

// joins uses a token and waits for the outcome.
func (a *agent) joins(t *testing.T, token string) (steps []admin.JoinStep, failure string) {
	t.Helper()
	if err := a.Join(t.Context(), token); err != nil {
		return nil, err.Error()
	}
	for {
		p, err := a.JoinProgress(t.Context(), len(steps))
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, p.Steps...)
		if p.Done {
			return steps, p.Error
		}
	}
}

func (a *agent) invite(t *testing.T, o community.InviteOptions) admin.InviteResult {
	t.Helper()
	if o.Role == 0 {
		o.Role, o.Uses = community.RoleMember, 1
	}
	r, err := a.Invite(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCommunityByUDP joins by a token with an address. The newcomer dials the
// admin without a password from then on, and is thrown out when it is revoked.
func TestCommunityByUDP(t *testing.T) {
	a, b := start(t, ""), start(t, "")
	a.stopAfter(t)
	b.stopAfter(t)
	a.wait(t, "link", func(s node.Status) bool { return len(s.Links) == 1 && s.Links[0].State == "up" })
	secret := a.found(t, "demo")
	token := a.invite(t, community.InviteOptions{Address: "127.0.0.1:" + a.port, Life: 3600}).Token
	steps, failure := b.joins(t, token)
	if failure != "" {
		t.Fatalf("%s, after %+v", failure, steps)
	}
	if last := steps[len(steps)-1].Text; last != "a member of 'demo' now" {
		t.Errorf("steps %+v", steps)
	}
	t.Logf("%+v", steps)
	b.wait(t, "peer of the configuration", func(s node.Status) bool { return established(s) && s.Peers[0].Name == "community demo" })
	a.wait(t, "member without a password", established)
	s, err := a.Community(t.Context())
	if err != nil || len(s.Members) != 1 || s.Members[0].IP != b.id.IP.String() || s.Members[0].Standing != "member" {
		t.Errorf("%+v, %v", s, err)
	}
	state, err := os.Stat(filepath.Join(filepath.Dir(b.file), "key.community"))
	if err != nil || state.Mode().Perm() != 0o600 {
		t.Errorf("state: %v, %v", state, err)
	}
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(a.file), "key.community"))
	if err != nil || strings.Contains(string(raw), secret.Hex()) {
		t.Errorf("the root's secret is stored: %v", err)
	}
	if _, failure := b.joins(t, token); !strings.Contains(failure, "in the community 'demo' already") {
		t.Errorf("joined twice: %s", failure)
	}
	// It stands after a restart of the admin.
	time.Sleep(10 * time.Millisecond)
	if what, err := a.CommunityRevoke(t.Context(), b.id.IP.String(), community.ReasonLost, false); err != nil || what != "member "+b.id.IP.String() {
		t.Errorf("%s, %v", what, err)
	}
	a.wait(t, "revoked peer gone", func(s node.Status) bool { return len(s.Peers) == 0 })
}

// TestAdmission changes who may peer without a password: a member that was
// listed too stays a member, a listed key that is none goes.
func TestAdmission(t *testing.T) {
	a, b := start(t, ""), start(t, "")
	a.stopAfter(t)
	b.stopAfter(t)
	a.wait(t, "link", func(s node.Status) bool { return len(s.Links) == 1 && s.Links[0].State == "up" })
	a.found(t, "demo")
	if _, failure := b.joins(t, a.invite(t, community.InviteOptions{Address: "127.0.0.1:" + a.port, Life: 3600}).Token); failure != "" {
		t.Fatal(failure)
	}
	stranger := cryptoauth.GenerateIdentity(random).Public
	for i, c := range []struct {
		members          bool
		listed           []cjdns.Key
		member, listedOK bool
	}{
		{true, nil, true, false},
		{false, []cjdns.Key{stranger}, false, true},
		{false, []cjdns.Key{stranger, b.id.Public}, true, true},
		{true, nil, true, false},
	} {
		a.engine.do(t.Context(), func(now mono.Time) {
			a.engine.community.setAdmission(now, c.members, c.listed)
			a.engine.node.SetAdmission(node.AdmitListed)
			if got := a.engine.node.Admits(b.id.Public); got != c.member {
				t.Errorf("step %d: member let in: %v", i, got)
			}
			if got := a.engine.node.Admits(stranger); got != c.listedOK {
				t.Errorf("step %d: listed key let in: %v", i, got)
			}
		})
	}
}

// TestStateIsStoredLater: the state of a community that could not be stored is
// tried again, and one that waits is stored when the agent ends.
func TestStateIsStoredLater(t *testing.T) {
	a := start(t, "")
	good := a.engine.community.path
	a.engine.do(t.Context(), func(mono.Time) { a.engine.community.path = filepath.Join(good, "missing") })
	var secret cjdns.PrivateKey
	random(secret[:])
	root := cjdns.NewSigningKey(secret).Public()
	draft, err := a.CommunityDraft(t.Context(), admin.DraftOptions{Kind: admin.DraftFound, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := community.SignRoot(secret, random, draft)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.CommunityFound(t.Context(), "demo", root, cert); err == nil {
		t.Fatal("a state was stored nowhere")
	}
	a.engine.do(t.Context(), func(now mono.Time) {
		a.engine.community.path, a.engine.community.again, a.engine.community.next = good, now, now
	})
	stored := func() bool { _, err := os.Stat(good); return err == nil }
	a.wait(t, "no problem", func(s node.Status) bool {
		return stored() && !strings.Contains(strings.Join(s.Problems, " "), "community")
	})
	if err := os.Remove(good); err != nil {
		t.Fatal(err)
	}
	a.engine.do(t.Context(), func(now mono.Time) {
		cc := a.engine.community
		cc.next, cc.unsaved = now.Add(time.Hour), cc.unsaved+1
		cc.store()
	})
	time.Sleep(50 * time.Millisecond)
	if stored() {
		t.Error("a state for which nobody waits is written at once again")
	}
	if err := a.stop(); err != nil || !stored() {
		t.Errorf("the last state is stored: %v, %v", stored(), err)
	}
}

// TestCopiedKeyIsShown: a node of the mesh that has our key is a problem.
func TestCopiedKeyIsShown(t *testing.T) {
	a := start(t, "")
	a.stopAfter(t)
	a.engine.do(t.Context(), func(mono.Time) { a.meshLog.event(mesh.Event{Kind: mesh.EventCopied, Orig: batman.MAC{2, 1}}) })
	a.wait(t, "problem", func(s node.Status) bool {
		return len(s.Problems) == 1 && strings.Contains(s.Problems[0], "02:01:00:00:00:00 of the mesh has the same key")
	})
}

// TestStockInvite lets a stock node in by login and password, and out again.
func TestStockInvite(t *testing.T) {
	a := start(t, "")
	a.stopAfter(t)
	a.wait(t, "link", func(s node.Status) bool { return len(s.Links) == 1 && s.Links[0].State == "up" })
	r := a.invite(t, community.InviteOptions{Stock: true, Note: "old router"})
	if r.Token != "" || r.PublicKey != a.id.Public.String() {
		t.Errorf("%+v", r)
	}
	b := start(t, "config peer\n\toption address '127.0.0.1:"+a.port+"'\n\toption public_key '"+r.PublicKey+"'\n\toption login '"+r.Login+"'\n\toption password '"+r.Password+"'\n")
	b.stopAfter(t)
	b.wait(t, "peering", established)
	a.wait(t, "peer named by its invite", func(s node.Status) bool { return established(s) })
	if _, err := a.CommunityRevoke(t.Context(), r.Invite, community.ReasonNone, false); err != nil {
		t.Fatal(err)
	}
	a.wait(t, "peer gone", func(s node.Status) bool { return len(s.Peers) == 0 })
	if list, err := a.Invites(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}
