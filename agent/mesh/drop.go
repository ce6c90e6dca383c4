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
	dropRoaming
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
	"icmp", "tvlv", "echo", "not-best-next-hop", "loop", "ogm", "roaming", "unasked",
	"unknown-neighbour",
	"forged", "stripped", "unchecked", "conflict", "bad-record", "forged-tt", "forged-gw", "forged-roam", "unsigned",
}

// drop puts b back and counts it.
func (m *Mesh) drop(b *pkt.Buf, why dropReason, out *Out) {
	m.drops[why]++
	out.Pool.Put(b)
}

// dropOn also counts at the interface that it came from.
func (m *Mesh) dropOn(hi *HardIface, b *pkt.Buf, why dropReason, out *Out) {
	hi.drops[why]++
	m.drop(b, why, out)
}
