package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/pkt"
	"github.com/meshagent/meshagent/hw/rig"
)

// signedCrowd plays nodes that are all neighbours of one agent, each with the
// true cores of an agent: signed OGMs, and a peering over the mesh. They do
// not hear each other.
type signedCrowd struct {
	cable   *rig.Medium // end A is the agent's
	agent   cjdns.IP
	members []*member
	heard   chan []byte // frames of the agent
	pool    pkt.Pool
	start   time.Time
}

type member struct {
	mac      batman.MAC
	sign     *cjdns.SigningKey
	mesh     *mesh.Mesh
	node     *node.Node
	mout     mesh.Out
	nout     node.Out
	nextPing mono.Time
}

func random(b []byte) { _, _ = rand.Read(b) } // it never fails

func newSignedCrowd(cable *rig.Medium, agent cjdns.IP, n int, interval time.Duration) (*signedCrowd, error) {
	c := &signedCrowd{cable: cable, agent: agent, heard: make(chan []byte, 4096), start: time.Now()}
	for i := range n {
		id := cryptoauth.GenerateIdentity(random)
		m := &member{mac: crowdMAC(i), sign: cjdns.NewSigningKey(id.Private)}
		o := mesh.Options{Config: mesh.Default(), Signer: m.sign.Public(), Boot: 1}
		o.OrigInterval, o.Aggregation = interval, false
		random(o.Seed[:])
		m.mesh = mesh.New(o, 0)
		m.node = node.New(node.Config{Identity: id, Rand: random, Program: "bench"}, 0)
		m.mout.Pool, m.nout.Pool = &c.pool, &c.pool
		if err := m.mesh.SetIface(0, 0, mesh.IfaceConfig{Name: "wlan0", MAC: m.mac, MTU: 1500}, &m.mout); err != nil {
			return nil, err
		}
		m.node.SetLink(0, 0, node.LinkConfig{Kind: node.LinkMesh, Name: "bat0", MTU: 1400}, &m.nout)
		m.nextPing = mono.Time(time.Duration(i) * 50 * time.Millisecond)
		c.members = append(c.members, m)
	}
	return c, nil
}

// listen is a Watch function: it keeps what the agent sends.
func (c *signedCrowd) listen(d rig.Dir, frame []byte) bool {
	if d == rig.AtoB {
		select {
		case c.heard <- bytes.Clone(frame):
		default: // lost
		}
	}
	return true
}

func (c *signedCrowd) run(stop <-chan struct{}) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case f := <-c.heard:
			for _, m := range c.members {
				if m.wants(f) {
					b := c.pool.Get()
					b.Set(f)
					m.mesh.HandleFrame(c.now(), b, &m.mout)
					c.settle(m)
				}
			}
		case <-tick.C:
			for _, m := range c.members {
				c.expire(m)
			}
		}
	}
}

func (c *signedCrowd) now() mono.Time { return mono.Time(time.Since(c.start)) }

// wants reports whether m hears a frame: those for it, the agent's own OGMs,
// and the agent's copies of its own.
func (m *member) wants(f []byte) bool {
	if len(f) < 15 || binary.BigEndian.Uint16(f[12:]) != batman.EtherType {
		return false
	}
	if f[0]&1 == 0 {
		return bytes.Equal(f[:6], m.mac[:])
	}
	if f[14] != byte(batman.TypeIVOGM) {
		return false // client broadcasts do not matter here
	}
	o, _, _, err := batman.ParseOGM(f[14:])
	return err == nil && (o.Orig == m.mac || o.Orig == batman.MAC(f[6:12]))
}

func (c *signedCrowd) expire(m *member) {
	now := c.now()
	if now >= m.mesh.Deadline() {
		m.mesh.Expire(now, &m.mout)
	}
	if now >= m.node.Deadline() {
		m.node.Expire(now, &m.nout)
	}
	if now >= m.nextPing {
		m.nextPing = now.Add(5 * time.Second)
		m.node.Ping(now, uint64(now), c.agent, 4*time.Second, &m.nout)
	}
	c.settle(m)
}

// settle carries out what the cores of m want.
func (c *signedCrowd) settle(m *member) {
	for range 4 {
		now := c.now()
		for _, b := range m.nout.Frames.Bufs {
			m.mesh.SendOverlay(now, b, &m.mout)
		}
		m.nout.Frames.Bufs = m.nout.Frames.Bufs[:0]
		m.nout.TUN.Recycle(&c.pool)
		m.nout.Asks, m.nout.Replies, m.nout.Events = m.nout.Asks[:0], m.nout.Replies[:0], m.nout.Events[:0]
		jobs := m.mout.Jobs
		m.mout.Jobs = nil
		for _, j := range jobs {
			j.Run(m.sign, random)
			m.mesh.JobDone(now, j, &m.mout)
		}
		for i := range m.mout.Nodes {
			n := &m.mout.Nodes[i]
			m.node.SetMeshNode(now, node.MeshNode{Key: n.Key, IP: n.IP, MAC: n.MAC, Metric: n.Metric, Reachable: n.Reachable, Boot: n.Boot}, &m.nout)
		}
		m.mout.Nodes = m.mout.Nodes[:0]
		m.node.FromLink(now, &m.mout.Overlay, &m.nout)
		for _, b := range m.mout.Frames.Bufs {
			_ = c.cable.Inject(rig.BtoA, b.Bytes()) // fails only while the agent's device is down: lost
		}
		m.mout.Frames.Recycle(&c.pool)
		m.mout.Clients.Recycle(&c.pool)
		m.mout.Events, m.mout.Replies = m.mout.Events[:0], m.mout.Replies[:0]
		if len(m.nout.Frames.Bufs)+len(m.mout.Jobs) == 0 {
			return
		}
	}
}
