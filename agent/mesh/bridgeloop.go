package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bridge loop avoidance II. Several nodes of the mesh may bridge it to the
// same LAN. They are that LAN's backbone gateways and find each other by
// frames on the LAN. Each client of the mesh is claimed by one of them, which
// alone carries the client's broadcasts into the LAN.
//
// Source: batman-adv bridge_loop_avoidance.c.

// Times and counts of bridge loop avoidance. Source: batman-adv main.h.
const (
	blaPeriod      = 10 * time.Second
	blaGone        = 6 * blaPeriod  // of a gateway that announces nothing
	blaClaimGone   = 10 * blaPeriod // of a claim of ours whose client is silent
	blaWait        = 3              // periods without broadcasts when we become a gateway
	blaLoopPeriods = 6              // between loop detection frames
	blaLoopTimeout = 3 * time.Second
	blaRace        = 100 * time.Millisecond // a claim this young is no roaming client
	blaRaceWait    = 5 * time.Millisecond   // to settle a race, and up to as much again
	blaRaceTries   = 3                      // in a period
	blaDupTimeout  = 500 * time.Millisecond
	blaDupSize     = 16
)

// Bounds. A full table refuses what is new and keeps what it has; the last
// quarter of the claims is for our own.
const (
	MaxClaims    = 8192
	MaxBackbones = 512 // of others
	maxOwnVLANs  = 128 // on which this node is a gateway
	claimReserve = MaxClaims / 4
)

// Claims are sent again on request, so many at a time. One VLAN answers about
// one request a second: a forged one is worth thousands of frames.
const (
	blaAnswerChunk    = 64
	blaAnswerPause    = 2 * time.Millisecond
	blaAnswerInterval = time.Second
	blaAnswerBurst    = 4
)

// blaKey is an address on a VLAN.
type blaKey uint64

func newBLAKey(mac batman.MAC, v batman.VID) blaKey {
	return blaKey(mac[0])<<56 | blaKey(mac[1])<<48 | blaKey(mac[2])<<40 | blaKey(mac[3])<<32 | blaKey(mac[4])<<24 |
		blaKey(mac[5])<<16 | blaKey(v)
}

// backbone is a gateway between the mesh and our LAN on one VLAN, this node
// included.
type backbone struct {
	mac      batman.MAC // its node's name
	vid      batman.VID
	own      bool
	seen     mono.Time
	crc      uint16 // of the claims that we know of it
	unsynced bool   // own: new; others: we miss claims. No broadcasts until it ends
	wait     int    // own: periods until it ends
	reported mono.Time
	answer   int // own: that many claims of the list are still to be looked at for an answer
	limit    mono.Bucket
}

// claim says which gateway speaks for a client of the mesh.
type claim struct {
	client batman.MAC
	vid    batman.VID
	by     *backbone
	seen   mono.Time
	since  mono.Time // by has it
	races  int       // that this node settled, since raceAt
	raceAt mono.Time
	index  int // in bla.claimList
}

// bla is the state of bridge loop avoidance.
type bla struct {
	group     uint16 // gateways of one LAN agree on it
	backbones map[blaKey]*backbone
	list      []*backbone // the same, oldest first
	own       int         // how many of them are this node
	lastOwn   *backbone   // the one that was used last
	claims    map[blaKey]*claim
	claimList []*claim // the same, in an order that removals change
	unsynced  int      // gateways that are not in step
	next      mono.Time
	answering mono.Time // when to go on with an answer
	races     []blaRacer
	loopIn    int // periods until the next loop detection frame
	loopMAC   batman.MAC
	loopSent  mono.Time
	dups      [blaDupSize]blaDup
	dup       int // the newest
}

// blaRacer is a client that two gateways claimed at the same time: each heard
// the other's claim after its own and gave way. Broadcasts that both hear make
// that common. The kernel leaves it so, and nobody carries the client's
// broadcasts for ten seconds. Here, who hears no third claim for a few
// milliseconds claims again: a kernel has given way already, and of two agents
// one is first.
type blaRacer struct {
	key blaKey
	at  mono.Time
}

// maxRaces bounds the races that wait to be settled.
const maxRaces = 256

// blaDup remembers one flooded frame.
type blaDup struct {
	at   mono.Time
	crc  uint32
	size int
	orig batman.MAC // zero: unknown
	used bool
}

func (m *Mesh) blaInit(now mono.Time) {
	m.bla = bla{
		backbones: map[blaKey]*backbone{}, claims: map[blaKey]*claim{}, next: now.Add(blaPeriod), answering: mono.Never,
		loopIn: blaLoopPeriods,
	}
}

// crc16 is CRC-16 with polynomial 0x8005, reflected, from 0.
func crc16(mac batman.MAC) uint16 {
	var c uint16
	for _, b := range mac {
		c ^= uint16(b)
		for range 8 {
			c = c>>1 ^ c&1*0xa001
		}
	}
	return c
}

// backbone returns the gateway mac on VLAN v and enters it if it is new; nil
// if there is no room.
func (m *Mesh) backbone(now mono.Time, mac batman.MAC, v batman.VID, out *Out) *backbone {
	s := &m.bla
	key := newBLAKey(mac, v)
	g := s.backbones[key]
	if g != nil {
		return g
	}
	own := mac == m.self()
	if own && s.own >= maxOwnVLANs || !own && len(s.list)-s.own >= MaxBackbones {
		m.lose(dropTableFull)
		return nil
	}
	g = &backbone{mac: mac, vid: v, own: own, seen: now}
	s.backbones[key] = g
	s.list = append(s.list, g)
	if own {
		s.own++
	}
	if o := m.originator(mac); o != nil {
		m.ttBackbone(now, o, v, out) // its clients are on our own LAN
	}
	return g
}

// ownBackbone notes that this node is a gateway on VLAN v; nil if it is on
// too many. A new one tells the others, and carries no broadcasts until they
// had time to answer. (If our first word on the VLAN is a claim, the others
// know by that, and the kernel does not wait either.)
func (m *Mesh) ownBackbone(now mono.Time, v batman.VID, out *Out) *backbone {
	s := &m.bla
	if s.lastOwn == nil || s.lastOwn.vid != v {
		fresh := s.backbones[newBLAKey(m.self(), v)] == nil
		g := m.backbone(now, m.self(), v, out)
		if g == nil {
			return nil
		}
		if fresh {
			m.sendAnnounce(g, out)
			g.wait = blaWait
			m.unsync(g)
		}
		s.lastOwn = g
	}
	s.lastOwn.seen = now
	return s.lastOwn
}

func (m *Mesh) unsync(g *backbone) {
	if !g.unsynced {
		g.unsynced = true
		m.bla.unsynced++
	}
}

func (m *Mesh) sync(g *backbone) {
	if g.unsynced {
		g.unsynced = false
		m.bla.unsynced--
	}
}

// forgetBackbone takes g out of the table; the caller takes it out of the
// list.
func (m *Mesh) forgetBackbone(g *backbone) {
	m.sync(g)
	m.forgetClaims(g)
	delete(m.bla.backbones, newBLAKey(g.mac, g.vid))
	if g.own {
		m.bla.own--
		m.bla.lastOwn = nil
	}
}

// forgetClaims drops all claims of g.
func (m *Mesh) forgetClaims(g *backbone) {
	for i := len(m.bla.claimList) - 1; i >= 0; i-- {
		if c := m.bla.claimList[i]; c.by == g {
			m.delClaim(c)
		}
	}
}

// addClaim gives client to g. It reports false if there is no room.
func (m *Mesh) addClaim(now mono.Time, client batman.MAC, v batman.VID, g *backbone) bool {
	s := &m.bla
	key := newBLAKey(client, v)
	c := s.claims[key]
	switch {
	case c == nil:
		room := MaxClaims
		if !g.own {
			room -= claimReserve
		}
		if len(s.claimList) >= room {
			m.lose(dropTableFull)
			return false
		}
		c = &claim{client: client, vid: v, index: len(s.claimList)}
		s.claims[key] = c
		s.claimList = append(s.claimList, c)
	case c.by == g:
		c.seen = now
		return true
	default:
		c.by.crc ^= crc16(client)
	}
	c.by, c.seen, c.since = g, now, now
	g.crc ^= crc16(client)
	g.seen = now
	return true
}

func (m *Mesh) delClaim(c *claim) {
	s := &m.bla
	c.by.crc ^= crc16(c.client)
	delete(s.claims, newBLAKey(c.client, c.vid))
	last := s.claimList[len(s.claimList)-1]
	s.claimList[c.index] = last
	last.index = c.index
	s.claimList[len(s.claimList)-1] = nil
	s.claimList = s.claimList[:len(s.claimList)-1]
}

// blaForget drops everything.
func (m *Mesh) blaForget() {
	s := &m.bla
	if len(s.list) == 0 {
		return
	}
	clear(s.backbones)
	clear(s.claims)
	clear(s.list)
	clear(s.claimList)
	s.list, s.claimList = s.list[:0], s.claimList[:0]
	s.own, s.lastOwn, s.unsynced, s.answering, s.races = 0, nil, 0, mono.Never, nil
}
