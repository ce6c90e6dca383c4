package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// Config says what a guest is made of.
type Config struct {
	Name   string // short; for logs and file names
	Kernel string // one of Kernels
	NICs   int    // network cards eth0, eth1, …, with nothing plugged in
	MemMB  int    // 0: 192
}

// Guest is a running virtual machine. Its methods may be called from several
// goroutines.
type Guest struct {
	Config
	Image    *Image
	BootTime time.Duration // from start until it took commands

	lab  *Lab
	no   int // 1… within the lab
	proc *rig.Proc
	nics []*NIC

	mu   sync.Mutex
	conn net.Conn
	enc  *json.Encoder
	next int
	wait map[int]chan reply
	down error // why no command can be run any more
}

// NIC is one network card of a guest.
type NIC struct {
	Dev string // in the guest
	MAC string
	tap string // in the lab's namespace
	lan *LAN
	use bool // by a Mesh
}

// bootTime bounds a boot. It takes about four seconds on an idle machine.
const bootTime = 90 * time.Second

// Start boots a guest and waits until it takes commands. A boot that fails is
// tried once more.
func (l *Lab) Start(c Config) *Guest {
	if c.MemMB == 0 {
		c.MemMB = 192
	}
	img, err := Prepare(c.Kernel)
	if err != nil {
		l.fail("%v", err)
	}
	l.guests++
	g := &Guest{Config: c, Image: img, lab: l, no: l.guests}
	for i := range c.NICs {
		n := &NIC{Dev: fmt.Sprintf("eth%d", i), MAC: fmt.Sprintf("02:ba:00:00:%02x:%02x", g.no, i), tap: fmt.Sprintf("g%dn%d", g.no, i)}
		l.wire.IP("tuntap", "add", n.tap, "mode", "tap")
		l.wire.Sysctl("ipv6/conf/"+n.tap+"/disable_ipv6", "1")
		l.wire.IP("link", "set", n.tap, "up", "mtu", "2304")
		g.nics = append(g.nics, n)
	}
	g.boot()
	return g
}

func (g *Guest) boot() {
	err := g.try()
	if err != nil {
		g.lab.logf("guest %s: %v; trying once more", g.Name, err)
		g.keepConsole()
		g.Kill()
		err = g.try()
	}
	if err != nil {
		g.keepConsole()
		g.lab.fail("guest %s: %v\n%s", g.Name, err, tail(g.Console(), 20))
	}
}

func (g *Guest) file(name string) string {
	return filepath.Join(g.lab.Rig.Dir, g.Name+"."+name)
}

// try starts the emulator and waits for the guest's first word.
func (g *Guest) try() error {
	initrd, socket := g.file("initramfs"), g.file("sock")
	if err := writeInitramfs(initrd, g.Image); err != nil {
		return err
	}
	_ = os.Remove(socket)
	argv := []string{
		"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-accel", "tcg,thread=multi,tb-size=256", "-M", "pc", "-cpu", "max", "-m", fmt.Sprint(g.MemMB), "-smp", "1",
		"-kernel", g.Image.Vmlinux(), "-initrd", initrd,
		// no_timer_check: the check fails, and the kernel panics, on an overloaded host
		"-append", "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr no_timer_check random.trust_cpu=on tsc=reliable " +
			guestEnv + "=" + g.Name,
		"-chardev", "file,id=con,append=on,path=" + g.file("console"), "-serial", "chardev:con",
		"-device", "virtio-serial-pci", "-chardev", "socket,id=ctl,server=on,wait=off,path=" + socket,
		"-device", "virtserialport,chardev=ctl,name=" + portName,
		"-device", "virtio-rng-pci",
	}
	for i, n := range g.nics {
		argv = append(argv, "-netdev", fmt.Sprintf("tap,id=n%d,ifname=%s,script=no,downscript=no,vhost=off", i, n.tap),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=n%d,mac=%s,speed=1000,duplex=full,romfile=", i, n.MAC))
	}
	begin := time.Now()
	g.proc = g.lab.wire.Start(g.Name, argv...)
	up := make(chan reply, 1)
	g.mu.Lock()
	g.wait, g.down = map[int]chan reply{0: up}, nil
	g.mu.Unlock()
	for end := begin.Add(bootTime); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			g.mu.Lock()
			g.conn, g.enc = c, json.NewEncoder(c)
			g.mu.Unlock()
			break
		}
		if !g.proc.Alive() || time.Now().After(end) {
			return fmt.Errorf("the emulator does not start: %s", g.proc.Tail(5))
		}
	}
	go g.read(g.conn)
	select {
	case r := <-up:
		if r.Code != 0 {
			return fmt.Errorf("no boot: %s", r.Out)
		}
	case <-time.After(time.Until(begin.Add(bootTime))):
		return fmt.Errorf("not up after %v", bootTime)
	}
	g.BootTime = time.Since(begin)
	for _, n := range g.nics {
		out, err := g.Run("cat /sys/class/net/" + n.Dev + "/address")
		if err != nil || strings.TrimSpace(out) != n.MAC {
			return fmt.Errorf("%s has the address %q, want %s: %w", n.Dev, out, n.MAC, err)
		}
	}
	return nil
}

// read gives the replies to those who wait for them.
func (g *Guest) read(c net.Conn) {
	dec := json.NewDecoder(c)
	for {
		var r reply
		err := dec.Decode(&r)
		g.mu.Lock()
		if g.conn != c {
			g.mu.Unlock()
			return
		}
		if err != nil {
			g.down = fmt.Errorf("guest %s is down: %w", g.Name, err)
			for id, ch := range g.wait {
				ch <- reply{ID: id, Out: []byte(g.down.Error()), Code: -1}
			}
			g.wait = nil
			g.mu.Unlock()
			return
		}
		if ch := g.wait[r.ID]; ch != nil {
			delete(g.wait, r.ID)
			ch <- r
		}
		g.mu.Unlock()
	}
}

// ExitError is the error of a command that ran to its end with another status
// than 0.
type ExitError struct {
	Code int
	Out  string
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("exit status %d: %s", e.Code, strings.TrimSpace(tail(e.Out, 20)))
}

// Job is a command that runs in a guest, or has run.
type Job struct {
	g    *Guest
	id   int
	done chan reply
}

// Go starts a shell script in the guest.
func (g *Guest) Go(script string) *Job { return g.in("", script) }

func (g *Guest) in(ns, script string) *Job {
	j := &Job{g: g, done: make(chan reply, 1)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next++
	j.id = g.next
	err := g.down
	if err == nil {
		g.wait[j.id] = j.done
		err = g.enc.Encode(request{ID: j.id, NS: ns, Script: script})
	}
	if err != nil {
		j.done <- reply{Out: []byte(err.Error()), Code: -1}
		delete(g.wait, j.id)
	}
	return j
}

// Kill ends the command and its children.
func (j *Job) Kill() {
	j.g.mu.Lock()
	defer j.g.mu.Unlock()
	if j.g.down == nil {
		_ = j.g.enc.Encode(request{ID: j.id, Kill: true})
	}
}

// Wait returns what the command printed once it has ended. It is killed after
// d.
func (j *Job) Wait(d time.Duration) (string, error) {
	select {
	case r := <-j.done:
		return j.result(r)
	case <-time.After(d):
	}
	j.Kill()
	select {
	case r := <-j.done:
		return string(r.Out), fmt.Errorf("killed after %v: %w", d, context.DeadlineExceeded)
	case <-time.After(10 * time.Second):
		return "", fmt.Errorf("guest %s does not answer: %w", j.g.Name, context.DeadlineExceeded)
	}
}

func (j *Job) result(r reply) (string, error) {
	switch {
	case r.Code < 0:
		return "", errors.New(string(r.Out))
	case r.Code > 0:
		return string(r.Out), &ExitError{r.Code, string(r.Out)}
	}
	return string(r.Out), nil
}

// runTime bounds a command of Run.
const runTime = 60 * time.Second

// Run runs a shell script in the guest and returns what it printed. The error
// is an *ExitError if its status is not 0.
func (g *Guest) Run(script string) (string, error) { return g.Go(script).Wait(runTime) }

// Must is Run for steps that have to succeed.
func (g *Guest) Must(script string) string {
	out, err := g.Run(script)
	if err != nil {
		g.lab.fail("guest %s: %s\n%v", g.Name, script, err)
	}
	return out
}

// Log returns the kernel's messages since the last call.
func (g *Guest) Log() string { return g.Must("dmesg -c") }

// Console returns what the kernel wrote to its console since the first boot.
func (g *Guest) Console() string {
	b, _ := os.ReadFile(g.file("console"))
	return string(b)
}

// Kill cuts the power. All nodes in the guest are gone.
func (g *Guest) Kill() {
	if g.proc != nil {
		g.proc.Kill()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		_ = g.conn.Close()
	}
	for _, n := range g.nics {
		n.use = false
	}
}

// Reboot cuts the power and boots the guest again, with the same cards.
func (g *Guest) Reboot() {
	g.Kill()
	g.boot()
}

// keepConsole saves the console where the lab keeps what explains a failure.
func (g *Guest) keepConsole() { g.lab.Keep(g.Name+".console.txt", []byte(g.Console())) }

// tail returns the last n lines of a text.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\r\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
