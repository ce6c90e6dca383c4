package node

import (
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pathfinder"
	"github.com/meshagent/meshagent/agent/session"
)

// Over the mesh a supernode is reached through an uplink, and so are we for
// those outside. Without a supernode one is looked for there now and then.
const (
	uplinkSeek  = 15 * time.Minute
	supernodeAt = cjdns.SelfLabel // where a supernode is for itself
)

// supernodes is what a node has to do with supernodes.
type supernodes struct {
	client *pathfinder.Client
	server *pathfinder.Server // nil: we are none
	keys   []cjdns.Key        // configured
	wall   int64              // time of day, ms since 1970
	seek   mono.Time          // when an uplink is called for the next time
}

// SetSupernodes says which supernodes may be used; none means any that a peer
// names. With role we are one, and those are the others of our community.
func (n *Node) SetSupernodes(now mono.Time, keys []cjdns.Key, role bool, out *Out) {
	s := &n.super
	s.keys = keys
	n.sessions.SetLimit(MaxSessions)
	if role {
		n.sessions.SetLimit(MaxServed)
	}
	switch {
	case !role:
		s.server = nil
	case s.server == nil:
		s.server = pathfinder.NewServer(n.finderConfig())
		s.server.SetWall(now, s.wall)
	}
	if s.server != nil {
		s.server.SetCommunity(keys)
	}
	s.client.SetSupernodes(now, keys, role, &n.found)
	n.flush(now, out)
	n.hurry(now)
}

// FindSupernodes says whether one may be used that only nodes farther away
// name, if no key is configured and no peer names one.
func (n *Node) FindSupernodes(now mono.Time, yes bool) { n.super.client.Find(now, yes) }

// JobDone takes a signature that was made or checked.
func (n *Node) JobDone(now mono.Time, j *pathfinder.Job, out *Out) {
	n.super.client.Signed(now, j, &n.found)
	if n.super.server != nil {
		n.super.server.Checked(now, j, &n.found)
	}
	n.flush(now, out)
}

// announces reports whether others may be told of the link to p. Within a mesh
// the mesh finds the way; it is the peerings with its uplinks that lead in and
// out.
func (n *Node) announces(p *Peer) bool {
	if !n.onMesh(p) {
		return true
	}
	e := n.mesh.nodes[p.ip]
	return n.HasUplink() || e != nil && e.now().Uplink
}

// linkUp tells the client of the link to p.
func (n *Node) linkUp(now mono.Time, p *Peer) {
	n.super.client.PeerUp(now, pathfinder.Node{Key: p.key, IP: p.ip, Version: p.version, Label: p.label}, n.announces(p))
}

// superDeadline returns when expireSupernodes has something to do.
func (n *Node) superDeadline() mono.Time {
	d := n.super.client.Deadline()
	if n.super.server != nil {
		d = mono.Min(d, n.super.server.Deadline())
	}
	return d
}

// expireSupernodes does what is due.
func (n *Node) expireSupernodes(now mono.Time, out *Out) {
	s := &n.super
	if now >= s.client.Deadline() {
		if s.client.WindowEnds(now) {
			for _, p := range n.peers {
				if p.up && p.ca != nil {
					st := p.ca.Stats()
					s.client.Sample(p.label, pathfinder.Totals{
						Received: st.Received, Lost: st.Lost, Bytes: p.bytesIn, LagMs: lagMs(p.rtt),
					})
				}
			}
		}
		s.client.Expire(now, &n.found)
	}
	if s.server != nil && now >= s.server.Deadline() {
		s.server.SetWall(now, s.wall)
		s.server.SetPartners(s.client.Others())
		s.server.Expire(now, &n.found)
	}
	n.flush(now, out)
}

// lagMs returns a round trip in ms; servers take 0 for unknown.
func lagMs(rtt time.Duration) uint32 {
	if rtt <= 0 {
		return 0
	}
	return uint32(max(1, rtt.Milliseconds()))
}

// seekUplink keeps a peering with an uplink of our mesh, if we have none of
// our own: while there is a supernode, so that it and others reach us.
func (n *Node) seekUplink(now mono.Time, out *Out) {
	if len(n.mesh.nodes) == 0 || n.HasUplink() {
		return
	}
	if _, ok := n.super.client.Active(); !ok && now < n.super.seek {
		return
	}
	var b [1]byte
	n.cfg.Rand(b[:])
	n.super.seek = now.Add(uplinkSeek + uplinkSeek/4*time.Duration(b[0])/256) // not all of an island at once
	n.callUplinks(now, out)
}

// refreshLinks tells the client again which links others may use: uplinks come
// and go.
func (n *Node) refreshLinks(now mono.Time) {
	for _, p := range n.mesh.peers {
		if p.up && p.hasPort {
			n.linkUp(now, p)
		}
	}
}

// sendControlQuery asks a direct peer something for the client.
func (n *Node) sendControlQuery(now mono.Time, q pathfinder.ControlQuery, out *Out) {
	c := cjdns.Control{Type: q.Type, Version: Protocol, Opaque: q.Cookie[:]}
	if s, ok := n.super.client.Public(); ok && q.Type == cjdns.CtrlGetSnodeQuery {
		c.Key, c.SnodeVersion, c.Path = s.Key, s.Version, s.Label
	}
	n.sendControl(now, q.Label, c, out)
}

// snodeReply completes the answer to a peer at back that asks which supernode
// we use.
func (n *Node) snodeReply(c *cjdns.Control, back cjdns.Label) {
	c.Type, c.Kbps = cjdns.CtrlGetSnodeReply, 0xffffffff
	s, ok := n.super.client.Public()
	if n.super.server != nil {
		s, ok = pathfinder.Node{Key: n.self.Public, Version: Protocol, Label: supernodeAt}, true
	}
	if !ok || s.Label != supernodeAt && cjdns.RoutesThrough(s.Label, back) {
		return // none, or through the asker: version 0, no key, no path
	}
	if label := cjdns.LabelFor(s.Label, back); label != cjdns.LabelInvalid {
		c.Key, c.SnodeVersion, c.Path = s.Key, s.Version, label
	}
}

// superMessage takes a routing message that is for the client or the role. It
// reports whether it was one; the answer, if there is one at once, is nil
// otherwise.
func (n *Node) superMessage(now mono.Time, from pathfinder.Node, m *cjdns.Message) (reply *cjdns.Message, ours bool) {
	s := &n.super
	if m.SubQuery != "" {
		if s.server == nil {
			n.drops[dropNoRole]++
			return nil, true
		}
		return s.server.HandleMessage(now, from, m, &n.found), true
	}
	return nil, s.client.HandleReply(now, from, m, &n.found) || s.server != nil && s.server.HandleReply(now, from, m, &n.found)
}

// toSelf gives a query of the client to the role of this very node.
func (n *Node) toSelf(now mono.Time, q pathfinder.Query) {
	self := pathfinder.Node{Key: n.self.Public, IP: n.self.IP, Version: Protocol, Label: supernodeAt}
	if reply, _ := n.superMessage(now, self, q.Msg); reply != nil {
		n.superMessage(now, self, reply)
	}
}

// sendAnswer sends a late answer of the role.
func (n *Node) sendAnswer(now mono.Time, q pathfinder.Query, out *Out) {
	if q.To.IP == n.self.IP {
		n.toSelf(now, q)
		return
	}
	s := n.sessions.ByIP(q.To.IP)
	if s == nil || !s.CA.CanSend() || s.Send == 0 {
		n.drops[dropUnknownSess]++
		return
	}
	n.sendMessage(now, s, q.To.Label, q.Msg, false, out)
}

// anyWay returns the label for a message that need not go along a certain one:
// that of the session, if it has one.
func (n *Node) anyWay(now mono.Time, s *session.Session, q *pathfinder.Query) cjdns.Label {
	if s.Errand = now; now.Sub(s.LastData) > errandUse {
		s.LastData = now
	}
	if s.Path != 0 {
		q.To.Label = s.Path
	} else if q.To.Label == 0 {
		if p, ok := n.finder.Path(now, q.To.IP); ok {
			q.To.Label = p.Label
		}
	}
	if q.To.Label != 0 && q.Msg.HasScheme {
		q.Msg.Form = cjdns.FormOf(q.To.Label)
	}
	return q.To.Label
}

// SupernodeStatus describes what the node has to do with supernodes.
type SupernodeStatus struct {
	Role   bool             `json:"role"`             // it is one itself
	Active string           `json:"active,omitempty"` // address of the one in use
	Known  []KnownSupernode `json:"known"`
	// Announced counts links that the active one holds of us, Accepted
	// announcements that were taken, Restarts how often all was told again.
	Announced int    `json:"announcedLinks"`
	Accepted  uint64 `json:"announcementsTaken"`
	Restarts  uint64 `json:"announcementRestarts"`
	Asked     uint64 `json:"routesAsked"`
	// Of the role: nodes and links announced, announcements taken, questions
	// answered with a way and without one.
	Nodes   int    `json:"nodes"`
	Links   int    `json:"links"`
	Taken   uint64 `json:"taken"`
	Routes  uint64 `json:"routes"`
	NoRoute uint64 `json:"noRoute"`
}

// KnownSupernode is one supernode.
type KnownSupernode struct {
	IP         string `json:"ip"`
	Addr       string `json:"addr"` // node text
	State      string `json:"state"`
	Configured bool   `json:"configured"`
	RTTMicros  int64  `json:"rttMicros"`
}

func (n *Node) supernodeStatus() SupernodeStatus {
	c := n.super.client
	st := SupernodeStatus{
		Role: n.super.server != nil, Known: []KnownSupernode{}, Announced: c.Announced(),
		Accepted: c.Accepted, Restarts: c.Restarts, Asked: c.Asked,
	}
	active, ok := c.Active()
	if ok {
		st.Active = active.IP.String()
	}
	c.Each(func(s pathfinder.SupernodeInfo) {
		k := KnownSupernode{
			IP: s.IP.String(), State: "silent", Configured: s.Configured, RTTMicros: s.RTT.Microseconds(),
			Addr: cjdns.NodeAddr{Version: s.Version, Label: s.Label, Key: s.Key}.String(),
		}
		switch {
		case ok && s.IP == active.IP:
			k.State = "active"
		case s.Up:
			k.State = "ready"
		}
		st.Known = append(st.Known, k)
	})
	if s := n.super.server; s != nil {
		st.Nodes, st.Links, st.Taken, st.Routes, st.NoRoute = s.Nodes(), s.Links(), s.Accepted, s.Routes, s.NoRoute
	}
	return st
}

// supernodeDrops adds what client and role refused to m.
func (n *Node) supernodeDrops(m map[string]int64) {
	add := func(reason string, count uint64) {
		if count != 0 {
			m["supernode."+reason] = int64(count)
		}
	}
	d := n.super.client.Drops
	add("unasked", d.Unasked)
	add("bad-label", d.Label)
	add("old-version", d.Version)
	add("asks-full", d.Full)
	if s := n.super.server; s != nil {
		s.EachRefusal(func(reason string, count uint64) { add("announcement-"+reason, count) })
		add("route-rate", s.RouteRate)
		add("message", s.Strange)
	}
}

// supernodeTables returns the use of the bounded tables.
func (n *Node) supernodeTables() []TableStatus {
	t := []TableStatus{
		{"supernodes", n.super.client.Len(), pathfinder.MaxSupernodes},
		{"supernode-asks", n.super.client.Asks(), pathfinder.MaxRouteAsks},
	}
	if s := n.super.server; s != nil {
		t = append(t,
			TableStatus{"graph-nodes", s.Nodes(), pathfinder.MaxGraphNodes},
			TableStatus{"graph-links", s.Links(), pathfinder.MaxGraphLinks},
			TableStatus{"announcements", s.Waiting(), pathfinder.MaxWaiting})
	}
	return t
}
