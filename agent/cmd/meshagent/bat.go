package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
)

// The commands "meshagent bat …" are batctl's, with its columns, flags and
// exit codes: 0 done, 1 it could not be done or wrong usage, 2 nobody answered.

// errNoAnswer makes exit code 2 without a further word.
var errNoAnswer = errors.New("nobody answered")

// batAliases are the other names of the commands: batctl's long ones and
// those of its JSON queries, which end in "j" and mean --json.
var batAliases = map[string][]string{
	"o":    {"originators", "oj", "originators_json"},
	"n":    {"neighbors", "neighbours", "nj", "neighbors_json"},
	"if":   {"interface", "interfaces", "hj", "hardifs_json"},
	"tl":   {"translocal", "tlj", "transtable_local_json"},
	"tg":   {"transglobal", "tgj", "transtable_global_json"},
	"gwl":  {"gateways", "gwj", "gateways_json"},
	"dat":  {"dc", "dat_cache", "dcj", "dat_cache_json"},
	"cl":   {"claimtable", "clj", "bla_claim_json"},
	"bbt":  {"bbl", "backbonetable", "bbj", "bla_backbone_json"},
	"bl":   {"bla"},
	"mf":   {"mcast_flags", "mfj", "mcast_flags_json"},
	"mj":   {"mesh_json"},
	"s":    {"statistics"},
	"ping": {"p"},
	"tr":   {"traceroute"},
	"tp":   {"throughputmeter"},
	"t":    {"translate"},
	"log":  {"l"},
}

func (a *app) batCommand() *ffcli.Command {
	bat := a.command("bat", "COMMAND", "look at the mesh and test it, as batctl does", a.clientFlags, nil)
	bat.Subcommands = []*ffcli.Command{
		batTable(a, "o", "originators", "the nodes of the mesh and the ways to them", nil, admin.WriteMeshOriginators),
		batTable(a, "n", "neighbors", "nodes that are heard directly", nil, admin.WriteMeshNeighbours),
		batTable(a, "if", "interfaces", "the interfaces that the mesh runs on", nil, admin.WriteMeshInterfaces),
		batTable(a, "tl", "translocal", "clients of this node", func(r admin.MeshLocal) batman.MAC { return r.Client }, admin.WriteMeshLocal),
		batTable(a, "tg", "transglobal", "clients of the other nodes", func(r admin.MeshGlobal) batman.MAC { return r.Client }, admin.WriteMeshGlobal),
		batTable(a, "gwl", "gateways", "nodes that announce a DHCP server", nil, admin.WriteMeshGateways),
		batTable(a, "dat", "dat_cache", "the distributed ARP table", nil, admin.WriteMeshDAT),
		batTable(a, "cl", "claims", "claims of bridge loop avoidance", nil, admin.WriteMeshClaims),
		batTable(a, "bbt", "backbones", "gateways of bridge loop avoidance", nil, admin.WriteMeshBackbones),
		a.batBLCommand(),
		batTable(a, "mf", "mcast_flags", "what the nodes want of multicast", nil, admin.WriteMeshMcast),
		a.batInfoCommand(),
		a.batStatisticsCommand(),
		a.batPingCommand(),
		a.batTracerouteCommand(),
		a.batThroughputCommand(),
		a.batTranslateCommand(),
		a.batLogCommand(),
	}
	bat.Exec = func(ctx context.Context, args []string) error {
		a.usageCode = 1
		if len(args) == 0 {
			return usagef("expected a command; list: meshagent bat -h")
		}
		for _, c := range bat.Subcommands {
			if slices.Contains(batAliases[c.Name], args[0]) {
				a.json = a.json || strings.HasSuffix(args[0], "j") || strings.HasSuffix(args[0], "_json")
				return c.ParseAndRun(ctx, args[1:])
			}
		}
		return usagef("no command 'bat %s'; list: meshagent bat -h", args[0])
	}
	bat.LongHelp = "The names of batctl's commands work too: originators, traceroute, oj, …"
	usage := bat.UsageFunc
	if usage == nil {
		usage = ffcli.DefaultUsageFunc
	}
	for _, c := range append([]*ffcli.Command{bat}, bat.Subcommands...) {
		c.UsageFunc = func(c *ffcli.Command) string { // called for wrong flags
			a.usageCode = 1
			return usage(c)
		}
	}
	return bat
}

// batSub makes one command of "bat".
func (a *app) batSub(name, usage, help string, flags func(*flag.FlagSet), exec func(ctx context.Context, args []string) error) *ffcli.Command {
	c := a.command("bat "+name, usage, help, func(fs *flag.FlagSet) {
		a.clientFlags(fs)
		if flags != nil {
			flags(fs)
		}
	}, func(ctx context.Context, args []string) error {
		a.usageCode = 1
		return exec(ctx, args)
	})
	if names := batAliases[name]; len(names) > 0 {
		c.LongHelp = "Also: " + strings.Join(names, ", ")
	}
	return c
}

// tableFlags are those that batctl has for all its tables.
type tableFlags struct {
	plain, noHeader     bool
	unicast, multicast  bool
	watch               watchFlag
	timeout             seconds
	withMAC, withMaxAge bool // which of the flags make sense
}

func (t *tableFlags) define(fs *flag.FlagSet) {
	fs.BoolVar(&t.plain, "n", false, "print addresses, no names of bat-hosts")
	fs.BoolVar(&t.noHeader, "H", false, "print no header")
	fs.Var(&t.watch, "w", "print the table again and again; -w=`seconds` for another interval than 1")
	if t.withMAC {
		fs.BoolVar(&t.unicast, "u", false, "print unicast addresses only")
		fs.BoolVar(&t.multicast, "m", false, "print multicast addresses only")
	}
	if t.withMaxAge {
		fs.Var(&t.timeout, "t", "leave out what was not seen for this many `seconds`")
	}
}

// watchFlag is "-w" or "-w=SECONDS"; 0 is off.
type watchFlag time.Duration

func (w *watchFlag) IsBoolFlag() bool { return true }
func (w *watchFlag) String() string   { return "" }
func (w *watchFlag) Set(v string) error {
	switch v {
	case "true":
		*w = watchFlag(time.Second)
		return nil
	case "false":
		*w = 0
		return nil
	}
	return (*seconds)(w).Set(v)
}

// batPage is how many rows are asked for at once: an answer has to fit into
// a line of the socket.
const batPage = 2000

// batTable makes the command of one table. mac gives the address that -u and
// -m look at; nil: the command has no such flags.
func batTable[R any](a *app, name, method, help string, mac func(R) batman.MAC, write func(io.Writer, admin.MeshInfo, []R, admin.MeshStyle)) *ffcli.Command {
	t := &tableFlags{withMAC: mac != nil, withMaxAge: method == "originators"}
	return a.batSub(name, "", help, t.define, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "bat "+name+" [--json]"); err != nil {
			return err
		}
		for {
			info, rows, err := batRows[R](ctx, a, method)
			switch {
			case t.watch > 0 && ctx.Err() != nil:
				return nil
			case err != nil:
				return err
			}
			rows = slices.DeleteFunc(rows, func(r R) bool {
				if mac != nil && (t.unicast && mac(r).IsMulticast() || t.multicast && !mac(r).IsMulticast()) {
					return true
				}
				o, ok := any(r).(admin.MeshOriginator)
				return ok && t.timeout > 0 && time.Duration(o.LastSeen)*time.Millisecond > time.Duration(t.timeout)
			})
			if t.watch > 0 && !a.json {
				fmt.Fprint(a.stdout, "\x1b[2J\x1b[0;0f")
			}
			if a.json {
				err = a.printJSON(rows)
			} else {
				var b strings.Builder
				write(&b, info, rows, a.batStyle(t))
				_, err = io.WriteString(a.stdout, b.String())
			}
			if err != nil || t.watch == 0 {
				return err
			}
			if !pause(ctx, time.Duration(t.watch)) {
				return nil
			}
		}
	})
}

func (a *app) batStyle(t *tableFlags) admin.MeshStyle {
	s := admin.MeshStyle{NoHeader: t.noHeader}
	if !t.plain {
		s.Names = loadBatHosts(a.getenv).name
	}
	return s
}

// batRows asks for all rows of a table, in parts.
func batRows[R any](ctx context.Context, a *app, method string) (info admin.MeshInfo, rows []R, err error) {
	rows = []R{}
	for {
		var part admin.MeshTable[R]
		if err := a.call(ctx, "mesh."+method, map[string]any{"offset": len(rows), "limit": batPage}, &part); err != nil {
			return info, nil, err
		}
		info, rows = part.Mesh, append(rows, part.Rows...)
		if len(part.Rows) == 0 || len(rows) >= part.Total {
			return info, rows, nil
		}
	}
}

// batBLCommand prints both tables of bridge loop avoidance.
func (a *app) batBLCommand() *ffcli.Command {
	t := &tableFlags{}
	return a.batSub("bl", "", "bridge loop avoidance: claims and gateways", t.define, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "bat bl [--json]"); err != nil {
			return err
		}
		info, claims, err := batRows[admin.MeshClaim](ctx, a, "claims")
		if err != nil {
			return err
		}
		_, backbones, err := batRows[admin.MeshBackbone](ctx, a, "backbones")
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]any{"claims": claims, "backbones": backbones})
		}
		admin.WriteMeshClaims(a.stdout, info, claims, a.batStyle(t))
		fmt.Fprintln(a.stdout)
		admin.WriteMeshBackbones(a.stdout, info, backbones, a.batStyle(t))
		return nil
	})
}

// batInfoCommand prints the settings; batctl has them as JSON only.
func (a *app) batInfoCommand() *ffcli.Command {
	return a.batSub("mj", "", "the mesh and its settings, as JSON", nil, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "bat mj"); err != nil {
			return err
		}
		a.json = true
		return ask(ctx, a, "mesh.info", nil, func(io.Writer, admin.MeshInfo) error { return nil })
	})
}

func (a *app) batStatisticsCommand() *ffcli.Command {
	return a.batSub("s", "", "counters, and why frames were dropped", nil, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "bat s [--json]"); err != nil {
			return err
		}
		return ask(ctx, a, "mesh.statistics", nil, func(w io.Writer, s admin.MeshStatistics) error {
			admin.WriteMeshStatistics(w, s)
			return nil
		})
	})
}

func (a *app) batLogCommand() *ffcli.Command {
	follow := false
	return a.batSub("log", "[-f]", "the last messages of the mesh", func(fs *flag.FlagSet) {
		fs.BoolVar(&follow, "f", false, "wait for more, until interrupted")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "bat log [-f] [--json]"); err != nil {
			return err
		}
		after := uint64(0)
		for {
			var lines []admin.MeshLogLine
			err := a.call(ctx, "mesh.log", map[string]any{"after": after}, &lines)
			switch {
			case follow && ctx.Err() != nil:
				return nil
			case err != nil:
				return err
			}
			if a.json {
				for _, l := range lines {
					if err := a.printJSON(l); err != nil {
						return err
					}
				}
			} else if err := admin.WriteMeshLog(a.stdout, lines); err != nil {
				return err
			}
			if n := len(lines); n > 0 {
				after = lines[n-1].Seq
			}
			if !follow || !pause(ctx, time.Second) {
				return nil
			}
		}
	})
}

// pause waits and reports whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// wholeMillis is a flag in milliseconds that a tool of old takes as a plain
// number.
func wholeMillis(d *time.Duration) func(string) error {
	return func(v string) error {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil || n == 0 || time.Duration(n)*time.Millisecond > admin.MaxMeshTest { //nolint:gosec // 32 bits
			return fmt.Errorf("expected milliseconds from 1 to %d", admin.MaxMeshTest.Milliseconds())
		}
		*d = time.Duration(n) * time.Millisecond //nolint:gosec // 32 bits
		return nil
	}
}
