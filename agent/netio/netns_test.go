//go:build netns

// Tests with real devices in network namespaces, which need root:
//
//	go test -tags netns ./agent/netio
//
//	 namespace A              test process               namespace B
//	 fc01::1 ── ed-a (TUN) ══ ReadBatch → WriteBatch ══ ed-b (TUN) ── fc02::1
//	                          WriteBatch ← ReadBatch
//
// The namespaces have no names: threads make them, and they end with those.
package netio

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// checker verifies what a TUN device gives, with the reference checksum.
type checker struct {
	mu      sync.Mutex
	packets int
	bad     string
}

func (c *checker) see(bufs []*pkt.Buf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range bufs {
		c.packets++
		p := b.Bytes()
		if len(p) > tunMTU || int(binary.BigEndian.Uint16(p[4:])) != len(p)-40 {
			c.bad = fmt.Sprintf("packet of %d bytes: %x", len(p), p[:40])
		}
		if p[6] == protoTCP || p[6] == protoUDP {
			if s := refTransport(p, 40, p[6]); s != 0 {
				c.bad = fmt.Sprintf("checksum off by %#x: %x", s, p[:min(len(p), 80)])
			}
		}
	}
}

func (c *checker) done(t *testing.T, least int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bad != "" {
		t.Error(c.bad)
	}
	if c.packets < least {
		t.Errorf("only %d packets were seen, want at least %d", c.packets, least)
	}
}

func TestNetNSTUNStreams(t *testing.T) {
	for _, plain := range [][2]bool{{false, false}, {true, true}, {false, true}} {
		t.Run(fmt.Sprintf("plain=%v", plain), func(t *testing.T) {
			a, b := newSpace(t), newSpace(t)
			ta := a.newTUN(t, TUNOptions{Name: "ed-a", MTU: tunMTU, NoOffload: plain[0]}, "fc01::1/8")
			tb := b.newTUN(t, TUNOptions{Name: "ed-b", MTU: tunMTU, NoOffload: plain[1]}, "fc02::1/8")
			t.Logf("caps %s, %s", ta.Caps().Text, tb.Caps().Text)
			if ta.Caps().VNetHdr == plain[0] {
				t.Errorf("vnet header: %v", ta.Caps().VNetHdr)
			}
			var ca, cb checker
			go pump(ta, tb, ca.see)
			go pump(tb, ta, cb.see)

			var l net.Listener
			b.run(t, func() (err error) {
				l, err = net.Listen("tcp6", "[fc02::1]:5001")
				return err
			})
			defer l.Close()
			const streams, size = 3, 4 << 20
			errs := make(chan error, 2*streams)
			for i := range streams {
				go func() { // sends, gets the hash of what was received
					var c net.Conn
					var err error
					done := make(chan bool)
					a.do <- func() { c, err = net.DialTimeout("tcp6", "[fc02::1]:5001", 10*time.Second); close(done) }
					<-done
					if err != nil {
						errs <- err
						return
					}
					defer c.Close()
					c.SetDeadline(time.Now().Add(60 * time.Second))
					data := fill(size, byte(i))
					for off, n := 0, 0; off < size; off += n { // writes of odd sizes
						n = min(1+off%77777, size-off)
						if _, err := c.Write(data[off : off+n]); err != nil {
							errs <- err
							return
						}
					}
					c.(*net.TCPConn).CloseWrite()
					got, err := io.ReadAll(c)
					if want := sha256.Sum256(data); err == nil && !bytes.Equal(got, want[:]) {
						err = errors.New("the stream arrived damaged")
					}
					errs <- err
				}()
				go func() {
					c, err := l.Accept()
					if err != nil {
						errs <- err
						return
					}
					defer c.Close()
					h := sha256.New()
					_, err = io.Copy(h, c)
					c.Write(h.Sum(nil))
					errs <- err
				}()
			}
			for range 2 * streams {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			ca.done(t, streams*size/tunMTU)
			cb.done(t, 10)
			t.Logf("a %d packets %+v, b %d packets %+v", ca.packets, ta.Stats(), cb.packets, tb.Stats())
		})
	}
}

// Datagrams keep their bounds and their order, sent singly or with UDP_SEGMENT.
func TestNetNSTUNDatagrams(t *testing.T) {
	a, b := newSpace(t), newSpace(t)
	ta := a.newTUN(t, TUNOptions{Name: "ed-a", MTU: tunMTU}, "fc01::1/8")
	tb := b.newTUN(t, TUNOptions{Name: "ed-b", MTU: tunMTU}, "fc02::1/8")
	var ca checker
	go pump(ta, tb, ca.see)
	go pump(tb, ta, nil)
	var in, out *UDP
	b.run(t, func() (err error) {
		in, err = OpenUDP(netip.MustParseAddrPort("[fc02::1]:5002"), UDPOptions{Batch: 64})
		return err
	})
	defer in.Close()
	a.run(t, func() (err error) {
		out, err = OpenUDP(netip.MustParseAddrPort("[fc01::1]:0"), UDPOptions{Batch: 64})
		return err
	})
	defer out.Close()
	sizes := []int{1, 64, 64, 64, 64, 63, 1200, 1200, 1200, 1, 1256, 1256, 1256, 2, 3, 4, 5, 5, 5}
	bufs := make([]*pkt.Buf, len(sizes))
	for round := range 20 {
		for i, n := range sizes {
			bufs[i] = bufOf(fill(n, byte(i+round)))
			bufs[i].Addr = pkt.UDPAddr(netip.MustParseAddrPort("[fc02::1]:5002"), 0)
		}
		if n, err := out.WriteBatch(bufs); n != len(bufs) || err != nil {
			t.Fatalf("WriteBatch = %d, %v", n, err)
		}
		got, _ := readN(t, in, len(bufs), 64)
		for i := range got {
			if !bytes.Equal(got[i], fill(sizes[i], byte(i+round))) {
				t.Fatalf("round %d: datagram %d has %d bytes, want %d", round, i, len(got[i]), sizes[i])
			}
		}
	}
	ca.done(t, 20*len(sizes))
}

// A connection outlives the agent if the device is persistent.
func TestNetNSPersistentTUN(t *testing.T) {
	a, b := newSpace(t), newSpace(t)
	o := TUNOptions{Name: "ed-a", MTU: tunMTU, Persistent: true}
	ta := a.newTUN(t, o, "fc01::1/8")
	tb := b.newTUN(t, TUNOptions{Name: "ed-b", MTU: tunMTU}, "fc02::1/8")
	ended := make(chan error, 1)
	go func() { ended <- pump(ta, tb, nil) }()
	var current atomic.Pointer[TUN]
	current.Store(ta)
	go func() { // like pump, but its target changes and may be away
		bufs := newBufs(64)
		for {
			n, err := tb.ReadBatch(bufs)
			if err != nil {
				return
			}
			current.Load().WriteBatch(bufs[:n])
		}
	}()
	var l net.Listener
	b.run(t, func() (err error) { l, err = net.Listen("tcp6", "[fc02::1]:5001"); return err })
	defer l.Close()
	var c net.Conn
	a.run(t, func() (err error) { c, err = net.DialTimeout("tcp6", "[fc02::1]:5001", 10*time.Second); return err })
	defer c.Close()
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	echo := func() {
		t.Helper()
		d.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(d, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
	echo()
	if err := ta.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the pump ended with %v, want net.ErrClosed", err)
	}
	var again *TUN
	a.run(t, func() (err error) { o.Persistent = false; again, err = OpenTUN(o); return err })
	if !again.Caps().VNetHdr {
		t.Error("the device taken over has no vnet header")
	}
	current.Store(again)
	go pump(again, tb, nil)
	echo()
	// It was opened as not persistent this time: now it goes.
	again.Close()
	a.run(t, func() error {
		if _, err := net.InterfaceByName("ed-a"); err == nil {
			return errors.New("the device is still there")
		}
		return nil
	})
}

func TestNetNSTUNErrors(t *testing.T) {
	a := newSpace(t)
	u := a.newTUN(t, TUNOptions{Name: "ed-a", MTU: tunMTU}, "")
	check := func(name string, o TUNOptions, want string) {
		t.Helper()
		a.run(t, func() error {
			if u, err := OpenTUN(o); err == nil {
				u.Close()
				return fmt.Errorf("%s: opened", name)
			} else if !strings.Contains(err.Error(), want) {
				return fmt.Errorf("%s: %q, want something with %q", name, err, want)
			}
			return nil
		})
	}
	check("busy", TUNOptions{Name: "ed-a", MTU: tunMTU}, "another program has the device open")
	check("loopback", TUNOptions{Name: "lo", MTU: tunMTU}, "another kind of device")
	check("mtu", TUNOptions{Name: "ed-x", MTU: 1279}, "mtu 1279")
	check("mtu", TUNOptions{Name: "ed-x", MTU: pkt.MaxMTU + 1}, "mtu 2305")
	check("name", TUNOptions{Name: "a-name-that-is-too-long"}, "more than 15")

	// Deleted by somebody else while a reader waits.
	done := make(chan error)
	go func() {
		for {
			if _, err := u.ReadBatch(newBufs(4)); err != nil {
				done <- err
				return
			}
		}
	}()
	a.run(t, func() error { return delLink("ed-a") })
	select {
	case err := <-done:
		if !errors.Is(err, ErrLinkGone) {
			t.Errorf("read from a deleted device: %v, want ErrLinkGone", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the reader of a deleted device still waits")
	}
	if _, err := u.WriteBatch([]*pkt.Buf{bufOf(seg{port: 1, flags: tcpACK}.packet())}); !errors.Is(err, ErrLinkGone) {
		t.Errorf("write to a deleted device: %v, want ErrLinkGone", err)
	}

	// A device that is down refuses packets but stays a device.
	v := a.newTUN(t, TUNOptions{Name: "ed-b", MTU: tunMTU}, "")
	a.run(t, func() error { return ifdown("ed-b") })
	if n, err := v.WriteBatch([]*pkt.Buf{bufOf(seg{port: 1, flags: tcpACK}.packet())}); n != 0 || err != nil || v.Stats().TxRefused != 1 {
		t.Errorf("write to a device that is down: %d, %v, %+v", n, err, v.Stats())
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.ReadBatch(newBufs(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
	if _, err := v.WriteBatch(newBufs(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}

	// The kernel chooses a name.
	a.run(t, func() error {
		w, err := OpenTUN(TUNOptions{})
		if err != nil {
			return err
		}
		defer w.Close()
		if i, err := net.InterfaceByName(w.Name()); err != nil || i.Name != w.Name() {
			return fmt.Errorf("name %q: %v", w.Name(), err)
		}
		return nil
	})
	// Without rights.
	a.run(t, func() error { return addVeth("ed-v", "ed-w") })
	a.run(t, func() error {
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var d [2]unix.CapUserData
		return unix.Capset(&h, &d[0])
	})
	check("no rights", TUNOptions{Name: "ed-c", MTU: tunMTU}, "CAP_NET_ADMIN")
	a.run(t, func() error {
		if p, err := OpenPacket("ed-v", 0xfc00, PacketOptions{}); err == nil {
			p.Close()
			return errors.New("packet socket without rights")
		} else if !strings.Contains(err.Error(), "CAP_NET_RAW") {
			return fmt.Errorf("%q, want a hint at CAP_NET_RAW", err)
		}
		return nil
	})
}

func TestNetNSPacket(t *testing.T) {
	s := newSpace(t)
	a, b := s.openVeth(t, PacketOptions{Batch: 8})
	var other *Packet
	s.run(t, func() (err error) { other, err = OpenPacket("ed-b", 0x4305, PacketOptions{}); return err })
	defer other.Close()
	var want [][]byte
	var bufs []*pkt.Buf
	for i := range 50 {
		p := fill(46+i*29, byte(i))
		c := bufOf(p)
		switch {
		case i%10 == 3:
			c.Addr = pkt.MACAddr([6]byte{255, 255, 255, 255, 255, 255})
		case i%10 == 5: // not for b: must not arrive
			c.Addr = pkt.MACAddr([6]byte{2, 9, 9, 9, 9, 9})
		case i == 17: // no address
		default:
			c.Addr = pkt.MACAddr(b.HardwareAddr())
		}
		if i%10 != 5 && i != 17 {
			want = append(want, p)
		}
		bufs = append(bufs, c)
	}
	big := bufOf(fill(2000, 1)) // above the device's MTU
	big.Addr = pkt.MACAddr(b.HardwareAddr())
	bufs = append(bufs[:25], append([]*pkt.Buf{big}, bufs[25:]...)...)
	n, err := a.WriteBatch(bufs)
	if n != 49 || err != nil || a.Stats().TxRefused != 2 {
		t.Errorf("WriteBatch = %d, %v, %+v, want 49 and 2 refused", n, err, a.Stats())
	}
	for _, batch := range []int{3} {
		got, from := readN(t, b, len(want), batch)
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("frame %d has %d bytes, want %d", i, len(got[i]), len(want[i]))
			}
			if from[i] != pkt.MACAddr(a.HardwareAddr()) {
				t.Fatalf("frame %d came from %v", i, from[i])
			}
		}
	}
	// The sender must not hear itself, nor the other EtherType hear this one.
	for name, c := range map[string]*Packet{"sender": a, "other EtherType": other} {
		rc, _ := c.conn.SyscallConn()
		_ = rc.Control(func(fd uintptr) {
			if n, _, err := unix.Recvfrom(int(fd), make([]byte, 2000), unix.MSG_DONTWAIT); err != unix.EAGAIN {
				t.Errorf("%s received %d bytes, %v", name, n, err)
			}
		})
	}

	// Allocations, on the real path.
	out, in := newBufs(8), newBufs(8)
	for _, c := range out {
		c.Set(fill(1200, 1))
		c.Addr = pkt.MACAddr(b.HardwareAddr())
	}
	if n := testing.AllocsPerRun(50, func() {
		if k, err := a.WriteBatch(out); k != 8 || err != nil {
			t.Fatal(k, err)
		}
		for got := 0; got < 8; {
			k, err := b.ReadBatch(in)
			if err != nil {
				t.Fatal(err)
			}
			got += k
		}
	}); n != 0 {
		t.Errorf("%v allocations per batch, want 0", n)
	}

	// Down and up again: the socket lives. Removed: it ends.
	done := make(chan error, 1)
	read := func() { k, err := b.ReadBatch(newBufs(4)); _ = k; done <- err }
	go read()
	s.run(t, func() error { return ifdown("ed-b") })
	s.run(t, func() error { return ifup("ed-b", 0) })
	stop := time.After(10 * time.Second)
	for up := false; !up; {
		a.WriteBatch(out)
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("after down and up: %v", err)
			}
			up = true
		case <-stop:
			t.Fatal("nothing arrives after down and up")
		case <-time.After(20 * time.Millisecond):
		}
	}
	gone := make(chan error, 1)
	go func() {
		for {
			if _, err := b.ReadBatch(newBufs(4)); err != nil {
				gone <- err
				return
			}
		}
	}()
	s.run(t, func() error { return delLink("ed-a") })
	select {
	case err := <-gone:
		if !errors.Is(err, ErrLinkGone) {
			t.Errorf("removed device: %v, want ErrLinkGone", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the reader of a removed device still waits")
	}
	if n, err := a.WriteBatch(out); n != 0 || err != nil {
		t.Errorf("write to a removed device: %d, %v", n, err)
	}
	s.run(t, func() error {
		if _, err := OpenPacket("ed-a", 0xfc00, PacketOptions{}); err == nil {
			return errors.New("opened a packet socket on a device that does not exist")
		}
		if _, err := OpenPacket("lo", 0xfc00, PacketOptions{}); err == nil {
			return errors.New("opened a packet socket on the loopback")
		}
		return nil
	})
}

func TestNetNSTUNDoesNotAllocate(t *testing.T) {
	a := newSpace(t)
	for _, plain := range []bool{false, true} {
		u := a.newTUN(t, TUNOptions{Name: "ed-a", MTU: tunMTU, NoOffload: plain}, "fc01::1/8")
		var c net.PacketConn
		a.run(t, func() (err error) { c, err = net.ListenPacket("udp6", "[fc01::1]:0"); return err })
		far := &net.UDPAddr{IP: net.ParseIP("fc02::1"), Port: 9}
		in := newBufs(64)
		out := newBufs(20)
		for i, b := range out {
			b.Set(seg{port: 9, seq: uint32(i * 1000), flags: tcpACK, pay: fill(1000, 1)}.packet())
		}
		msg := fill(1000, 1)
		reads := 0
		n := testing.AllocsPerRun(50, func() {
			if _, err := u.WriteBatch(out); err != nil {
				t.Fatal(err)
			}
			reads++
		})
		if n != 0 {
			t.Errorf("%s: %v allocations per WriteBatch, want 0", u.Caps().Text, n)
		}
		// The sender below allocates in the net package; measure the reads
		// as the difference.
		send := func() {
			for range 4 {
				if _, err := c.WriteTo(msg, far); err != nil {
					t.Fatal(err)
				}
			}
		}
		drain := func() {
			for got := 0; got < 4; {
				k, err := u.ReadBatch(in)
				if err != nil {
					t.Fatal(err)
				}
				got += k
			}
		}
		send()
		drain()
		with := testing.AllocsPerRun(50, func() { send(); drain() })
		without := testing.AllocsPerRun(50, send)
		if with > without {
			t.Errorf("%s: %v allocations per round with ReadBatch, %v without", u.Caps().Text, with, without)
		}
		c.Close()
		u.Close()
	}
}
