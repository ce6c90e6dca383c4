package batman

// Sizes of ICMP packets.
const (
	ICMPLen   = 20
	ICMPRRLen = 116 // with route record
	TPLen     = 28  // throughput meter, without filler
	MaxRR     = 16  // addresses in a route record
)

// Types of ICMP messages.
const (
	ICMPEchoReply    = 0
	ICMPUnreachable  = 3
	ICMPEchoRequest  = 8
	ICMPTTLExceeded  = 11
	ICMPParameter    = 12
	ICMPThroughput   = 15
	TPMessage        = 0 // subtypes of ICMPThroughput
	TPAck            = 1
	TPFirstSeqno     = 0xfffff82f // 2^32 - 1 - 2000
	TPPayload        = 1476       // bytes that a full segment counts
	TPSegment        = 1486       // and its size on the link, without Ethernet
	tpCommonOverhead = 10
)

// ICMP is the header of mesh ping, traceroute and their answers.
//
//	0   1 byte   type 0x43
//	1   1 byte   version
//	2   1 byte   TTL
//	3   1 byte   message type
//	4   6 bytes  destination
//	10  6 bytes  originator
//	16  1 byte   uid: which program asked
//	17  1 byte   addresses in the route record, if there is one
//	18  2 bytes  sequence number
//	20  96 bytes route record, in packets of ICMPRRLen
//
// Source: batadv_packet.h, struct batadv_icmp_packet, _packet_rr.
type ICMP struct {
	TTL, Msg  uint8
	Dst, Orig MAC
	UID, RR   uint8
	Seqno     uint16
}

// ParseICMP reads the header.
func ParseICMP(b []byte) (ICMP, error) {
	if len(b) < ICMPLen {
		return ICMP{}, ErrShort
	}
	return ICMP{
		TTL: b[2], Msg: b[3], Dst: MAC(b[4:10]), Orig: MAC(b[10:16]), UID: b[16], RR: b[17], Seqno: be.Uint16(b[18:]),
	}, nil
}

// Put writes the header.
func (i ICMP) Put(b []byte) {
	_ = b[ICMPLen-1]
	b[0], b[1], b[2], b[3] = byte(TypeICMP), Version, i.TTL, i.Msg
	copy(b[4:10], i.Dst[:])
	copy(b[10:16], i.Orig[:])
	b[16], b[17] = i.UID, i.RR
	be.PutUint16(b[18:], i.Seqno)
}

// Throughput is the header of a throughput meter packet.
//
//	0   16 bytes as ICMP, message type 15
//	16  1 byte   uid
//	17  1 byte   subtype: message or acknowledgement
//	18  2 bytes  session
//	20  4 bytes  sequence number
//	24  4 bytes  time stamp, given back by the receiver
//	28           filler
//
// Source: batadv_packet.h, struct batadv_icmp_tp_packet.
type Throughput struct {
	TTL          uint8
	Dst, Orig    MAC
	UID, Subtype uint8
	Session      uint16
	Seqno, Stamp uint32
}

// ParseThroughput reads the header. payload is what a segment counts towards
// the sequence number.
func ParseThroughput(b []byte) (t Throughput, payload uint32, err error) {
	if len(b) < TPLen {
		return t, 0, ErrShort
	}
	return Throughput{
		TTL: b[2], Dst: MAC(b[4:10]), Orig: MAC(b[10:16]), UID: b[16], Subtype: b[17],
		Session: be.Uint16(b[18:]), Seqno: be.Uint32(b[20:]), Stamp: be.Uint32(b[24:]),
	}, uint32(len(b) - tpCommonOverhead), nil
}

// Put writes the header.
func (t Throughput) Put(b []byte) {
	_ = b[TPLen-1]
	b[0], b[1], b[2], b[3] = byte(TypeICMP), Version, t.TTL, ICMPThroughput
	copy(b[4:10], t.Dst[:])
	copy(b[10:16], t.Orig[:])
	b[16], b[17] = t.UID, t.Subtype
	be.PutUint16(b[18:], t.Session)
	be.PutUint32(b[20:], t.Seqno)
	be.PutUint32(b[24:], t.Stamp)
}
