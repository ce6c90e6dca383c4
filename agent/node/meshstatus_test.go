package node

import (
	"testing"
	"time"
)

// The status shows what a peering over the mesh is, and why a session sends
// where it does.
func TestMeshStatus(t *testing.T) {
	w, a, b := meshPair(t, 540)
	w.chat(a, b, 10*time.Second, 50*time.Millisecond, nil)
	s := a.node.Status(w.now)
	if len(s.Peers) != 1 || len(s.Sessions) != 1 {
		t.Fatalf("%d peers, %d sessions", len(s.Peers), len(s.Sessions))
	}
	p := s.Peers[0]
	if p.LinkKind != "mesh" || p.Link != "bat0" || p.Source != "mesh" || p.Metric != 200 || p.LLAddr != "02:00:00:00:00:02" ||
		p.RTTMicros != 2000 || p.LossPermille != 0 || p.State != "ESTABLISHED" {
		t.Errorf("peer %+v", p)
	}
	for _, want := range []TableStatus{{"mesh-nodes", 1, MaxMeshNodes}, {"mesh-peers", 1, MaxMeshPeers}} {
		found := false
		for _, have := range s.Tables {
			found = found || have == want
		}
		if !found {
			t.Errorf("no table %+v in %+v", want, s.Tables)
		}
	}
	if e := s.Sessions[0]; len(e.Paths) != 1 || e.Paths[0].State != "used" || !e.Paths[0].Direct || e.Changes != 0 || e.ChangedMs != -1 {
		t.Errorf("session %+v", e)
	}
	// With a loss the peer shows it.
	w.drop = func(from, _ *host, _ []byte) bool { return from == b && w.rng.IntN(5) == 0 }
	w.chat(a, b, 20*time.Second, 20*time.Millisecond, nil)
	if l := a.node.Status(w.now).Peers[0].LossPermille; l < 130 || l > 270 {
		t.Errorf("a fifth is lost, and the status says %d thousandths", l)
	}
}

func TestPathStatus(t *testing.T) {
	w, a, z, r1, r2 := diamond(t, 541)
	w.chat(a, z, 10*time.Second, 50*time.Millisecond, nil)
	dead := r1
	if via(a, z, r2) {
		dead = r2
	}
	w.drop = func(from, to *host, _ []byte) bool { return touches(dead, from, to) }
	w.chat(a, z, 3*time.Second, 50*time.Millisecond, nil)
	for _, s := range a.node.Status(w.now).Sessions {
		if s.IP != z.id.IP.String() {
			continue
		}
		states := map[string]int{}
		for _, p := range s.Paths {
			states[p.State]++
		}
		if s.Why != "broken" || s.Changes != 1 || s.ChangedMs < 1000 || states["used"] != 1 || s.RTTMicros != 4000 {
			t.Errorf("session %+v", s)
		}
		return
	}
	t.Error("no session")
}
