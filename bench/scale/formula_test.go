package main

import (
	"math"
	"testing"
	"time"
)

// Lengths by hand, from the layouts in docs/protocol.
func TestLengths(t *testing.T) {
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"a frame on a cable up to the switch header", hopLen, 14 + 28 + 20 + 12},
		{"with a session in it", sessionLen, hopLen + 4 + 20 + 4},
		{"a session more", beginLen, 2*96 + 2*sessionLen},
		{"8 bytes of target more, and a digit of their number", message("fn", 16, 0) - message("gp", 8, 0), 9},
		{"a node more in an answer", message("", 0, 8) - message("", 0, 7), 40 + 1},
		{"state of a link: 23 bytes and one of padding", len(announcement(2)) - len(announcement(1)), 24},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.what, c.got, c.want)
		}
	}
}

// What grows with what.
func TestRest(t *testing.T) {
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 0.01*want {
			t.Errorf("%s: %.2f, want %.2f", what, got, want)
		}
	}
	const age = time.Hour
	two, four, far := rest(2, 3, -1, age), rest(4, 3, -1, age), rest(2, 6, -1, age)
	near("pings of two peers: 98 bytes to each in 3.072 s", two.keep, 2*98/3.072)
	near("pings of four", four.keep, 2*two.keep)
	near("questions to peers: each end asks and answers", two.links, 2*float64(message("gp", 8, 0)+message("", 0, 2))/80)
	near("upkeep at twice the distance", far.upkeep, 2*two.upkeep)
	near("upkeep: 66 questions an hour", two.upkeep, 66/3600.*3*(float64(message("fn", 16, 0)+message("", 0, 8))+beginLen/2))
	near("the same after seven minutes: 119", rest(2, 3, -1, 7*time.Minute).upkeep, two.upkeep*(50+480/7.)/66)
	near("a supernode twice as far away", rest(2, 3, 4, age).snode-rest(2, 3, 2, age).snode, rest(2, 3, 2, age).snode-rest(2, 3, 0, age).snode)
	g, err := draw("ring", 20, 1)
	if err != nil {
		t.Fatal(err)
	}
	near("a ring of 20: two peers, 100 links to 19 nodes", g.predict(nil, age).sum(), rest(2, 100/19., -1, age).sum())
}
