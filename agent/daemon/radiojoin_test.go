package daemon

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/config"
	"github.com/meshagent/meshagent/agent/kernel"
)

// radioRig is one section "wifi" on a host with radios.
type radioRig struct {
	*fakeAir
	m *meshRun
	h *hardIf
}

func newRadioRig(t *testing.T, c config.HardIf, phys ...fakeRadio) *radioRig {
	k := &fakeAir{t: t, phys: phys}
	k.install()
	d := &Daemon{log: slog.New(slog.DiscardHandler)}
	d.meshLog = newMeshLog(d.log)
	old := netifdPath
	netifdPath = filepath.Join(t.TempDir(), "wireless")
	t.Cleanup(func() { netifdPath = old })
	r := &radioRig{k, &meshRun{d: d}, &hardIf{cfg: c, device: c.Device}}
	r.m.ifs = []*hardIf{r.h}
	return r
}

func section(r config.Radio) config.HardIf {
	r.Width = 20
	return config.HardIf{Device: "wmesh0", Radio: &r}
}

// check looks at the radio now, whatever pause there is.
func (r *radioRig) check() error {
	r.h.radio.next = time.Time{}
	devs := r.links()
	return r.m.checkRadio(r.h, &devs)
}

func (r *radioRig) want(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want %q", err, text)
	}
}

func (r *radioRig) did(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.fakeAir.did, want) {
		t.Errorf("done: %q, want %q", r.fakeAir.did, want)
	}
	r.fakeAir.did = nil
}

var radio0 = fakeRadio{"phy0", types(ap, sta, mp, adhoc), [6]byte{2, 0, 0, 0, 0, 1}}

func TestRadioIsMade(t *testing.T) {
	r := newRadioRig(t, section(config.Radio{MeshID: "street", Made: true}), radio0)
	r.add("wlan0", 0, sta, false)
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	// The second is made with an address of its own.
	r.did(t, "new wmesh0", "del wmesh0", "new wmesh0", "join street wmesh0")
	f := r.byName("wmesh0")
	if f.Type != mp || f.MHz != 2412 || f.MAC == radio0.mac || f.MAC[0]&3 != 2 || !r.h.radio.made || r.h.wantMTU() != config.DefaultRadioMTU {
		t.Errorf("interface %+v, state %+v", f, r.h.radio)
	}
	if err := r.check(); err != nil {
		t.Error(err)
	}
	r.did(t)
	f.Name = "air" // somebody renames it
	if err := r.check(); err != nil || r.h.device != "air" {
		t.Errorf("%v, device %s", err, r.h.device)
	}
	f.Name = "wmesh0"
	r.ifs = r.ifs[:1] // somebody removes it
	if err := r.check(); err != nil {
		t.Error(err)
	}
	r.did(t, "new wmesh0", "del wmesh0", "new wmesh0", "join street wmesh0")
	// Another section needs another mesh.
	r.h.cfg = section(config.Radio{MeshID: "lane", Made: true, Mode: config.RadioIBSS, Channel: 6})
	if err := r.check(); err != nil {
		t.Error(err)
	}
	r.did(t, "del wmesh0", "new wmesh0", "del wmesh0", "new wmesh0", "join lane wmesh0")
	if f = r.byName("wmesh0"); f.Type != adhoc || f.MHz != 2437 {
		t.Errorf("interface %+v", f)
	}
	r.h.releaseRadio(r.m.d.log)
	if r.did(t, "del wmesh0"); len(r.ifs) != 1 {
		t.Errorf("%d interfaces are left", len(r.ifs))
	}
}

func TestRadioTroubleEnds(t *testing.T) {
	r := newRadioRig(t, section(config.Radio{MeshID: "street", Made: true}))
	r.noRadio = true
	r.want(t, r.check(), "no nl80211")
	r.noRadio = false
	r.want(t, r.check(), "there is no radio")
	r.phys, r.rfkill = []fakeRadio{radio0}, true
	r.want(t, r.check(), "rfkill unblock")
	r.rfkill, r.busy = false, true
	r.want(t, r.check(), "busy with another interface")
	devs := r.links()
	if err := r.m.checkRadio(r.h, &devs); err == nil || !r.h.radio.next.After(time.Now()) {
		t.Errorf("no pause after a failure: %v", err)
	}
	r.busy = false
	if err := r.check(); err != nil {
		t.Error(err)
	}
	r.did(t, "new wmesh0", "join street wmesh0")
	// The switch is used while the radio is in the mesh.
	f := r.byName("wmesh0")
	f.up, f.MHz, r.rfkill = false, 0, true
	r.want(t, r.check(), "rfkill unblock")
	r.rfkill = false
	if err := r.check(); err != nil {
		t.Error(err)
	}
	r.did(t, "join street wmesh0")
	// The stick is pulled and comes back.
	r.phys, r.ifs = nil, nil
	r.want(t, r.check(), "there is no radio")
	r.phys = []fakeRadio{radio0}
	if err := r.check(); err != nil {
		t.Error(err)
	}
	r.did(t, "new wmesh0", "join street wmesh0")
}

// What an earlier life left behind is ours, and may be in another mesh.
func TestRadioOfAnEarlierLife(t *testing.T) {
	r := newRadioRig(t, section(config.Radio{MeshID: "street", Made: true}), radio0)
	f := r.add("wmesh0", 0, mp, true)
	f.MHz = 2437
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	r.did(t, "leave wmesh0", "join street wmesh0")
	if f.MHz != 2412 || !r.h.radio.made {
		t.Errorf("interface %+v", f)
	}
}

func TestRadioOfOthers(t *testing.T) {
	c := section(config.Radio{MeshID: "street"})
	c.Device = "wlan0"
	r := newRadioRig(t, c, radio0)
	r.want(t, r.check(), "device wlan0 does not exist")
	f := r.add("wlan0", 0, sta, true)
	f.MHz, f.SSID = 2437, "cafe"
	r.want(t, r.check(), "is a client of the network 'cafe'")
	f.Type = ap
	r.want(t, r.check(), "is of type AP")
	f.Type, f.SSID = adhoc, "lane"
	r.want(t, r.check(), "option mesh_id: wlan0 is in the cell 'lane'")
	f.SSID = "street"
	if err := r.check(); err != nil || r.h.radio.ours() || r.h.wantMTU() != 0 {
		t.Errorf("a cell of others: %v, %+v", err, r.h.radio)
	}
	f.Type, f.SSID, r.fwd = mp, "", true
	r.h.radio = radioState{}
	if err := r.check(); err != nil || r.h.radio.ours() || !strings.Contains(r.h.radio.note, "mesh_fwding") {
		t.Errorf("a mesh point of others: %v, %+v", err, r.h.radio)
	}
	if r.fwd = false; r.check() != nil || r.h.radio.note != "" {
		t.Errorf("the note stays: %+v", r.h.radio)
	}
	f.Type, f.SSID = adhoc, "street"
	if err := r.check(); err != nil {
		t.Error(err)
	}
	f.SSID = "lane" // its owner goes elsewhere
	r.want(t, r.check(), "is in the cell 'lane'")
	f.Type, f.SSID = mp, ""
	c = section(config.Radio{MeshID: "street", Mode: config.RadioIBSS})
	c.Device = "wlan0"
	r.h.cfg = c
	r.want(t, r.check(), "option mode")
	r.h.releaseRadio(r.m.d.log)
	r.did(t) // nothing at all
}

// takenRadio is a section whose device lay idle, and has been taken.
func takenRadio(t *testing.T) (*radioRig, *fakeIface) {
	t.Helper()
	c := section(config.Radio{MeshID: "street"})
	c.Device = "wlan0"
	r := newRadioRig(t, c, radio0)
	f := r.add("wlan0", 0, sta, true)
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	return r, f
}

func TestIdleRadioIsTaken(t *testing.T) {
	r, f := takenRadio(t)
	if f.Type != mp || !r.h.radio.taken || !f.up {
		t.Errorf("interface %+v, state %+v", f, r.h.radio)
	}
	r.h.releaseRadio(r.m.d.log)
	r.did(t, "type mesh point wlan0", "join street wlan0", "leave wlan0", "type managed wlan0")
}

// A supplicant takes over an interface that we had joined with.
func TestTakenRadioIsGivenUp(t *testing.T) {
	old := kernel.ManagerDirs
	kernel.ManagerDirs = []string{filepath.Join(t.TempDir(), "wpa_supplicant")}
	t.Cleanup(func() { kernel.ManagerDirs = old })
	r, f := takenRadio(t)
	r.did(t, "type mesh point wlan0", "join street wlan0")
	if err := os.Mkdir(kernel.ManagerDirs[0], 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(kernel.ManagerDirs[0], "wlan0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f.MHz = 0 // it leaves, to join by itself
	r.want(t, r.check(), "managed by wpa_supplicant")
	f.MHz = 2437
	if err := r.check(); err != nil || r.h.radio.ours() || !strings.Contains(r.h.radio.text, "joined by others") {
		t.Errorf("a mesh of the supplicant: %v, %+v", err, r.h.radio)
	}
	r.h.releaseRadio(r.m.d.log)
	r.did(t) // it is not ours to leave
}

// Two sections are for two radios, though each could have both interfaces.
func TestTwoRadios(t *testing.T) {
	r := newRadioRig(t, section(config.Radio{MeshID: "street", Made: true}), radio0, fakeRadio{"phy1", radio0.can, [6]byte{2, 0, 0, 0, 1, 1}})
	r.several = true
	second := section(config.Radio{MeshID: "street", Made: true})
	second.Device = "wmesh1"
	h := &hardIf{cfg: second, device: second.Device}
	r.m.ifs = append(r.m.ifs, h)
	devs := r.links() // both sections see the devices as they were before
	for _, h := range r.m.ifs {
		if d := slices.Clone(devs); r.m.checkRadio(h, &d) != nil {
			t.Fatal(h.radio.err)
		}
	}
	if a, b := r.byName("wmesh0"), r.byName("wmesh1"); a.Phy != 0 || b.Phy != 1 {
		t.Errorf("radios %d and %d", a.Phy, b.Phy)
	}
}

func TestRadioOfNetifd(t *testing.T) {
	r := newRadioRig(t, section(config.Radio{MeshID: "street", Made: true}), radio0, fakeRadio{"phy1", radio0.can, [6]byte{2, 0, 0, 0, 1, 1}})
	if err := os.WriteFile(netifdPath, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.add("phy0-ap0", 0, ap, true).MHz = 2412
	r.want(t, r.check(), "add to /etc/config/wireless a section wifi-iface")
	other := r.add("phy0-mesh0", 0, mp, true)
	other.MHz = 2412
	r.m.ifs = append(r.m.ifs, &hardIf{device: "phy0-mesh0"}) // a section hardif has it
	r.want(t, r.check(), "netifd owns the radios")
	r.add("phy1-ibss0", 1, adhoc, true).SSID = "street"
	if err := r.check(); err != nil || r.h.device != "phy1-ibss0" || r.h.radio.ours() {
		t.Errorf("%v, device %s, %+v", err, r.h.device, r.h.radio)
	}
	// netifd sets the radio up anew, under another name.
	r.ifs = r.ifs[:2]
	r.want(t, r.check(), "netifd owns the radios")
	r.add("phy1-mesh0", 1, mp, true).MHz = 2437
	if err := r.check(); err != nil || r.h.device != "phy1-mesh0" {
		t.Errorf("%v, device %s", err, r.h.device)
	}
	r.did(t)
	c := section(config.Radio{MeshID: "street", Made: true, Phy: "radio0"})
	r.h.cfg = c
	r.want(t, r.check(), "option phy: there is no radio radio0")
	c = section(config.Radio{MeshID: "street"})
	c.Device = "phy0-ap0"
	r.h.cfg = c
	r.want(t, r.check(), "netifd owns phy0-ap0")
}
