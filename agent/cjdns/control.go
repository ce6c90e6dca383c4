package cjdns

import (
	"encoding/binary"
	"errors"
)

// Errors of control frames. The caller drops the frame.
var (
	ErrControlChecksum = errors.New("cjdns: control frame with a wrong checksum")
	ErrControlType     = errors.New("cjdns: control frame of an unknown type")
	ErrControlMagic    = errors.New("cjdns: control frame with a wrong magic number")
	ErrControlLong     = errors.New("cjdns: control frame with too much opaque data")
)

// ControlType says what a control frame is about.
type ControlType uint16

// Types of control frames. The answer has the number after its query. RPath
// belongs to protocol version 21, LLAddr to 22.
const (
	CtrlError         ControlType = 2
	CtrlPing          ControlType = 3
	CtrlPong          ControlType = 4
	CtrlKeyPing       ControlType = 5 // a ping that also asks for the key
	CtrlKeyPong       ControlType = 6
	CtrlGetSnodeQuery ControlType = 7 // which supernode do you use?
	CtrlGetSnodeReply ControlType = 8
	CtrlRPathQuery    ControlType = 9 // by which path do you see me?
	CtrlRPathReply    ControlType = 10
	CtrlLLAddrQuery   ControlType = 11 // at which link address do you see me?
	CtrlLLAddrReply   ControlType = 12
)

// ErrorCode is the reason in an error frame. Source: cjdns wire/Error.h.
type ErrorCode uint32

// Reasons of error frames.
const (
	ErrorNone              ErrorCode = 0
	ErrorMalformedAddress  ErrorCode = 1 // no such slot, or a director too narrow for the way back
	ErrorFlood             ErrorCode = 2
	ErrorLinkLimitExceeded ErrorCode = 3
	ErrorOversizeMessage   ErrorCode = 4
	ErrorUndersizeMessage  ErrorCode = 5
	ErrorAuthentication    ErrorCode = 6 // an end-to-end packet did not open
	ErrorInvalid           ErrorCode = 7
	ErrorUndeliverable     ErrorCode = 8 // the peer in that slot is down
	ErrorLoopRoute         ErrorCode = 9
	ErrorReturnPathInvalid ErrorCode = 10 // the label has no room for the way back
	ErrorUnhandled         ErrorCode = 11 // v22
	ErrorOverflow          ErrorCode = 12 // v22
	ErrorInternal          ErrorCode = 13 // v22
)

const unknownName = "UNKNOWN"

const (
	controlMarker           uint32 = 0xffffffff
	controlHeaderLen               = 8 // marker, checksum, type
	controlErrorFixed              = 4 + SwitchHeaderLen
	controlMaxOpaque               = 256 // cjdns promises to echo so much
	controlMaxKeyPingOpaque        = 64
)

var errorNames = [...]string{
	"NONE", "MALFORMED_ADDRESS", "FLOOD", "LINK_LIMIT_EXCEEDED", "OVERSIZE_MESSAGE",
	"UNDERSIZE_MESSAGE", "AUTHENTICATION", "INVALID", "UNDELIVERABLE", "LOOP_ROUTE",
	"RETURN_PATH_INVALID", "UNHANDLED", "OVERFLOW", "INTERNAL",
}

// String returns cjdns's name of the code.
func (c ErrorCode) String() string {
	if c < ErrorCode(len(errorNames)) {
		return errorNames[c]
	}
	return unknownName
}

// controlShape is what a type has between its type field and the opaque data.
type controlShape struct {
	name  string
	magic uint32 // 0: no magic, no version
	fixed int    // bytes after the type field, magic and version included
}

// The magic numbers of RPath are those of GetSnode: stock nodes have it so,
// and the type tells them apart.
var controlShapes = [...]controlShape{
	CtrlError:         {"ERROR", 0, controlErrorFixed},
	CtrlPing:          {"PING", 0x09f91102, 8},
	CtrlPong:          {"PONG", 0x9d74e35b, 8},
	CtrlKeyPing:       {"KEYPING", 0x01234567, 40},
	CtrlKeyPong:       {"KEYPONG", 0x89abcdef, 40},
	CtrlGetSnodeQuery: {"GETSNODE_QUERY", 0x736e6f71, 56},
	CtrlGetSnodeReply: {"GETSNODE_REPLY", 0x736e6f72, 56},
	CtrlRPathQuery:    {"RPATH_QUERY", 0x736e6f71, 16},
	CtrlRPathReply:    {"RPATH_REPLY", 0x736e6f72, 16},
	CtrlLLAddrQuery:   {"LLADDR_QUERY", 0x6c6c6171, 40},
	CtrlLLAddrReply:   {"LLADDR_REPLY", 0x6c6c6172, 40},
}

func (t ControlType) shape() (controlShape, bool) {
	if int(t) >= len(controlShapes) || controlShapes[t].fixed == 0 {
		return controlShape{}, false
	}
	return controlShapes[t], true
}

// String returns cjdns's name of the type.
func (t ControlType) String() string {
	if s, ok := t.shape(); ok {
		return s.name
	}
	return unknownName
}

// Control is a control frame: what switches and routers say to each other
// without encryption from end to end. It follows the switch header in place
// of a session handle.
//
//	0   4 bytes  ffffffff
//	4   2 bytes  checksum, over everything behind the marker
//	6   2 bytes  type
//	8            by type:
//
//	ERROR            code 4, switch header of the cause 12, beginning of the cause
//	PING, PONG       magic 4, version 4, opaque
//	KEYPING, KEYPONG magic 4, version 4, key 32, opaque
//	GETSNODE         magic 4, version 4, supernode's version 4, kbps 4, its key 32, path to it 8, opaque
//	RPATH            magic 4, version 4, path 8, opaque
//	LLADDR           magic 4, version 4, address 32, opaque
//
// All numbers are big endian. Fields that a type does not have are ignored by
// Append and zero after ParseControl.
//
// Source: cjdns wire/Control.h, net/ControlHandler.c.
type Control struct {
	Type ControlType

	// Error frames.
	Code      ErrorCode
	Cause     SwitchHeader // of the frame that failed, as it arrived where it failed
	CauseData []byte       // what followed that header, cut off; aliases the input

	// All others.
	Version uint32 // of the protocol, of the sender
	Opaque  []byte // what the asker wants back unchanged; aliases the input

	Key          Key      // KEYPING: the sender's; GETSNODE: the supernode's, or zero
	Path         Label    // GETSNODE: from the sender to its supernode; RPATH: from the answering node to the asker
	SnodeVersion uint32   // GETSNODE: protocol version of the supernode, 0 if none
	Kbps         uint32   // GETSNODE: link speed, kbit/s; the top bit marks a configured limit
	LLAddr       [32]byte // LLADDR: see LLAddrUDP
}

// ParseControl reads the frame body b, which begins with ffffffff. Slices in
// the result alias b. Errors: ErrShort, ErrControlChecksum, ErrControlType,
// ErrControlMagic, ErrControlLong.
func ParseControl(b []byte) (c Control, err error) {
	if len(b) < controlHeaderLen {
		return c, ErrShort
	}
	if binary.BigEndian.Uint32(b) != controlMarker {
		return c, ErrControlMagic
	}
	t := ControlType(binary.BigEndian.Uint16(b[6:]))
	shape, ok := t.shape()
	if !ok {
		return c, ErrControlType
	}
	p := b[controlHeaderLen:]
	if len(p) < shape.fixed {
		return c, ErrShort
	}
	if binary.BigEndian.Uint16(b[4:]) != controlChecksum(b) {
		return c, ErrControlChecksum
	}
	opaque := p[shape.fixed:]
	if t == CtrlError {
		c.Type = t
		c.Code = ErrorCode(binary.BigEndian.Uint32(p))
		c.Cause, err = ParseSwitchHeader(p[4:])
		c.CauseData = opaque
		return c, err
	}
	if binary.BigEndian.Uint32(p) != shape.magic {
		return c, ErrControlMagic
	}
	if len(opaque) > t.maxOpaque() {
		return c, ErrControlLong
	}
	c.Type, c.Version, c.Opaque = t, binary.BigEndian.Uint32(p[4:]), opaque
	switch t {
	case CtrlKeyPing, CtrlKeyPong:
		c.Key = Key(p[8:40])
	case CtrlGetSnodeQuery, CtrlGetSnodeReply:
		c.SnodeVersion = binary.BigEndian.Uint32(p[8:])
		c.Kbps = binary.BigEndian.Uint32(p[12:])
		c.Key = Key(p[16:48])
		c.Path = Label(binary.BigEndian.Uint64(p[48:]))
	case CtrlRPathQuery, CtrlRPathReply:
		c.Path = Label(binary.BigEndian.Uint64(p[8:]))
	case CtrlLLAddrQuery, CtrlLLAddrReply:
		c.LLAddr = [32]byte(p[8:40])
	default: // CtrlPing, CtrlPong
	}
	return c, nil
}

// maxOpaque bounds what we would echo.
func (t ControlType) maxOpaque() int {
	if t == CtrlKeyPing || t == CtrlKeyPong {
		return controlMaxKeyPingOpaque
	}
	return controlMaxOpaque
}

// Append writes the whole frame body, marker and checksum included, behind b
// and returns the longer slice. A frame of an unknown type is written without
// any fields; nobody reads it.
func (c Control) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, controlMarker)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(c.Type))
	shape, ok := c.Type.shape()
	switch {
	case !ok:
	case c.Type == CtrlError:
		b = binary.BigEndian.AppendUint32(b, uint32(c.Code))
		b = c.Cause.Append(b)
		b = append(b, c.CauseData...)
	default:
		b = binary.BigEndian.AppendUint32(b, shape.magic)
		b = binary.BigEndian.AppendUint32(b, c.Version)
		b = c.appendFields(b)
		b = append(b, c.Opaque...)
	}
	binary.BigEndian.PutUint16(b[start+4:], controlChecksum(b[start:]))
	return b
}

func (c *Control) appendFields(b []byte) []byte {
	switch c.Type {
	case CtrlKeyPing, CtrlKeyPong:
		b = append(b, c.Key[:]...)
	case CtrlGetSnodeQuery, CtrlGetSnodeReply:
		b = binary.BigEndian.AppendUint32(b, c.SnodeVersion)
		b = binary.BigEndian.AppendUint32(b, c.Kbps)
		b = append(b, c.Key[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(c.Path))
	case CtrlRPathQuery, CtrlRPathReply:
		b = binary.BigEndian.AppendUint64(b, uint64(c.Path))
	case CtrlLLAddrQuery, CtrlLLAddrReply:
		b = append(b, c.LLAddr[:]...)
	default: // CtrlPing, CtrlPong
	}
	return b
}

// controlChecksum returns the Internet checksum of a frame body, behind the
// marker, as if its checksum field were zero. An odd last byte is the high
// one of its word.
func controlChecksum(b []byte) uint16 {
	var sum uint32
	for p := b[6:]; len(p) > 0; {
		if len(p) == 1 {
			sum += uint32(p[0]) << 8
			break
		}
		sum += uint32(binary.BigEndian.Uint16(p))
		p = p[2:]
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
