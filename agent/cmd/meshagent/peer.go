package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/config"
)

func (a *app) peerCommand() *ffcli.Command {
	c := a.command("peer", "add|del", "add or delete a peer, now and in the configuration", nil, nil)
	c.Subcommands = []*ffcli.Command{a.peerAddCommand(), a.peerDelCommand()}
	return c
}

const peerAddUsage = "peer add ADDRESS KEY [--password SECRET] [--login NAME] [--name NAME]   or   peer add < STANZA"

func (a *app) peerAddCommand() *ffcli.Command {
	var p struct{ password, login, name, iface string }
	var speaks uint
	c := a.command("peer add", "[ADDRESS KEY]", "dial a node from now on", func(fs *flag.FlagSet) {
		a.clientFlags(fs)
		fs.StringVar(&p.password, "password", "", "what the node gave you to get in")
		fs.StringVar(&p.login, "login", "", "the login that goes with the password")
		fs.StringVar(&p.name, "name", "", "what you call the node")
		fs.StringVar(&p.iface, "interface", "", "the link to use: section or Ethernet device")
		fs.UintVar(&speaks, "version", 0, "the protocol version it speaks, if known")
	}, func(ctx context.Context, args []string) error {
		switch {
		case len(args) == 2:
			return a.addPeers(ctx, []map[string]any{without(map[string]any{
				"address": args[0], "public_key": args[1], "password": p.password, "login": p.login,
				"name": p.name, "interface": p.iface, "version": int(speaks), //nolint:gosec // checked by the agent
			})})
		case len(args) == 0 && !isTerminal(a.stdin), len(args) == 1 && args[0] == "-":
			if p.password != "" || p.login != "" || p.name != "" {
				return usagef("the stanza on standard input says everything; expected no --password, --login or --name with it")
			}
			return a.addStanza(ctx, p.iface)
		}
		return usagef("expected: meshagent %s", peerAddUsage)
	})
	c.LongHelp = `ADDRESS is ip:port, [ip6]:port, hostname:port, or a MAC for a neighbour on
Ethernet. Without arguments the peers are read from standard input as people
send them to each other, with or without braces around:

  "192.0.2.10:25381": {"password": "secret", "publicKey": "….k", "peerName": "nyc"}

A peer that is there already, with the same key and address, is changed.`
	return c
}

// maxStanza bounds what is read from standard input, in bytes.
const maxStanza = 1 << 20

func (a *app) addStanza(ctx context.Context, iface string) error {
	text, err := io.ReadAll(io.LimitReader(a.stdin, maxStanza))
	if err != nil {
		return err
	}
	peers, warnings, err := config.ParsePeers("stdin", string(text))
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintln(a.stderr, "warning:", w)
	}
	calls := make([]map[string]any, len(peers))
	for i, p := range peers {
		calls[i] = without(map[string]any{
			"address": p.Address, "public_key": p.PublicKey.String(), "password": p.Password, "login": p.Login,
			"name": p.Name, "interface": iface, "version": int(p.Version),
		})
	}
	return a.addPeers(ctx, calls)
}

// without drops arguments that say nothing.
func without(args map[string]any) map[string]any {
	for name, v := range args {
		if v == "" || v == 0 || v == false {
			delete(args, name)
		}
	}
	return args
}

// addPeers adds them one by one; a peer that is refused does not keep the
// others away.
func (a *app) addPeers(ctx context.Context, calls []map[string]any) error {
	changes := []config.PeerChange{}
	var errs []error
	for _, args := range calls {
		var c config.PeerChange
		if err := a.changePeer(ctx, "peer.add", args, &c); err != nil {
			var none *admin.NoAgentError
			if len(calls) == 1 || errors.As(err, &none) {
				return err
			}
			errs = append(errs, fmt.Errorf("%s: %w", args["address"], err))
			continue
		}
		changes = append(changes, c)
		if !a.json {
			if err := admin.WritePeerChange(a.stdout, c); err != nil {
				return err
			}
		}
	}
	if a.json && len(errs) == 0 {
		if len(calls) == 1 {
			return a.printJSON(changes[0])
		}
		return a.printJSON(changes)
	}
	return errors.Join(errs...)
}

func (a *app) peerDelCommand() *ffcli.Command {
	return a.command("peer del", "PEER", "stop dialling a node, and forget it", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, "peer del SECTION|NAME|KEY|ADDRESS"); err != nil {
			return err
		}
		var c config.PeerChange
		if err := a.changePeer(ctx, "peer.del", map[string]any{"peer": args[0]}, &c); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(c)
		}
		return admin.WritePeerChange(a.stdout, c)
	})
}
