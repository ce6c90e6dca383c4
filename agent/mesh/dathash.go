package mesh

import (
	"encoding/binary"
	"math/bits"

	"github.com/meshagent/meshagent/agent/batman"
)

// The ring of the distributed ARP table has 2^16 places: every node has one,
// by its address, and every IPv4 address has one, by its key. The entry of an
// IPv4 address is kept by the nodes whose places follow its own.
//
// Source: batman-adv distributed-arp-table.c; lookup3 by Bob Jenkins.

// datMax is the modulus of both hashes. Source: BATADV_DAT_ADDR_MAX.
const datMax = 65535

// datPlace returns the place of a node on the ring.
func datPlace(mac batman.MAC) uint16 {
	var k [12]byte
	copy(k[:], mac[:])
	return uint16(jhash12(k, len(mac), 0) % datMax)
}

// datKeyPlace returns the place of an IPv4 address of a VLAN. Modules before
// 2019.5 take the VLAN in the byte order of their host.
func datKeyPlace(ip [4]byte, v batman.VID) uint16 {
	var h uint32
	for _, c := range [...]byte{ip[0], ip[1], ip[2], ip[3], byte(v >> 8), byte(v)} {
		h += uint32(c)
		h += h << 10
		h ^= h >> 6
	}
	h += h << 3
	h ^= h >> 11
	h += h << 15
	return uint16(h % datMax)
}

// jhash12 is lookup3, "hashlittle", of the first n bytes of k, 1 to 12 of
// them; the others are zero.
func jhash12(k [12]byte, n int, init uint32) uint32 {
	a := 0xdeadbeef + uint32(n) + init
	b, c := a, a
	a += binary.LittleEndian.Uint32(k[0:])
	b += binary.LittleEndian.Uint32(k[4:])
	c += binary.LittleEndian.Uint32(k[8:])
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	c = (c ^ b) - bits.RotateLeft32(b, 24)
	return c
}
