// Package cache is the folder where test kernels lie between runs: downloads
// of package guest, builds of package kernelbuild.
package cache

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Dir returns the folder, and makes it: meshagent below the user's cache
// folder ($XDG_CACHE_HOME, else ~/.cache).
func Dir() (string, error) {
	d, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	d = filepath.Join(d, "meshagent")
	return d, os.MkdirAll(d, 0o755)
}

// Lock waits for the sole right to what file stands for. The file is made, and
// stays.
func Lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// Run runs a program in dir; the error carries the end of what it printed.
func Run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		if len(out) > 1000 {
			out = out[len(out)-1000:]
		}
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
