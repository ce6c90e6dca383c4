package batman

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// MAC is an Ethernet address. It is an array so that tables keyed by it cost
// no pointer.
type MAC [6]byte

// Broadcast is the Ethernet broadcast address.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// String prints m in lower case with colons, as batctl does.
func (m MAC) String() string {
	const digits = "0123456789abcdef"
	var b [17]byte
	for i, v := range m {
		if i > 0 {
			b[3*i-1] = ':'
		}
		b[3*i], b[3*i+1] = digits[v>>4], digits[v&15]
	}
	return string(b[:])
}

// ParseMAC reads an address of six two-digit hexadecimal numbers with colons
// or dashes between them.
func ParseMAC(s string) (m MAC, err error) {
	if len(s) == 17 {
		sep := s[2]
		ok := sep == ':' || sep == '-'
		for i := range m {
			if i > 0 && s[3*i-1] != sep {
				ok = false
			}
			if _, err := hex.Decode(m[i:i+1], []byte(s[3*i:3*i+2])); err != nil {
				ok = false
			}
		}
		if ok {
			return m, nil
		}
	}
	return MAC{}, fmt.Errorf("batman: %q is no MAC address like 02:ba:00:00:01:00", s)
}

// MarshalText prints m for JSON.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (m *MAC) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMAC(string(b))
	return err
}

// IsZero reports whether m is all zero, which no station has.
func (m MAC) IsZero() bool { return m == MAC{} }

// IsMulticast reports whether m is a group address; broadcast is one.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// IsBroadcast reports whether m is ff:ff:ff:ff:ff:ff.
func (m MAC) IsBroadcast() bool { return m == Broadcast }

// IsStation reports whether m can be the address of one station.
func (m MAC) IsStation() bool { return m[0]&1 == 0 && !m.IsZero() }

// Compare orders addresses as numbers.
func (m MAC) Compare(n MAC) int { return bytes.Compare(m[:], n[:]) }

// VID is a VLAN as the mesh writes it: 0 is untagged, VLANTag|id is VLAN id.
type VID uint16

// VLANTag marks a VID that names a VLAN.
const VLANTag VID = 0x8000

// Tagged reports whether v names a VLAN.
func (v VID) Tagged() bool { return v&VLANTag != 0 }

// ID returns the VLAN id, 0 to 4095.
func (v VID) ID() uint16 { return uint16(v & 0xfff) }

// Print returns the VLAN id as batctl prints it: -1 for untagged.
func (v VID) Print() int {
	if !v.Tagged() {
		return -1
	}
	return int(v.ID())
}
