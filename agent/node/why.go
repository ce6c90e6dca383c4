package node

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pathfinder"
	"github.com/meshagent/meshagent/agent/session"
)

// Why returns how packets for ip travel, and what else is known about the way
// there. It changes nothing, and allocates.
func (n *Node) Why(now mono.Time, ip cjdns.IP) Why {
	w := Why{
		IP: ip.String(), State: "none", Ways: []WayStatus{}, Hops: []HopStatus{}, Tried: []string{},
		ChangedMs: -1, Mesh: n.whyMesh(now, ip), Advice: n.whyAdvice(now, ip), Search: n.whySearch(now, ip),
	}
	if s, ok := n.super.client.Active(); ok {
		w.Supernode = s.IP.String()
	}
	if ip == n.self.IP {
		w.State, w.PublicKey = "self", n.self.Public.String()
		return w
	}
	if key, _, ok := n.finder.Known(ip); ok {
		w.PublicKey = key.String()
	}
	for _, p := range n.peers {
		if p.up {
			w.PeersUp++
		}
		if p.ip == ip {
			w.PublicKey, w.Name = p.key.String(), p.title()
		}
	}
	label := cjdns.Label(0)
	if best, ok := n.finder.Path(now, ip); ok {
		w.State, label = "idle", best.Label
	}
	if s := n.sessions.ByIP(ip); s != nil && s.Path != 0 {
		w.State, label = "session", s.Path
		n.whySession(now, &w, s)
	}
	n.whyWays(now, &w, ip, label)
	if label != 0 {
		w.Label, w.Hops = label.String(), n.whyHops(label, ip)
	}
	return w
}

func (n *Node) whySession(now mono.Time, w *Why, s *session.Session) {
	w.PublicKey, w.Session = s.Key.String(), s.CA.State().String()
	w.Cause, w.Changes = s.Why.Cause(), s.Changes
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
			CostMicros: r.Cost(now).Microseconds(), AnsweredMs: msSince(now, r.Verified),
		}
		if r.Answers > 0 {
			way.AnsweredMs = msSince(now, max(r.Verified, r.At)) // Verified is taken back when it fails
		}
		switch {
		case r.Label == label && w.State == "session":
			way.State = "used"
		case now < r.BadUntil:
			way.State, way.NextMs = "resting", r.BadUntil.Sub(now).Milliseconds()
		case r.Verified < 0 && r.Answers == 0:
			way.State = "untried"
		case r.Verified < 0:
			way.State = "failed"
		}
		if p := n.firstHop(r.Label); p != nil {
			way.Via = p.ip.String()
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
		way.Metric = e.now().Metric
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
			h.IP, h.Version = s.IP.String(), s.Version
			if !s.Key.IsZero() {
				h.PublicKey, h.KnownBy = s.Key.String(), s.From.String()
				if p := n.byKey(s.Key); p != nil {
					h.Name = p.title()
				}
			}
		}
		list[i] = h
	}
	return list
}

// whyMesh says what the mesh knows of ip; nil if there is none.
func (n *Node) whyMesh(now mono.Time, ip cjdns.IP) *WhyMesh {
	l := n.meshLink()
	if l == nil {
		return nil
	}
	m := &WhyMesh{Nodes: len(n.mesh.nodes), State: "absent"}
	e, p := n.mesh.nodes[ip], n.mesh.peers[ip]
	if e == nil {
		return m
	}
	m.MAC, m.Metric = e.addr().String(), e.now().Metric
	switch {
	case p != nil && p.up:
		m.State = "up"
	case !n.Admits(e.key):
		m.State = "not-admitted"
	case now < e.nextCall:
		m.State, m.NextMs = "silent", e.nextCall.Sub(now).Milliseconds()
	case p != nil:
		m.State = "called"
	default:
		m.State = "not-called" // the first packet for it does that
	}
	return m
}

// whyAdvice returns what a supernode last said about ip; nil if nothing.
func (n *Node) whyAdvice(now mono.Time, ip cjdns.IP) *WhyAdvice {
	a, ok := n.super.client.Advice(ip)
	if !ok {
		return nil
	}
	word := map[pathfinder.Word]string{
		pathfinder.WordWay: "way", pathfinder.WordNone: "none", pathfinder.WordFalse: "false", pathfinder.WordSilence: "silence",
	}[a.Word]
	return &WhyAdvice{By: a.By.String(), Word: word, AgoMs: msSince(now, a.At)}
}

// whySearch returns the search for ip that is running, else the last one that
// has failed; nil if there was none lately.
func (n *Node) whySearch(now mono.Time, ip cjdns.IP) *WhySearch {
	if s, ok := n.finder.SearchFor(ip); ok {
		return &WhySearch{
			Running: true, AgoMs: msSince(now, s.Began), Asked: s.Asked, Waiting: s.Waiting,
			SupernodeMs: max(0, s.Snode.Sub(now).Milliseconds()), MeshMs: max(0, s.Mesh.Sub(now).Milliseconds()),
		}
	}
	if at, ok := n.failed.last(ip); ok {
		return &WhySearch{AgoMs: msSince(now, at)}
	}
	return nil
}

// failures are the last searches that have ended without a way.
type failures struct {
	ips  [32]cjdns.IP
	ats  [32]mono.Time
	next uint
}

// noteFailed notes that a search for ip has found nothing.
func (n *Node) noteFailed(now mono.Time, ip cjdns.IP) {
	f := &n.failed
	i := slices.Index(f.ips[:], ip)
	if i < 0 {
		i = int(f.next % uint(len(f.ips)))
		f.next++
	}
	f.ips[i], f.ats[i] = ip, now
}

// last returns when the last search for ip has failed.
func (f *failures) last(ip cjdns.IP) (mono.Time, bool) {
	i := slices.Index(f.ips[:], ip)
	if i < 0 {
		return 0, false
	}
	return f.ats[i], true
}
