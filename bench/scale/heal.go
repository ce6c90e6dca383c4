package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// crossing is how many pairs are watched when a link is cut.
const crossing = 8

// heal cuts links that are not needed to reach everybody, one after the
// other, and measures from the cut on until pairs that used it answer again.
// Before a cut each of them is pinged for a while, so that the ways are in
// use. It returns the median and the worst.
func (w *world) heal(o options) (typical, worst string, err error) {
	r := rand.New(rand.NewPCG(o.seed, 2))
	var times []time.Duration
	cuts := 0
	for _, link := range r.Perm(len(w.graph.links)) {
		if cuts == o.cuts {
			break
		}
		if w.graph.bridge(link) {
			continue
		}
		cuts++
		t, err := w.healOne(link, o.patience)
		if err != nil {
			return "", "", err
		}
		times = append(times, t...)
	}
	if len(times) == 0 {
		return "-", "-", nil
	}
	slices.Sort(times)
	return fmt.Sprintf("%.2f", times[len(times)/2].Seconds()), fmt.Sprintf("%.2f", times[len(times)-1].Seconds()), nil
}

func (w *world) healOne(link int, patience time.Duration) ([]time.Duration, error) {
	pairs := w.users(link)
	if len(pairs) == 0 {
		w.say("nobody uses link %d", link)
		return nil, nil
	}
	// warm: the ways are in use.
	for range 20 {
		for _, p := range pairs {
			w.ping(p[0], p[1], time.Second)
		}
		time.Sleep(200 * time.Millisecond)
	}
	w.cut(link, true)
	cut := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var times []time.Duration
	for _, p := range pairs {
		wg.Go(func() {
			for time.Since(cut) < patience {
				if _, ok := w.ping(p[0], p[1], 250*time.Millisecond); ok {
					mu.Lock()
					times = append(times, time.Since(cut))
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	w.cut(link, false)
	if len(times) < len(pairs) {
		return nil, fmt.Errorf("%d of %d pairs are not there %v after link %d was cut", len(pairs)-len(times), len(pairs), patience, link)
	}
	l := w.graph.links[link]
	w.say("cut n%d-n%d: %d pairs, %v", l[0], l[1], len(pairs), times)
	time.Sleep(3 * time.Second)
	return times, nil
}

// users returns pairs whose way crosses a link.
func (w *world) users(link int) (pairs [][2]int) {
	switches := w.switches()
	a, b := w.hosts[w.graph.links[link][0]], w.hosts[w.graph.links[link][1]]
	for from := range w.hosts {
		near, cut := w.graph.hops(from, -1), w.graph.hops(from, link)
		for to := range w.hosts {
			if from == to || near[to] > maxHops || cut[to] > maxHops || len(pairs) == crossing {
				continue
			}
			label, ok := w.ping(from, to, time.Second)
			if !ok {
				continue
			}
			at := w.hosts[from]
			way, _ := switches.Follow(at, label)
			for _, next := range way {
				if at == a && next == b || at == b && next == a {
					pairs = append(pairs, [2]int{from, to})
					break
				}
				at = next
			}
		}
	}
	return pairs
}
