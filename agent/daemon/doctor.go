package daemon

import (
	"cmp"
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/node"
)

// patient is what a diagnosis looks at, copies of what the agent knows, and
// what it has found.
type patient struct {
	cfg      config.Config
	problems map[string]string // by kind, those that no check has reported
	status   node.Status
	mesh     *mesh.Status // nil: none runs
	radios   []*admin.WifiLink
	devs     kernel.Links
	diff     admin.ReloadReport
	diffErr  error
	fenced   bool // the firewall's table should be there

	found admin.Diagnosis
}

// checks are the parts of a diagnosis, in an order in which things are best
// mended. Each adds its rows; one that has nothing to say adds none.
var checks = [...]func(p *patient){checkFile, checkHost, checkTUN, checkLinks, checkPeers, checkRadios, checkMesh, checkSupernode, checkBus, checkRest}

// ok adds a row of something that is right.
func (p *patient) ok(what, text string) { p.row(what, admin.CheckOK, text, "") }

// warn adds a row of something that works and should be looked at, with what
// helps.
func (p *patient) warn(what, text, fix string) { p.row(what, admin.CheckWarn, text, fix) }

// fail adds a row of something that does not work, with what helps.
func (p *patient) fail(what, text, fix string) {
	p.found.Failures++
	p.row(what, admin.CheckFail, text, fix)
}

func (p *patient) row(what, state, text, fix string) {
	p.found.Checks = append(p.found.Checks, admin.Check{What: what, State: state, Text: text, Fix: fix})
}

// Doctor implements admin.Backend.
func (d *Daemon) Doctor(ctx context.Context) (admin.Diagnosis, error) {
	p := &patient{problems: map[string]string{}}
	var err error
	if p.status, err = d.Status(ctx); err != nil {
		return p.found, err
	}
	if s, err := d.Mesh(ctx); err == nil {
		p.mesh = &s
	}
	err = d.supervised(ctx, func(context.Context) error {
		p.cfg, p.devs, p.fenced = d.cfg, d.devices(), d.tun.open && d.tun.fw != nil
		_, p.diff, p.diffErr = d.compare()
		return nil
	})
	if err != nil {
		return admin.Diagnosis{}, err
	}
	d.mu.Lock()
	p.radios = d.meshView.radios
	for what, text := range d.problems {
		p.problems[what] = text
	}
	d.mu.Unlock()
	for _, f := range checks {
		f(p)
	}
	return p.found, nil
}

// DiagnoseHost is what can be said without a running agent.
func DiagnoseHost(path string) admin.Diagnosis {
	p := &patient{}
	loaded, err := config.Open(path).Load()
	switch {
	case err != nil:
		p.fail("configuration", err.Error(), "meshagent check-config "+path)
		return p.found
	case !loaded.Config.Main.Enabled:
		p.fail("agent", "switched off", "option enabled '1' in section meshagent")
	default:
		p.fail("agent", "not running", "service meshagent start, or meshagent run -c "+path)
	}
	p.cfg = loaded.Config
	p.ok("configuration", path+" is right")
	checkHost(p)
	return p.found
}

// checkFile compares the configuration in force with the file.
func checkFile(p *patient) {
	state, text, fix := admin.CheckWarn, "in force as the file says", ""
	later := 0
	for _, c := range p.diff.Changes {
		if c.Restart {
			later++
		}
	}
	switch {
	case p.diffErr != nil:
		p.fail("configuration", "refused, the one before is in force: "+p.diffErr.Error(), "meshagent check-config FILE")
		return
	case p.diff.ConfirmSeconds > 0:
		text, fix = fmt.Sprintf("on trial, taken back in %d s", p.diff.ConfirmSeconds), "meshagent config confirm"
	case len(p.diff.Changes) > later:
		text, fix = "the file has changes that are not in force: "+changesText(p.diff.Changes), "meshagent reload"
	case later > 0:
		text, fix = "changes wait for a restart: "+changesText(p.diff.Changes), "service meshagent restart"
	case len(p.diff.Warnings) > 0:
		text, fix = strings.Join(p.diff.Warnings, "; "), "correct the file, then meshagent reload"
	default:
		state = admin.CheckOK
	}
	p.row("configuration", state, text, fix)
}

// problem reports a problem of the agent, if it is there, with what helps.
func (p *patient) problem(kind, what, fix string) bool {
	text := p.problems[kind]
	delete(p.problems, kind)
	if text != "" {
		p.fail(what, text, fix)
	}
	return text != ""
}

func checkTUN(p *patient) {
	t := &p.status.TUN
	switch {
	case p.problem("tun", "tun", "kmod-tun for /dev/net/tun, kmod-nft-core for the firewall; dmesg"):
		return
	case t.State != "up":
		p.ok("tun", "off")
		return
	}
	p.ok("tun", fmt.Sprintf("%s, mtu %d, %s", t.Name, t.MTU, t.Offload))
	switch {
	case !p.fenced:
		p.warn("firewall", "inbound is open: only the system's own firewall stands before this host", "option inbound 'closed' if it has none")
	case !kernel.FirewallThere(t.Name):
		p.fail("firewall", "its table is gone: somebody has flushed the ruleset", "service meshagent restart")
	default:
		p.ok("firewall", "inbound is closed but for ping")
	}
}

func checkLinks(p *patient) {
	for i := range p.status.Links {
		l := &p.status.Links[i]
		what := "link " + l.Name
		switch {
		case l.Error != "" || l.State != "up":
			p.fail(what, l.State+": "+l.Error, "meshagent status")
		case l.Offload == "plain":
			p.warn(what, l.Bind+", packets move one at a time", "a newer kernel moves them in batches")
		default:
			p.ok(what, strings.TrimSuffix(l.Bind+", "+l.Offload, ", ")) // the mesh has no batches of its own
		}
	}
	if p.status.Links == nil && p.mesh == nil {
		p.fail("links", "none: no peer can be met", "a section udp or eth, or a mesh")
	}
}

func checkPeers(p *patient) {
	up := 0
	for i := range p.status.Peers {
		q := &p.status.Peers[i]
		if q.State == "ESTABLISHED" {
			up++
		} else if q.Source == "config" {
			p.fail("peer "+q.Name, strings.ToLower(q.State)+" "+q.LastProblem, "address, key, password, firewalls; meshagent doctor on the other side")
		}
	}
	for _, kind := range p.kinds() {
		if strings.HasPrefix(kind, "peer ") {
			p.problem(kind, "peer", "correct its section")
		}
	}
	var refused []string
	for reason, n := range p.status.Drops {
		if strings.HasPrefix(reason, "auth.") || reason == "handshake-rate" || reason == "table-full" {
			refused = append(refused, fmt.Sprintf("%s %d", reason, n))
		}
	}
	if refused != nil {
		sort.Strings(refused)
		p.warn("handshakes", "refused since the start: "+strings.Join(refused, ", "), "meshagent events; key and password of who calls")
	}
	if up == 0 {
		p.fail("peers", "none is established", "meshagent peer add, meshagent join, or beacons")
	} else {
		p.ok("peers", fmt.Sprintf("%d established", up))
	}
}

// kinds lists the problems that are left, in order.
func (p *patient) kinds() (kinds []string) {
	for k := range p.problems {
		kinds = append(kinds, k)
	}
	sort.Strings(kinds)
	return kinds
}

// checkRadios tells what became of the sections "wifi".
func checkRadios(p *patient) {
	for _, l := range p.radios {
		what, text := "radio "+l.MeshID, l.Iface+": "+l.How+l.Note
		switch why, fix, _ := strings.Cut(l.Problem, ": expected "); {
		case why != "":
			p.fail(what, why, cmp.Or(fix, "meshagent wifi; docs/guide/wifi.md says what helps"))
		case l.Note != "":
			p.warn(what, text, "meshagent wifi")
		default:
			p.ok(what, text)
		}
	}
}

func checkMesh(p *patient) {
	m := p.mesh
	bad := p.problem("mesh", "mesh", "meshagent bat if")
	if m == nil {
		if p.cfg.Mesh.Enabled && !bad {
			p.fail("mesh", "does not run", "a section hardif with a device")
		}
		return
	}
	for j := range m.Ifaces {
		i := &m.Ifaces[j]
		what := "mesh " + i.Name
		switch {
		case i.Problem != "" || !i.Active:
			p.fail(what, "not used: "+i.Problem, "option device of the section hardif, and the device itself")
		case i.Neighbours == 0 && i.RxFrames == 0:
			p.warn(what, "nothing is heard", "same channel, name and BSSID on all nodes; mesh_fwding '0'")
		case i.Neighbours == 0:
			p.warn(what, "frames come in, but from no node of this mesh", "same routing_algo on all nodes")
		case i.MTUNote != "":
			p.ok(what, fmt.Sprintf("%d neighbours; %s", i.Neighbours, i.MTUNote))
		case i.MTU < 1532:
			p.warn(what, fmt.Sprintf("%d neighbours; large frames are cut, mtu %d", i.Neighbours, i.MTU), "option mtu '1532' in its section hardif")
		default:
			p.ok(what, fmt.Sprintf("%d neighbours", i.Neighbours))
		}
	}
	p.shortLinks()
	if len(m.Ifaces) == 0 {
		p.fail("mesh", "it has no interface", "a section hardif with a device")
	}
	if dev, _ := p.devs.ByName(m.MeshIf); dev.Master != 0 && !p.cfg.Mesh.BLA {
		p.warn("mesh "+m.MeshIf, "is in a bridge without bridge loop avoidance: two nodes on one LAN make a loop", "option bridge_loop_avoidance '1'")
	}
}

// shortLinks names neighbours whose links carry less than our interface does.
func (p *patient) shortLinks() {
	for j := range p.mesh.Ifaces {
		i := &p.mesh.Ifaces[j]
		var short []string
		for k := range p.mesh.Neighbours {
			if n := &p.mesh.Neighbours[k]; n.Iface == i.Name && n.MTU != 0 && n.MTU < i.MTU {
				short = append(short, fmt.Sprintf("%v (%d)", n.MAC, n.MTU))
			}
		}
		if short != nil {
			p.warn("mesh "+i.Name, fmt.Sprintf("mtu %d, and links carry less: %s; large frames are cut", i.MTU, strings.Join(short, ", ")),
				"the MTU of the other end, or of a switch between")
		}
	}
}

func checkSupernode(p *patient) {
	s := &p.status.Supernode
	switch {
	case s.Role:
		p.ok("supernode", fmt.Sprintf("is one: %d nodes, %d links", s.Nodes, s.Links))
	case s.Active != "":
		p.ok("supernode", s.Active)
	case len(p.cfg.Supernodes) > 0:
		p.warn("supernode", "none of those configured answers", "their keys, and a peer from where they are reached")
	}
}

func checkBus(p *patient) {
	b := &p.status.Bus
	if b.Error != "" {
		p.fail("ubus", b.State+": "+b.Error, "/usr/share/acl.d/meshagent.json, killall -HUP ubusd")
	} else if b.State == "connected" {
		p.ok("ubus", b.State)
	}
}

// checkRest reports what the agent calls a problem and no other check has.
func checkRest(p *patient) {
	for _, kind := range p.kinds() {
		fix := "meshagent status; logread -e meshagent"
		switch kind {
		case "same-key":
			fix = "a new key on one of the two"
		case "config":
			fix = "meshagent config diff"
		case "state", "boot":
			fix = "option state_dir"
		}
		p.problem(kind, kind, fix)
	}
}
