//go:build netns

package ring

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/ubus"
	"github.com/meshagent/meshagent/agent/ubus/ubustest"
	"github.com/meshagent/meshagent/agent/ubus/wire"
	"github.com/meshagent/meshagent/hw/rig"
)

// confinedUser is the user that the packages make.
const confinedUser = 463

// confine starts h with nothing but what the packages give it: a user of its
// own, two capabilities, a TUN node of its group, and a configuration that it
// may read. It returns the path of the latter. main has further options of the
// first section.
func confine(t *testing.T, n *net, h *rig.Host, main string) string {
	t.Helper()
	h.WriteConf()
	dir := filepath.Dir(h.Conf)
	text, err := os.ReadFile(h.Conf)
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	must(err)
	conf := filepath.Join(n.Dir, "confined.conf")
	text = bytes.Replace(text, []byte("config meshagent 'main'\n"), []byte("config meshagent 'main'\n"+main), 1)
	must(os.WriteFile(conf, text, 0o600))
	must(os.Chown(conf, 0, confinedUser))
	must(os.Chmod(conf, 0o640))
	must(os.Remove(h.Conf))
	// Root alone can go through the rig's folder otherwise.
	must(os.Chmod(n.Dir, 0o755))
	for _, p := range []string{dir, filepath.Join(dir, "key")} {
		must(os.Chown(p, confinedUser, confinedUser))
	}
	tun := filepath.Join(n.Dir, "tun")
	must(syscall.Mknod(tun, syscall.S_IFCHR|0o660, 10<<8|200))
	must(os.Chown(tun, 0, confinedUser))
	must(os.Chmod(tun, 0o660))
	bin := filepath.Join(n.Dir, "meshagent") // where everybody can read it
	program, err := os.ReadFile(h.Bin)
	must(err)
	must(os.WriteFile(bin, program, 0o755))
	const caps = "-all,+net_admin,+net_raw"
	h.Proc = h.Node.Start("meshagent", "sh", "-c", fmt.Sprintf(
		"mount --bind %s /dev/net/tun && exec setpriv --reuid %d --regid %d --clear-groups --no-new-privs --bounding-set=%s --inh-caps=%s --ambient-caps=%s %s run -c %s",
		tun, confinedUser, confinedUser, caps, caps, caps, bin, conf))
	return conf
}

// TestConfined:   a ── b   by overlay and mesh, where a is nobody in particular.
func TestConfined(t *testing.T) {
	n := newNet(t)
	a, b := n.udpPair(false, false)
	a.Spec.Closed = true
	a.Spec.Mesh = &rig.MeshSpec{OrigInterval: 100 * time.Millisecond, HardIfs: []string{"eb"}}
	b.Spec.Mesh = &rig.MeshSpec{OrigInterval: 100 * time.Millisecond, HardIfs: []string{"ea"}}
	b.Start()
	conf := confine(t, n, a, "")
	a.WaitUp(10 * time.Second)
	b.WaitUp(10 * time.Second)

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Proc.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t463\t463\t463\t463\n", "CapEff:\t0000000000003000\n", "CapBnd:\t0000000000003000\n", "NoNewPrivs:\t1\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	if !rig.WaitPeer(a, b, 10*time.Second) {
		t.Fatal("a and b do not peer")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if out, err := a.Node.Run(ctx, "ping", "-6", "-c", "1", "-W", "5", b.IP()); err != nil {
		t.Errorf("ping: %v\n%s", err, out)
	}
	if out, err := a.Node.Run(ctx, "nft", "list", "tables"); err != nil || !strings.Contains(out, "meshagent_") {
		t.Errorf("no firewall in front of the overlay: %v %s", err, out)
	}
	var neighbours json.RawMessage
	if !rig.Until(meshWait, 100*time.Millisecond, func() bool {
		return a.Call("mesh.neighbors", nil, &neighbours) == nil && strings.Contains(string(neighbours), "neigh")
	}) {
		t.Errorf("no neighbour in the mesh: %s", neighbours)
	}

	// The configuration is root's: the command writes it, the agent cannot.
	args := map[string]any{"address": "10.9.0.9:1", "public_key": b.ID.Key.String(), "password": "x"}
	if err := a.Call("peer.add", args, nil); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("the agent changes the configuration: %v", err)
	}
	cli := func(args ...string) {
		t.Helper()
		if out, err := a.Node.Run(ctx, append([]string{agentBin, "--config", conf}, args...)...); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	cli("peer", "add", "10.9.0.9:1", b.ID.Key.String(), "--password", "x", "--config", conf)
	peers, err := a.Peers()
	// The mesh may have met b as well by now; that peer has no name.
	peers = slices.DeleteFunc(peers, func(p rig.Peer) bool { return p.User == "" })
	if err != nil || len(peers) != 2 {
		t.Errorf("%v, %+v", err, peers)
	}
	// As uci leaves it.
	if err := os.Chown(conf, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(conf, 0o600); err != nil {
		t.Fatal(err)
	}
	cli("reload", "--config", conf)

	if err := a.Proc.Stop(); err != nil {
		t.Errorf("stop: %v\n%s", err, a.Proc.Tail(5))
	}
	if out, err := a.Node.Run(ctx, "nft", "list", "tables"); err != nil || strings.Contains(out, "meshagent_") {
		t.Errorf("the firewall stays: %v %s", err, out)
	}
}

// TestConfinedStores: the agent may not write its configuration, and has it
// written by root, over ubus and procd with the rights of the package.
func TestConfinedStores(t *testing.T) {
	n := newNet(t)
	a, _ := n.udpPair(false, false)
	raw, err := os.ReadFile("../../openwrt-feed/meshagent/files/usr/share/acl.d/meshagent.json")
	var rule ubustest.Rule
	if err == nil {
		err = json.Unmarshal(raw, &rule)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(n.Dir, "ubus.sock")
	bus := ubustest.Start(t, path, rule)
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conf := ""
	args := []ubus.Arg{{Name: "type", Type: wire.TypeString}, {Name: "data", Type: wire.TypeTable}}
	procd := &ubus.Client{Path: path, Objects: []*ubus.Object{{Path: "service", Methods: []ubus.Method{{Name: "event", Args: args,
		Handle: func(_ context.Context, r *ubus.Request) error {
			if r.Args.String("type") != "meshagent.store" {
				return wire.InvalidArgument
			}
			go func() {
				if out, err := a.Node.Run(ctx, agentBin, "--config", conf, "config", "store"); err != nil {
					t.Logf("config store: %v %s", err, out)
				}
			}()
			return r.Reply(nil)
		},
	}}}}}
	go procd.Run(ctx)
	if !rig.Until(10*time.Second, 10*time.Millisecond, func() bool { return len(bus.Paths()) == 1 }) {
		t.Fatal("no procd")
	}
	bus.As("meshagent")
	conf = confine(t, n, a, "\toption ubus '"+path+"'\n")
	a.WaitUp(10 * time.Second)
	var status rig.Status
	if !rig.Until(10*time.Second, 10*time.Millisecond, func() bool {
		status, err = a.Status()
		return err == nil && status.Bus.State == "connected"
	}) {
		t.Fatalf("the agent does not come to ubus: %v, %+v", err, status.Bus)
	}
	text := func() string {
		b, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	add := map[string]any{"address": "10.9.0.9:1", "public_key": a.ID.Key.String(), "password": "x"}
	if err := a.Call("peer.add", add, nil); err == nil || !strings.Contains(err.Error(), "our own key") {
		t.Errorf("%v", err)
	}
	before := text()
	add["public_key"] = "p1k4y0xpkq5r12br69r6f832jk7h7s9n0ld8fwc8kvgpb70g7kx0.k"
	if err := a.Call("peer.add", add, nil); err != nil {
		t.Fatalf("peer.add: %v", err)
	}
	if s := text(); s == before || !strings.Contains(s, "10.9.0.9:1") {
		t.Errorf("not stored:\n%s", s)
	}
	if info, err := os.Stat(conf); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}

	// A change on trial, which nobody confirms.
	former := text()
	if err := os.WriteFile(conf, []byte(former+"\nconfig password 'second'\n\toption password 'for the second'\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	var r admin.ReloadReport
	if err := a.Call("config.apply", map[string]any{"confirm": 1}, &r); err != nil || len(r.Changes) != 1 || r.ConfirmSeconds != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if !rig.Until(20*time.Second, 50*time.Millisecond, func() bool { return text() == former }) {
		t.Errorf("not taken back:\n%s", text())
	}
	if !rig.Until(20*time.Second, 50*time.Millisecond, func() bool {
		r = admin.ReloadReport{}
		return a.Call("config.diff", nil, &r) == nil && len(r.Changes) == 0 && r.ConfirmSeconds == 0
	}) {
		t.Errorf("%+v", r)
	}
	var d admin.Diagnosis
	if err := a.Call("doctor", nil, &d); err != nil {
		t.Error(err)
	}
	for _, c := range d.Checks {
		if c.State == admin.CheckFail && !strings.HasPrefix(c.What, "peer") {
			t.Errorf("%+v", c)
		}
	}
}
