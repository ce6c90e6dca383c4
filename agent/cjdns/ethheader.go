package cjdns

import (
	"encoding/binary"
	"errors"
)

// EtherType is the Ethernet type of cjdns frames.
const EtherType = 0xfc00

// EthHeaderLen is the length of the header behind the Ethernet header, in
// bytes.
const EthHeaderLen = 6

// ErrEthHeader reports a frame that is not cjdns over Ethernet, version 0.
var ErrEthHeader = errors.New("cjdns: malformed ethernet header")

// ParseEthHeader reads the header at the front of an Ethernet payload and
// returns what it holds: a CryptoAuth packet, or a Beacon if the frame was
// broadcast. The payload aliases frame, without the padding that the network
// card added. Errors: ErrShort if the frame ends before its length says,
// ErrEthHeader.
//
//	0   1 byte   version, 0
//	1   1 byte   unused, 0
//	2   2 bytes  length of header and payload, big endian
//	4   2 bytes  EtherType again
//
// Source: cjdns interface/ETHInterface.c.
func ParseEthHeader(frame []byte) (payload []byte, err error) {
	if len(frame) < EthHeaderLen {
		return nil, ErrShort
	}
	n := int(binary.BigEndian.Uint16(frame[2:]))
	if frame[0] != 0 || n < EthHeaderLen || binary.BigEndian.Uint16(frame[4:]) != EtherType {
		return nil, ErrEthHeader
	}
	if n > len(frame) {
		return nil, ErrShort
	}
	return frame[EthHeaderLen:n:n], nil
}

// PutEthHeader writes the header for a payload of n bytes into the first
// EthHeaderLen bytes of b, which must be there.
func PutEthHeader(b []byte, n int) {
	_ = b[EthHeaderLen-1]
	b[0], b[1] = 0, 0
	binary.BigEndian.PutUint16(b[2:], uint16(n+EthHeaderLen))
	binary.BigEndian.PutUint16(b[4:], EtherType)
}

// AppendEthHeader writes the header for a payload of n bytes behind b and
// returns the longer slice.
func AppendEthHeader(b []byte, n int) []byte {
	var h [EthHeaderLen]byte
	PutEthHeader(h[:], n)
	return append(b, h[:]...)
}
