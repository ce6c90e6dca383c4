//go:build netns

package ring

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// diamond starts a rig.Island.Diamond and waits until a reaches b.
func (n *net) diamond(seed uint64, interval time.Duration, lossG, lossH float64) (i *island, a, b, g, h *rig.Host) {
	i = n.island(seed, interval)
	a, b, g, h = n.agent("a"), n.agent("b"), n.agent("g"), n.agent("h")
	i.Diamond(a, b, g, h, lossG, lossH)
	startAll(a, b, g, h)
	i.verified(a, b)
	i.verified(b, a)
	reach(n.t, a, b, 20*time.Second)
	return i, a, b, g, h
}

// holeOf measures how long nothing of a stream of packets arrived while event
// happened, and for so long after.
func holeOf(t *testing.T, from, to *rig.Host, after time.Duration, event func()) rig.FlowResult {
	t.Helper()
	f, err := from.Node.Flow(to.Node, to.IP(), 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	event()
	time.Sleep(after)
	return f.Stop()
}

// withinHole measures a hole up to three times, because other programs share
// the machine, and fails if it is never short enough. undo leaves the network
// so that the event can happen again.
func withinHole(t *testing.T, from, to *rig.Host, limit, after time.Duration, event, undo func()) {
	t.Helper()
	for range 3 {
		r := holeOf(t, from, to, after, event)
		t.Logf("%d of %d packets arrived; longest hole %v (%d lost)", r.Received, r.Sent, r.Hole.Round(time.Millisecond), r.Lost)
		if r.Received > 0 && r.Hole < limit {
			return
		}
		undo()
		reach(t, from, to, 30*time.Second)
		time.Sleep(3 * time.Second)
	}
	t.Errorf("the hole was never below %v", limit)
}

// TestJoinLinkCut: a link on the way ends, in silence, and there is another
// way. OGM interval 1 s.
func TestJoinLinkCut(t *testing.T) {
	n := newNet(t)
	i, a, b, g, _ := n.diamond(11, time.Second, 0, 0.2)
	i.next(a, b, g)
	withinHole(t, a, b, maxGap, 5*time.Second,
		func() { i.Cut(a, g, true) },
		func() { i.Cut(a, g, false); i.next(a, b, g) })
}

// TestJoinGreyHole: g goes on flooding OGMs and drops what it is given to
// forward. The way over it is left within 5 s, and tried again with longer and
// longer pauses.
func TestJoinGreyHole(t *testing.T) {
	n := quietNet(t)
	i, a, b, g, _ := n.diamond(12, quick, 0, 0.15)
	i.next(a, b, g)
	hops := i.hops(a)
	ping := a.Node.PingWhile(b.IP(), 400, 50*time.Millisecond)
	time.Sleep(500 * time.Millisecond)
	hops()
	begin := time.Now()
	i.Air.Refuse(i.Radio(g), rig.Unicast)
	// how often in each quarter of a second the way over g was taken
	var tries []time.Duration
	quiet := true
	for time.Since(begin) < 19*time.Second {
		time.Sleep(250 * time.Millisecond)
		used := hops()[i.MAC(g)] > 0
		if used && quiet {
			tries = append(tries, time.Since(begin).Round(100*time.Millisecond))
		}
		quiet = !used
	}
	res, err := ping.Result()
	if err != nil {
		t.Fatal(err)
	}
	gap, lost := res.Gap()
	t.Logf("%d of %d pings came back, longest gap %v (%d lost); the way over g was taken at %v; %d next hops avoided", res.Received, res.Sent, gap.Round(time.Millisecond), lost, tries, statsOf(t, a).Counters["overlay_avoided"])
	if gap > 5*time.Second {
		t.Errorf("the grey hole was left after %v, want 5s", gap)
	}
	if len(tries) < 2 {
		t.Errorf("the way over g was never tried again")
	}
	for k := 2; k+1 < len(tries); k++ {
		if tries[k+1]-tries[k] < tries[k]-tries[k-1] {
			t.Errorf("tries at %v: a pause is shorter than the one before", tries)
		}
	}
	i.Air.Refuse(i.Radio(g), nil)
	mustPing(t, a, b, rig.PingOpts{})
}

// TestJoinSwap: the losses of two ways change places every 3 s. The way is
// changed once in 10 s at most.
func TestJoinSwap(t *testing.T) {
	n := newNet(t)
	i, a, b, g, h := n.diamond(13, quick, 0.05, 0.4)
	i.next(a, b, g)
	stop := make(chan struct{})
	swapped := make(chan struct{})
	go func() {
		defer close(swapped)
		loss := [2]float64{0.05, 0.4}
		for {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Second):
			}
			loss[0], loss[1] = loss[1], loss[0]
			i.Line(loss[0], a, g, b)
			i.Line(loss[1], a, h, b)
		}
	}()
	const lasts = 30 * time.Second
	hops := i.hops(a)
	ping := a.Node.PingWhile(b.IP(), int(lasts/(50*time.Millisecond)), 50*time.Millisecond)
	hops()
	var last string
	var changes []time.Duration
	frames := map[string]int{}
	for begin := time.Now(); time.Since(begin) < lasts; time.Sleep(200 * time.Millisecond) {
		most, by := 0, last
		for mac, n := range hops() {
			if frames[mac] += n; n > most {
				most, by = n, mac
			}
		}
		if last != "" && by != last {
			changes = append(changes, time.Since(begin).Round(100*time.Millisecond))
		}
		last = by
	}
	close(stop)
	<-swapped
	res, err := ping.Result()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d pings came back; the way changed at %v; frames by next hop %v; %d next hops avoided", res.Received, res.Sent, changes, frames, statsOf(t, a).Counters["overlay_avoided"])
	if limit := int(lasts / (10 * time.Second)); len(changes) > limit {
		t.Errorf("%d changes of the way in %v, want %d at most", len(changes), lasts, limit)
	}
	if res.Received < res.Sent*98/100 {
		t.Errorf("%d of %d pings lost", res.Sent-res.Received, res.Sent)
	}
}

// TestJoinReboot: a node loses power, and with it all that lay in memory. It is
// reached within 2 s of its agent's start. OGM interval 1 s.
func TestJoinReboot(t *testing.T) {
	n := quietNet(t)
	i := n.island(14, time.Second)
	a, m, b := i.agent("a"), i.agent("m"), i.agent("b")
	i.Line(0, a, m, b)
	startAll(a, m, b)
	i.verified(a, b)
	reach(t, a, b, 20*time.Second)
	for range 3 {
		b.Proc.Kill()
		powerCut(b)
		time.Sleep(2 * time.Second)
		start := time.Now()
		b.Start()
		reach(t, a, b, 30*time.Second)
		took := time.Since(start)
		t.Logf("reached %v after the start", took.Round(10*time.Millisecond))
		if took < maxGap {
			return
		}
		time.Sleep(5 * time.Second)
	}
	t.Errorf("never reached within %v of the start", maxGap)
}

// TestJoinGatewayDies: two gateways lead to the same address outside; the one
// in use dies. The other is used, and the connection goes on.
func TestJoinGatewayDies(t *testing.T) {
	a, gateways, c := newNet(t).twoUplinks(15)
	talk := talks(t, a, c)
	used := busier(t, c, "g1", "g2")
	gateways[used].Proc.Kill()
	lives(t, talk, used+" died")
}
