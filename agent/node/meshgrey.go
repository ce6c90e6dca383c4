package node

import (
	"time"

	"github.com/meshagent/meshagent/agent/mono"
)

// A grey hole forwards the mesh's announcements and drops everything else. We
// see that a peering with traffic has no answers while the mesh says that there
// is a way, and ask it to take another next hop. How good it calls the way says
// nothing: after a start, and over several hops, a good one has a low metric.
const (
	greyTime  = 1200 * time.Millisecond // sent, and no answer: asked for another way
	greyPause = 2 * time.Second         // before the same is asked again; doubled each time
	greyVain  = time.Second             // before it is asked again after the mesh had no other
	greyMost  = 5                       // doublings: at most once in 64 s
	greyGood  = 30 * time.Second        // answers for so long: the next time begins at greyPause
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
	if silent < greyTime {
		return // answers may be under way
	}
	a.good = 0
	if now < a.next || e.now().Metric == 0 || n.unneeded(now, p) {
		return
	}
	a.next = now.Add(greyPause << a.times)
	a.times = min(a.times+1, greyMost)
	out.Asks = append(out.Asks, Ask{Kind: AskAvoid, MAC: e.now().MAC})
	// so that the other way is tried at once, and not before it is taken
	p.lastPing = now.Add(tickShort - answerTime)
	p.nextRenew = max(p.nextRenew, now.Add(tickShort))
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

// NotAvoided tells that the mesh has no other next hop towards mac than the one
// in use, so the last AskAvoid has changed nothing. The silence may be the doing
// of the other end, which still sends by a bad one; so this wish is not counted,
// or it would keep us from leaving a bad one when it is our turn.
func (n *Node) NotAvoided(now mono.Time, mac [6]byte) {
	for _, e := range n.mesh.nodes {
		if e.now().MAC == mac && e.avoid.times > 0 {
			e.avoid.times--
			e.avoid.next = now.Add(greyVain)
		}
	}
}
