package node

import (
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// fromStranger takes a frame from an address that no peer has.
func (n *Node) fromStranger(now mono.Time, l *link, b *pkt.Buf, out *Out) {
	if b.Addr.Kind == pkt.AddrUDP6 && cjdns.IP(b.Addr.IP).Valid() {
		n.drop(b, dropInside, out)
		return
	}
	key, hello := cryptoauth.ProbeHello(b.Bytes())
	noise := cryptoauth.ProbeNoise(b.Bytes())
	if !hello && !noise {
		if p := n.recognise(now, b, out); p != nil {
			n.fromPeer(now, p, b, out)
			return
		}
		n.drops[dropUnknownPeer]++
		n.hint(now, l, b, out)
		return
	}
	// Cheap checks before the first key agreement.
	var known *Peer
	if hello {
		known = n.byKey(key)
		if !key.IP().Valid() || key == n.self.Public {
			n.drops[dropSelfKey]++
			out.Pool.Put(b)
			if key == n.self.Public {
				out.Events = append(out.Events, Event{Kind: EventSameKey, Peer: PeerInfo{Key: key, Link: l.index, Addr: b.Addr}})
			}
			return
		}
	}
	if hello && n.refusing[key.IP()] && (known == nil || known.conf == nil) {
		n.drop(b, dropNotAdmitted, out)
		return
	}
	// Whom we dial need not show a password, but must have the key it claims.
	trusted := known != nil && (known.conf != nil || known.source == sourceBeacon)
	if trusted {
		probe := out.Pool.Get()
		probe.CopyFrom(b)
		trusted = known.ca.ProvesKey(probe)
		out.Pool.Put(probe)
	}
	admitted := hello && !trusted && n.mesh.admitted[key]
	if hello {
		if err := n.ca.CheckAuth(b.Bytes(), !trusted && !admitted); err != nil {
			n.countAuth(err)
			n.refused(b, err, out)
			return
		}
	}
	if noise {
		key = cjdns.Key{} // it is encrypted; the session will tell
		// Under load, only who can be reached at its address is worth a key
		// agreement: it gets a cookie to show.
		cookie, err := n.ca.CheckNoise(now, b, n.strangers.scarce(now))
		if err != nil {
			n.countAuth(err)
			n.drop(b, dropAuth, out)
			return
		}
		if cookie {
			n.transmit(l, b, out)
			return
		}
	}
	if !n.sources.take(now, b.Addr, cjdns.Key{}) || !n.strangers.take(now) {
		n.drop(b, dropBusy, out)
		return
	}
	p := n.addPeer(now, l.index, b.Addr, key, sourceIncoming)
	if p == nil {
		n.drop(b, dropTableFull, out)
		return
	}
	o := cryptoauth.Options{Key: key, RequireAuth: !trusted && !admitted, Noise: noise}
	if trusted {
		// It called us, but still may want to see our password.
		o.Password, o.Login = known.credentials()
	}
	p.ca, p.admitted = cryptoauth.New(&n.ca, o, now), admitted
	from := b.Addr
	n.fromPeer(now, p, b, out)
	if !p.ca.HasCandidate() && !p.ca.Established() {
		n.forget(p) // it failed: as if it had never been
		out.Events = append(out.Events, Event{
			Kind: EventRefused, Text: "handshake does not open: wrong password or key", Peer: PeerInfo{Link: l.index, Addr: from},
		})
	} else if noise && p.key.IsZero() {
		p.key = p.ca.PeerKey()
		p.ip = p.key.IP()
	}
}

// recognise finds the peer whose session a packet from an unknown address
// belongs to: it has moved, and goes on as if nothing had happened. Trying is
// cheap beside a handshake, but not free, so it has a limit.
func (n *Node) recognise(now mono.Time, b *pkt.Buf, out *Out) *Peer {
	if b.Len() < 24 || !n.trials.take(now) {
		return nil
	}
	probe := out.Pool.Get()
	defer out.Pool.Put(probe)
	for _, p := range n.peers {
		if p.link != b.Port || !p.hasPort {
			continue
		}
		probe.CopyFrom(b)
		if p.ca.Knows(probe) {
			return p
		}
	}
	return nil
}

// refused drops b and tells the log that a handshake was refused.
func (n *Node) refused(b *pkt.Buf, err error, out *Out) {
	out.Events = append(out.Events, Event{Kind: EventRefused, Text: err.Error(), Peer: PeerInfo{Link: b.Port, Addr: b.Addr}})
	n.drop(b, dropAuth, out)
}

func (n *Node) countAuth(err error) {
	if e, ok := err.(cryptoauth.DecryptErr); ok && int(e) < len(n.authFail.Drops) {
		n.authFail.Drops[e]++
	}
}

// fromPeer takes a CryptoAuth packet from p.
func (n *Node) fromPeer(now mono.Time, p *Peer, b *pkt.Buf, out *Out) {
	if isHint(b.Bytes()) {
		n.handleHint(now, p, out)
		out.Pool.Put(b)
		return
	}
	size := uint64(b.Len())
	from := b.Addr
	ev, err := p.ca.Open(now, b)
	if err != nil {
		n.drop(b, dropAuth, out)
		if err == cryptoauth.ErrNoSession || err == cryptoauth.ErrDecrypt {
			n.hintTo(now, p.link, from, out)
		}
		return
	}
	p.bytesIn += size
	if ev&cryptoauth.Promoted != 0 {
		p.handshakes++
	}
	if ev&(cryptoauth.Fresh|cryptoauth.Promoted) != 0 {
		if ev&cryptoauth.Stale != 0 {
			from = p.addr // too late to tell where it is now
		}
		p = n.heard(now, p, from, out)
	}
	if b.Len() < cjdns.SwitchHeaderLen {
		// A Noise handshake or keep-alive carries nothing.
		out.Pool.Put(b)
	} else if ev&cryptoauth.Fresh == 0 {
		n.handshakePayload(now, p, b, out)
	} else {
		n.fromSwitch(now, p, b, out)
	}
	if ev&cryptoauth.Answer != 0 {
		n.pingPeer(now, p, out)
	}
}

// heard notes an authenticated packet of p that came from addr. It returns
// the peer that it is from now on: an older entry may have taken over.
func (n *Node) heard(now mono.Time, p *Peer, addr pkt.Addr, out *Out) *Peer {
	if p.asking != mono.Never {
		p.patience.Answered(now.Sub(p.asking))
	}
	p.lastIn, p.asking = now, mono.Never
	if addr != p.addr {
		if !slices.Contains(p.aliases, p.addr) {
			delete(n.byAddr, peerKey{p.link, p.addr})
		}
		p.addr = addr
		n.byAddr[peerKey{p.link, addr}] = p
		n.moved(now, p, out)
	}
	if p.moving {
		p.moving = false
		n.moved(now, p, out)
	}
	if !p.up && p.ca.Established() && p.version != 0 {
		p = n.peerUp(now, p, out)
	}
	return p
}
