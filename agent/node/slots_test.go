package node

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/switchcore"
)

// A hub that is restarted gives its peers the slots that they had, whoever
// comes first, and a newcomer none of these.
func TestSlotsSurviveARestart(t *testing.T) {
	w := newWorld(t, 130)
	hub := w.host("hub", 0).user("p")
	peers := []*host{w.host("a", 0), w.host("b", 0), w.host("c", 0)}
	slot := func(p *host) cjdns.Label { return hub.node.byKey(p.id.Public).label }
	var before []cjdns.Label
	for _, p := range peers {
		p.dial(hub, "p")
		w.until(5*time.Second, "up", func() bool { return hub.up(p) })
		before = append(before, slot(p))
	}
	newcomer := w.host("d", 0)
	hub.boot()
	hub.user("p")
	for i, p := range peers {
		n, _ := cjdns.PortOf(before[i])
		hub.node.KeepSlot(p.id.Public, n)
	}
	if s := hub.node.ports.State(0); s != switchcore.Down {
		t.Errorf("slot 0 of a peer that is not there yet: %v, want Down", s)
	}
	newcomer.dial(hub, "p")
	w.until(5*time.Second, "up", func() bool { return hub.up(newcomer) })
	for i := len(peers) - 1; i >= 0; i-- {
		p := peers[i]
		hub.node.Remember(w.now, 0, p.addr, p.id.Public, &hub.out)
		hub.drain()
		w.until(5*time.Second, "up", func() bool { return hub.up(p) })
	}
	for i, p := range peers {
		if got := slot(p); got != before[i] {
			t.Errorf("%s had %v, has %v", p.name, before[i], got)
		}
		if slot(newcomer) == before[i] {
			t.Errorf("the newcomer has the slot of %s", p.name)
		}
	}
	if len(hub.node.kept) != 0 {
		t.Errorf("%d slots are kept still", len(hub.node.kept))
	}
}

// Slots that nobody comes back to are free after a while, and what cannot be a
// slot is ignored.
func TestKeptSlotsEnd(t *testing.T) {
	w := newWorld(t, 131)
	hub, a := w.host("hub", 0).user("p"), w.host("a", 0)
	gone := w.identity().Public
	for _, slot := range []uint16{1, 257, 65535} {
		hub.node.KeepSlot(gone, slot)
	}
	for slot := range uint16(200) {
		hub.node.KeepSlot(gone, slot)
		hub.node.KeepSlot(gone, slot) // twice
	}
	if len(hub.node.kept) != MaxKeptSlots {
		t.Fatalf("%d slots are kept, want %d", len(hub.node.kept), MaxKeptSlots)
	}
	w.run(forgetTime + time.Second)
	a.dial(hub, "p")
	w.until(5*time.Second, "up", func() bool { return hub.up(a) })
	if got := hub.node.byKey(a.id.Public).port; got != 0 {
		t.Errorf("slot %d, want 0", got)
	}
}

// The slot of a peering over the mesh is a matter of its key, as long as it is
// free; all of them can be used.
func TestMeshSlotByKey(t *testing.T) {
	n := newWorld(t, 132).host("a", 0).node
	seen := map[switchcore.Port]bool{}
	for i := range byte(meshSpread) {
		port, ok := n.newMeshSlot(cjdns.Key{i})
		if want := firstMeshSlot + switchcore.Port(i); !ok || port != want {
			t.Errorf("key %d: slot %d, %v; want %d", i, port, ok, want)
		}
	}
	for i := range switchcore.MaxPorts - int(firstMeshSlot) {
		port, ok := n.newMeshSlot(cjdns.Key{20}) // all want the same
		if !ok || port < firstMeshSlot || seen[port] {
			t.Fatalf("the %dth: slot %d, %v", i, port, ok)
		}
		if i == 0 && port != firstMeshSlot+20 || i < meshSpread && port.Label().Len() != 7 {
			t.Errorf("the %dth has slot %d", i, port)
		}
		seen[port] = true
		n.ports.Set(port, switchcore.Up)
	}
	if port, ok := n.newMeshSlot(cjdns.Key{20}); ok {
		t.Errorf("slot %d although none is free", port)
	}
}
