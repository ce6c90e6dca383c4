package cryptoauth

import "github.com/meshagent/meshagent/agent/cjdns"

// WallTime is the time of day, UTC. Only the Noise handshake needs it, and
// only that it grows from one handshake with a peer to the next.
type WallTime struct {
	Sec  int64 // since 1970
	Nsec uint32
}

// Config is what all sessions of a node share. The owner of the node owns it;
// its parts may change between calls.
type Config struct {
	Self  *Identity
	Users *Users       // whom we let in; nil: nobody has a password
	Rand  func([]byte) // fills the slice with unpredictable bytes
	Wall  WallTime     // set before calls that may start a Noise handshake
	// Version is our protocol version in Noise handshakes; 0 means 22.
	Version uint32

	jar cookieJar
}

// Options describe one session.
type Options struct {
	Key         cjdns.Key // the peer; zero: learn it from the first hello
	Password    []byte    // our password at the peer; empty: none. Copied
	Login       string    // our login at the peer; empty: none
	RequireAuth bool      // refuse handshakes without a password that Users knows
	Noise       bool      // dial with the Noise handshake of v22
}

// Event is what Open learned from a packet, a set of bits.
type Event uint8

// Bits of an Event.
const (
	// Answer: the handshake goes on only if the caller sends something now,
	// with SealCandidate: a ping, or the pong to the ping just received.
	Answer Event = 1 << iota
	// Promoted: a new transport became the current one.
	Promoted
	// Fresh: the packet was authenticated traffic and is not a replay: the
	// peer is alive. The payload of a handshake packet is never Fresh.
	Fresh
	// Stale: the packet came over the transport before the current one. It
	// is Fresh too.
	Stale
)

// State is the number that cjdns shows for a session.
type State uint8

// States. Source: cjdns crypto/CryptoAuth.h.
const (
	StateInit          State = 0
	StateSentHello     State = 1
	StateReceivedHello State = 2
	StateSentKey       State = 3
	StateReceivedKey   State = 4
	StateEstablished   State = 100
)

// String returns the word that cjdns prints.
func (s State) String() string {
	switch s {
	case StateInit:
		return "INIT"
	case StateSentHello:
		return "SENT_HELLO"
	case StateReceivedHello:
		return "RECEIVED_HELLO"
	case StateSentKey:
		return "SENT_KEY"
	case StateReceivedKey:
		return "RECEIVED_KEY"
	case StateEstablished:
		return "ESTABLISHED"
	default:
		return "INVALID"
	}
}

// Stats counts packets since the session was made; Reset keeps it.
type Stats struct {
	Received   uint64          // traffic packets accepted
	Lost       uint64          // gaps in the peer's packet numbers that nothing filled yet
	OutOfRange uint64          // refused: too old for the replay window
	Duplicates uint64          // refused: seen before
	Drops      [NumErrs]uint64 // refused by Open, by DecryptErr
}
