package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/community"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/mono"
)

// communityAgent is the part of a fake agent that is about the community: a
// true one whose states are always stored, and that joins by what a test says.
type communityAgent struct {
	c     *community.Community
	key   *cjdns.SigningKey
	steps []admin.JoinStep
	fails string
	peer  *admin.JoinPeer
}

func newCommunityAgent() *communityAgent {
	a := &communityAgent{}
	src := rand.NewChaCha8([32]byte{1})
	draw := func(b []byte) { _, _ = src.Read(b) }
	for {
		var p cjdns.PrivateKey
		draw(p[:])
		a.key = cjdns.NewSigningKey(p)
		c, err := community.New(community.Config{Self: a.key.Public(), Rand: draw, Build: 1_790_000_000}, 0)
		if err == nil { // one key in 256 hashes into fc00::/8
			a.c = c
			return a
		}
	}
}

// do runs one step and what it wants, except messages.
func (a *communityAgent) do(f func(now mono.Time, out *community.Out)) {
	var out community.Out
	f(0, &out)
	for len(out.Jobs) > 0 || out.Save != 0 {
		next := community.Out{}
		for _, j := range out.Jobs {
			j.Run(a.key, randomBytes)
			a.c.JobDone(0, j, &next)
		}
		if out.Save != 0 {
			a.c.Saved(out.Save, nil, &next)
		}
		out = next
	}
}

func (a *communityAgent) Community(context.Context) (community.Status, error) {
	return a.c.Status(), nil
}

func (a *communityAgent) Invites(context.Context) ([]community.InviteStatus, error) {
	return a.c.Invites(), nil
}

func (a *communityAgent) CommunityDraft(_ context.Context, o admin.DraftOptions) ([]byte, error) {
	switch o.Kind {
	case admin.DraftFound:
		return a.c.FirstDraft(o.Root), nil
	case admin.DraftAdmin:
		return a.c.DraftAdmin(o.Key)
	}
	return a.c.DraftRevoke(o.Key, o.Reason, o.All, o.Lift)
}

var errNever = errors.New("nothing came of it")

func (a *communityAgent) CommunityFound(_ context.Context, name string, root cjdns.VerifyKey, cert []byte) (err error) {
	err = errNever
	a.do(func(now mono.Time, out *community.Out) {
		a.c.Found(now, name, root, cert, out, func(e error, _ *community.Out) { err = e })
	})
	return err
}

func (a *communityAgent) CommunityApply(_ context.Context, object []byte) (err error) {
	err = errNever
	a.do(func(now mono.Time, out *community.Out) {
		a.c.Apply(now, object, out, func(e error, _ *community.Out) { err = e })
	})
	return err
}

func (a *communityAgent) CommunityRevoke(_ context.Context, selector string, reason community.Reason, lift bool) (what string, err error) {
	err = errNever
	a.do(func(now mono.Time, out *community.Out) {
		a.c.Revoke(now, selector, reason, lift, out, func(w string, e error, _ *community.Out) { what, err = w, e })
	})
	return what, err
}

func (a *communityAgent) CommunityLeave(context.Context) (err error) {
	err = errNever
	a.do(func(_ mono.Time, out *community.Out) {
		a.c.Leave(out, func(e error, _ *community.Out) { err = e })
	})
	return err
}

func (a *communityAgent) Invite(_ context.Context, o community.InviteOptions) (r admin.InviteResult, err error) {
	err = errNever
	a.do(func(now mono.Time, out *community.Out) {
		a.c.Invite(now, o, out, func(t community.Token, l community.Login, e error, _ *community.Out) {
			r = admin.InviteResult{Invite: l.Name, Login: l.Name, Password: l.Password, PublicKey: a.c.Self().String(), Address: o.Address, NotAfter: int64(t.NotAfter)}
			if err = e; e == nil && !o.Stock {
				r.Token = t.String()
			}
		})
	})
	return r, err
}

func (a *communityAgent) Join(_ context.Context, token string) error {
	a.steps = []admin.JoinStep{{AtMs: 0, Text: "asking"}, {AtMs: 1234, Text: "answered"}}
	_, err := community.ParseToken(token)
	return err
}

func (a *communityAgent) JoinProgress(_ context.Context, after int) (admin.JoinProgress, error) {
	p := admin.JoinProgress{Steps: a.steps[after : after+1], Done: after == 1, Community: "demo"}
	if p.Done {
		p.Error, p.Peer = a.fails, a.peer
	}
	return p, nil
}

func TestCommunityCommands(t *testing.T) {
	socket, _ := start(t)
	env := []string{"MESHAGENT_SOCKET=" + socket}
	run := func(stdin string, args ...string) result { return runWith(t, stdin, env, args...) }

	if r := run("", "community", "show"); r.code != 0 || !strings.HasPrefix(r.out, "in no community") {
		t.Errorf("%+v", r)
	}
	if r := run("", "invite"); r.code != 1 || !strings.Contains(r.err, "this node is in no community: meshagent community create NAME") {
		t.Errorf("invite without a community: %+v", r)
	}
	r := run("", "community", "create", "demo")
	line := regexp.MustCompile(`MESHROOT1:[A-Z2-7-]+`).FindString(r.out)
	if _, err := community.ParseRoot(line); r.code != 0 || err != nil || !strings.Contains(r.out, "Write this line on paper") {
		t.Fatalf("%+v, %v", r, err)
	}
	if r := run("", "community", "create", "other"); r.code != 1 || !strings.Contains(r.err, "in a community already") {
		t.Errorf("a second community: %+v", r)
	}
	if r := run("", "community", "show"); r.code != 0 || !strings.Contains(r.out, "this node  admin") || strings.Contains(r.out, line[12:30]) {
		t.Errorf("%+v", r)
	}
	if r := run("", "community", "show", "--json"); r.code != 0 || !json.Valid([]byte(r.out)) || !strings.Contains(r.out, `"name":"demo"`) {
		t.Errorf("%+v", r)
	}

	r = run("", "invite", "--expires", "12h", "--uses", "3", "--address", "192.0.2.1:5", "--role", "admin")
	token, err := community.ParseToken(r.out)
	if r.code != 0 || err != nil || strings.Count(r.out, "\n") != 1 || token.Uses != 3 || token.Role != community.RoleAdmin || token.Address != "192.0.2.1:5" || token.NotAfter != 1_790_000_000+12*3600 {
		t.Errorf("%+v, %v, %+v", r, err, token)
	}
	if !strings.Contains(r.err, "good 3 times, ends 2026-09-2") {
		t.Errorf("%s", r.err)
	}
	id := token.Invite.String()
	if r := run("", "invite", "--qr"); r.code != 0 || strings.Count(r.out, "\n") < 20 || !strings.Contains(r.out, "▀") {
		t.Errorf("no QR code: %+v", r)
	}
	if r := run("", "invite", "list"); r.code != 0 || !strings.Contains(r.out, id+"  admin   open   0/3") {
		t.Errorf("%+v", r)
	}
	r = run("", "invite", "--stock", "--note", "shed", "--expires", "never", "--address", "192.0.2.1:5")
	var stock struct{ Login, Password, PublicKey string }
	text := "{" + r.out + "}"
	var peers map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &peers); err != nil || json.Unmarshal(peers["192.0.2.1:5"], &stock) != nil || len(stock.Password) != 26 || len(stock.Login) != 16 {
		t.Errorf("%+v, %v, %+v", r, err, stock)
	}
	if r := run("", "community", "revoke", id, "--reason", "misuse"); r.code != 0 || r.out != "invite "+id+": revoked\n" {
		t.Errorf("%+v", r)
	}
	if r := run("", "community", "revoke", stock.Login); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if r := run("", "community", "revoke", id, "--lift"); r.code != 0 || r.out != "invite "+id+": no longer revoked\n" {
		t.Errorf("%+v", r)
	}
	if r := run("", "community", "revoke", ipA, "--json"); r.code != 0 || r.out != `{"what":"member `+ipA+`","lifted":false}`+"\n" {
		t.Errorf("%+v", r)
	}

	// What only the root can do.
	if r := run("", "community", "admin", "add", keyA); r.code != 2 || !strings.Contains(r.err, "only the root makes admins") {
		t.Errorf("%+v", r)
	}
	if r := run(line+"\n", "community", "admin", "add", keyA, "--root", "-"); r.code != 1 || !strings.Contains(r.err, "is no member that this node has met") {
		t.Errorf("%+v", r)
	}
	wrong := community.FormatRoot(cjdns.PrivateKey{1})
	self := regexp.MustCompile(`"publicKey":"([^"]+)"`).FindStringSubmatch(run("", "community", "show", "--json").out)[1]
	if r := run("", "community", "revoke", self, "--root", wrong); r.code != 1 || !strings.Contains(r.err, "this is the root key of another community") {
		t.Errorf("%+v", r)
	}
	if r := run("", "community", "revoke", self, "--root", line[:len(line)-1]+"2"); r.code != 2 || !strings.Contains(r.err, "--root: ") || strings.Contains(r.err, line[12:30]) {
		t.Errorf("%+v", r)
	}
	if r := run("", "community", "revoke", self); r.code != 1 || !strings.Contains(r.err, "only the root can revoke it, with --root LINE") {
		t.Errorf("%+v", r)
	}
	if r := run("", "community", "revoke", self, "--root", line, "--reason", "lost"); r.code != 0 || r.out != "admin "+self+": revoked\n" {
		t.Errorf("%+v", r)
	}
	if r := run("", "invite"); r.code != 1 || !strings.Contains(r.err, "no admin of its community") {
		t.Errorf("a revoked admin invites: %+v", r)
	}
	if r := run("", "community", "revoke", self, "--root", line, "--lift"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if r := run("", "community", "leave"); r.code != 0 || r.out != "left\n" {
		t.Errorf("%+v", r)
	}
	if r := run("", "community", "create", "demo", "--root", line); r.code != 0 || strings.Contains(r.out, "MESHROOT1") {
		t.Errorf("with a root that is there: %+v", r)
	}
}

func TestCommunityUsage(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"community create", "expected: meshagent community create NAME"},
		{"community create \x01", "expected a name of 1 to 32 bytes"},
		{"community revoke", "expected: meshagent community revoke KEY|ADDRESS|INVITE"},
		{"community revoke x --all", "--all is about an admin"},
		{"invite x", "expected: meshagent invite"},
		{"invite --uses 0", "--uses: expected a number from 1 to 255"},
		{"invite --uses 256", "--uses: expected a number from 1 to 255"},
		{"invite --expires 1w", "expected a time such as 7d, 12h or 30m"},
		{"invite --expires 99999d", "expected a time such as 7d, 12h or 30m"},
		{"invite --stock --uses 2", "--stock makes a password, not a member"},
		{"invite --note x", "--note is for --stock"},
		{"join", "expected: meshagent join TOKEN"},
		{"join mesh9:aaaa", "the token is of another version (mesh9)"},
		{"join hello", "this is no token"},
	} {
		if r := runWith(t, "", nil, strings.Fields(tc.args)...); r.code != 2 || !strings.Contains(r.err, tc.want) {
			t.Errorf("%s: %+v, want %s", tc.args, r, tc.want)
		}
	}
}

func TestJoinCommand(t *testing.T) {
	socket, conf, a := startAgent(t)
	env := []string{"MESHAGENT_SOCKET=" + socket}
	runWith(t, "", env, "community", "create", "demo")
	token := strings.TrimSpace(runWith(t, "", env, "invite").out)
	if r := runWith(t, "", env, "join", token); r.code != 0 || r.out != "  0.0 s  asking\n  1.2 s  answered\n" {
		t.Errorf("%+v", r)
	}
	if r := runWith(t, token[:40]+"\n", env, "join", "-"); r.code != 2 {
		t.Errorf("half a token: %+v", r)
	}
	if r := runWith(t, token+"\n", env, "join", "-", "--json"); r.code != 0 || !strings.HasPrefix(r.out, `{"steps":[{"atMs":0,"text":"asking"},`) {
		t.Errorf("%+v", r)
	}
	a.communityAgent.peer = &admin.JoinPeer{Address: "192.0.2.1:5", PublicKey: keyA, Name: "community demo"}
	a.denied = true // the agent: this command writes the file
	if r := runWith(t, "", env, "join", "--config", conf, token); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if c, err := config.Open(conf).Load(); err != nil || len(c.Config.Peers) != 1 || c.Config.Peers[0].Name != "community demo" || c.Config.Peers[0].Password != "" {
		t.Errorf("%+v, %v", c, err)
	}
	a.communityAgent.peer = nil
	a.communityAgent.fails = "the invite has expired"
	if r := runWith(t, "", env, "join", token[:50], token[50:]); r.code != 1 || r.err != "meshagent: not joined: the invite has expired\n" {
		t.Errorf("%+v", r)
	}
}

// TestQR compares with a code that a scanner has read.
func TestQR(t *testing.T) {
	want, err := os.ReadFile("testdata/qr.txt")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := writeQR(&b, qrText); err != nil || b.String() != string(want) {
		t.Errorf("%v\n%s", err, b.String())
	}
	code, err := encodeQR("MESH1:" + strings.Repeat("A", 294))
	if err != nil || code.Size+2*quiet > 57 {
		t.Errorf("a long token takes %d columns, %v", code.Size+2*quiet, err)
	}
	if _, err := encodeQR(strings.Repeat("x", 4000)); err == nil {
		t.Error("4000 characters fit")
	}
}

const qrText = "MESH1:AEAQAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYB"
