package node

import (
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Life of a peering over the mesh. It is made when somebody needs it and
// given up when nobody does.
const (
	meshIdle     = 120 * time.Second       // without transit and own traffic: given up
	meshUnused   = 30 * time.Second        // the same: may give way, and is not repaired
	meshPatience = 1200 * time.Millisecond // how long the first answer is waited for
	meshPause    = 5 * time.Second         // before a node that did not answer is called again
	meshLazy     = 10 * time.Second        // silence after which an idle peering is pinged
	meshHurry    = 3 * time.Second         // hellos of a new peering are repeated fast for so long
)

// callNode begins a peering with e unless there is one. It reports until when
// an answer may be waited for; 0 if there is nothing to wait for.
func (n *Node) callNode(now mono.Time, e *meshNode, out *Out) mono.Time {
	if p := n.mesh.peers[e.ip]; p != nil {
		if p.up || now.Sub(p.called) >= meshPatience {
			return 0
		}
		return p.called.Add(meshPatience)
	}
	l := n.meshLink()
	if l == nil || !l.up || now < e.nextCall || !n.Admits(e.key) || !n.meshRoom(now, out) {
		return 0
	}
	p := n.addMeshPeer(now, l, e)
	if p == nil {
		return 0
	}
	n.knock(now, p, out)
	return p.called.Add(meshPatience)
}

// addMeshPeer makes the peering with e, without a word sent. It returns nil
// if there is no room.
func (n *Node) addMeshPeer(now mono.Time, l *link, e *meshNode) *Peer {
	there := n.byAddr[peerKey{l.index, e.addr()}]
	p := n.addPeer(now, l.index, e.addr(), e.key, sourceMesh)
	if p == nil {
		n.drops[dropTableFull]++
		return nil
	}
	if there != nil && there.up {
		n.byAddr[peerKey{l.index, e.addr()}] = there // another key claims its address
	}
	p.called, p.used = now, now
	p.ca = cryptoauth.New(&n.meshCA, n.meshOptions(e.key), now)
	n.mesh.peers[e.ip] = p
	return p
}

// callMesh begins a peering with the mesh node that has the address ip, on
// behalf of a local program. It returns until when an answer may be waited
// for, 0 if there is nothing to wait for.
func (n *Node) callMesh(now mono.Time, ip cjdns.IP, out *Out) mono.Time {
	e := n.mesh.nodes[ip]
	if e == nil {
		return 0
	}
	if p := n.mesh.peers[ip]; p != nil {
		p.used = now
	}
	return n.callNode(now, e, out)
}

// fromMesh takes a frame that came over the mesh. The address in it is a
// hint: a relay could write anything there. Handshakes name their key, so
// they are found by it; other packets are looked for where they claim to be
// from, and then everywhere. Answers go where the mesh says that the node is.
// It takes b.
func (n *Node) fromMesh(now mono.Time, l *link, b *pkt.Buf, out *Out) {
	if h, err := cjdns.ParseCryptoHeader(b.Bytes()); err == nil && h.State <= cjdns.StateRepeatKey {
		p := n.meshPeerOf(h.Key)
		if p == nil {
			n.fromMeshStranger(now, l, &h, b, out)
			return
		}
		if !n.meantFor(p, &h, b, out) {
			n.drop(b, dropAuth, out)
			return
		}
		from := p.addr
		if h.State >= cjdns.StateKey {
			from.Port = 1 // what looks like an answer must not use up the tokens for calls
		}
		if !n.sources.take(now, from, p.key) || !n.handshakes.take(now) {
			n.drop(b, dropBusy, out)
			return
		}
		b.Addr = p.addr
		n.fromPeer(now, p, b, out)
		return
	}
	if cryptoauth.IsHandshake(b.Bytes()) {
		n.drop(b, dropAuth, out) // Noise names nobody whom the mesh could vouch for
		return
	}
	p := n.byAddr[peerKey{b.Port, b.Addr}]
	if (p == nil || !p.up) && !isHint(b.Bytes()) {
		if q := n.recognise(now, b, out); q != nil {
			if p = q; p.addr == b.Addr {
				n.byAddr[peerKey{b.Port, b.Addr}] = p
			}
		}
	}
	if p == nil {
		n.drops[dropUnknownPeer]++
		n.hint(now, l, b, out)
		return
	}
	b.Addr = p.addr
	n.fromPeer(now, p, b, out)
}

// meantFor reports whether a handshake packet can be from p. Anybody in the
// mesh can send one in its name, so a hello must prove the key before it takes
// tokens; that costs no key agreement.
func (n *Node) meantFor(p *Peer, h *cjdns.CryptoHeader, b *pkt.Buf, out *Out) bool {
	if h.State >= cjdns.StateKey {
		return true
	}
	if n.meshCA.CheckAuth(b.Bytes(), false) != nil {
		return false
	}
	probe := out.Pool.Get()
	defer out.Pool.Put(probe)
	probe.CopyFrom(b)
	return p.ca.ProvesKey(probe)
}

// meshPeerOf returns the peering over the mesh with the owner of key, or nil.
func (n *Node) meshPeerOf(key cjdns.Key) *Peer {
	if p := n.mesh.peers[key.IP()]; p != nil && p.key == key {
		return p
	}
	return nil
}

// fromMeshStranger takes a handshake of a node with which there is no
// peering. It must be one of whom the mesh has told. It takes b.
func (n *Node) fromMeshStranger(now mono.Time, l *link, h *cjdns.CryptoHeader, b *pkt.Buf, out *Out) {
	ip := h.Key.IP()
	if h.State > cjdns.StateRepeatHello || !ip.Valid() || h.Key == n.self.Public {
		n.drop(b, dropAuth, out)
		return
	}
	if n.refusing[ip] {
		n.drop(b, dropNotAdmitted, out)
		return
	}
	e := n.mesh.nodes[ip]
	if e == nil {
		// The caller repeats; by then we may know it.
		if n.mesh.asks.take(now) {
			out.Asks = append(out.Asks, Ask{Kind: AskRecord, MAC: b.Addr.MAC()})
		}
		n.drop(b, dropMeshUnknown, out)
		return
	}
	// A password that we gave out lets in whom the admission does not.
	if err := n.meshCA.CheckAuth(b.Bytes(), !n.Admits(h.Key)); err != nil {
		n.countAuth(err)
		n.drop(b, dropNotAdmitted, out)
		return
	}
	if !n.sources.take(now, b.Addr, h.Key) || !n.strangers.take(now) {
		n.drop(b, dropBusy, out)
		return
	}
	if !n.meshRoom(now, out) {
		out.Pool.Put(b)
		return
	}
	p := n.addMeshPeer(now, l, e)
	if p == nil {
		out.Pool.Put(b)
		return
	}
	b.Addr = p.addr
	n.fromPeer(now, p, b, out)
	if !p.ca.HasCandidate() && !p.ca.Established() {
		n.forget(p) // it failed: as if it had never been
	}
}

// expireMeshPeer decides whether the peering p goes on. It reports false if p
// is gone or shall be left alone.
func (n *Node) expireMeshPeer(now mono.Time, p *Peer, out *Out) bool {
	e := n.mesh.nodes[p.ip]
	idle := now.Sub(p.used)
	switch {
	case !n.Admits(p.key) && p.ca.User() == "", n.refusing[p.ip],
		p.hasPort && idle > meshIdle,
		p.hasPort && !p.up && idle > meshUnused,
		!p.hasPort && (e == nil || now.Sub(p.made) > halfOpenTime):
		if e != nil && !p.hasPort {
			e.nextCall = now.Add(meshPause)
		}
		n.removePeer(now, p, out)
		return false
	}
	if e == nil {
		return false // it is not in the mesh now: nobody would hear us
	}
	if since := mono.Min(p.asking, p.unproven); since == mono.Never {
		e.answers(now)
	} else {
		n.greyHole(now, e, p, now.Sub(since), out)
	}
	return true
}

// unneeded reports whether p is a peering that nobody has used for a while.
// Such a one is not repaired: the two ends give it up at different times, and
// would call each other for ever.
func (n *Node) unneeded(now mono.Time, p *Peer) bool {
	return n.onMesh(p) && now.Sub(p.used) > meshUnused
}

// lazy returns the silence after which p is pinged although nothing is
// wanted of it.
func (n *Node) lazy(p *Peer) time.Duration {
	if n.onMesh(p) {
		return meshLazy
	}
	return lazyTime
}

// expireMesh does what is due beside the peerings themselves.
func (n *Node) expireMesh(now mono.Time, out *Out) {
	n.wakeSlots(now)
	n.answerDue(now, out)
	n.expireUplinks(now, out)
}

// knowsNoMore reports whether it makes no sense to ask the node ip for the way
// to target: it is in our mesh and has no other peers, so it knows nothing
// that we do not know.
func (n *Node) knowsNoMore(target, ip cjdns.IP) bool {
	e := n.mesh.nodes[ip]
	return e != nil && !e.now().Uplink && n.mesh.nodes[target] == nil
}

// meshUp goes on with what waited for a peering.
func (n *Node) meshUp(now mono.Time, p *Peer, out *Out) {
	if e := n.mesh.nodes[p.ip]; e != nil {
		n.finder.PeerMetric(p.label, e.now().rank())
	}
	n.answerDeferred(now, p.ip, out)
}
