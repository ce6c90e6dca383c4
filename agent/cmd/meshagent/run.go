package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/daemon"
)

func (a *app) runCommand() *ffcli.Command {
	path := ""
	c := a.command("run", "-c FILE", "be a node, in the foreground", func(fs *flag.FlagSet) {
		fs.StringVar(&path, "c", "", "configuration `file`: UCI text, or a cjdroute.conf; default "+config.DefaultFile())
		fs.StringVar(&a.socket, "socket", "", "`path` of the admin socket, instead of the one in the configuration")
	}, func(ctx context.Context, args []string) error {
		if err := wantArgs(args, 0, "run -c FILE [--socket PATH]"); err != nil {
			return err
		}
		if path == "" {
			path = config.DefaultFile()
		}
		if a.socket == "" {
			a.socket = a.getenv("MESHAGENT_SOCKET")
		}
		return a.runAgent(ctx, path)
	})
	c.LongHelp = "SIGHUP reads the configuration again, SIGINT and SIGTERM end the agent."
	return c
}

func (a *app) runAgent(ctx context.Context, path string) error {
	if err := a.checkAlone(path); err != nil {
		return err
	}
	level := new(slog.LevelVar)
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	err := daemon.Run(ctx, daemon.Options{
		ConfigPath: path,
		Socket:     a.socket,
		Version:    version,
		Log:        log,
		Level:      level,
		Serve: func(ctx context.Context, socket string, d *daemon.Daemon) error {
			return serve(ctx, socket, d, log)
		},
	})
	if errors.Is(err, daemon.ErrDisabled) {
		log.Info(err.Error())
		return nil // procd and systemd are not to try again
	}
	return err
}

// checkAlone ends a second agent with the same socket before it touches links,
// devices and firewall of the first.
func (a *app) checkAlone(path string) error {
	socket := a.socket
	if socket == "" {
		loaded, err := config.Open(path).Load()
		if err != nil {
			return err
		}
		if !loaded.Config.Main.Enabled {
			return nil
		}
		socket = loaded.Config.Main.Socket
	}
	return admin.CheckFree(socket)
}

// serve answers on the socket until ctx ends, and reloads on SIGHUP.
func serve(ctx context.Context, socket string, b admin.Backend, log *slog.Logger) error {
	l, err := admin.Listen(socket)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	done := make(chan struct{})
	defer func() { <-done }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				if _, err := b.Reload(ctx); err != nil {
					log.Error("the configuration was not reloaded", "err", err)
				}
			}
		}
	}()
	return (&admin.Server{Registry: admin.NewMethods(b)}).Serve(ctx, l)
}
