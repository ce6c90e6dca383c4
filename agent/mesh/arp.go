package mesh

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/pkt"
)

// ARP constants.
const (
	arpLen     = 28
	arpRequest = 1
	arpReply   = 2
)

// arpHead is how ARP for IPv4 over Ethernet begins: hardware 1, protocol
// 0x0800, address lengths 6 and 4.
const arpHead = 0x0001_0800_06_04

// arp is an ARP packet for IPv4 over Ethernet.
//
//	0   2 bytes  hardware type 1
//	2   2 bytes  protocol 0x0800
//	4   1 byte   6
//	5   1 byte   4
//	6   2 bytes  operation
//	8   6 bytes  sender MAC
//	14  4 bytes  sender IPv4
//	18  6 bytes  target MAC
//	24  4 bytes  target IPv4
//
// Source: RFC 826.
type arp struct {
	op       uint16
	src, dst batman.MAC
	sip, dip [4]byte
}

// parseARP reads the ARP packet in a client's frame; false if it is none.
func parseARP(f inner) (a arp, ok bool) {
	if f.eth.Type != batman.EthARP || len(f.b) < f.off+arpLen {
		return a, false
	}
	p := f.b[f.off : f.off+arpLen]
	if binary.BigEndian.Uint64(p)>>16 != arpHead {
		return a, false
	}
	return arp{
		binary.BigEndian.Uint16(p[6:]), batman.MAC(p[8:14]), batman.MAC(p[18:24]), [4]byte(p[14:18]), [4]byte(p[24:28]),
	}, true
}

// newARP returns a whole frame with a in it.
func newARP(pool *pkt.Pool, dst, src batman.MAC, v batman.VID, a arp) *pkt.Buf {
	b := pool.Get()
	p := b.Extend(arpLen)
	binary.BigEndian.PutUint64(p, arpHead<<16|uint64(a.op))
	copy(p[8:], a.src[:])
	copy(p[14:], a.sip[:])
	copy(p[18:], a.dst[:])
	copy(p[24:], a.dip[:])
	e := batman.Eth{Dst: dst, Src: src, Type: batman.EthARP}
	if v.Tagged() {
		t := b.Push(batman.VLANLen)
		binary.BigEndian.PutUint16(t, v.ID())
		binary.BigEndian.PutUint16(t[2:], batman.EthARP)
		e.Type = batman.EthVLAN
	}
	e.Put(b.Push(batman.EthLen))
	return b
}

// saneIP reports whether ip can be the address of one host.
func saneIP(ip [4]byte) bool {
	return ip[0] != 0 && ip[0] != 127 && ip[0]&0xf0 != 0xe0 && ip != [4]byte{255, 255, 255, 255}
}
