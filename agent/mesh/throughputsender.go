package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// The sender of a throughput test sends as a TCP does that has endless data:
// slow start and congestion avoidance (RFC 5681), fast recovery (RFC 6582)
// and a retransmission timer (RFC 6298). Other than the kernel's it goes back
// and sends everything again once fast recovery has found several holes:
// without selective acknowledgements each hole costs a round trip, and a
// queue that overflows in slow start makes hundreds.
const (
	tpMSS       = batman.TPPayload
	tpMaxWindow = 4 << 20 // bytes under way
	tpFirstRTO  = time.Second
	tpMinRTO    = 200 * time.Millisecond
	tpMaxRTO    = 30 * time.Second // no acknowledgement for that long: unreachable
	tpHoles     = 3                // found one after the other before everything is sent again
)

// tpSender is the sending end of a test: it says which segment to send next
// and learns from acknowledgements. It knows nothing of packets.
type tpSender struct {
	acked, sent, top uint32 // acknowledged up to; next to send; highest sent so far
	cwnd, ssthresh   uint32 // bytes
	grow             uint32 // bytes acknowledged since the window last grew, in congestion avoidance
	dups             int
	recovering       bool
	back             bool   // recovering by sending everything again
	recover          uint32 // recovery ends when this is acknowledged
	holes            int    // found in this recovery
	resend           bool   // send the segment at acked first
	srtt, rttvar     time.Duration
	rto              time.Duration
	rtoAt            mono.Time
	total            uint64 // bytes acknowledged
}

func newTPSender(now mono.Time) tpSender {
	return tpSender{
		acked: batman.TPFirstSeqno, sent: batman.TPFirstSeqno, top: batman.TPFirstSeqno, recover: batman.TPFirstSeqno,
		cwnd: 3 * tpMSS, ssthresh: tpMaxWindow, rto: tpFirstRTO, rtoAt: now.Add(tpFirstRTO),
	}
}

// before compares sequence numbers, which wrap.
func before(a, b uint32) bool { return int32(a-b) < 0 }

// next returns the segment to send now; false if the window is full.
func (s *tpSender) next(now mono.Time) (seqno uint32, ok bool) {
	if s.resend {
		s.resend = false
		s.rtoAt = now.Add(s.rto)
		return s.acked, true
	}
	if s.sent-s.acked+tpMSS > s.cwnd {
		return 0, false
	}
	if s.sent == s.acked { // nothing was under way
		s.rtoAt = now.Add(s.rto)
	}
	seqno = s.sent
	s.sent += tpMSS
	if before(s.top, s.sent) {
		s.top = s.sent
	}
	return seqno, true
}

// ready reports whether next has something.
func (s *tpSender) ready() bool { return s.resend || s.sent-s.acked+tpMSS <= s.cwnd }

// ack takes an acknowledgement of everything before seqno. rtt is how long it
// took, 0 if unknown. It reports false for one that cannot be.
func (s *tpSender) ack(now mono.Time, seqno uint32, rtt time.Duration) bool {
	if before(seqno, s.acked) || before(s.top, seqno) {
		return false
	}
	if rtt > 0 {
		s.measure(rtt)
	}
	if seqno == s.acked {
		s.duplicate()
		return true
	}
	n := seqno - s.acked
	s.total += uint64(n)
	s.acked, s.dups, s.resend = seqno, 0, false
	if before(s.sent, seqno) {
		s.sent = seqno
	}
	s.rtoAt = now.Add(s.rto)
	switch {
	case s.recovering && !before(seqno, s.recover):
		s.recovering, s.back = false, false
		s.cwnd, s.grow = s.ssthresh, 0
	case s.recovering:
		s.hole(n)
	case s.cwnd < s.ssthresh:
		s.cwnd = min(s.cwnd+min(n, 2*tpMSS), tpMaxWindow)
	default:
		if s.grow += n; s.grow >= s.cwnd {
			s.grow -= s.cwnd
			s.cwnd = min(s.cwnd+tpMSS, tpMaxWindow)
		}
	}
	return true
}

// duplicate takes an acknowledgement of what was acknowledged before: a later
// segment arrived.
func (s *tpSender) duplicate() {
	switch {
	case s.sent == s.acked || s.back:
	case s.recovering:
		s.cwnd = min(s.cwnd+tpMSS, tpMaxWindow) // another one left the network
	default:
		if s.dups++; s.dups != 3 || before(s.acked, s.recover) {
			return
		}
		s.slowDown()
		s.recovering, s.holes = true, 0
		s.cwnd = s.ssthresh + 3*tpMSS
		s.resend = true
	}
}

// hole takes an acknowledgement during recovery that does not end it: n bytes
// more arrived, and then another segment is missing.
func (s *tpSender) hole(n uint32) {
	if s.back {
		return
	}
	if s.holes++; s.holes >= tpHoles {
		s.back = true
		s.cwnd, s.sent = s.ssthresh, s.acked
		return
	}
	s.cwnd = max(s.cwnd-min(s.cwnd, n)+tpMSS, s.ssthresh)
	s.resend = true
}

// slowDown halves the rate after a loss.
func (s *tpSender) slowDown() {
	s.ssthresh = max((s.sent-s.acked)/2, 2*tpMSS)
	s.recover = s.top
	s.grow = 0
}

// timeout acts when nothing was acknowledged until rtoAt. It reports false if
// that happened too often.
func (s *tpSender) timeout(now mono.Time) bool {
	if s.rto >= tpMaxRTO {
		return false
	}
	s.rto *= 2
	s.slowDown()
	s.cwnd, s.sent = 3*tpMSS, s.acked
	s.dups, s.recovering, s.back, s.resend = 0, false, false, false
	s.rtoAt = now.Add(s.rto)
	return true
}

// measure takes a round trip time. Source: RFC 6298, section 2.
func (s *tpSender) measure(rtt time.Duration) {
	if s.srtt == 0 {
		s.srtt, s.rttvar = rtt, rtt/2
	} else {
		s.rttvar += ((s.srtt - rtt).Abs() - s.rttvar) / 4
		s.srtt += (rtt - s.srtt) / 8
	}
	s.rto = min(max(s.srtt+4*s.rttvar, tpMinRTO), tpMaxRTO/2)
}
