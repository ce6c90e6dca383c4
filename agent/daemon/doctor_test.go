package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/node"
)

// find returns the state and text of the first row of this name.
func find(d admin.Diagnosis, what string) admin.Check {
	if i := slices.IndexFunc(d.Checks, func(c admin.Check) bool { return c.What == what }); i >= 0 {
		return d.Checks[i]
	}
	return admin.Check{}
}

func TestDoctorOfRunningAgent(t *testing.T) {
	b := start(t, guest)
	a := start(t, "config peer 'b'\n\toption address '127.0.0.1:"+b.port+"'\n\toption public_key '"+b.id.Public.String()+"'\n\toption password 'wrong'\n\toption login 'guest'\n")
	see := func(x *agent) admin.Diagnosis {
		t.Helper()
		d, err := x.Doctor(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a.wait(t, "link and peer", func(s node.Status) bool { return len(s.Links) == 1 && s.Links[0].State == "up" && len(s.Peers) == 1 })
	d := see(a)
	if c := find(d, "peer b"); c.State != admin.CheckFail || c.Fix == "" {
		t.Errorf("%+v", d)
	}
	for what, state := range map[string]string{"configuration": "ok", "key": "ok", "clock": "ok", "tun": "ok", "link udp": "ok", "peers": "fail", "memory": "ok"} {
		if c := find(d, what); c.State != state {
			t.Errorf("%s: %+v", what, c)
		}
	}
	// b knows why.
	b.wait(t, "refusal", func(node.Status) bool {
		return find(see(b), "handshakes").State == admin.CheckWarn && b.happened("peer.refused")
	})

	a.write(t, guest)
	if c := find(see(a), "configuration"); c.State != admin.CheckWarn || !strings.Contains(c.Text, "peer b removed") {
		t.Errorf("%+v", c)
	}
	a.write(t, "broken\n")
	if c := find(see(a), "configuration"); c.State != admin.CheckFail || !strings.Contains(c.Text, "broken") {
		t.Errorf("%+v", c)
	}
	failures := 0
	d = see(a)
	for _, c := range d.Checks {
		if c.State == admin.CheckFail {
			failures++
		}
	}
	if failures == 0 || failures != d.Failures {
		t.Errorf("%d failures, %d are counted", failures, d.Failures)
	}
	// A problem is told when it comes and when it goes.
	a.problem("watch", "nothing moves")
	if c := find(see(a), "watch"); c.State != admin.CheckFail {
		t.Errorf("%+v", c)
	}
	a.problem("watch", "")
	if !a.happened("problem.raised") || !a.happened("problem.cleared") {
		t.Errorf("%+v", a.Events(0, 0))
	}
}

func TestDoctorRows(t *testing.T) {
	meshOf := func(i mesh.IfaceStatus) patient {
		i.Name = "w"
		return patient{mesh: &mesh.Status{Ifaces: []mesh.IfaceStatus{i}}}
	}
	for _, tc := range []struct {
		name  string
		p     patient
		check func(*patient)
		state string
		text  string
	}{
		{"no links", patient{}, checkLinks, "fail", "none"},
		{"link down", patient{status: node.Status{Links: []node.LinkStatus{{Name: "x", State: "down", Error: "gone"}}}}, checkLinks, "fail", "gone"},
		{"old kernel", patient{status: node.Status{Links: []node.LinkStatus{{Name: "x", State: "up", Offload: "plain"}}}}, checkLinks, "warn", "one at a time"},
		{"no peers", patient{}, checkPeers, "fail", "none"},
		{"radio", patient{radios: []*admin.WifiLink{{MeshID: "a", Iface: "w", How: "mesh point; why"}}}, checkRadios, "ok", "w: mesh point; why"},
		{"radio that forwards", patient{radios: []*admin.WifiLink{{How: "mesh point", Note: "; but it forwards"}}}, checkRadios, "warn", "but it forwards"},
		{"radio that fails", patient{radios: []*admin.WifiLink{{Problem: "channel 14 is not allowed: expected one of 1 6"}}}, checkRadios, "fail", "channel 14 is not allowed"},
		{"mesh wanted", patient{cfg: config.Config{Mesh: config.Mesh{Name: "bat0", Enabled: true}}}, checkMesh, "fail", "does not run"},
		{"mesh missing device", meshOf(mesh.IfaceStatus{Problem: "device w does not exist"}), checkMesh, "fail", "does not exist"},
		{"silence", meshOf(mesh.IfaceStatus{Active: true, MTU: 1532}), checkMesh, "warn", "nothing is heard"},
		{"others", meshOf(mesh.IfaceStatus{Active: true, MTU: 1532, RxFrames: 5}), checkMesh, "warn", "no node of this mesh"},
		{"small", meshOf(mesh.IfaceStatus{Active: true, MTU: 1500, Neighbours: 1}), checkMesh, "warn", "mtu 1500"},
		{"good", meshOf(mesh.IfaceStatus{Active: true, MTU: 1532, Neighbours: 1}), checkMesh, "ok", "1 neighbours"},
		{"driver caps", meshOf(mesh.IfaceStatus{Active: true, MTU: 1500, Neighbours: 2, MTUNote: "driver caps at 1500"}), checkMesh, "ok", "2 neighbours; driver caps at 1500"},
		{"short link", patient{mesh: &mesh.Status{
			Ifaces: []mesh.IfaceStatus{{Name: "x", MTU: 1500}, {Name: "y", MTU: 1532}},
			Neighbours: []mesh.NeighbourStatus{
				{Iface: "x", MTU: 1500}, {Iface: "y", MTU: 0}, {Iface: "y", MTU: 1532}, {MAC: batman.MAC{2, 1}, Iface: "y", MTU: 1504},
			},
		}}, func(p *patient) { p.shortLinks() }, "warn", "mtu 1532, and links carry less: 02:01:00:00:00:00 (1504)"},
		{"tun failed", patient{problems: map[string]string{"tun": "no tun"}}, checkTUN, "fail", "no tun"},
		{"supernode", patient{cfg: config.Config{Supernodes: make([]config.Supernode, 1)}}, checkSupernode, "warn", "none"},
		{"ubus", patient{status: node.Status{Bus: node.BusStatus{State: "waiting", Error: "denied"}}}, checkBus, "fail", "denied"},
		{"on trial", patient{diff: admin.ReloadReport{ConfirmSeconds: 9}}, checkFile, "warn", "9 s"},
		{"restart", patient{diff: admin.ReloadReport{Changes: []config.Change{{Kind: "main", Restart: true}}}}, checkFile, "warn", "restart"},
		{"same key", patient{problems: map[string]string{"same-key": "twice"}}, checkRest, "fail", "twice"},
	} {
		tc.check(&tc.p)
		rows := tc.p.found.Checks
		if len(rows) == 0 || rows[0].State != tc.state || !strings.Contains(rows[0].Text, tc.text) || tc.state != "ok" && rows[0].Fix == "" {
			t.Errorf("%s: %+v", tc.name, rows)
		}
	}
}

func TestMTUNote(t *testing.T) {
	dev := kernel.Interface{Name: "w", MTU: 1500, MaxMTU: 1500}
	if got := mtuNote(&dev, 1532, errors.New("x")); got != "driver caps at 1500, 1532 is wanted: large frames are cut" {
		t.Error(got)
	}
	dev.MaxMTU = 9000
	if got := mtuNote(&dev, 1532, errors.New("busy")); got != "driver keeps 1500, 1532 is wanted (busy): large frames are cut" {
		t.Error(got)
	}
}

func TestDoctorHost(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	one := func(f func(p *patient)) admin.Check { p := &patient{}; f(p); return p.found.Checks[0] }
	keyRow := func(p *patient) { checkKey(p, key) }
	space := func(dir string) func(p *patient) { return func(p *patient) { checkSpace(p, dir) } }
	if c := one(keyRow); c.State != admin.CheckWarn {
		t.Errorf("%+v", c)
	}
	for text, mode := range map[string]os.FileMode{strings.Repeat("0a", 32): 0o644, "x": 0o600} {
		if err := os.WriteFile(key, []byte(text+"\n"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		if c := one(keyRow); c.State != admin.CheckFail {
			t.Errorf("%q: %+v", text, c)
		}
	}
	if c := one(space(filepath.Join(dir, "later", "more"))); c.State != admin.CheckOK {
		t.Errorf("%+v", c)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a full flash")
	}
	full := mountSmall(t)
	if c := one(space(full)); c.State != admin.CheckFail || !strings.Contains(c.Text, "KiB are free") {
		t.Errorf("%+v", c)
	}
}

// mountSmall mounts a file system of 64 KiB for the time of the test.
func mountSmall(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("meshagent-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(5 * time.Second); unix.Unmount(dir, 0) != nil && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
	})
	return dir
}

func TestEventsAreBounded(t *testing.T) {
	d := &Daemon{events: &events{}}
	for range 3 * keptEvents {
		d.emit("x", struct{}{})
	}
	all := d.Events(0, 0)
	if len(all) != keptEvents || all[0].Seq != 2*keptEvents+1 || all[keptEvents-1].Seq != 3*keptEvents {
		t.Errorf("%d events, %d to %d", len(all), all[0].Seq, all[len(all)-1].Seq)
	}
	if l := d.Events(3*keptEvents-2, 0); len(l) != 2 {
		t.Errorf("%+v", l)
	}
	if l := d.Events(0, 3); len(l) != 3 || l[2].Seq != 3*keptEvents {
		t.Errorf("%+v", l)
	}
	if l := d.Events(9*keptEvents, 0); l == nil || len(l) != 0 {
		t.Errorf("%+v", l)
	}
}
