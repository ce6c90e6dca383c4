package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
)

func TestParseMesh(t *testing.T) {
	c, warnings, err := parseText(t, `
config hardif 'radio'
	list device 'wlan0'
	list device 'phy1-mesh0'
	option hop_penalty '15'
	option mtu 1532
config mesh 'mesh0'
	option gw_sel_class 1500
	option routing_algo 'batman_v'
	option orig_interval 200
	option hop_penalty 0
	option aggregated_ogms 0
	option bonding on
	option fragmentation 0
	option ap_isolation 1
	option bridge_loop_avoidance 0
	option distributed_arp_table 0
	option multicast_mode 0
	option multicast_fanout 4
	option gw_mode server
	option gw_bandwidth '5mbit/1024'
	option isolation_mark '0x12345678/ff'
	option log_level 'routes tt'
	option mac '02-BA-00-00-00-0A'
	option mtu 1400
	option enabled 0
	option network_coding 0
	option require_signed all
	option identity_type 200
	option overlay_type 69
	option admit list
	list allow '`+keyA+`'
	list allow '`+keyB+`'
	list allow '`+keyA+`'
config hardif
	option device 'eth0 eth1'
	option master 'mesh0'
	option elp_interval 250
	option throughput_override '100mbit'
	option enabled off
`)
	if err != nil || len(warnings) != 1 || warnings[0].Key != "isolation_mark" {
		t.Fatalf("%v, %v", warnings, err)
	}
	mesh := Mesh{
		Name: "mesh0", MAC: [6]byte{2, 0xba, 0, 0, 0, 10}, MTU: 1400,
		Algo: BatmanV, OrigInterval: 200 * time.Millisecond, Bonding: true, APIsolation: true, MulticastFanout: 4,
		GWMode: GWServer, GWSelClass: 15, GWDown: 50, GWUp: 10,
		IsolationMark: 0x78, IsolationMask: 0xff, Log: MeshLogRoutes | MeshLogTT,
		Identity: true, RequireSigned: SignAll, IdentityType: 200, OverlayType: 69, Admit: AdmitList, Allow: []cjdns.Key{mustKey(t, keyA), mustKey(t, keyB)},
	}
	if !reflect.DeepEqual(c.Mesh, mesh) {
		t.Errorf("mesh\n%+v, want\n%+v", c.Mesh, mesh)
	}
	half := 500 * time.Millisecond
	want := []HardIf{
		{"radio", true, "wlan0", "mesh0", 15, half, 0, 1532, nil},
		{"radio", true, "phy1-mesh0", "mesh0", 15, half, 0, 1532, nil},
		{"@hardif[1]", false, "eth0", "mesh0", 0, half / 2, 1000, 0, nil},
		{"@hardif[1]", false, "eth1", "mesh0", 0, half / 2, 1000, 0, nil},
	}
	if !reflect.DeepEqual(c.HardIfs, want) {
		t.Errorf("hard interfaces\n%+v, want\n%+v", c.HardIfs, want)
	}
}

func TestMeshDefaults(t *testing.T) {
	c, warnings, err := parseText(t, "config mesh\nconfig hardif\noption device eth0\n")
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	want := Mesh{
		Name: "bat0", Enabled: true, MTU: 1500, OrigInterval: time.Second, HopPenalty: 30, Aggregation: true,
		Fragmentation: true, BLA: true, DAT: true, Multicast: true, MulticastFanout: 16, GWSelClass: 20, GWDown: 100, GWUp: 20,
		Identity: true, RequireSigned: SignOverlay, IdentityType: 198, OverlayType: 109,
	}
	if !reflect.DeepEqual(c.Mesh, want) {
		t.Errorf("%+v, want\n%+v", c.Mesh, want)
	}
	if c, _, _ := parseText(t, ""); !reflect.DeepEqual(c.Mesh, Mesh{}) {
		t.Errorf("without a section: %+v", c.Mesh)
	}
	if c, _, _ := parseText(t, "config mesh\noption algo BATMAN_V\nconfig hardif\noption device e\n"); c.Mesh.GWSelClass != 50 {
		t.Errorf("selection class of BATMAN_V: %d", c.Mesh.GWSelClass)
	}
}

func TestParseMeshErrors(t *testing.T) {
	mesh := "config mesh bat0\nconfig hardif\noption device e0\n"
	for _, tc := range []struct{ name, text, want string }{
		{"algorithm", "config mesh\noption algo olsr\n", "f:2: option 'algo': expected BATMAN_IV or BATMAN_V, found 'olsr'"},
		{"interval", "config mesh\noption orig_interval 39\n", "f:2: option 'orig_interval': expected milliseconds from 40 to 60000, found '39'"},
		{"hop penalty", "config mesh\noption hop_penalty 256\n", "f:2: option 'hop_penalty': expected a number from 0 to 255, found '256'"},
		{"mtu", "config mesh\noption mtu 1501\n", "f:2: option 'mtu': expected a number from 576 to 1500, found '1501'"},
		{"mac", "config mesh\noption mac 01:00:00:00:00:01\n", "f:2: option 'mac': expected the MAC of one device, such as 02:00:00:00:00:01, found '01:00:00:00:00:01'"},
		{"gateway mode", "config mesh\noption gw_mode both\n", "f:2: option 'gw_mode': expected off, client or server, found 'both'"},
		{"bandwidth", "config mesh\noption gw_bandwidth '2.5mbit'\n",
			"f:2: option 'gw_bandwidth': expected DOWN/UP or DOWN, such as 10mbit/2mbit or 10000kbit/2000kbit, at least 100kbit, found '2.5mbit'"},
		{"upload", "config mesh\noption gw_bandwidth '2mbit/'\n",
			"f:2: option 'gw_bandwidth': expected DOWN/UP or DOWN, such as 10mbit/2mbit or 10000kbit/2000kbit, at least 100kbit, found '2mbit/'"},
		{"class of IV", "config mesh\noption gw_sel_class 1mbit\n", "f:2: option 'gw_sel_class': expected a number from 1 to 256, found '1mbit'"},
		{"class of V", "config mesh\noption gw_sel_class x\noption algo BATMAN_V\n",
			"f:2: option 'gw_sel_class': expected a whole number of kbit/s, or with a unit such as 10000kbit or 10mbit, found 'x'"},
		{"mark", "config mesh\noption isolation_mark 1/2/3\n", "f:2: option 'isolation_mark': expected MARK or MARK/MASK, such as 0x00000001/0x0000000f, found '1/2/3'"},
		{"log", "config mesh\noption log_level 'tt loud'\n",
			"f:2: option 'log_level': expected a number, none, all, or some of batman, routes, tt, bla, dat, nc, mcast, tp; found 'loud'"},
		{"two", "config mesh a\nconfig mesh b\n", "f:2: a second mesh 'b'; expected one section 'mesh': 'a' is in line 1"},
		{"two without a name", "config mesh\nconfig mesh\n", "f:2: expected one section 'mesh'; the first is in line 1"},
		{"long name", "config mesh a_name_of_a_mesh\n",
			"f:1: the name of the section is that of the mesh device: expected the name of a network device, 1 to 15 characters, found 'a_name_of_a_mesh'"},
		{"name of the tun", "config mesh tunmesh0\n", "f:1: 'tunmesh0' is the agent's TUN device; expected another name for the mesh device"},
		{"no device", "config mesh\nconfig hardif x\n", "f:2: option 'device': missing in section 'x'; expected the name of a network device"},
		{"loopback", "config mesh\nconfig hardif\noption device lo\n", "f:3: option 'device': expected a device with neighbours; lo is the host itself"},
		{"empty device", "config mesh\nconfig hardif\noption device ''\n",
			"f:3: option 'device': expected the name of a network device, 1 to 15 characters, found ''"},
		{"twice", mesh + "config hardif\nlist device e1\nlist device e0\n", "f:4: option 'device': 'e0' is used in line 2 already"},
		{"twice in one list", "config mesh\nconfig hardif\noption device 'e0 e0'\n", "f:2: option 'device': 'e0' is used in line 2 already"},
		{"itself", "config mesh\nconfig hardif\noption device bat0\n", "f:2: option 'device': 'bat0' is the mesh device itself; expected a device below the mesh"},
		{"tun", "config mesh\nconfig hardif\noption device tunmesh0\n",
			"f:2: option 'device': 'tunmesh0' is the agent's own TUN device; expected an Ethernet or Wi-Fi device"},
		{"other mesh", mesh + "option mesh bat1\n", "f:2: option 'mesh': there is no section \"mesh 'bat1'\"; expected 'bat0'"},
		{"no such mesh", "config hardif\noption device e\noption master bat1\n", "f:1: option 'mesh': there is no section \"mesh 'bat1'\""},
		{"no mesh", "config hardif\noption device e\n",
			"f:1: there is no section 'mesh' that 'e' could belong to; expected one, such as: config mesh 'bat0'"},
		{"override", mesh + "option throughput_override fast\n",
			"f:4: option 'throughput_override': expected a whole number of kbit/s, or with a unit such as 10000kbit or 10mbit, found 'fast'"},
		{"policy", "config mesh\noption require_signed some\n", "f:2: option 'require_signed': expected off, overlay or all, found 'some'"},
		{"identity type", "config mesh\noption identity_type 6\n", "f:2: option 'identity_type': expected a number from 128 to 255, found '6'"},
		{"overlay type", "config mesh\noption overlay_type 64\n", "f:2: option 'overlay_type': expected a number from 69 to 127, found '64'"},
		{"admit", "config mesh\noption admit all\n", "f:2: option 'admit': expected any, community or list, found 'all'"},
		{"allow", "config mesh\nlist allow fc00::1\n", "f:2: option 'allow': expected a public key, 52 base32 characters and .k, found 'fc00::1'"},
		{"all without identity", "config mesh\noption require_signed all\noption identity 0\n",
			"f:2: option 'require_signed': 'all' needs identities; expected overlay or off, or identity 1"},
		{"community without identity", "config mesh\noption identity 0\noption admit community\n",
			"f:3: option 'admit': 'community' needs identities; expected identity 1, or no option 'admit'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := parseText(t, tc.text)
			if err == nil || err.Error() != tc.want {
				t.Errorf("error\n%v, want\n%s", err, tc.want)
			}
		})
	}
}

func TestMeshWarnings(t *testing.T) {
	_, warnings, err := parseText(t, "config mesh\noption network_coding 1\noption isolation_mark 1\n")
	want := "f:1: no section 'hardif'; the mesh 'bat0' has no interface to run on\n" +
		"f:2: option 'network_coding': not supported; the mesh works without it\n" +
		"f:3: option 'isolation_mark': not supported: marks of packets are only seen inside the kernel"
	if err != nil || Problems(warnings).Error() != want {
		t.Errorf("%v, %v", Problems(warnings).Error(), err)
	}
	for text, want := range map[string]string{
		"option admit list\n":         "f:2: option 'admit': the list is empty: nobody peers over the mesh without a password; expected: list allow KEY.k",
		"list allow '" + keyA + "'\n": "f:2: option 'allow': has no effect without option admit 'list'",
	} {
		_, warnings, err := parseText(t, "config mesh\n"+text+"config hardif\noption device e\n")
		if err != nil || Problems(warnings).Error() != want {
			t.Errorf("%v, %v", Problems(warnings).Error(), err)
		}
	}
}

func TestParseRates(t *testing.T) {
	for _, tc := range []struct {
		text     string
		down, up uint32 // 0: refused
	}{
		{"10000", 100, 20}, {"10mbit", 100, 20}, {"10MBit/2MBit", 100, 20}, {"10000kbit/2000kbit", 100, 20}, {"5mbit/1024kbit", 50, 10},
		{"100", 1, 1}, {"1mbit/0", 10, 1}, {"99", 0, 0}, {"0", 0, 0}, {"", 0, 0}, {"mbit", 0, 0}, {"-1", 0, 0}, {"1 mbit", 0, 0},
		{"1gbit", 0, 0}, {"429496729mbit", 4294967290, 858993458}, {"429496730mbit", 0, 0}, {"4294967296", 0, 0}, {"/1", 0, 0},
	} {
		down, up, err := parseBandwidth(tc.text)
		switch {
		case tc.down == 0 && err == nil:
			t.Errorf("%q is %d/%d, expected an error", tc.text, down, up)
		case tc.down != 0 && (err != nil || down != tc.down || up != tc.up):
			t.Errorf("%q is %d/%d, %v; want %d/%d", tc.text, down, up, err, tc.down, tc.up)
		}
	}
	if got := FormatRate(8823); got != "882.3" {
		t.Error(got)
	}
}

func TestMeshLog(t *testing.T) {
	for _, tc := range []struct {
		text string
		want MeshLog
		back string
	}{
		{"none", 0, "none"}, {"", 0, "none"}, {"all", MeshLogAll, "all"}, {"255", MeshLogAll, "all"}, {"0x5", MeshLogBatman | MeshLogTT, "batman tt"},
		{"tp mcast", 0xc0, "mcast tp"}, {"nc", 0, "none"}, {"tt none", 0, "none"},
	} {
		got, err := parseMeshLog(tc.text)
		if err != nil || got != tc.want || got.String() != tc.back {
			t.Errorf("%q is %#x %q, %v; want %#x %q", tc.text, uint32(got), got, err, uint32(tc.want), tc.back)
		}
	}
}

func TestMeshDiff(t *testing.T) {
	parse := func(text string) Config {
		t.Helper()
		c, _, err := parseText(t, text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	none := parse("")
	before := parse("config mesh bat0\nconfig hardif a\nlist device e0\nlist device e1\n")
	after := parse("config hardif b\noption device e1\noption hop_penalty 5\nconfig hardif c\noption device e2\nconfig mesh bat0\noption gw_mode server\noption gw_bandwidth 20mbit\n")
	renamed := parse("config mesh bat1\nconfig hardif a\nlist device e0\nlist device e1\n")
	for _, tc := range []struct {
		name     string
		from, to Config
		changes  []Change
	}{
		{name: "same", from: before, to: before},
		{name: "appears", from: none, to: before, changes: []Change{
			{Kind: "mesh", Action: Added, Section: "bat0", Old: -1},
			{Kind: "hardif", Action: Added, Section: "a", Name: "e0", Old: -1},
			{Kind: "hardif", Action: Added, Section: "a", Name: "e1", Old: -1, New: 1},
		}},
		{name: "changes", from: before, to: after, changes: []Change{
			{Kind: "hardif", Action: Removed, Section: "a", Name: "e0", New: -1},
			{Kind: "mesh", Action: Changed, Section: "bat0", Options: []string{"gw_mode", "gw_bandwidth"}},
			{Kind: "hardif", Action: Changed, Section: "b", Name: "e1", Options: []string{"hop_penalty"}, Old: 1},
			{Kind: "hardif", Action: Added, Section: "c", Name: "e2", Old: -1, New: 1},
		}},
		{name: "renamed", from: before, to: renamed, changes: []Change{
			{Kind: "mesh", Action: Removed, Section: "bat0", New: -1},
			{Kind: "hardif", Action: Changed, Section: "a", Name: "e0", Options: []string{"mesh"}},
			{Kind: "hardif", Action: Changed, Section: "a", Name: "e1", Options: []string{"mesh"}, Old: 1, New: 1},
			{Kind: "mesh", Action: Added, Section: "bat1", Old: -1},
		}},
	} {
		if got := Diff(tc.from, tc.to); !reflect.DeepEqual(got, tc.changes) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", tc.name, got, tc.changes)
		}
	}
}

// TestMeshDiffKnowsEveryOption changes one field after the other.
func TestMeshDiffKnowsEveryOption(t *testing.T) {
	change := func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		case reflect.Array:
			change0 := v.Index(0)
			change0.SetUint(change0.Uint() + 1)
		case reflect.Int, reflect.Int64:
			v.SetInt(v.Int() + 1)
		case reflect.Pointer: // Radio, whose fields have a test of their own
			v.Set(reflect.New(v.Type().Elem()))
		default:
			v.SetUint(v.Uint() + 1)
		}
	}
	base := defaultMesh()
	for i := range reflect.TypeFor[Mesh]().NumField() {
		m := base
		change(reflect.ValueOf(&m).Elem().Field(i))
		if name := reflect.TypeFor[Mesh]().Field(i).Name; name != "Name" && len(meshDiff(base, m)) != 1 {
			t.Errorf("a change of Mesh.%s gives %v", name, meshDiff(base, m))
		}
	}
	for i := range reflect.TypeFor[HardIf]().NumField() {
		var h HardIf
		change(reflect.ValueOf(&h).Elem().Field(i))
		if name := reflect.TypeFor[HardIf]().Field(i).Name; name != "Section" && name != "Device" && len(hardIfDiff(HardIf{}, h)) != 1 {
			t.Errorf("a change of HardIf.%s gives %v", name, hardIfDiff(HardIf{}, h))
		}
	}
}

// TestMeshOfOpenWrt reads the options of a network file's "batadv" sections
// as they stand there.
func TestMeshOfOpenWrt(t *testing.T) {
	text := strings.Join([]string{
		"config mesh 'bat0'", "routing_algo BATMAN_IV", "aggregated_ogms 1", "ap_isolation 0", "bonding 0", "bridge_loop_avoidance 1",
		"distributed_arp_table 1", "fragmentation 1", "gw_mode client", "gw_bandwidth '10000kbit/2000kbit'", "gw_sel_class 20",
		"hop_penalty 30", "isolation_mark 0x00000000/0x00000000", "log_level 0", "multicast_mode 1", "multicast_fanout 16", "network_coding 0", "orig_interval 1000",
	}, "\n\toption ")
	text += "\nconfig hardif 'mesh0'\n\toption device 'wlan0'\n\toption master 'bat0'\n\toption elp_interval 500\n\toption hop_penalty 15\n\toption throughput_override 0\n"
	c, warnings, err := parseText(t, text)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	want := defaultMesh()
	want.GWMode, want.GWSelClass = GWClient, 20
	if !reflect.DeepEqual(c.Mesh, want) {
		t.Errorf("%+v, want\n%+v", c.Mesh, want)
	}
}
