package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guestEnv is set by the kernel's command line: an unknown word with "=" in it
// becomes a variable of the first process.
const guestEnv = "MESHAGENT_GUEST"

// portName is the name of the virtio serial port that commands come through.
const portName = "meshagent"

// request asks the first process of a guest for a command or for the end of
// one.
type request struct {
	ID     int
	NS     string `json:",omitempty"` // network namespace; empty: the first
	Script string `json:",omitempty"` // for /bin/sh
	Stdin  []byte `json:",omitempty"`
	Kill   bool   `json:",omitempty"` // end the command with this ID
}

// reply is the result of a command. The one with ID 0 comes once, when the
// guest is ready.
type reply struct {
	ID   int
	Out  []byte // standard output and error
	Code int    // exit status; 128 and more: killed by a signal
}

// Main must be called first by a program that starts guests. On the host it
// returns at once. In a guest, where the program is the first process, it
// serves commands until the power goes off and does not return.
func Main() {
	if len(os.Args) > 2 && os.Args[1] == toolArg {
		if err := tool(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getpid() != 1 || os.Getenv(guestEnv) == "" {
		return
	}
	err := serveGuest()
	fmt.Fprintln(os.Stderr, "guest:", err)
	time.Sleep(time.Second) // lets the console drain
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func serveGuest() error {
	os.Clearenv()
	for k, v := range map[string]string{"PATH": "/bin:/sbin:/usr/bin:/usr/sbin", "HOME": "/root", "LC_ALL": "C"} {
		_ = os.Setenv(k, v)
	}
	for _, m := range [][2]string{{"/proc", "proc"}, {"/sys", "sysfs"}, {"/dev", "devtmpfs"}, {"/tmp", "tmpfs"}, {"/run", "tmpfs"}} {
		if err := unix.Mount(m[1], m[0], m[1], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[0], err)
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	for _, s := range [][2]string{
		{"net/core/devconf_inherit_init_net", "1"},
		{"net/ipv6/conf/all/disable_ipv6", "1"}, // only what tests send is to flow
		{"net/ipv6/conf/default/disable_ipv6", "1"},
		{"kernel/printk", "8"}, // everything goes to the console, which outlives a crash
	} {
		if err := os.WriteFile("/proc/sys/"+s[0], []byte(s[1]), 0o644); err != nil {
			return err
		}
	}
	_ = exec.Command("ip", "link", "set", "lo", "up").Run()
	port, err := openPort()
	if err != nil {
		return err
	}
	return serve(port)
}

func loadModules() error {
	order, err := os.ReadFile("/lib/modules/order")
	if err != nil {
		return err
	}
	for _, m := range strings.Fields(string(order)) {
		f, err := os.Open("/lib/modules/" + m)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		_ = f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("module %s: %w", m, err)
		}
		if m == "virtio_pci.ko" { // what comes next needs its devices
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// openPort waits for the port and for the host to open its end.
func openPort() (io.ReadWriter, error) {
	end := time.Now().Add(30 * time.Second)
	for ; time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		names, _ := os.ReadDir("/sys/class/virtio-ports")
		for _, n := range names {
			b, _ := os.ReadFile("/sys/class/virtio-ports/" + n.Name() + "/name")
			if strings.TrimSpace(string(b)) != portName {
				continue
			}
			// A file opened in blocking mode: Go's poller does not know the device.
			fd, err := unix.Open("/dev/"+n.Name(), unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err == nil {
				return port(fd), nil
			}
		}
	}
	return nil, errors.New("no command port")
}

// port is the guest's end of the command channel. While the host has not
// opened its own end, reads return nothing.
type port int

func (p port) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(p), b)
		switch {
		case n > 0:
			return n, nil
		case err == nil || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			time.Sleep(5 * time.Millisecond)
		default:
			return 0, err
		}
	}
}

func (p port) Write(b []byte) (done int, err error) {
	for done < len(b) {
		n, err := unix.Write(int(p), b[done:])
		switch {
		case err == nil:
			done += n
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			time.Sleep(5 * time.Millisecond)
		default:
			return done, err
		}
	}
	return done, nil
}

// serve runs the commands that come in, all at the same time, until the
// channel breaks.
func serve(rw io.ReadWriter) error {
	var mu sync.Mutex
	enc, dec := json.NewEncoder(rw), json.NewDecoder(rw)
	running := map[int]int{} // process groups
	send := func(r reply) {
		mu.Lock()
		defer mu.Unlock()
		delete(running, r.ID)
		_ = enc.Encode(r)
	}
	send(reply{})
	for {
		var req request
		if err := dec.Decode(&req); err != nil {
			return fmt.Errorf("command channel: %w", err)
		}
		if req.Kill {
			mu.Lock()
			if pid := running[req.ID]; pid != 0 {
				_ = syscall.Kill(-pid, syscall.SIGKILL)
			}
			mu.Unlock()
			continue
		}
		var out bytes.Buffer
		argv := []string{"/bin/sh", "-c", req.Script}
		if req.NS != "" {
			argv = append([]string{"/bin/ip", "netns", "exec", req.NS}, argv...)
		}
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(req.Stdin), &out, &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.WaitDelay = time.Second // daemons may keep the output open
		if err := cmd.Start(); err != nil {
			send(reply{ID: req.ID, Out: []byte(err.Error()), Code: 127})
			continue
		}
		mu.Lock()
		running[req.ID] = cmd.Process.Pid
		mu.Unlock()
		go func() {
			_ = cmd.Wait()
			code := cmd.ProcessState.ExitCode()
			if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
				code = 128 + int(s.Signal())
			}
			send(reply{ID: req.ID, Out: out.Bytes(), Code: code})
		}()
	}
}
