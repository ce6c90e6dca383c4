package mesh

import "github.com/meshagent/meshagent/agent/batman"

// tpMaxRanges is how many runs of segments that came too early a receiver
// remembers. Source: BATADV_TP_MAX_UNACKED.
const tpMaxRanges = 100

// tpWindow is how far ahead a segment may be. Source: BATADV_TP_AWND.
const tpWindow = 0x20000000

// tpReceiver is the receiving end of a test.
type tpReceiver struct {
	next  uint32 // everything before it has arrived
	early [tpMaxRanges]tpRange
	n     int // of early, in order, without touching one another
}

// tpRange is a run of bytes, without to.
type tpRange struct{ from, to uint32 }

func (r *tpReceiver) reset() { r.next, r.n = batman.TPFirstSeqno, 0 }

// take takes a segment of n bytes. What to acknowledge is next. It reports
// false for a segment that cannot be.
func (r *tpReceiver) take(seqno, n uint32) bool {
	end := seqno + n
	switch {
	case seqno-r.next > tpWindow && r.next-seqno > tpWindow:
		return false
	case before(r.next, seqno):
		r.keep(tpRange{seqno, end})
	case before(r.next, end):
		r.next = end
		r.close()
	}
	return true
}

// keep remembers a run that came too early. If there are too many, the last is
// forgotten: it will be sent again.
func (r *tpReceiver) keep(x tpRange) {
	i := r.n // the first run that ends at or behind x: mostly none
	for i > 0 && !before(r.early[i-1].to, x.from) {
		i--
	}
	j := i // the first run wholly behind x
	for j < r.n && !before(x.to, r.early[j].from) {
		if before(r.early[j].from, x.from) {
			x.from = r.early[j].from
		}
		if before(x.to, r.early[j].to) {
			x.to = r.early[j].to
		}
		j++
	}
	if i == j { // touches none
		if r.n == tpMaxRanges {
			if i == r.n {
				return
			}
			r.n--
		}
		copy(r.early[i+1:r.n+1], r.early[i:r.n])
		r.n++
	} else {
		copy(r.early[i+1:], r.early[j:r.n])
		r.n -= j - i - 1
	}
	r.early[i] = x
}

// close moves next over what came too early.
func (r *tpReceiver) close() {
	i := 0
	for i < r.n && !before(r.next, r.early[i].from) {
		if before(r.next, r.early[i].to) {
			r.next = r.early[i].to
		}
		i++
	}
	copy(r.early[:], r.early[i:r.n])
	r.n -= i
}
