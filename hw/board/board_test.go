//go:build guest

package board

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// kit is what the tests of one kind of board share: its agent, and the program
// that is its first process.
type kit struct {
	Machine
	agent []byte
	init  string
}

// each runs a test on each of the boards that BOARDS names, or else on the one
// with big-endian MIPS.
func each(t *testing.T, test func(*testing.T, kit)) {
	targets := os.Getenv("BOARDS")
	if targets == "" {
		targets = Machines[0].Target
	}
	list, err := Choose(targets)
	if err != nil {
		t.Fatal(err)
	}
	programs := os.Getenv("PROGRAMS")
	if programs == "" {
		t.Fatal("PROGRAMS must name the folder with the agents for boards: make check-board does")
	}
	for _, m := range list {
		t.Run(m.Target, func(t *testing.T) {
			k := kit{Machine: m, init: t.TempDir() + "/init"}
			if k.agent, err = os.ReadFile(filepath.Join(programs, "meshagent-linux-"+m.Target)); err != nil {
				t.Fatal(err)
			}
			if err := m.BuildTest("./onboard", k.init); err != nil {
				t.Fatal(err)
			}
			test(t, k)
		})
	}
}

// board is one with a key of its own that plays a test. Its cable leads
// nowhere.
func (k *kit) board(t *testing.T, name, run string, id rig.Identity) Config {
	dir := t.TempDir()
	return Config{
		Machine: k.Machine, Dir: dir, Name: name, Init: k.init, Run: run, Cable: [2]string{dir + "/a", dir + "/b"},
		Files: map[string][]byte{"bin/meshagent": k.agent, "etc/key": []byte(id.Private.Hex() + "\n")},
	}
}

// play runs a board and shows what its tests say.
func play(t *testing.T, c Config) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 8*time.Minute)
	defer stop()
	begin := time.Now()
	text, err := Play(ctx, c)
	t.Logf("board %s, %.0f s:\n%s", c.Name, time.Since(begin).Seconds(), text)
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(text, "--- PASS: "+c.Run) {
		t.Errorf("%s did not run", c.Run)
	}
}

func TestDoors(t *testing.T) {
	each(t, func(t *testing.T, k kit) { play(t, k.board(t, "b1", "TestDoors", rig.NewIdentity())) })
}

func TestUbus(t *testing.T) {
	each(t, func(t *testing.T, k kit) {
		c := k.board(t, "b1", "TestUbus", rig.NewIdentity())
		c.Counted = true
		play(t, c)
	})
}

func TestUnits(t *testing.T) {
	each(t, func(t *testing.T, k kit) {
		c := k.board(t, "b1", "TestUnits", rig.NewIdentity())
		for _, name := range []string{"netio", "kernel"} {
			pkg, to := "../../agent/"+name, filepath.Join(c.Dir, name)
			if err := k.BuildTest(pkg, to); err != nil {
				t.Fatal(err)
			}
			c.add(t, "units/"+name+"/test", to)
			files, err := fs.Glob(os.DirFS(pkg), "testdata/*")
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if filepath.Base(f) != "fuzz" {
					c.add(t, "units/"+name+"/"+f, filepath.Join(pkg, f))
				}
			}
		}
		play(t, c)
	})
}

// add puts a file onto the board.
func (c *Config) add(t *testing.T, name, from string) {
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	c.Files[name] = b
}

// TestPair joins two boards by a cable.
func TestPair(t *testing.T) {
	each(t, func(t *testing.T, k kit) {
		one, two := rig.NewIdentity(), rig.NewIdentity()
		a, b := k.board(t, "b1", "TestPair", one), k.board(t, "b2", "TestPair", two)
		b.Cable = [2]string{a.Cable[1], a.Cable[0]}
		a.Files["etc/other-ip"], b.Files["etc/other-ip"] = []byte(two.IP), []byte(one.IP)
		var wg sync.WaitGroup
		for _, c := range []Config{a, b} {
			wg.Go(func() { play(t, c) })
		}
		wg.Wait()
	})
}
