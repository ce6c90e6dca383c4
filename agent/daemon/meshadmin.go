package daemon

import (
	"context"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
)

// Mesh implements admin.MeshBackend.
func (d *Daemon) Mesh(ctx context.Context) (mesh.Status, error) {
	s, err := askCore(ctx, d, func(now mono.Time, c *meshCore) mesh.Status { return c.mesh.Status(now) })
	if err == nil {
		d.completeMesh(&s)
	}
	return s, err
}

// askCore runs f on the engine's goroutine if there is a mesh, and returns
// what it returns.
func askCore[T any](ctx context.Context, d *Daemon, f func(now mono.Time, c *meshCore) T) (v T, err error) {
	got := make(chan T, 1)
	if !d.engine.do(ctx, func(now mono.Time) {
		if c := d.engine.mesh; c != nil {
			got <- f(now, c)
		}
		close(got)
	}) {
		return v, errStopping
	}
	v, ok := <-got
	if !ok {
		return v, admin.ErrNoMesh
	}
	return v, nil
}

// askMesh runs start on the engine with a fresh id and waits for the reply.
// If ctx ends first, stop (if not nil) is run and the wait is over.
func (d *Daemon) askMesh(ctx context.Context, start, stop func(now mono.Time, id uint64, c *meshCore)) (a meshAnswer, sent mono.Time, err error) {
	ch := make(chan meshAnswer, 1)
	id := d.waits.next.Add(1)
	sent, err = askCore(ctx, d, func(now mono.Time, c *meshCore) mono.Time {
		c.waits[id] = ch
		start(now, id, c)
		return now
	})
	if err != nil {
		return a, sent, err
	}
	select {
	case a = <-ch:
		return a, sent, nil
	case <-ctx.Done():
	}
	quick, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = askCore(quick, d, func(now mono.Time, c *meshCore) bool {
		delete(c.waits, id)
		if stop != nil {
			stop(now, id, c)
		}
		return true
	})
	return a, sent, ctx.Err()
}

// MeshPing implements admin.MeshBackend.
func (d *Daemon) MeshPing(ctx context.Context, dst batman.MAC, o admin.MeshPingOptions) (admin.MeshPingReply, error) {
	p := admin.MeshPingReply{Originator: dst}
	a, sent, err := d.askMesh(ctx, func(now mono.Time, id uint64, c *meshCore) {
		c.mesh.Ping(now, mesh.PingRequest{ID: id, Dst: dst, TTL: o.TTL, RouteRecord: o.RecordRoute, Timeout: o.Timeout}, &c.out)
	}, nil)
	if err != nil {
		return p, err
	}
	p.Error = a.Err // "timeout" is admin.MeshTimeout
	if a.Err == "" {
		p.From, p.Type, p.TTL, p.Route = a.From, a.Type, a.TTL, a.RR
		p.RTTMicros = max(1, a.at.Sub(sent).Microseconds())
	}
	return p, nil
}

// MeshThroughput implements admin.MeshBackend.
func (d *Daemon) MeshThroughput(ctx context.Context, dst batman.MAC, length time.Duration) (admin.MeshThroughput, error) {
	t := admin.MeshThroughput{Originator: dst}
	a, _, err := d.askMesh(ctx,
		func(now mono.Time, id uint64, c *meshCore) { c.mesh.MeterStart(now, id, dst, length, &c.out) },
		func(now mono.Time, id uint64, c *meshCore) { c.mesh.MeterStop(now, id, &c.out) })
	if err != nil {
		return t, err
	}
	if !a.From.IsZero() {
		t.Originator = a.From
	}
	t.TimeMs, t.Bytes, t.Error = a.DurationMS, a.Bytes, a.Err
	return t, nil
}

// MeshLog implements admin.MeshBackend.
func (d *Daemon) MeshLog(ctx context.Context, after uint64) ([]admin.MeshLogLine, error) {
	if _, err := askCore(ctx, d, func(mono.Time, *meshCore) bool { return true }); err != nil {
		return nil, err
	}
	return d.meshLog.after(after), nil
}
