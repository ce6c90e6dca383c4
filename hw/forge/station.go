package forge

import (
	"bytes"

	"github.com/meshagent/meshagent/agent/batman"
)

// Station plays a node of B.A.T.M.A.N. IV well enough for its neighbours to
// take it for one: it says that it is there, repeats the OGMs that it hears,
// and hands unicasts on. It does no input or output.
type Station struct {
	MAC batman.MAC
	// Lie changes an OGM before it is repeated; nil changes none.
	Lie func(OGM) OGM

	seqno uint32
}

// stationQuality is the most that a station promises for others: what a good
// link and one hop more leave of a perfect one.
const stationQuality = 240

// Hello is an OGM of the station's own, to be sent once in an interval.
func (s *Station) Hello() []byte {
	s.seqno++
	return OGM{OGM: batman.OGM{Seqno: s.seqno}}.As(s.MAC, s.MAC, 0).Frame(s.MAC)
}

// Hear takes a frame and returns what the station sends because of it.
func (s *Station) Hear(frame []byte) (out [][]byte) {
	e, err := batman.ParseEth(frame)
	if err != nil || e.Type != batman.EtherType || e.Src == s.MAC {
		return nil
	}
	if !e.Dst.IsMulticast() {
		return s.hand(e, frame)
	}
	for _, o := range Parse(frame) {
		if o.Orig == s.MAC || o.Prev == s.MAC || o.TTL < 2 {
			continue
		}
		if s.Lie != nil {
			o = s.Lie(o)
		}
		o.TTL--
		o.Flags, o.Prev, o.TQ = 0, e.Src, min(o.TQ, stationQuality)
		if o.Orig == e.Src {
			o.Flags = batman.DirectLink
		}
		out = append(out, o.Frame(s.MAC))
	}
	return out
}

// hand passes a unicast on to its destination, which has to be a neighbour.
func (s *Station) hand(e batman.Eth, frame []byte) [][]byte {
	p := frame[batman.EthLen:]
	dst, ok := batman.Dest(p)
	if !ok || e.Dst != s.MAC || dst == s.MAC || !batman.PacketType(p[0]).IsUnicast() || p[2] < 2 {
		return nil
	}
	f := bytes.Clone(frame)
	batman.Eth{Dst: dst, Src: s.MAC, Type: e.Type}.Put(f)
	f[batman.EthLen+2]--
	return [][]byte{f}
}
