package rig

// Edge is a pair of radios that hear each other, by index.
type Edge struct{ A, B int }

// Grid joins w times h radios, numbered row by row, to their neighbours on the
// left, right, above and below.
func Grid(w, h int) (edges []Edge) {
	for i := range w * h {
		if i%w+1 < w {
			edges = append(edges, Edge{i, i + 1})
		}
		if i+w < w*h {
			edges = append(edges, Edge{i, i + w})
		}
	}
	return edges
}

// Line joins n radios in a row.
func Line(n int) []Edge { return Grid(n, 1) }

// Ring joins n radios, at least 3, in a circle.
func Ring(n int) []Edge { return append(Line(n), Edge{0, n - 1}) }

// Full lets n radios hear each other all.
func Full(n int) (edges []Edge) {
	for i := range n {
		for j := i + 1; j < n; j++ {
			edges = append(edges, Edge{i, j})
		}
	}
	return edges
}

// Lay makes the links of a shape between the radios that have joined; loss is
// asked for each direction.
func (a *Air) Lay(edges []Edge, loss func(from, to int) float64) {
	radios := a.Radios()
	for _, e := range edges {
		a.Link(radios[e.A], radios[e.B], loss(e.A, e.B), loss(e.B, e.A))
	}
}

// Same is a loss function: p everywhere.
func Same(p float64) func(from, to int) float64 { return func(int, int) float64 { return p } }
