package netio

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// UDPOptions are the options of OpenUDP. The zero value is a plain socket
// with every offload that the kernel has.
type UDPOptions struct {
	DSCP      int    // differentiated services code point of what is sent, 0 to 63
	ReuseAddr bool   // SO_REUSEADDR, for sockets that share a beacon port
	Broadcast bool   // allow sending to broadcast addresses
	Batch     int    // packets per system call, 0 = by the size of the machine
	Device    string // SO_BINDTODEVICE, "" = any device
	NoOffload bool   // neither GSO nor GRO
	RcvBuf    int    // receive buffer in bytes, 0 = by Batch
}

// UDP is a UDP socket. It is a Conn.
type UDP struct {
	counters
	conn  *net.UDPConn
	port  uint16
	batch int

	rx *udpReader // reader only
	mu sync.Mutex // guards tx
	tx *udpWriter

	gso    atomic.Bool // set by the writer, read by Caps
	gro    bool
	closed atomic.Bool
}

// OpenUDP opens a UDP socket bound to bind; port 0 lets the kernel choose. An
// IPv6 socket is for IPv6 only. GRO is used from batches above SmallBatch on,
// because its buffers take half a megabyte.
func OpenUDP(bind netip.AddrPort, o UDPOptions) (*UDP, error) {
	network, family := "udp6", uint16(unix.AF_INET6)
	if bind.Addr().Unmap().Is4() {
		network, family = "udp4", unix.AF_INET
		bind = netip.AddrPortFrom(bind.Addr().Unmap(), bind.Port())
	}
	what := "udp socket " + bind.String()
	if !bind.Addr().IsValid() {
		return nil, errors.New(what + ": no address given")
	}
	if o.DSCP < 0 || o.DSCP > 63 {
		return nil, errors.New(what + ": dscp must be 0 to 63")
	}
	u := &UDP{batch: defaultBatch(o.Batch)}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var serr error
		err := c.Control(func(fd uintptr) { serr = u.setup(int(fd), family, o) })
		return errors.Join(err, serr)
	}}
	c, err := lc.ListenPacket(context.Background(), network, bind.String())
	if err != nil {
		if o.Device != "" {
			what += " on " + o.Device
		}
		return nil, explain(what, err)
	}
	u.conn = c.(*net.UDPConn)
	u.port = u.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	rc, err := u.conn.SyscallConn()
	if err != nil {
		u.conn.Close()
		return nil, explain(what, err)
	}
	u.rx = newUDPReader(rc, u.batch, u.gro)
	u.tx = newUDPWriter(rc, u.conn, u.batch, family)
	return u, nil
}

// setup sets the options of the socket before it is bound.
func (u *UDP) setup(fd int, family uint16, o UDPOptions) error {
	set := func(level, opt, v int, name string) error {
		if err := unix.SetsockoptInt(fd, level, opt, v); err != nil {
			return &net.OpError{Op: "set " + name, Net: "udp", Err: err}
		}
		return nil
	}
	var err error
	if o.ReuseAddr {
		err = errors.Join(err, set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, "SO_REUSEADDR"))
	}
	broadcast := 0
	if o.Broadcast {
		broadcast = 1
	}
	err = errors.Join(err, set(unix.SOL_SOCKET, unix.SO_BROADCAST, broadcast, "SO_BROADCAST"))
	if o.Device != "" {
		if e := unix.BindToDevice(fd, o.Device); e != nil {
			err = errors.Join(err, &net.OpError{Op: "bind to device", Net: "udp", Err: e})
		}
	}
	if o.DSCP != 0 && family == unix.AF_INET {
		err = errors.Join(err, set(unix.IPPROTO_IP, unix.IP_TOS, o.DSCP<<2, "IP_TOS"))
	}
	if o.DSCP != 0 && family == unix.AF_INET6 {
		err = errors.Join(err, set(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, o.DSCP<<2, "IPV6_TCLASS"))
	}
	setRcvBuf(fd, defaultRcvBuf(o.RcvBuf, u.batch))
	if !o.NoOffload {
		gso, gro := probeUDP(fd, u.batch > SmallBatch)
		u.gso.Store(gso)
		u.gro = gro
	}
	return err
}

// LocalPort returns the port the socket is bound to.
func (u *UDP) LocalPort() uint16 { return u.port }

// Stats may be called at any time.
func (u *UDP) Stats() Stats { return u.stats() }

// Caps implements Conn.
func (u *UDP) Caps() Caps {
	gso := u.gso.Load()
	return Caps{Batch: u.batch, GSO: gso, GRO: u.gro, Text: capsText("mmsg", gso, u.gro, false)}
}

// Close implements Conn.
func (u *UDP) Close() error {
	if u.closed.Swap(true) {
		return errClosed
	}
	return u.conn.Close()
}

// maxReadErrors is how many errors in a row end a Conn. Single ones are
// ordinary: an ICMP error of an earlier send, a device that went down.
const maxReadErrors = 64

// ReadBatch implements Conn. It may change the order of the pointers in bufs.
func (u *UDP) ReadBatch(bufs []*pkt.Buf) (int, error) {
	if len(bufs) == 0 {
		return 0, nil
	}
	for try := 0; ; {
		n, dropped, e, err := u.rx.read(bufs)
		if dropped > 0 {
			u.rxDropped.Add(uint64(dropped))
		}
		if e != 0 {
			u.rxErrors.Add(1)
		}
		switch {
		case u.closed.Load():
			return 0, errClosed
		case n > 0:
			return n, nil // a lasting error shows again at the next call
		case err != nil:
			return 0, err
		case e != 0:
			if try++; try == maxReadErrors {
				return 0, explain("udp receive", e)
			}
		}
	}
}

// WriteBatch implements Conn. Runs of packets to one Addr and of one size, the
// last may be shorter, leave in one piece where the kernel has GSO.
func (u *UDP) WriteBatch(bufs []*pkt.Buf) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	sent := 0
	for len(bufs) > 0 {
		took := u.tx.build(bufs, u.gso.Load())
		u.txRefused.Add(uint64(u.tx.skipped))
		n, err := u.flush(&took)
		sent += n
		if err != nil {
			if u.closed.Load() {
				err = errClosed
			}
			return sent, err
		}
		bufs = bufs[took:]
	}
	u.tx.aged()
	return sent, nil
}

// flush sends what build made of the first *took packets. If the kernel
// refuses GSO in a way that single packets may survive, *took is cut back to
// the packets before, so that the caller builds the rest again.
func (u *UDP) flush(took *int) (sent int, err error) {
	w := u.tx
	for w.off < w.n {
		from := w.off
		e, err := w.send()
		for _, c := range w.count[from:w.off] {
			sent += c
		}
		if err != nil {
			return sent, err
		}
		if e == 0 {
			break
		}
		count := w.count[w.off]
		switch {
		case e == unix.EAGAIN:
			for _, c := range w.count[w.off:w.n] {
				u.txBusy.Add(uint64(c))
			}
			return sent, nil
		case count > 1 && e == unix.EIO:
			// The device cannot checksum, and before Linux 6.11 the kernel
			// does not do it for GSO.
			u.gso.Store(false)
			*took = w.start[w.off]
			return sent, nil
		case count > 1 && (e == unix.EINVAL || e == unix.EMSGSIZE):
			w.hold(w.off)
			*took = w.start[w.off]
			return sent, nil
		}
		u.txRefused.Add(uint64(count))
		w.off++
	}
	return sent, nil
}
