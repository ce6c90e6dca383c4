//go:build guest

package air

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

func TestRates(t *testing.T) { play(t, "rates") }

func init() { scenarios["rates"] = rates }

// rates has two radios without agents, whose frames go one by one: rate
// control learns that a link became bad, and frames get through again.
func rates(w *World) {
	w.Medium.Single()
	st := w.Stations(2)
	a, b := st[0], st[1]
	w.Line(Good, st...)
	w.JoinAll(cell(Mesh), st...)
	a.Node.IP("addr", "add", "10.0.0.1/24", "dev", firstDev)
	b.Node.IP("addr", "add", "10.0.0.2/24", "dev", firstDev)
	f, err := a.Node.Flow(b.Node, "10.0.0.2", 20*time.Millisecond)
	if err != nil {
		w.Fatalf("%v", err)
	}
	expected := func() float64 {
		for _, h := range a.Radio.Stations() {
			return h.Expected
		}
		return 0
	}
	if !rig.Until(30*time.Second, time.Second, func() bool { return expected() > 20 }) {
		w.Fatalf("on a good link rate control expects %.1f Mbit/s", expected())
	}
	good := expected()
	w.Line(Link{Signal: -86, MCS: 0, Loss: 0.4}, st...)
	begin := time.Now()
	if !rig.Until(30*time.Second, 200*time.Millisecond, func() bool { return expected() < 8 }) {
		w.Fatalf("on a bad link rate control still expects %.1f Mbit/s", expected())
	}
	w.Notef("rate control expects %.1f Mbit/s, and %.1f s after the link became bad %.1f", good, time.Since(begin).Seconds(), expected())
	before := f.Result()
	time.Sleep(5 * time.Second)
	now := f.Stop()
	if sent, got := now.Sent-before.Sent, now.Received-before.Received; sent == 0 || got < sent*9/10 {
		w.Errorf("of %d packets over a bad link that rate control knows, %d arrive", sent, got)
	}
}
