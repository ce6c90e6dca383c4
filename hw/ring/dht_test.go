//go:build netns

package ring

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// TestTableHealsAChain: five agents in a row, each knows its neighbours only and
// there is no supernode. The ends find each other, from the start and again
// after the link in the middle was cut for a while.
func TestTableHealsAChain(t *testing.T) {
	n := newNet(t)
	hosts := []*rig.Host{n.agent("a"), n.agent("b"), n.agent("c"), n.agent("d"), n.agent("e")}
	n.chain(hosts...)
	startAll(hosts...)
	a, c, e := hosts[0], hosts[2], hosts[4]
	t.Logf("from the start: a to e after %v, back after %v", reach(t, a, e, 10*time.Second), reach(t, e, a, 10*time.Second))
	c.Node.IP("link", "set", "right", "down")
	time.Sleep(5 * time.Second) // the peers have given each other up
	if res, _ := a.Node.Ping(t.Context(), e.IP(), rig.PingOpts{Wait: 250 * time.Millisecond}); res.Received != 0 {
		t.Error("a ping passes the cut")
	}
	t.Logf("beside the cut: a to b after %v", reach(t, a, hosts[1], 5*time.Second))
	c.Node.IP("link", "set", "right", "up")
	t.Logf("restored: a to e after %v, back after %v", reach(t, a, e, 10*time.Second), reach(t, e, a, 10*time.Second))
	mustPing(t, a, e, rig.PingOpts{})
	for _, h := range []*rig.Host{a, e} {
		if st, err := h.Status(); err != nil || st.Supernode.Active != "" {
			t.Errorf("%s: %+v, %v", h.Node.Name, st.Supernode, err)
		}
	}
}
