package daemon

import (
	"context"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/kernel"
)

// Wifi implements admin.WifiBackend. It asks the kernel itself; only what
// became of the sections "wifi" comes from the supervisor.
func (d *Daemon) Wifi(context.Context) (admin.WifiStatus, error) {
	s := admin.WifiStatus{Radios: []admin.WifiRadio{}}
	d.mu.Lock()
	s.Links = append([]admin.WifiLink{}, d.meshView.radios...)
	air := d.meshView.air
	d.mu.Unlock()
	w, err := kernel.OpenWifi()
	if err != nil {
		s.Problem = err.Error()
		return s, nil
	}
	defer w.Close()
	phys, err := w.Phys()
	if err != nil {
		s.Problem = err.Error()
		return s, nil
	}
	ifs, err := w.Ifaces()
	if err != nil {
		s.Problem = err.Error()
	}
	for _, p := range phys {
		r := admin.WifiRadio{Name: p.Name, Channels: []int{}, Ifaces: []admin.WifiIface{}}
		r.Mesh, r.IBSS = p.Types.Has(kernel.IfMesh), p.Types.Has(kernel.IfAdhoc)
		_, r.MeshAP = p.Together(kernel.IfMesh, kernel.IfAP)
		_, r.IBSSAP = p.Together(kernel.IfAdhoc, kernel.IfAP)
		for _, b := range p.Bands {
			for _, c := range b.Channels {
				if n := kernel.MHzChannel(c.MHz); n != 0 && c.Free() {
					r.Channels = append(r.Channels, n)
				}
			}
		}
		for _, f := range ifs {
			if f.Phy == p.Index {
				r.Ifaces = append(r.Ifaces, wifiIface(w, f, air[f.Index]))
			}
		}
		s.Radios = append(s.Radios, r)
	}
	return s, nil
}

func wifiIface(w *kernel.Wifi, f kernel.WifiIface, air airTime) admin.WifiIface {
	v := admin.WifiIface{
		Name: f.Name, Type: f.Type.String(), MAC: f.MAC, Network: f.SSID, Channel: kernel.MHzChannel(f.MHz), MHz: f.MHz, Width: f.Width,
	}
	stations, _ := w.Stations(f.Index, maxStations)
	for _, st := range stations {
		v.Stations = append(v.Stations, admin.WifiStation{MAC: st.MAC, Radio: linkRadio(st, air)})
	}
	return v
}

// radioViews are what Wifi shows of the sections "wifi", and the airtime by
// device.
func (m *meshRun) radioViews() (links []admin.WifiLink, air map[int]airTime) {
	air = map[int]airTime{}
	for _, h := range m.ifs {
		if h.wifi && h.conn != nil {
			air[h.ifindex] = h.air
		}
		if h.cfg.Radio.MeshID == "" {
			continue
		}
		l := admin.WifiLink{MeshID: h.cfg.Radio.MeshID, Iface: h.device, Made: h.radio.made, How: h.radio.text, Note: h.radio.note, Problem: h.problem}
		if h.radio.err != nil {
			l.Problem = h.radio.err.Error()
		}
		links = append(links, l)
	}
	return links, air
}
