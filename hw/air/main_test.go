//go:build guest

package air

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// scenarios are played inside of a kernel; each has a test of the same name.
var scenarios = map[string]func(*World){
	"line-mesh":  func(w *World) { line(w, Mesh) },
	"line-ibss":  func(w *World) { line(w, IBSS) },
	"leave":      leave,
	"unplug":     unplug,
	"channel":    channel,
	"rfkill":     rfkill,
	"only-ibss":  onlyIBSS,
	"regulatory": regulatory,
}

func TestMain(m *testing.M) {
	Main(scenarios)
	if err := Need(); err != nil {
		fmt.Fprintln(os.Stderr, "check-air: NOT RUN:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// play plays one scenario. Its bound is for a host on which everything takes
// long: a scenario has seconds of work.
func play(t *testing.T, scenario string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := Config{Scenario: scenario, Agent: agentPath(t), Logf: t.Logf, Artefacts: os.Getenv("GUEST_ARTEFACTS")}
	if c.Artefacts != "" {
		c.Artefacts = filepath.Join(c.Artefacts, "air")
	}
	res, err := Play(ctx, c)
	for _, n := range res.Notes {
		t.Log(n)
	}
	t.Logf("%.0f s of virtual time in %.1f s, processor time %.1f s", res.Virtual.Seconds(), res.Wall.Seconds(), res.CPU.Seconds())
	if err != nil {
		t.Fatal(err)
	}
}

// agentPath is the program under test.
func agentPath(t *testing.T) string {
	p := os.Getenv("MESHAGENT")
	if p == "" {
		t.Fatal("MESHAGENT must name the agent: make check-air does")
	}
	p, err := filepath.Abs(p)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
