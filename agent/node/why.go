package node

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pathfinder"
	"github.com/meshagent/meshagent/agent/session"
)

// Why returns how packets for ip travel, and what else is known about the way
// there. It changes nothing, and allocates.
func (n *Node) Why(now mono.Time, ip cjdns.IP) *Why {
	w := &Why{IP: ip.String(), State: "none", Ways: []WayStatus{}, Hops: []HopStatus{}, Tried: []string{}, ChangedMs: -1}
	if ip == n.self.IP {
		w.State, w.PublicKey = "self", n.self.Public.String()
		return w
	}
	key, _, _ := n.finder.Known(ip)
	for _, p := range n.peers {
		if p.ip == ip {
			key, w.Name = p.key, p.title()
		}
	}
	label := cjdns.Label(0)
	if best, ok := n.finder.Path(now, ip); ok {
		w.State, label = "idle", best.Label
	}
	if s := n.sessions.ByIP(ip); s != nil && s.Path != 0 {
		w.State, label, key = "session", s.Path, s.Key
		n.whySession(now, w, s)
	} else {
		w.Tried = n.whyTried(now, ip, label != 0)
	}
	if !key.IsZero() {
		w.PublicKey = key.String()
	}
	n.whyWays(now, w, ip, label)
	if label != 0 {
		w.Label, w.Hops = label.String(), n.whyHops(label, ip)
	}
	return w
}

func (n *Node) whySession(now mono.Time, w *Why, s *session.Session) {
	w.Session = s.CA.State().String()
	w.Cause, w.Changes = s.Why.Cause(), s.Changes
	if silent := now.Sub(mono.Min(s.Asking, now)); silent >= sessionAnswer {
		w.SilentMs = silent.Milliseconds()
	}
	if s.Changes == 0 {
		return
	}
	w.ChangedMs, w.Was = msSince(now, s.Changed), s.Was.String()
	w.CostMicros, w.WasCostMicros = s.Cost.Microseconds(), s.WasCost.Microseconds()
}

// whyWays lists the ways to ip of which label is used, or would be.
func (n *Node) whyWays(now mono.Time, w *Why, ip cjdns.IP, label cjdns.Label) {
	for _, r := range n.finder.Routes(ip) {
		way := WayStatus{
			Label: r.Label.String(), Source: r.Source.String(), State: "standby", Hops: len(Hops(r.Label)),
			RTTMicros: r.RTT.Microseconds(), LossPermille: r.LossPermille(), Answers: int(r.Answers),
			CostMicros: r.Cost(now).Microseconds(), AnsweredMs: msSince(now, r.Last),
		}
		switch {
		case r.Label == label && w.State == "session":
			way.State = "used"
		case now < r.BadUntil:
			way.State, way.NextMs = "resting", r.BadUntil.Sub(now).Milliseconds()
		case r.Last < 0:
			way.State = "untried"
		case r.Verified < 0:
			way.State = "failed"
		}
		if p := n.firstHop(r.Label); p != nil {
			n.wayBy(&way, p, r.Label)
		}
		w.Ways = append(w.Ways, way)
	}
	for _, p := range n.peers {
		listed := p.hasPort && slices.ContainsFunc(w.Ways, func(o WayStatus) bool { return o.Label == p.label.String() })
		if p.ip != ip || listed || p.source == sourceIncoming && !p.hasPort {
			continue
		}
		way := WayStatus{State: "down", Source: pathfinder.FromPeer.String(), Hops: 1, AnsweredMs: msSince(now, p.lastIn), Problem: p.problem}
		if way.Problem == "" {
			way.Problem = n.peerState(p)
		}
		n.wayBy(&way, p, cjdns.SelfLabel)
		w.Ways = append(w.Ways, way)
	}
	rank := []string{"used", "standby", "untried", "resting", "failed", "down"}
	sort.SliceStable(w.Ways, func(i, j int) bool {
		a, b := &w.Ways[i], &w.Ways[j]
		// Less one, so that those without a cost come last.
		return cmp.Or(slices.Index(rank, a.State)-slices.Index(rank, b.State), cmp.Compare(uint64(a.CostMicros-1), uint64(b.CostMicros-1)), a.Hops-b.Hops) < 0
	})
}

// wayBy adds what is known of the peer p where the way along label begins.
func (n *Node) wayBy(way *WayStatus, p *Peer, label cjdns.Label) {
	if l := n.link(p.link); l != nil {
		way.Link = l.Name
	}
	if c := n.carrierOf(p); c != nil && c != p && c.up {
		if l := n.link(c.link); l != nil {
			way.Problem = "carried by " + l.Name
		}
	}
	if !n.onMesh(p) {
		return
	}
	if e := n.mesh.nodes[p.ip]; e != nil {
		way.Metric, way.AirMicros, way.AirGuessed = e.now().Metric, e.now().Cost, e.now().Guessed
	}
	if label == cjdns.SelfLabel || label.IsOneHop() {
		way.Source = "mesh"
	}
}

// whyHops takes label, which leads to ip, apart.
func (n *Node) whyHops(label cjdns.Label, ip cjdns.IP) []HopStatus {
	labels := Hops(label)
	steps := make([]pathfinder.Step, len(labels))
	for i, l := range labels {
		steps[i].Label = l
	}
	n.finder.Along(steps)
	if n.super.server != nil {
		n.super.server.Along(steps)
	}
	list := make([]HopStatus, len(steps))
	rest := label
	for i, s := range steps {
		port, bits := cjdns.PortOf(rest)
		h := HopStatus{
			Hop: i + 1, Label: s.Label.String(), Slot: int(port), Bits: bits, Form: cjdns.FormOf(rest),
			Director: fmt.Sprintf("%0*b", bits, uint64(rest)&(1<<bits-1)),
		}
		rest >>= bits
		switch p := n.firstHop(s.Label); {
		case i == 0 && p != nil:
			s.Key, s.IP, s.Version, s.From = p.key, p.ip, p.version, pathfinder.FromPeer
			h.LLAddr = p.addr.String()
			if l := n.link(p.link); l != nil {
				h.Link = l.Name
			}
		case i == len(steps)-1:
			s.IP = ip // that is whom the label is for
		}
		if s.IP != (cjdns.IP{}) {
			h.IP = s.IP.String()
			if !s.Key.IsZero() {
				h.KnownBy = s.From.String()
				if p := n.byKey(s.Key); p != nil {
					h.Name = p.title()
				}
			}
		}
		list[i] = h
	}
	return list
}

// whyTried says what was done to find a way to ip, and what is next. Sentences
// are put together without fmt, which would take half as much code again.
func (n *Node) whyTried(now mono.Time, ip cjdns.IP, idle bool) []string {
	ago := func(t mono.Time) string { return now.Sub(t).Abs().Round(100 * time.Millisecond).String() }
	list := make([]string, 0, 4)
	if !slices.ContainsFunc(n.peers, func(p *Peer) bool { return p.up }) {
		list = append(list, "peers: none is up, so nobody can be asked")
	}
	if n.meshLink() != nil {
		list = append(list, "mesh: "+n.whyMesh(now, ip, ago))
	}
	by := "none answers"
	if a, ok := n.super.client.Advice(ip); ok {
		by = a.By.String() + " " + a.Word.String() + " " + ago(a.At) + " ago"
	} else if s, ok := n.super.client.Active(); ok {
		by = s.IP.String() + " was not asked lately"
	}
	search, since := "none lately; the next packet for it begins one", "runs since "
	if idle {
		search = "not needed"
	}
	for _, f := range n.failed {
		if f.ip == ip {
			search = "the last one failed " + ago(f.at) + " ago; the next packet for it begins another"
		}
	}
	if s, ok := n.finder.SearchFor(ip); ok {
		search = since + ago(s.Began) + "; asked nodes: " + strconv.Itoa(s.Asked) + ", not answered yet: " + strconv.Itoa(s.Waiting)
		if s.Mesh > now {
			search = since + ago(s.Began) + "; the mesh has " + ago(s.Mesh) + " left to answer"
		} else if s.Snode > now {
			search = since + ago(s.Began) + "; a supernode has " + ago(s.Snode) + " left to answer"
		}
	}
	return append(list, "supernode: "+by, "search: "+search)
}

// whyMesh says what the mesh knows of ip.
func (n *Node) whyMesh(now mono.Time, ip cjdns.IP, ago func(mono.Time) string) string {
	e, p := n.mesh.nodes[ip], n.mesh.peers[ip]
	if e == nil {
		return "not among the " + strconv.Itoa(len(n.mesh.nodes)) + " nodes that it knows"
	}
	mac := e.addr().String()
	switch {
	case p != nil && p.up:
		return "a peering with " + mac + " is up"
	case !n.Admits(e.key):
		return "it is there as " + mac + ", but not admitted to peer with us"
	case now < e.nextCall:
		return mac + " did not answer; it may be called again in " + ago(e.nextCall)
	case p != nil:
		return mac + " was called and has not answered yet"
	}
	m, cost := e.now(), ""
	if m.Cost != 0 {
		cost = ", links cost " + strconv.FormatUint(uint64(m.Cost), 10) + " µs"
	}
	return "it is there as " + mac + ", metric " + strconv.Itoa(int(m.Metric)) + cost + "; the first packet for it calls it"
}

// failure is a search that has ended without a way.
type failure struct {
	ip cjdns.IP
	at mono.Time
}

// maxFailures is how many of them are remembered.
const maxFailures = 32

// noteFailed notes that a search for ip has found nothing.
func (n *Node) noteFailed(now mono.Time, ip cjdns.IP) {
	for i := range n.failed {
		if n.failed[i].ip == ip {
			n.failed[i].at = now
			return
		}
	}
	if len(n.failed) >= maxFailures {
		n.failed = n.failed[:copy(n.failed, n.failed[1:])]
	}
	n.failed = append(n.failed, failure{ip, now})
}
