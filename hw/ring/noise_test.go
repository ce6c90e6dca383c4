//go:build netns

package ring

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// overNoise reports whether the one peer of h, an agent of ours, is spoken to by
// Noise.
func overNoise(t *testing.T, h *rig.Host) bool {
	t.Helper()
	var s struct {
		Peers []struct {
			Noise bool `json:"noise"`
		} `json:"peers"`
	}
	if err := h.Call("status", nil, &s); err != nil || len(s.Peers) != 1 {
		t.Fatalf("%d peers: %v", len(s.Peers), err)
	}
	return s.Peers[0].Noise
}

// TestNoise: two of ours, the dialer configured to use Noise; either side
// restarts.
func TestNoise(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	a.Spec.Peers[0].Version = 22
	startAll(a, b)
	mustPeer(t, a, b, 5*time.Second)
	mustPing(t, a, b, rig.PingOpts{Count: 50, Interval: 10 * time.Millisecond, Size: 1200})
	mustPing(t, b, a, rig.PingOpts{Count: 50, Interval: 10 * time.Millisecond})
	if !overNoise(t, a) || !overNoise(t, b) {
		t.Errorf("the link is not Noise: %v, %v", overNoise(t, a), overNoise(t, b))
	}
	for _, h := range []*rig.Host{a, b} {
		recovers(t, a, b, 0, func() time.Time { h.Restart(); return time.Time{} })
	}
}

// TestInteropNoise: we dial a stock node of v22 with Noise. An older one is
// reached the legacy way after some seconds.
func TestInteropNoise(t *testing.T) {
	needStock(t)
	n := newNet(t)
	a, b := n.udpPair(false, true)
	a.Spec.Peers[0].Version = 22
	startAll(a, b)
	mustPeer(t, a, b, 20*time.Second)
	steady(t, b, func() {
		mustPing(t, a, b, rig.PingOpts{Count: 100, Interval: 10 * time.Millisecond, Wait: patience})
		mustPing(t, b, a, rig.PingOpts{Count: 100, Interval: 10 * time.Millisecond, Size: 1200, Wait: patience})
	})
	info, err := b.Admin("Core_nodeInfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := info["version"].(int64)
	if got := overNoise(t, a); got != (v >= 22) {
		t.Errorf("a stock node of version %d is spoken to by Noise: %v", v, got)
	}
	t.Logf("stock version %d, Noise %v", v, overNoise(t, a))
}
