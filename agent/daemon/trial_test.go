package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/node"
	"github.com/meshagent/meshagent/agent/ubus"
	"github.com/meshagent/meshagent/agent/ubus/ubustest"
	ubuswire "github.com/meshagent/meshagent/agent/ubus/wire"
)

const second = "config password 'second'\n\toption password 'for the second'\n"

func (a *agent) text(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// beside reads a file of the folder of the configuration; "" if it is not
// there.
func (a *agent) beside(name string) string {
	b, _ := os.ReadFile(filepath.Join(filepath.Dir(a.file), name))
	return string(b)
}

// try applies a further section with a countdown and returns the text before.
func (a *agent) try(t *testing.T, confirm time.Duration) string {
	t.Helper()
	former := a.text(t)
	a.write(t, guest+second)
	r, err := a.ConfigTrial(t.Context(), admin.TrialApply, confirm)
	if err != nil || len(r.Changes) != 1 || r.ConfirmSeconds == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	return former
}

func (a *agent) waitText(t *testing.T, want string) {
	t.Helper()
	a.wait(t, "the file", func(node.Status) bool { return a.text(t) == want && a.beside("key.former") == "" })
}

func (a *agent) happened(name string) bool {
	return slices.ContainsFunc(a.Events(0, 0), func(e admin.Event) bool { return e.Event == name })
}

func TestTrialConfirmed(t *testing.T) {
	a := start(t, guest)
	for _, verb := range []admin.TrialVerb{admin.TrialConfirm, admin.TrialRevert} {
		var e *admin.Error
		if _, err := a.ConfigTrial(t.Context(), verb, 0); !errors.As(err, &e) || e.Code != admin.CodeNotFound {
			t.Errorf("%d without a trial: %v", verb, err)
		}
	}
	if _, err := a.ConfigTrial(t.Context(), admin.TrialApply, time.Hour); err != nil || a.beside("key.former") != "" {
		t.Errorf("a trial of nothing: %v", err)
	}
	former := a.try(t, time.Hour)
	if got := a.beside("key.former"); !strings.HasSuffix(got, "\n"+former) {
		t.Errorf("kept: %q", got)
	}
	if d, err := a.ConfigDiff(t.Context()); err != nil || d.ConfirmSeconds < 3500 || len(d.Changes) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := a.ConfigTrial(t.Context(), admin.TrialApply, time.Minute); err == nil {
		t.Error("two trials at once")
	}
	if _, err := a.ConfigTrial(t.Context(), admin.TrialConfirm, 0); err != nil {
		t.Error(err)
	}
	if a.beside("key.former") != "" || a.text(t) == former || !a.happened("config.confirmed") {
		t.Error("the trial goes on, or was taken back")
	}
}

func TestTrialRunsOut(t *testing.T) {
	a := start(t, guest)
	a.write(t, guest+"# now with a comment\n")
	if _, err := a.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	former := a.try(t, time.Second)
	if d, _ := a.ConfigDiff(t.Context()); d.ConfirmSeconds == 0 && !a.happened("config.reverted") {
		t.Error("no countdown")
	}
	a.waitText(t, former)
	if d, err := a.ConfigDiff(t.Context()); err != nil || len(d.Changes) != 0 || d.ConfirmSeconds != 0 {
		t.Errorf("what is in force is not the file: %+v, %v", d, err)
	}
	if !a.happened("config.reverted") || !strings.Contains(a.beside("key.taken-back"), "'second'") || strings.Contains(a.beside("key.taken-back"), "comment") {
		t.Errorf("%+v, %q", a.Events(0, 0), a.beside("key.taken-back"))
	}
}

func TestTrialReverted(t *testing.T) {
	a := start(t, guest)
	former := a.try(t, time.Hour)
	r, err := a.ConfigTrial(t.Context(), admin.TrialRevert, 0)
	if err != nil || len(r.Changes) != 1 || r.Changes[0].Action != config.Removed {
		t.Errorf("%+v, %v", r, err)
	}
	a.waitText(t, former)
}

// A restart lets the countdown go on; after a reboot, or too late, the former
// configuration is there.
func TestTrialSurvivesRestart(t *testing.T) {
	a := start(t, guest)
	former := a.try(t, time.Hour)
	again := func() {
		t.Helper()
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
		a.run(t)
	}
	again()
	if d, err := a.ConfigDiff(t.Context()); err != nil || d.ConfirmSeconds < 3500 {
		t.Fatalf("%+v, %v", d, err)
	}
	if a.text(t) == former {
		t.Fatal("taken back by a restart")
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(a.file), "key.former")
	kept := a.beside("key.former")
	other := "00000000-0000-0000-0000-000000000000" + kept[strings.IndexByte(kept, ' '):]
	if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	a.run(t)
	a.waitText(t, former)

	a.try(t, time.Hour)
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	late := &trial{former: former, boot: bootIdentity()}
	if err := late.store(path); err != nil {
		t.Fatal(err)
	}
	a.run(t)
	a.waitText(t, former)
}

func TestTrialRefused(t *testing.T) {
	a := start(t, guest)
	a.write(t, guest, "\toption enabled '0'\n")
	if _, err := a.ConfigTrial(t.Context(), admin.TrialApply, time.Minute); err == nil || !strings.Contains(err.Error(), "enabled is 0") {
		t.Error(err)
	}
	a.write(t, "broken\n")
	if _, err := a.ConfigTrial(t.Context(), admin.TrialApply, time.Minute); err == nil || a.beside("key.former") != "" {
		t.Error(err)
	}
}

// A file of a trial that makes no sense is as good as none.
func TestReadTrial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for text, want := range map[string]bool{"": false, "x": false, "x\n": false, "x y\nz": false, "x -\n": false, "x 99999999999\nz": false, "x 5\nz": true, "x 5\n": true} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readTrial(path); (got != nil) != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// What the agent may not write is written by whom procd runs.
func TestByRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ubus.sock")
	ubustest.Start(t, path)
	a := startOn(t, path)
	a.wait(t, "ubus", func(s node.Status) bool { return s.Bus.State == "connected" })
	u := &config.UnwrittenError{Base: "old", Text: "new", Err: fs.ErrPermission}
	if err := a.byRoot(t.Context(), u); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("without procd: %v", err)
	}
	answer := ""
	procd := ubus.Object{Path: "service", Methods: []ubus.Method{{
		Name: "event", Args: []ubus.Arg{{Name: "type", Type: ubuswire.TypeString}, {Name: "data", Type: ubuswire.TypeTable}},
		Handle: func(ctx context.Context, r *ubus.Request) error {
			if r.Args.String("type") != "meshagent.store" {
				t.Errorf("event %v", r.Args)
			}
			go func() {
				w, err := a.ConfigStore(context.Background(), false, "")
				if err != nil || w.Base != "old" || w.Text != "new" {
					t.Errorf("%+v, %v", w, err)
				}
				_, _ = a.ConfigStore(context.Background(), answer == "", answer)
			}()
			return r.Reply(nil)
		},
	}}}
	c := &ubus.Client{Path: path, Objects: []*ubus.Object{&procd}}
	go c.Run(t.Context())
	a.wait(t, "procd", func(node.Status) bool { return c.State().Connected })
	var err error
	a.wait(t, "written", func(node.Status) bool { err = a.byRoot(t.Context(), u); return err == nil })
	answer = "changes wait in LuCI"
	if err := a.byRoot(t.Context(), u); err == nil || err.Error() != answer {
		t.Errorf("%v", err)
	}
	if _, err := a.ConfigStore(t.Context(), false, ""); err == nil {
		t.Error("a wish is left")
	}
}
