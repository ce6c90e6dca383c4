package node

import (
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// LinkKind says how frames look on a link.
type LinkKind uint8

// Kinds of links.
const (
	LinkUDP  LinkKind = iota + 1 // a datagram is a CryptoAuth packet
	LinkEth                      // 6 bytes of length and type in front, beacons among them
	LinkMesh                     // a packet of the mesh's holds a CryptoAuth packet; addresses are originators
)

// String names the kind as the configuration does.
func (k LinkKind) String() string {
	switch k {
	case LinkEth:
		return "eth"
	case LinkMesh:
		return "mesh"
	}
	return "udp"
}

// BeaconState says what a link does with beacons, in cjdns's numbers.
type BeaconState uint8

// Beacon states.
const (
	BeaconOff BeaconState = iota
	BeaconAccept
	BeaconSend // and accept
)

// String names the state as the configuration does.
func (s BeaconState) String() string { return [...]string{"off", "accept", "send"}[min(s, 2)] }

// LinkConfig describes one socket.
type LinkConfig struct {
	Kind   LinkKind
	Name   string // configuration section
	Bind   string
	MTU    int // largest frame the link carries, without Ethernet, IP or UDP header
	Beacon BeaconState
	// BeaconLink is the link on which UDP beacons leave, BeaconTo their
	// destinations; Port is announced in them. Ethernet needs neither.
	BeaconLink uint16
	BeaconTo   []pkt.Addr
	Port       uint16
	Offload    string // for Status
}

type link struct {
	LinkConfig
	index      uint16
	up         bool
	problem    string
	nextBeacon mono.Time
	rx, tx     uint64
}

// beaconTime is the interval of beacons. Source: cjdns net/InterfaceController.c.
const (
	beaconTime  = 32768 * time.Millisecond
	beaconLogin = "Local Peers"
	// maxBeaconPeers bounds the peers that a beacon named and that have not
	// answered yet.
	maxBeaconPeers = 32
)

var (
	broadcastMAC = pkt.MACAddr([6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
)

// SetLink adds the link with the given index or changes it. A link that was
// down or is new sends its beacon and pings its peers at once.
func (n *Node) SetLink(now mono.Time, index uint16, c LinkConfig, out *Out) {
	for int(index) >= len(n.links) {
		n.links = append(n.links, nil)
	}
	l := n.links[index]
	if l == nil {
		l = &link{index: index}
		n.links[index] = l
	}
	l.LinkConfig, l.up, l.problem, l.nextBeacon = c, true, "", now
	for _, p := range n.peers {
		if p.link == index {
			n.knock(now, p, out)
		}
	}
	n.nextTick = mono.Min(n.nextTick, now)
}

// AddDownLink makes a link known that cannot be opened now, and says why.
func (n *Node) AddDownLink(now mono.Time, index uint16, c LinkConfig, why string, out *Out) {
	if n.link(index) == nil {
		for int(index) >= len(n.links) {
			n.links = append(n.links, nil)
		}
		n.links[index] = &link{LinkConfig: c, index: index}
	}
	n.LinkDown(now, index, why, out)
}

// LinkDown tells that a link does not work now, and why. Its peers stay, to
// be found again when it returns; packets for them are not sent.
func (n *Node) LinkDown(now mono.Time, index uint16, why string, out *Out) {
	l := n.link(index)
	if l == nil {
		return
	}
	l.up, l.problem = false, why
	for _, p := range n.peers {
		if p.link == index && p.up {
			n.peerDown(now, p, out)
		}
	}
	n.flush(now, out)
}

// RemoveLink forgets a link and the peers on it that no configuration names.
func (n *Node) RemoveLink(now mono.Time, index uint16, out *Out) {
	n.LinkDown(now, index, "removed", out)
	for i := len(n.peers) - 1; i >= 0; i-- {
		if p := n.peers[i]; p.link == index && p.conf == nil {
			n.removePeer(now, p, out)
		}
	}
	if l := n.link(index); l != nil && l.Kind == LinkMesh {
		clear(n.mesh.nodes) // who told of them is gone
	}
	if int(index) < len(n.links) {
		n.links[index] = nil
	}
}

// AddressesChanged tells that this host's own addresses changed: peers may
// see us at a new one, so every peer is called at once. Who does not answer
// soon, but can be reached over another link, is reached over that one.
func (n *Node) AddressesChanged(now mono.Time, out *Out) {
	for _, p := range n.peers {
		n.knock(now, p, out)
		if p.paired && p.up {
			n.inDoubt(now, p, out)
		}
	}
	n.flush(now, out)
}

func (n *Node) link(index uint16) *link {
	if int(index) < len(n.links) {
		return n.links[index]
	}
	return nil
}

// expireLinks sends the beacons that are due.
func (n *Node) expireLinks(now mono.Time, out *Out) {
	for _, l := range n.links {
		if l == nil || !l.up || l.Beacon != BeaconSend {
			continue
		}
		if now >= l.nextBeacon {
			l.nextBeacon = now.Add(beaconTime)
			n.sendBeacon(l, out)
		}
		n.nextTick = mono.Min(n.nextTick, l.nextBeacon)
	}
}

func (n *Node) sendBeacon(l *link, out *Out) {
	if l.Kind == LinkEth {
		b := out.Pool.Get()
		b.Set(n.beacon.Append(n.scratch[:0]))
		b.Port, b.Addr = l.index, broadcastMAC
		n.transmit(l, b, out)
		return
	}
	for _, to := range l.BeaconTo {
		b := out.Pool.Get()
		b.Set(cjdns.UDPBeacon{Port: l.Port, Beacon: n.beacon}.Append(n.scratch[:0]))
		b.Port, b.Addr = l.BeaconLink, to
		out.Frames.Add(b)
		l.tx++
	}
}

// transmit adds the link's own header and hands the frame to the daemon.
func (n *Node) transmit(l *link, b *pkt.Buf, out *Out) {
	if l.Kind == LinkEth {
		cjdns.PutEthHeader(b.Push(cjdns.EthHeaderLen), b.Len()-cjdns.EthHeaderLen)
	}
	l.tx++
	out.Frames.Add(b)
}

// handleFrame takes one frame from a link.
func (n *Node) handleFrame(now mono.Time, b *pkt.Buf, out *Out) {
	l := n.link(b.Port)
	if l == nil {
		n.fromBeaconSocket(now, b, out)
		return
	}
	l.rx++
	if l.Kind == LinkEth {
		payload, err := cjdns.ParseEthHeader(b.Bytes())
		if err != nil {
			n.drop(b, dropRunt, out)
			return
		}
		b.Pull(cjdns.EthHeaderLen)
		b.Truncate(len(payload))
	}
	if b.Len() < 4 {
		n.drop(b, dropRunt, out)
		return
	}
	if isIntroduction(b.Bytes()) {
		n.introduced(now, b, out)
		return
	}
	if l.Kind == LinkMesh {
		n.fromMesh(now, l, b, out)
		return
	}
	p := n.byAddr[peerKey{b.Port, b.Addr}]
	if n.isBeacon(l, p, b.Bytes()) {
		n.handleBeacon(now, l, b, out)
		return
	}
	if p == nil {
		n.fromStranger(now, l, b, out)
		return
	}
	if cryptoauth.IsHandshake(b.Bytes()) {
		if !n.plausible(p, b.Bytes()) {
			n.drop(b, dropAuth, out)
			return
		}
		if !n.sources.take(now, b.Addr, p.key) || !n.handshakes.take(now) {
			n.drop(b, dropBusy, out)
			return
		}
	}
	n.fromPeer(now, p, b, out)
}

// plausible looks at a handshake packet from the address of p without any
// cryptography. What anybody could send under that address must not use up
// the tokens of p.
func (n *Node) plausible(p *Peer, b []byte) bool {
	if h, err := cjdns.ParseCryptoHeader(b); err == nil && h.State <= cjdns.StateRepeatKey {
		if !p.key.IsZero() && h.Key != p.key {
			return false
		}
		return h.State >= cjdns.StateKey || n.ca.CheckAuth(b, false) == nil
	}
	return cryptoauth.IsNoiseControl(b)
}

// fromBeaconSocket takes a datagram that came to the port that all nodes of a
// network share: beacons are read from nowhere else.
func (n *Node) fromBeaconSocket(now mono.Time, b *pkt.Buf, out *Out) {
	for _, l := range n.links {
		if l != nil && l.Kind == LinkUDP && l.Beacon != BeaconOff && l.BeaconLink == b.Port {
			n.handleBeacon(now, l, b, out)
			return
		}
	}
	n.drop(b, dropNoLink, out)
}

// isBeacon tells a beacon from a CryptoAuth packet on Ethernet. Nothing in the frame
// does, only the broadcast destination, which is no longer known here; but a beacon has 56 bytes, and where its key
// belongs to the peer at this address, or there is no peer yet, it is one.
func (n *Node) isBeacon(l *link, p *Peer, f []byte) bool {
	if l.Kind != LinkEth || len(f) != cjdns.BeaconLen {
		return false
	}
	b, err := cjdns.ParseBeacon(f)
	if err != nil || b.Version < oldestPeer || b.Version > 1000 {
		return false
	}
	if p != nil {
		return p.key == b.Key
	}
	return b.Key.IP().Valid()
}

// handleBeacon takes a beacon: a neighbour that invites us.
func (n *Node) handleBeacon(now mono.Time, l *link, f *pkt.Buf, out *Out) {
	defer out.Pool.Put(f)
	beacon, err := cjdns.Beacon{}, error(nil)
	addr := f.Addr
	if l.Kind == LinkUDP {
		var u cjdns.UDPBeacon
		u, err = cjdns.ParseUDPBeacon(f.Bytes())
		beacon, addr.Port = u.Beacon, u.Port
	} else {
		beacon, err = cjdns.ParseBeacon(f.Bytes())
	}
	if err != nil || l.Beacon == BeaconOff || beacon.Version < oldestPeer || addr.Port == 0 && l.Kind == LinkUDP {
		n.drops[dropBeacon]++
		return
	}
	if beacon.Key == n.self.Public {
		n.drops[dropSelfKey]++
		if beacon.Password != n.beacon.Password {
			// Not our own broadcast that comes back: a twin.
			out.Events = append(out.Events, Event{Kind: EventSameKey, Peer: PeerInfo{Key: beacon.Key, Link: l.index, Addr: addr}})
		}
		return
	}
	if p := n.byAddr[peerKey{l.index, addr}]; p != nil {
		n.invitedAgain(now, p, beacon, out)
		return
	}
	if !beacon.Key.IP().Valid() || !n.beacons.take(now) || !n.beaconRoom(l.index, beacon.Key) {
		n.drops[dropBeacon]++
		return
	}
	p := n.addPeer(now, l.index, addr, beacon.Key, sourceBeacon)
	if p == nil {
		n.drops[dropTableFull]++
		return
	}
	p.version, p.password = beacon.Version, beacon.Password
	p.ca = cryptoauth.New(&n.ca, cryptoauth.Options{Key: beacon.Key, Password: p.password[:]}, now)
	n.knock(now, p, out)
}

// invitedAgain takes a beacon of a peer that we know at this address already.
// A new password means that it was restarted, or that so far only it had
// heard our beacons, and we never its. The old session keeps working until the
// new one does: a forged beacon costs us a handshake.
func (n *Node) invitedAgain(now mono.Time, p *Peer, b cjdns.Beacon, out *Out) {
	if p.key != b.Key || p.conf != nil || p.source == sourceBeacon && p.password == b.Password || !n.beacons.take(now) {
		return
	}
	p.source, p.password = sourceBeacon, b.Password
	p.ca.UpdateAuth(p.password[:], "")
	// A hello with the old password may be on its way already.
	p.ca.DropCandidate()
	p.nextRenew = now
	n.renew(now, p, out)
}

// beaconRoom reports whether a beacon may make another peer: the number of
// those that have not answered yet is bounded, and each key counts once a
// link.
func (n *Node) beaconRoom(link uint16, key cjdns.Key) bool {
	waiting := 0
	for _, p := range n.peers {
		if p.source == sourceBeacon && !p.hasPort {
			if p.key == key && p.link == link {
				return false
			}
			waiting++
		}
	}
	return waiting < maxBeaconPeers
}

// useNoise reports whether a configured peer is dialled with Noise: if the
// configuration says that it speaks version 22 or later. Peers found by
// beacons are dialled the legacy way, as stock nodes do: both ends dial there,
// and a Noise link is to be dialled from one side only. Noise from others is
// answered in any case.
func useNoise(version uint32) bool { return version >= 22 }
