package daemon

import (
	"context"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/agent/kernel"
)

// Wifi implements admin.WifiBackend. It asks the kernel itself; only what
// became of the sections "wifi" comes from the supervisor.
func (d *Daemon) Wifi(context.Context) (admin.WifiStatus, error) {
	s := admin.WifiStatus{Radios: []*admin.WifiRadio{}}
	d.mu.Lock()
	s.Links = append([]*admin.WifiLink{}, d.meshView.radios...)
	air := d.meshView.air
	d.mu.Unlock()
	var phys []*kernel.Phy
	w, err := kernel.OpenWifi()
	if err == nil {
		defer w.Close()
		phys, err = w.Phys()
	}
	if err != nil {
		s.Problem = err.Error()
		return s, nil
	}
	ifs, _ := w.Ifaces()
	for _, p := range phys {
		r := &admin.WifiRadio{Name: p.Name, Channels: p.Usable(), Ifaces: []*admin.WifiIface{}}
		r.Country, _ = w.Country(p.Index)
		r.Limits = limits(p.Bands)
		for _, t := range []kernel.IfType{kernel.IfMesh, kernel.IfAdhoc} {
			if !p.Types.Has(t) {
				continue
			}
			can := t.String()
			if _, ok := p.Together(t, kernel.IfAP); ok {
				can += " beside an access point"
			}
			r.Can = append(r.Can, can)
		}
		for _, f := range ifs {
			if f.Phy != p.Index {
				continue
			}
			a := air[f.Index]
			v := &admin.WifiIface{Name: f.Name, Type: f.Type.String(), MAC: f.MAC, Network: f.SSID, MHz: f.MHz, Channel: kernel.MHzChannel(f.MHz), Width: f.Width}
			stations, _ := w.Stations(f.Index, maxStations)
			for _, st := range stations {
				v.Stations = append(v.Stations, &admin.WifiStation{MAC: st.MAC, Radio: linkRadio(st, &a)})
			}
			r.Ifaces = append(r.Ifaces, v)
		}
		s.Radios = append(s.Radios, r)
	}
	return s, nil
}

// limits puts channels side by side into one entry where the rules are the same.
func limits(bands []*kernel.Band) (list []*admin.WifiLimit) {
	for _, b := range bands {
		mhz := 0 // of the channel before
		for _, c := range b.Channels {
			n := kernel.MHzChannel(c.MHz)
			if n == 0 {
				continue
			}
			l := &admin.WifiLimit{Band: b.String(), First: n, Last: n, Power: c.PowerMBm / 100, Rule: c.Rule()}
			if c.Disabled {
				l.Power = 0
			}
			if last := len(list) - 1; mhz != 0 && c.MHz-mhz <= 20 && list[last].Power == l.Power && list[last].Rule == l.Rule {
				list[last].Last = n
			} else {
				list = append(list, l)
			}
			mhz = c.MHz
		}
	}
	return list
}

// radioViews are what Wifi shows of the sections "wifi", and the airtime by
// device.
func (m *meshRun) radioViews() (links []*admin.WifiLink, air map[int]airTime) {
	air = map[int]airTime{}
	for _, h := range m.ifs {
		if h.wifi && h.conn != nil {
			air[h.ifindex] = h.air
		}
		if h.cfg.Radio == nil {
			continue
		}
		l := &admin.WifiLink{MeshID: h.cfg.Radio.MeshID, Iface: h.device, Made: h.radio.made, How: h.radio.text, Note: h.radio.note, MTUNote: h.mtuNote, Problem: h.problem}
		if h.radio.err != nil {
			l.Problem = h.radio.err.Error()
		}
		links = append(links, l)
	}
	return links, air
}
