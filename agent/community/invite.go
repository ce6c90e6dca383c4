package community

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// InviteID names an invite, and is the login that goes with its password.
type InviteID [8]byte

// String returns 16 hexadecimal digits.
func (id InviteID) String() string { return fmt.Sprintf("%x", id[:]) }

// InviteLen is the length of an invite as admins tell it to each other. It is
// shown to nobody else. Behind the head:
//
//	26  8   id
//	34  16  secret
//	50  1   role
//	51  1   uses, at least 1
//	52  4   not after, seconds since 1970; 0 never ends
//	56  64  signature of the admin
const InviteLen = headLen + 30 + cjdns.SignatureLen

// MaxUses is how often an invite can be used.
const MaxUses = 255

// Invite is an admin's promise to make a member of who knows the secret.
type Invite struct {
	Head
	ID       InviteID
	Secret   [16]byte
	Role     Role
	Uses     uint8
	NotAfter uint32
}

// ParseInvite reads an invite; the signature is not checked. The result
// refers to b. The only error is ErrObject.
func ParseInvite(b []byte) (v Invite, err error) {
	h, body, err := parseHead(b, kindInvite, 30)
	if err != nil || h.Signer == h.Community || body[25] == 0 {
		return v, ErrObject
	}
	v.Head = h
	copy(v.ID[:], body)
	copy(v.Secret[:], body[8:])
	v.Role, v.Uses = Role(body[24]), body[25]
	v.NotAfter = binary.BigEndian.Uint32(body[26:])
	return v, nil
}

func (v *Invite) unsigned() []byte {
	b := v.appendHead(make([]byte, 0, InviteLen), kindInvite)
	b = append(b, v.ID[:]...)
	b = append(b, v.Secret[:]...)
	b = append(b, byte(v.Role), v.Uses)
	return binary.BigEndian.AppendUint32(b, v.NotAfter)
}

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// password is what the newcomer shows in the handshake: 128 bits.
func password(id InviteID, secret [16]byte) string {
	sum := derive("meshagent-pwd-v1", id, secret)
	return base32Text.EncodeToString(sum[:16])
}

// proofLen is the length of a proof of the secret.
const proofLen = 16

// proof shows to one admin that the newcomer with the key member knows the
// secret. It is worth nothing to others: it names both.
func proof(community ID, id InviteID, secret [16]byte, member cjdns.VerifyKey, admin cjdns.Key) (p [proofLen]byte) {
	key := derive("meshagent-red-v1", id, secret)
	mac := hmac.New(sha256.New, key[:])
	mac.Write(community[:])
	mac.Write(id[:])
	mac.Write(member[:])
	mac.Write(admin[:])
	copy(p[:], mac.Sum(nil))
	return p
}

func derive(context string, id InviteID, secret [16]byte) [32]byte {
	b := append([]byte(context), secret[:]...)
	return sha256.Sum256(append(b, id[:]...))
}
