package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/netio"
	"github.com/meshagent/meshagent/agent/pkt"
)

// hardIf is one device that the mesh shall run on. It is open (conn) while
// the device is there and up.
type hardIf struct {
	cfg     config.HardIf
	device  string // the one of cfg, or one that the radio has already
	radio   radioState
	index   uint16
	conn    *netio.Packet
	stop    context.CancelFunc
	wg      sync.WaitGroup
	ifindex int
	wifi    bool
	air     airTime          // of its channel, if wifi
	mtuSet  int              // MTU that the device was given; 0: none
	mtuNote string           // why it has another one
	told    mesh.IfaceConfig // what the core knows; zero: nothing
	problem string           // why it is not open
}

// checkIfs makes the set of hard interfaces what the configuration says, opens
// what is closed, and follows what changed in the kernel.
func (m *meshRun) checkIfs(ctx context.Context, devs kernel.Links) {
	wanted := func(name string) *config.HardIf {
		for i := range m.d.cfg.HardIfs {
			if h := &m.d.cfg.HardIfs[i]; h.Device == name && h.Enabled && h.Mesh == m.cfg.Name {
				return h
			}
		}
		return nil
	}
	m.ifs = slices.DeleteFunc(m.ifs, func(h *hardIf) bool {
		if wanted(h.cfg.Device) != nil {
			return false
		}
		m.remove(ctx, h)
		h.releaseRadio(m.d.log)
		return true
	})
	for _, c := range m.d.cfg.HardIfs {
		if wanted(c.Device) == nil {
			continue
		}
		i := slices.IndexFunc(m.ifs, func(h *hardIf) bool { return h.cfg.Device == c.Device })
		if i < 0 {
			i = len(m.ifs)
			m.ifs = append(m.ifs, &hardIf{index: m.freeIndex()})
		}
		h := m.ifs[i]
		h.cfg = c
		if c.Radio == nil || h.device == "" {
			h.device = c.Device
		}
	}
	for _, h := range m.ifs {
		m.checkIf(ctx, h, devs)
	}
}

// freeIndex is the lowest number that no hard interface has. A number is used
// again only after every frame of its last owner is handled: see remove.
func (m *meshRun) freeIndex() uint16 {
	for i := uint16(0); ; i++ {
		if !slices.ContainsFunc(m.ifs, func(h *hardIf) bool { return h.index == i }) {
			return i
		}
	}
}

// checkIf follows one device.
func (m *meshRun) checkIf(ctx context.Context, h *hardIf, devs kernel.Links) {
	if devs == nil {
		return // the kernel does not tell: leave everything
	}
	why := m.checkRadio(h, &devs)
	dev, _ := devs.ByName(h.device)
	if why == nil {
		why = m.usable(h, dev, devs)
	}
	if h.conn != nil && why == nil && dev.Index != h.ifindex {
		m.down(ctx, h, errors.New("device "+h.device+" was replaced"))
	}
	if mtu := h.wantMTU(); why == nil && mtu != 0 && (mtu != h.mtuSet || dev.Index != h.ifindex) {
		why = m.giveMTU(h, &dev, mtu)
	}
	if why == nil && h.conn == nil {
		why = m.open(ctx, h, dev)
	}
	if why == nil {
		why = m.tell(ctx, h, dev)
	}
	if why != nil {
		m.down(ctx, h, why)
	}
}

// usable says why a device cannot carry the mesh.
func (m *meshRun) usable(h *hardIf, dev kernel.Interface, devs kernel.Links) error {
	name := h.device
	switch {
	case dev.Name == "":
		return fmt.Errorf("device %s does not exist", name)
	case devs.IsOwn(name, m.d.ownDevices()...):
		return fmt.Errorf("device %s is our own, or a bridge or VLAN that contains it", name)
	case !dev.Ethernet || dev.Loopback:
		return fmt.Errorf("device %s is not an Ethernet device", name)
	case !dev.Up:
		return fmt.Errorf("device %s is down", name)
	}
	if dev.Master != 0 {
		of := "another device"
		if b, ok := devs.ByIndex(dev.Master); ok {
			of = b.Kind + " " + b.Name
		}
		return fmt.Errorf("device %s belongs to %s, which takes its frames away: take it out", name, of)
	}
	return nil
}

// wantMTU is what the device shall have; 0: what it has.
func (h *hardIf) wantMTU() int {
	if h.cfg.MTU == 0 && h.radio.ours() {
		return config.DefaultRadioMTU
	}
	return h.cfg.MTU
}

// giveMTU sets the device's MTU, once for every life of the device: somebody
// may change it later.
func (m *meshRun) giveMTU(h *hardIf, dev *kernel.Interface, mtu int) error {
	h.mtuSet, h.ifindex, h.mtuNote = mtu, dev.Index, ""
	if dev.MTU == mtu {
		return nil
	}
	if err := kernel.SetMTU(dev.Name, mtu); err != nil {
		h.mtuNote = mtuNote(dev, mtu, err)
		m.d.log.Info("hard interface keeps its MTU", "iface", dev.Name, "mtu", dev.MTU, "why", h.mtuNote)
		return nil // large frames are cut
	}
	dev.MTU = mtu
	return nil
}

// mtuNote says why a device cannot have an MTU.
func mtuNote(dev *kernel.Interface, want int, err error) string {
	if dev.MaxMTU != 0 && dev.MaxMTU < want {
		return fmt.Sprintf("driver caps at %d, %d is wanted: large frames are cut", dev.MaxMTU, want)
	}
	return fmt.Sprintf("driver keeps %d, %d is wanted (%v): large frames are cut", dev.MTU, want, err)
}

// open opens the socket and starts its reader.
func (m *meshRun) open(ctx context.Context, h *hardIf, dev kernel.Interface) error {
	conn, err := netio.OpenRaw(dev.Name, batman.EtherType, netio.PacketOptions{Batch: m.d.batch})
	if err != nil {
		return err
	}
	rctx, stop := context.WithCancel(ctx)
	h.conn, h.stop, h.ifindex, h.wifi = conn, stop, dev.Index, kernel.Wireless(dev.Name)
	m.d.engine.do(ctx, func(mono.Time) {
		if c := m.d.engine.mesh; c != nil {
			c.air.set(h.index, conn)
		}
	})
	h.wg.Add(1)
	go func() {
		defer h.wg.Done()
		err := m.d.engine.read(rctx, conn, h.index, fromAir)
		m.d.report(rctx, func(ctx context.Context) {
			if h.conn == conn {
				m.down(ctx, h, fmt.Errorf("device %s: %w", h.device, err))
			}
		})
	}()
	return nil
}

// tell gives the core the settings of an open interface if they have changed.
func (m *meshRun) tell(ctx context.Context, h *hardIf, dev kernel.Interface) error {
	c := mesh.IfaceConfig{
		Name: h.device, MAC: dev.MAC, MTU: min(dev.MTU, pkt.MaxMTU), Wifi: h.wifi,
		HopPenalty: h.cfg.HopPenalty, ELPInterval: h.cfg.ELPInterval, ThroughputOverride: h.cfg.ThroughputOverride,
	}
	speed := kernel.GetEthtool(dev.Name)
	c.Speed, c.FullDuplex = uint32(speed.SpeedMbit)*10, speed.FullDuplex //nolint:gosec // of the driver, never negative
	if c == h.told {
		return nil
	}
	refused, err := askCore(ctx, m.d, func(now mono.Time, core *meshCore) error {
		return core.mesh.SetIface(now, h.index, c, &core.out)
	})
	if err = errors.Join(refused, err); err != nil {
		return err
	}
	switch old := h.told; {
	case old == (mesh.IfaceConfig{}):
		m.say(slog.LevelInfo, "hard interface is up", "iface", c.Name, "mac", c.MAC, "mtu", c.MTU, "io", h.conn.Caps().Text)
	case old.MAC != c.MAC:
		m.say(slog.LevelInfo, "hard interface has another address", "iface", c.Name, "mac", c.MAC, "old", old.MAC)
	case old.MTU != c.MTU:
		m.say(slog.LevelInfo, "hard interface has another MTU", "iface", c.Name, "mtu", c.MTU, "old", old.MTU)
	}
	h.told, h.problem = c, ""
	return nil
}

// down closes the interface; check tries again.
func (m *meshRun) down(ctx context.Context, h *hardIf, err error) {
	why := err.Error()
	if why != h.problem {
		m.say(slog.LevelWarn, "hard interface is down", "iface", h.device, "err", why)
	}
	h.problem = why
	open := h.conn != nil
	h.close()
	if !open && h.told == (mesh.IfaceConfig{}) {
		return
	}
	h.told = mesh.IfaceConfig{}
	e := m.d.engine
	e.do(ctx, func(now mono.Time) {
		e.drain(cap(e.in)) // nothing of the old socket is left then
		if e.mesh != nil {
			e.mesh.mesh.IfaceDown(now, h.index, why, &e.mesh.out)
			e.mesh.air.set(h.index, nil)
		}
	})
}

// remove closes the interface for good. Frames of it that the engine has not
// seen yet are handled before the core forgets it.
func (m *meshRun) remove(ctx context.Context, h *hardIf) {
	h.close()
	e := m.d.engine
	e.do(ctx, func(now mono.Time) {
		e.drain(cap(e.in))
		if e.mesh != nil {
			e.mesh.flush(now, &e.pool)
			e.mesh.mesh.RemoveIface(now, h.index, &e.mesh.out)
			e.mesh.flush(now, &e.pool)
			e.mesh.air.set(h.index, nil)
		}
	})
	m.say(slog.LevelInfo, "hard interface is removed", "iface", h.device)
}

// close closes the socket and waits for its reader.
func (h *hardIf) close() {
	if h.conn == nil {
		return
	}
	h.stop()
	_ = h.conn.Close()
	h.wg.Wait()
	h.conn = nil
}

// view is what Mesh shows of h.
func (h *hardIf) view() hardIfView {
	v := hardIfView{name: h.device, problem: h.problem, mtuNote: h.mtuNote}
	if conn := h.conn; conn != nil {
		v.lost = func() map[string]uint64 {
			s := conn.Stats()
			lost := map[string]uint64{
				"socket-full": s.RxFull, "socket-refused": s.TxRefused, "socket-busy": s.TxBusy, "socket-length": s.RxDropped, "socket-errors": s.RxErrors,
			}
			maps.DeleteFunc(lost, func(_ string, n uint64) bool { return n == 0 })
			return lost
		}
	}
	return v
}

// say writes a line into the agent's log and into that of the mesh. args are
// names and values.
func (m *meshRun) say(level slog.Level, msg string, args ...any) {
	m.d.log.Log(context.Background(), level, msg, args...)
	text := msg
	for i := 0; i+1 < len(args); i += 2 {
		text += fmt.Sprintf(", %v %v", args[i], args[i+1])
	}
	m.d.meshLog.add(config.MeshLogBatman, text)
}
