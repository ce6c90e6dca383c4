package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
)

const (
	traceProbes = 3               // pings per hop
	traceWait   = 2 * time.Second // for each
)

// batHop is one line of "bat tr".
type batHop struct {
	Hop   int         `json:"hop"`
	From  *batman.MAC `json:"address,omitempty"` // nobody answered without it
	Times []*float64  `json:"times_ms"`          // null: no answer
}

func (a *app) batTracerouteCommand() *ffcli.Command {
	plain, noNames := false, false
	c := a.batSub("tr", "TARGET", "the nodes on the way to a node of the mesh", func(fs *flag.FlagSet) {
		fs.BoolVar(&noNames, "n", false, "print addresses, no names of bat-hosts")
		fs.BoolVar(&plain, "T", false, "the target is a node, do not look for the node of a client")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, "bat tr [-n] [-T] TARGET [--json]"); err != nil {
			return err
		}
		hosts := loadBatHosts(a.getenv)
		t, err := a.batTarget(ctx, hosts, args[0], plain)
		if err != nil {
			return err
		}
		if noNames {
			hosts = batHosts{}
		}
		return a.batTrace(ctx, t, hosts)
	})
	c.LongHelp += "\n\n" + batTargetHelp
	return c
}

func (a *app) batTrace(ctx context.Context, t admin.MeshTarget, hosts batHosts) error {
	hops := []batHop{}
	reached := false
	if !a.json {
		fmt.Fprintf(a.stdout, "traceroute to %s (%s), %d hops max, %d byte packets\n", t.Target, t.Originator, admin.MeshTTL, batPingLen)
	}
	for ttl := 1; ttl <= admin.MeshTTL && !reached; ttl++ {
		hop := batHop{Hop: ttl}
		for range traceProbes {
			r, err := a.batPing(ctx, t.Originator, ttl, false, traceWait)
			switch {
			case ctx.Err() != nil:
				return errNoAnswer
			case err != nil:
				return err
			case r.Error != "" && r.Error != admin.MeshTimeout, r.Error == "" && r.Type == admin.MeshUnreachable:
				return fmt.Errorf("%s: Destination Host Unreachable%s", t.Target, because(r.Error))
			case r.Error == "" && (r.Type == admin.MeshEchoReply || r.Type == admin.MeshTTLExceeded):
				reached = reached || r.Type == admin.MeshEchoReply
				ms := float64(r.RTTMicros) / 1000
				hop.Times = append(hop.Times, &ms)
				if hop.From == nil {
					hop.From = &r.From
				}
			default:
				hop.Times = append(hop.Times, nil)
			}
		}
		hops = append(hops, hop)
		if !a.json {
			a.printHop(hop, hosts)
		}
	}
	if a.json {
		if err := a.printJSON(map[string]any{"target": t.Target, "originator": t.Originator, "hops": hops, "reached": reached}); err != nil {
			return err
		}
	}
	if !reached {
		return errNoAnswer
	}
	return nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func (a *app) printHop(h batHop, hosts batHosts) {
	who := "*"
	if h.From != nil {
		who = h.From.String()
		if n := hosts.name(*h.From); n != "" {
			who = n + " (" + who + ")"
		}
	}
	fmt.Fprintf(a.stdout, "%2d: %s", h.Hop, who)
	for _, ms := range h.Times {
		if ms == nil {
			fmt.Fprint(a.stdout, "   *")
		} else {
			fmt.Fprintf(a.stdout, "  %.3f ms", *ms)
		}
	}
	fmt.Fprintln(a.stdout)
}

func (a *app) batThroughputCommand() *ffcli.Command {
	d := 10 * time.Second
	c := a.batSub("tp", "TARGET", "measure the throughput to a node of the mesh", func(fs *flag.FlagSet) {
		fs.Func("t", "length of the test in `milliseconds`; default 10000", wholeMillis(&d))
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, "bat tp [-t MILLISECONDS] TARGET [--json]"); err != nil {
			return err
		}
		t, err := a.batTarget(ctx, loadBatHosts(a.getenv), args[0], false)
		if err != nil {
			return err
		}
		var r admin.MeshThroughput
		err = a.call(ctx, "mesh.throughput", map[string]any{"target": t.Originator.String(), "translate": false, "time_ms": d.Milliseconds()}, &r)
		if err != nil {
			return err
		}
		if a.json {
			err = a.printJSON(r)
		} else if r.Error == "" || r.Bytes > 0 {
			err = admin.WriteMeshThroughput(a.stdout, r)
		}
		switch {
		case err != nil:
			return err
		case r.Error != "" && a.json:
			return errSilent
		case r.Error != "":
			return fmt.Errorf("%s: %s", t.Target, r.Error)
		}
		return nil
	})
	c.LongHelp += "\n\n" + batTargetHelp + "\nThe test fills the links on the way for its whole length."
	return c
}

func (a *app) batTranslateCommand() *ffcli.Command {
	return a.batSub("t", "TARGET", "the node that a client belongs to", nil, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, "bat t TARGET [--json]"); err != nil {
			return err
		}
		t, err := a.batTarget(ctx, loadBatHosts(a.getenv), args[0], false)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(t)
		}
		_, err = fmt.Fprintln(a.stdout, t.Originator)
		return err
	})
}
