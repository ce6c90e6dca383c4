package config

import "slices"

// Change is one difference between two configurations.
type Change struct {
	Kind    string   `json:"kind"`              // main, tun, udp, eth, peer, password, supernode, mesh or hardif
	Action  string   `json:"action"`            // added, removed or changed
	Section string   `json:"section,omitempty"` // of the new configuration; of the old one if removed
	Name    string   `json:"name,omitempty"`    // of a peer or password
	Options []string `json:"options,omitempty"` // what changed, by option name
	Restart bool     `json:"restart,omitempty"` // has no effect before the agent is started anew
	Old     int      `json:"-"`                 // index in the slice of the old configuration, -1 if added
	New     int      `json:"-"`                 // index in the slice of the new configuration, -1 if removed
}

// The values of Change.Action.
const (
	Added     = "added"
	Removed   = "removed"
	Changed   = "changed"
	Unchanged = "unchanged" // only in PeerChange
)

// PeerChange says what became of one peer in the stored configuration.
type PeerChange struct {
	Action    string `json:"action"` // added, changed, unchanged or removed
	Section   string `json:"section"`
	Name      string `json:"name,omitempty"`
	Address   string `json:"address"`
	PublicKey string `json:"publicKey"`
	IP        string `json:"ip"`
	File      string `json:"file"` // where it is stored
	Peer      Peer   `json:"-"`    // as it reads now; for removed ones, as it read
}

// restartOptions cannot be changed in a running agent.
var restartOptions = map[string][]string{
	"main": {"enabled", "key_file", "state_dir", "socket", "ubus"},
	"tun":  {"enabled", "name", "mtu"},
}

// Diff lists what has to be done to get from before to after: removals first,
// then changes, then additions, in the order of the configurations. Peers are
// the same if key, address and interface are; udp links if their section is;
// eth links if their device is; passwords if their name is; supernodes if
// their key is; meshes if their name is; hard interfaces if their device is. Options of main and tun that need a restart come as a Change
// of their own. Private keys are not compared.
func Diff(before, after Config) []Change {
	var out []Change
	for _, single := range []struct {
		kind    string
		options []string
	}{
		{"main", mainDiff(before.Main, after.Main)},
		{"tun", tunDiff(before.TUN, after.TUN)},
	} {
		out = append(out, splitRestart(single.kind, single.options)...)
	}
	var removed, changed, added []Change
	collect := func(cs []Change) {
		for _, c := range cs {
			switch c.Action {
			case Removed:
				removed = append(removed, c)
			case Added:
				added = append(added, c)
			default:
				changed = append(changed, c)
			}
		}
	}
	collect(diffSlice(before.UDP, after.UDP, "udp",
		func(u UDP) string { return u.Section },
		func(u UDP) (string, string) { return u.Section, "" }, udpDiff))
	collect(diffSlice(before.Eth, after.Eth, "eth",
		func(e Eth) string { return e.Device },
		func(e Eth) (string, string) { return e.Section, e.Device },
		func(a, b Eth) []string {
			return options(a.Enabled != b.Enabled, "enabled", a.Beacon != b.Beacon, "beacon")
		}))
	collect(diffSlice(before.Passwords, after.Passwords, "password",
		func(p Password) string { return p.Name },
		func(p Password) (string, string) { return p.Section, p.Name },
		func(a, b Password) []string {
			return options(a.Enabled != b.Enabled, "enabled", a.Password != b.Password, "password", a.IP != b.IP, "ip")
		}))
	collect(diffSlice(before.Supernodes, after.Supernodes, "supernode",
		func(s Supernode) string { return string(s.Key[:]) },
		func(s Supernode) (string, string) { return s.Section, "" },
		func(a, b Supernode) []string { return options(a.Enabled != b.Enabled, "enabled") }))
	collect(diffSlice(before.Peers, after.Peers, "peer", Peer.ID,
		func(p Peer) (string, string) { return p.Section, p.Name }, peerDiff))
	collect(diffSlice(before.meshes(), after.meshes(), "mesh",
		func(m Mesh) string { return m.Name },
		func(m Mesh) (string, string) { return m.Name, "" }, meshDiff))
	collect(diffSlice(before.HardIfs, after.HardIfs, "hardif",
		func(h HardIf) string { return h.Device },
		func(h HardIf) (string, string) { return h.Section, h.Device }, hardIfDiff))
	return slices.Concat(out, removed, changed, added)
}

// diffSlice compares two lists whose elements have a key. name returns section
// and name for people, options what differs.
func diffSlice[T any, K comparable](before, after []T, kind string, key func(T) K, name func(T) (string, string), options func(a, b T) []string) []Change {
	var out []Change
	old := make(map[K]int, len(before))
	for i, x := range before {
		old[key(x)] = i
	}
	kept := make([]bool, len(before))
	for i, x := range after {
		section, label := name(x)
		c := Change{Kind: kind, Section: section, Name: label, Old: -1, New: i, Action: Added}
		if j, ok := old[key(x)]; ok {
			kept[j] = true
			c.Old, c.Action = j, Changed
			if c.Options = options(before[j], x); len(c.Options) == 0 {
				continue
			}
		}
		out = append(out, c)
	}
	for j, x := range before {
		if !kept[j] {
			section, label := name(x)
			out = append(out, Change{Kind: kind, Section: section, Name: label, Old: j, New: -1, Action: Removed})
		}
	}
	return out
}

// options takes pairs of a condition and a name and returns the names whose
// condition is true.
func options(pairs ...any) (names []string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if differs, _ := pairs[i].(bool); differs {
			name, _ := pairs[i+1].(string)
			names = append(names, name)
		}
	}
	return names
}

func splitRestart(kind string, names []string) (out []Change) {
	var live, later []string
	for _, n := range names {
		if slices.Contains(restartOptions[kind], n) {
			later = append(later, n)
		} else {
			live = append(live, n)
		}
	}
	if len(live) > 0 {
		out = append(out, Change{Kind: kind, Action: Changed, Options: live})
	}
	if len(later) > 0 {
		out = append(out, Change{Kind: kind, Action: Changed, Options: later, Restart: true})
	}
	return out
}

func mainDiff(a, b Main) []string {
	return options(
		a.Enabled != b.Enabled, "enabled",
		a.KeyFile != b.KeyFile, "key_file",
		a.StateDir != b.StateDir, "state_dir",
		a.Socket != b.Socket, "socket",
		a.Ubus != b.Ubus, "ubus",
		a.Inbound != b.Inbound, "inbound",
		a.LogLevel != b.LogLevel, "log_level",
		a.Supernode != b.Supernode, "supernode",
		a.SupernodeFind != b.SupernodeFind, "supernode_find",
	)
}

func tunDiff(a, b TUN) []string {
	return options(a.Enabled != b.Enabled, "enabled", a.Name != b.Name, "name", a.MTU != b.MTU, "mtu", a.Persist != b.Persist, "persist")
}

func udpDiff(a, b UDP) []string {
	return options(
		a.Enabled != b.Enabled, "enabled",
		a.Bind != b.Bind, "bind",
		a.Beacon != b.Beacon, "beacon",
		!slices.Equal(a.BeaconDevices, b.BeaconDevices), "beacon_device",
		a.BeaconPort != b.BeaconPort, "beacon_port",
		a.DSCP != b.DSCP, "dscp",
		a.Device != b.Device, "device",
	)
}

func peerDiff(a, b Peer) []string {
	return options(
		a.Enabled != b.Enabled, "enabled",
		a.Name != b.Name, "name",
		a.Password != b.Password, "password",
		a.Login != b.Login, "login",
		a.Version != b.Version, "version",
	)
}

// meshes is the mesh as a list of none or one.
func (c Config) meshes() []Mesh {
	if c.Mesh.Name == "" {
		return nil
	}
	return []Mesh{c.Mesh}
}
