package pathfinder

import (
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// How the ways to a node in use are measured and compared. Pings of our own
// measure them, and nothing that others say: the round trip and the loss of a
// way are known for every way alike, whatever links it consists of.
const (
	probeUsed  = 2 * time.Second // between pings along the way in use
	probeOther = 4 * time.Second // between pings along each of the others
	probeWait  = 2 * time.Second // an answer that takes longer is lost
	freshTime  = 15 * time.Second
	fullLoss   = 1024 // unit of loss: all is lost
	// enough is how many answers a way must have had before it is taken
	// for the sake of its quality; a direct one needs only the first.
	enough = 3
	// A way must be this much quicker, beside the factors in Choose, to be
	// worth a change.
	worthTime  = 2 * time.Millisecond
	widenTime  = 30 * time.Second // between questions for other ways
	widenFirst = 5 * time.Second  // before the first one
)

// Measure is what is known of the quality of a way.
type Measure struct {
	RTT     time.Duration // smoothed; 0: nothing was measured
	Loss    uint16        // smoothed, of fullLoss
	Answers uint8         // up to 255
	At      mono.Time     // of the last answer
	probed  mono.Time     // when the last ping left; 0 never
}

// LossPermille returns the loss in thousandths.
func (m *Measure) LossPermille() int { return int(m.Loss) * 1000 / fullLoss }

// answered notes an answer that took d.
func (m *Measure) answered(now mono.Time, d time.Duration) {
	if m.Answers == 0 {
		m.RTT = d
	} else {
		m.RTT += (d - m.RTT) / 4
	}
	m.RTT = max(m.RTT, 1)
	m.Loss -= m.Loss / 8
	if m.Loss < 8 {
		m.Loss = 0
	}
	m.Answers, m.At = min(m.Answers, 254)+1, now
}

// missed notes a ping without an answer.
func (m *Measure) missed() { m.Loss += (fullLoss - m.Loss) / 8 }

// measured reports whether m says something about the present.
func (m *Measure) measured(now mono.Time) bool {
	return m.Answers > 0 && now.Sub(m.At) < freshTime
}

// cost is what ways are compared by: the round trip, raised by the loss. An
// eighth of all packets lost doubles it. A millisecond is added, so that ways
// with next to no delay are compared by their loss too.
func (m *Measure) cost() time.Duration {
	return (m.RTT + time.Millisecond) * time.Duration(fullLoss+8*int(m.Loss)) / fullLoss
}

// Routes returns the ways to ip as they are known, with their measures.
func (f *Finder) Routes(ip cjdns.IP) []Route {
	if e := f.nodes[ip]; e != nil {
		return e.routes
	}
	return nil
}

// route returns the way to ip along label, or nil.
func (f *Finder) route(ip cjdns.IP, label cjdns.Label) *Route {
	routes := f.Routes(ip)
	for i := range routes {
		if routes[i].Label == label {
			return &routes[i]
		}
	}
	return nil
}

// Probe measures the ways to n, which is in use along n.Label: it pings those
// that are due, as long as take allows. A single way is not measured, as
// there is nothing to choose. It reports whether a way was measured for the
// first time.
func (f *Finder) Probe(now mono.Time, n Node, take func() bool, out *Out) (first bool) {
	routes := f.Routes(n.IP)
	if len(routes) < 2 {
		return false
	}
	for i := range routes {
		r := &routes[i]
		pause := probeOther
		if r.Label == n.Label {
			pause = probeUsed
		}
		if r.probed == 0 && !r.Label.IsOneHop() {
			r.probed = max(now, 1) // a direct way is measured at once, others in time
		}
		if now < r.BadUntil || r.probed != 0 && now.Sub(r.probed) < pause {
			continue
		}
		if !take() {
			return first
		}
		first = first || r.probed == 0
		r.probed = max(now, 1)
		to := n
		to.Label = r.Label
		if p := f.ask(now, to, "pn", nil, out); p != nil {
			p.measures, p.until = true, now.Add(probeWait)
			out.Queries[len(out.Queries)-1].Measures = true
		}
	}
	return first
}

// Choose returns a way to ip that is clearly better than cur, which is in use
// and works. Both must have been measured lately, and the other must have
// answered since it failed, if it did. Beside being quicker by worthTime,
//
//   - a way costs at most 3/4 of the present one;
//   - but a direct one may cost up to 5/4 of one that leads through others,
//     and such a one at most 2/3 of a direct one.
func (f *Finder) Choose(now mono.Time, ip cjdns.IP, cur cjdns.Label) (cjdns.Label, bool) {
	have := f.route(ip, cur)
	if have == nil || !have.measured(now) {
		return 0, false
	}
	var best *Route
	for i, routes := 0, f.Routes(ip); i < len(routes); i++ {
		r := &routes[i]
		if r != have && now >= r.BadUntil && r.Verified >= 0 && r.measured(now) && r.beats(have) && (best == nil || r.cost() < best.cost()) {
			best = r
		}
	}
	if best == nil {
		return 0, false
	}
	return best.Label, true
}

// beats reports whether r is worth leaving have for.
func (r *Route) beats(have *Route) bool {
	rc, hc := r.cost(), have.cost()
	direct := r.Label.IsOneHop()
	switch {
	case direct && !have.Label.IsOneHop():
		return rc*4 <= hc*5
	case r.Answers < enough || rc+worthTime > hc:
		return false
	case !direct && have.Label.IsOneHop():
		return rc*3 <= hc*2
	}
	return rc*4 <= hc*3
}

// Alternatives pings all ways to n but n.Label at once, as long as take
// allows: the first that answers may take over.
func (f *Finder) Alternatives(now mono.Time, n Node, take func() bool, out *Out) {
	for _, r := range f.Routes(n.IP) {
		if r.Label == n.Label || !take() {
			continue
		}
		to := n
		to.Label = r.Label
		f.Ping(now, to, out)
	}
}

// Answered returns when ip last answered along label; -1 if it never did.
func (f *Finder) Answered(ip cjdns.IP, label cjdns.Label) mono.Time {
	if r := f.route(ip, label); r != nil {
		return r.Verified
	}
	return -1
}

// Widen asks a direct peer through which no way to ip is known for one, now
// and then, so that there is another when the one in use breaks. A supernode
// is asked as well: it may know a better one.
func (f *Finder) Widen(now mono.Time, ip cjdns.IP, out *Out) {
	e := f.nodes[ip]
	if e == nil || len(e.routes) == 0 || len(e.routes) >= maxRoutes || e.peer != 0 || now < e.nextWiden {
		return
	}
	if e.nextWiden == 0 { // not with all the others that begin now
		e.nextWiden = now.Add(f.jitter(widenFirst))
		return
	}
	e.nextWiden = now.Add(f.jitter(widenTime))
	if f.first != nil {
		f.first(now, ip, out)
	}
	for _, p := range f.peers {
		through := false
		for i := range e.routes {
			through = through || cjdns.RoutesThrough(e.routes[i].Label, p.Label)
		}
		if !through && (f.cfg.Skip == nil || !f.cfg.Skip(ip, p.IP)) {
			f.ask(now, p.Node, "fn", append([]byte(nil), ip[:]...), out)
			return
		}
	}
}
