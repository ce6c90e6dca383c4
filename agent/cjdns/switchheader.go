package cjdns

import (
	"encoding/binary"
	"errors"
)

// ErrShort reports a frame that ends inside a header. The caller drops it.
var ErrShort = errors.New("cjdns: frame too short")

// SwitchHeaderLen is the length of a switch header, in bytes.
const SwitchHeaderLen = 12

// SwitchHeader is the header that switches read and rewrite.
//
//	0    8 bytes  label
//	8    7 bits   congestion    1 bit   suppress errors
//	9    2 bits   version       6 bits  label shift
//	10   2 bytes  traffic class
//
// All numbers are big endian. Source: cjdns wire/SwitchHeader.h.
type SwitchHeader struct {
	Label          Label
	Congestion     uint8 // 7 bits
	SuppressErrors bool
	Version        uint8  // 2 bits; 0 and 1 both occur, nobody checks it
	LabelShift     uint8  // 6 bits: how many bits of the label are used up
	TrafficClass   uint16 // 0xffff: unclassed; other sources call it penalty
}

// ParseSwitchHeader reads the header at the front of b. The only error is
// ErrShort. It keeps nothing of b.
func ParseSwitchHeader(b []byte) (h SwitchHeader, err error) {
	if len(b) < SwitchHeaderLen {
		return h, ErrShort
	}
	h.Label = Label(binary.BigEndian.Uint64(b))
	h.Congestion, h.SuppressErrors = b[8]>>1, b[8]&1 != 0
	h.Version, h.LabelShift = b[9]>>6, b[9]&0x3f
	h.TrafficClass = binary.BigEndian.Uint16(b[10:])
	return h, nil
}

// Append writes h behind b and returns the longer slice. Bits of Congestion,
// Version and LabelShift beyond their width are dropped.
func (h SwitchHeader) Append(b []byte) []byte {
	var suppress uint8
	if h.SuppressErrors {
		suppress = 1
	}
	b = binary.BigEndian.AppendUint64(b, uint64(h.Label))
	b = append(b, h.Congestion<<1|suppress, h.Version<<6|h.LabelShift&0x3f)
	return binary.BigEndian.AppendUint16(b, h.TrafficClass)
}

// Put writes h into the first SwitchHeaderLen bytes of b, which must be there.
func (h SwitchHeader) Put(b []byte) { h.Append(b[:0:SwitchHeaderLen]) }

// PutLabel overwrites the label of the switch header at the front of b, which
// must hold at least 8 bytes.
func PutLabel(b []byte, l Label) { binary.BigEndian.PutUint64(b, uint64(l)) }
