package main

import (
	"fmt"
	"os"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/hw/rig"
)

// What the memory is measured with.
const (
	crowdOriginators = 200
	crowdClients     = 10 // of each
)

// measureMemory feeds one agent with a crowd and prints its memory before and
// with it.
func measureMemory(o options) (err error) {
	r := rig.New(rig.Config{})
	defer r.Close()
	defer func() {
		if p := recover(); p != nil { // a building step that failed
			err = fmt.Errorf("%v", p)
		}
	}()
	r.CloseOnSignal()
	n := r.Node("n1")
	cable := r.Medium(rig.End{Node: n, Dev: "wlan0"}, rig.End{Node: r.Node("crowd"), Dev: "eth0"}, 1)
	h := n.Agent(o.agent)
	h.Spec.NoTUN = o.signed == 0
	h.Spec.Mesh = agentMesh(o.interval, clientMAC(0))
	h.Start()
	h.WaitUp(10 * time.Second)
	time.Sleep(3 * time.Second)
	alone := h.Proc.RSS()
	if o.signed > 0 {
		return measureSigned(o, h, cable, alone)
	}
	c := &crowd{cable: cable, originators: crowdOriginators, clients: crowdClients, rounds: 20}
	cable.Watch(c.echo)
	stop := make(chan struct{})
	defer close(stop)
	go c.run(o.interval, stop)
	// our own entries and those of the neighbour count too, so "at least"
	if !rig.Until(o.limit, time.Second, func() bool {
		origs, clients, _ := crowdSeen(h)
		return origs >= crowdOriginators && clients >= crowdOriginators*crowdClients
	}) {
		origs, clients, err := crowdSeen(h)
		return fmt.Errorf("the agent lists %d of %d originators and %d of %d clients (%w)", origs, crowdOriginators, clients, crowdOriginators*crowdClients, err)
	}
	time.Sleep(o.settle)
	before, cpu := h.Proc.RSS(), h.Proc.CPU()
	time.Sleep(o.rest)
	rss := max(before, h.Proc.RSS())
	fmt.Printf("meshagent with %d originators and %d clients, an OGM of each every %v: RSS %.1f MB (%.1f MB alone), CPU %.1f %%\n",
		crowdOriginators, crowdOriginators*crowdClients, o.interval, mb(rss), mb(alone),
		(h.Proc.CPU()-cpu).Seconds()*100/o.rest.Seconds())
	if o.verbose {
		fmt.Fprintln(os.Stderr, h.Proc.Tail(5))
	}
	return o.budget(alone, rss)
}

// measureSigned is measureMemory with neighbours that sign and peer.
func measureSigned(o options, h *rig.Host, cable *rig.Medium, alone int64) error {
	agent, err := cjdns.ParseIP(h.IP())
	if err != nil {
		return err
	}
	c, err := newSignedCrowd(cable, agent, o.signed, o.interval)
	if err != nil {
		return err
	}
	cable.Watch(c.listen)
	stop := make(chan struct{})
	defer close(stop)
	go c.run(stop)
	var verified, peers int
	if !rig.Until(o.limit, time.Second, func() bool {
		verified, peers = signedSeen(h)
		return verified >= o.signed && peers >= o.signed
	}) {
		return fmt.Errorf("of %d nodes %d are verified and %d are peers", o.signed, verified, peers)
	}
	time.Sleep(o.settle)
	rss, cpu := h.Proc.RSS(), h.Proc.CPU()
	time.Sleep(o.rest)
	rss = max(rss, h.Proc.RSS())
	verified, peers = signedSeen(h)
	fmt.Printf("meshagent with %d verified neighbours, %d of them peers, an OGM of each every %v: RSS %.1f MB (%.1f MB alone), CPU %.1f %%\n",
		verified, peers, o.interval, mb(rss), mb(alone), (h.Proc.CPU()-cpu).Seconds()*100/o.rest.Seconds())
	return o.budget(alone, rss)
}

// budget is the error of an agent that is too large.
func (o options) budget(alone, rss int64) error {
	for _, c := range []struct {
		what string
		is   int64
		most float64
	}{{"alone", alone, o.mostAlone}, {"in the mesh", rss, o.most}} {
		if c.most > 0 && mb(c.is) > c.most {
			return fmt.Errorf("RSS %s: %.1f MiB, %.1f at most", c.what, mb(c.is), c.most)
		}
	}
	return nil
}

// signedSeen counts the originators whose address the agent has verified, and
// the peerings that stand.
func signedSeen(h *rig.Host) (verified, peers int) {
	var list []struct {
		Best bool   `json:"best"`
		Key  string `json:"identity_key"`
	}
	_ = h.Bat(&list, "o") // what fails counts as nothing seen
	for _, o := range list {
		if o.Best && o.Key != "" {
			verified++
		}
	}
	all, _ := h.Peers()
	for _, p := range all {
		if p.State == "ESTABLISHED" {
			peers++
		}
	}
	return verified, peers
}

func mb(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// crowdSeen counts what the agent lists.
func crowdSeen(h *rig.Host) (originators, clients int, err error) {
	list, err := h.Originators()
	if err != nil {
		return 0, 0, err
	}
	for _, o := range list {
		if o.Best {
			originators++
		}
	}
	var global []rig.BatGlobal
	err = h.Bat(&global, "tg")
	return originators, len(global), err
}
