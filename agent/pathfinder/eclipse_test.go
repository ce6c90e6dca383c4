package pathfinder

import (
	_ "embed"
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// sybilSeeds names 10,000 keys whose addresses lie in the sixteenth of all
// addresses in which that of key(1) lies. The first 8 bytes of each are a
// counter, the others zero; the counters ascend, and each is written as the
// difference to the one before, as an unsigned varint.
//
//go:embed testdata/sybils.bin
var sybilSeeds []byte

// eclipse is an attacker with many keys who sits in one place of the network.
type eclipse struct {
	at     *dhtNode
	target cjdns.IP
	keys   []cjdns.Key
	ips    []cjdns.IP
	index  map[cjdns.IP]int
	// near are his keys, the nearest to the target first.
	near []int
	// steals: he claims to know the way to the target, too.
	steals bool
	asked  int
}

func newEclipse(t *testing.T, at *dhtNode, target *dhtNode) *eclipse {
	e := &eclipse{at: at, target: target.ip, index: make(map[cjdns.IP]int)}
	c := uint64(0)
	for b := sybilSeeds; len(b) > 0; {
		d, n := binary.Uvarint(b)
		b, c = b[n:], c+d
		var k cjdns.Key
		binary.BigEndian.PutUint64(k[:], c)
		ip := k.IP()
		if !ip.Valid() || (ip[8]^e.target[8])>>4 != 0 {
			t.Fatalf("seed %d: %v", c, ip)
		}
		e.index[ip] = len(e.keys)
		e.near = append(e.near, len(e.keys))
		e.keys, e.ips = append(e.keys, k), append(e.ips, ip)
	}
	slices.SortFunc(e.near, func(a, b int) int { return compareDistance(e.ips[a], e.ips[b], e.target) })
	at.answer = e.answer
	return e
}

// code is the label from where he sits to his key i: whatever switches a label
// names behind that point are his invention, so he gives each key slots of its
// own.
func (e *eclipse) code(i int) cjdns.Label {
	d1, w1 := cjdns.PortDirector(uint16(40+i%200), 0)
	d2, w2 := cjdns.PortDirector(uint16(40+i/200), 0)
	return cjdns.Splice(cjdns.Label(d2)|1<<w2, cjdns.Label(d1)|1<<w1)
}

// who returns the key behind the rest of a label, or -1.
func (e *eclipse) who(rest cjdns.Label) int {
	p1, w1 := cjdns.PortOf(rest)
	p2, _ := cjdns.PortOf(rest >> w1)
	if i := int(p1) - 40 + 200*(int(p2)-40); p1 >= 40 && p2 >= 40 && i < len(e.keys) {
		return i
	}
	return -1
}

// answer answers in the name of the key that was asked: his keys are the ones
// nearest to whatever is searched.
func (e *eclipse) answer(from Node, rest cjdns.Label, m *cjdns.Message) *cjdns.Message {
	e.asked++
	reply := &cjdns.Message{Version: 22, TxID: slices.Clone(m.TxID)}
	self, prefix := -1, cjdns.SelfLabel
	if rest > cjdns.SelfLabel {
		if self = e.who(rest); self < 0 {
			return nil
		}
		e.at.key, e.at.ip = e.keys[self], e.ips[self]
		// So that the labels that he names lead on from where he sits.
		prefix = 0x153
		reply.Back = cjdns.Splice(from.Label, prefix)
	} else {
		e.at.key, e.at.ip = key(9999), key(9999).IP()
	}
	if m.Query != "fn" {
		return reply
	}
	first := 0
	if self >= 0 && cjdns.IP(m.Target) == e.target {
		first = e.asked * 5 % 64 // not the same to each question
	}
	for _, i := range e.near[first : first+maxListed] {
		if i != self {
			reply.Nodes = append(reply.Nodes, cjdns.NodeRef{Key: e.keys[i], Label: cjdns.Splice(e.code(i), prefix), Version: 22})
		}
	}
	if e.steals && cjdns.IP(m.Target) == e.target {
		reply.Nodes = append(reply.Nodes[:maxListed-2], cjdns.NodeRef{Key: key(1), Label: cjdns.Splice(e.code(e.asked%9000), prefix), Version: 22})
	}
	return reply
}

// contact lets n keys of his, the nearest to the target, speak to a node.
func (e *eclipse) contact(to *dhtNode, n int) {
	w := to.w
	for _, i := range e.near[:n] {
		back, ok := e.wayFrom(to, i)
		if !ok {
			return
		}
		from := Node{e.keys[i], e.ips[i], 22, back}
		to.f.Heard(w.now, from)
		to.f.HandleMessage(w.now, from, &cjdns.Message{Version: 22, Query: "pn", TxID: []byte("0x")}, &to.out)
	}
	to.drain()
}

// wayFrom returns the label by which a node sees the key i.
func (e *eclipse) wayFrom(n *dhtNode, i int) (cjdns.Label, bool) {
	type step struct {
		n *dhtNode
		l cjdns.Label
	}
	seen := map[*dhtNode]bool{n: true}
	for todo := []step{{n, cjdns.SelfLabel}}; len(todo) > 0; todo = todo[1:] {
		s := todo[0]
		if s.n == e.at {
			l := cjdns.Splice(e.code(i), s.l)
			return l, l != cjdns.LabelInvalid && l.Len() <= maxLabelLen
		}
		for p := uint16(0); p < 40; p++ {
			if l, ok := s.n.links[p]; ok && !seen[l.to] {
				seen[l.to] = true
				todo = append(todo, step{l.to, cjdns.Splice(s.n.label(p), s.l)})
			}
		}
	}
	return 0, false
}

// Somebody who sits in one place, with three links, has 10,000 keys near to
// one address: many times nearer than any honest node. They answer, name each
// other, and speak to the nodes near to the target. Searches find it all the
// same, as long as a few honest nodes near to it know it. ECLIPSE=all runs the
// milder cases, too.
func TestEclipse(t *testing.T) {
	const honest = 100
	for _, c := range []struct {
		name    string
		attack  bool
		steals  bool
		contact int
		knows   int // honest nodes near to the target that know it
		least   int // of 100
		always  bool
	}{
		{name: "nobody attacks", knows: 8, least: 100},
		{name: "answers", attack: true, knows: 8, least: 95},
		{name: "and speaks to those near by", attack: true, contact: 500, knows: 8, least: 95},
		{name: "and names false ways", attack: true, contact: 500, steals: true, knows: 8, least: 90, always: true},
		{name: "four know it", attack: true, contact: 500, knows: 4, least: 95},
		{name: "two know it", attack: true, contact: 500, knows: 2, least: 90},
		{name: "one knows it", attack: true, contact: 500, knows: 1, least: 90, always: true},
	} {
		if !c.always && os.Getenv("ECLIPSE") == "" {
			continue // a minute with the race detector, each
		}
		t.Run(c.name, func(t *testing.T) {
			w := newDHTWorld(t, 7, honest)
			w.mesh(4)
			target := w.all[0]
			var e *eclipse
			if c.attack {
				at := w.add(key(9999))
				e = newEclipse(t, at, target)
				e.steals = c.steals
				for _, i := range []int{10, 40, 70} {
					w.join(w.all[i], at)
				}
			}
			near := slices.Clone(w.all[1:honest])
			slices.SortFunc(near, func(a, b *dhtNode) int { return compareDistance(a.ip, b.ip, target.ip) })
			w.run(2 * time.Minute)
			if c.contact > 0 {
				for _, n := range near[:8] {
					e.contact(n, c.contact)
				}
				w.run(30 * time.Second)
			}
			for i, n := range near {
				if n.f.entryOf(target.ip).peer != 0 {
					continue
				}
				if i >= c.knows {
					delete(n.f.nodes, target.ip)
				} else if !n.f.entryOf(target.ip).answered() {
					t.Logf("the %d. nearest has lost it", i+1)
				}
			}
			found, asked := 0, 0
			var sum time.Duration
			tried := 0
			for i := range 100 {
				n := near[8+(i*7)%(len(near)-8)]
				for n.f.entryOf(target.ip).peer != 0 {
					n = near[len(near)-1-w.rng.IntN(40)]
				}
				before, begin := n.f.Asked, w.now
				if took := w.find(n, target); took >= 0 {
					found++
				}
				sum += w.now.Sub(begin)
				asked += int(n.f.Asked - before)
				tried++
				delete(n.f.nodes, target.ip) // so that it helps no other
			}
			t.Logf("%d of %d found, %d questions, %v each", found, tried, asked/tried, (sum / time.Duration(tried)).Round(time.Millisecond))
			if found*100 < c.least*tried {
				t.Errorf("fewer than %d of 100", c.least)
			}
			for _, n := range w.all[:honest] {
				if n.f.Len() > MaxNodes+len(n.f.peers) {
					t.Errorf("%d knows %d nodes", n.index, n.f.Len())
				}
			}
		})
	}
}
