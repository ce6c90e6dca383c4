package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/community"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/pkt"
)

// joinRun is one use of a token, with what has happened so far. It belongs to
// the engine's goroutine; nil is none.
type joinRun struct {
	token   community.Token
	started mono.Time
	steps   []admin.JoinStep
	said    map[string]bool // steps that are not repeated
	done    bool
	err     string
	peer    *admin.JoinPeer // that we may not store
}

// joinPeer is the name under which the node knows the admin that it dials by
// UDP while it joins.
const joinPeer = "join"

func (j *joinRun) step(now mono.Time, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if j == nil || j.done || j.said[text] {
		return
	}
	j.said[text] = true
	j.steps = append(j.steps, admin.JoinStep{AtMs: now.Sub(j.started).Milliseconds(), Text: text})
}

// admin reports whether k is an admin of the token.
func (j *joinRun) admin(k cjdns.Key) bool { return j != nil && slices.Contains(j.token.Admins, k) }

// look notices an admin in the mesh.
func (j *joinRun) look(now mono.Time, n *node.Node) {
	if j == nil || j.done {
		return
	}
	for _, k := range j.token.Admins {
		if n.InMesh(k) {
			j.step(now, "admin %s is in the mesh", k.IP())
		}
	}
}

// asked notices a question to an admin.
func (j *joinRun) asked(now mono.Time, to cjdns.Key) {
	if j.admin(to) {
		j.step(now, "asking admin %s", to.IP())
	}
}

// up notices a peering with an admin.
func (j *joinRun) up(now mono.Time, p node.PeerInfo, mesh bool) {
	if !j.admin(p.Key) {
		return
	}
	where := "by udp"
	switch {
	case mesh:
		where = "over the mesh"
	case p.Addr.Kind == pkt.AddrMAC:
		where = "by Ethernet"
	}
	j.step(now, "peering with admin %s is up, %s", p.Key.IP(), where)
}

// Join implements admin.Backend.
func (d *Daemon) Join(ctx context.Context, text string) error {
	t, err := community.ParseToken(text)
	if err != nil {
		return err
	}
	var place *joinPlace
	var trouble string
	if t.Address != "" {
		if place, err = lookUpJoin(ctx, t.Address); err != nil {
			trouble = err.Error()
		}
	}
	return d.supervised(ctx, func(ctx context.Context) error {
		c := node.PeerConfig{Name: joinPeer, Title: joinPeer, Key: t.Admins[0], Login: t.Invite.String(), Password: t.Password()}
		if place != nil {
			if c.Link, err = d.links.find(config.Peer{}, place.endpoint, place.addrs[0]); err != nil {
				trouble = err.Error()
			}
			c.Addrs = d.linkAddrs(c.Link, place.addrs, place.endpoint.Port)
		}
		result := make(chan error, 1)
		if !d.engine.do(ctx, func(now mono.Time) { result <- d.engine.community.begin(now, t, c, trouble) }) {
			return errStopping
		}
		return <-result
	})
}

// joinPlace is where the first admin can be dialled.
type joinPlace struct {
	endpoint config.Endpoint
	addrs    []netip.Addr
}

func lookUpJoin(ctx context.Context, address string) (*joinPlace, error) {
	e, err := config.ParseEndpoint(address)
	if err != nil || e.IsMAC() {
		return nil, fmt.Errorf("the token's address '%s' is no host:port", address)
	}
	if !e.IsHost() {
		p := &joinPlace{e, []netip.Addr{e.AddrPort.Addr()}}
		p.endpoint.Port = e.AddrPort.Port()
		return p, nil
	}
	addrs, err := resolve(ctx, e.Host)
	if err != nil {
		return nil, fmt.Errorf("the name in the token cannot be looked up: %w", err)
	}
	if addrs = linkable(addrs); len(addrs) == 0 {
		return nil, fmt.Errorf("the name '%s' in the token has no usable address", e.Host)
	}
	return &joinPlace{e, addrs}, nil
}

// begin starts to join. Engine goroutine.
func (cc *communityCore) begin(now mono.Time, t community.Token, c node.PeerConfig, trouble string) error {
	if cc.join != nil && !cc.join.done {
		return errors.New("this node is joining already; wait for the outcome")
	}
	e := cc.d.engine
	j := &joinRun{token: t, started: now, said: make(map[string]bool)}
	cc.join = j
	ends := "never ends"
	if t.NotAfter != 0 {
		ends = "ends " + time.Unix(int64(t.NotAfter), 0).UTC().Format(time.DateOnly)
	}
	admins := "one admin"
	if n := len(t.Admins); n > 1 {
		admins = fmt.Sprintf("%d admins", n)
	}
	j.step(now, "invite to '%s', %s, %s can redeem it", t.Name, ends, admins)
	for _, k := range t.Admins {
		e.node.SetMeshLogin(now, k, t.Invite.String(), t.Password(), &e.out)
		e.node.Admit(now, k, true, &e.out)
	}
	switch {
	case trouble != "":
		j.step(now, "%s: looking in the mesh only", trouble)
	case len(c.Addrs) > 0:
		j.step(now, "dialling %s", t.Address)
		e.node.SetPeer(now, c, &e.out)
	}
	j.look(now, e.node)
	cc.c.Join(now, t, &cc.out, func(err error, _ *community.Out) { cc.joined(j, err) })
	cc.settle(now)
	if j.done && j.err != "" {
		return errors.New(j.err)
	}
	return nil
}

// joined ends an attempt. Engine goroutine.
func (cc *communityCore) joined(j *joinRun, err error) {
	e := cc.d.engine
	now := e.now()
	if err != nil {
		j.err = err.Error()
	} else {
		j.step(now, "a member of '%s' now", j.token.Name)
	}
	j.done = err != nil || j.token.Address == ""
	for _, k := range j.token.Admins {
		e.node.SetMeshLogin(now, k, "", "", &e.out)
		cc.admitAgain(now, k)
	}
	e.node.RemovePeer(now, joinPeer, &e.out)
	if !j.done {
		cc.keep(j)
	}
}

// keep stores the admin as a peer that is dialled by UDP from now on: the
// membership lets us in.
func (cc *communityCore) keep(j *joinRun) {
	d := cc.d
	p := config.Peer{Enabled: true, Name: peerTitle(j.token.Name), Address: j.token.Address, PublicKey: j.token.Admins[0]}
	cc.work.Go(func() {
		err := d.changeStored(cc.ctx, func() error {
			for _, o := range d.cfg.Peers {
				if o.PublicKey == p.PublicKey && o.Address == p.Address {
					return nil // it is dialled anyway, with its own password
				}
			}
			_, err := d.store.AddPeer(p)
			return err
		})
		d.engine.do(cc.ctx, func(now mono.Time) {
			switch {
			case errors.Is(err, fs.ErrPermission):
				j.peer = &admin.JoinPeer{Address: p.Address, PublicKey: p.PublicKey.String(), Name: p.Name}
			case err != nil:
				j.step(now, "the admin is not stored as a peer: %v", err)
			}
			j.done = true
		})
	})
}

// peerTitle makes the name of a peer out of that of a community.
func peerTitle(name string) string {
	return "community " + strings.Map(func(r rune) rune {
		if r < ' ' || r == '\'' {
			return -1
		}
		return r
	}, name)
}

// JoinProgress implements admin.Backend.
func (d *Daemon) JoinProgress(ctx context.Context, after int) (p admin.JoinProgress, err error) {
	const wait, look = 5 * time.Second, 100 * time.Millisecond
	for end := time.Now().Add(wait); ; {
		p, err = onEngine(ctx, d, func() (admin.JoinProgress, error) { return d.engine.community.progress(after) })
		if err != nil || p.Done || len(p.Steps) > 0 || time.Now().After(end) {
			return p, err
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return p, ctx.Err()
		}
	}
}

func (cc *communityCore) progress(after int) (admin.JoinProgress, error) {
	j := cc.join
	if j == nil {
		return admin.JoinProgress{}, &admin.Error{Code: admin.CodeNotFound, Text: "this node is not joining: meshagent join TOKEN"}
	}
	p := admin.JoinProgress{Steps: []admin.JoinStep{}, Done: j.done, Error: j.err, Community: j.token.Name, Peer: j.peer}
	if after < len(j.steps) {
		p.Steps = append(p.Steps, j.steps[after:]...)
	}
	return p, nil
}
