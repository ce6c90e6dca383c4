package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// limit is how long anything may take before the demo gives up: a minute less
// the time to build the network and to take it away.
const limit = 50 * time.Second

const (
	pings = 10
	tries = 3
)

// plan bounds a check.
type plan struct {
	limit   time.Duration
	abreast int // how many pairs ping at the same time
}

// spinePlan is for the five agents of the spine.
var spinePlan = plan{limit: limit, abreast: 5}

// pair is one ordered pair and what became of its pings.
type pair struct {
	from, to *rig.Host
	res      rig.PingResult
	err      error
	tries    int
}

func (p pair) ok() bool { return p.res.Received == pings }

// String is the line that the check prints, without the failure's reason.
func (p pair) String() string {
	return fmt.Sprintf("%s -> %s %d/%d %.0f%% loss rtt %.2f ms", p.from.Node.Name, p.to.Node.Name,
		p.res.Received, pings, p.res.Loss(), float64(p.res.Mean())/float64(time.Millisecond))
}

// orderedPairs lists every host with every other.
func orderedPairs(hosts []*rig.Host) (pairs []pair) {
	for _, a := range hosts {
		for _, b := range hosts {
			if a != b {
				pairs = append(pairs, pair{from: a, to: b})
			}
		}
	}
	return pairs
}

// checkPairs pings every ordered pair, prints the result and returns the exit
// status. also, if not nil, is one more thing that has to be right.
func checkPairs(hosts []*rig.Host, p plan, also func() error) (status int) {
	ctx, cancel := context.WithTimeout(context.Background(), p.limit)
	defer cancel()
	pairs := orderedPairs(hosts)
	settle(ctx, pairs, p.limit/3)
	slots := make(chan struct{}, p.abreast)
	var wg sync.WaitGroup
	for i := range pairs {
		slots <- struct{}{}
		wg.Go(func() {
			pairs[i].try(ctx)
			<-slots
		})
	}
	wg.Wait()
	failed := map[*rig.Host]bool{}
	for _, p := range pairs {
		fmt.Println(p)
		if !p.ok() {
			failed[p.from], failed[p.to] = true, true
			fmt.Printf("   failed in %d tries: %v\n", p.tries, p.why())
		}
	}
	if also != nil && len(failed) == 0 {
		if err := also(); err != nil {
			fmt.Println("demo: failed:", err)
			return 1
		}
	}
	if len(failed) == 0 {
		fmt.Println("demo: ok")
		return 0
	}
	for _, h := range hosts {
		if failed[h] {
			explain(h)
		}
	}
	fmt.Println("demo: failed: not every pair of nodes pings over the overlay")
	return 1
}

// settle waits until one ping of each pair came back, at most d: a network that
// has just started is still looking for its paths.
func settle(ctx context.Context, pairs []pair, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for _, p := range pairs {
		for ctx.Err() == nil {
			res, _ := p.from.Node.Ping(ctx, p.to.IP(), rig.PingOpts{Wait: 300 * time.Millisecond})
			if res.Received == 1 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// try pings until all pings of one run come back.
func (p *pair) try(ctx context.Context) {
	for p.tries = 1; ; p.tries++ {
		p.res, p.err = p.from.Node.Ping(ctx, p.to.IP(), rig.PingOpts{Count: pings})
		if p.ok() || p.tries == tries || ctx.Err() != nil {
			return
		}
	}
}

// why says what is known of a failed run.
func (p pair) why() error {
	if p.err != nil {
		return p.err
	}
	return fmt.Errorf("%d pings lost", p.res.Sent-p.res.Received)
}

// explain shows what a host knows about its trouble.
func explain(h *rig.Host) {
	peers, err := h.Peers()
	fmt.Fprintf(os.Stderr, "\n%s (%s): running: %v\n", h.Node.Name, h.IP(), h.Proc.Alive())
	if err != nil {
		fmt.Fprintln(os.Stderr, "  no answer on its socket:", err)
	}
	for _, p := range peers {
		fmt.Fprintf(os.Stderr, "  peer %s %s %s\n", p.LLAddr, p.State, p.Key)
	}
	fmt.Fprintln(os.Stderr, h.Proc.Tail(15))
}
