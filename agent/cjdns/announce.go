package cjdns

import (
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"math"
)

// AnnounceHeaderLen is the length of the header of an announcement, in bytes.
const AnnounceHeaderLen = 120

// AnnounceSlots is the number of samples in a ring of link states.
const AnnounceSlots = 18

// Errors of announcements.
var (
	ErrAnnounce     = errors.New("cjdns: malformed announcement")
	ErrAnnounceSign = errors.New("cjdns: announcement with a wrong signature")
)

const (
	announceVersion = 1

	entityScheme    = 0
	entityPeer      = 1
	entityVersion   = 2
	entityLinkState = 3

	entityPad     = 1 // an entity of one byte, its length
	peerEntityLen = 32
	linkStateHead = 3
)

// Announcement is what a node tells a supernode about itself and its links.
//
//	0    64 bytes  signature of all that follows
//	64   32 bytes  signing key
//	96   16 bytes  address of the supernode
//	112  8 bytes   time in ms since 1970 << 4 | reset << 3 | version, 1
//	120            entities: length 1 (of the whole), type 1, content
//
// An entity of length 1 is one byte of padding. Unknown types are skipped.
// All numbers are big endian.
//
// Source: cjdns wire/Announce.h, subnode/ReachabilityAnnouncer.c.
type Announcement struct {
	Signature [SignatureLen]byte
	Signer    VerifyKey
	Snode     IP     // to whom it is sent
	Time      uint64 // ms since 1970, 60 bits
	Reset     bool   // forget what I announced before

	// Entities. Version and Scheme come with Reset only.
	Version uint16 // of the protocol; 0: not announced
	Scheme  []byte // serialised encoding scheme; nil: not announced
	Links   []LinkState
	Peers   []AnnouncedPeer
}

// AnnouncedPeer says that the announcing node can be reached through a peer.
//
//	0   length 32, type 1
//	2   1 byte    form of the announcing node's label to the peer
//	3   1 byte    flags, 0
//	4   2 bytes   MTU / 8
//	6   2 bytes   peer number
//	8   4 bytes   ffffffff
//	12  16 bytes  address of the peer
//	28  4 bytes   label
type AnnouncedPeer struct {
	Form    uint8
	MTU8    uint16 // in units of 8 bytes, 0 if unknown
	PeerNum uint16 // referred to by LinkState; 0xffff if unknown
	IP      IP
	Label   uint32 // from the peer to the announcing node; 0: the link is gone
}

// LinkState holds samples of the link to one peer, oldest first. They belong
// into consecutive slots of a ring of AnnounceSlots, from StartSlot on.
//
//	0   length, type 3
//	2   1 byte    n, number of padding bytes
//	3   n bytes   0
//	3+n           peer number, start slot, samples: variable length numbers
type LinkState struct {
	PeerNum   uint32
	StartSlot uint32
	Samples   []LinkSample // at most AnnounceSlots
}

// LinkSample is what was seen on a link in one window of ten seconds.
type LinkSample struct {
	Lag  uint32 // average, ms
	Drop uint32 // packets lost << 18 / packets sent
	KB   uint32 // received, kilobytes
}

// ParseAnnouncement reads b, without checking the signature. Scheme aliases
// b. Errors: ErrShort, ErrAnnounce.
func ParseAnnouncement(b []byte) (*Announcement, error) {
	if len(b) < AnnounceHeaderLen {
		return nil, ErrShort
	}
	stamp := binary.BigEndian.Uint64(b[112:])
	if stamp&7 != announceVersion {
		return nil, ErrAnnounce
	}
	a := &Announcement{
		Signature: [SignatureLen]byte(b),
		Signer:    VerifyKey(b[64:96]),
		Snode:     IP(b[96:112]),
		Time:      stamp >> 4,
		Reset:     stamp&8 != 0,
	}
	for b = b[AnnounceHeaderLen:]; len(b) > 0; {
		n := int(b[0])
		if n == entityPad {
			b = b[1:]
			continue
		}
		if n < 2 || n > len(b) {
			return nil, ErrAnnounce
		}
		if !a.setEntity(b[1], b[:n:n]) {
			return nil, ErrAnnounce
		}
		b = b[n:]
	}
	return a, nil
}

// setEntity reads one entity, e, with its length and type.
func (a *Announcement) setEntity(kind uint8, e []byte) bool {
	switch kind {
	case entityScheme:
		a.Scheme = e[2:]
	case entityVersion:
		if len(e) != 4 {
			return false
		}
		a.Version = binary.BigEndian.Uint16(e[2:])
	case entityPeer:
		if len(e) != peerEntityLen {
			return false
		}
		a.Peers = append(a.Peers, AnnouncedPeer{
			Form:    e[2],
			MTU8:    binary.BigEndian.Uint16(e[4:]),
			PeerNum: binary.BigEndian.Uint16(e[6:]),
			IP:      IP(e[12:28]),
			Label:   binary.BigEndian.Uint32(e[28:]),
		})
	case entityLinkState:
		l, ok := parseLinkState(e)
		if !ok {
			return false
		}
		a.Links = append(a.Links, l)
	}
	return true
}

func parseLinkState(e []byte) (l LinkState, ok bool) {
	if len(e) < linkStateHead || int(e[2]) > len(e)-linkStateHead {
		return l, false
	}
	e = e[linkStateHead+int(e[2]):]
	if l.PeerNum, e, ok = varint(e); !ok {
		return l, false
	}
	if l.StartSlot, e, ok = varint(e); !ok {
		return l, false
	}
	for len(e) > 0 {
		var s LinkSample
		for _, v := range [...]*uint32{&s.Lag, &s.Drop, &s.KB} {
			if *v, e, ok = varint(e); !ok {
				return l, false
			}
		}
		if l.Samples = append(l.Samples, s); len(l.Samples) > AnnounceSlots {
			return l, false
		}
	}
	return l, true
}

// Append writes a, with the signature that it has, behind b and returns the
// longer slice: version, scheme, links, peers, and padding where stock nodes
// have it. A scheme longer than 253 bytes is left out. Samples that do not
// fit into the 255 bytes of an entity are left out, the newest first.
func (a *Announcement) Append(b []byte) []byte {
	b = append(b, a.Signature[:]...)
	b = append(b, a.Signer[:]...)
	b = append(b, a.Snode[:]...)
	stamp := a.Time<<4 | announceVersion
	if a.Reset {
		stamp |= 8
	}
	b = binary.BigEndian.AppendUint64(b, stamp)
	if a.Version != 0 {
		b = append(b, 4, entityVersion)
		b = binary.BigEndian.AppendUint16(b, a.Version)
	}
	if n := 2 + len(a.Scheme); a.Scheme != nil && n <= math.MaxUint8 {
		for i := n; i%4 != 0; i++ {
			b = append(b, entityPad)
		}
		b = append(b, byte(n), entityScheme)
		b = append(b, a.Scheme...)
	}
	for i := range a.Links {
		b = a.Links[i].append(b, i == len(a.Links)-1)
	}
	for i := range a.Peers {
		p := &a.Peers[i]
		b = append(b, peerEntityLen, entityPeer, p.Form, 0)
		b = binary.BigEndian.AppendUint16(b, p.MTU8)
		b = binary.BigEndian.AppendUint16(b, p.PeerNum)
		b = binary.BigEndian.AppendUint32(b, math.MaxUint32)
		b = append(b, p.IP[:]...)
		b = binary.BigEndian.AppendUint32(b, p.Label)
	}
	return b
}

// append writes l behind b. Stock nodes pad link states to eight bytes,
// counted in their memory from the end of the message, which lies at four.
func (l *LinkState) append(b []byte, last bool) []byte {
	const room = math.MaxUint8 - 7
	var pad [8]byte
	body := appendVarint(appendVarint(nil, l.PeerNum), l.StartSlot)
	for _, s := range l.Samples[:min(len(l.Samples), AnnounceSlots)] {
		n := len(body)
		body = appendVarint(appendVarint(appendVarint(body, s.Lag), s.Drop), s.KB)
		if linkStateHead+len(body) > room {
			body = body[:n]
			break
		}
	}
	n := linkStateHead + len(body)
	want := 0
	if last {
		want = 4
	}
	p := (want - n) & 7
	b = append(b, byte(n+p), entityLinkState, byte(p))
	b = append(b, pad[:p]...)
	b = append(b, body...)
	return b
}

// AppendSigned signs a as k, sets Signer and Signature, and writes it behind
// b. It returns the longer slice.
func (a *Announcement) AppendSigned(b []byte, k *SigningKey, rand func([]byte)) []byte {
	start := len(b)
	a.Signer = k.Public()
	b = a.Append(b)
	a.Signature = k.Sign(rand, b[start+SignatureLen:])
	copy(b[start:], a.Signature[:])
	return b
}

// VerifyAnnouncement checks the signature of the announcement b and returns
// the permanent key of the node that made it. It costs two multiplications.
// Errors: ErrShort, ErrAnnounceSign, ErrNotFC.
func VerifyAnnouncement(b []byte) (k Key, err error) {
	if len(b) < AnnounceHeaderLen {
		return k, ErrShort
	}
	v := VerifyKey(b[64:96])
	if !v.Verify(b[SignatureLen:], b[:SignatureLen]) {
		return k, ErrAnnounceSign
	}
	if k, err = KeyFromSigning(v); err != nil {
		return Key{}, ErrAnnounceSign
	}
	if !k.IP().Valid() {
		return Key{}, ErrNotFC
	}
	return k, nil
}

// StateHash sums up which announcements of one node a supernode holds, so
// that both can see whether they agree. The zero value is that of a node of
// which nothing is known.
type StateHash [sha512.Size]byte

// Add returns the hash with the announcement ann added, which is newer than
// all before it.
func (h StateHash) Add(ann []byte) (sum StateHash) {
	d := sha512.New()
	d.Write(h[:])
	d.Write(ann)
	d.Sum(sum[:0])
	return sum
}
