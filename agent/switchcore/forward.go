package switchcore

import (
	"encoding/binary"
	"errors"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// Why a frame cannot be forwarded. The caller drops it, counts it, and, where
// Code is not ErrorNone, may tell the sender: AppendErrorFrame.
var (
	// ErrShort: the frame ends inside the switch header.
	ErrShort = errors.New("switchcore: frame too short")
	// ErrMalformedAddress: the label leads to an empty slot, or its director
	// is narrower than the slot that the frame came from needs on the way
	// back.
	ErrMalformedAddress = errors.New("switchcore: malformed address")
	// ErrUndeliverable: the peer in that slot is down.
	ErrUndeliverable = errors.New("switchcore: peer is down")
	// ErrReturnPathInvalid: the frame is for us, but the label has no room
	// for a way back.
	ErrReturnPathInvalid = errors.New("switchcore: no way back")
	// ErrLabelShift: the frame has used up more bits than a label has. It
	// is dropped silently.
	ErrLabelShift = errors.New("switchcore: label used up")
)

const (
	shiftAt   = 9 // version and label shift
	shiftMask = 0x3f
	classAt   = 10
)

// Forward makes one hop: it decides where a frame that came in on one slot
// goes out, and rewrites its switch header, which stands at the front of
// frame. The director that was used is shifted out of the label, and the way
// back to the slot in is put in at the top. Frames from the own router have
// in Self; frames for it return Self.
//
// On error the frame is unchanged. The errors are those of this package,
// unwrapped. Forward does not allocate.
//
// Two checks of cjdns can never fail with V358 and are not here: that Self is
// written as 0001, and that a frame from Self has room for its director.
//
// Source: cjdns switch/SwitchCore.c.
func Forward(t *Table, in Port, frame []byte) (out Port, err error) {
	if len(frame) < cjdns.SwitchHeaderLen {
		return 0, ErrShort
	}
	label := cjdns.Label(binary.BigEndian.Uint64(frame))
	port, bits := cjdns.PortOf(label)
	out = Port(port)
	back, inBits := cjdns.PortDirector(uint16(in), bits)
	if inBits == 0 {
		return 0, ErrMalformedAddress // there is no such slot
	}
	if inBits > bits {
		// The way back needs more room than the way forth sets free. Only
		// the last director may be stretched, if zeros follow it.
		if out != Self {
			return 0, ErrMalformedAddress
		}
		if (label^1)&(1<<(inBits+4)-1) != 0 {
			return 0, ErrReturnPathInvalid
		}
		bits = inBits
	}
	switch t.State(out) {
	case Up:
	case Down:
		if in != Self {
			return 0, ErrUndeliverable
		}
	default:
		return 0, ErrMalformedAddress
	}
	shift := frame[shiftAt]&shiftMask + uint8(bits)
	if shift > shiftMask {
		return 0, ErrLabelShift
	}
	cjdns.PutLabel(frame, label>>bits|cjdns.Label(back).Reverse())
	frame[shiftAt] = frame[shiftAt]&^shiftMask | shift
	frame[classAt], frame[classAt+1] = 0xff, 0xff
	return out, nil
}
