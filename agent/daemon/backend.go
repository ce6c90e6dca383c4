package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
)

// Daemon serves the methods of the admin registry.
var _ admin.Backend = (*Daemon)(nil)

var errStopping = errors.New("the agent is stopping")

// Status implements admin.Backend.
func (d *Daemon) Status(ctx context.Context) (node.Status, error) {
	got := make(chan node.Status, 1)
	if !d.engine.do(ctx, func(now mono.Time) { got <- d.engine.node.Status(now) }) {
		return node.Status{}, errStopping
	}
	s := <-got
	d.mu.Lock()
	defer d.mu.Unlock()
	s.TUN, s.Bus = d.tunInfo, d.busStatus()
	for _, p := range d.problems {
		s.Problems = append(s.Problems, p)
	}
	slices.Sort(s.Problems)
	return s, nil
}

// waits connects commands with the replies that the node gives later.
type waits struct {
	next atomic.Uint64
	m    map[uint64]chan node.Reply // engine goroutine only
}

// ask runs start on the engine with a fresh id and waits for the reply.
func (d *Daemon) ask(ctx context.Context, start func(now mono.Time, id uint64)) (node.Reply, error) {
	ch := make(chan node.Reply, 1)
	id := d.waits.next.Add(1)
	ok := d.engine.do(ctx, func(now mono.Time) {
		d.waits.m[id] = ch
		start(now, id)
	})
	if !ok {
		return node.Reply{}, errStopping
	}
	select {
	case r := <-ch:
		return r, nil
	case <-ctx.Done():
		// The reply will come, at the latest when the node gives up, and
		// finds nobody.
		return node.Reply{}, ctx.Err()
	}
}

// answered hands a reply to the command that waits for it.
func (w *waits) answered(r node.Reply) {
	if ch := w.m[r.ID]; ch != nil {
		delete(w.m, r.ID)
		ch <- r
	}
}

func (d *Daemon) pingOnce(ctx context.Context, t target, timeout time.Duration) (node.Reply, error) {
	return d.ask(ctx, func(now mono.Time, id uint64) {
		if t.label != 0 {
			d.engine.node.PingLabel(now, id, t.label, t.key != cjdns.Key{}, timeout, &d.engine.out)
		} else {
			d.engine.node.Ping(now, id, t.ip, timeout, &d.engine.out)
		}
	})
}

// Ping implements admin.Backend.
func (d *Daemon) Ping(ctx context.Context, to string, o admin.PingOptions) (admin.PingResult, error) {
	res := admin.PingResult{Target: to, Replies: []admin.PingReply{}}
	t, err := d.target(ctx, to)
	if err != nil {
		return res, err
	}
	if t.ip.Valid() {
		res.IP = t.ip.String()
	}
	for i := range o.Count {
		if i > 0 {
			select {
			case <-time.After(o.Interval):
			case <-ctx.Done():
				return res, ctx.Err()
			}
		}
		r, err := d.pingOnce(ctx, t, o.Timeout)
		if err != nil {
			return res, err
		}
		p := admin.PingReply{Seq: i + 1, Version: r.Version, Error: r.Problem}
		if r.OK {
			p.RTTMicros = max(1, r.RTT.Microseconds())
		}
		if t.label != 0 && t.key != (cjdns.Key{}) && r.OK && r.Key != t.key {
			p.Error = "another node answered: " + r.Key.String()
		}
		if r.Label != 0 {
			p.Via = r.Label.String()
		}
		if !r.Key.IsZero() {
			res.PublicKey = r.Key.String()
		}
		res.Replies = append(res.Replies, p)
	}
	return res, nil
}

// traceTimeout is how long each hop has to answer.
const traceTimeout = 3 * time.Second

// Trace implements admin.Backend: every switch on the path is asked for its
// key, all at once.
func (d *Daemon) Trace(ctx context.Context, to string) (admin.TraceResult, error) {
	res := admin.TraceResult{Target: to, Hops: []admin.TraceHop{}}
	t, err := d.target(ctx, to)
	if err != nil {
		return res, err
	}
	label := t.label
	if label == 0 {
		res.IP = t.ip.String()
		r, err := d.pingOnce(ctx, t, traceTimeout)
		if err != nil {
			return res, err
		}
		if !r.OK {
			res.Error = r.Problem
		}
		label = r.Label
		if label == 0 {
			got := make(chan cjdns.Label, 1)
			if !d.engine.do(ctx, func(now mono.Time) { l, _ := d.engine.node.Path(now, t.ip); got <- l }) {
				return res, errStopping
			}
			label = <-got
		}
	}
	hops := node.Hops(label)
	type answer struct {
		i   int
		r   node.Reply
		err error
	}
	got := make(chan answer, len(hops))
	for i, h := range hops {
		go func() {
			r, err := d.ask(ctx, func(now mono.Time, id uint64) {
				d.engine.node.PingLabel(now, id, h, true, traceTimeout, &d.engine.out)
			})
			got <- answer{i, r, err}
		}()
	}
	res.Hops = make([]admin.TraceHop, len(hops))
	for range hops {
		a := <-got
		if a.err != nil {
			err = a.err
			continue
		}
		h := admin.TraceHop{Hop: a.i + 1, Label: hops[a.i].String(), Version: a.r.Version, Error: a.r.Problem}
		if a.r.OK {
			h.RTTMicros, h.PublicKey, h.IP = max(1, a.r.RTT.Microseconds()), a.r.Key.String(), a.r.Key.IP().String()
		}
		res.Hops[a.i] = h
	}
	d.nameHops(ctx, res.Hops)
	return res, err
}

// nameHops adds the names that the configuration has for direct peers.
func (d *Daemon) nameHops(ctx context.Context, hops []admin.TraceHop) {
	s, err := d.Status(ctx)
	if err != nil {
		return
	}
	for i := range hops {
		for _, p := range s.Peers {
			if p.PublicKey == hops[i].PublicKey && p.PublicKey != "" {
				hops[i].Name = p.Name
			}
		}
	}
}

// supervised runs f on the supervisor's goroutine and waits for it.
func (d *Daemon) supervised(ctx context.Context, f func(ctx context.Context) error) error {
	done := make(chan error, 1)
	select {
	case d.jobs <- func(ctx context.Context) { done <- f(ctx) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// PeerAdd implements admin.Backend.
func (d *Daemon) PeerAdd(ctx context.Context, p config.Peer) (c config.PeerChange, err error) {
	err = d.changeStored(ctx, func() error {
		if p.PublicKey == d.id.Public {
			return errors.New("publicKey: this is our own key")
		}
		var err error
		c, err = d.store.AddPeer(p)
		return err
	})
	return c, err
}

// PeerDel implements admin.Backend.
func (d *Daemon) PeerDel(ctx context.Context, selector string) (c config.PeerChange, err error) {
	err = d.changeStored(ctx, func() error {
		var err error
		c, err = d.store.DelPeer(selector)
		return err
	})
	return c, err
}

// changeStored changes the stored configuration, by root if it must be, and
// applies the change.
func (d *Daemon) changeStored(ctx context.Context, change func() error) error {
	apply := func(ctx context.Context) error { _, err := d.reload(ctx); return err }
	err := d.supervised(ctx, func(ctx context.Context) error {
		if err := change(); err != nil {
			return err
		}
		return apply(ctx)
	})
	var u *config.UnwrittenError
	if errors.As(err, &u) {
		if err = d.byRoot(ctx, u); err == nil {
			err = d.supervised(ctx, apply)
		}
	}
	return err
}

// Reload implements admin.Backend.
func (d *Daemon) Reload(ctx context.Context) (r admin.ReloadReport, err error) {
	err = d.supervised(ctx, func(ctx context.Context) error {
		var err error
		r, err = d.reload(ctx)
		return err
	})
	return r, err
}

// reload reads the configuration and applies what changed; peers, links and
// sessions that it does not touch go on undisturbed. A configuration with an
// error changes nothing.
func (d *Daemon) reload(ctx context.Context) (admin.ReloadReport, error) {
	after, r, err := d.compare()
	if err != nil {
		return r, err
	}
	if t := d.trial; t != nil && t.taken != "" {
		if after.Text == t.taken {
			return r, admin.Errorf(admin.CodeFailed, "this configuration was taken back, and the former one is not stored yet; as root: meshagent config store, or change the file")
		}
		d.endTrial() // the former one, written by root; or somebody's third
	}
	d.put(ctx, after)
	d.problem("config", "")
	d.log.Info("configuration read", "changes", changesText(r.Changes))
	d.emit("config.applied", r)
	return r, nil
}

// put makes a configuration the one in force.
func (d *Daemon) put(ctx context.Context, l *config.Loaded) {
	path := d.trialPath()
	d.cfg, d.text = l.Config, l.Text
	if d.trial != nil && d.trialPath() != path {
		_ = os.Rename(path, d.trialPath()) // where the next start looks for it
	}
	d.setLevel()
	d.apply(ctx)
}

// changesText is a list of changes for the log.
func changesText(changes []config.Change) string {
	what := make([]string, len(changes))
	for i, c := range changes {
		what[i] = strings.Join(strings.Fields(c.Kind+" "+c.Section+" "+c.Action+" "+strings.Join(c.Options, " ")), " ")
	}
	return strings.Join(what, ", ")
}

// onOut carries out what the node wants beside packets. Engine goroutine: it
// must not wait.
func (d *Daemon) onOut(now mono.Time, out *node.Out) {
	for _, r := range out.Replies {
		d.waits.answered(r)
	}
	for _, a := range out.Asks {
		if a.Kind != node.AskResolve {
			d.engine.join.asks = append(d.engine.join.asks, a)
		} else {
			d.post(func(ctx context.Context) {
				if st := d.peers[a.Peer]; st != nil {
					d.lookUp(ctx, st)
				}
			})
		}
	}
	for _, e := range out.Events {
		switch e.Kind {
		case node.EventPeerUp, node.EventPeerMoved:
			d.engine.peerChanged(now, e.Peer, true)
		case node.EventPeerDown, node.EventPeerGone:
			d.engine.peerChanged(now, e.Peer, false)
		}
		d.event(e)
	}
}

// post gives f to the supervisor if it has room; what does not fit is asked
// again later.
func (d *Daemon) post(f func(ctx context.Context)) { d.tryPost(f) }

// tryPost is post, and reports whether there was room.
func (d *Daemon) tryPost(f func(ctx context.Context)) bool {
	select {
	case d.jobs <- f:
		return true
	default:
		return false
	}
}

// event writes a line into the log, and remembers peers.
func (d *Daemon) event(e node.Event) {
	p := e.Peer
	args := []any{"peer", p.Name, "addr", p.Addr, "key", p.Key}
	switch e.Kind {
	case node.EventPeerUp:
		d.log.Info("peer is up", append(args, "version", p.Version, "path", p.Label)...)
		d.tellPeer("up", p)
		d.remember(p, true)
	case node.EventPeerMoved:
		d.log.Info("peer has moved", args...)
		d.tellPeer("moved", p)
		d.remember(p, true)
	case node.EventPeerDown:
		d.log.Info("peer does not answer", args...)
		d.tellPeer("down", p)
	case node.EventPeerGone:
		d.log.Info("peer is gone", args...)
		d.tellPeer("gone", p)
		d.remember(p, false)
	case node.EventRefused:
		if d.quiet(e.Text) {
			d.log.Warn("handshake refused", "addr", p.Addr, "err", e.Text)
			d.emit("peer.refused", refusedNotice{p.Addr.String(), e.Text})
		}
	case node.EventSameKey:
		if p.Key == d.id.Public {
			d.sameKey(time.Minute, fmt.Sprintf("somebody at %s claims to have the same key as we: if that is true, neither of the two can be reached reliably; run meshagent keygen on one of them", p.Addr))
		} else {
			d.sameKey(time.Minute, fmt.Sprintf("peer %s keeps changing its address, now %s: perhaps two nodes have the same key %s", p.Name, p.Addr, p.Key))
		}
	}
}

// sameKey shows for a while that two nodes seem to have one key. Engine
// goroutine.
func (d *Daemon) sameKey(life time.Duration, text string) {
	d.same.Store(max(d.same.Load(), int64(d.engine.now().Add(life))))
	if d.quiet("same key") {
		d.problem("same-key", text)
	}
}

// quiet reports whether a line of this kind may be written: one in ten
// seconds.
func (d *Daemon) quiet(kind string) bool {
	now := time.Now()
	if now.Sub(d.said[kind]) < 10*time.Second {
		return false
	}
	if len(d.said) > 32 {
		clear(d.said)
	}
	d.said[kind] = now
	return true
}

// remember notes or forgets a peer for the next life. Those over the mesh are
// made when they are needed.
func (d *Daemon) remember(p node.PeerInfo, here bool) {
	r := remembered{key: p.Key}
	r.slot, _ = cjdns.PortOf(p.Label)
	if p.Incoming {
		r.addr = p.Addr.AddrPort() // of Ethernet: none
	}
	d.post(func(context.Context) {
		for _, s := range d.links.sockets {
			if s.index != p.Link {
				continue
			}
			if r.link = s.name(); here {
				d.memory.add(r)
			} else {
				d.memory.forget(s.name(), p.Key)
			}
		}
	})
}
