package air

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// Station is a router: a namespace with a radio and an agent on it. Nothing is
// configured on it but the mesh.
type Station struct {
	*rig.Host
	Radio *Radio
}

// Station makes a station; its agent is not started.
func (w *World) Station(name string, s RadioSpec) *Station {
	n := w.Node(name)
	h := n.Agent(w.Agent)
	w.hosts = append(w.hosts, h)
	st := &Station{Host: h, Radio: w.Radio(n, s)}
	st.Spec.Mesh = &rig.MeshSpec{
		HardIfs: []string{firstDev},
		Options: []string{"bridge_loop_avoidance", "0"}, // no two stations share a LAN, and it keeps them deaf at first
	}
	return st
}

// Stations makes stations n1, n2, … with radios that can do everything.
func (w *World) Stations(count int) (list []*Station) {
	for i := range count {
		list = append(list, w.Station(fmt.Sprintf("n%d", i+1), RadioSpec{}))
	}
	return list
}

// Line lets each station hear the next one only.
func (w *World) Line(l Link, list ...*Station) {
	for i := 1; i < len(list); i++ {
		w.Medium.Link(list[i-1].Radio, list[i].Radio, l)
	}
}

// JoinAll brings all stations into a cell by iw.
func (w *World) JoinAll(c Cell, list ...*Station) {
	for _, s := range list {
		if err := s.Radio.Join(c); err != nil {
			w.Fatalf("%s: %v", s.Node.Name, err)
		}
	}
}

// StartAll starts the agents and waits until they answer to commands.
func (w *World) StartAll(list ...*Station) {
	for _, s := range list {
		s.Start()
	}
	for _, s := range list {
		s.WaitUp(20 * time.Second)
	}
}

// WaitPing pings by overlay address until an answer comes back, at most d, and
// says how long that took.
func (w *World) WaitPing(from, to *Station, d time.Duration) (time.Duration, bool) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for ctx.Err() == nil {
		res, _ := from.Node.Ping(ctx, to.IP(), rig.PingOpts{Wait: 500 * time.Millisecond})
		if res.Received > 0 {
			return time.Since(begin), true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return d, false
}

// Reach fails the scenario unless every ordered pair pings by overlay address
// within d, and says how long the last pair took.
func (w *World) Reach(what string, d time.Duration, list ...*Station) time.Duration {
	begin := time.Now()
	for _, a := range list {
		for _, b := range list {
			if a == b {
				continue
			}
			if _, ok := w.WaitPing(a, b, d-time.Since(begin)); !ok {
				w.Fatalf("%s: %s does not reach %s within %v", what, a.Node.Name, b.Node.Name, d)
			}
		}
	}
	took := time.Since(begin)
	w.Logf("%s: all pairs ping, the last after %.1f s", what, took.Seconds())
	return took
}

// HardIf is a line of "meshagent bat if --json".
type HardIf struct {
	Name    string `json:"hard_ifname"`
	Active  bool   `json:"active"`
	Problem string `json:"problem"`
}

// HardIf asks the agent what it says of the radio's interface.
func (s *Station) HardIf() (h HardIf, err error) {
	var list []HardIf
	if err := s.Bat(&list, "if"); err != nil {
		return h, err
	}
	for _, h := range list {
		if h.Name == s.Radio.Dev {
			return h, nil
		}
	}
	return h, fmt.Errorf("%s is not among its hard interfaces", s.Radio.Dev)
}

// Expect fails the scenario unless the agent says within d that its interface
// does not work, with words in the reason.
func (w *World) Expect(s *Station, words string, d time.Duration) {
	var h HardIf
	var err error
	if !rig.Until(d, 200*time.Millisecond, func() bool {
		h, err = s.HardIf()
		return err == nil && !h.Active && strings.Contains(h.Problem, words)
	}) {
		w.Fatalf("%s: bat if says active=%v %q %v, want a reason with %q", s.Node.Name, h.Active, h.Problem, err, words)
	}
	w.Logf("%s says: %s: %s", s.Node.Name, h.Name, h.Problem)
}
