package node

import (
	"net/netip"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/pkt"
)

// TestNoLinkInsideTheOverlay: who calls from an address of the overlay would
// get a link that runs over itself.
func TestNoLinkInsideTheOverlay(t *testing.T) {
	w := newWorld(t, 212)
	a, b := w.host("a", 0), w.host("b", 0)
	b.addr = pkt.UDPAddr(netip.MustParseAddrPort("[fc00::5]:7"), 0)
	a.user("p")
	b.dial(a, "p")
	w.run(5 * time.Second)
	if len(a.node.peers) != 0 || a.node.drops[dropInside] == 0 {
		t.Errorf("%d peers, %d drops", len(a.node.peers), a.node.drops[dropInside])
	}
}
