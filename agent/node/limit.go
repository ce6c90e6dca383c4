package node

import (
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// reason says why a packet was dropped; Status.Drops shows the counts.
type reason uint8

const (
	dropNoLink      reason = iota
	dropRunt               // ends inside a header
	dropUnknownPeer        // neither a peer nor a handshake
	dropBusy               // a rate limit for handshakes
	dropAuth               // CryptoAuth refused it; Status.Drops has the reason
	dropTableFull          // no room for another peer or session
	dropBeacon             // malformed, not accepted, or our own
	dropMalformed          // switch: no such director form
	dropNoPort             // switch: empty slot
	dropPortDown           // switch: slot of a peer that does not answer
	dropReturnPath         // switch: the way back would not fit
	dropLabelSpent         // switch: more hops than a label holds
	dropControl            // malformed control frame
	dropUnknownSess        // no session with that handle
	dropInner              // end-to-end CryptoAuth refused it
	dropContent            // unknown content type, or data without proof of freshness
	dropMessage            // malformed routing message
	dropTUN                // not an IPv6 packet from us into fc00::/8
	dropWaiting            // no session yet, and no room to wait
	dropTooBig             // larger than the link
	dropNoRoute            // search without result
	dropSelfKey            // from our own key
	dropVersion            // protocol version too old
	dropMeshUnknown        // handshake over the mesh with a key of which it knows nothing
	dropNotAdmitted        // handshake over the mesh without password, and not admitted
	dropMeshFull           // no slot for another peering over the mesh
	dropInside             // from an address of the overlay: a link cannot run over itself
	dropNoRole             // a question for a supernode, which we are not
	numReasons
)

var reasonNames = [numReasons]string{
	"no-link", "runt", "unknown-peer", "handshake-rate", "auth", "table-full", "beacon",
	"malformed-label", "no-port", "port-down", "return-path", "label-spent", "control",
	"unknown-session", "session-auth", "content", "message", "tun", "waiting-full", "too-big",
	"no-route", "own-key", "version", "mesh-unknown", "not-admitted", "mesh-full",
	"from-overlay", "no-supernode",
}

// bucket is a token bucket in whole numbers: rate tokens a second, at most
// burst in stock. The zero value of the private part is a full bucket.
type bucket struct {
	rate, burst int64
	used        int64 // millionths of tokens taken
	last        mono.Time
}

// token is one token, in millionths.
const token = 1_000_000

// fill gives back the tokens that time has brought.
func (b *bucket) fill(now mono.Time) {
	if d := now.Sub(b.last); d > 0 {
		b.last = now
		// No longer than it takes to fill: the product must not overflow.
		b.used = max(0, b.used-min(int64(d), b.burst*int64(time.Second)/b.rate)*b.rate/1000)
	}
}

// scarce reports whether more than half of the tokens are gone.
func (b *bucket) scarce(now mono.Time) bool {
	b.fill(now)
	return b.used > b.burst*token/2
}

// take takes one token and reports whether there was one.
func (b *bucket) take(now mono.Time) bool {
	b.fill(now)
	if b.used+token > b.burst*token {
		return false
	}
	b.used += token
	return true
}

// sourceBuckets limits each source address, so that one noisy neighbour
// cannot use up what all may cause. It remembers a fixed number of sources;
// an address that collides with another shares its bucket.
type sourceBuckets struct {
	seed  uint32 // random: nobody can choose an address that shares a victim's bucket
	slots [256]bucket
}

// take takes a token of the bucket of whoever sends from a with key: ten
// handshakes a second. Strangers have no key yet.
func (s *sourceBuckets) take(now mono.Time, a pkt.Addr, key cjdns.Key) bool {
	h := s.seed
	for _, c := range a.IP {
		h = (h ^ uint32(c)) * 16777619
	}
	for _, c := range key {
		h = (h ^ uint32(c)) * 16777619
	}
	b := &s.slots[(h^h>>16)%uint32(len(s.slots))]
	b.rate, b.burst = 10, 20
	return b.take(now)
}
