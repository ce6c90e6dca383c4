package admin

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
)

// MeshTable is the answer of a method that lists something of the mesh.
type MeshTable[R any] struct {
	Mesh  MeshInfo `json:"mesh"`
	Rows  []R      `json:"rows"`
	Total int      `json:"total"` // of all rows, not only of this answer
}

// MeshTarget is the answer of mesh.translate.
type MeshTarget struct {
	Target     string     `json:"target"`     // as asked for
	MAC        batman.MAC `json:"mac"`        // its address
	Originator batman.MAC `json:"originator"` // the node it belongs to; the same as MAC if it is one, or not known
}

// meshCalls are the methods of the mesh.
type meshCalls struct {
	b       Backend
	mu      sync.Mutex
	version string // of the agent, once asked for
}

func addMeshMethods(r *Registry, b Backend) {
	m := &meshCalls{b: b}
	addMeshTable(r, m, "originators", "the nodes of the mesh and the ways to them", (*meshView).originators)
	addMeshTable(r, m, "neighbors", "nodes of the mesh that are heard directly", (*meshView).neighbours)
	addMeshTable(r, m, "interfaces", "the interfaces that the mesh runs on, with counters", (*meshView).hardIfs)
	addMeshTable(r, m, "translocal", "clients of this node", (*meshView).local)
	addMeshTable(r, m, "transglobal", "clients of the other nodes", (*meshView).global)
	addMeshTable(r, m, "gateways", "nodes that announce a DHCP server", (*meshView).gateways)
	addMeshTable(r, m, "dat_cache", "addresses that ARP requests are answered with", (*meshView).datCache)
	addMeshTable(r, m, "claims", "clients of a shared LAN, and which node speaks for them", (*meshView).claims)
	addMeshTable(r, m, "backbones", "nodes that share a LAN with this one", (*meshView).backbones)
	addMeshTable(r, m, "mcast_flags", "what the nodes want of multicast", (*meshView).mcast)
	r.Add(Method{Name: "mesh.info", Summary: "the mesh and its settings", ReadOnly: true,
		Handle: func(ctx context.Context, _ Args) (any, error) {
			_, info, err := m.view(ctx)
			return info, err
		}})
	r.Add(Method{Name: "mesh.statistics", Summary: "counters of the mesh", ReadOnly: true,
		Handle: func(ctx context.Context, _ Args) (any, error) {
			s, err := b.Mesh(ctx)
			return MeshStatistics{counts(s.Counters), counts(s.Drops)}, err
		}})
	target := Arg{Name: "target", Type: String, Required: true, Max: 64, Help: "whom: the MAC of a node or of a client, or a client's IPv4 address"}
	translate := Arg{Name: "translate", Type: Bool, Default: true, Help: "false: the target is the MAC of a node"}
	r.Add(Method{Name: "mesh.translate", Summary: "the node that a client belongs to", ReadOnly: true, Args: []Arg{target},
		Handle: func(ctx context.Context, a Args) (any, error) { return m.target(ctx, a.String("target"), true) }})
	r.Add(Method{Name: "mesh.ping", Summary: "ask a node of the mesh whether it is there", ReadOnly: true,
		Args: []Arg{target, translate,
			{Name: "ttl", Type: Int, Default: int64(MeshTTL), Min: 1, Max: 255, Help: "how many hops the request may go"},
			{Name: "record_route", Type: Bool, Help: "list the nodes on the way there and back"},
			{Name: "timeout_ms", Type: Int, Default: int64(1000), Min: 1, Max: MaxMeshPingTimeout.Milliseconds(), Help: "milliseconds to wait for the answer"},
		},
		Handle: func(ctx context.Context, a Args) (any, error) {
			t, err := m.target(ctx, a.String("target"), a.Bool("translate"))
			if err != nil {
				return nil, err
			}
			return b.MeshPing(ctx, t.Originator, MeshPingOptions{
				TTL:         uint8(a.Int("ttl")), //nolint:gosec // checked against Max
				RecordRoute: a.Bool("record_route"),
				Timeout:     time.Duration(a.Int("timeout_ms")) * time.Millisecond,
			})
		}})
	r.Add(Method{Name: "mesh.throughput", Summary: "measure the throughput to a node of the mesh",
		Args: []Arg{target, translate,
			{Name: "time_ms", Type: Int, Default: int64(10_000), Min: 1, Max: MaxMeshTest.Milliseconds(), Help: "milliseconds to send"},
		},
		Handle: func(ctx context.Context, a Args) (any, error) {
			t, err := m.target(ctx, a.String("target"), a.Bool("translate"))
			if err != nil {
				return nil, err
			}
			return b.MeshThroughput(ctx, t.Originator, time.Duration(a.Int("time_ms"))*time.Millisecond)
		}})
	r.Add(Method{Name: "mesh.log", Summary: "the last messages of the mesh", ReadOnly: true,
		Args: []Arg{{Name: "after", Type: Int, Max: 1 << 53, Help: "only messages behind the one of this number"}},
		Handle: func(ctx context.Context, a Args) (any, error) {
			lines, err := b.MeshLog(ctx, uint64(a.Int("after"))) //nolint:gosec // checked against Min
			if lines == nil {
				lines = []MeshLogLine{}
			}
			return lines, err
		}})
}

// addMeshTable adds a method that lists what get takes out of a view.
func addMeshTable[R any](r *Registry, m *meshCalls, name, summary string, get func(*meshView) []R) {
	r.Add(Method{Name: "mesh." + name, Summary: summary, ReadOnly: true, Args: []Arg{offsetArg, limitArg},
		Handle: func(ctx context.Context, a Args) (any, error) {
			v, info, err := m.view(ctx)
			if err != nil {
				return nil, err
			}
			list := get(v)
			return MeshTable[R]{info, part(list, a), len(list)}, nil
		}})
}

func (m *meshCalls) view(ctx context.Context) (*meshView, MeshInfo, error) {
	s, err := m.b.Mesh(ctx)
	if err != nil {
		return nil, MeshInfo{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version == "" {
		n, err := m.b.Status(ctx)
		if err != nil {
			return nil, MeshInfo{}, err
		}
		m.version = n.Version
	}
	v := newMeshView(s)
	return v, v.info(m.version), nil
}

// target finds out whom text means. With translate a client is replaced by
// the node it belongs to; an address that nobody knows stays as it is, since
// the node may come back.
func (m *meshCalls) target(ctx context.Context, text string, translate bool) (t MeshTarget, err error) {
	t.Target = text
	if t.MAC, err = batman.ParseMAC(text); err == nil && !translate {
		t.Originator = t.MAC
		return t, checkStation(t.MAC, text)
	}
	s, meshErr := m.b.Mesh(ctx)
	if meshErr != nil {
		return t, meshErr
	}
	if err != nil {
		if t.MAC, err = macOfIP(s, text); err != nil {
			return t, err
		}
	}
	if err := checkStation(t.MAC, text); err != nil {
		return t, err
	}
	t.Originator = t.MAC
	if !translate {
		return t, nil
	}
	err = originatorOf(s, &t)
	return t, err
}

func checkStation(mac batman.MAC, text string) error {
	if !mac.IsStation() {
		return Errorf(CodeBadArgument, "argument 'target': expected the address of one station, found '%s'", clip(text))
	}
	return nil
}

// macOfIP looks an address up in the distributed ARP table.
func macOfIP(s mesh.Status, text string) (batman.MAC, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil || !ip.Is4() {
		return batman.MAC{}, Errorf(CodeBadArgument, "argument 'target': expected the MAC of a node or of a client, such as 02:00:00:00:00:01, or a client's IPv4 address, found '%s'", clip(text))
	}
	for _, d := range s.DAT {
		if d.IP == ip.As4() {
			return d.MAC, nil
		}
	}
	return batman.MAC{}, Errorf(CodeNotFound, "the ARP table of the mesh does not have %s; list: meshagent bat dat", ip)
}

// originatorOf sets the node that t.MAC belongs to, if it is known.
func originatorOf(s mesh.Status, t *MeshTarget) error {
	if t.MAC == s.PrimaryMAC {
		return Errorf(CodeBadArgument, "%s is this node itself", t.MAC)
	}
	for _, o := range s.Originators {
		if o.MAC == t.MAC {
			return nil
		}
	}
	for _, g := range s.Global {
		if g.MAC == t.MAC && g.Best {
			t.Originator = g.Orig
			return nil
		}
	}
	for _, l := range s.Local {
		if l.MAC == t.MAC {
			return Errorf(CodeBadArgument, "%s is a client of this node itself", t.MAC)
		}
	}
	return nil
}

// meshRate is a number of bytes in a number of milliseconds, as batctl prints
// it.
func meshRate(bytes, millis uint64) string {
	if millis == 0 {
		return "inf"
	}
	n := bytes * 1000 / millis
	f := float64(n)
	switch {
	case n > 1<<30:
		return fmt.Sprintf("%.2f GB/s (%.2f Gbps)", f/(1<<30), f*8/1e9)
	case n > 1<<20:
		return fmt.Sprintf("%.2f MB/s (%.2f Mbps)", f/(1<<20), f*8/1e6)
	case n > 1<<10:
		return fmt.Sprintf("%.2f KB/s (%.2f Kbps)", f/(1<<10), f*8/1e3)
	default:
		return fmt.Sprintf("%d Bytes/s (%d bps)", n, n*8)
	}
}
