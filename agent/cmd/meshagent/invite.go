package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/community"
	"github.com/meshagent/meshagent/agent/config"
)

// lifetime is a flag that takes "7d", "12h", "30m", or "never".
type lifetime int64 // seconds; 0 never ends

func (l *lifetime) String() string {
	switch s := int64(*l); {
	case s == 0:
		return "never"
	case s%86400 == 0:
		return strconv.FormatInt(s/86400, 10) + "d"
	default:
		return (time.Duration(s) * time.Second).String()
	}
}

func (l *lifetime) Set(v string) error {
	const most = 10 * 365 * 86400
	if v == "never" {
		*l = 0
		return nil
	}
	var d time.Duration
	days, ok := strings.CutSuffix(v, "d")
	n, err := strconv.ParseUint(days, 10, 16)
	if ok {
		d = time.Duration(n) * 24 * time.Hour //nolint:gosec // at most 2^16
	} else {
		d, err = time.ParseDuration(v)
	}
	if err != nil || d < time.Second || d > most*time.Second {
		return fmt.Errorf("expected a time such as 7d, 12h or 30m, at most 3650d, or never")
	}
	*l = lifetime(d / time.Second)
	return nil
}

func (a *app) inviteCommand() *ffcli.Command {
	var o struct {
		role, address, note string
		uses                uint
		stock, qr, noQR     bool
	}
	life := lifetime(7 * 86400)
	c := a.command("invite", "", "let somebody into the community, by one line of text", func(fs *flag.FlagSet) {
		a.clientFlags(fs)
		fs.Var(&life, "expires", "the `time` for which it is good: 7d, 12h, never")
		fs.StringVar(&o.role, "role", "member", "member, or admin: one that the root is asked to make an admin")
		fs.UintVar(&o.uses, "uses", 1, "how many nodes may use it, 1 to 255")
		fs.StringVar(&o.address, "address", "", "`host:port` at which this node is dialled from outside; without it the newcomer must be in the mesh")
		fs.BoolVar(&o.stock, "stock", false, "a login and password for one cjdroute, as a snippet for its connectTo")
		fs.StringVar(&o.note, "note", "", "what you call the stock node")
		fs.BoolVar(&o.qr, "qr", false, "draw a QR code even if the output is no terminal")
		fs.BoolVar(&o.noQR, "no-qr", false, "draw no QR code")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "invite [--expires 7d] [--role member|admin] [--uses N] [--address HOST:PORT] [--stock] [--no-qr], or invite list"); err != nil {
			return err
		}
		switch {
		case o.stock && (o.role != "member" || o.uses != 1):
			return usagef("--stock makes a password, not a member: expected no --role or --uses with it")
		case o.note != "" && !o.stock:
			return usagef("--note is for --stock")
		case o.uses < 1 || o.uses > community.MaxUses:
			return usagef("--uses: expected a number from 1 to %d", community.MaxUses)
		}
		call := without(map[string]any{"role": o.role, "address": o.address, "note": o.note})
		call["life_s"], call["uses"], call["stock"] = int64(life), int(o.uses), o.stock
		var r admin.InviteResult
		if err := a.call(ctx, "invite", call, &r); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(r)
		}
		if o.stock {
			return writeStock(a.stdout, r)
		}
		if err := a.writeInvite(r, int(o.uses)); err != nil {
			return err
		}
		if o.qr || !o.noQR && isTerminal(a.stdout) {
			return writeQR(a.stdout, r.Token)
		}
		return nil
	})
	c.Subcommands = []*ffcli.Command{a.inviteListCommand()}
	c.LongHelp = "Whoever has the line can use it: send it as you would send a password. Take it\nback with: meshagent community revoke INVITE"
	return c
}

// writeInvite prints the token on a line of its own, and what there is to say
// on standard error, so that the token can be piped.
func (a *app) writeInvite(r admin.InviteResult, uses int) error {
	ends := "never ends"
	if r.NotAfter != 0 {
		ends = "ends " + time.Unix(r.NotAfter, 0).UTC().Format("2006-01-02 15:04 UTC")
	}
	times := "once"
	if uses > 1 {
		times = fmt.Sprintf("%d times", uses)
	}
	fmt.Fprintf(a.stderr, "invite %s, good %s, %s; on the new node: meshagent join TOKEN\n", r.Invite, times, ends)
	_, err := fmt.Fprintln(a.stdout, r.Token)
	return err
}

// writeStock prints what goes into the connectTo of a cjdroute.conf.
func writeStock(w io.Writer, r admin.InviteResult) error {
	address := r.Address
	if address == "" {
		address = "ADDRESS:PORT"
	}
	_, err := fmt.Fprintf(w, "\"%s\": {\n    \"login\": \"%s\",\n    \"password\": \"%s\",\n    \"publicKey\": \"%s\"\n}\n", address, r.Login, r.Password, r.PublicKey)
	return err
}

func (a *app) inviteListCommand() *ffcli.Command {
	return a.command("invite list", "", "the invites, and what became of them", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "invite list [--json]"); err != nil {
			return err
		}
		return ask(ctx, a, "invite.list", nil, admin.WriteInvites)
	})
}

func (a *app) joinCommand() *ffcli.Command {
	c := a.command("join", "TOKEN", "become a member, by the line that meshagent invite printed", a.clientFlags, func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return usagef("expected: meshagent join TOKEN, or join - to read it from standard input")
		}
		token := strings.Join(args, "")
		if token == "-" {
			var err error
			if token, err = a.readLine(); err != nil {
				return err
			}
		}
		if _, err := community.ParseToken(token); err != nil {
			return usagef("%s", err)
		}
		return a.join(ctx, token)
	})
	c.LongHelp = fmt.Sprintf("It looks for an admin for up to %s and says what happens.", community.JoinTime)
	return c
}

// join shows the steps as they come.
func (a *app) join(ctx context.Context, token string) error {
	if err := a.call(ctx, "join", map[string]any{"token": token}, nil); err != nil {
		return err
	}
	all := admin.JoinProgress{Steps: []admin.JoinStep{}}
	for !all.Done {
		var p admin.JoinProgress
		if err := a.call(ctx, "join.progress", map[string]any{"after": len(all.Steps)}, &p); err != nil {
			return err
		}
		all.Steps = append(all.Steps, p.Steps...)
		all.Done, all.Error, all.Community, all.Peer = p.Done, p.Error, p.Community, p.Peer
		if a.json {
			continue
		}
		for _, s := range p.Steps {
			if _, err := fmt.Fprintf(a.stdout, "%5.1f s  %s\n", float64(s.AtMs)/1000, s.Text); err != nil {
				return err
			}
		}
	}
	if p := all.Peer; p != nil {
		var c config.PeerChange
		if err := a.changePeer(ctx, "peer.add", map[string]any{"address": p.Address, "public_key": p.PublicKey, "name": p.Name}, &c); err != nil {
			return fmt.Errorf("joined, but the admin is not stored as a peer: %w", err)
		}
	}
	if a.json {
		if err := a.printJSON(all); err != nil {
			return err
		}
	} else if all.Error != "" {
		fmt.Fprintf(a.stderr, "meshagent: not joined: %s\n", all.Error)
	}
	if all.Error != "" {
		return errSilent
	}
	return nil
}
