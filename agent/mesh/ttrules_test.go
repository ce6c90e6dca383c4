package mesh

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTTFirstOGM: the first container of a node with one client, as the
// kernel wrote it.
func TestTTFirstOGM(t *testing.T) {
	w := newTTNet(t, 1)
	m := New(Options{Config: Default()}, 0)
	m.SetMeshIface(0, MeshIfaceConfig{MAC: batman.MAC{0x6a, 0x7b, 0x50, 0xee, 0x89, 0x8f}}, &w.nodes[0].out)
	want := unhex(t, "04010018"+"01010001"+"b1417c1900000000"+"000000006a7b50ee898f0000")
	for i := range 4 {
		if got := m.ttAppend(0, nil, 400); !bytes.Equal(got, want) {
			t.Fatalf("OGM %d: %x, want %x", i, got, want)
		}
	}
	want = unhex(t, "0401000c"+"01010001"+"b1417c1900000000")
	if got := m.ttAppend(0, nil, 400); !bytes.Equal(got, want) {
		t.Fatalf("OGM 5: %x, want %x", got, want)
	}
}

// TestTTSums are the checksums that the kernel printed for its tables.
func TestTTSums(t *testing.T) {
	w := newTTNet(t, 1)
	nd := w.nodes[0]
	nd.learn(batman.MAC{2, 0xba, 0, 0, 1, 0xff}, 0x800a)
	nd.m.ttListeners(w.now, []batman.MAC{{0x33, 0x33, 0, 0, 0, 1}, {0x33, 0x33, 0xff, 0, 1, 0xff}, {1, 0, 0x5e, 0, 0, 1}})
	nd.container(400)
	nd.check()
	s := nd.m.Status(w.now)
	if len(s.Local) != 5 || s.TTVN != 1 {
		t.Fatalf("version %d, %+v", s.TTVN, s.Local)
	}
	for _, l := range s.Local {
		want := uint32(0x231169c7)
		if l.VID == 0x800a {
			want = 0x5c15458b
		}
		if l.CRC != want || l.Flags != ".P...." {
			t.Errorf("%v %d: %08x %s, want %08x", l.MAC, l.VID.Print(), l.CRC, l.Flags, want)
		}
	}
}

func TestTTChangesCancel(t *testing.T) {
	w := newTTNet(t, 2)
	a := w.nodes[0]
	b := w.nodes[1]
	c := testClient(1)
	a.ogm()
	version := a.m.tt.ttvn
	expect := func(what string, flags ...uint8) {
		t.Helper()
		tt, err := batman.ParseTT(a.container(ogmRoom))
		if err != nil {
			t.Fatal(err)
		}
		if len(flags) > 0 {
			version++
		}
		if tt.TTVN != version {
			t.Errorf("%s: version %d, want %d", what, tt.TTVN, version)
		}
		if len(flags) > 0 && tt.Entries.Len() != len(flags) {
			t.Fatalf("%s: %d changes, want %d", what, tt.Entries.Len(), len(flags))
		}
		for i, f := range flags {
			if e := tt.Entries.At(i); e.Flags != f || e.Client != c {
				t.Errorf("%s: change %+v, want flags %02x", what, e, f)
			}
		}
		a.check()
	}
	a.learn(c, 0)
	b.m.ttOGM(w.now, b.of(0), a.container(0), &b.out) // no room: nothing, and the client stays new
	roam := func() { a.m.ttRoam(w.now, hardMAC(2, 0), batman.Roam{Client: c}, &a.out) }
	roam()
	expect("came and went")
	a.learn(c, 0)
	expect("came", 0)
	roam()
	if mine, roamed := a.m.ttLocal(c, 0); mine || !roamed {
		t.Errorf("a client that roamed: mine %v, roamed %v", mine, roamed)
	}
	a.learn(c, 0)
	if mine, roamed := a.m.ttLocal(c, 0); !mine || roamed {
		t.Errorf("a client that came back: mine %v, roamed %v", mine, roamed)
	}
	expect("went and came")
	a.m.ttLearn(w.now, c, 0, batman.TTWifi, &a.out)
	expect("changed to Wi-Fi", batman.TTWifi)
	a.m.ttLearn(w.now, c, 0, 0, &a.out)
	a.m.ttLearn(w.now, c, 0, batman.TTWifi, &a.out)
	expect("changed twice")
	a.m.ttLearn(w.now, c, 0, 0, &a.out)
	roam()
	expect("changed and went", batman.TTDel|batman.TTRoam|batman.TTWifi)
	if a.m.tt.local[ttKey{c, 0}] != nil {
		t.Error("a client that left is still there after the commit")
	}
	a.learn(c, 0)
	expect("came", 0)
	w.now = w.now.Add(ttIdle)
	a.m.ttExpire(w.now, &a.out)
	expect("idle", batman.TTDel)
}

// TestTTReceive has the rules of section "receiving": what is applied, what
// is asked for.
func TestTTReceive(t *testing.T) {
	const none, diff, full = "", "diff", "full"
	c1, c2 := testClient(1), testClient(2)
	crc := func(cs ...batman.MAC) (l []batman.TTVLAN) {
		var x uint32
		for _, c := range cs {
			x ^= batman.TTSum(c, 0, 0)
		}
		return []batman.TTVLAN{{CRC: x}}
	}
	add := func(c batman.MAC) batman.TTEntry { return batman.TTEntry{Client: c} }
	for _, c := range []struct {
		name    string
		known   bool // the copy holds c1
		ttvn    uint8
		heard   uint8
		vlans   []batman.TTVLAN
		changes []batman.TTEntry
		ask     string
		has     []batman.MAC
		version uint8
	}{
		{"first version with changes", false, 0, 1, crc(c1), []batman.TTEntry{add(c1)}, none, []batman.MAC{c1}, 1},
		{"first version without changes", false, 0, 1, crc(c1), nil, diff, nil, 0},
		{"later version", false, 0, 7, crc(c1), []batman.TTEntry{add(c1)}, full, nil, 0},
		{"empty table", false, 0, 0, nil, nil, full, nil, 0},
		{"next version", true, 4, 5, crc(c1, c2), []batman.TTEntry{add(c2)}, none, []batman.MAC{c1, c2}, 5},
		{"next version, changes left out", true, 4, 5, crc(c1, c2), nil, diff, []batman.MAC{c1}, 4},
		{"next version, wrong sum", true, 4, 5, crc(c2), []batman.TTEntry{add(c2)}, full, []batman.MAC{c1, c2}, 5},
		{"next version, takes back", true, 4, 5, nil, []batman.TTEntry{{Flags: batman.TTDel, Client: c1}}, none, nil, 5},
		{"same version", true, 4, 4, crc(c1), []batman.TTEntry{add(c1)}, none, []batman.MAC{c1}, 4},
		{"same version, wrong sum", true, 4, 4, crc(c2), nil, full, []batman.MAC{c1}, 4},
		{"same version, unknown VLAN", true, 4, 4, append(crc(c1), batman.TTVLAN{VID: 0x800a}), nil, full, []batman.MAC{c1}, 4},
		{"same version, VLAN missing", true, 4, 4, nil, nil, full, []batman.MAC{c1}, 4},
		{"version skipped", true, 4, 6, crc(c1, c2), []batman.TTEntry{add(c2)}, full, []batman.MAC{c1}, 4},
		{"older version", true, 4, 3, crc(c1), nil, full, []batman.MAC{c1}, 4},
		{"version wraps", true, 255, 0, crc(c1, c2), []batman.TTEntry{add(c2)}, full, []batman.MAC{c1}, 255},
		{"restart at version 1", true, 0, 1, crc(c2), []batman.TTEntry{add(c2)}, full, []batman.MAC{c1, c2}, 1},
	} {
		w := newTTNet(t, 2)
		b := w.nodes[1]
		o := b.of(0)
		if c.known {
			b.m.ttReplace(w.now, o, add(c1).Append(nil), c.ttvn, &b.out)
		}
		v := batman.AppendTT(nil, batman.TTOGMDiff, c.heard, len(c.vlans))
		for _, l := range c.vlans {
			v = l.Append(v)
		}
		for _, e := range c.changes {
			v = e.Append(v)
		}
		b.m.ttOGM(w.now, o, v, &b.out)
		ask := none
		for _, q := range w.queue {
			tv, _, err := batman.NextTVLV(q.tvlvs)
			if err != nil {
				t.Fatal(err)
			}
			r, err := batman.ParseTT(tv.Value)
			if err != nil || r.TTVN != c.heard || r.VLANs.Len() != len(c.vlans) || q.u.Src != hardMAC(2, 0) || q.u.Dst != o.MAC {
				t.Errorf("%s: request %+v in %+v, %v", c.name, r, q.u, err)
			}
			switch r.Flags {
			case batman.TTRequest:
				ask += diff
			case batman.TTRequest | batman.TTFullTable:
				ask += full
			default:
				ask += "?"
			}
		}
		if ask != c.ask {
			t.Errorf("%s: asked for %q, want %q", c.name, ask, c.ask)
		}
		for _, x := range []batman.MAC{c1, c2} {
			want := false
			for _, h := range c.has {
				want = want || h == x
			}
			if got := b.m.ttHas(o, x, 0); got != want {
				t.Errorf("%s: client %v: %v, want %v", c.name, x, got, want)
			}
		}
		if o.tt.ttvn != c.version {
			t.Errorf("%s: version %d, want %d", c.name, o.tt.ttvn, c.version)
		}
		b.check()
		// Every prefix is malformed, or has fewer changes.
		for n := range v {
			b.m.ttOGM(w.now, o, v[:n], &b.out)
		}
		b.check()
	}
}

// TestTTOneRequest: three seconds between two requests to one originator.
func TestTTOneRequest(t *testing.T) {
	w := newTTNet(t, 2)
	b := w.nodes[1]
	v := batman.AppendTT(nil, batman.TTOGMDiff, 9, 0)
	for i, want := range []int{1, 1, 1, 2, 2} {
		b.m.ttOGM(w.now, b.of(0), v, &b.out)
		if len(w.queue) != want {
			t.Errorf("after %d s: %d requests, want %d", i, len(w.queue), want)
		}
		w.now = w.now.Add(time.Second)
	}
}

// TestTTUnaskedResponse: nobody can push a table.
func TestTTUnaskedResponse(t *testing.T) {
	w := newTTNet(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	a.learn(testClient(1), 0)
	a.ogm()
	forged := batman.AppendTT(nil, batman.TTResponse|batman.TTFullTable, 1, 0)
	if !b.m.ttUnicast(w.now, hardMAC(1, 0), hardMAC(2, 0), forged, &b.out) {
		t.Error("a response to this node goes on")
	}
	if b.finds(testClient(1), 0) != 0 || b.m.drops[dropUnasked] != 1 {
		t.Errorf("a response that nobody asked for changed the table, %d dropped", b.m.drops[dropUnasked])
	}
	if b.m.ttUnicast(w.now, hardMAC(1, 0), hardMAC(9, 0), forged, &b.out) {
		t.Error("a response for another node ends here")
	}
	b.check()
}

// TestTTRoam: a client moves from node 0 to node 1, with node 2 looking on.
func TestTTRoam(t *testing.T) {
	w := newTTNet(t, 3)
	c := testClient(1)
	w.nodes[0].learn(c, 0)
	for range 6 {
		w.second()
	}
	for i, nd := range w.nodes {
		if got := nd.finds(c, 0); got != 0 {
			t.Fatalf("node %d finds the client at %d", i, got)
		}
	}
	w.nodes[1].learn(c, 0) // its ROAM arrives at once
	if got := w.nodes[0].finds(c, 0); got != 1 {
		t.Errorf("the old place sends to %d", got)
	}
	if _, roamed := w.nodes[0].m.ttLocal(c, 0); !roamed {
		t.Error("the old place does not know that the client roamed")
	}
	if got := w.nodes[1].finds(c, 0); got != 1 {
		t.Errorf("the new place sends to %d", got)
	}
	w.now = w.now.Add(time.Second / 3)
	w.nodes[0].ogm() // DEL and ROAM
	if o, roamed := w.nodes[2].m.ttFind(c, 0); o == nil || o.MAC != hardMAC(1, 0) || !roamed {
		t.Errorf("after the old place took it back: %+v, roamed %v", o, roamed)
	}
	w.nodes[1].ogm()
	if o, roamed := w.nodes[2].m.ttFind(c, 0); o == nil || o.MAC != hardMAC(2, 0) || roamed {
		t.Errorf("after the new place announced it: %+v, roamed %v", o, roamed)
	}
	for range 3 {
		w.second()
	}
	if err := w.agree(); err != nil {
		t.Error(err)
	}
	for i, nd := range w.nodes {
		if got := nd.finds(c, 0); got != 1 {
			t.Errorf("node %d finds the client at %d", i, got)
		}
		if n := nd.m.stats.ttRequestTx; n != 0 {
			t.Errorf("node %d sent %d requests", i, n)
		}
	}
	if w.nodes[1].m.stats.ttRoamTx != 1 || w.nodes[0].m.stats.ttRoamRx != 1 {
		t.Error("not one ROAM")
	}
}

// TestTTRoamLimit: five times in twenty seconds.
func TestTTRoamLimit(t *testing.T) {
	w := newTTNet(t, 2)
	c := testClient(1)
	for i := range 20 {
		w.nodes[i%2].learn(c, 0)
		w.second()
	}
	for i, nd := range w.nodes {
		if n := nd.m.stats.ttRoamTx; n < 5 || n > 6 {
			t.Errorf("node %d sent %d ROAMs", i, n)
		}
	}
	if err := w.agree(); err != nil {
		t.Error(err)
	}
}

// TestTTAnswerOnBehalf: node 1 answers for node 0, in its name.
func TestTTAnswerOnBehalf(t *testing.T) {
	for _, full := range []bool{true, false} {
		w := newTTNet(t, 3)
		a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
		a.learn(testClient(1), 0)
		w.second()
		a.learn(testClient(2), 0x8005)
		w.second()
		if !full {
			a.learn(testClient(3), 0)
			v := a.container(ogmRoom)
			b.m.ttOGM(w.now, b.of(0), v, &b.out)
			tt, _ := batman.ParseTT(v)
			v = v[:batman.TTLen+len(tt.VLANs)] // as if the changes had not fitted
			c.m.ttOGM(w.now, c.of(0), v, &c.out)
		} else {
			c.m.ttRouteLost(w.now, c.of(0), &c.out)
			c.m.ttOGM(w.now, c.of(0), a.container(ogmRoom), &c.out)
		}
		before := b.m.stats.ttResponseTx
		w.deliver()
		if b.m.stats.ttResponseTx != before+1 || a.m.stats.ttRequestRx != 0 {
			t.Errorf("full %v: node 1 did not answer, node 0 got %d requests", full, a.m.stats.ttRequestRx)
		}
		if err := w.agree(); err != nil {
			t.Error(err)
		}
		// Not if it has another version.
		b.of(0).tt.ttvn++
		c.m.ttRouteLost(w.now, c.of(0), &c.out)
		w.now = w.now.Add(ttAsk)
		c.m.ttOGM(w.now, c.of(0), a.container(ogmRoom), &c.out)
		w.deliver()
		if a.m.stats.ttRequestRx != 1 {
			t.Error("a node with another version answered")
		}
	}
}
