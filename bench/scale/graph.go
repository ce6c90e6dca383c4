package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// graph is a network on paper: n nodes and the cables between them.
type graph struct {
	n     int
	links [][2]int
}

// draw makes a chain, a ring, or a random graph with four cables a node on
// average: a ring through all nodes in a random order, which keeps it in one
// piece, and as many more at random.
func draw(shape string, n int, seed uint64) (g graph, err error) {
	g.n = n
	switch shape {
	case "chain", "ring":
		for i := 1; i < n; i++ {
			g.links = append(g.links, [2]int{i - 1, i})
		}
		if shape == "ring" {
			g.links = append(g.links, [2]int{n - 1, 0})
		}
	case "random":
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		order := r.Perm(n)
		for i := range order {
			g.links = append(g.links, [2]int{order[i], order[(i+1)%n]})
		}
		for want := min(2*n, n*(n-1)/2); len(g.links) < want; {
			if a, b := r.IntN(n), r.IntN(n); a != b && !g.has(a, b) {
				g.links = append(g.links, [2]int{a, b})
			}
		}
	default:
		return g, fmt.Errorf("-shapes: %q is none of chain, ring, random", shape)
	}
	return g, nil
}

func (g graph) has(a, b int) bool {
	return slices.Contains(g.links, [2]int{a, b}) || slices.Contains(g.links, [2]int{b, a})
}

// hops returns the least number of links from a node to each, without the
// link cut (-1: none is); -1 for those that cannot be reached.
func (g graph) hops(from, cut int) []int {
	dist := slices.Repeat([]int{-1}, g.n)
	dist[from] = 0
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		for i, l := range g.links {
			for _, e := range [2][2]int{l, {l[1], l[0]}} {
				if i != cut && e[0] == queue[0] && dist[e[1]] < 0 {
					dist[e[1]] = dist[queue[0]] + 1
					queue = append(queue, e[1])
				}
			}
		}
	}
	return dist
}

// diameter is the greatest distance of two nodes.
func (g graph) diameter() (d int) {
	for i := range g.n {
		d = max(d, slices.Max(g.hops(i, -1)))
	}
	return d
}

// pairs says how many ordered pairs there are that labels can reach, of all.
func (g graph) pairs() string {
	var near int
	for i := range g.n {
		for _, d := range g.hops(i, -1) {
			if d > 0 && d <= maxHops {
				near++
			}
		}
	}
	return fmt.Sprintf("%d/%d", near, g.n*(g.n-1))
}

// bridge reports whether the network falls apart without link i.
func (g graph) bridge(i int) bool { return slices.Min(g.hops(0, i)) < 0 }
