package mesh

import (
	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Radio is what a Wi-Fi driver knows of the link to a station. What it does not
// tell is 0.
type Radio struct {
	Station    batman.MAC `json:"-"`
	Signal     int8       `json:"signal"` // dBm, of the last frame
	SignalAvg  int8       `json:"signal_avg"`
	Noise      int8       `json:"noise,omitempty"`     // dBm, of the channel
	TxRate     uint32     `json:"tx_rate"`             // of the last frame, 100 kbit/s
	RxRate     uint32     `json:"rx_rate"`             // 100 kbit/s
	Expected   uint32     `json:"expected_throughput"` // by rate control, 100 kbit/s
	Expects    bool       `json:"-"`                   // Expected is known, even if 0
	Packets    uint32     `json:"tx_packets"`          // since the station came
	Retries    uint32     `json:"tx_retries"`          // since then
	Failed     uint32     `json:"tx_failed"`           // since then
	InactiveMs uint32     `json:"inactive_ms"`         // since it was heard
	Busy       int        `json:"channel_busy"`        // percent of the time that the channel is in use; -1: unknown
	Own        int        `json:"channel_own"`         // percent of the time that this radio sends itself, as far as the driver tells
}

// throughput is what the link carries, in units of 100 kbit/s: what rate
// control expects, else a third of the rate of the last frame; false if the
// driver tells neither.
// Source: batman-adv bat_v_elp.c, batadv_v_elp_get_throughput.
func (r *Radio) throughput() (uint32, bool) {
	if r.Expects {
		return r.Expected, true
	}
	return r.TxRate / 3, r.TxRate != 0
}

// SetRadios tells what the driver of a hard interface knows of its stations.
// The list takes the place of the last one. A neighbour that is not in it is
// gone for the driver, and nothing is expected of its link. Stations that are
// no neighbours are ignored.
func (m *Mesh) SetRadios(index uint16, list []Radio) {
	hi := m.iface(index)
	if hi == nil {
		return
	}
	for _, n := range hi.neighbours {
		n.v.told, n.v.rate = true, 0
		var found *Radio
		for i := range list {
			if list[i].Station == n.MAC {
				found = &list[i]
				n.v.rate, n.v.told = found.throughput()
			}
		}
		switch {
		case found == nil:
			n.radio = nil
		case n.radio == nil:
			r := *found
			n.radio = &r
		default:
			*n.radio = *found
		}
	}
}

// ClientArrived tells that a client has come to an access point of this node,
// before it has sent a frame into the mesh. The others hear of it with the next
// OGM, and if another node had it, that one sends its frames here at once.
func (m *Mesh) ClientArrived(now mono.Time, client batman.MAC, out *Out) {
	if !client.IsStation() || m.primary == nil || client == m.meshIf.MAC {
		return
	}
	if m.wifiClients == nil {
		m.wifiClients = map[batman.MAC]struct{}{}
	}
	if len(m.wifiClients) < MaxLocalClients {
		m.wifiClients[client] = struct{}{}
	}
	m.ttLearn(now, client, 0, batman.TTWifi, out)
}
