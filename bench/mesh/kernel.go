package main

import (
	"fmt"
	"time"

	"github.com/meshagent/meshagent/hw/guest"
	"github.com/meshagent/meshagent/hw/rig"
)

// kernel is batman-adv of a kernel in a guest: nine nodes in namespaces of
// one guest, each with two network cards. One is on the air; the other is
// bridged with bat0 and ends in the node of the rig, where the probes are.
func kernel(name string) kind {
	k := kind{name: "linux-" + name, kernel: name}
	k.prepare = func(w *world) error {
		for i, n := range w.nodes {
			a := fmt.Sprintf("10.7.0.%d", i+1)
			w.radioLANs = append(w.radioLANs, w.lab.LAN())
			w.radioLANs[i].Join(rig.End{Node: n, Dev: "wlan0"})
			w.join(w.air.Attach(rig.End{Node: n, Dev: "wlan0"}), "")
			w.clientLANs = append(w.clientLANs, w.lab.LAN())
			w.clientLANs[i].Join(rig.End{Node: n, Dev: "lan0"})
			n.IP("link", "set", "lan0", "down")
			n.IP("link", "set", "lan0", "address", clientMAC(i), "up")
			n.IP("addr", "add", a+"/24", "dev", "lan0")
			for j := range w.nodes {
				if i != j {
					n.IP("neigh", "replace", fmt.Sprintf("10.7.0.%d", j+1), "lladdr", clientMAC(j), "dev", "lan0", "nud", "permanent")
				}
			}
			w.addrs = append(w.addrs, a)
		}
		return nil
	}
	k.start = func(w *world, o options) error {
		g := w.lab.Start(guest.Config{Name: "nodes", Kernel: name, NICs: 2 * len(w.nodes), MemMB: 256})
		for i, n := range w.nodes {
			m := g.Mesh(n.Name, guest.MeshConfig{Interval: int(o.interval / time.Millisecond), Client: w.clientLANs[i]}, w.radioLANs[i])
			w.macs[m.MAC()] = i
		}
		return nil
	}
	return k
}
