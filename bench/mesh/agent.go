package main

import (
	"fmt"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// clientMAC is the address of the i-th node's bat0.
func clientMAC(i int) string { return fmt.Sprintf("02:00:00:00:01:%02x", i+1) }

// meshagent is ours. Its devices are made before it starts, with addresses and
// neighbours, so that neither ARP nor the set-up counts as routing.
var meshagent = kind{
	name: "meshagent",
	prepare: func(w *world) error {
		w.taps(false)
		for i, n := range w.nodes {
			a := fmt.Sprintf("10.7.0.%d", i+1)
			n.IP("tuntap", "add", "bat0", "mode", "tap")
			n.Sysctl("ipv6/conf/bat0/disable_ipv6", "1")
			n.IP("link", "set", "bat0", "address", clientMAC(i), "up")
			n.IP("addr", "add", a+"/24", "dev", "bat0")
			for j := range w.nodes {
				if i != j {
					n.IP("neigh", "replace", fmt.Sprintf("10.7.0.%d", j+1), "lladdr", clientMAC(j), "dev", "bat0", "nud", "permanent")
				}
			}
			w.addrs = append(w.addrs, a)
		}
		return nil
	},
	start: func(w *world, o options) error {
		for i, n := range w.nodes {
			h := n.Agent(o.agent)
			h.Spec.NoTUN = true
			h.Spec.Mesh = agentMesh(o.interval, clientMAC(i))
			h.Start()
			w.procs = append(w.procs, h.Proc)
		}
		return nil
	},
}

// agentMesh is the mesh of one agent, without bridge loop avoidance: no two
// nodes share a LAN here.
func agentMesh(interval time.Duration, mac string) *rig.MeshSpec {
	return &rig.MeshSpec{
		OrigInterval: interval, HardIfs: []string{"wlan0"},
		Options: []string{"bridge_loop_avoidance", "0", "mac", mac},
	}
}
