package mesh

import (
	"sort"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Gateways: nodes that say in their OGMs that DHCP clients of the mesh will be
// served behind them. A node in client mode chooses one of them and sends it
// the DHCP messages of its clients (dhcp.go). That is all: where the packets
// to the Internet go is decided by the lease, not by the mesh.

// Selection classes of B.A.T.M.A.N. IV. Larger ones are the TQ by which
// another gateway must be better. Source: batman-adv bat_iv_ogm.c,
// batadv_iv_gw_get_best_gw_node and batadv_iv_gw_is_eligible.
const (
	gwFast   = 1 // TQ and bandwidth count; the choice stays
	gwStable = 2 // TQ counts; the choice stays
	gwSwitch = 3 // TQ counts; every better one is taken
)

// gwSilent is how long a gateway may be silent before any other one is taken
// instead. Routes live much longer.
const gwSilent = 30 * time.Second

// gw is the choice of a node in client mode.
type gw struct {
	chosen *Originator
	look   bool       // choose anew at the next tick
	told   batman.MAC // of the last event
	// for which mode and class chosen was chosen
	mode  GWMode
	class uint32
}

func (m *Mesh) gwInit(mono.Time) {}

// gwOwn is what this node announces: what its record says, if it has one, so
// that the two never differ; zero is no gateway.
func (m *Mesh) gwOwn() batman.Gateway {
	switch {
	case m.id.self != nil && m.id.self.Record() != nil:
		return m.id.self.Gateway()
	case m.cfg.GWMode == GWServer:
		return batman.Gateway{Down: m.cfg.GWDown, Up: m.cfg.GWUp}
	}
	return batman.Gateway{}
}

// gwOGM notes what the OGM of o says about it being a gateway; nothing said is
// zero. Source: batman-adv gateway_common.c, batadv_gw_tvlv_ogm_handler_v1.
func (m *Mesh) gwOGM(_ mono.Time, o *Originator, g batman.Gateway, _ *Out) {
	if g.Down == 0 || g.Up == 0 {
		g = batman.Gateway{}
	}
	o.gw = g
	s := &m.gw
	switch {
	case m.cfg.GWMode != GWClient:
	case g.Down == 0:
		s.look = s.look || o == s.chosen
	case m.gwBetter(o):
		s.look = true
	}
}

// gwBetter reports whether gateway o is so much better than the chosen one
// that the choice should be made again.
func (m *Mesh) gwBetter(o *Originator) bool {
	old, class := m.gw.chosen, m.cfg.GWSelClass
	switch {
	case old == nil:
		return true
	case o == old:
		return false
	case m.cfg.Algo == BatmanV:
		a, b := min(m.metric(old), old.gw.Down), min(m.metric(o), o.gw.Down)
		return b > a && b-a >= class
	case class <= gwStable:
		return false
	}
	a, b := m.metric(old), m.metric(o)
	return b > a && (class == gwSwitch || b-a >= class)
}

// gwScore is how good a gateway is; 0 if it cannot be reached. Of two with the
// same score the higher second value is better.
func (m *Mesh) gwScore(now mono.Time, o *Originator) (score uint64, second uint32) {
	q := m.metric(o)
	if o.gw.Down == 0 || q == 0 {
		return 0, 0
	}
	switch {
	case m.cfg.Algo == BatmanV:
		score, second = uint64(min(q, o.gw.Down)), q
	case m.cfg.GWSelClass == gwFast: // less than 1<<62; plus one: a slow one is better than none
		score, second = uint64(q)*uint64(q)*uint64(o.gw.Down)*10000>>18+1, q
	default:
		score = uint64(q)
	}
	if now.Sub(o.lastSeen) <= gwSilent {
		score |= 1 << 63
	}
	return score, second
}

// gwBest returns the best gateway; nil if none can be reached. The one in use
// stays if no other is better.
func (m *Mesh) gwBest(now mono.Time) *Originator {
	var best *Originator
	var most uint64
	var second uint32
	try := func(o *Originator) {
		if s, t := m.gwScore(now, o); s > most || s == most && t > second {
			best, most, second = o, s, t
		}
	}
	if m.gw.chosen != nil {
		try(m.gw.chosen)
	}
	for _, o := range m.origList {
		try(o)
	}
	return best
}

// gwTick chooses a gateway if there is a reason, and tells if another one was
// chosen. Unlike the kernel's module it does not stay with a gateway that
// cannot be reached, or that is silent while another one speaks.
func (m *Mesh) gwTick(now mono.Time, out *Out) {
	s := &m.gw
	if s.mode != m.cfg.GWMode || s.class != m.cfg.GWSelClass {
		s.mode, s.class, s.look = m.cfg.GWMode, m.cfg.GWSelClass, true
	}
	switch {
	case s.mode != GWClient:
		s.chosen = nil
	case s.look || s.chosen == nil || m.metric(s.chosen) == 0 || now.Sub(s.chosen.lastSeen) > gwSilent:
		s.chosen = m.gwBest(now)
	}
	s.look = false
	e := Event{Kind: EventGateway, Next: s.told}
	if s.chosen != nil {
		e.Orig = s.chosen.MAC
	}
	if e.Orig == s.told {
		return
	}
	if !e.Orig.IsZero() && !s.told.IsZero() {
		e.Text = "instead of " + s.told.String()
	}
	s.told = e.Orig
	out.Events = append(out.Events, e)
}

// gwOriginatorGone forgets o.
func (m *Mesh) gwOriginatorGone(_ mono.Time, o *Originator, _ *Out) {
	o.gw = batman.Gateway{}
	if m.gw.chosen == o {
		m.gw.chosen = nil
	}
}

// gwSend sends DHCP message f, which b holds, to the chosen gateway. It takes
// b.
func (m *Mesh) gwSend(now mono.Time, _ inner, b *pkt.Buf, out *Out) {
	if m.gw.chosen == nil {
		m.drop(b, dropGateway, out)
		return
	}
	m.sendUnicast4(now, m.gw.chosen, batman.SubData, b, out)
}

// gwFar is the TQ by which the chosen gateway must be better than another one
// before clients are kept from the other. Source: batman-adv
// gateway_client.c, BATADV_GW_THRESHOLD.
const gwFar = 50

// gwOutOfRange reports whether f is a DHCP message from a client to one
// server, mostly to renew its lease, behind a gateway that became much worse
// than the one that this node would choose. It should get lost: the client
// then asks all servers, and is led to the better one. Source: batman-adv
// gateway_client.c, batadv_gw_out_of_range, which the kernel's module does not
// reach for such messages.
func (m *Mesh) gwOutOfRange(f inner) bool {
	if m.cfg.Algo == BatmanV { // there is no such rule
		return false
	}
	if way, _ := dhcpWay(f); way != dhcpToServer {
		return false
	}
	o, _ := m.ttFind(f.eth.Dst, f.vid)
	if o == nil || o.gw.Down == 0 || o == m.gw.chosen {
		return false
	}
	old, best := m.metric(o), uint32(255) // a server is its own best gateway
	if m.cfg.GWMode == GWClient {
		if m.gw.chosen == nil {
			return false
		}
		best = m.metric(m.gw.chosen)
	}
	return old > 0 && best > old+gwFar
}

// gwStatus fills the table as batctl gwl prints it: gateways that can be
// reached, by address.
func (m *Mesh) gwStatus(_ mono.Time, s *Status) {
	for _, o := range m.origList {
		n := m.router(o, nil)
		if o.gw.Down == 0 || n == nil {
			continue
		}
		g := GatewayStatus{Orig: o.MAC, Best: o == m.gw.chosen, Next: n.MAC, Iface: n.hi.Name, Down: o.gw.Down, Up: o.gw.Up}
		if m.cfg.Algo == BatmanV {
			g.Throughput = m.metric(o)
		} else {
			g.TQ = uint8(m.metric(o))
		}
		s.Gateways = append(s.Gateways, g)
	}
	sort.Slice(s.Gateways, func(i, j int) bool { return s.Gateways[i].Orig.Compare(s.Gateways[j].Orig) < 0 })
}
