package daemon

import (
	"context"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/community"
	"github.com/meshagent/meshagent/agent/mono"
)

// onEngine runs f on the engine and gives what it returns.
func onEngine[T any](ctx context.Context, d *Daemon, f func() (T, error)) (v T, err error) {
	type result struct {
		v   T
		err error
	}
	got := make(chan result, 1)
	if !d.engine.do(ctx, func(mono.Time) { v, err := f(); got <- result{v, err} }) {
		return v, errStopping
	}
	r := <-got
	return r.v, r.err
}

// onCommunity is onEngine for the community.
func onCommunity[T any](ctx context.Context, d *Daemon, f func(c *community.Community) (T, error)) (v T, err error) {
	return onEngine(ctx, d, func() (T, error) { return f(d.engine.community.c) })
}

// changeCommunity starts a change on the engine and waits until it is stored.
func changeCommunity[T any](ctx context.Context, d *Daemon, f func(now mono.Time, c *community.Community, out *community.Out, done func(T, error))) (v T, err error) {
	type result struct {
		v   T
		err error
	}
	got := make(chan result, 1)
	ok := d.engine.do(ctx, func(now mono.Time) {
		cc := d.engine.community
		f(now, cc.c, &cc.out, func(v T, err error) { got <- result{v, err} })
		cc.settle(now)
	})
	if !ok {
		return v, errStopping
	}
	select {
	case r := <-got:
		return r.v, r.err
	case <-ctx.Done():
		return v, ctx.Err()
	}
}

// nothing is the result of what has none.
type nothing = struct{}

// Community implements admin.Backend.
func (d *Daemon) Community(ctx context.Context) (community.Status, error) {
	return onCommunity(ctx, d, func(c *community.Community) (community.Status, error) { return c.Status(), nil })
}

// Invites implements admin.Backend.
func (d *Daemon) Invites(ctx context.Context) ([]community.InviteStatus, error) {
	return onCommunity(ctx, d, func(c *community.Community) ([]community.InviteStatus, error) { return c.Invites(), nil })
}

// CommunityDraft implements admin.Backend.
func (d *Daemon) CommunityDraft(ctx context.Context, o admin.DraftOptions) ([]byte, error) {
	return onCommunity(ctx, d, func(c *community.Community) ([]byte, error) {
		switch o.Kind {
		case admin.DraftFound:
			return c.FirstDraft(o.Root), nil
		case admin.DraftAdmin:
			return c.DraftAdmin(o.Key)
		default:
			return c.DraftRevoke(o.Key, o.Reason, o.All, o.Lift)
		}
	})
}

// CommunityFound implements admin.Backend.
func (d *Daemon) CommunityFound(ctx context.Context, name string, root cjdns.VerifyKey, cert []byte) error {
	_, err := changeCommunity(ctx, d, func(now mono.Time, c *community.Community, out *community.Out, done func(nothing, error)) {
		c.Found(now, name, root, cert, out, func(err error, _ *community.Out) { done(nothing{}, err) })
	})
	return err
}

// CommunityApply implements admin.Backend.
func (d *Daemon) CommunityApply(ctx context.Context, object []byte) error {
	_, err := changeCommunity(ctx, d, func(now mono.Time, c *community.Community, out *community.Out, done func(nothing, error)) {
		c.Apply(now, object, out, func(err error, _ *community.Out) { done(nothing{}, err) })
	})
	return err
}

// CommunityRevoke implements admin.Backend.
func (d *Daemon) CommunityRevoke(ctx context.Context, selector string, reason community.Reason, lift bool) (string, error) {
	return changeCommunity(ctx, d, func(now mono.Time, c *community.Community, out *community.Out, done func(string, error)) {
		c.Revoke(now, selector, reason, lift, out, func(what string, err error, _ *community.Out) { done(what, err) })
	})
}

// CommunityLeave implements admin.Backend.
func (d *Daemon) CommunityLeave(ctx context.Context) error {
	_, err := changeCommunity(ctx, d, func(_ mono.Time, c *community.Community, out *community.Out, done func(nothing, error)) {
		c.Leave(out, func(err error, _ *community.Out) { done(nothing{}, err) })
	})
	return err
}

// Invite implements admin.Backend.
func (d *Daemon) Invite(ctx context.Context, o community.InviteOptions) (admin.InviteResult, error) {
	return changeCommunity(ctx, d, func(now mono.Time, c *community.Community, out *community.Out, done func(admin.InviteResult, error)) {
		c.Invite(now, o, out, func(t community.Token, l community.Login, err error, _ *community.Out) {
			r := admin.InviteResult{Invite: l.Name, Login: l.Name, Password: l.Password, PublicKey: c.Self().String(), Address: o.Address, NotAfter: int64(t.NotAfter)}
			if !o.Stock {
				r.Token = t.String()
			}
			done(r, err)
		})
	})
}
