//go:build guest

package air

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/admin"
	"github.com/meshagent/meshagent/hw/rig"
)

// Scenarios in which nobody but the agent brings radios into the mesh: all that
// is configured is the mesh id.

func TestOwnMesh(t *testing.T)    { play(t, "own-mesh") }
func TestOwnIBSS(t *testing.T)    { play(t, "own-ibss") }
func TestOwnUnplug(t *testing.T)  { play(t, "own-unplug") }
func TestOwnRFKill(t *testing.T)  { play(t, "own-rfkill") }
func TestOwnTaken(t *testing.T)   { play(t, "own-taken") }
func TestOwnRefused(t *testing.T) { play(t, "own-refused") }
func TestOwnBusy(t *testing.T)    { play(t, "own-busy") }
func TestOwnTwo(t *testing.T)     { play(t, "own-two") }
func TestOwnMTU(t *testing.T)     { play(t, "own-mtu") }
func TestOwnCountry(t *testing.T) { play(t, "own-country") }
func TestOwnRenamed(t *testing.T) { play(t, "own-renamed") }

func init() {
	scenarios["own-mesh"] = ownMesh
	scenarios["own-ibss"] = ownIBSS
	scenarios["own-unplug"] = ownUnplug
	scenarios["own-rfkill"] = ownRFKill
	scenarios["own-taken"] = ownTaken
	scenarios["own-refused"] = ownRefused
	scenarios["own-busy"] = ownBusy
	scenarios["own-renamed"] = ownRenamed
	scenarios["own-two"] = ownTwo
	scenarios["own-country"] = ownCountry
	scenarios["own-mtu"] = ownMTU
}

// ownDev is the interface that an agent makes.
const ownDev = "wmesh0"

// own lets the agents of stations join by themselves; more are options of the
// section wifi.
func own(list []*Station, more ...string) []*Station {
	for _, s := range list {
		s.Radio.Dev = ownDev
		s.Spec.Mesh.HardIfs = nil
		s.Spec.Extra = []string{"config wifi 'air'\n\toption mesh_id 'our-street'"}
		for i := 0; i+1 < len(more); i += 2 {
			s.Spec.Extra[0] += fmt.Sprintf("\n\toption %s '%s'", more[i], more[i+1])
		}
	}
	return list
}

// ownLine is four such stations in a line, in reach of each other.
func ownLine(w *World) []*Station {
	st := own(w.Stations(4))
	w.Line(Good, st...)
	begin := time.Now()
	w.StartAll(st...)
	if _, ok := w.WaitPing(st[0], st[1], reach); !ok {
		w.Fatalf("n1 does not reach n2")
	}
	w.Notef("from the start of four agents to the first overlay ping: %.1f s", time.Since(begin).Seconds())
	w.Reach("start", reach, st...)
	return st
}

// says waits until the agent says of its section wifi what ok wants.
func (w *World) says(s *Station, what string, d time.Duration, ok func(l *admin.WifiLink) bool) *admin.WifiLink {
	var st admin.WifiStatus
	var err error
	if !rig.Until(d, 200*time.Millisecond, func() bool {
		st = admin.WifiStatus{}
		err = s.Call("wifi", nil, &st)
		return err == nil && len(st.Links) == 1 && ok(st.Links[0])
	}) {
		w.Fatalf("%s: %s; it says %+v, %v", s.Node.Name, what, links(st), err)
	}
	w.Logf("%s: %s", s.Node.Name, links(st))
	return st.Links[0]
}

func links(st admin.WifiStatus) string {
	var list []string
	for _, l := range st.Links {
		list = append(list, fmt.Sprintf("%+v", *l))
	}
	return strings.Join(append(list, st.Problem), "; ")
}

// trouble waits until it says why it does not work, in these words.
func (w *World) trouble(s *Station, words string) {
	w.says(s, fmt.Sprintf("want a problem with %q", words), 20*time.Second, func(l *admin.WifiLink) bool { return strings.Contains(l.Problem, words) })
}

// works waits until it says how it has joined.
func (w *World) works(s *Station, how string) {
	w.says(s, fmt.Sprintf("want %q", how), 40*time.Second, func(l *admin.WifiLink) bool { return l.Problem == "" && strings.Contains(l.How, how) })
}

// ownMesh: a mesh id is all that is configured.
func ownMesh(w *World) {
	st := ownLine(w)
	for _, s := range st {
		w.works(s, "mesh point")
	}
	if out := w.Output(st[0].Node, "iw", "dev", ownDev, "get", "mesh_param", "mesh_fwding"); strings.TrimSpace(out) != "0" {
		w.Errorf("mesh_fwding is %q", out)
	}
	// No power save: not of the mesh point, nor towards any peer.
	if out := w.Output(st[1].Node, "iw", "dev", ownDev, "get", "mesh_param", "mesh_power_mode"); strings.TrimSpace(out) != "active" {
		w.Errorf("mesh_power_mode is %q", out)
	}
	if out := w.Output(st[1].Node, "iw", "dev", ownDev, "station", "dump"); strings.Count(out, "PS mode:\tACTIVE") != 6 {
		w.Errorf("want three modes of two peers to be ACTIVE: %s", out)
	}
	for _, s := range st {
		if err := s.Proc.Stop(); err != nil {
			w.Errorf("%s: %v", s.Node.Name, err)
		}
		if out := w.Output(s.Node, "iw", "dev"); strings.Contains(out, ownDev) {
			w.Errorf("%s leaves its interface behind: %s", s.Node.Name, out)
		}
	}
}

// ownIBSS: drivers that know no mesh points; the agents say so and make an
// IBSS cell.
func ownIBSS(w *World) {
	var st []*Station
	for i := range 3 {
		st = append(st, w.Station(fmt.Sprintf("n%d", i+1), RadioSpec{IfTypes: IfAdHoc | IfStation}))
	}
	own(st)
	w.Line(Good, st...)
	begin := time.Now()
	w.StartAll(st...)
	if _, ok := w.WaitPing(st[0], st[1], reach); !ok {
		w.Fatalf("n1 does not reach n2")
	}
	w.Notef("from the start of three agents to the first overlay ping: %.1f s", time.Since(begin).Seconds())
	w.Reach("start", reach, st...)
	// The cell has the same fixed BSSID everywhere, so that it cannot split.
	var cells []string
	for _, s := range st {
		w.works(s, "IBSS")
		first, _, _ := strings.Cut(w.Output(s.Node, "iw", "dev", ownDev, "link"), "\n")
		cells = append(cells, first)
	}
	if slices.Sort(cells); cells[0] != cells[2] || !strings.HasPrefix(cells[0], "Joined IBSS ") {
		w.Errorf("cells: %q", cells)
	}
}

// ownUnplug: the phy goes, and comes back.
func ownUnplug(w *World) {
	st := ownLine(w)
	st[1].Radio.Unplug()
	w.trouble(st[1], "there is no radio")
	w.Reach("what is left", heal, st[2:]...)
	st[1].Radio.Plug()
	took := w.Reach("back", heal, st...)
	w.Notef("a phy back, and joined by the agent: all pairs ping after %.1f s", took.Seconds())
}

// ownRFKill: the switch of the radio.
func ownRFKill(w *World) {
	st := ownLine(w)
	st[2].Radio.RFKill(true)
	w.trouble(st[2], "switched off")
	st[2].Radio.RFKill(false)
	took := w.Reach("unblocked", heal, st...)
	w.Notef("a radio unblocked, and joined by the agent: all pairs ping after %.1f s", took.Seconds())
}

// ownTaken: somebody brings the interface down, leaves the mesh, and removes
// the interface.
func ownTaken(w *World) {
	st := ownLine(w)
	n := st[1].Node.NS
	for _, c := range []struct{ what, cmd string }{
		{"brought down", "ip -n " + n + " link set " + ownDev + " down"},
		{"left", "ip netns exec " + n + " iw dev " + ownDev + " mesh leave"},
		{"removed", "ip netns exec " + n + " iw dev " + ownDev + " del"},
	} {
		w.run("sh", "-c", c.cmd)
		took := w.Reach(c.what, heal, st...)
		w.Notef("an interface %s: all pairs ping after %.1f s", c.what, took.Seconds())
	}
}

// ownRefused: a radio that can be in no mesh, and a channel with radar; a
// reload with another channel helps at once.
func ownRefused(w *World) {
	st := []*Station{w.Station("n1", RadioSpec{}), w.Station("n2", RadioSpec{Custom: 1, Strict: true}), w.Station("n3", RadioSpec{IfTypes: IfStation})}
	own(st[:1])
	own(st[1:2], "channel", "100")
	own(st[2:])
	w.Line(Good, st...)
	w.StartAll(st...)
	w.trouble(st[1], "channel")
	w.trouble(st[2], "")
	own(st[1:2], "channel", "1")
	st[1].WriteConf()
	if err := st[1].Call("reload", nil, nil); err != nil {
		w.Fatalf("%v", err)
	}
	w.Reach("on a channel that is allowed", reach, st[:2]...)
}

// ownBusy: the radio is on another channel with another interface, and can do
// one at a time.
func ownBusy(w *World) {
	st := own([]*Station{w.Station("n1", RadioSpec{}), w.Station("n2", RadioSpec{})}, "channel", "1")
	w.Line(Good, st...)
	c := cell(IBSS)
	c.Name, c.Freq = "other", 2437
	if err := st[0].Radio.Join(c); err != nil {
		w.Fatalf("%v", err)
	}
	w.StartAll(st...)
	w.trouble(st[0], "one channel only, and wlan0 has it on 6")
	if err := st[0].Radio.iw("ibss", "leave"); err != nil {
		w.Fatalf("%v", err)
	}
	w.Reach("free again", reach, st...)
}

// ownRenamed: somebody gives the interface another name; it is ours all the
// same.
func ownRenamed(w *World) {
	st := ownLine(w)
	const other = "air9"
	n := st[1].Node.NS
	w.run("ip", "-n", n, "link", "set", ownDev, "down")
	w.run("ip", "-n", n, "link", "set", ownDev, "name", other)
	took := w.Reach("renamed", heal, st...)
	w.Notef("an interface renamed: all pairs ping after %.1f s", took.Seconds())
	l := w.says(st[1], "want it under its new name", time.Second, func(l *admin.WifiLink) bool { return l.Iface == other && l.Problem == "" })
	if !l.Made {
		w.Errorf("it is not ours any more: %+v", l)
	}
	if err := st[1].Proc.Stop(); err != nil {
		w.Errorf("%v", err)
	}
	if out := w.Output(st[1].Node, "iw", "dev"); strings.Contains(out, other) || strings.Contains(out, ownDev) {
		w.Errorf("it is left behind: %s", out)
	}
}

// ownCountry: without a country nobody may begin a network on 5 GHz; the agents
// say so, and join as soon as somebody sets one.
func ownCountry(w *World) {
	st := own(w.Stations(2), "channel", "36")
	w.Line(Good, st...)
	w.StartAll(st...)
	for _, s := range st {
		w.trouble(s, "perhaps the country is not set")
	}
	time.Sleep(30 * time.Second) // until the agents hardly try any more
	const dir = "/run/firmware"
	for name, data := range map[string][]byte{dir + "/regulatory.db": regulatoryDB(), "/sys/module/firmware_class/parameters/path": []byte(dir)} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(name, data, 0o644)); err != nil {
			w.Fatalf("%v", err)
		}
	}
	w.run("iw", "reg", "reload")
	w.run("iw", "reg", "set", "DE")
	took := w.Reach("country set", heal, st...)
	w.Notef("the country set: all pairs ping after %.1f s", took.Seconds())
	var s admin.WifiStatus
	if err := st[0].Call("wifi", nil, &s); err != nil || len(s.Radios) != 1 || s.Radios[0].Country != "DE" {
		w.Errorf("%v, %+v", err, s)
	} else if l := s.Radios[0].Limits; len(l) < 3 || *l[0] != (admin.WifiLimit{Band: "2.4 GHz", First: 1, Last: 13, Power: 20}) || l[1].Rule != "disabled" {
		w.Errorf("what is allowed: %+v", l)
	}
	var text strings.Builder
	admin.WriteWifi(&text, s)
	w.Logf("%s", &text)
	if took > 10*time.Second { // the next attempt would be after 15 s
		w.Errorf("the kernel's news does not make the agents try again")
	}
	// Where the channel is not allowed any more, the kernel leaves the mesh a
	// minute later.
	w.run("iw", "reg", "set", "CH")
	w.says(st[0], "want it to notice", 90*time.Second, func(l *admin.WifiLink) bool { return strings.Contains(l.Problem, "channel 36") })
	w.run("iw", "reg", "set", "DE")
	w.Reach("country set again", heal, st...)
}

// regulatoryDB is a data base that allows 2400 to 2483.5 MHz in both countries,
// and 5150 to 5250 MHz in DE only. Source: net/wireless/reg.c, struct
// fwdb_header and what follows it; all pointers count 4 bytes, frequencies are
// in kHz.
func regulatoryDB() []byte {
	b := append([]byte("RGDB"), 0, 0, 0, 20) // version
	b = append(b, 'D', 'E', 0, 5, 'C', 'H', 0, 7, 0, 0, 0, 0)
	b = append(b, 3, 2, 2, 0, 0, 9, 0, 13) // two rules, ETSI
	b = append(b, 3, 1, 2, 0, 0, 9, 0, 0)
	for _, r := range [][3]uint32{{2400000, 2483500, 40000}, {5150000, 5250000, 80000}} {
		b = append(b, 16, 0, 2000>>8, 2000&0xff) // 20 dBm
		for _, n := range r {
			b = binary.BigEndian.AppendUint32(b, n)
		}
	}
	return b
}

// ownMTU: the interfaces take 2304 bytes, and the air does not: what hwsim
// takes from a medium is that much with the header of 802.11.
func ownMTU(w *World) {
	st := own(w.Stations(2), "mtu", "2304")
	w.Line(Good, st...)
	w.StartAll(st...)
	w.Reach("start", reach, st...)
	var list []struct {
		MTU int `json:"mtu"`
	}
	if !rig.Until(60*time.Second, time.Second, func() bool {
		return st[0].Bat(&list, "n") == nil && len(list) == 1 && list[0].MTU != 0
	}) {
		w.Fatalf("the link is not measured: %+v", list)
	}
	if n := list[0].MTU; n < 2200 || n > 2280 {
		w.Errorf("the link carries %d bytes, want 2304 without headers", n)
	}
	w.Notef("of 2304 bytes the link carries %d", list[0].MTU)
	w.Reach("measured", reach, st...)
}

// ownTwo: a station with two radios and two sections has an interface on each,
// and carries between stations of which each hears one of its radios.
func ownTwo(w *World) {
	st := own(w.Stations(3))
	second := w.Radio(st[1].Node, RadioSpec{})
	st[1].Spec.Extra = append(st[1].Spec.Extra, "config wifi 'second'\n\toption mesh_id 'our-street'")
	w.Medium.Link(st[0].Radio, st[1].Radio, Good)
	w.Medium.Link(second, st[2].Radio, Good)
	w.StartAll(st...)
	w.Reach("over both radios", reach, st...)
}
