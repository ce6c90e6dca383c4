package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/daemon"
)

const configUsage = "config diff|apply|confirm|revert|store [--confirm SECONDS] [--json]"

func (a *app) configCommand() *ffcli.Command {
	confirm := 0
	c := a.command("config", "diff|apply|confirm|revert|store", "apply the configuration, on trial if wished", func(fs *flag.FlagSet) {
		a.clientFlags(fs)
		fs.IntVar(&confirm, "confirm", 0, "apply: `seconds` until the configuration before is back, in the file too")
	}, func(ctx context.Context, args []string) error {
		if len(args) != 1 || confirm != 0 && args[0] != "apply" {
			return usagef("expected: meshagent %s", configUsage)
		}
		switch verb := args[0]; verb {
		case "diff", "apply", "revert":
			a.lend()
			return ask(ctx, a, "config."+verb, without(map[string]any{"confirm": confirm}), admin.WriteReload)
		case "confirm":
			return ask(ctx, a, "config.confirm", nil, func(w io.Writer, _ struct{}) error {
				_, err := fmt.Fprintln(w, "confirmed")
				return err
			})
		case "store":
			return a.storeConfig(ctx)
		}
		return usagef("expected: meshagent %s", configUsage)
	})
	c.LongHelp = `diff     what apply would change
apply    read the file and apply it, as reload does; with --confirm SECONDS
         it is taken back, in the file too, unless it is confirmed in time
confirm  keep it
revert   take it back at once
store    as root: write what the agent has no right to write`
	return c
}

// storeConfig writes the text that the agent has no right to write, and tells
// it what became of it. The start script of the packages runs it.
func (a *app) storeConfig(ctx context.Context) error {
	var w admin.ConfigWish
	if err := a.call(ctx, "config.store", nil, &w); err != nil {
		return err
	}
	path := a.storedPath()
	err := checkStaged(path)
	if err == nil {
		err = config.Open(path).Replace(w.Base, w.Text)
	}
	answer := map[string]any{"done": true}
	if err != nil {
		answer = map[string]any{"refused": err.Error()[:min(len(err.Error()), 1000)]}
	} else {
		a.lend()
	}
	return errors.Join(err, a.call(ctx, "config.store", answer, nil))
}

// doctorCommand exits with the number of failures.
func (a *app) doctorCommand() *ffcli.Command {
	return a.command("doctor", "", "check the node and what it needs; the exit code is the number of failures", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "doctor [--json]"); err != nil {
			return err
		}
		var d admin.Diagnosis
		err := a.call(ctx, "doctor", nil, &d)
		var none *admin.NoAgentError
		switch {
		case errors.As(err, &none):
			d = daemon.DiagnoseHost(a.storedPath())
		case err != nil:
			return err
		}
		if a.json {
			err = a.printJSON(d)
		} else {
			err = admin.WriteDoctor(a.stdout, d)
		}
		if err == nil && d.Failures > 0 {
			return failures(d.Failures)
		}
		return err
	})
}

// failures is the number of failures, as an exit code.
type failures int

func (n failures) Error() string { return fmt.Sprintf("%d failures", int(n)) }

func (a *app) eventsCommand() *ffcli.Command {
	follow, limit := false, 0
	return a.command("events", "[-f] [-n COUNT]", "show what has happened last", func(fs *flag.FlagSet) {
		a.clientFlags(fs)
		fs.BoolVar(&follow, "f", false, "go on, as things happen")
		fs.IntVar(&limit, "n", 0, "the last `count` only")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "events [-f] [-n COUNT] [--json]"); err != nil {
			return err
		}
		call := without(map[string]any{"limit": limit})
		for {
			var l admin.EventList
			if err := a.call(ctx, "events", call, &l); err != nil {
				return err
			}
			for _, e := range l.Events {
				call = map[string]any{"after": e.Seq}
				err := error(nil)
				if a.json {
					err = a.printJSON(e)
				} else {
					err = admin.WriteEvent(a.stdout, e)
				}
				if err != nil {
					return err
				}
			}
			if !follow || !pause(ctx, time.Second) {
				return nil
			}
		}
	})
}
