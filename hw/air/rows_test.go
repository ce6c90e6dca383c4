//go:build guest

package air

import (
	"strings"
	"testing"
	"time"

	"github.com/meshagent/meshagent/hw/rig"
)

// How long a scenario waits at most, in virtual time: for all pairs to ping
// after a start, and after a change.
const (
	reach = 60 * time.Second
	heal  = 60 * time.Second
)

func cell(k Kind) Cell { return Cell{Kind: k, Name: "rig", Freq: 2412} }

func TestLineMesh(t *testing.T)   { play(t, "line-mesh") }
func TestLineIBSS(t *testing.T)   { play(t, "line-ibss") }
func TestLeave(t *testing.T)      { play(t, "leave") }
func TestUnplug(t *testing.T)     { play(t, "unplug") }
func TestChannel(t *testing.T)    { play(t, "channel") }
func TestRFKill(t *testing.T)     { play(t, "rfkill") }
func TestOnlyIBSS(t *testing.T)   { play(t, "only-ibss") }
func TestRegulatory(t *testing.T) { play(t, "regulatory") }

// four makes four stations in a line, in a cell, with their agents up and in
// reach of each other.
func four(w *World, k Kind) []*Station {
	st := w.Stations(4)
	w.Line(Link{Signal: -60, MCS: 7}, st...)
	w.JoinAll(cell(k), st...)
	w.StartAll(st...)
	w.Reach("start", reach, st...)
	return st
}

// line is four stations of which each hears its neighbours only: they all
// reach each other, and not because they hear each other.
func line(w *World, k Kind) {
	st := four(w, k)
	for i, s := range st {
		want := 2
		if i == 0 || i == len(st)-1 {
			want = 1
		}
		heard := s.Radio.Stations()
		if len(heard) != want {
			w.Errorf("%s hears %d stations, want %d", s.Node.Name, len(heard), want)
		}
		for _, h := range heard {
			if h.Signal != -60 {
				w.Errorf("%s hears %s with %d dBm, want -60", s.Node.Name, h.MAC, h.Signal)
			}
		}
	}
	list, err := st[0].Originators()
	if err != nil {
		w.Fatalf("%v", err)
	}
	found := false
	for _, o := range list {
		if o.Best && o.Orig == st[3].Radio.MAC() {
			found = true
			if o.Next != st[1].Radio.MAC() || o.Identity != st[3].IP() {
				w.Errorf("n1 goes to n4 over %s and takes it for %s", o.Next, o.Identity)
			}
		}
	}
	if !found {
		w.Errorf("n1 does not list n4: %+v", list)
	}
}

// leave takes a station of a line out of everybody's reach, and back.
func leave(w *World) {
	st := four(w, Mesh)
	w.Medium.Cut(st[1].Radio, st[2].Radio)
	if !rig.Until(heal, time.Second, func() bool { _, ok := w.WaitPing(st[0], st[3], time.Second); return !ok }) {
		w.Fatalf("n1 reaches n4 over a link that is cut")
	}
	w.Reach("what is left", heal, st[:2]...)
	w.Line(Good, st...)
	took := w.Reach("back", heal, st...)
	w.Notef("a station back in reach: all pairs ping after %.1f s", took.Seconds())
}

// unplug pulls the phy out from under the agent and puts it back.
func unplug(w *World) {
	st := four(w, Mesh)
	st[1].Radio.Unplug()
	w.Expect(st[1], "does not exist", 10*time.Second)
	w.Reach("what is left", heal, st[2:]...)
	st[1].Radio.Plug()
	if err := st[1].Radio.Join(cell(Mesh)); err != nil {
		w.Fatalf("%v", err)
	}
	took := w.Reach("back", heal, st...)
	w.Notef("a phy back that was unplugged: all pairs ping after %.1f s", took.Seconds())
}

// channel moves the stations to another channel one by one, as an
// administrator does.
func channel(w *World) {
	st := four(w, IBSS)
	to := cell(IBSS)
	to.Freq = 2437
	w.JoinAll(to, st[:2]...)
	if _, ok := w.WaitPing(st[0], st[3], 5*time.Second); ok {
		w.Errorf("n1 reaches n4 on another channel")
	}
	w.Reach("half of them moved", heal, st[:2]...)
	w.JoinAll(to, st[2:]...)
	took := w.Reach("all of them moved", heal, st...)
	w.Notef("all stations on a new channel: all pairs ping after %.1f s", took.Seconds())
}

// rfkill switches a radio off by its switch, and on again.
func rfkill(w *World) {
	st := four(w, Mesh)
	st[2].Radio.RFKill(true)
	w.Expect(st[2], "is down", 10*time.Second)
	if err := st[2].Radio.Join(cell(Mesh)); err == nil || !strings.Contains(err.Error(), "RF-kill") {
		w.Errorf("a blocked radio joins: %v", err)
	}
	st[2].Radio.RFKill(false)
	if err := st[2].Radio.Join(cell(Mesh)); err != nil {
		w.Fatalf("%v", err)
	}
	took := w.Reach("unblocked", heal, st...)
	w.Notef("a radio unblocked: all pairs ping after %.1f s", took.Seconds())
}

// onlyIBSS has radios that know no mesh points.
func onlyIBSS(w *World) {
	var st []*Station
	for _, n := range []string{"n1", "n2"} {
		st = append(st, w.Station(n, RadioSpec{IfTypes: IfAdHoc | IfStation}))
	}
	w.Line(Good, st...)
	w.StartAll(st...)
	w.Expect(st[0], "is down", 10*time.Second)
	if err := st[0].Radio.Join(cell(Mesh)); err == nil {
		w.Errorf("a radio without mesh points joins one")
	}
	w.JoinAll(cell(IBSS), st...)
	w.Reach("joined", reach, st...)
}

// regulatory has a radio that may not send on the channel that the others use.
func regulatory(w *World) {
	st := []*Station{w.Station("n1", RadioSpec{}), w.Station("n2", RadioSpec{Custom: 1, Strict: true})}
	w.Line(Good, st...)
	c := cell(IBSS)
	c.Freq = 5500 // radar: nobody may begin there unheard
	w.StartAll(st...)
	for _, s := range st {
		if err := s.Radio.Join(c); err == nil {
			w.Errorf("%s joins a cell on a channel with radar", s.Node.Name)
		}
	}
	w.JoinAll(cell(IBSS), st...)
	w.Reach("on a channel that is allowed", reach, st...)
}
