package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
	"github.com/meshagent/meshagent/agent/pkt"
)

// Limits of ICMP.
const (
	// maxPings is how many pings of our own may wait for an answer.
	maxPings       = 64
	maxPingTimeout = time.Minute
	// What one neighbour may make us say: answers to echo requests and
	// requests that ran out of hops. Neighbours share icmpCells cells by the
	// hash of their address, so invented ones cost no memory.
	icmpInterval = 5 * time.Millisecond
	icmpBurst    = 200
	icmpCells    = 256
)

// icmp is mesh ping and traceroute.
type icmp struct {
	uid    uint8  // of this node's requests
	seqno  uint16 // of the next one
	salt   uint32
	waits  []pingWait // oldest first
	bucket [icmpCells]mono.Bucket
}

// pingWait is a request of ours that is under way.
type pingWait struct {
	id    uint64
	seqno uint16
	until mono.Time
}

// PingRequest says what Ping sends.
type PingRequest struct {
	ID          uint64        // comes back in the Reply
	Dst         batman.MAC    // an originator, or a client of one
	TTL         uint8         // hops that the request may go; 0 means 50
	RouteRecord bool          // ask every hop to add its address
	Timeout     time.Duration // 0 means 1 s; at most a minute
}

func (m *Mesh) icmpInit(mono.Time) {
	m.icmp.uid, m.icmp.seqno, m.icmp.salt = uint8(m.rng.Uint32()), uint16(m.rng.Uint32()), m.rng.Uint32()
}

// Ping sends an echo request. The answer comes as one Reply with r.ID: of the
// node itself or of a hop that says that the TTL ran out; or with Err, at once
// if there is no way to r.Dst, else after the timeout.
func (m *Mesh) Ping(now mono.Time, r PingRequest, out *Out) {
	fail := func(why string) {
		out.Replies = append(out.Replies, Reply{Kind: ReplyPing, ID: r.ID, Err: why})
	}
	o, why := m.target(r.Dst)
	if o == nil {
		fail(why)
		return
	}
	if len(m.icmp.waits) >= maxPings {
		fail("too many pings are under way")
		return
	}
	if r.TTL == 0 {
		r.TTL = batman.TTL
	}
	if r.Timeout <= 0 {
		r.Timeout = time.Second
	}
	i := batman.ICMP{TTL: r.TTL, Msg: batman.ICMPEchoRequest, Dst: o.MAC, Orig: m.self(), UID: m.icmp.uid, Seqno: m.icmp.seqno}
	m.icmp.seqno++
	m.icmp.waits = append(m.icmp.waits, pingWait{r.ID, i.Seqno, now.Add(min(r.Timeout, maxPingTimeout))})
	b := out.Pool.Get()
	n := batman.ICMPLen
	if r.RouteRecord {
		n = batman.ICMPRRLen
	}
	p := b.Extend(n)
	clear(p)
	if r.RouteRecord {
		i.RR = 1 // the sender comes first
		copy(p[batman.ICMPLen:], i.Orig[:])
	}
	i.Put(p)
	m.sendTo(now, o, nil, b, out)
}

// target finds the originator that a test goes to, by its own address or that
// of an untagged client; nil and why there is none.
func (m *Mesh) target(dst batman.MAC) (*Originator, string) {
	switch {
	case m.primary == nil:
		return nil, "no hard interface is active"
	case m.isMine(dst):
		return nil, "that is this node"
	}
	o := m.originator(dst)
	if o == nil {
		if mine, _ := m.ttLocal(dst, 0); mine {
			return nil, "that is a client of this node"
		}
		o, _ = m.ttFind(dst, 0)
	}
	if o == nil {
		return nil, "nobody in the mesh has that address"
	}
	if m.router(o, nil) == nil {
		return nil, "no route"
	}
	return o, ""
}

// rxICMP takes a packet of ping, traceroute or the throughput meter, for this
// node or in transit. It takes b.
func (m *Mesh) rxICMP(now mono.Time, r rx, b *pkt.Buf, out *Out) {
	i, err := batman.ParseICMP(b.Bytes())
	if err != nil {
		m.dropOn(r.hi, b, dropRunt, out)
		return
	}
	if (i.Msg == batman.ICMPEchoRequest || i.Msg == batman.ICMPEchoReply) && b.Len() >= batman.ICMPRRLen {
		if i.RR >= batman.MaxRR {
			m.dropOn(r.hi, b, dropICMP, out)
			return
		}
		p := b.Bytes()
		copy(p[batman.ICMPLen+6*int(i.RR):], r.dst[:])
		i.RR++
		i.Put(p)
	}
	switch {
	case m.isMine(i.Dst):
		m.rxMyICMP(now, r, i, b, out)
	case i.TTL >= 2:
		m.forwardUnicast(now, r, b, out)
	case i.Msg == batman.ICMPEchoRequest:
		m.answerICMP(now, r, i, batman.ICMPTTLExceeded, b, out)
	default:
		m.dropOn(r.hi, b, dropTTL, out)
	}
}

func (m *Mesh) rxMyICMP(now mono.Time, r rx, i batman.ICMP, b *pkt.Buf, out *Out) {
	switch i.Msg {
	case batman.ICMPEchoRequest:
		m.answerICMP(now, r, i, batman.ICMPEchoReply, b, out)
	case batman.ICMPEchoReply, batman.ICMPUnreachable, batman.ICMPTTLExceeded, batman.ICMPParameter:
		m.rxPong(now, r, i, b, out)
	case batman.ICMPThroughput:
		m.rxMeter(now, r, b, out)
	default:
		m.dropOn(r.hi, b, dropICMP, out)
	}
}

// answerICMP turns a request into its answer and sends it back, as long as it
// came: nobody gets more bytes from us than he spent.
func (m *Mesh) answerICMP(now mono.Time, r rx, i batman.ICMP, msg uint8, b *pkt.Buf, out *Out) {
	o := m.originator(i.Orig)
	switch {
	case o == nil:
		m.dropOn(r.hi, b, dropUnknownOrig, out)
	case !m.icmp.bucket[m.icmpCell(r.src)].Take(now, icmpInterval, icmpBurst):
		m.dropOn(r.hi, b, dropRateLimit, out)
	default:
		i.TTL, i.Msg, i.Dst, i.Orig = batman.TTL, msg, i.Orig, m.self()
		i.Put(b.Bytes())
		m.sendTo(now, o, nil, b, out)
	}
}

// icmpCell returns the cell of a neighbour.
func (m *Mesh) icmpCell(mac batman.MAC) int {
	var k [12]byte
	copy(k[:], mac[:])
	return int(jhash12(k, len(mac), m.icmp.salt) % icmpCells)
}

// rxPong gives an answer to whoever waits for it.
func (m *Mesh) rxPong(now mono.Time, r rx, i batman.ICMP, b *pkt.Buf, out *Out) {
	for k, w := range m.icmp.waits {
		if i.UID != m.icmp.uid || i.Seqno != w.seqno {
			continue
		}
		re := Reply{Kind: ReplyPing, ID: w.id, From: i.Orig, Type: i.Msg, TTL: i.TTL}
		if p := b.Bytes(); len(p) >= batman.ICMPRRLen && i.Msg == batman.ICMPEchoReply {
			for j := range min(int(i.RR), batman.MaxRR) {
				re.RR = append(re.RR, batman.MAC(p[batman.ICMPLen+6*j:batman.ICMPLen+6*j+6]))
			}
		}
		out.Replies = append(out.Replies, re)
		m.icmp.waits = append(m.icmp.waits[:k], m.icmp.waits[k+1:]...)
		out.Pool.Put(b)
		return
	}
	if m.linkAnswer(now, i, out) {
		out.Pool.Put(b)
		return
	}
	m.dropOn(r.hi, b, dropICMP, out)
}

func (m *Mesh) icmpDeadline() mono.Time {
	t := mono.Never
	for _, w := range m.icmp.waits {
		t = mono.Min(t, w.until)
	}
	return t
}

// icmpExpire answers for those who did not.
func (m *Mesh) icmpExpire(now mono.Time, out *Out) {
	keep := m.icmp.waits[:0]
	for _, w := range m.icmp.waits {
		if now < w.until {
			keep = append(keep, w)
			continue
		}
		out.Replies = append(out.Replies, Reply{Kind: ReplyPing, ID: w.id, Err: "timeout"})
	}
	m.icmp.waits = keep
}
