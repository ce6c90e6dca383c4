package main

import (
	"fmt"
	"os"
	"time"

	"github.com/meshagent/meshagent/hw/guest"
	"github.com/meshagent/meshagent/hw/rig"
)

// result is one run of one contestant at one loss. Times are 0 where nothing
// was measured.
type result struct {
	kind    string
	loss    float64
	reach   time.Duration // from the first frame that is heard to the last pair
	missing int           // pairs that were not reached
	bytes   float64       // per node and second, at rest
	frames  float64       // per node and second, at rest
	cuts    []cut
	cpu     float64 // seconds of processor per node and minute, at rest
	rss     float64 // of the largest daemon, MB
}

// cut is one link on the way taken away.
type cut struct {
	took time.Duration // until probes come back steadily
	ok   bool          // they did
	lost float64       // share of probes lost in the window, percent
}

// probeEvery is from one probe to the next while a link is cut.
const probeEvery = 10 * time.Millisecond

// measure runs one contestant at one loss.
func measure(k kind, loss float64, seed uint64, o options) (res result, err error) {
	res = result{kind: k.name, loss: loss}
	var r *rig.Rig
	var lab *guest.Lab
	if k.kernel == "" {
		r = rig.New(rig.Config{})
	} else {
		lab = guest.NewLab(rig.Config{Fail: func(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }})
		r = lab.Rig
	}
	defer r.Close()
	defer func() {
		if p := recover(); p != nil { // a building step that failed
			err = fmt.Errorf("%v", p)
		}
	}()
	r.CloseOnSignal()
	w := newWorld(r, seed)
	w.lab = lab
	if err := k.prepare(w); err != nil {
		return res, err
	}
	w.lay(loss)
	if err := k.start(w, o); err != nil {
		return res, err
	}
	time.Sleep(3 * time.Second) // each is up, alone
	p, err := newProber(w)
	if err != nil {
		return res, err
	}
	defer p.close()
	w.hear()
	res.reach, res.missing = p.reachAll(time.Now(), o.limit)
	if err := w.alive(); err != nil {
		return res, err
	}
	if res.missing > 0 {
		return res, nil
	}
	time.Sleep(o.settle) // let windows fill
	res.rest(w, o.rest)
	for range o.cuts {
		c, err := w.cutOnce(p, o)
		if err != nil {
			return res, err
		}
		res.cuts = append(res.cuts, c)
	}
	return res, w.alive()
}

// rest measures what the routing costs when nothing happens.
func (r *result) rest(w *world, d time.Duration) {
	frames, bytes := w.sent()
	cpu := w.cpu()
	time.Sleep(d)
	f, b := w.sent()
	per := float64(len(w.nodes)) * d.Seconds()
	r.frames, r.bytes = float64(f-frames)/per, float64(b-bytes)/per
	r.cpu = (w.cpu() - cpu).Seconds() / float64(len(w.nodes)) / d.Minutes()
	if len(w.procs) == 0 {
		r.cpu, r.rss = -1, -1
	}
	for _, p := range w.procs {
		r.rss = max(r.rss, float64(p.RSS())/(1<<20))
	}
}

func (w *world) cpu() (sum time.Duration) {
	for _, p := range w.procs {
		sum += p.CPU()
	}
	return sum
}

// cutOnce cuts the second link on the way between the corners, watches what
// becomes of the probes, and restores it.
func (w *world) cutOnce(p *prober, o options) (c cut, err error) {
	last := len(w.nodes) - 1
	s := p.start(0, last, probeEvery)
	time.Sleep(200 * time.Millisecond)
	w.path(0, last) // forget what was before
	var path []int
	if !rig.Until(10*time.Second, 300*time.Millisecond, func() bool { path = w.path(0, last); return len(path) > 2 }) {
		p.end(s)
		return c, fmt.Errorf("no way from corner to corner before the cut")
	}
	x, y := w.radios[path[1]], w.radios[path[2]]
	w.air.CutBoth(x, y, true)
	at := time.Now()
	time.Sleep(o.window)
	sent, ok := p.end(s)
	c = judge(at, sent, ok)
	if o.verbose {
		fmt.Fprintf(os.Stderr, "  way %v, cut %d-%d: steady again %v after %v, %.1f %% lost\n", path, path[1], path[2], c.ok, c.took, c.lost)
	}
	w.air.CutBoth(x, y, false)
	time.Sleep(o.settle)
	return c, nil
}

// steady is how many probes in a row must come back to call a way found.
const steady = 50

// judge finds out when probes came back steadily after a cut.
func judge(cutAt time.Time, sent []time.Time, ok []bool) (c cut) {
	lost, total, run := 0, 0, 0
	for i, at := range sent {
		if at.Before(cutAt) {
			continue
		}
		total++
		if !ok[i] {
			lost++
			run = 0
			continue
		}
		if run++; run == steady && !c.ok {
			c.ok, c.took = true, sent[i-steady+1].Sub(cutAt)
		}
	}
	if total > 0 {
		c.lost = float64(lost) * 100 / float64(total)
	}
	return c
}
