package mesh

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// line makes n nodes in a row.
func line(t *testing.T, n int, set func(*Config)) (w *world, nodes []*wnode) {
	w = newWorld(t, 7)
	for i := range n {
		nodes = append(nodes, w.node(fmt.Sprint(i), set))
		if i > 0 {
			w.link(nodes[i-1], 0, nodes[i], 0, 0)
		}
	}
	return w, nodes
}

func TestFramesOfEverySizeGoThroughALine(t *testing.T) {
	w, n := line(t, 4, nil)
	w.run(20 * time.Second)
	a, d := n[0], n[3]
	for _, size := range []int{1, 46, 1000, 1450, 1476, 1477, 1500, 1504, 2000, 2300} {
		text := strings.Repeat("x", size-1) + "!"
		a.send(d.mac, text)
		w.run(10 * time.Millisecond)
		if !d.received(text) {
			t.Errorf("%d bytes did not arrive", size)
		}
		d.send(a.mac, text)
		w.run(10 * time.Millisecond)
		if !a.received(text) {
			t.Errorf("%d bytes did not come back", size)
		}
	}
	// 1476 bytes with 14 and 10 bytes of headers fill the link
	for i, want := range []uint64{10, 0, 0, 10} {
		if got := n[i].m.stats.fragTx; got != want {
			t.Errorf("node %d cut %d fragments, want %d", i, got, want)
		}
		if n[i].m.frag.held != 0 {
			t.Errorf("node %d holds %d fragments", i, n[i].m.frag.held)
		}
	}
	if b := n[1].m; b.stats.fragFwd != 20 || b.stats.forwarded != 10 {
		t.Errorf("node 1 carried %d fragments and %d packets, want 20 and 10", b.stats.fragFwd, b.stats.forwarded)
	}
}

// TestLinksOfDifferentMTU: packets are put together where the next link takes
// them whole, and cut again where it does not.
func TestLinksOfDifferentMTU(t *testing.T) {
	w := newWorld(t, 3)
	var n []*wnode
	mtus := []int{1532, 1400, 1600, 700} // of the links
	for i := range len(mtus) + 1 {
		k := w.node(fmt.Sprint(i), nil)
		n = append(n, k)
		if i > 0 {
			mtu := func(c *IfaceConfig) { c.MTU = mtus[i-1] }
			n[i-1].iface(1, mtu)
			k.iface(0, mtu)
			w.link(n[i-1], 1, k, 0, 0)
		}
	}
	n[0].m.RemoveIface(w.now, 0, &n[0].out)
	n[0].drain()
	w.run(30 * time.Second)
	a, e := n[0], n[len(n)-1]
	text := strings.Repeat("x", 1499) + "!"
	a.send(e.mac, text)
	w.run(10 * time.Millisecond)
	if !e.received(text) {
		t.Fatal("1500 bytes did not arrive")
	}
	// 1524 bytes: whole, 2 fragments, whole again, 3 fragments
	for i, want := range []struct{ tx, rx uint64 }{{0, 0}, {2, 0}, {0, 2}, {3, 0}, {0, 3}} {
		if s := &n[i].m.stats; s.fragTx != want.tx || s.fragRx != want.rx {
			t.Errorf("node %d cut into %d, joined %d, want %d and %d", i, s.fragTx, s.fragRx, want.tx, want.rx)
		}
	}
	e.send(a.mac, text)
	w.run(10 * time.Millisecond)
	if !a.received(text) {
		t.Error("1500 bytes did not come back")
	}
}

func TestFragmentationOff(t *testing.T) {
	w, n := line(t, 2, func(c *Config) { c.Fragmentation = false })
	w.run(10 * time.Second)
	text := strings.Repeat("x", 1477)
	n[0].send(n[1].mac, text)
	w.run(10 * time.Millisecond)
	if n[1].received(text) || n[0].m.drops[dropTooBig] != 1 {
		t.Errorf("dropped %v, want one too big", dropMap(&n[0].m.drops))
	}
}

// TestRoamingClientIsFoundWithOldTables: a client moves, and every frame for it
// arrives from then on, although the senders still have the old table.
func TestRoamingClientIsFoundWithOldTables(t *testing.T) {
	w, n := line(t, 4, nil)
	client := batman.MAC{2, 0xcc, 0, 0, 0, 0x77}
	hello := clientFrame(batman.Broadcast, client, 0, "here I am")
	n[3].client(hello)
	w.run(20 * time.Second)
	if !strings.Contains(fmt.Sprint(n[0].m.ttFind(client, 0)), fmt.Sprint(n[0].m.originator(hardMAC(4, 0)))) {
		t.Fatal("node 0 does not know where the client is")
	}
	n[2].client(hello)
	w.run(10 * time.Millisecond) // as long as the announcement takes
	before := n[3].m.stats.forwarded
	for i := range 3 {
		text := fmt.Sprint("to the roaming client, ", i)
		n[0].send(client, text)
		w.run(10 * time.Millisecond)
		if !n[2].received(text) {
			t.Errorf("frame %d did not arrive", i)
		}
		if n[3].received(text) {
			t.Errorf("frame %d arrived where the client was", i)
		}
	}
	// where it was, it is sent on, unless a node on the way knew better
	t.Logf("sent on by the old node: %d", n[3].m.stats.forwarded-before)
	w.run(5 * time.Second)
	before = n[3].m.stats.forwarded
	n[0].send(client, "later")
	w.run(10 * time.Millisecond)
	if !n[2].received("later") || n[3].m.stats.forwarded != before {
		t.Error("later frames do not go straight to the client")
	}
}

func TestVLANs(t *testing.T) {
	w, n := line(t, 3, nil)
	a, c := n[0], n[2]
	v10, v20 := batman.VLANTag|10, batman.VLANTag|20
	x, y := batman.MAC{2, 0xcc, 0, 0, 0, 1}, batman.MAC{2, 0xcc, 0, 0, 0, 2}
	a.client(clientFrame(batman.Broadcast, x, v10, "x"))
	c.client(clientFrame(batman.Broadcast, y, v10, "y"))
	c.client(clientFrame(batman.Broadcast, y, 0, "y untagged"))
	w.run(20 * time.Second)
	for _, k := range []struct {
		vid  batman.VID
		want bool
	}{{v10, true}, {v20, false}, {0, true}, {batman.VLANTag, true}} {
		c.got = nil
		a.client(clientFrame(y, x, k.vid, "frame"))
		w.run(10 * time.Millisecond)
		got := c.received("frame")
		if got != k.want {
			t.Errorf("VLAN %#x: arrived %v, want %v", k.vid, got, k.want)
		}
	}
	// A priority tag is no VLAN, but it is kept.
	f := clientFrame(y, x, batman.VLANTag, "frame")
	f[14] = 5 << 5
	a.client(f)
	w.run(10 * time.Millisecond)
	if len(c.got) != 1 || string(c.got[0]) != string(f) {
		t.Errorf("got %x, want %x", c.got, f)
	}
}

// TestFloodsArriveOnceEverywhere: in a mesh with loops, on wires without loss
// and on lossy Wi-Fi.
func TestFloodsArriveOnceEverywhere(t *testing.T) {
	for _, wifi := range []bool{false, true} {
		w := newWorld(t, 9)
		const side, rounds = 4, 25
		loss := 0
		var n []*wnode
		for i := range side * side {
			k := w.node(fmt.Sprint(i), nil)
			n = append(n, k)
			if wifi {
				k.iface(0, func(c *IfaceConfig) { c.Wifi = true })
				loss = 200
			}
			if i%side > 0 {
				w.link(n[i-1], 0, k, 0, loss)
			}
			if i >= side {
				w.link(n[i-side], 0, k, 0, loss)
			}
		}
		w.run(30 * time.Second)
		for _, k := range n {
			k.got = nil
		}
		arrived := 0
		for i := range rounds {
			from := n[i*7%len(n)]
			text := fmt.Sprint("flood ", i)
			from.send(batman.Broadcast, text)
			w.run(200 * time.Millisecond)
			for _, k := range n {
				got := k.received(text) // more than once is an error
				if got && k == from {
					t.Errorf("node %s got back its own frame", k.name)
				}
				if got {
					arrived++
				}
			}
		}
		if all := rounds * (side*side - 1); arrived < all*99/100 || !wifi && arrived != all {
			t.Errorf("wifi %v: %d of %d frames arrived", wifi, arrived, all)
		}
		for _, k := range n {
			if q := k.m.bcast.repeats.n + k.m.bcast.delayed.n; q != 0 {
				t.Errorf("node %s still has %d frames queued", k.name, q)
			}
		}
	}
}

// TestBigTables: a table that needs many fragments arrives three hops away.
func TestBigTables(t *testing.T) {
	w, n := line(t, 4, nil)
	const clients = 1000
	for i := range clients {
		n[0].client(clientFrame(batman.Broadcast, batman.MAC{2, 0xcc, 0, 1, byte(i >> 8), byte(i)}, 0, "x"))
	}
	w.until(60*time.Second, "all clients known", func() bool {
		o := n[3].m.originator(hardMAC(1, 0))
		return o != nil && o.tt.known && len(o.tt.clients) >= clients
	})
}
