//go:build netns

package ring

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// meshWait bounds every wait for something that the mesh does by itself. It
// is far above what is needed: a busy machine must not fail a test.
const meshWait = 40 * time.Second

// meshMAC is the address of a device of the i-th node of a line: side 1 is
// left, 2 right, 0 the mesh device.
func meshMAC(i, side int) string { return fmt.Sprintf("02:ba:00:00:%02x:%02x", i+1, side) }

// meshIP and meshIP6 are the addresses of the mesh device of the i-th node.
func meshIP(i int) string  { return fmt.Sprintf("10.7.0.%d", i+1) }
func meshIP6(i int) string { return fmt.Sprintf("fd00:7::%d", i+1) }

// meshLine makes meshNodes, starts them and gives them addresses.
func (n *net) meshLine(count int, options ...string) []*rig.Host {
	hosts := n.meshNodes(count, options...)
	startAll(hosts...)
	for i, h := range hosts {
		addMeshAddrs(n.t, h, i)
	}
	return hosts
}

// meshNodes joins agents to   n0 ──veth── n1 ──veth── n2 …   without overlay.
// The primary interface of the first is "right", of the others "left".
func (n *net) meshNodes(count int, options ...string) (hosts []*rig.Host) {
	for i := range count {
		h := n.agent(fmt.Sprintf("m%d", i))
		h.Spec.NoTUN = true
		h.Spec.Mesh = &rig.MeshSpec{OrigInterval: 100 * time.Millisecond, Options: append([]string{"mac", meshMAC(i, 0), "log_level", "all"}, options...)}
		if i > 0 {
			prev := hosts[i-1]
			n.meshVeth(prev, i-1, h, i)
			prev.Spec.Mesh.HardIfs = append(prev.Spec.Mesh.HardIfs, "right")
			h.Spec.Mesh.HardIfs = append(h.Spec.Mesh.HardIfs, "left")
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// meshVeth joins "right" of a to "left" of b.
func (n *net) meshVeth(a *rig.Host, i int, b *rig.Host, j int) {
	n.Veth(rig.End{Node: a.Node, Dev: "right"}, rig.End{Node: b.Node, Dev: "left"})
	a.Node.IP("link", "set", "right", "address", meshMAC(i, 2))
	b.Node.IP("link", "set", "left", "address", meshMAC(j, 1))
}

// noBLA saves the half minute of listening that bridge loop avoidance begins
// with.
var noBLA = []string{"bridge_loop_avoidance", "0"}

// waitDevice waits until a device exists.
func waitDevice(t *testing.T, h *rig.Host, dev string, there bool) {
	t.Helper()
	if !rig.Until(meshWait, 20*time.Millisecond, func() bool { _, err := h.Node.Counters(dev); return (err == nil) == there }) {
		t.Fatalf("%s: device %s there: %v, want %v\n%s", h.Node.Name, dev, !there, there, h.Proc.Tail(20))
	}
}

// addMeshAddrs gives the mesh device of the i-th node its addresses.
func addMeshAddrs(t *testing.T, h *rig.Host, i int) {
	t.Helper()
	waitDevice(t, h, "bat0", true)
	h.Node.IP("addr", "replace", meshIP(i)+"/24", "dev", "bat0")
	h.Node.IP("addr", "replace", meshIP6(i)+"/64", "dev", "bat0", "nodad")
}

// primary is the name of the i-th node of a line in the mesh.
func primary(i int) string {
	if i == 0 {
		return meshMAC(0, 2)
	}
	return meshMAC(i, 1)
}

// waitOriginator waits until h has a way to orig, with at least that TQ.
func waitOriginator(t *testing.T, h *rig.Host, orig string, tq int) {
	t.Helper()
	var list []rig.BatOriginator
	var err error
	if !rig.Until(meshWait, 50*time.Millisecond, func() bool {
		list, err = h.Originators()
		for _, o := range list {
			if o.Orig == orig && o.Best && o.TQ >= tq {
				return true
			}
		}
		return false
	}) {
		t.Fatalf("%s has no way to %s with TQ %d: %+v %v\n%s", h.Node.Name, orig, tq, list, err, h.Proc.Tail(20))
	}
}

// meshReach waits until ping from a node to an address comes back.
func meshReach(t *testing.T, from *rig.Node, addr string) {
	t.Helper()
	if !rig.Until(meshWait, 50*time.Millisecond, func() bool {
		r, _ := from.Ping(context.Background(), addr, rig.PingOpts{Wait: 500 * time.Millisecond})
		return r.Received == 1
	}) {
		t.Fatalf("%s does not reach %s", from.Name, addr)
	}
}

// meshPing pings until all of 5 come back in one run.
func meshPing(t *testing.T, from *rig.Node, addr string, size int) {
	t.Helper()
	var r rig.PingResult
	for range 5 {
		r, _ = from.Ping(context.Background(), addr, rig.PingOpts{Count: 5, Interval: 10 * time.Millisecond, Size: size, DF: true})
		if r.Received == 5 {
			return
		}
	}
	t.Errorf("%s pings %s with %d bytes: %d of 5 came back\n%s", from.Name, addr, size, r.Received, r.Output)
}

// bat runs "meshagent bat ARGS" and returns what it prints.
func bat(t *testing.T, h *rig.Host, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), meshWait)
	defer cancel()
	out, err := h.Node.Run(ctx, append([]string{h.Bin, "--socket", h.Socket, "bat"}, args...)...)
	if err != nil {
		t.Errorf("%s: bat %v: %v\n%s", h.Node.Name, args, err, out)
	}
	return out
}

// hardIfRow is a row of "bat if --json".
type hardIfRow struct {
	Name     string            `json:"hard_ifname"`
	MAC      string            `json:"hard_address"`
	Active   bool              `json:"active"`
	MTU      int               `json:"mtu"`
	Problem  string            `json:"problem"`
	RxFrames uint64            `json:"rx_frames"`
	Drops    map[string]uint64 `json:"drops"`
}

// hardIf returns the row of one interface.
func hardIf(t *testing.T, h *rig.Host, name string) (row hardIfRow) {
	t.Helper()
	var rows []hardIfRow
	if err := h.Bat(&rows, "if"); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Name == name {
			return r
		}
	}
	return hardIfRow{}
}

// waitHardIf waits until an interface is as it shall be.
func waitHardIf(t *testing.T, h *rig.Host, name string, ok func(hardIfRow) bool) {
	t.Helper()
	var r hardIfRow
	if !rig.Until(meshWait, 50*time.Millisecond, func() bool { r = hardIf(t, h, name); return ok(r) }) {
		t.Fatalf("%s: %+v\n%s", h.Node.Name, r, h.Proc.Tail(20))
	}
}

// reload writes the configuration and has it read.
func reload(t *testing.T, h *rig.Host) {
	t.Helper()
	h.WriteConf()
	if err := h.Call("reload", nil, nil); err != nil {
		t.Fatal(err)
	}
}

// TestMeshLine: m0 ── m1 ── m2; frames of all sizes from end to end, and every
// command.
func TestMeshLine(t *testing.T) {
	n := newNet(t)
	hosts := n.meshLine(3, noBLA...)
	a, b, c := hosts[0], hosts[1], hosts[2]
	waitOriginator(t, a, primary(2), 100)
	waitOriginator(t, c, primary(0), 100)
	meshReach(t, a.Node, meshIP(2))
	meshReach(t, c.Node, meshIP6(0))
	for _, size := range []int{18, 56, 500, 1200, 1240, 1400, 1472} { // 60 to 1514 bytes on the wire
		meshPing(t, a.Node, meshIP(2), size)
		meshPing(t, c.Node, meshIP(0), size)
	}
	for _, size := range []int{8, 600, 1300, 1452} {
		meshPing(t, a.Node, meshIP6(2), size)
	}
	meshPing(t, b.Node, meshIP(0), 1472)
	meshCommands(t, hosts)
}

// meshCommands runs every command at the first node of a line of three.
func meshCommands(t *testing.T, hosts []*rig.Host) {
	t.Helper()
	a := hosts[0]
	for _, c := range []struct {
		args string
		want []string // in the text
		json bool     // is not an empty list
	}{
		{"o", []string{primary(1), primary(2), "right", "BATMAN_IV"}, true},
		{"n", []string{primary(1), "right"}, true},
		{"if", []string{"right: active"}, true},
		{"tl", []string{meshMAC(0, 0)}, true},
		{"tg", []string{meshMAC(1, 0), meshMAC(2, 0), primary(2)}, true},
		{"gwl", nil, false},
		{"dat", []string{meshIP(2), meshMAC(2, 0)}, true},
		{"bl", nil, false},
		{"log", []string{primary(1)}, true},
		{"s", []string{"tx", "mgmt_rx"}, true},
		{"ping -c 2 " + primary(2), []string{"2 received, 0% packet loss"}, true},
		{"ping -c 1 " + meshMAC(2, 0), []string{"1 received, 0% packet loss"}, true},
		{"tr " + primary(2), []string{"1: " + primary(1), "2: " + primary(2)}, true},
		{"tp -t 2000 " + primary(2), []string{"Throughput"}, true},
	} {
		args := strings.Fields(c.args)
		text := bat(t, a, args...)
		for _, w := range c.want {
			if !strings.Contains(text, w) {
				t.Errorf("bat %s: no %q in\n%s", c.args, w, text)
			}
		}
		var v any
		out := bat(t, a, append(args, "--json")...)
		first := strings.TrimSpace(out)
		if err := json.NewDecoder(strings.NewReader(first)).Decode(&v); err != nil {
			t.Errorf("bat %s --json: %v\n%s", c.args, err, out)
		}
		if l, ok := v.([]any); ok && (len(l) > 0) != c.json {
			t.Errorf("bat %s --json: %d rows\n%s", c.args, len(l), out)
		}
		if testing.Verbose() {
			t.Logf("bat %s\n%s", c.args, text)
		}
	}
}

// TestMeshReload: hard interfaces and options come and go without a restart.
func TestMeshReload(t *testing.T) {
	n := newNet(t)
	hosts := n.meshLine(3, noBLA...)
	a, b, c := hosts[0], hosts[1], hosts[2]
	waitOriginator(t, a, primary(2), 1)
	meshReach(t, a.Node, meshIP(2))

	b.Spec.Mesh.HardIfs = []string{"left"}
	reload(t, b)
	if r := hardIf(t, b, "right"); r.Name != "" {
		t.Errorf("right is still there: %+v", r)
	}
	if !rig.Until(meshWait, 100*time.Millisecond, func() bool {
		r, _ := a.Node.Ping(context.Background(), meshIP(2), rig.PingOpts{Wait: 300 * time.Millisecond})
		return r.Received == 0
	}) {
		t.Error("m0 reaches m2 through an interface that was removed")
	}
	b.Spec.Mesh.HardIfs = []string{"left", "right", "later0"}
	reload(t, b)
	meshReach(t, a.Node, meshIP(2))
	if r := hardIf(t, b, "later0"); r.Active || !strings.Contains(r.Problem, "does not exist") {
		t.Errorf("an interface without a device: %+v", r)
	}

	// A second, direct cable from m0 to m2.
	n.Veth(rig.End{Node: a.Node, Dev: "direct"}, rig.End{Node: c.Node, Dev: "direct"})
	a.Spec.Extra = []string{"config hardif 'direct'", "\toption device 'direct'", "\toption mtu '1532'"}
	c.Spec.Extra = a.Spec.Extra
	reload(t, a)
	reload(t, c)
	if !rig.Until(meshWait, 100*time.Millisecond, func() bool {
		list, _ := a.Originators()
		for _, o := range list {
			if o.Orig == primary(2) && o.Best && o.HardIf == "direct" {
				return true
			}
		}
		return false
	}) {
		t.Errorf("the direct cable is not used:\n%s", bat(t, a, "o"))
	}
	if r := hardIf(t, a, "direct"); r.MTU != 1532 {
		t.Errorf("the MTU of the new device is %d, want 1532", r.MTU)
	}
	meshPing(t, a.Node, meshIP(2), 1472)

	// Options. Nothing starts anew: the originators stay.
	a.Spec.Mesh.Options = append(a.Spec.Mesh.Options, "gw_mode", "server", "gw_bandwidth", "50mbit/10mbit")
	a.Spec.Mesh.OrigInterval = 150 * time.Millisecond
	reload(t, a)
	waitOriginator(t, a, primary(2), 1)
	if !rig.Until(meshWait, 100*time.Millisecond, func() bool { return strings.Contains(bat(t, c, "gwl"), primary(0)) }) {
		t.Errorf("m2 does not see the gateway:\n%s", bat(t, c, "gwl"))
	}
	var info struct {
		GWMode   string `json:"gw_mode"`
		Interval int    `json:"orig_interval"`
	}
	if err := a.Bat(&info, "mj"); err != nil || info.GWMode != "server" || info.Interval != 150 {
		t.Errorf("settings after the reload: %+v %v", info, err)
	}
}

// TestMeshAlgorithmChange: another algorithm keeps the device; without the
// section the device goes; with it everything comes back.
func TestMeshAlgorithmChange(t *testing.T) {
	n := newNet(t)
	hosts := n.meshLine(2, noBLA...)
	a, b := hosts[0], hosts[1]
	meshReach(t, a.Node, meshIP(1))
	before := ifindex(t, a, "bat0")
	for _, h := range hosts {
		h.Spec.Mesh.Algo = "BATMAN_V"
		reload(t, h)
	}
	meshReach(t, a.Node, meshIP(1))
	if out := bat(t, a, "o"); !strings.Contains(out, "BATMAN_V") || !strings.Contains(out, primary(1)) {
		t.Errorf("originators with BATMAN_V:\n%s", out)
	}
	if after := ifindex(t, a, "bat0"); after != before {
		t.Errorf("bat0 was made anew: index %d, was %d", after, before)
	}
	meshSpec := a.Spec.Mesh
	a.Spec.Mesh = nil
	reload(t, a)
	waitDevice(t, a, "bat0", false)
	if out, err := a.Node.Run(context.Background(), a.Bin, "--socket", a.Socket, "bat", "o"); err == nil || !strings.Contains(out, "no mesh") {
		t.Errorf("bat o without a mesh: %v\n%s", err, out)
	}
	a.Spec.Mesh = meshSpec
	reload(t, a)
	addMeshAddrs(t, a, 0)
	meshReach(t, b.Node, meshIP(0))

	// Another name is another device, also if the agent did not run when it
	// got that name.
	a.Spec.Mesh.Name = "bat7"
	reload(t, a)
	waitDevice(t, a, "bat0", false)
	waitDevice(t, a, "bat7", true)
	_ = a.Proc.Stop()
	waitDevice(t, a, "bat7", true) // it waits for the next run
	a.Spec.Mesh.Name = ""
	a.Start()
	a.WaitUp(10 * time.Second)
	addMeshAddrs(t, a, 0)
	waitDevice(t, a, "bat7", false)
	meshReach(t, b.Node, meshIP(0))

	// Somebody deletes the device under the agent.
	a.Node.IP("link", "del", "bat0")
	addMeshAddrs(t, a, 0)
	meshReach(t, b.Node, meshIP(0))
}

// ifindex returns the kernel's number of a device.
func ifindex(t *testing.T, h *rig.Host, dev string) int {
	t.Helper()
	var list []struct {
		Index int `json:"ifindex"`
	}
	out, err := h.Node.Run(context.Background(), "ip", "-j", "link", "show", "dev", dev)
	if err == nil {
		err = json.Unmarshal([]byte(out), &list)
	}
	if err != nil || len(list) != 1 {
		t.Fatalf("ip link show %s: %v\n%s", dev, err, out)
	}
	return list[0].Index
}

// TestMeshFollowsDevices: a hard interface goes down and up, vanishes and
// returns, and changes its MTU and its MAC.
func TestMeshFollowsDevices(t *testing.T) {
	n := newNet(t)
	hosts := n.meshLine(3, noBLA...)
	a, b, c := hosts[0], hosts[1], hosts[2]
	meshReach(t, a.Node, meshIP(2))

	b.Node.IP("link", "set", "right", "down")
	waitHardIf(t, b, "right", func(r hardIfRow) bool { return !r.Active && strings.Contains(r.Problem, "is down") })
	b.Node.IP("link", "set", "right", "up")
	waitHardIf(t, b, "right", func(r hardIfRow) bool { return r.Active })
	meshReach(t, a.Node, meshIP(2))

	rig.End{Node: b.Node, Dev: "right"}.Unplug()
	waitHardIf(t, b, "right", func(r hardIfRow) bool { return !r.Active && strings.Contains(r.Problem, "does not exist") })
	waitHardIf(t, c, "left", func(r hardIfRow) bool { return !r.Active })
	n.meshVeth(b, 1, c, 2)
	waitHardIf(t, b, "right", func(r hardIfRow) bool { return r.Active })
	meshReach(t, a.Node, meshIP(2))
	meshReach(t, c.Node, meshIP(0))

	// The primary interface gets another MTU, and frames are cut to fit.
	for _, h := range []*rig.Host{b, c} {
		dev := map[*rig.Host]string{b: "right", c: "left"}[h]
		h.Node.IP("link", "set", dev, "mtu", "900")
		waitHardIf(t, h, dev, func(r hardIfRow) bool { return r.MTU == 900 })
	}
	meshPing(t, a.Node, meshIP(2), 1472)
	meshPing(t, c.Node, meshIP(0), 1472)

	// Another MAC of the primary interface is another name of the node.
	const mac = "02:ba:00:00:03:77"
	c.Node.IP("link", "set", "left", "address", mac)
	waitHardIf(t, c, "left", func(r hardIfRow) bool { return r.Active && r.MAC == mac })
	waitOriginator(t, a, mac, 1)
	meshReach(t, a.Node, meshIP(2))
}

// TestMeshRestart: an agent that dies and one that is stopped go on with their
// sequence numbers, and their mesh device keeps addresses.
func TestMeshRestart(t *testing.T) {
	t.Setenv("TMPDIR", "/dev/shm") // the numbers are kept in memory only, as in /var/run
	n := quietNet(t)
	hosts := n.meshLine(3, noBLA...)
	a, b, c := hosts[0], hosts[1], hosts[2]
	waitOriginator(t, a, primary(2), 150)
	meshReach(t, a.Node, meshIP(2))
	protected := func() (sum uint64) {
		for _, h := range []*rig.Host{a, c} {
			for _, dev := range h.Spec.Mesh.HardIfs {
				sum += hardIf(t, h, dev).Drops["protected"]
			}
		}
		return sum
	}
	before := ifindex(t, b, "bat0")
	for _, how := range []struct {
		name string
		stop func()
	}{
		{"killed", func() { b.Proc.Kill() }},
		{"stopped", func() { _ = b.Proc.Stop() }},
		{"stopped again", func() { _ = b.Proc.Stop() }},
		{"rebooted", func() { // what lay in memory is lost, the clock is right
			_ = b.Proc.Stop()
			if err := os.Remove(b.Socket + ".seqnos"); err != nil {
				t.Error(err)
			}
		}},
	} {
		was := protected()
		how.stop()
		b.Start()
		b.WaitUp(10 * time.Second)
		start := time.Now()
		meshReach(t, a.Node, meshIP(2)) // the address of bat0 is still there: nobody gave it anew
		meshReach(t, b.Node, meshIP(0))
		t.Logf("%s: everybody is reached %v after the start", how.name, time.Since(start))
		if now := protected(); now != was {
			t.Errorf("%s: %d packets of the new life were refused as jumps", how.name, now-was)
		}
	}
	if after := ifindex(t, b, "bat0"); after != before {
		t.Errorf("bat0 was made anew: index %d, was %d", after, before)
	}
}

// TestMeshBridge:   c0 ──veth── [br0: port, bat0] m0 ── m1 ── m2 [bat0, port :br0] ──veth── c1
//
// Two clients see each other as on one switch, with and without VLAN tags.
func TestMeshBridge(t *testing.T) {
	n := newNet(t)
	hosts := n.meshLine(3, noBLA...)
	c0 := n.Phone("c0", "10.7.1.1/24", "02:ba:00:00:aa:01")
	c1 := n.Phone("c1", "10.7.1.2/24", "02:ba:00:00:aa:02")
	for i, c := range map[int]*rig.Phone{0: c0, 2: c1} {
		hosts[i].Node.LAN("br0", "bat0")
		c.Plug(hosts[i].Node, "br0")
	}
	meshReach(t, c0.Node, c1.Addr)
	for _, size := range []int{18, 600, 1472} {
		meshPing(t, c0.Node, c1.Addr, size)
		meshPing(t, c1.Node, c0.Addr, size)
	}
	if out := bat(t, hosts[0], "tg"); !strings.Contains(out, c1.MAC) {
		t.Errorf("client c1 is not in the table of m0:\n%s", out)
	}

	// What the kernel leaves to the hardware must be finished: c0 offers
	// checksum offload and segmentation, as a veth does.
	if got := meshTCP(t, c0, c1); got != tcpBytes {
		t.Errorf("%d of %d bytes came through a TCP connection", got, tcpBytes)
	}

	// 802.1Q: frames come out with the tag that they went in with. c1 speaks
	// first, as with ARP: the mesh floods no unicast to clients that it does
	// not know in that VLAN.
	in, out := openRaw(t, c0.Node, "eth0"), openRaw(t, c1.Node, "eth0")
	for _, vlan := range []uint16{7, 4094} {
		frame := vlanFrame(c1.MAC, c0.MAC, vlan, 1500)
		hello := vlanFrame("ff:ff:ff:ff:ff:ff", c1.MAC, vlan, 46)
		out.send(hello)
		got := in.expect(hello, meshWait)
		if !got {
			t.Errorf("no broadcast of VLAN %d came through", vlan)
		}
		if !rig.Until(meshWait, 100*time.Millisecond, func() bool {
			in.send(frame)
			got = out.expect(frame, 300*time.Millisecond)
			return got
		}) {
			t.Errorf("no frame of VLAN %d came through", vlan)
		}
		if got && !strings.Contains(bat(t, hosts[0], "tl"), fmt.Sprintf("%4d", vlan)) {
			t.Errorf("VLAN %d is not in the table of m0:\n%s", vlan, bat(t, hosts[0], "tl"))
		}
	}

	// The bridge is a port short and gets it back; the agent is told that bat0
	// stands alone.
	hosts[2].Node.IP("link", "set", "bat0", "nomaster")
	hosts[2].Node.IP("link", "set", "bat0", "master", "br0")
	meshReach(t, c0.Node, c1.Addr)
}
