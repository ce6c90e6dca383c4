//go:build netns

package rig

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// newRig makes a rig that is closed at the end of the test.
func newRig(t *testing.T) *Rig {
	t.Helper()
	if err := Need("ping"); err != nil {
		t.Skip(err)
	}
	r := New(Config{Fail: t.Fatalf, Logf: t.Logf})
	t.Cleanup(r.Close)
	return r
}

func TestVethPing(t *testing.T) {
	r := newRig(t)
	a, b := r.Node("a"), r.Node("b")
	r.Veth(End{a, "eb", "10.9.0.1/24"}, End{b, "ea", "10.9.0.2/24"})
	res, err := a.Ping(context.Background(), "10.9.0.2", PingOpts{Count: 5, Interval: 20 * time.Millisecond})
	if err != nil || res.Received != 5 || len(res.RTT) != 5 {
		t.Fatalf("ping: %v\n%s", err, res.Output)
	}
	c, err := b.Counters("ea")
	if err != nil || c.RxPackets < 5 || c.TxPackets < 5 {
		t.Errorf("counters of ea = %+v, %v, want at least 5 each way", c, err)
	}
}

// TestQuietVeth: nothing flows on a cable but what programs send.
func TestQuietVeth(t *testing.T) {
	r := newRig(t)
	a, b := r.Node("a"), r.Node("b")
	r.Veth(End{a, "eb", ""}, End{b, "ea", ""})
	time.Sleep(1500 * time.Millisecond) // router solicitations would come at once and after 1 s
	c, err := b.Counters("ea")
	if err != nil || c.RxPackets != 0 || c.TxPackets != 0 {
		t.Errorf("counters of ea = %+v, %v, want none", c, err)
	}
}

func TestSegmentJoinsThree(t *testing.T) {
	r := newRig(t)
	s := r.Segment("lan")
	var nodes []*Node
	for i, addr := range []string{"10.9.0.1/24", "10.9.0.2/24", "10.9.0.3/24"} {
		n := r.Node(string(rune('a' + i)))
		s.Join(End{n, "eth0", addr})
		nodes = append(nodes, n)
	}
	for _, to := range []string{"10.9.0.2", "10.9.0.3"} {
		if res, err := nodes[0].Ping(context.Background(), to, PingOpts{Count: 2}); err != nil || res.Received != 2 {
			t.Errorf("ping %s: %v\n%s", to, err, res.Output)
		}
	}
}

func TestIPv6Link(t *testing.T) {
	r := newRig(t)
	a, b := r.Node("a"), r.Node("b")
	r.Veth(End{a, "eb", "fd00:1::1/64"}, End{b, "ea", "fd00:1::2/64"})
	var res PingResult
	if !Until(5*time.Second, 0, func() bool { // the kernel makes the route a little later
		res, _ = a.Ping(context.Background(), "fd00:1::2", PingOpts{})
		return res.Received == 1
	}) {
		t.Errorf("no ping comes back\n%s", res.Output)
	}
}

func TestMediumIsPerfectByDefault(t *testing.T) {
	r := newRig(t)
	a, b := r.Node("a"), r.Node("b")
	m := r.Medium(End{a, "eb", "10.9.0.1/24"}, End{b, "ea", "10.9.0.2/24"}, 1)
	res, err := a.Ping(context.Background(), "10.9.0.2", PingOpts{Count: 50, Interval: 5 * time.Millisecond})
	if err != nil || res.Received != 50 {
		t.Fatalf("ping: %v\n%s", err, res.Output)
	}
	if s := m.Stats(AtoB); s.In < 50 || s.Out != s.In {
		t.Errorf("stats %+v, want all of at least 50 frames out", s)
	}
}

func TestMediumFaults(t *testing.T) {
	const count = 400
	for _, tc := range []struct {
		name     string
		fault    Fault
		min, max int // answers, ten standard deviations around the mean
		check    func(t *testing.T, res PingResult, s MediumStats)
	}{
		{"loss", Fault{Loss: 0.5}, 100, 300, func(t *testing.T, _ PingResult, s MediumStats) {
			if s.Lost == 0 || s.In != s.Out+s.Lost {
				t.Errorf("stats %+v, want in = out + lost", s)
			}
		}},
		{"duplication", Fault{Dup: 0.5}, count, count, func(t *testing.T, res PingResult, s MediumStats) {
			if s.Dup == 0 || s.Out != s.In+s.Dup {
				t.Errorf("stats %+v, want out = in + dup", s)
			}
		}},
		{"reordering", Fault{Reorder: 0.3, Late: 20 * time.Millisecond}, count, count, func(t *testing.T, res PingResult, s MediumStats) {
			if !slices.ContainsFunc(res.RTT, func(d time.Duration) bool { return d > 20*time.Millisecond }) || s.Reordered == 0 {
				t.Errorf("stats %+v, want late answers", s)
			}
			late := 0
			for seq := 2; seq <= count; seq++ {
				if res.At[seq].Before(res.At[seq-1]) {
					late++
				}
			}
			if late == 0 {
				t.Error("no answer overtook another")
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			a, b := r.Node("a"), r.Node("b")
			m := r.Medium(End{a, "eb", "10.9.0.1/24"}, End{b, "ea", "10.9.0.2/24"}, 1)
			if res, err := a.Ping(context.Background(), "10.9.0.2", PingOpts{}); err != nil || res.Received != 1 {
				t.Fatalf("ping before the faults: %v\n%s", err, res.Output)
			}
			b.IP("neigh", "replace", "10.9.0.1", "lladdr", macOf(t, a, "eb"), "dev", "ea") // no ARP among the faults
			m.Set(AtoB, tc.fault)
			res, err := a.Ping(context.Background(), "10.9.0.2", PingOpts{Count: count, Interval: 3 * time.Millisecond})
			if err != nil || res.Received < tc.min || res.Received > tc.max {
				t.Fatalf("%d answers, %v, want %d to %d", res.Received, err, tc.min, tc.max)
			}
			tc.check(t, res, m.Stats(AtoB))
		})
	}
}

func macOf(t *testing.T, n *Node, dev string) (mac string) {
	t.Helper()
	err := n.Do(func() (err error) {
		mac, err = MAC(dev)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return mac
}

func TestMediumCutAndRestore(t *testing.T) {
	r := newRig(t)
	a, b := r.Node("a"), r.Node("b")
	m := r.Medium(End{a, "eb", "10.9.0.1/24"}, End{b, "ea", "10.9.0.2/24"}, 1)
	g := a.PingWhile("10.9.0.2", 100, 20*time.Millisecond)
	time.Sleep(500 * time.Millisecond)
	m.Cut(Both, true)
	time.Sleep(600 * time.Millisecond)
	m.Cut(Both, false)
	res, err := g.Result()
	gap, lost := res.Gap()
	if err != nil || gap < 500*time.Millisecond || lost < 20 {
		t.Errorf("gap %v lost %d, %v, want a hole of about 600ms", gap, lost, err)
	}
}

func TestMediumWatchAndInject(t *testing.T) {
	r := newRig(t)
	a, b := r.Node("a"), r.Node("b")
	m := r.Medium(End{a, "eb", "10.9.0.1/24"}, End{b, "ea", "10.9.0.2/24"}, 1)
	frames := make(chan []byte, 100)
	m.Watch(func(d Dir, f []byte) bool {
		if d == AtoB {
			frames <- slices.Clone(f)
		}
		return true
	})
	if res, err := a.Ping(context.Background(), "10.9.0.2", PingOpts{}); err != nil || res.Received != 1 {
		t.Fatalf("ping: %v\n%s", err, res.Output)
	}
	before, _ := b.Counters("ea")
	if err := m.Inject(AtoB, <-frames); err != nil {
		t.Fatal(err)
	}
	if !Until(time.Second, 10*time.Millisecond, func() bool {
		after, _ := b.Counters("ea")
		return after.RxPackets > before.RxPackets
	}) {
		t.Error("the injected frame did not arrive")
	}
}

func TestProcLife(t *testing.T) {
	r := newRig(t)
	a := r.Node("a")
	p := a.Start("sleep", "sleep", "60")
	if !Until(2*time.Second, 10*time.Millisecond, func() bool { return p.RSS() > 0 }) || !p.Alive() {
		t.Error("the process does not run")
	}
	if err := p.Stop(); err == nil || p.Alive() {
		t.Errorf("Stop = %v, alive %v, want the signal as error and a dead process", err, p.Alive())
	}
	q := a.Start("echo", "echo", "hello")
	if err, ok := q.Wait(5 * time.Second); err != nil || !ok || q.Output() != "hello\n" {
		t.Errorf("echo: %v, %v, %q", err, ok, q.Output())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := a.Run(ctx, "sleep", "60"); err == nil {
		t.Error("Run was not stopped by its context")
	}
}

func TestHosts(t *testing.T) {
	r := newRig(t)
	a := r.Node("a")
	a.Hosts("127.0.0.7 peer.test")
	res, err := a.Ping(context.Background(), "peer.test", PingOpts{})
	if err != nil || res.Received != 1 {
		t.Errorf("ping peer.test: %v\n%s", err, res.Output)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	r := newRig(t)
	a, b := r.Node("a"), r.Node("b")
	r.Veth(End{a, "eb", ""}, End{b, "ea", ""})
	a.Hosts("127.0.0.7 peer.test")
	p := a.Start("sleep", "sleep", "60")
	r.Close()
	if p.Alive() {
		t.Error("a process is left")
	}
	if _, err := os.Stat(r.Dir); err == nil {
		t.Error("the folder is left")
	}
	for _, pattern := range []string{"/run/netns/", "/etc/netns/"} {
		if left, _ := filepath.Glob(pattern + r.ID + "-*"); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}
