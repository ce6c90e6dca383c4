package batman

// Sizes of payload headers. Unless said otherwise a client's Ethernet frame
// follows the header.
const (
	BroadcastLen = 14
	UnicastLen   = 10
	Unicast4Len  = 18
	FragmentLen  = 20
	MulticastLen = 6 // TVLVs follow, then the frame
)

// BroadcastHeader is the header of a flooded frame.
//
//	0   1 byte   type 1
//	1   1 byte   version
//	2   1 byte   TTL
//	3   1 byte   0
//	4   4 bytes  sequence number
//	8   6 bytes  originator
//
// Source: batadv_packet.h, struct batadv_bcast_packet.
type BroadcastHeader struct {
	TTL   uint8
	Seqno uint32
	Orig  MAC
}

// ParseBroadcast reads the header of a flooded frame.
func ParseBroadcast(b []byte) (BroadcastHeader, error) {
	if len(b) < BroadcastLen {
		return BroadcastHeader{}, ErrShort
	}
	return BroadcastHeader{b[2], be.Uint32(b[4:]), MAC(b[8:14])}, nil
}

// Put writes the header.
func (h BroadcastHeader) Put(b []byte) {
	_ = b[BroadcastLen-1]
	b[0], b[1], b[2], b[3] = byte(TypeBroadcast), Version, h.TTL, 0
	be.PutUint32(b[4:], h.Seqno)
	copy(b[8:14], h.Orig[:])
}

// Unicast is the header of a frame for one client.
//
//	0   1 byte   type 0x40
//	1   1 byte   version
//	2   1 byte   TTL
//	3   1 byte   TTVN of the destination as the sender knows it
//	4   6 bytes  destination originator
//
// Source: batadv_packet.h, struct batadv_unicast_packet.
type Unicast struct {
	TTL, TTVN uint8
	Dest      MAC
}

// ParseUnicast reads the header of a unicast or 4ADDR frame.
func ParseUnicast(b []byte) (Unicast, error) {
	if len(b) < UnicastLen {
		return Unicast{}, ErrShort
	}
	return Unicast{b[2], b[3], MAC(b[4:10])}, nil
}

// Put writes the header of a unicast frame.
func (u Unicast) Put(b []byte) {
	_ = b[UnicastLen-1]
	b[0], b[1], b[2], b[3] = byte(TypeUnicast), Version, u.TTL, u.TTVN
	copy(b[4:10], u.Dest[:])
}

// Subtypes of a 4ADDR packet; unknown ones are data.
const (
	SubData      = 1
	SubDATGet    = 2
	SubDATPut    = 3
	SubDATAnswer = 4
)

// Unicast4 is the header of a frame for one client that names its source
// originator.
//
//	0   10 bytes as Unicast, type 0x42
//	10  6 bytes  source originator
//	16  1 byte   subtype
//	17  1 byte   0
//
// Source: batadv_packet.h, struct batadv_unicast_4addr_packet.
type Unicast4 struct {
	Unicast
	Src     MAC
	Subtype uint8
}

// ParseUnicast4 reads a 4ADDR header.
func ParseUnicast4(b []byte) (Unicast4, error) {
	if len(b) < Unicast4Len {
		return Unicast4{}, ErrShort
	}
	return Unicast4{Unicast{b[2], b[3], MAC(b[4:10])}, MAC(b[10:16]), b[16]}, nil
}

// Put writes the header.
func (u Unicast4) Put(b []byte) {
	_ = b[Unicast4Len-1]
	u.Unicast.Put(b)
	b[0] = byte(TypeUnicast4)
	copy(b[10:16], u.Src[:])
	b[16], b[17] = u.Subtype, 0
}

// Fragment is the header of a part of any unicast-class packet.
//
//	0   1 byte   type 0x41
//	1   1 byte   version
//	2   1 byte   TTL
//	3   1 byte   number of the part (4 bits), priority (3 bits), 0
//	4   6 bytes  destination originator
//	10  6 bytes  originator that cut the packet
//	16  2 bytes  sequence number
//	18  2 bytes  size of the whole packet
//
// Part 0 is the last in the packet, the highest part the first.
//
// Source: batadv_packet.h, struct batadv_frag_packet.
type Fragment struct {
	TTL, No, Priority uint8
	Dest, Orig        MAC
	Seqno, Total      uint16
}

// ParseFragment reads the header of a fragment.
func ParseFragment(b []byte) (Fragment, error) {
	if len(b) < FragmentLen {
		return Fragment{}, ErrShort
	}
	return Fragment{
		TTL: b[2], No: b[3] >> 4, Priority: b[3] >> 1 & 7, Dest: MAC(b[4:10]), Orig: MAC(b[10:16]),
		Seqno: be.Uint16(b[16:]), Total: be.Uint16(b[18:]),
	}, nil
}

// Put writes the header.
func (f Fragment) Put(b []byte) {
	_ = b[FragmentLen-1]
	b[0], b[1], b[2], b[3] = byte(TypeFragment), Version, f.TTL, f.No<<4|f.Priority&7<<1
	copy(b[4:10], f.Dest[:])
	copy(b[10:16], f.Orig[:])
	be.PutUint16(b[16:], f.Seqno)
	be.PutUint16(b[18:], f.Total)
}

// Multicast is the header of a frame for several originators, which a TRACKER
// container among its TVLVs lists.
//
//	0   1 byte   type 5
//	1   1 byte   version
//	2   1 byte   TTL
//	3   1 byte   0
//	4   2 bytes  length of the TVLVs that follow
//
// Source: batadv_packet.h, struct batadv_mcast_packet.
type Multicast struct {
	TTL     uint8
	TVLVLen uint16
}

// ParseMulticast reads the header and finds TVLVs and frame.
func ParseMulticast(b []byte) (m Multicast, tvlv, frame []byte, err error) {
	if len(b) < MulticastLen {
		return m, nil, nil, ErrShort
	}
	m = Multicast{b[2], be.Uint16(b[4:])}
	tvlv, size, err := attached(b, MulticastLen, m.TVLVLen)
	if err != nil {
		return m, nil, nil, err
	}
	return m, tvlv, b[size:], nil
}

// Put writes the header.
func (m Multicast) Put(b []byte) {
	_ = b[MulticastLen-1]
	b[0], b[1], b[2], b[3] = byte(TypeMulticast), Version, m.TTL, 0
	be.PutUint16(b[4:], m.TVLVLen)
}
