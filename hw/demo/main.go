package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"

	"github.com/meshagent/meshagent/hw/air"
	"github.com/meshagent/meshagent/hw/rig"
)

func main() {
	air.Main(wifiScenarios)
	check := flag.Bool("check", false, "ping every ordered pair, say what came of it, and end")
	agent := flag.String("agent", ".build/meshagent", "the program to show")
	flag.Parse()
	if err := chosen(); err != nil {
		fatal(err)
	}
	if err := rig.Need("ping"); err != nil {
		fatal(err)
	}
	bin, err := exec.LookPath(*agent)
	if err != nil {
		fatal(err)
	}
	if asked("WIFI") {
		os.Exit(showWifi(bin, *check))
	}
	os.Exit(run(bin, *check))
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "demo:", err)
	os.Exit(1)
}

// chosen fails if the environment asks for a demo that is not in this version,
// or with a value that cannot be.
// The value 0 is as good as none.
func chosen() error {
	if asked("BOX") {
		return fmt.Errorf("BOX=%s: this demo is not in this version; those there are run with nothing, SPINE=1, MESH=1, CHAIN=8 and WIFI=1", os.Getenv("BOX"))
	}
	if !asked("CHAIN") {
		if asked("SUPERNODE") {
			return fmt.Errorf("SUPERNODE=%s: which agents? give their number as well: CHAIN=8 SUPERNODE=1", os.Getenv("SUPERNODE"))
		}
		return nil
	}
	if v := os.Getenv("SUPERNODE"); asked("SUPERNODE") && v != "1" {
		return fmt.Errorf("SUPERNODE=%s: want 1, for a supernode in the chain, or 0", v)
	}
	for _, name := range []string{"MESH", "SPINE", "WIFI"} {
		if asked(name) {
			return fmt.Errorf("%s=%s: this is a demo of its own, leave CHAIN away", name, os.Getenv(name))
		}
	}
	_, err := chainLength()
	return err
}

// asked reports whether the environment asks for a demo.
func asked(name string) bool {
	v := os.Getenv(name)
	return v != "" && v != "0"
}

// run builds the network, shows or checks it, and takes it away again.
func run(bin string, check bool) (status int) {
	var r *rig.Rig
	r = rig.New(rig.Config{Fail: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "demo: "+format+"\n", args...)
		r.Close()
		os.Exit(1)
	}})
	defer r.Close()
	r.CloseOnSignal()
	switch {
	case asked("MESH"):
		m := newMesh(r, bin)
		if check {
			return checkMesh(m)
		}
		runMesh(m)
	case asked("CHAIN"):
		length, _ := chainLength() // chosen has looked at it
		c := newChain(r, bin, length, asked("SUPERNODE"))
		if check {
			return checkChain(c)
		}
		runChain(c)
	case asked("SPINE"):
		return showSpine(r, bin, check)
	}
	d := newIslands(r, bin)
	if check {
		return checkIslands(d)
	}
	runIslands(d)
	return 0
}

// showSpine shows or checks the five agents.
func showSpine(r *rig.Rig, bin string, check bool) (status int) {
	hosts := spine(r, bin)
	for _, h := range hosts {
		h.Start()
	}
	if check {
		return checkPairs(hosts, spinePlan, nil)
	}
	for _, h := range hosts {
		h.WaitUp(limit)
	}
	newScreen(r, hosts, bin).run()
	return 0
}
