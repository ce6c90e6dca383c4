package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/admin"
)

// seconds is a flag that takes "0.2", as ping does, or "200ms".
type seconds time.Duration

func (s *seconds) String() string {
	return strconv.FormatFloat(time.Duration(*s).Seconds(), 'g', -1, 64)
}

func (s *seconds) Set(v string) error {
	if v != "" && strings.Trim(v, "0123456789.") == "" {
		v += "s"
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Millisecond {
		return errors.New("expected seconds, such as 0.2, at least 0.001")
	}
	*s = seconds(d)
	return nil
}

func (a *app) pingCommand() *ffcli.Command {
	count, interval, wait := 0, seconds(time.Second), seconds(2*time.Second)
	return a.command("ping", "ADDRESS", "ask a node whether it is there", func(fs *flag.FlagSet) {
		a.clientFlags(fs)
		fs.IntVar(&count, "c", 5, "how many pings; 0: until interrupted")
		fs.Var(&interval, "i", "`seconds` from one ping to the next")
		fs.Var(&wait, "W", "`seconds` to wait for an answer")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, "ping ADDRESS [-c COUNT] [-i SECONDS] [-W SECONDS] [--json]"); err != nil {
			return err
		}
		switch {
		case count < 0:
			return usagef("-c: expected 0 or more")
		case time.Duration(wait) > admin.MaxPingTimeout:
			return usagef("-W: expected at most %s", admin.MaxPingTimeout)
		}
		return a.ping(ctx, args[0], count, time.Duration(interval), time.Duration(wait))
	})
}

// ping calls the agent once for each ping, so that lines appear as answers
// come and an interrupt ends it at once.
func (a *app) ping(ctx context.Context, target string, count int, interval, wait time.Duration) error {
	result := admin.PingResult{Target: target, Replies: []admin.PingReply{}}
	answered := false
	args := map[string]any{"target": target, "count": 1, "timeout_ms": max(1, wait.Milliseconds())}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for seq := 1; count == 0 || seq <= count; seq++ {
		if seq > 1 {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		var one admin.PingResult
		err := a.call(ctx, "ping", args, &one)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		result.IP, result.PublicKey = one.IP, one.PublicKey
		for _, r := range one.Replies {
			r.Seq = seq
			answered = answered || r.Error == ""
			result.Replies = append(result.Replies, r)
			if a.json {
				continue
			}
			if err := admin.WritePingReply(a.stdout, target, r); err != nil {
				return err
			}
		}
	}
	if a.json {
		if err := a.printJSON(result); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(a.stdout, admin.PingSummary(result.Replies))
	}
	if !answered {
		return errSilent
	}
	return nil
}
