package forge

import (
	"bytes"

	"github.com/meshagent/meshagent/agent/batman"
)

// Carried is the container of an identity as it passed by.
type Carried struct {
	Orig  batman.MAC
	Seqno uint32
	Value []byte
}

// Identities returns the containers of identities in an Ethernet frame with
// OGMs of B.A.T.M.A.N. IV or V, as copies.
func Identities(frame []byte) (list []Carried) {
	e, err := batman.ParseEth(frame)
	if err != nil || e.Type != batman.EtherType {
		return nil
	}
	for b := frame[batman.EthLen:]; ; {
		t, version, _, ok := batman.Peek(b)
		if !ok || version != batman.Version {
			return list
		}
		var c Carried
		var tvlv []byte
		var size int
		switch t {
		case batman.TypeIVOGM:
			var o batman.OGM
			o, tvlv, size, err = batman.ParseOGM(b)
			c.Orig, c.Seqno = o.Orig, o.Seqno
		case batman.TypeOGM2:
			var o batman.OGM2
			o, tvlv, size, err = batman.ParseOGM2(b)
			c.Orig, c.Seqno = o.Orig, o.Seqno
		default:
			return list
		}
		if err != nil {
			return list
		}
		for len(tvlv) > 0 {
			v, rest, err := batman.NextTVLV(tvlv)
			if err != nil {
				break
			}
			if v.Type == Identity {
				c.Value = bytes.Clone(v.Value)
				list = append(list, c)
			}
			tvlv = rest
		}
		b = b[size:]
	}
}
