package mesh

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// ogmSeq is the number of the last OGM of everybody on an ogmStand.
const ogmSeq = 1000

// ogmStand is a stand with n interfaces on which only OGMs are looked at. Its
// own OGMs do not leave by themselves.
type ogmStand struct{ *stand }

func newOGMStand(t testing.TB, n int, set func(*Config)) ogmStand {
	s := ogmStand{newStand(t, n, Seqnos{}, set)}
	for _, hi := range s.m.ifaces {
		hi.iv.seqno, hi.iv.sendAt = ogmSeq+1, mono.Never
	}
	return s
}

// station makes mac a neighbour on interface i of which we heard received of
// the last 64 OGMs and which sent back echo of ours.
func (s ogmStand) station(mac batman.MAC, i, received, echo int) *Originator {
	hi := s.m.ifaces[i]
	o := s.m.obtain(s.now, mac, mac, &s.out)
	n := s.m.addWay(s.now, o, mac, hi)
	*o.iv.echoOf(hi) = ^window(0) >> (64 - echo)
	for k := range len(s.m.ifaces) + 1 {
		rt := o.routeOf(s.now, k)
		rt.known, rt.lastSeqno, rt.ranked, rt.lastTTL = true, ogmSeq, ogmSeq, batman.TTL
		n.iv.slot(k).real = ^window(0) >> (64 - received)
		n.iv.slot(k).ring.push(250)
		s.m.setRoute(s.now, o, k, n, &s.out)
	}
	s.m.hardNeigh(s.now, hi, mac)
	s.out.Events = s.out.Events[:0]
	return o
}

// behind makes orig reachable through stations, the first of them the best,
// with these TQs.
func (s ogmStand) behind(orig batman.MAC, tqs map[batman.MAC]uint8, i int, order ...batman.MAC) *Originator {
	o := s.m.obtain(s.now, orig, order[0], &s.out)
	for _, mac := range order {
		n := s.m.addWay(s.now, o, mac, s.m.ifaces[i])
		for k := range len(s.m.ifaces) + 1 {
			rt := o.routeOf(s.now, k)
			rt.known, rt.lastSeqno, rt.ranked, rt.lastTTL = true, ogmSeq, ogmSeq, 49
			n.iv.slot(k).real = 1
			n.iv.slot(k).ring.push(tqs[mac])
			if mac == order[0] {
				s.m.setRoute(s.now, o, k, n, &s.out)
			}
		}
	}
	s.out.Events = s.out.Events[:0]
	return o
}

// hear gives the node OGMs of station src in one frame.
func (s ogmStand) hear(i int, src batman.MAC, list ...batman.OGM) { s.rx(i, ogmFrameOf(src, list...)) }

func ogmFrameOf(src batman.MAC, list ...batman.OGM) []byte {
	b := make([]byte, batman.EthLen)
	batman.Eth{Dst: batman.Broadcast, Src: src, Type: batman.EtherType}.Put(b)
	for _, o := range list {
		p := make([]byte, batman.OGMLen+int(o.TVLVLen))
		o.Put(p)
		if o.TVLVLen >= 4 { // one unknown container fills it
			batman.AppendTVLV(p[:batman.OGMLen], 66, 1, int(o.TVLVLen)-4)
		}
		b = append(b, p...)
	}
	return b
}

// single is an OGM of a neighbour as it sends it itself.
func single(orig batman.MAC, seqno uint32) batman.OGM {
	return batman.OGM{TTL: 50, Seqno: seqno, Orig: orig, Prev: orig, TQ: 255}
}

// relayed is an OGM of orig that via's neighbour prev had before.
func relayed(orig, prev batman.MAC, seqno uint32, tq uint8) batman.OGM {
	return batman.OGM{TTL: 48, Seqno: seqno, Orig: orig, Prev: prev, TQ: tq}
}

// ogmSent is an OGM that left on an interface, in which frame.
type ogmSent struct {
	batman.OGM
	iface, frame int
	tvlvs        string
}

// forwarded returns the OGMs that wait or left, by interface.
func (s ogmStand) forwarded() (list []ogmSent) {
	s.m.routing.queue.flush(s.m, s.now.Add(time.Second), &s.out)
	return s.left()
}

// left returns the OGMs that left.
func (s ogmStand) left() (list []ogmSent) {
	for k, b := range s.out.Frames.Bufs {
		p := b.Bytes()[batman.EthLen:]
		for len(p) >= batman.OGMLen && p[0] == byte(batman.TypeIVOGM) {
			o, tvlvs, size, err := batman.ParseOGM(p)
			if err != nil {
				s.t.Fatal(err)
			}
			list = append(list, ogmSent{o, int(b.Port), k, string(tvlvs)})
			p = p[size:]
		}
		s.pool.Put(b)
	}
	s.out.Frames.Reset()
	return list
}

// counts checks by how much the drop counters rise, of the node and of the
// interfaces together.
func (s ogmStand) counts(what string, want map[dropReason]uint64, do func()) {
	s.t.Helper()
	before, byIface := s.m.drops, s.ifaceDrops()
	do()
	after := s.ifaceDrops()
	for i := range before {
		if n := s.m.drops[i] - before[i]; n != want[dropReason(i)] || after[i]-byIface[i] != n {
			s.t.Errorf("%s: %d dropped because of %q, %d at the interfaces, want %d", what, n, dropNames[i], after[i]-byIface[i], want[dropReason(i)])
		}
	}
}
