package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// The translation table says which client, told by MAC and VLAN, is behind
// which node. Each node owns a local table, numbers its versions (TTVN) and
// describes version and checksum in every OGM; the others keep copies of it,
// their global table, and ask for what they missed.
//
// Files: ttlocal (this node's clients), ttcommit (new versions, the container
// in the OGM), ttglobal (the copies), ttreceive (what OGMs bring), ttrequest
// (questions and answers), ttroam (clients that move), ttstatus.
//
// Two things differ from the kernel module, on purpose:
//
//   - The copy of a table is exact: what an originator announced counts in its
//     checksum until it takes it back. That a client left (ROAM) or was seen
//     early (TEMP) is kept beside. The module leaves such entries out of the
//     checksum and then often asks for a table that it had.
//   - A response is taken only if this node asked for it.

// Times. Source: batman-adv main.h.
const (
	ttIdle       = 600 * time.Second // life of a silent local client
	ttSoftLife   = 600 * time.Second // life of a global entry that was not announced: roamed, temporary
	ttPeriod     = 5 * time.Second   // purge interval
	ttAsk        = 3 * time.Second   // one request per originator in this time
	ttAnswerLife = 10 * time.Second  // how long an answer may take
	ttRoamTime   = 20 * time.Second  // in which a client may roam
	ttRoamMax    = 5                 // times
	ttRides      = 3                 // OGMs that repeat the changes, after the first
	ttSilent     = 30 * time.Second  // how much later than others an originator may have been heard
)

// Limits beside those in config.go.
const (
	// ttLocalVLANs keeps the list of checksums of an own OGM at 8+8*40 bytes,
	// which leaves room for other containers and for some changes.
	ttLocalVLANs = 40
	ttListenMax  = 256              // own multicast addresses
	ttTempMax    = 256              // temporary clients of one originator
	ttDiffMax    = 42               // changes kept of one originator, to answer for it
	ttTryAgain   = 60 * time.Second // until a table that did not fit is asked for again
)

// ttKey is a client.
type ttKey struct {
	mac batman.MAC
	vid batman.VID
}

// ttVLAN is a VLAN of one table: the checksum over its announced clients and
// how many they are.
type ttVLAN struct {
	vid  batman.VID
	crc  uint32
	n    int
	live int // own table only: clients that are not about to be removed
}

// ttVLANs are sorted by VLAN.
type ttVLANs []ttVLAN

// find returns where v is, or would be.
func (l ttVLANs) find(v batman.VID) (i int, found bool) {
	for i < len(l) && l[i].vid < v {
		i++
	}
	return i, i < len(l) && l[i].vid == v
}

// at returns the entry of v and makes one if need be. The pointer is good
// until the list changes.
func (l *ttVLANs) at(v batman.VID) *ttVLAN {
	i, found := l.find(v)
	if !found {
		*l = append(*l, ttVLAN{})
		copy((*l)[i+1:], (*l)[i:])
		(*l)[i] = ttVLAN{vid: v}
	}
	return &(*l)[i]
}

// drop takes the entry of v away if nobody is in it.
func (l *ttVLANs) drop(v batman.VID) {
	if i, found := l.find(v); found && (*l)[i].n == 0 && (*l)[i].live == 0 {
		*l = append((*l)[:i], (*l)[i+1:]...)
	}
}

// tt is the translation table of a node.
type tt struct {
	ttvn      uint8
	local     map[ttKey]*ttClient
	localList []*ttClient // the same; order of no meaning, but reproducible
	vlans     ttVLANs
	dirty     []*ttClient // clients that differ from what was announced
	listening int         // multicast clients
	mark      uint32      // of the last call of ttListeners

	diff  []byte // the changes that made ttvn, as on the wire
	rides int    // OGMs that still take them along

	global map[ttKey]*ttEntry
	total  int         // places in it: an entry counts once per originator
	victim *Originator // who pays if the table is full; nil: look for one

	roams    map[ttKey]*ttRoamCount
	roamList []*ttRoamCount
	answers  mono.Bucket // answers to all, in units of ttAnswerUnit

	next      mono.Time // of purging
	lastLimit mono.Time // when a full table was reported
	limited   bool

	// wire, if a test set it, takes what would be sent, and every originator
	// can be reached.
	wire func(src batman.MAC, o *Originator, tvlvs []byte)
}

// ttOrig is what a node knows of an originator's table.
type ttOrig struct {
	known bool // the copy is complete as of ttvn
	ttvn  uint8
	vlans ttVLANs
	// clients are the entries that name this originator. Their places know
	// their index here.
	clients []*ttEntry
	temps   int
	diff    []byte // the changes that made ttvn, if they are at hand

	// short: limits kept part of the table out, since then. Its checksum
	// cannot be compared.
	short   bool
	shortAt mono.Time

	asked     bool // a request is under way
	askedFull bool
	askedTTVN uint8
	askedAt   mono.Time

	answers mono.Bucket // to it, in units of ttAnswerUnit
	roams   mono.Bucket // ROAM announcements from it
}

func (m *Mesh) ttInit(now mono.Time) {
	m.tt = tt{
		local: map[ttKey]*ttClient{}, global: map[ttKey]*ttEntry{}, roams: map[ttKey]*ttRoamCount{},
		next: now.Add(ttPeriod),
	}
}

func (m *Mesh) ttDeadline() mono.Time { return m.tt.next }

// ttExpire forgets what was silent for too long.
func (m *Mesh) ttExpire(now mono.Time, out *Out) {
	if now < m.tt.next {
		return
	}
	m.tt.next = now.Add(ttPeriod)
	m.ttPurgeLocal(now)
	m.ttPurgeGlobal(now)
	m.ttPurgeRoams(now)
}

// ttVersion is the last TTVN heard of o.
func (m *Mesh) ttVersion(o *Originator) uint8 { return o.tt.ttvn }

// ttOwnVersion is this node's TTVN.
func (m *Mesh) ttOwnVersion() uint8 { return m.tt.ttvn }

// ttSend sends containers to o in the name of src.
func (m *Mesh) ttSend(now mono.Time, src batman.MAC, o *Originator, tvlvs []byte, out *Out) {
	if m.tt.wire != nil {
		m.tt.wire(src, o, tvlvs)
		return
	}
	m.sendTVLVs(now, src, o, tvlvs, out)
}

// ttLimit reports a full table, once a minute.
func (m *Mesh) ttLimit(now mono.Time, text string, out *Out) {
	if m.tt.limited && now.Sub(m.tt.lastLimit) < time.Minute {
		return
	}
	m.tt.limited, m.tt.lastLimit = true, now
	out.Events = append(out.Events, Event{Kind: EventLimit, Text: text})
}
