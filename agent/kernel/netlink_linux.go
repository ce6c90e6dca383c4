package kernel

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Conn is a netlink socket. The types of its messages, and of its errors, are
// those of the library, whose own Conn is one too; but that has more than we
// need, and brings 40 kB into a package.
//
// One goroutine at a time may use it. Close may be called beside, and ends what
// waits.
type Conn interface {
	// Execute sends m and waits for what belongs to it: an acknowledgement,
	// one answer, or all of a list. What the kernel refuses is a
	// *netlink.OpError, which matches its unix.Errno.
	Execute(m netlink.Message) ([]netlink.Message, error)
	// Receive waits for the next messages. The error matches unix.ENOBUFS if
	// some were lost.
	Receive() ([]netlink.Message, error)
	JoinGroup(group uint32) error
	SetOption(o netlink.ConnOption, on bool) error
	Close() error
}

// Dial opens netlink sockets; a variable for tests, here and elsewhere.
var Dial = func(family int) (Conn, error) { return dial(family, 0) }

// socket is a netlink socket of the kernel's.
type socket struct {
	file *os.File
	raw  syscall.RawConn
	seq  uint32 // of the last request
}

var _ Conn = (*socket)(nil)

// dial opens a socket of that family that hears the multicast groups in the
// mask, of which there are 32; JoinGroup knows all.
func dial(family int, groups uint32) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, family)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return newSocket(fd)
}

// newSocket takes over fd, which does not block.
func newSocket(fd int) (*socket, error) {
	s := &socket{file: os.NewFile(uintptr(fd), "netlink")}
	var err error
	s.raw, err = s.file.SyscallConn()
	return s, err
}

func (s *socket) Close() error { return s.file.Close() }

func (s *socket) JoinGroup(group uint32) error {
	return s.set("join-group", unix.NETLINK_ADD_MEMBERSHIP, int(group))
}

// SetOption knows ExtendedAcknowledge, by which the kernel says more about
// errors.
func (s *socket) SetOption(o netlink.ConnOption, on bool) error {
	if o != netlink.ExtendedAcknowledge {
		return failed("set-option", unix.ENOPROTOOPT)
	}
	v := 0
	if on {
		v = 1
	}
	return s.set("set-option", unix.NETLINK_EXT_ACK, v)
}

func (s *socket) set(op string, name, v int) error {
	var err error
	if e := s.raw.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, name, v))
	}); e != nil {
		err = e
	}
	return failed(op, err)
}

// failed is the library's form of an error; nil if there is none.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &netlink.OpError{Op: op, Err: err}
}

// send sends messages as one, and numbers them.
func (s *socket) send(list ...netlink.Message) error {
	var b []byte
	for _, m := range list {
		s.seq++
		b = appendMessage(b, m, s.seq)
	}
	_, err := s.file.Write(b) // without another address, the kernel is meant
	return failed("send", err)
}

// again calls f until no signal interrupts it.
func again(f func() error) error {
	for {
		if err := f(); err != unix.EINTR { //nolint:errorlint // a bare number
			return err
		}
	}
}

// datagram waits for what the kernel sends next. It is asked for the length
// first, as a list of radios may need some pages.
func (s *socket) datagram() ([]byte, error) {
	var b []byte
	var err error
	if e := s.raw.Read(func(fd uintptr) bool {
		n := 0
		err = again(func() (err error) {
			n, _, err = unix.Recvfrom(int(fd), nil, unix.MSG_PEEK|unix.MSG_TRUNC)
			return err
		})
		if err == nil {
			b = make([]byte, n)
			err = again(func() (err error) {
				n, _, err = unix.Recvfrom(int(fd), b, 0)
				return err
			})
		}
		if err == nil {
			b = b[:n]
		}
		if err == nil && n == 0 { // none of the kernel's: a request would wait for ever
			err = io.ErrUnexpectedEOF
		}
		return err != unix.EAGAIN //nolint:errorlint // a bare number
	}); e != nil {
		return nil, failed("receive", e)
	}
	return b, failed("receive", os.NewSyscallError("recvfrom", err))
}

func (s *socket) Receive() ([]netlink.Message, error) {
	b, err := s.datagram()
	if err != nil {
		return nil, err
	}
	list, _, err := splitMessages(b)
	return list, err
}

// Execute leaves out what belongs to an earlier request that failed half way.
func (s *socket) Execute(m netlink.Message) ([]netlink.Message, error) {
	if err := s.send(m); err != nil {
		return nil, err
	}
	var answers []netlink.Message
	for {
		b, err := s.datagram()
		if err != nil {
			return nil, err
		}
		list, end, err := splitMessages(b)
		if e := (*netlink.OpError)(nil); errors.As(err, &e) && e.Sequence != s.seq && e.Sequence != 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		ours := false
		for _, a := range list {
			if a.Header.Sequence == s.seq {
				ours = true
				answers = append(answers, a)
			}
		}
		if end == s.seq || ours && list[len(list)-1].Header.Flags&netlink.Multi == 0 {
			return answers, nil
		}
	}
}

// appendMessage writes struct nlmsghdr (uapi/linux/netlink.h) and the data,
// padded to 4 bytes. The kernel knows the sender by the socket.
func appendMessage(b []byte, m netlink.Message, seq uint32) []byte {
	n := unix.NLMSG_HDRLEN + len(m.Data)
	b = binary.NativeEndian.AppendUint32(b, uint32((n+3)&^3)) //nolint:gosec // what we send is short
	b = binary.NativeEndian.AppendUint16(b, uint16(m.Header.Type))
	b = binary.NativeEndian.AppendUint16(b, uint16(m.Header.Flags))
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(append(b, m.Data...), make([]byte, (4-n%4)%4)...)
}

var errShort = errors.New("message cut off")

// splitMessages takes a datagram apart. end is the number of the request whose
// list ends here; 0 if none does. An error that the kernel reports among the
// messages is returned, and none of them.
func splitMessages(b []byte) (list []netlink.Message, end uint32, err error) {
	for len(b) > 0 {
		if len(b) < unix.NLMSG_HDRLEN {
			return nil, 0, failed("receive", errShort)
		}
		n := binary.NativeEndian.Uint32(b)
		if n < unix.NLMSG_HDRLEN || uint64(n) > uint64(len(b)) {
			return nil, 0, failed("receive", errShort)
		}
		m := netlink.Message{Header: netlink.Header{
			Length: n, Type: netlink.HeaderType(binary.NativeEndian.Uint16(b[4:])), Flags: netlink.HeaderFlags(binary.NativeEndian.Uint16(b[6:])),
			Sequence: binary.NativeEndian.Uint32(b[8:]), PID: binary.NativeEndian.Uint32(b[12:]),
		}, Data: b[unix.NLMSG_HDRLEN:n:n]}
		b = b[min(len(b), int(n+3)&^3):]
		if err := refusal(m); err != nil {
			return nil, 0, err
		}
		if m.Header.Type == netlink.Done {
			return list, m.Header.Sequence, nil
		}
		list = append(list, m)
	}
	return list, 0, nil
}

// refusal is the error that m reports: struct nlmsgerr, or at the end of a
// list the number alone, and behind it what the kernel has to say about it. The
// latter comes behind the whole request, or its header if that is all of it.
func refusal(m netlink.Message) error {
	rest := attr(m.Data)
	switch {
	case m.Header.Type == netlink.Error && len(rest) >= 4:
	case m.Header.Type == netlink.Done && len(rest) >= 4:
	case m.Header.Type == netlink.Error:
		return failed("receive", errShort)
	default:
		return nil
	}
	code := int32(rest.u32()) //nolint:gosec // a negative number
	if code == 0 {
		return nil
	}
	e := &netlink.OpError{Op: "receive", Err: syscall.Errno(-code), Sequence: m.Header.Sequence}
	if rest = rest[4:]; m.Header.Flags&netlink.AcknowledgeTLVs == 0 {
		return e
	}
	if m.Header.Type == netlink.Error {
		skip := uint64(rest.u32())
		if m.Header.Flags&netlink.Capped != 0 {
			skip = unix.NLMSG_HDRLEN
		}
		if skip = (skip + 3) &^ 3; skip > uint64(len(rest)) {
			return e
		}
		rest = rest[skip:]
	}
	_ = attrs(rest, func(typ uint16, v attr) error { // what is damaged is not said
		switch typ {
		case unix.NLMSGERR_ATTR_MSG:
			e.Message = v.text()
		case unix.NLMSGERR_ATTR_OFFS:
			e.Offset = int(v.u32())
		}
		return nil
	})
	return e
}
