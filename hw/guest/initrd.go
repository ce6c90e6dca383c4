package guest

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meshagent/meshagent/hw/cpio"
)

// programs of the host that every guest gets, with their libraries.
var programs = []string{"dash", "ip", "bridge", "tc", "ping", "batctl"}

// applets of the static busybox that are names of their own in a guest.
var applets = []string{
	"awk", "arp", "arping", "basename", "cat", "chmod", "cp", "cut", "date", "dd", "dirname", "dmesg", "du", "echo", "env", "expr",
	"false", "find", "free", "grep", "head", "hexdump", "hostname", "id", "ifconfig", "kill", "ln", "ls", "mkdir", "mount", "mv", "nc",
	"od", "ps", "rm", "sed", "seq", "setsid", "sleep", "sort", "stat", "sync", "sysctl", "tail", "tee", "test", "time", "timeout",
	"touch", "tr", "true", "udhcpc", "udhcpd", "umount", "uname", "uniq", "usleep", "wc", "xargs",
}

// libraryDirs are searched for shared libraries in this order.
var libraryDirs = []string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
}

// writeInitramfs packs the root of a guest: this very program as /init,
// busybox, the programs above and the kernel's modules.
func writeInitramfs(to string, img *Image) (err error) {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<16)
	a := cpio.New(w)
	for _, d := range []string{"bin", "dev", "proc", "sys", "tmp", "run", "etc", "root", "lib/modules"} {
		a.Dir(d)
	}
	a.Char("dev/console", 5, 1)
	a.Char("dev/null", 1, 3)
	self, err := staticSelf()
	if err != nil {
		return err
	}
	a.File("init", self)
	if err := addBusybox(a); err != nil {
		return err
	}
	done := map[string]bool{}
	for _, p := range programs {
		if err := addProgram(a, p, done); err != nil {
			return err
		}
	}
	a.Link("bin/sh", "dash")
	for _, m := range img.Modules {
		b, err := os.ReadFile(filepath.Join(img.Dir, "modules", m))
		if err != nil {
			return err
		}
		a.File("lib/modules/"+m, b)
	}
	a.File("lib/modules/order", []byte(strings.Join(img.Modules, "\n")+"\n"))
	if err := a.Close(); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// staticSelf reads the running program, which must need no shared library.
func staticSelf() ([]byte, error) {
	file, err := os.Executable()
	if err != nil {
		return nil, err
	}
	e, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("guest: %s needs shared libraries: build it with CGO_ENABLED=0", filepath.Base(file))
		}
	}
	return os.ReadFile(file)
}

func addBusybox(a *cpio.Archive) error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	if libs, interp, err := needed(path); err != nil || interp != "" || len(libs) > 0 {
		return fmt.Errorf("guest: %s is not static (package busybox-static): %v", path, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	a.File("bin/busybox", b)
	for _, n := range applets {
		a.Link("bin/"+n, "busybox")
	}
	return nil
}

// addProgram adds a program of the host as /bin/name and its libraries at
// their own places.
func addProgram(a *cpio.Archive, name string, done map[string]bool) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	a.File("bin/"+name, b)
	return addLibraries(a, path, done)
}

func addLibraries(a *cpio.Archive, path string, done map[string]bool) error {
	libs, interp, err := needed(path)
	if err != nil {
		return err
	}
	if interp != "" {
		libs = append(libs, interp)
	}
	for _, l := range libs {
		if done[l] {
			continue
		}
		done[l] = true
		file := l
		if !filepath.IsAbs(l) {
			if file, err = findLibrary(l); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		a.Dir(strings.TrimPrefix(filepath.Dir(file), "/"))
		a.File(strings.TrimPrefix(file, "/"), b)
		if err := addLibraries(a, file, done); err != nil {
			return err
		}
	}
	return nil
}

// needed returns the libraries that a program or library names, and the
// program that loads it.
func needed(path string) (libs []string, interp string, err error) {
	e, err := elf.Open(path)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	defer e.Close()
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err != nil {
				return nil, "", err
			}
			interp = strings.TrimRight(string(b), "\x00")
		}
	}
	libs, err = e.ImportedLibraries()
	return slices.DeleteFunc(libs, func(l string) bool { return l == filepath.Base(interp) }), interp, err
}

func findLibrary(name string) (string, error) {
	for _, d := range libraryDirs {
		if p := filepath.Join(d, name); pathExists(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("library %s not found", name)
}

func pathExists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}
