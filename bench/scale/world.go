package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/hw/rig"
)

// world is a network of agents.
type world struct {
	rig    *rig.Rig
	graph  graph
	hosts  []*rig.Host
	snodes []int     // which are supernodes
	began  time.Time // first process
	say    func(format string, args ...any)
}

// dev is the name of a node's end of link i.
func dev(i int) string { return fmt.Sprintf("c%d", i) }

// addr is the address of one end, 0 or 1, of link i.
func addr(i, end int) string { return fmt.Sprintf("10.%d.%d.%d", i/256, i%256, end+1) }

// build lays the cables and writes who dials whom: the first end of a link
// dials the second. Nothing else is configured.
func build(o options, g graph) *world {
	w := &world{rig: rig.New(rig.Config{}), graph: g, say: func(string, ...any) {}}
	if o.verbose {
		w.say = func(f string, a ...any) { fmt.Printf("# "+f+"\n", a...) }
	}
	every := g.n
	if o.supernodes > 0 {
		every = max(1, g.n/o.supernodes)
	}
	for i := range g.n {
		h := w.rig.Node(fmt.Sprintf("n%d", i)).Agent(o.agent)
		h.Spec = rig.Spec{
			NoTUN: true, LogLevel: "warn", UDP: []rig.UDPSpec{{Bind: "0.0.0.0:5000"}},
			Passwords: []rig.PasswordSpec{{Login: "scale", Password: "a password of the bench"}},
			Snode:     o.supernodes > 0 && i%every == every/2,
		}
		if h.Spec.Snode {
			w.snodes = append(w.snodes, i)
		}
		w.hosts = append(w.hosts, h)
	}
	for i, l := range g.links {
		a, b := w.hosts[l[0]], w.hosts[l[1]]
		w.rig.Veth(rig.End{Node: a.Node, Dev: dev(i), Addr: addr(i, 0) + "/30"}, rig.End{Node: b.Node, Dev: dev(i), Addr: addr(i, 1) + "/30"})
		a.Spec.Peers = append(a.Spec.Peers, rig.PeerSpec{Address: addr(i, 1) + ":5000", Key: b.ID.Key, Login: "scale", Password: "a password of the bench"})
	}
	return w
}

// start starts all agents and waits until each serves.
func (w *world) start() {
	w.began = time.Now()
	for _, h := range w.hosts {
		h.Start()
	}
	for _, h := range w.hosts {
		h.WaitUp(time.Minute)
	}
}

// cut takes the cable of link i out, or plugs it in again.
func (w *world) cut(i int, out bool) {
	state := "up"
	if out {
		state = "down"
	}
	w.hosts[w.graph.links[i][0]].Node.IP("link", "set", dev(i), state)
}

// each calls f for every node at once and returns the first error.
func (w *world) each(f func(i int) error) (err error) {
	var wg sync.WaitGroup
	var once sync.Once
	for i := range w.hosts {
		wg.Go(func() {
			if e := f(i); e != nil {
				once.Do(func() { err = e })
			}
		})
	}
	wg.Wait()
	return err
}

// ping asks one agent to ping another once; the label is that of the way.
func (w *world) ping(from, to int, wait time.Duration) (label cjdns.Label, ok bool) {
	var res struct {
		Replies []struct{ Via, Error string }
	}
	err := w.hosts[from].Call("ping", map[string]any{"target": w.hosts[to].IP(), "timeout_ms": wait.Milliseconds()}, &res)
	if err != nil || len(res.Replies) != 1 || res.Replies[0].Error != "" {
		return 0, false
	}
	label, err = cjdns.ParseLabel(res.Replies[0].Via)
	return label, err == nil
}
