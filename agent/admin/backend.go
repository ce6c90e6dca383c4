package admin

import (
	"context"
	"encoding/json"
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
	// Why says how packets for target travel, without Reason.
	Why(ctx context.Context, target string) (*node.Why, error)
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
	// ConfigTrial applies the configuration as Reload does; if confirm is not
	// 0, the one before is back, in the file too, unless it is confirmed in
	// that time. The other verbs confirm, or do not wait.
	ConfigTrial(ctx context.Context, verb TrialVerb, confirm time.Duration) (ReloadReport, error)
	// ConfigStore gives the text that waits for somebody with the right to
	// write it, and takes what became of it.
	ConfigStore(ctx context.Context, done bool, refused string) (ConfigWish, error)
	// Events returns the kept events behind number after, oldest first; the
	// last of them if there are more than limit, which is not 0.
	Events(after uint64, limit int) []Event
	// Doctor checks the node and its surroundings, in an order in which they
	// are best mended.
	Doctor(ctx context.Context) (Diagnosis, error)
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
	// ConfirmSeconds is how long it takes until the configuration is taken
	// back, unless it is confirmed; 0 if it stays.
	ConfirmSeconds int `json:"confirmSeconds,omitempty"`
}

// TrialVerb is what is to be done with a configuration on trial.
type TrialVerb uint8

// The verbs.
const (
	TrialApply TrialVerb = iota
	TrialConfirm
	TrialRevert
)

// ConfigWish is a configuration that the agent may not write by itself.
type ConfigWish struct {
	Base string `json:"base"` // what the file holds
	Text string `json:"text"` // what it should hold
}

// Event is something that has happened.
type Event struct {
	Seq   uint64          `json:"seq"`   // from 1
	Time  int64           `json:"time"`  // milliseconds since 1970
	Event string          `json:"event"` // "peer.up", …
	Data  json.RawMessage `json:"data"`  // an object
}

// EventList is the answer of events.
type EventList struct {
	Events []Event `json:"events"` // oldest first
}

// The values of Check.State.
const (
	CheckOK   = "ok"
	CheckWarn = "warn" // works, and should be looked at
	CheckFail = "fail" // does not work
)

// Check is one row of a diagnosis.
type Check struct {
	What  string `json:"check"` // what was looked at, a word or two
	State string `json:"state"` // ok, warn or fail
	Text  string `json:"text"`  // what was found
	Fix   string `json:"fix,omitempty"`
}

// Diagnosis is the answer of doctor.
type Diagnosis struct {
	Checks   []Check `json:"checks"`
	Failures int     `json:"failures"`
}
