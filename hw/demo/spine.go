package main

import (
	"fmt"
	"path/filepath"

	"github.com/meshagent/meshagent/hw/rig"
)

const picture = `
   n1 ──udp── n2 ──udp── n3 ──┬── n4
                              └── n5     n3, n4, n5: one Ethernet segment
`

// spine builds the network of the picture.
func spine(r *rig.Rig, bin string) (hosts []*rig.Host) {
	for i := range 5 {
		h := r.Node(fmt.Sprintf("n%d", i+1)).Agent(bin)
		h.Socket = filepath.Join(r.Dir, h.Node.Name) // short: people copy it
		hosts = append(hosts, h)
	}
	lan := r.Segment("lan")
	for i, h := range hosts {
		if i >= 2 {
			lan.Join(rig.End{Node: h.Node, Dev: "eth0"})
			h.Spec.Eth = []rig.EthSpec{{Dev: "eth0", Beacon: rig.BeaconSend}}
		}
	}
	for i := range 2 {
		a, b := hosts[i], hosts[i+1]
		to := fmt.Sprintf("10.9.%d.2", i+1)
		r.Veth(rig.End{Node: a.Node, Dev: "right", Addr: fmt.Sprintf("10.9.%d.1/24", i+1)}, rig.End{Node: b.Node, Dev: "left", Addr: to + "/24"})
		password := "of-" + b.Node.Name
		b.Spec.Passwords = []rig.PasswordSpec{{Login: a.Node.Name, Password: password}}
		a.Spec.Peers = []rig.PeerSpec{{Address: to + ":20000", Key: b.ID.Key, Login: a.Node.Name, Password: password}}
	}
	for _, h := range hosts[:3] {
		h.Spec.UDP = []rig.UDPSpec{{Bind: "0.0.0.0:20000"}}
	}
	var names []string
	for _, h := range hosts {
		names = append(names, h.IP()+" "+h.Node.Name)
	}
	for _, h := range hosts {
		h.Node.Hosts(names...)
	}
	return hosts
}
