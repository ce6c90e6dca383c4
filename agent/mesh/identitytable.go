package mesh

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
)

// keepTime is how long a client must have been silent here until a node
// without identity may say that it has it.
const keepTime = time.Second

// idNode returns the verified node whose primary address o is; nil if there is
// none, or identities are only shown.
func (m *Mesh) idNode(o *Originator) *identity.Node {
	if m.cfg.RequireSigned == SignOff {
		return nil
	}
	return o.id.node
}

// idRefresh looks up which node o is.
func (m *Mesh) idRefresh(now mono.Time, o *Originator) {
	o.id.node = nil
	if n := m.id.known.Node(now, o.MAC); n != nil && n.MAC() == o.MAC {
		o.id.node = n
	}
}

// idAllows reports whether clients, gateways and frames of o count under the
// policy.
func (m *Mesh) idAllows(o *Originator) bool {
	if m.id.self == nil || m.cfg.RequireSigned != SignAll {
		return true
	}
	n := m.idNode(o)
	return n != nil && n.Alive()
}

// idFrame reports whether a client's frame may be taken. from is where its
// source is, if that is known.
func (m *Mesh) idFrame(f inner, from *Originator) bool {
	if m.id.self == nil || m.cfg.RequireSigned != SignAll {
		return true
	}
	if from == nil {
		from, _ = m.ttFind(f.eth.Src, f.vid)
	}
	return from != nil && m.idAllows(from)
}

// idPolicy asks, if only living nodes count, whether o lives, and forgets the
// clients of one that does not count any more.
func (m *Mesh) idPolicy(now mono.Time, o *Originator, out *Out) {
	if m.cfg.RequireSigned != SignAll {
		return
	}
	n := m.idNode(o)
	if n != nil && !n.Alive() && m.router(o, nil) != nil {
		m.idChallenge(now, o.MAC, n, nil, true, out)
	}
	if n == nil || !n.Alive() {
		if len(o.tt.clients) > 0 {
			m.ttRouteLost(now, o, out)
		}
		m.gwOGM(now, o, batman.Gateway{}, out)
	}
}

// idGateway returns what o is as a gateway, if its OGM says g and names a
// record.
func (m *Mesh) idGateway(o *Originator, g batman.Gateway, c identity.Container) batman.Gateway {
	n := m.idNode(o)
	if n == nil {
		return g
	}
	if g.Down == 0 || g.Up == 0 {
		g = batman.Gateway{}
	}
	said := n.Gateway
	if said.Down == 0 || said.Up == 0 {
		said = batman.Gateway{}
	}
	if g != said && c.ID == n.ID {
		m.lose(dropForgedGW)
	}
	return said
}

// idDigest compares the copy of o's table with its record if both are of one
// version. A copy that differs is dropped and asked for again.
func (m *Mesh) idDigest(o *Originator) {
	n := m.idNode(o)
	s := &o.tt
	if n == nil || !s.known || s.short || s.ttvn != n.TTVN || m.blaAnyBackbone(o.MAC) {
		o.id.confirmed = false
		return
	}
	list := m.id.clients[:0]
	for _, e := range s.clients {
		if p := e.place(o); p.state&placeTold != 0 {
			list = append(list, identity.Client{MAC: e.mac, VID: e.vid, Flags: p.flags})
		}
	}
	m.id.clients = list
	if o.id.confirmed = identity.Digest(list) == n.Digest; o.id.confirmed {
		return
	}
	m.lose(dropForgedTT)
	m.ttWipe(o)
	s.known, s.asked, s.diff, s.short = false, false, nil, false
}

// idRank is what the word of o about its clients is worth: 2 if it signed it, 1
// if it is verified, 0 if anybody may have said so.
func (m *Mesh) idRank(o *Originator) uint64 {
	switch {
	case m.idNode(o) == nil:
		return 0
	case o.id.confirmed:
		return 2
	}
	return 1
}

// contest is a client of this node that a node without identity says to have.
type contest struct {
	ttKey
	at mono.Time
}

// maxContests is how many such clients wait for a decision; more are given up
// at once.
const maxContests = 256

// idKeeps reports whether a client of this node stays here though o says that
// it has it: o is nobody, and the client spoke a moment ago. What it does next
// decides, see idContests.
func (m *Mesh) idKeeps(now mono.Time, c *ttClient, o *Originator) bool {
	if m.id.self == nil || m.cfg.RequireSigned == SignOff || c.gone || now.Sub(c.lastSeen) >= keepTime || m.idNode(o) != nil {
		return false
	}
	for _, k := range m.id.contests {
		if k.ttKey == c.ttKey {
			return true
		}
	}
	if len(m.id.contests) >= maxContests {
		return false
	}
	m.id.contests = append(m.id.contests, contest{c.ttKey, now})
	return true
}

// idContests decides about the clients that others claim: one that spoke since
// is here, and the others are told so; one that did not for a while is gone.
func (m *Mesh) idContests(now mono.Time, out *Out) {
	m.id.contests = slices.DeleteFunc(m.id.contests, func(k contest) bool {
		c, e := m.tt.local[k.ttKey], m.tt.global[k.ttKey]
		switch {
		case c == nil || c.gone || e == nil:
			return true
		case c.lastSeen > k.at:
			m.ttClaim(now, k.ttKey, out)
			return true
		case now.Sub(c.lastSeen) < keepTime:
			return false
		}
		for i := range e.places {
			if p := &e.places[i]; p.state&placeLeft == 0 {
				m.ttLost(now, e, p.orig, true, out)
				break
			}
		}
		return true
	})
}

// idOwner reports whether the client of p stays with it though o, without
// identity, says that it has it: p's originator is verified and speaks.
func (m *Mesh) idOwner(now mono.Time, p *ttPlace, o *Originator) bool {
	return m.idNode(p.orig) != nil && m.idNode(o) == nil && now.Sub(p.orig.lastSeen) <= ttSilent
}
