package node

import (
	"time"

	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/session"
	"github.com/meshagent/meshagent/agent/switchcore"
)

// Two links to one node are two peers with one key, each with a slot of its
// own. While one of them is down, or does not answer, the other carries its
// frames too: the labels of all who send through its slot stay good.
const (
	standbyTime = 10 * time.Second // a link that failed is not trusted for so long
	// twinQuiet: if data begins to come over one link after so much time
	// without any, the node may have found that the other one is broken.
	twinQuiet = time.Second
	twinTime  = 100 * time.Millisecond // in which the other one must answer then
	twinPause = 200 * time.Millisecond // between pings of one while that is open
)

// twins calls f for every other link to the node of p that has a slot.
func (n *Node) twins(p *Peer, f func(q *Peer)) {
	for _, q := range n.peers {
		if q != p && q.key == p.key && q.hasPort {
			f(q)
		}
	}
}

// works reports whether p can be expected to deliver what it is given.
func (n *Node) works(now mono.Time, p *Peer) bool {
	l := n.link(p.link)
	return p.up && l != nil && l.up && !late(now, p.asking, p.patience.Limit()) && !late(now, p.unproven, session.MostPatience)
}

// late reports whether limit has passed since t, which may be Never.
func late(now, t mono.Time, limit time.Duration) bool {
	return t != mono.Never && now.Sub(t) >= limit
}

// carrier returns who shall carry the frames for the slot of p: p itself if it
// works and is trusted, else the quickest other link that works; nil if there
// is none.
func (n *Node) carrier(now mono.Time, p *Peer) *Peer {
	if p.up && now >= p.away {
		return p
	}
	var best *Peer
	n.twins(p, func(q *Peer) {
		if n.works(now, q) && (best == nil || q.rtt < best.rtt) {
			best = q
		}
	})
	if best == nil && p.up {
		return p
	}
	return best
}

// carrierOf returns who carries the frames for the slot of p now; nil if it
// has none.
func (n *Node) carrierOf(p *Peer) *Peer {
	if !p.hasPort {
		return nil
	}
	return n.byPort[p.port]
}

// recarry decides anew who carries the frames for the slot of p. It reports
// whether anybody does.
func (n *Node) recarry(now mono.Time, p *Peer) bool {
	if !p.hasPort {
		return false
	}
	c := n.carrier(now, p)
	if c == nil {
		n.byPort[p.port] = p
		n.ports.Set(p.port, switchcore.Down)
		return false
	}
	n.byPort[p.port] = c
	n.ports.Set(p.port, switchcore.Up)
	return true
}

// pairUp notes for all links to the node of p whether there are several, and
// gives the slots of those that are down to those that are not.
func (n *Node) pairUp(now mono.Time, p *Peer) {
	count := 0
	n.twins(p, func(q *Peer) {
		count++
		q.paired = true
		n.recarry(now, q)
	})
	p.paired = count > 0
}

// unpair notes that p is gone.
func (n *Node) unpair(p *Peer) {
	count := 0
	var last *Peer
	n.twins(p, func(q *Peer) { count, last = count+1, q })
	if count == 1 {
		last.paired = false
	}
}

// passOn gives the slots that p carried to others, as p does not work any
// more. What nobody can carry is down.
func (n *Node) passOn(now mono.Time, p *Peer, out *Out) {
	n.twins(p, func(q *Peer) {
		if n.byPort[q.port] == p && !n.recarry(now, q) {
			n.slotDown(now, q, out)
		}
	})
}

// slotDown tells that nothing gets through the slot of p.
func (n *Node) slotDown(now mono.Time, p *Peer, out *Out) {
	n.finder.PeerDown(now, p.label)
	n.super.client.PeerDown(now, p.label)
	n.pathsLost(now, p.label, out)
}

// carried notes that p brought something that is not for the upkeep of links.
func (n *Node) carried(now mono.Time, p *Peer, out *Out) {
	if p.paired && now.Sub(max(p.brought, 0)) >= twinQuiet {
		n.stray(now, p, out)
	}
	p.used, p.brought = now, now
}

// stray takes note of data that comes over p after a time without any. Its
// node may have found that another link is broken of which we do not know
// yet: that one must answer quickly, or p takes over.
func (n *Node) stray(now mono.Time, p *Peer, out *Out) {
	n.twins(p, func(q *Peer) {
		if q.up && q.doubt == mono.Never && now >= q.away && now.Sub(max(q.used, 0)) < twinQuiet {
			n.inDoubt(now, q, out)
		}
	})
}

// inDoubt pings p and its twins: if p does not answer and one of them does, it
// takes over.
func (n *Node) inDoubt(now mono.Time, p *Peer, out *Out) {
	first := p.doubt == mono.Never
	ask := func(q *Peer) {
		if q.up && (first || now.Sub(q.lastPing) >= twinPause) {
			n.pingPeer(now, q, out)
		}
	}
	p.doubt = now
	ask(p)
	n.twins(p, ask)
	n.hurry(now)
}

// expireStandby lets another link take over from p when p does not answer, and
// p come back when it has worked for a while.
func (n *Node) expireStandby(now mono.Time, p *Peer, out *Out) {
	if !p.paired || !p.up {
		return
	}
	if p.doubt != mono.Never && p.lastIn >= p.doubt {
		p.doubt = mono.Never
	}
	switch {
	case p.doubt == mono.Never && !n.works(now, p):
		n.inDoubt(now, p, out)
	case p.doubt != mono.Never:
		n.hurry(now)
		if now.Sub(p.doubt) >= max(twinTime, 2*p.rtt+twinTime/2) {
			n.standIn(now, p, out)
		}
	case p.away != 0 && now >= p.away:
		p.away = 0
		n.recarry(now, p)
	case p.away != 0:
		if now.Sub(max(p.lastIn, p.lastPing)) >= knockTime {
			n.pingPeer(now, p, out) // it carries nothing else by which to judge it
		}
		n.wakeAt(p.away)
	}
}

// standIn lets a twin that has answered since p is in doubt take over.
func (n *Node) standIn(now mono.Time, p *Peer, out *Out) {
	since, ready := p.doubt, false
	n.twins(p, func(q *Peer) {
		switch {
		case !q.up || q.lastIn < since:
		case now >= q.away:
			ready = true
		case n.works(now, q): // distrusted, but better than one that is silent
			q.away, ready = 0, true
			n.recarry(now, q)
		}
	})
	if !ready {
		n.inDoubt(now, p, out)
		p.doubt = since
		return
	}
	p.away, p.doubt = now.Add(standbyTime), mono.Never
	n.recarry(now, p)
	n.passOn(now, p, out)
}
