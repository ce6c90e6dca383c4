//go:build netns

package rig

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// airNodes makes n nodes with a radio wlan0 each, 10.9.0.1 on.
func airNodes(t *testing.T, n int) (*Air, []*Radio) {
	t.Helper()
	r := newRig(t)
	a := r.Air(1)
	for i := range n {
		a.Join(End{r.Node(fmt.Sprintf("a%d", i)), "wlan0", fmt.Sprintf("10.9.0.%d/24", i+1)})
	}
	return a, a.Radios()
}

func (r *Radio) pings(t *testing.T, to *Radio, count int) int {
	t.Helper()
	addr := fmt.Sprintf("10.9.0.%d", to.Index+1)
	res, err := r.Node.Ping(context.Background(), addr, PingOpts{Count: count, Interval: 5 * time.Millisecond, Wait: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return res.Received
}

func TestAirPing(t *testing.T) {
	a, r := airNodes(t, 3)
	a.Lay(Line(3), Same(0))
	if got := r[0].pings(t, r[1], 20); got != 20 {
		t.Errorf("%d of 20 pings to the neighbour came back", got)
	}
	if got := r[0].pings(t, r[2], 3); got != 0 {
		t.Errorf("%d of 3 pings came back from one out of reach", got)
	}
	a.CutBoth(r[0], r[1], true)
	if got := r[0].pings(t, r[1], 3); got != 0 {
		t.Errorf("%d of 3 pings came back over a cut link", got)
	}
	a.CutBoth(r[0], r[1], false)
	if got := r[0].pings(t, r[1], 5); got != 5 {
		t.Errorf("%d of 5 pings came back over the restored link", got)
	}
}

// TestAirUnicastIsRetried: at 40 % loss a unicast gets through with 99.8 %.
func TestAirUnicastIsRetried(t *testing.T) {
	a, r := airNodes(t, 2)
	a.Lay(Full(2), Same(0))
	r[0].pings(t, r[1], 1) // ARP while it is easy
	a.Lay(Full(2), Same(0.4))
	const n = 200
	if got := r[0].pings(t, r[1], n); got < n*95/100 {
		t.Errorf("%d of %d pings came back, want nearly all", got, n)
	}
	if s := a.LinkStats(r[0], r[1]); s.In < n {
		t.Errorf("stats %+v, want at least %d frames in", s, n)
	}
}

// TestAirAttach: a device that is there already, here one end of a cable,
// becomes a radio; the address behind it is learnt.
func TestAirAttach(t *testing.T) {
	a, r := airNodes(t, 1)
	rig := a.rig
	inside, outside := rig.Node("in"), rig.Node("out")
	rig.Veth(End{inside, "eth0", "10.9.0.2/24"}, End{outside, "port", ""})
	x := a.Attach(End{Node: outside, Dev: "port"})
	a.Link(r[0], x, 0, 0)
	if got := r[0].pings(t, x, 5); got != 5 {
		t.Errorf("%d of 5 pings to the attached device came back", got)
	}
}

// TestAirDeviceDownAndUp: a radio that was switched off works again after.
func TestAirDeviceDownAndUp(t *testing.T) {
	a, r := airNodes(t, 2)
	a.Lay(Full(2), Same(0))
	r[0].pings(t, r[1], 1) // ARP: it would be tried again only after a second
	r[1].Node.IP("link", "set", "wlan0", "down")
	if got := r[0].pings(t, r[1], 2); got != 0 {
		t.Errorf("%d pings came back from a radio that is off", got)
	}
	r[1].Node.IP("link", "set", "wlan0", "up")
	if got := r[0].pings(t, r[1], 5); got != 5 {
		t.Errorf("%d of 5 pings came back from a radio that is on again", got)
	}
}

// TestPhoneMoves: a phone is reached behind the bridge that it was moved to.
func TestPhoneMoves(t *testing.T) {
	r := newRig(t)
	p := r.Phone("p1", "10.42.0.1/24", "02:00:00:00:02:01")
	a, b := r.Node("a"), r.Node("b")
	for _, n := range []*Node{a, b} {
		n.LAN("br-lan")
		n.IP("addr", "add", "10.42.0.9/24", "dev", "br-lan")
	}
	for _, n := range []*Node{a, b, a} {
		p.Plug(n, "br-lan")
		res, err := n.Ping(context.Background(), p.Addr, PingOpts{Count: 3, Wait: 2 * time.Second})
		if err != nil || res.Received == 0 || p.At != n {
			t.Errorf("in %s: %v\n%s", n.Name, err, res.Output)
		}
	}
}
