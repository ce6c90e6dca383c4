package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// options are the flags.
type options struct {
	agent, stock, wg string
	secs, runs       int
	idle             time.Duration
	csv              string
	kinds            []string
}

func main() {
	var o options
	var kinds string
	flag.StringVar(&o.agent, "agent", ".build/meshagent", "the meshagent to measure")
	flag.StringVar(&o.wg, "wg", "", "a built wgpeer; empty: build it with go")
	flag.IntVar(&o.secs, "secs", 5, "seconds of each throughput test")
	flag.IntVar(&o.runs, "runs", 1, "runs of each kind, in turn; the table shows medians")
	flag.DurationVar(&o.idle, "idle", 0, "also report the memory after this time without traffic, such as 1m")
	flag.StringVar(&o.csv, "csv", "", "write every run to this file")
	flag.StringVar(&kinds, "kinds", "", "of veth, wireguard-go, cjdroute, cjdroute-eth, meshagent, meshagent-eth; empty: all that are there")
	flag.Parse()
	o.stock = os.Getenv("CJDROUTE")
	if kinds != "" {
		o.kinds = strings.Split(kinds, ",")
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if err := rig.Need("ping", "iperf3"); err != nil {
		return err
	}
	kinds, err := o.contestants()
	if err != nil {
		return err
	}
	var all []result
	for n := range o.runs {
		for _, k := range kinds {
			fmt.Fprintf(os.Stderr, "run %d of %d: %s\n", n+1, o.runs, k.name)
			res, err := measure(k, o)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			all = append(all, res)
		}
	}
	fmt.Print(table(all, kinds))
	if o.csv != "" {
		return os.WriteFile(o.csv, []byte(csv(all)), 0o644)
	}
	return nil
}

// contestants lists what can be measured here, or what was asked for.
func (o options) contestants() ([]kind, error) {
	agent, err := exec.LookPath(o.agent)
	if err != nil {
		return nil, err
	}
	all := []kind{
		{name: "veth", start: startVeth},
		{name: "wireguard-go", start: startWireGuard(o.wg)},
		{name: "cjdroute", start: startOverlay(o.stock, true, false), missing: o.stock == ""},
		{name: "cjdroute-eth", start: startOverlay(o.stock, true, true), missing: o.stock == ""},
		{name: "meshagent", start: startOverlay(agent, false, false)},
		{name: "meshagent-eth", start: startOverlay(agent, false, true)},
	}
	var kinds []kind
	for _, k := range all {
		asked := o.kinds == nil
		for _, name := range o.kinds {
			asked = asked || name == k.name
		}
		switch {
		case !asked:
		case k.missing && o.kinds == nil:
			fmt.Fprintf(os.Stderr, "bench: no %s: CJDROUTE does not name a cjdroute\n", k.name)
		case k.missing:
			return nil, fmt.Errorf("%s: CJDROUTE does not name a cjdroute", k.name)
		default:
			if k.name == "wireguard-go" && o.wg == "" {
				bin, err := buildWireGuard()
				if err != nil {
					return nil, err
				}
				k.start = startWireGuard(bin)
			}
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}

// buildWireGuard builds wgpeer beside meshagent and returns its path.
func buildWireGuard() (string, error) {
	bin, err := filepath.Abs(".build/wgpeer")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-C", "bench/netns/wgpeer", "-o", bin, ".")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build wgpeer: %w (run the benchmark in the top folder, or give -wg or -kinds)", err)
	}
	return bin, nil
}
