package mesh

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// TestTTConverge: clients come, move and go while OGMs, requests, answers and
// ROAMs are lost, nodes restart and ways are lost. When that ends, every node
// has every table, and sends for each client to where it is.
func TestTTConverge(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		w := newTTNet(t, 2+int(seed%3))
		loss := []int{0, 200, 500}[seed/3%3]
		w.lost = func() bool { return rng.IntN(1000) < loss }
		const clients = 40
		var home [clients]int
		vid := func(c int) batman.VID { return []batman.VID{0, 0x8001, 0x800a, 0x8fff}[c%4] }
		speak := func() {
			for c := range clients {
				if rng.IntN(3) == 0 {
					w.nodes[home[c]].learn(testClient(c), vid(c))
				}
			}
		}
		step := func(busy bool) {
			for range len(w.nodes) {
				if busy {
					for range rng.IntN(6) {
						home[rng.IntN(clients)] = rng.IntN(len(w.nodes))
					}
					a, b := w.nodes[rng.IntN(len(w.nodes))], w.nodes[rng.IntN(len(w.nodes))]
					switch rng.IntN(30) {
					case 0:
						a.boot()
					case 1, 2:
						if a != b {
							a.m.ttRouteLost(w.now, a.of(b.i), &a.out)
						}
					case 3, 4, 5:
						if a != b {
							c := rng.IntN(clients)
							a.m.ttTemp(w.now, a.of(b.i), testClient(c), vid(c))
						}
					case 6:
						c := rng.IntN(clients)
						a.m.ttLearn(w.now, testClient(c), vid(c), uint8(rng.IntN(4)<<4), &a.out)
						w.deliver()
					}
				}
				speak()
			}
			w.second()
		}
		for range 60 {
			step(true)
		}
		loss = 0
		for range 15 {
			step(false)
		}
		if err := w.agree(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for c := range clients {
			for i, nd := range w.nodes {
				if got := nd.finds(testClient(c), vid(c)); got != home[c] {
					t.Fatalf("seed %d: node %d finds client %d at %d, not %d", seed, i, c, got, home[c])
				}
			}
		}
	}
}

// TestTTHallMoves: 200 clients in 16 VLANs roam at once. No OGM grows beyond
// its limit, and the changes that did not fit are asked for.
func TestTTHallMoves(t *testing.T) {
	w := newTTNet(t, 4)
	vid := func(c int) batman.VID { return batman.VLANTag | batman.VID(10+c%16) }
	for c := range 200 {
		w.nodes[0].learn(testClient(c), vid(c))
	}
	where := func(want int) (missing int) {
		for c := range 200 {
			for _, nd := range w.nodes {
				if nd.finds(testClient(c), vid(c)) != want {
					missing++
				}
			}
		}
		return missing
	}
	converge := func(what string, at int) {
		for i := range 20 {
			if w.agree() == nil && where(at) == 0 {
				requests := uint64(0)
				for _, nd := range w.nodes {
					requests += nd.m.stats.ttRequestTx
				}
				t.Logf("%s: all agree after %d rounds of OGMs, %d requests", what, i, requests)
				return
			}
			w.second()
		}
		t.Fatalf("%s: %v; %d places wrong", what, w.agree(), where(at))
	}
	converge("start", 0)
	for c := range 200 { // ROAMs go out at once
		w.nodes[3].learn(testClient(c), vid(c))
	}
	converge("moved", 3)
	if n := w.nodes[3].m.stats.ttRoamTx; n != 200 {
		t.Errorf("%d ROAMs", n)
	}
	// Again, with room for the checksums only, and then for less.
	for c := range 200 {
		w.nodes[1].learn(testClient(c), vid(c))
	}
	for _, room := range []int{0, 8, 8 + 16*8, 8 + 17*8 - 1} {
		version := w.nodes[1].m.tt.ttvn
		v := w.nodes[1].container(room)
		if v != nil && room < 16 || w.nodes[1].m.tt.ttvn != version {
			t.Errorf("room %d: %d bytes, version %d after %d", room, len(v), w.nodes[1].m.tt.ttvn, version)
		}
	}
	converge("moved again", 1)
}

// TestTTManyClients: 1000 clients behind one node take one packet, which
// fragments carry; more than fit are refused.
func TestTTManyClients(t *testing.T) {
	w := newTTNet(t, 3)
	a := w.nodes[0]
	for c := range 1000 {
		a.learn(testClient(c), 0)
	}
	w.second()
	w.second()
	if err := w.agree(); err != nil {
		t.Error(err)
	}
	n := 1000
	for ; a.m.ttLearn(w.now, testClient(n), 0, 0, &a.out); n++ {
		if n > MaxLocalClients {
			t.Fatal("no limit")
		}
	}
	if len(a.out.Events) != 1 || a.out.Events[0].Kind != EventLimit {
		t.Errorf("events %+v", a.out.Events)
	}
	if size := ttTableSize(1, n+1); size > MaxPacket || size+batman.TTEntryLen <= MaxPacket {
		t.Errorf("%d clients fit into %d bytes", n, size)
	}
	w.now = w.now.Add(ttAsk)
	w.second()
	w.now = w.now.Add(ttAsk)
	w.second()
	if err := w.agree(); err != nil {
		t.Error(err)
	}
	// Without fragmentation the table must fit into a frame: the clients that
	// were silent for longest go.
	w.now = w.now.Add(200 * time.Second)
	for c := range 100 {
		a.learn(testClient(c), 0)
	}
	a.m.cfg.Fragmentation = false
	for range 3 {
		w.now = w.now.Add(ttPeriod)
		w.second()
	}
	if err := w.agree(); err != nil {
		t.Error(err)
	}
	for c := range 100 {
		if w.nodes[2].finds(testClient(c), 0) != 0 {
			t.Fatalf("client %d, which spoke last, is gone", c)
		}
	}
	if size := ttTableSize(1, len(a.m.tt.localList)); size > 1500 {
		t.Errorf("%d bytes without fragmentation", size)
	}
}

// TestTTLocalVLANs: tags that nobody configured do not fill the OGM.
func TestTTLocalVLANs(t *testing.T) {
	w := newTTNet(t, 2)
	a := w.nodes[0]
	refused := 0
	for v := range 200 {
		if !a.m.ttLearn(w.now, testClient(v), batman.VLANTag|batman.VID(v+1), 0, &a.out) {
			refused++
		}
	}
	if refused != 200-ttLocalVLANs+1 {
		t.Errorf("%d refused", refused)
	}
	w.second()
	w.second()
	if err := w.agree(); err != nil {
		t.Error(err)
	}
}

// TestTTFloodOfOne: an originator with endless clients fills only its share,
// and the clients of others stay.
func TestTTFloodOfOne(t *testing.T) {
	w := newTTNet(t, 1)
	nd := w.nodes[0]
	m := nd.m
	tell := func(o *Originator, first, n int) {
		var b []byte
		for c := range n {
			b = batman.TTEntry{Client: testClient(first + c), VID: batman.VLANTag | batman.VID(c%100)}.Append(b)
		}
		m.ttApply(w.now, o, b, o.tt.ttvn+1, &nd.out)
		nd.check()
	}
	has := func(o *Originator, first, n int) (k int) {
		for c := range n {
			if m.ttHas(o, testClient(first+c), batman.VLANTag|batman.VID(c%100)) {
				k++
			}
		}
		return k
	}
	for i := range 60 {
		nd.know(i + 1)
	}
	honest, flood := nd.of(1), nd.of(2)
	tell(honest, 0, 50)
	for i := range 10 {
		tell(flood, 1000*(i+1), 1000)
	}
	if len(flood.tt.clients) > MaxClientsOrig || len(flood.tt.vlans) > MaxVLANs || !flood.tt.short || honest.tt.short {
		t.Errorf("%d clients in %d VLANs", len(flood.tt.clients), len(flood.tt.vlans))
	}
	// Many of them fill the table. Who has few clients keeps them, and may
	// still add some.
	for i := range 20 {
		for k := range 3 {
			tell(nd.of(i+2), 100000+10000*i+1000*k, 1000)
		}
	}
	if m.tt.total != MaxClients {
		t.Errorf("%d clients of %d", m.tt.total, MaxClients)
	}
	if n := has(honest, 0, 50); n != 50 {
		t.Errorf("%d of 50 honest clients are left", n)
	}
	tell(honest, 50, 50)
	tell(nd.of(40), 500000, 50)
	if a, b := has(honest, 50, 50), has(nd.of(40), 500000, 50); a != 50 || b != 50 {
		t.Errorf("%d and %d of 50 clients find room", a, b)
	}
	for i := range 50 { // temporary ones do not push
		m.ttTemp(w.now, nd.of(41), testClient(600000+i), 0)
	}
	if len(nd.of(41).tt.clients) != 0 || len(nd.out.Events) == 0 || m.drops[dropTableFull] == 0 {
		t.Error("temporary clients pushed others out")
	}
	// A table that did not fit is not asked for all the time.
	w.queue = nil
	v := batman.AppendTT(nil, batman.TTOGMDiff, flood.tt.ttvn, 0)
	for range 40 {
		m.ttOGM(w.now, flood, v, &nd.out)
		w.now = w.now.Add(time.Second)
	}
	if len(w.queue) != 0 {
		t.Errorf("%d requests in 40 s", len(w.queue))
	}
	w.now = w.now.Add(time.Minute)
	m.ttOGM(w.now, flood, v, &nd.out)
	if len(w.queue) != 1 {
		t.Errorf("%d requests after a minute", len(w.queue))
	}
	for i := range 60 {
		m.ttOriginatorGone(w.now, nd.of(i+1), &nd.out)
	}
	nd.check()
	if m.tt.total != 0 || len(m.tt.global) != 0 {
		t.Error("something is left")
	}
}

// TestTTFloodOfRequests: answers are limited per requester, and others are
// still answered.
func TestTTFloodOfRequests(t *testing.T) {
	w := newTTNet(t, 3)
	a := w.nodes[0]
	for c := range 1000 {
		a.learn(testClient(c), 0)
	}
	a.container(ogmRoom)
	req := batman.AppendTT(nil, batman.TTRequest|batman.TTFullTable, 1, 0)
	ask := func(from int) (answers int) {
		w.queue = nil
		a.m.ttUnicast(w.now, hardMAC(from+1, 0), hardMAC(1, 0), req, &a.out)
		return len(w.queue)
	}
	n := 0
	for range 1000 {
		n += ask(1)
	}
	if n > 50 || n == 0 || a.m.drops[dropRateLimit] == 0 {
		t.Errorf("%d answers to 1000 requests", n)
	}
	if ask(2) != 1 {
		t.Error("another node is not answered")
	}
	w.now = w.now.Add(time.Minute)
	if ask(1) != 1 {
		t.Error("not answered after a minute")
	}
	if ask(100) != 0 {
		t.Error("an unknown node is answered")
	}
}
