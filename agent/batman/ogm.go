package batman

// Sizes of routing messages, without TVLVs.
const (
	OGMLen  = 24
	OGM2Len = 20
	ELPLen  = 16
	// ELPSent is the size of an ELP packet as sent: four zero bytes follow.
	ELPSent = 20
)

// Flags of a B.A.T.M.A.N. IV OGM.
const (
	NotBestNextHop = 0x01 // sent only so that the neighbour counts its echo
	DirectLink     = 0x04 // the sender heard it from the originator itself
)

// OGM is the originator message of B.A.T.M.A.N. IV.
//
//	0   1 byte   type 0
//	1   1 byte   version
//	2   1 byte   TTL
//	3   1 byte   flags
//	4   4 bytes  sequence number
//	8   6 bytes  originator
//	14  6 bytes  who sent it to the sender
//	20  1 byte   0
//	21  1 byte   TQ
//	22  2 bytes  length of the TVLVs that follow
//
// Source: batadv_packet.h, struct batadv_ogm_packet.
type OGM struct {
	TTL, Flags uint8
	Seqno      uint32
	Orig, Prev MAC
	TQ         uint8
	TVLVLen    uint16
}

// ParseOGM reads one OGM at the start of b. The TVLVs are b[OGMLen:size]; an
// odd length and one that leaves b are errors, after which the rest of an
// aggregate cannot be found.
func ParseOGM(b []byte) (o OGM, tvlv []byte, size int, err error) {
	if len(b) < OGMLen {
		return o, nil, 0, ErrShort
	}
	o = OGM{
		TTL: b[2], Flags: b[3], Seqno: be.Uint32(b[4:]), Orig: MAC(b[8:14]), Prev: MAC(b[14:20]),
		TQ: b[21], TVLVLen: be.Uint16(b[22:]),
	}
	tvlv, size, err = attached(b, OGMLen, o.TVLVLen)
	return o, tvlv, size, err
}

// attached returns the TVLVs behind a header of n bytes.
func attached(b []byte, n int, length uint16) (tvlv []byte, size int, err error) {
	size = n + int(length)
	if length%2 != 0 {
		return nil, 0, ErrOdd
	}
	if len(b) < size {
		return nil, 0, ErrShort
	}
	return b[n:size:size], size, nil
}

// Put writes the header.
func (o OGM) Put(b []byte) {
	_ = b[OGMLen-1]
	b[0], b[1], b[2], b[3] = byte(TypeIVOGM), Version, o.TTL, o.Flags
	be.PutUint32(b[4:], o.Seqno)
	copy(b[8:14], o.Orig[:])
	copy(b[14:20], o.Prev[:])
	b[20], b[21] = 0, o.TQ
	be.PutUint16(b[22:], o.TVLVLen)
}

// OGM2 is the originator message of B.A.T.M.A.N. V.
//
//	0   1 byte   type 4
//	1   1 byte   version
//	2   1 byte   TTL
//	3   1 byte   flags, 0
//	4   4 bytes  sequence number
//	8   6 bytes  originator
//	14  2 bytes  length of the TVLVs that follow
//	16  4 bytes  throughput in units of 100 kbit/s
//
// Source: batadv_packet.h, struct batadv_ogm2_packet.
type OGM2 struct {
	TTL, Flags uint8
	Seqno      uint32
	Orig       MAC
	TVLVLen    uint16
	Throughput uint32
}

// ParseOGM2 reads one OGM2 at the start of b, as ParseOGM does.
func ParseOGM2(b []byte) (o OGM2, tvlv []byte, size int, err error) {
	if len(b) < OGM2Len {
		return o, nil, 0, ErrShort
	}
	o = OGM2{
		TTL: b[2], Flags: b[3], Seqno: be.Uint32(b[4:]), Orig: MAC(b[8:14]),
		TVLVLen: be.Uint16(b[14:]), Throughput: be.Uint32(b[16:]),
	}
	tvlv, size, err = attached(b, OGM2Len, o.TVLVLen)
	return o, tvlv, size, err
}

// Put writes the header.
func (o OGM2) Put(b []byte) {
	_ = b[OGM2Len-1]
	b[0], b[1], b[2], b[3] = byte(TypeOGM2), Version, o.TTL, o.Flags
	be.PutUint32(b[4:], o.Seqno)
	copy(b[8:14], o.Orig[:])
	be.PutUint16(b[14:], o.TVLVLen)
	be.PutUint32(b[16:], o.Throughput)
}

// ELP is the neighbour discovery message of B.A.T.M.A.N. V.
//
//	0   1 byte   type 3
//	1   1 byte   version
//	2   6 bytes  originator: the primary MAC
//	8   4 bytes  sequence number of this interface
//	12  4 bytes  interval in milliseconds
//
// Source: batadv_packet.h, struct batadv_elp_packet.
type ELP struct {
	Orig       MAC
	Seqno      uint32
	IntervalMS uint32
}

// ParseELP reads an ELP packet. Padding may follow.
func ParseELP(b []byte) (ELP, error) {
	if len(b) < ELPLen {
		return ELP{}, ErrShort
	}
	return ELP{MAC(b[2:8]), be.Uint32(b[8:]), be.Uint32(b[12:])}, nil
}

// Put writes the header.
func (e ELP) Put(b []byte) {
	_ = b[ELPLen-1]
	b[0], b[1] = byte(TypeELP), Version
	copy(b[2:8], e.Orig[:])
	be.PutUint32(b[8:], e.Seqno)
	be.PutUint32(b[12:], e.IntervalMS)
}
