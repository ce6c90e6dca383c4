// Package pkt holds what carries packets through the agent: the buffer, its
// free list, the batch, link-layer addresses, and the checksum and IPv6 views
// that both protocol stacks share. It knows no protocol of the overlay or the
// mesh.
package pkt

// Sizes of a Buf, in bytes. Headroom covers the largest stack of headers that
// can be put in front of a packet (docs/protocol/headroom.md), MaxMTU the
// largest Wi-Fi payload, Tailroom the tag that a Noise link appends.
const (
	Headroom = 328
	MaxMTU   = 2304
	Tailroom = 16
)

const bufLen = Headroom + MaxMTU + Tailroom

// Lengths of an Ethernet header and of an 802.1Q tag in it, in bytes.
const (
	EthHeader = 14
	VLANTag   = 4
)

// Buf is one packet with room around it. Everything in it is plain memory:
// a Buf never points anywhere, so a free list of them costs the garbage
// collector nothing. It has one owner at a time; whoever "takes" a Buf must
// hand it on or put it back into a Pool.
//
// The struct fits Go's size class of 2688 bytes.
type Buf struct {
	arr      [bufLen]byte
	off, end uint16
	// Port is the link: where the packet came from, or where it must go.
	// The daemon numbers links when it opens them.
	Port uint16
	// Addr is the neighbour's address on that link: source of a received
	// packet, destination of one to send.
	Addr Addr
}

// Reset makes b empty, with all of Headroom in front.
func (b *Buf) Reset() { b.off, b.end, b.Port, b.Addr = Headroom, Headroom, 0, Addr{} }

// Bytes returns the packet. The slice aliases b until the next method call.
func (b *Buf) Bytes() []byte { return b.arr[b.off:b.end:b.end] }

// Len returns the length of the packet in bytes.
func (b *Buf) Len() int { return int(b.end - b.off) }

// Push opens n bytes in front of the packet and returns them. Their content
// is whatever was there. It panics if the headroom is used up, which is a
// broken promise of the caller and never a matter of input: see CanPush.
func (b *Buf) Push(n int) []byte {
	if n < 0 || n > int(b.off) {
		panic("pkt: no headroom left")
	}
	b.off -= uint16(n)
	return b.arr[b.off : int(b.off)+n : int(b.off)+n]
}

// CanPush reports whether n bytes fit in front of the packet.
func (b *Buf) CanPush(n int) bool { return n >= 0 && n <= int(b.off) }

// Pull drops n bytes from the front and returns them. It reports false and
// changes nothing if the packet is shorter.
func (b *Buf) Pull(n int) ([]byte, bool) {
	if n < 0 || n > b.Len() {
		return nil, false
	}
	p := b.arr[b.off : int(b.off)+n : int(b.off)+n]
	b.off += uint16(n)
	return p, true
}

// Extend lengthens the packet by n bytes at its end and returns the new
// bytes, whose content is whatever was there; nil if there is no room.
func (b *Buf) Extend(n int) []byte {
	if n < 0 || int(b.end)+n > bufLen {
		return nil
	}
	p := b.arr[b.end : int(b.end)+n : int(b.end)+n]
	b.end += uint16(n)
	return p
}

// Truncate shortens the packet to n bytes. It does nothing if the packet is
// not longer than that.
func (b *Buf) Truncate(n int) {
	if n >= 0 && n < b.Len() {
		b.end = b.off + uint16(n)
	}
}

// Room returns the memory that a reader may fill, starting at the full
// headroom, and leaves the packet empty. After reading n bytes into it call
// Extend(n).
func (b *Buf) Room() []byte {
	b.off, b.end = Headroom, Headroom
	return b.arr[Headroom : Headroom+MaxMTU : Headroom+MaxMTU]
}

// EthRoom is Room for a whole Ethernet frame: what follows the Ethernet header
// starts at the full headroom. It holds a frame of MaxMTU with an 802.1Q tag
// and some bytes more, so that a reader can see that a frame was longer.
func (b *Buf) EthRoom() []byte {
	b.off, b.end = Headroom-EthHeader, Headroom-EthHeader
	return b.arr[Headroom-EthHeader : bufLen : bufLen]
}

// Set makes p the packet, with the full headroom in front. It reports false
// and leaves b empty if p is longer than MaxMTU+Tailroom.
func (b *Buf) Set(p []byte) bool {
	b.off, b.end = Headroom, Headroom
	return len(p) == copy(b.Extend(min(len(p), bufLen-Headroom)), p)
}

// CopyFrom makes b an independent copy of a, link and address included.
func (b *Buf) CopyFrom(a *Buf) {
	b.off, b.end, b.Port, b.Addr = a.off, a.end, a.Port, a.Addr
	copy(b.arr[b.off:b.end], a.arr[a.off:a.end])
}
