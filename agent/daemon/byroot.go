package daemon

import (
	"context"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/config"
)

// rootPatience is how long root's hand has for writing a file.
const rootPatience = 10 * time.Second

// rootEvent is what the start script of the packages waits for, by procd: it
// runs "meshagent config store" as root (docs/adr/028).
const rootEvent = "meshagent.store"

// wish is a text of the configuration that waits for root.
type wish struct {
	*config.UnwrittenError
	done chan error // room for one; nil: nobody waits
}

// byRoot has root write what this process may not, and waits for it. The
// error is u, or what root says. A wish in the place of another that waits
// is refused.
func (d *Daemon) byRoot(ctx context.Context, u *config.UnwrittenError) error {
	w := &wish{u, make(chan error, 1)}
	if !d.setWish(nil, w) {
		return admin.Errorf(admin.CodeBusy, "another change waits to be written; try again")
	}
	defer d.setWish(w, nil)
	ctx, stop := context.WithTimeout(ctx, rootPatience)
	defer stop()
	if d.bus.ServiceEvent(ctx, rootEvent) != nil {
		return u
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return u
	}
}

// setWish puts one wish in the place of another, which must be there.
func (d *Daemon) setWish(old, w *wish) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wish != old {
		return false
	}
	d.wish = w
	return true
}

// ConfigStore implements admin.Backend.
func (d *Daemon) ConfigStore(_ context.Context, done bool, refused string) (c admin.ConfigWish, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.wish
	if w == nil {
		return c, &admin.Error{Code: admin.CodeNotFound, Text: "no configuration waits to be written"}
	}
	if !done && refused == "" {
		return admin.ConfigWish{Base: w.Base, Text: w.Text}, nil
	}
	if refused != "" {
		err = &admin.Error{Code: admin.CodeDenied, Text: refused}
		d.log.Warn("the configuration was not written", "err", refused)
	}
	select {
	case w.done <- err:
	default:
	}
	return c, nil
}
