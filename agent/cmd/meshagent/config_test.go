package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshagent/meshagent/agent/admin"
)

func TestConfigCommands(t *testing.T) {
	socket, _, fake := startAgent(t)
	run := func(args string) result {
		t.Helper()
		return runWith(t, "", nil, append(strings.Fields(args), "--socket", socket)...)
	}
	if r := run("config diff"); r.code != 0 || r.out != "nothing has changed\n" {
		t.Errorf("%+v", r)
	}
	if r := run("config apply --confirm 60"); r.code != 0 || !strings.HasSuffix(r.out, "taken back in 60 s, unless: meshagent config confirm\n") || fake.trial != 60 {
		t.Errorf("%+v", r)
	}
	if r := run("config apply --confirm 86401"); r.code != 1 || !strings.Contains(r.err, "expected a number from 0 to 86400") {
		t.Errorf("%+v", r)
	}
	if r := run("config confirm"); r.code != 0 || r.out != "confirmed\n" {
		t.Errorf("%+v", r)
	}
	if r := run("config confirm --json"); r.code != 1 || !strings.Contains(r.out, `"not_found"`) {
		t.Errorf("%+v", r)
	}
	if r := run("config revert --json"); r.code != 0 || !strings.HasPrefix(r.out, `{"changes":[]`) {
		t.Errorf("%+v", r)
	}
}

// "config store" writes what the agent wants if nothing stands against it, and
// tells the agent.
func TestConfigStore(t *testing.T) {
	_, conf, fake := startAgent(t)
	staged := t.TempDir()
	saved := stagedPlaces
	stagedPlaces = []string{staged + "/uci-*/"}
	t.Cleanup(func() { stagedPlaces = saved })
	base, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	text := string(base) + "# more\n"
	for _, tc := range []struct {
		name, base, text, stage string
		code                    int
		told                    string
		stored                  string
	}{
		{"changed meanwhile", "other", text, "", 1, "changed by somebody else", string(base)},
		{"not right", string(base), "broken\n", "", 1, "broken", string(base)},
		{"behind LuCI", string(base), text, "meshagent.main.log_level='debug'\n", 1, "changes wait to be stored", string(base)},
		{"written", string(base), text, "", 0, "true", text},
		{"written already", string(base), text, "", 0, "true", text},
	} {
		place := filepath.Join(staged, "uci-0123", filepath.Base(conf))
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, place, tc.stage)
		fake.wish, fake.told = admin.ConfigWish{Base: tc.base, Text: tc.text}, ""
		r := runWith(t, "", nil, "config", "store", "--config", conf)
		if r.code != tc.code || !strings.Contains(fake.told, tc.told) || tc.code != 0 && !strings.Contains(r.err, tc.told) {
			t.Errorf("%s: %+v, told %q", tc.name, r, fake.told)
		}
		if got, _ := os.ReadFile(conf); string(got) != tc.stored {
			t.Errorf("%s: stored %q", tc.name, got)
		}
	}
}

func TestDoctorCommand(t *testing.T) {
	socket, conf, fake := startAgent(t)
	fake.checks = admin.Diagnosis{Checks: []admin.Check{
		{What: "key", State: admin.CheckOK, Text: "/k"}, {What: "clock", State: admin.CheckWarn, Text: "old", Fix: "set it"},
		{What: "tun", State: admin.CheckFail, Text: "gone\x1b[1m", Fix: "load it"}, {What: "peers", State: admin.CheckFail, Text: "none"},
	}, Failures: 2}
	r := runWith(t, "", nil, "doctor", "--socket", socket)
	if want := "[ ok ] key: /k\n[warn] clock: old -> set it\n[FAIL] tun: gone?[1m -> load it\n[FAIL] peers: none\n"; r.code != 2 || r.out != want || r.err != "" {
		t.Errorf("%+v", r)
	}
	r = runWith(t, "", nil, "doctor", "--json", "--socket", socket)
	var d admin.Diagnosis
	if err := json.Unmarshal([]byte(r.out), &d); err != nil || r.code != 2 || d.Failures != 2 || len(d.Checks) != 4 {
		t.Errorf("%v, %+v", err, r)
	}
	// Without an agent it says what it can say.
	r = runWith(t, "", nil, "doctor", "--socket", socket+"x", "--config", conf)
	if r.code == 0 || !strings.HasPrefix(r.out, "[FAIL] agent: not running") || !strings.Contains(r.out, "configuration: "+conf+" is right") {
		t.Errorf("%+v", r)
	}
	write(t, conf, "broken\n")
	r = runWith(t, "", nil, "doctor", "--socket", socket+"x", "--config", conf)
	if r.code != 1 || !strings.Contains(r.out, conf+":1:") {
		t.Errorf("%+v", r)
	}
}

func TestEventsCommand(t *testing.T) {
	socket, _, fake := startAgent(t)
	fake.events = []admin.Event{{Seq: 7, Time: 1_700_000_000_000, Event: "peer.up", Data: json.RawMessage(`{"name":"nyc"}`)}}
	if r := runWith(t, "", nil, "events", "--socket", socket); r.code != 0 || !strings.HasSuffix(r.out, ` peer.up {"name":"nyc"}`+"\n") {
		t.Errorf("%+v", r)
	}
	if r := runWith(t, "", nil, "events", "--json", "-n", "5", "--socket", socket); r.code != 0 || r.out != `{"seq":7,"time":1700000000000,"event":"peer.up","data":{"name":"nyc"}}`+"\n" {
		t.Errorf("%+v", r)
	}
}
