package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/config"
)

// littleSpace and littleMemory are how many KiB less than which is worth a
// word: of the flash, and of memory.
const (
	littleSpace  = 128
	littleMemory = 6 << 10
)

// checkHost looks at what the agent needs of the host, through the eyes of
// this process: its user, its jail.
func checkHost(p *patient) {
	checkKey(p, p.cfg.Main.KeyFile)
	now := time.Now().UTC().Format(time.DateTime)
	if clockBelievable(time.Now()) {
		p.ok("clock", now)
	} else {
		p.warn("clock", now+": certificates and invites cannot be judged", "service sysntpd start, or date -s")
	}
	checkRights(p)
	if p.cfg.TUN.Enabled {
		if err := writable("/dev/net/tun"); err != nil {
			p.fail("tun", "/dev/net/tun: "+err.Error(), "kmod-tun; service meshagent restart gives it to the agent")
		}
	}
	keys := filepath.Dir(p.cfg.Main.KeyFile)
	checkSpace(p, keys)
	if p.cfg.Main.StateDir != keys {
		checkSpace(p, p.cfg.Main.StateDir)
	}
	checkMemory(p)
}

func checkKey(p *patient, path string) {
	_, open, err := config.ReadKey(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.warn("key", path+" is not there yet", "it is made when the agent starts")
	case err != nil:
		p.fail("key", err.Error(), "restore it; deleting it gives the node another address")
	case open:
		p.fail("key", path+" can be read by others", "chmod 600 "+path)
	default:
		p.ok("key", path)
	}
}

// number finds the line of a file in /proc that begins with name, and reads
// what stands behind.
func number(file, name string, base int) uint64 {
	raw, _ := os.ReadFile(file)
	_, rest, _ := strings.Cut(string(raw), "\n"+name)
	n := uint64(0)
	if f := strings.Fields(rest); len(f) > 0 {
		n, _ = strconv.ParseUint(f[0], base, 64)
	}
	return n
}

// checkRights reads the capabilities of this process.
func checkRights(p *patient) {
	const need = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	user := "user " + strconv.Itoa(os.Geteuid())
	switch {
	case number("/proc/self/status", "CapEff:", 16)&need != need:
		p.fail("rights", user+" lacks CAP_NET_ADMIN or CAP_NET_RAW", "start it as root, or by its service")
	case os.Geteuid() == 0 && config.DefaultFile() == config.DefaultPathOpenWrt:
		p.warn("rights", "it runs as root", "install procd-ujail, then service meshagent restart")
	default:
		p.ok("rights", user)
	}
}

// writable asks the kernel; unix.Access brings the groups of the user along,
// which is a lot for what we know already.
func writable(path string) error {
	b, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	at := unix.AT_FDCWD
	if _, _, e := syscall.Syscall(unix.SYS_FACCESSAT, uintptr(at), uintptr(unsafe.Pointer(b)), unix.W_OK); e != 0 {
		return e
	}
	return nil
}

// checkSpace asks whether a folder can be written, and has room.
func checkSpace(p *patient, dir string) {
	what := "storage " + dir
	for errors.Is(writable(dir), fs.ErrNotExist) && len(dir) > 1 {
		dir = filepath.Dir(dir) // it is made when it is needed
	}
	var s unix.Statfs_t
	err := writable(dir)
	if err == nil {
		err = unix.Statfs(dir, &s)
	}
	if err != nil {
		p.fail(what, "cannot be written: "+err.Error(), "its owner and mode; read-only flash: dmesg")
		return
	}
	free := uint64(s.Bavail) * uint64(s.Bsize) >> 10 //nolint:gosec,unconvert // of another size on other machines
	if text := fmt.Sprintf("%d KiB are free", free); free < littleSpace {
		p.fail(what, text, "delete something: df -h")
	} else {
		p.ok(what, text)
	}
}

// checkMemory says what this process has, and what the host has left.
func checkMemory(p *patient) {
	left := number("/proc/meminfo", "MemAvailable:", 10)
	if text := fmt.Sprintf("%d KiB in use, %d KiB left", number("/proc/self/status", "VmRSS:", 10), left); left < littleMemory {
		p.warn("memory", text, "stop something else")
	} else {
		p.ok("memory", text)
	}
}
