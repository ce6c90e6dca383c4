package daemon

import (
	"context"
	"slices"
	"sort"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
)

// meshWifi finds out which clients are on Wi-Fi, from the bridge that the mesh
// device is a port of.
type meshWifi struct {
	told []batman.MAC // sorted
	// wireless is kernel.Wireless, or a test's.
	wireless func(name string) bool
}

// check tells the core when the list has changed. A bridge without a Wi-Fi
// port costs nothing.
func (w *meshWifi) check(ctx context.Context, m *meshRun, devs kernel.Links) {
	list := w.list(m.cfg.Name, devs)
	if slices.Equal(list, w.told) {
		return
	}
	w.told = list
	m.d.engine.do(ctx, func(mono.Time) {
		if core := m.d.engine.mesh; core != nil {
			core.mesh.SetWifiClients(list)
		}
	})
}

// list asks the kernel for the stations behind the Wi-Fi ports of the bridge,
// sorted.
func (w *meshWifi) list(name string, devs kernel.Links) (list []batman.MAC) {
	bridge, ok := devs.Bridge(name)
	if !ok || bridge.Kind != "bridge" {
		return nil
	}
	wireless := w.wireless
	if wireless == nil {
		wireless = kernel.Wireless
	}
	var ports []int
	for _, p := range devs.Ports(bridge.Index) {
		if p.Name != name && wireless(p.Name) {
			ports = append(ports, p.Index)
		}
	}
	if ports == nil {
		return nil
	}
	stations, err := kernel.Stations(mesh.MaxLocalClients)
	if err != nil {
		return w.told
	}
	for _, s := range stations {
		if slices.Contains(ports, s.Port) {
			list = append(list, s.MAC)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Compare(list[j]) < 0 })
	return slices.Compact(list)
}
