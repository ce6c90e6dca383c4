package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
)

// WifiBackend is the part of a Backend that is about radios.
type WifiBackend interface {
	// Wifi tells of the radios of this host and of the sections "wifi".
	Wifi(ctx context.Context) (WifiStatus, error)
}

// WifiStatus is the answer of wifi.
type WifiStatus struct {
	Problem string      `json:"problem,omitempty"` // why no radio can be listed
	Radios  []WifiRadio `json:"radios"`
	Links   []WifiLink  `json:"links"`
}

// WifiRadio is a radio and what it can do.
type WifiRadio struct {
	Name     string      `json:"name"`
	Mesh     bool        `json:"mesh"`     // mesh points, 802.11s
	MeshAP   bool        `json:"mesh_ap"`  // beside an access point
	IBSS     bool        `json:"ibss"`     // independent cells
	IBSSAP   bool        `json:"ibss_ap"`  // beside an access point
	Channels []int       `json:"channels"` // on which a network may be begun
	Ifaces   []WifiIface `json:"interfaces"`
}

// WifiIface is an interface of a radio.
type WifiIface struct {
	Name     string        `json:"name"`
	Type     string        `json:"type"` // iw's word
	MAC      batman.MAC    `json:"address"`
	Network  string        `json:"network,omitempty"`
	Channel  int           `json:"channel,omitempty"`
	MHz      int           `json:"mhz,omitempty"`
	Width    int           `json:"width,omitempty"` // MHz
	Stations []WifiStation `json:"stations,omitempty"`
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
	Made    bool   `json:"made"`              // the agent made the interface
	How     string `json:"how,omitempty"`     // mesh point or IBSS, and why; empty: it does not work
	Note    string `json:"note,omitempty"`    // what should be changed though it works
	Problem string `json:"problem,omitempty"` // why it does not work
}

// addWifiMethod adds wifi.
func addWifiMethod(r *Registry, b WifiBackend) {
	r.Add(Method{Name: "wifi", Summary: "radios, what they can do, and the stations they hear", ReadOnly: true,
		Handle: func(ctx context.Context, _ Args) (any, error) { return b.Wifi(ctx) }})
}

// WifiCheck is one finding about radios for people: State is ok, warn or fail.
type WifiCheck struct{ What, State, Text, Fix string }

// Checks are the findings about radios: one for each section "wifi", and
// without any one that says what the radios could do. A host without radios and
// without such a section gives none.
func (s WifiStatus) Checks() (list []WifiCheck) {
	for _, l := range s.Links {
		c := WifiCheck{"radio " + l.MeshID, "ok", l.Iface + ": " + l.How, ""}
		switch text, fix, _ := strings.Cut(l.Problem, ": expected "); {
		case l.Problem != "":
			c.State, c.Text, c.Fix = "fail", text, fix
		case l.Note != "":
			c.State, c.Text, c.Fix = "warn", l.Iface+": "+l.Note, "see docs/guide/wifi.md"
		}
		list = append(list, c)
	}
	if len(s.Links) == 0 && slices.ContainsFunc(s.Radios, func(r WifiRadio) bool { return r.Mesh || r.IBSS }) {
		list = append(list, WifiCheck{"radios", "ok", "no section 'wifi': no radio is part of the mesh by the agent's doing", ""})
	}
	return list
}

// WriteWifi prints s for people.
func WriteWifi(w io.Writer, s WifiStatus) {
	if s.Problem != "" {
		fmt.Fprintf(w, "%s\n", clean(s.Problem))
	}
	for _, r := range s.Radios {
		fmt.Fprintf(w, "%s: %s; channels %s\n", clean(r.Name), r.can(), cmp.Or(strings.Trim(fmt.Sprint(r.Channels), "[]"), "none"))
		for _, f := range r.Ifaces {
			fmt.Fprintf(w, "  %s: %s", clean(f.Name), f.Type)
			if f.Network != "" {
				fmt.Fprintf(w, " '%s'", clean(f.Network))
			}
			if f.MHz != 0 {
				fmt.Fprintf(w, ", channel %d (%d MHz, width %d)", f.Channel, f.MHz, f.Width)
			}
			fmt.Fprintln(w)
			for _, st := range f.Stations {
				fmt.Fprintf(w, "    %s %s\n", st.MAC, radioText(&st.Radio))
			}
		}
	}
	for _, l := range s.Links {
		fmt.Fprintf(w, "mesh '%s' on %s: %s\n", clean(l.MeshID), clean(l.Iface), clean(cmp.Or(l.Problem, l.How)))
		if l.Note != "" && l.Problem == "" {
			fmt.Fprintf(w, "  %s\n", clean(l.Note))
		}
	}
	if s.Problem == "" && len(s.Radios) == 0 {
		fmt.Fprintln(w, "no radios")
	}
}

func (r WifiRadio) can() string {
	var list []string
	for _, c := range [...]struct {
		can, ap bool
		name    string
	}{{r.Mesh, r.MeshAP, "mesh point"}, {r.IBSS, r.IBSSAP, "IBSS"}} {
		switch {
		case c.can && c.ap:
			list = append(list, c.name+" (also beside an access point)")
		case c.can:
			list = append(list, c.name+" (not beside an access point)")
		}
	}
	if list == nil {
		return "neither mesh point nor IBSS"
	}
	return strings.Join(list, ", ")
}

// radioText is what a driver knows of a link: signal, rates, retries, airtime.
func radioText(r *mesh.Radio) string {
	t := fmt.Sprintf("tx %s rx %s Mbit/s", tenths(r.TxRate), tenths(r.RxRate))
	if signal := cmp.Or(r.SignalAvg, r.Signal); signal != 0 {
		t = fmt.Sprintf("%d dBm, %s", signal, t)
	}
	if r.Expected != 0 {
		t += ", expects " + tenths(r.Expected)
	}
	if n := uint64(r.Packets) + uint64(r.Retries); n > 0 {
		t += fmt.Sprintf(", retries %d %%", uint64(r.Retries)*100/n)
	}
	if r.Failed > 0 {
		t += fmt.Sprintf(", failed %d", r.Failed)
	}
	if r.Busy >= 0 {
		t += fmt.Sprintf(", channel busy %d %%", r.Busy)
	}
	return t
}

// tenths prints units of 100 kbit/s as Mbit/s.
func tenths(n uint32) string { return fmt.Sprintf("%d.%d", n/10, n%10) }
