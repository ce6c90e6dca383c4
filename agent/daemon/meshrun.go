package daemon

import (
	"context"
	"crypto/sha256"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/pkt"
)

// meshRun keeps the mesh as the configuration wants it. Its methods run on
// the supervisor's goroutine.
type meshRun struct {
	d       *Daemon
	running bool
	cfg     config.Mesh // of the running core
	ifs     []*hardIf
	tap     meshTAP
	wifi    meshWifi
	watch   radioWatch
	numbers seqnoStore
	loaded  bool // numbers
	// The mesh as a link of the node, see join.go.
	link   node.LinkConfig
	index  *uint16
	admits config.Admit // that the node was told
}

// check starts, changes or ends the mesh, and follows the kernel's devices.
func (m *meshRun) check(ctx context.Context, devs kernel.Links) {
	want := m.d.cfg.Mesh
	on := want.Name != "" && want.Enabled
	if m.running && (!on || want.Name != m.cfg.Name) {
		m.stop(ctx, true)
	}
	if !m.loaded {
		m.loaded = true
		if last := m.numbers.load(m.d.seqnoFile()); last != "" && (!on || last != want.Name) {
			m.tap.sweep(last)
		}
	}
	if !on {
		return
	}
	switch {
	case !m.running:
		m.start(ctx, want, m.numbers.last)
	case want.Algo != m.cfg.Algo || want.Identity != m.cfg.Identity:
		m.d.log.Info("mesh starts anew", "algo", want.Algo.String(), "identity", want.Identity)
		m.start(ctx, want, m.seqnos(ctx))
	case !want.Equal(m.cfg):
		c := coreConfig(want)
		m.d.engine.do(ctx, func(now mono.Time) {
			if core := m.d.engine.mesh; core != nil {
				core.mesh.SetConfig(now, c, &core.out)
			}
		})
	}
	m.cfg = want
	m.d.meshLog.setKinds(want.Log)
	m.watch.open(ctx)
	m.checkIfs(ctx, devs)
	m.tap.check(ctx, m, devs)
	m.wifi.check(ctx, m, devs)
	m.admit(ctx)
	m.joinLink(ctx)
	m.publish()
}

// start makes a core, in the place of another one if there is one. The device
// for clients and the sockets stay.
func (m *meshRun) start(ctx context.Context, c config.Mesh, s mesh.Seqnos) {
	s.First = firstSeqno(time.Now(), c.OrigInterval)
	o := mesh.Options{Config: coreConfig(c), Seqnos: s}
	if c.Identity {
		o.Signer, o.Boot = m.d.sign.Public(), m.d.boot
	}
	random(o.Seed[:])
	e := m.d.engine
	e.do(ctx, func(now mono.Time) {
		core := newMeshCore(o, now, &e.pool, m.d.meshLog)
		if old := e.mesh; old != nil {
			old.flush(now, &e.pool)
			old.end(now)
			core.air, core.tap = old.air, old.tap
			e.meshLost(now)
		}
		e.mesh = core
		e.pool.Keep = max(e.pool.Keep, 8*m.d.batch)
	})
	for _, h := range m.ifs {
		h.told = mesh.IfaceConfig{}
	}
	m.tap.told, m.wifi.told = mesh.MeshIfaceConfig{}, nil
	if !m.running {
		m.d.log.Info("mesh is up", "iface", c.Name, "algo", c.Algo.String())
	}
	m.running = true
}

// stop ends the mesh. The device for clients goes too if remove is true; else
// it stays for the next run, with its place in a bridge and its addresses.
func (m *meshRun) stop(ctx context.Context, remove bool) {
	if !m.running {
		return
	}
	e := m.d.engine
	last, err := askCore(ctx, m.d, func(now mono.Time, c *meshCore) mesh.Seqnos {
		e.drain(cap(e.in))
		c.flush(now, &e.pool)
		c.end(now)
		e.mesh = nil
		e.meshLost(now)
		return c.mesh.Seqnos()
	})
	if err == nil {
		name := m.cfg.Name
		if remove {
			name = "" // nothing is left to sweep up
		}
		m.numbers.save(last, name, m.cfg.OrigInterval, true)
	}
	for _, h := range m.ifs {
		h.close()
		h.releaseRadio(m.d.log)
	}
	m.ifs = nil
	m.tap.close(ctx, m, remove)
	m.running, m.cfg = false, config.Mesh{}
	m.joinLink(ctx)
	m.publish()
	if remove {
		m.d.log.Info("mesh is switched off")
	}
}

// seqnos asks the core for its counters.
func (m *meshRun) seqnos(ctx context.Context) mesh.Seqnos {
	s, _ := askCore(ctx, m.d, func(_ mono.Time, c *meshCore) mesh.Seqnos { return c.mesh.Seqnos() })
	return s
}

// tick does what is done every second.
func (m *meshRun) tick(ctx context.Context) {
	m.announce(ctx)
	m.askRadios(ctx)
	if m.running && m.numbers.due() {
		m.numbers.save(m.seqnos(ctx), m.cfg.Name, m.cfg.OrigInterval, false)
	}
}

// coreConfig translates the section "mesh".
func coreConfig(c config.Mesh) mesh.Config {
	return mesh.Config{
		Algo:         mesh.Algo(c.Algo),
		OrigInterval: c.OrigInterval, HopPenalty: c.HopPenalty, Aggregation: c.Aggregation, Bonding: c.Bonding,
		Fragmentation: c.Fragmentation, APIsolation: c.APIsolation, BLA: c.BLA, DAT: c.DAT,
		Multicast: c.Multicast, MulticastFanout: int(c.MulticastFanout),
		GWMode: mesh.GWMode(c.GWMode), GWSelClass: c.GWSelClass, GWDown: c.GWDown, GWUp: c.GWUp,
		RequireSigned: mesh.SignPolicy(c.RequireSigned), IdentityType: c.IdentityType, OverlayType: c.OverlayType,
		VerifyRate: verifyRate(), ProbeMTU: true,
	}
}

// verifyRate is how many signatures may be checked in a second: on one core,
// which is then a slow one, few; a check takes about 15 ms there.
func verifyRate() int {
	if runtime.NumCPU() == 1 {
		return 2
	}
	return 50
}

// meshMAC is the address of the mesh device if the configuration gives none:
// one of our own making that stays the same over restarts and reboots.
func (d *Daemon) meshMAC(name string) (mac batman.MAC) {
	sum := sha256.Sum256(append(d.id.Public[:], name...))
	copy(mac[:], sum[:])
	mac[0] = mac[0]&^1 | 2 // a station, locally administered
	return mac
}

// The most that a frame of a client grows on the way. Source: batman-adv
// hard-interface.c, batadv_hardif_min_mtu.
const (
	meshHeader   = 32
	meshFragment = 1280 // longest fragment
	meshFragHead = 20
	meshFrags    = 16
)

// meshMTU is the MTU for the mesh device: what is configured, or less if the
// hard interfaces cannot carry that even in fragments. 0 is none at all.
func meshMTU(c config.Mesh, ifs []*hardIf) int {
	least := pkt.MaxMTU
	for _, h := range ifs {
		if h.conn != nil {
			least = min(least, h.told.MTU)
		}
	}
	if c.Fragmentation {
		least = (min(least, meshFragment) - meshFragHead) * meshFrags
	}
	return min(c.MTU, least-meshHeader)
}

// meshView is what Mesh adds to the core's own status: hard interfaces that
// the core does not know, and what the sockets have lost.
type meshView struct {
	name   string // of the mesh device
	ifs    []hardIfView
	radios []*admin.WifiLink
	air    map[int]airTime // by index of the device; not changed any more
}

// hardIfView is one hard interface. lost is safe for concurrent use; nil if
// there is no socket.
type hardIfView struct {
	name, problem, mtuNote string
	lost                   func() map[string]uint64
}

// publish shows the hard interfaces to Mesh.
func (m *meshRun) publish() {
	v := meshView{name: m.cfg.Name}
	for _, h := range m.ifs {
		v.ifs = append(v.ifs, h.view())
	}
	v.radios, v.air = m.radioViews()
	m.d.mu.Lock()
	m.d.meshView = v
	m.d.mu.Unlock()
}

// completeMesh adds to s what the core does not know.
func (d *Daemon) completeMesh(s *mesh.Status) {
	d.mu.Lock()
	v := d.meshView
	d.mu.Unlock()
	s.MeshIf = v.name
	for _, h := range v.ifs {
		i := slices.IndexFunc(s.Ifaces, func(i mesh.IfaceStatus) bool { return i.Name == h.name })
		if i < 0 {
			i = len(s.Ifaces)
			s.Ifaces = append(s.Ifaces, mesh.IfaceStatus{Name: h.name, Drops: map[string]uint64{}})
		}
		if h.problem != "" {
			s.Ifaces[i].Problem = h.problem
		}
		s.Ifaces[i].MTUNote = h.mtuNote
		if h.lost != nil {
			maps.Copy(s.Ifaces[i].Drops, h.lost())
		}
	}
}
