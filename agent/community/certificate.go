package community

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// Role is what an invite makes of a newcomer.
type Role uint8

// Values of Role.
const (
	RoleMember Role = 1
	RoleAdmin  Role = 2 // a member that the root is asked to certify as admin
)

// String returns the word that commands use.
func (r Role) String() string {
	switch r {
	case RoleMember:
		return "member"
	case RoleAdmin:
		return "admin"
	}
	return "unknown"
}

// AdminLen is the length of an admin's certificate. Behind the head:
//
//	26  32  A of the admin
//	58  4   not after, seconds since 1970; 0 never ends
//	62  64  signature of the root
const AdminLen = headLen + 36 + cjdns.SignatureLen

// Admin is the certificate by which the root makes a node an admin.
type Admin struct {
	Head
	Key      cjdns.VerifyKey // A, with which the admin signs
	NotAfter uint32
}

// ID returns the name under which the admin signs.
func (a *Admin) ID() ID { return IDOf(a.Key) }

// ParseAdmin reads a certificate; the signature is not checked. The result
// refers to b. The only error is ErrObject.
func ParseAdmin(b []byte) (a Admin, err error) {
	h, body, err := parseHead(b, kindAdmin, 36)
	if err != nil || h.Signer != h.Community {
		return a, ErrObject
	}
	a.Head = h
	copy(a.Key[:], body)
	a.NotAfter = binary.BigEndian.Uint32(body[32:])
	return a, nil
}

func (a *Admin) unsigned() []byte {
	b := a.appendHead(make([]byte, 0, AdminLen), kindAdmin)
	b = append(b, a.Key[:]...)
	return binary.BigEndian.AppendUint32(b, a.NotAfter)
}

// MembershipLen is the length of a membership. Behind the head, whose time is
// that from which it is valid:
//
//	26  1   role
//	27  1   0
//	28  32  A of the member
//	60  4   joined: time of the first membership that this one renews
//	64  4   not after, seconds since 1970; 0 never ends
//	68  8   invite, 0 none
//	76  64  signature of the admin
const MembershipLen = headLen + 50 + cjdns.SignatureLen

// Membership is the certificate by which an admin makes a node a member.
type Membership struct {
	Head
	Role     Role
	Key      cjdns.VerifyKey // A of the member
	Joined   uint32
	NotAfter uint32
	Invite   InviteID
}

// ParseMembership reads a membership; the signature is not checked. The
// result refers to b. The only error is ErrObject.
func ParseMembership(b []byte) (m Membership, err error) {
	h, body, err := parseHead(b, kindMember, 50)
	if err != nil || h.Signer == h.Community {
		return m, ErrObject
	}
	m.Head = h
	m.Role = Role(body[0])
	copy(m.Key[:], body[2:])
	m.Joined = binary.BigEndian.Uint32(body[34:])
	m.NotAfter = binary.BigEndian.Uint32(body[38:])
	copy(m.Invite[:], body[42:])
	return m, nil
}

func (m *Membership) unsigned() []byte {
	b := m.appendHead(make([]byte, 0, MembershipLen), kindMember)
	b = append(b, byte(m.Role), 0)
	b = append(b, m.Key[:]...)
	b = binary.BigEndian.AppendUint32(b, m.Joined)
	b = binary.BigEndian.AppendUint32(b, m.NotAfter)
	return append(b, m.Invite[:]...)
}
