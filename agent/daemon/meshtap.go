package daemon

import (
	"context"
	"log/slog"
	"sync"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/netio"
)

// meshTAP is the device through which clients enter the mesh. It is
// persistent: when the agent is restarted, or dies, the device keeps its
// addresses and its place in a bridge.
type meshTAP struct {
	dev   *netio.TAP
	stop  context.CancelFunc
	wg    sync.WaitGroup
	mac   batman.MAC // given by the configuration; zero: none
	mtu   int        // that we gave it
	told  mesh.MeshIfaceConfig
	fresh bool // no address was given yet
}

// check opens the device if it is closed, and follows the configuration and
// the kernel. Without it the node still forwards for others.
func (t *meshTAP) check(ctx context.Context, m *meshRun, devs kernel.Links) {
	if devs == nil {
		return
	}
	name := m.cfg.Name
	dev, there := devs.ByName(name)
	if t.dev != nil && !there && t.told.Name != "" {
		t.close(ctx, m, false) // somebody has deleted it
	}
	if t.dev == nil {
		if err := t.open(ctx, m, there); err != nil {
			m.d.problem("mesh", "no way into the mesh for clients: "+err.Error())
			return
		}
		dev = kernel.Interface{}
	}
	want, mtu := batman.MAC(m.cfg.MAC), meshMTU(m.cfg, m.ifs)
	if t.fresh && want.IsZero() {
		want = m.d.meshMAC(name)
	}
	if t.fresh || want != t.mac && !want.IsZero() || mtu != t.mtu {
		if err := kernel.SetupTAP(name, want, max(mtu, 0)); err != nil {
			m.d.problem("mesh", "no way into the mesh for clients: "+err.Error())
			t.close(ctx, m, false)
			return
		}
		t.fresh, t.mac, t.mtu = false, batman.MAC(m.cfg.MAC), mtu
		dev = kernel.Interface{}
	}
	if dev.Name == "" {
		var err error
		if dev, err = kernel.InterfaceByName(name); err != nil {
			return // gone again; next time
		}
	}
	m.d.problem("mesh", "")
	c := mesh.MeshIfaceConfig{Name: name, MAC: dev.MAC, MTU: dev.MTU, Bridged: dev.Master != 0}
	if c == t.told {
		return
	}
	if t.told.Name == "" {
		m.say(slog.LevelInfo, "mesh device is up", "iface", name, "mac", c.MAC, "mtu", c.MTU)
	}
	t.told = c
	m.d.engine.do(ctx, func(now mono.Time) {
		if core := m.d.engine.mesh; core != nil {
			core.mesh.SetMeshIface(now, c, &core.out)
		}
	})
}

// open makes the device, or takes over the one that the last run has left.
func (t *meshTAP) open(ctx context.Context, m *meshRun, there bool) error {
	dev, err := netio.OpenTAP(netio.TAPOptions{Name: m.cfg.Name, Batch: m.d.batch})
	if err != nil {
		return err
	}
	if err := dev.SetPersistent(true); err != nil {
		m.d.log.Warn("mesh device goes away with the agent", "err", err)
	}
	// An address that a device of the last run has is kept.
	t.dev, t.fresh, t.mac, t.mtu, t.told = dev, !there, batman.MAC{}, 0, mesh.MeshIfaceConfig{}
	rctx, stop := context.WithCancel(ctx)
	t.stop = stop
	m.d.engine.do(ctx, func(mono.Time) {
		if core := m.d.engine.mesh; core != nil {
			core.tap = dev
		}
	})
	t.wg.Add(1)
	go func() {
		defer t.wg.Done()
		err := m.d.engine.read(rctx, dev, 0, fromTAP)
		m.d.report(rctx, func(ctx context.Context) {
			if t.dev == dev {
				m.d.log.Warn("mesh device failed", "iface", dev.Name(), "err", err)
				t.close(ctx, m, false)
			}
		})
	}()
	return nil
}

// close closes the device; remove deletes it too.
func (t *meshTAP) close(ctx context.Context, m *meshRun, remove bool) {
	if t.dev == nil {
		return
	}
	dev := t.dev
	t.dev, t.told = nil, mesh.MeshIfaceConfig{}
	m.d.engine.do(ctx, func(mono.Time) {
		if core := m.d.engine.mesh; core != nil {
			core.tap = nil
		}
	})
	t.stop()
	if remove {
		_ = dev.SetPersistent(false)
	}
	_ = dev.Close()
	t.wg.Wait()
}

// sweep deletes the device that an earlier run, with another name for its
// mesh, has left; "" is none.
func (t *meshTAP) sweep(name string) {
	if name == "" {
		return
	}
	if dev, err := kernel.InterfaceByName(name); err != nil || dev.Kind != "tun" {
		return
	}
	if dev, err := netio.OpenTAP(netio.TAPOptions{Name: name}); err == nil {
		_ = dev.SetPersistent(false)
		_ = dev.Close()
	}
}
