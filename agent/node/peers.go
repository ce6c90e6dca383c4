package node

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
	"github.com/meshagent/meshagent/agent/session"
	"github.com/meshagent/meshagent/agent/switchcore"
)

// Life of a peer. Stock cjdns pings after 3072 ms of silence, gives a peer up
// after 20 s and forgets incoming ones after 262 s; the shorter times here
// are what lets pings flow again within two seconds of a restart or a move.
const (
	lazyTime     = 3072 * time.Millisecond // silence after which an idle peer is pinged
	knockTime    = 1024 * time.Millisecond // between hellos to a peer that is not there
	knockSlow    = 2048 * time.Millisecond // the same after a minute
	answerTime   = 600 * time.Millisecond  // sent, nothing came back: ping
	renewTime    = 1200 * time.Millisecond // still nothing: a new handshake beside the old session
	renewPause   = 2 * time.Second         // one new handshake per peer in this time
	repeatTime   = 400 * time.Millisecond  // between repeats of its hello
	downTime     = 4 * time.Second         // give up: the slot is down, routes through it are dropped
	forgetTime   = 262 * time.Second       // a peer that nobody configured, without a word
	halfOpenTime = 10 * time.Second        // an address that does not finish its first handshake
	resolveTime  = 2 * time.Second         // between look-ups of a lost peer's host name
	usedTime     = 2 * time.Second         // between pings of a peer that carries something
	againTime    = time.Second             // a peer that pings twice in this time does not hear us
	rateTime     = 2 * time.Second         // over which kbit/s are measured
)

type source uint8

const (
	sourceConfig source = iota
	sourceBeacon
	sourceIncoming
	sourceRemembered // an incoming peer of our last life
	sourceMesh       // made when needed, over the mesh
)

var sourceNames = [...]string{"config", "beacon", "incoming", "incoming", "mesh"}

type peerKey struct {
	link uint16
	addr pkt.Addr
}

// Peer is a direct neighbour, or an address that may become one.
type Peer struct {
	key     cjdns.Key
	ip      cjdns.IP
	version uint32
	source  source
	name    string
	conf    *PeerConfig
	ca      *cryptoauth.Session

	link    uint16
	addr    pkt.Addr
	aliases []pkt.Addr // other addresses at which it may be; also in byAddr

	port  switchcore.Port // 0 is legal: see hasPort
	label cjdns.Label
	// hasPort: it was up once and owns port. up: it answers.
	hasPort, up bool

	made      mono.Time
	lastIn    mono.Time // last fresh packet; -1 never
	asking    mono.Time // first packet sent since; Never if answered
	unproven  mono.Time // first ping of ours since the last answer to one; Never
	lastPing  mono.Time
	herPing   mono.Time // its last one
	nextKnock mono.Time
	nextRenew mono.Time
	nextAsk   mono.Time // next look-up of its host name
	upAt      mono.Time

	called mono.Time // over the mesh: when it was first called
	used   mono.Time // last transit or own traffic
	moving bool      // over the mesh: it has another address, and was not heard since
	// brought is when the last of that came from it.
	brought mono.Time

	// admitted: it came in because Admit names its key.
	admitted  bool
	nextIntro mono.Time

	// Other links to the same node: see standby.go.
	paired   bool      // there are some
	away     mono.Time // until then another carries its frames; 0: it does itself
	doubt    mono.Time // since when it is in doubt because of another; Never
	patience session.Patience

	cookie   [12]byte // of the last ping
	cookieAt mono.Time
	rtt      time.Duration // smoothed

	password [20]byte // of its beacon
	replies  bucket   // answers to its control frames
	moves    int      // changes of address since movesAt
	movesAt  mono.Time

	bytesIn, bytesOut     uint64
	rateIn, rateOut       uint32 // kbit/s
	rateAt                mono.Time
	rateBytesIn, rateBOut uint64
	rateReceived          uint64
	rateLost              uint64
	loss                  int32 // thousandths of what it sends us, smoothed
	handshakes            uint64
	problem               string
}

// addPeer makes a peer and finds it by its address. It returns nil if the
// table is full.
func (n *Node) addPeer(now mono.Time, link uint16, addr pkt.Addr, key cjdns.Key, s source) *Peer {
	if len(n.peers) >= MaxPeers+MaxHalfOpen || s == sourceIncoming && !n.halfOpenRoom(now) {
		return nil
	}
	p := &Peer{
		key: key, ip: key.IP(), source: s, link: link, addr: addr, made: now,
		lastIn: -1, asking: mono.Never, doubt: mono.Never, unproven: mono.Never, lastPing: -1, nextKnock: now, nextRenew: now, rateAt: now,
		replies: bucket{rate: 100, burst: 100},
	}
	n.peers = append(n.peers, p)
	if addr.Kind != pkt.AddrNone {
		n.byAddr[peerKey{link, addr}] = p
	}
	return p
}

// halfOpenRoom reports whether another unknown address may begin a handshake;
// the oldest one that is older than a second gives way.
func (n *Node) halfOpenRoom(now mono.Time) bool {
	count := 0
	var old *Peer
	for _, p := range n.peers {
		if p.source == sourceIncoming && !p.hasPort {
			count++
			if old == nil {
				old = p
			}
		}
	}
	if count < MaxHalfOpen {
		return true
	}
	if now.Sub(old.made) < time.Second {
		return false
	}
	n.forget(old)
	return true
}

// removePeer takes p out of every table and tells about it.
func (n *Node) removePeer(now mono.Time, p *Peer, out *Out) {
	if p.up {
		n.peerDown(now, p, out)
	}
	if p.hasPort {
		n.slotDown(now, p, out) // another link may have carried it
		out.Events = append(out.Events, Event{Kind: EventPeerGone, Peer: p.info()})
	}
	if p.hasPort && n.onMesh(p) {
		n.byPort[p.port], p.hasPort = nil, false
		n.restSlot(now, p.port)
	}
	n.forget(p)
	n.unpair(p)
}

// forget takes p out of every table.
func (n *Node) forget(p *Peer) {
	if p.hasPort {
		n.byPort[p.port] = nil
		n.ports.Set(p.port, switchcore.Empty)
	}
	for k, q := range n.byAddr {
		if q == p {
			delete(n.byAddr, k)
		}
	}
	if p.conf != nil {
		delete(n.byConfig, p.conf.Name)
	}
	if n.mesh.peers[p.ip] == p {
		delete(n.mesh.peers, p.ip)
	}
	// A new list: somebody may just be going through the old one.
	n.peers = slices.DeleteFunc(slices.Clone(n.peers), func(q *Peer) bool { return q == p })
	p.up, p.hasPort = false, false
	if p.ca != nil {
		st := p.ca.Stats()
		for i, d := range st.Drops {
			n.authFail.Drops[i] += d
		}
	}
}

func (p *Peer) info() PeerInfo {
	return PeerInfo{
		Name: p.title(), Key: p.key, Link: p.link, Addr: p.addr,
		Incoming: p.source == sourceIncoming || p.source == sourceRemembered, Version: p.version, Label: p.label,
	}
}

func (p *Peer) title() string {
	if p.name != "" || p.ca == nil {
		return p.name
	}
	return p.ca.User()
}

// credentials returns what p wants to see of us; nil if nothing.
func (p *Peer) credentials() (password []byte, login string) {
	switch {
	case p.conf != nil:
		return []byte(p.conf.Password), p.conf.Login
	case p.source == sourceBeacon:
		return p.password[:], ""
	}
	return nil, ""
}

// byKey returns the peer with that key that we are surest of.
func (n *Node) byKey(key cjdns.Key) *Peer {
	var best *Peer
	for _, p := range n.peers {
		if p.key == key && (best == nil || p.conf != nil && best.conf == nil || p.hasPort && !best.hasPort) {
			best = p
		}
	}
	return best
}

// measure updates the rates and the loss that Status shows.
func (p *Peer) measure(now mono.Time) {
	ms := uint64(now.Sub(p.rateAt) / time.Millisecond)
	if ms == 0 {
		return
	}
	p.rateIn = uint32((p.bytesIn - p.rateBytesIn) * 8 / ms)
	p.rateOut = uint32((p.bytesOut - p.rateBOut) * 8 / ms)
	if p.ca != nil {
		st := p.ca.Stats()
		// A new session counts from zero; late packets take back what was
		// counted as lost before.
		if got := int64(st.Received) - int64(p.rateReceived); got > 0 {
			lost := max(0, int64(st.Lost)-int64(p.rateLost))
			permille := lost * 1000 / (lost + got)
			p.loss += int32(permille-int64(p.loss)) / 4
		}
		p.rateReceived, p.rateLost = st.Received, st.Lost
	}
	p.rateAt, p.rateBytesIn, p.rateBOut = now, p.bytesIn, p.bytesOut
}
