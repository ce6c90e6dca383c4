//go:build netns

package ring

import (
	"context"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/hw/rig"
)

// island is a rig.Island whose hosts belong to a test.
type island struct {
	*rig.Island
	*net
}

// quick is the OGM interval of tests that are not about the default of 1 s.
const quick = 200 * time.Millisecond

func (n *net) island(seed uint64, interval time.Duration) *island {
	return &island{n.Rig.Island(seed, interval), n}
}

// agent makes a node of the overlay with a radio.
func (i *island) agent(name string, options ...string) *rig.Host {
	h := i.net.agent(name)
	i.Equip(h, options...)
	return h
}

// relay makes a node that knows nothing of us.
func (i *island) relay(name string) *rig.Host {
	h := i.net.agent(name)
	i.EquipRelay(h)
	return h
}

// next waits until from sends to a neighbour via on its way to to.
func (i *island) next(from, to, via *rig.Host) {
	i.t.Helper()
	var o rig.BatOriginator
	if !rig.Until(meshWait, 50*time.Millisecond, func() bool { o, _ = i.Best(from, to); return o.Next == i.MAC(via) }) {
		i.t.Fatalf("%s reaches %s via %s (TQ %d), want %s", from.Node.Name, to.Node.Name, o.Next, o.TQ, i.MAC(via))
	}
}

// verified waits until from knows who to is.
func (i *island) verified(from, to *rig.Host) {
	i.t.Helper()
	if !rig.Until(meshWait, 50*time.Millisecond, func() bool { return i.Knows(from, to) }) {
		i.t.Fatalf("%s does not know that %s is %s\n%s", from.Node.Name, i.MAC(to), to.IP(), bat(i.t, from, "o"))
	}
}

// hops watches which neighbours a host hands frames of the overlay; the result
// counts them by neighbour since the last call.
func (i *island) hops(h *rig.Host) func() map[string]int {
	seen := make(chan [6]byte, 1<<16)
	src := i.Radio(h)
	i.Air.Watch(func(from *rig.Radio, frame []byte) {
		if from == src && len(frame) > batman.EthLen && rig.Unicast(frame) && frame[batman.EthLen] == overlayType {
			select {
			case seen <- [6]byte(frame[:6]):
			default:
			}
		}
	})
	return func() map[string]int {
		count := map[string]int{}
		for {
			select {
			case mac := <-seen:
				count[batman.MAC(mac).String()]++
			default:
				return count
			}
		}
	}
}

// overlayType is the packet type of frames of the overlay in the mesh.
const overlayType = 0x6d

// TestJoinTwo: two agents within radio range, and no configuration of peers.
// Each knows the other's address and reaches it.
func TestJoinTwo(t *testing.T) {
	n := newNet(t)
	i := n.island(1, quick)
	a, b := i.agent("a"), i.agent("b")
	i.Link(a, b, 0.1)
	startAll(a, b)
	i.verified(a, b)
	i.verified(b, a)
	if peers, err := a.Peers(); err != nil || len(peers) != 0 {
		t.Errorf("peers before anybody asked: %+v, %v", peers, err)
	}
	t.Logf("reached after %v", reach(t, a, b, 10*time.Second))
	mustPing(t, a, b, rig.PingOpts{Count: 50, Interval: 10 * time.Millisecond})
	mustPing(t, b, a, rig.PingOpts{Count: 50, Interval: 10 * time.Millisecond, Size: 1200})
	mustPing(t, a, b, rig.PingOpts{Count: 3, Interval: 20 * time.Millisecond, Size: tunMTU - 48, DF: true})
	mustPeer(t, a, b, 5*time.Second)
}

// TestJoinThroughRelays:   a ── s1 ── s2 ── b   where s1 and s2 relay the mesh
// and know nothing of the overlay. MTU 1500: large frames go in fragments.
func TestJoinThroughRelays(t *testing.T) {
	n := newNet(t)
	i := n.island(2, quick)
	a, s1, s2, b := i.agent("a"), i.relay("s1"), i.relay("s2"), i.agent("b")
	i.Line(0.1, a, s1, s2, b)
	for _, h := range []*rig.Host{a, s1, s2, b} {
		h.Node.IP("link", "set", "wlan0", "mtu", "1500")
	}
	startAll(a, s1, s2, b)
	i.verified(a, b)
	i.verified(b, a)
	t.Logf("reached after %v", reach(t, a, b, 10*time.Second))
	mustPing(t, a, b, rig.PingOpts{Count: 50, Interval: 10 * time.Millisecond})
	mustPing(t, b, a, rig.PingOpts{Count: 20, Interval: 10 * time.Millisecond, Size: tunMTU - 48, DF: true})
	mustPeer(t, a, b, 5*time.Second)
	for _, s := range []*rig.Host{s1, s2} {
		if peers, err := s.Peers(); err != nil || len(peers) != 0 {
			t.Errorf("peers of %s, which has no overlay: %+v, %v", s.Node.Name, peers, err)
		}
		if o, ok := i.Best(a, s); !ok || o.Identity != "-" {
			t.Errorf("a takes %s for %q, want unsigned", s.Node.Name, o.Identity)
		}
	}
}

// TestJoinNotWithout: a node that has the overlay, but an identity that it does
// not show, is not reached: nobody knows where it is.
func TestJoinNotWithout(t *testing.T) {
	n := newNet(t)
	i := n.island(3, quick)
	a, b := i.agent("a"), i.agent("b", "identity", "0")
	i.Link(a, b, 0)
	startAll(a, b)
	waitOriginator(t, a, i.MAC(b), 200)
	res, _ := a.Node.Ping(context.Background(), b.IP(), rig.PingOpts{Count: 10})
	if res.Received != 0 {
		t.Errorf("%d pings came back from a node without an identity", res.Received)
	}
	if o, _ := i.Best(a, b); o.Identity != "-" {
		t.Errorf("a takes b for %q, want unsigned", o.Identity)
	}
}
