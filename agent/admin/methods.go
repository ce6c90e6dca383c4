package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/node"
)

// Version is the answer of version.
type Version struct {
	Version  string `json:"version"`  // of the program, X.Y.Z
	Protocol uint32 `json:"protocol"` // the cjdns protocol version it announces
}

// PeerList is the answer of peers.
type PeerList struct {
	Peers []node.PeerStatus `json:"peers"`
	Total int               `json:"total"` // of all, not only of this answer
}

// SessionList is the answer of sessions.
type SessionList struct {
	Sessions []node.SessionStatus `json:"sessions"`
	Total    int                  `json:"total"`
}

var (
	targetArg = Arg{Name: "target", Type: String, Required: true, Max: 512,
		Help: "whom: an address in fc00::/8, a public key, a node text, a label or the name of a peer"}
	offsetArg = Arg{Name: "offset", Type: Int, Max: 1 << 30, Help: "how many to leave out at the beginning"}
	limitArg  = Arg{Name: "limit", Type: Int, Max: 1 << 30, Help: "how many to list at most; 0 for all"}
)

// NewMethods returns the registry of an agent.
func NewMethods(b Backend) *Registry {
	r := NewRegistry()
	r.Add(Method{Name: "status", Summary: "everything there is to show of the node", ReadOnly: true,
		Handle: func(ctx context.Context, _ Args) (any, error) {
			s, err := b.Status(ctx)
			return s, err
		}})
	r.Add(Method{Name: "version", Summary: "the version of the running agent", ReadOnly: true,
		Handle: func(ctx context.Context, _ Args) (any, error) {
			s, err := b.Status(ctx)
			return Version{s.Version, s.Protocol}, err
		}})
	r.Add(Method{Name: "peers", Summary: "direct neighbours", ReadOnly: true, Args: []Arg{offsetArg, limitArg},
		Handle: func(ctx context.Context, a Args) (any, error) {
			s, err := b.Status(ctx)
			return PeerList{part(s.Peers, a), len(s.Peers)}, err
		}})
	r.Add(Method{Name: "sessions", Summary: "end-to-end sessions", ReadOnly: true, Args: []Arg{offsetArg, limitArg},
		Handle: func(ctx context.Context, a Args) (any, error) {
			s, err := b.Status(ctx)
			return SessionList{part(s.Sessions, a), len(s.Sessions)}, err
		}})
	r.Add(Method{Name: "ping", Summary: "ask a node whether it is there", ReadOnly: true,
		Args: []Arg{targetArg,
			{Name: "count", Type: Int, Default: int64(1), Min: 1, Max: MaxPings, Help: "how many pings"},
			{Name: "interval_ms", Type: Int, Default: int64(1000), Min: 1, Max: 60_000, Help: "milliseconds from one ping to the next"},
			{Name: "timeout_ms", Type: Int, Default: int64(2000), Min: 1, Max: int64(MaxPingTimeout / time.Millisecond), Help: "milliseconds to wait for each answer"},
		},
		Handle: func(ctx context.Context, a Args) (any, error) {
			return b.Ping(ctx, a.String("target"), PingOptions{
				Count:    int(a.Int("count")),
				Interval: time.Duration(a.Int("interval_ms")) * time.Millisecond,
				Timeout:  time.Duration(a.Int("timeout_ms")) * time.Millisecond,
			})
		}})
	r.Add(Method{Name: "trace", Summary: "the hops on the way to a node", ReadOnly: true, Args: []Arg{targetArg},
		Handle: func(ctx context.Context, a Args) (any, error) { return b.Trace(ctx, a.String("target")) }})
	r.Add(Method{Name: "why", Summary: "the ways to a node, and why one of them is used", ReadOnly: true,
		Args: []Arg{{Name: "target", Type: String, Required: true, Max: 512, Help: "whom: an address in fc00::/8, a public key or the name of a peer"}},
		Handle: func(ctx context.Context, a Args) (any, error) {
			w, err := b.Why(ctx, a.String("target"))
			if err == nil {
				w.Reason = whyReason(w)
			}
			return w, err
		}})
	r.Add(Method{Name: "peer.add", Summary: "dial a node from now on, and after a restart",
		Args: []Arg{
			{Name: "address", Type: String, Required: true, Max: 300, Help: "ip:port, [ip6]:port, hostname:port or a MAC"},
			{Name: "public_key", Type: String, Required: true, Max: 300, Help: "its public key, 52 base32 characters and .k"},
			{Name: "password", Type: String, Max: 256, Help: "what it gave us to get in"},
			{Name: "login", Type: String, Max: 128, Help: "the login that goes with the password"},
			{Name: "name", Type: String, Max: 128, Help: "what we call it"},
			{Name: "interface", Type: String, Max: 128, Help: "the link to use: section or Ethernet device"},
			{Name: "version", Type: Int, Max: 9999, Help: "the protocol version it speaks, if known"},
		},
		Handle: func(ctx context.Context, a Args) (any, error) { return peerAdd(ctx, b, a) }})
	r.Add(Method{Name: "peer.del", Summary: "stop dialling a node, and forget it",
		Args: []Arg{{Name: "peer", Type: String, Required: true, Max: 300,
			Help: "which: its section, name, public key, overlay address or link address"}},
		Handle: func(ctx context.Context, a Args) (any, error) {
			c, err := b.PeerDel(ctx, a.String("peer"))
			return c, configError(err)
		}})
	r.Add(Method{Name: "reload", Summary: "read the configuration again and apply what changed",
		Handle: func(ctx context.Context, _ Args) (any, error) {
			report, err := b.Reload(ctx)
			return report, configError(err)
		}})
	addConfigMethods(r, b)
	addMeshMethods(r, b)
	addCommunityMethods(r, b)
	addWifiMethod(r, b)
	r.Add(Method{Name: "methods", Summary: "the methods of this agent", ReadOnly: true,
		Handle: func(context.Context, Args) (any, error) { return r.Methods(), nil }})
	return r
}

func peerAdd(ctx context.Context, b Backend, a Args) (any, error) {
	p, err := PeerFromArgs(a)
	if err != nil {
		return nil, err
	}
	c, err := b.PeerAdd(ctx, p)
	return c, configError(err)
}

// PeerFromArgs makes a peer of the arguments of peer.add.
func PeerFromArgs(a Args) (config.Peer, error) {
	p := config.Peer{
		Enabled:   true,
		Name:      a.String("name"),
		Address:   a.String("address"),
		Interface: a.String("interface"),
		Password:  a.String("password"),
		Login:     a.String("login"),
		Version:   uint32(a.Int("version")), //nolint:gosec // checked against Max
	}
	if _, err := p.Endpoint(); err != nil {
		return p, Errorf(CodeBadArgument, "peer.add: argument 'address': %s, found '%s'", err, clip(p.Address))
	}
	var err error
	if p.PublicKey, err = cjdns.ParseKey(a.String("public_key")); err != nil {
		return p, Errorf(CodeBadArgument, "peer.add: argument 'public_key': %s, found '%s'", err, clip(a.String("public_key")))
	}
	return p, nil
}

// configError gives the errors of a change of the configuration their codes.
func configError(err error) error {
	var (
		notFound  *config.NotFoundError
		ambiguous *config.AmbiguousError
		problems  config.Problems
		path      *fs.PathError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &notFound):
		return &Error{CodeNotFound, err.Error()}
	case errors.As(err, &ambiguous):
		return &Error{CodeAmbiguous, err.Error()}
	case errors.As(err, &problems):
		return &Error{CodeBadConfig, err.Error()}
	case errors.Is(err, fs.ErrPermission):
		return &Error{CodeDenied, err.Error()}
	case errors.As(err, &path):
		return &Error{CodeFailed, fmt.Sprintf("the configuration cannot be read or written: %v", err)}
	default:
		return err
	}
}

// part cuts the asked-for part out of a list; never nil, so that JSON has [].
func part[T any](list []T, a Args) []T {
	from := min(int(a.Int("offset")), len(list))
	to := len(list)
	if n := int(a.Int("limit")); n > 0 && n < to-from {
		to = from + n
	}
	return append([]T{}, list[from:to]...)
}
