package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/meshagent/meshagent/hw/forge"
	"github.com/meshagent/meshagent/hw/rig"
)

// side is the number of nodes along one side of the grid.
const side = 3

// loss is that of broadcasts on each link of the grid.
const loss = 0.1

// grid makes a grid of agents, not started. Options of the mesh follow.
func grid(r *rig.Rig, o options, mesh ...string) (*rig.Island, []*rig.Host) {
	i := r.Island(1, o.interval)
	var hosts []*rig.Host
	for k := range side * side {
		h := r.Node(fmt.Sprintf("n%d", k+1)).Agent(o.agent)
		i.Equip(h, mesh...)
		hosts = append(hosts, h)
	}
	i.Air.Lay(rig.Grid(side, side), rig.Same(loss))
	return i, hosts
}

func start(hosts ...*rig.Host) {
	for _, h := range hosts {
		h.Start()
	}
	for _, h := range hosts {
		h.WaitUp(10 * time.Second)
	}
}

// patience bounds every wait.
const patience = time.Minute

// known waits until each of the hosts knows who each other is.
func known(i *rig.Island, hosts ...*rig.Host) error {
	for _, a := range hosts {
		for _, b := range hosts {
			if a != b && !rig.Until(patience, 50*time.Millisecond, func() bool { return i.Knows(a, b) }) {
				return fmt.Errorf("after %v %s does not know who %s is", patience, a.Node.Name, b.Node.Name)
			}
		}
	}
	return nil
}

// reach waits until a ping comes back and returns how long that took since a
// moment.
func reach(a *rig.Node, addr string, since time.Time) (time.Duration, error) {
	if !rig.Until(patience, 0, func() bool {
		res, _ := a.Ping(context.Background(), addr, rig.PingOpts{Wait: 100 * time.Millisecond})
		return res.Received == 1
	}) {
		return 0, fmt.Errorf("no ping from %s to %s within %v", a.Name, addr, patience)
	}
	return time.Since(since), nil
}

// measureAir counts what nodes send at rest, with and without identity.
func measureAir(o options) error {
	fmt.Printf("\nOn the air: a %dx%d grid at rest, %.0f %% loss, OGM interval %v, %v each\n%-18s %12s %12s %14s %10s\n", side, side, loss*100, o.interval, o.rest,
		"", "bytes/s/node", "frames/s/node", "own OGM, bytes", "largest")
	for _, c := range []struct {
		name string
		mesh []string
	}{{"without identity", []string{"identity", "0"}}, {"with identity", nil}} {
		if err := air(o, c.name, c.mesh); err != nil {
			return err
		}
	}
	return nil
}

func air(o options, name string, mesh []string) error {
	r := rig.New(rig.Config{})
	defer r.Close()
	r.CloseOnSignal()
	i, hosts := grid(r, o, mesh...)
	start(hosts...)
	time.Sleep(o.settle)
	var mu sync.Mutex
	ogms, bytes, largest := 0, 0, 0
	i.Air.Watch(func(from *rig.Radio, frame []byte) {
		mu.Lock()
		defer mu.Unlock()
		for _, g := range forge.Parse(frame) {
			if n := g.Size(); g.Orig.String() == i.StationMAC(from) {
				ogms, bytes, largest = ogms+1, bytes+n, max(largest, n)
			}
		}
	})
	sent := func() (frames, bytes float64) {
		for _, h := range hosts {
			s := i.Radio(h).Sent()
			frames += float64(s.Frames)
			bytes += float64(s.Bytes)
		}
		return frames, bytes
	}
	frames, total := sent()
	begin := time.Now()
	time.Sleep(o.rest)
	framesAfter, totalAfter := sent()
	per := time.Since(begin).Seconds() * float64(len(hosts))
	i.Air.Watch(nil)
	mu.Lock()
	defer mu.Unlock()
	fmt.Printf("%-18s %12.0f %12.1f %14.1f %10d\n", name, (totalAfter-total)/per, (framesAfter-frames)/per, float64(bytes)/float64(max(ogms, 1)), largest)
	return nil
}

// measureFirst starts a node with a new key at one corner of a standing grid
// and waits for its first ping from the other corner.
func measureFirst(o options) error {
	r := rig.New(rig.Config{})
	defer r.Close()
	r.CloseOnSignal()
	i, hosts := grid(r, o)
	corner, others := hosts[len(hosts)-1], hosts[:len(hosts)-1]
	start(others...)
	if err := known(i, others...); err != nil {
		return err
	}
	time.Sleep(o.settle)
	var took []time.Duration
	for k := range o.starts {
		// somebody new: another key, another MAC, nothing left of the last one
		corner.ID = rig.NewIdentity()
		corner.Node.IP("link", "set", "wlan0", "address", fmt.Sprintf("02:1e:00:00:00:%02x", k+1))
		for _, dev := range []string{"mesh0", "bat0"} {
			_, _ = corner.Node.Run(context.Background(), "ip", "link", "del", dev)
		}
		begin := time.Now()
		corner.Start()
		d, err := reach(corner.Node, others[0].IP(), begin)
		if err != nil {
			return err
		}
		took = append(took, d)
		corner.Proc.Kill()
		time.Sleep(3 * o.interval)
	}
	fmt.Printf("\nFrom the start of a new node to its first encrypted ping, four hops, OGM interval %v: median %.2f s of %d\n   %s\n",
		o.interval, median(took).Seconds(), len(took), seconds(took))
	return nil
}

// measureCut cuts a link on the way of a stream that has another way.
func measureCut(o options) error {
	r := rig.New(rig.Config{})
	defer r.Close()
	r.CloseOnSignal()
	i := r.Island(2, o.interval)
	var hosts []*rig.Host
	for _, name := range []string{"a", "b", "g", "h"} {
		hosts = append(hosts, r.Node(name).Agent(o.agent))
	}
	a, b, g, h := hosts[0], hosts[1], hosts[2], hosts[3]
	i.Diamond(a, b, g, h, 0, 0.2)
	start(hosts...)
	if err := known(i, a, b); err != nil {
		return err
	}
	if _, err := reach(a.Node, b.IP(), time.Now()); err != nil {
		return err
	}
	var holes []time.Duration
	for range o.cuts {
		if !rig.Until(2*patience, 50*time.Millisecond, func() bool { w, _ := i.Best(a, b); return w.Next == i.MAC(g) }) {
			return fmt.Errorf("the better way is not taken within %v", 2*patience)
		}
		time.Sleep(o.settle)
		f, err := a.Node.Flow(b.Node, b.IP(), 10*time.Millisecond)
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		i.Cut(a, g, true)
		time.Sleep(8 * time.Second)
		holes = append(holes, f.Stop().Hole)
		i.Cut(a, g, false)
	}
	fmt.Printf("\nHole in a stream when a link on its way ends and there is another way, OGM interval %v: median %.2f s of %d\n   %s\n",
		o.interval, median(holes).Seconds(), len(holes), seconds(holes))
	return nil
}
