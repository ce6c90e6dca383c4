package admin

import (
	"cmp"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/mesh"
)

// WifiBackend is the part of a Backend that is about radios.
type WifiBackend interface {
	// Wifi tells of the radios of this host and of the sections "wifi".
	Wifi(ctx context.Context) (WifiStatus, error)
}

// WifiStatus is the answer of wifi.
type WifiStatus struct {
	Problem string       `json:"problem,omitempty"` // why no radio can be listed
	Radios  []*WifiRadio `json:"radios"`
	Links   []*WifiLink  `json:"links"`
}

// WifiRadio is a radio and what it can do.
type WifiRadio struct {
	Name     string       `json:"name"`
	Can      []string     `json:"can"`      // mesh point, IBSS, each perhaps "beside an access point"
	Channels []int        `json:"channels"` // on which a network may be begun
	Ifaces   []*WifiIface `json:"interfaces"`
}

// WifiIface is an interface of a radio.
type WifiIface struct {
	Name     string         `json:"name"`
	Type     string         `json:"type"` // iw's word
	MAC      batman.MAC     `json:"address"`
	Network  string         `json:"network,omitempty"`
	Channel  int            `json:"channel,omitempty"`
	MHz      int            `json:"mhz,omitempty"`
	Width    int            `json:"width,omitempty"` // MHz
	Stations []*WifiStation `json:"stations,omitempty"`
}

// WifiStation is a station and the link to it.
type WifiStation struct {
	MAC batman.MAC `json:"address"`
	mesh.Radio
}

// WifiLink is a section "wifi" and what became of it.
type WifiLink struct {
	MeshID  string `json:"mesh_id"`
	Iface   string `json:"iface"`
	Made    bool   `json:"made"`               // the agent made the interface
	How     string `json:"how,omitempty"`      // mesh point or IBSS, and why; empty: it does not work
	Note    string `json:"note,omitempty"`     // what should be changed though it works
	MTUNote string `json:"mtu_note,omitempty"` // why the MTU is not the one that is wanted
	Problem string `json:"problem,omitempty"`  // why it does not work
}

// addWifiMethod adds wifi.
func addWifiMethod(r *Registry, b WifiBackend) {
	r.Add(Method{Name: "wifi", Summary: "radios, what they can do, and the stations they hear", ReadOnly: true,
		Handle: func(ctx context.Context, _ Args) (any, error) { return b.Wifi(ctx) }})
}

// WriteWifi prints s for people.
func WriteWifi(w io.Writer, s WifiStatus) {
	t := ""
	if s.Problem != "" {
		t = s.Problem + "\n"
	} else if len(s.Radios) == 0 {
		t = "no radios\n"
	}
	for _, r := range s.Radios {
		t += r.Name + ": " + cmp.Or(strings.Join(r.Can, ", "), "neither mesh point nor IBSS") + "; channels"
		for _, n := range r.Channels {
			t += " " + strconv.Itoa(n)
		}
		t += "\n"
		for _, f := range r.Ifaces {
			t += "  " + f.Name + ": " + f.Type
			if f.Network != "" {
				t += " '" + clean(f.Network) + "'"
			}
			if f.MHz != 0 {
				t += ", channel " + strconv.Itoa(f.Channel) + " (" + strconv.Itoa(f.MHz) + " MHz, width " + strconv.Itoa(f.Width) + ")"
			}
			t += "\n"
			for _, st := range f.Stations {
				t += "    " + st.MAC.String() + " " + radioText(&st.Radio) + "\n"
			}
		}
	}
	for _, l := range s.Links {
		t += "mesh '" + clean(l.MeshID) + "' on " + l.Iface + ": " + clean(cmp.Or(l.Problem, l.How+l.Note)) + "\n"
		if l.MTUNote != "" {
			t += "  mtu: " + clean(l.MTUNote) + "\n"
		}
	}
	_, _ = io.WriteString(w, t)
}

// radioText is what a driver knows of a link: signal, rates, retries, airtime.
func radioText(r *mesh.Radio) string {
	t := ""
	if signal := cmp.Or(r.SignalAvg, r.Signal); signal != 0 {
		t = strconv.Itoa(int(signal)) + " dBm, "
	}
	t += "tx " + config.FormatRate(r.TxRate) + " rx " + config.FormatRate(r.RxRate) + " Mbit/s"
	if r.Expected != 0 {
		t += ", expects " + config.FormatRate(r.Expected)
	}
	if n := uint64(r.Packets) + uint64(r.Retries); n > 0 {
		t += ", retries " + strconv.Itoa(int(uint64(r.Retries)*100/n)) + " %" //nolint:gosec // at most 100
	}
	if r.Failed > 0 {
		t += ", failed " + strconv.Itoa(int(r.Failed))
	}
	if r.Busy >= 0 {
		t += ", channel busy " + strconv.Itoa(r.Busy) + " %"
	}
	return t
}
