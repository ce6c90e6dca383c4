package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/meshagent/meshagent/hw/air"
)

// scenarios are what this program plays as the first process of a kernel.
var scenarios = map[string]func(*air.World){"diamond": diamond, "idle": idle}

// options are the flags.
type options struct {
	agent   string
	seeds   int
	kinds   []kind
	idle    bool
	settle  time.Duration
	window  time.Duration
	verbose bool
}

func main() {
	air.Main(scenarios) // a kernel's first process is this program
	var o options
	var names string
	flag.StringVar(&o.agent, "agent", ".build/meshagent", "the meshagent to measure")
	flag.IntVar(&o.seeds, "seeds", 5, "runs of each kind, with seeds from 1 on")
	flag.StringVar(&names, "kinds", "", "which of them, by comma; empty: all of "+strings.Join(kindNames(), ","))
	flag.BoolVar(&o.idle, "idle", true, "measure the processor time of idle agents too (two and a half minutes of real time)")
	flag.DurationVar(&o.settle, "settle", 80*time.Second, "before the link becomes bad, with traffic; virtual time")
	flag.DurationVar(&o.window, "window", 2*time.Minute, "watched after that; virtual time")
	flag.BoolVar(&o.verbose, "v", false, "say what happens")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := o.choose(names)
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// choose picks the kinds that are named.
func (o *options) choose(names string) error {
	o.kinds = kinds
	if names == "" {
		return nil
	}
	o.kinds = nil
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
		if name == "none" {
			continue
		}
		if i < 0 {
			return fmt.Errorf("-kinds: there is no %q; those there are: %s, none", name, strings.Join(kindNames(), ", "))
		}
		o.kinds = append(o.kinds, kinds[i])
	}
	return nil
}

func run(ctx context.Context, o options) (err error) {
	if err := air.Need(); err != nil {
		return err
	}
	if o.agent, err = filepath.Abs(o.agent); err != nil {
		return err
	}
	var all []result
	for _, k := range o.kinds {
		for seed := range o.seeds {
			a := order{Kind: k.name, Seed: uint64(seed + 1), Settle: o.settle, Window: o.window}
			var r result
			res, err := o.play(ctx, air.Config{Scenario: "diamond", Arg: a.String()}, &r)
			if err != nil {
				return fmt.Errorf("%s, seed %d: %w", k.name, a.Seed, err)
			}
			if o.verbose {
				fmt.Fprintf(os.Stderr, "%s seed %d: %s (%.0f s of virtual time in %.0f s)\n", k.name, a.Seed, r, res.Virtual.Seconds(), res.Wall.Seconds())
			}
			all = append(all, r)
		}
	}
	if len(all) > 0 {
		fmt.Print(table(all))
	}
	if !o.idle {
		return nil
	}
	var r idleResult
	res, err := o.play(ctx, air.Config{Scenario: "idle", RealTime: true}, &r)
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	fmt.Print(r.table(res.Marks))
	return nil
}

// play plays one scenario, whose last figure is its result.
func (o options) play(ctx context.Context, c air.Config, result any) (air.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	c.Agent = o.agent
	if o.verbose {
		c.Logf = func(format string, args ...any) { fmt.Fprintf(os.Stderr, "  "+format+"\n", args...) }
	}
	res, err := air.Play(ctx, c)
	if err != nil {
		return res, err
	}
	if len(res.Notes) == 0 {
		return res, fmt.Errorf("%s measured nothing", c.Scenario)
	}
	return res, json.Unmarshal([]byte(res.Notes[len(res.Notes)-1]), result)
}

// order says what one run of the diamond is to do.
type order struct {
	Kind           string
	Seed           uint64
	Settle, Window time.Duration
}

// String is the order as one word of a kernel's command line.
func (a order) String() string {
	return fmt.Sprintf("%s,%d,%v,%v", a.Kind, a.Seed, a.Settle, a.Window)
}

func parseOrder(s string) (a order, err error) {
	f := strings.Split(s, ",")
	if len(f) != 4 {
		return a, fmt.Errorf("order %q", s)
	}
	a.Kind = f[0]
	if a.Seed, err = strconv.ParseUint(f[1], 10, 64); err != nil {
		return a, err
	}
	if a.Settle, err = time.ParseDuration(f[2]); err != nil {
		return a, err
	}
	a.Window, err = time.ParseDuration(f[3])
	return a, err
}
