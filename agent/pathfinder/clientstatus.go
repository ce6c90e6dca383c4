package pathfinder

import "time"

// SupernodeInfo is what is known of a supernode.
type SupernodeInfo struct {
	Node
	Configured, Up bool
	RTT            time.Duration
}

// Each calls f for every supernode that is known, the preferred ones first.
func (c *Client) Each(f func(s SupernodeInfo)) {
	for _, s := range c.list {
		f(SupernodeInfo{s.Node, s.wanted, s.up, s.rtt})
	}
}

// Others returns the configured supernodes that are up, ourselves left out.
func (c *Client) Others() (list []Node) {
	for _, s := range c.list {
		if s.wanted && s.up && s.IP != c.selfIP {
			list = append(list, s.Node)
		}
	}
	return list
}

// Len returns the number of supernodes that are known, ourselves left out.
func (c *Client) Len() (n int) {
	for _, s := range c.list {
		if s.IP != c.selfIP {
			n++
		}
	}
	return n
}

// Asks returns the number of questions without an answer.
func (c *Client) Asks() int { return len(c.asks) }

// Announced returns how many of our links the active supernode holds.
func (c *Client) Announced() (n int) {
	for _, e := range sortedEntities(c.told) {
		if c.told[e].peer.Label != 0 {
			n++
		}
	}
	return n
}
