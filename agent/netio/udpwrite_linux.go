package netio

import (
	"encoding/binary"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// Limits of one UDP_SEGMENT send. Source: include/linux/udp.h,
// UDP_MAX_SEGMENTS (64, 128 from Linux 6.9 on); the bytes are what fits one
// IPv6 packet with headers, and so one IPv4 packet too.
const (
	maxSegments = 64
	maxGSOBytes = 65487
)

// gsoCtlLen is the room of one control message with a uint16.
var gsoCtlLen = unix.CmsgSpace(2)

// udpWriter makes messages of packets.
type udpWriter struct {
	*sender
	family  uint16
	ctl     []byte // gsoCtlLen bytes per message, filled in but for the size
	skipped int    // packets that build left out for want of a usable Addr

	// A path whose MTU is below a segment refuses GSO but may take the
	// packets singly, as fragments. Packets of noSeg bytes or more are not
	// merged while holdFor batches last.
	noSeg, holdFor int
}

// gsoHold is how many calls of WriteBatch pass before GSO is tried again
// after a refusal that depends on the destination.
const gsoHold = 4096

func newUDPWriter(rc syscall.RawConn, dl interface{ SetWriteDeadline(time.Time) error }, batch int, family uint16) *udpWriter {
	w := &udpWriter{sender: newSender(rc, dl, batch), family: family, ctl: make([]byte, batch*gsoCtlLen)}
	for i := range batch {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&w.ctl[i*gsoCtlLen]))
		h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
	}
	return w
}

// build makes messages of the first packets of bufs and returns how many
// packets it used, those it skipped included.
func (w *udpWriter) build(bufs []*pkt.Buf, gso bool) int {
	w.n, w.off, w.skipped = 0, 0, 0
	limit := maxSegments
	if !gso {
		limit = 1
	}
	var (
		iov   int       // used entries of iovs
		addr  *pkt.Addr // of the message being built
		seg   int       // size of its first packet
		total int
		full  bool // it takes no more packets
	)
	for i, b := range bufs {
		if iov == len(w.iovs) {
			w.finish(seg)
			return i
		}
		p := b.Bytes()
		m := w.n - 1
		if m >= 0 && !full && len(p) <= seg && len(p) > 0 && w.count[m] < limit && total+len(p) <= maxGSOBytes && b.Addr == *addr {
			setIov(&w.iovs[iov], p)
			iov++
			w.count[m]++
			total += len(p)
			full = len(p) < seg
			continue
		}
		w.finish(seg)
		n := putAddr(&w.names[w.n], &b.Addr, w.family)
		if n == 0 {
			w.skipped++
			full = true
			continue
		}
		m = w.n
		h := &w.msgs[m].hdr
		h.Namelen = n
		h.Iov = &w.iovs[iov]
		setIov(&w.iovs[iov], p)
		iov++
		w.count[m], w.start[m] = 1, i
		w.n++
		addr, seg, total = &b.Addr, len(p), len(p)
		full = limit == 1 || (w.holdFor > 0 && seg >= w.noSeg)
	}
	w.finish(seg)
	return len(bufs)
}

// finish completes the last message: its number of packets, and if there are
// several, the control message that says where to cut.
func (w *udpWriter) finish(seg int) {
	if w.n == 0 {
		return
	}
	m := w.n - 1
	h := &w.msgs[m].hdr
	h.SetIovlen(w.count[m])
	if w.count[m] == 1 {
		h.Control = nil
		h.SetControllen(0)
		return
	}
	c := w.ctl[m*gsoCtlLen : (m+1)*gsoCtlLen]
	binary.NativeEndian.PutUint16(c[unix.CmsgLen(0):], uint16(seg))
	h.Control = &c[0]
	h.SetControllen(gsoCtlLen)
}

// hold stops merging packets as large as those of message m for a while.
func (w *udpWriter) hold(m int) {
	w.noSeg, w.holdFor = int(w.msgs[m].hdr.Iov.Len), gsoHold
}

// aged counts one call of WriteBatch.
func (w *udpWriter) aged() {
	if w.holdFor > 0 {
		w.holdFor--
	}
}
