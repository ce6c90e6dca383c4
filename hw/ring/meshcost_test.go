//go:build netns

package ring

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// TestLinkCosts: three agents in a row. The ends learn from the middle one's
// record what its link to the other end costs, and why shows the sum, which is
// no guess: the links have 10 and 20 Mbit/s by throughput_override, so 1250
// bytes take 1000 and 500 us, told in steps of an eighth.
func TestLinkCosts(t *testing.T) {
	n := newNet(t)
	hosts := n.meshNodes(3, noBLA...)
	for i, h := range hosts {
		h.Spec.NoTUN = false
		for _, dev := range h.Spec.Mesh.HardIfs {
			rate := "10000"
			if i == 2 || dev == "right" && i == 1 {
				rate = "20000"
			}
			h.Spec.Extra = append(h.Spec.Extra, "config hardif '"+dev+"'\n\toption device '"+dev+"'\n\toption mesh 'bat0'\n\toption throughput_override '"+rate+"'")
		}
		h.Spec.Mesh.HardIfs = nil
	}
	startAll(hosts...)
	a, c := hosts[0], hosts[2]
	meshReach(t, a.Node, c.IP())
	var why struct {
		Ways []struct {
			Source     string
			AirMicros  int
			AirGuessed bool
		}
	}
	for _, way := range []struct{ from, to *rig.Host }{{a, c}, {c, a}} {
		var err error
		if !rig.Until(3*meshWait, 500*time.Millisecond, func() bool {
			meshReach(t, way.from.Node, way.to.IP()) // an idle peering ends after two minutes
			why.Ways = nil                           // omitted keys leave what was there
			if err = way.from.Call("why", map[string]any{"target": way.to.IP()}, &why); err != nil {
				return false
			}
			for _, w := range why.Ways {
				if w.Source == "mesh" && w.AirMicros == 960+480 && !w.AirGuessed {
					return true
				}
			}
			return false
		}) {
			t.Errorf("%s to %s: %+v, %v\n%s", way.from.Node.Name, way.to.Node.Name, why, err, way.from.Proc.Tail(10))
		}
	}
}
