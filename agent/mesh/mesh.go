package mesh

import (
	"math/rand/v2"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Out is where a Mesh puts what it wants done. It belongs to the caller, who
// empties and reuses it.
type Out struct {
	Frames  pkt.Batch // whole Ethernet frames for the air; Buf.Port is the hard interface
	Clients pkt.Batch // whole Ethernet frames for the mesh interface
	Overlay pkt.Batch // CryptoAuth frames for the node; Buf.Addr is the originator that sent them, by its own words
	Pool    *pkt.Pool // where buffers come from and go to
	Events  []Event
	Replies []Reply
	Jobs    []*identity.Job // signatures to make and to check; give them back to JobDone
	Nodes   []NodeChange
}

// Mesh is one node of a mesh.
type Mesh struct {
	cfg    Config
	ifaces []*HardIface // by index; nil where there is none
	meshIf MeshIfaceConfig
	// primary is the hard interface whose MAC names the node; nil while no
	// interface is up.
	primary *HardIface

	origs    map[batman.MAC]*Originator
	origList []*Originator // the same, in the order in which they were found
	rng      *rand.Rand
	drops    [dropCount]uint64
	rxOn     *HardIface // whose frame is looked at just now, or nil

	routing routing // ogm.go
	bcast   bcast   // broadcast.go
	frag    frag    // fragmentation.go
	tt      tt      // translationtable.go
	dat     dat     // distributedarp.go
	bla     bla     // bridgeloop.go
	gw      gw      // gateway.go
	mcast   mcast   // multicast.go
	icmp    icmp    // icmp.go
	meter   meter   // throughput.go
	links   links   // linkprobe.go
	id      ident   // identity.go

	nextTick mono.Time // of the tables that need no better clock than a second
	stats    stats

	wifiClients map[batman.MAC]struct{} // wificlients.go
}

// Options are what a Mesh needs once.
type Options struct {
	Config
	Seqnos Seqnos
	// Signer is the public half of the key that signs for this node. Zero
	// switches identities off: nothing is attached, nothing checked.
	Signer cjdns.VerifyKey
	// Boot must be greater at each start of the program than at the one before.
	// Of several cores in one run, the later one's now tells them apart.
	Boot uint32
	// Seed is all the chance that the mesh uses: jitter, first sequence
	// numbers that Seqnos does not give, request numbers.
	Seed [32]byte
}

// tickTime is the interval of purging and the like.
const tickTime = time.Second

// New makes a node without interfaces.
func New(o Options, now mono.Time) *Mesh {
	m := &Mesh{cfg: o.Config, origs: map[batman.MAC]*Originator{}, rng: rand.New(rand.NewChaCha8(o.Seed)), nextTick: now.Add(tickTime)}
	m.routingInit(now, o.Seqnos)
	m.bcastInit(now, o.Seqnos)
	m.fragInit(now, o.Seqnos)
	m.ttInit(now)
	m.datInit(now)
	m.blaInit(now)
	m.gwInit(now)
	m.mcastInit(now)
	m.icmpInit(now)
	m.meterInit(now)
	m.links.next = mono.Never
	m.idInit(o, now)
	return m
}

// SetConfig changes the settings of the running mesh. Algo cannot change: make
// a new Mesh for that.
func (m *Mesh) SetConfig(now mono.Time, c Config, out *Out) {
	c.Algo = m.cfg.Algo
	old := m.cfg
	m.cfg = c
	m.configChanged(now, old, out)
}

// Seqnos returns the counters to continue with after a restart.
func (m *Mesh) Seqnos() Seqnos {
	s := Seqnos{OGM: map[batman.MAC]uint32{}}
	m.routingSeqnos(&s)
	m.bcastSeqnos(&s)
	m.fragSeqnos(&s)
	return s
}

// rx says where a packet came from. to is the Ethernet destination.
type rx struct {
	hi       *HardIface
	src, dst batman.MAC
}

// HandleFrame takes one Ethernet frame that came in on hard interface b.Port.
// Frames that the interface itself sent must not come in.
func (m *Mesh) HandleFrame(now mono.Time, b *pkt.Buf, out *Out) {
	hi := m.iface(b.Port)
	if hi == nil || !hi.active {
		m.drop(b, dropIfaceDown, out)
		return
	}
	hi.rxFrames++
	hi.rxBytes += uint64(b.Len())
	m.rxOn = hi
	m.rxFrame(now, hi, b, out)
	m.rxOn = nil
}

// rxFrame takes a frame that came in on hi.
func (m *Mesh) rxFrame(now mono.Time, hi *HardIface, b *pkt.Buf, out *Out) {
	e, err := batman.ParseEth(b.Bytes())
	if err != nil || e.Type != batman.EtherType {
		m.dropOn(hi, b, dropRunt, out)
		return
	}
	b.Pull(batman.EthLen)
	t, version, _, ok := batman.Peek(b.Bytes())
	switch {
	case !ok:
		m.dropOn(hi, b, dropRunt, out)
	case version != batman.Version:
		m.dropOn(hi, b, dropVersion, out)
	case !e.Src.IsStation():
		m.dropOn(hi, b, dropSource, out)
	case m.isMine(e.Src):
		m.dropOn(hi, b, dropOwnFrame, out)
	default:
		if p := b.Bytes(); t != batman.TypeELP && p[2] > batman.TTL {
			p[2] = batman.TTL // nobody sends more: a forged one shall not go round longer
		}
		m.dispatch(now, rx{hi, e.Src, e.Dst}, t, b, out)
	}
}

// dispatch hands a packet to its handler by type. b begins with the packet.
// Reassembled packets come here again.
func (m *Mesh) dispatch(now mono.Time, r rx, t batman.PacketType, b *pkt.Buf, out *Out) {
	if t < batman.TypeUnicast && t != batman.TypeMulticast {
		if !r.dst.IsBroadcast() {
			m.dropOn(r.hi, b, dropDestination, out) // also the unicast ELP that feeds rate control
			return
		}
	} else if r.dst != r.hi.MAC && !m.isMine(r.dst) {
		m.dropOn(r.hi, b, dropDestination, out)
		return
	}
	switch {
	case t == batman.TypeIVOGM && m.cfg.Algo == BatmanIV:
		m.rxOGM(now, r, b.Bytes(), out)
		out.Pool.Put(b)
	case t == batman.TypeELP && m.cfg.Algo == BatmanV:
		m.rxELP(now, r, b.Bytes(), out)
		out.Pool.Put(b)
	case t == batman.TypeOGM2 && m.cfg.Algo == BatmanV:
		m.rxOGM2(now, r, b.Bytes(), out)
		out.Pool.Put(b)
	case t == batman.TypeBroadcast:
		m.rxBroadcast(now, r, b, out)
	case t == batman.TypeMulticast:
		m.rxMulticast(now, r, b, out)
	case t == batman.TypeUnicast:
		m.rxUnicast(now, r, b, out)
	case t == batman.TypeFragment:
		m.rxFragment(now, r, b, out)
	case t == batman.TypeUnicast4:
		m.rxUnicast4(now, r, b, out)
	case t == batman.TypeICMP:
		m.rxICMP(now, r, b, out)
	case t == batman.TypeUnicastTVLV:
		m.rxUnicastTVLV(now, r, b, out)
	case byte(t) == m.cfg.packetType() && m.id.self != nil && m.overlayIsMine(b.Bytes()):
		m.rxOverlay(now, r, b, out)
	case t.IsUnicast():
		m.rxUnknownUnicast(now, r, b, out)
	default:
		m.dropOn(r.hi, b, dropType, out)
	}
}

// Deadline returns when Expire wants to be called next.
func (m *Mesh) Deadline() mono.Time {
	t := m.nextTick
	for _, d := range [...]mono.Time{m.routingDeadline(), m.bcastDeadline(), m.ttDeadline(), m.blaDeadline(), m.icmpDeadline(), m.meterDeadline(), m.links.next, m.idDeadline()} {
		t = mono.Min(t, d)
	}
	return t
}

// Expire does what is due.
func (m *Mesh) Expire(now mono.Time, out *Out) {
	m.routingExpire(now, out)
	m.bcastExpire(now, out)
	m.ttExpire(now, out)
	m.blaExpire(now, out)
	m.icmpExpire(now, out)
	m.meterExpire(now, out)
	m.linksExpire(now, out)
	if now >= m.nextTick {
		m.nextTick = now.Add(tickTime)
		m.purge(now, out) // originators, neighbours: routing tables
		m.fragTick(now, out)
		m.datTick(now)
		m.gwTick(now, out)
		m.mcastTick(now)
		m.idTick(now, out)
	} else {
		m.idNext(now, out)
	}
}

// routeChanged tells that the best way to o in the default table changed; nil
// is no way.
func (m *Mesh) routeChanged(now mono.Time, o *Originator, old, new *Neighbour, out *Out) {
	if new == nil {
		m.ttRouteLost(now, o, out)
	}
	ev := Event{Kind: EventRoute, Orig: o.MAC}
	if new != nil {
		ev.Next = new.MAC
	}
	if old == nil || new == nil {
		out.Events = append(out.Events, ev)
	}
	m.stats.routeChanges++
	m.idTell(now, o, false, out)
}

// originatorGone forgets what belongs to o before it leaves the table.
func (m *Mesh) originatorGone(now mono.Time, o *Originator, out *Out) {
	m.ttOriginatorGone(now, o, out)
	m.fragOriginatorGone(o, out)
	m.gwOriginatorGone(now, o, out)
	m.mcastOriginatorGone(o)
	m.idOriginatorGone(o, out)
	out.Events = append(out.Events, Event{Kind: EventGone, Orig: o.MAC})
}

// jitter returns a random duration in [0, d).
func (m *Mesh) jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(m.rng.Int64N(int64(d)))
}

// inner is a client's frame, picked apart.
type inner struct {
	b   []byte // the whole frame
	eth batman.Eth
	vid batman.VID // 0 untagged; VLAN id 0 counts as untagged, as in modules since 2025.0
	off int        // where the payload behind the (tagged) header begins
}

// parseInner reads a client's frame.
func parseInner(b []byte) (f inner, ok bool) {
	e, v, off, err := batman.ParseClient(b)
	if v == batman.VLANTag {
		v = 0
	}
	return inner{b, e, v, off}, err == nil
}
