// Package forge makes frames of the mesh that their senders have no right to
// send, out of true ones that were overheard: what the tests of signed
// originators throw at agents and at stock nodes. B.A.T.M.A.N. IV only.
package forge

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/meshagent/meshagent/agent/batman"
)

// Identity is the type of the container that holds a signed identity, and its
// layout: docs/protocol/identity.md.
const (
	Identity = batman.TVLVType(0xc6)

	flagAt    = 1 // its lowest bit: a record follows
	idAt      = 2
	elementAt = 8
	RecordAt  = 24
)

// OGM is an originator message with its containers.
type OGM struct {
	batman.OGM
	Containers []batman.TVLV
}

// Parse returns the OGMs of an Ethernet frame, as copies; none if it is
// something else.
func Parse(frame []byte) (list []OGM) {
	e, err := batman.ParseEth(frame)
	if err != nil || e.Type != batman.EtherType {
		return nil
	}
	// an aggregate ends where the next byte cannot begin an OGM: padding
	for b := frame[batman.EthLen:]; len(b) >= batman.OGMLen && b[0] == byte(batman.TypeIVOGM) && b[1] == batman.Version; {
		h, tvlv, size, err := batman.ParseOGM(b)
		if err != nil {
			break
		}
		o := OGM{OGM: h}
		for len(tvlv) > 0 {
			c, rest, err := batman.NextTVLV(tvlv)
			if err != nil {
				break
			}
			c.Value = bytes.Clone(c.Value)
			o.Containers, tvlv = append(o.Containers, c), rest
		}
		list, b = append(list, o), b[size:]
	}
	return list
}

// Frame is a broadcast of the OGM by a station.
func (o OGM) Frame(src batman.MAC) []byte {
	f := make([]byte, batman.EthLen+batman.OGMLen)
	batman.Eth{Dst: batman.Broadcast, Src: src, Type: batman.EtherType}.Put(f)
	for _, c := range o.Containers {
		f = append(batman.AppendTVLV(f, c.Type, c.Version, len(c.Value)), c.Value...)
	}
	o.TVLVLen = uint16(len(f) - batman.EthLen - batman.OGMLen)
	o.Put(f[batman.EthLen:])
	return f
}

// Clone returns a copy that shares nothing.
func (o OGM) Clone() OGM {
	o.Containers = slices.Clone(o.Containers)
	for i := range o.Containers {
		o.Containers[i].Value = bytes.Clone(o.Containers[i].Value)
	}
	return o
}

// Get returns the value of a container, nil if there is none. What is written
// to it is in the OGM.
func (o OGM) Get(t batman.TVLVType) []byte {
	for _, c := range o.Containers {
		if c.Type == t {
			return c.Value
		}
	}
	return nil
}

// Without returns a copy without the containers of a type.
func (o OGM) Without(t batman.TVLVType) OGM {
	o = o.Clone()
	o.Containers = slices.DeleteFunc(o.Containers, func(c batman.TVLV) bool { return c.Type == t })
	return o
}

// With returns a copy with one more container in place of those of its type.
func (o OGM) With(c batman.TVLV) OGM {
	o = o.Without(c.Type)
	o.Containers = append(o.Containers, c)
	return o
}

// Gateway returns a copy that announces a gateway, in units of 100 kbit/s.
func (o OGM) Gateway(down, up uint32) OGM {
	v := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, down), up)
	return o.With(batman.TVLV{Type: batman.TVLVGateway, Version: batman.VersionGateway, Value: v})
}

// HasRecord reports whether the OGM carries a whole signed record.
func (o OGM) HasRecord() bool {
	v := o.Get(Identity)
	return len(v) > RecordAt && v[flagAt]&1 != 0
}

// As returns a copy as a station near by sends it: with a higher sequence
// number, full quality and the station as the one it came from.
func (o OGM) As(orig, src batman.MAC, ahead uint32) OGM {
	o = o.Clone()
	o.Orig, o.Prev, o.TQ, o.TTL = orig, src, batman.MaxTQ, batman.TTL
	o.Seqno += ahead
	o.Flags = 0
	if orig != src {
		o.TTL-- // as if relayed
	}
	return o
}

// Bogus returns a copy under another originator with a record of noise, whose
// id is drawn as well: each one is new to everybody.
func (o OGM) Bogus(orig, src batman.MAC, noise func([]byte)) OGM {
	o = o.As(orig, src, 0)
	v := o.Get(Identity)
	noise(v[idAt:])
	v[flagAt] |= 1
	if len(v) > RecordAt {
		v[RecordAt] = 1 // version, so that it is looked at
	}
	return o
}

// Roam is a claim, sent to dst in the name of src, that a client is now at
// src; it leaves from the station by.
func Roam(next, by, dst, src, client batman.MAC) []byte {
	tvlv := batman.AppendRoam(nil, batman.Roam{Client: client})
	f := make([]byte, batman.EthLen+batman.UnicastTVLVLen)
	batman.Eth{Dst: next, Src: by, Type: batman.EtherType}.Put(f)
	batman.UnicastTVLV{TTL: batman.TTL, Dst: dst, Src: src, TVLVLen: uint16(len(tvlv))}.Put(f[batman.EthLen:])
	return append(f, tvlv...)
}

// Clients returns a copy whose translation table has just these clients,
// untagged and announced as a change, with a checksum that fits.
func (o OGM) Clients(ttvn uint8, clients ...batman.MAC) OGM {
	var sum uint32
	var entries []byte
	for _, c := range clients {
		sum ^= batman.TTSum(c, 0, 0)
		entries = batman.TTEntry{Client: c}.Append(entries)
	}
	v := batman.TTVLAN{CRC: sum}.Append(batman.AppendTT(nil, batman.TTOGMDiff, ttvn, 1))
	return o.With(batman.TVLV{Type: batman.TVLVTT, Version: batman.VersionTT, Value: append(v, entries...)})
}

// AddClient returns a copy whose translation table claims one more client:
// among the changes, if there are some, and in the checksum of the first VLAN.
func (o OGM) AddClient(client batman.MAC) OGM {
	tt, err := batman.ParseTT(o.Get(batman.TVLVTT))
	if err != nil || tt.VLANs.Len() == 0 {
		return o.Clone()
	}
	v := batman.AppendTT(nil, tt.Flags, tt.TTVN, tt.VLANs.Len())
	for i := range tt.VLANs.Len() {
		l := tt.VLANs.At(i)
		if i == 0 {
			l.CRC ^= batman.TTSum(client, l.VID, 0)
		}
		v = l.Append(v)
	}
	v = append(v, tt.Entries...)
	if tt.Entries.Len() > 0 {
		v = batman.TTEntry{Client: client, VID: tt.VLANs.At(0).VID}.Append(v)
	}
	return o.With(batman.TVLV{Type: batman.TVLVTT, Version: batman.VersionTT, Value: v})
}

// Size is the length of the OGM with its containers, without Ethernet header.
func (o OGM) Size() int { return batman.OGMLen + int(o.TVLVLen) }
