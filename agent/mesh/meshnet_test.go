package mesh

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
)

// net is a world of honest nodes whose links and nodes come and go by chance,
// and that watches for forwarding loops.
type net struct {
	*world
	interval time.Duration
	x, y     []int // positions, in thousandths of the side of a square
	ports    map[batman.MAC]wport
	looping  map[*wnode]time.Duration // how long a destination has had a loop
	worst    time.Duration
	worstTo  string
}

// newNet makes n nodes at random places, of which every third has a second
// interface on which it meets others alike. reach is how far they hear.
func newNet(t *testing.T, seed uint64, n, reach int, algo Algo) *net {
	g := &net{world: newWorld(t, seed), interval: 200 * time.Millisecond, ports: map[batman.MAC]wport{}, looping: map[*wnode]time.Duration{}}
	for i := range n {
		k := g.node(fmt.Sprint("n", i), func(c *Config) { c.OrigInterval, c.Algo = g.interval, algo })
		g.x, g.y = append(g.x, g.rng.IntN(1000)), append(g.y, g.rng.IntN(1000))
		g.second(k)
		for j := range 2 {
			g.ports[hardMAC(k.id, j)] = wport{k, j}
		}
	}
	for i := range n {
		for j := range i {
			if g.distance(i, j) <= reach*reach {
				g.join(i, j)
			}
		}
	}
	for i := 1; i < n; i++ { // nobody is alone
		g.join(i, g.rng.IntN(i))
	}
	return g
}

func (g *net) second(k *wnode) {
	if k.id%3 == 0 {
		k.iface(1, func(c *IfaceConfig) { c.Wifi = k.id%2 == 0 })
	}
}

func (g *net) distance(i, j int) int {
	dx, dy := g.x[i]-g.x[j], g.y[i]-g.y[j]
	return dx*dx + dy*dy
}

// join links two nodes with a loss of its own in each direction, on the second
// interface if both have one, at times on both.
func (g *net) join(i, j int) {
	a, b := g.nodes[i], g.nodes[j]
	first, second := true, a.id%3 == 0 && b.id%3 == 0
	if second {
		first = g.rng.IntN(2) == 0
	}
	for iface, use := range []bool{first, second} {
		if use {
			base := g.rng.IntN(4) * 80
			g.oneway(a, iface, b, iface, base+g.rng.IntN(60))
			g.oneway(b, iface, a, iface, base+g.rng.IntN(60))
		}
	}
}

// chance does one thing to the net.
func (g *net) chance() {
	i, j := g.rng.IntN(len(g.nodes)), g.rng.IntN(len(g.nodes))
	g.disturb(g.rng.IntN(disturbances), i, j)
}

// disturbances is the number of things that disturb can do.
const disturbances = 7

func (g *net) disturb(what, i, j int) {
	k := g.nodes[i]
	switch what {
	case 0, 1:
		if i != j {
			g.join(i, j)
		}
	case 2, 3:
		for iface := range 2 {
			g.cut(k, iface, g.nodes[j], iface)
		}
	case 4: // the program restarts
		k.boot(k.m.Seqnos())
		g.second(k)
	case 5: // the machine reboots and knows nothing any more
		k.boot(Seqnos{})
		g.second(k)
	case 6: // it is out of reach: ways to it become old and stay
		for _, other := range g.nodes {
			for iface := range 2 {
				g.cut(k, iface, other, iface)
			}
		}
	}
}

// watch lets d pass in small steps and notes how long loops live.
func (g *net) watch(d time.Duration) {
	step := g.interval / 4
	for end := g.now.Add(d); g.now < end; {
		g.run(step)
		for _, to := range g.nodes {
			if !g.loopTo(to) {
				g.looping[to] = 0
				continue
			}
			g.looping[to] += step
			if g.looping[to] > g.worst {
				g.worst, g.worstTo = g.looping[to], to.name
			}
		}
	}
}

// connected marks the nodes that can reach a node at all: over links on which
// both sides hear each other.
func (g *net) connected(to *wnode) map[*wnode]bool {
	seen, todo := map[*wnode]bool{to: true}, []*wnode{to}
	for len(todo) > 0 {
		k := todo[0]
		todo = todo[1:]
		for _, other := range g.nodes {
			for iface := range 2 {
				there, back := [2]wport{{k, iface}, {other, iface}}, [2]wport{{other, iface}, {k, iface}}
				if !seen[other] && g.links[there] != nil && g.links[back] != nil {
					seen[other], todo = true, append(todo, other)
				}
			}
		}
	}
	return seen
}

// loopTo reports whether a packet to a node, from one that is connected with
// it, comes to a node twice by the same interface. The first hop uses the table
// for local packets, the others that of the interface by which it came. (If
// nothing is heard of a node any more, the tables stay as they were, also a
// loop: that is what forwardUnicast's hop limit is for.)
func (g *net) loopTo(to *wnode) bool {
	dest := hardMAC(to.id, 0)
	connected := map[*wnode]bool(nil)
	for _, from := range g.nodes {
		at, in := from, rx{}
		for hops := 0; at != to; hops++ {
			if hops > 2*len(g.nodes) {
				if connected == nil {
					connected = g.connected(to)
				}
				if connected[from] {
					return true
				}
				break
			}
			o := at.m.originator(dest)
			if o == nil {
				break
			}
			n := at.m.router(o, nil)
			if in.hi != nil {
				n = at.m.transitHop(o, in)
			}
			if n == nil {
				break
			}
			p := g.ports[n.MAC]
			if p.iface >= len(p.node.m.ifaces) {
				break
			}
			at, in = p.node, rx{hi: p.node.m.ifaces[p.iface], src: n.hi.MAC}
		}
	}
	return false
}

// reaches counts the pairs that have a route, of all.
func (g *net) reaches() (have, all int) {
	for _, a := range g.nodes {
		for _, b := range g.nodes {
			if a != b {
				all++
				if a.next(b) != "" {
					have++
				}
			}
		}
	}
	return have, all
}

// Random nets with losses in each direction, delays that reorder frames, cuts,
// new links, restarts and reboots: no forwarding loop outlives six intervals.
// LOOP_RUNS in the environment adds as many nets for each algorithm.
func TestNoLoops(t *testing.T) {
	type nets struct{ nodes, reach, seeds, steps int }
	plan := []nets{{10, 350, 10, 20}, {20, 300, 3, 12}, {40, 220, 1, 8}}
	if more, err := strconv.Atoi(os.Getenv("LOOP_RUNS")); err == nil {
		plan = append(plan, nets{12, 400, more, 15})
	}
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		worst, have, all := time.Duration(0), 0, 0
		for _, c := range plan {
			for seed := range uint64(c.seeds) {
				g := newNet(t, 1000*uint64(c.nodes)+seed, c.nodes, c.reach, algo)
				if seed%2 == 1 {
					g.delay = 15 * time.Millisecond
				}
				g.watch(2 * time.Second)
				for range c.steps {
					g.chance()
					g.watch(time.Second)
				}
				worst = max(worst, g.worst)
				h, a := g.reaches()
				have, all = have+h, all+a
				if g.worst > 6*g.interval {
					t.Errorf("%v, %d nodes, seed %d: a loop to %s lived %v, more than six intervals", algo, c.nodes, seed, g.worstTo, g.worst)
				}
			}
		}
		t.Logf("%v: the longest loop lived %v, of %v allowed; %d of %d pairs have a route", algo, worst, 1200*time.Millisecond, have, all)
		if have < all*8/10 {
			t.Errorf("%v: only %d of %d pairs have a route", algo, have, all)
		}
	}
}
