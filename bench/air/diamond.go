package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/hw/air"
	"github.com/meshagent/meshagent/hw/rig"
)

var cell = air.Cell{Kind: air.Mesh, Name: "bench", Freq: 2412}

// The links of the diamond. By way of B everything is better, until the link
// between A and B becomes bad: then C is, by throughput and by TQ (the links
// leave 0.56 of it by way of B, and 0.81 by way of C).
var (
	linkGood = air.Link{Signal: -50, MCS: 7}
	linkFair = air.Link{Signal: -68, MCS: 4, Loss: 0.1}
	linkBad  = air.Link{Signal: -86, MCS: 0, Loss: 0.4}
)

// flowStep is from one packet of a flow to the next.
const flowStep = 100 * time.Millisecond

// reachLimit is how long the two ends may take to find each other.
const reachLimit = time.Minute

// result is one run of the diamond.
type result struct {
	Kind string
	Seed uint64
	// From A, which has the bad link, to D; and back from D, which learns of
	// it from B.
	There, Back direction
	// What rate control expected of the link that became bad before and at the
	// end, in Mbit/s, and at the end of A's other link.
	Before, After, Other float64
}

func (r result) String() string {
	return fmt.Sprintf("there %v, back %v; A expects of the bad link %.1f, then %.1f; of the other %.1f", r.There, r.Back, r.Before, r.After, r.Other)
}

// direction is what became of the flow from one end to the other.
type direction struct {
	Away  bool // it did not use the link before it became bad
	Moved bool
	Took  time.Duration // from the change until the flow went the other way
	Last  time.Duration // from the change until packets went the old way no more
	Sent  int           // since the change
	Lost  int           // of them
}

func (d direction) String() string {
	lost := fmt.Sprintf("lost %d of %d", d.Lost, d.Sent)
	switch {
	case d.Away:
		return "was not on it, " + lost
	case !d.Moved:
		return "not moved, " + lost
	}
	return fmt.Sprintf("moved after %.1f s, for good %.1f s, %s", d.Took.Seconds(), d.Last.Seconds(), lost)
}

// diamond runs inside of the kernel. Its routers are A, B, C, D:
//
//	    ┌── B ──┐
//	A ──┤       ├── D
//	    └── C ──┘
func diamond(w *air.World) {
	a, err := parseOrder(w.Arg)
	if err != nil {
		w.Fatalf("%v", err)
	}
	k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == a.Kind })]
	w.Medium.Seed(a.Seed)
	w.Medium.Single()
	r := k.routers(w, 4)
	A, B, C, D := r[0], r[1], r[2], r[3]
	w.Medium.Link(A.radio, B.radio, linkGood)
	w.Medium.Link(B.radio, D.radio, linkGood)
	w.Medium.Link(A.radio, C.radio, linkFair)
	w.Medium.Link(C.radio, D.radio, linkFair)
	k.begin(w, r)
	there, back := &trail{}, &trail{}
	watch(w, k, A, D, there, back)
	if !rig.Until(reachLimit, time.Second, func() bool { return reaches(A, D) && reaches(D, A) }) {
		w.Fatalf("the two ends do not reach each other within %v", reachLimit)
	}
	w.Logf("the two ends reach each other")
	f, g := flow(w, A, D), flow(w, D, A)
	time.Sleep(a.Settle)
	old, other := B, C
	if k.overlay && there.share(time.Now().Add(-steady), B.radio) < 0.5 {
		old, other = C, B // the overlay has no reason to prefer one yet
	}
	if !k.overlay && (!there.uses(B.radio) || !back.uses(B.radio)) {
		w.Fatalf("before the change the flow does not go by B")
	}
	res := result{Kind: k.name, Seed: a.Seed, Before: expected(A, old)}
	w.Logf("the link between A and %s becomes bad; A expects of it %.1f Mbit/s, of the other %.1f", old.node.Name, res.Before, expected(A, other))
	f0, g0 := f.Result(), g.Result()
	there.change(old.radio)
	back.change(old.radio)
	w.Medium.Link(A.radio, old.radio, linkBad)
	time.Sleep(a.Window)
	res.There, res.Back = there.judge(f0, f.Stop()), back.judge(g0, g.Stop())
	res.After, res.Other = expected(A, old), expected(A, other)
	text, err := json.Marshal(res)
	if err != nil {
		w.Fatalf("%v", err)
	}
	w.Notef("%s", text)
}

// watch notes the frames by which the two ends hand the flows to B and C. Those
// of a mesh name the other end as their destination. Those of the overlay may go
// by peers, and what is in them cannot be seen: they are told by their size.
func watch(w *air.World, k kind, a, d *router, there, back *trail) {
	flow := func(s air.Sent, to *router) bool {
		u, err := batman.ParseUnicast(s.Payload)
		if err != nil {
			return false
		}
		switch s.Payload[0] {
		case byte(batman.TypeUnicast), byte(batman.TypeUnicast4):
			return !k.overlay && u.Dest.String() == to.radio.MAC()
		case config.DefaultOverlayType:
			return k.overlay && len(s.Payload) >= overlaySize
		}
		return false
	}
	w.Medium.Watch(func(s air.Sent) {
		switch {
		case s.From == a.radio && flow(s, d):
			there.note(s)
		case s.From == d.radio && flow(s, a):
			back.note(s)
		}
	})
}

// overlaySize is less than what a flow packet of the overlay has on the mesh
// (190 on the shortest way), and more than most other packets of the overlay.
const overlaySize = 185

func reaches(a, d *router) bool {
	res, _ := a.node.Ping(context.Background(), d.addr, rig.PingOpts{Wait: 500 * time.Millisecond})
	return res.Received > 0
}

func flow(w *air.World, a, d *router) *rig.Flow {
	f, err := a.node.Flow(d.node, d.addr, flowStep)
	if err != nil {
		w.Fatalf("%v", err)
	}
	return f
}

// expected is what rate control expects of a link, in Mbit/s.
func expected(a, b *router) float64 {
	for _, h := range a.radio.Stations() {
		if h.MAC == b.radio.MAC() {
			return h.Expected
		}
	}
	return 0
}

// steady is for how long nine of ten frames must take a way to call it that of
// a flow.
const (
	steady = 3 * time.Second
	most   = 0.9
)

// step is one frame of a trail.
type step struct {
	at time.Time
	to *air.Radio
}

// trail is which relays the frames of one end went to.
type trail struct {
	mu    sync.Mutex
	steps []step

	old  *air.Radio // the relay whose link became bad
	away bool       // the flow did not go there
	at   time.Time  // when it became bad
}

func (t *trail) note(s air.Sent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = append(t.steps, step{time.Now(), s.To})
}

// share is that of the frames from a time on that went to a relay, while the
// flow is looked at; 0 if there are none.
func (t *trail) share(from time.Time, relay *air.Radio) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return share(t.steps, from, from.Add(steady), relay)
}

// uses reports whether the flow goes by a relay now.
func (t *trail) uses(relay *air.Radio) bool { return t.share(time.Now().Add(-steady), relay) >= most }

// change notes that the link to a relay is about to become bad.
func (t *trail) change(old *air.Radio) {
	away := !t.uses(old)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.old, t.away, t.at = old, away, time.Now()
}

func share(steps []step, from, to time.Time, relay *air.Radio) float64 {
	all, there := 0, 0
	for _, s := range steps {
		if s.at.Before(from) || s.at.After(to) {
			continue
		}
		all++
		if s.to == relay {
			there++
		}
	}
	if all == 0 {
		return 0
	}
	return float64(there) / float64(all)
}

// judge looks at what happened since the change. A flow has moved with its
// first frame by the other relay after which nine of ten go there for a while,
// and for good when that stays so.
func (t *trail) judge(before, now rig.FlowResult) (d direction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.Away = t.away
	d.Sent = now.Sent - before.Sent
	d.Lost = d.Sent - (now.Received - before.Received)
	for _, s := range t.steps {
		switch {
		case s.at.Before(t.at):
		case s.to == t.old:
			if share(t.steps, s.at.Add(-steady), s.at, t.old) > 1-most {
				d.Last = s.at.Sub(t.at)
			}
		case !d.Moved && share(t.steps, s.at, s.at.Add(steady), s.to) >= most:
			d.Moved, d.Took = true, s.at.Sub(t.at)
		}
	}
	return d
}
