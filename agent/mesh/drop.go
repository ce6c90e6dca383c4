package mesh

import "github.com/meshagent/meshagent/agent/pkt"

// dropReason says why a frame was not taken.
type dropReason uint8

const (
	dropIfaceDown dropReason = iota
	dropRunt
	dropVersion
	dropSource
	dropOwnFrame
	dropDestination
	dropType
	dropTTL
	dropMalformed
	dropUnknownOrig
	dropDuplicate
	dropProtected
	dropTableFull
	dropRateLimit
	dropNoRoute
	dropUnknownClient
	dropTTVN
	dropTooBig
	dropNoPrimary
	dropQueueFull
	dropFragment
	dropNested
	dropIsolation
	dropBLA
	dropClaim
	dropDAT
	dropGateway
	dropMulticast
	dropInner
	dropICMP
	dropTVLV
	dropEcho
	dropNotBest
	dropLoop
	dropOGM
	dropUnasked
	dropNeighbour
	dropForged
	dropStripped
	dropUnchecked
	dropConflict
	dropBadRecord
	dropForgedTT
	dropForgedGW
	dropForgedRoam
	dropUnsigned
	dropCount
)

var dropNames = [dropCount]string{
	"iface-down", "runt", "version", "source", "own-frame", "destination", "type", "ttl", "malformed", "unknown-originator",
	"duplicate", "protected", "table-full", "rate-limit", "no-route", "unknown-client", "ttvn", "too-big", "no-primary",
	"queue-full", "fragment", "nested-fragment", "isolation", "bla", "claim-frame", "dat", "gateway", "multicast", "inner-frame",
	"icmp", "tvlv", "echo", "not-best-next-hop", "loop", "ogm", "unasked",
	"unknown-neighbour",
	"forged", "stripped", "unchecked", "conflict", "bad-record", "forged-tt", "forged-gw", "forged-roam", "unsigned",
}

// lose counts that something is not taken, also at the interface whose frame
// is looked at just now; there is none if it is a client's frame, or time.
func (m *Mesh) lose(why dropReason) { m.loseN(why, 1) }

func (m *Mesh) loseN(why dropReason, n uint64) {
	m.drops[why] += n
	if m.rxOn != nil {
		m.rxOn.drops[why] += n
	}
}

// countOn counts at the interface hi, whatever is looked at.
func (m *Mesh) countOn(hi *HardIface, why dropReason) {
	hi.drops[why]++
	m.drops[why]++
}

// drop puts b back and counts it as lose does.
func (m *Mesh) drop(b *pkt.Buf, why dropReason, out *Out) {
	m.lose(why)
	out.Pool.Put(b)
}

// dropOn puts b back and counts it at hi.
func (m *Mesh) dropOn(hi *HardIface, b *pkt.Buf, why dropReason, out *Out) {
	m.countOn(hi, why)
	out.Pool.Put(b)
}
