package node

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pathfinder"
)

// peerUp gives p its slot in the switch, or that of its earlier entry, which
// it returns.
func (n *Node) peerUp(now mono.Time, p *Peer, out *Out) *Peer {
	if p.version < oldestPeer {
		p.problem = "protocol version too old"
		n.drops[dropVersion]++
		return p
	}
	if old := n.twin(p); old != nil {
		n.takeOver(now, old, p, out)
		p = old
		if p.up {
			return p
		}
	}
	if !p.hasPort {
		port, ok := n.newSlot(now, p)
		if !ok {
			p.problem = "no free switch slot"
			n.drops[dropTableFull]++
			return p
		}
		p.port, p.hasPort = port, true
		n.byPort[port] = p
		d, bits := cjdns.PortDirector(uint16(port), 0)
		p.label = cjdns.Label(d) | 1<<bits
	}
	p.up, p.upAt, p.problem, p.away, p.doubt = true, now, "", 0, mono.Never
	n.recarry(now, p)
	n.pairUp(now, p)
	out.Events = append(out.Events, Event{Kind: EventPeerUp, Peer: p.info()})
	n.finder.PeerUp(now, pathfinder.Node{Key: p.key, IP: p.ip, Version: p.version, Label: p.label}, &n.found)
	n.linkUp(now, p)
	if n.onMesh(p) {
		n.meshUp(now, p, out)
	}
	return p
}

// twin returns an older entry for the same node on the same link, which p
// replaces: the node has moved to another address, or was restarted with
// another port.
func (n *Node) twin(p *Peer) *Peer {
	for _, q := range n.peers {
		if q != p && q.key == p.key && q.link == p.link && (q.hasPort || q.conf != nil) && (p.conf == nil || q.conf == nil) {
			return q
		}
	}
	return nil
}

// takeOver lets old go on with the session and address of p, which ends. The
// slot stays, so every label that leads through it stays good.
func (n *Node) takeOver(now mono.Time, old, p *Peer, out *Out) {
	if old.conf == nil && p.conf != nil {
		old.conf, old.source, old.name = p.conf, p.source, p.name
		old.aliases = append(old.aliases, p.aliases...)
		p.conf = nil
		n.byConfig[old.conf.Name] = old
	}
	addr, was := p.addr, old.addr
	n.forget(p)
	if !slices.Contains(old.aliases, old.addr) {
		delete(n.byAddr, peerKey{old.link, old.addr})
	}
	old.ca, old.addr, old.version, old.admitted = p.ca, addr, p.version, p.admitted
	if password, login := old.credentials(); password != nil {
		old.ca.UpdateAuth(password, login)
	}
	old.lastIn, old.asking, old.handshakes = now, mono.Never, old.handshakes+p.handshakes
	if old.source == sourceRemembered {
		old.source = sourceIncoming
	}
	n.byAddr[peerKey{old.link, addr}] = old
	for _, a := range old.aliases {
		n.byAddr[peerKey{old.link, a}] = old
	}
	if addr != was {
		n.moved(now, old, out)
	}
}

// Moves that raise the suspicion that two nodes have one key: they take the
// entry from each other.
const (
	movesTime  = time.Minute
	movesLimit = 3
)

// moved tells that p is at another address.
func (n *Node) moved(now mono.Time, p *Peer, out *Out) {
	out.Events = append(out.Events, Event{Kind: EventPeerMoved, Peer: p.info()})
	if now.Sub(p.movesAt) > movesTime {
		p.moves, p.movesAt = 0, now
	}
	// The mesh tells of two nodes with one key by itself.
	if p.moves++; p.moves >= movesLimit && !n.onMesh(p) {
		out.Events = append(out.Events, Event{Kind: EventSameKey, Peer: p.info()})
	}
}

// peerDown tells that p does not answer. Its slot goes to another link to the
// same node. If there is none, it is closed: what is sent through it comes
// back as an error.
func (n *Node) peerDown(now mono.Time, p *Peer, out *Out) {
	p.up = false
	out.Events = append(out.Events, Event{Kind: EventPeerDown, Peer: p.info()})
	if !n.recarry(now, p) {
		n.slotDown(now, p, out)
	}
	n.passOn(now, p, out)
}

// knock calls p now: a ping if there is a session, else a hello with a ping
// in it.
func (n *Node) knock(now mono.Time, p *Peer, out *Out) {
	p.nextKnock = now.Add(knockTime)
	if now.Sub(p.made) > time.Minute && !p.up {
		p.nextKnock = now.Add(knockSlow)
	}
	if n.onMesh(p) && now.Sub(p.called) < meshHurry {
		p.nextKnock = now.Add(repeatTime)
	}
	n.pingPeer(now, p, out)
	n.hurry(now)
}

// renew begins a new handshake with p beside the session that there is.
func (n *Node) renew(now mono.Time, p *Peer, out *Out) {
	if now < p.nextRenew {
		return
	}
	p.nextRenew = now.Add(renewPause)
	renewCA(p.ca, now, renewPause)
	n.callCandidate(now, p, out)
	n.hurry(now)
}

// renewCA begins a new handshake, in place of one that has led to nothing for
// as long as limit: where both ends call, the age of the hellos decides whose
// stands, and old ones would be answered on both sides.
func renewCA(ca *cryptoauth.Session, now mono.Time, limit time.Duration) {
	if ca.HasCandidate() && ca.CandidateAge(now) >= limit {
		ca.DropCandidate()
	}
	ca.Renew(now)
}

// callCandidate sends the hello of a new handshake to every address at which
// p may be.
func (n *Node) callCandidate(now mono.Time, p *Peer, out *Out) {
	p.nextKnock = now.Add(repeatTime)
	n.sendPing(now, p, p.addr, true, out)
	for _, a := range p.aliases {
		if a != p.addr {
			n.sendPing(now, p, a, true, out)
		}
	}
}

// expirePeers pings silent peers, begins new handshakes with those that do
// not answer, and gives up in the end.
func (n *Node) expirePeers(now mono.Time, out *Out) {
	for i := len(n.peers) - 1; i >= 0; i-- {
		if i >= len(n.peers) {
			continue // others than this one may go too
		}
		p := n.peers[i]
		if now.Sub(p.rateAt) >= rateTime {
			p.measure(now)
		}
		if p.ca == nil {
			continue
		}
		n.expirePeer(now, p, out)
	}
}

func (n *Node) expirePeer(now mono.Time, p *Peer, out *Out) {
	l := n.link(p.link)
	if n.onMesh(p) && !n.expireMeshPeer(now, p, out) {
		return
	}
	if n.expired(now, p) {
		n.removePeer(now, p, out)
		return
	}
	if l == nil || !l.up {
		return
	}
	silent := time.Duration(0)
	if p.asking != mono.Never {
		silent = now.Sub(p.asking)
	}
	if p.up && silent > downTime {
		p.problem = "does not answer"
		n.peerDown(now, p, out)
	}
	n.expireStandby(now, p, out)
	if p.conf != nil && p.conf.Host != "" && (!p.up || silent > renewTime) && now >= p.nextAsk {
		p.nextAsk = now.Add(resolveTime)
		out.Asks = append(out.Asks, Ask{Kind: AskResolve, Peer: p.conf.Name})
	}
	switch {
	case !p.ca.CanSend():
		if p.source == sourceIncoming {
			return // strangers speak first
		}
		if now >= p.nextKnock {
			n.knock(now, p, out)
			for _, a := range p.aliases {
				if a != p.addr {
					n.sendPing(now, p, a, true, out)
				}
			}
		}
		n.wakeAt(p.nextKnock)
	case n.unneeded(now, p) && silent >= renewTime:
		n.hurry(now) // the other end has given it up: so shall we
	case silent >= renewTime || p.ca.NeedsRenew(now):
		if now >= p.nextRenew {
			n.renew(now, p, out)
		} else if p.ca.HasCandidate() && now >= p.nextKnock {
			n.callCandidate(now, p, out)
		}
		n.hurry(now)
	case silent >= answerTime || !p.up:
		if now.Sub(p.lastPing) >= answerTime {
			n.pingPeer(now, p, out)
		}
		n.hurry(now)
	case p.unproven != mono.Never && now.Sub(p.lastPing) >= answerTime:
		n.pingPeer(now, p, out)
		n.hurry(now)
	case p.asking != mono.Never || p.unproven != mono.Never:
		n.hurry(now)
	case p.used != 0 && now.Sub(p.used) < usedTime && now.Sub(p.lastPing) >= usedTime:
		n.pingPeer(now, p, out)
		n.hurry(now)
	case now.Sub(max(p.lastIn, 0)) >= n.lazy(p) && now.Sub(p.lastPing) >= knockTime:
		n.pingPeer(now, p, out)
		n.hurry(now)
	}
}

func (n *Node) wakeAt(t mono.Time) { n.nextTick = mono.Min(n.nextTick, t) }

// expired reports whether nothing more is to be hoped of p.
func (n *Node) expired(now mono.Time, p *Peer) bool {
	switch {
	case p.conf != nil || n.onMesh(p):
		return false
	case n.refusing[p.ip]: // it came in by Noise, which names nobody
		return true
	case p.admitted && !n.mesh.admitted[p.key] && p.ca.User() == "":
		return true
	case p.hasPort:
		return now.Sub(p.lastIn) > forgetTime
	default:
		return now.Sub(p.made) > halfOpenTime
	}
}
