package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/community"
)

func (a *app) communityCommand() *ffcli.Command {
	c := a.command("community", "create|show|admin|revoke|leave", "who belongs together, and may let others in", nil, nil)
	add := a.command("community admin", "add", "make a member an admin", nil, nil)
	add.Subcommands = []*ffcli.Command{a.communityAdminAddCommand()}
	c.Subcommands = []*ffcli.Command{a.communityCreateCommand(), a.communityShowCommand(), add, a.communityRevokeCommand(), a.communityLeaveCommand()}
	return c
}

// rootFlag is the option for the root's line. It is used here and nowhere
// else: the agent never sees it.
func rootFlag(fs *flag.FlagSet, v *string, more string) {
	fs.StringVar(v, "root", "", "the `line` that is kept on paper; - reads it from standard input"+more)
}

// rootKey reads the root's line.
func (a *app) rootKey(line string) (secret cjdns.PrivateKey, err error) {
	if line == "-" {
		if isTerminal(a.stdin) {
			fmt.Fprint(a.stderr, "the root's line: ")
		}
		if line, err = a.readLine(); err != nil {
			return secret, err
		}
	}
	secret, err = community.ParseRoot(line)
	if err != nil {
		return secret, usagef("--root: %s", err)
	}
	return secret, nil
}

// maxTyped bounds a line that is read from standard input, in bytes.
const maxTyped = 4096

func (a *app) readLine() (string, error) {
	line, err := bufio.NewReader(io.LimitReader(a.stdin, maxTyped)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(line), nil
}

func randomBytes(b []byte) { _, _ = rand.Read(b) } // since Go 1.24 it never fails

// rootSigns lets the agent draft something, signs it here, and gives it back.
func (a *app) rootSigns(ctx context.Context, secret cjdns.PrivateKey, draft, args map[string]any, method string) error {
	var d admin.Draft
	if err := a.call(ctx, "community.draft", without(draft), &d); err != nil {
		return err
	}
	raw, err := hex.DecodeString(d.Draft)
	if err != nil {
		return err
	}
	object, err := community.SignRoot(secret, randomBytes, raw)
	if err != nil {
		return err
	}
	args["object"] = hex.EncodeToString(object)
	return a.call(ctx, method, args, nil)
}

func (a *app) communityCreateCommand() *ffcli.Command {
	root := ""
	c := a.command("community create", "NAME", "begin a community, with this node as its first admin", func(fs *flag.FlagSet) {
		a.clientFlags(fs)
		rootFlag(fs, &root, "; without this option a new one is made")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, "community create NAME [--root LINE]"); err != nil {
			return err
		}
		if err := community.CheckName(args[0]); err != nil {
			return usagef("%s", err)
		}
		var secret cjdns.PrivateKey
		if root == "" {
			randomBytes(secret[:])
		} else {
			var err error
			if secret, err = a.rootKey(root); err != nil {
				return err
			}
		}
		public := cjdns.NewSigningKey(secret).Public()
		key := hex.EncodeToString(public[:])
		err := a.rootSigns(ctx, secret, map[string]any{"kind": admin.DraftFound, "root": key},
			map[string]any{"name": args[0], "root": key}, "community.found")
		if err != nil {
			return err
		}
		return a.created(args[0], public, secret, root == "")
	})
	c.LongHelp = `The root's line is shown once and stored nowhere: write it on paper. It makes
admins and revokes them, and it is what is left if all admins are lost. With
--root a community goes on whose admins are lost: give it the same name.`
	return c
}

func (a *app) created(name string, public cjdns.VerifyKey, secret cjdns.PrivateKey, fresh bool) error {
	id := community.IDOf(public).String()
	line := ""
	if fresh {
		line = community.FormatRoot(secret)
	}
	if a.json {
		out := map[string]any{"name": name, "id": id}
		if fresh {
			out["root"] = line
		}
		return a.printJSON(out)
	}
	fmt.Fprintf(a.stdout, "community '%s' (%s): this node is an admin of it\n", name, id)
	if fresh {
		fmt.Fprintf(a.stdout, "\nWrite this line on paper. It is shown only now, and stored nowhere:\n\n  %s\n\n", line)
	}
	_, err := fmt.Fprintln(a.stdout, "next: let others in with: meshagent invite\n      make one of them the second admin: meshagent community admin add KEY --root LINE")
	return err
}

func (a *app) communityShowCommand() *ffcli.Command {
	return a.command("community show", "", "the community, its admins and members, and what is revoked", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "community show [--json]"); err != nil {
			return err
		}
		s, err := a.community(ctx)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.printJSON(s)
		}
		return admin.WriteCommunity(a.stdout, s)
	})
}

// community asks for everything, the members in parts: all of them may be too
// long for one answer.
func (a *app) community(ctx context.Context) (all community.Status, err error) {
	const limit = 500
	for {
		var s community.Status
		if err := a.call(ctx, "community", map[string]any{"offset": len(all.Members), "limit": limit}, &s); err != nil {
			return all, err
		}
		s.Members = append(all.Members, s.Members...)
		more := len(s.Members) > len(all.Members) && len(s.Members) < s.Total
		if all = s; !more {
			return all, nil
		}
	}
}

func (a *app) communityAdminAddCommand() *ffcli.Command {
	root := ""
	return a.command("community admin add", "KEY --root LINE", "make a member an admin", func(fs *flag.FlagSet) {
		a.clientFlags(fs)
		rootFlag(fs, &root, "")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, "community admin add KEY --root LINE"); err != nil {
			return err
		}
		if root == "" {
			return usagef("only the root makes admins: expected --root LINE, or --root - to type it")
		}
		secret, err := a.rootKey(root)
		if err != nil {
			return err
		}
		if err := a.rootSigns(ctx, secret, map[string]any{"kind": admin.DraftAdmin, "key": args[0]}, map[string]any{}, "community.apply"); err != nil {
			return err
		}
		return a.report(map[string]any{"admin": args[0]}, "%s is an admin now\n", args[0])
	})
}

// report prints what was done.
func (a *app) report(v map[string]any, format string, args ...any) error {
	if a.json {
		return a.printJSON(v)
	}
	_, err := fmt.Fprintf(a.stdout, format, args...)
	return err
}

func (a *app) communityRevokeCommand() *ffcli.Command {
	var o struct {
		reason, root string
		lift, all    bool
	}
	c := a.command("community revoke", "MEMBER|INVITE|ADMIN", "take a membership or an invite back", func(fs *flag.FlagSet) {
		a.clientFlags(fs)
		fs.StringVar(&o.reason, "reason", "", "a `word`: "+strings.Join(community.ReasonWords[1:], ", "))
		fs.BoolVar(&o.lift, "lift", false, "take the revocation back; only who has revoked can do that")
		fs.BoolVar(&o.all, "all", false, "of an admin: void what it has signed before, too")
		rootFlag(fs, &o.root, "; needed for an admin")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 1, "community revoke KEY|ADDRESS|INVITE [--reason WORD] [--lift] [--root LINE [--all]]"); err != nil {
			return err
		}
		if o.root != "" {
			secret, err := a.rootKey(o.root)
			if err != nil {
				return err
			}
			draft := map[string]any{"kind": admin.DraftRevoke, "key": args[0], "reason": o.reason, "all": o.all, "lift": o.lift}
			if err := a.rootSigns(ctx, secret, draft, map[string]any{}, "community.apply"); err != nil {
				return err
			}
			return a.revoked(admin.Revoked{What: "admin " + args[0], Lifted: o.lift})
		}
		if o.all {
			return usagef("--all is about an admin: expected --root LINE with it")
		}
		var r admin.Revoked
		if err := a.call(ctx, "community.revoke", without(map[string]any{"selector": args[0], "reason": o.reason, "lift": o.lift}), &r); err != nil {
			return err
		}
		return a.revoked(r)
	})
	c.LongHelp = `Members and invites are revoked by any admin; others hear of it as soon as they
meet. Admins are revoked by the root; name them by public key.`
	return c
}

func (a *app) revoked(r admin.Revoked) error {
	if a.json {
		return a.printJSON(r)
	}
	done := "revoked"
	if r.Lifted {
		done = "no longer revoked"
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %s\n", r.What, done)
	return err
}

func (a *app) communityLeaveCommand() *ffcli.Command {
	return a.command("community leave", "", "forget the community; only an invite leads back", a.clientFlags, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "community leave"); err != nil {
			return err
		}
		if err := a.call(ctx, "community.leave", nil, nil); err != nil {
			return err
		}
		return a.report(map[string]any{"left": true}, "left\n")
	})
}
