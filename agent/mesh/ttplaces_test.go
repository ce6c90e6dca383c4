package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// told makes clients the table of o at version ttvn.
func (nd *ttNode) told(j int, ttvn uint8, clients ...batman.MAC) {
	var b []byte
	for _, c := range clients {
		b = batman.TTEntry{Client: c}.Append(b)
	}
	nd.m.ttReplace(nd.net.now, nd.of(j), b, ttvn, &nd.out)
	nd.check()
}

// head is a container of table version ttvn with those untagged clients.
func ttHead(flags, ttvn uint8, clients ...batman.MAC) []byte {
	var crc uint32
	for _, c := range clients {
		crc ^= batman.TTSum(c, 0, 0)
	}
	if len(clients) == 0 {
		return batman.AppendTT(nil, flags, ttvn, 0)
	}
	return batman.TTVLAN{CRC: crc}.Append(batman.AppendTT(nil, flags, ttvn, 1))
}

// TestTTQuiet: nothing is asked while nothing changes.
func TestTTQuiet(t *testing.T) {
	w := newTTNet(t, 3)
	for i, nd := range w.nodes {
		nd.learn(testClient(i), batman.VLANTag|batman.VID(i+1))
	}
	for range 300 {
		w.second()
	}
	for i, nd := range w.nodes {
		if n := nd.m.stats.ttRequestTx; n != 0 {
			t.Errorf("node %d asked %d times", i, n)
		}
	}
}

// TestTTRoamAtThird: a ROAM wins over what a third node still announces.
func TestTTRoamAtThird(t *testing.T) {
	w := newTTNet(t, 4)
	nd := w.nodes[0]
	c := testClient(1)
	nd.told(1, 3, c)
	nd.told(2, 8)
	nd.m.ttRoam(w.now, hardMAC(3, 0), batman.Roam{Client: c}, &nd.out)
	nd.check()
	if got := nd.finds(c, 0); got != 2 {
		t.Errorf("found at %d", got)
	}
	if !nd.m.ttHas(nd.of(1), c, 0) {
		t.Error("an announcement was taken back by somebody else")
	}
	// It is not announced, so a whole table of the version before does not
	// end it, one of the announced version does.
	nd.told(2, 8)
	if got := nd.finds(c, 0); got != 2 {
		t.Errorf("after an old table: found at %d", got)
	}
	nd.told(2, 9)
	if o, roamed := nd.m.ttFind(c, 0); o != nd.of(1) || !roamed {
		t.Errorf("after the new table: %v, roamed %v", o, roamed)
	}
	// Again, and nobody announces it.
	nd.m.ttRoam(w.now, hardMAC(3, 0), batman.Roam{Client: c}, &nd.out)
	nd.m.ttRoam(w.now, hardMAC(4, 0), batman.Roam{Client: c}, &nd.out)
	if got := nd.finds(c, 0); got != 3 || nd.m.ttHas(nd.of(3), c, 0) || len(nd.of(2).tt.clients) != 0 {
		t.Errorf("after two ROAMs: found at %d", got)
	}
	w.now = w.now.Add(ttSoftLife)
	nd.m.ttExpire(w.now, &nd.out)
	nd.check()
	if o, roamed := nd.m.ttFind(c, 0); o != nd.of(1) || !roamed {
		t.Errorf("after ten minutes: %v, roamed %v", o, roamed)
	}
	// What it announces anew is there.
	v := batman.TTEntry{Client: c}.Append(ttHead(batman.TTOGMDiff, 4, c))
	nd.m.ttOGM(w.now, nd.of(1), v, &nd.out)
	if o, roamed := nd.m.ttFind(c, 0); o != nd.of(1) || roamed {
		t.Errorf("announced anew: %v, roamed %v", o, roamed)
	}
	// Nobody roams who is no station, or from where nobody is.
	nd.m.ttRoam(w.now, hardMAC(3, 0), batman.Roam{Client: batman.Broadcast}, &nd.out)
	nd.m.ttRoam(w.now, testClient(5), batman.Roam{Client: c}, &nd.out)
	if nd.m.tt.total != 1 {
		t.Errorf("%d places", nd.m.tt.total)
	}
}

// TestTTLeft: the place that a client left remains until it is announced
// elsewhere, or for ten minutes.
func TestTTLeft(t *testing.T) {
	w := newTTNet(t, 3)
	nd := w.nodes[0]
	c := testClient(1)
	w.now = w.now.Add(time.Hour)
	nd.told(1, 3, c)
	w.now = w.now.Add(time.Hour)
	v := batman.TTEntry{Client: c, Flags: batman.TTDel | batman.TTRoam}.Append(ttHead(batman.TTOGMDiff, 4))
	nd.m.ttOGM(w.now, nd.of(1), v, &nd.out)
	if len(w.queue) != 0 {
		t.Error("asks for a table that it has")
	}
	w.now = w.now.Add(ttSoftLife - time.Second)
	nd.m.ttExpire(w.now, &nd.out)
	if o, roamed := nd.m.ttFind(c, 0); o != nd.of(1) || !roamed {
		t.Errorf("left: %v, roamed %v", o, roamed)
	}
	if s := nd.m.Status(w.now); len(s.Global) != 1 || s.Global[0].Flags != "R..." || !s.Global[0].Best {
		t.Errorf("status %+v", s.Global)
	}
	w.now = w.now.Add(ttPeriod)
	nd.m.ttExpire(w.now, &nd.out)
	if nd.finds(c, 0) != -1 {
		t.Error("left more than ten minutes ago and still there")
	}
	// Who came here is not looked for there.
	nd.told(1, 9, c)
	nd.learn(c, 0)
	if o, _ := nd.m.ttFind(c, 0); o != nil {
		t.Errorf("a client of this node is found at %v", o.MAC)
	}
	// The old place says the same again, in a table that was on its way.
	nd.told(1, 9, c)
	if got := nd.finds(c, 0); got != 0 {
		t.Errorf("an old table moved the client to %d", got)
	}
	v = batman.TTEntry{Client: c, Flags: batman.TTDel | batman.TTRoam}.Append(ttHead(batman.TTOGMDiff, 10))
	nd.m.ttOGM(w.now, nd.of(1), v, &nd.out)
	if nd.m.tt.total != 0 || nd.finds(c, 0) != 0 {
		t.Error("the old place is not forgotten")
	}
	nd.check()
}

// TestTTPartialAnswers: changes are applied to the version that they change.
func TestTTPartialAnswers(t *testing.T) {
	w := newTTNet(t, 2)
	nd := w.nodes[0]
	c1, c2 := testClient(1), testClient(2)
	o := nd.of(1)
	answer := func(flags, ttvn uint8, add ...batman.MAC) {
		v := ttHead(batman.TTResponse|flags, ttvn, c1, c2)
		for _, c := range add {
			v = batman.TTEntry{Client: c}.Append(v)
		}
		nd.m.ttUnicast(w.now, o.MAC, hardMAC(1, 0), v, &nd.out)
		nd.check()
	}
	ask := func(ttvn uint8) {
		w.now = w.now.Add(ttAsk)
		nd.m.ttOGM(w.now, o, ttHead(batman.TTOGMDiff, ttvn, c1, c2), &nd.out)
	}
	nd.told(1, 4, c1)
	ask(5)
	answer(0, 6, c2) // another version
	answer(0, 4, c2)
	if o.tt.ttvn != 4 || nd.m.ttHas(o, c2, 0) {
		t.Error("took changes of another version")
	}
	answer(0, 5, c2)
	if o.tt.ttvn != 5 || !nd.m.ttHas(o, c1, 0) || !nd.m.ttHas(o, c2, 0) {
		t.Error("did not take the changes")
	}
	answer(batman.TTFullTable, 9)
	if o.tt.ttvn != 5 {
		t.Error("took a second answer to one request")
	}
	ask(6)
	nd.m.ttRouteLost(w.now, o, &nd.out)
	ask(7) // all of it
	answer(0, 7, c2)
	if o.tt.known || nd.m.ttHas(o, c2, 0) {
		t.Error("took changes where the table was asked for")
	}
	answer(batman.TTFullTable, 8, c1, c2)
	if o.tt.ttvn != 8 || !o.tt.known || !nd.m.ttHas(o, c2, 0) {
		t.Error("did not take a newer table")
	}
	ask(10)
	w.now = w.now.Add(ttAnswerLife)
	answer(batman.TTFullTable, 10)
	if o.tt.ttvn != 8 {
		t.Error("took an answer that is too late")
	}
	// Changes asked for, and meanwhile an OGM brought them.
	w.now = w.now.Add(ttAsk)
	ask(9)
	v := batman.TTEntry{Client: testClient(3)}.Append(ttHead(batman.TTOGMDiff, 9, c1, c2, testClient(3)))
	nd.m.ttOGM(w.now, o, v, &nd.out)
	answer(0, 9, testClient(4))
	if o.tt.ttvn != 9 || nd.m.ttHas(o, testClient(4), 0) || !nd.m.ttHas(o, testClient(3), 0) {
		t.Error("applied changes twice")
	}
}

// TestTTAnswersOnlyWhatItHas: a node answers for another only if version and
// sums are those asked for.
func TestTTAnswersOnlyWhatItHas(t *testing.T) {
	w := newTTNet(t, 3)
	nd := w.nodes[0]
	c1, c2 := testClient(1), testClient(2)
	nd.told(1, 4, c1)
	nd.m.ttTemp(w.now, nd.of(1), c2, 0) // not announced: not in answers
	for _, c := range []struct {
		name string
		src  batman.MAC
		req  []byte
		want bool
	}{
		{"what it has", hardMAC(3, 0), ttHead(batman.TTRequest|batman.TTFullTable, 4, c1), true},
		{"its changes, which it has not", hardMAC(3, 0), ttHead(batman.TTRequest, 4, c1), true}, // all of it
		{"other version", hardMAC(3, 0), ttHead(batman.TTRequest, 5, c1), false},
		{"other sum", hardMAC(3, 0), ttHead(batman.TTRequest, 4, c2), false},
		{"other VLANs", hardMAC(3, 0), ttHead(batman.TTRequest, 4), false},
		{"unknown requester", hardMAC(77, 0), ttHead(batman.TTRequest, 4, c1), false},
		{"itself", hardMAC(1, 0), ttHead(batman.TTRequest, 4, c1), false},
	} {
		w.queue = nil
		if got := nd.m.ttUnicast(w.now, c.src, hardMAC(2, 0), c.req, &nd.out); got != c.want || len(w.queue) == 1 != c.want {
			t.Errorf("%s: taken %v, %d answers", c.name, got, len(w.queue))
			continue
		}
		if !c.want {
			continue
		}
		q := w.queue[0]
		tv, _, err := batman.NextTVLV(q.tvlvs)
		if err != nil {
			t.Fatal(err)
		}
		r, err := batman.ParseTT(tv.Value)
		if err != nil || q.u.Src != hardMAC(2, 0) || q.u.Dst != c.src || r.Flags != batman.TTResponse|batman.TTFullTable || r.TTVN != 4 ||
			r.VLANs.Len() != 1 || r.Entries.Len() != 1 || r.Entries.At(0) != (batman.TTEntry{Client: c1}) {
			t.Errorf("%s: answer %+v %+v", c.name, q.u, r)
		}
	}
}

// TestTTRoamedInAnswer: a whole table that the kernel wrote between ROAM and
// the next version has the client, flagged ROAM, and its sum counts it.
func TestTTRoamedInAnswer(t *testing.T) {
	w := newTTNet(t, 3)
	nd := w.nodes[0]
	c := testClient(1)
	nd.learn(c, 0)
	nd.m.ttOGM(w.now, nd.of(1), ttHead(batman.TTOGMDiff, 5, c), &nd.out)
	v := batman.TTEntry{Client: c, Flags: batman.TTRoam}.Append(ttHead(batman.TTResponse|batman.TTFullTable, 5, c))
	nd.m.ttUnicast(w.now, hardMAC(2, 0), hardMAC(1, 0), v, &nd.out)
	nd.check()
	if nd.finds(c, 0) != 0 {
		t.Error("the client was taken away")
	}
	w.queue = nil
	w.now = w.now.Add(ttAsk)
	nd.m.ttOGM(w.now, nd.of(1), ttHead(batman.TTOGMDiff, 5, c), &nd.out)
	if len(w.queue) != 0 {
		t.Error("the sum does not fit")
	}
}

// TestTTBackbone: clients of a gateway to our own LAN are not in the mesh.
func TestTTBackbone(t *testing.T) {
	w := newTTNet(t, 2)
	nd := w.nodes[0]
	var b []byte
	for i := range 10 {
		b = batman.TTEntry{Client: testClient(i), VID: batman.VLANTag | batman.VID(i%2)}.Append(b)
	}
	nd.m.ttReplace(w.now, nd.of(1), b, 1, &nd.out)
	nd.m.ttBackbone(w.now, nd.of(1), batman.VLANTag, &nd.out)
	nd.check()
	if len(nd.of(1).tt.clients) != 5 || nd.finds(testClient(1), batman.VLANTag|1) != 1 || nd.finds(testClient(0), batman.VLANTag) != -1 {
		t.Errorf("%d clients left", len(nd.of(1).tt.clients))
	}
}
