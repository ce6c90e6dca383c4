//go:build netns

package ring

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// tunMTU is what local programs see; a ping of size s is a packet of s + 48.
const tunMTU = 1304

func TestMTUBoundary(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	startAll(a, b)
	reach(t, a, b, 5*time.Second)
	for _, packet := range []int{1279, 1280, 1281, 1300, 1303, tunMTU} {
		for _, dir := range [][2]*rig.Host{{a, b}, {b, a}} {
			res := mustPing(t, dir[0], dir[1], rig.PingOpts{Count: 3, Interval: 20 * time.Millisecond, Size: packet - 48, DF: true})
			if !strings.Contains(res.Output, fmt.Sprintf("%d bytes from", packet-40)) {
				t.Errorf("ping of %d bytes: answers of another size\n%s", packet, res.Output)
			}
		}
	}
	// One byte more: our own kernel refuses, because it knows the MTU.
	res, err := a.Node.Ping(context.Background(), b.IP(), rig.PingOpts{Size: tunMTU + 1 - 48, DF: true})
	if err != nil || res.Received != 0 || !strings.Contains(res.Output, fmt.Sprint("mtu=", tunMTU)) && !strings.Contains(res.Output, "oo long") {
		t.Errorf("ping of %d bytes without fragments: %v, want a message with the MTU\n%s", tunMTU+1, err, res.Output)
	}
	// Fragments are the kernel's business and pass.
	for _, size := range []int{tunMTU + 1 - 48, 2000, 8000} {
		mustPing(t, a, b, rig.PingOpts{Count: 3, Interval: 20 * time.Millisecond, Size: size})
	}
}

// TestPacketTooBig: a local program that believes in a larger MTU is told.
func TestPacketTooBig(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	startAll(a, b)
	reach(t, a, b, 5*time.Second)
	a.Node.IP("link", "set", "mesh0", "mtu", "1500")
	res, err := a.Node.Ping(context.Background(), b.IP(), rig.PingOpts{Count: 2, Size: 1400, DF: true})
	if err != nil || !strings.Contains(res.Output, fmt.Sprint("mtu=", tunMTU)) {
		t.Errorf("ping of 1448 bytes: %v, want packet too big with mtu=%d\n%s", err, tunMTU, res.Output)
	}
}

// lossCount holds a run of pings against what the medium did: nothing may be
// lost but what the medium lost.
func lossCount(t *testing.T, a, b *rig.Host, m *rig.Medium, count, size int) rig.PingResult {
	t.Helper()
	lost := func() uint64 { return m.Stats(rig.AtoB).Lost + m.Stats(rig.BtoA).Lost }
	before := lost()
	res, err := a.Node.Ping(context.Background(), b.IP(), rig.PingOpts{Count: count, Interval: 10 * time.Millisecond, Size: size})
	if err != nil {
		t.Fatalf("%v\n%s", err, res.Output)
	}
	gone, byMedium := res.Sent-res.Received, int(lost()-before)
	t.Logf("%d of %d came back, the medium lost %d frames", res.Received, res.Sent, byMedium)
	if res.Received == 0 || gone > byMedium {
		t.Errorf("%d pings lost, but the medium lost only %d frames", gone, byMedium)
	}
	return res
}

func TestTenPercentLoss(t *testing.T) {
	n := newNet(t)
	a, b, m := n.mediumPair(1)
	startAll(a, b)
	reach(t, a, b, 5*time.Second)
	m.Set(rig.Both, rig.Fault{Loss: 0.1})
	lossCount(t, a, b, m, 300, 56)
	lossCount(t, b, a, m, 300, 1200)
	if _, ok := a.Peer(b.ID.Key); !ok {
		t.Error("a lost its peer under 10 % loss")
	}
}

// TestPeeringUnderLoss: handshakes get through a bad cable.
func TestPeeringUnderLoss(t *testing.T) {
	n := newNet(t)
	a, b, m := n.mediumPair(2)
	m.Set(rig.Both, rig.Fault{Loss: 0.3})
	startAll(a, b)
	mustPeer(t, a, b, 20*time.Second)
	reach(t, a, b, 20*time.Second)
}

func TestReordering(t *testing.T) {
	n := newNet(t)
	a, b, m := n.mediumPair(3)
	startAll(a, b)
	reach(t, a, b, 5*time.Second)
	m.Set(rig.Both, rig.Fault{Reorder: 0.3, Late: 25 * time.Millisecond})
	lossCount(t, a, b, m, 300, 56)
	lossCount(t, b, a, m, 300, 1200)
	if m.Stats(rig.AtoB).Reordered == 0 {
		t.Error("nothing was reordered")
	}
}

func TestDuplication(t *testing.T) {
	n := newNet(t)
	a, b, m := n.mediumPair(4)
	startAll(a, b)
	reach(t, a, b, 5*time.Second)
	m.Set(rig.Both, rig.Fault{Dup: 0.5})
	res := lossCount(t, a, b, m, 300, 56)
	if strings.Contains(res.Output, "DUP!") {
		t.Error("duplicates came through to the local program")
	}
}

// TestReplay plays frames a second time while traffic flows, those of the
// session that stands and those of an earlier one, the first hellos included:
// nobody may notice. (One old hello stops a stock cjdroute for 9.5 s.)
func TestReplay(t *testing.T) {
	n := newNet(t)
	a, b, m := n.mediumPair(5)
	var mu sync.Mutex
	var frames [2][][]byte
	m.Watch(func(d rig.Dir, f []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		if len(frames[d]) < 200 {
			frames[d] = append(frames[d], slices.Clone(f))
		}
		return true
	})
	startAll(a, b)
	for _, h := range []*rig.Host{a, a, nil} {
		reach(t, a, b, 10*time.Second)
		mustPing(t, a, b, rig.PingOpts{Count: 20, Interval: 10 * time.Millisecond})
		if h != nil {
			h.Restart()
			h.WaitUp(5 * time.Second)
		}
	}
	m.Watch(nil)
	g := a.Node.PingWhile(b.IP(), 300, 10*time.Millisecond)
	for round := range 2 {
		for d := range frames {
			for _, f := range frames[d] {
				if err := m.Inject(rig.Dir(d), f); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Millisecond)
			}
		}
		t.Logf("round %d: %d and %d frames replayed", round, len(frames[0]), len(frames[1]))
	}
	if res, err := g.Result(); err != nil || res.Received != res.Sent || strings.Contains(res.Output, "DUP!") {
		t.Errorf("%d of %d came back beside the replay, %v", res.Received, res.Sent, err)
	}
}

// TestNothingInClear: what a sends over the overlay is not to be seen on the
// cable.
func TestNothingInClear(t *testing.T) {
	n := newNet(t)
	a, b, m := n.mediumPair(6)
	startAll(a, b)
	reach(t, a, b, 5*time.Second)
	pattern := bytes.Repeat([]byte{0xab, 0xcd}, 8)
	seen := make(chan bool, 1)
	m.Watch(func(_ rig.Dir, f []byte) bool {
		if bytes.Contains(f, pattern) {
			select {
			case seen <- true:
			default:
			}
		}
		return true
	})
	out, err := a.Node.Run(context.Background(), "ping", "-c", "5", "-i", "0.05", "-p", "abcd", b.IP())
	if err != nil || !strings.Contains(out, " 0% packet loss") {
		t.Fatalf("ping: %v\n%s", err, out)
	}
	select {
	case <-seen:
		t.Error("a frame on the cable holds the payload in clear")
	default:
	}
}

// TestSlowLink: answers take longer than the time after which an agent begins
// to doubt its peer. It may doubt, but not tear down what works.
func TestSlowLink(t *testing.T) {
	n := newNet(t)
	a, b, m := n.mediumPair(10)
	m.Set(rig.Both, rig.Fault{Delay: 700 * time.Millisecond})
	startAll(a, b)
	mustPeer(t, a, b, 20*time.Second)
	slow := rig.PingOpts{Count: 30, Interval: 200 * time.Millisecond, Wait: 5 * time.Second}
	mustPing(t, a, b, slow) // the first ones wait for the session
	res, err := a.Node.Ping(context.Background(), b.IP(), slow)
	if err != nil || res.Received != res.Sent {
		t.Errorf("%d of %d came back over a slow link, %v", res.Received, res.Sent, err)
	}
}
