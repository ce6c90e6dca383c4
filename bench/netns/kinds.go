package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// kind is one contestant.
type kind struct {
	name    string
	missing bool
	// start sets it up between two nodes and returns the address of the second
	// one and the daemons.
	start func(r *rig.Rig, a, b *rig.Node) (to string, daemons []*rig.Proc)
}

const addrA, addrB = "10.9.0.1", "10.9.0.2"

// cable joins the nodes by a veth, with IPv4 addresses or without.
func cable(r *rig.Rig, a, b *rig.Node, addresses bool) {
	ends := []rig.End{{Node: a, Dev: "eb"}, {Node: b, Dev: "ea"}}
	if addresses {
		ends[0].Addr, ends[1].Addr = addrA+"/24", addrB+"/24"
	}
	r.Veth(ends[0], ends[1])
}

func startVeth(r *rig.Rig, a, b *rig.Node) (string, []*rig.Proc) {
	cable(r, a, b, true)
	return addrB, nil
}

// startOverlay starts ours or a stock cjdroute, over UDP or, with Ethernet
// beacons, over AF_PACKET.
func startOverlay(bin string, stock, eth bool) func(*rig.Rig, *rig.Node, *rig.Node) (string, []*rig.Proc) {
	return func(r *rig.Rig, a, b *rig.Node) (string, []*rig.Proc) {
		cable(r, a, b, !eth)
		ha, hb := a.Agent(bin), b.Agent(bin)
		if stock {
			ha, hb = a.StockNode(bin), b.StockNode(bin)
		}
		if eth {
			ha.Spec.Eth = []rig.EthSpec{{Dev: "eb", Beacon: rig.BeaconSend}}
			hb.Spec.Eth = []rig.EthSpec{{Dev: "ea", Beacon: rig.BeaconSend}}
		} else {
			ha.Spec.UDP = []rig.UDPSpec{{Bind: "0.0.0.0:20001"}}
			hb.Spec.UDP = []rig.UDPSpec{{Bind: "0.0.0.0:20002"}}
			ha.Spec.Peers = []rig.PeerSpec{{Address: addrB + ":20002", Key: hb.ID.Key, Login: "a", Password: "bench"}}
			hb.Spec.Passwords = []rig.PasswordSpec{{Login: "a", Password: "bench"}}
		}
		ha.Start()
		hb.Start()
		ha.WaitUp(10 * time.Second)
		hb.WaitUp(10 * time.Second)
		return hb.IP(), []*rig.Proc{ha.Proc, hb.Proc}
	}
}

// startWireGuard starts wireguard-go. Its keys are those of overlay nodes,
// which are X25519 too.
func startWireGuard(bin string) func(*rig.Rig, *rig.Node, *rig.Node) (string, []*rig.Proc) {
	return func(r *rig.Rig, a, b *rig.Node) (string, []*rig.Proc) {
		cable(r, a, b, true)
		ids := []rig.Identity{rig.NewIdentity(), rig.NewIdentity()}
		var daemons []*rig.Proc
		for i, n := range []*rig.Node{a, b} {
			other := ids[1-i].Key
			conf := fmt.Sprintf("private_key=%s\nlisten_port=51820\npublic_key=%s\nendpoint=%s:51820\nallowed_ip=fd99::/64\n",
				ids[i].Private.Hex(), hex.EncodeToString(other[:]), []string{addrB, addrA}[i])
			file := filepath.Join(r.Dir, n.Name+"-wg.conf")
			if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
				panic(err)
			}
			daemons = append(daemons, n.Start("wgpeer", bin, "wg0", "1420", file))
			if !rig.Until(5*time.Second, 20*time.Millisecond, func() bool { _, err := n.Counters("wg0"); return err == nil }) {
				panic("wgpeer makes no device: " + daemons[i].Tail(5))
			}
			n.IP("addr", "add", fmt.Sprintf("fd99::%d/64", i+1), "dev", "wg0", "nodad")
			n.IP("link", "set", "wg0", "up")
		}
		return "fd99::2", daemons
	}
}
