package mesh

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Fields of a BOOTP message and of DHCP options. Source: RFC 951, RFC 2131.
const (
	bootpReply    = 2
	bootpYourIP   = 16
	bootpHardware = 28
	bootpMagic    = 236
	bootpOptions  = 240
	dhcpMagic     = 0x63825363
	dhcpOptType   = 53
	dhcpOptEnd    = 255
	dhcpACK       = 5
	dhcpServer    = 67 // UDP port
	protoUDP      = 17
)

// datDHCP learns the addresses of client and server from a DHCP ACK; fromMesh
// says which way it goes. What a server among our own clients acknowledges is
// stored in the table too.
//
// Source: batman-adv distributed-arp-table.c, batadv_dat_snoop_*_dhcp_ack.
func (m *Mesh) datDHCP(now mono.Time, f inner, fromMesh bool, out *Out) {
	if !m.cfg.DAT || f.eth.Type != batman.EthIPv4 || len(f.b) < f.off {
		return
	}
	server, client, mac, ok := parseDHCPAck(f.b[f.off:])
	if !ok || !saneIP(server) || !saneIP(client) || !mac.IsStation() || !f.eth.Src.IsStation() {
		return
	}
	a := arp{arpReply, mac, f.eth.Src, client, server}
	if fromMesh {
		m.dat.cache.learn(now, datKey(client, f.vid), mac, false)
		m.dat.cache.learn(now, datKey(server, f.vid), f.eth.Src, false)
		return
	}
	b := newARP(out.Pool, a.dst, a.src, f.vid, a)
	m.datPut(now, b.Bytes(), f.vid, a, out)
	out.Pool.Put(b)
}

// parseDHCPAck finds the addresses in an IPv4 packet that is a DHCP ACK.
func parseDHCPAck(p []byte) (server, client [4]byte, mac batman.MAC, ok bool) {
	if len(p) < 20 || p[0]>>4 != 4 || p[9] != protoUDP || binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
		return
	}
	head := int(p[0]&15) * 4
	if head < 20 || len(p) < head+8+bootpOptions || binary.BigEndian.Uint16(p[head:]) != dhcpServer {
		return
	}
	server = [4]byte(p[12:16])
	d := p[head+8:]
	if d[0] != bootpReply || d[1] != 1 || d[2] != 6 || binary.BigEndian.Uint32(d[bootpMagic:]) != dhcpMagic {
		return
	}
	client, mac = [4]byte(d[bootpYourIP:bootpYourIP+4]), batman.MAC(d[bootpHardware:bootpHardware+6])
	for o := d[bootpOptions:]; len(o) >= 2 && o[0] != dhcpOptEnd; {
		switch {
		case o[0] == 0: // padding
			o = o[1:]
		case o[0] == dhcpOptType:
			return server, client, mac, o[1] == 1 && len(o) > 2 && o[2] == dhcpACK
		case len(o) < 2+int(o[1]):
			return
		default:
			o = o[2+int(o[1]):]
		}
	}
	return
}
