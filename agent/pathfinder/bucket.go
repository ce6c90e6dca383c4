package pathfinder

import (
	"bytes"
	"math/bits"
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Buckets of the store: bucket b has the nodes whose distance from us begins
// with b zero bits, so half of all nodes are in bucket 0, a quarter in bucket
// 1, and the few nearest to us in the last ones. A bucket keeps some, whatever
// else is learned, so that every search finds somebody who knows more.
// Source: cjdns dht/dhtcore/NodeStore.c, which keeps 4 in each of 128.
const (
	numBuckets   = 128
	bucketPlaces = 8
	nearShare    = 2 // one place in so many is given by preference alone, see fairest
)

// bucketOf returns the bucket of a node.
func bucketOf(self, ip cjdns.IP) int {
	d := DistanceOf(self, ip)
	for i, b := range d {
		if b != 0 {
			return 8*i + bits.LeadingZeros8(b)
		}
	}
	return numBuckets - 1
}

// within returns a random address in bucket b of self.
func within(self cjdns.IP, b int, rand func([]byte)) (ip cjdns.IP) {
	rand(ip[:])
	for i := range ip {
		at := (i + 8) % 16 // in the order of distance
		switch {
		case i < b/8:
			ip[at] = self[at]
		case i == b/8:
			keep := byte(0xff) << (8 - b%8)
			flip := byte(0x80) >> (b % 8)
			ip[at] = self[at]&keep | ip[at]&^keep&^flip | ^self[at]&flip
		}
	}
	if b < 64 {
		ip[0] = self[0] // fc
	}
	return ip
}

// fairest returns which of list, labels in the order of preference, to take
// next, after those in taken: the first that does not lead where a third of
// those taken leads already. Nodes that somebody makes up are all behind him,
// however many they are and whatever their labels say behind that point; so at
// each fork of the ways he has no more than a third, as long as there is
// anybody else. The result is -1 if list is empty.
func fairest(list, taken []cjdns.Label) int {
	type branch struct {
		rest cjdns.Label
		at   int
	}
	if len(list) == 0 {
		return -1
	}
	cur, old := make([]branch, len(list)), slices.Clone(taken)
	for i, l := range list {
		cur[i] = branch{l, i}
	}
	for len(cur) > 1 && cur[0].rest > cjdns.SelfLabel {
		chosen, least := uint16(0), len(old)+1
		var seen [firstHops]bool
		for _, b := range cur {
			port := forkOf(b.rest)
			if seen[port] {
				continue
			}
			seen[port] = true
			n := 0
			for _, l := range old {
				if forkOf(l) == port {
					n++
				}
			}
			if n*3 <= len(old) {
				chosen = port
				break
			}
			if n < least {
				chosen, least = port, n
			}
		}
		cur = slices.DeleteFunc(cur, func(b branch) bool { return forkOf(b.rest) != chosen })
		old = slices.DeleteFunc(old, func(l cjdns.Label) bool { return forkOf(l) != chosen })
		for i := range cur {
			cur[i].rest = behind(cur[i].rest)
		}
		for i := range old {
			old[i] = behind(old[i])
		}
	}
	return cur[0].at
}

// forkOf returns the slot to which l leads next; that of the own router if it
// leads nowhere.
func forkOf(l cjdns.Label) uint16 {
	if l <= cjdns.SelfLabel {
		return 1
	}
	return firstHop(l)
}

// behind returns l without its first director.
func behind(l cjdns.Label) cjdns.Label {
	if l <= cjdns.SelfLabel {
		return cjdns.SelfLabel
	}
	return max(cjdns.SelfLabel, l>>cjdns.DirectorBits(l))
}

// place marks those nodes that have a place in their bucket. Half of the places
// go to the best: nodes that have answered before those that were only named,
// then short ways, as every step of a search adds to the way. The others are
// shared fairly between the directions that they lie in.
func (f *Finder) place(now mono.Time) {
	var in [numBuckets][]*entry
	last := 0
	for _, e := range f.nodes {
		if e.placed = false; e.best(now) != nil {
			b := bucketOf(f.selfIP, e.ip)
			in[b], last = append(in[b], e), max(last, b)
		}
	}
	for _, list := range in[:last+1] {
		slices.SortFunc(list, func(a, b *entry) int {
			if av, bv := a.answered(), b.answered(); av != bv {
				return order(av)
			}
			if al, bl := a.best(now).Label.Len(), b.best(now).Label.Len(); al != bl {
				return al - bl
			}
			return bytes.Compare(a.ip[:], b.ip[:])
		})
		share(now, list, bucketPlaces, func(e *entry) { e.placed = true })
	}
}

// share gives n places to nodes of list, which is in the order of preference:
// half to the first, the others fairly, to those that have answered before
// those that were only named.
func share(now mono.Time, list []*entry, n int, take func(*entry)) {
	var taken, labels []cjdns.Label
	give := func(e *entry) {
		taken = append(taken, e.best(now).Label)
		take(e)
	}
	first := min(len(list), n/nearShare)
	for _, e := range list[:first] {
		give(e)
	}
	list = slices.Clone(list[first:])
	for len(taken) < n && len(list) > 0 {
		proven := slices.ContainsFunc(list, (*entry).answered)
		labels = labels[:0]
		at := make([]int, 0, len(list))
		for i, e := range list {
			if e.answered() == proven {
				labels, at = append(labels, e.best(now).Label), append(at, i)
			}
		}
		i := at[fairest(labels, taken)]
		give(list[i])
		list = slices.Delete(list, i, i+1)
	}
}

// answered reports whether an answer came along one of its ways that has not
// failed since.
func (e *entry) answered() bool {
	return e.peer != 0 || slices.ContainsFunc(e.routes, func(r Route) bool { return r.Verified >= 0 })
}

// order is what a comparison returns for something that comes first, or not.
func order(first bool) int {
	if first {
		return -1
	}
	return 1
}
