package mesh

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
)

// dhcp4 is a DHCP message over IPv4, from client A to a server or the other
// way, as the ports say.
func dhcp4(dst, src batman.MAC, from, to uint16) []byte {
	b := make([]byte, batman.EthLen+20+8+bootpOptions)
	batman.Eth{Dst: dst, Src: src, Type: batman.EthIPv4}.Put(b)
	p := b[batman.EthLen:]
	p[0], p[9] = 0x45, protoUDP
	u := p[20:]
	binary.BigEndian.PutUint16(u, from)
	binary.BigEndian.PutUint16(u[2:], to)
	d := u[8:]
	d[0], d[bootpHType], d[bootpHLen] = 1, 1, 6
	copy(d[bootpHardware:], clientA[:])
	return b
}

// dhcp6 is a DHCP message over IPv6 to all servers and relays.
func dhcp6(to uint16) []byte {
	b := make([]byte, batman.EthLen+ipv6Len+12)
	batman.Eth{Dst: batman.MAC{0x33, 0x33, 0, 1, 0, 2}, Src: clientA, Type: batman.EthIPv6}.Put(b)
	p := b[batman.EthLen:]
	p[0], p[6], p[24], p[25], p[37], p[39] = 0x60, protoUDP, 0xff, 2, 1, 2
	binary.BigEndian.PutUint16(p[ipv6Len:], 546)
	binary.BigEndian.PutUint16(p[ipv6Len+2:], to)
	return b
}

// tag puts f on a VLAN.
func tag(f []byte, id uint16) []byte {
	b := append(bytes.Clone(f[:12]), 0x81, 0, byte(id>>8), byte(id))
	return append(b, f[12:]...)
}

func TestDHCPWay(t *testing.T) {
	edit := func(f []byte, at int, v ...byte) []byte {
		f = bytes.Clone(f)
		copy(f[at:], v)
		return f
	}
	request := dhcp4(batman.Broadcast, clientA, 68, 67)
	answer := dhcp4(batman.Broadcast, clientC, 67, 68)
	const ip, udp, bootp = 14, 34, 42
	options := edit(request, ip, 0x46)
	options = append(options[:udp:udp], append([]byte{1, 1, 1, 1}, options[udp:]...)...)
	for _, c := range []struct {
		name  string
		frame []byte
		want  dhcpRole
	}{
		{"request", request, dhcpToServer},
		{"request from another port", dhcp4(batman.Broadcast, clientA, 67, 67), dhcpToServer},
		{"request with IP options", options, dhcpToServer},
		{"request on a VLAN", tag(request, 10), dhcpToServer},
		{"answer", answer, dhcpToClient},
		{"answer on a VLAN", tag(answer, 10), dhcpToClient},
		{"answer to something else than Ethernet", edit(answer, bootp+1, 6), dhcpNone},
		{"answer with another length", edit(answer, bootp+2, 8), dhcpNone},
		{"other ports", dhcp4(batman.Broadcast, clientA, 68, 68), dhcpNone},
		{"TCP", edit(request, ip+9, 6), dhcpNone},
		{"second fragment", edit(request, ip+6, 0, 185), dhcpNone},
		{"header length 16", edit(request, ip, 0x44), dhcpNone},
		{"ARP", edit(request, 12, 8, 6), dhcpNone},
		{"IPv6 request", dhcp6(547), dhcpToServer},
		{"IPv6 request on a VLAN", tag(dhcp6(547), 3), dhcpToServer},
		{"IPv6, other port", dhcp6(546), dhcpNone},
		{"IPv6, TCP", edit(dhcp6(547), 14+6, 6), dhcpNone},
	} {
		f, ok := parseInner(c.frame)
		if !ok {
			t.Fatal(c.name)
		}
		got, client := dhcpWay(f)
		if got != c.want || (client == clientA) != (got == dhcpToClient) {
			t.Errorf("%s: %d for %v, want %d", c.name, got, client, c.want)
		}
	}
	// cut off anywhere, it is less and less
	for _, whole := range [][]byte{request, answer, dhcp6(547), tag(answer, 1)} {
		f, _ := parseInner(whole)
		last := dhcpNone
		for n := range len(whole) + 1 {
			f, ok := parseInner(whole[:n:n])
			if !ok {
				continue
			}
			who, _ := dhcpWay(f)
			if who < last {
				t.Errorf("%x: %d of the first %d bytes, %d of less", whole, who, n, last)
			}
			last = who
		}
		if who, _ := dhcpWay(f); who != last || last == dhcpNone {
			t.Errorf("%x: %d", whole, last)
		}
	}
}

// FuzzDHCP: what is taken for a message of DHCP has its ports, and nothing is
// read behind the frame.
func FuzzDHCP(f *testing.F) {
	f.Add(dhcp4(batman.Broadcast, clientA, 68, 67))
	f.Add(dhcp4(batman.Broadcast, clientC, 67, 68))
	f.Add(tag(dhcp6(547), 9))
	for _, name := range []string{"gateway-la-6.12.pcap", "gateway-la-6.1.pcap"} {
		for _, c := range readPcap(f, name) {
			if p := c.frame; len(p) > 100 && batman.PacketType(p[14]) == batman.TypeUnicast4 {
				f.Add(p[14+batman.Unicast4Len:])
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, ok := parseInner(b[:len(b):len(b)])
		if !ok {
			return
		}
		who, client := dhcpWay(in)
		switch {
		case who == dhcpToServer && !bytes.Contains(b, []byte{0, 67}) && !bytes.Contains(b, []byte{2, 35}):
			t.Errorf("%x goes to a server", b)
		case who == dhcpToClient && (!bytes.Contains(b, []byte{0, 67}) || !bytes.Contains(b, client[:])):
			t.Errorf("%x goes to client %v", b, client)
		case who != dhcpToClient && !client.IsZero():
			t.Errorf("%x names client %v", b, client)
		}
		// more bytes behind a message change nothing
		if in, ok = parseInner(append(bytes.Clone(b), 1, 2, 3, 4)); !ok {
			t.Fatal("longer, but no frame")
		}
		if again, c := dhcpWay(in); who != dhcpNone && (again != who || c != client) {
			t.Errorf("%x: %d, and %d if longer", b, who, again)
		}
	})
}
