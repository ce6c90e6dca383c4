package netio

import "encoding/binary"

// vnetHdrLen is the size of struct virtio_net_hdr without num_buffers, what a
// TUN device uses unless told otherwise (TUNSETVNETHDRSZ).
const vnetHdrLen = 10

// Source: include/uapi/linux/virtio_net.h.
const (
	vnetNeedsCsum = 1 // flags: the checksum field holds the pseudo header's sum only

	gsoNone  = 0
	gsoTCP6  = 4
	gsoUDPL4 = 5
	gsoECN   = 0x80 // gso_type: the first segment has CWR
)

// vnetHdr is struct virtio_net_hdr. A TUN device keeps it in the byte order of
// the machine.
//
//	0 flags  1 gso_type  2 hdr_len  4 gso_size  6 csum_start  8 csum_offset
type vnetHdr struct {
	flags, gsoType     uint8
	hdrLen, gsoSize    uint16 // bytes of headers; payload bytes per segment
	csumStart, csumOff uint16 // where the sum begins; where it is stored, from there
}

func parseVnet(b *[vnetHdrLen]byte) vnetHdr {
	o := binary.NativeEndian
	return vnetHdr{b[0], b[1], o.Uint16(b[2:]), o.Uint16(b[4:]), o.Uint16(b[6:]), o.Uint16(b[8:])}
}

func (h vnetHdr) put(b []byte) {
	o := binary.NativeEndian
	b[0], b[1] = h.flags, h.gsoType
	o.PutUint16(b[2:], h.hdrLen)
	o.PutUint16(b[4:], h.gsoSize)
	o.PutUint16(b[6:], h.csumStart)
	o.PutUint16(b[8:vnetHdrLen], h.csumOff)
}

// Offsets in headers, and protocol numbers.
const (
	ip6Len     = 40
	protoTCP   = 6
	protoUDP   = 17
	tcpSeq     = 4
	tcpOff     = 12
	tcpFlags   = 13
	tcpCsum    = 16
	tcpMinLen  = 20
	udpLen     = 8
	udpCsum    = 6
	tcpFIN     = 0x01
	tcpPSH     = 0x08
	tcpACK     = 0x10
	tcpCWR     = 0x80
	maxIP6     = 65535 // longest packet, headers included, that we build
	ip6Version = 6
)

// finishCsum completes the checksum of a single packet that the kernel left
// to the device. It reports false if the header points outside the packet.
func finishCsum(h vnetHdr, p []byte) bool {
	start, at := int(h.csumStart), int(h.csumStart)+int(h.csumOff)
	if start < ip6Len || at+2 > len(p) {
		return false
	}
	putSum(p[at:], sum16(p[start:], 0)) // the field's own content is the pseudo header
	if h.csumOff == udpCsum && p[at]|p[at+1] == 0 {
		p[at], p[at+1] = 0xff, 0xff // 0 would mean "no checksum"
	}
	return true
}
