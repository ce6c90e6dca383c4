package daemon

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/pkt"
)

// join is where overlay and mesh meet: the mesh is a link of the node, and
// tells it who is there. It belongs to the engine's goroutine.
type join struct {
	on   bool
	link uint16 // of the node; its frames go to the mesh
	// asks are the node's wishes to the mesh, gathered while its output is
	// carried out.
	asks []node.Ask
	// stale: what the mesh says about this node must be looked at again.
	stale bool
	self  mesh.Self
	// slow carries signatures to be made and checked. Writer: the engine.
	// Reader: slowWork. What does not fit is lost, and asked for again later.
	slow chan slowJob
}

// slowJob is work for slowWork. done takes its result, on the engine's
// goroutine.
type slowJob struct {
	job interface {
		Run(k *cjdns.SigningKey, rand func([]byte))
	}
	done func(now mono.Time)
}

// slowJobs is the length of the queue; the mesh gives one at a time, and so do
// the supernode client and the supernode role.
const slowJobs = 8

// slowly gives j to slowWork, if there is room.
func (e *engine) slowly(j slowJob) {
	select {
	case e.join.slow <- j:
	default:
	}
}

// nodeJobs gives slowWork the jobs of the node.
func (e *engine) nodeJobs() {
	for _, j := range e.out.Jobs {
		e.slowly(slowJob{j, func(now mono.Time) { e.node.JobDone(now, j, &e.out) }})
	}
	clear(e.out.Jobs)
	e.out.Jobs = e.out.Jobs[:0]
}

// settleRounds bounds how often overlay and mesh hand each other frames in one
// step. An answer to an answer can wait for the next one.
const settleRounds = 4

// settle carries out what the cores want. What one wants of the other may make
// that one want something too.
func (e *engine) settle(now mono.Time) {
	for range settleRounds {
		e.flush(now)
		if e.mesh == nil {
			return
		}
		e.mesh.expire(now)
		e.tellMesh(now)
		more := e.fromMesh(now)
		e.mesh.flush(now, &e.pool)
		if !more {
			return
		}
	}
}

// toMesh takes the frames for the mesh out of the node's output.
func (e *engine) toMesh(now mono.Time) {
	if !e.join.on || e.mesh == nil {
		return
	}
	all := e.out.Frames.Bufs
	kept := all[:0]
	for _, b := range all {
		if b.Port == e.join.link {
			e.mesh.mesh.SendOverlay(now, b, &e.mesh.out)
		} else {
			kept = append(kept, b)
		}
	}
	clear(all[len(kept):])
	e.out.Frames.Bufs = kept
}

// fromMesh gives the node what the mesh has for it, and slowWork its jobs. It
// reports whether the node may have something to send now.
func (e *engine) fromMesh(now mono.Time) bool {
	o := &e.mesh.out
	core := e.mesh
	for _, j := range o.Jobs {
		e.slowly(slowJob{j, func(now mono.Time) {
			if e.mesh == core { // else nobody waits for it any more
				core.mesh.JobDone(now, j, &core.out)
			}
		}})
	}
	clear(o.Jobs)
	o.Jobs = o.Jobs[:0]
	if len(o.Nodes)+o.Overlay.Len() == 0 {
		return false
	}
	for i := range o.Nodes {
		if e.join.on {
			e.node.SetMeshNode(now, meshNode(&o.Nodes[i]), &e.out)
		}
		e.community.meshNode(now, &o.Nodes[i])
	}
	clear(o.Nodes)
	o.Nodes = o.Nodes[:0]
	if !e.join.on {
		o.Overlay.Recycle(&e.pool)
		return false
	}
	for _, b := range o.Overlay.Bufs {
		b.Port = e.join.link
	}
	e.node.FromLink(now, &o.Overlay, &e.out)
	return true
}

// meshLost forgets what a core of the mesh told that is no more.
func (e *engine) meshLost(now mono.Time) {
	e.join.stale = true // the next one knows nothing of us yet
	e.node.MeshLost(now, &e.out)
	e.community.unknown = nil
}

func meshNode(c *mesh.NodeChange) node.MeshNode {
	return node.MeshNode{
		Key: c.Key, IP: c.IP, MAC: c.MAC, Metric: c.Metric, Cost: c.Cost, Guessed: c.Guessed, Uplink: c.Uplink, Reachable: c.Reachable, Boot: c.Boot,
	}
}

// tellMesh passes on the node's wishes, and what the mesh announces of it.
func (e *engine) tellMesh(now mono.Time) {
	m := e.mesh
	for _, a := range e.join.asks {
		switch a.Kind {
		case node.AskAvoid:
			if !m.mesh.Avoid(now, a.MAC, &m.out) {
				e.node.NotAvoided(now, a.MAC)
			}
		case node.AskRecord:
			m.mesh.AskRecord(now, a.MAC, &m.out)
		}
	}
	e.join.asks = e.join.asks[:0]
	if e.join.stale {
		e.join.stale = false
		s := e.join.self
		s.Uplink = e.node.HasUplink()
		e.community.self(&s)
		m.mesh.SetSelf(now, s, &m.out)
	}
}

// peerChanged follows the peers: those on other links are a way out of the
// mesh, and a session with one over the mesh proves that it is alive.
func (e *engine) peerChanged(now mono.Time, p node.PeerInfo, up bool) {
	e.community.peer(now, p, up)
	switch {
	case !e.join.on || p.Link != e.join.link:
		e.join.stale = true
	case e.mesh != nil && p.Addr.Kind == pkt.AddrMAC:
		e.mesh.mesh.SetStanding(now, p.Key, p.Addr.MAC(), up)
	}
}

// slowWork makes and checks signatures, one after the other, on a thread that
// gives way to everything else on this machine.
func (d *Daemon) slowWork(ctx context.Context) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 10)
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-d.engine.join.slow:
			s.job.Run(d.sign, random)
			d.engine.do(ctx, s.done)
		case j := <-d.engine.community.slow:
			j.Run(d.sign, random)
			d.engine.do(ctx, func(now mono.Time) { d.engine.community.jobDone(now, j) })
		}
	}
}

// joinLink makes the mesh a link of the node, or follows its MTU, or takes it
// away. Supervisor goroutine.
func (m *meshRun) joinLink(ctx context.Context) {
	want := node.LinkConfig{}
	if m.running && m.cfg.Identity {
		want = node.LinkConfig{Kind: node.LinkMesh, Name: m.cfg.Name, Bind: m.cfg.Name, MTU: m.overlayMTU()}
	}
	if want.Name == m.link.Name && want.MTU == m.link.MTU {
		return
	}
	if m.index == nil {
		i := m.d.links.index()
		m.index = &i
	}
	index := *m.index
	m.link = want
	e := m.d.engine
	e.do(ctx, func(now mono.Time) {
		e.join.on, e.join.link, e.join.stale = want.Name != "", index, true
		if e.join.on {
			e.node.SetLink(now, index, want, &e.out)
		} else {
			e.node.RemoveLink(now, index, &e.out)
		}
	})
}

// overlayHeader is what stands before a CryptoAuth frame in the mesh.
// Source: docs/protocol/identity.md, packets of type 0x6D.
const overlayHeader = 22

// overlayMTU is the longest CryptoAuth frame that no hard interface has to
// cut, at least one that carries the smallest IPv6 packet that must fit.
func (m *meshRun) overlayMTU() int {
	least := pkt.MaxMTU
	for _, h := range m.ifs {
		if h.conn != nil {
			least = min(least, h.told.MTU)
		}
	}
	return max(least, 1400) - overlayHeader
}

// joinSelf tells the mesh what only the daemon knows of this node. Supervisor
// goroutine.
func (d *Daemon) joinSelf(ctx context.Context) {
	var s mesh.Self
	if now := time.Now(); clockBelievable(now) {
		s.Clock = uint32(now.Unix()) //nolint:gosec // until 2106
	}
	d.engine.do(ctx, func(mono.Time) {
		d.engine.join.self, d.engine.join.stale = s, true
	})
}

// admit tells the node whether every verified node may peer over the mesh
// without a password, or only those whom applyAdmission names. Supervisor
// goroutine.
func (m *meshRun) admit(ctx context.Context) {
	if m.admits == m.cfg.Admit {
		return
	}
	m.admits = m.cfg.Admit
	mode := node.AdmitListed
	if m.cfg.Admit == config.AdmitAny {
		mode = node.AdmitAny
	}
	m.d.engine.do(ctx, func(mono.Time) { m.d.engine.node.SetAdmission(mode) })
}
