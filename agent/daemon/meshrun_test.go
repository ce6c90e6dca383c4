package daemon

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/netio"
)

func TestMeshMTU(t *testing.T) {
	open := func(mtu int) *hardIf { return &hardIf{conn: new(netio.Packet), told: mesh.IfaceConfig{MTU: mtu}} }
	for _, c := range []struct {
		name string
		frag bool
		ifs  []*hardIf
		want int
	}{
		{"none", true, nil, 1500},
		{"ordinary", true, []*hardIf{open(1500)}, 1500},
		{"small, in fragments", true, []*hardIf{open(1500), open(576)}, 1500},
		{"too small even so", true, []*hardIf{open(110)}, (110-20)*16 - 32},
		{"without fragments", false, []*hardIf{open(1560), open(1500)}, 1468},
		{"without fragments, large", false, []*hardIf{open(1560)}, 1500},
		{"one that is down does not count", false, []*hardIf{open(1560), {told: mesh.IfaceConfig{MTU: 900}}}, 1500},
	} {
		if got := meshMTU(config.Mesh{MTU: 1500, Fragmentation: c.frag}, c.ifs); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestUsableHardIf(t *testing.T) {
	d := &Daemon{cfg: config.Config{Mesh: config.Mesh{Name: "bat0"}}}
	m := &meshRun{d: d}
	devs := kernel.Links{
		{Name: "lo", Index: 1, Loopback: true, Up: true},
		{Name: "eth0", Index: 2, Ethernet: true, Up: true},
		{Name: "eth1", Index: 3, Ethernet: true},
		{Name: "eth2", Index: 4, Ethernet: true, Up: true, Master: 5},
		{Name: "br0", Index: 5, Ethernet: true, Up: true, Kind: "bridge"},
		{Name: "bat0", Index: 6, Ethernet: true, Up: true, Kind: "tun", Master: 5},
		{Name: "tun9", Index: 7, Up: true, Kind: "tun"},
	}
	for name, ok := range map[string]bool{"lo": false, "eth0": true, "eth1": false, "eth2": false, "br0": false, "bat0": false, "tun9": false, "eth9": false} {
		dev, _ := devs.ByName(name)
		if err := m.usable(&hardIf{device: name, cfg: config.HardIf{Device: name}}, dev, devs); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFreeIndex(t *testing.T) {
	m := &meshRun{ifs: []*hardIf{{index: 0}, {index: 2}}}
	if i := m.freeIndex(); i != 1 {
		t.Errorf("index %d, want 1", i)
	}
}

func TestMeshMACIsAStation(t *testing.T) {
	d := &Daemon{id: cryptoauth.GenerateIdentity(random)}
	a, b := d.meshMAC("bat0"), d.meshMAC("bat1")
	if !a.IsStation() || a[0]&2 == 0 || a == b || a != d.meshMAC("bat0") {
		t.Errorf("addresses %v and %v", a, b)
	}
}

func TestCoreConfigTranslatesDefaults(t *testing.T) {
	loaded := config.Mesh{
		OrigInterval: config.DefaultOrigInterval, HopPenalty: config.DefaultHopPenalty, Aggregation: true, Fragmentation: true,
		BLA: true, DAT: true, Multicast: true, MulticastFanout: config.DefaultFanout,
		GWSelClass: config.DefaultGWSelClassIV, GWDown: config.DefaultGWDown, GWUp: config.DefaultGWUp,
	}
	want := mesh.Default()
	want.VerifyRate, want.ProbeMTU = verifyRate(), true
	if got := coreConfig(loaded); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestMeshLogKeepsKindsAndOrder(t *testing.T) {
	l := newMeshLog(slog.New(slog.DiscardHandler))
	l.add(config.MeshLogRoutes, "not wanted")
	l.setKinds(config.MeshLogRoutes | config.MeshLogTT)
	for range meshLogLines + 10 {
		l.event(mesh.Event{Kind: mesh.EventRoute, Orig: batman.MAC{2}, Next: batman.MAC{4}})
	}
	l.event(mesh.Event{Kind: mesh.EventRoamed, Client: batman.MAC{6}})
	l.event(mesh.Event{Kind: mesh.EventLoop}) // bla: not wanted
	all := l.after(0)
	if len(all) != meshLogLines {
		t.Fatalf("%d lines, want %d", len(all), meshLogLines)
	}
	for i, line := range all {
		if want := uint64(meshLogLines + 11 - len(all) + 1 + i); line.Seq != want {
			t.Fatalf("line %d has number %d, want %d", i, line.Seq, want)
		}
	}
	if last := all[len(all)-1]; last.Kind != "tt" {
		t.Errorf("last line %+v", last)
	}
	if got := l.after(all[len(all)-2].Seq); len(got) != 1 {
		t.Errorf("%d lines behind the last but one", len(got))
	}
	if got := l.after(1 << 40); len(got) != 0 {
		t.Errorf("%d lines behind the end", len(got))
	}
}

func TestNoMeshIsSaid(t *testing.T) {
	a := start(t, "")
	if _, err := a.Mesh(t.Context()); !errors.Is(err, admin.ErrNoMesh) {
		t.Errorf("Mesh: %v", err)
	}
	if _, err := a.MeshPing(t.Context(), batman.MAC{2}, admin.MeshPingOptions{}); !errors.Is(err, admin.ErrNoMesh) {
		t.Errorf("MeshPing: %v", err)
	}
	if _, err := a.MeshLog(t.Context(), 0); !errors.Is(err, admin.ErrNoMesh) {
		t.Errorf("MeshLog: %v", err)
	}
}
