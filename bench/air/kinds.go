package main

import (
	"fmt"

	"github.com/meshagent/meshagent/hw/air"
	"github.com/meshagent/meshagent/hw/rig"
)

// kind is one contestant.
type kind struct {
	name    string
	algo    string
	kernel  bool // the kernel's batman-adv
	overlay bool // the flow goes between overlay addresses
}

var kinds = []kind{
	{name: "agent-IV", algo: "BATMAN_IV"},
	{name: "kernel-IV", algo: "BATMAN_IV", kernel: true},
	{name: "agent-V", algo: "BATMAN_V"},
	{name: "kernel-V", algo: "BATMAN_V", kernel: true},
	{name: "overlay", algo: "BATMAN_IV", overlay: true},
}

func kindNames() (list []string) {
	for _, k := range kinds {
		list = append(list, k.name)
	}
	return list
}

// router is a node of the mesh, whatever makes it one.
type router struct {
	node  *rig.Node
	radio *air.Radio
	agent *air.Station // nil: the kernel's
	addr  string       // where the flow goes to
}

// meshMAC and meshAddr are those of the i-th router's bat0.
func meshMAC(i int) string  { return fmt.Sprintf("02:00:00:01:00:%02x", i+1) }
func meshAddr(i int) string { return fmt.Sprintf("10.7.0.%d", i+1) }

// routers makes so many of them, in one cell, without a mesh yet.
func (k kind) routers(w *air.World, count int) (list []*router) {
	for i := range count {
		r := &router{addr: meshAddr(i)}
		name := fmt.Sprintf("n%d", i+1)
		if k.kernel {
			r.node = w.Node(name)
			r.radio = w.Radio(r.node, air.RadioSpec{})
		} else {
			r.agent = w.Station(name, air.RadioSpec{})
			r.node, r.radio = r.agent.Node, r.agent.Radio
			r.agent.Spec.Mesh.Algo = k.algo
		}
		if k.overlay {
			r.addr = r.agent.IP()
		}
		if err := r.radio.Join(cell); err != nil {
			w.Fatalf("%s: %v", name, err)
		}
		list = append(list, r)
	}
	return list
}

// begin makes the meshes. Neighbours are entered by hand: what is measured is
// the routing, not ARP.
func (k kind) begin(w *air.World, list []*router) {
	for i, r := range list {
		n := r.node
		if k.overlay {
			r.agent.Start()
			continue
		}
		if k.kernel {
			n.IP("link", "add", "bat0", "type", "batadv", "ra", k.algo)
			w.Output(n, "batctl", "meshif", "bat0", "bridge_loop_avoidance", "0") // as the agents have it
		} else {
			n.IP("tuntap", "add", "bat0", "mode", "tap")
		}
		n.Sysctl("ipv6/conf/bat0/disable_ipv6", "1")
		n.IP("link", "set", "bat0", "address", meshMAC(i))
		if k.kernel {
			n.IP("link", "set", r.radio.Dev, "master", "bat0")
		}
		n.IP("link", "set", "bat0", "up")
		n.IP("addr", "add", r.addr+"/24", "dev", "bat0")
		for j := range list {
			if i != j {
				n.IP("neigh", "replace", meshAddr(j), "lladdr", meshMAC(j), "dev", "bat0", "nud", "permanent")
			}
		}
		if !k.kernel {
			r.agent.Spec.NoTUN = true
			r.agent.Spec.Mesh.Options = append(r.agent.Spec.Mesh.Options, "mac", meshMAC(i))
			r.agent.Start()
		}
	}
}
