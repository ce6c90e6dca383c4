package admin

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/node"
)

const (
	keyA = "p1k4y0xpkq5r12br69r6f832jk7h7s9n0ld8fwc8kvgpb70g7kx0.k"
	ipA  = "fc67:b1a1:2ed9:d63f:573b:2199:208a:f95b"
)

// fakeBackend remembers what it was asked.
type fakeBackend struct {
	status node.Status
	why    node.Why
	err    error
	peer   config.Peer
	ping   PingOptions
	target string
	block  chan struct{} // Ping waits for it, if it is there
	fakeMesh
	fakeCommunity
	fakeWifi
}

func (f *fakeBackend) Status(context.Context) (node.Status, error) { return f.status, f.err }

func (f *fakeBackend) Ping(ctx context.Context, target string, o PingOptions) (PingResult, error) {
	f.target, f.ping = target, o
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
			return PingResult{}, ctx.Err()
		}
	}
	return PingResult{Target: target, Replies: []PingReply{{Seq: 1, RTTMicros: 410, Version: 20, Via: "0000.0000.0000.0013"}}}, f.err
}

func (f *fakeBackend) Trace(_ context.Context, target string) (TraceResult, error) {
	return TraceResult{Target: target, Hops: []TraceHop{{Hop: 1, IP: ipA}}}, f.err
}

func (f *fakeBackend) Why(_ context.Context, target string) (*node.Why, error) {
	w := f.why
	w.Target = target
	return &w, f.err
}

func (f *fakeBackend) PeerAdd(_ context.Context, p config.Peer) (config.PeerChange, error) {
	f.peer = p
	return config.PeerChange{Action: config.Added, Section: "s", Address: p.Address}, f.err
}

func (f *fakeBackend) PeerDel(_ context.Context, selector string) (config.PeerChange, error) {
	f.target = selector
	return config.PeerChange{Action: config.Removed, Section: selector}, f.err
}

func (f *fakeBackend) Reload(context.Context) (ReloadReport, error) {
	return ReloadReport{Changes: []config.Change{}, Warnings: []string{}}, f.err
}

func (f *fakeBackend) ConfigTrial(_ context.Context, _ TrialVerb, confirm time.Duration) (ReloadReport, error) {
	return ReloadReport{Changes: []config.Change{}, Warnings: []string{}, ConfirmSeconds: int(confirm / time.Second)}, f.err
}
func (f *fakeBackend) ConfigStore(_ context.Context, done bool, refused string) (ConfigWish, error) {
	if done || refused != "" {
		return ConfigWish{}, f.err
	}
	return ConfigWish{"old", "new"}, f.err
}
func (f *fakeBackend) Events(after uint64, _ int) []Event {
	return []Event{{Seq: after + 1, Event: "peer.up", Data: json.RawMessage(`{"name":"x"}`)}}
}
func (f *fakeBackend) Doctor(context.Context) (Diagnosis, error) {
	return Diagnosis{Checks: []Check{{What: "key", State: CheckFail, Text: "gone", Fix: "find it"}}, Failures: 1}, f.err
}
func (f *fakeBackend) ConfigDiff(context.Context) (ReloadReport, error) {
	return ReloadReport{Changes: []config.Change{{Kind: "peer", Action: config.Added, Section: "nyc"}}, Warnings: []string{}}, f.err
}

func TestMethods(t *testing.T) {
	want := "community community.apply community.draft community.found community.leave community.revoke config.apply config.confirm config.diff config.revert config.store doctor events invite invite.list join join.progress mesh.backbones mesh.claims mesh.dat_cache mesh.gateways mesh.info mesh.interfaces mesh.log mesh.mcast_flags mesh.neighbors mesh.originators mesh.ping " +
		"mesh.statistics mesh.throughput mesh.transglobal mesh.translate mesh.translocal methods peer.add peer.del peers ping reload sessions status trace version why wifi"
	var names []string
	for _, m := range NewMethods(&fakeBackend{}).Methods() {
		names = append(names, m.Name)
		if m.Summary == "" {
			t.Errorf("%s has no summary", m.Name)
		}
		for _, a := range m.Args {
			if a.Help == "" {
				t.Errorf("%s: %s has no help", m.Name, a.Name)
			}
		}
		changes := strings.HasPrefix(m.Name, "peer.") || slices.Contains([]string{"reload", "mesh.throughput", "invite", "join",
			"community.apply", "community.found", "community.leave", "community.revoke", "config.apply", "config.confirm", "config.revert", "config.store"}, m.Name)
		if m.ReadOnly == changes {
			t.Errorf("%s: ReadOnly is %v", m.Name, m.ReadOnly)
		}
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("methods %s, want %s", got, want)
	}
}

func TestCallChecksArguments(t *testing.T) {
	r := NewMethods(&fakeBackend{})
	for _, tc := range []struct {
		name, method string
		args         map[string]any
		code         Code
		want         string
	}{
		{"method", "pong", nil, CodeUnknownMethod, "no method 'pong'; expected one of: community, community.apply, community.draft, community.found, community.leave, community.revoke, config.apply, config.confirm, config.diff, config.revert, config.store, doctor, events, invite, invite.list, join, join.progress, mesh.backbones, mesh.claims, mesh.dat_cache, mesh.gateways, mesh.info, mesh.interfaces, mesh.log, mesh.mcast_flags, mesh.neighbors, mesh.originators, mesh.ping, mesh.statistics, mesh.throughput, mesh.transglobal, mesh.translate, mesh.translocal, methods, peer.add, peer.del, peers, ping, reload, sessions, status, trace, version, why, wifi"},
		{"method text", strings.Repeat("x\x1b", 40), nil, CodeUnknownMethod, "no method '" + strings.Repeat("x?", 32) + "…'; expected one of: community, community.apply, community.draft, community.found, community.leave, community.revoke, config.apply, config.confirm, config.diff, config.revert, config.store, doctor, events, invite, invite.list, join, join.progress, mesh.backbones, mesh.claims, mesh.dat_cache, mesh.gateways, mesh.info, mesh.interfaces, mesh.log, mesh.mcast_flags, mesh.neighbors, mesh.originators, mesh.ping, mesh.statistics, mesh.throughput, mesh.transglobal, mesh.translate, mesh.translocal, methods, peer.add, peer.del, peers, ping, reload, sessions, status, trace, version, why, wifi"},
		{"missing", "ping", nil, CodeBadArgument, "ping: argument 'target' is missing; expected whom: an address in fc00::/8, a public key, a node text, a label or the name of a peer (string)"},
		{"null is missing", "peer.del", map[string]any{"peer": nil}, CodeBadArgument, "peer.del: argument 'peer' is missing; expected which: its section, name, public key, overlay address or link address (string)"},
		{"type", "ping", map[string]any{"target": 1.0}, CodeBadArgument, "ping: argument 'target': expected a string, found a number"},
		{"length", "ping", map[string]any{"target": strings.Repeat("x", 513)}, CodeBadArgument, "ping: argument 'target': expected at most 512 bytes, found 513"},
		{"range", "ping", map[string]any{"target": "x", "count": json.Number("101")}, CodeBadArgument, "ping: argument 'count': expected a number from 1 to 100, found 101"},
		{"fraction", "ping", map[string]any{"target": "x", "count": 1.5}, CodeBadArgument, "ping: argument 'count': expected a whole number, found a number"},
		{"no number", "peers", map[string]any{"limit": "1"}, CodeBadArgument, "peers: argument 'limit': expected a whole number, found a string"},
		{"list", "peers", map[string]any{"limit": []any{}}, CodeBadArgument, "peers: argument 'limit': expected a whole number, found a list"},
		{"unknown", "peers", map[string]any{"z": 1, "a": 1}, CodeBadArgument, "peers: argument 'a' is not known; expected offset, limit"},
		{"no arguments", "status", map[string]any{"a": 1}, CodeBadArgument, "status: argument 'a' is not known; expected none"},
		{"address", "peer.add", map[string]any{"address": "x", "public_key": keyA}, CodeBadArgument, "peer.add: argument 'address': expected ip:port, [ip6]:port, hostname:port or a MAC such as 02:00:00:00:00:01, found 'x'"},
		{"key", "peer.add", map[string]any{"address": "a:1", "public_key": "x.k"}, CodeBadArgument, "peer.add: argument 'public_key': not a public key: want 52 base32 characters and .k, found 'x.k'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := r.Call(t.Context(), tc.method, tc.args)
			var e *Error
			if !errors.As(err, &e) || e.Code != tc.code || e.Text != tc.want {
				t.Errorf("%#v, want %s: %s", err, tc.code, tc.want)
			}
		})
	}
}

func TestBoolArguments(t *testing.T) {
	r := NewRegistry()
	r.Add(Method{Name: "m", Args: []Arg{{Name: "b", Type: Bool}, {Name: "s", Type: String}}, Handle: func(_ context.Context, a Args) (any, error) {
		return []bool{a.Bool("b"), a.Has("b"), a.Has("s")}, nil
	}})
	if got, err := r.Call(t.Context(), "m", map[string]any{"b": false}); err != nil || !reflect.DeepEqual(got, []bool{false, true, false}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := r.Call(t.Context(), "m", map[string]any{"b": "x"}); err == nil || err.Error() != "m: argument 'b': expected true or false, found a string" {
		t.Errorf("error %v", err)
	}
}

func TestCallReachesTheBackend(t *testing.T) {
	b := &fakeBackend{}
	r := NewMethods(b)
	b.status = node.Status{Version: "1.2.3", Protocol: 20, Peers: []node.PeerStatus{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	if got, err := r.Call(t.Context(), "version", nil); err != nil || got != (Version{"1.2.3", 20}) {
		t.Errorf("version: %v, %v", got, err)
	}
	got, err := r.Call(t.Context(), "peers", map[string]any{"offset": 1, "limit": int64(1)})
	if l, ok := got.(PeerList); err != nil || !ok || l.Total != 3 || len(l.Peers) != 1 || l.Peers[0].Name != "b" {
		t.Errorf("peers: %v, %v", got, err)
	}
	if got, err := r.Call(t.Context(), "sessions", map[string]any{"offset": 9}); err != nil || got.(SessionList).Sessions == nil {
		t.Errorf("sessions: %v, %v", got, err)
	}
	if _, err := r.Call(t.Context(), "ping", map[string]any{"target": "x", "timeout_ms": 300}); err != nil || b.target != "x" ||
		b.ping != (PingOptions{1, time.Second, 300 * time.Millisecond}) {
		t.Errorf("ping: %q, %+v, %v", b.target, b.ping, err)
	}
	_, err = r.Call(t.Context(), "peer.add", map[string]any{"address": "a:1", "public_key": keyA, "password": "p", "login": "l", "name": "n", "interface": "i", "version": 21})
	if p := b.peer; err != nil || !p.Enabled || p.Address != "a:1" || p.PublicKey.String() != keyA || p.Password != "p" || p.Login != "l" || p.Name != "n" || p.Interface != "i" || p.Version != 21 {
		t.Errorf("peer.add: %+v, %v", b.peer, err)
	}
	if _, err := r.Call(t.Context(), "peer.del", map[string]any{"peer": "y"}); err != nil || b.target != "y" {
		t.Errorf("peer.del: %q, %v", b.target, err)
	}
}

func TestErrorsGetCodes(t *testing.T) {
	b := &fakeBackend{}
	r := NewMethods(b)
	_, missing := config.Open("/does/not/exist").Load()
	for _, tc := range []struct {
		err  error
		code Code
		text string
	}{
		{errors.New("x"), CodeFailed, "x"},
		{Errorf(CodeUnsupported, "y"), CodeUnsupported, "y"},
		{context.DeadlineExceeded, CodeTimeout, "the agent did not finish in time"},
		{context.Canceled, CodeFailed, "the agent is stopping"},
		{&config.NotFoundError{Selector: "s"}, CodeNotFound, "no peer 's' in the configuration; expected a section, name, public key, overlay address or link address"},
		{&config.AmbiguousError{Selector: "s", Sections: []string{"a", "b"}}, CodeAmbiguous, "'s' fits several peers; name one section of: a, b"},
		{config.Problems{{File: "f", Line: 1, Text: "t"}}, CodeBadConfig, "f:1: t"},
		{missing, CodeFailed, "the configuration cannot be read or written: stat /does/not/exist: no such file or directory"},
	} {
		b.err = tc.err
		_, err := r.Call(t.Context(), "peer.del", map[string]any{"peer": "x"})
		var e *Error
		if !errors.As(err, &e) || e.Code != tc.code || e.Text != tc.text {
			t.Errorf("%v became %#v", tc.err, err)
		}
	}
}

func TestCodesAreWords(t *testing.T) {
	word := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[Code]bool{}
	for _, c := range Codes {
		if !word.MatchString(string(c)) || seen[c] {
			t.Errorf("code %q", c)
		}
		seen[c] = true
	}
}

func TestTwoMethodsOfOneName(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the second one was accepted")
		}
	}()
	r := NewRegistry()
	m := Method{Name: "m", Handle: func(context.Context, Args) (any, error) { return nil, nil }}
	r.Add(m)
	r.Add(m)
}
