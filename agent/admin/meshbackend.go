package admin

import (
	"context"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
)

// MeshBackend is the part of a Backend that is about the B.A.T.M.A.N. mesh.
// Without a mesh all of it fails with ErrNoMesh.
type MeshBackend interface {
	// Mesh returns a copy of everything that the mesh knows.
	Mesh(ctx context.Context) (mesh.Status, error)
	// MeshPing sends one echo request to an originator and waits for the
	// answer of it or, with a small TTL, of a hop before it. No answer is a
	// MeshPingReply with Error set, not an error.
	MeshPing(ctx context.Context, dst batman.MAC, o MeshPingOptions) (MeshPingReply, error)
	// MeshThroughput runs the throughput meter towards an originator. A test
	// that failed is a MeshThroughput with Error set, not an error.
	MeshThroughput(ctx context.Context, dst batman.MAC, d time.Duration) (MeshThroughput, error)
	// MeshLog returns the messages behind number after, oldest first. The
	// agent keeps the last few hundred.
	MeshLog(ctx context.Context, after uint64) ([]MeshLogLine, error)
}

// ErrNoMesh says that the configuration has no mesh, or has it switched off.
var ErrNoMesh = &Error{CodeNotFound, "no mesh runs: add sections 'mesh' and 'hardif' to the configuration"}

// MeshPingOptions says how to ping. The registry has filled in the defaults
// and checked the limits.
type MeshPingOptions struct {
	TTL         uint8 // hops that the request may go; 50 by default
	RecordRoute bool  // ask each hop to add its address
	Timeout     time.Duration
}

// Types of answers to a ping. Source: batman-adv batadv_packet.h,
// enum batadv_icmp_packettype.
const (
	MeshEchoReply   = 0
	MeshUnreachable = 3
	MeshTTLExceeded = 11
)

// MeshPingReply is what became of one ping.
type MeshPingReply struct {
	Originator batman.MAC   `json:"originator"` // whom we asked
	From       batman.MAC   `json:"from"`       // who answered; zero if nobody did
	Type       uint8        `json:"type"`       // 0 echo reply, 3 unreachable, 11 TTL exceeded
	TTL        uint8        `json:"ttl"`        // of the answer as it arrived
	RTTMicros  int64        `json:"rttMicros"`
	Route      []batman.MAC `json:"route,omitempty"` // there and back, if asked for
	Error      string       `json:"error,omitempty"` // why there was no answer: MeshTimeout, …
}

// MeshTimeout is the Error of a ping that was sent and not answered in time.
const MeshTimeout = "timeout"

// MeshThroughput is the result of the throughput meter, with batctl's keys.
type MeshThroughput struct {
	Originator batman.MAC `json:"originator"`
	TimeMs     uint64     `json:"tpmeter_test_time"` // milliseconds
	Bytes      uint64     `json:"tpmeter_bytes"`     // that the other side has acknowledged
	Error      string     `json:"error,omitempty"`   // why the test did not finish
}

// MeshLogLine is one message of the mesh.
type MeshLogLine struct {
	Seq  uint64 `json:"seq"`  // from 1
	Time int64  `json:"time"` // milliseconds since 1970
	Kind string `json:"kind"` // batman, routes, tt, bla, dat, mcast or tp
	Text string `json:"text"`
}

// Limits of the mesh methods.
const (
	MeshTTL            = 50
	MaxMeshPingTimeout = 30 * time.Second
	MaxMeshTest        = 10 * time.Minute // of the throughput meter
)
