package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// options are the flags.
type options struct {
	agent, stock string
	interval     time.Duration
	rest, settle time.Duration
	starts, cuts int
	secs, runs   int
	only         []string
}

// part is one question.
type part struct {
	name string
	run  func(o options) error
	need []string
}

var parts = []part{
	{"air", measureAir, nil},
	{"first", measureFirst, []string{"ping"}},
	{"cut", measureCut, []string{"ping"}},
	{"rate", measureRate, []string{"ping", "iperf3"}},
}

func main() {
	var o options
	var only string
	flag.StringVar(&o.agent, "agent", ".build/meshagent", "the meshagent to measure")
	flag.DurationVar(&o.interval, "interval", time.Second, "between two OGMs of a node")
	flag.DurationVar(&o.rest, "rest", 64*time.Second, "how long the bytes at rest are counted")
	flag.DurationVar(&o.settle, "settle", 15*time.Second, "wait before anything is counted")
	flag.IntVar(&o.starts, "starts", 10, "how many new nodes are started")
	flag.IntVar(&o.cuts, "cuts", 10, "how many times a link is cut")
	flag.IntVar(&o.secs, "secs", 5, "seconds of each throughput test")
	flag.IntVar(&o.runs, "runs", 3, "throughput tests of each line; the table shows medians")
	flag.StringVar(&only, "only", "", "of air, first, cut, rate; empty: all")
	flag.Parse()
	o.stock = os.Getenv("CJDROUTE")
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	if o.agent, err = exec.LookPath(o.agent); err != nil {
		return err
	}
	for _, p := range parts {
		if o.only != nil && !slices.Contains(o.only, p.name) {
			continue
		}
		if err := rig.Need(p.need...); err != nil {
			return err
		}
		if err := guarded(p, o); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// guarded runs a part; a building step that fails panics.
func guarded(p part, o options) (err error) {
	defer func() {
		if f := recover(); f != nil {
			err = fmt.Errorf("%v", f)
		}
	}()
	return p.run(o)
}

// median returns the middle one of some values, 0 of none.
func median[T float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	values = slices.Clone(values)
	slices.Sort(values)
	return values[len(values)/2]
}

// seconds prints times in the order in which they came.
func seconds(list []time.Duration) string {
	var words []string
	for _, d := range list {
		words = append(words, fmt.Sprintf("%.2f", d.Seconds()))
	}
	return strings.Join(words, " ")
}
