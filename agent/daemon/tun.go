package daemon

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/netio"
	"github.com/meshagent/meshagent/agent/node"
)

// tunState is the device towards local programs, its address, and the
// firewall in front of it.
type tunState struct {
	open    bool
	dev     *netio.TUN
	setup   *kernel.TUNSetup
	fw      *kernel.Firewall
	inbound config.Inbound
	cfg     config.TUN
	left    tunLeft
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// tunName returns the name of our device, or what it will be.
func (d *Daemon) tunName() string {
	if d.tun.open {
		return d.tun.dev.Name()
	}
	return d.cfg.TUN.Name
}

// check opens the device if it is wanted and closed. Without it the agent
// still forwards for others.
func (t *tunState) check(ctx context.Context, d *Daemon) {
	if t.open && (t.cfg != d.cfg.TUN || t.inbound != d.cfg.Main.Inbound) {
		if t.cfg == d.cfg.TUN {
			t.refence(ctx, d)
			return
		}
		t.close(ctx, d, d.cfg.TUN.Enabled && t.cfg.Name == d.cfg.TUN.Name && d.cfg.TUN.Persist)
	}
	if t.open || !d.cfg.TUN.Enabled {
		if !t.open {
			t.left.sweep(d, "")
			d.setTUN(node.TUNStatus{Name: d.cfg.TUN.Name, State: "off", MTU: d.cfg.TUN.MTU, Inbound: d.cfg.Main.Inbound.String()})
		}
		return
	}
	if err := t.start(ctx, d); err != nil {
		d.problem("tun", "no overlay for local programs: "+err.Error())
		d.setTUN(node.TUNStatus{Name: d.cfg.TUN.Name, State: "down", MTU: d.cfg.TUN.MTU, Inbound: d.cfg.Main.Inbound.String()})
		return
	}
	d.problem("tun", "")
}

// start opens the device. The firewall comes before the address: there is no
// moment in which the overlay reaches this host unfiltered.
func (t *tunState) start(ctx context.Context, d *Daemon) error {
	t.cfg, t.inbound = d.cfg.TUN, d.cfg.Main.Inbound
	t.left.sweep(d, t.cfg.Name)
	// Packets beyond the MTU, if somebody has raised the device's, are for the
	// node to refuse: it tells their sender.
	dev, err := netio.OpenTUN(netio.TUNOptions{Name: t.cfg.Name, Batch: d.batch})
	if err != nil {
		return err
	}
	t.dev = dev
	fail := func(err error) error {
		t.release()
		return err
	}
	if err := t.fence(); err != nil {
		return fail(err)
	}
	t.setup, err = kernel.SetupTUN(dev.Name(), netip.PrefixFrom(d.id.IP.Addr(), 8), t.cfg.MTU)
	if err != nil {
		return fail(err)
	}
	t.open = true
	if t.cfg.Persist && t.cfg.Name != "" {
		t.left.keep(d, dev)
	}
	rctx, stop := context.WithCancel(ctx)
	t.stop = stop
	t.wg.Add(1)
	go func() {
		defer t.wg.Done()
		err := d.engine.read(rctx, dev, 0, fromTUN)
		if rctx.Err() == nil {
			select {
			case d.broken <- brokenLink{err: err}:
			case <-rctx.Done():
			}
		}
	}()
	mtu := t.cfg.MTU
	d.engine.do(ctx, func(mono.Time) { d.engine.tun = dev; d.engine.node.SetMTU(mtu) })
	d.setTUN(node.TUNStatus{
		Name: dev.Name(), State: "up", MTU: t.cfg.MTU, Offload: dev.Caps().Text, Inbound: t.inbound.String(),
	})
	d.log.Info("overlay is up", "iface", dev.Name(), "ip", d.id.IP, "io", dev.Caps().Text, "inbound", t.inbound.String())
	return nil
}

// fence closes the overlay's side of the device, if the configuration wants
// it closed.
func (t *tunState) fence() (err error) {
	if t.inbound == config.InboundClosed {
		t.fw, err = kernel.OpenFirewall(kernel.FirewallOptions{TUN: t.dev.Name()})
	}
	return err
}

// refence applies a change of option inbound to the open device. If it cannot
// be closed, the device goes: the overlay is not let in unasked.
func (t *tunState) refence(ctx context.Context, d *Daemon) {
	t.inbound = d.cfg.Main.Inbound
	if t.fw != nil {
		_ = t.fw.Close()
		t.fw = nil
	}
	if err := t.fence(); err != nil {
		d.problem("tun", "no overlay for local programs: "+err.Error())
		t.close(ctx, d, false)
		return
	}
	d.mu.Lock()
	d.tunInfo.Inbound = t.inbound.String()
	d.mu.Unlock()
}

// fail closes the device after its reader failed; check opens it again.
func (t *tunState) fail(ctx context.Context, d *Daemon, err error) {
	if t.open {
		d.log.Warn("TUN device failed", "iface", t.dev.Name(), "err", err)
		t.close(ctx, d, false)
	}
}

// close closes the device. If keep is true it stays for the next run, with
// address and route: what is sent into it meanwhile is lost, and nothing comes
// out of it.
func (t *tunState) close(ctx context.Context, d *Daemon, keep bool) {
	if !t.open {
		return
	}
	t.open = false
	d.engine.do(ctx, func(mono.Time) { d.engine.tun = nil })
	t.stop()
	if keep && t.left.name == t.dev.Name() {
		t.setup = nil
	} else {
		t.left.drop(t.dev)
	}
	t.release()
	t.wg.Wait()
}

// release puts away what start has opened, in the opposite order.
func (t *tunState) release() {
	if t.setup != nil {
		_ = t.setup.Close()
	}
	if t.dev != nil {
		_ = t.dev.Close()
	}
	if t.fw != nil {
		_ = t.fw.Close()
	}
	t.setup, t.dev, t.fw = nil, nil, nil
}

func (d *Daemon) setTUN(s node.TUNStatus) {
	d.mu.Lock()
	d.tunInfo = s
	d.mu.Unlock()
}

// tunLeft remembers, beside the admin socket, the device that the last run may
// have left, in case this one has no use for it.
type tunLeft struct{ file, name string }

// keep makes dev stay when we close it or die.
func (l *tunLeft) keep(d *Daemon, dev *netio.TUN) {
	if err := dev.SetPersistent(true); err != nil {
		d.log.Warn("TUN device goes away with the agent", "err", err)
		return
	}
	l.file, l.name = d.runFile("tun"), dev.Name()
	_ = os.WriteFile(l.file, []byte(l.name+"\n"), 0o600) // losing it leaves a device behind, no more
}

// drop lets dev go when it is closed.
func (l *tunLeft) drop(dev *netio.TUN) {
	if l.name == dev.Name() {
		_ = dev.SetPersistent(false)
		_ = os.Remove(l.file)
		l.name = ""
	}
}

// sweep deletes the device that an earlier run has left, unless it is called
// name.
func (l *tunLeft) sweep(d *Daemon, name string) {
	if l.file != "" {
		return
	}
	l.file = d.runFile("tun")
	raw, err := os.ReadFile(l.file)
	last := strings.TrimSpace(string(raw))
	if err != nil || last == name || last == "" {
		return
	}
	if dev, err := kernel.InterfaceByName(last); err == nil && dev.Kind == "tun" && !dev.Ethernet {
		if dev, err := netio.OpenTUN(netio.TUNOptions{Name: last}); err == nil {
			_ = dev.Close()
			d.log.Info("TUN device of the last run removed", "iface", last)
		}
	}
	_ = os.Remove(l.file)
}
