//go:build netns

package ring

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// invited makes an invite at a host and returns its id and token.
func invited(t *testing.T, h *rig.Host, flags ...string) (id, token string) {
	t.Helper()
	var r struct{ Invite, Token string }
	out := mustCommand(t, h, append([]string{"invite", "--json"}, flags...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Token == "" {
		t.Fatalf("no token: %v\n%s", err, out)
	}
	return r.Invite, r.Token
}

// refused fails the test if a ping comes back.
func refused(t *testing.T, from, to *rig.Host, why string) {
	t.Helper()
	if res, _ := from.Node.Ping(context.Background(), to.IP(), rig.PingOpts{Count: 8}); res.Received != 0 {
		t.Errorf("%d of 8 pings from %s to %s came back, %s", res.Received, from.Node.Name, to.Node.Name, why)
	}
}

// TestJoinCommunity: nodes that let only members in, on one air.
//
//	c ── s ── m ── n     c is the admin, s a relay that knows nothing
func TestJoinCommunity(t *testing.T) {
	net := newNet(t)
	i := net.island(41, quick)
	admit := []string{"admit", "community"}
	c, s, m, n := i.agent("c", admit...), i.relay("s"), i.agent("m", admit...), i.agent("n", admit...)
	i.Line(0.05, c, s, m, n)
	startAll(c, s, m, n)
	i.verified(c, n)
	i.verified(n, c)
	refused(t, m, c, "before there was a community")

	mustCommand(t, c, "community", "create", "ring")
	_, token := invited(t, c)
	if out, err := agentCommand(t, m, "join", token[:len(token)-4]); err == nil {
		t.Errorf("a token that was cut off is taken:\n%s", out)
	}
	t.Logf("m joins:\n%s", mustCommand(t, m, "join", token))
	t.Logf("m reaches c after %v", reach(t, m, c, 15*time.Second))
	refused(t, n, m, "and n is no member")
	if out, err := agentCommand(t, n, "join", token); err == nil {
		t.Errorf("an invite that was used is taken again:\n%s", out)
	}
	id, lost := invited(t, c)
	mustCommand(t, c, "community", "revoke", id)
	if out, err := agentCommand(t, n, "join", lost); err == nil {
		t.Errorf("an invite that was taken back is taken:\n%s", out)
	}
	_, token = invited(t, c, "--expires", "1h", "--uses", "2")
	mustCommand(t, n, "join", token)
	t.Logf("n reaches m after %v", reach(t, n, m, 15*time.Second))
	t.Logf("n reaches c after %v", reach(t, n, c, 15*time.Second))

	// m does not see the admin's revocation being made; it hears of it.
	begin := time.Now()
	mustCommand(t, c, "community", "revoke", n.IP(), "--reason", "lost")
	for _, h := range []*rig.Host{c, m} {
		if !rig.Until(30*time.Second, 200*time.Millisecond, func() bool {
			res, _ := h.Node.Ping(context.Background(), n.IP(), rig.PingOpts{Count: 5, Wait: 300 * time.Millisecond})
			return res.Received == 0
		}) {
			show, _ := agentCommand(t, h, "community", "show")
			t.Fatalf("%s still reaches n, which is revoked\n%s", h.Node.Name, show)
		}
		t.Logf("%s does not reach n any more after %v", h.Node.Name, time.Since(begin).Round(100*time.Millisecond))
	}
	refused(t, m, n, "though it is revoked")
	mustPing(t, m, c, rig.PingOpts{})
}
