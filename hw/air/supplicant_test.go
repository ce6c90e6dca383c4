//go:build guest

package air

import (
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// Scenarios in which wpa_supplicant encrypts the air: the agent waits for it,
// uses what it has joined, and leaves it alone.

func TestOwnSupplicant(t *testing.T)     { playSupplicant(t, "own-supplicant") }
func TestOwnSupplicantIBSS(t *testing.T) { playSupplicant(t, "own-supplicant-ibss") }

func playSupplicant(t *testing.T, name string) {
	if _, err := exec.LookPath("wpa_supplicant"); err != nil {
		t.Fatal("needs wpa_supplicant; make check-air installs it")
	}
	play(t, name)
}

func init() {
	scenarios["own-supplicant"] = func(w *World) {
		ownSupplicant(w, " mode=5\n key_mgmt=SAE\n sae_password=\"open sesame\"\n ieee80211w=2\n mesh_fwding=0\n", "ESTAB", "MFP:\t\tyes")
	}
	scenarios["own-supplicant-ibss"] = func(w *World) {
		ownSupplicant(w, " mode=1\n proto=RSN\n key_mgmt=WPA-PSK\n pairwise=CCMP\n group=CCMP\n psk=\"open sesame\"\n", "authorized:\tyes")
	}
}

// ownSupplicant brings two stations into the network that the lines describe;
// then the kernel says of the other station what is in peer.
func ownSupplicant(w *World, network string, peer ...string) {
	var read atomic.Int64 // frames of the mesh that everybody can read
	w.Medium.Watch(func(Sent) { read.Add(1) })
	st := []*Station{w.Station("n1", RadioSpec{}), w.Station("n2", RadioSpec{})}
	own(st, "device", firstDev)
	w.Line(Good, st...)
	for _, s := range st {
		s.Radio.Dev = firstDev
	}
	// A socket shows the agent that somebody manages the interface. All stations
	// see the same folder, so only one of them has a socket.
	cli := supplicant(w, st[0], "ctrl_interface=/var/run/wpa_supplicant", network+" disabled=1\n")
	supplicant(w, st[1], "", network)
	if !rig.Until(20*time.Second, 200*time.Millisecond, func() bool {
		return strings.Contains(w.Output(st[1].Node, "iw", "dev", firstDev, "info"), "channel 1 ")
	}) {
		w.Fatalf("wpa_supplicant does not join")
	}
	w.StartAll(st...)
	w.trouble(st[0], firstDev+" is managed by wpa_supplicant")
	w.works(st[1], "joined by others")
	if _, ok := w.WaitPing(st[0], st[1], 3*time.Second); ok {
		w.Errorf("n1 reaches n2 before it has joined")
	}
	cli("enable_network", "0")
	took := w.Reach("joined by wpa_supplicant", heal, st...)
	w.Notef("the air encrypted by wpa_supplicant: all pairs ping %.1f s after it was told to join", took.Seconds())
	w.works(st[0], "joined by others")
	for _, want := range peer {
		if out := w.Output(st[0].Node, "iw", "dev", firstDev, "station", "dump"); !strings.Contains(out, want) {
			w.Errorf("the other station: no %q in %s", want, out)
		}
	}
	if n := read.Load(); n != 0 {
		w.Errorf("%d frames of the mesh were not encrypted", n)
	}
	for _, s := range st {
		if err := s.Proc.Stop(); err != nil {
			w.Errorf("%s: %v", s.Node.Name, err)
		}
		if out := w.Output(s.Node, "iw", "dev", firstDev, "info"); !strings.Contains(out, "channel 1 ") {
			w.Errorf("%s left the network of wpa_supplicant: %s", s.Node.Name, out)
		}
	}
}

// supplicant starts a wpa_supplicant for the first interface of a station, and
// returns its wpa_cli.
func supplicant(w *World, s *Station, global, network string) func(args ...string) {
	conf := "/run/" + s.Node.Name + "-supplicant.conf"
	text := global + "\nnetwork={\n ssid=\"our-street\"\n frequency=2412\n" + network + "}\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		w.Fatalf("%v", err)
	}
	n := s.Node.NS
	w.run("ip", "netns", "exec", n, "wpa_supplicant", "-B", "-Dnl80211", "-i"+firstDev, "-c"+conf)
	return func(args ...string) {
		w.run("ip", append([]string{"netns", "exec", n, "wpa_cli", "-s", "/run", "-i", firstDev}, args...)...)
	}
}
