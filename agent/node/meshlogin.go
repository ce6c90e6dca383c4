package node

import (
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
)

// maxMeshLogins bounds the passwords for the mesh.
const maxMeshLogins = 8

// meshLogin is what we show a node when we dial it over the mesh.
type meshLogin struct {
	key             cjdns.Key
	login, password string
}

// SetMeshLogin says with which password the node with this key is dialled over
// the mesh: an invite lets in whom the admission there does not. An empty
// password takes that back; what was dialled with it stays.
func (n *Node) SetMeshLogin(now mono.Time, key cjdns.Key, login, password string, out *Out) {
	kept := n.mesh.logins[:0]
	for _, l := range n.mesh.logins {
		if l.key != key {
			kept = append(kept, l)
		}
	}
	n.mesh.logins = kept
	if password == "" || len(kept) >= maxMeshLogins {
		return
	}
	n.mesh.logins = append(kept, meshLogin{key, login, password})
	if p := n.meshPeerOf(key); p != nil && !p.up {
		n.removePeer(now, p, out) // it is dialled anew, with the password
		n.flush(now, out)
	}
}

// meshOptions says how the session with a node over the mesh begins.
func (n *Node) meshOptions(key cjdns.Key) cryptoauth.Options {
	o := cryptoauth.Options{Key: key}
	for _, l := range n.mesh.logins {
		if l.key == key {
			o.Login, o.Password = l.login, []byte(l.password)
		}
	}
	return o
}

// InMesh reports whether the mesh has told of a node with this key that it can
// be reached.
func (n *Node) InMesh(key cjdns.Key) bool { return n.mesh.nodes[key.IP()] != nil }

// relax lets those who came in with a password go on without one, now that
// their key is admitted: the password of an invite is good for one use.
func (n *Node) relax(key cjdns.Key) {
	for _, p := range n.peers {
		if p.key == key && p.source == sourceIncoming && p.ca != nil {
			p.ca.AllowNoAuth()
			p.admitted = true
		}
	}
}

// Refuse names the nodes that are let in by no password and no identity, and
// ends the peerings with them. What the configuration dials is dialled all the
// same. The list replaces the one before.
func (n *Node) Refuse(now mono.Time, ips []cjdns.IP, out *Out) {
	n.refusing = make(map[cjdns.IP]bool, len(ips))
	for _, ip := range ips {
		n.refusing[ip] = true
	}
	for i := len(n.peers) - 1; i >= 0; i-- {
		if p := n.peers[i]; p.conf == nil && n.refusing[p.ip] {
			n.removePeer(now, p, out)
		}
	}
	n.flush(now, out)
}
