package cjdns

import "encoding/binary"

// DataHeaderLen is the length of a data header, in bytes.
const DataHeaderLen = 4

// Content types. Those below 256 are IPv6 next header numbers: the payload is
// what follows an IPv6 header that both ends can make up themselves.
// Source: cjdns wire/ContentType.h.
const (
	ContentIP6Max   uint16 = 255 // the last next header number
	ContentDHT      uint16 = 256 // a routing message: Message
	ContentIPTunnel uint16 = 257 // an IP packet of the world outside
	ContentPrivate  uint16 = 0x8000
)

const dataHeaderVersion = 1

// DataHeader stands in front of every end-to-end payload, inside the
// encryption.
//
//	0   4 bits   version, 1    4 bits  unused, 0
//	1   1 byte   unused, 0
//	2   2 bytes  content type, big endian
//
// A packet without it must never be sent: stock nodes up to 20.7 abort.
// Source: cjdns wire/DataHeader.h.
type DataHeader struct {
	Version     uint8 // 4 bits
	ContentType uint16
}

// ParseDataHeader reads the header at the front of b. The only error is
// ErrShort. It keeps nothing of b, and checks no version, as stock nodes do.
func ParseDataHeader(b []byte) (h DataHeader, err error) {
	if len(b) < DataHeaderLen {
		return h, ErrShort
	}
	return DataHeader{Version: b[0] >> 4, ContentType: binary.BigEndian.Uint16(b[2:])}, nil
}

// Append writes h behind b and returns the longer slice.
func (h DataHeader) Append(b []byte) []byte {
	b = append(b, h.Version<<4, 0)
	return binary.BigEndian.AppendUint16(b, h.ContentType)
}

// PutDataHeader writes a header of the current version into the first
// DataHeaderLen bytes of b, which must be there.
func PutDataHeader(b []byte, contentType uint16) {
	DataHeader{Version: dataHeaderVersion, ContentType: contentType}.Append(b[:0:DataHeaderLen])
}
