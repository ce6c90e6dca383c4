//go:build board

package onboard

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/hw/board"
)

// TestMain makes a system of a bare kernel, runs the tests that the command
// line of the kernel names, and says how they ended.
func TestMain(m *testing.M) {
	if os.Getpid() != 1 {
		fmt.Println("this runs on a board only: make check-board")
		os.Exit(1)
	}
	code := 1
	defer func() {
		fmt.Printf("\n%s%d\n", board.End, code)
		time.Sleep(time.Minute) // the emulator ends with that line
	}()
	if err := system(); err != nil {
		fmt.Println(err)
		return
	}
	os.Args = []string{"onboard", "-test.v", "-test.timeout=5m", "-test.run=^" + os.Getenv(board.EnvRun) + "$"}
	flag.Parse()
	if code = m.Run(); code == 0 {
		code = complaints()
	}
}

// complaints is 1 if the kernel has noted a fault in its log.
func complaints() int {
	const readAll = 3 // SYSLOG_ACTION_READ_ALL, syslog(2)
	log := make([]byte, 1<<18)
	n, err := unix.Klogctl(readAll, log)
	if err != nil {
		fmt.Println("the kernel's log:", err)
		return 1
	}
	for _, word := range []string{"Oops", "BUG:", "WARNING:", "Call Trace"} {
		if strings.Contains(string(log[:n]), word) {
			fmt.Printf("the kernel complains (%s):\n%s\n", word, log[:n])
			return 1
		}
	}
	return 0
}

// system mounts what programs expect and brings up the loopback.
func system() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	if err := os.Setenv("PATH", "/bin"); err != nil {
		return err
	}
	for _, dev := range []string{"lo", "eth0"} {
		if _, err := net.InterfaceByName(dev); err == nil {
			if err := up(dev); err != nil {
				return err
			}
		}
	}
	return nil
}

// up switches a network device on.
func up(dev string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq(dev)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}
