//go:build netns

package ring

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// linkMTU waits until h has found that its link to a station carries packets of
// want bytes.
func linkMTU(t *testing.T, h *rig.Host, station string, want int) {
	t.Helper()
	type row struct {
		Neigh string `json:"neigh_address"`
		MTU   int    `json:"mtu"`
	}
	var rows []row
	if !rig.Until(3*meshWait, 100*time.Millisecond, func() bool {
		rows = nil
		if h.Bat(&rows, "n") != nil {
			return false
		}
		for _, r := range rows {
			if r.Neigh == station && r.MTU == want {
				return true
			}
		}
		return false
	}) {
		t.Fatalf("%s: link to %s should carry %d: %+v\n%s", h.Node.Name, station, want, rows, h.Proc.Tail(20))
	}
}

// TestLinkMTU: three agents. The middle one's left device has an MTU of 1400,
// which its neighbour, with 1532, cannot know; between the middle and the last
// stands a switch for frames of 1500 bytes, while both ends have 1532. Everybody
// finds out how much each link carries, and TCP works: between programs over
// the mesh device, and in the overlay, whose TUN has its usual MTU.
//
// The kernel's veth and bridge let 4 bytes more than the MTU pass, for a VLAN
// tag: so links carry 1404 and 1504.
func TestLinkMTU(t *testing.T) {
	n := newNet(t)
	hosts := n.meshNodes(2, noBLA...)
	a, b := hosts[0], hosts[1]
	c := n.agent("m2")
	c.Spec.Mesh = &rig.MeshSpec{OrigInterval: 100 * time.Millisecond, Options: append([]string{"mac", meshMAC(2, 0)}, noBLA...), HardIfs: []string{"left"}}
	b.Spec.Mesh.HardIfs = append(b.Spec.Mesh.HardIfs, "right")
	hosts = append(hosts, c)
	sw := n.Node("switch")
	n.Veth(rig.End{Node: b.Node, Dev: "right"}, rig.End{Node: sw, Dev: "p1"})
	n.Veth(rig.End{Node: c.Node, Dev: "left"}, rig.End{Node: sw, Dev: "p2"})
	sw.LAN("br0", "p1", "p2")
	b.Node.IP("link", "set", "right", "address", meshMAC(1, 2))
	c.Node.IP("link", "set", "left", "address", meshMAC(2, 1))
	a.Node.IP("link", "set", "right", "mtu", "1532")
	b.Node.IP("link", "set", "left", "mtu", "1400")
	b.Node.IP("link", "set", "right", "mtu", "1532")
	c.Node.IP("link", "set", "left", "mtu", "1532")
	for _, h := range hosts {
		h.Spec.NoTUN = false
	}
	startAll(hosts...)
	for i, h := range hosts {
		addMeshAddrs(t, h, i)
	}
	waitOriginator(t, a, primary(2), 100)
	waitOriginator(t, c, primary(0), 100)

	linkMTU(t, a, meshMAC(1, 1), 1404)
	linkMTU(t, b, meshMAC(0, 2), 1400)
	linkMTU(t, b, meshMAC(2, 1), 1504)
	linkMTU(t, c, meshMAC(1, 2), 1504)

	for _, size := range []int{1200, 1345, 1362, 1472} { // around what the links carry, and the largest
		meshPing(t, a.Node, meshIP(2), size)
		meshPing(t, c.Node, meshIP(0), size)
	}
	meshReach(t, a.Node, c.IP())
	meshReach(t, c.Node, a.IP())
	mustPing(t, a, c, rig.PingOpts{Count: 3, Interval: 20 * time.Millisecond, Size: tunMTU - 48, DF: true})
	for _, way := range []struct{ from, to *rig.Phone }{
		{&rig.Phone{Node: a.Node, Addr: meshIP(0)}, &rig.Phone{Node: c.Node, Addr: meshIP(2)}},
		{&rig.Phone{Node: c.Node, Addr: meshIP(2)}, &rig.Phone{Node: a.Node, Addr: meshIP(0)}},
		{&rig.Phone{Node: a.Node, Addr: a.IP()}, &rig.Phone{Node: c.Node, Addr: c.IP()}},
		{&rig.Phone{Node: c.Node, Addr: c.IP()}, &rig.Phone{Node: a.Node, Addr: a.IP()}},
	} {
		if got := meshTCP(t, way.from, way.to); got != tcpBytes {
			t.Errorf("%s to %s: %d of %d bytes came through a TCP connection", way.from.Addr, way.to.Addr, got, tcpBytes)
		}
	}

	// A device changes: what was found is looked at again.
	b.Node.IP("link", "set", "left", "mtu", "1532")
	a.Node.IP("link", "set", "right", "mtu", "1540")
	linkMTU(t, a, meshMAC(1, 1), 1536)
	linkMTU(t, b, meshMAC(0, 2), 1532)
}
