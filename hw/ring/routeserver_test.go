//go:build netns

package ring

import (
	"os"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// routeServer is a program that attaches the stock route server to the
// cjdroute whose admin interface is at 127.0.0.1:11234.
var routeServer = os.Getenv("ROUTESERVER")

// TestInteropRouteServer: agents and stock nodes with the stock route server.
//
//	a ── S ── b ── c ── d      S: stock node with the server; c: stock
func TestInteropRouteServer(t *testing.T) {
	needStock(t)
	if routeServer == "" {
		t.Skip("ROUTESERVER does not name a program that runs the stock route server")
	}
	n := newNet(t)
	hosts := n.cast("aSasa")
	s := hosts[1]
	n.chain(hosts...)
	startAll(hosts...)
	server := s.Node.Start("routeserver", routeServer)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("route server:\n%s", server.Tail(20))
		}
	})
	record(t, s, s, "routeserver")
	agents := []*rig.Host{hosts[0], hosts[2], hosts[4]}
	taken := func(what string, more int) {
		t.Helper()
		begin := time.Now()
		for _, h := range agents {
			st, _ := h.Status()
			from := st.Supernode.AnnouncementsTaken
			if more == 0 {
				from = 0
			}
			if !rig.Until(3*time.Minute, 200*time.Millisecond, func() bool {
				st, _ = h.Status()
				return st.Supernode.Active == s.IP() && st.Supernode.AnnouncementsTaken > from
			}) {
				t.Fatalf("%s: %s with the stock server %s: %+v", what, h.Node.Name, s.IP(), st.Supernode)
			}
			t.Logf("%s: %s announced %d links, the server took %d announcements, began anew %d times; %v", what, h.Node.Name,
				st.Supernode.AnnouncedLinks, st.Supernode.AnnouncementsTaken, st.Supernode.AnnouncementRestarts, time.Since(begin).Round(100*time.Millisecond))
		}
	}
	taken("start", 0)
	mustPairs(t, "start", hosts, stockWait)
	for _, h := range agents {
		if st, _ := h.Status(); st.Supernode.AnnouncementRestarts != 0 {
			t.Errorf("%s and the server do not agree on what is announced: began anew %d times", h.Node.Name, st.Supernode.AnnouncementRestarts)
		}
	}
	server.Kill()
	server = s.Node.Start("routeserver", routeServer)
	taken("restart of the server", 1)
	mustPairs(t, "restart of the server", hosts, stockWait)
}
