package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// The agent may not write its configuration: the command does.
func TestPeerChangeOfAgentWithoutRights(t *testing.T) {
	_, conf, fake := startAgent(t)
	fake.denied = true
	stored := func() string {
		b, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	r := runWith(t, "", nil, "--config", conf, "peer", "add", "10.0.0.1:5", keyA, "--password", "x", "--name", "b", "--version", "20", "--config", conf)
	if r.code != 0 || !strings.HasPrefix(r.out, "added b: 10.0.0.1:5") {
		t.Fatalf("%+v", r)
	}
	if s := stored(); !strings.Contains(s, keyA) || !strings.Contains(s, "option version '20'") {
		t.Error(s)
	}
	r = runWith(t, "", nil, "peer", "del", "b", "--json", "--config", conf)
	if r.code != 0 || !strings.HasPrefix(r.out, `{"action":"removed","section":"b"`) {
		t.Fatalf("%+v", r)
	}
	if s := stored(); strings.Contains(s, keyA) {
		t.Error(s)
	}
	if r = runWith(t, "", nil, "peer", "del", "none", "--config", conf); r.code != 1 || !strings.Contains(r.err, "no peer 'none'") {
		t.Errorf("%+v", r)
	}
}

// A reload opens the file to the user that the agent runs as.
func TestReloadLendsTheFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	socket, conf := start(t)
	const uid, gid = 4711, 4712
	if err := os.Chown(socket, uid, gid); err != nil {
		t.Fatal(err)
	}
	if r := runWith(t, "", nil, "reload", "--config", conf); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	info, err := os.Stat(conf)
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Gid != gid || st.Uid != 0 || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %+v", info.Mode(), info.Sys())
	}
}
