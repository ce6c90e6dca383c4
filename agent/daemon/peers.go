package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/pkt"
)

// resolution is the outcome of one look-up of a peer's host name.
type resolution struct {
	section string
	addrs   []netip.Addr
	err     error
}

// peerState is what the supervisor remembers of a configured peer.
type peerState struct {
	conf    config.Peer
	link    uint16
	placed  bool // the node knows it
	addrs   []netip.Addr
	pending bool // a look-up is under way
}

// applyUsers lets in whom the configuration names, and nobody else.
func (d *Daemon) applyUsers(ctx context.Context) {
	want := make(map[string]config.Password)
	for _, p := range d.cfg.Passwords {
		if p.Enabled {
			want[p.Section] = p
		}
	}
	d.engine.do(ctx, func(now mono.Time) {
		for section, old := range d.users {
			if want[section] != old {
				d.engine.node.RemoveUser(old.Name)
				if want[section].Password != old.Password {
					d.engine.node.Disconnect(now, old.Name, &d.engine.out)
				}
				delete(d.users, section)
			}
		}
		for section, p := range want {
			if _, ok := d.users[section]; ok {
				continue
			}
			err := d.engine.node.SetUser(cryptoauth.User{Name: p.Name, Password: []byte(p.Password), IP: p.IP})
			if err != nil {
				d.log.Error("password cannot be used", "section", section, "err", err)
				continue
			}
			d.users[section] = p
		}
	})
}

// applyPeers tells the node which peers to dial and where.
func (d *Daemon) applyPeers(ctx context.Context) {
	for section, st := range d.peers {
		i := slices.IndexFunc(d.cfg.Peers, func(p config.Peer) bool { return p.Section == section && p.Enabled })
		if i < 0 || d.cfg.Peers[i] != st.conf {
			d.problem("peer "+section, "")
			delete(d.peers, section)
			if i < 0 {
				d.engine.do(ctx, func(now mono.Time) { d.engine.node.RemovePeer(now, section, &d.engine.out) })
			}
		}
	}
	for _, p := range d.cfg.Peers {
		if !p.Enabled {
			continue
		}
		st := d.peers[p.Section]
		if st == nil {
			st = &peerState{conf: p}
			d.peers[p.Section] = st
		}
		if !st.placed {
			d.place(ctx, st)
		}
	}
}

// place gives a peer to the node, once it is known on which link it is.
func (d *Daemon) place(ctx context.Context, st *peerState) {
	p := st.conf
	e, err := p.Endpoint()
	if err != nil {
		d.problem("peer "+p.Section, fmt.Sprintf("peer %s: %v", p.Section, err))
		return
	}
	if e.IsHost() && st.addrs == nil {
		d.lookUp(ctx, st)
		return
	}
	c := node.PeerConfig{
		Name: p.Section, Title: p.Name, Key: p.PublicKey, Password: p.Password, Login: p.Login, Version: p.Version,
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
		d.problem("peer "+p.Section, fmt.Sprintf("peer %s: %v", p.Section, err))
		return
	}
	d.problem("peer "+p.Section, "")
	st.link, st.placed = c.Link, true
	d.engine.do(ctx, func(now mono.Time) { d.engine.node.SetPeer(now, c, &d.engine.out) })
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
	section := st.conf.Section
	go func() {
		addrs, err := resolve(ctx, e.Host)
		select {
		case d.resolved <- resolution{section, addrs, err}:
		case <-ctx.Done():
		}
	}()
}

// gotAddrs takes the outcome of a look-up. Addresses inside the overlay are
// refused: a link cannot run over itself.
func (d *Daemon) gotAddrs(ctx context.Context, r resolution) {
	st := d.peers[r.section]
	if st == nil {
		return
	}
	st.pending = false
	addrs := slices.DeleteFunc(r.addrs, func(a netip.Addr) bool {
		return a.Is6() && !a.Is4In6() && a.As16()[0] == 0xfc || a.IsMulticast() || a.IsUnspecified()
	})
	if r.err != nil || len(addrs) == 0 {
		why := "the name has no usable address"
		if r.err != nil {
			why = r.err.Error()
		}
		if !st.placed {
			d.problem("peer "+r.section, fmt.Sprintf("peer %s: %s", r.section, why))
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
		d.engine.do(ctx, func(now mono.Time) { d.engine.node.SetPeerAddrs(now, r.section, to, &d.engine.out) })
	}
}
