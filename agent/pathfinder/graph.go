package pathfinder

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds of the graph. A node with four links takes 1.2 KiB, and the bytes of
// what it has announced since: BenchmarkGraphMemory.
const (
	MaxGraphNodes = 16384
	MaxGraphLinks = 1 << 17 // announced, of all nodes
	maxNodeLinks  = 257     // of one node: slots of a switch
	maxGraphBytes = 32 << 20
	// The share of one node: more of it is not kept once all together are at
	// a limit.
	fairBytes     = maxGraphBytes / MaxGraphNodes
	fairLinks     = MaxGraphLinks / MaxGraphNodes
	maxSchemes    = 16 // different encoding schemes
	compileEvery  = time.Second
	strangerFresh = time.Minute // a node without links to ours stays as long as this
)

// vertex is a node that has announced itself.
type vertex struct {
	key     cjdns.Key
	ip      cjdns.IP
	signer  cjdns.VerifyKey
	version uint32
	scheme  cjdns.EncodingScheme // nil: not announced
	log     stateLog
	snode   cjdns.IP // to whom the announcements in log went
	heard   mono.Time
	links   []inward
	index   int32 // in graph.all
	// linked: there is a way from us to it. gone: it is forgotten, and stays
	// in graph.all until that is compiled again, because hops name its index.
	linked, gone bool
	pace         pace
}

// inward is a link as the node at its far end announces it: peer reaches that
// node by label.
type inward struct {
	peer  cjdns.IP
	label uint32
	num   uint16
	form  uint8 // of the far end's own label back to peer
	quality
}

// hop is a link that both ends announce.
type hop struct {
	to    int32
	cost  uint32
	back  uint32 // cost of the other direction
	label uint32 // from the near end to the far one
	form  uint8  // in which frames along it arrive there
}

// graph is what all nodes have announced. Labels and costs belong to
// directions; a link counts only if both ends announce it, so that nobody can
// invent a link to somebody else.
//
// Source: cjdns-route-server.
type graph struct {
	byIP    map[cjdns.IP]*vertex
	all     []*vertex
	links   int // announced
	bytes   int // of announcements
	schemes map[string]cjdns.EncodingScheme

	stale bool
	next  mono.Time // when it may be compiled again
	start []int32   // of each node's hops; one more than there are nodes
	hops  []hop
	count []int32 // scratch
	seek  seeker
}

func newGraph() *graph {
	return &graph{byIP: make(map[cjdns.IP]*vertex), schemes: make(map[string]cjdns.EncodingScheme), start: []int32{0}}
}

// scheme returns the one copy of a scheme; nil if it is none, or too many
// different ones are known.
func (g *graph) scheme(raw []byte) cjdns.EncodingScheme {
	if s, ok := g.schemes[string(raw)]; ok {
		return s
	}
	s, err := cjdns.ParseScheme(raw)
	if err != nil || len(g.schemes) >= maxSchemes {
		return nil
	}
	g.schemes[string(raw)] = s
	return s
}

// add makes a node. It reports false if there is no room: a node without a
// way to us that was not heard of for a while gives way.
func (g *graph) add(now mono.Time, key cjdns.Key, signer cjdns.VerifyKey) (*vertex, bool) {
	if len(g.byIP) >= MaxGraphNodes || g.bytes >= maxGraphBytes || g.links >= MaxGraphLinks {
		var old *vertex
		for _, v := range g.all {
			if !v.linked && !v.gone && now.Sub(v.heard) >= strangerFresh && (old == nil || v.heard < old.heard) {
				old = v
			}
		}
		if old == nil {
			return nil, false
		}
		g.remove(old)
	}
	v := &vertex{key: key, ip: key.IP(), signer: signer, heard: now, index: int32(len(g.all))}
	g.all = append(g.all, v)
	g.byIP[v.ip] = v
	return v, true
}

// remove forgets v.
func (g *graph) remove(v *vertex) {
	delete(g.byIP, v.ip)
	g.links -= len(v.links)
	g.bytes -= v.log.size
	v.links, v.log, v.gone, g.stale = nil, stateLog{}, true, true
}

// apply takes an announcement of v, which has been checked. raw is kept.
func (g *graph) apply(now mono.Time, v *vertex, a *cjdns.Announcement, raw []byte) {
	v.heard, v.snode = now, a.Snode
	g.bytes -= v.log.size
	mostBytes := maxLog
	if g.bytes >= maxGraphBytes {
		mostBytes = fairBytes
	}
	v.log.add(a, raw, mostBytes)
	g.bytes += v.log.size
	if a.Version != 0 {
		v.version = uint32(a.Version)
	}
	if a.Scheme != nil {
		if s := g.scheme(a.Scheme); s != nil {
			v.scheme = s
		}
	}
	old := v.links
	g.links -= len(old)
	if a.Reset {
		v.links = nil
	}
	mostLinks := maxNodeLinks
	if g.links >= MaxGraphLinks {
		mostLinks = fairLinks
	}
	for i := range a.Peers {
		v.setLink(&a.Peers[i], old, mostLinks)
	}
	g.links += len(v.links)
	for i := range a.Links {
		for j := range v.links {
			if l := &v.links[j]; uint32(l.num) == a.Links[i].PeerNum {
				l.update(a.Links[i].Samples)
			}
		}
	}
	g.stale = true
}

// setLink takes one announced link of v. A link that stays what it was, among
// old, keeps its quality. A new one beyond most is not stored.
func (v *vertex) setLink(p *cjdns.AnnouncedPeer, old []inward, most int) {
	l := inward{peer: p.IP, label: p.Label, num: p.PeerNum, form: p.Form}
	for _, o := range old {
		if o.peer == l.peer && o.num == l.num && o.label == l.label {
			l.quality = o.quality
		}
	}
	at := slices.IndexFunc(v.links, func(o inward) bool { return o.num == l.num })
	switch {
	case l.label == 0 && at >= 0:
		v.links = slices.Delete(v.links, at, at+1)
	case l.label == 0 || at < 0 && len(v.links) >= most:
	case at >= 0:
		v.links[at] = l
	default:
		v.links = append(v.links, l)
	}
}

// fits reports whether l, announced by v, is one hop from u.
func (l *inward) fits(u, v *vertex) bool {
	form := u.scheme.FormOf(cjdns.Label(l.label))
	return u != v && form >= 0 && u.scheme[form].Width() == cjdns.Label(l.label).Len() && int(l.form) < len(v.scheme)
}

// compile makes the compiled form of what is announced, unless it is as new as
// it has to be.
func (g *graph) compile(now mono.Time, self cjdns.IP) {
	if !g.stale || now < g.next {
		return
	}
	g.stale, g.next = false, now.Add(compileEvery)
	g.all = slices.DeleteFunc(g.all, func(v *vertex) bool { return v.gone })
	n := len(g.all)
	for i, v := range g.all {
		v.index = int32(i)
	}
	g.start = append(g.start[:0], make([]int32, n+1)...)
	g.count = append(g.count[:0], make([]int32, n+1)...)
	each := func(f func(u, v *vertex, l *inward)) {
		for _, v := range g.all {
			for i := range v.links {
				if u := g.byIP[v.links[i].peer]; u != nil && v.links[i].fits(u, v) {
					f(u, v, &v.links[i])
				}
			}
		}
	}
	total := int32(0)
	each(func(u, _ *vertex, _ *inward) { g.start[u.index+1]++; total++ })
	for i := range n {
		g.start[i+1] += g.start[i]
	}
	g.hops = slices.Grow(g.hops[:0], int(total))[:total]
	each(func(u, v *vertex, l *inward) {
		g.hops[g.start[u.index]+g.count[u.index]] = hop{to: v.index, cost: l.cost(), label: l.label, form: l.form}
		g.count[u.index]++
	})
	g.pair()
	g.reach(self)
}

// pair keeps of the hops in g those that both ends announce, and of several
// between the same two the cheapest.
func (g *graph) pair() {
	n := len(g.start) - 1
	for u := range n {
		for i := g.start[u]; i < g.start[u+1]; i++ {
			h := &g.hops[i]
			for k := g.start[h.to]; k < g.start[h.to+1]; k++ {
				if b := &g.hops[k]; b.to == int32(u) && (h.back == 0 || b.cost < h.back) {
					h.back = b.cost
				}
			}
		}
	}
	kept := int32(0)
	for u := range n {
		first := kept
		from, to := g.start[u], g.start[u+1]
		g.start[u] = kept
	next:
		for _, h := range g.hops[from:to] {
			if h.back == 0 {
				continue // only one end says so
			}
			for k := first; k < kept; k++ {
				if g.hops[k].to == h.to {
					if h.cost < g.hops[k].cost {
						g.hops[k] = h
					}
					continue next
				}
			}
			g.hops[kept] = h
			kept++
		}
	}
	g.start[n] = kept
	g.hops = g.hops[:kept]
}

// reach notes which nodes there is a way to from self.
func (g *graph) reach(self cjdns.IP) {
	for _, v := range g.all {
		v.linked = false
	}
	s := g.byIP[self]
	if s == nil {
		return
	}
	s.linked = true
	queue := append(g.count[:0], s.index)
	for len(queue) > 0 {
		u := queue[0]
		queue = queue[1:]
		for _, h := range g.hops[g.start[u]:g.start[u+1]] {
			if v := g.all[h.to]; !v.linked {
				v.linked = true
				queue = append(queue, v.index)
			}
		}
	}
}

// between returns the hop from u to v, or nil.
func (g *graph) between(u, v int32) *hop {
	for i := g.start[u]; i < g.start[u+1]; i++ {
		if g.hops[i].to == v {
			return &g.hops[i]
		}
	}
	return nil
}

// expire forgets nodes whose announcements are too old at the time ms, which
// counts from 1970.
func (g *graph) expire(ms uint64) {
	for i := len(g.all) - 1; i >= 0; i-- {
		if v := g.all[i]; !v.gone && v.log.newest()+agreedMs < ms {
			g.remove(v)
		}
	}
}

// clear forgets what v has announced.
func (g *graph) clear(v *vertex) {
	g.bytes -= v.log.size
	g.links -= len(v.links)
	v.log, v.links = stateLog{}, nil
}
