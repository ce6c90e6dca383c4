package cjdns

import (
	"encoding/binary"
	"errors"
)

// BeaconLen is the length of a beacon, in bytes.
const BeaconLen = 56

// Beacon is what a node broadcasts to be found by its neighbours.
//
//	0    4 bytes   protocol version, big endian
//	4    20 bytes  password, drawn anew at each start
//	24   32 bytes  permanent public key
//
// On Ethernet it follows the EthHeader of a broadcast frame.
// Source: cjdns wire/Headers.h.
type Beacon struct {
	Version  uint32
	Password [20]byte // valid for whoever hears it
	Key      Key
}

// ParseBeacon reads the beacon at the front of b; what follows is ignored.
// The only error is ErrShort. Neither the version nor the address of the key
// is checked.
func ParseBeacon(b []byte) (c Beacon, err error) {
	if len(b) < BeaconLen {
		return c, ErrShort
	}
	c.Version = binary.BigEndian.Uint32(b)
	c.Password = [20]byte(b[4:24])
	c.Key = Key(b[24:56])
	return c, nil
}

// Append writes c behind b and returns the longer slice.
func (c Beacon) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, c.Version)
	b = append(b, c.Password[:]...)
	return append(b, c.Key[:]...)
}

// UDPBeaconMagic is the first word of a UDP beacon, big endian. CryptoAuth
// packets never begin with it.
const UDPBeaconMagic uint32 = 0xfffffffc

// UDPBeaconLen is the length of a UDP beacon, in bytes.
const UDPBeaconLen = 8 + BeaconLen

// ErrBeaconMagic reports a datagram that is not a UDP beacon, or one of a
// version that we do not know.
var ErrBeaconMagic = errors.New("cjdns: not a UDP beacon")

// UDPBeacon is a beacon as it is broadcast over UDP, on a port of its own.
//
//	0   4 bytes   UDPBeaconMagic
//	4   1 byte    version, 0
//	5   1 byte    unused, 0
//	6   2 bytes   port, big endian
//	8   56 bytes  Beacon
//
// Source: cjdns wire/Headers.h, interface/UDPInterface.c.
type UDPBeacon struct {
	Port uint16 // UDP port on which the sender awaits CryptoAuth packets
	Beacon
}

// ParseUDPBeacon reads the datagram b. Errors: ErrShort, ErrBeaconMagic.
func ParseUDPBeacon(b []byte) (c UDPBeacon, err error) {
	if len(b) < UDPBeaconLen {
		return c, ErrShort
	}
	if binary.BigEndian.Uint32(b) != UDPBeaconMagic || b[4] != 0 {
		return c, ErrBeaconMagic
	}
	c.Port = binary.BigEndian.Uint16(b[6:])
	c.Beacon, err = ParseBeacon(b[8:])
	return c, err
}

// Append writes c behind b and returns the longer slice.
func (c UDPBeacon) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, UDPBeaconMagic)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, c.Port)
	return c.Beacon.Append(b)
}
