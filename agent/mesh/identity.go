package mesh

import (
	"math/bits"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/mono"
)

// Signed identities, see docs/protocol/identity.md. Files: identity (state,
// what others are told), identityogm (own OGMs and those of others),
// identitypacket (packets between agents), identitytable (what identities mean
// for clients, gateways and frames), avoid.

// Hashes beyond the free ones of an OGM.
const (
	hashTime, hashBurst       = time.Second / 200, identity.Gap // one station
	hashAllTime, hashAllBurst = time.Second / 2000, 2 * identity.Gap
)

// Rates and limits of packets between agents.
const (
	askTime, askBurst       = time.Second / 4, 16 // questions of this node
	askAgain                = 2 * time.Second     // the same one, unless somebody wants to know
	askWanted               = time.Second         // the same, if somebody does
	askLife                 = 10 * time.Second    // how long an answer may take
	maxAsked                = 256
	answerTime, answerBurst = time.Second / 20, 20 // records given to all
	answerOne, answerOneMax = time.Second, 4       // to one node
	aliveTime, aliveBurst   = time.Second / 2, 4   // challenges answered
	maxSigns                = 8                    // packets that wait for a signature
	signLife                = 10 * time.Second     // then a job is taken for lost
	holdTime                = time.Second          // how long the first OGM waits for its record
	holdStep                = 20 * time.Millisecond
)

const (
	verifyRate  = 50
	metricStep  = 32 // changes of a metric that are told
	notCapable  = "no signature comes: this node is unsigned"
	pendingTime = time.Minute
	serialTime  = 100 * time.Millisecond
	reportTime  = 10 * time.Second // between two attacks that are told
	reportAgain = time.Minute      // the same one
)

// ident is what a mesh knows of identities. self is nil if they are off.
type ident struct {
	self  *identity.Self
	known *identity.Table
	say   Self

	hashes    mono.Bucket
	asks      [2]mono.Bucket // of stations with a route, and of others
	asked     map[batman.MAC]mono.Time
	answers   mono.Bucket
	alive     mono.Bucket
	signs     []*idSign
	signBegun mono.Time // of the first of signs
	signing   bool
	unsigned  bool // that was told
	reported  report
	clients   []identity.Client
	contests  []contest
	costs     identity.Costs // of our links, as they are told
	costAt    mono.Time      // of the next look at them
}

// idSign is a packet that waits for its signature. For roaming the clients
// collect until it is its turn.
type idSign struct {
	kind  uint8
	dst   batman.MAC
	nonce identity.Nonce // for an answer
	by    rx             // how the challenge came
	moved []identity.Moved
	job   *identity.Job
}

// report is the attack that was told last. at is 0 if there was none.
type report struct {
	mac batman.MAC
	why dropReason
	at  mono.Time
}

// idOrig is what is known of an originator's identity beside the table.
type idOrig struct {
	at        mono.Time // when there was a container of ours
	seen      bool
	seqno     uint32 // of that OGM
	elem      identity.Element
	node      *identity.Node // verified, as of the last OGM or second
	answers   mono.Bucket
	told      NodeChange
	confirmed bool // the copy of its table is that of its record
	avoid     []avoidMark
	hop       hop
	cost      uint32 // of the path to it, see linkcost.go; 0 unknown
	guessed   bool   // from the metric
}

// NodeChange tells of a node whose identity was verified: that it can be
// reached now or not any more, that it is another one, or that the way to it
// became much better or worse.
type NodeChange struct {
	Key       cjdns.Key
	IP        cjdns.IP
	MAC       batman.MAC // of its primary hard interface
	Reachable bool
	Uplink    bool  // it says that it has a way out of the mesh
	Metric    uint8 // 0 to 255: TQ, or throughput on a logarithmic scale
	// Cost is that of the path over the links that nodes tell of in their
	// records, in microseconds for 1250 bytes; Guessed, that it was taken from
	// the metric, because not all on the way tell. 0: unknown.
	Cost    uint32
	Guessed bool
	Boot    uint32
	Member  [8]byte  // first bytes of SHA-256 of its certificate of membership
	Certs   [][]byte // certificates that it sent along when asked, else nil
}

// Self is what this node says about itself in its record.
type Self struct {
	Uplink bool
	Clock  uint32 // seconds since 1970; 0 unknown
	Member [8]byte
	Certs  [][]byte // what who asks for the record is given along with it
}

func (m *Mesh) idInit(o Options, now mono.Time) {
	if o.Signer == (cjdns.VerifyKey{}) {
		return
	}
	serial := uint32(now / mono.Time(serialTime)) // a core before this one made fewer records
	m.id = ident{self: identity.NewSelf(o.Signer, o.Boot, serial, m.random), known: identity.NewTable(o.Signer), asked: map[batman.MAC]mono.Time{}}
}

// random fills b out of the seed of the mesh.
func (m *Mesh) random(b []byte) {
	for i := range b {
		b[i] = byte(m.rng.Uint32())
	}
}

// SetSelf changes what this node says about itself. A new record follows.
func (m *Mesh) SetSelf(now mono.Time, s Self, out *Out) {
	m.id.say = s
	m.idSignRecord(now, out)
}

// SetStanding tells whether a session stands with a key at an originator: then
// that is alive.
func (m *Mesh) SetStanding(_ mono.Time, key cjdns.Key, mac batman.MAC, up bool) {
	if m.id.self != nil {
		m.id.known.SetStanding(key, mac, up)
	}
}

func (c *Config) containerType() uint8 {
	if c.IdentityType == 0 {
		return identity.TVLVType
	}
	return c.IdentityType
}

func (c *Config) packetType() uint8 {
	if c.OverlayType == 0 {
		return identity.PacketType
	}
	return c.OverlayType
}

func (m *Mesh) verifyRate() int {
	if m.cfg.VerifyRate <= 0 {
		return verifyRate
	}
	return m.cfg.VerifyRate
}

// idIfaces tells the identity which hard interfaces there are.
func (m *Mesh) idIfaces(now mono.Time, out *Out) {
	if m.id.self == nil {
		return
	}
	var list []identity.Iface
	switch {
	case m.primary == nil:
	case m.cfg.Algo == BatmanV:
		list = append(list, identity.Iface{MAC: m.self(), Next: m.routing.v.seqno})
	default:
		list = append(list, identity.Iface{MAC: m.self(), Next: m.primary.iv.seqno})
		for _, hi := range m.ifaces {
			if hi != nil && hi.active && hi != m.primary {
				list = append(list, identity.Iface{MAC: hi.MAC, Next: hi.iv.seqno})
			}
		}
	}
	m.id.self.SetIfaces(list)
	m.idSignRecord(now, out)
}

// idSignRecord lets a new record be signed if there is a reason for one.
func (m *Mesh) idSignRecord(now mono.Time, out *Out) {
	if m.id.self == nil || m.primary == nil {
		return
	}
	f := identity.Facts{Uplink: m.id.say.Uplink, Clock: m.id.say.Clock, Member: m.id.say.Member, TTVN: m.tt.ttvn, Costs: m.id.costs}
	if m.cfg.GWMode == GWServer {
		f.Gateway = batman.Gateway{Down: m.cfg.GWDown, Up: m.cfg.GWUp}
	}
	if j := m.id.self.Sign(now, f, m.ownDigest); j != nil {
		out.Jobs = append(out.Jobs, j)
	}
}

// ownDigest is that of the clients that this node announces.
func (m *Mesh) ownDigest() [16]byte {
	list := m.id.clients[:0]
	for _, c := range m.tt.localList {
		if c.announced {
			list = append(list, identity.Client{MAC: c.mac, VID: c.vid, Flags: c.sent & batman.TTSyncMask})
		}
	}
	m.id.clients = list
	return identity.Digest(list)
}

// JobDone takes back a job that was run. Jobs that never come back, and those
// that come late, cost nothing but the check.
func (m *Mesh) JobDone(now mono.Time, j *identity.Job, out *Out) {
	s := m.id.self
	switch {
	case s == nil:
	case s.Signing(j):
		if s.Signed(now, j) {
			m.id.unsigned = false
			m.idReady(now)
		}
	case m.id.signing && m.id.signs[0].job == j:
		m.idSend(now, j, out)
	default:
		if o, ok := m.id.known.Done(now, j); ok {
			m.idOutcome(now, o, out)
		}
	}
	m.idNext(now, out)
}

// idNext begins the work that is due.
func (m *Mesh) idNext(now mono.Time, out *Out) {
	if m.id.self == nil {
		return
	}
	if j := m.id.known.Next(now, m.verifyRate()); j != nil {
		m.stats.idChecked++
		out.Jobs = append(out.Jobs, j)
	}
	m.idNextSign(now, out)
}

func (m *Mesh) idDeadline() mono.Time {
	if m.id.self == nil {
		return mono.Never
	}
	return m.id.known.Deadline(m.verifyRate())
}

// idTick does what needs no better clock than a second.
func (m *Mesh) idTick(now mono.Time, out *Out) {
	if m.id.self == nil {
		return
	}
	m.drops[dropUnchecked] += uint64(len(m.id.known.Tick(now)))
	for mac, at := range m.id.asked {
		if now.Sub(at) >= askLife {
			delete(m.id.asked, mac)
		}
	}
	for _, o := range m.origList {
		m.idRefresh(now, o)
	}
	m.costTick(now)
	for _, o := range m.origList {
		m.idTell(now, o, true, out)
		m.idPolicy(now, o, out)
	}
	m.idContests(now, out)
	m.idSignRecord(now, out)
	m.idNext(now, out)
}

// idOutcome acts on a check.
func (m *Mesh) idOutcome(now mono.Time, v identity.Outcome, out *Out) {
	switch {
	case v.Bad:
		m.stats.idBad++
		m.drops[dropBadRecord] += uint64(max(1, len(v.Held)))
		return
	case v.Clone:
		out.Events = append(out.Events, Event{Kind: EventCopied, Orig: v.MAC})
		return
	}
	if v.Text != "" {
		out.Events = append(out.Events, Event{Kind: EventIdentity, Orig: v.MAC, Text: v.Text})
	}
	o := m.originator(v.MAC)
	if o != nil {
		m.idRefresh(now, o)
	}
	if v.Begin && o != nil && m.cfg.RequireSigned != SignOff {
		m.idBegin(now, o, v.Seqno, out)
	}
	if v.Kind == identity.KindRecord && v.Node != nil && o != nil {
		m.idDigest(o)
	}
	if v.Kind == identity.KindAnswer && v.Node != nil && v.Node.Lowered() {
		delete(m.id.asked, v.MAC)
		m.idAsk(now, v.MAC, nil, true, out) // for the record of the boot that it has now
	}
	if v.Kind == identity.KindRoam && v.Node != nil {
		m.idRoamed(now, v, out)
	}
	if m.cfg.RequireSigned != SignOff {
		for _, h := range v.Held {
			m.idAgain(now, h, out)
		}
	}
	if o = m.originator(v.MAC); o != nil {
		m.idTell(now, o, false, out)
		if v.Certs != nil && o.id.told.Reachable {
			n := o.id.told
			n.Certs = v.Certs
			out.Nodes = append(out.Nodes, n)
		}
	}
}

// idTell tells about the node behind an originator if that changed. A metric
// alone is a reason only if metric is set.
func (m *Mesh) idTell(now mono.Time, o *Originator, metric bool, out *Out) {
	if m.id.self == nil {
		return
	}
	var c NodeChange
	if n := o.id.node; n != nil {
		c = NodeChange{Key: n.Key, IP: n.IP, MAC: o.MAC, Uplink: n.Flags&identity.FlagUplink != 0, Boot: n.Boot, Member: n.Member}
		c.Reachable = m.router(o, nil) != nil
		c.Metric, c.Cost, c.Guessed = m.metric255(o), o.id.cost, o.id.guessed
	}
	old := o.id.told
	if !c.Reachable && !old.Reachable {
		return
	}
	if old.Reachable && c.Key != old.Key { // it is another one, or none
		gone := old
		gone.Reachable, gone.Metric, gone.Cost = false, 0, 0
		out.Nodes = append(out.Nodes, gone)
		o.id.told = NodeChange{}
		m.idTell(now, o, metric, out)
		return
	}
	was, is := int(old.Metric), int(c.Metric)
	// At first a link is worth next to nothing, and then more with every OGM.
	far := is-was >= metricStep || was-is >= metricStep || is > was && is >= 2*was && was < 2*metricStep ||
		!nearCost(old.Cost, c.Cost)
	same := c.Reachable == old.Reachable && c.Uplink == old.Uplink && c.Boot == old.Boot && c.Member == old.Member
	if same && !(metric && far) {
		return
	}
	o.id.told = c
	out.Nodes = append(out.Nodes, c)
}

// idOriginatorGone tells that o cannot be reached any more.
func (m *Mesh) idOriginatorGone(o *Originator, out *Out) {
	if o.id.told.Reachable {
		o.id.told.Reachable, o.id.told.Metric, o.id.told.Cost = false, 0, 0
		out.Nodes = append(out.Nodes, o.id.told)
	}
	o.id = idOrig{}
}

// metric255 is the metric of the way to o in 255ths: the TQ, or 16 for each
// doubling of the throughput.
func (m *Mesh) metric255(o *Originator) uint8 {
	q := m.metric(o)
	if m.cfg.Algo != BatmanV || q == 0 {
		return uint8(min(q, 255))
	}
	n := bits.Len32(q) - 1
	return uint8(min(16*uint64(n)+(uint64(q)<<4>>n&15), 255))
}
