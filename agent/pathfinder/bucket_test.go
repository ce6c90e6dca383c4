package pathfinder

import (
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

func TestBuckets(t *testing.T) {
	f := newFinder()
	for b := range 64 {
		ip := within(f.selfIP, b, f.cfg.Rand)
		if got := bucketOf(f.selfIP, ip); got != b || !ip.Valid() {
			t.Errorf("bucket %d: %v lies in %d", b, ip, got)
		}
	}
	for _, b := range []int{72, 100, 127} { // these differ in the other half
		if got := bucketOf(f.selfIP, within(f.selfIP, b, f.cfg.Rand)); got != b {
			t.Errorf("bucket %d: lies in %d", b, got)
		}
	}
}

func TestFairest(t *testing.T) {
	for _, c := range []struct {
		name        string
		list, taken []cjdns.Label
		want        int
	}{
		{"nothing", nil, nil, -1},
		{"the first of all", []cjdns.Label{0x153, 0x13}, nil, 0},
		{"another direction", []cjdns.Label{0x153, 0x173, 0x15}, []cjdns.Label{0x193}, 2},
		{"a third may be there already", []cjdns.Label{0x153, 0x15}, []cjdns.Label{0x193, 0x17, 0x19}, 0},
		{"another fork further on", []cjdns.Label{0x1553, 0x1753, 0x173}, []cjdns.Label{0x1953, 0x1b53}, 2},
		{"all in one direction", []cjdns.Label{0x153, 0x173}, []cjdns.Label{0x153}, 1},
		{"the same slot in a wider form", []cjdns.Label{0x15, 0x17}, []cjdns.Label{1<<7 | 1<<2 | 2}, 1},
	} {
		if got := fairest(c.list, c.taken); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// Whoever makes up nodes behind one place gets half of a bucket, even if all of
// them answer and lie nearest, and what was only named gets none before those
// that have answered.
func TestPlacesAreShared(t *testing.T) {
	f, out := newFinder(), new(Out)
	f.PeerUp(0, node(1, 0x13), out)
	f.PeerUp(0, node(2, 0x15), out)
	inBucket := func(i uint64) bool { return bucketOf(f.selfIP, key(i).IP()) == 0 }
	made, honest := 0, 0
	for i := uint64(100); made < 60; i++ {
		if inBucket(i) { // right behind the first peer, all of them in slots of their own
			d, bits := cjdns.PortDirector(uint16(made%200+3), 0)
			f.Heard(1, node(i, cjdns.Splice(cjdns.Label(d)|1<<bits, 0x13)))
			made++
		}
	}
	var labels = []cjdns.Label{0x19975, 0x1b975, 0x19b75, 0x1bb75}
	for i := uint64(1000); honest < len(labels); i++ {
		if inBucket(i) {
			f.Heard(1, node(i, labels[honest]))
			honest++
		}
	}
	named := key(3000)
	for i := uint64(3000); !inBucket(i); i++ {
		named = key(i + 1)
	}
	f.learn(1, Node{named, named.IP(), 20, 0x195})
	f.place(2)
	count := map[bool]int{}
	for _, e := range f.nodes {
		if e.placed && e.peer == 0 && bucketOf(f.selfIP, e.ip) == 0 {
			count[cjdns.RoutesThrough(e.best(2).Label, 0x13)]++
			if e.key == named {
				t.Error("a rumour has a place, and nodes that have answered have none")
			}
		}
	}
	if count[true] > bucketPlaces/nearShare || count[false] < len(labels)-1 {
		t.Errorf("%d places for inventions, %d for others", count[true], count[false])
	}
	// A flood of rumours does not push out who has a place.
	placed := map[cjdns.IP]bool{}
	for _, e := range f.nodes {
		placed[e.ip] = e.placed && e.answered()
	}
	for i := range 3000 {
		k := cjdns.Key{0: byte(i), 1: byte(i >> 8), 5: 77}
		f.learn(mono.Time(i)*mono.Time(ms), Node{k, k.IP(), 20, 0x153})
	}
	for ip, was := range placed {
		if was && f.nodes[ip] == nil {
			t.Error("a node with a place was forgotten")
		}
	}
	if f.Len() > MaxNodes+2 {
		t.Errorf("%d nodes", f.Len())
	}
}
