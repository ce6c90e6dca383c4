package node

import (
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Uplinks are the mesh nodes with peers outside of it that we peer with when
// an address is searched that is not in the mesh.
const (
	maxUplinks  = 2
	uplinkTime  = 60 * time.Second // after the last search they are not seen to any more
	uplinkPause = 10 * time.Second // between changes for the sake of quality
	// uplinkBetter is how much better another one must be to be taken
	// instead, in units of rank.
	uplinkBetter = 48
)

type uplinks struct {
	chosen [maxUplinks]cjdns.IP // zero: none
	wanted mono.Time            // the last search; -1 never
	next   mono.Time            // when the choice may be looked at again
	change mono.Time            // when one may be exchanged for quality again
}

// callUplinks sees to it that the best uplinks of the mesh are peers. It
// returns until when an answer may be waited for, 0 if there is nothing to
// wait for.
func (n *Node) callUplinks(now mono.Time, out *Out) (until mono.Time) {
	u := &n.mesh.uplinks
	if u.wanted = now; now >= u.next {
		u.next = now.Add(tickShort) // going through the mesh's nodes is not for every packet
		n.chooseUplinks(now)
	}
	for _, ip := range u.chosen {
		if e := n.mesh.nodes[ip]; e != nil {
			if p := n.mesh.peers[ip]; p != nil {
				p.used = now
			}
			until = max(until, n.callNode(now, e, out))
		}
	}
	return until
}

// chooseUplinks fills the empty places, and exchanges the worse uplink for a
// clearly better one now and then.
func (n *Node) chooseUplinks(now mono.Time) {
	u := &n.mesh.uplinks
	worst := -1
	for i, ip := range u.chosen {
		e := n.mesh.nodes[ip]
		if e == nil || !e.now().Uplink || n.silentUplink(now, e) {
			u.chosen[i] = n.bestUplink(now)
		}
		if e = n.mesh.nodes[u.chosen[i]]; e != nil && (worst < 0 || n.mesh.nodes[u.chosen[worst]].less(e)) {
			worst = i
		}
	}
	if worst < 0 || now < u.change {
		return
	}
	if ip := n.bestUplink(now); ip != (cjdns.IP{}) {
		if int(n.mesh.nodes[ip].now().rank()) >= int(n.mesh.nodes[u.chosen[worst]].now().rank())+uplinkBetter {
			u.chosen[worst], u.change = ip, now.Add(uplinkPause)
		}
	}
}

// silentUplink reports whether e was called and does not answer.
func (n *Node) silentUplink(now mono.Time, e *meshNode) bool {
	p := n.mesh.peers[e.ip]
	return now < e.nextCall || p != nil && !p.up && now.Sub(p.called) > 2*meshPatience
}

// bestUplink returns the best uplink that is not chosen yet; zero if there is
// none.
func (n *Node) bestUplink(now mono.Time) (ip cjdns.IP) {
	var best *meshNode
	for _, e := range n.mesh.nodes {
		if !e.now().Uplink || !n.Admits(e.key) || n.silentUplink(now, e) || e.ip == n.mesh.uplinks.chosen[0] || e.ip == n.mesh.uplinks.chosen[1] {
			continue
		}
		if best == nil || e.less(best) {
			best = e
		}
	}
	if best != nil {
		ip = best.ip
	}
	return ip
}

// expireUplinks exchanges uplinks that fail while searches go on.
func (n *Node) expireUplinks(now mono.Time, out *Out) {
	u := &n.mesh.uplinks
	if u.wanted < 0 || now.Sub(u.wanted) > uplinkTime {
		return
	}
	n.chooseUplinks(now)
	for _, ip := range u.chosen {
		if e := n.mesh.nodes[ip]; e != nil {
			n.callNode(now, e, out)
		}
	}
}
