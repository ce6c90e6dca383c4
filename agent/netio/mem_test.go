package netio

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/pkt"
)

var _, _, _, _ Conn = (*Mem)(nil), (*UDP)(nil), (*Packet)(nil), (*TUN)(nil)

func TestPipe(t *testing.T) {
	a, b := Pipe(4)
	bufs := newBufs(6)
	for i, c := range bufs {
		c.Set([]byte{byte(i)})
	}
	if n, err := a.WriteBatch(bufs); n != 4 || err != nil || a.Stats().TxBusy != 2 {
		t.Fatalf("WriteBatch = %d, %v, %+v, want 4 and 2 busy", n, err, a.Stats())
	}
	bufs[0].Bytes()[0] = 99 // the link keeps nothing
	in := newBufs(3)
	for want := byte(0); want < 4; {
		n, err := b.ReadBatch(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range in[:n] {
			if c.Bytes()[0] != want || c.Addr != a.Addr() || !c.CanPush(pkt.Headroom) {
				t.Errorf("got packet %d from %v, want %d from %v with full headroom", c.Bytes()[0], c.Addr, want, a.Addr())
			}
			want++
		}
	}
	b.SetLoss(func(p []byte) bool { return p[0]%2 == 0 })
	for i, c := range bufs[:4] {
		c.Set([]byte{byte(i)})
	}
	if n, err := b.WriteBatch(bufs[:4]); n != 4 || err != nil {
		t.Errorf("lossy WriteBatch = %d, %v, want 4", n, err)
	}
	if n, err := a.ReadBatch(newBufs(8)); n != 2 || err != nil {
		t.Errorf("%d packets came through, %v, want 2", n, err)
	}
	if n, err := a.ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("ReadBatch(nil) = %d, %v", n, err)
	}
}

func TestPipeCloseWakesBothEnds(t *testing.T) {
	a, b := Pipe(4)
	errs := make(chan error, 2)
	for _, c := range []*Mem{a, b} {
		go func() { _, err := c.ReadBatch(newBufs(1)); errs <- err }()
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case err := <-errs:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("ReadBatch = %v, want net.ErrClosed", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a reader still waits")
		}
	}
	if _, err := b.WriteBatch(newBufs(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteBatch = %v, want net.ErrClosed", err)
	}
	if err := a.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close = %v, want net.ErrClosed", err)
	}
}

func TestPipeDoesNotAllocate(t *testing.T) {
	a, b := Pipe(16)
	out, in := newBufs(16), newBufs(16)
	for _, c := range out {
		c.Set(fill(1200, 1))
	}
	if n := testing.AllocsPerRun(50, func() { a.WriteBatch(out); b.ReadBatch(in) }); n != 0 {
		t.Errorf("%v allocations per batch, want 0", n)
	}
}
