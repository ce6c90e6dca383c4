package netio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

func openUDP(t testing.TB, bind string, o UDPOptions) *UDP {
	t.Helper()
	u, err := OpenUDP(netip.MustParseAddrPort(bind), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

func (u *UDP) testAddr() pkt.Addr {
	ap := u.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return pkt.UDPAddr(ap, 0)
}

func newBufs(n int) []*pkt.Buf {
	b := make([]*pkt.Buf, n)
	for i := range b {
		b[i] = new(pkt.Buf)
		b[i].Reset()
	}
	return b
}

// readN reads until n packets are there and returns copies; it fails if they
// do not come within ten seconds.
func readN(t testing.TB, c Conn, n, batch int) (got [][]byte, from []pkt.Addr) {
	t.Helper()
	stop := time.AfterFunc(10*time.Second, func() { c.Close() })
	defer stop.Stop()
	bufs := newBufs(batch)
	for len(got) < n {
		k, err := c.ReadBatch(bufs)
		if err != nil {
			t.Fatalf("after %d of %d packets: %v", len(got), n, err)
		}
		if k == 0 {
			t.Fatal("ReadBatch gave 0 packets")
		}
		for _, b := range bufs[:k] {
			got = append(got, bytes.Clone(b.Bytes()))
			from = append(from, b.Addr)
		}
		seen := map[*pkt.Buf]bool{}
		for _, b := range bufs {
			if b == nil || seen[b] {
				t.Fatal("ReadBatch lost a Buf or duplicated one")
			}
			seen[b] = true
		}
	}
	return got, from
}

// Every mix of sizes must arrive whole and in order, whatever was merged on
// the way, and whatever batch the reader uses.
func TestUDPLoopback(t *testing.T) {
	for _, bind := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, off := range []bool{false, true} {
			for _, batch := range []int{1, 3, 8, 64} {
				t.Run(fmt.Sprintf("%s/plain=%v/batch=%d", bind, off, batch), func(t *testing.T) {
					a := openUDP(t, bind, UDPOptions{NoOffload: off, Batch: 64})
					b := openUDP(t, bind, UDPOptions{NoOffload: off, Batch: 64})
					t.Logf("caps %s", a.Caps().Text)
					var want [][]byte
					var bufs []*pkt.Buf
					for i, n := range []int{
						1, 2, 3, 3, 3, 100, 100, 100, 50, 50, 51, 0, 64, 64, 64, 64, 0, 0, 1400, 1400, 1400, 1399, 1400,
						2304, 2304, 2304, 7, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1,
					} {
						p := fill(n, byte(i))
						bufs = append(bufs, bufOf(p))
						if n > 0 { // an empty datagram is of no use to us and is dropped
							want = append(want, p)
						}
						bufs[i].Addr = b.testAddr()
					}
					for range 70 { // more than one GSO send holds
						p := fill(1200, byte(len(want)))
						want = append(want, p)
						c := bufOf(p)
						c.Addr = b.testAddr()
						bufs = append(bufs, c)
					}
					n, err := a.WriteBatch(bufs)
					if err != nil || n != len(bufs) {
						t.Fatalf("WriteBatch = %d, %v, want %d; %+v", n, err, len(bufs), a.Stats())
					}
					got, from := readN(t, b, len(want), batch)
					for i := range want {
						if !bytes.Equal(got[i], want[i]) {
							t.Fatalf("packet %d has %d bytes, want %d", i, len(got[i]), len(want[i]))
						}
						if from[i] != a.testAddr() {
							t.Fatalf("packet %d came from %v, want %v", i, from[i], a.testAddr())
						}
					}
				})
			}
		}
	}
}

// A reader that uses GRO must not be limited to groSlots packets per call when
// packets come singly.
func TestUDPSinglesFillTheBatch(t *testing.T) {
	a, b := openUDP(t, "127.0.0.1:0", UDPOptions{NoOffload: true}), openUDP(t, "127.0.0.1:0", UDPOptions{Batch: 64})
	bufs := newBufs(40)
	for i, c := range bufs {
		c.Set(fill(100+i, 1))
		c.Addr = b.testAddr()
	}
	if n, err := a.WriteBatch(bufs); n != 40 || err != nil {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
	// Wait until the kernel has delivered all, whatever the load.
	rc, _ := b.conn.SyscallConn()
	waiting := func() (n uint32) { // SK_MEMINFO_RMEM_ALLOC grows with every packet
		_ = rc.Control(func(fd uintptr) {
			var m [9]uint32
			l := uint32(unsafe.Sizeof(m))
			unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&m)), uintptr(unsafe.Pointer(&l)), 0)
			n = m[0]
		})
		return n
	}
	for last := uint32(0); ; time.Sleep(50 * time.Millisecond) {
		if w := waiting(); w == last && w > 0 {
			break
		} else {
			last = w
		}
	}
	n, err := b.ReadBatch(newBufs(64))
	if n <= groSlots || err != nil {
		t.Errorf("ReadBatch = %d, %v, want more than %d of 40 packets in one call", n, err, groSlots)
	}
}

// Packets to several peers: each gets its own, in order.
func TestUDPInterleavedPeers(t *testing.T) {
	a := openUDP(t, "127.0.0.1:0", UDPOptions{})
	p, q := openUDP(t, "127.0.0.1:0", UDPOptions{}), openUDP(t, "127.0.0.1:0", UDPOptions{})
	var bufs []*pkt.Buf
	for i := range 300 {
		b := bufOf(binary.BigEndian.AppendUint32(nil, uint32(i)))
		b.Addr = p.testAddr()
		if i%7 < 3 {
			b.Addr = q.testAddr()
		}
		bufs = append(bufs, b)
	}
	if n, err := a.WriteBatch(bufs); n != 300 || err != nil {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
	for _, c := range []struct {
		u    *UDP
		mine func(i int) bool
	}{{q, func(i int) bool { return i%7 < 3 }}, {p, func(i int) bool { return i%7 >= 3 }}} {
		var want []uint32
		for i := range 300 {
			if c.mine(i) {
				want = append(want, uint32(i))
			}
		}
		got, _ := readN(t, c.u, len(want), 64)
		for i, g := range got {
			if binary.BigEndian.Uint32(g) != want[i] {
				t.Fatalf("packet %d is number %d, want %d", i, binary.BigEndian.Uint32(g), want[i])
			}
		}
	}
}

// One packet that cannot be sent must not take others with it.
func TestUDPBadPacketsAreSkipped(t *testing.T) {
	for _, off := range []bool{false, true} {
		a := openUDP(t, "127.0.0.1:0", UDPOptions{NoOffload: off})
		b := openUDP(t, "127.0.0.1:0", UDPOptions{})
		ok := func(i byte) *pkt.Buf { c := bufOf([]byte{i}); c.Addr = b.testAddr(); return c }
		none, v6, mac, bcast := bufOf([]byte("n")), bufOf([]byte("6")), bufOf([]byte("m")), bufOf([]byte("b"))
		v6.Addr = pkt.UDPAddr(netip.MustParseAddrPort("[::1]:9"), 0)
		mac.Addr = pkt.MACAddr([6]byte{1, 2, 3})
		bcast.Addr = pkt.UDPAddr(netip.MustParseAddrPort("255.255.255.255:9"), 0) // EACCES: not allowed
		n, err := a.WriteBatch([]*pkt.Buf{none, ok(1), v6, ok(2), bcast, ok(3), mac, ok(4), bcast})
		if n != 4 || err != nil {
			t.Errorf("plain=%v: WriteBatch = %d, %v, want 4", off, n, err)
		}
		if s := a.Stats(); s.TxRefused != 5 {
			t.Errorf("plain=%v: %d refused, want 5", off, s.TxRefused)
		}
		got, _ := readN(t, b, 4, 64)
		for i, g := range got {
			if int(g[0]) != i+1 {
				t.Errorf("plain=%v: packet %d is %d", off, i, g[0])
			}
		}
	}
}

// If GSO is refused, the packets must go singly, and the writer must not try
// again for ever.
func TestUDPGSORefused(t *testing.T) {
	a := openUDP(t, "127.0.0.1:0", UDPOptions{})
	if !a.Caps().GSO {
		t.Skip("no UDP_SEGMENT here")
	}
	b := openUDP(t, "127.0.0.1:0", UDPOptions{Batch: 64})
	// SO_NO_CHECK makes the kernel answer EINVAL to UDP_SEGMENT, as an MTU
	// that is too small does.
	rc, _ := a.conn.SyscallConn()
	if err := rc.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) }); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		var bufs []*pkt.Buf
		for i := range 20 {
			c := bufOf(fill(500, byte(i)))
			c.Addr = b.testAddr()
			bufs = append(bufs, c)
		}
		if n, err := a.WriteBatch(bufs); n != 20 || err != nil {
			t.Fatalf("round %d: WriteBatch = %d, %v, %+v", round, n, err, a.Stats())
		}
		got, _ := readN(t, b, 20, 64)
		for i, g := range got {
			if !bytes.Equal(g, fill(500, byte(i))) {
				t.Fatalf("round %d: packet %d differs", round, i)
			}
		}
	}
	if a.tx.holdFor == 0 && a.gso.Load() {
		t.Error("the refusal was not remembered (or this kernel no longer refuses; then the test needs another cause)")
	}
}

func TestUDPCloseWakesReader(t *testing.T) {
	u := openUDP(t, "127.0.0.1:0", UDPOptions{})
	done := make(chan error)
	go func() {
		_, err := u.ReadBatch(newBufs(4))
		done <- err
	}()
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadBatch = %v, want net.ErrClosed", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the reader still waits")
	}
	b := bufOf([]byte("x"))
	b.Addr = pkt.UDPAddr(netip.MustParseAddrPort("127.0.0.1:9"), 0)
	if _, err := u.WriteBatch([]*pkt.Buf{b}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteBatch = %v, want net.ErrClosed", err)
	}
	if err := u.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close = %v, want net.ErrClosed", err)
	}
}

func TestUDPOptions(t *testing.T) {
	get := func(u *UDP, level, opt int) int {
		rc, _ := u.conn.SyscallConn()
		v := -1
		_ = rc.Control(func(fd uintptr) { v, _ = unix.GetsockoptInt(int(fd), level, opt) })
		return v
	}
	u := openUDP(t, "127.0.0.1:0", UDPOptions{DSCP: 46, ReuseAddr: true, Broadcast: true, Batch: 8})
	if v := get(u, unix.IPPROTO_IP, unix.IP_TOS); v != 46<<2 {
		t.Errorf("IP_TOS = %d, want %d", v, 46<<2)
	}
	if v := get(u, unix.SOL_SOCKET, unix.SO_BROADCAST); v != 1 {
		t.Errorf("SO_BROADCAST = %d, want 1", v)
	}
	if c := u.Caps(); c.GRO || c.Batch != 8 {
		t.Errorf("small batch: %+v, want no GRO and a batch of 8", c)
	}
	if _, err := OpenUDP(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), u.LocalPort()), UDPOptions{ReuseAddr: true}); err != nil {
		t.Errorf("second socket on the port: %v", err)
	}
	if _, err := OpenUDP(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), u.LocalPort()), UDPOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("port in use: %v, want EADDRINUSE", err)
	}
	v := openUDP(t, "[::1]:0", UDPOptions{DSCP: 10})
	if got := get(v, unix.IPPROTO_IPV6, unix.IPV6_TCLASS); got != 10<<2 {
		t.Errorf("IPV6_TCLASS = %d, want %d", got, 10<<2)
	}
	if got := get(v, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); got != 1 {
		t.Errorf("IPV6_V6ONLY = %d, want 1", got)
	}
	if got := get(v, unix.SOL_SOCKET, unix.SO_BROADCAST); got != 0 {
		t.Errorf("SO_BROADCAST = %d, want 0", got)
	}
	for _, o := range []UDPOptions{{DSCP: 64}, {Device: "no-such-device"}} {
		if c, err := OpenUDP(netip.MustParseAddrPort("127.0.0.1:0"), o); err == nil {
			c.Close()
			t.Errorf("%+v was accepted", o)
		}
	}
	if _, err := OpenUDP(netip.AddrPort{}, UDPOptions{}); err == nil {
		t.Error("no address was accepted")
	}
}

// The slots of merged packets: a reader with few Bufs must get everything, in
// order, though one call receives more than it can hold.
func TestUDPSplitWithFewBufs(t *testing.T) {
	for bufs := 1; bufs < 20; bufs++ {
		r := newUDPReader(nil, 64, true)
		var want [][]byte
		n := min(bufs, 3)
		set := newBufs(bufs)
		for i, m := range []struct{ size, seg int }{{3000, 900}, {500, 500}, {2000, 700}}[:n] {
			p := fill(m.size, byte(i))
			room := set[i].Room()
			k := copy(room, p)
			copy(r.slot[i*slotLen+k:], p[k:])
			set[i].Extend(k)
			set[i].Addr = pkt.Addr{Port: uint16(i)}
			r.lens[i], r.segs[i], r.addrs[i] = m.size, m.seg, set[i].Addr
			for len(p) > 0 {
				k := min(m.seg, len(p))
				want, p = append(want, p[:k]), p[k:]
			}
		}
		k := r.split(set, n)
		for {
			for _, b := range set[:k] {
				if len(want) == 0 || !bytes.Equal(b.Bytes(), want[0]) {
					t.Fatalf("%d bufs: a packet of %d bytes, want the next of %d", bufs, b.Len(), len(want))
				}
				want = want[1:]
			}
			if len(r.waiting) == 0 {
				break
			}
			if k = r.drain(set); k == 0 {
				t.Fatal("drain gives nothing")
			}
		}
		if len(want) != 0 {
			t.Errorf("%d bufs: %d packets are missing", bufs, len(want))
		}
	}
}

func TestUDPDoesNotAllocate(t *testing.T) {
	for _, off := range []bool{false, true} {
		a, b := openUDP(t, "127.0.0.1:0", UDPOptions{NoOffload: off, Batch: 64}), openUDP(t, "127.0.0.1:0", UDPOptions{NoOffload: off, Batch: 64})
		out, in := newBufs(32), newBufs(64)
		for _, c := range out {
			c.Set(fill(1200, 1))
			c.Addr = b.testAddr()
		}
		n := testing.AllocsPerRun(50, func() {
			if k, err := a.WriteBatch(out); k != len(out) || err != nil {
				t.Fatal(k, err)
			}
			for got := 0; got < len(out); {
				k, err := b.ReadBatch(in)
				if err != nil {
					t.Fatal(err)
				}
				got += k
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations per batch, want 0", a.Caps().Text, n)
		}
	}
}

func BenchmarkUDP(b *testing.B) {
	for _, size := range []int{64, 1200} {
		for _, off := range []bool{true, false} {
			b.Run(fmt.Sprintf("send/size=%d/gso=%v", size, !off), func(b *testing.B) {
				u := openUDP(b, "127.0.0.1:0", UDPOptions{NoOffload: off, Batch: 64})
				sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				if err != nil {
					b.Fatal(err)
				}
				defer sink.Close()
				_ = sink.SetReadBuffer(4096) // full at once: only sending is measured
				bufs := newBufs(64)
				for _, c := range bufs {
					c.Set(fill(size, 1))
					c.Addr = pkt.UDPAddr(sink.LocalAddr().(*net.UDPAddr).AddrPort(), 0)
				}
				b.SetBytes(int64(size * len(bufs)))
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					k, _ := u.WriteBatch(bufs)
					n += k
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
			})
			b.Run(fmt.Sprintf("copy/size=%d/gso=%v", size, !off), func(b *testing.B) {
				u, v := openUDP(b, "127.0.0.1:0", UDPOptions{NoOffload: off, Batch: 64}), openUDP(b, "127.0.0.1:0", UDPOptions{NoOffload: off, Batch: 64})
				out, in := newBufs(64), newBufs(64)
				for _, c := range out {
					c.Set(fill(size, 1))
					c.Addr = v.testAddr()
				}
				b.SetBytes(int64(size * len(out)))
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					k, _ := u.WriteBatch(out)
					for got := 0; got < k; {
						g, _ := v.ReadBatch(in)
						got += g
					}
					n += k
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
			})
		}
	}
}
