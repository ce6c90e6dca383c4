package batman

// Ethernet constants.
const (
	EthLen    = 14
	VLANLen   = 4 // of an 802.1Q tag after the addresses
	EthIPv4   = 0x0800
	EthARP    = 0x0806
	EthVLAN   = 0x8100
	EthIPv6   = 0x86dd
	EthMinLen = 60 // shortest frame on a wire, without checksum
)

// Eth is an Ethernet header.
//
//	0   6 bytes  destination
//	6   6 bytes  source
//	12  2 bytes  type
type Eth struct {
	Dst, Src MAC
	Type     uint16
}

// ParseEth reads the header of an Ethernet frame.
func ParseEth(b []byte) (Eth, error) {
	if len(b) < EthLen {
		return Eth{}, ErrShort
	}
	return Eth{MAC(b[0:6]), MAC(b[6:12]), be.Uint16(b[12:])}, nil
}

// Put writes the header.
func (e Eth) Put(b []byte) {
	_ = b[EthLen-1]
	copy(b[0:6], e.Dst[:])
	copy(b[6:12], e.Src[:])
	be.PutUint16(b[12:], e.Type)
}

// ParseClient reads the header of a client's frame: addresses, VLAN and the
// type behind one 802.1Q tag if there is one. The payload begins at offset.
// The VLAN id 0 is a tag of its own here; see mesh for what it means.
func ParseClient(b []byte) (e Eth, v VID, offset int, err error) {
	e, err = ParseEth(b)
	if err != nil || e.Type != EthVLAN {
		return e, 0, EthLen, err
	}
	if len(b) < EthLen+VLANLen {
		return e, 0, 0, ErrShort
	}
	v = VLANTag | VID(be.Uint16(b[EthLen:])&0xfff)
	e.Type = be.Uint16(b[EthLen+2:])
	return e, v, EthLen + VLANLen, nil
}
