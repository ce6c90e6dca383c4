//go:build netns

package ring

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// agentCommand runs a command of meshagent and returns what it printed.
func agentCommand(t *testing.T, h *rig.Host, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), meshWait)
	defer cancel()
	return h.Node.Run(ctx, append([]string{h.Bin, "--socket", h.Socket}, args...)...)
}

func mustCommand(t *testing.T, h *rig.Host, args ...string) string {
	t.Helper()
	out, err := agentCommand(t, h, args...)
	if err != nil {
		t.Fatalf("%s: meshagent %s: %v\n%s\n%s", h.Node.Name, strings.Join(args, " "), err, out, h.Proc.Tail(20))
	}
	return out
}

// answers reports whether a gets an answer from b over the overlay within d.
func answers(a, b *rig.Host, d time.Duration) bool {
	return rig.Until(d, 50*time.Millisecond, func() bool {
		var r struct{ Replies []struct{ Error string } }
		err := a.Call("ping", map[string]any{"target": b.IP(), "timeout_ms": 500}, &r)
		return err == nil && len(r.Replies) == 1 && r.Replies[0].Error == ""
	})
}

var tokenLine = regexp.MustCompile(`(?m)^MESH1:[A-Z2-7]+$`)

// TestCommunityInTheMesh: three agents in a line that let members in only. The
// last joins through the second, which knows of no community yet; then the
// second joins; the two reach each other by their memberships alone. One is
// revoked, and finds no way back in.
func TestCommunityInTheMesh(t *testing.T) {
	n := newNet(t)
	hosts := n.meshLine(3, append([]string{"admit", "community"}, noBLA...)...)
	a, b, c := hosts[0], hosts[1], hosts[2]
	waitOriginator(t, a, primary(2), 1)
	waitOriginator(t, c, primary(0), 1)
	if answers(c, a, 2*time.Second) {
		t.Error("a node without a membership got in")
	}
	mustCommand(t, a, "community", "create", "demo")
	token := tokenLine.FindString(mustCommand(t, a, "invite", "--uses", "3", "--no-qr"))
	if out := mustCommand(t, c, "join", token); !strings.Contains(out, "a member of 'demo' now") {
		t.Errorf("c: %s", out)
	}
	mustCommand(t, b, "join", token)
	for _, pair := range [][2]*rig.Host{{c, a}, {b, a}, {b, c}, {c, b}} {
		if !answers(pair[0], pair[1], meshWait) {
			t.Errorf("%s does not reach %s\n%s", pair[0].Node.Name, pair[1].Node.Name, pair[0].Proc.Tail(20))
		}
	}
	// A membership outlives a restart; nobody has to be asked.
	b.Restart()
	b.WaitUp(meshWait)
	if !answers(b, c, meshWait) {
		t.Errorf("after a restart b does not reach c\n%s", b.Proc.Tail(20))
	}
	mustCommand(t, a, "community", "revoke", c.IP(), "--reason", "lost")
	// That there is no peering proves nothing: there was none a moment ago.
	if !rig.Until(meshWait, 50*time.Millisecond, func() bool {
		_, up := b.Peer(c.ID.Key)
		return !up && strings.Contains(b.Proc.Tail(50), "no member any more\" ip="+c.IP())
	}) {
		t.Error("b goes on with a member that is revoked")
	}
	if answers(c, a, 3*time.Second) || answers(c, b, 3*time.Second) || answers(b, c, 3*time.Second) {
		t.Error("who is revoked is still reached")
	}
	if out := mustCommand(t, c, "community", "show"); !strings.Contains(out, "this node  revoked") {
		t.Errorf("c has not heard of it:\n%s", out)
	}
	// The invite has uses left, but not for this one.
	mustCommand(t, c, "community", "leave")
	if out, err := agentCommand(t, c, "join", token); err == nil {
		t.Errorf("a revoked node joined again:\n%s", out)
	}
	if !answers(b, a, meshWait) {
		t.Error("the others suffer")
	}
}
