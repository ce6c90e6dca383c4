package daemon

import (
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/netio"
	"github.com/meshagent/meshagent/agent/pkt"
)

// meshCore is the mesh with its hands. It belongs to the engine's goroutine.
type meshCore struct {
	mesh  *mesh.Mesh
	out   mesh.Out
	air   writer // hard interfaces
	tap   netio.Conn
	waits map[uint64]chan meshAnswer // commands that wait for a Reply
	log   *meshLog
}

// meshAnswer is a reply of the mesh and when it came.
type meshAnswer struct {
	mesh.Reply
	at mono.Time
}

func newMeshCore(o mesh.Options, now mono.Time, pool *pkt.Pool, log *meshLog) *meshCore {
	c := &meshCore{mesh: mesh.New(o, now), waits: make(map[uint64]chan meshAnswer), log: log}
	c.out.Pool = pool
	return c
}

// deadline is when expire wants to be called next.
func (c *meshCore) deadline() mono.Time {
	if c == nil {
		return mono.Never
	}
	return c.mesh.Deadline()
}

func (c *meshCore) expire(now mono.Time) {
	if now >= c.mesh.Deadline() {
		c.mesh.Expire(now, &c.out)
	}
}

// take gives frames to the mesh, which takes the buffers.
func (c *meshCore) take(now mono.Time, bufs []*pkt.Buf, clients bool) {
	for _, b := range bufs {
		if clients {
			c.mesh.HandleClient(now, b, &c.out)
		} else {
			c.mesh.HandleFrame(now, b, &c.out)
		}
	}
}

// flush carries out what the mesh wants.
func (c *meshCore) flush(now mono.Time, pool *pkt.Pool) {
	c.air.write(&c.out.Frames, pool)
	writeLocal(c.tap, &c.out.Clients, pool)
	for i := range c.out.Replies {
		c.answer(meshAnswer{c.out.Replies[i], now})
	}
	for _, ev := range c.out.Events {
		c.log.event(ev)
	}
	clear(c.out.Replies) // they hold slices
	c.out.Replies, c.out.Events = c.out.Replies[:0], c.out.Events[:0]
}

// answer hands a reply to the command that waits for it.
func (c *meshCore) answer(a meshAnswer) {
	if ch := c.waits[a.ID]; ch != nil {
		delete(c.waits, a.ID)
		ch <- a // has room for one, and gets one
	}
}

// end answers all that wait: the mesh goes away.
func (c *meshCore) end(now mono.Time) {
	for id := range c.waits {
		c.answer(meshAnswer{mesh.Reply{ID: id, Err: "the mesh was switched off"}, now})
	}
}
