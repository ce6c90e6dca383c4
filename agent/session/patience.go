package session

import "time"

// Patience learns how long the other end takes to answer, and says when its
// silence is suspicious. The zero value has learnt nothing.
//
// The estimate is that of TCP's retransmission timer: a smoothed mean and a
// smoothed deviation. Source: RFC 6298, section 2.
type Patience struct {
	mean, dev time.Duration // mean 0: nothing learnt
}

// Bounds of patience. The lower one is more than a packet that is queued or a
// radio that repeats needs; the upper one holds too for whoever never answers
// by itself.
const (
	leastPatience = 250 * time.Millisecond
	MostPatience  = 600 * time.Millisecond
)

// Answered tells that an answer took d.
func (p *Patience) Answered(d time.Duration) {
	d = max(1, min(d, 10*time.Second))
	if p.mean == 0 {
		p.mean, p.dev = d, d/2
		return
	}
	p.dev += (max(d-p.mean, p.mean-d) - p.dev) / 4
	p.mean += (d - p.mean) / 8
	p.mean = max(p.mean, 1)
}

// Limit returns the silence after which something is wrong. Where answers are
// slow or come irregularly it is MostPatience.
func (p *Patience) Limit() time.Duration {
	if p.mean == 0 {
		return MostPatience
	}
	return min(MostPatience, max(leastPatience, p.mean+4*p.dev+100*time.Millisecond))
}
