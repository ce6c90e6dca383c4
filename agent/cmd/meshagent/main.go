// Command meshagent is the agent and everything that talks to it, in one
// program: "meshagent run" is a node of the cjdns network, the other commands
// make keys and configurations, or ask a running agent over its unix socket.
//
// Exit codes: 0 done, 1 it could not be done, 2 wrong usage. Those of
// "meshagent bat" are batctl's, that of "meshagent doctor" counts failures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/peterbourgon/ff/v3/ffcli"
)

// version of the program. The build rules and the packages read it here; they
// stamp another one with -ldflags "-X main.version=…".
var version = "0.1.0"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	os.Exit(a.main(ctx, os.Args[1:]))
}

// app is one run of the program, with everything that it touches outside.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string

	json       bool   // --json
	socket     string // --socket
	configPath string // --config
	usageCode  int    // exit code of wrong usage, 2 if it is 0
	help       strings.Builder
}

// usageError is an error of the person at the keyboard: exit code 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// errSilent makes exit code 1 without a further word.
var errSilent = errors.New("said already")

func (a *app) main(ctx context.Context, args []string) int {
	root := a.tree()
	err := root.Parse(args)
	if err == nil {
		err = root.Run(ctx)
	}
	var usage *usageError
	var noExec ffcli.NoExecError
	var failed failures
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(a.stdout, a.help.String())
		return 0
	case errors.As(err, &noExec):
		fmt.Fprint(a.stderr, noExec.Command.UsageFunc(noExec.Command))
		return a.badUsage()
	case errors.As(err, &usage):
		fmt.Fprintf(a.stderr, "meshagent: %s\n", usage.text)
		return a.badUsage()
	case a.help.Len() > 0: // the flag package has said what was wrong
		fmt.Fprint(a.stderr, a.help.String())
		return a.badUsage()
	case errors.As(err, &failed):
		return min(int(failed), 100)
	case errors.Is(err, errNoAnswer):
		return 2
	case errors.Is(err, errSilent):
		return 1
	}
	a.fail(err)
	return 1
}

// badUsage is the exit code of wrong usage.
func (a *app) badUsage() int {
	if a.usageCode != 0 {
		return a.usageCode
	}
	return 2
}

// tree builds the commands.
func (a *app) tree() *ffcli.Command {
	root := a.command("meshagent", "COMMAND", "a node of the cjdns network", nil, nil)
	root.LongHelp = "Without options, the running agent is found by --socket, else $MESHAGENT_SOCKET,\nelse the configuration, else " + defaultSocket + "."
	a.clientFlags(root.FlagSet)
	root.Subcommands = []*ffcli.Command{
		a.runCommand(),
		a.checkConfigCommand(),
		a.genconfCommand(),
		a.keygenCommand(),
		a.statusCommand(),
		a.peersCommand(),
		a.sessionsCommand(),
		a.pingCommand(),
		a.traceCommand(),
		a.whyCommand(),
		a.peerCommand(),
		a.communityCommand(),
		a.inviteCommand(),
		a.joinCommand(),
		a.batCommand(),
		a.wifiCommand(),
		a.reloadCommand(),
		a.configCommand(),
		a.eventsCommand(),
		a.doctorCommand(),
		a.versionCommand(),
	}
	return root
}

// command makes one command. Its flags may stand before and behind its
// arguments; exec gets the arguments only.
func (a *app) command(name, usage, help string, flags func(*flag.FlagSet), exec func(ctx context.Context, args []string) error) *ffcli.Command {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(&a.help)
	if flags != nil {
		flags(fs)
	}
	words := strings.Fields(name)
	c := &ffcli.Command{
		Name:       words[len(words)-1],
		ShortUsage: strings.TrimSpace("meshagent " + strings.TrimPrefix(name+" ", "meshagent ") + usage),
		ShortHelp:  help,
		FlagSet:    fs,
	}
	if exec != nil {
		c.Exec = func(ctx context.Context, args []string) error {
			var plain []string
			for len(args) > 0 {
				plain = append(plain, args[0])
				if err := fs.Parse(args[1:]); err != nil {
					return err
				}
				args = fs.Args()
			}
			return exec(ctx, plain)
		}
	}
	return c
}

// wantArgs checks the number of arguments.
func wantArgs(args []string, n int, usage string) error {
	if len(args) != n {
		return usagef("expected: meshagent %s", usage)
	}
	return nil
}
