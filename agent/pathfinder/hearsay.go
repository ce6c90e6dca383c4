package pathfinder

import (
	"slices"
	"sort"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// How a node that knows no supernode, and whose peers know none, finds one: it
// asks nodes of the table, one in each step of upkeep that would look for
// others. The question is a message with q=sn; the answer lists what the other
// end uses, as n and np. Stock nodes answer a question that they do not know
// like a ping.
//
// That is worth little: whoever is asked may lie. So two must name the same
// one, and their ways must part at our own switch, if we have more than one
// peer, or at least somewhere. Nobody passes on what he has from hearsay, to
// peers either, so a lie steers only those who ask the liar himself. Only one is
// known by hearsay at a time, and it gives way to whatever a peer names.
const (
	querySnode   = "sn"
	maxWitnessed = 8 // names with one witness
	maxSnodes    = 2 // in one answer
	witnessTime  = 30 * time.Minute
)

// testimony is what one node says.
type testimony struct {
	snode   Node
	witness cjdns.Label
	at      mono.Time
}

// Find says whether supernodes may be used of which neither the configuration
// nor a peer has told. Without it those that are known by hearsay are left.
func (c *Client) Find(now mono.Time, yes bool) {
	if c.find = yes; !yes {
		c.dropHearsay(now)
	}
}

// dropHearsay leaves the supernodes that are known by hearsay only.
func (c *Client) dropHearsay(now mono.Time) {
	c.testimonies = nil
	before := len(c.list)
	c.list = slices.DeleteFunc(c.list, func(s *snode) bool { return s.hearsay })
	if len(c.list) != before {
		c.elect(now)
	}
}

// seeks reports whether the table should be asked for a supernode.
func (c *Client) seeks() bool {
	return c.find && c.active == nil && len(c.wanted) == 0 && len(c.list) == 0
}

// uses lists the supernodes that others may be told of.
func (c *Client) uses() (list []Node) {
	for _, s := range c.list {
		if s.up && !s.hearsay && len(list) < maxSnodes {
			list = append(list, s.Node)
		}
	}
	return list
}

// Public returns the supernode in use, if peers may be told of it.
func (c *Client) Public() (Node, bool) {
	if c.active == nil || c.active.hearsay {
		return Node{}, false
	}
	return c.active.Node, true
}

// testified takes a supernode that the node at the label witness says it uses.
func (c *Client) testified(now mono.Time, witness cjdns.Label, n Node, out *Out) {
	switch {
	case !c.seeks():
		return
	case n.Version < oldestSnode:
		c.Drops.Version++
		return
	case !c.usable(n.Label):
		c.Drops.Label++
		return
	}
	c.testimonies = slices.DeleteFunc(c.testimonies, func(t testimony) bool { return now.Sub(t.at) > witnessTime })
	second := slices.ContainsFunc(c.testimonies, func(t testimony) bool {
		return t.snode.IP == n.IP && c.independent(t.witness, witness)
	})
	if !second {
		if len(c.testimonies) >= maxWitnessed {
			c.testimonies = slices.Delete(c.testimonies, 0, 1)
		}
		c.testimonies = append(c.testimonies, testimony{n, witness, now})
		return
	}
	if s := c.add(n, now); s != nil {
		s.hearsay = true
		c.confirm(now, s, out)
	}
}

// testified takes what the node that was asked p says.
func (f *Finder) testified(now mono.Time, p *pending, back cjdns.Label, from Node, ref cjdns.NodeRef, out *Out) {
	n := Node{ref.Key, ref.Key.IP(), ref.Version, p.label}
	if ref.Label > cjdns.SelfLabel {
		n.Label = onward(p.label, back, ref.Label)
	} else if n.IP != from.IP {
		return
	}
	if f.client != nil {
		f.client.testified(now, p.label, n, out)
	}
}

// independent reports whether two witnesses lie in directions that one liar
// does not cover.
func (c *Client) independent(a, b cjdns.Label) bool {
	if len(c.links) > 1 {
		return firstHop(a) != firstHop(b)
	}
	return a != b && !cjdns.RoutesThrough(a, b) && !cjdns.RoutesThrough(b, a)
}

// askSnode asks a node of the table which supernode it uses, each in turn and
// in all directions. It reports false if there is nobody.
func (f *Finder) askSnode(now mono.Time, out *Out) bool {
	u := &f.upkeep
	var list []Node
	for ip, e := range f.nodes {
		n, ok := f.Path(now, ip)
		if ok && e.placed && e.answered() && e.peer == 0 && !slices.Contains(u.polled, n.Label) {
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		u.polled = nil
		return false
	}
	sort.Slice(list, func(i, j int) bool { return compareDistance(list[i].IP, list[j].IP, f.selfIP) < 0 })
	labels := make([]cjdns.Label, len(list))
	for i := range list {
		labels[i] = list[i].Label
	}
	n := list[fairest(labels, u.polled)]
	if u.polled = append(u.polled, n.Label); len(u.polled) > 2*bucketPlaces {
		u.polled = slices.Delete(u.polled, 0, 1)
	}
	return f.ask(now, n, querySnode, nil, out) != nil
}

// tellSnodes lists the supernodes that we use, for an asker.
func (f *Finder) tellSnodes(asker Node) (list []cjdns.NodeRef) {
	if f.client == nil {
		return nil
	}
	for _, n := range f.client.uses() {
		if n.Label > cjdns.SelfLabel && cjdns.RoutesThrough(n.Label, asker.Label) {
			continue // the asker is nearer to it
		}
		if n.Label != cjdns.SelfLabel {
			n.Label = forAsker(n.Label, asker.Label)
		}
		list = append(list, cjdns.NodeRef{Key: n.Key, Label: n.Label, Version: n.Version})
	}
	return list
}
