package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// prefix begins the name of every namespace and of every folder we make. The
// process id and, for the second rig of a process, a counter follow.
const prefix = "ma"

// folder begins the name of the temporary folder, before the prefix.
const folder = "meshagent-rig-"

// Config says how a Rig talks to its caller.
type Config struct {
	// Fail is called with a message when a building step fails. It must not
	// return: t.Fatalf, or a function that cleans up and exits. nil panics.
	Fail func(format string, args ...any)
	// Logf, if set, gets one line per noteworthy step.
	Logf func(format string, args ...any)
}

// Rig is one network under construction or at work. Its methods are safe for
// concurrent use only where they say so. Close it, always.
type Rig struct {
	// Dir holds logs, configurations, keys and sockets; it is removed by
	// Close.
	Dir string
	// ID begins the names of this rig's namespaces: "ma" and the process id.
	ID string

	cfg   Config
	spawn chan func()

	mu      sync.Mutex
	closed  bool
	nodes   []*Node
	procs   []*Proc
	closers []func()
	hosts   []string // files below /etc/netns
	islands int
}

var (
	rigs   int
	rigsMu sync.Mutex
)

// New makes an empty rig. It needs root; ask Need first for a message that
// says what is missing.
func New(cfg Config) *Rig {
	if cfg.Fail == nil {
		cfg.Fail = func(f string, a ...any) { panic(fmt.Sprintf("rig: "+f, a...)) }
	}
	if cfg.Logf == nil {
		cfg.Logf = func(string, ...any) {}
	}
	rigsMu.Lock()
	rigs++
	n := rigs
	rigsMu.Unlock()
	id := prefix + strconv.Itoa(os.Getpid())
	if n > 1 {
		id += "x" + strconv.Itoa(n)
	}
	r := &Rig{ID: id, cfg: cfg, spawn: make(chan func())}
	sweep()
	dir, err := os.MkdirTemp("", folder+id+"-")
	if err != nil {
		cfg.Fail("%v", err)
	}
	r.Dir = dir
	go r.spawner()
	return r
}

// CloseOnSignal closes the rig and exits with status 130 when the process is
// interrupted or terminated.
func (r *Rig) CloseOnSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-c
		r.Close()
		os.Exit(130)
	}()
}

// Close stops the processes, youngest first, and removes the namespaces and
// the folder. It may be called twice and from any goroutine.
func (r *Rig) Close() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	procs, nodes, closers, hosts := r.procs, r.nodes, r.closers, r.hosts
	r.mu.Unlock()

	for i := len(procs) - 1; i >= 0; i-- {
		procs[i].Signal(syscall.SIGTERM)
	}
	deadline := time.Now().Add(3 * time.Second)
	for _, p := range procs {
		select {
		case <-p.done:
		case <-time.After(time.Until(deadline)):
			p.Kill()
		}
	}
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
	for _, n := range nodes {
		delNamespace(n.NS)
	}
	for _, h := range hosts {
		_ = os.Remove(h)
		_ = os.Remove(filepath.Dir(h))
		_ = os.Remove(filepath.Dir(filepath.Dir(h))) // /etc/netns, if now empty
	}
	close(r.spawn)
	_ = os.RemoveAll(r.Dir)
}

// onClose runs f in Close, last registered first.
func (r *Rig) onClose(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closers = append(r.closers, f)
}

// fail reports a building step that went wrong.
func (r *Rig) fail(format string, args ...any) { r.cfg.Fail(format, args...) }

// ip runs the ip command and fails the rig if it does.
func (r *Rig) ip(args ...string) {
	if err := ip(args...); err != nil {
		r.fail("%v", err)
	}
}

// ip runs the ip command; the error carries what it printed.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// delNamespace removes the name; the kernel removes the namespace and its
// devices when the last process in it is gone.
func delNamespace(ns string) {
	if err := ip("netns", "del", ns); err != nil && pathExists("/run/netns/"+ns) {
		time.Sleep(100 * time.Millisecond)
		_ = ip("netns", "del", ns)
	}
}

func pathExists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// sweep removes what rigs of processes that no longer live have left behind.
func sweep() {
	for _, dir := range []string{"/run/netns/", "/etc/netns/", os.TempDir() + "/" + folder} {
		paths, _ := filepath.Glob(dir + prefix + "[0-9]*-*")
		for _, p := range paths {
			pid, ok := owner(strings.TrimPrefix(p, dir))
			if !ok || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				continue
			}
			if dir == "/run/netns/" {
				delNamespace(filepath.Base(p))
				continue
			}
			_ = os.RemoveAll(p)
		}
	}
}

// owner reads the process id out of a name such as ma4711-n1 or ma4711x2-n1.
func owner(name string) (pid int, ok bool) {
	id, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), "-")
	id, _, _ = strings.Cut(id, "x")
	pid, err := strconv.Atoi(id)
	return pid, err == nil && pid > 1
}
