package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sort"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/cjdns"
)

// Limits of a record.
const (
	MaxRecord = 300 // bytes, signature included
	MaxPoints = 5
	MaxIfaces = 4 // one of them may be named twice, while its chain changes
	MaxCosts  = 8 // links of which the cost is told

	recordHead = 84
	pointLen   = 30
	costLen    = 8
	recordVer  = 1
)

// Flags of a record.
const (
	FlagUplink = 1 << iota // there is a way out of the mesh
	FlagTime               // the time of signing is known
)

// Lifetime is how long a record lives, in seconds; minLife and maxLife bound
// what others say.
const (
	Lifetime = 600
	minLife  = 60
	maxLife  = 3600
)

// Errors of ParseRecord.
var (
	ErrRecordShort = errors.New("identity: length of record does not fit")
	ErrRecordValue = errors.New("identity: impossible value in record")
)

// ID is the beginning of the SHA-256 of a record, signature included.
type ID [6]byte

// Record is what a node signs about itself. All integers are big endian.
//
//	0    1 byte    version 1
//	1    1 byte    flags
//	2    1 byte    n, points, 1 to 5
//	3    1 byte    k, link costs, 0 to 8
//	4    4 bytes   boot: counts the starts of the agent
//	8    4 bytes   serial: counts the records of this boot
//	12   4 bytes   time of signing, seconds since 1970
//	16   2 bytes   lifetime in seconds
//	18   1 byte    TTVN
//	19   1 byte    0
//	20   8 bytes   gateway: down, up, units of 100 kbit/s
//	28   16 bytes  digest of the translation table
//	44   8 bytes   first bytes of the SHA-256 of the membership
//	52   32 bytes  A, the key
//	84   30n       points: MAC 6, chain 4, sequence number 4, element 16
//	     8k        link costs: neighbour 6, cost 2
//	     64        signature over "meshagent-rec-v1" and all of the above
type Record struct {
	Flags        uint8
	Boot, Serial uint32
	Time         uint32
	Lifetime     uint16
	TTVN         uint8
	Gateway      batman.Gateway
	Digest       [16]byte
	Member       [8]byte
	A            cjdns.VerifyKey
	N            int // points that are used
	Points       [MaxPoints]Point
	Costs
}

// Costs are what the cheapest links of a node cost.
type Costs struct {
	K    int // entries that are used
	List [MaxCosts]LinkCost
}

// LinkCost is the cost of sending to a neighbour: how long the air or the wire
// is taken by 1250 bytes, in microseconds; at most 65535. Any value can be in a
// foreign record: addresses that no station has, one twice, a cost of 0.
type LinkCost struct {
	MAC  batman.MAC // an address of the neighbour
	Cost uint16
}

// MAC is the primary hard interface.
func (r *Record) MAC() batman.MAC { return r.Points[0].MAC }

// Newer reports whether r was signed after s by the same node, as far as the
// numbers tell.
func (r *Record) Newer(s *Record) bool {
	return r.Boot > s.Boot || r.Boot == s.Boot && r.Serial > s.Serial
}

// life is how many seconds the record lives.
func (r *Record) life() int { return min(max(int(r.Lifetime), minLife), maxLife) }

// RecordID returns the id of a whole record.
func RecordID(b []byte) ID {
	sum := sha256.Sum256(b)
	return ID(sum[:])
}

// appendContent appends all but the signature.
func (r *Record) appendContent(b []byte) []byte {
	b = append(b, recordVer, r.Flags, byte(r.N), byte(r.K))
	b = be.AppendUint32(b, r.Boot)
	b = be.AppendUint32(b, r.Serial)
	b = be.AppendUint32(b, r.Time)
	b = be.AppendUint16(b, r.Lifetime)
	b = append(b, r.TTVN, 0)
	b = be.AppendUint32(b, r.Gateway.Down)
	b = be.AppendUint32(b, r.Gateway.Up)
	b = append(b, r.Digest[:]...)
	b = append(b, r.Member[:]...)
	b = append(b, r.A[:]...)
	for i := range r.Points[:r.N] {
		p := &r.Points[i]
		b = append(b, p.MAC[:]...)
		b = be.AppendUint32(b, p.Chain)
		b = be.AppendUint32(b, p.Seqno)
		b = append(b, p.Element[:]...)
	}
	for _, c := range r.List[:r.K] {
		b = append(b, c.MAC[:]...)
		b = be.AppendUint16(b, c.Cost)
	}
	return b
}

// room is how many link costs the record has room for.
func (r *Record) room() int {
	return min((MaxRecord-cjdns.SignatureLen-recordHead-r.N*pointLen)/costLen, MaxCosts)
}

// ParseRecord reads a record. Its signature is not looked at, nor what the
// link costs say. What is refused: another version, a length that is not exactly
// that of the points and costs, or above 300; addresses that no station has;
// an address that is named three times.
func ParseRecord(b []byte) (r Record, err error) {
	if len(b) < recordHead {
		return r, ErrRecordShort
	}
	n, k := int(b[2]), int(b[3])
	if b[0] != recordVer || n < 1 || n > MaxPoints || k > MaxCosts {
		return r, ErrRecordValue
	}
	if size := recordHead + n*pointLen + k*costLen + cjdns.SignatureLen; len(b) != size || size > MaxRecord {
		return r, ErrRecordShort
	}
	r = Record{
		Flags: b[1], Boot: be.Uint32(b[4:]), Serial: be.Uint32(b[8:]), Time: be.Uint32(b[12:]), Lifetime: be.Uint16(b[16:]), TTVN: b[18],
		Gateway: batman.Gateway{Down: be.Uint32(b[20:]), Up: be.Uint32(b[24:])},
		Digest:  [16]byte(b[28:44]), Member: [8]byte(b[44:52]), A: cjdns.VerifyKey(b[52:84]), N: n,
	}
	for i := range n {
		p := b[recordHead+i*pointLen:]
		r.Points[i] = Point{MAC: batman.MAC(p[:6]), Chain: be.Uint32(p[6:]), Seqno: be.Uint32(p[10:]), Element: Element(p[14:30])}
		if !r.Points[i].MAC.IsStation() {
			return r, ErrRecordValue
		}
		same := 0
		for j := range i {
			if r.Points[j].MAC == r.Points[i].MAC {
				same++
			}
		}
		if same > 1 {
			return r, ErrRecordValue
		}
	}
	r.K = k
	for i := range k {
		c := b[recordHead+n*pointLen+i*costLen:]
		r.List[i] = LinkCost{batman.MAC(c[:6]), be.Uint16(c[6:])}
	}
	return r, nil
}

// signedRecord returns what the signature of the whole record b covers.
func signedRecord(b []byte) (msg, sig []byte) {
	end := len(b) - cjdns.SignatureLen
	return append([]byte(contextRecord), b[:end]...), b[end:]
}

// Client is a client as the digest of a table covers it.
type Client struct {
	MAC   batman.MAC
	VID   batman.VID
	Flags uint8 // those that are announced
}

func (c Client) bytes() (b [9]byte) {
	be.PutUint16(b[:], uint16(c.VID))
	b[2] = c.Flags
	copy(b[3:], c.MAC[:])
	return b
}

// Digest is the first half of SHA-256 over VID (2), flags (1) and MAC (6) of
// every client, sorted by these bytes. It sorts the list.
func Digest(clients []Client) (d [16]byte) {
	sort.Slice(clients, func(i, j int) bool {
		a, b := clients[i].bytes(), clients[j].bytes()
		return bytes.Compare(a[:], b[:]) < 0
	})
	h := sha256.New()
	for _, c := range clients {
		b := c.bytes()
		h.Write(b[:])
	}
	var sum [sha256.Size]byte
	copy(d[:], h.Sum(sum[:0]))
	return d
}

var be = binary.BigEndian
