package community

import (
	"bytes"
	"cmp"
	"slices"
	"sort"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// member is a node whose membership we have checked.
type member struct {
	Membership
	node cjdns.Key
	ip   cjdns.IP
	told bool
}

// putMember stores a membership whose signature is good.
func (c *Community) putMember(m *member, out *Out) {
	if old := c.members[m.node]; old != nil {
		m.told = old.told
		c.forgetMember(old, m.Invite)
	}
	c.addMember(m)
	if m.Signer == IDOf(c.cfg.Self) {
		c.number = max(c.number, m.Number)
	}
	if m.node == c.self {
		out.Certs = true
		c.save(out)
	} else if c.isAdmin() {
		c.save(out) // others need not remember whom they have met
	}
	if c.judge(m) { // it changes nothing for others
		c.tell([]cjdns.Key{m.node}, out)
	}
}

// addMember puts m into the tables.
func (c *Community) addMember(m *member) {
	c.members[m.node] = m
	c.certs[m.Hash()] = true
	if m.Invite != (InviteID{}) {
		c.uses[m.Invite]++
	}
	if m.node == c.self {
		own := m.Membership
		c.own = &own
	}
}

// forgetMember takes m out of the tables. If its node goes on by another
// invite, or not at all, the use of the old one still counts.
func (c *Community) forgetMember(m *member, next InviteID) {
	delete(c.members, m.node)
	delete(c.certs, m.Hash())
	if m.Invite == (InviteID{}) {
		return
	}
	if c.uses[m.Invite]--; c.uses[m.Invite] == 0 {
		delete(c.uses, m.Invite)
	}
	if v := c.invite(m.Invite); v != nil && m.Invite != next && v.moved < MaxUses {
		v.moved++
	}
}

// roomForMember makes room in the full table of members: one who is none any
// more goes.
func (c *Community) roomForMember() bool {
	for _, k := range c.memberKeys() {
		if st, _ := c.standing(k); !st.Good() && st != StandingRevoked && k != c.self {
			c.forgetMember(c.members[k], InviteID{})
			return true
		}
	}
	return false
}

// memberKeys returns the keys of the members in an order that does not
// depend on the map.
func (c *Community) memberKeys() []cjdns.Key {
	keys := make([]cjdns.Key, 0, len(c.members))
	for k := range c.members {
		keys = append(keys, k)
	}
	sortKeys(keys)
	return keys
}

func sortKeys(keys []cjdns.Key) {
	sort.Slice(keys, func(i, j int) bool { return bytes.Compare(keys[i][:], keys[j][:]) < 0 })
}

// users returns the members that came in by an invite, in the order of their
// joining.
func (c *Community) users(id InviteID) (list []*member) {
	for _, m := range c.members {
		if m.Invite == id {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b *member) int {
		return cmp.Or(cmp.Compare(a.Joined, b.Joined), bytes.Compare(a.node[:], b.node[:]))
	})
	return list
}
