package admin

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/node"
)

// fakeMesh is the part of fakeBackend that is about the mesh.
type fakeMesh struct {
	mesh    mesh.Status
	meshErr error
	dst     batman.MAC
	ping    MeshPingOptions
	test    time.Duration
	after   uint64
}

func (f *fakeMesh) Mesh(context.Context) (mesh.Status, error) { return f.mesh, f.meshErr }

func (f *fakeMesh) MeshPing(_ context.Context, dst batman.MAC, o MeshPingOptions) (MeshPingReply, error) {
	f.dst, f.ping = dst, o
	return MeshPingReply{Originator: dst, From: dst, TTL: 49, RTTMicros: 700}, f.meshErr
}

func (f *fakeMesh) MeshThroughput(_ context.Context, dst batman.MAC, d time.Duration) (MeshThroughput, error) {
	f.dst, f.test = dst, d
	return MeshThroughput{Originator: dst, TimeMs: 740, Bytes: 10478124}, f.meshErr
}

func (f *fakeMesh) MeshLog(_ context.Context, after uint64) ([]MeshLogLine, error) {
	f.after = after
	return nil, f.meshErr
}

func TestMeshTablesArePaged(t *testing.T) {
	b := &fakeBackend{status: node.Status{Version: "1.2.3"}, fakeMesh: fakeMesh{mesh: sampleMesh()}}
	r := NewMethods(b)
	for _, tc := range []struct {
		method string
		total  int
	}{{"originators", 3}, {"neighbors", 1}, {"interfaces", 2}, {"translocal", 4}, {"transglobal", 3}, {"gateways", 1}, {"dat_cache", 3}, {"claims", 2}, {"backbones", 2}, {"mcast_flags", 3}} {
		var got MeshTable[map[string]any]
		read := func(args map[string]any) {
			t.Helper()
			result, err := r.Call(t.Context(), "mesh."+tc.method, args)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(result)
			if err != nil {
				t.Fatal(err)
			}
			got = MeshTable[map[string]any]{}
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
		}
		read(nil)
		if got.Total != tc.total || len(got.Rows) != tc.total || got.Mesh.Version != "meshagent-1.2.3" {
			t.Errorf("%s: %+v", tc.method, got)
		}
		read(map[string]any{"offset": tc.total - 1, "limit": 5})
		if got.Total != tc.total || len(got.Rows) != 1 {
			t.Errorf("last of %s: %+v", tc.method, got)
		}
	}
	b.meshErr = ErrNoMesh
	for _, m := range []string{"originators", "info", "statistics", "log"} {
		if _, err := r.Call(t.Context(), "mesh."+m, nil); asError(err).Code != CodeNotFound {
			t.Errorf("%s without a mesh: %v", m, err)
		}
	}
}

func TestMeshTargets(t *testing.T) {
	b := &fakeBackend{fakeMesh: fakeMesh{mesh: sampleMesh()}}
	r := NewMethods(b)
	for _, tc := range []struct {
		name, target string
		plain        bool
		want         batman.MAC
		code         Code
	}{
		{name: "originator", target: "02:ba:00:00:03:00", want: v("03:00")},
		{name: "capitals and dashes", target: "02-BA-00-00-03-00", want: v("03:00")},
		{name: "client", target: "02:ba:00:00:03:ff", want: v("03:00")},
		{name: "client taken literally", target: "02:ba:00:00:03:ff", plain: true, want: v("03:ff")},
		{name: "IPv4", target: "10.9.0.3", want: v("03:00")},
		{name: "unknown MAC", target: "02:ba:00:00:09:00", want: v("09:00")},
		{name: "unknown IPv4", target: "10.9.0.4", code: CodeNotFound},
		{name: "IPv6", target: "fe80::1", code: CodeBadArgument},
		{name: "a name", target: "roof", code: CodeBadArgument},
		{name: "multicast", target: "01:00:5e:00:00:01", code: CodeBadArgument},
		{name: "zero", target: "00:00:00:00:00:00", plain: true, code: CodeBadArgument},
		{name: "own client", target: "02:cc:00:00:00:01", code: CodeBadArgument},
		{name: "own client by IPv4", target: "10.9.0.57", code: CodeBadArgument},
		{name: "ourselves", target: "02:ba:00:00:01:00", code: CodeBadArgument},
	} {
		b.dst = batman.MAC{}
		_, err := r.Call(t.Context(), "mesh.ping", map[string]any{"target": tc.target, "translate": !tc.plain})
		code := Code("")
		if err != nil {
			code = asError(err).Code
		}
		if code != tc.code || b.dst != tc.want {
			t.Errorf("%s: pinged %s, %v; want %s, %q", tc.name, b.dst, err, tc.want, tc.code)
		}
	}
	if got, err := r.Call(t.Context(), "mesh.translate", map[string]any{"target": "10.9.0.3"}); err != nil || got != (MeshTarget{"10.9.0.3", v("03:ff"), v("03:00")}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMeshArguments(t *testing.T) {
	b := &fakeBackend{fakeMesh: fakeMesh{mesh: sampleMesh()}}
	r := NewMethods(b)
	target := "02:ba:00:00:03:00"
	call := func(method string, args map[string]any) error {
		_, err := r.Call(t.Context(), method, args)
		return err
	}
	if err := call("mesh.ping", map[string]any{"target": target}); err != nil || b.fakeMesh.ping != (MeshPingOptions{TTL: 50, Timeout: time.Second}) {
		t.Errorf("%v, %+v", err, b.fakeMesh.ping)
	}
	args := map[string]any{"target": target, "ttl": 1, "record_route": true, "timeout_ms": 30000}
	if err := call("mesh.ping", args); err != nil || b.fakeMesh.ping != (MeshPingOptions{TTL: 1, RecordRoute: true, Timeout: 30 * time.Second}) {
		t.Errorf("%v, %+v", err, b.fakeMesh.ping)
	}
	if err := call("mesh.throughput", map[string]any{"target": target}); err != nil || b.test != 10*time.Second {
		t.Errorf("%v, %s", err, b.test)
	}
	if err := call("mesh.log", map[string]any{"after": 7}); err != nil || b.after != 7 {
		t.Errorf("%v, %d", err, b.after)
	}
	for _, bad := range []map[string]any{{"target": target, "ttl": 0}, {"target": target, "ttl": 256}, {"target": target, "timeout_ms": 30001}, {}} {
		if err := call("mesh.ping", bad); err == nil || asError(err).Code != CodeBadArgument {
			t.Errorf("%v: %v", bad, err)
		}
	}
	for _, bad := range []map[string]any{{"target": target, "time_ms": 0}, {"target": target, "time_ms": 600_001}} {
		if err := call("mesh.throughput", bad); err == nil || asError(err).Code != CodeBadArgument {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
