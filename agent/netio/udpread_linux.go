package netio

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meshagent/meshagent/agent/pkt"
)

// groSlots is how many merged packets one system call can receive. Each has a
// slot for the part beyond its Buf: 66 KiB, half a megabyte in all.
const (
	groSlots = 8
	slotLen  = 65536
)

// groCtlLen is the room of one control message with an int.
var groCtlLen = unix.CmsgSpace(4)

// udpReader receives packets into the caller's Bufs.
//
// Without GRO a packet lands in its Buf and is done. With GRO the kernel may
// hand over up to 64 packets of one sender in one piece. So every message has
// two places: the Buf, and behind it a slot. A single packet still lands in
// its Buf without a copy; of a merged one, the first packet is in the Buf and
// the others are copied out of the slot. Where the caller has too few Bufs,
// the rest waits in the slots, which then are not received into.
type udpReader struct {
	*receiver
	iovs []unix.Iovec // two per message with GRO, else one
	gro  bool
	ctl  []byte // groCtlLen per message
	slot []byte // slotLen per message
	// waiting are the packets left over, oldest first.
	waiting []groPart
	out     []*pkt.Buf
	// of the last recv, by message
	lens, segs []int
	addrs      []pkt.Addr
}

// groPart is a run of equal packets in a slot.
type groPart struct {
	data []byte
	seg  int
	addr pkt.Addr
}

func newUDPReader(rc syscall.RawConn, batch int, gro bool) *udpReader {
	n, per := batch, 1
	if gro {
		n, per = min(batch, groSlots), 2
	}
	r := &udpReader{
		receiver: newReceiver(rc, n), gro: gro, iovs: make([]unix.Iovec, n*per),
		lens: make([]int, n), segs: make([]int, n), addrs: make([]pkt.Addr, n),
	}
	if gro {
		r.ctl = make([]byte, n*groCtlLen)
		r.slot = make([]byte, n*slotLen)
		r.waiting = make([]groPart, 0, n+1)
		r.out = make([]*pkt.Buf, 0, batch)
	}
	for i := range r.msgs {
		h := &r.msgs[i].hdr
		h.Iov = &r.iovs[i*per]
		h.SetIovlen(per)
		if gro {
			h.Control = &r.ctl[i*groCtlLen]
		}
	}
	return r
}

// read receives at least one packet, or returns an error number or an error.
// n may be 0 without either if everything received was dropped. While packets
// come singly, it goes on until bufs is full or the socket empty: batches of
// groSlots would be too small for what is made of them later.
func (r *udpReader) read(bufs []*pkt.Buf) (n, dropped int, e syscall.Errno, err error) {
	if len(r.waiting) > 0 {
		return r.drain(bufs), 0, 0, nil
	}
	for n+dropped < len(bufs) {
		k := min(len(bufs)-n, len(r.msgs))
		r.prepare(bufs[n : n+k])
		got, e, err := r.recv(k, n+dropped == 0)
		if e == unix.EAGAIN {
			return n, dropped, 0, nil
		}
		if e != 0 || err != nil {
			return n, dropped, e, err
		}
		ok, merged := r.accept(bufs[n:], got)
		dropped += got - ok
		if merged {
			return n + r.split(bufs[n:], ok), dropped, 0, nil
		}
		n += ok
		if got < k {
			break
		}
	}
	return n, dropped, 0, nil
}

// prepare gives the messages their buffers.
func (r *udpReader) prepare(bufs []*pkt.Buf) {
	for i, b := range bufs {
		room := b.Room()
		if r.gro {
			setIov(&r.iovs[2*i], room)
			// The slot keeps room for what the Buf holds too.
			setIov(&r.iovs[2*i+1], r.slot[i*slotLen+len(room):(i+1)*slotLen])
			r.msgs[i].hdr.SetControllen(groCtlLen)
			continue
		}
		setIov(&r.iovs[i], room)
	}
}

// accept looks at the got messages that were received into bufs, moves the
// good ones to the front, returns their number, and tells whether one of them
// is several packets.
func (r *udpReader) accept(bufs []*pkt.Buf, got int) (n int, merged bool) {
	for i := range got {
		m := &r.msgs[i]
		size, seg := int(m.n), int(m.n)
		if r.gro && m.hdr.Controllen > 0 {
			if s := r.groSize(i); s > 0 && s < size {
				seg = s
			}
		}
		a := getAddr(&r.names[i], m.hdr.Namelen)
		if m.hdr.Flags&unix.MSG_TRUNC != 0 || seg > pkt.MaxMTU || size == 0 || a.Kind == pkt.AddrNone {
			continue
		}
		if n != i { // close the gap
			bufs[n], bufs[i] = bufs[i], bufs[n]
			if size > pkt.MaxMTU {
				copy(r.slot[n*slotLen+pkt.MaxMTU:], r.slot[i*slotLen+pkt.MaxMTU:i*slotLen+size])
			}
		}
		b := bufs[n]
		b.Extend(min(size, pkt.MaxMTU))
		b.Addr = a
		r.lens[n], r.segs[n], r.addrs[n] = size, seg, a
		merged = merged || seg < size
		n++
	}
	return n, merged
}

// groSize reads the segment size from the control message of message i, 0 if
// there is none.
func (r *udpReader) groSize(i int) int {
	c := r.ctl[i*groCtlLen : (i+1)*groCtlLen]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c[0]))
	if h.Level != unix.SOL_UDP || h.Type != unix.UDP_GRO || int(h.Len) < unix.CmsgLen(4) {
		return 0
	}
	return int(int32(binary.NativeEndian.Uint32(c[unix.CmsgLen(0):])))
}

// split gives every packet of the n messages a Buf of its own, in order, and
// returns how many packets there are now. What finds no Buf waits.
func (r *udpReader) split(bufs []*pkt.Buf, n int) int {
	bufs = bufs[:min(len(bufs), cap(r.out))]
	out, spare, end := r.out[:0], bufs[n:], n
	for i := 0; i < end; i++ {
		size, seg := r.lens[i], r.segs[i]
		if size > seg {
			// Put the whole into the slot; its part beyond the Buf is there.
			first := bufs[i].Bytes()
			copy(r.slot[i*slotLen+seg:], first[seg:])
			bufs[i].Truncate(seg)
		}
		out = append(out, bufs[i])
		data := r.slot[i*slotLen : i*slotLen+size]
		for off := seg; off < size; off += seg {
			if len(spare) == 0 {
				if end == i+1 {
					r.waiting = append(r.waiting, groPart{data[off:], seg, r.addrs[i]})
					break
				}
				end-- // the last message gives up its Buf and waits
				spare = bufs[end : end+1]
				copy(r.slot[end*slotLen:], bufs[end].Bytes())
			}
			b := spare[0]
			spare = spare[1:]
			b.Set(data[off:min(off+seg, size)])
			b.Addr = r.addrs[i]
			out = append(out, b)
		}
	}
	for i := end; i < n; i++ {
		r.waiting = append(r.waiting, groPart{r.slot[i*slotLen : i*slotLen+r.lens[i]], r.segs[i], r.addrs[i]})
	}
	k := len(out)
	out = append(out, spare...)
	copy(bufs, out)
	clear(out)
	return k
}

// drain hands out waiting packets.
func (r *udpReader) drain(bufs []*pkt.Buf) (n int) {
	for n < len(bufs) && len(r.waiting) > 0 {
		w := &r.waiting[0]
		k := min(w.seg, len(w.data))
		bufs[n].Set(w.data[:k])
		bufs[n].Addr = w.addr
		n++
		if w.data = w.data[k:]; len(w.data) == 0 {
			r.waiting = r.waiting[:copy(r.waiting, r.waiting[1:])]
		}
	}
	return n
}
