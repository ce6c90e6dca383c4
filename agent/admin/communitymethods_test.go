package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/community"
)

// fakeCommunity is the part of fakeBackend that is about the community. It
// remembers what it was asked.
type fakeCommunity struct {
	draft  DraftOptions
	invite community.InviteOptions
	reason community.Reason
	lift   bool
	object []byte
	root   cjdns.VerifyKey
	name   string
	list   []community.InviteStatus
	status community.Status
}

func (f *fakeCommunity) Community(context.Context) (community.Status, error) { return f.status, nil }

func (f *fakeCommunity) Invites(context.Context) ([]community.InviteStatus, error) {
	return f.list, nil
}

func (f *fakeCommunity) CommunityDraft(_ context.Context, o DraftOptions) ([]byte, error) {
	f.draft = o
	return []byte{1, 2}, nil
}

func (f *fakeCommunity) CommunityFound(_ context.Context, name string, root cjdns.VerifyKey, cert []byte) error {
	f.name, f.root, f.object = name, root, cert
	return nil
}

func (f *fakeCommunity) CommunityApply(_ context.Context, object []byte) error {
	f.object = object
	return nil
}

func (f *fakeCommunity) CommunityRevoke(_ context.Context, selector string, reason community.Reason, lift bool) (string, error) {
	f.reason, f.lift = reason, lift
	return "member " + selector, nil
}

func (f *fakeCommunity) CommunityLeave(context.Context) error { return errors.New("in none") }

func (f *fakeCommunity) Invite(_ context.Context, o community.InviteOptions) (InviteResult, error) {
	f.invite = o
	return InviteResult{Invite: "0123456789abcdef"}, nil
}

func (f *fakeCommunity) Join(_ context.Context, token string) error {
	_, err := community.ParseToken(token)
	return err
}

func (f *fakeCommunity) JoinProgress(_ context.Context, after int) (JoinProgress, error) {
	return JoinProgress{Steps: []JoinStep{}, Done: after > 0}, nil
}

func TestCommunityMethods(t *testing.T) {
	f := &fakeBackend{}
	r := NewMethods(f)
	root := strings.Repeat("ab", 32)
	call := func(method string, args map[string]any) (any, error) { return r.Call(t.Context(), method, args) }

	v, err := call("community.draft", map[string]any{"kind": "revoke", "key": keyA, "reason": "lost", "all": true})
	if k, _ := cjdns.ParseKey(keyA); err != nil || v != (Draft{"0102"}) || f.draft != (DraftOptions{Kind: DraftRevoke, Key: k, Reason: community.ReasonLost, All: true}) {
		t.Errorf("%+v, %v, %+v", v, err, f.draft)
	}
	if _, err = call("community.draft", map[string]any{"kind": "found", "root": root}); err != nil || hex.EncodeToString(f.draft.Root[:]) != root {
		t.Errorf("%+v, %v", f.draft, err)
	}
	if _, err = call("community.found", map[string]any{"name": "demo", "root": root, "object": "0304"}); err != nil || f.name != "demo" || string(f.object) != "\x03\x04" {
		t.Errorf("%v, %q %x", err, f.name, f.object)
	}
	v, err = call("community.revoke", map[string]any{"selector": "fc00::1", "reason": "misuse", "lift": true})
	if err != nil || v != (Revoked{"member fc00::1", true}) || f.reason != community.ReasonMisuse || !f.lift {
		t.Errorf("%+v, %v", v, err)
	}
	f.fakeCommunity.status = community.Status{Members: []community.NodeStatus{{IP: "a"}, {IP: "b"}, {IP: "c"}}, Total: 3}
	v, err = call("community", map[string]any{"offset": 1, "limit": 1})
	if s, ok := v.(community.Status); err != nil || !ok || len(s.Members) != 1 || s.Members[0].IP != "b" || s.Total != 3 {
		t.Errorf("%+v, %v", v, err)
	}
	want := community.InviteOptions{Role: community.RoleAdmin, Uses: 1, Life: 7 * 86400}
	if _, err = call("invite", map[string]any{"role": "admin"}); err != nil || f.invite != want {
		t.Errorf("%v, %+v", err, f.invite)
	}
	for _, tc := range []struct {
		method string
		args   map[string]any
		want   string
	}{
		{"community.draft", map[string]any{"kind": "x"}, "community.draft: argument 'kind': expected found, admin or revoke, found 'x'"},
		{"community.draft", map[string]any{"kind": "admin", "key": "x.k"}, "community.draft: argument 'key': not a public key: want 52 base32 characters and .k, found 'x.k'"},
		{"community.draft", map[string]any{"kind": "found", "root": "abcd"}, "argument 'root': expected 64 hexadecimal digits"},
		{"community.apply", map[string]any{"object": "xy"}, "argument 'object': expected hexadecimal digits"},
		{"community.revoke", map[string]any{"selector": "x", "reason": "y"}, "argument 'reason': expected one of none, lost, left, misuse, double-use, found 'y'"},
		{"invite", map[string]any{"role": "king"}, "invite: argument 'role': expected member or admin, found 'king'"},
		{"invite", map[string]any{"address": "foo"}, "invite: argument 'address': expected the host:port at which this node is dialled from outside, not in fc00::/8, found 'foo'"},
		{"invite", map[string]any{"address": "[fc00::1]:9"}, "invite: argument 'address': expected the host:port at which this node is dialled from outside, not in fc00::/8, found '[fc00::1]:9'"},
		{"invite", map[string]any{"uses": 256}, "invite: argument 'uses': expected a number from 1 to 255, found 256"},
		{"join", map[string]any{"token": "mesh1:"}, "the token is cut off: 6 characters cannot be all of it"},
	} {
		var e *Error
		if _, err := call(tc.method, tc.args); !errors.As(err, &e) || e.Code != CodeBadArgument || e.Text != tc.want {
			t.Errorf("%s %v: %v, want %s", tc.method, tc.args, err, tc.want)
		}
	}
	var e *Error
	if _, err := call("community.leave", nil); !errors.As(err, &e) || e.Code != CodeFailed {
		t.Errorf("leave: %v", err)
	}
}

func TestWriteCommunity(t *testing.T) {
	s := community.Status{In: true, Name: "demo\x1b", ID: "0011223344556677", Standing: "member", NotAfter: 1_800_000_000, Time: 1_790_000_000,
		Admins:  []community.NodeStatus{{IP: ipA, Standing: "admin", Joined: 1_780_000_000}},
		Members: []community.NodeStatus{{IP: ipA, PublicKey: keyA, Standing: "member", Self: true, Role: "admin", Joined: 1_780_000_000, NotAfter: 1_800_000_000, Invite: "0123456789abcdef"}},
		Revoked: []community.RevokedEntry{{What: "invite", ID: "0123456789abcdef", Reason: "lost", By: "root", Counts: true}},
		Drops:   map[string]uint64{"old": 2},
	}
	equal(t, render(t, func(w *strings.Builder) error { return WriteCommunity(w, s) }), `
community  demo? (0011223344556677)
this node  member, until 2027-01-15
clock      unsure, at least 2026-09-21 14:13 UTC
drops      old 2

ADMIN                                    STANDING  SINCE       UNTIL  NOTE
fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b  admin     2026-05-28  -

MEMBER                                   STANDING  SINCE       UNTIL       INVITE            NOTE
fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b  member    2026-05-28  2027-01-15  0123456789abcdef  this node

REVOKED                  REASON  BY
invite 0123456789abcdef  lost    root

fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b was invited to be an admin: meshagent community admin add `+keyA+` --root LINE
`)
	equal(t, render(t, func(w *strings.Builder) error { return WriteCommunity(w, community.Status{}) }), `
in no community: begin one with meshagent community create NAME, or enter one with meshagent join TOKEN
`)
}

func TestWriteInvites(t *testing.T) {
	l := InviteList{Invites: []community.InviteStatus{
		{ID: "0123456789abcdef", Kind: "invite", Role: "member", Uses: 2, Used: 1, Made: 1_780_000_000, NotAfter: 1_800_000_000, State: "open", By: ipA},
		{ID: "fedcba9876543210", Kind: "stock", Made: 1_780_000_000, State: "open", Note: "old router"},
	}}
	equal(t, render(t, func(w *strings.Builder) error { return WriteInvites(w, l) }), `
INVITE            KIND    STATE  USED  MADE        UNTIL       BY                                       NOTE
0123456789abcdef  member  open   1/2   2026-05-28  2027-01-15  fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b
fedcba9876543210  stock   open   -     2026-05-28  -           -                                        old router
`)
	equal(t, render(t, func(w *strings.Builder) error { return WriteInvites(w, InviteList{}) }), `
no invites: make one with meshagent invite
`)
}
