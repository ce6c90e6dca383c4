package mesh

import "github.com/meshagent/meshagent/agent/batman"

// mcastGroup is a kind of multicast group.
type mcastGroup uint8

const (
	groupFlood       mcastGroup = iota // for all: not IP, or a word of listeners to routers and switches
	groupBroken                        // shorter than an IP header
	groupLink                          // of the link, its listeners tell that they listen
	groupUnsnoopable                   // of the link, its listeners need not tell
	groupRoutable                      // routers may be waiting for it
)

// IP protocol numbers and message types of group membership reports. Source:
// RFC 2236, RFC 3376, RFC 2710, RFC 3810.
const (
	protoIGMP    = 2
	protoICMPv6  = 58
	igmp1Report  = 0x12
	igmp2Report  = 0x16
	igmp3Report  = 0x22
	mld1Report   = 131
	mld2Report   = 143
	scopeLink    = 2
	hopByHop     = 0
	allNodesTail = 13 // zero bytes in ff02::1 between scope and 1
)

// groupOf looks at the IP header of a multicast frame. Source: batman-adv
// multicast.c, batadv_mcast_forw_mode_check; RFC 4541 for what switches cannot
// know.
func groupOf(f inner) mcastGroup {
	p := f.b[min(f.off, len(f.b)):]
	switch f.eth.Type {
	case batman.EthIPv4:
		return group4(p)
	case batman.EthIPv6:
		return group6(p)
	}
	return groupFlood
}

func group4(p []byte) mcastGroup {
	if len(p) < 20 {
		return groupBroken
	}
	if head := int(p[0]&15) * 4; p[9] == protoIGMP && head < len(p) {
		switch p[head] {
		case igmp1Report, igmp2Report, igmp3Report:
			return groupFlood
		}
	}
	if p[16] == 224 && p[17] == 0 && p[18] == 0 {
		return groupUnsnoopable
	}
	return groupRoutable
}

func group6(p []byte) mcastGroup {
	if len(p) < ipv6Len {
		return groupBroken
	}
	next, rest := p[6], p[ipv6Len:]
	if next == hopByHop && len(rest) >= 2 { // reports carry a router alert
		next, rest = rest[0], rest[min(8+8*int(rest[1]), len(rest)):]
	}
	if next == protoICMPv6 && len(rest) > 0 && (rest[0] == mld1Report || rest[0] == mld2Report) {
		return groupFlood
	}
	dst := p[24:40]
	switch scope := dst[1] & 15; {
	case scope < scopeLink:
		return groupFlood
	case scope > scopeLink:
		return groupRoutable
	}
	if [allNodesTail]byte(dst[2:15]) == [allNodesTail]byte{} && dst[15] == 1 && dst[1] == scopeLink {
		return groupUnsnoopable
	}
	return groupLink
}
