//go:build netns

package ring

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// TestCertificateFlood: x sends 10,000 OGMs a second, each with a record that
// nobody has seen, while the others ping. HW_FLOOD is for how many seconds.
func TestCertificateFlood(t *testing.T) {
	n := quietNet(t)
	i := n.island(33, quick)
	v, b, a := i.agent("v"), i.agent("b"), i.agent("a")
	i.Line(0, v, b, a)
	x := i.forger()
	x.hears(a)
	startAll(v, b, a)
	x.listen(nil)
	i.verified(a, v)
	reach(t, a, v, 20*time.Second)
	o := x.overheard(v)
	secs := number("HW_FLOOD", 5)
	rss, cpu := a.Proc.RSS(), a.Proc.CPU()
	ping := a.Node.PingWhile(v.IP(), secs*10, 100*time.Millisecond)
	rng := rand.New(rand.NewPCG(3, 4))
	noise := func(b []byte) {
		for k := range b {
			b[k] = byte(rng.Uint32())
		}
	}
	sent, begin := 0, time.Now()
	for k := 0; time.Since(begin) < time.Duration(secs)*time.Second; k++ {
		// as many as are due
		for ; sent < int(time.Since(begin).Seconds()*10000); sent++ {
			orig := x.mac
			if sent%2 == 0 { // half of them under ever new names
				noise(orig[2:])
			}
			if err := x.raw.Send(o.Bogus(orig, x.mac, noise).Frame(x.mac)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Millisecond)
	}
	res, err := ping.Result()
	if err != nil {
		t.Fatal(err)
	}
	row := hardIf(t, a, "wlan0")
	t.Logf("%d bogus certificates in %d s; %d of %d pings came back, mean %v; drops %v; RSS %d -> %d kB; CPU %v", sent, secs,
		res.Received, res.Sent, res.Mean(), row.Drops, rss>>10, a.Proc.RSS()>>10, (a.Proc.CPU() - cpu).Round(10*time.Millisecond))
	if res.Received < res.Sent*8/10 {
		t.Errorf("%d of %d pings came back during the flood", res.Received, res.Sent)
	}
	if best, ok := i.Best(a, v); !ok || best.Next != i.MAC(b) || best.Identity != v.IP() {
		t.Errorf("a's way to v: %+v", best)
	}
	if now := a.Proc.RSS(); now > rss+(96<<20) {
		t.Errorf("memory grew from %d to %d kB", rss>>10, now>>10)
	}
	if !rig.Until(10*time.Second, 100*time.Millisecond, func() bool {
		r, _ := a.Node.Ping(context.Background(), v.IP(), rig.PingOpts{})
		return r.Received == 1
	}) {
		t.Error("no ping after the flood")
	}
}
