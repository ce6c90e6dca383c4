package main

import (
	"context"
	"fmt"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// relays are how many nodes stand between the ends.
var relays = []int{1, 2, 4}

// measureRate compares TCP across relays: over the overlay in the mesh, over
// the mesh alone, and over the overlay hop by hop, by ours and by cjdroute.
func measureRate(o options) error {
	fmt.Printf("\nTCP, Mbit/s, median of %d; seconds of processor of all nodes for a GByte\n%-34s", o.runs, "relays between the ends")
	for _, n := range relays {
		fmt.Printf("%16d", n)
	}
	fmt.Println()
	for _, k := range []struct {
		name string
		line func(r *rig.Rig, o options, n int) (line, error)
	}{
		{"overlay over the mesh", meshLine(true)},
		{"mesh alone", meshLine(false)},
		{"overlay hop by hop", hopLine(false)},
		{"cjdroute hop by hop", hopLine(true)},
	} {
		if k.name == "cjdroute hop by hop" && o.stock == "" {
			fmt.Printf("%-34s CJDROUTE does not name one\n", k.name)
			continue
		}
		fmt.Printf("%-34s", k.name)
		for _, n := range relays {
			rate, cpu, err := rateOf(o, n, k.line)
			if err != nil {
				return fmt.Errorf("%s over %d: %w", k.name, n, err)
			}
			fmt.Printf("%9.1f %6.1f", rate, cpu)
		}
		fmt.Println()
	}
	return nil
}

// line is a row of nodes that work.
type line struct {
	from, to *rig.Node
	addr     string // of the last one
	daemons  []*rig.Proc
}

// rateOf builds a line and measures it.
func rateOf(o options, n int, build func(*rig.Rig, options, int) (line, error)) (rate, cpu float64, err error) {
	r := rig.New(rig.Config{})
	defer r.Close()
	r.CloseOnSignal()
	l, err := build(r, o, n)
	if err != nil {
		return 0, 0, err
	}
	if _, err := reach(l.from, l.addr, time.Now()); err != nil {
		return 0, 0, err
	}
	l.to.Start("iperf3", "iperf3", "-s")
	time.Sleep(3 * time.Second)
	used := func() (sum time.Duration) {
		for _, d := range l.daemons {
			sum += d.CPU()
		}
		return sum
	}
	var rates, costs []float64
	for range o.runs {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(o.secs)*time.Second+30*time.Second)
		before := used()
		rep, err := l.from.Iperf(ctx, l.addr, o.secs)
		cancel()
		if err != nil {
			return 0, 0, err
		}
		rates = append(rates, rep.End.Received.Bits/1e6)
		costs = append(costs, (used()-before).Seconds()/(rep.End.Received.Bytes/1e9))
	}
	return median(rates), median(costs), nil
}

// cable joins two nodes by right of the first and left of the second.
func cable(r *rig.Rig, a, b *rig.Node) {
	r.Veth(rig.End{Node: a, Dev: "right"}, rig.End{Node: b, Dev: "left"})
	for _, e := range []rig.End{{Node: a, Dev: "right"}, {Node: b, Dev: "left"}} {
		e.Node.IP("link", "set", e.Dev, "mtu", "1532")
	}
}

// meshLine makes  a ── s1 … sn ── b  where the relays know nothing of identity
// and overlay. The address is b's in the overlay, or that of its mesh device.
func meshLine(overlay bool) func(*rig.Rig, options, int) (line, error) {
	return func(r *rig.Rig, o options, n int) (l line, err error) {
		var hosts []*rig.Host
		for k := range n + 2 {
			h := r.Node(fmt.Sprintf("n%d", k)).Agent(o.agent)
			h.Spec.Mesh = &rig.MeshSpec{OrigInterval: 200 * time.Millisecond, Options: []string{"bridge_loop_avoidance", "0"}}
			if k > 0 && k <= n {
				h.Spec.NoTUN = true
				h.Spec.Mesh.Options = append(h.Spec.Mesh.Options, "identity", "0")
			}
			if k > 0 {
				cable(r, hosts[k-1].Node, h.Node)
				hosts[k-1].Spec.Mesh.HardIfs = append(hosts[k-1].Spec.Mesh.HardIfs, "right")
				h.Spec.Mesh.HardIfs = append(h.Spec.Mesh.HardIfs, "left")
			}
			hosts = append(hosts, h)
		}
		start(hosts...)
		a, b := hosts[0], hosts[n+1]
		l = line{from: a.Node, to: b.Node, addr: b.IP()}
		for _, h := range hosts {
			l.daemons = append(l.daemons, h.Proc)
		}
		if !overlay {
			l.addr = "10.7.0.2"
			for k, h := range []*rig.Host{a, b} {
				if !rig.Until(patience, 50*time.Millisecond, func() bool { _, err := h.Node.Counters("bat0"); return err == nil }) {
					return l, fmt.Errorf("%s makes no bat0: %s", h.Node.Name, h.Proc.Tail(5))
				}
				h.Node.IP("addr", "add", fmt.Sprintf("10.7.0.%d/24", k+1), "dev", "bat0")
			}
		}
		return l, nil
	}
}

// hopLine makes the same of nodes of the overlay that peer by Ethernet beacons,
// each with its neighbours.
func hopLine(stock bool) func(*rig.Rig, options, int) (line, error) {
	return func(r *rig.Rig, o options, n int) (l line, err error) {
		var hosts []*rig.Host
		for k := range n + 2 {
			node := r.Node(fmt.Sprintf("n%d", k))
			h := node.Agent(o.agent)
			if stock {
				h = node.StockNode(o.stock)
			}
			if k > 0 {
				cable(r, hosts[k-1].Node, node)
				hosts[k-1].Spec.Eth = append(hosts[k-1].Spec.Eth, rig.EthSpec{Dev: "right", Beacon: rig.BeaconSend})
				h.Spec.Eth = append(h.Spec.Eth, rig.EthSpec{Dev: "left", Beacon: rig.BeaconSend})
			}
			hosts = append(hosts, h)
		}
		start(hosts...)
		for k := range n + 1 {
			if !rig.WaitPeer(hosts[k], hosts[k+1], patience) {
				return l, fmt.Errorf("%s and its neighbour are no peers", hosts[k].Node.Name)
			}
		}
		l = line{from: hosts[0].Node, to: hosts[n+1].Node, addr: hosts[n+1].IP()}
		for _, h := range hosts {
			l.daemons = append(l.daemons, h.Proc)
		}
		return l, nil
	}
}
