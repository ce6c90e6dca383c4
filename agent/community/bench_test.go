package community

import (
	"encoding/binary"
	"testing"

	"github.com/meshagent/meshagent/agent/cjdns"
)

// crowded is an admin that knows as many members as there may be.
func crowded(b *testing.B) *tnode {
	w := newWorld(nil, "a")
	a := w.nodes[0]
	a.found()
	for i := range MaxMembers {
		m := &member{Membership: Membership{Head: Head{Signer: IDOf(a.key.Public()), Number: uint32(i + 1)}}}
		binary.BigEndian.PutUint32(m.node[:], uint32(i))
		binary.BigEndian.PutUint32(m.ip[12:], uint32(i))
		a.c.members[m.node] = m
	}
	a.do(func(out *Out) { a.c.review(out) })
	b.ReportAllocs()
	b.ResetTimer()
	return a
}

// BenchmarkReview is what an admin does every minute.
func BenchmarkReview(b *testing.B) {
	a := crowded(b)
	var out Out
	for range b.N {
		a.c.review(&out)
	}
}

// BenchmarkPutMember stores one more of many, as when two admins meet.
func BenchmarkPutMember(b *testing.B) {
	a := crowded(b)
	var out Out
	m := *a.c.members[cjdns.Key{}]
	for range b.N {
		n := m
		a.c.putMember(&n, &out)
	}
}
