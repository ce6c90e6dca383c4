package batman

// TVLVType names what a container holds.
type TVLVType uint8

// Containers, with the version that we speak.
const (
	TVLVGateway   TVLVType = 1
	TVLVDAT       TVLVType = 2
	TVLVCoding    TVLVType = 3 // network coding: obsolete
	TVLVTT        TVLVType = 4
	TVLVRoam      TVLVType = 5
	TVLVMulticast TVLVType = 6
	TVLVTracker   TVLVType = 7

	VersionGateway   = 1
	VersionDAT       = 1
	VersionTT        = 1
	VersionRoam      = 1
	VersionMulticast = 2
	VersionTracker   = 1
)

// Sizes around containers.
const (
	TVLVLen        = 4 // header of a container
	UnicastTVLVLen = 20
)

// TVLV is one container.
//
//	0   1 byte   type
//	1   1 byte   version
//	2   2 bytes  length of the value that follows
type TVLV struct {
	Type    TVLVType
	Version uint8
	Value   []byte
}

// NextTVLV reads the container at the start of b and returns what follows
// it. Value aliases b. A value of odd length is an error, as in modules since
// June 2026 and stable kernels.
func NextTVLV(b []byte) (t TVLV, rest []byte, err error) {
	if len(b) < TVLVLen {
		return t, nil, ErrShort
	}
	n := int(be.Uint16(b[2:]))
	if n%2 != 0 {
		return t, nil, ErrOdd
	}
	if len(b) < TVLVLen+n {
		return t, nil, ErrShort
	}
	end := TVLVLen + n
	return TVLV{TVLVType(b[0]), b[1], b[TVLVLen:end:end]}, b[end:], nil
}

// AppendTVLV appends a container header for a value of n bytes, which the
// caller appends next.
func AppendTVLV(dst []byte, t TVLVType, version uint8, n int) []byte {
	return append(dst, byte(t), version, byte(n>>8), byte(n))
}

// UnicastTVLV is the header of containers sent to one originator.
//
//	0   1 byte   type 0x44
//	1   1 byte   version
//	2   1 byte   TTL
//	3   1 byte   0
//	4   6 bytes  destination
//	10  6 bytes  source
//	16  2 bytes  length of the TVLVs that follow
//	18  2 bytes  0
//
// Source: batadv_packet.h, struct batadv_unicast_tvlv_packet.
type UnicastTVLV struct {
	TTL      uint8
	Dst, Src MAC
	TVLVLen  uint16
}

// ParseUnicastTVLV reads the header and finds the containers.
func ParseUnicastTVLV(b []byte) (u UnicastTVLV, tvlv []byte, err error) {
	if len(b) < UnicastTVLVLen {
		return u, nil, ErrShort
	}
	u = UnicastTVLV{b[2], MAC(b[4:10]), MAC(b[10:16]), be.Uint16(b[16:])}
	end := UnicastTVLVLen + int(u.TVLVLen)
	if len(b) < end {
		return u, nil, ErrShort
	}
	return u, b[UnicastTVLVLen:end:end], nil
}

// Put writes the header.
func (u UnicastTVLV) Put(b []byte) {
	_ = b[UnicastTVLVLen-1]
	b[0], b[1], b[2], b[3] = byte(TypeUnicastTVLV), Version, u.TTL, 0
	copy(b[4:10], u.Dst[:])
	copy(b[10:16], u.Src[:])
	be.PutUint16(b[16:], u.TVLVLen)
	be.PutUint16(b[18:], 0)
}

// Gateway is the value of a GW container: bandwidth in units of 100 kbit/s,
// two words of four bytes. Zero in either means no gateway.
type Gateway struct{ Down, Up uint32 }

// ParseGateway reads the value of a GW container.
func ParseGateway(b []byte) (Gateway, error) {
	if len(b) < 8 {
		return Gateway{}, ErrShort
	}
	return Gateway{be.Uint32(b), be.Uint32(b[4:])}, nil
}

// AppendGateway appends a GW container.
func AppendGateway(dst []byte, g Gateway) []byte {
	dst = AppendTVLV(dst, TVLVGateway, VersionGateway, 8)
	return be.AppendUint32(be.AppendUint32(dst, g.Down), g.Up)
}

// Roam is the value of a ROAM container: a client that is now behind the
// sender. Six bytes of address, two of VLAN.
type Roam struct {
	Client MAC
	VID    VID
}

// ParseRoam reads the value of a ROAM container.
func ParseRoam(b []byte) (Roam, error) {
	if len(b) < 8 {
		return Roam{}, ErrShort
	}
	return Roam{MAC(b[:6]), VID(be.Uint16(b[6:]))}, nil
}

// AppendRoam appends a ROAM container.
func AppendRoam(dst []byte, r Roam) []byte {
	dst = AppendTVLV(dst, TVLVRoam, VersionRoam, 8)
	dst = append(dst, r.Client[:]...)
	return be.AppendUint16(dst, uint16(r.VID))
}

// Flags of a multicast container.
const (
	McastWantUnsnoopables = 0x01
	McastWantIPv4         = 0x02
	McastWantIPv6         = 0x04
	McastNoRouter4        = 0x08
	McastNoRouter6        = 0x10
	McastPacketCapable    = 0x20 // can take packets of type Multicast
)

// ParseMulticastFlags reads the value of a MCAST container: flags and three
// reserved bytes.
func ParseMulticastFlags(b []byte) (uint8, error) {
	if len(b) < 4 {
		return 0, ErrShort
	}
	return b[0], nil
}

// AppendMulticastFlags appends a MCAST container.
func AppendMulticastFlags(dst []byte, flags uint8) []byte {
	dst = AppendTVLV(dst, TVLVMulticast, VersionMulticast, 4)
	return append(dst, flags, 0, 0, 0)
}

// ParseTracker reads the value of a TRACKER container: a count of two bytes
// and as many originators of six. Padding may follow. The list aliases b.
func ParseTracker(b []byte) (dests []byte, n int, err error) {
	if len(b) < 2 {
		return nil, 0, ErrShort
	}
	n = int(be.Uint16(b))
	if len(b) < 2+6*n {
		return nil, 0, ErrShort
	}
	return b[2 : 2+6*n], n, nil
}
