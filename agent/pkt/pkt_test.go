package pkt

import (
	"net/netip"
	"testing"
	"unsafe"
)

func TestBufFitsSizeClass(t *testing.T) {
	if s := unsafe.Sizeof(Buf{}); s > 2688 {
		t.Errorf("Buf has %d bytes, want at most 2688: it would fall into the next size class", s)
	}
}

func TestBufPushPull(t *testing.T) {
	var p Pool
	b := p.Get()
	if !b.Set([]byte("payload")) {
		t.Fatal("Set refused 7 bytes")
	}
	copy(b.Push(4), "head")
	if string(b.Bytes()) != "headpayload" {
		t.Fatalf("after Push: %q", b.Bytes())
	}
	h, ok := b.Pull(4)
	if !ok || string(h) != "head" || string(b.Bytes()) != "payload" {
		t.Fatalf("after Pull: %q %v %q", h, ok, b.Bytes())
	}
	if _, ok := b.Pull(8); ok {
		t.Error("Pull took more bytes than the packet has")
	}
	if !b.CanPush(Headroom) || b.CanPush(Headroom+1) || b.CanPush(-1) {
		t.Error("CanPush does not know the headroom")
	}
	b.Truncate(3)
	copy(b.Extend(2), "XY")
	if string(b.Bytes()) != "payXY" {
		t.Errorf("after Truncate and Extend: %q", b.Bytes())
	}
	if b.Extend(MaxMTU+Tailroom) != nil {
		t.Error("Extend went past the end")
	}
	if b.Set(make([]byte, MaxMTU+Tailroom+1)) {
		t.Error("Set accepted an oversized packet")
	}
	if !b.Set(make([]byte, MaxMTU+Tailroom)) || b.Len() != MaxMTU+Tailroom {
		t.Error("Set refused a packet of the full size")
	}
}

func TestBufPushPanicsBeyondHeadroom(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Push beyond the headroom did not panic")
		}
	}()
	b := new(Buf)
	b.Reset()
	b.Push(Headroom + 1)
}

func TestPoolRecyclesClean(t *testing.T) {
	p := Pool{Keep: 1}
	b := p.Get()
	b.Set([]byte("x"))
	b.Port, b.Addr = 7, MACAddr([6]byte{1})
	p.Put(b)
	p.Put(new(Buf))
	c := p.Get()
	if c != b || c.Len() != 0 || c.Port != 0 || c.Addr != (Addr{}) {
		t.Errorf("Get returned a dirty buffer: %d bytes, port %d, %v", c.Len(), c.Port, c.Addr)
	}
	if n := testing.AllocsPerRun(100, func() { p.Put(p.Get()) }); n != 0 {
		t.Errorf("Get and Put: %v allocations", n)
	}
}

func TestCopyFromIsIndependent(t *testing.T) {
	a, b := new(Buf), new(Buf)
	a.Set([]byte("one"))
	a.Port = 3
	b.CopyFrom(a)
	a.Bytes()[0] = 'X'
	if string(b.Bytes()) != "one" || b.Port != 3 {
		t.Errorf("copy is %q on port %d", b.Bytes(), b.Port)
	}
}

func TestAddr(t *testing.T) {
	for _, c := range []struct {
		a    Addr
		want string
	}{
		{UDPAddr(netip.MustParseAddrPort("10.0.0.1:53"), 0), "10.0.0.1:53"},
		{UDPAddr(netip.MustParseAddrPort("[::ffff:10.0.0.1]:53"), 4), "10.0.0.1:53"},
		{UDPAddr(netip.MustParseAddrPort("[2001:db8::1]:53"), 0), "[2001:db8::1]:53"},
		{UDPAddr(netip.MustParseAddrPort("[fe80::1]:53"), 4), "[fe80::1%4]:53"},
		{MACAddr([6]byte{2, 0, 0, 0, 0, 1}), "02:00:00:00:00:01"},
		{Addr{}, "none"},
	} {
		if got := c.a.String(); got != c.want {
			t.Errorf("String = %s, want %s", got, c.want)
		}
	}
	if !MACAddr([6]byte{255, 255, 255, 255, 255, 255}).IsBroadcast() {
		t.Error("ff:ff:ff:ff:ff:ff is not recognised as broadcast")
	}
	if UDPAddr(netip.MustParseAddrPort("255.255.255.255:65535"), 0).IsBroadcast() {
		t.Error("an IP address was taken for an Ethernet broadcast")
	}
}

func TestEthRoomAlignsPayload(t *testing.T) {
	var b Buf
	b.Reset()
	room := b.EthRoom()
	if len(room) < EthHeader+VLANTag+MaxMTU+1 || b.Len() != 0 {
		t.Fatalf("room of %d bytes, length %d", len(room), b.Len())
	}
	room[EthHeader] = 0xab
	if b.Extend(60) == nil || b.Len() != 60 {
		t.Fatalf("length %d after Extend", b.Len())
	}
	if _, ok := b.Pull(EthHeader); !ok || b.off != Headroom || b.Bytes()[0] != 0xab {
		t.Errorf("the payload starts at %d with %x, want %d", b.off, b.Bytes()[0], Headroom)
	}
}
