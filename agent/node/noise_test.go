package node

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/pkt"
)

func TestNoisePeers(t *testing.T) {
	w := newWorld(t, 110)
	a, b := w.host("a", 0), w.host("b", 0)
	b.user("p")
	a.node.SetPeer(w.now, PeerConfig{
		Name: "b", Addrs: []pkt.Addr{b.addr}, Key: b.id.Public, Password: "p", Login: "u-p", Version: 22,
	}, &a.out)
	a.drain()
	took := w.until(2*time.Second, "both up", func() bool { return a.up(b) && b.up(a) })
	t.Logf("up after %v", took)
	w.talk(time.Second)
	if !a.node.peers[0].ca.NoiseProto() || !b.node.peers[0].ca.NoiseProto() {
		t.Error("not Noise")
	}
	// Rekeying loses nothing.
	lost := 0
	for range 300 {
		a.got, b.got = nil, nil
		a.tell(b, "x")
		w.run(time.Second)
		if !b.heard("x") {
			lost++
		}
	}
	if lost != 0 {
		t.Errorf("%d of 300 packets lost in five minutes", lost)
	}
	if n := a.node.peers[0].handshakes; n < 3 {
		t.Errorf("only %d handshakes in five minutes", n)
	}
	b.boot()
	b.user("p")
	t.Logf("after a restart of the listener: %v", w.flows(a, b, 2*time.Second))
}
