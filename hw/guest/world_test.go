//go:build guest

package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// world is what one row builds.
type world struct {
	*testing.T
	*result
	bench *bench
	lab   *Lab
	guest *Guest

	nodes   []node
	closers []func()
	lans    []*LAN
	names   int
}

// node is a node of the mesh, whoever made it.
type node interface {
	label() string
	mac() string                        // of its primary hard interface
	sh(script string) (string, error)   // in its namespace
	bat(command string) (string, error) // batctl's, or ours of that name
}

// interval is the time between OGMs in most rows, in ms.
const interval = 200

// lan makes a segment that goes away with the row.
func (w *world) lan() *LAN {
	l := w.lab.LAN()
	w.lans = append(w.lans, l)
	w.onClose(l.Remove)
	if dir := os.Getenv("GUEST_PCAP"); dir != "" {
		file := fmt.Sprintf("%s/%s-%s.pcap", dir, strings.ReplaceAll(w.Name(), "/", "-"), l.Name)
		p := w.lab.wire.Start("tcpdump-"+l.Name, "tcpdump", "-Z", "root", "-U", "-i", l.Name, "-w", file)
		time.Sleep(300 * time.Millisecond)
		w.onClose(func() { _ = p.Stop() })
	}
	return l
}

func (w *world) onClose(f func()) { w.closers = append(w.closers, f) }

func (w *world) close() {
	defer func() {
		if f := recover(); f != nil {
			w.Errorf("cleaning up: %v", f)
		}
	}()
	_ = w.lab.Heal()
	for i := len(w.closers) - 1; i >= 0; i-- {
		w.closers[i]()
	}
}

// note adds a figure to the table.
func (w *world) note(format string, args ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

// kernelNode is a node of the guest's kernel.
type kernelNode struct{ *Mesh }

func (k kernelNode) label() string                      { return "kernel " + k.Name }
func (k kernelNode) mac() string                        { return k.MAC() }
func (k kernelNode) sh(script string) (string, error)   { return k.Run(script) }
func (k kernelNode) bat(command string) (string, error) { return k.Run("batctl " + command) }

// kernel makes a node of the guest's kernel.
func (w *world) kernel(name string, c MeshConfig, lans ...*LAN) kernelNode {
	if c.Interval == 0 {
		c.Interval = interval
	}
	k := kernelNode{w.guest.Mesh(name, c, lans...)}
	w.onClose(k.Close)
	w.nodes = append(w.nodes, k)
	return k
}

// agent is a node of ours.
type agent struct {
	*rig.Host
	name, hw string
	client   string  // the device that has the addresses: bat0 or br0
	ports    []*Port // of the hard interfaces, on their LANs
	conf     agentConfig
	world    *world
}

// agentConfig says how an agent differs from the defaults.
type agentConfig struct {
	Algo     string
	Interval int // ms; 0: interval
	BLA      bool
	Client   *LAN     // to be bridged with bat0
	IPs      []string // of bat0, or of br0 with a Client; CIDR form
	Options  []string // of the section mesh
	Override []int    // throughput of the hard interfaces, kbit/s
	Overlay  bool     // with the TUN device, so that programs use the overlay
}

// program is the agent under test.
func program() string {
	if p := os.Getenv("MESHAGENT"); p != "" {
		return p
	}
	return "../../.build/meshagent"
}

// agent starts a node of ours with a hard interface hw0, hw1, … on each LAN.
func (w *world) agent(name string, c agentConfig, lans ...*LAN) *agent {
	w.names++
	a := &agent{name: name, conf: c, world: w, client: "bat0"}
	n := w.lab.Rig.Node(fmt.Sprintf("r%da%d", w.bench.rows, w.names))
	for i, l := range lans {
		dev := fmt.Sprintf("hw%d", i)
		a.ports = append(a.ports, l.Join(rig.End{Node: n, Dev: dev}))
		mac := fmt.Sprintf("02:a9:%02x:00:%02x:%02x", w.bench.rows, w.names, i)
		n.IP("link", "set", dev, "address", mac)
		if i == 0 {
			a.hw = mac
		}
	}
	if c.Client != nil {
		a.client = "br0"
		c.Client.Join(rig.End{Node: n, Dev: "port0"})
		n.LAN("br0", "port0")
	}
	a.Host = n.Agent(program())
	if c.Interval == 0 {
		c.Interval = interval
	}
	m := &rig.MeshSpec{Algo: c.Algo, OrigInterval: time.Duration(c.Interval) * time.Millisecond, Options: c.Options}
	if !c.BLA {
		m.Options = append([]string{"bridge_loop_avoidance", "0"}, m.Options...)
	}
	a.Spec = rig.Spec{NoTUN: !c.Overlay, LogLevel: "debug", Mesh: m}
	for i := range lans {
		hardif := fmt.Sprintf("config hardif 'hw%d'\n\toption device 'hw%d'\n\toption mesh 'bat0'", i, i)
		if i < len(c.Override) {
			hardif += fmt.Sprintf("\n\toption throughput_override '%d'", c.Override[i])
		}
		a.Spec.Extra = append(a.Spec.Extra, hardif)
	}
	a.up()
	w.onClose(func() { _ = a.Proc.Stop() })
	for _, ip := range c.IPs {
		n.IP("addr", "add", ip, "dev", a.client, "brd", "+")
	}
	w.nodes = append(w.nodes, a)
	return a
}

// up starts the program and waits for its device.
func (a *agent) up() {
	a.Start()
	n := a.Node
	if !rig.Until(10*time.Second, 20*time.Millisecond, func() bool {
		out, err := a.sh("ip -br link show bat0 up")
		return err == nil && strings.Contains(out, "bat0")
	}) {
		a.world.lab.fail("agent %s has no device bat0\n%s", a.name, a.Proc.Tail(20))
	}
	n.Sysctl("ipv6/conf/bat0/disable_ipv6", "1")
	if a.conf.Client != nil {
		n.IP("link", "set", "bat0", "master", "br0")
	}
}

func (a *agent) label() string { return "agent " + a.name }
func (a *agent) mac() string   { return a.hw }

func (a *agent) sh(script string) (string, error) {
	ctx, stop := bounded()
	defer stop()
	return a.Node.Run(ctx, "sh", "-c", script)
}

func (a *agent) bat(command string) (string, error) {
	return a.sh(a.Bin + " --socket " + a.Socket + " bat " + command)
}

// must is sh for steps that have to succeed.
func must(n node, script string) string {
	out, err := n.sh(script)
	if err != nil {
		panic(failure(fmt.Sprintf("%s: %s: %v\n%s", n.label(), script, err, out)))
	}
	return out
}

// phone is a host on a LAN.
type phone struct {
	*rig.Node
	port *Port
	MAC  string
}

// phone plugs a host with an address into a LAN.
func (w *world) phone(cidr string, lan *LAN) *phone {
	w.names++
	p := &phone{Node: w.lab.Rig.Node(fmt.Sprintf("r%dp%d", w.bench.rows, w.names)), MAC: fmt.Sprintf("02:f0:%02x:00:00:%02x", w.bench.rows, w.names)}
	p.port = lan.Join(rig.End{Node: p.Node, Dev: "eth0"})
	p.IP("link", "set", "eth0", "address", p.MAC)
	p.IP("addr", "add", cidr, "dev", "eth0", "brd", "+")
	return p
}

func (p *phone) label() string              { return "phone" }
func (p *phone) mac() string                { return p.MAC }
func (p *phone) bat(string) (string, error) { return "", nil }
func (p *phone) sh(script string) (string, error) {
	ctx, stop := bounded()
	defer stop()
	return p.Run(ctx, "sh", "-c", script)
}

// eventually waits until f returns no complaint, and returns how long that
// took.
func (w *world) eventually(d time.Duration, what string, f func() error) time.Duration {
	w.Helper()
	begin := time.Now()
	for {
		err := f()
		took := time.Since(begin)
		if err == nil {
			return took
		}
		if took > d {
			panic(failure(fmt.Sprintf("not after %v: %s: %v", d, what, err)))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// rows asks a node for a table, in batctl's JSON.
func rows[R any](n node, command string) (list []R, err error) {
	out, err := n.bat(command)
	if err == nil {
		err = json.Unmarshal([]byte(out), &list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: bat %s: %w: %s", n.label(), command, err, out)
	}
	return list, nil
}

// way returns the best way of a node to another.
func way(n, to node) (o rig.BatOriginator, err error) {
	list, err := rows[rig.BatOriginator](n, "oj")
	for _, o := range list {
		if o.Best && o.Orig == to.mac() {
			return o, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%s has no way to %s", n.label(), to.label())
	}
	return o, err
}

// routes waits until all nodes of the mesh see each other, and have each
// other's clients' tables.
func (w *world) routes(nodes ...node) time.Duration {
	w.Helper()
	return w.eventually(30*time.Second, "all nodes see each other", func() error {
		for _, n := range nodes {
			for _, m := range nodes {
				if n == m {
					continue
				}
				if _, err := way(n, m); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// owner returns the node that a client is behind, by a node's global table;
// empty: it knows none. vid is -1 for untagged.
func owner(n node, client string, vid int) (string, error) {
	list, err := rows[rig.BatGlobal](n, "tgj")
	for _, g := range list {
		if g.Client == client && g.VID == vid && g.Best {
			return g.Orig, nil
		}
	}
	return "", err
}

// statistics returns a node's counters by batctl's names.
func statistics(n node) map[string]uint64 {
	c := map[string]uint64{}
	if _, ok := n.(*agent); ok {
		var s struct{ Counters map[string]uint64 }
		out, _ := n.bat("s --json")
		_ = json.Unmarshal([]byte(out), &s)
		return s.Counters
	}
	out, _ := n.bat("s")
	for line := range strings.Lines(out) {
		var v uint64
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if _, err := fmt.Sscan(value, &v); ok && err == nil {
			c[name] = v
		}
	}
	return c
}

// self is this program, to be run as a tool.
func self() string {
	p, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return p
}
