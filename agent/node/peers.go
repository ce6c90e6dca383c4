package node

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pathfinder"
	"github.com/meshagent/meshagent/agent/pkt"
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
	rateTime     = 2 * time.Second         // over which kbit/s are measured
)

type source uint8

const (
	sourceConfig source = iota
	sourceBeacon
	sourceIncoming
	sourceRemembered // an incoming peer of our last life
)

var sourceNames = [...]string{"config", "beacon", "incoming", "incoming"}

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
	lastPing  mono.Time
	nextKnock mono.Time
	nextRenew mono.Time
	nextAsk   mono.Time // next look-up of its host name
	upAt      mono.Time

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
	handshakes            uint64
	problem               string
}

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

// addPeer makes a peer and finds it by its address. It returns nil if the
// table is full.
func (n *Node) addPeer(now mono.Time, link uint16, addr pkt.Addr, key cjdns.Key, s source) *Peer {
	if len(n.peers) >= MaxPeers+MaxHalfOpen || s == sourceIncoming && !n.halfOpenRoom(now) {
		return nil
	}
	p := &Peer{
		key: key, ip: key.IP(), source: s, link: link, addr: addr, made: now,
		lastIn: -1, asking: mono.Never, lastPing: -1, nextKnock: now, nextRenew: now, rateAt: now,
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
		out.Events = append(out.Events, Event{Kind: EventPeerGone, Peer: p.info()})
	}
	n.forget(p)
}

// forget takes p out of every table.
func (n *Node) forget(p *Peer) {
	if p.hasPort && n.byPort[p.port] == p {
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
	n.peers = slices.DeleteFunc(n.peers, func(q *Peer) bool { return q == p })
	if p.ca != nil {
		st := p.ca.Stats()
		for i, d := range st.Drops {
			n.authFail.Drops[i] += d
		}
	}
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
func (n *Node) SetUser(u cryptoauth.User) error { return n.users.Set(u) }

// RemoveUser is the inverse of SetUser.
func (n *Node) RemoveUser(name string) bool { return n.users.Remove(name) }

// Disconnect drops the peers that came in with the password of that name.
func (n *Node) Disconnect(now mono.Time, user string, out *Out) {
	for i := len(n.peers) - 1; i >= 0; i-- {
		if p := n.peers[i]; p.conf == nil && p.ca.User() == user && user != "" {
			n.removePeer(now, p, out)
		}
	}
	n.flush(now, out)
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

// fromStranger takes a frame from an address that no peer has.
func (n *Node) fromStranger(now mono.Time, l *link, b *pkt.Buf, out *Out) {
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
	// Whom we dial need not show a password, but must have the key it claims.
	trusted := known != nil && (known.conf != nil || known.source == sourceBeacon)
	if trusted {
		probe := out.Pool.Get()
		probe.CopyFrom(b)
		trusted = known.ca.ProvesKey(probe)
		out.Pool.Put(probe)
	}
	if hello {
		if err := n.ca.CheckAuth(b.Bytes(), !trusted); err != nil {
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
	o := cryptoauth.Options{Key: key, RequireAuth: !trusted, Noise: noise}
	if trusted {
		// It called us, but still may want to see our password.
		o.Password, o.Login = known.credentials()
	}
	p.ca = cryptoauth.New(&n.ca, o, now)
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
		n.heard(now, p, from, out)
		if q := n.byAddr[peerKey{b.Port, from}]; q != nil {
			p = q // an older entry may have taken over
		}
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

// heard notes an authenticated packet of p that came from addr.
func (n *Node) heard(now mono.Time, p *Peer, addr pkt.Addr, out *Out) {
	p.lastIn, p.asking = now, mono.Never
	if addr != p.addr {
		if !slices.Contains(p.aliases, p.addr) {
			delete(n.byAddr, peerKey{p.link, p.addr})
		}
		p.addr = addr
		n.byAddr[peerKey{p.link, addr}] = p
		n.moved(now, p, out)
	}
	if !p.up && p.ca.Established() && p.version != 0 {
		n.peerUp(now, p, out)
	}
}

// peerUp gives p its slot in the switch, or that of its earlier entry.
func (n *Node) peerUp(now mono.Time, p *Peer, out *Out) {
	if p.version < oldestPeer {
		p.problem = "protocol version too old"
		n.drops[dropVersion]++
		return
	}
	if old := n.twin(p); old != nil {
		n.takeOver(now, old, p, out)
		p = old
		if p.up {
			return
		}
	}
	if !p.hasPort {
		port, ok := n.ports.Free()
		if !ok {
			p.problem = "no free switch slot"
			n.drops[dropTableFull]++
			return
		}
		p.port, p.hasPort = port, true
		n.byPort[port] = p
		d, bits := cjdns.PortDirector(uint16(port), 0)
		p.label = cjdns.Label(d) | 1<<bits
	}
	n.ports.Set(p.port, switchcore.Up)
	p.up, p.upAt, p.problem = true, now, ""
	out.Events = append(out.Events, Event{Kind: EventPeerUp, Peer: p.info()})
	n.finder.PeerUp(now, pathfinder.Node{Key: p.key, IP: p.ip, Version: p.version, Label: p.label}, &n.found)
}

// twin returns an older entry for the same node on the same link, which p
// replaces: the node has moved to another address, or was restarted with
// another port.
func (n *Node) twin(p *Peer) *Peer {
	for _, q := range n.peers {
		if q != p && q.key == p.key && q.link == p.link && (q.hasPort || q.conf != nil) && (p.conf == nil || q.conf == nil) {
			return q
		}
	}
	return nil
}

// takeOver lets old go on with the session and address of p, which ends. The
// slot stays, so every label that leads through it stays good.
func (n *Node) takeOver(now mono.Time, old, p *Peer, out *Out) {
	if old.conf == nil && p.conf != nil {
		old.conf, old.source, old.name = p.conf, p.source, p.name
		old.aliases = append(old.aliases, p.aliases...)
		p.conf = nil
		n.byConfig[old.conf.Name] = old
	}
	addr, was := p.addr, old.addr
	n.forget(p)
	if !slices.Contains(old.aliases, old.addr) {
		delete(n.byAddr, peerKey{old.link, old.addr})
	}
	old.ca, old.addr, old.version = p.ca, addr, p.version
	if password, login := old.credentials(); password != nil {
		old.ca.UpdateAuth(password, login)
	}
	old.lastIn, old.asking, old.handshakes = now, mono.Never, old.handshakes+p.handshakes
	if old.source == sourceRemembered {
		old.source = sourceIncoming
	}
	n.byAddr[peerKey{old.link, addr}] = old
	for _, a := range old.aliases {
		n.byAddr[peerKey{old.link, a}] = old
	}
	if addr != was {
		n.moved(now, old, out)
	}
}

// Moves that raise the suspicion that two nodes have one key: they take the
// entry from each other.
const (
	movesTime  = time.Minute
	movesLimit = 3
)

// moved tells that p is at another address.
func (n *Node) moved(now mono.Time, p *Peer, out *Out) {
	out.Events = append(out.Events, Event{Kind: EventPeerMoved, Peer: p.info()})
	if now.Sub(p.movesAt) > movesTime {
		p.moves, p.movesAt = 0, now
	}
	if p.moves++; p.moves >= movesLimit {
		out.Events = append(out.Events, Event{Kind: EventSameKey, Peer: p.info()})
	}
}

// peerDown closes p's slot: what is sent through it comes back as an error.
func (n *Node) peerDown(now mono.Time, p *Peer, out *Out) {
	p.up = false
	n.ports.Set(p.port, switchcore.Down)
	out.Events = append(out.Events, Event{Kind: EventPeerDown, Peer: p.info()})
	n.finder.PeerDown(now, p.label)
	n.pathsLost(now, p.label)
}

// knock calls p now: a ping if there is a session, else a hello with a ping
// in it.
func (n *Node) knock(now mono.Time, p *Peer, out *Out) {
	p.nextKnock = now.Add(knockTime)
	if now.Sub(p.made) > time.Minute && !p.up {
		p.nextKnock = now.Add(knockSlow)
	}
	n.pingPeer(now, p, out)
	n.hurry(now)
}

// renew begins a new handshake with p beside the session that there is.
func (n *Node) renew(now mono.Time, p *Peer, out *Out) {
	if now < p.nextRenew {
		return
	}
	p.nextRenew = now.Add(renewPause)
	renewCA(p.ca, now, renewPause)
	n.callCandidate(now, p, out)
	n.hurry(now)
}

// renewCA begins a new handshake, in place of one that has led to nothing for
// as long as limit: where both ends call, the age of the hellos decides whose
// stands, and old ones would be answered on both sides.
func renewCA(ca *cryptoauth.Session, now mono.Time, limit time.Duration) {
	if ca.HasCandidate() && ca.CandidateAge(now) >= limit {
		ca.DropCandidate()
	}
	ca.Renew(now)
}

// callCandidate sends the hello of a new handshake to every address at which
// p may be.
func (n *Node) callCandidate(now mono.Time, p *Peer, out *Out) {
	p.nextKnock = now.Add(repeatTime)
	n.sendPing(now, p, p.addr, true, out)
	for _, a := range p.aliases {
		if a != p.addr {
			n.sendPing(now, p, a, true, out)
		}
	}
}

// expirePeers pings silent peers, begins new handshakes with those that do
// not answer, and gives up in the end.
func (n *Node) expirePeers(now mono.Time, out *Out) {
	for i := len(n.peers) - 1; i >= 0; i-- {
		p := n.peers[i]
		if now.Sub(p.rateAt) >= rateTime {
			p.measure(now)
		}
		if p.ca == nil {
			continue
		}
		n.expirePeer(now, p, out)
	}
}

func (n *Node) expirePeer(now mono.Time, p *Peer, out *Out) {
	l := n.link(p.link)
	if n.expired(now, p) {
		n.removePeer(now, p, out)
		return
	}
	if l == nil || !l.up {
		return
	}
	silent := time.Duration(0)
	if p.asking != mono.Never {
		silent = now.Sub(p.asking)
	}
	if p.up && silent > downTime {
		p.problem = "does not answer"
		n.peerDown(now, p, out)
	}
	if p.conf != nil && p.conf.Host != "" && (!p.up || silent > renewTime) && now >= p.nextAsk {
		p.nextAsk = now.Add(resolveTime)
		out.Asks = append(out.Asks, Ask{AskResolve, p.conf.Name})
	}
	switch {
	case !p.ca.CanSend():
		if p.source == sourceIncoming {
			return // strangers speak first
		}
		if now >= p.nextKnock {
			n.knock(now, p, out)
			for _, a := range p.aliases {
				if a != p.addr {
					n.sendPing(now, p, a, true, out)
				}
			}
		}
		n.wakeAt(p.nextKnock)
	case silent >= renewTime || p.ca.NeedsRenew(now):
		if now >= p.nextRenew {
			n.renew(now, p, out)
		} else if p.ca.HasCandidate() && now >= p.nextKnock {
			n.callCandidate(now, p, out)
		}
		n.hurry(now)
	case silent >= answerTime || !p.up:
		if now.Sub(p.lastPing) >= answerTime {
			n.pingPeer(now, p, out)
		}
		n.hurry(now)
	case p.asking != mono.Never:
		n.hurry(now)
	case now.Sub(max(p.lastIn, 0)) >= lazyTime && now.Sub(p.lastPing) >= knockTime:
		n.pingPeer(now, p, out)
		n.hurry(now)
	}
}

func (n *Node) wakeAt(t mono.Time) { n.nextTick = mono.Min(n.nextTick, t) }

// expired reports whether nothing more is to be hoped of p.
func (n *Node) expired(now mono.Time, p *Peer) bool {
	switch {
	case p.conf != nil:
		return false
	case p.hasPort:
		return now.Sub(p.lastIn) > forgetTime
	default:
		return now.Sub(p.made) > halfOpenTime
	}
}

// measure updates the rates that Status shows.
func (p *Peer) measure(now mono.Time) {
	ms := uint64(now.Sub(p.rateAt) / time.Millisecond)
	if ms == 0 {
		return
	}
	p.rateIn = uint32((p.bytesIn - p.rateBytesIn) * 8 / ms)
	p.rateOut = uint32((p.bytesOut - p.rateBOut) * 8 / ms)
	p.rateAt, p.rateBytesIn, p.rateBOut = now, p.bytesIn, p.bytesOut
}
