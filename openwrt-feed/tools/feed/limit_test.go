package feed

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLimit: packages may have as many bytes as the limit says, and one more
// fails the build, in each format, with name, size and limit in the error.
func TestLimit(t *testing.T) {
	dir := t.TempDir()
	program := make([]byte, 300_000) // more than the pages for LuCI have
	r := rand.New(rand.NewPCG(1, 2))
	for i := range program {
		program[i] = byte(r.Uint32())
	}
	if err := os.WriteFile(filepath.Join(dir, "meshagent-linux-amd64"), program, 0o600); err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(dir, "packages.yaml")
	// The LuCI packages need what another program lays out first.
	text, err := os.ReadFile("../../packages.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, rest, ok := strings.Cut(string(text), "\n  # What the following three hold")
	_, last, ok2 := strings.Cut(rest, "\ndebian_packages:")
	if !ok || !ok2 {
		t.Fatal("packages.yaml has another order than this test knows")
	}
	if err := os.WriteFile(tree, []byte(first+"\n\ndebian_packages:"+last), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"meshagent", "debian"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS("../../"+name)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(arch string, max int, more ...string) error {
		return Run(append([]string{
			"-f", tree, "-programs", dir, "-o", filepath.Join(dir, "out"), "-keys", dir, "-version", "1.0.0-r1", "-arch", arch, "-epoch", "1", "-max", fmt.Sprint(max),
		}, more...))
	}
	if err := run("x86_64", 0); err != nil {
		t.Fatal(err)
	}
	if err := run("amd64", 0, "-debian"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		files []string // of one run, the smaller one first
		arch  string
		more  []string
	}{
		{[]string{"opkg/x86_64/meshagent_1.0.0-r1_x86_64.ipk", "apk/x86_64/meshagent-1.0.0-r1.apk"}, "x86_64", nil},
		{[]string{"deb/meshagent_1.0.0-r1_amd64.deb"}, "amd64", []string{"-debian"}},
	} {
		var sizes []int
		largest := 0
		for _, f := range c.files {
			i, err := os.Stat(filepath.Join(dir, "out", f))
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, int(i.Size()))
			largest = max(largest, int(i.Size()))
		}
		if err := run(c.arch, largest, c.more...); err != nil {
			t.Errorf("%v with a limit of what the largest has: %v", c.files, err)
		}
		for _, limit := range append(sizes, len(program)+1) {
			err := run(c.arch, limit-1, c.more...)
			if err == nil {
				t.Errorf("%v have %v bytes, and may have %d", c.files, sizes, limit-1)
				continue
			}
			for i, f := range c.files {
				says := strings.Contains(err.Error(), fmt.Sprintf("%s has %d", f, sizes[i]))
				if says != (sizes[i] > limit-1) || !strings.Contains(err.Error(), fmt.Sprint(limit-1)) {
					t.Errorf("%s has %d bytes, and may have %d: %v", f, sizes[i], limit-1, err)
				}
			}
		}
	}
}
