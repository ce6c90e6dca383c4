package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/guest"
)

// kind is one contestant.
type kind struct {
	name   string
	kernel string // of a guest; empty: runs on this host
	// prepare gives the nodes radios and what else they have before the
	// daemons start, and sets world.addrs; start starts the daemons on all
	// nodes, while no radio hears another.
	prepare func(w *world) error
	start   func(w *world, o options) error
}

// batmand is the layer 3 ancestor of batman-adv: it routes the radios' own
// IPv4 addresses.
var batmand = kind{
	name: "batmand",
	prepare: func(w *world) error {
		w.taps(false)
		w.knowNeighbours()
		for i, n := range w.nodes {
			n.Sysctl("ipv4/ip_forward", "1")
			w.addrs = append(w.addrs, linkAddr(i))
		}
		return nil
	},
	start: func(w *world, o options) error {
		for _, n := range w.nodes {
			// its unix socket has a fixed name, so each gets a /run of its own:
			// ip netns exec has made the mounts private
			w.procs = append(w.procs, n.Start("batmand", "sh", "-c",
				`mount -t tmpfs none /run && exec batmand -d 3 -o "$0" wlan0 >/dev/null`, millis(o.interval)))
		}
		return nil
	},
}

// babeld routes an address on each node's loopback; an update each four
// hellos, as by default.
var babeld = kind{
	name: "babeld",
	prepare: func(w *world) error {
		w.taps(true)
		w.knowNeighbours()
		for i, n := range w.nodes {
			n.Sysctl("ipv4/ip_forward", "1")
			n.Sysctl("ipv6/conf/all/forwarding", "1")
			a := fmt.Sprintf("10.8.0.%d", i+1)
			n.IP("addr", "add", a+"/32", "dev", "lo")
			w.addrs = append(w.addrs, a)
		}
		return nil
	},
	start: func(w *world, o options) error {
		for _, n := range w.nodes {
			conf := filepath.Join(w.rig.Dir, n.Name+"-babeld.conf")
			text := fmt.Sprintf("interface wlan0 type wireless hello-interval %.3f update-interval %.3f\n"+
				"redistribute local if lo ip 10.8.0.0/24 allow\nredistribute local deny\n",
				o.interval.Seconds(), 4*o.interval.Seconds())
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				return err
			}
			w.procs = append(w.procs, n.Start("babeld", "babeld", "-c", conf,
				"-I", conf+".pid", "-S", conf+".state", "wlan0"))
		}
		return nil
	},
}

func millis(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// contestants lists what can be measured here, or what was asked for, and says
// what is missing.
func contestants(o options) (kinds []kind, err error) {
	for _, k := range []kind{meshagent, kernel("6.1"), kernel("6.12"), batmand, babeld} {
		asked := len(o.kinds) == 0
		for _, name := range o.kinds {
			asked = asked || name == k.name
		}
		if !asked {
			continue
		}
		cmd := k.name
		if k.name == meshagent.name {
			cmd = o.agent
		}
		_, err := exec.LookPath(cmd)
		if k.kernel != "" {
			err = guest.Need()
		}
		if err != nil {
			if len(o.kinds) > 0 {
				return nil, err
			}
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", k.name, err)
			continue
		}
		kinds = append(kinds, k)
	}
	if len(kinds) == 0 {
		return nil, fmt.Errorf("nothing to measure: -kinds takes meshagent, linux-6.1, linux-6.12, batmand, babeld; got %s", strings.Join(o.kinds, ","))
	}
	return kinds, nil
}

// alive fails with the log of the first daemon that has ended.
func (w *world) alive() error {
	for _, p := range w.procs {
		if !p.Alive() {
			return fmt.Errorf("%s has ended:\n%s", p.Name, p.Tail(10))
		}
	}
	return nil
}
