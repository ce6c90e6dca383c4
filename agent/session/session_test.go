package session

import (
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/cryptoauth"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

func counter() func([]byte) {
	n := byte(0)
	return func(b []byte) {
		for i := range b {
			n++
			b[i] = n
		}
	}
}

func newCA() *cryptoauth.Session {
	rand := counter()
	cfg := &cryptoauth.Config{Self: &cryptoauth.Identity{}, Users: new(cryptoauth.Users), Rand: rand}
	return cryptoauth.New(cfg, cryptoauth.Options{Key: cjdns.Key{9}}, 0)
}

func ip(n int) cjdns.IP { return cjdns.IP{0xfc, byte(n >> 8), byte(n)} }

func TestTableFindsByAddressAndHandle(t *testing.T) {
	tab := NewTable(4, counter())
	a := tab.Add(0, cjdns.Key{1}, ip(1), newCA())
	b := tab.Add(0, cjdns.Key{2}, ip(2), newCA())
	if a.Recv == b.Recv || a.Recv < minHandle {
		t.Fatalf("handles %d and %d", a.Recv, b.Recv)
	}
	if tab.ByIP(ip(1)) != a || tab.ByHandle(b.Recv) != b || tab.ByIP(ip(3)) != nil || tab.ByHandle(1) != nil {
		t.Error("look-ups are wrong")
	}
	tab.Drop(a)
	tab.Drop(a)
	if tab.Len() != 1 || tab.ByIP(ip(1)) != nil || tab.ByHandle(a.Recv) != nil {
		t.Error("a dropped session is still there")
	}
}

func TestHandlesWrapAndStayLegal(t *testing.T) {
	tab := NewTable(8, counter())
	tab.next = 0xffffffee
	for i := range 6 {
		s := tab.Add(0, cjdns.Key{byte(i)}, ip(i), newCA())
		if s.Recv < minHandle || s.Recv >= 0xfffffff0 {
			t.Errorf("handle %#x", s.Recv)
		}
	}
}

// All lists the sessions by handle, whatever was dropped and in whatever order
// handles came, and what it returns stays as it is.
func TestAllIsSorted(t *testing.T) {
	tab := NewTable(400, counter())
	tab.next = 0xffffff80
	for i := range 300 {
		tab.Add(0, cjdns.Key{byte(i)}, ip(i), newCA())
	}
	before := tab.All()
	for i := 0; i < 300; i += 3 {
		tab.Drop(tab.ByIP(ip(i)))
	}
	all := tab.All()
	if len(before) != 300 || len(all) != 200 || tab.Len() != 200 {
		t.Fatalf("%d and %d of 300 and 200", len(before), len(all))
	}
	for i, s := range all {
		if tab.ByHandle(s.Recv) != s || i > 0 && all[i-1].Recv >= s.Recv {
			t.Errorf("handle %d stands at %d", s.Recv, i)
		}
	}
}

// A limit that has become smaller drops nobody, and lets no more in.
func TestLimitOfTable(t *testing.T) {
	tab := NewTable(2, counter())
	tab.SetLimit(6)
	for i := range 6 {
		tab.Add(mono.Time(i), cjdns.Key{byte(i)}, ip(i), newCA())
	}
	tab.SetLimit(2)
	if tab.Len() != 6 || tab.Limit() != 2 {
		t.Errorf("%d of %d", tab.Len(), tab.Limit())
	}
	tab.Add(10, cjdns.Key{9}, ip(9), newCA())
	if tab.Len() != 6 || tab.ByIP(ip(0)) != nil || tab.ByIP(ip(9)) == nil {
		t.Errorf("%d sessions", tab.Len())
	}
}

// BenchmarkAll measures what house-keeping pays ten times a second, with as
// many sessions as a supernode may have.
func BenchmarkAll(b *testing.B) {
	tab := NewTable(4096, counter())
	for i := range 4096 {
		tab.Add(0, cjdns.Key{byte(i)}, ip(i), nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		tab.All()
	}
}

// The oldest session without keys goes first; sessions in use never go.
func TestFullTable(t *testing.T) {
	tab := NewTable(3, counter())
	for i := range 3 {
		tab.Add(mono.Time(i), cjdns.Key{byte(i)}, ip(i), newCA())
	}
	tab.Add(10, cjdns.Key{7}, ip(7), newCA())
	if tab.Len() != 3 || tab.ByIP(ip(0)) != nil || tab.ByIP(ip(7)) == nil || tab.Evicted != 1 {
		t.Errorf("%d sessions, %d evicted", tab.Len(), tab.Evicted)
	}
}

func TestWaitingIsBounded(t *testing.T) {
	var w Waiting
	for i := range WaitPerDest + 3 {
		if ok := w.Add(0, ip(1), new(pkt.Buf)); ok != (i < WaitPerDest) {
			t.Errorf("packet %d for one destination: taken %v", i, ok)
		}
	}
	taken := w.Len()
	for i := range 2 * WaitTotal {
		if w.Add(0, ip(100+i), new(pkt.Buf)) {
			taken++
		}
	}
	if taken != WaitTotal || w.Len() != WaitTotal {
		t.Errorf("%d packets wait, want %d", w.Len(), WaitTotal)
	}
	if w.Dropped != 3+2*WaitTotal-uint64(WaitTotal-WaitPerDest) {
		t.Errorf("%d counted as dropped", w.Dropped)
	}
}

func TestWaitingKeepsOrder(t *testing.T) {
	var w Waiting
	bufs := make([]*pkt.Buf, 5)
	for i := range bufs {
		bufs[i] = new(pkt.Buf)
		w.Add(mono.Time(i), ip(i%2), bufs[i])
	}
	got := w.Take(ip(0), nil)
	if len(got) != 3 || got[0] != bufs[0] || got[1] != bufs[2] || got[2] != bufs[4] {
		t.Errorf("took %d packets, in the wrong order", len(got))
	}
	if w.Has(ip(0)) || !w.Has(ip(1)) || w.Len() != 2 {
		t.Error("the others should still wait")
	}
	if n := len(w.Expired(mono.Time(0).Add(WaitTime), nil)); n != 0 {
		t.Errorf("%d packets expired too early", n)
	}
	if n := len(w.Expired(mono.Time(3).Add(WaitTime+time.Second), nil)); n != 2 {
		t.Errorf("%d packets expired, want 2", n)
	}
}
