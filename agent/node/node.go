// Package node is one agent without hands: the cores put together. It meets
// peers on links, forwards switched packets, keeps end-to-end sessions, and
// moves packets between them and the TUN device. Like every core it does no
// I/O, starts no goroutine and reads no clock: package daemon feeds it frames
// and instants, and carries away what it puts into Out.
//
//	here          cjdns
//	Peer          net/InterfaceController.c, struct Peer
//	link          interface/Iface, "InterfaceController_Iface"
//	control.go    net/ControlHandler.c, net/SwitchPinger.c
//	session.go    net/SessionManager.c, net/UpperDistributor.c
//	tun.go        net/TUNAdapter.c
//	supernode.go  subnode/, the part that moves messages
//
// A Node has one owner. The data path (FromLink, FromTUN) allocates nothing
// per packet once its tables are warm.
package node

import (
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pathfinder"
	"github.com/meshagent/meshagent/agent/pkt"
	"github.com/meshagent/meshagent/agent/session"
	"github.com/meshagent/meshagent/agent/switchcore"
)

// Protocol is the cjdns protocol version that we announce everywhere: in
// beacons, pings, messages and announcements.
const Protocol = 22

// Bounds of the tables. Each is shown with its use in Status.Tables.
const (
	MaxPeers     = switchcore.MaxPorts - 1 // own router takes one port
	MaxHalfOpen  = 64                      // unknown addresses in the middle of a handshake
	MaxSessions  = 512
	MaxServed    = 4096 // the same with the supernode role: each client has one
	MaxPings     = 64   // commands waiting for an answer
	tickShort    = 100 * time.Millisecond
	tickLong     = time.Second
	oldestPeer   = 16 // the oldest protocol version we talk to
	switchTClass = 0xffff
)

// Config is what a Node must know when it is made.
type Config struct {
	Identity *cryptoauth.Identity
	Rand     func([]byte)
	Program  string // version of the program, for Status
	MTU      int    // of the TUN device, bytes; 0 means DefaultMTU
}

// DefaultMTU is the TUN's MTU, the same as cjdroute's: 1492 less the largest
// stack of headers. Source: cjdns interface/tuntap.
const DefaultMTU = 1304

// Node is one agent. See the package comment.
type Node struct {
	cfg   Config
	self  *cryptoauth.Identity
	ca    cryptoauth.Config
	users cryptoauth.Users
	// Over the mesh the password of our beacons lets nobody in.
	meshCA    cryptoauth.Config
	meshUsers cryptoauth.Users
	start     mono.Time

	links    []*link
	ports    switchcore.Table
	byPort   [switchcore.MaxPorts]*Peer
	byAddr   map[peerKey]*Peer
	kept     []keptSlot
	peers    []*Peer // every one, in the order of their making
	byConfig map[string]*Peer

	beacon   cjdns.Beacon
	sessions *session.Table
	waiting  session.Waiting
	finder   *pathfinder.Finder
	found    pathfinder.Out
	super    supernodes

	failed   []failure // the last searches that found nothing
	pings    map[uint64]*ping
	refusing map[cjdns.IP]bool // see Refuse
	mesh     meshState
	mail     mail

	introduction  []byte
	introductions bucket
	introSources  sourceBuckets

	// Tokens for work that strangers can cause.
	// Key agreements of strangers, of peers, and of end-to-end sessions with
	// new and with known nodes are apart: none can starve another.
	strangers, handshakes, newcomers, inner bucket
	beacons, hints, trials, probes          bucket
	errorFrames, errorsIn, icmps            bucket
	sources                                 sourceBuckets
	keyPings                                []keyPing

	nextTick mono.Time
	scratch  []byte
	taken    []*pkt.Buf
	drops    [numReasons]uint64
	authFail cryptoauth.Stats // drops of half-open peers that are gone
}

// New returns a Node without links.
func New(cfg Config, now mono.Time) *Node {
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	n := &Node{
		cfg:      cfg,
		self:     cfg.Identity,
		start:    now,
		byAddr:   make(map[peerKey]*Peer),
		byConfig: make(map[string]*Peer),
		sessions: session.NewTable(MaxSessions, cfg.Rand),
		pings:    make(map[uint64]*ping),
		mesh: meshState{
			nodes:    make(map[cjdns.IP]*meshNode),
			peers:    make(map[cjdns.IP]*Peer),
			admitted: make(map[cjdns.Key]bool),
			uplinks:  uplinks{wanted: -1},
			calls:    bucket{rate: 10, burst: 32},
			asks:     bucket{rate: 10, burst: 10},
		},
		strangers:   bucket{rate: 100, burst: 100},
		handshakes:  bucket{rate: 100, burst: 100},
		newcomers:   bucket{rate: 50, burst: 50},
		inner:       bucket{rate: 100, burst: 100},
		beacons:     bucket{rate: 10, burst: 40},
		hints:       bucket{rate: 20, burst: 20},
		errorFrames: bucket{rate: 100, burst: 50},
		errorsIn:    bucket{rate: 100, burst: 50},
		icmps:       bucket{rate: 50, burst: 50},
		trials:      bucket{rate: 50, burst: 20},
		probes:      bucket{rate: probeRate, burst: probeRate},
		mail:        mail{all: bucket{rate: 50, burst: 100}},

		introductions: bucket{rate: 10, burst: 20},
		scratch:       make([]byte, 0, 2048),
	}
	n.finder = pathfinder.New(n.finderConfig())
	n.super.client = pathfinder.NewClient(n.finderConfig(), n.finder)
	n.ca = cryptoauth.Config{Self: cfg.Identity, Users: &n.users, Rand: cfg.Rand, Version: Protocol}
	n.meshCA = cryptoauth.Config{Self: cfg.Identity, Users: &n.meshUsers, Rand: cfg.Rand, Version: Protocol}
	n.ports.Set(switchcore.Self, switchcore.Up)
	n.beacon = cjdns.Beacon{Version: Protocol, Key: cfg.Identity.Public}
	cfg.Rand(n.beacon.Password[:])
	var seed [4]byte
	cfg.Rand(seed[:])
	n.sources.seed = binary.BigEndian.Uint32(seed[:])
	n.mail.sources.seed, n.introSources.seed = n.sources.seed, n.sources.seed
	// Whoever hears our beacon knocks with this password.
	_ = n.users.Set(cryptoauth.User{Name: beaconLogin, Password: n.beacon.Password[:]})
	return n
}

func (n *Node) finderConfig() pathfinder.Config {
	return pathfinder.Config{Self: n.self.Public, Protocol: Protocol, Rand: n.cfg.Rand, Skip: n.knowsNoMore}
}

// SetWall tells the time of day, seconds since 1970 and nanoseconds. Noise
// handshakes carry it, and a supernode dates announcements by it; nothing else
// looks at it. It may be wrong, but should grow.
func (n *Node) SetWall(sec int64, nsec uint32) {
	n.ca.Wall = cryptoauth.WallTime{Sec: sec, Nsec: nsec}
	n.super.wall = sec*1000 + int64(nsec)/1_000_000
}

// SetMTU changes the MTU of the TUN device.
func (n *Node) SetMTU(mtu int) { n.cfg.MTU = mtu }

// Out gathers what a step wants done. It belongs to the caller, who carries
// it out and resets it between steps.
type Out struct {
	// Pool gives buffers and takes back those that end inside the node.
	Pool    *pkt.Pool
	Frames  pkt.Batch // to links: Port and Addr say where
	TUN     pkt.Batch // IPv6 packets for local programs
	Asks    []Ask
	Replies []Reply
	Events  []Event

	Messages      []Message
	Introductions []Introduction
	Jobs          []*pathfinder.Job // signatures to be made or checked: JobDone
}

// Reset empties o; the packets must have been put away already.
func (o *Out) Reset() {
	o.Frames.Reset()
	o.TUN.Reset()
	o.Asks, o.Replies, o.Events = o.Asks[:0], o.Replies[:0], o.Events[:0]
	o.Messages, o.Introductions, o.Jobs = o.Messages[:0], o.Introductions[:0], o.Jobs[:0]
}

// Ask is a wish to the outside.
type Ask struct {
	Kind AskKind
	Peer string  // configured name, of AskResolve
	MAC  [6]byte // of a mesh node, of the others
}

// AskKind says what is wanted.
type AskKind uint8

// Wishes.
const (
	// AskResolve wants the host name of a configured peer looked up again:
	// answer with SetPeerAddrs.
	AskResolve AskKind = iota + 1
	// AskAvoid wants the mesh to take another next hop towards MAC: the one
	// that it takes drops what it is given.
	AskAvoid
	// AskRecord wants the mesh to find out who MAC is: answer with
	// SetMeshNode.
	AskRecord
)

// Event is something worth a line in the log.
type Event struct {
	Kind EventKind
	Peer PeerInfo
	Text string
}

// EventKind names an Event.
type EventKind uint8

// Events.
const (
	EventPeerUp EventKind = iota + 1
	EventPeerDown
	EventPeerMoved
	EventPeerGone
	EventRefused // a handshake was refused; Text says why
	EventSameKey // another node uses our key
)

// PeerInfo is what events tell about a peer.
type PeerInfo struct {
	Name     string
	Key      cjdns.Key
	Link     uint16
	Addr     pkt.Addr
	Incoming bool
	Version  uint32
	Label    cjdns.Label
}

// FromLink takes a batch of frames that arrived on links. It takes the
// buffers; in is left empty.
func (n *Node) FromLink(now mono.Time, in *pkt.Batch, out *Out) {
	for _, b := range in.Bufs {
		n.handleFrame(now, b, out)
	}
	in.Reset()
	n.flush(now, out)
}

// FromTUN takes a batch of IPv6 packets of local programs. It takes the
// buffers; in is left empty.
func (n *Node) FromTUN(now mono.Time, in *pkt.Batch, out *Out) {
	for _, b := range in.Bufs {
		n.handleTUN(now, b, out)
	}
	in.Reset()
	n.flush(now, out)
}

// flush carries out what the pathfinder wants until it wants nothing more.
func (n *Node) flush(now mono.Time, out *Out) {
	for !n.found.Empty() {
		f := n.found
		n.found = pathfinder.Out{}
		for _, q := range f.Queries {
			n.sendQuery(now, q, out)
		}
		for _, ip := range f.Found {
			n.pathFound(now, ip, out)
		}
		for _, ip := range f.Failed {
			n.pathFailed(now, ip, out)
		}
		for _, q := range f.Controls {
			n.sendControlQuery(now, q, out)
		}
		for _, q := range f.Answers {
			n.sendAnswer(now, q, out)
		}
		out.Jobs = append(out.Jobs, f.Jobs...)
	}
}

// Deadline returns when Expire should be called next.
func (n *Node) Deadline() mono.Time {
	return mono.Min(mono.Min(n.nextTick, n.finder.Deadline()), n.superDeadline())
}

// hurry makes the next tick come soon, because something now waits.
func (n *Node) hurry(now mono.Time) { n.nextTick = mono.Min(n.nextTick, now.Add(tickShort)) }

// Expire does what is due at now.
func (n *Node) Expire(now mono.Time, out *Out) {
	if now >= n.finder.Deadline() {
		n.finder.Expire(now, &n.found)
		n.flush(now, out)
	}
	if now >= n.nextTick {
		n.tick(now, out)
	}
	if now >= n.superDeadline() {
		n.expireSupernodes(now, out)
	}
}

// tick does what is looked at now and then.
func (n *Node) tick(now mono.Time, out *Out) {
	n.nextTick = now.Add(tickLong)
	n.expireLinks(now, out)
	n.expireMesh(now, out)
	n.expirePeers(now, out)
	n.expireSessions(now, out)
	n.expirePings(now, out)
	n.expireMail(now, out)
	n.seekUplink(now, out)
	n.refreshLinks(now)
	n.flush(now, out)
}

// drop counts a packet that ends here and puts its buffer back.
func (n *Node) drop(b *pkt.Buf, r reason, out *Out) {
	n.drops[r]++
	out.Pool.Put(b)
}
