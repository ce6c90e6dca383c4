package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// What the mesh sends at rest, on paper.
const (
	ogmLen     = 93   // with identity, mean of an hour: docs/protocol/identity.md
	frameMost  = 512  // mesh/aggregate.go: OGMs in one frame
	framesWait = 0.11 // s; OGMs that go on within that share a frame
)

// flood predicts the bytes and frames a second that each radio of an island
// sends: each node sends an OGM an interval, and each other one passes it on
// once, those that go on within a short time in one frame.
func flood(nodes int, interval time.Duration) (bytes, frames float64) {
	ogms := float64(nodes) / interval.Seconds()
	full := float64(frameMost / ogmLen)
	together := min(full, 1+ogms*framesWait)
	frames = ogms / together
	return ogms*ogmLen + frames*ethLen, frames
}

// measureIsland lets agents make one mesh, four neighbours each, and counts
// what they send at rest.
func measureIsland(o options) (err error) {
	r := rig.New(rig.Config{})
	defer r.Close()
	defer func() {
		if f := recover(); f != nil { // a building step that failed
			err = fmt.Errorf("%v", f)
		}
	}()
	r.CloseOnSignal()
	i := r.Island(o.seed, o.interval)
	width := 1
	for width*width < o.island {
		width++
	}
	var hosts []*rig.Host
	for k := range width * ((o.island + width - 1) / width) { // a full grid
		h := r.Node(fmt.Sprintf("n%d", k+1)).Agent(o.agent)
		h.Spec.NoTUN, h.Spec.LogLevel = true, "warn"
		i.Equip(h)
		hosts = append(hosts, h)
	}
	i.Air.Lay(rig.Grid(width, len(hosts)/width), rig.Same(0))
	began := time.Now()
	for _, h := range hosts {
		h.Start()
	}
	for _, h := range hosts {
		h.WaitUp(time.Minute)
	}
	for _, h := range hosts {
		known := 0
		if !rig.Until(o.patience, 100*time.Millisecond, func() bool {
			known = 0
			list, _ := h.Originators()
			for _, n := range list {
				if n.Best && strings.HasPrefix(n.Identity, "fc") {
					known++
				}
			}
			return known >= len(hosts)-1
		}) {
			return fmt.Errorf("after %v %s knows who %d of %d others are", o.patience, h.Node.Name, known, len(hosts)-1)
		}
	}
	known := time.Since(began)
	time.Sleep(o.settle)
	sent := func() (frames, bytes float64, cpu time.Duration) {
		for _, h := range hosts {
			s := i.Radio(h).Sent()
			frames, bytes, cpu = frames+float64(s.Frames), bytes+float64(s.Bytes), cpu+h.Proc.CPU()
		}
		return frames, bytes, cpu
	}
	frames, bytes, cpu := sent()
	counted := time.Now()
	time.Sleep(o.rest)
	framesAfter, bytesAfter, cpuAfter := sent()
	secs := time.Since(counted).Seconds()
	per := secs * float64(len(hosts))
	var rss []int64
	for _, h := range hosts {
		rss = append(rss, h.Proc.RSS())
	}
	slices.Sort(rss)
	paper, paperFrames := flood(len(hosts), o.interval)
	got := (bytesAfter - bytes) / per
	fmt.Printf("%d agents on one mesh, a grid of %d columns, OGM interval %v: all know all after %.0f s; at rest each sends %.0f bytes a second (%.0f on paper) in %.1f frames (%.1f), takes %.2f %% of a processor, RSS %.1f MB\n",
		len(hosts), width, o.interval, known.Seconds(), got, paper, (framesAfter-frames)/per, paperFrames, 100*(cpuAfter-cpu).Seconds()/per, float64(rss[len(rss)/2])/1e6)
	if o.check > 0 && (got > paper*o.check || got < paper/o.check) {
		return fmt.Errorf("%.0f bytes a second at rest, %.0f by the formula", got, paper)
	}
	return nil
}
