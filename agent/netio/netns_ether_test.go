//go:build netns

// Whole Ethernet frames: raw packet sockets and TAP devices.
//
//	namespace CA            namespace A                 test      namespace B        namespace CB
//	client ed-c ─veth─ ed-v ─ bridge ed-br ─ ed-t (TAP) ══ ed-t (TAP) ─ bridge ed-br ─ ed-v ─veth─ ed-c client
package netio

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// ip runs the command ip in the namespace.
func (s *space) ip(t testing.TB, args string) {
	t.Helper()
	s.run(t, func() error {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return err
	})
}

// path names the namespace for ip.
func (s *space) path(t testing.TB) (p string) {
	s.run(t, func() error {
		p = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		return nil
	})
	return p
}

// frameOf makes an Ethernet frame.
func frameOf(dst, src [6]byte, typ uint16, payload []byte) []byte {
	p := append(dst[:], src[:]...)
	return append(binary.BigEndian.AppendUint16(p, typ), payload...)
}

// readFrame reads frames until ok says that it is the one, for at most 5 s.
func readFrame(t *testing.T, c Conn, ok func(b *pkt.Buf) bool) []byte {
	t.Helper()
	timeout := time.AfterFunc(5*time.Second, func() { c.Close() })
	defer timeout.Stop()
	for bufs := newBufs(4); ; {
		n, err := c.ReadBatch(bufs)
		if err != nil {
			t.Fatal("the frame did not arrive: ", err)
		}
		for _, b := range bufs[:n] {
			if ok(b) {
				return bytes.Clone(b.Bytes())
			}
		}
	}
}

func TestNetNSRaw(t *testing.T) {
	s := newSpace(t)
	s.run(t, func() error { return addVeth("ed-a", "ed-b") })
	s.ip(t, "link set ed-a mtu 2400 up")
	s.ip(t, "link set ed-b mtu 2400 promisc on up")
	var a, b *Packet
	s.run(t, func() (err error) { a, err = OpenRaw("ed-a", 0x4305, PacketOptions{Batch: 8}); return err })
	s.run(t, func() (err error) { b, err = OpenRaw("ed-b", 0x4305, PacketOptions{Batch: 8}); return err })
	defer a.Close()
	defer b.Close()
	if a.MTU() != 2400 || a.HardwareAddr() == b.HardwareAddr() {
		t.Errorf("mtu %d, addresses %x and %x", a.MTU(), a.HardwareAddr(), b.HardwareAddr())
	}
	s.waitCarrier(t, "ed-a", "ed-b")

	all := [6]byte{255, 255, 255, 255, 255, 255}
	src := [6]byte{2, 1, 1, 1, 1, 1} // not the device's: the mesh may choose
	var want [][]byte
	var bufs []*pkt.Buf
	send := func(arrives bool, f []byte) {
		bufs = append(bufs, rawBuf(f))
		if arrives {
			want = append(want, f)
		}
	}
	for i := range 20 {
		send(true, frameOf(b.HardwareAddr(), src, 0x4305, fill(1+i*100, byte(i))))
		send(true, frameOf(all, src, 0x4305, fill(46, byte(i))))
		send(false, frameOf([6]byte{2, 9, 9, 9, 9, 9}, src, 0x4305, fill(46, 1))) // passing by, ed-b is promiscuous
	}
	send(false, frameOf(b.HardwareAddr(), src, 0x4305, fill(pkt.MaxMTU, 9))[:13])            // no header
	send(true, frameOf(b.HardwareAddr(), src, 0x4305, fill(pkt.MaxMTU, 7)))                  // the longest
	send(false, frameOf(b.HardwareAddr(), src, 0x4305, fill(pkt.MaxMTU+pkt.Tailroom-14, 9))) // too long for the reader
	send(true, frameOf(b.HardwareAddr(), src, 0x4305, fill(100, 8)))                         // and it goes on
	n, err := a.WriteBatch(bufs)
	if n != len(bufs)-1 || err != nil || a.Stats().TxRefused != 1 {
		t.Fatalf("WriteBatch = %d, %v, %+v, want %d and 1 refused", n, err, a.Stats(), len(bufs)-1)
	}
	got, from := readN(t, b, len(want), 5)
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("frame %d is %d bytes %x, want %d bytes %x", i, len(got[i]), got[i][:15], len(want[i]), want[i][:15])
		}
		if from[i] != pkt.MACAddr(src) {
			t.Fatalf("frame %d came from %v", i, from[i])
		}
	}
	if d := b.Stats().RxDropped; d != 1 {
		t.Errorf("%d frames dropped, want the one that was too long", d)
	}
	// The sender must not hear itself.
	rc, _ := a.conn.SyscallConn()
	_ = rc.Control(func(fd uintptr) {
		if n, _, err := unix.Recvfrom(int(fd), make([]byte, 2000), unix.MSG_DONTWAIT); err != unix.EAGAIN {
			t.Errorf("the sender received %d bytes, %v", n, err)
		}
	})

	out, in := newBufs(8), newBufs(8)
	for _, c := range out {
		c.Set(frameOf(b.HardwareAddr(), src, 0x4305, fill(1200, 1)))
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

	// Down, up with another address and MTU: the socket lives, and receives
	// what is for the new address. Removed: it ends.
	s.ip(t, "link set ed-b down")
	s.ip(t, "link set ed-b address 02:00:00:00:00:77 mtu 1500 up")
	arrived := make(chan []byte, 1)
	go func() {
		arrived <- readFrame(t, b, func(c *pkt.Buf) bool { return c.Bytes()[5] == 0x77 })
	}()
	again := frameOf([6]byte{2, 0, 0, 0, 0, 0x77}, src, 0x4305, fill(200, 3))
	for stop := time.Now().Add(10 * time.Second); ; {
		a.WriteBatch([]*pkt.Buf{rawBuf(again)})
		select {
		case f := <-arrived:
			if !bytes.Equal(f, again) {
				t.Errorf("after down and up: %x", f)
			}
		case <-time.After(20 * time.Millisecond):
			if time.Now().Before(stop) {
				continue
			}
			t.Fatal("nothing arrives after down and up")
		}
		break
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
}

// waitCarrier waits until the devices have one.
func (s *space) waitCarrier(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		up := false
		for stop := time.Now().Add(5 * time.Second); !up && time.Now().Before(stop); time.Sleep(10 * time.Millisecond) {
			s.run(t, func() error {
				i, err := net.InterfaceByName(name)
				up = err == nil && i.Flags&net.FlagRunning != 0
				return err
			})
		}
		if !up {
			t.Fatalf("device %s has no carrier", name)
		}
	}
	time.Sleep(50 * time.Millisecond) // frames are lost for a moment after the carrier has come
}

// rawBuf is a Buf with a frame where a reader would put it.
func rawBuf(f []byte) *pkt.Buf {
	b := new(pkt.Buf)
	copy(b.EthRoom(), f)
	b.Extend(len(f))
	return b
}

// frameChecker verifies the checksums of the frames of a TAP.
type frameChecker struct {
	mu                  sync.Mutex
	tcp, udp, big, tags int
	bad                 string
}

func (c *frameChecker) see(bufs []*pkt.Buf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range bufs {
		p := b.Bytes()
		off := 14
		if binary.BigEndian.Uint16(p[12:]) == 0x8100 {
			off = 18
			c.tags++
		}
		c.big = max(c.big, len(p)-off)
		proto, sum := byte(0), uint16(0)
		switch q := p[off:]; binary.BigEndian.Uint16(p[off-2:]) {
		case 0x0800:
			if refSum(q[:20]) != 0 {
				c.bad = fmt.Sprintf("IPv4 header checksum: %x", q[:20])
			}
			n := binary.BigEndian.Uint16(q[2:])
			proto = q[9]
			ps := append(append([]byte{}, q[12:20]...), 0, proto)
			sum = refSum(binary.BigEndian.AppendUint16(ps, n-20), q[20:n])
			if proto == protoUDP && q[26]|q[27] == 0 {
				c.bad = fmt.Sprintf("UDP without a checksum: %x", q[:28])
			}
		case 0x86dd:
			proto = q[6]
			sum = refTransport(q[:40+int(binary.BigEndian.Uint16(q[4:]))], 40, proto)
		}
		switch proto {
		case protoTCP:
			c.tcp++
		case protoUDP:
			c.udp++
		default:
			continue
		}
		if sum != 0 {
			c.bad = fmt.Sprintf("checksum of protocol %d is off by %#x: %d bytes %x", proto, sum, len(p), p[:min(len(p), 80)])
		}
	}
}

// lan makes a client namespace with an address ending in n, joined by a bridge
// to a TAP, which it returns.
func lan(t *testing.T, n int) (c, s *space, tap *TAP) {
	t.Helper()
	c, s = newSpace(t), newSpace(t)
	s.run(t, func() (err error) { tap, err = OpenTAP(TAPOptions{Name: "ed-t"}); return err })
	t.Cleanup(func() { tap.Close() })
	s.ip(t, "link add ed-br type bridge forward_delay 0 mcast_snooping 0")
	s.ip(t, "link add ed-v type veth peer name ed-c netns "+c.path(t))
	for _, d := range []string{"ed-v", "ed-t"} {
		s.ip(t, "link set "+d+" master ed-br up")
	}
	s.ip(t, "link set ed-br up")
	c.ip(t, "link set ed-c up")
	c.ip(t, fmt.Sprintf("addr add 10.9.0.%d/24 dev ed-c", n))
	c.ip(t, fmt.Sprintf("addr add fd09::%d/64 dev ed-c nodad", n))
	return c, s, tap
}

// TestNetNSTAPChecksums carries streams between clients whose devices leave
// checksums and segmentation to the hardware, so the bridge gets super-packets
// without checksums. What leaves the TAP must be whole.
func TestNetNSTAPChecksums(t *testing.T) {
	ca, _, ta := lan(t, 1)
	cb, _, tb := lan(t, 2)
	var seen frameChecker
	go pump(ta, tb, seen.see)
	go pump(tb, ta, seen.see)
	for _, addr := range []string{"10.9.0.2", "fd09::2"} {
		var l net.Listener
		var u net.PacketConn
		cb.run(t, func() (err error) {
			if l, err = net.Listen("tcp", net.JoinHostPort(addr, "5001")); err == nil {
				u, err = net.ListenPacket("udp", net.JoinHostPort(addr, "5001"))
			}
			return err
		})
		defer l.Close()
		defer u.Close()
		go func() { // answers with the hash of what came
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			h := sha256.New()
			io.Copy(h, c)
			c.Write(h.Sum(nil))
		}()
		go func() { // echoes
			p := make([]byte, 2000)
			for {
				n, from, err := u.ReadFrom(p)
				if err != nil {
					return
				}
				u.WriteTo(p[:n], from)
			}
		}()
		data := fill(8<<20, 5)
		var c net.Conn
		ca.run(t, func() (err error) {
			c, err = net.DialTimeout("tcp", net.JoinHostPort(addr, "5001"), 10*time.Second)
			return err
		})
		defer c.Close()
		c.SetDeadline(time.Now().Add(60 * time.Second))
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(c)
		if want := sha256.Sum256(data); err != nil || !bytes.Equal(got, want[:]) {
			t.Fatalf("the stream to %s arrived damaged: %v", addr, err)
		}
		var d net.Conn
		ca.run(t, func() (err error) { d, err = net.Dial("udp", net.JoinHostPort(addr, "5001")); return err })
		defer d.Close()
		for i := range 20 {
			msg := fill(1+i*70, byte(i))
			d.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := d.Write(msg); err != nil {
				t.Fatal(err)
			}
			back := make([]byte, 2000)
			if n, err := d.Read(back); err != nil || !bytes.Equal(back[:n], msg) {
				t.Fatalf("datagram %d to %s: %d bytes, %v", i, addr, n, err)
			}
		}
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.bad != "" {
		t.Error(seen.bad)
	}
	if seen.tcp < 2*(8<<20)/1460 || seen.udp < 80 || seen.big > 1500 {
		t.Errorf("%d TCP, %d UDP packets, the longest of %d bytes", seen.tcp, seen.udp, seen.big)
	}
}

// TestNetNSTAP: tags, lengths, a bridge that comes and goes, persistence,
// removal.
func TestNetNSTAP(t *testing.T) {
	c, s, tap := lan(t, 1)
	s.run(t, func() error { // the name is taken
		if u, err := OpenTAP(TAPOptions{Name: "ed-t"}); err == nil {
			u.Close()
			return errors.New("opened a TAP that is open")
		}
		if u, err := OpenTAP(TAPOptions{Name: "ed-br"}); err == nil {
			u.Close()
			return errors.New("opened a bridge as TAP")
		}
		return nil
	})
	var wire *Packet // the client's end, with any EtherType
	c.run(t, func() (err error) { wire, err = OpenRaw("ed-c", unix.ETH_P_ALL, PacketOptions{}); return err })
	defer wire.Close()
	c.waitCarrier(t, "ed-c")
	far := [6]byte{2, 5, 5, 5, 5, 5}
	tag := func(dst, src [6]byte, vid uint16, n int) []byte {
		p := binary.BigEndian.AppendUint16(nil, vid)
		return frameOf(dst, src, 0x8100, append(append(p, 0x88, 0xb5), fill(n, byte(vid))...))
	}
	mark := func(f []byte) func(b *pkt.Buf) bool {
		return func(b *pkt.Buf) bool {
			return [6]byte(b.Bytes()[6:]) == [6]byte(f[6:]) && b.Bytes()[12] == f[12] && b.Len() == len(f)
		}
	}
	// Tagged frames, the longest too, client to TAP. The kernel tells a raw
	// socket of a tag beside the frame, so the way back is looked at by a
	// second TAP below.
	for _, n := range []int{46, 1500 - 4, 1500} {
		f := tag(far, wire.HardwareAddr(), 10, n)
		if k, err := wire.WriteBatch([]*pkt.Buf{rawBuf(f)}); k != 1 || err != nil {
			t.Fatalf("send %d bytes: %v %+v", n, err, wire.Stats())
		}
		if got := readFrame(t, tap, mark(f)); !bytes.Equal(got, f) {
			t.Fatalf("tagged frame arrived as %d bytes %x, want %d bytes %x", len(got), got[:20], len(f), f[:20])
		}
	}
	var other *TAP
	s.run(t, func() (err error) { other, err = OpenTAP(TAPOptions{}); return err })
	defer other.Close()
	s.ip(t, "link set "+other.Name()+" up")
	both := func(how string) {
		t.Helper()
		s.waitCarrier(t, "ed-t", other.Name())
		for _, f := range [][]byte{tag([6]byte{2, 7, 7, 7, 7, 7}, far, 20, 1500), frameOf([6]byte{255, 255, 255, 255, 255, 255}, far, 0x88b5, fill(1500, 1))} {
			if k, err := tap.WriteBatch([]*pkt.Buf{rawBuf(f)}); k != 1 || err != nil {
				t.Fatalf("%s: write: %d, %v", how, k, err)
			}
			if got := readFrame(t, other, mark(f)); !bytes.Equal(got, f) {
				t.Fatalf("%s: arrived as %d bytes %x, want %d bytes %x", how, len(got), got[:20], len(f), f[:20])
			}
		}
	}
	s.ip(t, "link set "+other.Name()+" master ed-br")
	both("in a bridge")
	s.ip(t, "link set ed-t nomaster")
	f := frameOf([6]byte{255, 255, 255, 255, 255, 255}, [6]byte{2, 6, 6, 6, 6, 6}, 0x0806, fill(28, 0))
	if k, err := tap.WriteBatch([]*pkt.Buf{rawBuf(f)}); k != 1 || err != nil {
		t.Fatalf("out of the bridge: %d, %v", k, err)
	}
	s.ip(t, "link set ed-t master ed-br")
	both("in the bridge again")

	// Frames longer than any Buf are dropped, and nothing else is disturbed.
	s.ip(t, "link set ed-t nomaster")
	s.ip(t, "link set ed-t mtu 9000 address 02:00:00:00:00:31")
	var local *Packet
	s.run(t, func() (err error) { local, err = OpenRaw("ed-t", 0x88b5, PacketOptions{}); return err })
	defer local.Close()
	if local.MTU() != 9000 {
		t.Errorf("mtu %d", local.MTU())
	}
	long := rawBuf(frameOf(far, local.HardwareAddr(), 0x88b5, fill(maxFrame+1-14, 1)))
	good := frameOf(far, local.HardwareAddr(), 0x88b5, fill(maxFrame-14, 2))
	if k, err := local.WriteBatch([]*pkt.Buf{long, rawBuf(good)}); k != 2 || err != nil {
		t.Fatalf("long frames: %d, %v", k, err)
	}
	if got := readFrame(t, tap, mark(good)); !bytes.Equal(got, good) || tap.Stats().RxDropped != 1 {
		t.Errorf("the frame behind one that is too long: %d bytes, %+v", len(got), tap.Stats())
	}
	if k, err := tap.WriteBatch([]*pkt.Buf{rawBuf(good[:13]), rawBuf(f)}); k != 1 || err != nil || tap.Stats().TxRefused != 1 {
		t.Errorf("a frame without a header: %d, %v, %+v", k, err, tap.Stats())
	}

	// Down: everything is refused, and nothing ends.
	s.ip(t, "link set ed-t down")
	if k, err := tap.WriteBatch([]*pkt.Buf{rawBuf(f)}); k != 0 || err != nil {
		t.Errorf("write to a device that is down: %d, %v", k, err)
	}
	s.ip(t, "link set ed-t mtu 1500 master ed-br up")
	both("after down and up")

	// Persistent: it keeps its place in the bridge.
	if err := tap.SetPersistent(true); err != nil {
		t.Fatal(err)
	}
	tap.Close()
	s.run(t, func() (err error) {
		if tap, err = OpenTAP(TAPOptions{Name: "ed-t"}); err == nil {
			err = tap.SetPersistent(true)
		}
		return err
	})
	t.Cleanup(func() { tap.Close() })
	both("opened again")

	// Removed under the reader.
	gone := make(chan error, 1)
	go func() {
		for {
			if _, err := tap.ReadBatch(newBufs(4)); err != nil {
				gone <- err
				return
			}
		}
	}()
	s.run(t, func() error { return delLink("ed-t") })
	select {
	case err := <-gone:
		if !errors.Is(err, ErrLinkGone) {
			t.Errorf("removed device: %v, want ErrLinkGone", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the reader of a removed device still waits")
	}
	if _, err := tap.WriteBatch([]*pkt.Buf{rawBuf(f)}); !errors.Is(err, ErrLinkGone) {
		t.Errorf("write to a removed device: %v", err)
	}
}

func TestNetNSTAPDoesNotAllocate(t *testing.T) {
	s := newSpace(t)
	taps := make([]*TAP, 2)
	s.ip(t, "link add ed-br type bridge forward_delay 0 mcast_snooping 0")
	s.ip(t, "link set ed-br up")
	for i, name := range []string{"ed-t", "ed-u"} {
		s.run(t, func() (err error) { taps[i], err = OpenTAP(TAPOptions{Name: name}); return err })
		defer taps[i].Close()
		s.ip(t, "link set "+name+" master ed-br up")
	}
	s.waitCarrier(t, "ed-t", "ed-u")
	out, in := newBufs(8), newBufs(8)
	for _, b := range out {
		b.Set(frameOf([6]byte{2, 2, 2, 2, 2, 2}, [6]byte{2, 1, 1, 1, 1, 1}, 0x88b5, fill(1000, 0)))
	}
	if n := testing.AllocsPerRun(50, func() {
		if k, err := taps[0].WriteBatch(out); k != 8 || err != nil {
			t.Fatal(k, err)
		}
		for got := 0; got < 8; {
			k, err := taps[1].ReadBatch(in)
			if err != nil {
				t.Fatal(err)
			}
			got += k
		}
	}); n != 0 {
		t.Errorf("%v allocations per batch, want 0", n)
	}
}
