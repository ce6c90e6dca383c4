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
	Can      []string     `json:"can"`               // mesh point, IBSS, each perhaps "beside an access point"
	Country  string       `json:"country,omitempty"` // whose rules hold; "00": not set
	Channels []int        `json:"channels"`          // on which a network may be begun
	Limits   []*WifiLimit `json:"limits"`
	Ifaces   []*WifiIface `json:"interfaces"`
}

// WifiLimit is what is allowed on channels of a band that lie side by side.
type WifiLimit struct {
	Band  string `json:"band"`
	First int    `json:"first"` // channels
	Last  int    `json:"last"`
	Power int    `json:"max_power,omitempty"` // dBm
	Rule  string `json:"rule,omitempty"`      // kernel.Channel.Rule
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
		t += r.Name + ": " + cmp.Or(strings.Join(r.Can, ", "), "neither mesh point nor IBSS") + countryText(r.Country) + limitsText(r.Limits) + "\n"
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

func countryText(code string) string {
	switch code {
	case "":
		return ""
	case "00":
		return "; country not set"
	case "99":
		return "; country of the driver"
	}
	return "; country " + code
}

// limitsText has a line for each band: "5 GHz: 36-48 20 dBm, 52-64 20 dBm radar".
func limitsText(list []*WifiLimit) (t string) {
	band := ""
	for _, l := range list {
		sep := ", "
		if l.Band != band {
			sep, band = "\n  "+l.Band+": ", l.Band
		}
		t += sep + strconv.Itoa(l.First)
		if l.Last != l.First {
			t += "-" + strconv.Itoa(l.Last)
		}
		if l.Power != 0 {
			t += " " + strconv.Itoa(l.Power) + " dBm"
		}
		if l.Rule != "" {
			t += " " + l.Rule
		}
	}
	return t
}

// radioText is what a driver knows of a link: signal, rates, retries, airtime.
func radioText(r *mesh.Radio) string {
	t := ""
	add := func(known bool, before, value, after string) {
		if known {
			t += ", " + before + value + after
		}
	}
	signal := cmp.Or(r.SignalAvg, r.Signal)
	add(signal != 0, "", strconv.Itoa(int(signal)), " dBm")
	add(r.TxRate != 0, "tx ", config.FormatRate(r.TxRate), " Mbit/s")
	add(r.RxRate != 0, "rx ", config.FormatRate(r.RxRate), " Mbit/s")
	add(r.Expected != 0, "expects ", config.FormatRate(r.Expected), " Mbit/s")
	n := uint64(r.Packets) + uint64(r.Retries)
	add(n > 0, "retries ", strconv.FormatUint(uint64(r.Retries)*100/max(n, 1), 10), " %")
	add(r.Failed > 0, "failed ", strconv.FormatUint(uint64(r.Failed), 10), "")
	add(r.Busy >= 0, "channel busy ", strconv.Itoa(r.Busy), " %")
	add(r.Own > 0, "of these own ", strconv.Itoa(r.Own), " %")
	return strings.TrimPrefix(t, ", ")
}
