package netio

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// PacketOptions are the options of OpenPacket.
type PacketOptions struct {
	Batch  int // packets per system call, 0 = by the size of the machine
	RcvBuf int // receive buffer in bytes, 0 = by Batch
}

// Packet is a packet socket on one Ethernet device and one EtherType. It is a
// Conn whose Addrs are Ethernet addresses. Opened by OpenPacket, its packets
// begin behind the Ethernet header; opened by OpenRaw, they are whole frames.
type Packet struct {
	counters
	conn  *packet.Conn
	raw   bool // packets begin with the Ethernet header
	mac   [6]byte
	mtu   int
	index int
	proto uint16 // network byte order
	batch int

	// reader only
	rx   *receiver
	riov []unix.Iovec
	down downState
	mu   sync.Mutex // guards tx
	tx   *sender

	closed atomic.Bool
}

// OpenPacket opens a packet socket on the device ifname for the EtherType
// ethertype (host byte order). It receives what is addressed to the device, to
// groups and to all, not what the device itself sends or what is passing by.
//
// The kernel takes the Ethernet header off and puts it on, so links with other
// headers (Wi-Fi in ad-hoc mode) look the same.
func OpenPacket(ifname string, ethertype uint16, o PacketOptions) (*Packet, error) {
	return openPacket(ifname, ethertype, packet.Datagram, o)
}

// OpenRaw is OpenPacket for whole Ethernet frames: a packet begins with the
// destination address, in both directions. Writing ignores Addr; the caller is
// free to choose the source address and the EtherType. Frames of up to
// pkt.MaxMTU bytes behind the Ethernet header are read, longer ones dropped.
func OpenRaw(ifname string, ethertype uint16, o PacketOptions) (*Packet, error) {
	return openPacket(ifname, ethertype, packet.Raw, o)
}

func openPacket(ifname string, ethertype uint16, typ packet.Type, o PacketOptions) (*Packet, error) {
	what := "packet socket on " + ifname
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, explain(what, err)
	}
	if len(ifi.HardwareAddr) != 6 {
		return nil, errors.New(what + ": the device has no Ethernet address")
	}
	c, err := packet.Listen(ifi, typ, int(ethertype), nil)
	if err != nil {
		return nil, explain(what, err)
	}
	p := &Packet{
		conn: c, raw: typ == packet.Raw, mac: [6]byte(ifi.HardwareAddr), mtu: ifi.MTU, index: ifi.Index,
		proto: netOrder(ethertype), batch: defaultBatch(o.Batch),
	}
	rc, err := c.SyscallConn()
	if err != nil {
		c.Close()
		return nil, explain(what, err)
	}
	err = rc.Control(func(fd uintptr) {
		setRcvBuf(int(fd), defaultRcvBuf(o.RcvBuf, p.batch))
		// Linux 4.20; the reader drops them too.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	})
	if err != nil {
		c.Close()
		return nil, explain(what, err)
	}
	p.rx, p.riov = newReceiver(rc, p.batch), make([]unix.Iovec, p.batch)
	for i := range p.riov {
		p.rx.msgs[i].hdr.Iov = &p.riov[i]
		p.rx.msgs[i].hdr.SetIovlen(1)
	}
	p.tx = newSender(rc, c, p.batch)
	for i := range p.tx.msgs {
		p.tx.msgs[i].hdr.Iov = &p.tx.iovs[i]
		p.tx.msgs[i].hdr.SetIovlen(1)
	}
	return p, nil
}

// HardwareAddr returns the device's Ethernet address at the time of opening.
func (p *Packet) HardwareAddr() [6]byte { return p.mac }

// MTU returns the device's MTU at the time of opening, in bytes without the
// Ethernet header.
func (p *Packet) MTU() int { return p.mtu }

// Index returns the device's interface index.
func (p *Packet) Index() int { return p.index }

// Stats may be called at any time.
func (p *Packet) Stats() Stats {
	if s, err := p.conn.Stats(); err == nil { // the kernel begins to count anew
		p.rxFull.Add(uint64(s.Drops))
	}
	return p.stats()
}

// Caps implements Conn.
func (p *Packet) Caps() Caps { return Caps{Batch: p.batch, Text: "mmsg"} }

// Close implements Conn.
func (p *Packet) Close() error {
	if p.closed.Swap(true) {
		return errClosed
	}
	return p.conn.Close()
}

// downState follows a device that went down. The kernel tells a packet socket
// so, but not that the device was removed after that. So the reader asks from
// time to time, until a frame arrives that cannot be older than the news.
type downState uint8

const (
	isUp     downState = iota
	wentDown           // there may be frames in the queue from before
	drained            // since then the queue was empty: a frame means that it is up
)

// downPoll is how often a reader whose device is down looks whether it still
// exists.
const downPoll = time.Second

// ReadBatch implements Conn. It may change the order of the pointers in bufs.
// A device that goes down is only waited for; one that is removed ends the
// Conn with ErrLinkGone.
func (p *Packet) ReadBatch(bufs []*pkt.Buf) (int, error) {
	if len(bufs) == 0 {
		return 0, nil
	}
	for try := 0; ; {
		k := min(len(bufs), p.batch)
		for i, b := range bufs[:k] {
			if p.raw {
				setIov(&p.riov[i], b.EthRoom()[:pkt.EthHeader+pkt.MaxMTU])
			} else {
				setIov(&p.riov[i], b.Room())
			}
		}
		if p.down != isUp {
			_ = p.conn.SetReadDeadline(time.Now().Add(downPoll))
		}
		got, e, err := p.rx.recv(k, true)
		if p.down != isUp {
			_ = p.conn.SetReadDeadline(time.Time{})
		}
		switch {
		case p.closed.Load():
			return 0, errClosed
		case p.down != isUp && (e != 0 || err != nil) && p.gone():
			return 0, ErrLinkGone
		case p.down != isUp && isTimeout(err):
			p.down = drained
		case err != nil:
			return 0, err
		case e == unix.ENETDOWN:
			p.rxErrors.Add(1)
			p.down = wentDown
		case e != 0:
			p.rxErrors.Add(1)
			if try++; try == maxReadErrors {
				return 0, explain("packet receive", e)
			}
		default:
			if p.down == drained {
				p.down = isUp
			}
			if n := p.take(bufs, got); n > 0 {
				return n, nil
			}
		}
	}
}

// take sorts out what recv has put into the first got bufs.
func (p *Packet) take(bufs []*pkt.Buf, got int) (n int) {
	for i := range got {
		m := &p.rx.msgs[i]
		sll := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&p.rx.names[i]))
		// Source: packet(7). PACKET_OTHERHOST shows on bridge ports and in
		// promiscuous mode, PACKET_OUTGOING on kernels before 4.20.
		switch sll.Pkttype {
		case unix.PACKET_HOST, unix.PACKET_BROADCAST, unix.PACKET_MULTICAST:
		default:
			continue
		}
		if m.hdr.Flags&unix.MSG_TRUNC != 0 || sll.Halen != 6 || p.raw && m.n < pkt.EthHeader {
			p.rxDropped.Add(1)
			continue
		}
		bufs[n], bufs[i] = bufs[i], bufs[n]
		b := bufs[n]
		b.Extend(int(m.n))
		b.Addr = pkt.MACAddr([6]byte(sll.Addr[:6]))
		n++
	}
	return n
}

// gone reports whether the device under the socket was removed: the kernel
// then unbinds the socket for good.
func (p *Packet) gone() bool {
	gone := false
	_ = p.rx.rc.Control(func(fd uintptr) {
		sa, err := unix.Getsockname(int(fd))
		ll, ok := sa.(*unix.SockaddrLinklayer)
		gone = err == nil && ok && ll.Ifindex != p.index
	})
	return gone
}

// WriteBatch implements Conn.
func (p *Packet) WriteBatch(bufs []*pkt.Buf) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := 0
	for len(bufs) > 0 {
		k := min(len(bufs), p.batch)
		p.build(bufs[:k])
		bufs = bufs[k:]
		n, err := p.flush()
		sent += n
		if err != nil {
			if p.closed.Load() {
				err = errClosed
			}
			return sent, err
		}
	}
	return sent, nil
}

// build makes a message of every packet that has an Ethernet address, or an
// Ethernet header.
func (p *Packet) build(bufs []*pkt.Buf) {
	w := p.tx
	w.n, w.off = 0, 0
	for _, b := range bufs {
		if !p.raw && b.Addr.Kind != pkt.AddrMAC || p.raw && b.Len() < pkt.EthHeader {
			p.txRefused.Add(1)
			continue
		}
		sll := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&w.names[w.n]))
		*sll = unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Protocol: p.proto, Ifindex: int32(p.index), Halen: 6}
		copy(sll.Addr[:], b.Addr.IP[:6])
		w.msgs[w.n].hdr.Namelen = unix.SizeofSockaddrLinklayer
		setIov(&w.iovs[w.n], b.Bytes())
		w.n++
	}
}

// flush sends what build made.
func (p *Packet) flush() (sent int, err error) {
	w := p.tx
	for w.off < w.n {
		from := w.off
		e, err := w.send()
		sent += w.off - from
		switch {
		case err != nil:
			return sent, err
		case e == unix.EAGAIN:
			p.txBusy.Add(uint64(w.n - w.off))
			return sent, nil
		case e != 0:
			p.txRefused.Add(1)
			w.off++
		}
	}
	return sent, nil
}
