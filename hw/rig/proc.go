package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Proc is a program that runs inside a namespace.
type Proc struct {
	Name string
	Pid  int
	Log  string // file with its standard output and error

	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait, once done is closed
}

// command wraps argv so that it runs inside the namespace, with the files of
// /etc/netns in place. ip executes the program, so the process is the program.
func (n *Node) command(argv ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.NS}, argv...)...)
}

// Start runs a program until it ends or is stopped; name is for logs. The
// kernel kills it if this process dies without cleaning up.
func (n *Node) Start(name string, argv ...string) *Proc {
	r := n.rig
	p := &Proc{Name: name, Log: filepath.Join(r.Dir, n.Name+"-"+name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		r.fail("%v", err)
	}
	defer log.Close()
	p.cmd = n.command(argv...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := r.start(p.cmd); err != nil {
		r.fail("start %s in %s: %v", name, n.NS, err)
	}
	p.Pid = p.cmd.Process.Pid
	go func() {
		p.err = p.cmd.Wait()
		_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // children that outlive it
		close(p.done)
	}()
	r.mu.Lock()
	r.procs = append(r.procs, p)
	r.mu.Unlock()
	return p
}

// errClosed reports a process that was to be started in a closed rig.
var errClosed = errors.New("the rig is closed")

// start starts cmd on the thread of the spawner: a process dies with the
// thread that started it (Pdeathsig), and Go's other threads come and go.
func (r *Rig) start(cmd *exec.Cmd) (err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	defer func() {
		if recover() != nil { // the channel was closed under us
			err = errClosed
		}
	}()
	res := make(chan error, 1)
	r.spawn <- func() { res <- cmd.Start() }
	return <-res
}

// spawner is the one thread that starts processes.
func (r *Rig) spawner() {
	runtime.LockOSThread()
	for f := range r.spawn {
		f()
	}
}

// Run runs a program in the namespace to its end and returns what it printed
// on standard output and error. It is killed when ctx ends.
func (n *Node) Run(ctx context.Context, argv ...string) (string, error) {
	cmd := n.command(argv...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.rig.start(cmd); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		err = fmt.Errorf("%s in %s: %w", argv[0], n.NS, err)
	}
	return out.String(), err
}

// Signal sends sig to the process and its children; nothing happens if it has
// ended already.
func (p *Proc) Signal(sig syscall.Signal) {
	if p.Alive() {
		_ = syscall.Kill(-p.Pid, sig) // its group: see start
	}
}

// Stop ends the process with SIGTERM, and with SIGKILL after 3 s. It returns
// how the process ended (nil: exit status 0).
func (p *Proc) Stop() error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(3 * time.Second):
		p.Signal(syscall.SIGKILL)
		<-p.done
		return fmt.Errorf("%s did not end within 3 s of SIGTERM", p.Name)
	}
	return p.err
}

// Kill ends the process and its children at once, without a goodbye.
func (p *Proc) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Alive reports whether the process still runs.
func (p *Proc) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end of the process, at most d; ok is false if it still
// runs then.
func (p *Proc) Wait(d time.Duration) (err error, ok bool) { //nolint:revive // the error is the result, ok says whether there is one
	select {
	case <-p.done:
		return p.err, true
	case <-time.After(d):
		return nil, false
	}
}

// Output returns all that the process has printed so far.
func (p *Proc) Output() string {
	b, _ := os.ReadFile(p.Log)
	return string(b)
}

// Tail returns the last n lines of the output.
func (p *Proc) Tail(n int) string {
	lines := strings.Split(strings.TrimRight(p.Output(), "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// RSS returns the resident memory of the process and its children in bytes, 0
// if they are gone.
func (p *Proc) RSS() (sum int64) {
	p.eachStat(func(f []string) {
		pages, _ := strconv.ParseInt(f[21], 10, 64)
		sum += pages * int64(os.Getpagesize())
	})
	return sum
}

// CPU returns the processor time, user and system, that the process and its
// living children have used, in steps of 10 ms.
func (p *Proc) CPU() (sum time.Duration) {
	p.eachStat(func(f []string) {
		for _, s := range f[11:13] { // utime stime
			ticks, _ := strconv.ParseInt(s, 10, 64)
			sum += time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on every Linux port Go has
		}
	})
	return sum
}

// eachStat calls f for each process of the group with the fields of
// /proc/PID/stat from the state on. Source: proc(5).
func (p *Proc) eachStat(f func(fields []string)) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		b, _ := os.ReadFile(file)
		_, rest, _ := strings.Cut(string(b), ") ") // the name may hold spaces
		if fields := strings.Fields(rest); len(fields) > 21 && fields[2] == strconv.Itoa(p.Pid) {
			f(fields)
		}
	}
}

// Until calls f every step until it returns true or d has passed, and reports
// whether it did.
func Until(d, step time.Duration, f func() bool) bool {
	end := time.Now().Add(d)
	for {
		if f() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(step)
	}
}

// Stream runs a program in the namespace and writes its output to w, which is
// closed when the program ends. stop ends it and waits for that.
func (n *Node) Stream(w io.WriteCloser, argv ...string) (stop func()) {
	cmd := n.command(argv...)
	cmd.Stdout, cmd.Stderr = w, w
	if err := n.rig.start(cmd); err != nil {
		_ = w.Close()
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		_ = w.Close()
		close(done)
	}()
	return func() {
		_ = cmd.Process.Kill()
		<-done
	}
}
