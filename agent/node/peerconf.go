package node

import (
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// PeerConfig is a peer that the configuration names.
type PeerConfig struct {
	Name     string // section: unique
	Title    string // as shown; Name if empty
	Link     uint16
	Addrs    []pkt.Addr // where it may be; may be empty until its name is resolved
	Host     string     // the host name, if the address is one
	Key      cjdns.Key
	Password string
	Login    string
	Version  uint32 // 0 unknown
}

// SetPeer adds a configured peer, or changes it if the name is known. A
// change of key or credentials begins a new session; anything else leaves the
// running one alone. It reports false if there is no room for another peer.
func (n *Node) SetPeer(now mono.Time, c PeerConfig, out *Out) bool {
	p := n.byConfig[c.Name]
	if p != nil && (p.conf.Key != c.Key || p.conf.Password != c.Password || p.conf.Login != c.Login || p.conf.Link != c.Link || useNoise(p.conf.Version) != useNoise(c.Version)) {
		n.removePeer(now, p, out)
		p = nil
	}
	if p == nil {
		p = n.adoptOrAdd(now, c)
		if p == nil {
			n.drops[dropTableFull]++
			return false
		}
	}
	conf := c
	p.conf, p.source = &conf, sourceConfig
	if p.name = c.Title; p.name == "" {
		p.name = c.Name
	}
	n.byConfig[c.Name] = p
	n.setAddrs(p, c.Addrs)
	n.knock(now, p, out)
	n.hurry(now)
	n.flush(now, out)
	return true
}

// adoptOrAdd turns a peer that is already known by key into the configured
// one, or makes a new one.
func (n *Node) adoptOrAdd(now mono.Time, c PeerConfig) *Peer {
	for _, p := range n.peers {
		if p.key == c.Key && p.link == c.Link && p.conf == nil && p.up {
			p.ca.UpdateAuth([]byte(c.Password), c.Login)
			return p
		}
	}
	var first pkt.Addr
	if len(c.Addrs) > 0 && n.byAddr[peerKey{c.Link, c.Addrs[0]}] == nil {
		first = c.Addrs[0]
	}
	p := n.addPeer(now, c.Link, first, c.Key, sourceConfig)
	if p == nil {
		return nil
	}
	p.version = c.Version
	p.ca = cryptoauth.New(&n.ca, cryptoauth.Options{
		Key: c.Key, Password: []byte(c.Password), Login: c.Login, Noise: useNoise(c.Version),
	}, now)
	return p
}

// SetPeerAddrs tells where a configured peer's host name leads now.
func (n *Node) SetPeerAddrs(now mono.Time, name string, addrs []pkt.Addr, out *Out) {
	p := n.byConfig[name]
	if p == nil || slices.Equal(p.conf.Addrs, addrs) {
		return
	}
	p.conf.Addrs = addrs
	n.setAddrs(p, addrs)
	if !p.up || p.asking != mono.Never {
		n.knock(now, p, out)
	}
	n.hurry(now)
	n.flush(now, out)
}

// setAddrs makes p findable at addrs beside where it is now.
func (n *Node) setAddrs(p *Peer, addrs []pkt.Addr) {
	for _, a := range p.aliases {
		if a != p.addr && n.byAddr[peerKey{p.link, a}] == p {
			delete(n.byAddr, peerKey{p.link, a})
		}
	}
	p.aliases = p.aliases[:0]
	for _, a := range addrs {
		k := peerKey{p.link, a}
		q := n.byAddr[k]
		if q != nil && q != p && q.conf == nil && !q.up {
			n.forget(q)
			q = nil
		}
		if q == nil || q == p {
			n.byAddr[k] = p
			p.aliases = append(p.aliases, a)
			if p.addr.Kind == pkt.AddrNone {
				p.addr = a
			}
		}
	}
}

// RemovePeer forgets a configured peer. It reports whether there was one.
func (n *Node) RemovePeer(now mono.Time, name string, out *Out) bool {
	p := n.byConfig[name]
	if p == nil {
		return false
	}
	n.removePeer(now, p, out)
	n.flush(now, out)
	return true
}

// Remember makes a peer that called us in an earlier life known again, and
// calls it: a stock node that dialled us would otherwise wait a minute until
// it notices that our session is gone. It must answer within ten seconds.
func (n *Node) Remember(now mono.Time, link uint16, addr pkt.Addr, key cjdns.Key, out *Out) {
	if l := n.link(link); l == nil || n.byAddr[peerKey{link, addr}] != nil || !key.IP().Valid() || key == n.self.Public {
		return
	}
	for _, p := range n.peers {
		if p.key == key && p.link == link {
			return
		}
	}
	p := n.addPeer(now, link, addr, key, sourceRemembered)
	if p == nil {
		return
	}
	p.ca = cryptoauth.New(&n.ca, cryptoauth.Options{Key: key, RequireAuth: true}, now)
	n.knock(now, p, out)
}

// SetUser lets in peers with this password, or changes it. RemoveUser no
// longer lets new ones in; those inside stay until they are disconnected.
func (n *Node) SetUser(u cryptoauth.User) error {
	if err := n.users.Set(u); err != nil {
		return err
	}
	return n.meshUsers.Set(u)
}

// RemoveUser is the inverse of SetUser.
func (n *Node) RemoveUser(name string) bool {
	n.meshUsers.Remove(name)
	return n.users.Remove(name)
}

// Disconnect drops the peers that came in with the password of that name.
func (n *Node) Disconnect(now mono.Time, user string, out *Out) {
	for i := len(n.peers) - 1; i >= 0; i-- {
		if p := n.peers[i]; p.conf == nil && p.ca.User() == user && user != "" {
			n.removePeer(now, p, out)
		}
	}
	n.flush(now, out)
}
