package admin

import (
	"context"
	"time"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/node"
)

// Backend is the running agent as the methods see it. All functions may be
// called from several goroutines at once and give up when ctx ends. An error
// that is an *Error keeps its code; any other becomes CodeFailed.
type Backend interface {
	// Status returns a copy of everything there is to show.
	Status(ctx context.Context) (node.Status, error)
	// Ping sends o.Count pings to target, one after the other, and returns
	// when the last was answered or given up. A ping that was not answered is
	// a PingReply with Error set, not an error.
	Ping(ctx context.Context, target string, o PingOptions) (PingResult, error)
	// Trace lists the hops towards target.
	Trace(ctx context.Context, target string) (TraceResult, error)
	// Why says how packets for target travel, without Reason and Tried.
	Why(ctx context.Context, target string) (node.Why, error)
	// PeerAdd adds p to the running node and to the stored configuration, or
	// changes the peer with the same key and address.
	PeerAdd(ctx context.Context, p config.Peer) (config.PeerChange, error)
	// PeerDel removes the one peer that selector names: section, name, public
	// key, overlay address or link address.
	PeerDel(ctx context.Context, selector string) (config.PeerChange, error)
	// Reload reads the configuration again and applies what changed.
	Reload(ctx context.Context) (ReloadReport, error)
	// ConfigDiff reads the configuration again and changes nothing.
	ConfigDiff(ctx context.Context) (ReloadReport, error)
	MeshBackend
	CommunityBackend
	WifiBackend
}

// PingOptions says how to ping. The registry has filled in the defaults and
// checked the limits.
type PingOptions struct {
	Count    int           // 1 to MaxPings
	Interval time.Duration // from one ping to the next
	Timeout  time.Duration // how long to wait for each answer
}

// Limits of ping.
const (
	MaxPings       = 100
	MaxPingTimeout = 30 * time.Second
)

// PingResult is the answer of ping.
type PingResult struct {
	Target    string      `json:"target"` // as asked for
	IP        string      `json:"ip,omitempty"`
	PublicKey string      `json:"publicKey,omitempty"`
	Replies   []PingReply `json:"replies"` // one per ping, in order
}

// PingReply is what became of one ping.
type PingReply struct {
	Seq       int    `json:"seq"`       // from 1
	RTTMicros int64  `json:"rttMicros"` // 0 if there was no answer
	Version   uint32 `json:"version,omitempty"`
	Via       string `json:"via,omitempty"`   // label of the path, four groups
	Error     string `json:"error,omitempty"` // why there was no answer: "timeout", …
}

// TraceResult is the answer of trace.
type TraceResult struct {
	Target string     `json:"target"`
	IP     string     `json:"ip,omitempty"`
	Hops   []TraceHop `json:"hops"`            // the first is our peer, the last the target if it was reached
	Error  string     `json:"error,omitempty"` // why the list ends before the target
}

// TraceHop is one node on the way.
type TraceHop struct {
	Hop       int    `json:"hop"` // from 1
	Name      string `json:"name,omitempty"`
	IP        string `json:"ip,omitempty"`
	PublicKey string `json:"publicKey,omitempty"`
	Label     string `json:"label,omitempty"` // path from us to this hop
	Version   uint32 `json:"version,omitempty"`
	RTTMicros int64  `json:"rttMicros"` // 0 if it did not answer
	Error     string `json:"error,omitempty"`
}

// ReloadReport says what a reload did.
type ReloadReport struct {
	Changes  []config.Change `json:"changes"`  // what was applied or, with Restart set, was not
	Warnings []string        `json:"warnings"` // of the configuration, a sentence each
}
