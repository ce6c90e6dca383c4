package daemon

import (
	"context"
	"slices"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// supernodes is what the node has been told about supernodes.
type supernodes struct {
	keys []cjdns.Key
	role bool
	find bool
}

// applySupernodes tells the node which supernodes it may use, and whether it
// is one. Supervisor goroutine.
func (d *Daemon) applySupernodes(ctx context.Context) {
	want := supernodes{role: d.cfg.Main.Supernode, find: d.cfg.Main.SupernodeFind}
	for _, s := range d.cfg.Supernodes {
		if s.Enabled {
			want.keys = append(want.keys, s.Key)
		}
	}
	if want.role == d.supers.role && want.find == d.supers.find && slices.Equal(want.keys, d.supers.keys) {
		return
	}
	d.supers = want
	e := d.engine
	e.do(ctx, func(now mono.Time) {
		e.node.FindSupernodes(now, want.find)
		e.node.SetSupernodes(now, want.keys, want.role, &e.out)
	})
}
