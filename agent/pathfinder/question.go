package pathfinder

import (
	"encoding/binary"
	"time"

	"github.com/meshagent/meshagent/agent/cjdns"
	"github.com/meshagent/meshagent/agent/mono"
)

// ask sends one query and remembers that it did.
func (f *Finder) ask(now mono.Time, to Node, kind string, target []byte, out *Out) *pending {
	if len(f.pending) >= maxPending {
		return nil
	}
	m := f.envelope(to)
	m.Query = kind
	m.Target = target
	var cookie [8]byte
	f.cfg.Rand(cookie[:])
	// "01": both kinds of stock node read a first '0' as the old pathfinder's.
	m.TxID = append([]byte("01"), cookie[:]...)
	p := &pending{to: to.IP, label: to.Label, at: now, until: now.Add(f.wait(to.Label)), kind: kind}
	f.pending[binary.BigEndian.Uint64(cookie[:])] = p
	out.Queries = append(out.Queries, Query{To: to, Msg: m})
	f.Asked++
	return p
}

// wait returns how long an answer along label may take: a bit for every hop.
func (f *Finder) wait(label cjdns.Label) time.Duration {
	return min(maxQueryWait, minQueryWait+time.Duration(label.Len()/4)*50*time.Millisecond)
}

// Ping asks n for an empty message: it carries the handshake of a session and
// proves a path.
func (f *Finder) Ping(now mono.Time, n Node, out *Out) { f.ask(now, n, "pn", nil, out) }

// askPeers asks n for its links whose labels are not below tar.
func (f *Finder) askPeers(now mono.Time, n Node, tar uint64, page uint8, out *Out) {
	if p := f.ask(now, n, "gp", binary.BigEndian.AppendUint64(nil, tar), out); p != nil {
		p.tar, p.page = tar, page
	}
}

// handleReply takes an answer. Answers that nobody asked for are dropped: a
// stranger must not fill our store.
func (f *Finder) handleReply(now mono.Time, from Node, m *cjdns.Message, out *Out) {
	if len(m.TxID) != 10 {
		f.Unasked++
		return
	}
	cookie := binary.BigEndian.Uint64(m.TxID[2:])
	p := f.pending[cookie]
	if p == nil || p.to != from.IP {
		f.Unasked++
		return
	}
	delete(f.pending, cookie)
	f.Heard(now, Node{from.Key, from.IP, from.Version, p.label})
	if r := f.route(from.IP, p.label); p.measures && r != nil {
		r.answered(now, now.Sub(p.at))
	}
	var asked *peer
	for _, q := range f.peers {
		if p.kind == "gp" && q.Label == p.label {
			asked, q.silent = q, 0
			q.known = p.page == 0 || q.known
		}
	}
	last := uint64(0)
	for _, ref := range m.Nodes[max(0, len(m.Nodes)-maxListed):] { // the best stand last
		ip := ref.Key.IP()
		if ip == f.selfIP && p.kind == "gp" && p.label.IsOneHop() && f.listed != nil {
			f.listed(now, p.label, ref.Label)
		}
		if !ip.Valid() || ip == f.selfIP || ref.Version < oldestVersion {
			continue
		}
		last = max(last, uint64(ref.Label))
		if p.kind == querySnode {
			f.testified(now, p, m.Back, from, ref, out)
			continue
		}
		if ref.Label <= cjdns.SelfLabel || p.kind == "gp" && !ref.Label.IsOneHop() {
			continue // a node lists its own links, and nothing else
		}
		l := onward(p.label, m.Back, ref.Label)
		if l == cjdns.LabelInvalid {
			continue
		}
		n := Node{ref.Key, ip, ref.Version, l}
		if s := p.search; s != nil && s.target == ip {
			s.claim(n, FromNode)
			continue
		} else if s != nil {
			s.name(n)
		}
		if _, fresh := f.learn(now, n); fresh && asked != nil {
			asked.known = false
		}
	}
	if p.kind == "gp" && len(m.Nodes) >= maxListed && last > p.tar && p.page < maxPages {
		f.askPeers(now, Node{from.Key, from.IP, from.Version, p.label}, last, p.page+1, out)
	}
	for _, s := range f.sorted() {
		if p.search == s {
			s.running--
		}
		f.step(now, s, out)
	}
}

// jitter returns d, more or less a quarter.
func (f *Finder) jitter(d time.Duration) time.Duration {
	var b [2]byte
	f.cfg.Rand(b[:])
	return d*3/4 + d/2*time.Duration(binary.BigEndian.Uint16(b[:]))/65536
}
