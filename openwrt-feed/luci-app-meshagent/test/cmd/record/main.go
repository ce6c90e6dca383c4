// Command record writes what a running agent answers into files, for tests of
// the pages: see testdata/record.sh.
//
//	record SOCKET FOLDER FAR
//
// FAR is a node to ping and trace.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: record SOCKET FOLDER FAR")
		os.Exit(2)
	}
	if err := record(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(socket, dir, far string) error {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	ask := func(file, method string, args map[string]any) (json.RawMessage, error) {
		var raw json.RawMessage
		if err := admin.Call(ctx, socket, method, args, &raw); err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		text, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			return nil, err
		}
		return raw, os.WriteFile(filepath.Join(dir, file+".json"), append(text, '\n'), 0o644) //nolint:gosec // test data
	}
	raw, err := ask("meshagent.bat.originators", "mesh.originators", nil)
	if err != nil {
		return err
	}
	var nodes struct {
		Rows []struct {
			Orig string `json:"orig_address"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(raw, &nodes); err != nil || len(nodes.Rows) == 0 {
		return fmt.Errorf("no originators: %w", err)
	}
	for _, x := range []struct {
		file, method string
		args         map[string]any
	}{
		{"meshagent.ping", "ping", map[string]any{"target": far, "count": 3, "interval_ms": 200}},
		{"meshagent.trace", "trace", map[string]any{"target": far}},
		{"meshagent.why", "why", map[string]any{"target": far}},
		{"meshagent.bat.ping", "mesh.ping", map[string]any{"target": nodes.Rows[0].Orig}},
		{"meshagent.status", "status", nil},
		{"meshagent.community", "community", nil},
		{"meshagent.sessions", "sessions", nil},
		{"meshagent.peer.list", "peers", nil},
		{"meshagent.bat.interfaces", "mesh.interfaces", nil},
		{"meshagent.bat.neighbors", "mesh.neighbors", nil},
		{"meshagent.gw.list", "mesh.gateways", nil},
		{"meshagent.config.diff", "config.diff", nil},
	} {
		if _, err := ask(x.file, x.method, x.args); err != nil {
			return err
		}
	}
	return nil
}
