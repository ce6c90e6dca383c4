package community

import (
	"bytes"
	"encoding/hex"
	"slices"
	"sort"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// Status is what there is to show. Times are seconds since 1970, 0 for none.
type Status struct {
	In      bool   `json:"in"`
	Name    string `json:"name,omitempty"`
	ID      string `json:"id,omitempty"`
	RootKey string `json:"rootKey,omitempty"` // public, hexadecimal

	Standing string `json:"standing,omitempty"` // of this node: member, admin, expired, not yet valid, revoked or unknown
	Note     string `json:"note,omitempty"`
	NotAfter int64  `json:"notAfter,omitempty"` // of our membership

	Time      int64 `json:"time"`      // by which validity is judged
	ClockSure bool  `json:"clockSure"` // false: it may be later than that

	Admins  []NodeStatus   `json:"admins"`
	Members []NodeStatus   `json:"members"` // all of them on an admin, else those we have met
	Total   int            `json:"total"`   // of Members, not only of this answer
	Revoked []RevokedEntry `json:"revoked"`

	Drops map[string]uint64 `json:"drops,omitempty"` // by reason
}

// NodeStatus is one admin or member.
type NodeStatus struct {
	PublicKey string `json:"publicKey"`
	IP        string `json:"ip"`
	Standing  string `json:"standing"`
	Note      string `json:"note,omitempty"`
	Self      bool   `json:"self,omitempty"`
	Role      string `json:"role,omitempty"` // admin: has asked to become one
	Joined    int64  `json:"joined,omitempty"`
	NotAfter  int64  `json:"notAfter,omitempty"`
	Invite    string `json:"invite,omitempty"`
	SignedBy  string `json:"signedBy,omitempty"` // address of the admin
}

// RevokedEntry is one line of somebody's list.
type RevokedEntry struct {
	What   string `json:"what"` // member, invite or admin
	ID     string `json:"id"`   // address or invite
	Reason string `json:"reason"`
	By     string `json:"by"` // address of the admin, or root
	Counts bool   `json:"counts"`
}

// InviteStatus is one line of the book.
type InviteStatus struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"` // invite or stock
	Role     string `json:"role,omitempty"`
	Uses     int    `json:"uses"`
	Used     int    `json:"used"`
	Made     int64  `json:"made"`
	NotAfter int64  `json:"notAfter,omitempty"`
	State    string `json:"state"` // open, used, expired, revoked ...
	By       string `json:"by,omitempty"`
	Note     string `json:"note,omitempty"`
}

var revokeWords = map[uint8]string{revokeMember: "member", revokeInvite: "invite", revokeAdmin: "admin"}

// Status returns a copy of everything there is to show.
func (c *Community) Status() Status {
	s := Status{In: c.In(), Admins: []NodeStatus{}, Members: []NodeStatus{}, Revoked: []RevokedEntry{}}
	s.Time, s.ClockSure = c.clock()
	for d, n := range c.drops {
		if n > 0 {
			if s.Drops == nil {
				s.Drops = make(map[string]uint64)
			}
			s.Drops[dropNames[d]] = n
		}
	}
	if !c.In() {
		return s
	}
	s.Name, s.ID = c.name, c.root.id.String()
	s.RootKey = hex.EncodeToString(c.root.key[:])
	st, note := c.standing(c.self)
	s.Standing, s.Note = st.String(), remark(st, note)
	if c.own != nil && c.adminNode(c.self) == nil {
		s.NotAfter = int64(c.own.NotAfter)
	}
	for _, a := range c.admins {
		st, note := c.standing(a.node)
		s.Admins = append(s.Admins, NodeStatus{
			PublicKey: a.node.String(), IP: a.ip.String(), Standing: st.String(), Note: remark(st, note), Self: a.node == c.self,
			Joined: int64(a.cert.Time), NotAfter: int64(a.cert.NotAfter), SignedBy: "root",
		})
	}
	for _, k := range c.memberKeys() {
		m := c.members[k]
		if c.adminNode(k) != nil {
			continue
		}
		st, note := c.standing(k)
		n := NodeStatus{
			PublicKey: k.String(), IP: m.ip.String(), Standing: st.String(), Note: remark(st, note), Self: k == c.self,
			Role: m.Role.String(), Joined: int64(m.Joined), NotAfter: int64(m.NotAfter),
		}
		if m.Invite != (InviteID{}) {
			n.Invite = m.Invite.String()
		}
		n.SignedBy = c.nameOf(m.Signer)
		s.Members = append(s.Members, n)
	}
	s.Total = len(s.Members)
	for _, o := range c.signers() {
		for i := range o.pages {
			for _, e := range o.pages[i].Entries {
				r := RevokedEntry{What: revokeWords[e.what], ID: e.IP.String(), Reason: e.Reason.String(), By: c.nameOf(o.id), Counts: c.counts(o, o.pages[i].Number)}
				if e.what == revokeInvite {
					r.ID = e.Invite.String()
				}
				s.Revoked = append(s.Revoked, r)
			}
		}
	}
	return s
}

// remark leaves out what is true of everybody: that the clock is unsure.
func remark(s Standing, note string) string {
	if s.Good() {
		return ""
	}
	return note
}

func (c *Community) nameOf(id ID) string {
	if id == c.root.id {
		return "root"
	}
	if s := c.admin(id); s != nil {
		return s.ip.String()
	}
	return id.String()
}

// Invites returns the book.
func (c *Community) Invites() []InviteStatus {
	list := make([]InviteStatus, 0, len(c.book))
	for _, v := range c.book {
		s := InviteStatus{ID: v.ID.String(), Kind: "invite", Role: v.Role.String(), Uses: int(v.Uses), Used: c.used(v), Made: int64(v.Time),
			NotAfter: int64(v.NotAfter), State: c.closed(v), Note: v.note}
		if s.State == "" {
			s.State = "open"
		}
		if v.stock {
			s.Kind, s.Role, s.Uses, s.Used = "stock", "", 0, 0
		} else {
			s.By = c.nameOf(v.Signer)
		}
		list = append(list, s)
	}
	return list
}

// Self returns the overlay key of this node.
func (c *Community) Self() cjdns.Key { return c.self }

// Revoked returns the addresses of the nodes that are revoked: as members, or
// as admins.
func (c *Community) Revoked() []cjdns.IP {
	var ips []cjdns.IP
	for ip := range c.revokedMembers {
		if !slices.ContainsFunc(c.admins, func(s *signer) bool { return s.ip == ip }) {
			ips = append(ips, ip) // an admin is revoked by the root only
		}
	}
	for ip := range c.revokedAdmins {
		ips = append(ips, ip)
	}
	sort.Slice(ips, func(i, j int) bool { return bytes.Compare(ips[i][:], ips[j][:]) < 0 })
	return slices.Compact(ips)
}

// Member reports whether the owner of key counts as a member now.
func (c *Community) Member(key cjdns.Key) bool {
	st, _ := c.standing(key)
	return st.Good()
}

// Members returns the keys of all who count as members now, ourselves
// included, in a fixed order.
func (c *Community) Members() (keys []cjdns.Key) {
	for _, s := range c.admins {
		if st, _ := c.standing(s.node); st.Good() {
			keys = append(keys, s.node)
		}
	}
	for _, k := range c.memberKeys() {
		if st, _ := c.standing(k); st.Good() && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}
