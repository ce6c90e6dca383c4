package switchcore

import (
	"errors"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// CauseHead is how much of a frame Forward may rewrite, in bytes. An error
// frame needs these bytes as they arrived; Forward leaves them alone when it
// returns an error, but whoever changes them later keeps a copy.
const CauseHead = cjdns.SwitchHeaderLen

const (
	causeMin = cjdns.SwitchHeaderLen + 4 // shorter frames say nothing about what failed
	// An error frame is at most 256 bytes long. Its own headers have 24:
	// switch header, marker, checksum and type, code.
	causeMax = 256 - 24
)

// Code returns what an error of Forward is called on the wire, ErrorNone if
// the sender is not told.
func Code(err error) cjdns.ErrorCode {
	switch {
	case errors.Is(err, ErrMalformedAddress):
		return cjdns.ErrorMalformedAddress
	case errors.Is(err, ErrUndeliverable):
		return cjdns.ErrorUndeliverable
	case errors.Is(err, ErrReturnPathInvalid):
		return cjdns.ErrorReturnPathInvalid
	}
	return cjdns.ErrorNone
}

// MayError reports whether the sender of the frame cause may be told of its
// failure: the frame does not forbid it, as error frames do, and says enough
// to be recognised.
func MayError(cause []byte) bool {
	return len(cause) >= causeMin && cause[8]&1 == 0
}

// AppendErrorFrame writes behind dst the error frame for cause, a frame as it
// arrived, switch header first. It goes straight out of the slot that cause
// came from, not through Forward: its label is the reversed label of cause,
// which at the end of its way shows the whole path that failed. If MayError
// is false nothing is written.
//
// Source: cjdns switch/SwitchCore.c.
func AppendErrorFrame(dst, cause []byte, code cjdns.ErrorCode) []byte {
	if !MayError(cause) {
		return dst
	}
	h, err := cjdns.ParseSwitchHeader(cause)
	if err != nil {
		return dst
	}
	dst = cjdns.SwitchHeader{
		Label:          h.Label.Reverse(),
		Congestion:     1,
		SuppressErrors: true,
		Version:        1,
		TrafficClass:   0xffff,
	}.Append(dst)
	return cjdns.Control{
		Type:      cjdns.CtrlError,
		Code:      code,
		Cause:     h,
		CauseData: cause[cjdns.SwitchHeaderLen:min(len(cause), causeMax)],
	}.Append(dst)
}
