package session

import (
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Bounds of the packets that wait for a session. Stock cjdns keeps one packet
// per destination, 30 in all, for ten seconds; a few more per destination let
// the first flight of a TCP connection survive.
const (
	WaitPerDest = 8
	WaitTotal   = 128
	WaitTime    = 10 * time.Second
)

// Waiting holds packets of local programs until a session to their
// destination stands. One owner. The zero value is ready.
type Waiting struct {
	list []waiting // in order of arrival
	// Dropped counts packets refused or timed out.
	Dropped uint64
}

type waiting struct {
	ip  cjdns.IP
	at  mono.Time
	buf *pkt.Buf
}

// Len returns the number of waiting packets.
func (w *Waiting) Len() int { return len(w.list) }

// Add takes b if there is room for its destination, and reports whether it
// did. The newest packet is the one refused: the first of a flow is worth
// more than the last.
func (w *Waiting) Add(now mono.Time, ip cjdns.IP, b *pkt.Buf) bool {
	n := 0
	for i := range w.list {
		if w.list[i].ip == ip {
			n++
		}
	}
	if n >= WaitPerDest || len(w.list) >= WaitTotal {
		w.Dropped++
		return false
	}
	w.list = append(w.list, waiting{ip, now, b})
	return true
}

// Has reports whether a packet waits for ip.
func (w *Waiting) Has(ip cjdns.IP) bool {
	for i := range w.list {
		if w.list[i].ip == ip {
			return true
		}
	}
	return false
}

// Take appends the packets that wait for ip to dst, in order of arrival, and
// hands them to the caller.
func (w *Waiting) Take(ip cjdns.IP, dst []*pkt.Buf) []*pkt.Buf {
	return w.take(dst, func(e *waiting) bool { return e.ip == ip })
}

// Expired appends the packets that have waited for longer than WaitTime.
func (w *Waiting) Expired(now mono.Time, dst []*pkt.Buf) []*pkt.Buf {
	n := len(dst)
	dst = w.take(dst, func(e *waiting) bool { return now.Sub(e.at) >= WaitTime })
	w.Dropped += uint64(len(dst) - n)
	return dst
}

func (w *Waiting) take(dst []*pkt.Buf, is func(*waiting) bool) []*pkt.Buf {
	kept := w.list[:0]
	for i := range w.list {
		if is(&w.list[i]) {
			dst = append(dst, w.list[i].buf)
		} else {
			kept = append(kept, w.list[i])
		}
	}
	clear(w.list[len(kept):])
	w.list = kept
	return dst
}
