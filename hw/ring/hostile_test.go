//go:build netns

package ring

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// dropped returns the sum of all drop counters.
func dropped(t *testing.T, h *rig.Host) (sum int64) {
	t.Helper()
	s, err := h.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.Drops {
		sum += n
	}
	return sum
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		spoil func(p *rig.PeerSpec)
	}{
		{"password", func(p *rig.PeerSpec) { p.Password = "wrong" }},
		{"login", func(p *rig.PeerSpec) { p.Login = "nobody" }},
		{"no password", func(p *rig.PeerSpec) { p.Login, p.Password = "", "none" }},
		{"key", func(p *rig.PeerSpec) { p.Key = rig.NewIdentity().Key }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNet(t)
			a, b := n.udpPair(false, false)
			tc.spoil(&a.Spec.Peers[0])
			startAll(a, b)
			if !rig.Until(5*time.Second, 100*time.Millisecond, func() bool { return dropped(t, b) > 0 }) {
				t.Error("b counts no drop")
			}
			s, _ := b.Status()
			t.Logf("drops of b: %v", s.Drops)
			for _, h := range []*rig.Host{a, b} {
				peers, _ := h.Peers()
				for _, p := range peers {
					if p.State == "ESTABLISHED" {
						t.Errorf("%s has the peer %+v", h.Node.Name, p)
					}
				}
			}
		})
	}
}

// flood is a frame maker: it fills b with one more frame, from the Ethernet
// header on, and returns it.
type flood func(b []byte, r *rand.Rand) []byte

// udpFrame wraps a payload of n bytes, filled by fill, into Ethernet, IPv4 and
// UDP from a made-up neighbour to b. Sum 0 means: no UDP checksum.
func udpFrame(b []byte, dst [6]byte, r *rand.Rand, payload func(b []byte) []byte) []byte {
	b = append(b, dst[:]...)
	b = append(b, 2, 0, 0, 0, 0, 9, 8, 0)
	ip := len(b)
	b = append(b, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, byte(10+r.IntN(200)), 10, 9, 0, 2)
	b = binary.BigEndian.AppendUint16(b, uint16(1024+r.IntN(60000)))
	b = append(b, 0x4e, 0x22, 0, 0, 0, 0) // to port 20002
	b = payload(b)
	binary.BigEndian.PutUint16(b[ip+2:], uint16(len(b)-ip))
	binary.BigEndian.PutUint16(b[ip+24:], uint16(len(b)-ip-20))
	var sum uint32
	for i := ip; i < ip+20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	binary.BigEndian.PutUint16(b[ip+10:], ^uint16(sum+sum>>16))
	return b
}

// noise appends n random bytes.
func noise(b []byte, n int, r *rand.Rand) []byte {
	for ; n > 0; n-- {
		b = append(b, byte(r.Uint32()))
	}
	return b
}

// hello appends what looks like the hello of a new node: state, auth type, a
// key that hashes to nothing in particular, and 40 bytes of payload.
func hello(b []byte, state, auth byte, key []byte, r *rand.Rand) []byte {
	b = append(b, 0, 0, 0, state, auth)
	b = noise(b, 7, r)
	b = append(b, 0, 0, 0, 0)
	b = noise(b, 24, r)
	b = append(b, key...)
	return noise(b, 16+32+40, r)
}

// fcKeys are keys that hash into fc00::/8, so that only the later checks can
// refuse them.
func fcKeys(n int) (keys [][]byte) {
	for range n {
		k := rig.NewIdentity().Key
		keys = append(keys, k[:])
	}
	return keys
}

// withstand floods b for a while, over a cable to its peer a, and checks that
// it stays small, keeps its peer and serves it afterwards.
func withstand(t *testing.T, n *net, a, b *rig.Host, m *rig.Medium, frame flood) {
	t.Helper()
	startAll(a, b)
	reach(t, a, b, 10*time.Second)
	mustPing(t, a, b, rig.PingOpts{Count: 100, Interval: 5 * time.Millisecond})
	before, peers := b.Proc.RSS(), len(mustPeers(t, b))
	r := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 0, 2048)
	sent := 0
	// Half of the flood brings the caches of the allocator to their size; what
	// grows in the other half would grow for ever.
	var half int64
	for round := range 2 {
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); sent++ {
			if m.Inject(rig.AtoB, frame(buf[:0], r)) != nil {
				time.Sleep(time.Millisecond) // the device's queue is full
			}
			if sent%50 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		if round == 0 {
			half = b.Proc.RSS()
		}
	}
	after := b.Proc.RSS()
	s, err := b.Status()
	t.Logf("%d frames; RSS of b %d kB before, %d kB half way, %d kB after; drops %v, tables %+v", sent, before>>10, half>>10, after>>10, s.Drops, s.Tables)
	if err != nil {
		t.Fatal(err)
	}
	if after > half+4<<20 || after > before+24<<20 {
		t.Errorf("RSS grows under the flood: %d, %d, %d bytes", before, half, after)
	}
	for _, tab := range s.Tables {
		if tab.Limit > 0 && tab.Used > tab.Limit {
			t.Errorf("table %s holds %d, limit %d", tab.Name, tab.Used, tab.Limit)
		}
	}
	established := 0
	for _, p := range mustPeers(t, b) {
		if p.State == "ESTABLISHED" {
			established++
		}
	}
	if established != 1 || peers != 1 {
		t.Errorf("%d established peers after the flood, %d peers before, want 1", established, peers)
	}
	t.Logf("a reaches b again after %v", reach(t, a, b, 5*time.Second))
	mustPing(t, a, b, rig.PingOpts{Count: 50, Interval: 10 * time.Millisecond})
}

func mustPeers(t *testing.T, h *rig.Host) []rig.Peer {
	t.Helper()
	peers, err := h.Peers()
	if err != nil {
		t.Fatal(err)
	}
	return peers
}

func macOf(t *testing.T, n *rig.Node, dev string) (mac [6]byte) {
	t.Helper()
	var text string
	if err := n.Do(func() (err error) { text, err = rig.MAC(dev); return err }); err != nil {
		t.Fatal(err)
	}
	hw, err := parseMAC(text)
	if err != nil {
		t.Fatal(err)
	}
	return hw
}

func TestFloodUDP(t *testing.T) {
	keys := fcKeys(500)
	for _, tc := range []struct {
		name    string
		payload func(b []byte, r *rand.Rand, b1 *rig.Host) []byte
	}{
		{"garbage", func(b []byte, r *rand.Rand, _ *rig.Host) []byte { return noise(b, r.IntN(1400), r) }},
		{"hellos", func(b []byte, r *rand.Rand, _ *rig.Host) []byte {
			return hello(b, byte(r.IntN(2)), byte(r.IntN(3)), keys[r.IntN(len(keys))], r)
		}},
		// the one password lookup that b knows: the expensive step is reached
		{"hellos with a known login", func(b []byte, r *rand.Rand, h *rig.Host) []byte {
			b = hello(b, 0, 2, keys[r.IntN(len(keys))], r)
			copy(b[len(b)-160+5:], loginLookup(h.Spec.Passwords[0].Login))
			return b
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := quietNet(t)
			a, b, m := n.mediumPair(8)
			dst := macOf(t, b.Node, "ea")
			withstand(t, n, a, b, m, func(buf []byte, r *rand.Rand) []byte {
				return udpFrame(buf, dst, r, func(buf []byte) []byte { return tc.payload(buf, r, b) })
			})
		})
	}
}

// TestFloodEthernet: strangers by the thousand on the segment, each with an
// address of its own.
func TestFloodEthernet(t *testing.T) {
	keys := fcKeys(500)
	frame := func(b []byte, dst [6]byte, r *rand.Rand, payload func(b []byte) []byte) []byte {
		b = append(b, dst[:]...)
		b = append(b, 2, 0)
		b = noise(b, 4, r)
		b = append(b, 0xfc, 0, 0, 0, 0, 0, 0xfc, 0)
		b = payload(b)
		binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
		return b
	}
	for _, tc := range []struct {
		name      string
		broadcast bool
		payload   func(b []byte, r *rand.Rand) []byte
	}{
		{"garbage", false, func(b []byte, r *rand.Rand) []byte { return noise(b, r.IntN(1400), r) }},
		{"hellos", false, func(b []byte, r *rand.Rand) []byte {
			return hello(b, byte(r.IntN(2)), byte(r.IntN(3)), keys[r.IntN(len(keys))], r)
		}},
		{"beacons", true, func(b []byte, r *rand.Rand) []byte {
			b = noise(append(b, 0, 0, 0, 20), 20, r)
			return append(b, keys[r.IntN(len(keys))]...)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := quietNet(t)
			a, b := n.agent("a"), n.agent("b")
			m := n.Medium(rig.End{Node: a.Node, Dev: "eb"}, rig.End{Node: b.Node, Dev: "ea"}, 9)
			a.Spec.Eth = []rig.EthSpec{{Dev: "eb", Beacon: rig.BeaconSend}}
			b.Spec.Eth = []rig.EthSpec{{Dev: "ea", Beacon: rig.BeaconSend}}
			dst := macOf(t, b.Node, "ea")
			if tc.broadcast {
				dst = [6]byte{255, 255, 255, 255, 255, 255}
			}
			withstand(t, n, a, b, m, func(buf []byte, r *rand.Rand) []byte {
				return frame(buf, dst, r, func(buf []byte) []byte { return tc.payload(buf, r) })
			})
		})
	}
}

// TestInboundClosed: the overlay starts nothing towards a host that does not
// want it, but answers come back.
func TestInboundClosed(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	b.Spec.Closed = true
	startAll(a, b)
	reach(t, a, b, 5*time.Second) // ICMPv6 is let in, at a limited rate
	for _, h := range []*rig.Host{a, b} {
		l, err := h.Node.Listen("tcp6", "[::]:7777")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte("hello"))
				c.Close()
			}
		}()
	}
	if err := fetch(b.Node, a.IP()); err != nil {
		t.Errorf("b, which is closed, cannot open a connection to a: %v", err)
	}
	if err := fetch(a.Node, b.IP()); err == nil {
		t.Error("a opened a connection to b, which is closed")
	}
	if err := b.Proc.Stop(); err != nil {
		t.Errorf("b ends with %v", err)
	}
	if out, err := b.Node.Run(context.Background(), "nft", "list", "ruleset"); err == nil && out != "" {
		t.Errorf("b leaves rules behind:\n%s", out)
	}
}
