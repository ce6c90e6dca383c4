package node

import (
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/switchcore"
)

// Slots of mesh peerings. The short ones, whose directors have 4 bits, are
// kept for configured peers, and so are as many of the others that a mesh of
// any size leaves room for them.
const (
	MaxMeshPeers  = 128
	maxMeshSlots  = 192                // peerings and resting slots together
	firstMeshSlot = switchcore.Port(8) // the first whose director has 7 bits
	meshSpread    = 25                 // so many have
	slotRest      = meshIdle           // others may hold labels through it for so long
)

// meshSlots counts the slots that mesh peerings have or have had. A slot that
// was freed rests before it leads to somebody else: labels that others still
// hold must not end at a node that they do not mean.
type meshSlots struct {
	resting []restingSlot // in the order of their ends
}

type restingSlot struct {
	port  switchcore.Port
	until mono.Time
}

// restSlot closes the slot of a peering that is gone.
func (n *Node) restSlot(now mono.Time, port switchcore.Port) {
	n.ports.Set(port, switchcore.Down)
	n.mesh.slots.resting = append(n.mesh.slots.resting, restingSlot{port, now.Add(slotRest)})
}

// wakeSlots frees the slots that have rested.
func (n *Node) wakeSlots(now mono.Time) {
	r := n.mesh.slots.resting
	for len(r) > 0 && now >= r[0].until {
		n.ports.Set(r[0].port, switchcore.Empty)
		r = r[1:]
	}
	n.mesh.slots.resting = append(n.mesh.slots.resting[:0], r...)
}

// meshRoom reports whether another peering may begin. If there are as many as
// may be, the one that was unused for longest gives way, if that is long
// enough.
func (n *Node) meshRoom(now mono.Time, out *Out) bool {
	n.wakeSlots(now)
	taken := len(n.mesh.peers) + len(n.mesh.slots.resting)
	if len(n.mesh.peers) < MaxMeshPeers && taken < maxMeshSlots {
		return true
	}
	var old *Peer
	for _, p := range n.peers {
		if n.unneeded(now, p) && (old == nil || p.used < old.used) {
			old = p
		}
	}
	if old == nil || taken >= maxMeshSlots {
		n.drops[dropMeshFull]++
		return false
	}
	n.removePeer(now, old, out)
	return true
}
