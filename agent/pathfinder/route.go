package pathfinder

import "github.com/meshagent/meshagent/agent/cjdns"

// seeker is the working memory of searches in a graph, so that they allocate
// nothing once it has grown.
type seeker struct {
	turn  uint32 // marks what belongs to the present search
	sides [2]side
	path  []int32
	label []cjdns.Label
}

// side is one half of a search, which goes from both ends at once.
type side struct {
	mark []uint32 // the turn in which a node was reached
	cost []uint32
	via  []int32 // the node before it; -1 for the end
	heap []reached
}

// reached is a node at a known cost. Among equals the lower index comes first.
type reached struct {
	cost uint32
	node int32
}

func (a reached) before(b reached) bool {
	return a.cost < b.cost || a.cost == b.cost && a.node < b.node
}

func (s *side) begin(n int, turn uint32, end int32) {
	if len(s.mark) < n {
		s.mark, s.cost, s.via = make([]uint32, n), make([]uint32, n), make([]int32, n)
	}
	s.heap = s.heap[:0]
	s.set(turn, end, 0, -1)
}

// set notes that node costs so much, coming from via.
func (s *side) set(turn uint32, node int32, cost uint32, via int32) {
	s.mark[node], s.cost[node], s.via[node] = turn, cost, via
	s.heap = append(s.heap, reached{cost, node})
	for i := len(s.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !s.heap[i].before(s.heap[up]) {
			break
		}
		s.heap[i], s.heap[up] = s.heap[up], s.heap[i]
		i = up
	}
}

// pop takes the cheapest out of the heap.
func (s *side) pop() reached {
	top := s.heap[0]
	last := len(s.heap) - 1
	s.heap[0] = s.heap[last]
	s.heap = s.heap[:last]
	for i := 0; ; {
		low := i
		for _, k := range [...]int{2*i + 1, 2*i + 2} {
			if k < last && s.heap[k].before(s.heap[low]) {
				low = k
			}
		}
		if low == i {
			return top
		}
		s.heap[i], s.heap[low] = s.heap[low], s.heap[i]
		i = low
	}
}

// byBits asks shortest for the shortest label instead of the best links.
const byBits = true

// maxWayCost is the cost at which a way counts as none, in sixteenths of a
// millisecond: more than that of the worst link for each bit of a label. Sums
// of two stay far below 1<<32: a cost that began again at 0 would make the
// way to a node lead in a circle.
const maxWayCost = 1 << 28

// shortest returns the nodes on the best path from one node to another, ends
// included; nil if there is none. It goes from both ends, and stops when
// nothing better can come. The result is good until the next search.
func (g *graph) shortest(from, to int32, bits bool) []int32 {
	s := &g.seek
	if from == to {
		return append(s.path[:0], from)
	}
	if s.turn++; s.turn == 0 {
		s.sides = [2]side{} // marks of four billion searches ago
		s.turn++
	}
	most := uint32(maxWayCost)
	if bits {
		most = cjdns.MaxLabelLen
	}
	n := len(g.start) - 1
	s.sides[0].begin(n, s.turn, from)
	s.sides[1].begin(n, s.turn, to)
	best, meet := ^uint32(0), int32(-1)
	for {
		f, b := s.sides[0].heap, s.sides[1].heap
		if len(f) == 0 || len(b) == 0 || f[0].cost+b[0].cost >= best {
			break
		}
		dir := 0
		if b[0].cost < f[0].cost {
			dir = 1
		}
		me, other := &s.sides[dir], &s.sides[1-dir]
		at := me.pop()
		if at.cost > me.cost[at.node] {
			continue // reached more cheaply since
		}
		for i := g.start[at.node]; i < g.start[at.node+1]; i++ {
			h := &g.hops[i]
			c := h.cost
			if dir == 1 {
				c = h.back
			}
			if bits {
				c = uint32(cjdns.Label(h.label).Len())
			}
			if c += at.cost; c > most || me.mark[h.to] == s.turn && me.cost[h.to] <= c {
				continue
			}
			me.set(s.turn, h.to, c, at.node)
			if other.mark[h.to] == s.turn && c+other.cost[h.to] < best {
				best, meet = c+other.cost[h.to], h.to
			}
		}
	}
	if meet < 0 {
		return nil
	}
	s.path = s.path[:0]
	for v := meet; v >= 0; v = s.sides[0].via[v] {
		s.path = append(s.path, v)
	}
	for i, k := 0, len(s.path)-1; i < k; i, k = i+1, k-1 {
		s.path[i], s.path[k] = s.path[k], s.path[i]
	}
	for v := s.sides[1].via[meet]; v >= 0; v = s.sides[1].via[v] {
		s.path = append(s.path, v)
	}
	return s.path
}

// labelOf returns the label of a path of nodes. At each node a frame that came
// in on a slot with a wide number cannot leave by a narrow director, so the
// next hop is written in the form in which the last one arrives, if that is
// wider. LabelInvalid: it is too long, or cannot be written.
func (g *graph) labelOf(path []int32) cjdns.Label {
	s := &g.seek
	s.label = s.label[:0]
	form := 0
	for i := 1; i < len(path); i++ {
		h := g.between(path[i-1], path[i])
		if h == nil {
			return cjdns.LabelInvalid
		}
		scheme, l := g.all[path[i-1]].scheme, cjdns.Label(h.label)
		if scheme.FormOf(l) < form {
			if l = cjdns.ConvertLabel(scheme, l, form); l == cjdns.LabelInvalid {
				return l
			}
		}
		s.label, form = append(s.label, l), int(h.form)
	}
	label := cjdns.SelfLabel
	for i := len(s.label) - 1; i >= 0; i-- {
		if label = cjdns.Splice(label, s.label[i]); label == cjdns.LabelInvalid {
			return label
		}
	}
	return label
}

// route returns the label from one node to another; LabelInvalid if there is
// no way, or none whose label is short enough. Two nodes with a link between
// them get that link: they know it better than we do.
func (g *graph) route(from, to int32) cjdns.Label {
	n := int32(len(g.start) - 1)
	if from >= n || to >= n {
		return cjdns.LabelInvalid // newer than the compiled form
	}
	if h := g.between(from, to); h != nil {
		return cjdns.Label(h.label)
	}
	for _, bits := range [...]bool{!byBits, byBits} {
		path := g.shortest(from, to, bits)
		if path == nil {
			break
		}
		if l := g.labelOf(path); l != cjdns.LabelInvalid {
			return l
		}
	}
	return cjdns.LabelInvalid
}
