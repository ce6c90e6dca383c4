package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// options are the flags.
type options struct {
	agent        string
	shapes       []string
	sizes        []int
	seed         uint64
	supernodes   int
	rest, settle time.Duration
	patience     time.Duration
	cuts         int
	check        float64
	island       int
	interval     time.Duration
	announced    int
	askers       int
	rounds       int
	memory       string
	verbose      bool
}

func main() {
	var o options
	var shapes, sizes string
	flag.StringVar(&o.agent, "agent", ".build/meshagent", "the meshagent to measure")
	flag.StringVar(&shapes, "shapes", "chain,ring,random", "of chain, ring, random")
	flag.StringVar(&sizes, "nodes", "5,20,50", "numbers of agents")
	flag.Uint64Var(&o.seed, "seed", 1, "of the random shape")
	flag.IntVar(&o.supernodes, "supernodes", 0, "how many of the agents are supernodes, evenly spread")
	flag.DurationVar(&o.settle, "settle", 40*time.Second, "wait between the last ping and counting at rest")
	flag.DurationVar(&o.rest, "rest", 60*time.Second, "how long the bytes at rest are counted; 0: not at all")
	flag.DurationVar(&o.patience, "patience", 3*time.Minute, "for all pairs")
	flag.IntVar(&o.cuts, "cuts", 3, "how many links are cut, one after the other")
	flag.Float64Var(&o.check, "check", 0, "fail if what is sent at rest is more than so many times what the formulas say, or less than its inverse; give -settle 6m")
	flag.IntVar(&o.island, "island", 0, "instead: so many agents on one mesh, 9 to 200")
	flag.DurationVar(&o.interval, "interval", time.Second, "between OGMs of a node of the island")
	flag.IntVar(&o.announced, "announced", 0, "instead: measure one supernode that is told of so many nodes, 256 to 16000")
	flag.IntVar(&o.rounds, "rounds", 1, "announcements of each of them")
	flag.IntVar(&o.askers, "askers", 10, "peers that ask it for ways, 1 to 50")
	flag.StringVar(&o.memory, "memory", "", "GOMEMLIMIT of it, such as 12MiB")
	flag.BoolVar(&o.verbose, "v", false, "say what is going on, and print the tables of a node at rest")
	flag.Parse()
	o.shapes = strings.Split(shapes, ",")
	for _, s := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 3 || n > 200 {
			fmt.Fprintf(os.Stderr, "bench: -nodes: %q is not a number from 3 to 200\n", s)
			os.Exit(2)
		}
		o.sizes = append(o.sizes, n)
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
	if err := rig.Need(); err != nil {
		return err
	}
	if o.island != 0 {
		if o.island < 9 || o.island > 200 || o.interval < 100*time.Millisecond {
			return errors.New("-island is 9 to 200, -interval 100ms or more")
		}
		return measureIsland(o)
	}
	if o.announced != 0 {
		if o.announced < 256 || o.announced > 16000 || o.rounds < 1 || o.rounds > 15 || o.askers < 1 || o.askers > 50 {
			return errors.New("-announced is 256 to 16000, -rounds 1 to 15, -askers 1 to 50")
		}
		return measureAnnounced(o)
	}
	fmt.Printf("%-7s %5s %5s %6s %11s | %7s %7s %7s | %8s %7s | %8s %6s %8s %6s %6s | %7s %7s\n", "shape", "nodes", "links", "diam.", "pairs",
		"up s", "half s", "all s", "stretch", "longest", "B/s", "paper", "most B/s", "pkt/s", "RSS MB", "heal s", "worst s")
	for _, shape := range o.shapes {
		for _, n := range o.sizes {
			if err := guarded(o, shape, n); err != nil {
				return fmt.Errorf("%s of %d: %w", shape, n, err)
			}
		}
	}
	return nil
}

// guarded measures one network; a building step that fails panics.
func guarded(o options, shape string, n int) (err error) {
	defer func() {
		if f := recover(); f != nil {
			err = fmt.Errorf("%v", f)
		}
	}()
	g, err := draw(shape, n, o.seed)
	if err != nil {
		return err
	}
	w := build(o, g)
	defer w.rig.Close()
	w.rig.CloseOnSignal()
	return w.measure(o, shape)
}

func (w *world) measure(o options, shape string) (err error) {
	w.start()
	up := time.Since(w.began)
	half, all, err := w.reachAll(o.patience)
	if err != nil {
		return err
	}
	fmt.Printf("%-7s %5d %5d %6d %11s | %7.2f %7.2f %7.2f | ", shape, len(w.hosts), len(w.graph.links), w.graph.diameter(), w.graph.pairs(), up.Seconds(), half.Seconds(), all.Seconds())
	stretch, longest, err := w.stretch()
	if err != nil {
		return err
	}
	fmt.Printf("%8.2f %7d | ", stretch, longest)
	if o.rest > 0 {
		time.Sleep(o.settle)
		c := w.count(o.rest)
		paper := w.graph.predict(w.snodes, o.settle+o.rest/2).sum()
		fmt.Printf("%8.0f %6.0f %8.0f %6.2f %6.1f | ", c.bytes, paper, c.most, c.packets, c.rss)
		if o.check > 0 && (c.bytes > paper*o.check || c.bytes < paper/o.check) {
			defer func() {
				if err == nil {
					err = fmt.Errorf("%.0f bytes a second at rest, %.0f by the formulas", c.bytes, paper)
				}
			}()
		}
	} else {
		fmt.Printf("%8s %6s %8s %6s %6s | ", "-", "-", "-", "-", "-")
	}
	typical, worst, err := w.heal(o)
	if err != nil {
		return err
	}
	fmt.Printf("%7s %7s\n", typical, worst)
	if o.verbose {
		w.tables()
	}
	return nil
}
