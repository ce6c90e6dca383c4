package batman

import (
	"encoding/binary"
	"errors"
)

// Link layer and header constants.
const (
	EtherType = 0x4305 // of every mesh frame
	Version   = 15     // compatibility version, second byte of every packet
	TTL       = 50     // of a fresh packet
	MaxTQ     = 255    // a perfect link
	// MaxOGM is the size that an OGM with its TVLVs may have: modules before
	// 2025.1 ignore what does not end within it.
	MaxOGM = 512
)

// PacketType is the first byte of a packet.
type PacketType uint8

// Packet types. Types from TypeUnicast to TypeUnicastMax are sent to one next
// hop, and stock nodes route those that they do not know by the destination
// in bytes 4 to 9.
const (
	TypeIVOGM       PacketType = 0x00
	TypeBroadcast   PacketType = 0x01
	TypeCoded       PacketType = 0x02 // network coding: never sent, ignored
	TypeELP         PacketType = 0x03
	TypeOGM2        PacketType = 0x04
	TypeMulticast   PacketType = 0x05
	TypeUnicast     PacketType = 0x40
	TypeFragment    PacketType = 0x41
	TypeUnicast4    PacketType = 0x42 // with the sender's address: 4ADDR
	TypeICMP        PacketType = 0x43
	TypeUnicastTVLV PacketType = 0x44
	TypeUnicastMax  PacketType = 0x7f
)

// IsUnicast reports whether packets of this type travel from hop to hop
// towards one originator.
func (t PacketType) IsUnicast() bool { return t >= TypeUnicast && t <= TypeUnicastMax }

// Errors of Parse functions.
var (
	ErrShort = errors.New("batman: packet too short")
	ErrOdd   = errors.New("batman: odd TVLV length")
	ErrValue = errors.New("batman: impossible value")
)

// Peek returns type, version and TTL of a packet. The TTL means nothing in an
// ELP packet. It reports false if the packet is shorter than three bytes.
func Peek(b []byte) (t PacketType, version, ttl uint8, ok bool) {
	if len(b) < 3 {
		return 0, 0, 0, false
	}
	return PacketType(b[0]), b[1], b[2], true
}

// Dest returns the destination originator of a unicast-class packet, bytes 4
// to 9. It reports false if the packet is shorter than the common header.
func Dest(b []byte) (m MAC, ok bool) {
	if len(b) < UnicastLen {
		return MAC{}, false
	}
	return MAC(b[4:10]), true
}

var be = binary.BigEndian
