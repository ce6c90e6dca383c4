package lucihost

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/ubus/ubustest"
)

// A page in front of the admin of a community: an invite is made, shown once
// and revoked, and another node joins by one and is revoked.
func TestLiveCommunity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ubus.sock")
	ubustest.Start(t, path)
	a := startAgent(t, path, "")
	h, _ := newHost(t)
	h.Bus = &Live{path}
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-node", "protocol")
	p.tab("community")
	p.waitText("#meshagent-members", "This node is in no community")
	if p.text("#meshagent-invite") != "" {
		t.Error("offers to invite into nothing")
	}
	cli := func(x *agent, args ...string) string {
		t.Helper()
		out, err := exec.Command(os.Getenv("MESHAGENT"), append(args, "--config", x.conf)...).Output() //nolint:gosec // our own program
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return string(out)
	}
	cli(a, "community", "create", "village")
	p.waitText("#meshagent-members", "(this node)")
	p.waitText("#meshagent-invites", "No invites.")
	p.sound()

	p.click("#meshagent-invite button", "Invite")
	p.fill("#meshagent-invite-address", "no address")
	p.click(".modal button", "Make")
	p.waitText(".modal", "expected the host:port")
	p.fill("#meshagent-invite-address", "198.51.100.7:25381")
	p.fill("#meshagent-invite-uses", "3")
	p.sound()
	p.shoot("community-invite-phone")
	p.click(".modal button", "Make")
	p.wait("document.querySelector('#meshagent-token') && document.querySelector('#meshagent-token').value.length > 40")
	token := js[string](p, "document.querySelector('#meshagent-token').value")
	if strings.ContainsAny(token, " \n") {
		t.Errorf("token %q", token)
	}
	p.click(".modal button", "Close")
	p.waitText("#meshagent-invites", "0 / 3")
	p.contains("#meshagent-invites", "open", "member")
	p.click("#meshagent-invites button", "Revoke")
	p.click(".modal button", "Revoke")
	p.waitText("#meshagent-invites", "revoked")
	p.wait("!document.body.classList.contains('modal-overlay-active')")
	p.sound()

	other := startAgent(t, "", "")
	cli(other, "join", strings.TrimSpace(cli(a, "invite", "--no-qr", "--address", "127.0.0.1:"+strconv.Itoa(a.port))))
	p.waitText("#meshagent-members", "came in by invite")
	p.contains("#meshagent-members", "member", "admin")
	p.sound()
	p.shoot("community-phone")
	p.click("#meshagent-members button", "Revoke")
	p.click(".modal button", "Revoke")
	p.waitText("#meshagent-members", "revoked")
	p.sound()

	// Who may only read sees all of it, and no buttons.
	h, _ = newHost(t)
	h.Bus, h.Reader = &Live{path}, true
	p = open(t, h, statusPage, desktop)
	p.waitText("#meshagent-node", "protocol")
	p.tab("community")
	p.waitText("#meshagent-members", "(this node)")
	if js[int](p, "document.querySelectorAll('#meshagent-members button, #meshagent-invites button, #meshagent-invite button').length") != 0 {
		t.Error("a reader may revoke")
	}
	p.sound()
	p.shoot("community-reader-desktop")
}

// A large community is cut, and says so; what members say of themselves is
// text.
func TestCommunityRows(t *testing.T) {
	h, bus := newHost(t)
	members := []any{}
	for range 130 {
		members = append(members, map[string]any{"publicKey": "k", "ip": "fc00::1", "standing": "expired", "note": "<b>odd</b>"})
	}
	bus.Replies["meshagent.community"] = map[string]any{"in": true, "name": "big", "standing": "member", "admins": []any{}, "members": members, "total": 130}
	bus.Codes["meshagent.invite"] = ubusDenied
	p := open(t, h, statusPage, phone)
	p.waitText("#meshagent-node", "protocol")
	p.tab("community")
	p.waitText("#meshagent-members", "and 30 more")
	p.contains("#meshagent-members", "<b>odd</b>", "expired")
	p.sound()
	if len(h.Denied) > 0 {
		t.Errorf("calls that the ACL file does not grant: %v", h.Denied)
	}
}
