package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/cryptoauth"
)

// random fills b; crypto/rand ends the program rather than fail.
func random(b []byte) { _, _ = rand.Read(b) }

func (a *app) keygenCommand() *ffcli.Command {
	pub := false
	return a.command("keygen", "[--pub]", "make a key, or derive what belongs to one", func(fs *flag.FlagSet) {
		a.jsonFlag(fs)
		fs.BoolVar(&pub, "pub", false, "read a private key from standard input, print public key and address")
	}, func(_ context.Context, args []string) error {
		if err := wantArgs(args, 0, "keygen [--pub] [--json]"); err != nil {
			return err
		}
		if !pub {
			return a.printIdentity(cryptoauth.GenerateIdentity(random), true)
		}
		text, err := io.ReadAll(io.LimitReader(a.stdin, 4096))
		if err != nil {
			return err
		}
		p, err := cjdns.ParsePrivateKey(strings.TrimSpace(string(text)))
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		id, err := cryptoauth.NewIdentity(p)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		return a.printIdentity(id, false)
	})
}

func (a *app) printIdentity(id *cryptoauth.Identity, secret bool) error {
	private := ""
	if secret {
		private = id.Private.Hex()
	}
	if a.json {
		return a.printJSON(struct {
			PrivateKey string `json:"privateKey,omitempty"`
			PublicKey  string `json:"publicKey"`
			IP         string `json:"ip"`
		}{private, id.Public.String(), id.IP.String()})
	}
	if secret {
		fmt.Fprintf(a.stdout, "private key  %s\n", private)
	}
	_, err := fmt.Fprintf(a.stdout, "public key   %s\nip           %s\n", id.Public, id.IP)
	return err
}

func (a *app) genconfCommand() *ffcli.Command {
	format := ""
	return a.command("genconf", "[--format uci|cjdroute]", "print a new configuration, with comments", func(fs *flag.FlagSet) {
		fs.StringVar(&format, "format", "uci", "uci, or cjdroute for a cjdroute.conf that carries a new key")
	}, func(_ context.Context, args []string) error {
		if err := wantArgs(args, 0, "genconf [--format uci|cjdroute]"); err != nil {
			return err
		}
		text := ""
		switch format {
		case "uci":
			text = config.GenUCI(random)
		case "cjdroute":
			id := cryptoauth.GenerateIdentity(random)
			text = config.GenCjdroute(random, id.Private, id.Public)
		default:
			return usagef("--format: expected uci or cjdroute, found '%s'", format)
		}
		_, err := io.WriteString(a.stdout, text)
		return err
	})
}

func (a *app) checkConfigCommand() *ffcli.Command {
	return a.command("check-config", "FILE", "say what is wrong with a configuration, ours or a cjdroute.conf", a.jsonFlag,
		func(_ context.Context, args []string) error {
			if err := wantArgs(args, 1, "check-config FILE [--json]"); err != nil {
				return err
			}
			return a.checkConfig(args[0])
		})
}

// finding is a config.Problem as JSON.
type finding struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Key  string `json:"key,omitempty"`
	Text string `json:"text"`
}

func findings(ps []config.Problem) []finding {
	out := make([]finding, len(ps))
	for i, p := range ps {
		out[i] = finding(p)
	}
	return out
}

func (a *app) checkConfig(path string) error {
	store := config.Open(path)
	var warnings, problems []config.Problem
	var id *cryptoauth.Identity
	loaded, err := store.Load()
	var several config.Problems
	switch {
	case errors.As(err, &several):
		problems = several
	case err != nil:
		problems = append(problems, config.Problem{File: path, Text: err.Error()})
	default:
		warnings = loaded.Warnings
		var more []config.Problem
		id, more, problems = checkIdentity(store, path, &loaded.Config)
		warnings = append(warnings, more...)
	}
	if err := a.printCheck(path, id, warnings, problems); err != nil {
		return err
	}
	if len(problems) > 0 {
		return errSilent
	}
	return nil
}

func (a *app) printCheck(path string, id *cryptoauth.Identity, warnings, problems []config.Problem) error {
	if a.json {
		out := struct {
			OK        bool      `json:"ok"`
			PublicKey string    `json:"publicKey,omitempty"`
			IP        string    `json:"ip,omitempty"`
			Warnings  []finding `json:"warnings"`
			Errors    []finding `json:"errors"`
		}{OK: len(problems) == 0, Warnings: findings(warnings), Errors: findings(problems)}
		if id != nil {
			out.PublicKey, out.IP = id.Public.String(), id.IP.String()
		}
		return a.printJSON(out)
	}
	for _, p := range problems {
		fmt.Fprintf(a.stderr, "%s\n", p)
	}
	for _, w := range warnings {
		fmt.Fprintf(a.stderr, "warning: %s\n", w)
	}
	if len(problems) > 0 {
		return nil
	}
	node := "a key will be made at the first start"
	if id != nil {
		node = id.IP.String()
	}
	_, err := fmt.Fprintf(a.stdout, "%s: ok, %s\n", path, node)
	return err
}

// checkIdentity checks what only a derived key can tell. id is nil if there is
// no key yet.
func checkIdentity(store *config.Store, path string, c *config.Config) (id *cryptoauth.Identity, warnings, problems []config.Problem) {
	key, ok, err := store.PeekKey(c)
	if err != nil {
		return nil, nil, []config.Problem{{Text: err.Error()}}
	}
	if !ok {
		return nil, nil, nil
	}
	if id, err = cryptoauth.NewIdentity(key); err != nil {
		p := config.Problem{File: c.Main.KeyFile, Text: err.Error()}
		if c.PrivateKey == key {
			p.File, p.Key = path, "privateKey"
		}
		return nil, nil, []config.Problem{p}
	}
	if !c.PublicKey.IsZero() && c.PublicKey != id.Public {
		warnings = append(warnings, config.Problem{File: path, Key: "publicKey", Text: fmt.Sprintf("privateKey belongs to %s, which counts", id.Public)})
	}
	for _, p := range c.Peers {
		if p.PublicKey == id.Public {
			warnings = append(warnings, config.Problem{File: path, Text: fmt.Sprintf("the peer '%s' has this node's own key; it is never dialled", p.Section)})
		}
	}
	return id, warnings, nil
}
