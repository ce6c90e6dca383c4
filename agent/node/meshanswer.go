package node

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/session"
)

// A node that asks us the way to an address in our mesh, or to one that our
// uplinks may know, gets its answer when the peering stands that it needs:
// soon enough for its question to wait.
const (
	maxDeferred = 32
	// deferTime is less than the shortest time that the asker waits
	// (pathfinder, minQueryWait), and leaves something for the way.
	deferTime = 300 * time.Millisecond
)

// deferred is a question that is answered later.
type deferred struct {
	handle uint32 // of the session it came in
	back   cjdns.Label
	until  mono.Time
	due    bool
	msg    cjdns.Message // TxID and Target are copies
}

// prepareAnswer begins the peering that the answer to m needs. It reports
// whether the answer shall wait for it.
func (n *Node) prepareAnswer(now mono.Time, s *session.Session, back cjdns.Label, m *cjdns.Message, out *Out) bool {
	if m.Query != "fn" || len(m.Target) != 16 {
		return false
	}
	ip := cjdns.IP(m.Target)
	if ip == n.self.IP || ip == s.IP {
		return false
	}
	e, p := n.mesh.nodes[ip], n.mesh.peers[ip]
	_, known := n.finder.Path(now, ip)
	if p != nil && p.up || e == nil && (known || len(n.mesh.nodes) == 0) {
		return false
	}
	if !n.mesh.calls.take(now) {
		n.drops[dropBusy]++
		return false
	}
	var until mono.Time
	if e != nil {
		until = n.callNode(now, e, out)
	} else {
		until = n.callUplinks(now, out)
	}
	if until == 0 || len(n.mesh.deferred) >= maxDeferred {
		return false
	}
	d := deferred{handle: s.Recv, back: back, until: mono.Min(until, now.Add(deferTime))}
	d.msg = cjdns.Message{Query: m.Query, Version: m.Version, TxID: slices.Clone(m.TxID), Target: slices.Clone(m.Target)}
	n.mesh.deferred = append(n.mesh.deferred, d)
	n.wakeAt(d.until)
	return true
}

// answerDeferred answers the questions that waited for the peering with ip.
func (n *Node) answerDeferred(now mono.Time, ip cjdns.IP, out *Out) {
	uplink := ip == n.mesh.uplinks.chosen[0] || ip == n.mesh.uplinks.chosen[1]
	for i := range n.mesh.deferred {
		d := &n.mesh.deferred[i]
		target := cjdns.IP(d.msg.Target)
		d.due = d.due || target == ip || uplink && n.mesh.nodes[target] == nil
	}
	n.answerDue(now, out)
}

// answerDue answers the questions that need not wait any longer. An answer in
// a handshake would prove nothing to the asker, so one to a new session waits
// until that stands.
func (n *Node) answerDue(now mono.Time, out *Out) {
	for i := 0; i < len(n.mesh.deferred); i++ {
		d := n.mesh.deferred[i]
		if !d.due && now < d.until {
			n.wakeAt(d.until)
			continue
		}
		s := n.sessions.ByHandle(d.handle)
		if s != nil && !s.CA.CanSend() && now < d.until.Add(deferTime) {
			n.wakeAt(d.until.Add(deferTime))
			continue
		}
		n.mesh.deferred = slices.Delete(n.mesh.deferred, i, i+1)
		i--
		if s == nil || !s.CA.CanSend() {
			continue
		}
		if reply := n.finder.HandleMessage(now, at(s, d.back), &d.msg, &n.found); reply != nil {
			n.sendMessage(now, s, d.back, reply, false, out)
		}
	}
}
