package mesh

import (
	"encoding/binary"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// DHCP messages in clients' frames, and where a gateway mode sends them. The
// fields of a message are named in datdhcp.go, which reads the answers for the
// ARP table.

// steer says what becomes of a client's group frame in a gateway mode.
type steer uint8

const (
	steerNone    steer = iota // nothing to do with DHCP: multicast or flood
	steerGateway              // DHCP to a server: gwSend
	steerClient               // DHCP to a client: to the node that has it
	steerDrop
)

// dhcpRole says who a DHCP message is for.
type dhcpRole uint8

const (
	dhcpNone dhcpRole = iota
	dhcpToServer
	dhcpToClient
)

const (
	bootpHType   = 1   // offset of the type of hardware address
	bootpHLen    = 2   // offset of its length
	dhcp6Server  = 547 // UDP port
	ipv6Len      = 40
	udpLen       = 8
	bootpChaddrs = bootpHardware + 6
)

// dhcpWay tells whether f is a DHCP message and who it is for, and which client
// it is for if it says so. A DHCPv6 message to a client names no address that
// the mesh knows; such messages are not group frames, except for those of
// relays. Source: batman-adv gateway_client.c, batadv_gw_dhcp_recipient_get.
func dhcpWay(f inner) (who dhcpRole, client batman.MAC) {
	p := f.b[min(f.off, len(f.b)):]
	switch f.eth.Type {
	case batman.EthIPv4:
		if len(p) < 20 || p[9] != protoUDP || binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
			return dhcpNone, client
		}
		head := int(p[0]&15) * 4
		if head < 20 || len(p) < head+udpLen {
			return dhcpNone, client
		}
		p = p[head:]
		if binary.BigEndian.Uint16(p[2:]) == dhcpServer {
			return dhcpToServer, client
		}
		if binary.BigEndian.Uint16(p) != dhcpServer {
			return dhcpNone, client
		}
		if p = p[udpLen:]; len(p) < bootpChaddrs || p[bootpHType] != 1 || p[bootpHLen] != 6 {
			return dhcpNone, client
		}
		return dhcpToClient, batman.MAC(p[bootpHardware:bootpChaddrs])
	case batman.EthIPv6:
		if len(p) >= ipv6Len+udpLen && p[6] == protoUDP && binary.BigEndian.Uint16(p[ipv6Len+2:]) == dhcp6Server {
			return dhcpToServer, client
		}
	}
	return dhcpNone, client
}

// gwSteer looks at a group frame of a client while a gateway mode is on.
// client is whom steerClient means. Source: batman-adv mesh-interface.c,
// batadv_interface_tx.
func (m *Mesh) gwSteer(_ mono.Time, f inner) (s steer, client batman.MAC) {
	switch who, client := dhcpWay(f); {
	case who == dhcpToClient:
		return steerClient, client
	case who == dhcpNone:
		return steerNone, client
	case m.cfg.GWMode == GWServer:
		return steerDrop, client // its own clients have a server on their side
	}
	return steerGateway, client
}
