//go:build netns

// Tests in a network namespace of their own, which needs root:
//
//	go test -tags netns ./agent/kernel
//
//	 test ── fd ── tun "ed-tun" ── kernel of the namespace (fc01::1/8)
//
// A namespace here has no name: a thread makes it and it ends with the thread.
package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// inNetNS runs the test on a thread in a new namespace.
func inNetNS(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("need root for a network namespace")
	}
	runtime.LockOSThread() // never unlocked: the thread must not be used again
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal("unshare: ", err)
	}
	ifup(t, "lo")
}

func ifup(t *testing.T, name string) {
	t.Helper()
	i, err := InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	withRTNL(t, func(c *rtnetlink.Conn) error {
		return c.Link.Set(&rtnetlink.LinkMessage{Index: uint32(i.Index), Flags: unix.IFF_UP, Change: unix.IFF_UP})
	})
}

func withRTNL(t *testing.T, f func(c *rtnetlink.Conn) error) {
	t.Helper()
	c, err := rtnetlink.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := f(c); err != nil {
		t.Fatal(err)
	}
}

func addLink(t *testing.T, name, kind string) {
	t.Helper()
	withRTNL(t, func(c *rtnetlink.Conn) error {
		return c.Link.New(&rtnetlink.LinkMessage{Attributes: &rtnetlink.LinkAttributes{Name: name, Info: &rtnetlink.LinkInfo{Kind: kind}}})
	})
}

// tun opens a plain TUN device.
func tun(t *testing.T, name string) *os.File { return tunTap(t, name, unix.IFF_TUN) }

// tap makes an Ethernet device.
func tap(t *testing.T, name string) *os.File { return tunTap(t, name, unix.IFF_TAP) }

func tunTap(t *testing.T, name string, kind uint16) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ifr, _ := unix.NewIfreq(name)
	ifr.SetUint16(kind | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "tun")
	t.Cleanup(func() { f.Close() })
	return f
}

var self = netip.MustParsePrefix("fc01::1/8")

func TestNetNSSetupTUN(t *testing.T) {
	inNetNS(t)
	for _, addr := range []netip.Prefix{self, netip.MustParsePrefix("fc01::2/128"), self} {
		f := tun(t, "ed-tun")
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/ed-tun/disable_ipv6", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
		for range 2 { // again on the same device: no error, no change
			if _, err := SetupTUN("ed-tun", addr, 1304); err != nil {
				t.Fatal(err)
			}
		}
		i, err := InterfaceByName("ed-tun")
		if err != nil {
			t.Fatal(err)
		}
		if i.MTU != 1304 || !i.Up || i.Ethernet || i.Kind != "tun" || len(i.Addrs) != 1 || i.Addrs[0].Prefix != addr {
			t.Errorf("device is %+v, want mtu 1304, up, kind tun, only address %v", i, addr)
		}
		// The address is usable at once, and fc00::/8 goes to the device.
		c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: addr.Addr().AsSlice()})
		if err != nil {
			t.Fatal("bind: ", err)
		}
		if _, err := c.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.ParseIP("fcff::9"), Port: 9}); err != nil {
			t.Error("send: ", err)
		}
		if _, err := c.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.ParseIP("fd00::9"), Port: 9}); !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("send outside fc00::/8: %v, want ENETUNREACH", err)
		}
		c.Close()
		b := make([]byte, 2000)
		_ = f.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := f.Read(b)
		if err != nil || n != 40+8+5 || b[6] != unix.IPPROTO_UDP {
			t.Errorf("first packet out of the device: %d bytes %x, %v, want the datagram", n, b[:n], err)
		}
		// Another identity on the device that stayed.
		other := netip.MustParsePrefix("fc02::7/8")
		s, err := SetupTUN("ed-tun", other, 1280)
		if err != nil {
			t.Fatal(err)
		}
		if i, _ := InterfaceByName("ed-tun"); len(i.Addrs) != 1 || i.Addrs[0].Prefix != other || i.MTU != 1280 {
			t.Errorf("after a change of identity: %+v, want only %v, mtu 1280", i, other)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if i, _ := InterfaceByName("ed-tun"); len(i.Addrs) != 0 {
			t.Errorf("Close left %v", i.Addrs)
		}
		f.Close()
		if err := s.Close(); err != nil {
			t.Errorf("Close without the device: %v", err)
		}
	}
}

func TestNetNSLinks(t *testing.T) {
	inNetNS(t)
	addLink(t, "ed-br", "bridge")
	tap(t, "ed-d0")
	tun(t, "ed-tun")
	br, _ := InterfaceByName("ed-br")
	withRTNL(t, func(c *rtnetlink.Conn) error {
		d, _ := InterfaceByName("ed-d0")
		m := uint32(br.Index)
		return c.Link.Set(&rtnetlink.LinkMessage{Index: uint32(d.Index), Attributes: &rtnetlink.LinkAttributes{Master: &m}})
	})
	ifup(t, "ed-d0")
	withRTNL(t, func(c *rtnetlink.Conn) error {
		return c.Address.New(&rtnetlink.AddressMessage{
			Family: unix.AF_INET, PrefixLength: 24, Index: uint32(br.Index),
			Attributes: &rtnetlink.AddressAttributes{Address: net.IP{10, 9, 8, 1}, Local: net.IP{10, 9, 8, 1}, Broadcast: net.IP{10, 9, 8, 255}},
		})
	})
	l, err := Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	d, _ := l.ByName("ed-d0")
	if !d.Ethernet || d.MAC == [6]byte{} || d.Kind != "tun" || d.Master != br.Index || !d.Up {
		t.Errorf("the tap is %+v, want an Ethernet port of %d", d, br.Index)
	}
	b, _ := l.ByName("ed-br")
	if bc := b.Broadcasts(); len(bc) != 1 || bc[0] != netip.MustParseAddr("10.9.8.255") {
		t.Errorf("broadcasts of the bridge: %v", bc)
	}
	if !l.IsOwn("ed-br", "ed-d0") || l.IsOwn("ed-br", "ed-tun") || !l.IsOwn("ed-tun", "ed-tun") {
		t.Error("IsOwn does not see the ports of the bridge")
	}
}

func TestNetNSWatch(t *testing.T) {
	inNetNS(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ch, err := Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next := func(why string, ok func(l Links) bool) {
		t.Helper()
		late := time.After(10 * time.Second)
		for {
			select {
			case c, open := <-ch:
				if !open {
					t.Fatal(why, ": channel closed")
				}
				if ok(c.Links) {
					return
				}
			case <-late:
				t.Fatal(why, ": no report")
			}
		}
	}
	has := func(name string) func(Links) bool {
		return func(l Links) bool { _, ok := l.ByName(name); return ok }
	}
	next("start", has("lo"))
	tap(t, "ed-d0")
	next("new device", has("ed-d0"))
	ifup(t, "ed-d0")
	next("device up", func(l Links) bool { i, _ := l.ByName("ed-d0"); return i.Up && i.Running })
	i, _ := InterfaceByName("ed-d0")
	withRTNL(t, func(c *rtnetlink.Conn) error {
		return c.Address.New(&rtnetlink.AddressMessage{
			Family: unix.AF_INET, PrefixLength: 24, Index: uint32(i.Index),
			Attributes: &rtnetlink.AddressAttributes{Address: net.IP{10, 9, 8, 1}, Local: net.IP{10, 9, 8, 1}},
		})
	})
	next("new address", func(l Links) bool {
		i, _ := l.ByName("ed-d0")
		for _, a := range i.Addrs {
			if a.Prefix == netip.MustParsePrefix("10.9.8.1/24") {
				return true
			}
		}
		return false
	})
	// A flood of changes that the receiver does not follow: the last state
	// must arrive, also when the kernel drops notifications.
	for n := range 60 {
		name := fmt.Sprintf("ed-f%d", n)
		addLink(t, name, "bridge")
		f, _ := InterfaceByName(name)
		if n != 59 {
			withRTNL(t, func(c *rtnetlink.Conn) error { return c.Link.Delete(uint32(f.Index)) })
		}
	}
	next("after the flood", has("ed-f59"))
	cancel()
	late := time.After(10 * time.Second)
	for {
		select {
		case _, open := <-ch:
			if !open {
				return
			}
		case <-late:
			t.Fatal("the channel stays open")
		}
	}
}

// packetIn builds a packet from fcff::9 to self.
func packetIn(proto byte, transport []byte, csumAt int) []byte {
	p := make([]byte, 40, 40+len(transport))
	p[0], p[6], p[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(p[4:], uint16(len(transport)))
	src, dst := netip.MustParseAddr("fcff::9").As16(), self.Addr().As16()
	copy(p[8:], src[:])
	copy(p[24:], dst[:])
	p = append(p, transport...)
	var s uint32
	add := func(b []byte) {
		for i, v := range b {
			if i%2 == 0 {
				s += uint32(v) << 8
			} else {
				s += uint32(v)
			}
		}
	}
	add(p[8:])
	s += uint32(len(transport)) + uint32(proto)
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	binary.BigEndian.PutUint16(p[40+csumAt:], ^uint16(s))
	return p
}

func tcpIn(src, dst uint16, seq, ack uint32, flags byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	return packetIn(unix.IPPROTO_TCP, append(b, 5<<4, flags, 0x20, 0, 0, 0, 0, 0), 16)
}

func udpIn(dst uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, 999)
	b = binary.BigEndian.AppendUint16(b, dst)
	return packetIn(unix.IPPROTO_UDP, append(b, 0, 9, 0, 0, 'x'), 6)
}

// replies reads what the kernel sends until it has been silent for a while.
func replies(t *testing.T, f *os.File) (out [][]byte) {
	t.Helper()
	for {
		_ = f.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		b := make([]byte, 2000)
		n, err := f.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b[:n])
	}
}

// TestNetNSLostNews: a socket that nobody reads overflows, says so once, and
// goes on.
func TestNetNSLostNews(t *testing.T) {
	inNetNS(t)
	s, err := dial(unix.NETLINK_ROUTE, unix.RTMGRP_LINK)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 { // each is longer than the least buffer
		addLink(t, fmt.Sprintf("ed-l%d", n), "bridge")
	}
	lost := false
	for n := 0; !lost; n++ {
		if _, err := s.Receive(); errors.Is(err, unix.ENOBUFS) {
			lost = true
		} else if err != nil || n > 20 {
			t.Fatalf("after %d messages: %v", n, err)
		}
	}
	done := make(chan error)
	go func() {
		for {
			l, err := s.Receive()
			for _, m := range l {
				if i, e := parseLink(m.Data); e == nil && i.Name == "ed-last" {
					done <- nil
					return
				}
			}
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				done <- err
				return
			}
		}
	}()
	// What comes before the buffer is empty is lost too, so it is said again.
	for n := 0; ; n++ {
		addLink(t, "ed-last", "bridge")
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		case <-time.After(200 * time.Millisecond):
		}
		if n == 50 {
			t.Fatal("no news after some were lost")
		}
		i, _ := InterfaceByName("ed-last")
		withRTNL(t, func(c *rtnetlink.Conn) error { return c.Link.Delete(uint32(i.Index)) })
	}
}

func TestNetNSFirewall(t *testing.T) {
	inNetNS(t)
	f := tun(t, "ed-tun")
	if _, err := SetupTUN("ed-tun", self, 1304); err != nil {
		t.Fatal(err)
	}
	closed, err := net.ListenTCP("tcp6", &net.TCPAddr{Port: 7001})
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	open, err := net.ListenTCP("tcp6", &net.TCPAddr{Port: 7002})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	send := func(p []byte) {
		t.Helper()
		if _, err := f.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	synAcks := func(dst uint16) (n int) {
		send(tcpIn(4000, dst, 1, 0, 2))
		for _, p := range replies(t, f) {
			if p[6] == unix.IPPROTO_TCP && p[53]&0x12 == 0x12 {
				n++
			}
		}
		return n
	}
	// The kernel begins to send on a new device when it finds the time.
	for try := 0; synAcks(7001) == 0; try++ {
		if try == 10 {
			t.Fatal("the test does not work: no answer to a SYN without a firewall")
		}
	}
	opt := FirewallOptions{TUN: "ed-tun", TCP: []uint16{7002}, UDP: []uint16{7003}}
	if _, err := OpenFirewall(opt); err != nil { // left over, as after a crash
		t.Fatal(err)
	}
	w, err := OpenFirewall(opt)
	if err != nil {
		t.Fatal(err)
	}
	// By nft, which knows nothing of our messages.
	list, err := exec.Command("nft", "list", "table", "inet", "meshagent_ed-tun").CombinedOutput()
	if err != nil {
		t.Fatalf("nft: %v: %s", err, list)
	}
	for chain, want := range map[string]int{"input": 10, "forward": 2} {
		_, rules, ok := strings.Cut(string(list), "chain "+chain+" {")
		rules, _, _ = strings.Cut(rules, "}")
		if n := strings.Count(rules, `iifname "ed-tun"`); !ok || n != want || !strings.Contains(rules, "type filter hook "+chain+" priority filter; policy accept;") {
			t.Errorf("%s has %d rules, want %d, in\n%s", chain, n, want, list)
		}
	}

	replies(t, f) // retransmissions of the connection above
	if n := synAcks(7001); n != 0 {
		t.Error("a closed port answers")
	}
	if n := synAcks(7002); n == 0 {
		t.Error("an open port does not answer")
	}
	for _, p := range []uint16{7003, 7004} { // nothing listens: the kernel answers "port unreachable"
		send(udpIn(p))
		n := 0
		for _, r := range replies(t, f) {
			if r[6] == unix.IPPROTO_ICMPV6 && r[40] == 1 {
				n++
			}
		}
		if want := p == 7003; (n > 0) != want {
			t.Errorf("udp port %d: %d answers, want some: %v", p, n, want)
		}
	}
	const pings = 200
	start := time.Now()
	for i := range pings {
		send(packetIn(unix.IPPROTO_ICMPV6, []byte{128, 0, 0, 0, 0, 1, 0, byte(i)}, 2))
	}
	pongs := 0
	for _, p := range replies(t, f) {
		if p[6] == unix.IPPROTO_ICMPV6 && p[40] == 129 {
			pongs++
		}
	}
	most := pingBurst + pingsPerSecond*int(time.Since(start)/time.Second+1)
	if pongs < pingBurst/2 || pongs > most {
		t.Errorf("%d answers to %d pings, want %d to %d", pongs, pings, pingBurst/2, most)
	}

	// A connection from here: the answers come in.
	s, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	far := netip.MustParseAddr("fcff::9").As16()
	if err := unix.Connect(s, &unix.SockaddrInet6{Port: 80, Addr: far}); err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	for _, p := range replies(t, f) {
		if p[6] == unix.IPPROTO_TCP && p[53] == 2 && binary.BigEndian.Uint16(p[42:]) == 80 {
			send(tcpIn(80, binary.BigEndian.Uint16(p[40:]), 1, binary.BigEndian.Uint32(p[44:])+1, 0x12))
			break
		}
	}
	fds := []unix.PollFd{{Fd: int32(s), Events: unix.POLLOUT}}
	if n, err := unix.Poll(fds, 5000); n != 1 || err != nil {
		t.Errorf("our own connection does not come up: %d, %v", n, err)
	}
	if e, _ := unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_ERROR); e != 0 {
		t.Errorf("our own connection: %v", unix.Errno(e))
	}

	// Nothing is forwarded from the overlay.
	lan := tap(t, "ed-lan")
	ifup(t, "ed-lan")
	i, _ := InterfaceByName("ed-lan")
	there := netip.MustParseAddr("2001:db8::55").As16()
	withRTNL(t, func(c *rtnetlink.Conn) error {
		ip := net.ParseIP("2001:db8::1")
		return c.Address.New(&rtnetlink.AddressMessage{
			Family: unix.AF_INET6, PrefixLength: 64, Index: uint32(i.Index), Flags: unix.IFA_F_NODAD,
			Attributes: &rtnetlink.AddressAttributes{Address: ip, Local: ip, Flags: unix.IFA_F_NODAD},
		})
	})
	withRTNL(t, func(c *rtnetlink.Conn) error { // so that no neighbour has to be asked for
		return c.Neigh.New(&rtnetlink.NeighMessage{
			Family: unix.AF_INET6, Index: uint32(i.Index), State: unix.NUD_PERMANENT,
			Attributes: &rtnetlink.NeighAttributes{Address: there[:], LLAddress: net.HardwareAddr{2, 0, 0, 0, 0, 5}},
		})
	})
	if err := setSysctl("1", "net", "ipv6", "conf", "all", "forwarding"); err != nil {
		t.Fatal(err)
	}
	fwd := udpIn(7)
	copy(fwd[24:], there[:])
	forwarded := func() (n int) {
		send(fwd)
		for _, p := range replies(t, lan) {
			if len(p) > 54 && p[14+6] == unix.IPPROTO_UDP && [16]byte(p[14+24:14+40]) == there {
				n++
			}
		}
		return n
	}
	if n := forwarded(); n != 0 {
		t.Errorf("%d packets were forwarded from the overlay", n)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if forwarded() == 0 {
		t.Error("the test does not work: nothing is forwarded without the firewall either")
	}
	if tables, err := exec.Command("nft", "list", "tables").CombinedOutput(); err != nil || len(tables) != 0 {
		t.Errorf("Close left tables: %v, %s", err, tables)
	}
}

func TestNetNSErrorsNameTheCure(t *testing.T) {
	inNetNS(t)
	tun(t, "ed-tun")
	// Drop the capability on this thread; it is not used again.
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capset(&h, &d[0]); err != nil {
		t.Fatal(err)
	}
	_, err := SetupTUN("ed-tun", self, 1304)
	if err == nil || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("SetupTUN without rights: %v, want a hint at CAP_NET_ADMIN", err)
	}
	_, err = OpenFirewall(FirewallOptions{TUN: "ed-tun"})
	if !errors.Is(err, ErrNoFirewall) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("OpenFirewall without rights: %v, want ErrNoFirewall with a hint at CAP_NET_ADMIN", err)
	}
}
