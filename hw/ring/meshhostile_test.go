//go:build netns

package ring

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	stdnet "net"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// evilMAC is the address of the station that sends what it should not.
const evilMAC = "02:00:00:00:66:66"

// meshFrame is an Ethernet frame of the mesh; body is hexadecimal.
func meshFrame(dst, src, body string) []byte {
	d, _ := stdnet.ParseMAC(dst)
	s, _ := stdnet.ParseMAC(src)
	b, err := hex.DecodeString(strings.ReplaceAll(body, " ", ""))
	if err != nil {
		panic(err)
	}
	return append(append(append(append([]byte{}, d...), s...), 0x43, 0x05), b...)
}

// evilWorld is   x ──veth── evil:m0 ── m1   where x is no agent.
func (n *net) evilWorld() (a, b *rig.Host, x *rawSocket) {
	hosts := n.meshLine(2, noBLA...)
	a, b = hosts[0], hosts[1]
	node := n.Node("x")
	n.Veth(rig.End{Node: node, Dev: "air"}, rig.End{Node: a.Node, Dev: "evil"})
	node.IP("link", "set", "air", "address", evilMAC)
	a.Node.IP("link", "set", "evil", "address", "02:ba:00:00:01:66")
	a.Spec.Mesh.HardIfs = append(a.Spec.Mesh.HardIfs, "evil")
	reload(n.t, a)
	waitHardIf(n.t, a, "evil", func(r hardIfRow) bool { return r.Active })
	return a, b, openRaw(n.t, node, "air")
}

// TestMeshHostileFrames: each kind of broken frame is counted by its reason at
// the interface that it came by, and nothing else suffers.
func TestMeshHostileFrames(t *testing.T) {
	n := newNet(t)
	a, b, x := n.evilWorld()
	const all, me = "ff:ff:ff:ff:ff:ff", "02:ba:00:00:01:66"
	ogm := "00 0f 32 00 00000001 020000006666 020000006666 00 ff 0000"
	for _, c := range []struct {
		name, why string
		frame     []byte
	}{
		{"one byte", "runt", meshFrame(all, evilMAC, "00")},
		{"version 14", "version", meshFrame(all, evilMAC, strings.Replace(ogm, "00 0f", "00 0e", 1))},
		{"multicast source", "source", meshFrame(all, "03:00:00:00:66:66", ogm)},
		{"our own address", "own-frame", meshFrame(all, me, ogm)},
		{"OGM to one station", "destination", meshFrame(me, evilMAC, ogm)},
		{"unicast to all", "destination", meshFrame(all, evilMAC, "40 0f 32 01 02ba00000101")},
		{"unknown type", "type", meshFrame(all, evilMAC, "1f 0f 32 00 00000000")},
		{"OGM longer than its frame", "malformed", meshFrame(all, evilMAC, strings.TrimSuffix(ogm, "0000")+"ffff")},
		{"OGM of a multicast address", "malformed", meshFrame(all, evilMAC, "00 0f 32 00 00000001 030000006666 020000006666 00 ff 0000")},
		{"broadcast of a stranger", "unknown-originator", meshFrame(all, evilMAC, "01 0f 32 00 00000001 020000001234 "+strings.Repeat("ff", 60))},
		{"fragment of a stranger", "unknown-originator", meshFrame(me, evilMAC, "41 0f 32 10 02ba00000102 020000001234 0001 0064"+strings.Repeat("00", 60))},
		{"unicast without a payload", "runt", meshFrame(me, evilMAC, "40 0f")},
		{"ICMP of no length", "runt", meshFrame(me, evilMAC, "42 0f 32 08 02ba")},
	} {
		before := hardIf(t, a, "evil").Drops[c.why]
		x.send(c.frame)
		if !rig.Until(meshWait, 20*time.Millisecond, func() bool { return hardIf(t, a, "evil").Drops[c.why] > before }) {
			t.Errorf("%s: not counted as %q: %v", c.name, c.why, hardIf(t, a, "evil").Drops)
		}
	}
	meshReach(t, b.Node, meshIP(0))
	if !a.Proc.Alive() {
		t.Error("the agent has died")
	}
}

// TestMeshFlood: a station floods with new originators, clients, fragments and
// noise, as fast as it can. Memory stays bounded, the live node stays, and
// what did not fit is counted.
func TestMeshFlood(t *testing.T) {
	n := quietNet(t)
	a, b, x := n.evilWorld()
	waitOriginator(t, a, primary(1), 1)
	meshReach(t, b.Node, meshIP(0))
	before := a.Proc.RSS()
	rng := rand.New(rand.NewPCG(1, 2))
	sent, end := 0, time.Now().Add(5*time.Second)
	var during rig.PingResult
	done := make(chan struct{})
	go func() {
		during, _ = b.Node.Ping(context.Background(), meshIP(0), rig.PingOpts{Count: 20, Interval: 200 * time.Millisecond})
		close(done)
	}()
	for time.Now().Before(end) {
		f := hostileFrame(rng)
		x.send(f)
		sent++
	}
	<-done
	row := hardIf(t, a, "evil")
	var counted uint64
	for _, c := range row.Drops {
		counted += c
	}
	list, err := a.Originators()
	if err != nil {
		t.Fatal(err)
	}
	origs := map[string]bool{}
	for _, o := range list {
		origs[o.Orig] = true
	}
	rss := a.Proc.RSS()
	t.Logf("%d frames in 5 s, %d reached the mesh, drops %v; %d originators, RSS %d -> %d kB; ping during the flood: %d of 20",
		sent, row.RxFrames, row.Drops, len(origs), before>>10, rss>>10, during.Received)
	if !origs[primary(1)] {
		t.Error("the live neighbour was forgotten")
	}
	if len(origs) > 4096+1 {
		t.Errorf("%d originators", len(origs))
	}
	if rss > before+(96<<20) {
		t.Errorf("memory grew from %d to %d kB", before>>10, rss>>10)
	}
	if counted == 0 {
		t.Error("no drop was counted")
	}
	if during.Received == 0 {
		t.Error("the live neighbour was not reached at all during the flood")
	}
	meshReach(t, b.Node, meshIP(0))
}

// hostileFrame makes a frame that looks right at first.
func hostileFrame(rng *rand.Rand) []byte {
	mac := func() []byte {
		return binary.BigEndian.AppendUint32([]byte{2, 0}, rng.Uint32())
	}
	all := bytes.Repeat([]byte{0xff}, 6)
	me, _ := stdnet.ParseMAC("02:ba:00:00:01:66")
	evil, _ := stdnet.ParseMAC(evilMAC)
	eth := func(dst []byte, body ...[]byte) []byte {
		return append(append(append(append([]byte{}, dst...), evil...), 0x43, 0x05), bytes.Join(body, nil)...)
	}
	num := func() []byte { return binary.BigEndian.AppendUint32(nil, rng.Uint32()) }
	noise := make([]byte, rng.IntN(200))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	switch rng.IntN(5) {
	case 0: // an OGM of somebody new, heard directly from somebody else
		return eth(all, []byte{0, 15, 50, 0}, num(), mac(), evil, []byte{0, 255, 0, 0})
	case 1: // one of our own with a table of clients
		tt := append([]byte{0, 1, 0, 0}, mac()...)
		return eth(all, []byte{0, 15, 50, 0}, num(), evil, evil, []byte{0, 255, 0, 20, 4, 1, 0, 16, 1, byte(rng.Uint32()), 0, 0}, tt, make([]byte, 2))
	case 2:
		return eth(me, []byte{0x41, 15, 50, byte(rng.Uint32())}, me, mac(), num(), noise)
	case 3:
		return eth(all, []byte{1, 15, 50, 0}, num(), evil, all, mac(), []byte{8, 6}, noise)
	}
	return eth(me, []byte{0x40 | byte(rng.IntN(8)), 15, 50, 1}, noise)
}
