package community

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// A signer's list of revocations has Pages pages of at most PageEntries
// entries. Each page is signed and numbered alone, fits into one message, and
// replaces its predecessor: what is no longer in it is no longer revoked.
const (
	Pages       = 4
	PageEntries = 42
	entryLen    = 22
)

// What an entry revokes.
const (
	revokeMember = 1
	revokeInvite = 2
	revokeAdmin  = 3 // counts in the pages of the root only
)

// Reason is why something was revoked.
type Reason uint8

// Values of Reason.
const (
	ReasonNone Reason = iota
	ReasonLost
	ReasonLeft
	ReasonMisuse
	ReasonDoubleUse // an invite was used more often than allowed
)

// ReasonWords are the names of the reasons, as commands take and show them.
var ReasonWords = []string{"none", "lost", "left", "misuse", "double-use"}

// String returns the name.
func (r Reason) String() string {
	if int(r) < len(ReasonWords) {
		return ReasonWords[r]
	}
	return "unknown"
}

// Revocation is one entry of a page:
//
//	0  1   what: 1 member, 2 invite, 3 admin
//	1  1   reason
//	2  4   up to: for a member, the time (seconds since 1970) up to which
//	       memberships are void; for an admin, the number up to which what it
//	       has signed still counts; for an invite 0
//	6  16  address of the node, or invite id and zeros
type Revocation struct {
	what   uint8
	Reason Reason
	UpTo   uint32
	IP     cjdns.IP // of a member or admin
	Invite InviteID
}

// Page is a page of a list of revocations. Behind the head:
//
//	26  1    page, 0 to 3
//	27  1    n, 0 to 42
//	28  22n  entries
//	    64   signature of an admin or the root
type Page struct {
	Head
	Page    uint8
	Entries []Revocation
}

// ParsePage reads a page; the signature is not checked. The result refers to
// b. The only error is ErrObject.
func ParsePage(b []byte) (p Page, err error) {
	if len(b) < headLen+2 || b[headLen+1] > PageEntries || b[headLen] >= Pages {
		return p, ErrObject
	}
	n := int(b[headLen+1])
	h, body, err := parseHead(b, kindPage, 2+n*entryLen)
	if err != nil {
		return p, ErrObject
	}
	p.Head, p.Page = h, body[0]
	p.Entries = make([]Revocation, n)
	for i := range p.Entries {
		e := body[2+i*entryLen:][:entryLen]
		r := Revocation{what: e[0], Reason: Reason(e[1]), UpTo: binary.BigEndian.Uint32(e[2:])}
		switch r.what {
		case revokeMember, revokeAdmin:
			copy(r.IP[:], e[6:])
		case revokeInvite:
			copy(r.Invite[:], e[6:])
		default:
			return Page{}, ErrObject
		}
		p.Entries[i] = r
	}
	return p, nil
}

func (p *Page) unsigned() []byte {
	b := p.appendHead(make([]byte, 0, MaxObject), kindPage)
	b = append(b, p.Page, byte(len(p.Entries)))
	for _, e := range p.Entries {
		b = append(b, e.what, byte(e.Reason))
		b = binary.BigEndian.AppendUint32(b, e.UpTo)
		if e.what == revokeInvite {
			b = append(b, e.Invite[:]...)
			b = append(b, make([]byte, 8)...)
		} else {
			b = append(b, e.IP[:]...)
		}
	}
	return b
}

// same reports whether two entries are about the same thing.
func (e Revocation) same(o Revocation) bool {
	return e.what == o.what && e.IP == o.IP && e.Invite == o.Invite
}
