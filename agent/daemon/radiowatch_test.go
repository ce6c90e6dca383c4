package daemon

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mono"
)

// A station that comes to an access point is announced as soon as it may send
// data; one behind which the mesh is not, one that proves nothing and one that
// has left are not.
func TestArrivals(t *testing.T) {
	r := newRadioRig(t, section(config.Radio{MeshID: "street"}), radio0)
	const bat, bridge, apIn, apOut = 2, 3, 4, 5
	r.ifs = []*fakeIface{{kernel.WifiIface{Name: "wlan0", Index: apIn, Type: ap}, true}, {kernel.WifiIface{Name: "wlan1", Index: apOut, Type: ap}, true}}
	e := newPair(t).e[0]
	d := r.m.d
	d.engine = e
	d.devs = kernel.Links{
		{Name: "bat0", Index: bat, Master: bridge}, {Name: "br0", Index: bridge, Kind: "bridge"},
		{Name: "wlan0", Index: apIn, Master: bridge}, {Name: "wlan1", Index: apOut},
	}
	r.m.running, r.m.cfg.Name = true, "bat0"
	ctx := t.Context()
	go func() {
		for {
			select {
			case f := <-e.calls:
				f(0)
			case <-ctx.Done():
				return
			}
		}
	}()
	clients := func() (list []batman.MAC) {
		e.do(context.Background(), func(mono.Time) {
			for _, c := range e.mesh.mesh.Status(0).Local {
				if c.MAC != clientMAC(0) { // the node's own
					list = append(list, c.MAC)
				}
			}
		})
		return list
	}
	open, shy, away, gone := [6]byte{2, 1}, [6]byte{2, 2}, [6]byte{2, 3}, [6]byte{2, 4}
	r.stations = map[[6]byte]bool{open: true, shy: false, away: true}
	for mac, index := range map[[6]byte]int{open: apIn, shy: apIn, away: apOut, gone: apIn} {
		if r.m.radioEvent(ctx, kernel.WifiEvent{What: kernel.WifiStationNew, Index: index, MAC: mac}, true) {
			t.Error("a station makes us look at all interfaces")
		}
	}
	if got := clients(); !slices.Equal(got, []batman.MAC{open}) {
		t.Errorf("announced: %v, want %v", got, open)
	}
	r.stations[shy] = true
	r.m.announce(ctx)
	if got := clients(); len(got) != 2 || !slices.Contains(got, shy) {
		t.Errorf("announced: %v, want %v too", got, shy)
	}
	// One that never proves itself is forgotten, and a flood of them is bounded.
	for i := range byte(maxArrivals + 9) {
		mac := [6]byte{2, 5, i}
		r.stations[mac] = false
		r.m.radioEvent(ctx, kernel.WifiEvent{What: kernel.WifiStationNew, Index: apIn, MAC: mac}, true)
	}
	if n := len(r.m.watch.arrived); n != maxArrivals {
		t.Errorf("%d are waited for, want %d", n, maxArrivals)
	}
	for _, a := range r.m.watch.arrived {
		a.until = time.Now().Add(-time.Second)
	}
	if r.m.announce(ctx); len(r.m.watch.arrived) != 0 {
		t.Errorf("%d are waited for after their time", len(r.m.watch.arrived))
	}
}
