package community

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// ID names a root, and so its community, or an admin: the first 8 bytes of
// SHA-256 of the Ed25519 public key.
type ID [8]byte

// String returns 16 hexadecimal digits.
func (id ID) String() string { return fmt.Sprintf("%x", id[:]) }

// IDOf returns the ID of a key.
func IDOf(v cjdns.VerifyKey) (id ID) {
	sum := sha256.Sum256(v[:])
	copy(id[:], sum[:])
	return id
}

// Hash names a certificate: the first 8 bytes of SHA-256 of all of it.
type Hash [8]byte

func hashOf(raw []byte) (h Hash) {
	sum := sha256.Sum256(raw)
	copy(h[:], sum[:])
	return h
}

// Kinds of signed objects: their first byte.
const (
	kindAdmin  = 1
	kindMember = 2
	kindPage   = 3
	kindInvite = 4

	objectVersion = 1
)

// contexts stand before what is signed, by kind: the same key signs other
// things too. 16 bytes each.
var contexts = [...]string{
	kindAdmin:  "meshagent-adm-v1",
	kindMember: "meshagent-mem-v1",
	kindPage:   "meshagent-rvk-v1",
	kindInvite: "meshagent-inv-v1",
}

// headLen is the length of what all objects begin with:
//
//	0   1  kind
//	1   1  version 1
//	2   8  community
//	10  8  signer: the community again if it is the root
//	18  4  number
//	22  4  time of signing, seconds since 1970; 0 unknown
//
// Then follows the body, and the signature (64) over context, head and body.
const headLen = 26

// MaxObject bounds every signed object, in bytes.
const MaxObject = headLen + 2 + PageEntries*entryLen + cjdns.SignatureLen

// Head is what all signed objects begin with.
type Head struct {
	Community ID
	Signer    ID
	Number    uint32 // of the signer; what is newer has a greater one
	Time      uint32 // of signing, seconds since 1970; 0 unknown
	Raw       []byte // the whole object, with the signature
}

// Hash returns the name of the object.
func (h *Head) Hash() Hash { return hashOf(h.Raw) }

// signature is the signature of the object.
func (h *Head) signature() []byte { return h.Raw[len(h.Raw)-cjdns.SignatureLen:] }

// message is what is signed.
func (h *Head) message() []byte {
	body := h.Raw[:len(h.Raw)-cjdns.SignatureLen]
	return append([]byte(contexts[h.Raw[0]]), body...)
}

// Errors of signed objects.
var (
	// ErrObject reports bytes that are no object, or one of a later version.
	ErrObject = errors.New("community: malformed certificate or list")
	// ErrKey reports a key that no node can have.
	ErrKey = errors.New("community: the key is no node's key")
)

// parseHead reads the head of an object of this kind whose body has n bytes.
// The result refers to b.
func parseHead(b []byte, kind byte, n int) (h Head, body []byte, err error) {
	if len(b) != headLen+n+cjdns.SignatureLen || b[0] != kind || b[1] != objectVersion {
		return h, nil, ErrObject
	}
	copy(h.Community[:], b[2:])
	copy(h.Signer[:], b[10:])
	h.Number = binary.BigEndian.Uint32(b[18:])
	h.Time = binary.BigEndian.Uint32(b[22:])
	h.Raw = b
	return h, b[headLen : headLen+n], nil
}

// appendHead writes the head.
func (h *Head) appendHead(b []byte, kind byte) []byte {
	b = append(b, kind, objectVersion)
	b = append(b, h.Community[:]...)
	b = append(b, h.Signer[:]...)
	b = binary.BigEndian.AppendUint32(b, h.Number)
	return binary.BigEndian.AppendUint32(b, h.Time)
}

// sign returns the object with its signature; unsigned is head and body.
func sign(k *cjdns.SigningKey, rand func([]byte), unsigned []byte) []byte {
	sig := k.Sign(rand, append([]byte(contexts[unsigned[0]]), unsigned...))
	return append(unsigned, sig[:]...)
}

// nodeOf returns the overlay key and address of the node that signs with v.
// It costs an inversion and two hashes.
func nodeOf(v cjdns.VerifyKey) (k cjdns.Key, ip cjdns.IP, err error) {
	k, err = cjdns.KeyFromSigning(v)
	if err != nil {
		return k, ip, ErrKey
	}
	if ip = k.IP(); !ip.Valid() {
		return k, ip, ErrKey
	}
	return k, ip, nil
}
