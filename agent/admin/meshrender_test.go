package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mesh"
)

func mac(s string) batman.MAC {
	m, err := batman.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

// v is a MAC of the rig in which the tables below were taken from batctl.
func v(suffix string) batman.MAC { return mac("02:ba:00:00:" + suffix) }

const vlan10 = batman.VLANTag | 10

// sampleMesh is what node v1 of the rig knew, in BATMAN_IV.
func sampleMesh() mesh.Status {
	c := mesh.Default()
	return mesh.Status{
		Algo: "BATMAN_IV", MeshIf: "bat0", MeshMAC: v("01:ff"), Primary: "eth0", PrimaryMAC: v("01:00"), TTVN: 4, BLAGroup: 0xa9d9, Config: c,
		Ifaces: []mesh.IfaceStatus{
			{Name: "eth0", MAC: v("01:00"), MTU: 1500, Active: true, Neighbours: 1, RxFrames: 7, RxBytes: 700, TxFrames: 5, TxBytes: 500,
				HopPenalty: 15, ELP: 500 * time.Millisecond, Drops: map[string]uint64{"runt": 2}},
			{Name: "wlan9", MAC: v("01:01"), MTU: 1500, Problem: "no such device"},
		},
		Neighbours: []mesh.NeighbourStatus{{MAC: v("02:00"), Iface: "eth0", LastSeen: 272 * time.Millisecond, TQ: 255, Throughput: 10000}},
		Originators: []mesh.OriginatorStatus{
			{MAC: v("02:00"), Best: true, LastSeen: 200 * time.Millisecond, TQ: 255, Throughput: 10000, Next: v("02:00"), Iface: "eth0", Identity: "fc00:0000:0000:0000:0000:0000:0000:0001"},
			{MAC: v("03:00"), Best: true, LastSeen: 100_312 * time.Millisecond, TQ: 24, Throughput: 8823, Next: v("02:00"), Iface: "eth0", Identity: "-", Key: cjdns.Key{1}, Alive: true, Uplink: true},
			{MAC: v("03:00"), LastSeen: 312 * time.Millisecond, TQ: 3, Throughput: 1, Next: v("03:00"), Iface: "wlan9", Identity: "not shown"},
		},
		Local: []mesh.LocalStatus{
			{MAC: mac("02:cc:00:00:00:01"), Flags: "......", LastSeen: 1924 * time.Millisecond, CRC: 0x762740d4},
			{MAC: mac("01:00:5e:00:00:01"), Flags: ".P....", CRC: 0x762740d4},
			{MAC: v("01:ff"), VID: vlan10, Flags: ".P....", CRC: 0x5c15458b},
			{MAC: v("01:ff"), VID: batman.VLANTag, Flags: "RPNXWI", CRC: 0x8c56bb1f},
		},
		Global: []mesh.GlobalStatus{
			{MAC: v("02:ff"), VID: batman.VLANTag, Flags: "....", TTVN: 2, LastTTVN: 2, Orig: v("02:00"), CRC: 0xb8b11386, Best: true},
			{MAC: mac("01:00:5e:00:00:01"), Flags: "....", TTVN: 3, LastTTVN: 4, Orig: v("03:00"), CRC: 0x231169c7},
			{MAC: v("03:ff"), VID: vlan10, Flags: "RWIT", TTVN: 2, LastTTVN: 255, Orig: v("03:00"), CRC: 0x7b507565, Best: true},
		},
		Gateways: []mesh.GatewayStatus{{Orig: v("03:00"), Best: true, TQ: 224, Throughput: 8823, Next: v("02:00"), Iface: "eth0", Down: 200, Up: 50}},
		DAT: []mesh.DATStatus{
			{IP: [4]byte{10, 9, 10, 1}, MAC: v("01:ff"), VID: vlan10, LastSeen: 28_500 * time.Millisecond},
			{IP: [4]byte{10, 9, 0, 57}, MAC: mac("02:cc:00:00:00:01"), LastSeen: 62 * time.Second},
			{IP: [4]byte{10, 9, 0, 3}, MAC: v("03:ff"), LastSeen: 2 * time.Second},
		},
		Claims: []mesh.ClaimStatus{
			{Client: mac("02:cc:00:00:00:77"), Backbone: v("01:00"), Own: true, CRC: 0x8f2},
			{Client: mac("02:cc:00:00:00:78"), VID: vlan10, Backbone: v("02:00"), CRC: 0xabcd},
		},
		Backbones: []mesh.BackboneStatus{
			{Orig: v("01:00"), Own: true, LastSeen: time.Second, CRC: 0x8f2},
			{Orig: v("02:00"), VID: vlan10, LastSeen: 4356 * time.Millisecond, CRC: 0xabcd},
		},
		Mcast:      []mesh.McastStatus{{Orig: v("02:00"), Flags: 0x27}, {Orig: v("03:00"), Flags: 0x38}, {Orig: v("04:00"), Flags: -1}},
		McastFlags: 0x38,
		Drops:      map[string]uint64{"runt": 2, "bla": 1},
		Counters:   map[string]uint64{"rx": 7, "tx": 5, "dat_get_tx": 1, "route_changes": 3},
	}
}

func sampleMeshV() mesh.Status {
	s := sampleMesh()
	s.Algo = "BATMAN_V"
	s.Config.Algo = mesh.BatmanV
	return s
}

// batctl prints all tables of s, those of a mesh of the kernel's version.
func batctlTables(s mesh.Status, style MeshStyle) map[string]string {
	out := map[string]string{}
	view := newMeshView(s)
	info := view.info("")
	info.Version = "2024.2"
	table := func(name string, write func(b *strings.Builder)) {
		var b strings.Builder
		write(&b)
		out[name] = b.String()
	}
	table("o", func(b *strings.Builder) { WriteMeshOriginators(b, info, view.originators(), style) })
	table("n", func(b *strings.Builder) { WriteMeshNeighbours(b, info, view.neighbours(), style) })
	table("if", func(b *strings.Builder) { WriteMeshInterfaces(b, info, view.hardIfs(), style) })
	table("tl", func(b *strings.Builder) { WriteMeshLocal(b, info, view.local(), style) })
	table("tg", func(b *strings.Builder) { WriteMeshGlobal(b, info, view.global(), style) })
	table("gwl", func(b *strings.Builder) { WriteMeshGateways(b, info, view.gateways(), style) })
	table("dc", func(b *strings.Builder) { WriteMeshDAT(b, info, view.datCache(), style) })
	table("cl", func(b *strings.Builder) { WriteMeshClaims(b, info, view.claims(), style) })
	table("bbt", func(b *strings.Builder) { WriteMeshBackbones(b, info, view.backbones(), style) })
	table("mf", func(b *strings.Builder) { WriteMeshMcast(b, info, view.mcast(), style) })
	return out
}

// The lines are those that batctl printed in the rig, or are made of its
// formats where the rig had no such entry. Originators have the identity behind
// them, which batctl does not know.
func TestTablesAreThoseOfBatctl(t *testing.T) {
	const head = "[B.A.T.M.A.N. adv 2024.2, MainIF/MAC: eth0/02:ba:00:00:01:00 (bat0/02:ba:00:00:01:ff BATMAN_IV)"
	got := batctlTables(sampleMesh(), MeshStyle{})
	for name, want := range map[string]string{
		"o": head + `]
   Originator        last-seen (#/255) Nexthop           [outgoingIF]
 * 02:ba:00:00:02:00    0.200s   (255) 02:ba:00:00:02:00 [      eth0] fc00:0000:0000:0000:0000:0000:0000:0001
 * 02:ba:00:00:03:00  100.312s   ( 24) 02:ba:00:00:02:00 [      eth0] -
   02:ba:00:00:03:00    0.312s   (  3) 02:ba:00:00:03:00 [     wlan9]
`,
		"n": head + `]
IF             Neighbor              last-seen
         eth0	  02:ba:00:00:02:00    0.272s
`,
		"if": "eth0: active\nwlan9: inactive (no such device)\n",
		"tl": head + `, TTVN: 4]
Client             VID Flags    Last seen (CRC       )
02:cc:00:00:00:01   -1 [......]   1.924   (0x762740d4)
01:00:5e:00:00:01   -1 [.P....]   0.000   (0x762740d4)
02:ba:00:00:01:ff   10 [.P....]   0.000   (0x5c15458b)
02:ba:00:00:01:ff    0 [RPNXWI]   0.000   (0x8c56bb1f)
`,
		"tg": head + `]
   Client             VID Flags Last ttvn     Via        ttvn  (CRC       )
 * 02:ba:00:00:02:ff    0 [....] (  2) 02:ba:00:00:02:00 (  2) (0xb8b11386)
   01:00:5e:00:00:01   -1 [....] (  3) 02:ba:00:00:03:00 (  4) (0x231169c7)
 * 02:ba:00:00:03:ff   10 [RWIT] (  2) 02:ba:00:00:03:00 (255) (0x7b507565)
`,
		"gwl": head + `]
  Router            ( TQ) Next Hop          [outgoingIf]  Bandwidth
* 02:ba:00:00:03:00 (224) 02:ba:00:00:02:00 [      eth0]: 20.0/5.0 MBit
`,
		"dc": head + `]
Distributed ARP Table (bat0):
          IPv4             MAC        VID   last-seen
 *       10.9.10.1 02:ba:00:00:01:ff   10      0:28
 *       10.9.0.57 02:cc:00:00:00:01   -1      1:02
 *        10.9.0.3 02:ba:00:00:03:ff   -1      0:02
`,
		"cl": head + `, group id: 0xa9d9]
Client               VID      Originator        [o] (CRC   )
02:cc:00:00:00:77 on    -1 by 02:ba:00:00:01:00 [*] (0x08f2)
02:cc:00:00:00:78 on    10 by 02:ba:00:00:02:00 [ ] (0xabcd)
`,
		"bbt": head + `, group id: 0xa9d9]
Originator           VID   last seen (CRC   )
02:ba:00:00:02:00 on    10    4.356s (0xabcd)
`,
		"mf": head + `]
Multicast flags (own flags: [.... . .])
* Bridged [U]				.
* No IGMP/MLD Querier [4/6]:		?/?
* Shadowing IGMP/MLD Querier [4/6]:	?/?
-------------------------------------------
       Originator Flags
02:ba:00:00:02:00 [U46R4R6.]
02:ba:00:00:03:00 [.... . .]
02:ba:00:00:04:00 -
`,
	} {
		equal(t, got[name], want)
	}
}

func TestTablesOfBatmanV(t *testing.T) {
	const head = "[B.A.T.M.A.N. adv 2024.2, MainIF/MAC: eth0/02:ba:00:00:01:00 (bat0/02:ba:00:00:01:ff BATMAN_V)]\n"
	got := batctlTables(sampleMeshV(), MeshStyle{})
	equal(t, got["o"], head+`   Originator        last-seen ( throughput)  Nexthop           [outgoingIF]
 * 02:ba:00:00:02:00    0.200s (     1000.0) 02:ba:00:00:02:00 [      eth0] fc00:0000:0000:0000:0000:0000:0000:0001
 * 02:ba:00:00:03:00  100.312s (      882.3) 02:ba:00:00:02:00 [      eth0] -
   02:ba:00:00:03:00    0.312s (        0.1) 02:ba:00:00:03:00 [     wlan9]
`)
	equal(t, got["n"], head+`         Neighbor   last-seen      speed           IF
02:ba:00:00:02:00    0.272s (     1000.0) [      eth0]
`)
	equal(t, got["gwl"], head+`  Router            ( throughput) Next Hop          [outgoingIf]  Bandwidth
* 02:ba:00:00:03:00 (      882.3) 02:ba:00:00:02:00 [      eth0]: 20.0/5.0 MBit
`)
}

func TestMeshStyle(t *testing.T) {
	s := sampleMesh()
	names := func(m batman.MAC) string {
		return map[batman.MAC]string{v("02:00"): "roof", v("03:00"): "a_name_of_more_than_17"}[m]
	}
	equal(t, batctlTables(s, MeshStyle{Names: names, NoHeader: true})["o"], `
 *              roof    0.200s   (255)              roof [      eth0] fc00:0000:0000:0000:0000:0000:0000:0001
 * a_name_of_more_than_17  100.312s   ( 24)              roof [      eth0] -
   a_name_of_more_than_17    0.312s   (  3) a_name_of_more_than_17 [     wlan9]
`)
	s.Primary, s.PrimaryMAC, s.Originators = "", batman.MAC{}, nil
	equal(t, batctlTables(s, MeshStyle{})["o"], "BATMAN mesh bat0 disabled\n")
	s = sampleMesh()
	s.McastFlags = 0x3 // behind a bridge with a querier for IPv6 only
	if got := batctlTables(s, MeshStyle{})["mf"]; !strings.Contains(got, "own flags: [U4.R4R6P])\n* Bridged [U]\t\t\t\tU\n* No IGMP/MLD Querier [4/6]:\t\t4/.\n* Shadowing IGMP/MLD Querier [4/6]:\t./.\n") {
		t.Error(got)
	}
}

func TestMeshStatisticsText(t *testing.T) {
	var b strings.Builder
	s := sampleMesh()
	WriteMeshStatistics(&b, MeshStatistics{s.Counters, s.Drops})
	equal(t, b.String(), "\ttx: 5\n\trx: 7\n\tdat_get_tx: 1\n\troute_changes: 3\n\tdrop bla: 1\n\tdrop runt: 2\n")
}

func TestMeshRate(t *testing.T) {
	for _, tc := range []struct {
		bytes, millis uint64
		want          string
	}{
		{10478124, 740, "13.50 MB/s (113.28 Mbps)"}, // as batctl printed it
		{0, 1000, "0 Bytes/s (0 bps)"}, {1024, 1000, "1024 Bytes/s (8192 bps)"}, {2048, 1000, "2.00 KB/s (16.38 Kbps)"},
		{2 << 30, 1000, "2.00 GB/s (17.18 Gbps)"}, {5, 0, "inf"},
	} {
		if got := meshRate(tc.bytes, tc.millis); got != tc.want {
			t.Errorf("%d bytes in %d ms: %s, want %s", tc.bytes, tc.millis, got, tc.want)
		}
	}
}

// The keys, their order and their kinds are those of batctl's JSON queries.
func TestMeshJSON(t *testing.T) {
	iv, five := newMeshView(sampleMesh()), newMeshView(sampleMeshV())
	for _, view := range []*meshView{iv, five} {
		view.indices = map[string]int{"bat0": 5, "eth0": 2, "wlan9": 0}
	}
	const unset = `"del":false,"roam":false,"wifi":false,"isolated":false,"nopurge":false,"new":false,"pending":false,"temp":false,"raw":0`
	for _, tc := range []struct {
		name string
		row  any
		want string
	}{
		{"originator", iv.originators()[0],
			`{"hard_ifindex":2,"hard_ifname":"eth0","orig_address":"02:ba:00:00:02:00","best":true,"last_seen_msecs":200,"neigh_address":"02:ba:00:00:02:00","tq":255,"identity":"fc00:0000:0000:0000:0000:0000:0000:0001"}`},
		{"not the best", iv.originators()[2],
			`{"hard_ifname":"wlan9","orig_address":"02:ba:00:00:03:00","last_seen_msecs":312,"neigh_address":"02:ba:00:00:03:00","tq":3}`},
		{"originator of V", five.originators()[1],
			`{"hard_ifindex":2,"hard_ifname":"eth0","orig_address":"02:ba:00:00:03:00","best":true,"last_seen_msecs":100312,"neigh_address":"02:ba:00:00:02:00","throughput":882300,"identity":"-","identity_key":"1000000000000000000000000000000000000000000000000000.k","identity_uplink":true,"identity_alive":true}`},
		{"neighbour", iv.neighbours()[0], `{"hard_ifindex":2,"hard_ifname":"eth0","last_seen_msecs":272,"neigh_address":"02:ba:00:00:02:00"}`},
		{"neighbour whose link was measured", MeshNeighbour{HardName: "eth0", MTU: 1504}, `{"hard_ifname":"eth0","last_seen_msecs":0,"neigh_address":"00:00:00:00:00:00","mtu":1504}`},
		{"interface with a driver that caps", MeshHardIf{MTU: 1500, MTUNote: "driver caps at 1500"},
			`{"mesh_ifname":"","hard_ifname":"","hard_address":"00:00:00:00:00:00","hop_penalty":0,"elp_interval":0,"throughput_override":0,"mtu":1500,"mtu_note":"driver caps at 1500",` +
				`"neighbours":0,"rx_frames":0,"rx_bytes":0,"tx_frames":0,"tx_bytes":0,"drops":null}`},
		{"neighbour of V", five.neighbours()[0], `{"hard_ifindex":2,"hard_ifname":"eth0","last_seen_msecs":272,"neigh_address":"02:ba:00:00:02:00","throughput":1000000}`},
		{"interface", iv.hardIfs()[0],
			`{"mesh_ifindex":5,"mesh_ifname":"bat0","hard_ifindex":2,"hard_ifname":"eth0","hard_address":"02:ba:00:00:01:00","active":true,"hop_penalty":15,"elp_interval":500,` +
				`"throughput_override":0,"mtu":1500,"neighbours":1,"rx_frames":7,"rx_bytes":700,"tx_frames":5,"tx_bytes":500,"drops":{"runt":2}}`},
		{"interface that is not there", iv.hardIfs()[1],
			`{"mesh_ifindex":5,"mesh_ifname":"bat0","hard_ifname":"wlan9","hard_address":"02:ba:00:00:01:01","hop_penalty":0,"elp_interval":0,` +
				`"throughput_override":0,"mtu":1500,"problem":"no such device","neighbours":0,"rx_frames":0,"rx_bytes":0,"tx_frames":0,"tx_bytes":0,"drops":{}}`},
		{"local", iv.local()[0], `{"tt_address":"02:cc:00:00:00:01","tt_crc32":1982283988,"tt_vid":-1,"tt_flags":{` + unset + `},"last_seen_msecs":1924}`},
		{"local with flags", iv.local()[3],
			`{"tt_address":"02:ba:00:00:01:ff","tt_crc32":2354494239,"tt_vid":0,"tt_flags":{"del":false,"roam":true,"wifi":true,"isolated":true,"nopurge":true,"new":true,"pending":true,"temp":false,"raw":1842}}`},
		{"global", iv.global()[2],
			`{"orig_address":"02:ba:00:00:03:00","tt_address":"02:ba:00:00:03:ff","tt_ttvn":2,"tt_last_ttvn":255,"tt_crc32":2068870501,"tt_vid":10,` +
				`"tt_flags":{"del":false,"roam":true,"wifi":true,"isolated":true,"nopurge":false,"new":false,"pending":false,"temp":true,"raw":2098},"best":true}`},
		{"gateway", iv.gateways()[0],
			`{"hard_ifindex":2,"hard_ifname":"eth0","orig_address":"02:ba:00:00:03:00","best":true,"tq":224,"bandwidth_up":50,"bandwidth_down":200,"router":"02:ba:00:00:02:00"}`},
		{"gateway of V", five.gateways()[0],
			`{"hard_ifindex":2,"hard_ifname":"eth0","orig_address":"02:ba:00:00:03:00","best":true,"throughput":8823,"bandwidth_up":50,"bandwidth_down":200,"router":"02:ba:00:00:02:00"}`},
		{"arp", iv.datCache()[0], `{"last_seen_msecs":28500,"dat_cache_ip4address":"10.9.10.1","dat_cache_hwaddress":"02:ba:00:00:01:ff","dat_cache_vid":10}`},
		{"claim", iv.claims()[0], `{"bla_own":true,"bla_address":"02:cc:00:00:00:77","bla_vid":-1,"bla_backbone":"02:ba:00:00:01:00","bla_crc":2290}`},
		{"backbone", iv.backbones()[1], `{"last_seen_msecs":4356,"bla_vid":10,"bla_backbone":"02:ba:00:00:02:00","bla_crc":43981}`},
		{"multicast", iv.mcast()[1],
			`{"orig_address":"02:ba:00:00:03:00","mcast_flags":{"all_unsnoopables":false,"want_all_ipv4":false,"want_all_ipv6":false,"want_no_rtr_ipv4":true,"want_no_rtr_ipv6":true,"have_mc_ptype_capa":true,"raw":56}}`},
		{"silent about multicast", iv.mcast()[2], `{"orig_address":"02:ba:00:00:04:00"}`},
		{"mesh", five.info("1.2.3"),
			`{"version":"meshagent-1.2.3","algo_name":"BATMAN_V","mesh_ifindex":5,"mesh_ifname":"bat0","mesh_address":"02:ba:00:00:01:ff","hard_ifindex":2,"hard_ifname":"eth0","hard_address":"02:ba:00:00:01:00",` +
				`"tt_ttvn":4,"bla_crc":43481,"mcast_flags":{"all_unsnoopables":false,"want_all_ipv4":false,"want_all_ipv6":false,"want_no_rtr_ipv4":true,"want_no_rtr_ipv6":true,"have_mc_ptype_capa":true,"raw":56},` +
				`"mcast_flags_priv":{"bridged":false,"querier_ipv4_exists":false,"querier_ipv6_exists":false,"querier_ipv4_shadowing":false,"querier_ipv6_shadowing":false,"raw":0},` +
				`"aggregated_ogms_enabled":true,"ap_isolation_enabled":false,"isolation_mark":0,"isolation_mask":0,"bonding_enabled":false,"bridge_loop_avoidance_enabled":true,"distributed_arp_table_enabled":true,"fragmentation_enabled":true,` +
				`"gw_bandwidth_down":100,"gw_bandwidth_up":20,"gw_mode":"off","gw_sel_class":20,"hop_penalty":30,"multicast_forceflood_enabled":false,"orig_interval":1000,"multicast_fanout":16}`},
	} {
		got, err := json.Marshal(tc.row)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %v\n%s, want\n%s", tc.name, err, got, tc.want)
		}
	}
}
