//go:build netns

package netio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// space is a network namespace with a thread in it.
type space struct{ do chan func() }

func newSpace(t testing.TB) *space {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("need root for a network namespace")
	}
	s := &space{do: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range s.do {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal("unshare: ", err)
	}
	t.Cleanup(func() { close(s.do) })
	s.run(t, func() error { return ifup("lo", 0) })
	return s
}

// run calls f on the thread in the namespace.
func (s *space) run(t testing.TB, f func() error) {
	t.Helper()
	done := make(chan error)
	s.do <- func() { done <- f() }
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// ifup sets the MTU, unless 0, and brings the device up.
func ifup(name string, mtu int) error {
	s, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	if mtu != 0 {
		ifr, _ := unix.NewIfreq(name)
		ifr.SetUint32(uint32(mtu))
		if err := unix.IoctlIfreq(s, unix.SIOCSIFMTU, ifr); err != nil {
			return err
		}
	}
	ifr, _ := unix.NewIfreq(name)
	ifr.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr)
}

// addIP6 adds an address, without duplicate address detection, so that it can
// be used at once.
func addIP6(name string, p netip.Prefix) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	ip := p.Addr().As16()
	b := []byte{unix.AF_INET6, byte(p.Bits()), unix.IFA_F_NODAD, 0}
	b = binary.NativeEndian.AppendUint32(b, uint32(ifi.Index))
	if err := rtnl(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, append(b, rtAttr(unix.IFA_LOCAL, ip[:])...)); err != nil {
		return fmt.Errorf("add %v to %s: %w", p, name, err)
	}
	return nil
}

// openVeth makes a veth pair ed-a, ed-b and a packet socket on each end. It
// returns when frames pass: for a moment after the carrier has come, the
// kernel accepts them and loses them without an error.
func (s *space) openVeth(t testing.TB, o PacketOptions) (a, b *Packet) {
	t.Helper()
	s.run(t, func() error { return addVeth("ed-a", "ed-b") })
	s.run(t, func() error { return errors.Join(ifup("ed-a", 0), ifup("ed-b", 0)) })
	s.run(t, func() (err error) { a, err = OpenPacket("ed-a", 0xfc00, o); return err })
	s.run(t, func() (err error) { b, err = OpenPacket("ed-b", 0xfc00, o); return err })
	t.Cleanup(func() { a.Close(); b.Close() })
	frame := bufOf(fill(60, 0))
	frame.Addr = pkt.MACAddr(b.HardwareAddr())
	for range 50 {
		if n, err := a.WriteBatch([]*pkt.Buf{frame}); n == 1 && err == nil {
			_ = b.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			n, err := b.ReadBatch(newBufs(1))
			_ = b.conn.SetReadDeadline(time.Time{})
			if n == 1 && err == nil {
				return a, b
			}
		}
	}
	t.Fatal("no frame passes the veth pair")
	return nil, nil
}

// reachable waits until the kernel takes packets for its new address a: the
// route to it is made by a worker.
func reachable(a netip.Addr) error {
	c, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1000 {
		if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, _, err := c.ReadFrom(make([]byte, 9)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%v stays unreachable", a)
}

// rtAttr is one netlink attribute.
func rtAttr(typ uint16, v []byte) []byte {
	p := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	p = append(binary.NativeEndian.AppendUint16(p, typ), v...)
	return append(p, make([]byte, (4-len(p)%4)%4)...)
}

// newTUN makes a device in the namespace.
func (s *space) newTUN(t testing.TB, o TUNOptions, addr string) (u *TUN) {
	t.Helper()
	s.run(t, func() (err error) {
		if u, err = OpenTUN(o); err != nil {
			return err
		}
		if err := ifup(o.Name, o.MTU); err != nil {
			return err
		}
		if addr == "" {
			return nil
		}
		p := netip.MustParsePrefix(addr)
		return errors.Join(addIP6(o.Name, p), reachable(p.Addr()))
	})
	t.Cleanup(func() { u.Close() })
	return u
}

// pump copies packets from one device to another until one is closed. check,
// if set, sees every batch.
func pump(from, to Conn, check func([]*pkt.Buf)) error {
	bufs := newBufs(from.Caps().Batch)
	for {
		n, err := from.ReadBatch(bufs)
		if err != nil {
			return err
		}
		if check != nil {
			check(bufs[:n])
		}
		if _, err := to.WriteBatch(bufs[:n]); err != nil {
			return err
		}
	}
}

const tunMTU = 1304

func ifdown(name string) error {
	s, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ifr, _ := unix.NewIfreq(name)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr)
}

// rtnl sends one request and waits for the acknowledgement.
func rtnl(typ, flags uint16, body []byte) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	o := binary.NativeEndian
	m := o.AppendUint32(nil, uint32(16+len(body)))
	m = o.AppendUint16(m, typ)
	m = o.AppendUint16(m, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m = append(m, make([]byte, 8)...)
	if err := unix.Sendto(s, append(m, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	b := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, b, 0)
	if err != nil || n < 20 {
		return fmt.Errorf("netlink: %d bytes, %v", n, err)
	}
	if e := int32(o.Uint32(b[16:])); e != 0 {
		return unix.Errno(-e)
	}
	return nil
}

func delLink(name string) error {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	b := make([]byte, 16)
	binary.NativeEndian.PutUint32(b[4:], uint32(i.Index))
	return rtnl(unix.RTM_DELLINK, 0, b)
}

// addVeth makes a pair of Ethernet devices in one namespace.
func addVeth(a, b string) error {
	peer := append(make([]byte, 16), rtAttr(unix.IFLA_IFNAME, append([]byte(b), 0))...)
	info := append(rtAttr(unix.IFLA_INFO_KIND, []byte("veth")), rtAttr(unix.IFLA_INFO_DATA, rtAttr(1, peer))...)
	body := append(make([]byte, 16), rtAttr(unix.IFLA_IFNAME, append([]byte(a), 0))...)
	return rtnl(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, append(body, rtAttr(unix.IFLA_LINKINFO, info)...))
}
