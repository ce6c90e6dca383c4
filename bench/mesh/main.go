package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/guest"
	"github.com/meshagent/meshagent/hw/rig"
)

// options are the flags.
type options struct {
	agent                                 string
	interval, limit, rest, settle, window time.Duration
	cuts                                  int
	seed                                  uint64
	kinds                                 []string
	losses                                []float64
	verbose, memory                       bool
	signed                                int
	most, mostAlone                       float64
	csv                                   string
}

func main() {
	guest.Main() // a guest's first process is this program
	var o options
	var kinds, losses string
	flag.StringVar(&o.agent, "agent", ".build/meshagent", "the meshagent to measure")
	flag.DurationVar(&o.interval, "interval", 200*time.Millisecond, "between two OGMs or hellos of a node")
	flag.DurationVar(&o.limit, "limit", time.Minute, "give up on full reachability after this time")
	flag.DurationVar(&o.settle, "settle", 15*time.Second, "wait after full reachability and after each restored link")
	flag.DurationVar(&o.rest, "rest", 10*time.Second, "how long the bytes at rest are counted")
	flag.DurationVar(&o.window, "window", 10*time.Second, "how long probes are watched after a cut")
	flag.IntVar(&o.cuts, "cuts", 3, "how many times a link is cut")
	flag.Uint64Var(&o.seed, "seed", 1, "of the air's dice")
	flag.StringVar(&kinds, "kinds", "", "of meshagent, linux-6.1, linux-6.12, batmand, babeld; empty: all that are there")
	flag.StringVar(&losses, "loss", "0,10,30", "losses of broadcasts on every link, in percent")
	flag.BoolVar(&o.memory, "memory", false, "measure only the agent's memory in a large mesh")
	flag.IntVar(&o.signed, "signed", 0, "with -memory: so many neighbours that sign and peer, instead of the large mesh")
	flag.Float64Var(&o.mostAlone, "most-alone", 0, "with -memory: fail if the agent has more MiB of RSS before it has neighbours")
	flag.Float64Var(&o.most, "most", 0, "with -memory: fail if it has more MiB with them")
	flag.BoolVar(&o.verbose, "v", false, "say what happens")
	flag.StringVar(&o.csv, "csv", "", "write every run to this file")
	flag.Parse()
	if kinds != "" {
		o.kinds = strings.Split(kinds, ",")
	}
	for _, f := range strings.Split(losses, ",") {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil || v < 0 || v > 100 {
			fatal(fmt.Errorf("-loss: %q is not a share in percent", f))
		}
		o.losses = append(o.losses, v/100)
	}
	if err := run(o); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func run(o options) error {
	if err := rig.Need(); err != nil {
		return err
	}
	kinds, err := contestants(o)
	if err != nil {
		return err
	}
	if o.memory {
		return measureMemory(o)
	}
	var all []result
	for _, loss := range o.losses {
		for _, k := range kinds {
			fmt.Fprintf(os.Stderr, "%s at %.0f %% loss\n", k.name, loss*100)
			res, err := measure(k, loss, o.seed, o)
			if err != nil {
				return fmt.Errorf("%s at %.0f %% loss: %w", k.name, loss*100, err)
			}
			all = append(all, res)
		}
	}
	fmt.Print(table(all, o))
	if kinds[0].name == meshagent.name && len(o.kinds) == 0 {
		if err := measureMemory(o); err != nil {
			return err
		}
	}
	if o.csv != "" {
		return os.WriteFile(o.csv, []byte(csv(all)), 0o644)
	}
	return nil
}
