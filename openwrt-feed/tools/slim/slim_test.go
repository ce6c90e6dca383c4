package slim

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// build makes testdata/crash for a CPU, with inlining as Go does it.
func build(t *testing.T, arch string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "crash")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./testdata/crash")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "GOMIPS=softfloat", "CGO_ENABLED=0", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCrash runs a slim program here, and where there is an emulator on
// big-endian MIPS: garbage collection, growing stacks, preemption, recover and
// signals work, and each way to crash prints the functions that it went
// through, which Lines completes.
func TestCrash(t *testing.T) {
	targets := []struct{ arch, emulator, cpu string }{
		{runtime.GOARCH, "", ""},
		{"mips", "qemu-mips", "24Kc"},
	}
	for _, target := range targets {
		t.Run(target.arch, func(t *testing.T) {
			if target.emulator != "" {
				if _, err := exec.LookPath(target.emulator); err != nil {
					t.Skipf("no %s here; make check-cross runs the same on all CPUs", target.emulator)
				}
			}
			full := build(t, target.arch)
			thin := bytes.Clone(full)
			r, err := Slim(thin)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d functions, tables of %d bytes, %d left", r.Functions, r.Before, r.Left)
			if r.Left > r.Before*2/3 {
				t.Errorf("%d of %d bytes are left", r.Left, r.Before)
			}
			if _, err := Slim(bytes.Clone(thin)); err == nil || !strings.Contains(err.Error(), "already") {
				t.Errorf("slimmed twice: %v", err)
			}
			program := filepath.Join(t.TempDir(), "thin")
			if err := os.WriteFile(program, thin, 0o755); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
			for how, want := range map[string][]string{
				"panic": {"panic: on purpose", "main.outer(", "main.main("},
				"nil":   {"[signal SIGSEGV", "main.outer(", "main.main("},
				"map":   {"fatal error: concurrent map writes", "main.outer.func1(", "created by main.outer in goroutine"},
				"quit":  {"SIGQUIT: quit", "main.outer(", "main.main(", "main.waits(", "created by main.outer in goroutine 1"},
			} {
				args := []string{program, how}
				if target.emulator != "" {
					if how == "map" || how == "panic" {
						continue // seconds each, and nothing new
					}
					args = append([]string{target.emulator, "-cpu", target.cpu}, args...)
				}
				crash(t, full, args, how, want)
			}
		})
	}
}

func crash(t *testing.T, full []byte, args []string, how string, want []string) {
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // what was built above
	cmd.Env = append(os.Environ(), "GOTRACEBACK=all")
	var out, trace bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trace
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || out.String() != "worked\n" {
		t.Fatalf("%s: %v, said %q\n%s", how, err, out.String(), trace.String())
	}
	want = append(want, "\t?:0 +0x")
	for _, w := range want {
		if !strings.Contains(trace.String(), w) {
			t.Errorf("%s: no %q in\n%s", how, w, trace.String())
		}
	}
	lines, err := Lines(full, trace.String())
	if err != nil {
		t.Fatal(err)
	}
	// Functions of others have lost their names, and get no lines.
	left := regexp.MustCompile(`(?m)\.\?(\(.*\)| in goroutine .*)\n\t\?:0`).ReplaceAllString(lines, "")
	if strings.Contains(left, "?:0") || !strings.Contains(lines, "slim/testdata/crash/main.go:1") {
		t.Errorf("%s: lines are missing in\n%s", how, lines)
	}
	if how == "nil" && !strings.Contains(lines, sourceLine(t, "t.pad[1]")) {
		t.Errorf("the line of the fault is not in\n%s", lines)
	}
}

// sourceLine is the file and line of the test program where text stands.
func sourceLine(t *testing.T, text string) string {
	b, err := os.ReadFile("testdata/crash/main.go")
	if err != nil {
		t.Fatal(err)
	}
	before, _, ok := strings.Cut(string(b), text)
	if !ok {
		t.Fatalf("no %q in the test program", text)
	}
	return "crash/main.go:" + strconv.Itoa(1+strings.Count(before, "\n"))
}

// TestRefuse gives Slim what it must not touch: an error says why, and nothing
// faults, whatever byte of the tables is wrong.
func TestRefuse(t *testing.T) {
	full := build(t, runtime.GOARCH)
	f, err := elf.NewFile(bytes.NewReader(full))
	if err != nil {
		t.Fatal(err)
	}
	tab := f.Section(".gopclntab")
	at := int(tab.Offset) //nolint:gosec // of a file in memory
	other := bytes.ReplaceAll(full, []byte(runtime.Version()), []byte("go1.99.0-and-more"[:len(runtime.Version())]))
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"no program": {[]byte("#!/bin/sh\n"), "not a Go program"},
		"empty":      {nil, "not a Go program"},
		"other Go":   {other, "only the tables of go1.26 are known"},
		"magic":      {poke(full, at, 0xf2), "tables begin with"},
		"pointers":   {poke(full, at+7, 2), "pointers of 2 bytes"},
		"functions":  {poke(full, at+11, 0xff), "functions in"},
	} {
		if _, err := Slim(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// One byte wrong, at many places: an error or none, and never a panic.
	n := int(tab.Size) //nolint:gosec // of a file in memory
	refused := 0
	for off := 0; off < n; off += n/97 + 1 {
		if _, err := Slim(poke(full, at+off, full[at+off]^0xff)); err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
	if _, err := Slim(full[:len(full)/2]); err == nil {
		t.Error("half a program was taken")
	}
}

func poke(b []byte, at int, v byte) []byte {
	b = bytes.Clone(b)
	b[at] = v
	return b
}

func TestFrameName(t *testing.T) {
	for line, want := range map[string]string{
		"main.outer({0xc000012345, 0x3}, 0x0)\n":       "main.outer",
		"main.(*tree).count(...)\n":                    "main.(*tree).count",
		"created by main.outer in goroutine 1\n":       "main.outer",
		"panic({0x1234?, 0x5678?})\n":                  "runtime.gopanic",
		"slices.insertionSortCmpFunc[...](0x1, 0x2)\n": "slices.insertionSortCmpFunc[...]",
	} {
		if got := frameName(line); got != want {
			t.Errorf("%q is of %q, want %q", line, got, want)
		}
	}
	if got := printed("slices.f[go.shape.[]int].func1"); got != "slices.f[...].func1" {
		t.Errorf("printed as %q", got)
	}
}
