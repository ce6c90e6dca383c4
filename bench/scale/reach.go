package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/hw/rig"
)

// pingWait bounds one ping of those that look whether a pair is there.
const pingWait = 2 * time.Second

// maxHops is how many hops fit into a label: 59 bits, and 4 of them for a hop
// through one of the first seven slots of a switch.
const maxHops = 14

// window is how many nodes an agent looks for at a time.
const window = 8

// reachAll lets each agent ping each other until it answers, and returns when
// half of the ordered pairs and when all of them had, from the first start on.
// Pairs for which no label is long enough are left out.
func (w *world) reachAll(patience time.Duration) (half, all time.Duration, err error) {
	var mu sync.Mutex
	var times []time.Duration
	end := w.began.Add(patience)
	err = w.each(func(from int) error {
		todo := make(chan int)
		go func() {
			for to, hops := range w.graph.hops(from, -1) {
				if hops > 0 && hops <= maxHops {
					todo <- to
				}
			}
			close(todo)
		}()
		var wg sync.WaitGroup
		missed := -1
		for range window {
			wg.Go(func() {
				for to := range todo {
					ok := false
					for !ok && time.Now().Before(end) {
						_, ok = w.ping(from, to, pingWait)
					}
					mu.Lock()
					if ok {
						times = append(times, time.Since(w.began))
					} else {
						missed = to
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if missed >= 0 {
			return fmt.Errorf("after %v n%d does not reach n%d", patience, from, missed)
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	slices.Sort(times)
	return times[len(times)/2], times[len(times)-1], nil
}

// stretch compares the ways in use with the shortest: the mean of the ratios
// over all pairs, and the most links that a way has more than it need have.
func (w *world) stretch() (mean float64, longest int, err error) {
	switches := w.switches()
	var sum float64
	var pairs int
	var mu sync.Mutex
	err = w.each(func(from int) error {
		best := w.graph.hops(from, -1)
		for to := range w.hosts {
			if to == from || best[to] > maxHops {
				continue
			}
			var label cjdns.Label
			if !rig.Until(10*pingWait, 0, func() (done bool) { label, done = w.ping(from, to, pingWait); return done }) {
				return fmt.Errorf("n%d does not reach n%d any more", from, to)
			}
			way, ok := switches.Follow(w.hosts[from], label)
			if !ok || len(way) == 0 || way[len(way)-1] != w.hosts[to] {
				continue // a cable was moved meanwhile
			}
			mu.Lock()
			sum += float64(len(way)) / float64(best[to])
			pairs++
			longest = max(longest, len(way)-best[to])
			mu.Unlock()
		}
		return nil
	})
	if pairs == 0 {
		return 0, 0, err
	}
	return sum / float64(pairs), longest, err
}

// switches asks all nodes for their peers.
func (w *world) switches() rig.Switches {
	var mu sync.Mutex
	all := make(map[*rig.Host]rig.Status, len(w.hosts))
	_ = w.each(func(i int) error {
		st, err := w.hosts[i].Status() // one that does not answer has no peers
		mu.Lock()
		all[w.hosts[i]] = st
		mu.Unlock()
		return err
	})
	return rig.SwitchesOf(w.hosts, all)
}
