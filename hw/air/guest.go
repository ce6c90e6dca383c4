package air

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/meshagent/meshagent/hw/rig"
	"golang.org/x/sys/unix"
)

// The kernel's command line hands these to the first process: unknown words
// with "=" in them become its environment.
const (
	envScenario = "MESHAGENT_AIR"
	envAgent    = "MESHAGENT_AIR_AGENT"
	envArg      = "MESHAGENT_AIR_ARG"
)

// word is one line that the kernel's first process says to the host.
type word struct {
	Log   string            `json:"log,omitempty"`
	Note  string            `json:"note,omitempty"`  // a figure that was measured
	Text  string            `json:"text,omitempty"`  // what the scenario printed
	Fail  string            `json:"fail,omitempty"`  // what went wrong
	Mark  bool              `json:"mark,omitempty"`  // the host is to look at its clock of processor time
	Files map[string]string `json:"files,omitempty"` // logs, if something did
	End   bool              `json:"end,omitempty"`   // the scenario has ended
	Up    float64           `json:"up,omitempty"`    // seconds of the kernel's clock at its end
}

// wordMark begins each line with a word; what the kernel prints has none.
const wordMark = "\x1eair "

// World is one kernel with its radios, seen from inside.
type World struct {
	*rig.Rig
	Medium *Medium
	Agent  string // the program under test
	Arg    string // what Config.Arg says

	control *family
	made    int
	hosts   []*rig.Host

	flush func() // waits until what the scenario printed is with the host

	mu  sync.Mutex
	out *os.File
	bad bool // something failed
}

// stop is what Fatalf panics with.
type stop struct{}

// Main must be called first by a program that calls Play. On the host it
// returns at once. As the first process of a kernel that Play started it plays
// the scenario, switches the machine off and does not return.
func Main(scenarios map[string]func(*World)) {
	name := os.Getenv(envScenario)
	if os.Getpid() != 1 || name == "" {
		return
	}
	w := &World{out: os.Stdout, flush: func() {}, Agent: os.Getenv(envAgent), Arg: os.Getenv(envArg)}
	play := scenarios[name]
	if play == nil {
		w.say(word{Fail: fmt.Sprintf("no scenario %q", name)})
	} else {
		w.live(play)
	}
	w.flush()
	w.say(word{End: true, Up: uptime()})
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// live sets the machine up, plays the scenario and looks at what the kernel
// said about it.
func (w *World) live(play func(*World)) {
	defer func() {
		if f := recover(); f != nil {
			if _, ok := f.(stop); !ok {
				w.say(word{Fail: fmt.Sprint("panic: ", f)})
			}
		}
		w.judge()
	}()
	w.boot()
	w.capture()
	defer func() {
		if w.failed() {
			w.keep()
		}
	}()
	play(w)
}

// boot makes of a kernel a machine with an air.
func (w *World) boot() {
	os.Clearenv()
	for k, v := range map[string]string{
		"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/run", "TMPDIR": "/run", "LC_ALL": "C",
	} {
		_ = os.Setenv(k, v)
	}
	for _, m := range [][2]string{
		{"/proc", "proc"}, {"/sys", "sysfs"}, {"/dev", "devtmpfs"}, {"/run", "tmpfs"}, {"/sys/kernel/debug", "debugfs"},
	} {
		if err := unix.Mount(m[1], m[0], m[1], 0, ""); err != nil && err != unix.EBUSY { //nolint:errorlint // bare errno
			w.Fatalf("mount %s: %v", m[0], err)
		}
	}
	// The console that the kernel found before /dev was there may be none.
	if f, err := os.OpenFile("/dev/console", os.O_WRONLY, 0); err == nil {
		w.mu.Lock()
		w.out = f
		w.mu.Unlock()
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		_ = os.MkdirAll("/dev/net", 0o755)
		if err := unix.Mknod("/dev/net/tun", unix.S_IFCHR|0o600, int(unix.Mkdev(10, 200))); err != nil {
			w.Fatalf("/dev/net/tun: %v", err)
		}
	}
	w.run("ip", "link", "set", "lo", "up")
	w.Rig = rig.New(rig.Config{Fail: w.Fatalf, Logf: w.Logf})
	var err error
	if w.control, err = dialFamily(); err != nil {
		w.Fatalf("%v", err)
	}
	fam, err := dialFamily()
	if err != nil {
		w.Fatalf("%v", err)
	}
	_ = fam.conn.SetReadBuffer(4 << 20)
	if _, err := fam.do(cmdRegister, netlink.Acknowledge, nil); err != nil {
		w.Fatalf("medium: %v", err)
	}
	w.Medium = newMedium(fam, 1)
	go w.Medium.run()
}

// capture makes words of what the scenario prints on standard output and error.
func (w *World) capture() {
	r, pipe, err := os.Pipe()
	if err != nil {
		w.Fatalf("%v", err)
	}
	os.Stdout, os.Stderr = pipe, pipe
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, err := r.Read(b)
			if err != nil {
				return
			}
			w.say(word{Text: string(b[:n])})
		}
	}()
	w.flush = func() {
		_ = pipe.Close()
		<-done
	}
}

// say sends a word to the host.
func (w *World) say(m word) {
	b, err := json.Marshal(m)
	if err != nil {
		b = []byte(`{"fail":"a word that cannot be encoded"}`)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = fmt.Fprintf(w.out, "%s%s\n", wordMark, b)
	if m.Fail != "" {
		w.bad = true
	}
}

// Logf says what is going on.
func (w *World) Logf(format string, args ...any) {
	w.say(word{Log: w.stamp() + fmt.Sprintf(format, args...)})
}

// Notef reports a figure.
func (w *World) Notef(format string, args ...any) { w.say(word{Note: fmt.Sprintf(format, args...)}) }

// Mark lets the host note how much processor time the kernel and all that runs
// in it have used: see Result.Marks.
func (w *World) Mark() { w.say(word{Mark: true}) }

// Errorf reports a failure and goes on.
func (w *World) Errorf(format string, args ...any) {
	w.say(word{Fail: w.stamp() + fmt.Sprintf(format, args...)})
}

// Fatalf reports a failure and ends the scenario. It must be called by the
// scenario's own goroutine.
func (w *World) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	panic(stop{})
}

func (w *World) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bad
}

// stamp is the kernel's clock.
func (w *World) stamp() string { return fmt.Sprintf("[%7.2f] ", uptime()) }

// uptime returns the seconds since the kernel's start.
func uptime() (up float64) {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return float64(ts.Nano()) / 1e9
}

// try runs a program in the first namespace; the error carries what it printed.
func (w *World) try(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// run is try for steps that have to succeed.
func (w *World) run(name string, args ...string) {
	if err := w.try(name, args...); err != nil {
		w.Fatalf("%v", err)
	}
}

// Output runs a program in a node and returns what it printed, whatever its
// status.
func (w *World) Output(n *rig.Node, argv ...string) string {
	out, err := exec.Command("ip", append([]string{"netns", "exec", n.NS}, argv...)...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s(%v)\n", out, err)
	}
	return string(out)
}

// keep sends what explains a failure: the agents' logs and tables, and what iw
// says of the radios.
func (w *World) keep() {
	files := map[string]string{}
	for _, h := range w.hosts {
		if h.Proc == nil {
			continue
		}
		text := h.Proc.Tail(200) + "\n"
		for _, cmd := range []string{"status", "bat if", "bat n", "bat o", "peers", "sessions"} {
			argv := append([]string{w.Agent, "--socket", h.Socket}, strings.Fields(cmd)...)
			text += "\n--- " + cmd + "\n" + w.Output(h.Node, argv...)
		}
		for _, cmd := range []string{"iw dev", "iw dev wlan0 station dump", "ip -s link"} {
			text += "\n--- " + cmd + "\n" + w.Output(h.Node, strings.Fields(cmd)...)
		}
		files[h.Node.Name+".txt"] = text
	}
	if w.Medium != nil {
		files["medium.txt"] = fmt.Sprintf("%+v\n", w.Medium.Counters())
	}
	w.say(word{Files: files})
}

// suspect are words of a kernel that is in trouble.
var suspect = regexp.MustCompile(`BUG|WARNING:|Oops|Call Trace|general protection|refcount|unregister_netdevice: waiting`)

// judge fails the scenario if the kernel complains.
func (w *World) judge() {
	f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(time.Second))
	for s := bufio.NewScanner(f); s.Scan(); {
		if suspect.MatchString(s.Text()) {
			w.Errorf("the kernel says: %s", s.Text())
		}
	}
}
