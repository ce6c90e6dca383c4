package air

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Config says what is played.
type Config struct {
	Scenario string // of those that Main was given
	Agent    string // the program under test; an absolute path outside of /run
	Arg      string // for the scenario, without blanks

	// RealTime lets the kernel's clock run as the host's does, for what a
	// person looks at and for figures of processor time.
	RealTime bool
	MemMB    int // 0: 128

	// Logf gets a line for each step; Screen what a scenario prints. Either
	// may be nil.
	Logf   func(format string, args ...any)
	Screen io.Writer
	// Artefacts is the folder for what explains a failure; empty: it goes to
	// Logf.
	Artefacts string
}

// Result is what came of a scenario.
type Result struct {
	Notes   []string      // figures that it measured
	Virtual time.Duration // of the kernel's clock, from its start to the end
	Wall    time.Duration
	CPU     time.Duration   // of the kernel and all that ran in it, on the host
	Marks   []time.Duration // CPU at each World.Mark
}

// Play boots a kernel, plays a scenario in it and waits for its end. The error
// says what failed. When ctx ends, so does the kernel. It needs root, for a
// process namespace: everything that belongs to the kernel is gone when Play
// returns, or when this process dies.
func Play(ctx context.Context, c Config) (res Result, err error) {
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	kernel, err := Kernel()
	if err != nil {
		return res, err
	}
	self, err := os.Executable()
	if err != nil {
		return res, err
	}
	if c.MemMB == 0 {
		c.MemMB = 256
	}
	// A process namespace, so that the traced processes of the kernel end with
	// it: killed alone, it would leave them behind.
	argv := []string{
		"--pid", "--fork", "--kill-child", "--mount-proc", kernel, fmt.Sprintf("mem=%dM", c.MemMB),
		"root=none", "rootfstype=hostfs", "rootflags=/", "ro", "con=null", "con0=null,fd:1", "quiet",
		"mac80211_hwsim.radios=0", "init=" + self,
		envScenario + "=" + c.Scenario, envAgent + "=" + c.Agent,
	}
	if c.Arg != "" {
		argv = append(argv, envArg+"="+c.Arg)
	}
	if !c.RealTime {
		argv = append(argv, "time-travel=inf-cpu")
	}
	tmp, err := os.MkdirTemp("", "meshagent-air-") // the kernel's memory is a file there
	if err != nil {
		return res, err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, "unshare", argv...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + tmp, "TMPDIR=" + tmp}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return res, err
	}
	cmd.Stderr = cmd.Stdout
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return res, err
	}
	l := listener{c: c, res: &res, cpu: func() time.Duration { return treeCPU(cmd.Process.Pid) }}
	l.listen(out)
	werr := cmd.Wait()
	res.Wall = time.Since(begin)
	res.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return res, l.verdict(ctx, werr)
}

// listener reads what a kernel says.
type listener struct {
	c       Config
	res     *Result
	cpu     func() time.Duration
	fails   []string
	console []string // the last lines of the kernel's own
	ended   bool
}

func (l *listener) listen(r io.Reader) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20) // logs of a failure come as one line
	for s.Scan() {
		line := strings.TrimRight(s.Text(), "\r")
		before, text, ok := strings.Cut(line, wordMark)
		if !ok {
			before = line
		}
		if before != "" {
			l.console = append(l.console, before)
			l.console = l.console[max(0, len(l.console)-40):]
		}
		if !ok {
			continue
		}
		var w word
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			l.fails = append(l.fails, fmt.Sprintf("%v: %.200q", err, text))
			continue
		}
		l.hear(w)
	}
}

func (l *listener) hear(w word) {
	if w.Log != "" {
		l.c.Logf("%s", w.Log)
	}
	if w.Note != "" {
		l.res.Notes = append(l.res.Notes, w.Note)
	}
	if w.Text != "" && l.c.Screen != nil {
		_, _ = io.WriteString(l.c.Screen, w.Text)
	}
	if w.Fail != "" {
		l.fails = append(l.fails, w.Fail)
	}
	if w.Mark {
		l.res.Marks = append(l.res.Marks, l.cpu())
	}
	for name, text := range w.Files {
		l.keep(name, text)
	}
	if w.End {
		l.ended = true
		l.res.Virtual = time.Duration(w.Up * float64(time.Second))
	}
}

func (l *listener) keep(name, text string) {
	if l.c.Artefacts == "" {
		l.c.Logf("=== %s\n%s", name, text)
		return
	}
	dir := filepath.Join(l.c.Artefacts, l.c.Scenario)
	if err := os.MkdirAll(dir, 0o755); err == nil {
		_ = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
	}
}

// verdict is the error of a scenario, nil if it went well.
func (l *listener) verdict(ctx context.Context, end error) error {
	if len(l.fails) > 0 {
		return errors.New(strings.Join(l.fails, "\n"))
	}
	if l.ended {
		return nil
	}
	if ctx.Err() != nil {
		end = ctx.Err()
	}
	return fmt.Errorf("the kernel went down in the middle of %s: %w\n%s", l.c.Scenario, end, strings.Join(l.console, "\n"))
}

// treeCPU returns the processor time of a process, of its descendants, and of
// those that have ended. Source: proc(5), fields of /proc/PID/stat from the
// state on.
func treeCPU(root int) (sum time.Duration) {
	type process struct {
		parent int
		ticks  int64
	}
	all := map[int]process{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		b, _ := os.ReadFile(file)
		_, rest, _ := strings.Cut(string(b), ") ") // the name may hold spaces
		f := strings.Fields(rest)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || len(f) < 15 {
			continue
		}
		var p process
		p.parent, _ = strconv.Atoi(f[1])
		for _, s := range f[11:15] { // utime stime cutime cstime
			n, _ := strconv.ParseInt(s, 10, 64)
			p.ticks += n
		}
		all[pid] = p
	}
	for pid, p := range all {
		for up, n := pid, 0; up > 1 && n < len(all); up, n = all[up].parent, n+1 {
			if up == root {
				sum += time.Duration(p.ticks) * (time.Second / 100) // USER_HZ is 100 on every Linux port Go has
				break
			}
		}
	}
	return sum
}
