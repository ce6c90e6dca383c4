package main

import "testing"

func TestGraphs(t *testing.T) {
	for _, c := range []struct {
		shape           string
		n               int
		links, diameter int
		bridge          bool
	}{
		{"chain", 5, 4, 4, true},
		{"ring", 6, 6, 3, false},
		{"random", 50, 100, 0, false},
		{"random", 4, 6, 1, false},
	} {
		g, err := draw(c.shape, c.n, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(g.links) != c.links || c.diameter != 0 && g.diameter() != c.diameter {
			t.Errorf("%s of %d: %d links, diameter %d", c.shape, c.n, len(g.links), g.diameter())
		}
		for i := range g.links {
			if g.bridge(i) != c.bridge {
				t.Errorf("%s of %d: link %d: bridge is %v", c.shape, c.n, i, g.bridge(i))
			}
		}
	}
	if _, err := draw("star", 5, 1); err == nil {
		t.Error("star: no error")
	}
}
