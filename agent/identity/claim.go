package identity

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// claim is a node's claim of an address.
type claim struct {
	node   *Node
	chains [2]follow // in use, and the other one
	links  [2]link

	begun   bool      // an OGM of it was taken since it is believed
	heard   bool      // an element came
	since   mono.Time // when it was first heard
	lastNew mono.Time // when it last sent an element that was new
}

// claimOf returns the index of the claim by a; -1 if there is none.
func (p *Peer) claimOf(a *cjdns.VerifyKey) int {
	for i := range p.claims {
		if p.claims[i].node.A.SameNode(*a) {
			return i
		}
	}
	return -1
}

// protect is how long c's address is protected after its last element.
func (c *claim) protect() time.Duration {
	return min(max(c.lastNew.Sub(c.since), protectMin), protectTimes*time.Duration(c.node.life())*time.Second)
}

// addPoint makes n claim the address of p, and follow its chain. clash: the
// address has another key already.
func (t *Table) addPoint(now mono.Time, n *Node, pt *Point) (clash bool) {
	p := t.peers[pt.MAC]
	if p == nil {
		if !t.room(now) {
			return false
		}
		p = &Peer{MAC: pt.MAC, made: now}
		t.peers[pt.MAC] = p
		t.list = append(t.list, p)
	}
	i := p.claimOf(&n.A)
	switch {
	case i >= 0:
		if old := p.claims[i].node; old != n { // the same key under another primary address
			if !n.Newer(&old.Record) {
				return false
			}
			t.unclaim(old)
			p.claims[i].node = n
			n.points++
		}
	case len(p.claims) < 2:
		p.claims = append(p.claims, claim{node: n})
		i = len(p.claims) - 1
		n.points++
		clash = i > 0
	default:
		other := 1 - p.cur
		if c := &p.claims[other]; c.heard && now.Sub(c.lastNew) < staleSecond {
			return true
		}
		t.unclaim(p.claims[other].node)
		p.claims[other] = claim{node: n}
		i, clash = other, true
		n.points++
	}
	p.claims[i].point(pt)
	return clash
}

// point goes on, or begins, with a chain.
func (c *claim) point(pt *Point) {
	for i := range c.chains {
		if f := &c.chains[i]; f.have && f.id == pt.Chain {
			switch ahead := int32(pt.Seqno-f.newest) > 0; {
			case ahead && f.started():
				f.jump(pt)
			case ahead:
				*f = newFollow(pt)
			}
			return
		}
	}
	i := 0
	if c.chains[0].have {
		i = 1
	}
	c.chains[i], c.links[i] = newFollow(pt), newLink(&c.node.A, pt.MAC, pt.Chain)
}

// unclaim notes that a claim of n is gone.
func (t *Table) unclaim(n *Node) {
	if n.points--; n.points == 0 {
		delete(t.nodes, keyOf(n.A, n.MAC()))
	}
}

// forgetChains makes n's chains begin anew.
func (t *Table) forgetChains(n *Node) {
	for i := range n.Points[:n.N] {
		if p := t.peers[n.Points[i].MAC]; p != nil {
			for j := range p.claims {
				if c := &p.claims[j]; c.node == n {
					c.chains, c.begun = [2]follow{}, false
				}
			}
		}
	}
}

// dropClaims takes n's claims of addresses away that r does not name.
func (t *Table) dropClaims(n *Node, r *Record) {
	for _, p := range t.list {
		if r.has(p.MAC) {
			continue
		}
		for i := len(p.claims) - 1; i >= 0; i-- {
			if p.claims[i].node == n {
				p.claims = slices.Delete(p.claims, i, i+1)
				p.cur = 0
				t.unclaim(n)
			}
		}
	}
	t.sweep()
}

// sweep removes addresses that nobody claims.
func (t *Table) sweep() {
	t.list = slices.DeleteFunc(t.list, func(p *Peer) bool {
		if len(p.claims) == 0 {
			delete(t.peers, p.MAC)
		}
		return len(p.claims) == 0
	})
}
