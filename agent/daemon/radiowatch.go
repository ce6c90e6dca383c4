package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/kernel"
	"github.com/meshagent/meshagent/agent/mesh"
	"github.com/meshagent/meshagent/agent/mono"
)

// radioWatch follows what the radios of this host tell: that stations come and
// go, and how good the links to neighbours are. Supervisor only.
type radioWatch struct {
	events <-chan kernel.WifiEvent // nil while there is no nl80211
	next   time.Time               // of the next attempt to get it
	// arrived are clients of our access points that may not send data yet.
	arrived []*arrival
}

// arrival is a station that came to an access point.
type arrival struct {
	index int // of the access point's device
	mac   batman.MAC
	until time.Time
}

// Bounds for arrivals: one that has not proved itself in that time will not.
const (
	maxArrivals = 64
	arrivalTime = 10 * time.Second
	maxStations = 512 // of one interface that are looked at
)

// open begins to listen if there is something to listen to.
func (w *radioWatch) open(ctx context.Context) {
	if now := time.Now(); w.events == nil && !now.Before(w.next) {
		w.next = now.Add(radioLook)
		w.events, _ = kernel.WatchWifi(ctx) // without radios there is nothing to say
	}
}

// radioEvent takes news of a radio, and reports whether the hard interfaces
// have to be looked at.
func (m *meshRun) radioEvent(ctx context.Context, e kernel.WifiEvent, ok bool) bool {
	switch {
	case !ok: // the driver went away
		m.watch.events = nil
	case e.What == kernel.WifiStationNew:
		m.stationNew(ctx, e)
		return false
	case e.What == kernel.WifiStationGone, e.What == kernel.WifiScan:
		return false
	}
	for _, h := range m.ifs {
		h.radio.again()
	}
	return true
}

// stationNew notes a station that came to an access point behind which the
// mesh device is, and announces it as soon as it may send data.
func (m *meshRun) stationNew(ctx context.Context, e kernel.WifiEvent) {
	dev, _ := m.d.devs.ByIndex(e.Index)
	bridge, ok := m.d.devs.Bridge(m.cfg.Name)
	if !m.running || !ok || dev.Master != bridge.Index || len(m.watch.arrived) == maxArrivals {
		return
	}
	m.watch.arrived = append(m.watch.arrived, &arrival{e.Index, e.MAC, time.Now().Add(arrivalTime)})
	m.announce(ctx)
}

// announce announces the arrivals that have proved who they are.
func (m *meshRun) announce(ctx context.Context) {
	if len(m.watch.arrived) == 0 {
		return
	}
	w, err := kernel.OpenWifi()
	if err != nil {
		m.watch.arrived = nil
		return
	}
	defer w.Close()
	now := time.Now()
	wait := m.watch.arrived[:0]
	for _, a := range m.watch.arrived {
		s, err := w.Station(a.index, a.mac)
		switch {
		case errors.Is(err, unix.ENOENT) || now.After(a.until):
		case err != nil || !s.Authorized:
			wait = append(wait, a)
		default:
			m.d.engine.do(ctx, func(now mono.Time) {
				if c := m.d.engine.mesh; c != nil {
					c.mesh.ClientArrived(now, a.mac, &c.out)
				}
			})
		}
	}
	m.watch.arrived = wait
}

// askRadios tells the core what the drivers know of the links to neighbours.
func (m *meshRun) askRadios(ctx context.Context) {
	if !slices.ContainsFunc(m.ifs, func(h *hardIf) bool { return h.wifi && h.conn != nil }) {
		return
	}
	w, err := kernel.OpenWifi()
	if err != nil {
		return
	}
	defer w.Close()
	for _, h := range m.ifs {
		if !h.wifi || h.conn == nil {
			continue
		}
		stations, err := w.Stations(h.ifindex, maxStations)
		if err != nil {
			continue // it is going away
		}
		if s, err := w.Survey(h.ifindex); err == nil {
			h.air.add(s)
		}
		list := make([]mesh.Radio, len(stations))
		for i, s := range stations {
			list[i] = linkRadio(s, &h.air)
		}
		index := h.index
		m.d.engine.do(ctx, func(mono.Time) {
			if c := m.d.engine.mesh; c != nil {
				c.mesh.SetRadios(index, list)
			}
		})
	}
}

// linkRadio translates what the driver says.
func linkRadio(s *kernel.WifiStation, a *airTime) mesh.Radio {
	r := mesh.Radio{
		Station: s.MAC, Signal: s.Signal, SignalAvg: s.SignalAvg, Noise: a.last.Noise,
		TxRate: s.TxBitrate, RxRate: s.RxBitrate, Expected: s.Expected / 100, Expects: s.HasExpected,
		Packets: s.TxPackets, Retries: s.TxRetries, Failed: s.TxFailed, InactiveMs: s.InactiveMs, Busy: -1,
	}
	if a.known {
		r.Busy, r.Own = a.busy, a.own
	}
	return r
}

// airTime is how much of the time a channel was in use between two surveys.
type airTime struct {
	last  kernel.Survey
	busy  int // percent
	own   int // percent that we sent
	known bool
}

// leastAir is the shortest time that a share is taken of.
const leastAir = 100 // ms

// add takes a survey. A channel that has changed, or a driver that begins to
// count anew, begins anew here too.
func (a *airTime) add(s kernel.Survey) {
	same := s.MHz == a.last.MHz && s.TimeMs >= a.last.TimeMs && s.BusyMs >= a.last.BusyMs && s.TxMs >= a.last.TxMs && a.last.TimeMs != 0
	if !same {
		*a = airTime{last: s}
		return
	}
	if d := s.TimeMs - a.last.TimeMs; d >= leastAir {
		share := func(ms uint64) int { return int(min(ms*100/d, 100)) } //nolint:gosec // at most 100
		*a = airTime{last: s, busy: share(s.BusyMs - a.last.BusyMs), own: share(s.TxMs - a.last.TxMs), known: true}
	}
}
