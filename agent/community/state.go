package community

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// stored is the state as it lies in the file: JSON, bytes in base64.
type stored struct {
	Version int           `json:"version"`
	Name    string        `json:"name,omitempty"`
	Root    []byte        `json:"root,omitempty"` // public key
	Time    int64         `json:"time,omitempty"` // the latest that a trusted clock has shown
	Number  uint32        `json:"number,omitempty"`
	Own     []byte        `json:"membership,omitempty"`
	Admins  []storedAdmin `json:"admins,omitempty"`
	Pages   [][]byte      `json:"revocations,omitempty"`
	Members [][]byte      `json:"members,omitempty"` // of an admin
	Book    []storedEntry `json:"invites,omitempty"`
}

type storedAdmin struct {
	Cert    []byte `json:"certificate"`
	Through uint32 `json:"through,omitempty"`
}

type storedEntry struct {
	Invite []byte `json:"invite"`
	Used   uint8  `json:"used,omitempty"`
	Moved  uint8  `json:"moved,omitempty"`
	Stock  bool   `json:"stock,omitempty"`
	Note   string `json:"note,omitempty"`
}

const stateVersion = 1

// Snapshot is a state to be stored. It shares nothing that changes.
type Snapshot struct{ s stored }

// Bytes writes the state; any goroutine may do that.
func (n *Snapshot) Bytes() []byte {
	sort.Slice(n.s.Members, func(i, j int) bool { return bytes.Compare(n.s.Members[i], n.s.Members[j]) < 0 })
	b, err := json.Marshal(&n.s)
	if err != nil {
		panic("community: state cannot be written: " + err.Error()) // plain data
	}
	return append(b, '\n')
}

// Snapshot returns the state to be stored.
func (c *Community) Snapshot() *Snapshot {
	s := stored{Version: stateVersion, Time: c.trustedAt, Number: c.number}
	if c.In() {
		s.Name, s.Root = c.name, slices.Clone(c.root.key[:])
		if c.own != nil {
			s.Own = c.own.Raw
		}
		for _, o := range c.signers() {
			if o != &c.root {
				s.Admins = append(s.Admins, storedAdmin{o.cert.Raw, o.through})
			}
			for i := range o.pages {
				if raw := o.pages[i].Raw; raw != nil {
					s.Pages = append(s.Pages, raw)
				}
			}
		}
		if c.isAdmin() {
			s.Members = make([][]byte, 0, len(c.members))
			for _, m := range c.members {
				s.Members = append(s.Members, m.Raw)
			}
		}
	}
	for _, v := range c.book {
		raw := v.Raw
		if v.stock {
			raw = append(v.unsigned(), make([]byte, cjdns.SignatureLen)...)
		}
		s.Book = append(s.Book, storedEntry{raw, v.used, v.moved, v.stock, v.note})
	}
	return &Snapshot{s}
}

// Load takes the state of an earlier run. Signatures are not checked again:
// the file is ours alone. The error says what is wrong with it; the node is
// then in no community.
func (c *Community) Load(b []byte, out *Out) error {
	c.book = nil
	c.reset()
	err := c.load(b)
	if err != nil {
		c.book = nil
		c.reset()
		return err
	}
	c.rebuild()
	c.review(out)
	out.Certs, out.Logins, out.Revoked = true, true, true
	return nil
}

var errState = errors.New("expected the state of a community as meshagent writes it")

func (c *Community) load(b []byte) error {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("%w, version %d; found version %d", errState, stateVersion, s.Version)
	}
	c.trustedAt, c.number = max(s.Time, 0), s.Number
	for _, e := range s.Book {
		v, err := ParseInvite(e.Invite)
		if err != nil && e.Stock {
			// A stock invite has no community: signer and community are zero.
			v, err = parseStock(e.Invite)
		}
		if err != nil || len(c.book) >= MaxInvites {
			return fmt.Errorf("%w: invites", errState)
		}
		c.book = append(c.book, &invite{Invite: v, used: e.Used, moved: e.Moved, stock: e.Stock, note: e.Note})
	}
	if len(s.Root) == 0 {
		return nil
	}
	if len(s.Root) != len(c.root.key) || CheckName(s.Name) != nil {
		return fmt.Errorf("%w: name or root", errState)
	}
	key := cjdns.VerifyKey(s.Root)
	c.name, c.root = s.Name, signer{id: IDOf(key), key: key}
	for _, e := range s.Admins {
		a, err := ParseAdmin(e.Cert)
		if err != nil || len(c.admins) >= MaxAdmins || a.Community != c.root.id || c.admin(a.ID()) != nil {
			return fmt.Errorf("%w: admins", errState)
		}
		node, ip, err := nodeOf(a.Key)
		if err != nil {
			return fmt.Errorf("%w: admins: %w", errState, err)
		}
		c.admins = append(c.admins, &signer{id: a.ID(), key: a.Key, node: node, ip: ip, cert: a, through: e.Through})
	}
	for _, raw := range s.Pages {
		p, err := ParsePage(raw)
		o := c.signer(p.Signer)
		if err != nil || o == nil {
			return fmt.Errorf("%w: revocations", errState)
		}
		o.pages[p.Page] = p
	}
	if s.Own != nil {
		s.Members = append(s.Members, s.Own)
	}
	for _, raw := range s.Members {
		m, err := ParseMembership(raw)
		if err != nil || len(c.members) > MaxMembers || m.Community != c.root.id {
			return fmt.Errorf("%w: members", errState)
		}
		node, ip, err := nodeOf(m.Key)
		if err != nil {
			return fmt.Errorf("%w: members: %w", errState, err)
		}
		if c.members[node] == nil {
			c.addMember(&member{Membership: m, node: node, ip: ip})
		}
	}
	return nil
}

// parseStock reads an invite for a stock node, which nobody has signed.
func parseStock(b []byte) (v Invite, err error) {
	h, body, err := parseHead(b, kindInvite, 30)
	if err != nil || h.Signer != (ID{}) {
		return v, ErrObject
	}
	v.Head = Head{Time: h.Time}
	copy(v.ID[:], body)
	copy(v.Secret[:], body[8:])
	v.Role, v.Uses, v.NotAfter = Role(body[24]), body[25], uint32(body[26])<<24|uint32(body[27])<<16|uint32(body[28])<<8|uint32(body[29])
	return v, nil
}
