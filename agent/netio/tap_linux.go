package netio

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// maxFrame is the longest frame that a TAP device may hand over: the largest
// MTU, the Ethernet header and an 802.1Q tag.
const maxFrame = pkt.MaxMTU + pkt.EthHeader + pkt.VLANTag

// TAPOptions are the options of OpenTAP.
type TAPOptions struct {
	Name  string // "" = the kernel chooses
	Batch int    // frames per batch, 0 = by the size of the machine
}

// TAP is an Ethernet device whose wire is this process. It is a Conn without
// addresses; its packets are whole Ethernet frames, from the destination
// address on, 802.1Q tags included, without a frame check sequence.
//
// It has no vnet header and offers no offload, so the kernel completes every
// checksum and cuts every super-packet before the frame gets here, also of
// frames that a bridge forwards from another device. One frame costs one
// system call.
type TAP struct {
	counters
	file  *os.File
	name  string
	batch int
	rc    syscall.RawConn
	rd    tapReader
	mu    sync.Mutex // guards wr
	wr    tapWriter

	closed atomic.Bool
}

// OpenTAP creates the device, or takes over a persistent one of that name with
// all that was configured on it. A new one is down and has the kernel's
// choice of address and MTU. It goes away with Close, see SetPersistent.
func OpenTAP(o TAPOptions) (*TAP, error) {
	if len(o.Name) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("tap device %s: the name has more than %d bytes", o.Name, unix.IFNAMSIZ-1)
	}
	w, err := water.New(water.Config{
		DeviceType:             water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{Name: o.Name},
	})
	var call *os.SyscallError // water's open error has no operand, its ioctl error has "ioctl"
	switch {
	case err == nil:
	case !errors.As(err, &call):
		return nil, explain("open "+tunPath, err)
	case errors.Is(err, unix.EINVAL):
		return nil, fmt.Errorf("tap device %s: %w: the name is taken by another kind of device, or is no name for one", o.Name, err)
	default:
		return nil, explain("create tap device "+o.Name, err)
	}
	what := "tap device " + w.Name()
	file, ok := w.ReadWriteCloser.(*os.File)
	if !ok {
		w.Close()
		return nil, errors.New(what + ": not a file")
	}
	t := &TAP{file: file, name: w.Name(), batch: defaultBatch(o.Batch)}
	if t.rc, err = file.SyscallConn(); err == nil {
		// A persistent device keeps the offloads of its last user.
		err = t.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, 0) })
	}
	if err != nil {
		file.Close()
		return nil, explain(what, err)
	}
	t.rd = tapReader{stat: &t.counters}
	t.rd.fn = t.rd.fill
	t.wr = tapWriter{stat: &t.counters}
	t.wr.fn = t.wr.flush
	return t, nil
}

// control runs f with the file descriptor.
func (t *TAP) control(f func(fd int) error) error {
	var err error
	if cerr := t.rc.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// SetPersistent says whether the device stays when we close it or die: then it
// keeps its addresses, its place in a bridge and the devices on top of it, has
// no carrier, and waits for the next OpenTAP.
func (t *TAP) SetPersistent(on bool) error {
	if err := setPersistent(t.rc, on); err != nil {
		return explain("tap device "+t.name+": set persistence", err)
	}
	return nil
}

// setPersistent says whether the TUN or TAP device behind rc stays when its
// descriptor is closed.
func setPersistent(rc syscall.RawConn, on bool) error {
	v := 0
	if on {
		v = 1
	}
	var err error
	if cerr := rc.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TUNSETPERSIST, v) }); cerr != nil {
		return cerr
	}
	return err
}

// Name returns the name of the device when it was opened.
func (t *TAP) Name() string { return t.name }

// Stats may be called at any time.
func (t *TAP) Stats() Stats { return t.stats() }

// Caps implements Conn.
func (t *TAP) Caps() Caps { return Caps{Batch: t.batch, Text: "tap"} }

// Close implements Conn.
func (t *TAP) Close() error {
	if t.closed.Swap(true) {
		return errClosed
	}
	return t.file.Close()
}

// ReadBatch implements Conn. The frames have right checksums. Frames longer
// than a Buf holds, if somebody has raised the MTU that far, are dropped.
func (t *TAP) ReadBatch(bufs []*pkt.Buf) (int, error) {
	for len(bufs) > 0 {
		n, err := t.rd.read(t.rc, bufs)
		if t.closed.Load() {
			return 0, errClosed
		}
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, goneError(err)
		}
	}
	return 0, nil
}

// WriteBatch implements Conn; addresses are ignored. A device that is down
// refuses everything.
func (t *TAP) WriteBatch(bufs []*pkt.Buf) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.wr.write(t.rc, bufs)
	if err != nil {
		if t.closed.Load() {
			err = errClosed
		}
		return n, goneError(err)
	}
	return n, nil
}

// tapReader reads from a TAP device. Its only user is the reader.
type tapReader struct {
	fn   func(fd uintptr) bool // r.fill; making it per call would allocate
	stat *counters

	bufs  []*pkt.Buf // of the call that runs
	n     int
	errno syscall.Errno
}

// read gives at least one frame, or an error, or 0 and nil if everything was
// dropped.
func (r *tapReader) read(rc syscall.RawConn, bufs []*pkt.Buf) (int, error) {
	r.bufs, r.n, r.errno = bufs, 0, 0
	err := rc.Read(r.fn)
	r.bufs = nil
	if r.n > 0 {
		return r.n, nil // an error shows again at the next call
	}
	if err == nil && r.errno != 0 {
		err = r.errno
	}
	return 0, err
}

// fill reads until the batch is full or the queue is empty.
func (r *tapReader) fill(fd uintptr) bool {
	for r.n < len(r.bufs) {
		b := r.bufs[r.n]
		room := b.EthRoom()
		n, e := rawIO(unix.SYS_READ, fd, room)
		switch e {
		case 0:
			// The kernel cuts off what does not fit, without a word; the
			// room is longer than any frame that we take.
			if n < pkt.EthHeader || n > maxFrame {
				r.stat.rxDropped.Add(1)
				continue
			}
			b.Extend(n)
			b.Addr = pkt.Addr{}
			r.n++
		case unix.EINTR:
		case unix.EAGAIN:
			return r.n > 0
		default:
			r.errno = e
			return true
		}
	}
	return true
}

// tapWriter writes to a TAP device.
type tapWriter struct {
	fn   func(fd uintptr) bool
	stat *counters

	bufs  []*pkt.Buf // of the call that runs
	sent  int
	errno syscall.Errno // only of the kind that ends the device
}

func (w *tapWriter) write(rc syscall.RawConn, bufs []*pkt.Buf) (int, error) {
	w.bufs, w.sent, w.errno = bufs, 0, 0
	err := rc.Write(w.fn)
	w.bufs = nil
	if err == nil && w.errno != 0 {
		err = w.errno
	}
	return w.sent, err
}

// flush writes all frames. It never waits: a TAP device takes a frame or
// refuses it.
func (w *tapWriter) flush(fd uintptr) bool {
	for i := 0; i < len(w.bufs); {
		p := w.bufs[i].Bytes()
		e := syscall.Errno(unix.EINVAL)
		if len(p) >= pkt.EthHeader {
			_, e = rawIO(unix.SYS_WRITE, fd, p)
		}
		switch e {
		case unix.EINTR:
			continue
		case 0:
			w.sent++
		case unix.EBADFD:
			w.errno = e
			return true
		default:
			w.stat.txRefused.Add(1)
		}
		i++
	}
	return true
}

// rawIO is read or write without the checks of package os, inside a callback
// that holds the descriptor.
func rawIO(call, fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, e := unix.Syscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), e
}
