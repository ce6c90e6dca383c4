// Package board boots router boards that this machine does not have, each with
// 64 MB of memory and a kernel built from the distribution's source, in an
// emulator: a Malta with a big-endian MIPS 24Kc before all. What user-mode
// emulation cannot run is tried there: TUN, packet sockets with their options,
// route netlink, nl80211, nftables. Package onboard is what runs on it.
package board

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/meshagent/meshagent/hw/cpio"
)

// Config is one board and what it does.
type Config struct {
	Machine
	Dir   string            // for its files
	Name  string            // of them
	Init  string            // the program of package onboard
	Run   string            // which of its tests
	Files map[string][]byte // further ones, by their path without the leading slash
	// Cable joins it with another board or a test: unix datagram sockets, its
	// own and that of the other end, which may come later. A datagram is a
	// frame. Empty: no network card.
	Cable [2]string
	// Counted lets its clock run by instructions, two nanoseconds each, instead
	// of the host's clock: what takes time on it is the same in each run.
	Counted bool
}

// Words on the console.
const (
	EnvRun = "onboard"     // of the kernel's command line
	End    = "BOARD-ENDS " // and the exit code of the tests
)

// Play boots a board and waits until its tests have ended. It returns what
// they print. The error says that they failed, or that the board went down.
func Play(ctx context.Context, c Config) (string, error) {
	kernel, err := c.Kernel()
	if err != nil {
		return "", err
	}
	initrd := filepath.Join(c.Dir, c.Name+".initrd")
	if err := c.writeInitrd(initrd); err != nil {
		return "", err
	}
	defer os.Remove(initrd)
	argv := append(c.args[:len(c.args):len(c.args)],
		"-accel", "tcg", "-m", "64", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", kernel, "-initrd", initrd,
		"-append", "console="+c.console+" quiet panic=-1 mac80211_hwsim.radios=1 "+EnvRun+"="+c.Run)
	if c.Cable[0] != "" {
		argv = append(argv, "-netdev", "dgram,id=n,local.type=unix,local.path="+c.Cable[0]+",remote.type=unix,remote.path="+c.Cable[1],
			"-device", c.card+",netdev=n,mac=02:b0:00:00:00:0"+c.Name[len(c.Name)-1:])
	} else {
		argv = append(argv, "-nic", "none")
	}
	if c.Counted {
		argv = append(argv, "-icount", "shift=1,sleep=off", "-rtc", "clock=vm,base=2026-01-01")
	}
	cmd := exec.CommandContext(ctx, c.emulator, argv...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return "", err
	}
	var console bytes.Buffer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		console.Write(append(lines.Bytes(), '\n'))
		if strings.HasPrefix(lines.Text(), End) {
			_ = cmd.Process.Kill() // how it would switch itself off is of no interest
		}
	}
	err = cmd.Wait()
	text := strings.ReplaceAll(console.String(), "\r", "")
	_, code, ended := strings.Cut(text, End)
	switch {
	case !ended:
		return text, fmt.Errorf("board %s went down: %v, %v", c.Name, err, context.Cause(ctx))
	case !strings.HasPrefix(code, "0\n"):
		return text, fmt.Errorf("board %s: its tests end with %q", c.Name, strings.SplitN(code, "\n", 2)[0])
	}
	return text, nil
}

func (c Config) writeInitrd(to string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	a := cpio.New(z)
	for _, d := range []string{"bin", "dev", "proc", "sys", "tmp", "run", "etc", "var/run/ubus"} {
		a.Dir(d)
	}
	a.Char("dev/console", 5, 1)
	a.Char("dev/null", 1, 3)
	program, err := os.ReadFile(c.Init)
	if err != nil {
		return err
	}
	a.File("init", program)
	names := make([]string, 0, len(c.Files))
	for name := range c.Files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		a.Dir(path.Dir(name))
		a.File(name, c.Files[name])
	}
	for _, end := range []func() error{a.Close, z.Close, w.Flush, f.Close} {
		if err := end(); err != nil {
			return err
		}
	}
	return nil
}
