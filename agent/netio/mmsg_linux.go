package netio

import (
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// mmsghdr is struct mmsghdr. Go pads it behind n exactly as C does, because
// both round the size up to the alignment of the pointers in Msghdr: 64 bytes
// on 64-bit machines, 32 on the others.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes of the message, set by the kernel
}

// sockaddr has room for every socket address in use here: 16 bytes for IPv4,
// 20 for a link layer address, 28 for IPv6.
type sockaddr = unix.RawSockaddrInet6

// putAddr encodes a for sendmsg and returns the length, 0 if a is not of a
// kind that a socket of this family sends to. Ports are in network byte
// order, the scope is not.
func putAddr(s *sockaddr, a *pkt.Addr, family uint16) uint32 {
	switch {
	case a.Kind == pkt.AddrUDP4 && family == unix.AF_INET:
		v := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		v.Family = unix.AF_INET
		v.Port = netOrder(a.Port)
		v.Addr = [4]byte(a.IP[:4])
		v.Zero = [8]uint8{}
		return unix.SizeofSockaddrInet4
	case a.Kind == pkt.AddrUDP6 && family == unix.AF_INET6:
		s.Family = unix.AF_INET6
		s.Port = netOrder(a.Port)
		s.Flowinfo = 0
		s.Addr = a.IP
		s.Scope_id = a.Zone
		return unix.SizeofSockaddrInet6
	}
	return 0
}

// getAddr decodes what recvmsg wrote; kind AddrNone if it is no UDP address.
func getAddr(s *sockaddr, n uint32) (a pkt.Addr) {
	switch {
	case s.Family == unix.AF_INET && n >= unix.SizeofSockaddrInet4:
		v := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		a.Kind, a.Port = pkt.AddrUDP4, netOrder(v.Port)
		copy(a.IP[:], v.Addr[:])
	case s.Family == unix.AF_INET6 && n >= unix.SizeofSockaddrInet6:
		a.Kind, a.Port = pkt.AddrUDP6, netOrder(s.Port)
		a.IP, a.Zone = s.Addr, s.Scope_id
	}
	return a
}

// netOrder swaps v between the order of the machine and that of the network.
func netOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

func recvmmsg(fd uintptr, m []mmsghdr) (int, syscall.Errno) {
	n, _, e := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), e
}

func sendmmsg(fd uintptr, m []mmsghdr) (int, syscall.Errno) {
	n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), e
}

// receiver is the read side of a socket. Its only user is the reader.
type receiver struct {
	rc    syscall.RawConn
	fn    func(fd uintptr) bool // r.read; making it per call would allocate
	msgs  []mmsghdr
	names []sockaddr
	use   int  // messages to ask for
	wait  bool // block until there is one
	got   int
	errno syscall.Errno
}

func newReceiver(rc syscall.RawConn, n int) *receiver {
	r := &receiver{rc: rc, msgs: make([]mmsghdr, n), names: make([]sockaddr, n)}
	for i := range r.msgs {
		r.msgs[i].hdr.Name = (*byte)(unsafe.Pointer(&r.names[i]))
	}
	r.fn = r.read
	return r
}

func (r *receiver) read(fd uintptr) bool {
	for {
		r.got, r.errno = recvmmsg(fd, r.msgs[:r.use])
		switch r.errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return !r.wait
		}
		return true
	}
}

// recv fills the first n messages, which the caller has given buffers, and
// returns how many arrived. If none has, it waits, or returns EAGAIN. The
// error number is the kernel's, the error that of a closed socket.
func (r *receiver) recv(n int, wait bool) (int, syscall.Errno, error) {
	for i := range r.msgs[:n] {
		r.msgs[i].hdr.Namelen = unix.SizeofSockaddrInet6
	}
	r.use, r.wait, r.got, r.errno = n, wait, 0, 0
	if err := r.rc.Read(r.fn); err != nil {
		return 0, 0, err
	}
	if r.errno != 0 {
		return 0, r.errno, nil
	}
	return r.got, 0, nil
}

// writeWait bounds how long a full send buffer can hold up the sender. A
// device that takes nothing for so long is stuck, and others must not wait
// for it.
const writeWait = 50 * time.Millisecond

// sender is the write side of a socket, used under the lock of its Conn.
type sender struct {
	rc    syscall.RawConn
	dl    interface{ SetWriteDeadline(time.Time) error }
	fn    func(fd uintptr) bool
	msgs  []mmsghdr
	names []sockaddr
	iovs  []unix.Iovec
	count []int // packets in each message
	start []int // index of each message's first packet
	n     int   // messages built
	off   int   // messages done
	wait  bool
	errno syscall.Errno
}

func newSender(rc syscall.RawConn, dl interface{ SetWriteDeadline(time.Time) error }, n int) *sender {
	s := &sender{
		rc: rc, dl: dl, msgs: make([]mmsghdr, n), names: make([]sockaddr, n), iovs: make([]unix.Iovec, n),
		count: make([]int, n), start: make([]int, n),
	}
	for i := range s.msgs {
		s.msgs[i].hdr.Name = (*byte)(unsafe.Pointer(&s.names[i]))
	}
	s.fn = s.write
	return s
}

// write sends msgs[off:n] until one is refused.
func (s *sender) write(fd uintptr) bool {
	for s.off < s.n {
		k, e := sendmmsg(fd, s.msgs[s.off:s.n])
		switch {
		case e == unix.EINTR:
		case e == unix.EAGAIN && s.wait:
			return false
		case e != 0:
			s.errno = e
			return true
		case k <= 0: // cannot be, and must not become an endless loop
			s.errno = unix.EIO
			return true
		default:
			s.off += k
		}
	}
	return true
}

// send sends msgs[off:n] and returns nil and errno 0 when all are gone, else
// with off at the message that was refused, or EAGAIN if the socket stayed
// full for writeWait.
func (s *sender) send() (syscall.Errno, error) {
	s.errno, s.wait = 0, false
	if err := s.rc.Write(s.fn); err != nil {
		return 0, err
	}
	if s.errno != unix.EAGAIN {
		return s.errno, nil
	}
	if err := s.dl.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return 0, err
	}
	s.errno, s.wait = 0, true
	err := s.rc.Write(s.fn)
	if e := s.dl.SetWriteDeadline(time.Time{}); e != nil {
		return 0, e
	}
	if isTimeout(err) {
		return unix.EAGAIN, nil
	}
	return s.errno, err
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
