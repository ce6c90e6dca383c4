package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/config"
)

// stagedDir is where uci and LuCI keep changes that are not stored yet.
const stagedDir = "/tmp/.uci"

// changePeer asks the agent to change the stored peers. An agent that runs as
// a user of its own, and may only read the file, answers "denied": then this
// command, if its user may, writes the file and has the agent read it.
func (a *app) changePeer(ctx context.Context, method string, args map[string]any, c *config.PeerChange) error {
	err := a.call(ctx, method, args, c)
	var theirs *admin.Error
	if !errors.As(err, &theirs) || theirs.Code != admin.CodeDenied {
		return err
	}
	path := a.storedPath()
	staged := filepath.Join(stagedDir, filepath.Base(path))
	if info, err := os.Stat(staged); err == nil && info.Size() > 0 {
		return fmt.Errorf("%s: changes wait to be stored (%s); store or revert them first", path, staged)
	}
	if *c, err = changeFile(config.Open(path), method, args); err != nil {
		return err
	}
	a.lend()
	return a.call(ctx, "reload", nil, nil)
}

// storedPath is the configuration of the agent, as far as we are told.
func (a *app) storedPath() string {
	if a.configPath != "" {
		return a.configPath
	}
	return config.DefaultFile()
}

// changeFile does what the agent does for the methods peer.add and peer.del.
func changeFile(store *config.Store, method string, args map[string]any) (config.PeerChange, error) {
	text := func(name string) string { s, _ := args[name].(string); return s }
	if method == "peer.del" {
		return store.DelPeer(text("peer"))
	}
	p := config.Peer{
		Enabled: true, Address: text("address"), Password: text("password"), Login: text("login"),
		Name: text("name"), Interface: text("interface"),
	}
	if n, ok := args["version"].(int); ok {
		p.Version = uint32(n) //nolint:gosec // the agent has checked it
	}
	var err error
	if p.PublicKey, err = cjdns.ParseKey(text("public_key")); err != nil {
		return config.PeerChange{}, err
	}
	return store.AddPeer(p)
}

// lend lets the group of the agent's user, who owns its socket, read the
// configuration, if that can be done and is not so: uci takes it back to root
// each time it writes. What cannot be done here, the agent will say.
func (a *app) lend() {
	socket, err := a.socketPath()
	if err != nil {
		return
	}
	agent, err := os.Stat(socket)
	if err != nil {
		return
	}
	path := a.storedPath()
	file, err := os.Stat(path)
	if err != nil || !file.Mode().IsRegular() {
		return
	}
	owner, ok := agent.Sys().(*syscall.Stat_t)
	has, ok2 := file.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || owner.Uid == 0 || has.Uid == owner.Uid {
		return
	}
	if os.Chown(path, -1, int(owner.Gid)) == nil {
		_ = os.Chmod(path, file.Mode().Perm()|0o040)
	}
}
