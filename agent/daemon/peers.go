package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/pkt"
)

// resolution is the outcome of one look-up of a peer's host name.
type resolution struct {
	peer  string // its ID
	addrs []netip.Addr
	err   error
}

// peerState is what the supervisor remembers of a configured peer.
type peerState struct {
	conf    config.Peer
	link    uint16
	placed  bool // the node knows it
	addrs   []netip.Addr
	pending bool // a look-up is under way
}

// userID is what makes a password another one. Sections do not count: the
// number of an unnamed one changes when another is deleted.
type userID struct{ name, password string }

// applyUsers lets in whom the configuration and open invites name, and nobody
// else. Peers that came in with a password that is gone are disconnected,
// unless it was that of an invite which has served its purpose.
func (d *Daemon) applyUsers(ctx context.Context) {
	want := make(map[userID]config.Password)
	var order []config.Password
	for _, p := range d.cfg.Passwords {
		if p.Enabled {
			p.Section = ""
			want[userID{p.Name, p.Password}] = p
			order = append(order, p) // where logins are equal, the first counts
		}
	}
	d.engine.do(ctx, func(now mono.Time) {
		for _, l := range d.engine.community.c.Logins(now) {
			p := config.Password{Enabled: true, Name: l.Name, Password: l.Password}
			want[userID{p.Name, p.Password}] = p
			order = append(order, p)
		}
		for id, old := range d.users {
			if p, ok := want[id]; !ok || p.IP != old.IP {
				d.engine.node.RemoveUser(old.Name)
				if d.engine.community.c.Cut(old.Name) {
					d.engine.node.Disconnect(now, old.Name, &d.engine.out)
				}
				delete(d.users, id)
			}
		}
		for _, p := range order {
			id := userID{p.Name, p.Password}
			if _, ok := d.users[id]; ok {
				continue
			}
			err := d.engine.node.SetUser(cryptoauth.User{Name: p.Name, Password: []byte(p.Password), IP: p.IP})
			if err != nil {
				d.log.Error("password cannot be used", "name", p.Name, "err", err)
				continue
			}
			d.users[id] = p
		}
	})
}

// peerID names a peer towards the node.
func peerID(p config.Peer) string {
	id := p.ID()
	return id.Key.String() + " " + id.Address + " " + id.Interface
}

// applyPeers tells the node which peers to dial and where. A peer is known by
// key and address, not by its section: the number of an unnamed section
// changes when one before it is deleted, and that must disturb nobody.
func (d *Daemon) applyPeers(ctx context.Context) {
	want := make(map[string]config.Peer)
	for _, p := range d.cfg.Peers {
		if p.Enabled {
			want[peerID(p)] = p
		}
	}
	for id, st := range d.peers {
		p, ok := want[id]
		if !ok {
			d.problem("peer "+id, "")
			delete(d.peers, id)
			d.engine.do(ctx, func(now mono.Time) { d.engine.node.RemovePeer(now, id, &d.engine.out) })
			continue
		}
		if old := st.conf; p != old {
			st.conf = p
			old.Section = p.Section
			st.placed = st.placed && p == old
		}
	}
	for _, p := range d.cfg.Peers {
		if !p.Enabled {
			continue
		}
		st := d.peers[peerID(p)]
		if st == nil {
			st = &peerState{conf: p}
			d.peers[peerID(p)] = st
		}
		if !st.placed {
			d.place(ctx, st)
		}
	}
}

// place gives a peer to the node, once it is known on which link it is.
func (d *Daemon) place(ctx context.Context, st *peerState) {
	p := st.conf
	id := peerID(p)
	e, err := p.Endpoint()
	if err != nil {
		d.problem("peer "+id, fmt.Sprintf("peer %s: %v", p.Section, err))
		return
	}
	if e.IsHost() && st.addrs == nil {
		d.lookUp(ctx, st)
		return
	}
	c := node.PeerConfig{
		Name: id, Title: p.Name, Key: p.PublicKey, Password: p.Password, Login: p.Login, Version: p.Version,
	}
	if c.Title == "" {
		c.Title = p.Section
	}
	switch {
	case e.IsMAC():
		c.Link, err = d.links.find(p, e, netip.Addr{})
		c.Addrs = []pkt.Addr{pkt.MACAddr(e.MAC)}
	case e.IsHost():
		c.Host = e.String()
		c.Link, err = d.links.find(p, e, st.addrs[0])
		if err != nil {
			// Perhaps the other family has a link.
			for _, a := range st.addrs[1:] {
				if c.Link, err = d.links.find(p, e, a); err == nil {
					break
				}
			}
		}
		c.Addrs = d.linkAddrs(c.Link, st.addrs, e.Port)
	default:
		c.Link, err = d.links.find(p, e, e.AddrPort.Addr())
		c.Addrs = []pkt.Addr{pkt.UDPAddr(e.AddrPort, zoneIndex(e.AddrPort.Addr()))}
	}
	if err != nil {
		d.problem("peer "+id, fmt.Sprintf("peer %s: %v", p.Section, err))
		return
	}
	d.problem("peer "+id, "")
	st.link, st.placed = c.Link, true
	full := make(chan bool, 1)
	if d.engine.do(ctx, func(now mono.Time) { full <- !d.engine.node.SetPeer(now, c, &d.engine.out) }) && <-full {
		st.placed = false // it is tried again
		d.problem("peer "+id, fmt.Sprintf("peer %s: no room for another peer", p.Section))
	}
}

// linkAddrs returns those addresses that the link can reach.
func (d *Daemon) linkAddrs(link uint16, addrs []netip.Addr, port uint16) []pkt.Addr {
	var out []pkt.Addr
	for _, s := range d.links.sockets {
		if s.index != link || s.kind != node.LinkUDP {
			continue
		}
		for _, a := range addrs {
			if a.Unmap().Is4() == s.udp.Bind.Addr().Is4() && len(out) < 4 {
				out = append(out, pkt.UDPAddr(netip.AddrPortFrom(a, port), zoneIndex(a)))
			}
		}
	}
	return out
}

// zoneIndex returns the interface index of a link-local address, 0 if it has
// none.
func zoneIndex(a netip.Addr) uint32 {
	if a.Zone() == "" {
		return 0
	}
	i, err := kernel.InterfaceByName(a.Zone())
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}

// lookUp resolves the host name of a peer on a goroutine of its own.
func (d *Daemon) lookUp(ctx context.Context, st *peerState) {
	e, err := st.conf.Endpoint()
	if err != nil || !e.IsHost() || st.pending {
		return
	}
	st.pending = true
	id := peerID(st.conf)
	go func() {
		addrs, err := resolve(ctx, e.Host)
		select {
		case d.resolved <- resolution{id, addrs, err}:
		case <-ctx.Done():
		}
	}()
}

// linkable leaves out what is no address of one node outside the overlay: a
// link cannot run over itself.
func linkable(addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(addrs, func(a netip.Addr) bool {
		return cjdns.IP(a.As16()).Valid() || a.IsMulticast() || a.IsUnspecified()
	})
}

// gotAddrs takes the outcome of a look-up.
func (d *Daemon) gotAddrs(ctx context.Context, r resolution) {
	st := d.peers[r.peer]
	if st == nil {
		return
	}
	st.pending = false
	addrs := linkable(r.addrs)
	if r.err != nil || len(addrs) == 0 {
		why := "the name has no usable address"
		if r.err != nil {
			why = r.err.Error()
		}
		if !st.placed {
			d.problem("peer "+r.peer, fmt.Sprintf("peer %s: %s", st.conf.Section, why))
		}
		return
	}
	st.addrs = addrs
	if !st.placed {
		d.place(ctx, st)
		return
	}
	e, _ := st.conf.Endpoint()
	to := d.linkAddrs(st.link, addrs, e.Port)
	if len(to) > 0 {
		d.engine.do(ctx, func(now mono.Time) { d.engine.node.SetPeerAddrs(now, r.peer, to, &d.engine.out) })
	}
}
