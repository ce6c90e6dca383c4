package main

import (
	"context"
	"fmt"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// chainPlan bounds the check of a chain: two minutes less the time to build the
// network and to take it away.
var chainPlan = plan{limit: 110 * time.Second, abreast: 8}

// checkChain proves that every agent reaches every other, also after a link was
// cut and restored, and returns the exit status.
func checkChain(c *chain) (status int) {
	fmt.Printf("a chain of %d agents:\n%s\n", len(c.hosts), c.picture())
	start := time.Now()
	return checkPairs(c.hosts, chainPlan, func() error {
		if c.snode != nil {
			if err := c.served(chainPlan.limit - time.Since(start)); err != nil {
				return err
			}
			fmt.Printf("%s knows %d nodes and the links between them, and is the supernode of all\n", c.snode.Node.Name, len(c.hosts))
		}
		return c.heals(chainPlan.limit - time.Since(start))
	})
}

// heals cuts the link in the middle, and restores it.
func (c *chain) heals(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	middle := len(c.hosts)/2 - 1
	within, across := c.sides(middle)
	first, last := c.hosts[0], c.hosts[len(c.hosts)-1]
	c.cable(middle, "down")
	name := c.hosts[middle].Node.Name + "-" + c.hosts[middle+1].Node.Name
	if res, _ := first.Node.Ping(ctx, last.IP(), rig.PingOpts{Count: 3, Wait: 300 * time.Millisecond}); res.Received != 0 {
		return fmt.Errorf("%s is cut, and %s reaches %s still", name, first.Node.Name, last.Node.Name)
	}
	if bad := once(ctx, within); bad != nil {
		return fmt.Errorf("%s is cut, and on one side of it %w", name, bad)
	}
	fmt.Printf("%s is cut: no ping gets across, those on both sides do\n", name)
	begin := time.Now()
	c.cable(middle, "up")
	settle(ctx, []pair{{from: first, to: last}}, d)
	took := time.Since(begin)
	if bad := once(ctx, across); bad != nil {
		return fmt.Errorf("%s is restored, and %w", name, bad)
	}
	fmt.Printf("%s is restored: %s reaches %s after %.2f s, and all %d pairs across it ping\n",
		name, first.Node.Name, last.Node.Name, took.Seconds(), len(across))
	return nil
}

// once waits for one ping of every pair.
func once(ctx context.Context, pairs []pair) error {
	for _, p := range pairs {
		got := false
		for range 10 {
			res, _ := p.from.Node.Ping(ctx, p.to.IP(), rig.PingOpts{})
			if got = res.Received == 1; got {
				break
			}
		}
		if !got {
			return fmt.Errorf("%s does not reach %s", p.from.Node.Name, p.to.Node.Name)
		}
	}
	return nil
}
