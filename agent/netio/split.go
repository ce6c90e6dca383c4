package netio

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/pkt"
)

// splitter cuts one super-packet into packets. It lives across calls because
// a super-packet may have more segments than the caller has buffers.
//
// Every segment gets the headers of the super-packet with lengths, TCP
// sequence number, flags and checksum of its own, as the kernel's software
// segmentation does it: CWR stays on the first segment only, FIN and PSH on
// the last only (Source: net/ipv4/tcp_offload.c, tcp_gso_segment).
type splitter struct {
	data  []byte // the super-packet, IPv6 header first; not ours
	hdr   int    // bytes of headers repeated before each segment
	trans int    // offset of the transport header
	seg   int    // payload bytes per segment
	off   int    // next payload byte, from the start of data
	proto byte
}

// active reports whether segments are left.
func (s *splitter) active() bool { return s.off < len(s.data) }

// start begins with the super-packet p, which must stay untouched until
// active is false. A segment never becomes longer than mtu. It reports false
// if p is not a TCP or UDP super-packet over IPv6 with a sound header.
func (s *splitter) start(h vnetHdr, p []byte, mtu int) bool {
	*s = splitter{}
	trans, seg := int(h.csumStart), int(h.gsoSize)
	if len(p) < ip6Len || p[0]>>4 != ip6Version || h.flags&vnetNeedsCsum == 0 || trans < ip6Len || seg == 0 {
		return false
	}
	var hdr int
	var proto byte
	switch h.gsoType &^ gsoECN {
	case gsoTCP6:
		if h.csumOff != tcpCsum || len(p) < trans+tcpMinLen {
			return false
		}
		hdr, proto = trans+int(p[trans+tcpOff]>>4)*4, protoTCP
		if hdr < trans+tcpMinLen {
			return false
		}
	case gsoUDPL4:
		if h.csumOff != udpCsum {
			return false
		}
		hdr, proto = trans+udpLen, protoUDP
	default:
		return false
	}
	if hdr >= len(p) || hdr+min(seg, len(p)-hdr) > min(mtu, pkt.MaxMTU) {
		return false
	}
	*s = splitter{data: p, hdr: hdr, trans: trans, seg: seg, off: hdr, proto: proto}
	return true
}

// next puts the next segment into b. It must not be called when active is
// false.
func (s *splitter) next(b *pkt.Buf) {
	pay := s.data[s.off:min(s.off+s.seg, len(s.data))]
	first, done := s.off == s.hdr, s.off-s.hdr
	s.off += len(pay)
	last := s.off == len(s.data)

	p := b.Room()[:s.hdr+len(pay)]
	copy(p, s.data[:s.hdr])
	copy(p[s.hdr:], pay)
	b.Extend(len(p))

	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-ip6Len))
	t := p[s.trans:]
	at := udpCsum
	if s.proto == protoTCP {
		at = tcpCsum
		binary.BigEndian.PutUint32(t[tcpSeq:], binary.BigEndian.Uint32(t[tcpSeq:])+uint32(done))
		if !first {
			t[tcpFlags] &^= tcpCWR
		}
		if !last {
			t[tcpFlags] &^= tcpFIN | tcpPSH
		}
	} else {
		binary.BigEndian.PutUint16(t[4:], uint16(len(t)))
	}
	t[at], t[at+1] = 0, 0
	putSum(t[at:], sum16(t, pseudoSum(p, s.proto, len(t))))
	if s.proto == protoUDP && t[at]|t[at+1] == 0 {
		t[at], t[at+1] = 0xff, 0xff
	}
	if last {
		s.data = nil
		s.off = 0
	}
}
