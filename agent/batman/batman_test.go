package batman

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// packets returns the mesh packets of all captures, without Ethernet header.
func packets(t testing.TB) (list [][]byte) {
	files, err := filepath.Glob("testdata/*.pcap")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for raw = raw[24:]; len(raw) >= 16; {
			n := int(binary.LittleEndian.Uint32(raw[8:]))
			frame := raw[16 : 16+n]
			raw = raw[16+n:]
			if e, err := ParseEth(frame); err == nil && e.Type == EtherType {
				list = append(list, frame[EthLen:])
			}
		}
	}
	return list
}

// again parses the header of p and writes it into a copy of p: the copy must
// stay as it was. It returns how many bytes the header has.
func again(p []byte) (c []byte, n int, err error) {
	c = bytes.Clone(p)
	switch PacketType(p[0]) {
	case TypeIVOGM:
		for rest := c; len(rest) > 0 && rest[0] == 0 && len(rest) >= OGMLen && rest[1] == Version; {
			o, _, size, err := ParseOGM(rest)
			if err != nil {
				return c, 0, err
			}
			o.Put(rest)
			rest, n = rest[size:], n+size
		}
		return c, n, nil
	case TypeOGM2:
		o, _, size, err := ParseOGM2(c)
		if err == nil {
			o.Put(c)
		}
		return c, size, err
	case TypeELP:
		e, err := ParseELP(c)
		if err == nil {
			e.Put(c)
		}
		return c, ELPLen, err
	case TypeBroadcast:
		h, err := ParseBroadcast(c)
		if err == nil {
			h.Put(c)
		}
		return c, BroadcastLen, err
	case TypeMulticast:
		m, _, frame, err := ParseMulticast(c)
		if err == nil {
			m.Put(c)
		}
		return c, len(c) - len(frame), err
	case TypeUnicast:
		u, err := ParseUnicast(c)
		if err == nil {
			u.Put(c)
		}
		return c, UnicastLen, err
	case TypeUnicast4:
		u, err := ParseUnicast4(c)
		if err == nil {
			u.Put(c)
		}
		return c, Unicast4Len, err
	case TypeFragment:
		f, err := ParseFragment(c)
		if err == nil {
			f.Put(c)
		}
		return c, FragmentLen, err
	case TypeICMP:
		if len(c) > 3 && c[3] == ICMPThroughput {
			t, _, err := ParseThroughput(c)
			if err == nil {
				t.Put(c)
			}
			return c, TPLen, err
		}
		i, err := ParseICMP(c)
		if err == nil {
			i.Put(c)
		}
		return c, ICMPLen, err
	case TypeUnicastTVLV:
		u, tvlvs, err := ParseUnicastTVLV(c)
		if err == nil {
			u.Put(c)
		}
		return c, UnicastTVLVLen + len(tvlvs), err
	}
	return c, 0, ErrValue
}

// Every header that a kernel sent is understood and can be written again, and
// no shorter packet is.
func TestCapturedHeaders(t *testing.T) {
	seen := map[PacketType]int{}
	for _, p := range packets(t) {
		seen[PacketType(p[0])]++
		c, n, err := again(p)
		if err != nil || !bytes.Equal(c, p) {
			t.Fatalf("type %#x: %v\n%x\n%x", p[0], err, p, c)
		}
		if PacketType(p[0]) == TypeIVOGM {
			_, _, n, _ = ParseOGM(p) // the first of an aggregate
		}
		for i := 3; i < n; i++ {
			_, _, err := again(p[:i:i])
			if PacketType(p[0]) == TypeIVOGM {
				_, _, _, err = ParseOGM(p[:i:i])
			}
			if err == nil {
				t.Fatalf("type %#x: %d of %d bytes are enough", p[0], i, n)
			}
		}
	}
	for _, want := range []PacketType{TypeIVOGM, TypeBroadcast, TypeELP, TypeOGM2, TypeMulticast, TypeUnicast, TypeFragment, TypeUnicast4, TypeICMP, TypeUnicastTVLV} {
		if seen[want] == 0 {
			t.Errorf("no packet of type %#x in the captures: %v", want, seen)
		}
	}
}

// containers walks the TVLVs of b and writes each one again.
func containers(t testing.TB, b []byte, seen map[TVLVType]int) {
	for len(b) > 0 {
		c, rest, err := NextTVLV(b)
		if err != nil {
			t.Fatalf("%v in %x", err, b)
		}
		whole := b[:len(b)-len(rest)]
		var got []byte
		switch seen[c.Type]++; c.Type {
		case TVLVGateway:
			g, err := ParseGateway(c.Value)
			if err != nil {
				t.Fatal(err)
			}
			got = AppendGateway(nil, g)
		case TVLVRoam:
			r, err := ParseRoam(c.Value)
			if err != nil {
				t.Fatal(err)
			}
			got = AppendRoam(nil, r)
		case TVLVMulticast:
			f, err := ParseMulticastFlags(c.Value)
			if err != nil {
				t.Fatal(err)
			}
			got = AppendMulticastFlags(nil, f)
		case TVLVTT:
			tt, err := ParseTT(c.Value)
			if err != nil {
				t.Fatal(err)
			}
			got = AppendTVLV(nil, TVLVTT, VersionTT, len(c.Value))
			got = AppendTT(got, tt.Flags, tt.TTVN, tt.VLANs.Len())
			for i := range tt.VLANs.Len() {
				got = tt.VLANs.At(i).Append(got)
			}
			for i := range tt.Entries.Len() {
				got = tt.Entries.At(i).Append(got)
			}
		case TVLVTracker:
			dests, n, err := ParseTracker(c.Value)
			if err != nil || len(dests) != 6*n || n == 0 {
				t.Fatalf("%d destinations in %x: %v", n, c.Value, err)
			}
			got = whole
		default:
			got = append(AppendTVLV(nil, c.Type, c.Version, len(c.Value)), c.Value...)
		}
		if !bytes.Equal(got, whole) {
			t.Fatalf("container %d:\n%x\n%x", c.Type, whole, got)
		}
		for i := range c.Value {
			_, _, err := NextTVLV(whole[:TVLVLen+i])
			if !errors.Is(err, ErrShort) {
				t.Fatalf("container %d with %d of %d bytes: %v", c.Type, i, len(c.Value), err)
			}
		}
		b = rest
	}
}

// Every container that a kernel sent is understood and can be written again.
func TestCapturedContainers(t *testing.T) {
	seen := map[TVLVType]int{}
	for _, p := range packets(t) {
		switch PacketType(p[0]) {
		case TypeIVOGM:
			for len(p) >= OGMLen && p[0] == 0 && p[1] == Version {
				_, tvlvs, size, err := ParseOGM(p)
				if err != nil {
					t.Fatal(err)
				}
				containers(t, tvlvs, seen)
				p = p[size:]
			}
		case TypeOGM2:
			_, tvlvs, _, err := ParseOGM2(p)
			if err != nil {
				t.Fatal(err)
			}
			containers(t, tvlvs, seen)
		case TypeUnicastTVLV:
			_, tvlvs, err := ParseUnicastTVLV(p)
			if err != nil {
				t.Fatal(err)
			}
			containers(t, tvlvs, seen)
		case TypeMulticast:
			_, tvlvs, _, err := ParseMulticast(p)
			if err != nil {
				t.Fatal(err)
			}
			containers(t, tvlvs, seen)
		}
	}
	for _, want := range []TVLVType{TVLVGateway, TVLVDAT, TVLVTT, TVLVRoam, TVLVMulticast, TVLVTracker} {
		if seen[want] == 0 {
			t.Errorf("no container %d in the captures: %v", want, seen)
		}
	}
}

// Checksums that kernels printed for the client 02:ba:00:00:01:ff, and that
// of the first OGM of a mesh.
func TestTTSum(t *testing.T) {
	mac, _ := ParseMAC("02:ba:00:00:01:ff")
	for v, want := range map[VID]uint32{0x8000: 0x8c56bb1f, 0x800a: 0x5c15458b} {
		if got := TTSum(mac, v, 0); got != want {
			t.Errorf("vid %#x: %08x, want %08x", v, got, want)
		}
	}
	if TTSum(mac, 0, TTWifi) == TTSum(mac, 0, 0) || TTSum(mac, 0, TTDel) != TTSum(mac, 0, 0) {
		t.Error("the synchronised flags, and no others, are part of the sum")
	}
}

func TestMAC(t *testing.T) {
	m, err := ParseMAC("02:BA-00:00:01:00")
	if err == nil {
		t.Errorf("mixed separators give %v", m)
	}
	m, err = ParseMAC("02-Ba-00-00-01-0f")
	if err != nil || m.String() != "02:ba:00:00:01:0f" || !m.IsStation() || m.IsMulticast() {
		t.Errorf("%v %v", m, err)
	}
	for _, s := range []string{"", "02:ba:00:00:01", "02:ba:00:00:01:0g", "02:ba:00:00:01:0", "02:ba:00:00:01:00:00", "+2:ba:00:00:01:00"} {
		if m, err := ParseMAC(s); err == nil {
			t.Errorf("%q gives %v", s, m)
		}
	}
	if !Broadcast.IsMulticast() || !Broadcast.IsBroadcast() || Broadcast.IsStation() || (MAC{}).IsStation() {
		t.Error("broadcast and zero are no stations")
	}
	if VID(0x800a).Print() != 10 || VID(0).Print() != -1 || VID(0x8000).Print() != 0 {
		t.Error("VLANs as batctl prints them")
	}
}

func TestParseClient(t *testing.T) {
	frame := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x81, 0, 0x60, 10, 8, 6, 1, 2}
	e, v, off, err := ParseClient(frame)
	if err != nil || v != 0x800a || off != 18 || e.Type != EthARP {
		t.Errorf("%v %#x %d %v", e, v, off, err)
	}
	for i := range 18 {
		if _, _, _, err := ParseClient(frame[:i]); err == nil {
			t.Errorf("%d bytes are enough", i)
		}
	}
}

// Odd lengths end the parsing: what follows cannot be trusted.
func TestOddLengths(t *testing.T) {
	b := make([]byte, 200)
	OGM{TVLVLen: 9}.Put(b)
	if _, _, _, err := ParseOGM(b); err != ErrOdd {
		t.Errorf("OGM: %v", err)
	}
	OGM2{TVLVLen: 9}.Put(b)
	if _, _, _, err := ParseOGM2(b); err != ErrOdd {
		t.Errorf("OGM2: %v", err)
	}
	if _, _, err := NextTVLV([]byte{66, 1, 0, 3, 1, 2, 3}); err != ErrOdd {
		t.Errorf("container: %v", err)
	}
}

// FuzzPackets parses anything; what parses can be written again unchanged
// where the header has no reserved bits.
func FuzzPackets(f *testing.F) {
	for i, p := range packets(f) {
		if i%7 == 0 {
			f.Add(p)
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < 3 {
			return
		}
		c, n, err := again(p)
		if err == nil && n > len(p) {
			t.Fatalf("header of %d bytes in %d", n, len(p))
		}
		if d, _, err2 := again(c); err == nil && err2 == nil && !bytes.Equal(c, d) {
			t.Fatalf("not stable:\n%x\n%x", c, d)
		}
		for b := p; len(b) > 0; {
			v, rest, err := NextTVLV(b)
			if err != nil {
				break
			}
			if tt, err := ParseTT(v.Value); err == nil {
				for i := range tt.VLANs.Len() {
					tt.VLANs.At(i)
				}
				for i := range tt.Entries.Len() {
					tt.Entries.At(i)
				}
			}
			if dests, n, err := ParseTracker(v.Value); err == nil && len(dests) != 6*n {
				t.Fatal("tracker")
			}
			_, _ = ParseGateway(v.Value)
			_, _ = ParseRoam(v.Value)
			_, _ = ParseMulticastFlags(v.Value)
			b = rest
		}
		_, _, _, _ = ParseClient(p)
		Dest(p)
		Peek(p)
	})
}
