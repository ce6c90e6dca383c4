package mesh

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/identity"
)

// Chains change, several times and on several interfaces, and no OGM is
// refused, with losses.
func TestIdentityChainsChange(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		w := newWorld(t, 11)
		w.jobTime = 20 * time.Millisecond
		set := func(c *Config) { c.Algo, c.OrigInterval = algo, 200*time.Millisecond }
		a, b, c := w.signed("a", set), w.signed("b", set), w.signed("c", set)
		for _, n := range []*wnode{a, b, c} {
			for i := 1; i < 4; i++ {
				n.iface(i, nil)
			}
		}
		for i := range 4 {
			w.link(a, i, b, i, 150)
			w.link(b, i, c, i, 150)
		}
		w.run(10 * time.Second)
		size := 0
		w.tap = func(_ *wnode, _ int, f []byte) {
			if isOGM(f) {
				size = max(size, len(f)-batman.EthLen)
			}
		}
		chains := func(n *wnode) (ids []uint32) {
			f, _ := identity.ParseRecord(n.m.id.self.Record())
			for _, p := range f.Points[:f.N] {
				ids = append(ids, p.Chain)
			}
			return ids
		}
		before := chains(a)
		for range 20 {
			w.run(50 * time.Second) // 5000 OGMs in all
			for _, n := range []*wnode{a, b, c} {
				for _, to := range []*wnode{a, b, c} {
					if n != to && !n.verified(to) {
						t.Errorf("%v: %s shows %q for %s; %s", algo, n.name, n.identity(to.primary()), to.name, n.dropsOf())
					}
				}
			}
		}
		after := chains(a)
		for _, x := range before {
			for _, y := range after {
				if x == y {
					t.Errorf("%v: chain %d is still in use", algo, x)
				}
			}
		}
		for _, n := range []*wnode{a, b, c} {
			if n.m.drops[dropForged]+n.m.drops[dropStripped]+n.m.drops[dropBadRecord]+n.m.drops[dropConflict]+n.m.drops[dropUnchecked] > 0 {
				t.Errorf("%v: %s drops %s", algo, n.name, n.dropsOf())
			}
			if algo == BatmanIV { // every interface is signed
				for _, o := range n.m.origList {
					if n.m.id.known.Node(w.now, o.MAC) == nil {
						t.Errorf("%s knows nobody behind %v", n.name, o.MAC)
					}
				}
			}
		}
		if size > batman.MaxOGM {
			t.Errorf("%v: a frame of OGMs has %d bytes", algo, size)
		}
		t.Logf("%v: %d records checked, %d hashes beyond the first, largest frame %d", algo, b.m.stats.idChecked, b.m.stats.idHashes, size)
	}
}

// The whole OGM stays within 512 bytes and TT arrives, whatever the table does.
func TestIdentityLeavesRoomForClients(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		for _, vlans := range []int{1, 16, 39} {
			w := newWorld(t, 5)
			w.jobTime = 20 * time.Millisecond
			set := func(c *Config) { c.Algo, c.GWMode = algo, GWServer }
			a, b := w.signed("a", set), w.signed("b", set)
			for i := 1; i < 4; i++ {
				a.iface(i, nil)
			}
			w.link(a, 0, b, 0, 0)
			w.tap = func(n *wnode, _ int, f []byte) {
				if !isOGM(f) {
					return
				}
				for p := f[batman.EthLen:]; len(p) >= batman.OGMLen; {
					size := 0
					if algo == BatmanIV {
						_, _, size, _ = batman.ParseOGM(p)
					} else {
						_, _, size, _ = batman.ParseOGM2(p)
					}
					if size == 0 || size > batman.MaxOGM || size%2 != 0 {
						t.Fatalf("an OGM of %d bytes", size)
					}
					p = p[size:]
				}
			}
			w.run(5 * time.Second)
			rng := rand.New(rand.NewPCG(1, 2))
			for i := range 200 {
				mac := batman.MAC{2, 0xcc, 1, 0, byte(i >> 8), byte(i)}
				vid := batman.VLANTag | batman.VID(1+i%vlans)
				a.client(clientFrame(batman.Broadcast, mac, vid, "x"))
				w.run(time.Duration(rng.IntN(300)) * time.Millisecond)
			}
			w.run(5 * time.Second)
			o := b.m.originator(a.primary())
			if got, want := len(o.tt.clients), len(a.m.tt.localList); got != want || got < 200 {
				t.Errorf("%v, %d VLANs: %d of %d clients are known", algo, vlans, got, want)
			}
			w.run(25 * time.Second)
			if !b.verified(a) || !o.id.confirmed {
				t.Errorf("%v, %d VLANs: shown is %q, table confirmed %v, drops %s", algo, vlans, b.identity(a.primary()), o.id.confirmed, b.dropsOf())
			}
			t.Logf("%v, %d VLANs: %d requests", algo, vlans, b.m.stats.ttRequestTx)
		}
	}
}

// Random nets of signed and unsigned nodes, with losses, frames that overtake
// each other, cuts, restarts and reboots: in the end everybody knows everybody
// whom he can reach, and nothing was ever taken for an attack.
func TestIdentityNets(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		for seed := range uint64(4) {
			g := newNet(t, 500+seed, 8, 450, algo)
			g.jobTime = 30 * time.Millisecond
			g.delay = 15 * time.Millisecond
			for i, n := range g.nodes[:6] {
				n.key, n.cfg.RequireSigned = testKey(i), SignOverlay
				n.boot(Seqnos{})
				g.second(n)
			}
			g.watch(5 * time.Second)
			for range 15 {
				g.chance()
				g.watch(2 * time.Second)
			}
			if g.worst > 6*g.interval {
				t.Errorf("%v, seed %d: a loop to %s lived %v", algo, seed, g.worstTo, g.worst)
			}
			for i := range g.nodes { // nobody is alone now
				for j := range i {
					for iface := range 2 {
						g.cut(g.nodes[i], iface, g.nodes[j], iface)
					}
				}
			}
			for i := 1; i < len(g.nodes); i++ {
				g.link(g.nodes[i], 0, g.nodes[i-1], 0, 50)
			}
			g.run(30 * time.Second)
			sum := map[string]uint64{}
			for _, a := range g.nodes[:6] {
				for _, b := range g.nodes[:6] {
					if got := a.identity(b.primary()); a != b && got != b.ip() {
						t.Errorf("%v, seed %d: %s shows %q for %s", algo, seed, a.name, got, b.name)
					}
				}
				for r := dropForged; r <= dropUnsigned; r++ {
					sum[dropNames[r]] += a.m.drops[r]
				}
				if a.m.drops[dropForged]+a.m.drops[dropStripped]+a.m.drops[dropBadRecord]+a.m.drops[dropConflict]+a.m.drops[dropForgedGW]+a.m.drops[dropForgedTT] > 0 {
					t.Errorf("%v, seed %d: %s drops %s", algo, seed, a.name, a.dropsOf())
				}
			}
			t.Logf("%v, seed %d: drops of six nodes %v", algo, seed, sum)
		}
	}
}

// A node that boots is known at the other end of the mesh within two seconds,
// and knows who is there a little later.
func TestIdentityBootIsQuick(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		w := newWorld(t, 9)
		w.jobTime = 25 * time.Millisecond
		set := func(c *Config) { c.Algo = algo }
		a, b, c := w.signed("a", set), w.signed("b", set), w.signed("c", set)
		w.link(a, 0, b, 0, 0)
		w.link(b, 0, c, 0, 0)
		w.run(70 * time.Second)
		var known, knows time.Duration
		for range 5 {
			c.boot(Seqnos{})
			begin := w.now
			w.until(10*time.Second, "a knows c", func() bool {
				n := a.changes[len(a.changes)-1]
				return n.Boot == c.boots && n.Reachable && n.IP.String() == c.ip()
			})
			known = max(known, w.now.Sub(begin))
			w.until(10*time.Second, "c knows a", func() bool { return c.verified(a) })
			knows = max(knows, w.now.Sub(begin))
			w.run(40 * time.Second)
		}
		t.Logf("%v: c is known after %v at most, and knows a after %v", algo, known, knows)
		if known > 2*time.Second || knows > 5*time.Second {
			t.Errorf("%v: known after %v, knows after %v", algo, known, knows)
		}
	}
}

// If signing stops to work, the chain runs out: the node goes on unsigned and
// says so. Those who know it refuse it for as long as they knew it; when it
// signs again all is well.
func TestIdentityChainExhausted(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		w := newWorld(t, 13)
		w.jobTime = 20 * time.Millisecond
		set := func(c *Config) { c.Algo, c.OrigInterval = algo, 100*time.Millisecond }
		a, b := w.signed("a", set), w.signed("b", set)
		w.link(a, 0, b, 0, 0)
		w.run(5 * time.Second)
		w.jobTime = -1 // the next chain is not announced yet
		w.run(55 * time.Second)
		if !b.verified(a) {
			t.Errorf("%v: after 600 OGMs shown is %q", algo, b.identity(a.primary()))
		}
		w.run(20 * time.Second)
		if b.identity(a.primary()) != "stripped" || b.m.drops[dropStripped] == 0 {
			t.Errorf("%v: after 800 OGMs shown is %q", algo, b.identity(a.primary()))
		}
		told := 0
		for _, e := range a.evs {
			if e.Kind == EventIdentity && e.Orig == a.primary() {
				told++
			}
		}
		if told != 1 {
			t.Errorf("%v: it was told %d times", algo, told)
		}
		w.jobTime = 20 * time.Millisecond
		w.until(30*time.Second, "signed again", func() bool { return b.m.id.known.Node(w.now, a.primary()) != nil && a.m.id.self.Ready(a.primary()) })
		w.run(10 * time.Second)
		before := b.m.drops
		w.run(70 * time.Second)
		if !b.verified(a) || b.m.drops[dropStripped]+b.m.drops[dropForged]+b.m.drops[dropUnchecked] != before[dropStripped]+before[dropForged]+before[dropUnchecked] {
			t.Errorf("%v: signing again, shown is %q, drops %s", algo, b.identity(a.primary()), b.dropsOf())
		}
	}
}

// What a node says about itself arrives, with its certificates if they are
// asked for; over a stock node too.
func TestIdentitySelf(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		w := newWorld(t, 17)
		w.jobTime = 20 * time.Millisecond
		set := func(c *Config) { c.Algo = algo }
		a, stock, b := w.signed("a", set), w.node("stock", set), w.signed("b", set)
		w.link(a, 0, stock, 0, 0)
		w.link(stock, 0, b, 0, 0)
		w.until(15*time.Second, "verified", func() bool { return a.verified(b) })
		w.run(5 * time.Second)
		a.changes = nil
		certs := [][]byte{[]byte("certificate of b"), []byte("certificate of who signed it")}
		b.m.SetSelf(w.now, Self{Uplink: true, Clock: 1764113000, Member: [8]byte{7}, Certs: certs}, &b.out)
		b.drain()
		w.run(5 * time.Second)
		if n := len(a.changes); n == 0 || !a.changes[n-1].Uplink || a.changes[n-1].Member != [8]byte{7} || a.changes[n-1].Certs != nil {
			t.Fatalf("%v: told was %+v", algo, a.changes)
		}
		a.changes = nil
		for range 10 { // once a second
			a.m.AskRecord(w.now, b.primary(), &a.out)
			a.drain()
		}
		w.run(500 * time.Millisecond)
		if len(a.changes) != 1 || len(a.changes[0].Certs) != 2 || string(a.changes[0].Certs[1]) != string(certs[1]) || !a.changes[0].Reachable {
			t.Errorf("%v: told was %+v", algo, a.changes)
		}
		w.cut(a, 0, stock, 0)
		w.run(250 * time.Second)
		if n := a.changes[len(a.changes)-1]; n.Reachable || n.IP.String() != b.ip() {
			t.Errorf("%v: told in the end was %+v", algo, n)
		}
		if d := a.dropsOf() + b.dropsOf(); d != "" {
			t.Errorf("%v: drops %s", algo, d)
		}
	}
}
