package admin

import (
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mesh"
)

// The types of this file are what the mesh methods answer. Names and order of
// the keys are those that batctl prints, so that programs can read both; a
// key whose value is not known or not true is left out, as there.
// Source: batctl genl_json.c; batman-adv uapi/linux/batman_adv.h for the order.

// MeshInfo is the mesh and its settings (batctl mesh_json).
type MeshInfo struct {
	Version       string         `json:"version"` // "meshagent-" and ours
	Algo          string         `json:"algo_name"`
	MeshIndex     int            `json:"mesh_ifindex,omitempty"`
	MeshName      string         `json:"mesh_ifname"`
	MeshMAC       batman.MAC     `json:"mesh_address"`
	HardIndex     int            `json:"hard_ifindex,omitempty"`
	HardName      string         `json:"hard_ifname,omitempty"` // primary interface; empty if none is up
	HardMAC       *batman.MAC    `json:"hard_address,omitempty"`
	TTVN          uint8          `json:"tt_ttvn"`
	BLAGroup      uint16         `json:"bla_crc"`
	McastFlags    MeshMcastFlags `json:"mcast_flags"`
	McastPriv     MeshMcastPriv  `json:"mcast_flags_priv"`
	Aggregation   bool           `json:"aggregated_ogms_enabled"`
	APIsolation   bool           `json:"ap_isolation_enabled"`
	IsolationMark uint32         `json:"isolation_mark"` // always 0: there is no such setting here
	IsolationMask uint32         `json:"isolation_mask"` // the same
	Bonding       bool           `json:"bonding_enabled"`
	BLA           bool           `json:"bridge_loop_avoidance_enabled"`
	DAT           bool           `json:"distributed_arp_table_enabled"`
	Fragmentation bool           `json:"fragmentation_enabled"`
	GWDown        uint32         `json:"gw_bandwidth_down"` // 100 kbit/s
	GWUp          uint32         `json:"gw_bandwidth_up"`
	GWMode        string         `json:"gw_mode"`
	GWSelClass    uint32         `json:"gw_sel_class"`
	HopPenalty    uint8          `json:"hop_penalty"`
	ForceFlood    bool           `json:"multicast_forceflood_enabled"`
	OrigInterval  int64          `json:"orig_interval"` // ms
	Fanout        int            `json:"multicast_fanout"`
}

// MeshMcastFlags is what a node wants of multicast.
type MeshMcastFlags struct {
	Unsnoopables bool  `json:"all_unsnoopables"`
	IPv4         bool  `json:"want_all_ipv4"`
	IPv6         bool  `json:"want_all_ipv6"`
	NoRtr4       bool  `json:"want_no_rtr_ipv4"`
	NoRtr6       bool  `json:"want_no_rtr_ipv6"`
	Ptype        bool  `json:"have_mc_ptype_capa"`
	Raw          uint8 `json:"raw"`
}

// MeshMcastPriv is what a node knows of multicast on its own LAN.
type MeshMcastPriv struct {
	Bridged  bool `json:"bridged"`
	Querier4 bool `json:"querier_ipv4_exists"`
	Querier6 bool `json:"querier_ipv6_exists"`
	Shadow4  bool `json:"querier_ipv4_shadowing"`
	Shadow6  bool `json:"querier_ipv6_shadowing"`
	Raw      int  `json:"raw"`
}

// MeshOriginator is a way to an originator (originators_json).
type MeshOriginator struct {
	HardIndex  int        `json:"hard_ifindex,omitempty"`
	HardName   string     `json:"hard_ifname"`
	Orig       batman.MAC `json:"orig_address"`
	Best       bool       `json:"best,omitempty"`
	LastSeen   int64      `json:"last_seen_msecs"`
	Neigh      batman.MAC `json:"neigh_address"`
	TQ         *uint8     `json:"tq,omitempty"`         // BATMAN_IV
	Throughput *uint64    `json:"throughput,omitempty"` // BATMAN_V, kbit/s
	// What batctl does not have: the overlay address of a node whose identity
	// is verified, "-", "pending", "forged", "stripped" or "conflict"; and of a
	// verified one its key, whether it has a way out of the mesh, and whether it
	// answered lately.
	Identity string `json:"identity,omitempty"`
	Key      string `json:"identity_key,omitempty"`
	Uplink   bool   `json:"identity_uplink,omitempty"`
	Alive    bool   `json:"identity_alive,omitempty"`
}

// MeshNeighbour is a station heard directly (neighbors_json).
type MeshNeighbour struct {
	HardIndex  int        `json:"hard_ifindex,omitempty"`
	HardName   string     `json:"hard_ifname"`
	LastSeen   int64      `json:"last_seen_msecs"`
	Neigh      batman.MAC `json:"neigh_address"`
	Throughput *uint64    `json:"throughput,omitempty"` // BATMAN_V, kbit/s
	// What batctl does not have: the largest packet that the link carries, 0
	// while that is not known, and what the driver knows of it.
	MTU   int         `json:"mtu,omitempty"`
	Radio *mesh.Radio `json:"radio,omitempty"`
}

// MeshHardIf is an interface of the mesh (hardifs_json, and more).
type MeshHardIf struct {
	MeshIndex  int        `json:"mesh_ifindex,omitempty"`
	MeshName   string     `json:"mesh_ifname"`
	HardIndex  int        `json:"hard_ifindex,omitempty"`
	HardName   string     `json:"hard_ifname"`
	HardMAC    batman.MAC `json:"hard_address"`
	Active     bool       `json:"active,omitempty"`
	HopPenalty uint8      `json:"hop_penalty"`
	ELP        int64      `json:"elp_interval"`        // ms
	Override   uint32     `json:"throughput_override"` // 100 kbit/s
	// What batctl does not have.
	MTU        int               `json:"mtu"`
	MTUNote    string            `json:"mtu_note,omitempty"` // why the MTU is not the one that is wanted
	Problem    string            `json:"problem,omitempty"`  // why it is not active
	Neighbours int               `json:"neighbours"`
	RxFrames   uint64            `json:"rx_frames"`
	RxBytes    uint64            `json:"rx_bytes"`
	TxFrames   uint64            `json:"tx_frames"`
	TxBytes    uint64            `json:"tx_bytes"`
	Drops      map[string]uint64 `json:"drops"` // frames not taken, by reason
}

// MeshTTFlags are the flags of a client.
type MeshTTFlags struct {
	Del      bool   `json:"del"`
	Roam     bool   `json:"roam"`
	Wifi     bool   `json:"wifi"`
	Isolated bool   `json:"isolated"`
	NoPurge  bool   `json:"nopurge"`
	New      bool   `json:"new"`
	Pending  bool   `json:"pending"`
	Temp     bool   `json:"temp"`
	Raw      uint32 `json:"raw"`
}

// MeshLocal is a client of this node (transtable_local_json).
type MeshLocal struct {
	Client   batman.MAC  `json:"tt_address"`
	CRC      uint32      `json:"tt_crc32"`
	VID      int         `json:"tt_vid"` // -1: untagged
	Flags    MeshTTFlags `json:"tt_flags"`
	LastSeen *int64      `json:"last_seen_msecs,omitempty"` // not of clients that stay for ever
}

// MeshGlobal is a client of another node (transtable_global_json).
type MeshGlobal struct {
	Orig     batman.MAC  `json:"orig_address"`
	Client   batman.MAC  `json:"tt_address"`
	TTVN     uint8       `json:"tt_ttvn"`
	LastTTVN uint8       `json:"tt_last_ttvn"`
	CRC      uint32      `json:"tt_crc32"`
	VID      int         `json:"tt_vid"`
	Flags    MeshTTFlags `json:"tt_flags"`
	Best     bool        `json:"best,omitempty"`
}

// MeshGateway is a gateway (gateways_json).
type MeshGateway struct {
	HardIndex  int        `json:"hard_ifindex,omitempty"`
	HardName   string     `json:"hard_ifname"`
	Orig       batman.MAC `json:"orig_address"`
	Best       bool       `json:"best,omitempty"`
	TQ         *uint8     `json:"tq,omitempty"`
	Throughput *uint32    `json:"throughput,omitempty"` // 100 kbit/s, other than in the other tables
	Up         uint32     `json:"bandwidth_up"`         // 100 kbit/s
	Down       uint32     `json:"bandwidth_down"`
	Router     batman.MAC `json:"router"`
}

// MeshDAT is an entry of the ARP table (dat_cache_json).
type MeshDAT struct {
	LastSeen int64      `json:"last_seen_msecs"`
	IP       netip.Addr `json:"dat_cache_ip4address"`
	MAC      batman.MAC `json:"dat_cache_hwaddress"`
	VID      int        `json:"dat_cache_vid"`
}

// MeshClaim is a claim of bridge loop avoidance (bla_claim_json).
type MeshClaim struct {
	Own      bool       `json:"bla_own,omitempty"`
	Client   batman.MAC `json:"bla_address"`
	VID      int        `json:"bla_vid"`
	Backbone batman.MAC `json:"bla_backbone"`
	CRC      uint16     `json:"bla_crc"`
}

// MeshBackbone is a gateway of bridge loop avoidance (bla_backbone_json).
type MeshBackbone struct {
	LastSeen int64      `json:"last_seen_msecs"`
	Own      bool       `json:"bla_own,omitempty"`
	VID      int        `json:"bla_vid"`
	Backbone batman.MAC `json:"bla_backbone"`
	CRC      uint16     `json:"bla_crc"`
}

// MeshMcast is what an originator wants of multicast (mcast_flags_json).
type MeshMcast struct {
	Orig  batman.MAC      `json:"orig_address"`
	Flags *MeshMcastFlags `json:"mcast_flags,omitempty"` // it says nothing
}

// MeshStatistics are the counters of the mesh.
type MeshStatistics struct {
	Counters map[string]uint64 `json:"counters"` // names as batctl statistics has them
	Drops    map[string]uint64 `json:"drops"`    // frames not taken, by reason
}

// meshView turns a mesh.Status into the types above.
type meshView struct {
	mesh.Status
	indices map[string]int
}

func newMeshView(s mesh.Status) *meshView { return &meshView{s, map[string]int{}} }

// index returns the number that the kernel gives an interface; 0 if there is
// none of that name.
func (v *meshView) index(name string) int {
	if i, ok := v.indices[name]; ok {
		return i
	}
	i := 0
	if name != "" {
		if ifi, err := net.InterfaceByName(name); err == nil {
			i = ifi.Index
		}
	}
	v.indices[name] = i
	return i
}

// metric returns the one of the two that the algorithm has.
func (v *meshView) metric(tq uint8, throughput uint32) (*uint8, *uint64) {
	if v.Algo == mesh.BatmanV.String() {
		kbit := uint64(throughput) * 100
		return nil, &kbit
	}
	return &tq, nil
}

func (v *meshView) info(version string) MeshInfo {
	c := v.Config
	info := MeshInfo{
		Version: "meshagent-" + version, Algo: v.Algo, MeshIndex: v.index(v.MeshIf), MeshName: v.MeshIf, MeshMAC: v.MeshMAC,
		HardIndex: v.index(v.Primary), HardName: v.Primary, TTVN: v.TTVN, BLAGroup: v.BLAGroup, McastFlags: mcastFlags(v.McastFlags),
		Aggregation: c.Aggregation, APIsolation: c.APIsolation, Bonding: c.Bonding, BLA: c.BLA, DAT: c.DAT, Fragmentation: c.Fragmentation,
		GWDown: c.GWDown, GWUp: c.GWUp, GWMode: c.GWMode.String(), GWSelClass: c.GWSelClass, HopPenalty: c.HopPenalty,
		ForceFlood: !c.Multicast, OrigInterval: c.OrigInterval.Milliseconds(), Fanout: c.MulticastFanout,
	}
	if v.Primary != "" {
		info.HardMAC = &v.PrimaryMAC
	}
	// Behind a bridge we want all unsnoopable groups, and all groups of a
	// family for which there is no querier.
	if f := info.McastFlags; f.Unsnoopables {
		info.McastPriv = MeshMcastPriv{Bridged: true, Querier4: !f.IPv4, Querier6: !f.IPv6}
		for i, on := range []bool{true, !f.IPv4, !f.IPv6} {
			if on {
				info.McastPriv.Raw |= 1 << i
			}
		}
	}
	return info
}

func (v *meshView) originators() []MeshOriginator {
	return rows(v.Originators, func(o mesh.OriginatorStatus) MeshOriginator {
		r := MeshOriginator{HardIndex: v.index(o.Iface), HardName: o.Iface, Orig: o.MAC, Best: o.Best, LastSeen: ms(o.LastSeen), Neigh: o.Next}
		r.TQ, r.Throughput = v.metric(o.TQ, o.Throughput)
		if o.Best {
			r.Identity, r.Uplink, r.Alive = o.Identity, o.Uplink, o.Alive
		}
		if o.Best && !o.Key.IsZero() {
			r.Key = o.Key.String()
		}
		return r
	})
}

func (v *meshView) neighbours() []MeshNeighbour {
	return rows(v.Neighbours, func(n mesh.NeighbourStatus) MeshNeighbour {
		r := MeshNeighbour{HardIndex: v.index(n.Iface), HardName: n.Iface, LastSeen: ms(n.LastSeen), Neigh: n.MAC, MTU: n.MTU, Radio: n.Radio}
		_, r.Throughput = v.metric(n.TQ, n.Throughput)
		return r
	})
}

func (v *meshView) hardIfs() []MeshHardIf {
	return rows(v.Ifaces, func(i mesh.IfaceStatus) MeshHardIf {
		return MeshHardIf{
			MeshIndex: v.index(v.MeshIf), MeshName: v.MeshIf, HardIndex: v.index(i.Name), HardName: i.Name, HardMAC: i.MAC, Active: i.Active,
			HopPenalty: i.HopPenalty, ELP: ms(i.ELP), Override: i.Override,
			MTU: i.MTU, MTUNote: i.MTUNote, Problem: i.Problem, Neighbours: i.Neighbours,
			RxFrames: i.RxFrames, RxBytes: i.RxBytes, TxFrames: i.TxFrames, TxBytes: i.TxBytes, Drops: counts(i.Drops),
		}
	})
}

func (v *meshView) local() []MeshLocal {
	return rows(v.Local, func(l mesh.LocalStatus) MeshLocal {
		r := MeshLocal{Client: l.MAC, CRC: l.CRC, VID: l.VID.Print(), Flags: ttFlags(l.Flags)}
		if !r.Flags.NoPurge {
			n := ms(l.LastSeen)
			r.LastSeen = &n
		}
		return r
	})
}

func (v *meshView) global() []MeshGlobal {
	return rows(v.Global, func(g mesh.GlobalStatus) MeshGlobal {
		return MeshGlobal{Orig: g.Orig, Client: g.MAC, TTVN: g.TTVN, LastTTVN: g.LastTTVN, CRC: g.CRC, VID: g.VID.Print(), Flags: ttFlags(g.Flags), Best: g.Best}
	})
}

func (v *meshView) gateways() []MeshGateway {
	return rows(v.Gateways, func(g mesh.GatewayStatus) MeshGateway {
		r := MeshGateway{HardIndex: v.index(g.Iface), HardName: g.Iface, Orig: g.Orig, Best: g.Best, Up: g.Up, Down: g.Down, Router: g.Next}
		if v.Algo == mesh.BatmanV.String() {
			r.Throughput = &g.Throughput
		} else {
			r.TQ = &g.TQ
		}
		return r
	})
}

func (v *meshView) datCache() []MeshDAT {
	return rows(v.DAT, func(d mesh.DATStatus) MeshDAT {
		return MeshDAT{ms(d.LastSeen), netip.AddrFrom4(d.IP), d.MAC, d.VID.Print()}
	})
}

func (v *meshView) claims() []MeshClaim {
	return rows(v.Claims, func(c mesh.ClaimStatus) MeshClaim {
		return MeshClaim{c.Own, c.Client, c.VID.Print(), c.Backbone, c.CRC}
	})
}

func (v *meshView) backbones() []MeshBackbone {
	return rows(v.Backbones, func(b mesh.BackboneStatus) MeshBackbone {
		return MeshBackbone{ms(b.LastSeen), b.Own, b.VID.Print(), b.Orig, b.CRC}
	})
}

func (v *meshView) mcast() []MeshMcast {
	return rows(v.Mcast, func(m mesh.McastStatus) MeshMcast {
		r := MeshMcast{Orig: m.Orig}
		if m.Flags >= 0 {
			f := mcastFlags(uint8(m.Flags)) //nolint:gosec // a byte on the wire
			r.Flags = &f
		}
		return r
	})
}

// rows converts a list; never nil, so that JSON has [].
func rows[S, R any](list []S, f func(S) R) []R {
	out := make([]R, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}

func ms(d time.Duration) int64 { return d.Milliseconds() }

func counts(m map[string]uint64) map[string]uint64 {
	if m == nil {
		return map[string]uint64{}
	}
	return m
}

func mcastFlags(f uint8) MeshMcastFlags {
	return MeshMcastFlags{f&1 != 0, f&2 != 0, f&4 != 0, f&8 != 0, f&16 != 0, f&32 != 0, f}
}

// ttFlags reads the letters of a status. The bits are the kernel's.
// Source: batman-adv uapi/linux/batadv_packet.h, enum batadv_tt_client_flags.
func ttFlags(s string) (f MeshTTFlags) {
	for _, x := range []struct {
		letter byte
		set    *bool
		bit    uint32
	}{
		{'R', &f.Roam, 1 << 1}, {'W', &f.Wifi, 1 << 4}, {'I', &f.Isolated, 1 << 5}, {'P', &f.NoPurge, 1 << 8},
		{'N', &f.New, 1 << 9}, {'X', &f.Pending, 1 << 10}, {'T', &f.Temp, 1 << 11},
	} {
		if strings.IndexByte(s, x.letter) >= 0 {
			*x.set = true
			f.Raw |= x.bit
		}
	}
	return f
}
