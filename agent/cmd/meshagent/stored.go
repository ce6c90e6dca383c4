package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/config"
)

// stagedPlaces are where changes of a configuration wait that are not stored
// yet: those of the command uci, those of LuCI by session, and what LuCI goes
// back to if its own countdown runs out. Source: rpcd include/rpcd/uci.h.
var stagedPlaces = []string{"/tmp/.uci/", "/var/run/rpcd/uci-*/", "/var/run/rpcd/snapshot-files/"}

// checkStaged refuses to write a configuration under the feet of others.
func checkStaged(path string) error {
	for _, place := range stagedPlaces {
		for _, f := range found(place, filepath.Base(path)) {
			if info, err := os.Stat(f); err == nil && info.Size() > 0 {
				return fmt.Errorf("%s: changes wait to be stored (%s); store or revert them first, in LuCI or by uci", path, f)
			}
		}
	}
	return nil
}

// found lists what a file of this name may be called in a place, whose name
// may have one star. os.ReadDir would be new in this program, and 10 kB.
func found(place, name string) []string {
	begin, rest, star := strings.Cut(place, "*")
	if !star {
		return []string{place + name}
	}
	dir, prefix := filepath.Split(begin)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var out []string
	buf := make([]byte, 4096)
	for {
		n, err := unix.Getdents(fd, buf)
		if n <= 0 || err != nil {
			return out
		}
		// struct linux_dirent64: inode and offset of 8 bytes, length of the
		// entry, type, name
		for b := buf[:n]; len(b) > 19; {
			entry := b[:min(len(b), max(20, int(binary.NativeEndian.Uint16(b[16:]))))]
			b = b[len(entry):]
			n, _, _ := strings.Cut(string(entry[19:]), "\x00")
			if strings.HasPrefix(n, prefix) {
				out = append(out, dir+n+rest+name)
			}
		}
	}
}

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
	if err := checkStaged(path); err != nil {
		return err
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
