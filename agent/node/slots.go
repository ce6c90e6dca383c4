package node

import (
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/switchcore"
)

// MaxKeptSlots bounds the slots that are kept for peers of an earlier life.
const MaxKeptSlots = 64

// keptSlot is a slot that a peer had before we were restarted.
type keptSlot struct {
	key  cjdns.Key
	port switchcore.Port
}

// KeepSlot keeps a slot for a peer that had it before we were restarted, until
// a peer that is not there would be forgotten. Others still hold labels that
// lead through it: with another peer in it those would end at the wrong node,
// and stock nodes use such a label as long as there is something to send. Call
// it before any peer is up. A slot that cannot be or is taken is ignored.
func (n *Node) KeepSlot(key cjdns.Key, slot uint16) {
	port := switchcore.Port(slot)
	if port == switchcore.Self || port >= switchcore.MaxPorts || len(n.kept) >= MaxKeptSlots || n.ports.State(port) != switchcore.Empty {
		return
	}
	n.ports.Set(port, switchcore.Down)
	n.kept = append(n.kept, keptSlot{key, port})
}

// newSlot returns the slot for a peer that is up for the first time: the one
// that it had before, else the lowest that is free.
func (n *Node) newSlot(now mono.Time, p *Peer) (switchcore.Port, bool) {
	if now.Sub(n.start) > forgetTime {
		for _, k := range n.kept {
			n.ports.Set(k.port, switchcore.Empty)
		}
		n.kept = nil
	}
	if n.onMesh(p) {
		n.wakeSlots(now)
		return n.newMeshSlot(p.key)
	}
	if i := slices.IndexFunc(n.kept, func(k keptSlot) bool { return k.key == p.key }); i >= 0 {
		port := n.kept[i].port
		n.kept = slices.Delete(n.kept, i, i+1)
		return port, true
	}
	return n.ports.Free(0)
}

// newMeshSlot returns the slot for a peering over the mesh. These come and go
// and are not remembered; which of the shorter ones it gets is a matter of its
// key, so that it mostly is the same after a restart as well.
func (n *Node) newMeshSlot(key cjdns.Key) (switchcore.Port, bool) {
	first := firstMeshSlot + switchcore.Port(key[0])%meshSpread
	if port, ok := n.ports.Free(first); ok && port < firstMeshSlot+meshSpread {
		return port, true
	}
	return n.ports.Free(firstMeshSlot)
}
