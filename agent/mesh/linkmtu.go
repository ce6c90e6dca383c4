package mesh

import (
	"slices"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// How the largest packet of a link is found. Sizes are those of a packet of
// the mesh, without the Ethernet header, as an MTU counts.
const (
	// linkLeast is the least that is asked for. Fragments are not longer, so a
	// link that carries less is of no use to anybody's mesh.
	linkLeast = fragLink
	// linkUsual is tried before anything between, because most links that carry
	// less than their MTU are Ethernet without large frames.
	linkUsual = 1500

	linkFirst  = 2 * time.Second        // after a station was heard
	linkWait   = 500 * time.Millisecond // for the answers to one try
	linkTries  = 4                      // tries of a size that all have to fail
	linkMute   = 8                      // tries in a row without any answer: later
	linkPause  = 5 * time.Second        // before the next attempt then, twice as long each time, up to
	linkRest   = 5 * time.Minute
	linkCheck  = 2 * time.Minute  // between looks at a link that carries large packets
	linkSearch = 30 * time.Minute // between attempts to find that a short link has become longer

	// Tries of all links together: two packets each.
	linkTryTime  = 125 * time.Millisecond
	linkTryBurst = 16
)

// linkMTU finds out how large a packet may be on the link to one station. It
// is told what time it is and what came back, and says what to send.
//
// A try is a large packet and a small one behind it. The size fails only if
// four tries fail in which the small one came back: so a bad link does not look
// like a short one. Stations that answer nothing are asked with small packets
// alone. The zero value knows nothing and is due at once.
type linkMTU struct {
	at      mono.Time // of the next thing to do
	top     int       // the interface's MTU, at most pkt.MaxMTU: that of the search
	limit   int       // what the link carries, if that is less than top; else 0
	known   bool      // limit means something
	answers bool      // the station has answered before

	low, high int  // low comes through, high does not; 0: not known
	size      int  // that is tried; 0: the search is over
	checking  bool // only whether what is known still holds
	hint      int  // what an earlier search found
	fails     int  // tries of this size
	mute      int  // tries in a row without any answer
	pause     time.Duration
	searchAt  mono.Time // of the next attempt to find that more comes through

	under bool // a try is under way
	any   bool // its small packet, or that of one before, has come back
	// The numbers of the newest packets of this size, and how many tries there
	// were: an answer that comes late counts too.
	large, small [linkTries]uint16
	tries        int
}

// linkTry is a try: sizes of the packets to send, 0 for none.
type linkTry struct{ large, small int }

// begin forgets what the link could do, because the interface has changed or
// the station is new. top is the MTU of the interface.
func (l *linkMTU) begin(at mono.Time, top int) {
	top = min(top, pkt.MaxMTU)
	*l = linkMTU{at: at, top: top, limit: l.limit, answers: l.answers}
	if l.limit >= top {
		l.limit = 0
	}
	if top <= linkLeast {
		l.at, l.known, l.limit = mono.Never, true, 0 // the interface says it, and nothing is left to ask
	}
}

// current is the largest packet that may be sent.
func (l *linkMTU) current() int {
	if l.limit != 0 {
		return l.limit
	}
	return l.top
}

// expire does what is due: it takes a try without an answer for what it is,
// and says what to send next. large says that large packets went by the link
// since the last call that asked for nothing.
func (l *linkMTU) expire(now mono.Time, large bool) linkTry {
	if l.under {
		l.under = false
		if l.any {
			l.mute = 0
			if l.fails++; l.fails >= linkTries {
				l.high = l.size
				l.next(now)
			}
		} else if l.mute++; l.mute >= linkMute || !l.answers {
			l.rest(now)
		}
		if now < l.at {
			return linkTry{}
		}
	}
	if l.size == 0 {
		switch {
		case !l.known, now >= l.searchAt && l.limit != 0:
			l.low, l.high, l.size, l.fails, l.checking, l.hint = 0, 0, l.top, 0, false, l.limit
		case large:
			l.low, l.high, l.size, l.fails, l.checking, l.hint = 0, 0, l.current(), 0, true, 0
		default:
			l.at = now.Add(linkCheck)
			return linkTry{}
		}
	}
	l.under, l.any = true, false
	l.at = now.Add(linkWait)
	if !l.answers {
		return linkTry{small: batman.ICMPLen}
	}
	return linkTry{l.size, batman.ICMPLen}
}

// sent tells the numbers of the packets of the try.
func (l *linkMTU) sent(large, small uint16) {
	k := l.tries % linkTries
	l.large[k], l.small[k] = large, small
	l.tries++
}

// answer takes an answer with that number and reports whether it belongs to a
// try of the present size.
func (l *linkMTU) answer(now mono.Time, seqno uint16) bool {
	n := min(l.tries, linkTries)
	switch {
	case slices.Contains(l.small[:n], seqno):
		l.any = true
		if !l.answers {
			l.answers, l.under, l.mute, l.pause, l.at, l.tries = true, false, 0, 0, now, 0
		}
	case l.answers && slices.Contains(l.large[:n], seqno):
		l.under, l.mute, l.pause = false, 0, 0
		l.low = l.size
		l.at = now
		l.next(now)
	default:
		return false
	}
	return true
}

// rest leaves a station alone that answers nothing.
func (l *linkMTU) rest(now mono.Time) {
	l.mute, l.fails = 0, 0
	l.pause = min(max(2*l.pause, linkPause), linkRest)
	l.at = now.Add(l.pause)
}

// next chooses the next size of the search, or ends it.
func (l *linkMTU) next(now mono.Time) {
	l.fails, l.tries = 0, 0
	switch {
	case l.checking && l.low != 0, l.low >= l.top:
		l.done(now, l.low)
	case l.checking:
		// What held does not hold any more. Until something is found to get
		// through, only what has to is sent.
		l.checking, l.limit = false, linkLeast
		l.size = linkLeast
	case l.high <= linkLeast:
		l.done(now, linkLeast)
	case l.low < l.hint && l.hint < l.high:
		l.size = l.hint
	case l.low == l.hint && l.low != 0 && l.low+1 < l.high:
		l.size = l.low + 1 // most probably it is what it was
	case l.low < linkUsual && linkUsual < l.high:
		l.size = linkUsual
	case l.low < linkLeast:
		l.size = linkLeast
	case l.high-l.low <= 1:
		l.done(now, l.low)
	default:
		l.size = (l.low + l.high) / 2
	}
	if l.size != 0 && (l.limit == 0 || l.limit < l.low || l.limit >= l.high) {
		l.limit = max(l.low, linkLeast) // what is safe, until the search is over
	}
}

// done ends a search or a check.
func (l *linkMTU) done(now mono.Time, size int) {
	if !l.checking {
		// A loss at the wrong moment is not believed for long, nor is what the
		// other end has not yet learned of its own direction.
		l.searchAt = now.Add(linkCheck)
		if size == l.hint {
			l.searchAt = now.Add(linkSearch)
		}
	}
	l.known, l.size, l.checking = true, 0, false
	l.limit = size
	if size >= l.top {
		l.limit = 0
	}
	l.at = now.Add(linkCheck)
}

// resting reports whether a search has ended and no other one has begun.
func (l *linkMTU) resting() bool { return l.known && l.size == 0 }
