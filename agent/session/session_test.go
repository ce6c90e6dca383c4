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
