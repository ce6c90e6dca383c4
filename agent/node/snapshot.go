package node

import (
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pathfinder"
	"github.com/meshagent/meshagent/agent/session"
	"github.com/meshagent/meshagent/agent/switchcore"
)

// Status returns what the node knows about itself. The daemon adds what only
// it knows: the TUN device and what is wrong outside. It allocates; for
// commands, not for the data path.
func (n *Node) Status(now mono.Time) Status {
	s := Status{
		Version: n.cfg.Program, Protocol: Protocol,
		PublicKey: n.self.Public.String(), IP: n.self.IP.String(),
		UptimeMs: now.Sub(n.start).Milliseconds(),
		Drops:    n.dropCounts(),
		TUN:      TUNStatus{MTU: n.cfg.MTU},
		Links:    []LinkStatus{}, Peers: []PeerStatus{}, Sessions: []SessionStatus{}, Problems: []string{},
		Tables: []TableStatus{
			{"peers", n.portsUsed(), switchcore.MaxPorts - 1},
			{"half-open", n.halfOpen(), MaxHalfOpen},
			{"sessions", n.sessions.Len(), n.sessions.Limit()},
			{"waiting", n.waiting.Len(), session.WaitTotal},
			{"nodes", n.finder.Len(), pathfinder.MaxNodes + MaxPeers},
			{"searches", n.finder.Searches(), pathfinder.MaxSearches},
			{"commands", len(n.pings), MaxPings},
			{"mesh-nodes", len(n.mesh.nodes), MaxMeshNodes},
			{"mesh-peers", len(n.mesh.peers), MaxMeshPeers},
			{"mesh-slots-resting", len(n.mesh.slots.resting), maxMeshSlots - len(n.mesh.peers)},
			{"messages", len(n.mail.waiting), maxLetters},
		},
		Supernode: n.supernodeStatus(),
	}
	s.Tables = append(s.Tables, n.supernodeTables()...)
	for _, l := range n.links {
		if l != nil {
			s.Links = append(s.Links, l.status())
		}
	}
	for _, p := range n.peers {
		if p.conf == nil && !p.hasPort && p.source == sourceIncoming {
			continue // a stranger in the middle of a handshake
		}
		s.Peers = append(s.Peers, n.peerStatus(now, p))
	}
	for _, e := range n.sessions.All() {
		s.Sessions = append(s.Sessions, n.sessionStatus(now, e))
	}
	return s
}

func (l *link) status() LinkStatus {
	st := LinkStatus{
		Index: l.index, Kind: l.Kind.String(), Name: l.Name, Bind: l.Bind, State: "up",
		Beacon: l.Beacon.String(), Offload: l.Offload, RxPackets: l.rx, TxPackets: l.tx, Error: l.problem,
	}
	if !l.up {
		st.State = "down"
	}
	return st
}

func (n *Node) portsUsed() (c int) {
	for _, p := range n.byPort {
		if p != nil {
			c++
		}
	}
	return c
}

func (n *Node) halfOpen() (c int) {
	for _, p := range n.peers {
		if p.source == sourceIncoming && !p.hasPort {
			c++
		}
	}
	return c
}

// dropCounts adds up what was dropped, by reason.
func (n *Node) dropCounts() map[string]int64 {
	m := make(map[string]int64)
	for i, c := range n.drops {
		if c != 0 {
			m[reasonNames[i]] = int64(c)
		}
	}
	sum := n.authFail.Drops
	for _, p := range n.peers {
		if p.ca != nil {
			addDrops(&sum, p.ca.Stats().Drops)
		}
	}
	for code, c := range sum {
		if c != 0 {
			m["auth."+cryptoauth.DecryptErr(code).Error()] = int64(c)
		}
	}
	sum = [cryptoauth.NumErrs]uint64{}
	for _, s := range n.sessions.All() {
		addDrops(&sum, s.CA.Stats().Drops)
	}
	for code, c := range sum {
		if c != 0 {
			m["session."+cryptoauth.DecryptErr(code).Error()] = int64(c)
		}
	}
	n.supernodeDrops(m)
	if n.sessions.Evicted != 0 {
		m["sessions-evicted"] = int64(n.sessions.Evicted)
	}
	return m
}

func addDrops(sum *[cryptoauth.NumErrs]uint64, d [cryptoauth.NumErrs]uint64) {
	for i, c := range d {
		sum[i] += c
	}
}

func msSince(now, t mono.Time) int64 {
	if t < 0 {
		return -1
	}
	return now.Sub(t).Milliseconds()
}

func (n *Node) peerStatus(now mono.Time, p *Peer) PeerStatus {
	st := PeerStatus{
		Name: p.title(), PublicKey: p.key.String(), IP: p.ip.String(), LLAddr: p.addr.String(),
		Addr:  cjdns.NodeAddr{Version: p.version, Label: p.label, Key: p.key}.String(),
		State: n.peerState(p), Version: p.version, Label: p.label.String(),
		Incoming: p.source == sourceIncoming || p.source == sourceRemembered,
		Source:   sourceNames[p.source], BytesIn: p.bytesIn, BytesOut: p.bytesOut,
		RecvKbps: p.rateIn, SendKbps: p.rateOut, LastInMs: msSince(now, p.lastIn),
		RTTMicros: p.rtt.Microseconds(), Handshakes: p.handshakes, LastProblem: p.problem,
	}
	if p.conf != nil {
		st.ConfiguredAs = p.conf.Host
	}
	if l := n.link(p.link); l != nil {
		st.Link, st.LinkKind = l.Name, l.Kind.String()
		if !l.up && st.LastProblem == "" {
			st.LastProblem = "link " + l.Name + " is down"
		}
	}
	if e := n.mesh.nodes[p.ip]; e != nil && n.onMesh(p) {
		st.Metric = e.now().Metric
	}
	if c := n.carrierOf(p); c != nil && c != p {
		if l := n.link(c.link); l != nil && c.up {
			st.CarriedBy = l.Name
		}
	}
	st.LossPermille = int(p.loss)
	if p.ca != nil {
		c := p.ca.Stats()
		st.Received, st.Duplicates, st.Lost, st.OutOfRange = c.Received, c.Duplicates, c.Lost, c.OutOfRange
		st.Noise = p.ca.NoiseProto()
	}
	return st
}

// peerState names a peer's state in cjdns's words.
func (n *Node) peerState(p *Peer) string {
	switch {
	case p.version != 0 && p.version < oldestPeer:
		return "INCOMPATIBLE"
	case p.up:
		return "ESTABLISHED"
	case p.hasPort:
		return "UNRESPONSIVE"
	case p.ca == nil:
		return "INIT"
	default:
		return p.ca.State().String()
	}
}

func (n *Node) sessionStatus(now mono.Time, s *session.Session) SessionStatus {
	c := s.CA.Stats()
	st := SessionStatus{
		IP: s.IP.String(), PublicKey: s.Key.String(),
		Addr:  cjdns.NodeAddr{Version: s.Version, Label: s.Path, Key: s.Key}.String(),
		State: s.CA.State().String(), Version: s.Version, Label: s.Path.String(),
		RecvHandle: s.Recv, SendHandle: s.Send,
		Duplicates: c.Duplicates, Lost: c.Lost, OutOfRange: c.OutOfRange,
		LastInMs: msSince(now, s.LastIn), LastOutMs: msSince(now, s.LastOut), RTTMicros: s.RTT / 1000,
		Why: s.Why.String(), Changes: s.Changes, ChangedMs: -1, Paths: []PathStatus{},
	}
	if s.Changes > 0 {
		st.ChangedMs = msSince(now, s.Changed)
	}
	for _, r := range n.finder.Routes(s.IP) {
		p := PathStatus{
			Label: r.Label.String(), State: "good", RTTMicros: r.RTT.Microseconds(),
			LossPermille: r.LossPermille(), Direct: r.Label.IsOneHop(),
		}
		switch {
		case r.Label == s.Path:
			if p.State = "used"; r.Answers > 0 {
				st.RTTMicros = p.RTTMicros
			}
		case now < r.BadUntil:
			p.State = "bad"
		case r.Answers == 0:
			p.State = "unmeasured"
		}
		st.Paths = append(st.Paths, p)
	}
	return st
}
