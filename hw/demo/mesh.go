package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// meshInterval is from one OGM of a node to its next.
const meshInterval = 200 * time.Millisecond

// side is the number of nodes along one side of the grid.
const side = 3

// lan is the bridge at each node that phones are plugged into.
const lan = "br-lan"

// meshLoss is the loss of broadcasts in percent, there and back, in the order
// of rig.Grid: the node with the lower number sends "there".
var meshLoss = [...][2]int{
	{5, 15}, {10, 5}, // n1-n2 n1-n4
	{0, 20}, {25, 10}, // n2-n3 n2-n5
	{5, 5},            // n3-n6
	{15, 0}, {10, 30}, // n4-n5 n4-n7
	{5, 10}, {0, 5}, // n5-n6 n5-n8
	{20, 10}, // n6-n9
	{35, 25}, // n7-n8
	{10, 0},  // n8-n9
}

// mesh is the network of the mesh demo.
type mesh struct {
	rig    *rig.Rig
	air    *rig.Air
	hosts  []*rig.Host
	radios []*rig.Radio
	phones [2]*rig.Phone
	bin    string
}

// nodeMAC is the address of the i-th node's radio, by which the mesh knows it.
func nodeMAC(i int) string { return fmt.Sprintf("02:00:00:00:00:%02x", i+1) }

// nodeName turns the address of a radio into the name of its node.
func nodeName(mac string) string {
	for i := range side * side {
		if strings.EqualFold(mac, nodeMAC(i)) {
			return fmt.Sprintf("n%d", i+1)
		}
	}
	return mac
}

// newMesh builds the grid and starts the agents. The phones are plugged in at
// the first and the last node.
func newMesh(r *rig.Rig, bin string) *mesh {
	m := &mesh{rig: r, air: r.Air(1), bin: bin}
	for i := range side * side {
		h := r.Node(fmt.Sprintf("n%d", i+1)).Agent(bin)
		h.Socket = filepath.Join(r.Dir, h.Node.Name) // short: people copy it
		m.radios = append(m.radios, m.air.Join(rig.End{Node: h.Node, Dev: "wlan0"}))
		h.Node.IP("link", "set", "wlan0", "address", nodeMAC(i), "mtu", "1532")
		h.Spec.NoTUN = true
		h.Spec.Mesh = &rig.MeshSpec{
			OrigInterval: meshInterval, HardIfs: []string{"wlan0"},
			Options: []string{"bridge_loop_avoidance", "0"}, // no two nodes share a LAN
		}
		m.hosts = append(m.hosts, h)
	}
	edges := rig.Grid(side, side)
	for i, e := range edges {
		m.air.Link(m.radios[e.A], m.radios[e.B], float64(meshLoss[i][0])/100, float64(meshLoss[i][1])/100)
	}
	for _, h := range m.hosts {
		h.Start()
	}
	for _, h := range m.hosts {
		h.WaitUp(limit)
		if !rig.Until(10*time.Second, 50*time.Millisecond, func() bool { _, err := h.Node.Counters("bat0"); return err == nil }) {
			fmt.Fprintf(os.Stderr, "%s makes no bat0:\n%s\n", h.Node.Name, h.Proc.Tail(10))
		}
		h.Node.LAN(lan, "bat0")
	}
	for i := range m.phones {
		m.phones[i] = r.Phone(fmt.Sprintf("p%d", i+1), fmt.Sprintf("10.42.0.%d/24", i+1), fmt.Sprintf("02:00:00:00:02:%02x", i+1))
	}
	m.plug(0, 0)
	m.plug(1, side*side-1)
	return m
}

// plug moves a phone to a node.
func (m *mesh) plug(phone, node int) { m.phones[phone].Plug(m.hosts[node].Node, lan) }

// at returns the index of the node that a phone is plugged into.
func (m *mesh) at(phone int) int {
	for i, h := range m.hosts {
		if h.Node == m.phones[phone].At {
			return i
		}
	}
	return -1
}

// next returns the node that another one sends to on its way to a third, -1 if
// it knows none.
func (m *mesh) next(from, to int) int {
	list, _ := m.hosts[from].Originators()
	for _, o := range list {
		if o.Best && o.Orig == nodeMAC(to) {
			for i := range m.hosts {
				if o.Next == nodeMAC(i) {
					return i
				}
			}
		}
	}
	return -1
}

// way follows the next hops from one node to another. ok is false if they do
// not lead there.
func (m *mesh) way(from, to int) (way []int, ok bool) {
	for way = []int{from}; from != to; way = append(way, from) {
		if from = m.next(from, to); from < 0 || len(way) > len(m.hosts) {
			return way, false
		}
	}
	return way, true
}

// wayText prints a way: "n1 n2 n5 n6 n9".
func wayText(way []int, ok bool) string {
	var names []string
	for _, i := range way {
		names = append(names, fmt.Sprintf("n%d", i+1))
	}
	if !ok {
		names = append(names, "…")
	}
	return strings.Join(names, " ")
}

// picture draws the grid with the losses in percent; a direction that is cut
// shows as x.
func (m *mesh) picture() string {
	loss := func(a, b int) string {
		one := func(x, y int) string {
			p, ok := m.air.Loss(m.radios[x], m.radios[y])
			if !ok {
				return "x"
			}
			return fmt.Sprintf("%.0f", p*100)
		}
		return one(a, b) + "/" + one(b, a)
	}
	var b strings.Builder
	for row := range side {
		for col := range side {
			i := row*side + col
			fmt.Fprintf(&b, "  %-5s", m.label(i))
			if col+1 < side {
				fmt.Fprintf(&b, "──%s──", center(loss(i, i+1), 7))
			}
		}
		b.WriteByte('\n')
		for col := range side {
			if i := row*side + col; row+1 < side {
				fmt.Fprintf(&b, " %-17s", loss(i, i+side))
			}
		}
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// label names a node and the phones there.
func (m *mesh) label(i int) string {
	name := fmt.Sprintf("n%d", i+1)
	for p := range m.phones {
		if m.at(p) == i {
			name += fmt.Sprintf("+p%d", p+1)
		}
	}
	return name
}

// center pads s with dashes on both sides.
func center(s string, width int) string {
	for len([]rune(s)) < width {
		if s += "─"; len([]rune(s)) < width {
			s = "─" + s
		}
	}
	return s
}
