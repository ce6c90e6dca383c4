package identity

import (
	"errors"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
)

// PacketType is the type of packets between agents. Stock nodes carry types
// that they do not know, from 0x45 to 0x7f, to the destination in bytes 4 to 9.
const PacketType = 109

// Kinds of packets.
const (
	KindFrame     = 0 // a CryptoAuth frame
	KindRequest   = 1 // for the record
	KindRecord    = 2
	KindChallenge = 3
	KindAnswer    = 4
	KindRoam      = 5
)

// Sizes of packets, in bytes, headers included.
const (
	HeaderLen    = 22
	requestLen   = 200
	challengeLen = 64
	// maxRecordPacket keeps the answer at three times the request.
	maxRecordPacket = 3 * requestLen
	MaxRoam         = 32 // clients in one packet
	nonceLen        = 16
)

// Errors of ParseHeader and the parsers of contents.
var (
	ErrPacketShort = errors.New("identity: packet too short")
	ErrPacketMagic = errors.New("identity: not a packet of ours")
	ErrPacketValue = errors.New("identity: impossible value in packet")
)

// Header begins every packet.
//
//	0   1 byte   type
//	1   1 byte   15
//	2   1 byte   TTL
//	3   1 byte   0
//	4   6 bytes  destination originator
//	10  6 bytes  source originator: a hint, nothing vouches for it
//	16  2 bytes  magic 6d 61
//	18  1 byte   version 1
//	19  1 byte   kind
//	20  2 bytes  0
type Header struct {
	Type     uint8
	TTL      uint8
	Dst, Src batman.MAC
	Kind     uint8
}

// ParseHeader reads the header and returns what follows.
func ParseHeader(b []byte) (h Header, content []byte, err error) {
	if len(b) < HeaderLen {
		return h, nil, ErrPacketShort
	}
	if b[16] != 0x6d || b[17] != 0x61 || b[18] != 1 {
		return h, nil, ErrPacketMagic
	}
	h = Header{b[0], b[2], batman.MAC(b[4:10]), batman.MAC(b[10:16]), b[19]}
	if !h.Src.IsStation() {
		return h, nil, ErrPacketValue
	}
	return h, b[HeaderLen:], nil
}

// Put writes the header.
func (h Header) Put(b []byte) {
	_ = b[HeaderLen-1]
	b[0], b[1], b[2], b[3] = h.Type, batman.Version, h.TTL, 0
	copy(b[4:10], h.Dst[:])
	copy(b[10:16], h.Src[:])
	b[16], b[17], b[18], b[19], b[20], b[21] = 0x6d, 0x61, 1, h.Kind, 0, 0
}

// AppendRequest appends the content of a request for a record: the id of the
// one that is known, zero if none, and zeros, so that an answer is never much
// longer.
func AppendRequest(dst []byte, known ID) []byte {
	var b [requestLen - HeaderLen]byte
	copy(b[:], known[:])
	return append(dst, b[:]...)
}

// ParseRequest reads it. Requests that are shorter than they have to be are
// refused.
func ParseRequest(b []byte) (known ID, err error) {
	if len(b) < requestLen-HeaderLen {
		return known, ErrPacketShort
	}
	return ID(b[:6]), nil
}

// AppendRecord appends the content of an answer: the record and as many of the
// certificates, in their order, as fit, each behind its length of two bytes.
func AppendRecord(dst, record []byte, certs [][]byte) []byte {
	start := len(dst)
	dst = append(be.AppendUint16(dst, uint16(len(record))), record...)
	for _, c := range certs {
		if len(dst)-start+2+len(c) > maxRecordPacket-HeaderLen {
			break
		}
		dst = append(be.AppendUint16(dst, uint16(len(c))), c...)
	}
	return dst
}

// ParseRecordPacket reads an answer. The parts are copies; padding of zeros
// may follow.
func ParseRecordPacket(b []byte) (record []byte, certs [][]byte, err error) {
	for first := true; len(b) >= 2; first = false {
		n := int(be.Uint16(b))
		if n == 0 {
			break
		}
		if len(b) < 2+n {
			return nil, nil, ErrPacketShort
		}
		part := append([]byte(nil), b[2:2+n]...)
		if first {
			record = part
		} else {
			certs = append(certs, part)
		}
		b = b[2+n:]
	}
	if record == nil {
		return nil, nil, ErrPacketShort
	}
	return record, certs, nil
}

// Nonce is what a challenge asks to be signed.
type Nonce [nonceLen]byte

// AppendChallenge appends the content of a challenge: the nonce and zeros.
func AppendChallenge(dst []byte, n Nonce) []byte {
	var b [challengeLen - HeaderLen]byte
	copy(b[:], n[:])
	return append(dst, b[:]...)
}

// ParseChallenge reads it. Challenges that are shorter than they have to be
// are refused.
func ParseChallenge(b []byte) (n Nonce, err error) {
	if len(b) < challengeLen-HeaderLen {
		return n, ErrPacketShort
	}
	return Nonce(b[:nonceLen]), nil
}

// answer is the content of the answer to a challenge.
//
//	0   16 bytes  the nonce
//	16  4 bytes   boot
//	20  64 bytes  signature over "meshagent-chl-v1", both MACs and the above
type answer struct {
	nonce Nonce
	boot  uint32
	sig   []byte // aliases what was parsed
}

func (a *answer) append(dst []byte) []byte {
	return be.AppendUint32(append(dst, a.nonce[:]...), a.boot)
}

func parseAnswer(b []byte) (a answer, err error) {
	if len(b) < nonceLen+4+cjdns.SignatureLen {
		return a, ErrPacketShort
	}
	return answer{Nonce(b[:nonceLen]), be.Uint32(b[nonceLen:]), b[nonceLen+4:][:cjdns.SignatureLen]}, nil
}

// Moved is a client that came to the sender of a roaming packet.
type Moved struct {
	MAC batman.MAC
	VID batman.VID
}

// Roam tells one node which clients of its are behind the sender now.
//
//	0   4 bytes  boot
//	4   4 bytes  number: only grows in one boot
//	8   2 bytes  n, clients, 1 to 32
//	10  8n       clients: MAC 6, VID 2
//	    64       signature over "meshagent-roa-v1", both MACs and the above
type Roam struct {
	Boot, Number uint32
	Clients      []Moved
}

func (r *Roam) append(dst []byte) []byte {
	dst = be.AppendUint32(be.AppendUint32(dst, r.Boot), r.Number)
	dst = be.AppendUint16(dst, uint16(len(r.Clients)))
	for _, c := range r.Clients {
		dst = be.AppendUint16(append(dst, c.MAC[:]...), uint16(c.VID))
	}
	return dst
}

// parseRoam returns the clients, the content that is signed, and the
// signature; the last two alias b.
func parseRoam(b []byte) (r Roam, content, sig []byte, err error) {
	if len(b) < 10 {
		return r, nil, nil, ErrPacketShort
	}
	n := int(be.Uint16(b[8:]))
	end := 10 + 8*n
	switch {
	case n < 1 || n > MaxRoam:
		return r, nil, nil, ErrPacketValue
	case len(b) < end+cjdns.SignatureLen:
		return r, nil, nil, ErrPacketShort
	}
	r = Roam{Boot: be.Uint32(b), Number: be.Uint32(b[4:]), Clients: make([]Moved, n)}
	for i := range n {
		c := b[10+8*i:]
		r.Clients[i] = Moved{batman.MAC(c[:6]), batman.VID(be.Uint16(c[6:]))}
		if !r.Clients[i].MAC.IsStation() {
			return r, nil, nil, ErrPacketValue
		}
	}
	return r, b[:end], b[end : end+cjdns.SignatureLen], nil
}

// between is what the signature of a packet from src to dst covers.
func between(context string, src, dst batman.MAC, content []byte) []byte {
	b := append(make([]byte, 0, len(context)+12+len(content)), context...)
	b = append(b, src[:]...)
	b = append(b, dst[:]...)
	return append(b, content...)
}
