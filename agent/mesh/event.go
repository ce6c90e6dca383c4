package mesh

import "github.com/meshagent/meshagent/agent/batman"

// EventKind says what happened.
type EventKind uint8

// Kinds of events.
const (
	EventRoute    EventKind = iota + 1 // the way to an originator was found, or lost if Next is zero
	EventGone                          // an originator was forgotten
	EventRoamed                        // a client moved from us to Orig, or from Orig to us
	EventGateway                       // another gateway was chosen; Orig is zero if none is left, Next is the one before
	EventLoop                          // bridge loop avoidance saw its own loop detection frame on the mesh
	EventClash                         // somebody else uses our address Orig
	EventLimit                         // a table is full: Text names it
	EventIdentity                      // two keys on one address, one key on two, no signature: Text says which
	EventCopied                        // the node Orig signs with our own key
	EventLinkMTU                       // the link to the station Orig carries less than its interface's MTU, or all of it again: see Text
)

// Event is something worth a line in the log.
type Event struct {
	Kind       EventKind
	Orig, Next batman.MAC
	Client     batman.MAC
	VID        batman.VID
	Text       string
}

// ReplyKind says what a Reply answers.
type ReplyKind uint8

// Kinds of replies.
const (
	ReplyPing  ReplyKind = iota + 1 // an ICMP answer, or Err
	ReplyMeter                      // a throughput test ended
)

// Reply answers Ping or StartMeter with the same ID.
type Reply struct {
	Kind ReplyKind
	ID   uint64
	Err  string // "" or why there is no answer
	// ReplyPing: who answered with which ICMP type, and the route record.
	From batman.MAC
	Type uint8
	TTL  uint8
	RR   []batman.MAC
	// ReplyMeter
	Bytes      uint64
	DurationMS uint64
}
