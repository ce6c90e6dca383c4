package node

import (
	"net/netip"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/pkt"
)

// onBoth puts hosts onto a second network.
func onBoth(hosts ...*host) {
	for i, h := range hosts {
		h.alt = pkt.UDPAddr(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i + 1)}), 1000), 0)
	}
}

// dialAlt makes h dial to on the second network, by another section.
func (h *host) dialAlt(to *host, password string) {
	h.node.SetPeer(h.w.now, PeerConfig{Name: to.name + "-alt", Addrs: []pkt.Addr{to.alt}, Key: to.id.Public, Password: password}, &h.out)
	h.drain()
}

// Two sections for one node on one socket are one peer with two addresses: one
// session, which the called end does not take for one that moves. Each address
// stands in for the other, whichever section comes or goes.
func TestTwoSectionsOfOneNode(t *testing.T) {
	w := newWorld(t, 710)
	a, b := w.host("a", 0), w.host("b", 0)
	onBoth(a, b)
	b.user("p")
	a.dial(b, "p")
	a.dialAlt(b, "p")
	w.run(2 * time.Second)
	w.flows(a, b, time.Second)
	w.chat(a, b, 20*time.Second, 100*time.Millisecond, nil)
	one := func(h, o *host) *Peer {
		t.Helper()
		if h.links(o) != 1 || len(h.node.peers) != 1 {
			t.Fatalf("%s has %d peers, %d up", h.name, len(h.node.peers), h.links(o))
		}
		return h.node.peers[0]
	}
	label := one(b, a).label
	for _, h := range w.hosts {
		for _, e := range h.evs {
			if e.Kind == EventPeerMoved || e.Kind == EventSameKey || e.Kind == EventPeerDown {
				t.Errorf("%s: event %+v", h.name, e)
			}
		}
		if n := h.node.peers[0].handshakes; n > 2 {
			t.Errorf("%s: %d handshakes", h.name, n)
		}
	}
	if st := a.node.Status(w.now).Peers[0]; st.Name != "b" || len(st.Also) != 1 || st.Also[0] != "b-alt" {
		t.Errorf("status %+v", st)
	}
	// The network in use is cut, and then the other one.
	for i := range 4 {
		w.addrCut, w.altCut = i%2 == 0, i%2 == 1
		if gap := w.chat(a, b, 6*time.Second, 50*time.Millisecond, nil); gap > 2500*time.Millisecond {
			t.Errorf("cut %d: %v without a packet", i, gap)
		} else {
			t.Logf("cut %d: %v without a packet", i, gap)
		}
		if p := one(b, a); p.label != label {
			t.Errorf("cut %d: another slot", i)
		}
	}
	// Sections go one by one: the peer stays until the last has gone.
	w.addrCut, w.altCut = false, false
	w.run(2 * time.Second)
	if !a.node.RemovePeer(w.now, "b", &a.out) {
		t.Error("no such section")
	}
	a.drain()
	w.chat(a, b, 3*time.Second, 50*time.Millisecond, nil)
	if p := one(a, b); p.addr != b.alt || p.title() != "b-alt" || len(p.also) != 0 || a.node.byConfig["b"] != nil || len(p.aliases) != 1 {
		t.Errorf("after the first is gone: at %v, %q", p.addr, p.title())
	}
	a.dial(b, "p")
	w.run(time.Second)
	if p := one(a, b); len(p.also) != 1 || len(p.aliases) != 2 {
		t.Errorf("after it is back: %d sections more, at %v", len(p.also), p.aliases)
	}
	for _, name := range []string{"b", "b-alt"} {
		a.node.RemovePeer(w.now, name, &a.out)
		a.drain()
	}
	if len(a.node.peers) != 0 || len(a.node.byConfig) != 0 || len(a.node.byAddr) != 0 {
		t.Errorf("left: %d peers, %d sections, %d addresses", len(a.node.peers), len(a.node.byConfig), len(a.node.byAddr))
	}
}

// A section whose password changes, while another names the same node.
func TestSharedSectionChanges(t *testing.T) {
	w := newWorld(t, 711)
	a, b := w.host("a", 0), w.host("b", 0)
	onBoth(a, b)
	b.user("p").user("q")
	a.dial(b, "p")
	a.dialAlt(b, "p")
	w.run(time.Second)
	for _, password := range []string{"q", "p"} {
		a.dial(b, password)
		a.dialAlt(b, password)
		w.run(3 * time.Second)
		w.flows(a, b, time.Second)
		if len(a.node.peers) != 1 || len(a.node.byConfig) != 2 || a.node.peers[0].conf.Password != password {
			t.Errorf("%d peers, %d sections, password %q", len(a.node.peers), len(a.node.byConfig), a.node.peers[0].conf.Password)
		}
	}
}
