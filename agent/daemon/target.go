package daemon

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
)

// target is whom a command is about: an address, or a path.
type target struct {
	ip    cjdns.IP
	label cjdns.Label // 0: find the path
	key   cjdns.Key
}

// parseTarget reads an address, a public key, a path, or a node's text form.
// It reports false if s is none of these, and so may be a name.
func parseTarget(s string) (t target, ok bool, err error) {
	if k, err := cjdns.ParseKey(s); err == nil {
		return target{ip: k.IP(), key: k}, true, nil
	}
	if a, err := cjdns.ParseNodeAddr(s); err == nil {
		return target{ip: a.Key.IP(), key: a.Key, label: a.Label}, true, nil
	}
	if l, err := cjdns.ParseLabel(s); err == nil {
		return target{label: l}, true, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		if t.ip, err = cjdns.ParseIP(s); err != nil {
			return t, true, admin.Errorf(admin.CodeBadArgument, "argument 'target': %s is not an address in fc00::/8", a)
		}
		return t, true, nil
	}
	return t, false, nil
}

// target finds out whom s means. What is no address, key or path is the name
// of a peer.
func (d *Daemon) target(ctx context.Context, s string) (target, error) {
	t, ok, err := parseTarget(s)
	if ok || err != nil {
		return t, err
	}
	st, err := d.Status(ctx)
	if err != nil {
		return t, err
	}
	var keys []string
	for _, p := range st.Peers {
		if p.Name == s && s != "" && !slices.Contains(keys, p.PublicKey) {
			keys = append(keys, p.PublicKey)
		}
	}
	switch len(keys) {
	case 0:
		return t, admin.Errorf(admin.CodeNotFound,
			"no peer is called %q: give an address in fc00::/8, a public key, the name of a peer, a path such as 0000.0000.0000.0013, or v20.PATH.KEY", s)
	case 1:
		t, _, err = parseTarget(keys[0])
		return t, err
	}
	return t, admin.Errorf(admin.CodeAmbiguous, "several peers are called %q: give a public key: %s", s, strings.Join(keys, ", "))
}

// Why implements admin.Backend.
func (d *Daemon) Why(ctx context.Context, to string) (*node.Why, error) {
	t, err := d.target(ctx, to)
	if err != nil {
		return nil, err
	}
	if !t.ip.Valid() {
		return nil, admin.Errorf(admin.CodeBadArgument, "argument 'target': %s is a path, and there is nothing to choose: see meshagent trace", t.label)
	}
	got := make(chan *node.Why, 1)
	if !d.engine.do(ctx, func(now mono.Time) { got <- d.engine.node.Why(now, t.ip) }) {
		return nil, errStopping
	}
	w := <-got
	w.Target = to
	return w, nil
}
