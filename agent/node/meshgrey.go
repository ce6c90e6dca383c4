package node

import (
	"time"

	"github.com/meshagent/meshagent/agent/mono"
)

// A grey hole forwards the mesh's announcements and drops everything else. We
// see that a peering with traffic has no answers while the mesh says that the
// way is good, and ask it to take another next hop.
const (
	greyTime   = 1200 * time.Millisecond // sent, and no answer: asked for another way
	greyMetric = 64                      // of a way that should bring answers
	greyPause  = 2 * time.Second         // before the same is asked again; doubled each time
	greyMost   = 5                       // doublings: at most once in 64 s
	greyGood   = 30 * time.Second        // answers for so long: the next time begins at greyPause
)

// avoidance is what was asked of the mesh about one node.
type avoidance struct {
	next  mono.Time // nothing is asked before
	good  mono.Time // since when there are answers; 0: there are none
	times uint8
}

// greyHole asks the mesh for another way to p, if that is to be hoped for.
// silent is for how long something was sent and nothing came back.
func (n *Node) greyHole(now mono.Time, e *meshNode, p *Peer, silent time.Duration, out *Out) {
	a := &e.avoid
	a.good = 0
	if silent < greyTime || now < a.next || int(e.now().Metric) < greyMetric || n.unneeded(now, p) {
		return
	}
	a.next = now.Add(greyPause << a.times)
	a.times = min(a.times+1, greyMost)
	out.Asks = append(out.Asks, Ask{Kind: AskAvoid, MAC: e.now().MAC})
	p.lastPing = now.Add(tickShort - answerTime) // so the other way is tried at once
}

// answers notes that a node answers.
func (e *meshNode) answers(now mono.Time) {
	switch a := &e.avoid; {
	case a.good == 0:
		a.good = now
	case now.Sub(a.good) > greyGood:
		a.times = 0
	}
}
