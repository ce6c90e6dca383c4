package node

import (
	"bytes"
	"math/bits"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Bounds of what the mesh tells.
const (
	MaxMeshNodes = 4096
	maxMeshMACs  = 4    // of one key
	maxAdmitted  = 4096 // keys
	twinTold     = time.Minute
	notInMesh    = "not reachable in the mesh"
)

// MeshNode is a node of the mesh whose identity is verified: the address in
// the overlay, and the originator that it is. The mesh tells it, nobody else.
type MeshNode struct {
	Key       cjdns.Key
	IP        cjdns.IP
	MAC       [6]byte // of its primary interface
	Metric    uint8   // quality of the way to it, 255 is perfect
	Cost      uint32  // of the way to it, in microseconds for 1250 bytes; 0 unknown
	Guessed   bool    // Cost follows from the metric alone
	Uplink    bool    // it says that it has peers outside of the mesh
	Reachable bool
	Boot      uint32 // its count of starts
}

// rank is how good the way to m is among those that nobody has measured, 255
// the best: by its cost, 16 for each halving, so that 10 µs (1 Gbit/s) has 254
// and 1 s next to nothing; by the metric if there is no cost.
func (m *MeshNode) rank() uint8 {
	if m.Cost == 0 {
		return m.Metric
	}
	c := uint64(max(m.Cost, 10)) << 4 / 10 // in sixteenths of the best
	n := bits.Len64(c) - 5                 // doublings
	part := int(c<<4>>(n+4)) & 15          // sixteenths of the next one
	return uint8(max(1, 254-16*n-part))    //nolint:gosec // 1 to 254
}

// Admission says who may peer over the mesh without a password.
type Admission uint8

// Admissions.
const (
	AdmitAny    Admission = iota // every verified node
	AdmitListed                  // whom Admit named
)

// meshState is what a node knows of the mesh, and what it does there.
type meshState struct {
	nodes     map[cjdns.IP]*meshNode
	peers     map[cjdns.IP]*Peer // the peerings, by whom they are with
	admission Admission
	admitted  map[cjdns.Key]bool
	logins    []meshLogin
	slots     meshSlots
	uplinks   uplinks
	deferred  []deferred
	calls     bucket // peerings begun because of foreign questions
	asks      bucket // records asked for
}

// meshNode is one key in the mesh.
type meshNode struct {
	key  cjdns.Key
	ip   cjdns.IP
	macs []MeshNode // the preferred one first
	// since is when the preferred address became that.
	since mono.Time
	// nextCall is when it may be called again after it did not answer.
	nextCall mono.Time
	avoid    avoidance
}

// now returns the address and quality that count.
func (e *meshNode) now() *MeshNode { return &e.macs[0] }

func (e *meshNode) addr() pkt.Addr { return pkt.MACAddr(e.macs[0].MAC) }

// set stores m. Of several addresses of one key the newest boot counter is
// preferred, and among those the one that was told last: a node that changes
// its primary interface has both for a while. It reports whether two nodes
// have the key, and whether the preferred address has changed. An older boot
// counter beside a newer one is a second node if it comes later, or is still
// told of after twinTold; before, it may be the same one before its restart.
func (e *meshNode) set(now mono.Time, m MeshNode) (twin, moved bool) {
	i := slices.IndexFunc(e.macs, func(o MeshNode) bool { return o.MAC == m.MAC })
	if i >= 0 && e.macs[i].Boot == m.Boot {
		e.macs[i] = m // only its quality or its flags
		return m.Boot < e.macs[0].Boot && now.Sub(e.since) > twinTold, false
	}
	if i >= 0 {
		e.macs = slices.Delete(e.macs, i, i+1)
	}
	at := 0
	for at < len(e.macs) && e.macs[at].Boot > m.Boot {
		at++
	}
	e.macs = slices.Insert(e.macs, at, m)
	e.macs = e.macs[:min(len(e.macs), maxMeshMACs)]
	if at == 0 {
		e.since = now
	}
	return at > 0, at == 0 && i != 0
}

// SetMeshNode tells what the mesh has found out about a node. A node that is
// not reachable any more is forgotten; a peering with it keeps its slot until
// it has been idle for long.
func (n *Node) SetMeshNode(now mono.Time, m MeshNode, out *Out) {
	if m.Key == n.self.Public {
		if m.Reachable {
			out.Events = append(out.Events, Event{Kind: EventSameKey, Peer: n.meshInfo(&m)})
		}
		return
	}
	if m.IP != m.Key.IP() || !m.IP.Valid() {
		n.drops[dropSelfKey]++
		return
	}
	e := n.mesh.nodes[m.IP]
	if !m.Reachable {
		if e != nil {
			n.meshLeft(now, e, m.MAC, out)
			n.flush(now, out)
		}
		return
	}
	if e == nil {
		if len(n.mesh.nodes) >= MaxMeshNodes {
			n.drops[dropTableFull]++
			return
		}
		e = &meshNode{key: m.Key, ip: m.IP}
		n.mesh.nodes[m.IP] = e
	}
	fresh := len(e.macs) == 0
	twin, moved := e.set(now, m)
	if twin {
		out.Events = append(out.Events, Event{Kind: EventSameKey, Peer: n.meshInfo(&m), Text: "one key on two mesh addresses"})
	}
	if p := n.mesh.peers[e.ip]; p != nil {
		n.finder.PeerMetric(p.label, e.now().rank())
		if moved {
			n.meshMoved(p, e.addr())
		}
		if fresh || moved {
			p.called = now
			n.knock(now, p, out)
		}
	}
	n.hurry(now)
	n.flush(now, out)
}

// meshInfo describes a mesh node in an event.
func (n *Node) meshInfo(m *MeshNode) PeerInfo {
	i := PeerInfo{Key: m.Key, Addr: pkt.MACAddr(m.MAC)}
	if l := n.meshLink(); l != nil {
		i.Link = l.index
	}
	return i
}

// meshLeft takes an address of e away.
func (n *Node) meshLeft(now mono.Time, e *meshNode, mac [6]byte, out *Out) {
	i := slices.IndexFunc(e.macs, func(o MeshNode) bool { return o.MAC == mac })
	if i < 0 {
		return
	}
	e.macs = slices.Delete(e.macs, i, i+1)
	p := n.mesh.peers[e.ip]
	if len(e.macs) > 0 {
		if p != nil && i == 0 {
			n.meshMoved(p, e.addr())
			n.knock(now, p, out)
		}
		return
	}
	delete(n.mesh.nodes, e.ip)
	if p != nil {
		p.problem = notInMesh
		if p.up {
			n.peerDown(now, p, out)
		}
	}
}

// MeshLost tells that the mesh has begun anew: what it told of its nodes does
// not hold any more. Peerings keep their slots and sessions, and go on when it
// tells of their nodes again.
func (n *Node) MeshLost(now mono.Time, out *Out) {
	clear(n.mesh.nodes)
	for _, p := range n.peers {
		if n.onMesh(p) && p.up {
			p.problem = notInMesh
			n.peerDown(now, p, out)
		}
	}
	n.flush(now, out)
}

// meshMoved gives a peering another address. Slot and session stay. The move is
// reported when the peer is heard again.
func (n *Node) meshMoved(p *Peer, to pkt.Addr) {
	if p.addr == to {
		return
	}
	if k := (peerKey{p.link, p.addr}); n.byAddr[k] == p {
		delete(n.byAddr, k)
	}
	p.addr, p.moving = to, true
	if q := n.byAddr[peerKey{p.link, to}]; q == nil || !q.up {
		n.byAddr[peerKey{p.link, to}] = p
	}
}

// meshLink returns the link that is the mesh, or nil.
func (n *Node) meshLink() *link {
	for _, l := range n.links {
		if l != nil && l.Kind == LinkMesh {
			return l
		}
	}
	return nil
}

// onMesh reports whether p is a peering over the mesh.
func (n *Node) onMesh(p *Peer) bool { return p.source == sourceMesh }

// SetAdmission says who may peer over the mesh without a password. Peerings
// that it does not allow end soon.
func (n *Node) SetAdmission(a Admission) {
	n.mesh.admission = a
	n.nextTick = 0
}

// Admit names a key that may peer without a password, or takes that back:
// over the mesh if the admission is AdmitListed, and on the other links
// always. Peerings that came about by it end soon after.
func (n *Node) Admit(now mono.Time, key cjdns.Key, ok bool, out *Out) {
	switch {
	case !ok:
		delete(n.mesh.admitted, key)
		n.hurry(now)
	case len(n.mesh.admitted) >= maxAdmitted && !n.mesh.admitted[key]:
		n.drops[dropTableFull]++
	default:
		n.mesh.admitted[key] = true
		n.relax(key)
	}
	n.flush(now, out)
}

// Admits reports whether the owner of key may peer over the mesh without a
// password.
func (n *Node) Admits(key cjdns.Key) bool {
	return n.mesh.admission == AdmitAny || n.mesh.admitted[key]
}

// HasUplink reports whether a peer is up that is not reached over the mesh.
func (n *Node) HasUplink() bool {
	return slices.ContainsFunc(n.peers, func(p *Peer) bool { return p.up && !n.onMesh(p) })
}

// less orders mesh nodes by quality, then by address, so that map order never
// shows: the best first.
func (e *meshNode) less(o *meshNode) bool {
	if a, b := e.now().rank(), o.now().rank(); a != b {
		return a > b
	}
	return bytes.Compare(e.ip[:], o.ip[:]) < 0
}
