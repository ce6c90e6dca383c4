package netio

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// readv and writev without the slice of slices of x/sys, which would allocate.
func readv(fd uintptr, v []unix.Iovec) (int, syscall.Errno) {
	n, _, e := unix.Syscall(unix.SYS_READV, fd, uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
	return int(n), e
}

func writev(fd uintptr, v []unix.Iovec) syscall.Errno {
	_, _, e := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
	return e
}

func setIov(v *unix.Iovec, p []byte) {
	v.Base = unsafe.SliceData(p)
	v.SetLen(len(p))
}

// maxSuper is the longest super-packet that a TUN device hands over.
const maxSuper = 65536

// tunReader reads from a TUN device. An ordinary packet lands in its Buf
// without a copy; only what does not fit there spills into big.
type tunReader struct {
	rc    syscall.RawConn
	fn    func(fd uintptr) bool
	vnet  bool
	mtu   int
	hdr   *[vnetHdrLen]byte
	big   []byte // a whole super-packet: the first pkt.MaxMTU bytes are moved in from the Buf
	iov   []unix.Iovec
	split splitter
	stat  *counters

	bufs  []*pkt.Buf // of the call that runs
	n     int
	errno syscall.Errno
}

func newTUNReader(rc syscall.RawConn, vnet bool, mtu int, stat *counters) *tunReader {
	r := &tunReader{rc: rc, vnet: vnet, mtu: mtu, hdr: new([vnetHdrLen]byte), iov: make([]unix.Iovec, 3), stat: stat}
	r.fn = r.fill
	if vnet {
		r.big = make([]byte, maxSuper)
		setIov(&r.iov[0], r.hdr[:])
		setIov(&r.iov[2], r.big[pkt.MaxMTU:])
	}
	return r
}

// read gives at least one packet, or an error, or 0 and nil if everything was
// dropped.
func (r *tunReader) read(bufs []*pkt.Buf) (int, error) {
	r.bufs, r.n, r.errno = bufs, 0, 0
	r.cut()
	if r.n == len(bufs) {
		return r.n, nil
	}
	err := r.rc.Read(r.fn)
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
func (r *tunReader) fill(fd uintptr) bool {
	for r.n < len(r.bufs) {
		n, e := r.one(fd)
		switch e {
		case 0:
			r.take(n)
			r.cut()
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

// one reads one packet, or super-packet, and returns the length of what the
// kernel wrote.
func (r *tunReader) one(fd uintptr) (int, syscall.Errno) {
	room := r.bufs[r.n].Room()
	if r.vnet {
		setIov(&r.iov[1], room)
		return readv(fd, r.iov)
	}
	setIov(&r.iov[0], room)
	return readv(fd, r.iov[:1])
}

// take looks at what one has read: n bytes, vnet header included.
func (r *tunReader) take(n int) {
	var h vnetHdr
	if r.vnet {
		h = parseVnet(r.hdr)
		n -= vnetHdrLen
	}
	b := r.bufs[r.n]
	room := b.Room()
	if n < ip6Len || room[0]>>4 != ip6Version {
		r.stat.rxDropped.Add(1)
		return
	}
	if h.gsoType != gsoNone {
		copy(r.big, room[:min(n, len(room))])
		if !r.split.start(h, r.big[:n], r.mtu) {
			r.stat.rxDropped.Add(1)
		}
		return
	}
	if n > min(r.mtu, len(room)) || int(binary.BigEndian.Uint16(room[4:])) != n-ip6Len ||
		(h.flags&vnetNeedsCsum != 0 && !finishCsum(h, room[:n])) {
		r.stat.rxDropped.Add(1)
		return
	}
	b.Extend(n)
	b.Addr = pkt.Addr{}
	r.n++
}

// cut hands out segments of the current super-packet.
func (r *tunReader) cut() {
	for r.split.active() && r.n < len(r.bufs) {
		b := r.bufs[r.n]
		r.split.next(b)
		b.Addr = pkt.Addr{}
		r.n++
	}
}

// tunWriter writes to a TUN device.
type tunWriter struct {
	rc    syscall.RawConn
	fn    func(fd uintptr) bool
	vnet  bool
	merge *merger
	head  []byte // vnet header and headers of a super-packet
	zero  []byte // the vnet header of a packet that stays as it is
	iov   []unix.Iovec
	stat  *counters

	bufs  []*pkt.Buf // of the call that runs
	sent  int
	errno syscall.Errno // only of the kind that ends the device
}

func newTUNWriter(rc syscall.RawConn, vnet, uso bool, batch int, stat *counters) *tunWriter {
	w := &tunWriter{
		rc: rc, vnet: vnet, merge: newMerger(batch, vnet, uso), stat: stat,
		head: make([]byte, maxHead), zero: make([]byte, vnetHdrLen), iov: make([]unix.Iovec, maxMerge+1),
	}
	w.fn = w.flush
	return w
}

func (w *tunWriter) write(bufs []*pkt.Buf) (int, error) {
	w.bufs, w.sent, w.errno = bufs, 0, 0
	w.merge.sort(bufs)
	err := w.rc.Write(w.fn)
	w.bufs = nil
	if err == nil && w.errno != 0 {
		err = w.errno
	}
	return w.sent, err
}

// flush writes all groups. It never waits: a TUN device takes everything or
// refuses it.
func (w *tunWriter) flush(fd uintptr) bool {
	for i := range w.merge.groups {
		g := &w.merge.groups[i]
		e := syscall.Errno(unix.EINVAL)
		if g.count > 1 {
			e = w.super(fd, g)
			if e == unix.EINVAL {
				w.refuse(g.proto)
			}
		}
		if g.count == 1 || e == unix.EINVAL {
			e = w.singly(fd, g)
		}
		if e == unix.EBADFD {
			w.errno = e
			return true
		}
	}
	return true
}

// super writes g as one super-packet.
func (w *tunWriter) super(fd uintptr, g *group) syscall.Errno {
	k := g.head(w.head, w.bufs[g.first].Bytes())
	setIov(&w.iov[0], w.head[:k])
	n := 1
	for i := g.first; i >= 0; i = w.merge.next[i] {
		setIov(&w.iov[n], w.bufs[i].Bytes()[g.hdr:])
		n++
	}
	e := w.put(fd, w.iov[:n])
	switch e {
	case 0:
		w.sent += g.count
	case unix.EINVAL, unix.EBADFD:
	default:
		w.stat.txRefused.Add(uint64(g.count))
	}
	return e
}

// refuse stops merging a protocol whose super-packets this kernel does not
// take.
func (w *tunWriter) refuse(proto byte) {
	if proto == protoTCP {
		w.merge.tcp = false
	} else {
		w.merge.udp = false
	}
}

// singly writes the packets of g one by one.
func (w *tunWriter) singly(fd uintptr, g *group) syscall.Errno {
	for i := g.first; i >= 0; i = w.merge.next[i] {
		v := w.iov[:1]
		if w.vnet {
			v = w.iov[:2]
			setIov(&v[0], w.zero)
		}
		setIov(&v[len(v)-1], w.bufs[i].Bytes())
		switch e := w.put(fd, v); e {
		case 0:
			w.sent++
		case unix.EBADFD:
			return e
		default:
			w.stat.txRefused.Add(1)
		}
	}
	return 0
}

func (w *tunWriter) put(fd uintptr, v []unix.Iovec) syscall.Errno {
	for {
		if e := writev(fd, v); e != unix.EINTR {
			return e
		}
	}
}
