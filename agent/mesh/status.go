package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// Status is all that a mesh knows, as plain data. Times are since then.
type Status struct {
	Algo        string             `json:"algo"`
	MeshIf      string             `json:"mesh_ifname"`
	MeshMAC     batman.MAC         `json:"mesh_address"`
	Primary     string             `json:"hard_ifname"`
	PrimaryMAC  batman.MAC         `json:"hard_address"`
	TTVN        uint8              `json:"tt_ttvn"`
	BLAGroup    uint16             `json:"bla_crc_group"`
	Config      Config             `json:"config"`
	Ifaces      []IfaceStatus      `json:"interfaces"`
	Neighbours  []NeighbourStatus  `json:"neighbours"`
	Originators []OriginatorStatus `json:"originators"`
	Local       []LocalStatus      `json:"local"`
	Global      []GlobalStatus     `json:"global"`
	Gateways    []GatewayStatus    `json:"gateways"`
	DAT         []DATStatus        `json:"dat"`
	Claims      []ClaimStatus      `json:"claims"`
	Backbones   []BackboneStatus   `json:"backbones"`
	Mcast       []McastStatus      `json:"mcast"`
	McastFlags  uint8              `json:"mcast_flags"`
	Drops       map[string]uint64  `json:"drops"`
	Counters    map[string]uint64  `json:"counters"` // names as batctl statistics
}

// IfaceStatus is one hard interface.
type IfaceStatus struct {
	Name       string            `json:"name"`
	MAC        batman.MAC        `json:"address"`
	MTU        int               `json:"mtu"`
	MTUNote    string            `json:"mtu_note,omitempty"` // why it is not the one that is wanted
	Active     bool              `json:"active"`
	Problem    string            `json:"problem,omitempty"`
	Neighbours int               `json:"neighbours"`
	HopPenalty uint8             `json:"hop_penalty"`
	ELP        time.Duration     `json:"elp_interval"`
	Override   uint32            `json:"throughput_override"` // units of 100 kbit/s
	RxFrames   uint64            `json:"rx_frames"`
	RxBytes    uint64            `json:"rx_bytes"`
	TxFrames   uint64            `json:"tx_frames"`
	TxBytes    uint64            `json:"tx_bytes"`
	Drops      map[string]uint64 `json:"drops"`
}

// NeighbourStatus is a station heard directly (batctl n).
type NeighbourStatus struct {
	MAC        batman.MAC    `json:"address"`
	Iface      string        `json:"iface"`
	LastSeen   time.Duration `json:"last_seen"`
	Throughput uint32        `json:"throughput"` // V: units of 100 kbit/s
	TQ         uint8         `json:"tq"`         // IV: of its own OGMs
	MTU        int           `json:"mtu"`        // largest packet that the link carries; 0: not known yet
	Radio      *Radio        `json:"radio,omitempty"`
}

// OriginatorStatus is one originator with one possible next hop (batctl o).
type OriginatorStatus struct {
	MAC        batman.MAC    `json:"address"`
	Best       bool          `json:"best"`
	LastSeen   time.Duration `json:"last_seen"`
	TQ         uint8         `json:"tq"`         // IV
	Throughput uint32        `json:"throughput"` // V: units of 100 kbit/s
	Next       batman.MAC    `json:"next"`
	Iface      string        `json:"iface"`
	// Identity is the overlay address of a verified node, "-", "pending",
	// "forged", "stripped" or "conflict", empty if identities are off; Key and IP are those of the node that
	// is verified all the same.
	Identity string    `json:"identity,omitempty"`
	Key      cjdns.Key `json:"-"`
	IP       cjdns.IP  `json:"-"`
	Uplink   bool      `json:"uplink,omitempty"`
	Alive    bool      `json:"alive,omitempty"`
}

// LocalStatus is a client of this node (batctl tl). Flags: 'R'oaming,
// 'P' never purged, 'N'ew, 'X' pending removal, 'W'ifi, 'I'solated.
type LocalStatus struct {
	MAC      batman.MAC    `json:"client"`
	VID      batman.VID    `json:"vid"`
	Flags    string        `json:"flags"` // as batctl prints: "[.P....]" without brackets
	LastSeen time.Duration `json:"last_seen"`
	CRC      uint32        `json:"crc"`
}

// GlobalStatus is a client of another node (batctl tg). Flags: 'R'oaming,
// 'W'ifi, 'I'solated, 'T'emporary.
type GlobalStatus struct {
	MAC      batman.MAC `json:"client"`
	VID      batman.VID `json:"vid"`
	Flags    string     `json:"flags"`
	TTVN     uint8      `json:"ttvn"`
	LastTTVN uint8      `json:"last_ttvn"`
	Orig     batman.MAC `json:"orig"`
	CRC      uint32     `json:"crc"`
	Best     bool       `json:"best"`
}

// GatewayStatus is a gateway (batctl gwl).
type GatewayStatus struct {
	Orig       batman.MAC `json:"orig"`
	Best       bool       `json:"best"`
	TQ         uint8      `json:"tq"`
	Throughput uint32     `json:"throughput"`
	Next       batman.MAC `json:"next"`
	Iface      string     `json:"iface"`
	Down       uint32     `json:"down"` // 100 kbit/s
	Up         uint32     `json:"up"`
}

// DATStatus is an entry of the ARP cache (batctl dc).
type DATStatus struct {
	IP       [4]byte       `json:"ip"`
	MAC      batman.MAC    `json:"mac"`
	VID      batman.VID    `json:"vid"`
	LastSeen time.Duration `json:"last_seen"`
}

// ClaimStatus is a claim of bridge loop avoidance (batctl cl).
type ClaimStatus struct {
	Client   batman.MAC `json:"client"`
	VID      batman.VID `json:"vid"`
	Backbone batman.MAC `json:"backbone"`
	Own      bool       `json:"own"`
	CRC      uint16     `json:"crc"`
}

// BackboneStatus is a gateway of bridge loop avoidance (batctl bbl).
type BackboneStatus struct {
	Orig     batman.MAC    `json:"orig"`
	VID      batman.VID    `json:"vid"`
	Own      bool          `json:"own"`
	LastSeen time.Duration `json:"last_seen"`
	CRC      uint16        `json:"crc"`
}

// McastStatus is what an originator wants of multicast (batctl mf). Flags -1:
// it says nothing.
type McastStatus struct {
	Orig  batman.MAC `json:"orig"`
	Flags int        `json:"flags"`
}

// stats are counters with the names of batctl statistics.
type stats struct {
	txFrames, txBytes, rxFrames, rxBytes, forwarded, forwardedBytes uint64
	mgmtTx, mgmtTxBytes, mgmtRx, mgmtRxBytes                        uint64
	fragTx, fragTxBytes, fragRx, fragRxBytes, fragFwd, fragFwdBytes uint64
	ttRequestTx, ttRequestRx, ttResponseTx, ttResponseRx            uint64
	ttRoamTx, ttRoamRx                                              uint64
	datGetTx, datGetRx, datPutTx, datPutRx, datCachedReplyTx        uint64
	mcastTx, mcastTxBytes, mcastTxLocal, mcastTxLocalBytes          uint64
	mcastRx, mcastRxBytes, mcastRxLocal, mcastRxLocalBytes          uint64
	mcastFwd, mcastFwdBytes                                         uint64
	routeChanges                                                    uint64
	idChecked, idBad, idSigned, idHashes                            uint64
	overlayTx, overlayTxBytes, overlayRx, overlayRxBytes, avoided   uint64
}

// Status returns everything, sorted by address.
func (m *Mesh) Status(now mono.Time) Status {
	s := Status{
		Algo: m.cfg.Algo.String(), MeshIf: m.meshIf.Name, MeshMAC: m.meshIf.MAC, PrimaryMAC: m.self(), Config: m.cfg,
		Drops: dropMap(&m.drops), Counters: m.counters(),
	}
	if m.primary != nil {
		s.Primary = m.primary.Name
	}
	for _, hi := range m.ifaces {
		if hi == nil {
			continue
		}
		s.Ifaces = append(s.Ifaces, IfaceStatus{
			Name: hi.Name, MAC: hi.MAC, MTU: hi.MTU, Active: hi.active, Problem: hi.problem, Neighbours: len(hi.neighbours),
			HopPenalty: hi.HopPenalty, ELP: hi.elpEvery(), Override: hi.ThroughputOverride,
			RxFrames: hi.rxFrames, RxBytes: hi.rxBytes, TxFrames: hi.txFrames, TxBytes: hi.txBytes, Drops: dropMap(&hi.drops),
		})
	}
	m.routingStatus(now, &s)
	m.ttStatus(now, &s)
	m.gwStatus(now, &s)
	m.datStatus(now, &s)
	m.blaStatus(now, &s)
	m.mcastStatus(now, &s)
	return s
}

func dropMap(d *[dropCount]uint64) map[string]uint64 {
	r := map[string]uint64{}
	for i, n := range d {
		if n > 0 {
			r[dropNames[i]] = n
		}
	}
	return r
}

func (m *Mesh) counters() map[string]uint64 {
	s := &m.stats
	return map[string]uint64{
		"tx": s.txFrames, "tx_bytes": s.txBytes, "rx": s.rxFrames, "rx_bytes": s.rxBytes,
		"forward": s.forwarded, "forward_bytes": s.forwardedBytes,
		"mgmt_tx": s.mgmtTx, "mgmt_tx_bytes": s.mgmtTxBytes, "mgmt_rx": s.mgmtRx, "mgmt_rx_bytes": s.mgmtRxBytes,
		"frag_tx": s.fragTx, "frag_tx_bytes": s.fragTxBytes, "frag_rx": s.fragRx, "frag_rx_bytes": s.fragRxBytes,
		"frag_fwd": s.fragFwd, "frag_fwd_bytes": s.fragFwdBytes,
		"tt_request_tx": s.ttRequestTx, "tt_request_rx": s.ttRequestRx, "tt_response_tx": s.ttResponseTx, "tt_response_rx": s.ttResponseRx,
		"tt_roam_adv_tx": s.ttRoamTx, "tt_roam_adv_rx": s.ttRoamRx,
		"mcast_tx": s.mcastTx, "mcast_tx_bytes": s.mcastTxBytes, "mcast_tx_local": s.mcastTxLocal, "mcast_tx_local_bytes": s.mcastTxLocalBytes,
		"mcast_rx": s.mcastRx, "mcast_rx_bytes": s.mcastRxBytes, "mcast_rx_local": s.mcastRxLocal, "mcast_rx_local_bytes": s.mcastRxLocalBytes,
		"mcast_fwd": s.mcastFwd, "mcast_fwd_bytes": s.mcastFwdBytes,
		"dat_get_tx": s.datGetTx, "dat_get_rx": s.datGetRx, "dat_put_tx": s.datPutTx, "dat_put_rx": s.datPutRx,
		"dat_cached_reply_tx": s.datCachedReplyTx,
		"identity_checked":    s.idChecked, "identity_bad": s.idBad, "identity_signed": s.idSigned, "identity_hashes": s.idHashes,
		"overlay_tx": s.overlayTx, "overlay_tx_bytes": s.overlayTxBytes, "overlay_rx": s.overlayRx, "overlay_rx_bytes": s.overlayRxBytes,
		"overlay_avoided": s.avoided,
	}
}
