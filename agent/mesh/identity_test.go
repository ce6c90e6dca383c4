package mesh

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// wjob is a signature on its way.
type wjob struct {
	at mono.Time
	j  *identity.Job
}

// testKey returns the key of a node: the n-th that hashes into fc00::/8.
func testKey(n int) *cjdns.SigningKey {
	for len(testKeys) <= n {
		for {
			testSeed++
			var p cjdns.PrivateKey
			binary.BigEndian.PutUint64(p[:], testSeed)
			k := cjdns.NewSigningKey(p)
			if key, err := cjdns.KeyFromSigning(k.Public()); err == nil && key.IP().Valid() {
				testKeys = append(testKeys, k)
				break
			}
		}
	}
	return testKeys[n]
}

var (
	testKeys []*cjdns.SigningKey
	testSeed uint64
)

// signed adds a node with an identity.
func (w *world) signed(name string, set func(*Config)) *wnode {
	n := w.node(name, func(c *Config) {
		c.RequireSigned = SignOverlay
		if set != nil {
			set(c)
		}
	})
	n.key = testKey(n.id)
	n.boot(Seqnos{})
	return n
}

func (n *wnode) drainIdentity() {
	for _, j := range n.out.Jobs {
		if n.w.jobTime >= 0 {
			n.jobs = append(n.jobs, wjob{n.w.now.Add(n.w.jobTime), j})
		}
	}
	for _, b := range n.out.Overlay.Bufs {
		n.overlay = append(n.overlay, batman.MAC(b.Addr.MAC()).String()+" "+string(b.Bytes()))
		n.w.pool.Put(b)
	}
	n.changes = append(n.changes, n.out.Nodes...)
	n.out.Overlay.Reset()
	n.out.Jobs, n.out.Nodes = n.out.Jobs[:0], n.out.Nodes[:0]
}

func (n *wnode) jobDue() mono.Time {
	at := mono.Never
	for _, j := range n.jobs {
		at = mono.Min(at, j.at)
	}
	return at
}

func (n *wnode) runJobs() {
	for i := 0; i < len(n.jobs); i++ {
		if j := n.jobs[i]; j.at <= n.w.now {
			n.jobs = append(n.jobs[:i:i], n.jobs[i+1:]...)
			i--
			j.j.Run(n.key, func(b []byte) { clear(b) })
			n.m.JobDone(n.w.now, j.j, &n.out)
			n.drain()
		}
	}
}

// primary is the address of the node in the mesh.
func (n *wnode) primary() batman.MAC { return hardMAC(n.id, 0) }

func (n *wnode) ip() string {
	k, _ := cjdns.KeyFromSigning(n.key.Public())
	return k.IP().String()
}

// identity is what n shows of an originator.
func (n *wnode) identity(mac batman.MAC) string {
	for _, o := range n.m.Status(n.w.now).Originators {
		if o.MAC == mac && o.Best {
			return o.Identity
		}
	}
	return ""
}

// verified reports whether n shows to's address.
func (n *wnode) verified(to *wnode) bool { return n.identity(to.primary()) == to.ip() }

// dropsOf returns the drops of all reasons that have to do with identities.
func (n *wnode) dropsOf() string {
	s := ""
	for r := dropForged; r <= dropUnsigned; r++ {
		if n.m.drops[r] > 0 {
			s += fmt.Sprintf("%s %d ", dropNames[r], n.m.drops[r])
		}
	}
	return s
}

// Agents find out about each other, over a stock node as well.
func TestIdentityWorld(t *testing.T) {
	for _, algo := range []Algo{BatmanIV, BatmanV} {
		t.Run(algo.String(), func(t *testing.T) {
			w := newWorld(t, 1)
			w.jobTime = 20 * time.Millisecond
			set := func(c *Config) { c.Algo = algo }
			a, s, b := w.signed("a", set), w.node("s", set), w.signed("b", set)
			w.link(a, 0, s, 0, 100)
			w.link(s, 0, b, 0, 100)
			d := w.until(10*time.Second, "a and b verified", func() bool { return a.verified(b) && b.verified(a) })
			t.Logf("verified after %v", d)
			if a.identity(s.primary()) != "-" {
				t.Errorf("the stock node shows as %q", a.identity(s.primary()))
			}
			w.run(5 * time.Second)
			p := w.pool.Get()
			p.Set([]byte("frame"))
			p.Addr = pkt.MACAddr(b.primary())
			a.m.SendOverlay(w.now, p, &a.out)
			a.drain()
			w.run(10 * time.Millisecond)
			if len(b.overlay) != 1 || b.overlay[0] != a.primary().String()+" frame" {
				t.Errorf("overlay frames %q", b.overlay)
			}
			w.run(2 * time.Minute)
			if !a.verified(b) || !b.verified(a) {
				t.Errorf("after two minutes: %q, %q", a.identity(b.primary()), b.identity(a.primary()))
			}
			for _, n := range []*wnode{a, b} {
				if d := n.dropsOf(); d != "" {
					t.Errorf("%s drops %s", n.name, d)
				}
				t.Logf("%s: %d changes, checked %d, hashes %d", n.name, len(n.changes), n.m.stats.idChecked, n.m.stats.idHashes)
			}
			if len(a.changes) == 0 || a.changes[0].IP.String() != b.ip() || !a.changes[0].Reachable {
				t.Errorf("changes %+v", a.changes)
			}
		})
	}
}

// The metric of a new node grows with its OGMs: what is told is never far from
// what it is, also while both are small.
func TestMetricIsToldFromTheFirst(t *testing.T) {
	for _, loss := range []int{0, 200, 400} {
		w := newWorld(t, 2)
		w.jobTime = 20 * time.Millisecond
		a, b := w.signed("a", nil), w.signed("b", nil)
		w.link(a, 0, b, 0, loss)
		w.until(30*time.Second, "b is told", func() bool { return len(a.changes) > 0 && a.changes[0].Reachable })
		for range 30 {
			w.run(time.Second)
			is := int(a.m.metric255(a.m.originator(b.primary())))
			w.run(1100 * time.Millisecond) // a tick tells it
			if told := int(a.changes[len(a.changes)-1].Metric); is > told && (is >= 2*told && told < 2*metricStep || is >= told+metricStep) {
				t.Errorf("%d thousandths lost: told %d, it was %d", loss, told, is)
			}
		}
		metrics := []uint8{}
		for _, c := range a.changes {
			metrics = append(metrics, c.Metric)
		}
		t.Logf("%d thousandths lost: %d", loss, metrics)
	}
}
