package pathfinder

import (
	"math"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// lossUnit is all packets, in the units of cjdns.LinkSample.Drop.
const lossUnit = 1 << 18

// Totals is what has been counted on a link since it came up.
type Totals struct {
	Received, Lost uint64 // packets
	Bytes          uint64 // received
	LagMs          uint32 // present round trip, smoothed; 0 if unknown
}

// sampler keeps the link states of one peer: a sample for each window of ten
// seconds. Source: cjdns subnode/ReachabilityCollector.c.
type sampler struct {
	ring [cjdns.AnnounceSlots]cjdns.LinkSample
	// count is how many windows have passed, told how many of them the
	// supernode has been told of.
	count, told uint32
	last        Totals
}

// sample ends a window. slot is the number of the window for all peers alike.
// A session with the peer that began anew counts from zero.
func (s *sampler) sample(slot uint32, t Totals) {
	d := Totals{t.Received - s.last.Received, t.Lost - s.last.Lost, t.Bytes - s.last.Bytes, t.LagMs}
	if t.Received < s.last.Received || t.Bytes < s.last.Bytes {
		d = t
	}
	if t.Lost < s.last.Lost {
		d.Lost = 0 // late packets take back what was counted as lost
	}
	s.last = t
	v := cjdns.LinkSample{Lag: min(d.LagMs, math.MaxUint16), KB: uint32(min(d.Bytes>>10, math.MaxUint32))}
	if all := d.Received + d.Lost; all > 0 {
		v.Drop = uint32(min(d.Lost*lossUnit/all, math.MaxUint16-1))
	}
	s.ring[slot%cjdns.AnnounceSlots] = v
	if s.count == 0 || s.count != slot {
		s.told = slot // a new peer, or one that was away
	}
	s.count = slot + 1
}

// news returns what the supernode has not been told yet; ok is false if there
// is nothing.
func (s *sampler) news(peerNum uint16) (l cjdns.LinkState, ok bool) {
	n := min(s.count-s.told, cjdns.AnnounceSlots)
	if n == 0 {
		return l, false
	}
	first := s.count - n
	l = cjdns.LinkState{PeerNum: uint32(peerNum), StartSlot: first % cjdns.AnnounceSlots}
	for i := range n {
		l.Samples = append(l.Samples, s.ring[(first+i)%cjdns.AnnounceSlots])
	}
	return l, true
}

// quality is what the role remembers of the state of a link, smoothed.
type quality struct {
	lag  uint16 // ms; 0: no sample yet
	drop uint16 // of lossUnit
}

// unknownLag stands in for the lag of a link of which nothing was said.
const unknownLag = 50

// update takes samples, the oldest first. Windows in which nobody measured
// the lag say nothing about it.
func (q *quality) update(samples []cjdns.LinkSample) {
	for _, s := range samples {
		lag, drop := uint16(min(s.Lag, math.MaxUint16)), uint16(min(s.Drop, math.MaxUint16))
		switch {
		case lag == 0:
			continue
		case q.lag == 0:
			q.lag, q.drop = lag, drop
		default:
			q.lag = max(1, q.lag-q.lag/4+lag/4)
			q.drop = q.drop - q.drop/4 + drop/4
		}
	}
}

// cost is what a path over the link pays, in sixteenths of a millisecond: its
// lag and two for the hop, raised by the loss as in Measure.
func (q quality) cost() uint32 {
	lag := uint32(q.lag)
	if lag == 0 {
		lag = unknownLag
	}
	return uint32(uint64(lag+2) * 16 * (lossUnit + 8*uint64(q.drop)) / lossUnit)
}
