package mesh

import (
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
)

func TestTTTemporary(t *testing.T) {
	w := newTTNet(t, 3)
	a, b := w.nodes[0], w.nodes[1]
	c := testClient(1)
	w.second()
	b.m.ttTemp(w.now, b.of(0), c, 0)
	if b.finds(c, 0) != 0 {
		t.Fatal("a client that was seen is not found")
	}
	b.m.ttTemp(w.now, b.of(2), c, 0)
	if b.finds(c, 0) != 2 {
		t.Error("a temporary client that was seen elsewhere did not move")
	}
	if s := b.m.Status(w.now); len(s.Global) != 3 || s.Global[2].Flags != "...T" {
		t.Errorf("status %+v", s.Global)
	}
	b.check()
	a.learn(c, 0)
	w.second()
	if b.finds(c, 0) != 0 {
		t.Error("the announcement does not replace the temporary client")
	}
	b.m.ttTemp(w.now, b.of(2), c, 0)
	if b.finds(c, 0) != 0 {
		t.Error("a temporary client replaced an announced one")
	}
	if err := w.agree(); err != nil {
		t.Error(err)
	}
	b.learn(testClient(2), 0)
	w.second()
	b.m.ttTemp(w.now, b.of(0), testClient(2), 0)
	if b.finds(testClient(2), 0) != 1 {
		t.Error("a temporary client replaced an own one")
	}
	b.m.ttTemp(w.now, b.of(0), testClient(3), 0)
	b.m.ttTemp(w.now, b.of(0), batman.Broadcast, 0)
	b.m.ttTemp(w.now, b.of(0), b.own(), 0)
	w.now = w.now.Add(ttSoftLife)
	b.m.ttExpire(w.now, &b.out)
	if b.finds(testClient(3), 0) != -1 || b.finds(batman.Broadcast, 0) != -1 || b.finds(c, 0) != 0 {
		t.Error("temporary clients do not end when they should")
	}
	for i := range 2 * ttTempMax {
		b.m.ttTemp(w.now, b.of(0), testClient(1000+i), 0)
	}
	b.check()
}

func TestTTIsolation(t *testing.T) {
	w := newTTNet(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	wifi, wire, marked := testClient(1), testClient(2), testClient(3)
	for i, nd := range w.nodes {
		for j, flags := range []uint8{batman.TTWifi, 0, batman.TTIsolated} {
			nd.m.ttLearn(w.now, testClient(1+j+10*i), 0, flags, &nd.out)
		}
	}
	w.second()
	w.second()
	other := func(c batman.MAC) batman.MAC { c[5] += 10; return c }
	for _, c := range []struct {
		src, dst batman.MAC
		want     bool
	}{
		{wifi, other(wifi), true}, {wifi, other(wire), false}, {wire, other(wire), false}, {marked, other(marked), true},
		{marked, other(wifi), false}, {other(wifi), wifi, true}, {other(wire), wifi, false}, {wifi, wire, false},
	} {
		for _, on := range []bool{true, false} {
			for _, nd := range []*ttNode{a, b} {
				nd.m.cfg.APIsolation = on
				if got := nd.m.ttIsolated(c.src, c.dst, 0); got != (c.want && on) {
					t.Errorf("node %d, isolation %v: %v to %v: %v", nd.i, on, c.src, c.dst, got)
				}
			}
		}
	}
}

// TestTTRouteLost: what cannot be reached is forgotten, and asked for again.
func TestTTRouteLost(t *testing.T) {
	w := newTTNet(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	a.learn(testClient(1), 0x800a)
	w.second()
	b.m.ttRouteLost(w.now, b.of(0), &b.out)
	b.check()
	if b.finds(testClient(1), 0x800a) != -1 {
		t.Error("a client without a way is found")
	}
	w.second()
	if b.finds(testClient(1), 0x800a) != 0 {
		t.Error("a client is not found after the way came back")
	}
	o := b.of(0)
	b.m.ttOriginatorGone(w.now, o, &b.out)
	b.check()
	if b.m.tt.total != 0 || o.tt.known {
		t.Error("something is left of an originator")
	}
}

// TestTTRestart: a node that starts anew begins with version 1 again.
func TestTTRestart(t *testing.T) {
	w := newTTNet(t, 3)
	a := w.nodes[0]
	for i := range 7 {
		a.learn(testClient(i), 0)
		w.second()
	}
	a.boot()
	a.learn(testClient(3), 0x8002)
	w.second()
	w.now = w.now.Add(ttAsk)
	w.second()
	if err := w.agree(); err != nil {
		t.Error(err)
	}
	if w.nodes[1].finds(testClient(1), 0) != -1 || w.nodes[2].finds(testClient(3), 0x8002) != 0 {
		t.Error("the table is not the new one")
	}
}

// TestTTOwnVLANs: the node can be reached where its clients are.
func TestTTOwnVLANs(t *testing.T) {
	w := newTTNet(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	a.learn(testClient(1), 0x800a)
	a.learn(testClient(2), batman.VLANTag) // VLAN id 0 is no VLAN
	w.second()
	if b.finds(a.own(), 0x800a) != 0 || b.finds(a.own(), 0) != 0 || b.finds(testClient(2), 0) != 0 || b.finds(testClient(2), batman.VLANTag) != -1 {
		t.Error("own address or VLAN 0 are not as they should be")
	}
	old := a.own()
	a.m.SetMeshIface(w.now, MeshIfaceConfig{MAC: testClient(77)}, &a.out)
	w.second()
	if b.finds(old, 0) != -1 || b.finds(testClient(77), 0x800a) != 0 || b.finds(testClient(77), 0) != 0 {
		t.Error("the own address did not change")
	}
	w.now = w.now.Add(ttIdle)
	w.second() // the client goes
	w.second()
	w.now = w.now.Add(ttIdle)
	w.second() // the node alone needs no VLAN
	w.second()
	if b.finds(testClient(77), 0x800a) != -1 || b.finds(testClient(77), 0) != 0 {
		t.Error("the own address stays in an empty VLAN, or left the node")
	}
	// Nobody takes it away.
	b.learn(testClient(77), 0)
	w.second()
	w.second()
	if a.finds(testClient(77), 0) != 0 {
		t.Error("the own address was taken away")
	}
}

func TestTTListeners(t *testing.T) {
	w := newTTNet(t, 3)
	g1, g2 := batman.MAC{0x33, 0x33, 0, 0, 0, 1}, batman.MAC{1, 0, 0x5e, 1, 2, 3}
	w.nodes[0].m.ttListeners(w.now, []batman.MAC{g1, g2})
	w.nodes[1].m.ttListeners(w.now, []batman.MAC{g1})
	w.second()
	w.second()
	heard := func(nd *ttNode, g batman.MAC) (s string) {
		nd.m.ttEach(g, 0, func(o *Originator) { s += string('0' + o.MAC[4] - 1) })
		return s
	}
	if a, b, c := heard(w.nodes[2], g1), heard(w.nodes[2], g2), heard(w.nodes[1], g1); a != "01" || b != "0" || c != "0" {
		t.Errorf("listeners %q %q %q", a, b, c)
	}
	if !w.nodes[1].m.ttHas(w.nodes[1].of(0), g1, 0) {
		t.Error("a listener is not one")
	}
	w.nodes[0].m.ttListeners(w.now, []batman.MAC{g2})
	w.second()
	w.second()
	if a, b := heard(w.nodes[2], g1), heard(w.nodes[2], g2); a != "1" || b != "0" {
		t.Errorf("listeners %q %q", a, b)
	}
}
