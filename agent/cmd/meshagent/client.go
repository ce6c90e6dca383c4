package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/node"
)

const defaultSocket = config.DefaultSocket

func (a *app) jsonFlag(fs *flag.FlagSet) {
	fs.BoolVar(&a.json, "json", false, "print JSON")
}

// clientFlags are those of every command that talks to a running agent.
func (a *app) clientFlags(fs *flag.FlagSet) {
	a.jsonFlag(fs)
	fs.StringVar(&a.socket, "socket", "", "`path` of the agent's socket")
	fs.StringVar(&a.configPath, "config", "", "configuration `file` that names the socket")
}

// socketPath finds the agent: flag, environment, configuration, default.
func (a *app) socketPath() (string, error) {
	if a.socket != "" {
		return a.socket, nil
	}
	if s := a.getenv("MESHAGENT_SOCKET"); s != "" {
		return s, nil
	}
	path, asked := a.configPath, a.configPath != ""
	if !asked {
		path = config.DefaultFile()
	}
	loaded, err := config.Open(path).Load()
	switch {
	case err == nil:
		return loaded.Config.Main.Socket, nil
	case asked:
		return "", err
	default: // not there, not ours to read, or just being edited
		return defaultSocket, nil
	}
}

// call asks the agent.
func (a *app) call(ctx context.Context, method string, args map[string]any, result any) error {
	socket, err := a.socketPath()
	if err != nil {
		return err
	}
	return admin.Call(ctx, socket, method, args, result)
}

// ask calls method and prints the answer: as it came with --json, else by
// write.
func ask[T any](ctx context.Context, a *app, method string, args map[string]any, write func(io.Writer, T) error) error {
	if a.json {
		var raw json.RawMessage
		if err := a.call(ctx, method, args, &raw); err != nil {
			return err
		}
		return a.printJSON(raw)
	}
	var v T
	if err := a.call(ctx, method, args, &v); err != nil {
		return err
	}
	return write(a.stdout, v)
}

// printJSON prints v on one line.
func (a *app) printJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(append(b, '\n'))
	return err
}

// fail reports an error: a line per problem, or {"error": …} with --json.
func (a *app) fail(err error) {
	if !a.json {
		fmt.Fprintf(a.stderr, "meshagent: %s\n", err)
		return
	}
	e := &admin.Error{Code: admin.CodeFailed, Text: err.Error()}
	var theirs *admin.Error
	var none *admin.NoAgentError
	switch {
	case errors.As(err, &theirs):
		e = theirs
	case errors.As(err, &none):
		e.Code = "no_agent"
	}
	_ = a.printJSON(map[string]any{"error": e})
}

func (a *app) statusCommand() *ffcli.Command {
	return a.command("status", "", "show the running node on one screen", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "status [--json]"); err != nil {
			return err
		}
		return ask(ctx, a, "status", nil, admin.WriteStatus)
	})
}

func (a *app) wifiCommand() *ffcli.Command {
	return a.command("wifi", "", "show radios, what they can do, and the stations they hear", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "wifi [--json]"); err != nil {
			return err
		}
		return ask(ctx, a, "wifi", nil, func(w io.Writer, s admin.WifiStatus) error {
			admin.WriteWifi(w, s)
			return nil
		})
	})
}

func (a *app) peersCommand() *ffcli.Command {
	stats := false
	return a.command("peers", "[--peerstats]", "list direct neighbours", func(fs *flag.FlagSet) {
		a.clientFlags(fs)
		fs.BoolVar(&stats, "peerstats", false, "print the lines of cjdns's peerStats")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "peers [--peerstats] [--json]"); err != nil {
			return err
		}
		return ask(ctx, a, "peers", nil, func(w io.Writer, l admin.PeerList) error {
			if stats {
				return admin.WritePeerStats(w, l.Peers)
			}
			return admin.WritePeers(w, l.Peers)
		})
	})
}

func (a *app) sessionsCommand() *ffcli.Command {
	return a.command("sessions", "", "list end-to-end sessions", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "sessions [--json]"); err != nil {
			return err
		}
		return ask(ctx, a, "sessions", nil, func(w io.Writer, l admin.SessionList) error {
			return admin.WriteSessions(w, l.Sessions)
		})
	})
}

func (a *app) reloadCommand() *ffcli.Command {
	return a.command("reload", "", "read the configuration again and apply what changed", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "reload [--json]"); err != nil {
			return err
		}
		a.lend()
		return ask(ctx, a, "reload", nil, admin.WriteReload)
	})
}

func (a *app) traceCommand() *ffcli.Command {
	return a.command("trace", "ADDRESS", "show the hops on the way to a node", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, "trace ADDRESS [--json]"); err != nil {
			return err
		}
		var r admin.TraceResult
		if err := a.call(ctx, "trace", map[string]any{"target": args[0]}, &r); err != nil {
			return err
		}
		write := func() error { return admin.WriteTrace(a.stdout, r) }
		if a.json {
			write = func() error { return a.printJSON(r) }
		}
		if err := write(); err != nil {
			return err
		}
		if r.Error != "" {
			return errSilent
		}
		return nil
	})
}

func (a *app) whyCommand() *ffcli.Command {
	return a.command("why", "ADDRESS", "show the ways to a node, and why one of them is used", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, "why ADDRESS|KEY|NAME [--json]"); err != nil {
			return err
		}
		return ask(ctx, a, "why", map[string]any{"target": args[0]}, admin.WriteWhy)
	})
}

// versionCommand shows the program's version even if no agent runs.
func (a *app) versionCommand() *ffcli.Command {
	return a.command("version", "", "show the version of this program and of the running agent", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "version [--json]"); err != nil {
			return err
		}
		out := struct {
			Version  string         `json:"version"`
			Protocol uint32         `json:"protocol"`
			Agent    *admin.Version `json:"agent"` // null if none runs
		}{Version: version, Protocol: node.Protocol}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		var running admin.Version
		err := a.call(ctx, "version", nil, &running)
		if err == nil {
			out.Agent = &running
		}
		if a.json {
			return a.printJSON(out)
		}
		fmt.Fprintf(a.stdout, "meshagent %s, protocol %d\n", out.Version, out.Protocol)
		switch {
		case err != nil:
			_, err = fmt.Fprintf(a.stdout, "%s\n", err)
		case running.Version != version:
			_, err = fmt.Fprintf(a.stdout, "the running agent is %s, protocol %d\n", running.Version, running.Protocol)
		}
		return err
	})
}

// isTerminal reports whether f is something that a person types into, or
// reads.
func isTerminal(r any) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
