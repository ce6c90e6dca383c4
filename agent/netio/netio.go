// Package netio carries frames between the kernel and the agent in batches:
// UDP sockets, packet sockets for Ethernet links, the TUN device, and a pair
// in memory for tests.
//
// It knows no protocol above UDP, Ethernet and the two transport headers that
// segmentation offload has to touch (TCP and UDP inside IPv6). Nothing above
// this package knows of offloads: ReadBatch always gives single packets, and
// WriteBatch always takes single packets.
//
// Terms:
//
//	GSO   one large send that the kernel or the NIC cuts into packets
//	GRO   one large receive that the kernel glued together from packets
//	vnet  struct virtio_net_hdr in front of every packet of a TUN device,
//	      which says how the packet is to be cut (include/uapi/linux/virtio_net.h)
//
// No function of the data path allocates once a Conn is open.
package netio

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/meshagent/meshagent/agent/pkt"
)

// Conn is a link, or the TUN device, as the data path sees it.
//
// One goroutine may read and any number may write at the same time; Close may
// be called from anywhere and wakes the reader.
type Conn interface {
	// ReadBatch blocks until at least one packet has arrived, fills the
	// first n of bufs and returns n. It sets the bytes, with full headroom,
	// and Addr (the sender; none on a TUN device), and leaves Port alone. The
	// other bufs are in an unspecified state. It returns net.ErrClosed after
	// Close and ErrLinkGone when the device has been removed; every other
	// error is as final. An empty bufs gives 0 and no error.
	ReadBatch(bufs []*pkt.Buf) (int, error)
	// WriteBatch sends bufs in order, each to its Addr, and returns how many
	// the kernel took. A packet that the kernel refuses is counted in Stats
	// and skipped; it never ends the batch, so an error means that the Conn
	// itself is of no more use. The bufs are only read, and not used after
	// the return.
	WriteBatch(bufs []*pkt.Buf) (int, error)
	// Close ends the Conn. A second Close gives net.ErrClosed.
	Close() error
	// Caps tells what the kernel offered when the Conn was opened.
	Caps() Caps
}

// Caps is what a Conn can do. It is found out once, at open; a Conn that
// loses GSO later (a NIC without checksum offload refuses it) shows that here
// too.
type Caps struct {
	// Batch is the largest number of packets moved by one system call, and
	// the useful length of the argument of ReadBatch.
	Batch int
	// GSO says that equal-sized packets leave in one piece, GRO that they
	// arrive so, VNetHdr that the TUN device has a vnet header.
	GSO, GRO, VNetHdr bool
	// Text is the same for people: "mmsg+gso+gro".
	Text string
}

// DefaultBatch is the batch size of an option left at 0. Batches of
// SmallBatch or less mark a board with little memory: buffers for GRO are not
// set up there.
const (
	DefaultBatch = 64
	SmallBatch   = 16
)

// ErrLinkGone means that the network device under the Conn was removed. The
// Conn must be closed, and opened again when the device comes back.
var ErrLinkGone = errors.New("netio: network device is gone")

var errClosed = net.ErrClosed

// Stats counts what was lost in a Conn, since it was opened.
type Stats struct {
	// TxRefused are packets that the kernel did not take (EMSGSIZE,
	// ENETUNREACH, no buffers, …) and those without a usable Addr.
	TxRefused uint64
	// TxBusy are packets given up because the device took nothing for
	// writeWait.
	TxBusy uint64
	// RxFull are frames that the kernel threw away because the reader was
	// slow. Packet sockets only.
	RxFull uint64
	// RxErrors are errors reported by the kernel between packets.
	RxErrors uint64
	// RxDropped are packets thrown away after reading: too long for a Buf,
	// not IPv6 (TUN), or segmented in a way that does not add up.
	RxDropped uint64
}

// counters is Stats while it is being counted. Only the error paths touch it,
// so the price of 64-bit atomics on MIPS does not matter.
type counters struct{ txRefused, txBusy, rxFull, rxErrors, rxDropped atomic.Uint64 }

func (c *counters) stats() Stats {
	return Stats{c.txRefused.Load(), c.txBusy.Load(), c.rxFull.Load(), c.rxErrors.Load(), c.rxDropped.Load()}
}
